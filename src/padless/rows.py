"""RowPartition: where the rows of a batch begin and end.

Legend of shapes, used in all of padless: N steps of all rows end to end, B rows, T longest row (or padded length),
D features, H heads.
"""

from __future__ import annotations

import contextlib
import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from padless.errors import DataError, MaskError, RowError, ShapeError, explain

if TYPE_CHECKING:
    from padless.lengths import Derivation, Taps

Int = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


class Rectangle(NamedTuple):
    """A run of time steps at which the same number of rows is alive.

    Attributes:
        first: first slot of the run in time-major order.
        steps: number of time steps.
        live: number of rows alive.
    """

    first: int
    steps: int
    live: int


_NOTHING = object()
"""Stands for what has not been made yet."""


def _frozen(array: npt.NDArray[Any]) -> Int:
    fixed: Int = np.array(array, dtype=np.int64)
    fixed.setflags(write=False)
    return fixed


def _concat_ranges(starts: Int, lengths: Int) -> Int:
    """The ranges start..start+length, one after the other, without a loop."""
    total = int(lengths.sum())
    if not total:
        return np.zeros(0, np.int64)
    ends = np.cumsum(lengths)
    ranges: Int = np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - lengths), lengths)
    return ranges


class RowPartition:
    """Where the rows of a batch begin and end: a host object, immutable, shared by every layer.

    Args:
        row_splits: (B+1,) int; row i holds the steps row_splits[i] to row_splits[i+1].
        positions: (N,) place of each step in its row, counted from the row's first live step; only needed when steps
            in the middle of a row are masked (holes). Default: 0, 1, 2, ... in each row.
        starts: (B,) column of each row's first step in the padded array that the rows came from. Default: 0.
        length: T of that padded array. Default: the longest row.

    Raises:
        ShapeError: when the splits do not begin at 0, or decrease, or positions do not fit.

    Example:
        >>> rows = RowPartition([0, 2, 2, 5])
        >>> rows.nrows, rows.nvals, rows.row_lengths.tolist()
        (3, 5, [2, 0, 3])
        >>> rows.value_rowids.tolist()
        [0, 0, 2, 2, 2]

    Source: the vocabulary is that of tf.RaggedTensor (TensorFlow) and of Arrow's list layout.
    """

    def __init__(
        self,
        row_splits: npt.ArrayLike,
        *,
        positions: npt.ArrayLike | None = None,
        starts: npt.ArrayLike | None = None,
        length: int | None = None,
    ) -> None:
        splits = np.asarray(row_splits)
        if splits.ndim != 1 or splits.size < 1 or (splits.size > 1 and splits.dtype.kind not in "iu"):
            raise ShapeError(
                explain(
                    "row_splits",
                    expected="a list of whole numbers with one entry more than there are rows",
                    got=f"shape {splits.shape}, dtype {splits.dtype}",
                    fix="RowPartition([0, 2, 5]) for rows of 2 and 3 steps",
                )
            )
        self.row_splits: Int = _frozen(splits)
        if self.row_splits[0] != 0 or (np.diff(self.row_splits) < 0).any():
            raise ShapeError(
                explain(
                    "row_splits",
                    expected="numbers that begin at 0 and never decrease",
                    got=f"{np.array2string(self.row_splits, threshold=12)}",
                    fix="RowPartition.from_lengths([2, 3]), if you have lengths",
                )
            )
        self._given_positions: Int | None = self._checked_positions(positions)
        self._given_starts: Int | None = None if starts is None else _frozen(np.asarray(starts))
        self._given_length = length
        self._moved: dict[Any, Any] = {}

    def _checked_positions(self, positions: npt.ArrayLike | None) -> Int | None:
        if positions is None:
            return None
        places = _frozen(np.asarray(positions))
        if places.shape != (self.nvals,):
            raise ShapeError(
                explain(
                    "positions",
                    expected=f"one place for each of {self.nvals} steps",
                    got=f"shape {places.shape}",
                    fix="leave positions out when no step is masked",
                )
            )
        if np.array_equal(places, self._plain_positions):
            return None
        step = np.diff(places)
        inner = np.ones(max(self.nvals - 1, 0), bool)
        inner[self.row_splits[1:-1][(self.row_splits[1:-1] > 0) & (self.row_splits[1:-1] < self.nvals)] - 1] = False
        firsts = places[self.row_splits[:-1][self.row_lengths > 0]]
        if (firsts != 0).any() or (step[inner] <= 0).any():
            raise ShapeError(
                explain(
                    "positions",
                    expected="places that begin at 0 in every row and increase",
                    got=f"{np.array2string(places, threshold=12)}",
                    fix="count places from the row's first live step",
                )
            )
        return places

    # ---- makers

    @classmethod
    def from_lengths(cls, lengths: npt.ArrayLike) -> RowPartition:
        """Make a partition from the number of steps of each row.

        Args:
            lengths: (B,) int.

        Returns:
            The partition.

        Raises:
            ShapeError: when a length is negative.

        Example:
            >>> RowPartition.from_lengths([2, 0, 3]).row_splits.tolist()
            [0, 2, 2, 5]
        """
        counts = np.asarray(lengths)
        if counts.ndim != 1 or (counts.size and counts.dtype.kind not in "iu"):
            raise ShapeError(
                explain(
                    "lengths",
                    expected="one whole number per row",
                    got=f"shape {counts.shape}, dtype {counts.dtype}",
                    fix="lengths.astype(int)",
                )
            )
        counts = counts.astype(np.int64)
        return cls(np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]))

    @classmethod
    def uniform(cls, nrows: int, length: int) -> RowPartition:
        """Make a partition of rows that are all equally long.

        Args:
            nrows: B.
            length: T.

        Returns:
            The partition.

        Example:
            >>> RowPartition.uniform(2, 3).row_splits.tolist()
            [0, 3, 6]
        """
        rows = cls(np.arange(nrows + 1, dtype=np.int64) * length, length=length)
        return rows

    @classmethod
    def from_mask(cls, mask: npt.ArrayLike) -> RowPartition:
        """Make a partition of the live steps of a padded array, which remembers where they stood.

        Args:
            mask: (B, T) bool, True where the step is real.

        Returns:
            The partition; its `padded_index` picks the live steps out of the array reshaped to (B*T, ...).

        Raises:
            ShapeError: when the mask is not (B, T).

        Example:
            >>> rows = RowPartition.from_mask([[False, True, False, True], [True, True, False, False]])
            >>> rows.row_lengths.tolist(), rows.positions.tolist(), rows.starts.tolist()
            ([2, 2], [0, 2, 0, 1], [1, 0])
        """
        live = np.asarray(mask)
        if live.ndim != 2 or live.dtype != np.bool_:
            raise ShapeError(
                explain(
                    "mask",
                    expected="a bool array (B, T) that is True where the step is real",
                    got=f"shape {live.shape}, dtype {live.dtype}",
                    fix="mask = ids != 0, or mask.astype(bool)",
                )
            )
        lengths = live.sum(axis=1, dtype=np.int64)
        length = live.shape[1]
        splits = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        if not length:
            return cls(splits, length=0)
        starts = live.argmax(axis=1).astype(np.int64)
        lasts = length - 1 - live[:, ::-1].argmax(axis=1)
        if np.array_equal(np.where(lengths > 0, lasts - starts + 1, 0), lengths):
            return cls(splits, starts=starts, length=length)
        columns = np.nonzero(live)[1]
        return cls(splits, positions=columns - np.repeat(starts, lengths), starts=starts, length=length)

    # ---- what follows from the splits; each is made once

    @property
    def nrows(self) -> int:
        """B, the number of rows."""
        return len(self.row_splits) - 1

    @property
    def live_rows(self) -> int:
        """How many rows, from the first, are real: all, but where rows fill a batch up to a size (backends/jax)."""
        return self.nrows

    @property
    def known(self) -> bool:
        """Whether the lengths of rows can be looked at: always, but inside of a compiled step (backends/jax)."""
        return True

    @cached_property
    def nvals(self) -> int:
        """N, the number of live steps of all rows."""
        return int(self.row_splits[-1])

    @cached_property
    def row_lengths(self) -> Int:
        """(B,) number of live steps of each row."""
        return np.diff(self.row_splits)

    @cached_property
    def row_divisors(self) -> Int:
        """(B,) number of live steps of each row, 1 in the place of 0: what sums are divided by to give means."""
        return np.maximum(self.row_lengths, 1)

    @cached_property
    def max_row_length(self) -> int:
        """Number of live steps of the longest row."""
        return int(self.row_lengths.max(initial=0))

    @cached_property
    def value_rowids(self) -> Int:
        """(N,) row of each step."""
        return np.repeat(np.arange(self.nrows, dtype=np.int64), self.row_lengths)

    @cached_property
    def ranks(self) -> Int:
        """(N,) how many live steps come before each step in its row."""
        return self._plain_positions

    @cached_property
    def _plain_positions(self) -> Int:
        return np.arange(self.nvals, dtype=np.int64) - np.repeat(self.row_splits[:-1], self.row_lengths)

    @property
    def positions(self) -> Int:
        """(N,) place of each step in its row, counted from the row's first live step; holes count."""
        return self._plain_positions if self._given_positions is None else self._given_positions

    @property
    def has_holes(self) -> bool:
        """Whether a step in the middle of some row is masked."""
        return self._given_positions is not None

    @cached_property
    def extents(self) -> Int:
        """(B,) places from the first to the last live step of each row; row_lengths where there are no holes."""
        if self._given_positions is None:
            return self.row_lengths
        extents = np.zeros(self.nrows, np.int64)
        full = self.row_lengths > 0
        extents[full] = self._given_positions[self.row_splits[1:][full] - 1] + 1
        return extents

    @cached_property
    def places(self) -> int:
        """Number of places of all rows, masked steps in the middle of them among these."""
        return int(self.extents.sum())

    @cached_property
    def starts(self) -> Int:
        """(B,) column of each row's first live step in the padded array that the rows came from, or 0."""
        return np.zeros(self.nrows, np.int64) if self._given_starts is None else self._given_starts

    @cached_property
    def padded_length(self) -> int:
        """T of the padded array that the rows came from, or else of the smallest that holds them."""
        return int(self.extents.max(initial=0)) if self._given_length is None else self._given_length

    @property
    def came_padded(self) -> bool:
        """Whether the rows came from a padded array."""
        return self._given_length is not None

    @cached_property
    def is_uniform(self) -> bool:
        """Whether every row holds all steps of a padded array: reshaping then does what gathering would."""
        return (
            not self.has_holes
            and self.nvals == self.nrows * self.padded_length
            and self.max_row_length * self.nrows == self.nvals
        )

    @property
    def has_one_length(self) -> bool:
        """Whether every real row holds all steps of a padded array."""
        return self.is_uniform

    @cached_property
    def padded_index(self) -> Int:
        """(N,) place of each step in the padded array, reshaped to (B*T, ...)."""
        return self.value_rowids * self.padded_length + self.starts[self.value_rowids] + self.positions

    @cached_property
    def mask(self) -> Bool:
        """(B, T) True where the padded array holds a live step."""
        live = np.zeros(self.nrows * self.padded_length, np.bool_)
        live[self.padded_index] = True
        return live.reshape(self.nrows, self.padded_length)

    @cached_property
    def pad_index(self) -> Int:
        """(B*T,) step at each place of the padded array; N where none is."""
        table = np.full(self.nrows * self.padded_length, self.nvals, np.int64)
        table[self.padded_index] = np.arange(self.nvals)
        return table

    @cached_property
    def unpad_index(self) -> Int:
        """(B, L) step at each place of each row, L = max_row_length; N where the row has ended."""
        table = np.full((self.nrows, self.max_row_length), self.nvals, np.int64)
        table[self.value_rowids, self.ranks] = np.arange(self.nvals)
        return table

    @property
    def rank_index(self) -> Int:
        """(B, L) as `unpad_index`; where rows fill a batch up to a size, so is L (backends/jax)."""
        return self.unpad_index

    @cached_property
    def cu_seqlens(self) -> npt.NDArray[np.int32]:
        """(B+1,) the splits as int32, as attention kernels want them."""
        return self.row_splits.astype(np.int32)

    @cached_property
    def first_index(self) -> Int:
        """(B,) first step of each row; N for an empty row."""
        return np.where(self.row_lengths > 0, self.row_splits[:-1], self.nvals)

    @cached_property
    def last_index(self) -> Int:
        """(B,) last step of each row; N for an empty row."""
        return np.where(self.row_lengths > 0, self.row_splits[1:] - 1, self.nvals)

    @cached_property
    def reverse_index(self) -> Int:
        """(N,) the step that stands at each place when every row is read backwards."""
        ends = self.row_splits[:-1] + self.row_splits[1:] - 1
        return np.repeat(ends, self.row_lengths) - np.arange(self.nvals, dtype=np.int64)

    # ---- time-major order, for recurrent layers: step 0 of all rows, step 1 of all rows, ..., longest row first

    @cached_property
    def rows_by_length(self) -> Int:
        """(B,) rows, longest first; equal ones in their order."""
        return np.argsort(-self.row_lengths, kind="stable")

    @cached_property
    def rows_by_length_inverse(self) -> Int:
        """(B,) where each row went in `rows_by_length`."""
        inverse = np.empty(self.nrows, np.int64)
        inverse[self.rows_by_length] = np.arange(self.nrows)
        return inverse

    @cached_property
    def batch_sizes(self) -> Int:
        """(L,) number of rows that are alive at each time step."""
        counts = np.bincount(self.row_lengths, minlength=self.max_row_length + 1)
        return self.nrows - np.cumsum(counts)[:-1][: self.max_row_length]

    @cached_property
    def time_major_inverse(self) -> Int:
        """(N,) where each step went in time-major order."""
        offsets = (
            np.concatenate([np.zeros(1, np.int64), np.cumsum(self.batch_sizes)[:-1]])
            if self.nvals
            else self.batch_sizes
        )
        return offsets[self.ranks] + self.rows_by_length_inverse[self.value_rowids]

    @cached_property
    def time_major(self) -> Int:
        """(N,) the step at each slot of time-major order."""
        order = np.empty(self.nvals, np.int64)
        order[self.time_major_inverse] = np.arange(self.nvals)
        return order

    @cached_property
    def time_major_reverse(self) -> Int:
        """(N,) the step at each slot of time-major order when every row is read backwards."""
        return self.reverse_index[self.time_major]

    @cached_property
    def time_major_reverse_inverse(self) -> Int:
        """(N,) where each step went in time-major order when every row is read backwards."""
        return self.time_major_inverse[self.reverse_index]

    @cached_property
    def rectangles(self) -> tuple[Rectangle, ...]:
        """Runs of time steps with the same live rows: the steps of time-major order, cut into dense blocks."""
        sizes = self.batch_sizes
        if not len(sizes):
            return ()
        edges = np.concatenate([[0], np.nonzero(np.diff(sizes))[0] + 1, [len(sizes)]])
        firsts = np.concatenate([[0], np.cumsum(sizes)])
        return tuple(Rectangle(int(firsts[a]), int(b - a), int(sizes[a])) for a, b in itertools.pairwise(edges))

    # ---- other partitions from this one

    def same_steps(self, other: RowPartition) -> bool:
        """Whether two partitions have the same rows with the same steps.

        Args:
            other: the other partition.

        Returns:
            True if values of one can stand beside values of the other.

        Example:
            >>> RowPartition([0, 2]).same_steps(RowPartition([0, 2]))
            True
        """
        if self is other:
            return True
        if isinstance(other, PairRows):
            return False  # pairs of steps are no steps, however many they are
        return np.array_equal(self.row_splits, other.row_splits) and np.array_equal(self.positions, other.positions)

    def same_lengths(self, other: RowPartition) -> bool:
        """Whether two partitions have as many live steps in each row, wherever these stood.

        Args:
            other: the other partition.

        Returns:
            True if so.

        Example:
            >>> RowPartition([0, 2]).same_lengths(RowPartition([0, 2], positions=[0, 5]))
            True
        """
        return np.array_equal(self.row_splits, other.row_splits)

    def select(self, keep: npt.ArrayLike) -> tuple[RowPartition, Int]:
        """Mask some steps: keep only the others, at their places.

        Args:
            keep: (N,) bool, True for steps that stay.

        Returns:
            The new partition and the (M,) index of the steps that stay.

        Raises:
            MaskError: when `keep` is not one bool per step.

        Example:
            >>> rows, index = RowPartition([0, 3]).select([True, False, True])
            >>> rows.positions.tolist(), index.tolist()
            ([0, 2], [0, 2])
        """
        stays = np.asarray(keep)
        if stays.shape != (self.nvals,) or stays.dtype != np.bool_:
            raise MaskError(
                explain(
                    "mask of a ragged value",
                    expected=f"one bool for each of {self.nvals} steps",
                    got=f"shape {stays.shape}, dtype {stays.dtype}",
                    fix="pass the mask of the same rows",
                )
            )
        if stays.all():
            return self, np.arange(self.nvals, dtype=np.int64)
        index = np.nonzero(stays)[0]
        lengths = np.bincount(self.value_rowids[index], minlength=self.nrows).astype(np.int64)
        places = self.positions[index]
        firsts = np.zeros(self.nrows, np.int64)
        splits = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        full = lengths > 0
        firsts[full] = places[splits[:-1][full]]
        kept = RowPartition(
            splits,
            positions=places - np.repeat(firsts, lengths),
            starts=self.starts + firsts,
            length=self.padded_length,
        )
        # Steps of a value that never was padded have no array to go back to: their holes close up in lists.
        if not self.came_padded:
            kept._given_length = None
            kept._given_starts = None
        return kept, index

    def narrowed(self, keep: Any) -> tuple[RowPartition, Any] | None:
        """As `select`, by an array that nobody can look at; None where the host has to (backends/torch/exporting)."""
        return None

    def take(self, rows: npt.ArrayLike) -> tuple[RowPartition, Int]:
        """Pick rows, in any order.

        Args:
            rows: (C,) int.

        Returns:
            The partition of those rows and the (M,) index of their steps.

        Example:
            >>> rows, index = RowPartition([0, 2, 5]).take([1, 0])
            >>> rows.row_splits.tolist(), index.tolist()
            ([0, 3, 5], [2, 3, 4, 0, 1])
        """
        chosen = np.asarray(rows, dtype=np.int64).reshape(-1)
        lengths = self.row_lengths[chosen]
        index = _concat_ranges(self.row_splits[:-1][chosen], lengths)
        picked = RowPartition(
            np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
            positions=None if self._given_positions is None else self._given_positions[index],
            starts=None if self._given_starts is None else self._given_starts[chosen],
            length=self._given_length,
        )
        return picked, index

    def pairs(self, keys: RowPartition) -> RowPartition:
        """Pair every step of a row with every step of the row with the same number of another partition.

        Args:
            keys: the other partition, of as many rows.

        Returns:
            The partition of the pairs; made once for the same two.

        Raises:
            DataError: when the numbers of rows differ.

        Example:
            >>> RowPartition([0, 2, 3]).pairs(RowPartition([0, 3, 5])).row_lengths.tolist()
            [6, 2]
        """
        if type(keys)._pairs_with is not RowPartition._pairs_with:
            return keys._pairs_with(self)
        return self._paired_once(keys, PairRows)

    def _paired_once(
        self, keys: RowPartition, make: Callable[[RowPartition, RowPartition], RowPartition]
    ) -> RowPartition:
        """What `make` makes of these rows and the keys, made once for the same two."""
        # The pairs know both sides by copies: in a circle, the arrays of each batch would outlive it for long.
        known = self.moved("pairs", weakref.WeakKeyDictionary)
        if keys not in known:
            known[keys] = make(_apart(self), _apart(keys))
        found: RowPartition = known[keys]
        return found

    def _pairs_with(self, queries: RowPartition) -> RowPartition:
        """Pairs of which these rows are the keys: for partitions that the host does not know."""
        raise NotImplementedError

    def scaled(self, factor: int) -> RowPartition:
        """The partition of rows in which so many entries stand for each step; made once.

        Args:
            factor: entries of a step.

        Returns:
            The partition, without holes.

        Example:
            >>> RowPartition([0, 2, 3]).scaled(2).row_splits.tolist()
            [0, 4, 6]
        """
        return self.moved(("scaled", factor), lambda: RowPartition(self.row_splits * factor))  # type: ignore[no-any-return]

    def pairs_with_array(self, length: int, as_keys: bool) -> RowPartition:
        """Pairs with the rows of an array (B, T, ...).

        Args:
            length: T.
            as_keys: whether the array holds the keys; else the queries.

        Returns:
            The partition of the pairs.

        Example:
            >>> RowPartition([0, 2, 3]).pairs_with_array(4, True).row_lengths.tolist()
            [8, 4]
        """
        dense = self.moved(("as an array", length), lambda: RowPartition.uniform(self.nrows, length))
        return self.pairs(dense) if as_keys else dense.pairs(self)

    # ---- partitions of another length, and what their steps read (lengths.py says how)

    def derived(self, how: Derivation, *others: RowPartition) -> RowPartition:
        """The partition of an output that has another length than its input; made once.

        Args:
            how: the rows of the output come of these.
            *others: partitions of further inputs.

        Returns:
            The partition: these rows themselves where each step has its own output step.

        Example:
            >>> from padless.lengths import Window
            >>> RowPartition([0, 3, 4]).derived(Window(2)).row_splits.tolist()
            [0, 2, 2]
        """
        if not self.has_holes:
            how = how.alike
        return self.moved(("derived", how, *weakly(others)), lambda: how.rows(self, *others))  # type: ignore[no-any-return]

    def way_to(self, made: RowPartition) -> Derivation | None:
        """How a partition was derived from this one.

        Args:
            made: the partition.

        Returns:
            What `derived` was given; None where it was not made so.

        Example:
            >>> from padless.lengths import Window
            >>> rows = RowPartition([0, 3, 4])
            >>> rows.way_to(rows.derived(Window(2)))
            Window(size=2, stride=1, dilation=1, padding='valid')
        """
        found = (key[1] for key, value in self._moved.items() if value is made and key[0] == "derived")
        return next(found, None)

    def taps(self, how: Derivation, *others: RowPartition) -> Int:
        """(M, K) the input step under each tap of the steps of `derived` with the same arguments.

        Args:
            how: the rows of the output come of these.
            *others: partitions of further inputs.

        Returns:
            The steps, counted over all inputs end to end; as many as these have in all where there is none.

        Example:
            >>> from padless.lengths import Window
            >>> RowPartition([0, 3, 4]).taps(Window(2)).tolist()
            [[0, 1], [1, 2]]
        """
        return self._taps(how, *others).steps

    def taps_inside(self, how: Derivation, *others: RowPartition) -> Int:
        """(M,) how many of the `taps` with the same arguments lie inside of their row, holes included."""
        return self._taps(how, *others).inside

    def taps_kernel(self, how: Derivation, *others: RowPartition) -> Int:
        """(M, K) which tap of a kernel each of the `taps` with the same arguments is."""
        return self._taps(how, *others).kernel

    def _taps(self, how: Derivation, *others: RowPartition) -> Taps:
        return self.moved(("taps", how, *weakly(others)), lambda: how.taps(self, *others))  # type: ignore[no-any-return]

    # ---- arrays on a device

    def array(self, name: str, *arguments: Any) -> npt.NDArray[Any]:
        """An attribute by name, or what a method of that name gives for the arguments."""
        made: npt.NDArray[Any] = getattr(self, name)(*arguments) if arguments else getattr(self, name)
        return made

    def moved(self, key: Any, make: Callable[[], Any]) -> Any:
        """Give what `make` makes, made once for this partition.

        Backends keep the arrays that they moved to a device here, so that they are moved once per batch.

        Args:
            key: a hashable name, the backend and device included.
            make: called when there is nothing under that name yet.

        Returns:
            What `make` returned the first time.
        """
        # One look: hashing a derivation takes as long as some kernels do.
        found = self._moved.get(key, _NOTHING)
        if found is _NOTHING:
            found = self._moved[key] = make()
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {
            "row_splits": self.row_splits,
            "positions": self._given_positions,
            "starts": self._given_starts,
            "length": self._given_length,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        RowPartition.__init__(self, **state)

    @property
    def lengths_text(self) -> str:
        """The lengths of the rows, to be shown; the first and last of many."""
        lengths = np.array2string(self.row_lengths, threshold=8, edgeitems=3, separator=", ")
        return f"{lengths}, holes" if self.has_holes else lengths

    def __repr__(self) -> str:
        return f"RowPartition({self.nrows} rows, {self.nvals} steps, lengths {self.lengths_text})"


class PairRows(RowPartition):
    """The pairs of each row: n m of them for n queries and m keys, those of the first query first.

    Args:
        queries: partition of the queries, into B rows.
        keys: partition of the keys, into B rows.

    Raises:
        DataError: when the numbers of rows differ.

    Example:
        >>> pairs = PairRows(RowPartition([0, 2]), RowPartition([0, 3]))
        >>> pairs.query_index.tolist(), pairs.key_index.tolist()
        ([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2])
    """

    def __init__(self, queries: RowPartition, keys: RowPartition) -> None:
        if queries.nrows != keys.nrows:
            raise DataError(
                explain(
                    "pairs",
                    expected="as many rows on both sides",
                    got=f"{queries.nrows} rows against {keys.nrows}",
                    fix="give both for the same sequences, in the same order",
                )
            )
        super().__init__(np.concatenate([np.zeros(1, np.int64), np.cumsum(queries.row_lengths * keys.row_lengths)]))
        self.queries, self.keys = queries, keys

    @cached_property
    def query_index(self) -> Int:
        """(P,) the query of each pair, among the steps of all rows."""
        return np.repeat(np.arange(self.queries.nvals), self.keys.row_lengths[self.queries.value_rowids])

    @cached_property
    def key_index(self) -> Int:
        """(P,) the key of each pair, among the steps of all rows."""
        rows = self.queries.value_rowids
        return _concat_ranges(self.keys.row_splits[:-1][rows], self.keys.row_lengths[rows])

    @cached_property
    def query_ranks(self) -> Int:
        """(P,) how many queries come before that of each pair in its row."""
        return self.queries.ranks[self.query_index]

    @cached_property
    def key_ranks(self) -> Int:
        """(P,) how many keys come before that of each pair in its row."""
        return self.keys.ranks[self.key_index]

    @property
    def counts_of_queries(self) -> Int:
        """(B,) number of queries of each row."""
        return self.queries.row_lengths

    @property
    def came_padded(self) -> bool:
        """Whether the queries came from a padded array."""
        return self.queries.came_padded

    @cached_property
    def padded_length(self) -> int:
        """T S: of the queries and of the keys."""
        return self.queries.padded_length * self.keys.padded_length

    @cached_property
    def is_uniform(self) -> bool:
        """Whether every row holds all pairs of two padded arrays."""
        return self.queries.is_uniform and self.keys.is_uniform

    @cached_property
    def padded_index(self) -> Int:
        """(P,) place of each pair in the padded array (B, T, S), reshaped to (B*T*S, ...)."""
        key = self.keys.starts[self.value_rowids] + self.keys.positions[self.key_index]
        return self.queries.padded_index[self.query_index] * self.keys.padded_length + key

    def same_steps(self, other: RowPartition) -> bool:
        """As of other rows; the queries and the keys must be the same."""
        return self is other or (
            isinstance(other, PairRows) and self.queries.same_steps(other.queries) and self.keys.same_steps(other.keys)
        )

    def same_lengths(self, other: RowPartition) -> bool:
        """As of other rows; the queries and the keys must be as many."""
        return (
            isinstance(other, PairRows)
            and self.queries.same_lengths(other.queries)
            and self.keys.same_lengths(other.keys)
        )

    def take(self, rows: npt.ArrayLike) -> tuple[RowPartition, Int]:
        """As of other rows."""
        chosen = np.asarray(rows, dtype=np.int64).reshape(-1)
        index = _concat_ranges(self.row_splits[:-1][chosen], self.row_lengths[chosen])
        return PairRows(self.queries.take(chosen)[0], self.keys.take(chosen)[0]), index

    def __getstate__(self) -> dict[str, Any]:
        return {"queries": self.queries, "keys": self.keys}

    def __setstate__(self, state: dict[str, Any]) -> None:
        PairRows.__init__(self, **state)

    @property
    def lengths_text(self) -> str:
        """Queries and keys of the rows, to be shown."""
        return f"{self.queries.lengths_text} x {self.keys.lengths_text}"


def rows_end_to_end(parts: Sequence[RowPartition]) -> RowPartition:
    """Put the rows of several partitions one after the other.

    Args:
        parts: the partitions; pairs of steps all of them, or none.

    Returns:
        The partition.

    Example:
        >>> rows_end_to_end([RowPartition([0, 2]), RowPartition([0, 1, 4])]).row_splits.tolist()
        [0, 2, 3, 6]
    """
    pairs = [part for part in parts if isinstance(part, PairRows)]
    if pairs:
        queries, keys = ([getattr(part, side) for part in pairs] for side in ("queries", "keys"))
        return PairRows(rows_end_to_end(queries), rows_end_to_end(keys))
    lengths = np.concatenate([part.row_lengths for part in parts])
    return RowPartition(
        np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
        positions=np.concatenate([part.positions for part in parts]) if any(p.has_holes for p in parts) else None,
        starts=np.concatenate([part.starts for part in parts]),
        length=max(part.padded_length for part in parts) if all(part.came_padded for part in parts) else None,
    )


def weakly(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments as parts of a key of `moved`: in a circle of partitions, the arrays of each batch would outlive it."""
    return tuple(weakref.ref(part) if isinstance(part, RowPartition) else part for part in arguments)


def _apart(rows: RowPartition) -> RowPartition:
    """The same rows in an object of its own, which shares the arrays but nothing that was made of them."""
    made = object.__new__(type(rows))
    made.__dict__.update(rows.__dict__)
    made._moved = {}
    return made


@contextlib.contextmanager
def naming_outer_rows(rows: RowPartition) -> Iterator[None]:
    """Within this context, errors that name a row mean a step of other rows, and say so.

    Args:
        rows: those others.

    Yields:
        Nothing.
    """
    try:
        yield
    except RowError as wrong:
        row = int(rows.value_rowids[wrong.row])
        raise wrong.renamed(row, f"row {row}, step {rows.positions[wrong.row]}") from None


def require_same_steps(where: str, one: RowPartition, other: RowPartition) -> None:
    """Raise unless two partitions have the same rows with the same steps.

    Args:
        where: the operation, as the user knows it.
        one: a partition.
        other: another one.

    Raises:
        DataError: it names both, and the first row that differs.
    """
    if one.same_steps(other):
        return
    row = None
    if isinstance(one, PairRows) != isinstance(other, PairRows):
        first = "steps against pairs of steps"
    elif not (one.known and other.known):
        first = "they come from different inputs, or were changed in different ways"
    elif one.nrows != other.nrows:
        first = f"{one.nrows} rows against {other.nrows}"
    elif (one.row_lengths != other.row_lengths).any():
        row = int(np.nonzero(one.row_lengths != other.row_lengths)[0][0])
        first = f"row {row} has {one.row_lengths[row]} steps on one side and {other.row_lengths[row]} on the other"
    else:
        row = int(one.value_rowids[np.nonzero(one.positions != other.positions)[0][0]])
        first = f"row {row} has its masked steps at other places"
    text = explain(
        where,
        expected="two values with the same rows",
        got=f"{one!r} and {other!r}: {first}",
        fix="make both from the same row_splits, or pool one of them first",
    )
    wrong = DataError(text) if row is None else RowError(text, row)
    wrong.partitions = (one, other)
    raise wrong
