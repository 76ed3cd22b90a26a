"""Skip-grams beside Keras's."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from padless.errors import ArgumentError, DataError
from padless.preprocessing.sequence import make_sampling_table, skipgrams

THEIRS: Any = __import__("keras.src.legacy.preprocessing.sequence", fromlist=["x"])


@given(ids=st.lists(st.integers(0, 9), max_size=20), window=st.integers(1, 5), categorical=st.booleans())
def test_true_pairs_are_keras_s_in_its_order(ids: list[int], window: int, categorical: bool) -> None:
    arguments = dict(window_size=window, negative_samples=0, shuffle=False, categorical=categorical)
    ours, theirs = skipgrams(ids, 10, **arguments), THEIRS.skipgrams(ids, 10, **arguments)
    assert ours == (list(theirs[0]), list(theirs[1]))


def test_random_pairs_are_as_many_as_keras_s_and_none_is_true() -> None:
    ids = np.random.default_rng(0).integers(0, 500, 300)
    pairs, labels = skipgrams(ids, 500, negative_samples=1.5, seed=1)
    expected = THEIRS.skipgrams(ids.tolist(), 500, negative_samples=1.5, shuffle=False)[1]
    assert sorted(labels) == sorted(expected)
    true = {tuple(p) for p, label in zip(pairs, labels, strict=True) if label}
    false = [tuple(p) for p, label in zip(pairs, labels, strict=True) if not label]
    assert true.isdisjoint(false)
    assert {second for _, second in false} <= set(range(1, 500))


def test_the_seed_governs_everything_and_no_global_generator_is_touched() -> None:
    random.seed(1)
    before = random.getstate()
    table = make_sampling_table(50)
    first = skipgrams(range(1, 50), 50, sampling_table=table, seed=2)
    assert first == skipgrams(range(1, 50), 50, sampling_table=table, seed=2)
    assert first != skipgrams(range(1, 50), 50, sampling_table=table, seed=3)
    assert random.getstate() == before


def test_the_table_is_keras_s_and_drops_first_words_only() -> None:
    np.testing.assert_allclose(make_sampling_table(1000), THEIRS.make_sampling_table(1000), rtol=1e-12)
    table = np.ones(4)
    table[2] = 0.0
    pairs, _ = skipgrams([1, 2, 3], 4, negative_samples=0, sampling_table=table, shuffle=False)
    assert pairs == [[1, 2], [1, 3], [3, 1], [3, 2]]


def test_a_vocabulary_where_all_pairs_are_true_ends() -> None:
    pairs, labels = skipgrams([1, 1, 1], 2, seed=0)
    assert (len(pairs), sum(labels)) == (12, 6)


def test_refusals() -> None:
    with pytest.raises(DataError, match="ids below 4"):
        skipgrams([1, 9], 4)
    with pytest.raises(ArgumentError, match="vocabulary_size from 2"):
        skipgrams([1], 1)
    with pytest.raises(ArgumentError, match="at least one rank"):
        make_sampling_table(0)
