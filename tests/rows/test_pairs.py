"""Pairs of two partitions: where they stand, that they are made once, and that they do not outlive their batch."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from padless.errors import DataError
from padless.rows import PairRows, RowPartition
from tests.strategies import masks

counts = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=5)


@given(lengths=counts)
def test_pairs_are_those_of_each_row(lengths: list[tuple[int, int]]) -> None:
    sides = np.array(lengths, np.int64).reshape(-1, 2)
    queries, keys = (RowPartition.from_lengths(side) for side in sides.T)
    pairs: Any = queries.pairs(keys)
    expected = [
        (query, key, query - queries.row_splits[row], key - keys.row_splits[row])
        for row in range(len(lengths))
        for query in range(queries.row_splits[row], queries.row_splits[row + 1])
        for key in range(keys.row_splits[row], keys.row_splits[row + 1])
    ]
    got = zip(pairs.query_index, pairs.key_index, pairs.query_ranks, pairs.key_ranks, strict=True)
    assert [tuple(map(int, one)) for one in got] == [tuple(map(int, one)) for one in expected]
    assert pairs.row_lengths.tolist() == [n * m for n, m in lengths]


@given(queries=masks(most=3), keys=masks(most=3))
def test_pairs_stand_where_their_steps_stood(queries: Any, keys: Any) -> None:
    count = min(len(queries), len(keys))
    queries, keys = queries[:count], keys[:count]
    pairs = RowPartition.from_mask(queries).pairs(RowPartition.from_mask(keys))
    table = np.zeros(queries.shape[0] * queries.shape[1] * keys.shape[1], bool)
    table[pairs.padded_index] = True
    np.testing.assert_array_equal(table.reshape(*queries.shape, keys.shape[1]), queries[:, :, None] & keys[:, None])


def test_pairs_are_made_once_and_do_not_outlive_their_rows() -> None:
    rows, keys = RowPartition([0, 2, 3]), RowPartition([0, 1, 5])
    pairs = rows.pairs(keys)
    assert rows.pairs(keys) is pairs
    assert rows.pairs(rows) is rows.pairs(rows)
    assert rows.pairs(rows) is not pairs
    gc.collect()
    gc.disable()
    try:
        own, gone = weakref.ref(rows.pairs(rows)), weakref.ref(pairs)
        del rows, pairs
        assert own() is None
        assert gone() is None
    finally:
        gc.enable()


def test_which_pairs_are_the_same() -> None:
    two, three, six, one = (RowPartition([0, n]) for n in (2, 3, 6, 1))
    assert two.pairs(three).same_steps(RowPartition([0, 2]).pairs(three))
    for other in (three.pairs(two), six.pairs(one), six):
        assert not two.pairs(three).same_steps(other)
        assert not two.pairs(three).same_lengths(other)
    with pytest.raises(DataError, match="1 rows against 2"):
        PairRows(two, RowPartition([0, 1, 2]))
    picked, index = RowPartition([0, 1, 3]).pairs(RowPartition([0, 2, 4])).take([1])
    assert isinstance(picked, PairRows)
    assert index.tolist() == [2, 3, 4, 5]
    assert (picked.queries.nvals, picked.keys.nvals) == (2, 2)
