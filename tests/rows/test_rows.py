"""RowPartition against plain Python, step by step."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given

from padless import DataError, MaskError, RowPartition, ShapeError
from padless.lengths import Window
from padless.rows import require_same_steps
from tests.strategies import lengths, masks, seeds

Mask = npt.NDArray[np.bool_]


def columns_of(mask: Mask) -> list[list[int]]:
    """The live columns of each row."""
    return [[t for t in range(mask.shape[1]) if mask[row, t]] for row in range(mask.shape[0])]


def places_of(mask: Mask) -> list[list[int]]:
    """The live columns of each row, counted from the first of them."""
    return [[t - row[0] for t in row] for row in columns_of(mask)]


def steps_of(rows: RowPartition) -> list[list[int]]:
    """The numbers of the steps of each row."""
    splits = rows.row_splits.tolist()
    return [list(range(a, b)) for a, b in itertools.pairwise(splits)]


def flat(nested: list[list[int]]) -> list[int]:
    return [item for part in nested for item in part]


# ---- what follows from the splits


@given(lengths())
def test_splits_and_lengths(given_lengths: list[int]) -> None:
    rows = RowPartition.from_lengths(given_lengths)
    splits = [sum(given_lengths[:i]) for i in range(len(given_lengths) + 1)]
    assert rows.row_splits.tolist() == splits
    assert rows.row_splits.dtype == np.int64
    assert RowPartition(splits).row_lengths.tolist() == given_lengths
    assert rows.nrows == len(given_lengths)
    assert rows.nvals == sum(given_lengths)
    assert rows.max_row_length == max(given_lengths, default=0)
    assert rows.value_rowids.tolist() == flat([[row] * n for row, n in enumerate(given_lengths)])
    assert rows.positions.tolist() == rows.ranks.tolist() == flat([list(range(n)) for n in given_lengths])
    assert rows.cu_seqlens.tolist() == splits
    assert rows.cu_seqlens.dtype == np.int32
    assert not rows.has_holes
    assert rows.extents.tolist() == given_lengths
    assert rows.starts.tolist() == [0] * len(given_lengths)
    assert rows.padded_length == max(given_lengths, default=0)
    assert not rows.came_padded


@given(masks())
def test_what_a_mask_says(mask: Mask) -> None:
    rows = RowPartition.from_mask(mask)
    columns = columns_of(mask)
    assert rows.row_lengths.tolist() == [len(row) for row in columns]
    assert rows.positions.tolist() == flat(places_of(mask))
    assert rows.ranks.tolist() == flat([list(range(len(row))) for row in columns])
    assert rows.extents.tolist() == [row[-1] - row[0] + 1 if row else 0 for row in columns]
    assert rows.starts.tolist() == [row[0] if row else 0 for row in columns]
    assert rows.has_holes == any(row and row[-1] - row[0] + 1 != len(row) for row in columns)
    assert rows.padded_length == mask.shape[1]
    assert rows.came_padded
    assert rows.padded_index.tolist() == flat([[i * mask.shape[1] + t for t in row] for i, row in enumerate(columns)])
    np.testing.assert_array_equal(rows.mask, mask)


@given(masks())
def test_uniform_means_that_reshaping_is_enough(mask: Mask) -> None:
    assert RowPartition.from_mask(mask).is_uniform == bool(mask.all())


@given(lengths())
def test_uniform_without_padding(given_lengths: list[int]) -> None:
    expected = all(n == max(given_lengths) for n in given_lengths)
    assert RowPartition.from_lengths(given_lengths).is_uniform == expected


@given(masks())
def test_tables_of_steps(mask: Mask) -> None:
    rows = RowPartition.from_mask(mask)
    steps = steps_of(rows)
    n = rows.nvals
    longest = max((len(row) for row in steps), default=0)
    assert rows.unpad_index.tolist() == [row + [n] * (longest - len(row)) for row in steps]
    assert rows.first_index.tolist() == [row[0] if row else n for row in steps]
    assert rows.last_index.tolist() == [row[-1] if row else n for row in steps]
    assert rows.reverse_index.tolist() == flat([row[::-1] for row in steps])


@given(lengths(most=7))
def test_time_major_order(given_lengths: list[int]) -> None:
    rows = RowPartition.from_lengths(given_lengths)
    steps = steps_of(rows)
    order = sorted(range(len(steps)), key=lambda row: (-len(steps[row]), row))
    assert rows.rows_by_length.tolist() == order
    assert [order[at] for at in rows.rows_by_length_inverse.tolist()] == list(range(len(steps)))
    slots = [[steps[row][t] for row in order if t < len(steps[row])] for t in range(rows.max_row_length)]
    backwards = [[steps[row][::-1][t] for row in order if t < len(steps[row])] for t in range(rows.max_row_length)]
    assert rows.batch_sizes.tolist() == [len(slot) for slot in slots]
    assert rows.time_major.tolist() == flat(slots)
    assert rows.time_major_reverse.tolist() == flat(backwards)
    everything = np.arange(rows.nvals)
    np.testing.assert_array_equal(rows.time_major[rows.time_major_inverse], everything)
    np.testing.assert_array_equal(rows.time_major_reverse[rows.time_major_reverse_inverse], everything)


@given(lengths(most=7))
def test_rectangles_tile_time_major_order(given_lengths: list[int]) -> None:
    rows = RowPartition.from_lengths(given_lengths)
    sizes: list[int] = []
    first = 0
    for block in rows.rectangles:
        assert block.first == first
        assert block.steps > 0
        assert block.live > 0
        sizes += [block.live] * block.steps
        first += block.steps * block.live
    assert sizes == rows.batch_sizes.tolist()
    lives = [block.live for block in rows.rectangles]
    assert lives == sorted(set(lives), reverse=True), "two blocks of the same height should be one"
    assert first == rows.nvals


# ---- other partitions from this one


@given(masks(), seeds())
def test_take(mask: Mask, seed: int) -> None:
    rows = RowPartition.from_mask(mask)
    numbers = np.random.default_rng(seed)
    chosen = (
        numbers.integers(0, rows.nrows, numbers.integers(0, 2 * rows.nrows + 1))
        if rows.nrows
        else np.zeros(0, np.int64)
    )
    taken, index = rows.take(chosen)
    steps = steps_of(rows)
    assert index.tolist() == flat([steps[row] for row in chosen])
    np.testing.assert_array_equal(taken.mask, mask[chosen])


@given(lengths())
def test_take_rows_that_never_were_padded(given_lengths: list[int]) -> None:
    rows = RowPartition.from_lengths(given_lengths)
    taken, _ = rows.take(np.arange(rows.nrows)[::-1])
    assert taken.row_lengths.tolist() == given_lengths[::-1]
    assert not taken.came_padded


@given(masks(), seeds())
def test_select(mask: Mask, seed: int) -> None:
    rows = RowPartition.from_mask(mask)
    keep = np.random.default_rng(seed).random(rows.nvals) < 0.6
    kept, index = rows.select(keep)
    assert index.tolist() == [step for step in range(rows.nvals) if keep[step]]
    narrower = mask.copy()
    narrower[mask] = keep
    assert kept.positions.tolist() == flat(places_of(narrower))
    assert kept.row_lengths.tolist() == narrower.sum(axis=1).tolist()
    np.testing.assert_array_equal(kept.mask, narrower)


@given(lengths(), seeds())
def test_select_from_rows_that_never_were_padded(given_lengths: list[int], seed: int) -> None:
    rows = RowPartition.from_lengths(given_lengths)
    keep = np.random.default_rng(seed).random(rows.nvals) < 0.6
    kept, _ = rows.select(keep)
    expected = [[place for place, step in enumerate(row) if keep[step]] for row in steps_of(rows)]
    assert kept.row_lengths.tolist() == [len(row) for row in expected]
    assert kept.positions.tolist() == flat([[place - row[0] for place in row] for row in expected])
    assert not kept.came_padded


def test_select_everything_is_the_same_object() -> None:
    rows = RowPartition.from_lengths([2, 0, 1])
    assert rows.select([True, True, True])[0] is rows


@given(masks())
def test_same_steps(mask: Mask) -> None:
    rows = RowPartition.from_mask(mask)
    padded_more = RowPartition.from_mask(np.pad(mask, ((0, 0), (3, 2))))
    assert rows.same_steps(rows)
    assert rows.same_steps(padded_more), "where a row stands in a padded array does not matter"
    assert not rows.same_steps(RowPartition.from_mask(np.pad(mask, ((0, 1), (0, 0)))))
    for row in np.nonzero(mask.any(axis=1))[0][:2]:
        other = mask.copy()
        other[row, mask[row].argmax()] = False
        assert not rows.same_steps(RowPartition.from_mask(other))


def test_same_lengths_with_holes_at_other_places_differ() -> None:
    one = RowPartition.from_mask(np.array([[True, True, False, True]]))
    other = RowPartition.from_mask(np.array([[True, False, True, True]]))
    assert not one.same_steps(other)
    with pytest.raises(DataError, match="row 0 has its masked steps at other places"):
        require_same_steps("Add", one, other)


def test_error_names_both_partitions_and_the_first_row_that_differs() -> None:
    one, other = RowPartition.from_lengths([2, 3, 1]), RowPartition.from_lengths([2, 2, 2])
    with pytest.raises(
        DataError, match=r"lengths \[2, 3, 1\].*lengths \[2, 2, 2\].*row 1 has 3 steps on one side and 2"
    ):
        require_same_steps("Add", one, other)
    with pytest.raises(DataError, match="3 rows against 1"):
        require_same_steps("Add", one, RowPartition.from_lengths([6]))


# ---- immutable, cached, pickled, printed


@given(masks())
def test_pickle(mask: Mask) -> None:
    rows = RowPartition.from_mask(mask)
    _ = rows.value_rowids
    rows.moved(("device", "name"), object)
    again = pickle.loads(pickle.dumps(rows))
    assert again.same_steps(rows)
    np.testing.assert_array_equal(again.mask, mask)
    assert again.came_padded
    assert ("device", "name") not in again._moved, "arrays on a device do not travel"


def test_splits_cannot_be_changed() -> None:
    given_splits = np.array([0, 2, 5])
    rows = RowPartition(given_splits)
    with pytest.raises(ValueError, match="read-only"):
        rows.row_splits[0] = 1
    given_splits[1] = 4
    assert rows.row_lengths.tolist() == [2, 3]


def test_moved_makes_once() -> None:
    rows = RowPartition([0, 1])
    made = [rows.moved("key", object) for _ in range(2)]
    assert made[0] is made[1]


def test_repr() -> None:
    assert repr(RowPartition([0, 2, 2, 5])) == "RowPartition(3 rows, 5 steps, lengths [2, 0, 3])"
    assert repr(RowPartition([0])) == "RowPartition(0 rows, 0 steps, lengths [])"
    assert "holes" in repr(RowPartition([0, 2], positions=[0, 2]))
    assert len(repr(RowPartition.from_lengths(range(1000)))) < 120


# ---- nothing at all


def test_no_rows() -> None:
    for rows in (RowPartition([0]), RowPartition.from_lengths([]), RowPartition.from_mask(np.zeros((0, 7), bool))):
        assert (rows.nrows, rows.nvals, rows.max_row_length) == (0, 0, 0)
        assert rows.time_major.shape == rows.batch_sizes.shape == rows.padded_index.shape == (0,)
        assert rows.unpad_index.shape == (0, 0)
        assert rows.mask.shape == (0, rows.padded_length)
        assert rows.rectangles == ()
        assert rows.taps(Window(3)).shape == (0, 3)
        assert rows.take([])[0].nrows == 0


def test_only_empty_rows() -> None:
    for rows in (
        RowPartition([0, 0, 0]),
        RowPartition.from_mask(np.zeros((2, 3), bool)),
        RowPartition.from_mask(np.zeros((2, 0), bool)),
    ):
        assert rows.row_lengths.tolist() == rows.extents.tolist() == [0, 0]
        assert rows.first_index.tolist() == rows.last_index.tolist() == [0, 0]
        assert rows.batch_sizes.tolist() == []
        assert rows.mask.shape == (2, rows.padded_length)
        assert not rows.mask.any()
        for padding in ("valid", "same", "causal"):
            assert rows.derived(Window(2, padding=padding)).row_lengths.tolist() == [0, 0]


# ---- what is wrong


@pytest.mark.parametrize("splits", [[1, 2], [0, 3, 2], [0, -1]])
def test_splits_that_are_none(splits: list[int]) -> None:
    with pytest.raises(ShapeError, match=r"begin at 0 and never decrease[^$]*Fix: RowPartition.from_lengths"):
        RowPartition(splits)


@pytest.mark.parametrize("splits", [[], [[0, 1]], [0.0, 1.0], 3])
def test_splits_of_the_wrong_kind(splits: object) -> None:
    with pytest.raises(ShapeError, match=r"one entry more than there are rows[^$]*Got: shape"):
        RowPartition(splits)  # type: ignore[arg-type]


def test_negative_length() -> None:
    with pytest.raises(ShapeError):
        RowPartition.from_lengths([2, -1])


def test_lengths_that_are_no_whole_numbers() -> None:
    with pytest.raises(ShapeError):
        RowPartition.from_lengths([1.5, 2.0])


@pytest.mark.parametrize("positions", [[1, 2, 0], [0, 0, 0], [0, 2, 1]])
def test_positions_that_do_not_fit(positions: list[int]) -> None:
    with pytest.raises(ShapeError, match="begin at 0 in every row and increase"):
        RowPartition([0, 2, 3], positions=positions)


def test_positions_of_another_count() -> None:
    with pytest.raises(ShapeError, match="one place for each of 3 steps"):
        RowPartition([0, 2, 3], positions=[0, 1])


@pytest.mark.parametrize("mask", [np.ones((2, 3)), np.ones(3, bool), np.ones((2, 3, 1), bool)])
def test_masks_that_are_none(mask: npt.NDArray[np.generic]) -> None:
    with pytest.raises(ShapeError, match=r"a bool array \(B, T\) that is True where the step is real"):
        RowPartition.from_mask(mask)


@pytest.mark.parametrize("keep", [[True], [1, 0, 1], [[True, True, True]]])
def test_select_with_another_count(keep: list[int]) -> None:
    with pytest.raises(MaskError, match="one bool for each of 3 steps"):
        RowPartition([0, 3]).select(keep)


def test_row_that_is_not_there() -> None:
    with pytest.raises(IndexError):
        RowPartition([0, 3]).take([1])
