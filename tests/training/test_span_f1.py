"""SpanF1: against spans that are read out of the tags one by one, as conlleval does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless import Ragged, layers, metrics
from padless.errors import ArgumentError, DataError, ShapeError

BIO = ["O", "B-A", "I-A", "B-B", "I-B"]
IOBES = ["B-A", "I-A", "E-A", "S-A", "O", "B-B", "E-B"]


def spans(tags: list[str]) -> set[tuple[str, int, int]]:
    """Walk over a row: the rules of conlleval, one after the other."""
    found, begin = set(), 0
    before, kind_before = "O", ""
    for at, tag in enumerate([*tags, "O"]):
        prefix, _, kind = tag.partition("-")
        end = begins = False
        if before != "O":
            end = prefix in "BSO" or before in "ES" or kind != kind_before
        if prefix != "O":
            begins = prefix in "BS" or before in "OES" or kind != kind_before
        if end:
            found.add((kind_before, begin, at - 1))
        if begins:
            begin = at
        before, kind_before = prefix, kind
    return found


def by_walking(labels: list[str], true: list[list[int]], pred: list[list[int]]) -> tuple[float, float, float]:
    right = wanted = given_ = 0
    for a, b in zip(true, pred, strict=True):
        one, other = (spans([labels[i] for i in row]) for row in (a, b))
        right, wanted, given_ = right + len(one & other), wanted + len(one), given_ + len(other)
    precision, recall = right / given_ if given_ else 0.0, right / wanted if wanted else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0


@pytest.mark.parametrize(("labels", "scheme"), [(BIO, "BIO"), (IOBES, "IOBES")])
@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5), seed=st.integers(0, 2**32 - 1))
def test_as_by_walking(labels: list[str], scheme: str, lengths: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    true, pred = ([random.integers(0, len(labels), n).tolist() for n in lengths] for _ in range(2))
    for row, other in zip(true, pred, strict=True):  # so that some spans are right
        other[: len(row) // 2] = row[: len(row) // 2]
    metric = metrics.SpanF1(labels, scheme)
    metric.update_state(true, Ragged.from_list([np.array(row, np.int64) for row in pred]))
    got = (metric.precision, metric.recall, metric.result())
    np.testing.assert_allclose(got, by_walking(labels, true, pred), rtol=1e-12)
    parts = metrics.SpanF1(labels, scheme)
    for a, b in zip(true, pred, strict=True):
        parts.update_state([a], Ragged.from_list([np.array(b, np.int64)]))
    assert parts.result() == metric.result()


def test_scores_padding_and_types() -> None:
    metric = metrics.SpanF1(BIO)
    true = np.array([[1, 2, 0, -9], [3, -9, -9, -9]])
    mask = true >= 0
    padded = np.full((2, 4, 5), np.nan)
    padded[mask] = np.eye(5)[[1, 2, 0, 1]]
    metric.update_state(true, Ragged.from_padded(padded, mask))
    assert (metric.precision, metric.recall, metric.result()) == (0.5, 0.5, 0.5)
    assert metric.by_type() == {"A": pytest.approx(2 / 3), "B": 0.0}
    assert metrics.SpanF1.from_config(metric.get_config()).labels == BIO
    metric.reset_state()
    assert (metric.result(), metric.by_type()) == (0.0, {"A": 0.0, "B": 0.0})
    assert metric([[1, 2]], np.array([[1, 2]])) == 1.0


@pytest.mark.usefixtures("trainer")
def test_in_training() -> None:
    ids, tags = [[3, 1, 4], [6], [5, 9, 2]], [[0, 1, 2], [3], [0, 0, 1]]
    for head, loss in (
        (layers.CRF(5), "crf"),
        (layers.Dense(5, activation="softmax"), "sparse_categorical_crossentropy"),
    ):
        model = padless.Sequential([layers.Embedding(10, 8), head])
        model.compile(padless.optimizers.Adam(0.1), loss=loss, metrics=["accuracy", metrics.SpanF1(BIO)])
        model.fit(ids, tags, epochs=30, verbose=0)
        assert model.evaluate(ids, tags, verbose=0, return_dict=True)["span_f1"] == 1.0


def test_errors() -> None:
    with pytest.raises(ArgumentError, match="SpanF1, scheme: expected a known name"):
        metrics.SpanF1(BIO, "BILOU")
    for labels in (["O", "PER"], ["O", "S-PER"], ["O-X"], ["B"], []):
        bad: Any = labels
        with pytest.raises(ArgumentError, match='SpanF1, labels: expected "O", and B-TYPE, I-TYPE'):
            metrics.SpanF1(bad)
    with pytest.raises(ShapeError, match="expected no weights"):
        metrics.SpanF1(BIO).update_state([[1]], Ragged.from_list([[1]]), [1.0])
    with pytest.raises(DataError, match="ids from 0 to 4, one for each label"):
        metrics.SpanF1(BIO).update_state([[5]], Ragged.from_list([[1]]))
    with pytest.raises(DataError, match="row 0 has"):
        metrics.SpanF1(BIO).update_state([[1]], Ragged.from_list([[1, 2]]))
