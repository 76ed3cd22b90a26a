"""CTC: against all alignments; torch's kernel against the plain algorithm; training; labels that do not fit."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import padless
from padless import Ragged, Sequential, backends, layers, losses
from padless.backends.base import Backend
from padless.decoding import ctc_greedy
from padless.errors import DataError, RowError, ShapeError
from tests.tolerances import VALUES

LENGTHS = (4, 3, 0, 1, 5, 2)
LABELS = [[1, 2], [1, 1], [], [2], [1, 2, 1], []]
RNG = np.random.default_rng(0)
SCORES = [RNG.normal(size=(n, 3)) for n in LENGTHS]
EXACT = {"rtol": 1e-10, "atol": 1e-10}


def by_all_alignments(scores: np.ndarray, labels: list[int]) -> float:
    logs = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True) if len(scores) else scores
    total = -np.inf
    for path in itertools.product(range(3), repeat=len(scores)):
        if [k for k, _ in itertools.groupby(path) if k] == labels:
            total = np.logaddexp(total, logs[np.arange(len(scores)), list(path)].sum())
    return -total


TRUTH = [by_all_alignments(*pair) for pair in zip(SCORES, LABELS, strict=True)]


def rows(owner: Backend) -> Ragged:
    x = Ragged.from_list(SCORES)
    return x.with_values(owner.asarray(x.values, "float64"))


def test_against_all_alignments(backend: str) -> None:
    owner = backends.get(backend)
    padded = np.array([[1, 2, 0], [0, 1, 1], [0, 0, 0], [2, 0, 0], [1, 2, 1], [0, 0, 0]])
    for labels in (LABELS, Ragged.from_list(LABELS), padded):
        np.testing.assert_allclose(owner.to_host(losses.ctc(labels, rows(owner))), TRUTH, **EXACT)
    np.testing.assert_allclose(float(losses.CTC()(LABELS, rows(owner))), np.sum(TRUTH) / 5, **EXACT)


def test_gradients_by_differences(trainer: str) -> None:
    owner = backends.get(trainer)
    x = rows(owner)

    def of(weights: dict[str, Any]) -> tuple[Any, Any]:
        return losses.CTC(reduction="sum")(LABELS, x.with_values(weights["x"])), None

    got = owner.to_host(owner.value_and_grad(of, {"x": x.values})[1]["x"])
    host = backends.get("numpy")
    for place in np.ndindex(*got.shape):
        moved = [rows(host).values.copy() for _ in range(2)]
        moved[0][place] += 1e-6
        moved[1][place] -= 1e-6
        up, down = (float(losses.CTC(reduction="sum")(LABELS, Ragged(v, x.rows))) for v in moved)
        np.testing.assert_allclose(got[place], (up - down) / 2e-6, rtol=1e-5, atol=1e-7)


def test_the_kernel_of_torch_against_the_default() -> None:
    torch = pytest.importorskip("torch")
    owner = backends.get("torch")
    random = np.random.default_rng(5)
    for lengths, most in (((9, 4, 0, 7), 3), ((3,), 5), ((2, 2), 0)):
        x = Ragged.from_list([random.normal(size=(n, 6)) for n in lengths])
        labels = torch.tensor(random.integers(1, 6, (len(lengths), most)))
        counts = torch.tensor(random.integers(0, most + 1, len(lengths)))
        found = []
        for method in (type(owner).ctc, Backend.ctc):
            values = torch.tensor(x.values, requires_grad=True)
            loss = method(owner, torch.log_softmax(values, -1), x.rows, labels, counts)
            loss.sum().backward()
            found.append((loss.detach(), values.grad))
        np.testing.assert_allclose(found[0][0], found[1][0], **EXACT)
        np.testing.assert_allclose(found[0][1], found[1][1], **EXACT)


def reader() -> Sequential:
    padless.utils.set_random_seed(2)
    return Sequential([layers.GRU(8, return_sequences=True), layers.Dense(4)])


def spoken(count: int = 12) -> tuple[list[np.ndarray], list[list[int]]]:
    """Each label lasts two or three steps, with silence between."""
    random = np.random.default_rng(1)
    x, labels = [], []
    for _ in range(count):
        ids = random.integers(1, 4, random.integers(1, 4)).tolist()
        steps = [step for i in ids for step in (0, *([i] * random.integers(2, 4)))]
        x.append(np.eye(4, dtype="float32")[steps])
        labels.append(ids)
    return x, labels


def test_training_and_reading(trainer: str) -> None:
    x, labels = spoken()
    model = reader()
    model.compile(padless.optimizers.Adam(0.05), loss="ctc")
    history = model.fit(x, labels, epochs=40, batch_size=4, verbose=0).history["loss"]
    assert history[-1] < 0.2 < history[0]
    assert ctc_greedy(model.predict(x, verbose=0)).ids == labels
    padded = np.zeros((12, 5), np.int64)
    for row, ids in enumerate(labels):
        padded[row, : len(ids)] = ids
    by_list, by_array = (model.evaluate(x, y, batch_size=5, verbose=0) for y in (labels, padded))
    np.testing.assert_allclose(by_array, by_list, **VALUES)
    weights = [model.evaluate(x, labels, sample_weight=np.arange(12) == row, verbose=0) for row in range(12)]
    np.testing.assert_allclose(np.mean(weights), by_list, **VALUES)


def test_batches_of_so_many_steps(trainer: str) -> None:
    """The labels of a batch are filled up with it, where a backend fills batches up."""
    x, labels = spoken(20)
    found = []
    for arguments in ({"batch_size": 20}, {"max_tokens": 40}, {"batch_size": 3}):
        model = reader()
        model.compile("sgd", loss="ctc")
        found.append(model.evaluate(x, labels, verbose=0, **arguments))
    np.testing.assert_allclose(found[1:], found[:1] * 2, **VALUES)
    model.fit(x, labels, max_tokens=40, verbose=0)


def test_rows_that_cannot_be_aligned(trainer: str) -> None:
    x, labels = spoken(4)
    labels[2] = [1, 1] * 6
    model = reader()
    model.compile("sgd", loss="ctc")
    with pytest.raises(RowError, match=r"loss 'ctc', row 2: expected at least 23 steps for its 12 labels"):
        model.fit(x, labels, shuffle=False, batch_size=2, verbose=0)
    model.compile("sgd", loss=losses.CTC(zero_infinity=True))
    kept = [0, 1, 3]
    want = model.evaluate([x[i] for i in kept], [labels[i] for i in kept], verbose=0)
    np.testing.assert_allclose(model.evaluate(x, labels, verbose=0), want, **VALUES)
    assert np.isfinite(model.fit(x, labels, verbose=0).history["loss"]).all()


def test_labels_that_do_not_fit() -> None:
    y_pred = np.zeros((2, 3, 3))
    with pytest.raises(RowError, match=r"row 1: expected labels from 1 to 2: 0 is the blank(.|\n)*Got: \[0\]"):
        losses.CTC()([[1], [0]], y_pred)
    with pytest.raises(RowError, match=r"row 0: expected labels from 1 to 2"):
        losses.CTC(zero_infinity=True)(np.array([[3, 0], [1, 1]]), y_pred)
    for labels in ([1, 2], [[1]], np.ones((2, 2, 1))):
        with pytest.raises(ShapeError, match=r"labels \(B, None\) or \(B, L\)"):
            losses.CTC()(labels, y_pred)
    with pytest.raises(DataError, match="expected at least 1 steps for its 1 labels"):
        losses.CTC()([[1]], Ragged.from_list([np.zeros((0, 3))]))
    with pytest.raises(ShapeError, match="one weight for each of 2 rows"):
        losses.CTC()([[1], [2]], y_pred, np.ones((2, 3)))
    assert losses.get(losses.ctc).name == "ctc"
    assert losses.CTC.from_config(losses.CTC(zero_infinity=True).get_config()).zero_infinity


def test_as_a_metric() -> None:
    want = float(losses.CTC()(LABELS, Ragged.from_list(SCORES)))
    assert padless.metrics.get(losses.CTC())(LABELS, Ragged.from_list(SCORES)) == pytest.approx(want)


def test_greedy_decoding() -> None:
    found = ctc_greedy([np.eye(3)[[1, 1, 0, 1, 2]], np.zeros((0, 3)), np.eye(3)[[2, 2]]])
    assert found.ids == [[1, 1, 2], [], [2]]
    assert found.path.to_list() == [[1, 1, 0, 1, 2], [], [2, 2]]
    assert found.scores.tolist() == [5.0, 0.0, 2.0]
    assert ctc_greedy(np.eye(3)[None, [1, 1, 2]], merge_repeated=False, mask_index=2).ids == [[1, 1]]
    with pytest.raises(ShapeError, match="ctc_greedy: expected rows of scores"):
        ctc_greedy([[1, 2]])
