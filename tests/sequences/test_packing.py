"""Packs and buckets: every step is there once, where it says."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless.data import bucket_by_length, pack_sequences
from padless.errors import ArgumentError, DataError, ShapeError
from padless.text import pad_sequences, unpad_sequences

LENGTHS = st.lists(st.integers(0, 12), max_size=30)


def rows_of(lengths: list[int], features: tuple[int, ...] = ()) -> list[np.ndarray]:
    return [np.full((n, *features), i + 1, np.int32) for i, n in enumerate(lengths)]


def first_fit_decreasing(lengths: list[int], room: int) -> list[int]:
    """One row at a time."""
    packs: list[int] = []
    where = [0] * len(lengths)
    for row in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not lengths[row]:
            continue
        at = next((at for at, used in enumerate(packs) if used + lengths[row] <= room), len(packs))
        packs += [0] * (at == len(packs))
        packs[at] += lengths[row]
        where[row] = at
    return where


@given(lengths=LENGTHS, room=st.integers(12, 30), features=st.sampled_from([(), (2,)]))
def test_packs_hold_every_row_where_they_say(lengths: list[int], room: int, features: tuple[int, ...]) -> None:
    rows = rows_of(lengths, features)
    packs = pack_sequences(rows, room)
    assert packs.pack.tolist() == first_fit_decreasing(lengths, room)
    for row, at, start in zip(rows, packs.pack, packs.start, strict=True):
        place = (at, slice(start, start + len(row)))
        if not len(row):
            continue
        np.testing.assert_array_equal(packs.values[place], row)
        np.testing.assert_array_equal(packs.positions[place], np.arange(len(row)))
        assert len(set(packs.segment_ids[place].tolist())) == 1
    assert (packs.segment_ids > 0).sum() == sum(lengths)
    assert packs.fill == (sum(lengths) / packs.segment_ids.size if packs.segment_ids.size else 1.0)
    for segments in packs.segment_ids:
        live = segments[segments > 0]
        assert (segments[len(live) :] == 0).all()
        assert (np.diff(live) >= 0).all()


def test_packs_of_a_ragged_and_of_other_padding() -> None:
    x = padless.Ragged.from_list([[1.5], [2.5, 3.5]])
    packs = pack_sequences(x, 4, value=-1)
    assert packs.values.tolist() == [[2.5, 3.5, 1.5, -1]]
    assert pack_sequences(x, 2, dtype="float64").values.dtype == np.float64


def test_packs_refuse() -> None:
    with pytest.raises(ArgumentError, match="max_length as a whole number from 1"):
        pack_sequences([[1]], 0)
    with pytest.raises(DataError, match="row 1 with 3"):
        pack_sequences([[1], [1, 2, 3]], 2)
    with pytest.raises(DataError, match="one shape in all rows"):
        pack_sequences([np.ones((1, 2)), np.ones((1, 3))], 4)


@given(lengths=LENGTHS, buckets=st.integers(1, 5), padding=st.sampled_from(["pre", "post"]))
def test_buckets_hold_every_row_once(lengths: list[int], buckets: int, padding: Any) -> None:
    rows = rows_of(lengths)
    made = bucket_by_length(rows, buckets=buckets, padding=padding)
    assert len(made) <= buckets
    seen: list[int] = []
    for values, mask, which in made:
        for padded, live, row in zip(values, mask, which, strict=True):
            np.testing.assert_array_equal(padded[live], rows[row])
        seen += which.tolist()
    assert sorted(seen) == list(range(len(rows)))


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12), buckets=st.integers(1, 3))
def test_the_chosen_buckets_have_the_least_padding(lengths: list[int], buckets: int) -> None:
    def padded(bounds: tuple[int, ...]) -> int:
        total, low = 0, 0
        for bound in (*bounds, max(lengths)):
            some = [n for n in lengths if low < n <= bound]
            total += len(some) * max(some, default=0)
            low = bound
        return total

    best = min(padded(some) for k in range(buckets) for some in combinations(range(1, 10), k))
    assert sum(values.size for values, _, _ in bucket_by_length(rows_of(lengths), buckets=buckets)) == best


def test_buckets_by_boundaries() -> None:
    made = bucket_by_length(rows_of([1, 5, 9, 5]), boundaries=[4, 6])
    assert [bucket.rows.tolist() for bucket in made] == [[0], [1, 3], [2]]
    with pytest.raises(ArgumentError, match="ascend"):
        bucket_by_length([[1]], boundaries=[4, 4])
    with pytest.raises(ArgumentError, match="at least one bucket"):
        bucket_by_length([[1]], buckets=0)


@given(lengths=st.lists(st.integers(0, 6), min_size=1), features=st.sampled_from([(), (2,)]), data=st.data())
def test_unpadding_undoes_padding(lengths: list[int], features: tuple[int, ...], data: Any) -> None:
    rows = rows_of(lengths, features)
    side, value = data.draw(st.sampled_from(["pre", "post"])), data.draw(st.sampled_from([0, -7]))
    padded = pad_sequences(rows, padding=side, value=value)
    if not features and padded.ndim < 2:
        return
    if padded.shape[1:] == (0,) and features:
        return
    for arguments in ({"value": value}, {"lengths": lengths}):
        for row, back in zip(rows, unpad_sequences(padded, padding=side, **arguments), strict=True):
            np.testing.assert_array_equal(back, row)


def test_unpadding_by_a_mask_or_nan_and_what_it_refuses() -> None:
    table = np.array([[1, 2, 3], [4, 5, 6]])
    mask = [[True, False, True], [False, False, False]]
    assert [row.tolist() for row in unpad_sequences(table, mask)] == [[1, 3], []]
    assert unpad_sequences([[1.0, np.nan]], value=float("nan"), padding="post")[0].tolist() == [1.0]
    with pytest.raises(ArgumentError, match="both"):
        unpad_sequences(table, mask, lengths=[1, 1])
    with pytest.raises(ArgumentError, match="not understood"):
        unpad_sequences(table, padding="left")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"shape \(2, 3\)"):
        unpad_sequences(table, [[True]])
    with pytest.raises(ShapeError, match=r"an array \(B, T, ...\)"):
        unpad_sequences([1, 2])
    with pytest.raises(DataError, match="lengths from 0 to 3"):
        unpad_sequences(table, lengths=[1, 4])
