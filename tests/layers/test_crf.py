"""CRF: partition function, marginals, best path and gradients against all paths; training, files, errors."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import Ragged, Sequential, backends, chains, layers, losses
from padless.errors import ArgumentError, DataError, RowError, ShapeError
from padless.rows import RowPartition
from tests.tolerances import VALUES

K = 3
LENGTHS = (3, 0, 1, 4)
RNG = np.random.default_rng(0)
X = [RNG.normal(size=(n, 2)) for n in LENGTHS]
TAGS = [RNG.integers(0, K, n) for n in LENGTHS]
WEIGHTS = [RNG.normal(size=shape) for shape in ((2, K), (K,), (K, K), (K,), (K,))]
EXACT = {"rtol": 1e-10, "atol": 1e-10}


def made(mode: str = "viterbi") -> layers.CRF:
    crf = layers.CRF(K, test_mode=mode, dtype="float64")
    crf(rows(crf))
    crf.set_weights(WEIGHTS)
    return crf


def rows(layer: Any, x: Any = X) -> Ragged:
    found = Ragged.from_list(x)
    return found.with_values(layer.backend.asarray(found.values, "float64"))


def paths(x: np.ndarray, weights: list[np.ndarray] = WEIGHTS) -> dict[tuple[int, ...], float]:
    """The score of every path."""
    kernel, bias, chain, left, right = weights
    scores = x @ kernel + bias
    return {
        path: sum(scores[t, tag] for t, tag in enumerate(path))
        + (left[path[0]] + right[path[-1]] if path else 0.0)
        + sum(chain[a, b] for a, b in itertools.pairwise(path))
        for path in itertools.product(range(K), repeat=len(x))
    }


def test_against_all_paths(backend: str) -> None:
    crf = made()
    y = crf(rows(crf))
    host = backends.get(backend).to_host
    total, best, shares = host(chains.log_partition(y)), chains.viterbi(y), chains.marginals(y)
    scores, loss = host(chains.path_score(y, crf.backend.asarray(np.concatenate(TAGS)))), host(losses.crf(TAGS, y))
    for row, (x, tags) in enumerate(zip(X, TAGS, strict=True)):
        known = paths(x)
        z = np.logaddexp.reduce(list(known.values()))
        want = np.zeros((len(x), K))
        for path, score in known.items():
            want[np.arange(len(x)), list(path)] += np.exp(score - z)
        np.testing.assert_allclose(total[row], z, **EXACT)
        np.testing.assert_allclose(scores[row], known[tuple(tags)], **EXACT)
        np.testing.assert_allclose(loss[row], z - known[tuple(tags)], **EXACT)
        np.testing.assert_allclose(host(shares[row]), want, **EXACT)
        assert tuple(host(best[row]).tolist()) == max(known, key=known.__getitem__)


def test_gradients_against_all_paths(trainer: str) -> None:
    crf = made()
    x, owner = rows(crf), crf.backend
    names = ["kernel", "bias", "chain_kernel", "left_boundary", "right_boundary"]

    def of(arrays: dict[str, Any]) -> tuple[Any, Any]:
        with padless.layer.substituted(crf, arrays):
            return losses.CRF(reduction="sum")(TAGS, crf(x)), None

    _, gradients = owner.value_and_grad(of, dict(zip(names, crf.weights, strict=True)))

    def nll(weights: list[np.ndarray]) -> float:
        known = [paths(row, weights) for row in X]
        return sum(np.logaddexp.reduce(list(k.values())) - k[tuple(t)] for k, t in zip(known, TAGS, strict=True))

    for at, name in enumerate(names):
        got = owner.to_host(gradients[name])
        for place in np.ndindex(*got.shape):
            moved = [[w.copy() for w in WEIGHTS] for _ in range(2)]
            moved[0][at][place] += 1e-6
            moved[1][at][place] -= 1e-6
            np.testing.assert_allclose(got[place], (nll(moved[0]) - nll(moved[1])) / 2e-6, rtol=1e-5, atol=1e-7)


def test_masked_steps_are_not_there(backend: str) -> None:
    """Padding of NaN on both sides, and a masked step within."""
    crf = made()
    mask = np.array([[0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 1]], bool)
    padded = np.full((*mask.shape, 2), np.nan)
    padded[mask] = np.concatenate(X)
    tags = np.full(mask.shape, 99)
    tags[mask] = np.concatenate(TAGS)
    y = crf._run(Ragged.from_padded(crf.backend.asarray(padded), mask))
    want = crf(rows(crf))
    host = crf.backend.to_host
    np.testing.assert_allclose(host(losses.crf(tags, y)), host(losses.crf(TAGS, want)), **EXACT)
    assert chains.viterbi(y).to_list() == chains.viterbi(want).to_list()


def test_rows_count_once_and_those_without_steps_do_not() -> None:
    crf = made()
    y = crf(rows(crf)).numpy()
    each = losses.CRF(reduction=None)(TAGS, y)
    np.testing.assert_allclose(losses.CRF()(TAGS, y), each[[0, 2, 3]].mean(), **VALUES)
    weight = np.array([1.0, 5.0, 0.0, 3.0])
    np.testing.assert_allclose(losses.CRF()(TAGS, y, weight), (each[0] + 3 * each[3]) / 4, **VALUES)
    one_hot = [np.eye(K)[tags] for tags in TAGS]
    np.testing.assert_allclose(losses.CRF()(one_hot, y), losses.CRF()(TAGS, y), **VALUES)


IDS = [[3, 1, 4], [], [5, 9, 2, 6, 5], [7, 7], [1]]
WORDS = [[0, 1, 2], [], [0, 0, 1, 2, 2], [1, 0], [2]]


def tagger(mode: str = "viterbi") -> Sequential:
    padless.utils.set_random_seed(1)
    return Sequential([layers.Embedding(10, 6), layers.CRF(3, test_mode=mode, name="crf")])


@pytest.mark.usefixtures("trainer")
@pytest.mark.filterwarnings("ignore::padless.batching.EmptyRowsWarning")
def test_training_predicting_and_files(tmp_path: Path) -> None:
    model = tagger()
    model.compile(padless.optimizers.Adam(0.1), loss=model.layers[1].loss, metrics=["accuracy"])
    history = model.fit(IDS, WORDS, epochs=30, batch_size=3, verbose=0).history
    assert history["loss"][-1] < 0.5 < history["loss"][0]
    assert [row.tolist() for row in model.predict(IDS)] == WORDS
    assert model.evaluate(IDS, WORDS, verbose=0, return_dict=True)["accuracy"] == 1.0
    one, other = (model.evaluate(IDS, WORDS, batch_size=size, verbose=0)[0] for size in (1, 5))
    np.testing.assert_allclose(one, other, **VALUES)
    model.save(tmp_path / "crf.safetensors")
    again = padless.load_model(tmp_path / "crf.safetensors")
    assert [row.tolist() for row in again.predict(IDS)] == WORDS
    assert again.evaluate(IDS, WORDS, verbose=0)[0] == pytest.approx(other)


@pytest.mark.usefixtures("backend")
def test_marginals_on_request_and_padded_arrays() -> None:
    padded = np.array([[3, 1, 4, 0], [5, 0, 0, 0]])
    x = padless.Input((None,), dtype="int32")
    h = layers.Embedding(10, 6, mask_zero=True)(x)
    model = padless.Model(x, [layers.CRF(3, test_mode="marginal")(h), layers.CRF(3, name="tags")(h)])
    shares, tags = model.predict(padded)
    assert (shares.shape, tags.shape) == ((2, 4, 3), (2, 4))
    np.testing.assert_allclose(shares.sum(-1), [[1, 1, 1, 0], [1, 0, 0, 0]], **VALUES)
    np.testing.assert_array_equal(tags[1, 1:], 0)
    dense = Sequential([layers.CRF(3)])
    assert dense.predict(np.ones((2, 4, 5), "float32")).shape == (2, 4)


@pytest.mark.usefixtures("trainer")
def test_a_subclassed_model_says_what_to_decide() -> None:
    class Own(padless.Model):
        def __init__(self) -> None:
            super().__init__()
            self.embed = layers.Embedding(10, 6)
            self.crf = layers.CRF(3)

        def call(self, x: Any) -> Any:
            return self.crf(self.embed(x))

        def decide(self, y: Any) -> Any:
            return self.crf.decide(y)

    model = Own()
    model.compile("adam", loss="crf", metrics=["accuracy"])
    assert set(model.fit(IDS[2:], WORDS[2:], verbose=0).history) == {"loss", "accuracy"}
    assert [len(row) for row in model.predict(IDS[2:])] == [5, 2, 1]


def test_initial_values_and_names() -> None:
    crf = layers.CRF(4)
    crf.build((None, None, 3))
    assert list(crf.state_dict()) == ["kernel", "bias", "chain_kernel", "left_boundary", "right_boundary"]
    chain = crf.state_dict()["chain_kernel"]
    np.testing.assert_allclose(chain @ chain.T, np.eye(4), atol=1e-6)
    assert not crf.state_dict()["left_boundary"].any()
    plain = layers.CRF(4, use_boundary=False, use_kernel=False)
    plain.build((None, None, 4))
    assert list(plain.state_dict()) == ["chain_kernel"]


def test_errors() -> None:
    with pytest.raises(ArgumentError, match=r"test_mode: expected one of \('viterbi', 'marginal'\)"):
        layers.CRF(3, test_mode="best")
    with pytest.raises(ShapeError, match="3 features, a score for each tag, since use_kernel=False"):
        layers.CRF(3, use_kernel=False)(Ragged.from_list([np.ones((2, 4), "float32")]))
    with pytest.raises(ShapeError, match=r"expected 3 axes, \(B, T, D\)"):
        layers.CRF(3)(np.ones(4, "float32"))
    y = Ragged(np.zeros((4, 3, 3)), RowPartition([0, 2, 4]))
    with pytest.raises(RowError, match=r"loss 'crf': expected labels from 0 to 2(.|\n)*Got: label 3 in row 1, step 0"):
        losses.CRF()([[0, 1], [3, 0]], y)
    with pytest.raises(DataError, match="row 1 has 2 steps"):
        losses.CRF()([[0, 1], [0]], y)
    with pytest.raises(ShapeError, match=r"potentials \(B, None, K, K\)(.|\n)*layers.CRF\(units\)"):
        losses.CRF()([[0, 1], [0, 1]], Ragged(np.zeros((4, 3)), RowPartition([0, 2, 4])))
    with pytest.raises(ShapeError, match=r"targets with \(2,\) for each step"):
        losses.CRF()(np.zeros((2, 2, 2)), y)
    with pytest.raises(ShapeError, match="one weight for each of 2 rows: this loss has one number for each"):
        losses.CRF()([[0, 1], [1, 0]], y, [[1.0, 1.0], [1.0, 1.0]])
