"""Ragged whose steps are rows themselves: in and out, indexing, operators, errors."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import optree
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless import ArgumentError, DataError, MaskError, Ragged, RowPartition, ShapeError
from padless.ragged import pad

DOCUMENTS = [[[1, 2, 3], [4]], [], [[5, 6]], [[]], [[7], [], [8, 9]]]


def documents(least: int = 0) -> st.SearchStrategy[list[list[list[int]]]]:
    """Documents of sentences of words; ids from 1 to 9."""
    sentences = st.lists(st.integers(1, 9), min_size=least, max_size=4)
    return st.lists(st.lists(sentences, max_size=4), max_size=4)


def test_shape_and_parts() -> None:
    x = Ragged.from_list(DOCUMENTS)
    assert x.shape == (5, None, None)
    assert (x.ndim, x.ragged_rank, len(x), x.dtype) == (3, 2, 5, np.int64)
    assert x.rows.row_lengths.tolist() == [2, 0, 1, 1, 3]
    assert x.values.rows.row_lengths.tolist() == [3, 1, 2, 0, 1, 0, 2]
    assert x.flat_values.tolist() == list(range(1, 10))
    assert repr(x) == ("Ragged(shape=(5, None, None), int64, lengths=[2, 0, 1, 1, 3] of [3, 1, 2, 0, 1, 0, 2])")
    features = Ragged.from_list([[[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]]])
    assert features.shape == (1, None, None, 2)
    assert features.dtype == np.float32


@given(drawn=documents())
def test_lists_go_in_and_come_out(drawn: list[list[list[int]]]) -> None:
    x = Ragged.from_list(drawn, ragged_rank=2)
    assert x.ragged_rank == 2
    assert x.to_list() == drawn
    assert Ragged.from_list(list(x), ragged_rank=2).to_list() == drawn
    assert [document.to_list() for document in x] == drawn
    assert pickle.loads(pickle.dumps(x)).to_list() == drawn


@given(drawn=documents(least=1), side=st.sampled_from(["post", "pre"]), more=st.integers(0, 3))
def test_padded_arrays_go_out_and_come_in(drawn: list[list[list[int]]], side: str, more: int) -> None:
    x = Ragged.from_list(drawn, ragged_rank=2)
    sentences = x.rows.max_row_length + more
    words = x.values.rows.max_row_length + more
    padded = x.to_padded(side=side, length=(sentences, words))
    assert padded.shape == (len(drawn), sentences, words)
    again = Ragged.from_padded(padded, padded != 0)
    assert again.to_list() == drawn
    np.testing.assert_array_equal(again.to_padded(), padded)
    np.testing.assert_array_equal(again.mask, padded != 0)
    assert again.mask.shape == again.to_padded().shape


def test_a_sentence_without_words_is_padding_at_both_ends_and_empty_between() -> None:
    ids = np.array([[[0, 0], [1, 0], [0, 0], [2, 3], [0, 0]], [[0, 0]] * 5])
    x = Ragged.from_padded(ids, ids != 0)
    assert x.to_list() == [[[1], [], [2, 3]], []]
    assert x.rows.starts.tolist() == [1, 0]
    np.testing.assert_array_equal(x.to_padded(), ids)
    np.testing.assert_array_equal(x.mask, ids != 0)


def test_words_masked_in_the_middle_keep_their_places() -> None:
    ids = np.array([[[1, 0, 2], [0, 3, 0]]])
    x = Ragged.from_padded(ids, ids != 0)
    assert x.to_list() == [[[1, 2], [3]]]
    assert x.values.rows.positions.tolist() == [0, 2, 0]
    np.testing.assert_array_equal(x.to_padded(), ids)


def test_what_lists_are_is_told_by_their_lengths_or_said() -> None:
    equal = [[[1, 2], [3, 4]], [[5, 6]]]
    assert Ragged.from_list(equal).shape == (2, None, 2)
    assert Ragged.from_list(equal, ragged_rank=2).shape == (2, None, None)
    assert Ragged.from_list([[[1, 2], [3, 4]], [[5]]]).shape == (2, None, None)
    assert Ragged.from_list([[], []]).ragged_rank == 1
    assert Ragged.from_list([[], [[]]], ragged_rank=2).to_list() == [[], [[]]]
    assert Ragged.from_list([], ragged_rank=2).shape == (0, None, None)
    arrays = [[np.ones(2, np.float32), np.ones(3, np.float32)], [np.ones(1, np.float32)]]
    assert Ragged.from_list(arrays).flat_values.dtype == np.float32
    deep = Ragged.from_list([[[[1], [2, 3]], []], [[[4]]]], ragged_rank=3)
    assert deep.shape == (2, None, None, None)
    assert deep.to_list() == [[[[1], [2, 3]], []], [[[4]]]]
    assert deep.to_padded().shape == (2, 2, 2, 2)
    ids = np.array([[[[1, 0], [2, 3]], [[0, 0], [0, 0]]]])
    assert Ragged.from_padded(ids, ids != 0).to_list() == [[[[1], [2, 3]]]]


def test_lists_that_are_neither() -> None:
    with pytest.raises(DataError, match="row 1 with steps that are no sequences"):
        Ragged.from_list([[[1, 2]], [3, 4]], ragged_rank=2)
    with pytest.raises(DataError, match="row 0 has steps of unequal shapes"):
        Ragged.from_list([[[1, 2], 3]])
    with pytest.raises(DataError, match=r"row 1 has steps of shape \(3,\), the rows before \(2,\)"):
        Ragged.from_list([np.ones((4, 2)), np.ones((1, 3))])  # arrays say that these are features
    with pytest.raises(ArgumentError, match="ragged_rank"):
        Ragged.from_list([[1]], ragged_rank=0)


def test_rows() -> None:
    x = Ragged.from_list(DOCUMENTS)
    assert x[4].to_list() == DOCUMENTS[4]
    assert x[-1].to_list() == DOCUMENTS[4]
    assert x[[4, 0, 3]].to_list() == [DOCUMENTS[at] for at in (4, 0, 3)]
    assert x[1:3].to_list() == DOCUMENTS[1:3]
    assert x[np.array([True, False, False, False, True])].to_list() == [DOCUMENTS[0], DOCUMENTS[4]]
    assert x[[]].to_list() == []
    with pytest.raises(IndexError):
        x[5]


def test_operators_keep_the_rows() -> None:
    x = Ragged.from_list(DOCUMENTS)
    assert (x + x).to_list() == (2 * x).to_list()
    assert (-x).flat_values.tolist() == [-n for n in range(1, 10)]
    assert (x > 4).flat_values.sum() == 5
    assert x.with_flat_values(x.flat_values * 0).rows is x.rows
    other = Ragged.from_list([[[1, 2], [3, 4]], [], [[5, 6]], [[]], [[7], [], [8, 9]]])
    with pytest.raises(DataError, match="row 0, step 0 has 3 steps on one side and 2 on the other"):
        x + other
    with pytest.raises(MaskError, match="a number or a Ragged with the same rows"):
        x + x.with_values(np.ones((7, 3), np.int64))


def test_equal_rows_are_found_at_both_levels() -> None:
    x = Ragged.from_list(DOCUMENTS)
    assert bool((x == Ragged.from_list(DOCUMENTS)).flat_values.all())
    with pytest.raises(DataError, match="5 rows against 4"):
        assert x == x[:4]


def test_made_of_parts(backend: str) -> None:
    words = Ragged.from_list([[1, 2], [], [3]])
    x = Ragged.from_lengths(words, [2, 1])
    assert x.to_list() == [[[1, 2], []], [[3]]]
    assert Ragged.from_row_splits(words, [0, 2, 3]).to_list() == x.to_list()
    with pytest.raises(ShapeError, match="values with 4 steps as first axis"):
        Ragged(words, RowPartition([0, 4]))
    moved = x.with_flat_values(padless.backends.current().asarray(x.flat_values))
    assert moved.to("cpu").numpy().to_list() == x.to_list()
    assert moved[[1, 0]].to_list() == [[[3]], [[1, 2], []]]
    assert pickle.loads(pickle.dumps(moved)).to_list() == x.to_list()
    leaves, tree = optree.tree_flatten(moved, namespace="padless")
    assert len(leaves) == 1
    assert optree.tree_unflatten(tree, leaves).to_list() == x.to_list()


def test_arrow_lists_of_lists() -> None:
    pa: Any = pytest.importorskip("pyarrow")
    column = pa.array(DOCUMENTS, pa.large_list(pa.large_list(pa.int64())))
    assert Ragged.from_arrow(column).to_list() == DOCUMENTS
    assert Ragged.from_arrow(column.slice(2)).to_list() == DOCUMENTS[2:]


def test_what_reads_plain_rows_says_so() -> None:
    x = Ragged.from_list(DOCUMENTS)
    for function in (padless.row_sum, padless.row_max, padless.row_first, padless.row_reverse):
        with pytest.raises(MaskError, match="its steps are rows themselves"):
            function(x)
    with pytest.raises(MaskError, match="its steps are rows themselves"):
        pad(x.values, x.rows)
    with pytest.raises(MaskError, match="explicit way out of rows"):
        np.asarray(x)
    with pytest.raises(ArgumentError, match="2 lengths, one for each axis that varies"):
        x.to_padded(length=4)
    with pytest.raises(ShapeError, match="rows of at most 2 steps"):
        x.to_padded(length=(3, 2))


def test_each_sentence_gets_the_entry_of_its_document() -> None:
    x = Ragged.from_list(DOCUMENTS)
    entries: npt.NDArray[Any] = np.arange(5)
    assert padless.spread(entries, x).to_list() == [[0, 0], [], [2], [3], [4, 4, 4]]


def test_masks_of_words_and_of_sentences() -> None:
    from padless.forms import narrowed

    ids = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    x = Ragged.from_padded(ids, np.ones(ids.shape, bool))
    assert narrowed(x, ids % 2 == 1, "here").to_list() == [[[1], [3]], [[5], [7]]]
    assert narrowed(x, np.array([[True, False], [True, True]]), "here").to_list() == [[[1, 2]], [[5, 6], [7, 8]]]
    assert narrowed(x, x.with_flat_values(x.flat_values > 2), "here").to_list() == [[[], [3, 4]], [[5, 6], [7, 8]]]
