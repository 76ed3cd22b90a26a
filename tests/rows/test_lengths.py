"""Rows of another length: windows, slices, padding, repeating, transposed convolutions, parts, rows behind rows."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from padless import RowPartition, backends
from padless.lengths import Behind, Derivation, Extend, Repeat, Room, Slice, Split, Transposed, Uniform, Window
from tests.conftest import BACKENDS
from tests.strategies import lengths, masks, paddings

Mask = npt.NDArray[np.bool_]
Places = list[int | None]
"""The steps of one row from its first to its last live place; None for a hole."""


def places_of(mask: Mask) -> list[list[int]]:
    """For each row, the places of live steps, counted from the first of them."""
    return [(np.nonzero(row)[0] - np.nonzero(row)[0][:1]).tolist() for row in mask]


def steps_of(mask: Mask) -> list[Places]:
    """For each row, the number of the step at each place; None in a hole."""
    found, first = [], 0
    for places in places_of(mask):
        at = {place: first + rank for rank, place in enumerate(places)}
        found.append([at.get(place) for place in range(max(at, default=-1) + 1)])
        first += len(places)
    return found


def trimmed(row: list[Any]) -> list[Any]:
    """From the first to the last live step."""
    live = [at for at, step in enumerate(row) if step is not None]
    return row[live[0] : live[-1] + 1] if live else []


def assert_rows(made: RowPartition, taps: Any, wanted: list[list[Any]], what: str = "") -> None:
    """Rows hold the steps that are wanted, at their places."""
    wanted = [trimmed(row) for row in wanted]
    assert taps[:, 0].tolist() == [step for row in wanted for step in row if step is not None], what
    assert made.row_lengths.tolist() == [sum(step is not None for step in row) for row in wanted]
    assert made.positions.tolist() == [at for row in wanted for at, step in enumerate(row) if step is not None]


# ---- windows


def brute_windows(
    places: list[int], first_step: int, nothing: int, size: int, stride: int, dilation: int, padding: str
) -> tuple[list[list[int]], list[int], list[int]]:
    """Taps, taps within the row, and place of each window of one row whose live steps stand at `places`."""
    extent = places[-1] + 1 if places else 0
    step_at = {place: first_step + rank for rank, place in enumerate(places)}
    span = (size - 1) * dilation + 1
    count = max((extent - span) // stride + 1, 0) if padding == "valid" else -(-extent // stride)
    before = {"valid": 0, "causal": span - 1, "same": max((count - 1) * stride + span - extent, 0) // 2}[padding]
    index, inside, at = [], [], []
    for window in range(count):
        if stride == 1 and padding != "valid" and window not in step_at:
            continue  # the window of a hole: nobody asks for it
        taps = [window * stride + tap * dilation - before for tap in range(size)]
        index.append([step_at.get(tap, nothing) for tap in taps])
        inside.append(sum(0 <= tap < extent for tap in taps))
        at.append(window)
    return index, inside, at


@given(masks(), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.sampled_from(["valid", "same", "causal"]))
def test_windows(mask: Mask, size: int, stride: int, dilation: int, padding: str) -> None:
    rows = RowPartition.from_mask(mask)
    window = Window(size, stride, dilation, padding)
    made = rows.derived(window)
    index: list[list[int]] = []
    inside: list[int] = []
    places: list[int] = []
    counts: list[int] = []
    for row, row_places in enumerate(places_of(mask)):
        found = brute_windows(row_places, int(rows.row_splits[row]), rows.nvals, size, stride, dilation, padding)
        index += found[0]
        inside += found[1]
        places += found[2]
        counts.append(len(found[2]))
    assert rows.taps(window).shape == (sum(counts), size)
    assert rows.taps(window).tolist() == index
    assert rows.taps_inside(window).tolist() == inside
    assert made.row_lengths.tolist() == counts
    assert made.positions.tolist() == places
    if stride == 1 and padding != "valid":
        assert made is rows
    assert rows.derived(Window(size, stride, dilation, padding)) is made, "partitions are made once"


@given(masks(), st.integers(1, 5), st.integers(1, 3), st.sampled_from(["valid", "same", "causal"]))
def test_windows_ignore_padding(mask: Mask, size: int, stride: int, padding: str) -> None:
    padded = RowPartition.from_mask(mask)
    plain = RowPartition(padded.row_splits, positions=padded.positions)
    window = Window(size, stride, 1, padding)
    np.testing.assert_array_equal(padded.taps(window), plain.taps(window))
    np.testing.assert_array_equal(padded.taps_inside(window), plain.taps_inside(window))
    assert padded.derived(window).same_steps(plain.derived(window))


# ---- slices, padding, repeating: holes stay holes

ends = st.one_of(st.none(), st.integers(-6, 6))


@given(masks(longest=6), ends, ends, st.integers(1, 3))
def test_slices_are_those_of_lists(mask: Mask, start: int | None, stop: int | None, stride: int) -> None:
    rows, how = RowPartition.from_mask(mask), Slice(start or 0, stop, stride)
    wanted = [row[start:stop:stride] for row in steps_of(mask)]
    assert_rows(rows.derived(how), rows.taps(how), wanted)


@given(masks(), st.integers(0, 3), st.integers(0, 3))
def test_padding_goes_to_the_ends_of_rows(mask: Mask, before: int, after: int) -> None:
    rows, how = RowPartition.from_mask(mask), Extend(before, after)
    nothing = rows.nvals
    wanted = [[nothing] * before + row + [nothing] * after for row in steps_of(mask)]
    assert_rows(rows.derived(how), rows.taps(how), wanted)


@given(masks(), st.integers(1, 3))
def test_repeating(mask: Mask, times: int) -> None:
    rows, how = RowPartition.from_mask(mask), Repeat(times)
    wanted = [[step for step in row for _ in range(times)] for row in steps_of(mask)]
    assert_rows(rows.derived(how), rows.taps(how), wanted)


# ---- rows behind rows, parts of rows, rows of one length


@given(masks(), masks(), masks())
def test_rows_behind_rows(one: Mask, two: Mask, three: Mask) -> None:
    count = min(len(one), len(two), len(three))
    parts = [RowPartition.from_mask(mask[:count]) for mask in (one, two, three)]
    before, wanted = 0, [[] for _ in range(count)]  # type: ignore[var-annotated]
    for mask, rows in zip((one, two, three), parts, strict=True):
        for row, steps in zip(wanted, steps_of(mask[:count]), strict=True):
            row.extend(None if step is None else before + step for step in steps)
        before += rows.nvals
    made, taps = parts[0].derived(Behind(), *parts[1:]), parts[0].taps(Behind(), *parts[1:])
    assert_rows(made, taps, wanted)
    assert made.padded_length == sum(rows.padded_length for rows in parts)
    assert (made.starts + made.extents <= made.padded_length).all()
    assert parts[0].derived(Behind(), *parts[1:]) is made, "partitions are made once"


@given(masks(), st.integers(1, 5))
def test_parts_of_rows(mask: Mask, parts: int) -> None:
    rows, how = RowPartition.from_mask(mask), Split(parts)
    wanted: list[list[int]] = []
    for row in steps_of(mask):
        steps = [step for step in row if step is not None]
        n = len(steps)
        wanted += [steps[i * n // parts : -(-(i + 1) * n // parts)] for i in range(parts)]
    made = rows.derived(how)
    assert made.row_lengths.tolist() == [len(part) for part in wanted]
    assert rows.taps(how)[:, 0].tolist() == [step for part in wanted for step in part]


def test_rows_of_one_length_beside_others() -> None:
    assert RowPartition.from_lengths([3, 0]).derived(Uniform(2)).row_splits.tolist() == [0, 2, 4]


# ---- transposed convolutions


@given(masks(longest=6), st.integers(1, 5), st.integers(1, 3), st.integers(1, 2), st.data())
def test_what_falls_on_a_place(mask: Mask, size: int, stride: int, dilation: int, data: Any) -> None:
    more = data.draw(st.one_of(st.none(), st.integers(0, stride - 1)))
    padding = data.draw(st.sampled_from(["valid", "same"]))
    how = Transposed(size, stride, 1 if stride > 1 else dilation, padding, more)
    rows = RowPartition.from_mask(mask)
    made, steps, kernel = rows.derived(how), rows.taps(how), rows.taps_kernel(how)
    assert not made.has_holes
    for row, places in enumerate(steps_of(mask)):
        got = [
            sorted((int(s), int(k)) for s, k in zip(steps[at], kernel[at], strict=True) if s < rows.nvals)
            for at in range(made.row_splits[row], made.row_splits[row + 1])
        ]
        found: dict[int, list[tuple[int, int]]] = {}
        for i, step in enumerate(places):
            for k in range(size):
                if step is not None:
                    found.setdefault(i * stride + k * how.dilation - how.cut, []).append((step, k))
        assert got == [sorted(found.get(at, [])) for at in range(len(got))]


# ---- all of them

KINDS: list[Derivation] = [
    *(Window(size, stride, 1, padding) for size in (1, 3) for stride in (1, 2, 4) for padding in ("valid", "same")),
    Window(2, 1, 2, "causal"),
    *(Slice(1), Slice(0, -1), Slice(2, -2), Slice(0, 3), Slice(-2), Slice(-3, -1), Slice(-1, 2), Slice(0, None, 3)),
    *(Slice(1, 0), Slice(-1, 0), Slice(0, 0)),
    *(Extend(0, 2), Extend(3, 1), Repeat(1), Repeat(3)),
    *(
        Transposed(size, stride, 1, padding)
        for size in (1, 2, 3, 5)
        for stride in (1, 3)
        for padding in ("valid", "same")
    ),
    *(Transposed(3, 2, 1, padding, 0) for padding in ("valid", "same")),
    *(Split(1), Split(4), Uniform(3)),
]
every_kind = pytest.mark.parametrize("how", KINDS, ids=str)


@every_kind
@given(rows=masks())
def test_there_is_room_for_all_steps(how: Derivation, rows: Mask) -> None:
    real = RowPartition.from_mask(rows)
    made, room = real.derived(how), how.room(Room(real.nrows, real.nvals, real.places))
    assert made.nrows == room.nrows
    assert made.nvals <= room.nvals or how.keeps
    assert made.places <= room.places
    assert made.nvals + room.places - room.nvals >= made.places or how.keeps


@pytest.mark.parametrize("how", [how for how in KINDS if not isinstance(how, Split | Uniform)], ids=str)
@given(given_lengths=lengths(), padding=paddings())
def test_rows_stay_where_they_were(how: Derivation, given_lengths: list[int], padding: Any) -> None:
    rows = RowPartition.from_mask(padding.mask(given_lengths))
    made = rows.derived(how)
    count: Callable[[int], int] = lambda n: int(how.count(np.array([n]))[0])  # noqa: E731
    assert made.row_lengths.tolist() == [count(n) for n in given_lengths]
    assert not made.has_holes
    assert made.padded_length == max(count(rows.padded_length), made.max_row_length)
    assert (made.starts >= 0).all()
    assert (made.starts + made.row_lengths <= made.padded_length).all()
    for row, (start, extent) in enumerate(zip(rows.starts.tolist(), rows.extents.tolist(), strict=True)):
        if start + extent == rows.padded_length:  # padding on the left stays on the left
            assert made.starts[row] + made.row_lengths[row] == made.padded_length
        elif start == 0:
            assert made.starts[row] == 0
        elif made.starts[row] + made.row_lengths[row] < made.padded_length:  # in the middle, in proportion
            assert made.starts[row] == how.column(np.array(start))
    plain = RowPartition.from_lengths(given_lengths).derived(how)
    assert plain.same_steps(made)
    assert not plain.came_padded


@every_kind
@given(mask=masks())
def test_filled_rows_say_of_real_rows_what_these_say(how: Derivation, mask: Mask) -> None:
    pytest.importorskip("jax")
    from padless.backends.jax.filled import FilledRows

    real = RowPartition.from_mask(mask)
    filled = FilledRows.of(real, real.nrows + 3)
    made, other = real.derived(how), filled.derived(how)
    if how.keeps:
        assert other is filled
        return
    count = made.nvals
    np.testing.assert_array_equal(other.value_rowids[:count], made.value_rowids)
    np.testing.assert_array_equal(other.positions[:count], made.positions)
    if isinstance(how, Uniform):
        return
    one, two = real._taps(how), filled._taps(how)
    assert len(two.steps) == other.nvals
    np.testing.assert_array_equal(np.where(one.steps == real.nvals, filled.nvals, one.steps), two.steps[:count])
    np.testing.assert_array_equal(one.kernel, two.kernel[:count])
    np.testing.assert_array_equal(one.inside, two.inside[:count])


@given(masks(), masks())
def test_filled_rows_behind_rows(one: Mask, two: Mask) -> None:
    pytest.importorskip("jax")
    from padless.backends.jax.filled import FilledRows

    count = min(len(one), len(two))
    parts = [RowPartition.from_mask(mask[:count]) for mask in (one, two)]
    filled = [FilledRows.of(rows, count + 2) for rows in parts]
    made, other = parts[0].derived(Behind(), parts[1]), filled[0].derived(Behind(), filled[1])
    np.testing.assert_array_equal(other.positions[: made.nvals], made.positions)
    steps = np.concatenate([np.arange(parts[0].nvals), np.arange(parts[1].nvals) + filled[0].nvals])
    wanted = steps[parts[0].taps(Behind(), parts[1])]
    np.testing.assert_array_equal(filled[0].taps(Behind(), filled[1])[: made.nvals], wanted)


@pytest.mark.parametrize("name", BACKENDS)
def test_rows_behind_rows_do_not_outlive_their_batch(name: str) -> None:
    backend = backends.get(name)
    first = RowPartition([0, 2, 3])
    second = first.derived(Window(2, 2, padding="same"))
    for rows, others in ((first, [second]), (second, [first]), (first, [first, second])):
        made = rows.derived(Behind(), *others)
        assert rows.derived(Behind(), *others) is made
        taps = backend.index(rows, "taps", Behind(), *others)
        assert backend.index(rows, "taps", Behind(), *others) is taps
    gc.collect()
    gc.disable()
    try:
        gone = [weakref.ref(rows) for rows in (first, second, made)]
        del first, second, made, rows, others
        assert [one() for one in gone] == [None, None, None]
    finally:
        gc.enable()
