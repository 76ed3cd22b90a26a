"""Rectangles with little padding, for tools that need rectangles: several rows in one, or rows of like lengths."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from padless.errors import ArgumentError, DataError, explain
from padless.ragged import Ragged
from padless.text.padding import Side, pad_sequences

Int = NDArray[np.int64]


class Packs(NamedTuple):
    """Rows laid end to end in packs of one length.

    Attributes:
        values: (P, max_length, ...), `value` behind the last row of a pack.
        segment_ids: (P, max_length) int32: 1 for the first row of a pack, 2 for the second, ...; 0 where there is none.
        positions: (P, max_length) int32: place of each step in its row.
        pack: (B,) in which pack each row stands.
        start: (B,) at which step of it each row begins.
    """

    values: NDArray[Any]
    segment_ids: NDArray[np.int32]
    positions: NDArray[np.int32]
    pack: Int
    start: Int

    @property
    def fill(self) -> float:
        """Share of the steps that is not padding."""
        return float((self.segment_ids > 0).mean()) if self.segment_ids.size else 1.0


def pack_sequences(
    sequences: Collection[Any] | Ragged, max_length: int, dtype: DTypeLike | None = None, value: Any = 0
) -> Packs:
    """Lay several rows end to end in packs of `max_length` steps, first fit decreasing, for tools that want rectangles.

    padless needs none of this: rows go into a model as they are. A model elsewhere must keep the rows of a pack apart,
    by `segment_ids` in its attention; convolutions and recurrent layers there run from one row into the next.

    Args:
        sequences: B rows, each (length, ...); or a Ragged.
        max_length: steps of a pack.
        dtype: of the values; None keeps that of the rows.
        value: what stands where no row does.

    Returns:
        Packs: values, segment ids, positions, and where each row went. Rows without steps take no room.

    Raises:
        ArgumentError: when max_length is not a whole number above 0.
        DataError: when a row is longer.

    Example:
        >>> packs = pack_sequences([[1, 1], [2, 2, 2], [3]], max_length=4)
        >>> packs.values.tolist(), packs.segment_ids.tolist(), packs.pack.tolist()
        ([[2, 2, 2, 3], [1, 1, 0, 0]], [[1, 1, 1, 2], [1, 1, 0, 0]], [1, 0, 0])

    Source: first fit decreasing, Johnson 1973; packing of texts with segment ids, Krell et al. 2021.
    """
    where = "pack_sequences"
    if isinstance(max_length, bool) or not isinstance(max_length, int | np.integer) or max_length < 1:
        raise ArgumentError(
            explain(
                where, expected="max_length as a whole number from 1 on", got=repr(max_length), fix="max_length=8192"
            )
        )
    rows = _rows(sequences)
    lengths = np.array([len(row) for row in rows], np.int64)
    if len(rows) and lengths.max() > max_length:
        longest = int(lengths.argmax())
        raise DataError(
            explain(
                where,
                expected=f"rows of at most max_length={max_length} steps",
                got=f"row {longest} with {lengths[longest]}",
                fix=f"max_length={lengths[longest]} or more, or [row[:{max_length}] for row in sequences]",
            )
        )
    pack = _first_fit_decreasing(lengths, int(max_length))
    count = int(pack.max()) + 1 if len(rows) else 0
    values, kind = _filled(rows, lengths, (count, int(max_length)), dtype, value)
    segment_ids = np.zeros((count, int(max_length)), np.int32)
    positions = np.zeros_like(segment_ids)
    start = np.zeros(len(rows), np.int64)
    used, held = np.zeros(count, np.int64), np.zeros(count, np.int32)
    # Longest first, as they were dealt; of equally long ones the first row first.
    for row in np.argsort(-lengths, kind="stable"):
        at, length = pack[row], int(lengths[row])
        start[row] = used[at]
        if not length:
            continue
        held[at] += 1
        place = slice(int(used[at]), int(used[at]) + length)
        values[at, place] = np.asarray(rows[row], kind)
        segment_ids[at, place] = held[at]
        positions[at, place] = np.arange(length)
        used[at] += length
    return Packs(values, segment_ids, positions, pack, start)


def _rows(sequences: Collection[Any] | Ragged) -> list[Any]:
    if not isinstance(sequences, Ragged):
        return list(sequences)
    values, splits = sequences.numpy().values, sequences.rows.row_splits.tolist()
    return [values[first:last] for first, last in pairwise(splits)]


def _filled(
    rows: list[Any], lengths: Int, shape: tuple[int, int], dtype: DTypeLike | None, value: Any
) -> tuple[NDArray[Any], np.dtype[Any]]:
    """An array of padding for rows of this kind, and their dtype."""
    sample = [np.asarray(row) for row, length in zip(rows, lengths, strict=True) if length]
    steps = {row.shape[1:] for row in sample}
    if len(steps) > 1:
        raise DataError(
            explain(
                "pack_sequences",
                expected="steps of one shape in all rows",
                got=str(sorted(steps)),
                fix="equal features",
            )
        )
    kind = (
        np.dtype(dtype) if dtype is not None else np.result_type(*{row.dtype for row in sample} or {np.dtype("int32")})
    )
    return np.full((*shape, *(steps.pop() if steps else ())), value, kind), kind


def _first_fit_decreasing(lengths: Int, room: int) -> Int:
    """The pack of each row: longest first, each into the first pack that has room.

    Equally long rows are dealt at once: the first pack with room takes as many of them as fit, then the next.
    """
    order = np.argsort(-lengths, kind="stable")
    pack = np.zeros(len(lengths), np.int64)
    free = np.zeros(0, np.int64)
    sizes, counts = np.unique(lengths[lengths > 0], return_counts=True)
    done = 0
    for size, count in zip(sizes[::-1].tolist(), counts[::-1].tolist(), strict=True):
        fits = free // size
        upto = np.minimum(np.cumsum(fits), count)
        taken = np.diff(upto, prepend=0)
        left = count - (int(upto[-1]) if len(upto) else 0)
        each = room // size
        new = np.full(-(-left // each), each)
        if left % each:
            new[-1] = left % each
        taken = np.concatenate([taken, new])
        free = np.concatenate([free, np.full(len(new), room)]) - taken * size
        pack[order[done : done + count]] = np.repeat(np.arange(len(taken)), taken)
        done += count
    return pack


class Bucket(NamedTuple):
    """Rows of like lengths as one padded array.

    Attributes:
        values: (b, T, ...), T the longest row of the bucket.
        mask: (b, T) True where the step is real.
        rows: (b,) which rows these are.
    """

    values: NDArray[Any]
    mask: NDArray[np.bool_]
    rows: Int


def bucket_by_length(
    sequences: Collection[Any] | Ragged,
    boundaries: Sequence[int] | None = None,
    buckets: int = 8,
    dtype: DTypeLike = "int32",
    padding: Side = "post",
    value: Any = 0,
) -> list[Bucket]:
    """Sort rows into a few padded arrays of like lengths, for tools that want rectangles.

    Args:
        sequences: B rows, each (length, ...); or a Ragged.
        boundaries: longest row of each bucket but the last, ascending; None chooses those with the least padding.
        buckets: how many to choose, at most.
        dtype: of the arrays.
        padding: "post" fills behind a row, "pre" in front of it.
        value: what padding is filled with.

    Returns:
        Buckets with at least one row, shortest rows first.

    Raises:
        ArgumentError: for boundaries that do not ascend, or no buckets.

    Example:
        >>> for bucket in bucket_by_length([[1], [2, 2, 2], [3], [4, 4]], buckets=2):
        ...     print(bucket.values.tolist(), bucket.rows.tolist())
        [[1], [3]] [0, 2]
        [[2, 2, 2], [4, 4, 0]] [1, 3]
    """
    where = "bucket_by_length"
    rows = _rows(sequences)
    lengths = np.array([len(row) for row in rows], np.int64)
    if boundaries is None:
        if buckets < 1:
            raise ArgumentError(
                explain(where, expected="at least one bucket", got=f"buckets={buckets}", fix="buckets=8")
            )
        bounds = _least_padding(lengths, buckets)
    else:
        bounds = np.asarray(boundaries, np.int64)
        if bounds.ndim != 1 or (np.diff(bounds) <= 0).any():
            raise ArgumentError(
                explain(
                    where, expected="boundaries that ascend", got=str(list(boundaries)), fix="boundaries=[64, 128, 256]"
                )
            )
    which = np.searchsorted(bounds, lengths)
    made = []
    for number in np.unique(which):
        chosen = np.nonzero(which == number)[0]
        values = pad_sequences([rows[i] for i in chosen], dtype=dtype, padding=padding, value=value)
        places = np.arange(values.shape[1])
        behind = places < lengths[chosen][:, None]
        made.append(Bucket(values, behind if padding == "post" else behind[:, ::-1], chosen))
    return made


def _least_padding(lengths: Int, buckets: int) -> Int:
    """Upper bounds of all buckets but the last for least padding: dynamic programming over the lengths."""
    sizes, counts = np.unique(lengths, return_counts=True)
    if len(sizes) <= buckets:
        return sizes[:-1]
    rows_before = np.concatenate([[0], np.cumsum(counts)])
    # cost[j]: steps, padded, of the rows with the first j lengths in buckets so far.
    cost = sizes * rows_before[1:]
    cost = np.concatenate([[0], cost]).astype(np.float64)
    choice: list[Int] = []
    for _ in range(buckets - 1):
        # The last bucket of the first j lengths begins after the first i of them.
        total = cost[:-1, None] + sizes[None, :] * (rows_before[1:][None, :] - rows_before[:-1][:, None])
        total[np.arange(len(sizes))[:, None] > np.arange(len(sizes))[None, :]] = np.inf
        choice.append(total.argmin(axis=0))
        cost = np.concatenate([[0], total.min(axis=0)])
    bounds, j = [], len(sizes)
    for best in reversed(choice):
        i = int(best[j - 1])
        if i == 0:
            break
        bounds.append(int(sizes[i - 1]))
        j = i
    return np.array(bounds[::-1], np.int64)
