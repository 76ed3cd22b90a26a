"""Rows whose lengths are inputs of an exported program: every array of them is computed in its graph.

Nothing here looks at a number of the batch that an export is traced with, so that nothing of it stays in the program.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, NoReturn

import torch

from padless.backends.torch.exporting.numbers import Numbers
from padless.errors import BackendError, explain
from padless.lengths import Behind, Derivation, Split, Taps, Uniform
from padless.rows import Int, PairRows, RowPartition, weakly

Tensor = torch.Tensor
Size = Any
"""An int, or the name of one that only a batch has."""


def size_of(x: Tensor, least: int = 0) -> Size:
    """The number in a tensor of one, as a size of others.

    Args:
        x: () int64.
        least: it is not below this.

    Returns:
        The size.
    """
    found = x.item()
    torch._check(found >= least)  # type: ignore[no-untyped-call]
    return found


def counted_rows(ends: Tensor, nvals: Size) -> Tensor:
    """The row of each step: how many rows have ended before it.

    Args:
        ends: (B,) where each row ends.
        nvals: N.

    Returns:
        (N,) int64.
    """
    # Neither repeat_interleave nor searchsorted can be written as ONNX.
    marks = torch.zeros(nvals + 1, dtype=torch.int64, device=ends.device)
    return torch.cumsum(marks.index_add(0, ends, torch.ones_like(ends)), 0)[:nvals]


def splits_of(lengths: Tensor) -> Tensor:
    """(B,) lengths to (B+1,) splits."""
    return torch.cat([lengths.new_zeros(1), torch.cumsum(lengths, 0)])


class RowArrays:
    """The arrays of rows, by the names that they have in `RowPartition`.

    Args:
        row_splits: (B+1,) int64.
        nvals: N.
        positions: (N,) place of each step in its row; None for 0, 1, 2, ...
        starts: (B,) column of each row's first step in the padded array; None for 0.
        length: T of the padded array; None for the longest row.
    """

    def __init__(
        self,
        row_splits: Tensor,
        nvals: Size,
        positions: Tensor | None = None,
        starts: Tensor | None = None,
        length: Size | None = None,
    ) -> None:
        self.row_splits, self.nvals = row_splits, nvals
        self.nrows: Size = row_splits.shape[0] - 1
        self.has_holes = positions is not None
        self._positions, self._starts, self._length = positions, starts, length

    def steps(self, count: Size) -> Tensor:
        """(count,) 0, 1, 2, ..."""
        return torch.arange(count, dtype=torch.int64, device=self.row_splits.device)

    @cached_property
    def row_lengths(self) -> Tensor:
        return self.row_splits[1:] - self.row_splits[:-1]

    @cached_property
    def row_divisors(self) -> Tensor:
        return torch.clamp(self.row_lengths, min=1)

    @cached_property
    def value_rowids(self) -> Tensor:
        return counted_rows(self.row_splits[1:], self.nvals)

    @cached_property
    def ranks(self) -> Tensor:
        return self.steps(self.nvals) - self.row_splits[:-1][self.value_rowids]

    @property
    def positions(self) -> Tensor:
        return self.ranks if self._positions is None else self._positions

    @cached_property
    def extents(self) -> Tensor:
        if self._positions is None:
            return self.row_lengths
        return torch.cat([self._positions + 1, self.row_splits.new_zeros(1)])[self.last_index]

    @cached_property
    def starts(self) -> Tensor:
        return torch.zeros_like(self.row_lengths) if self._starts is None else self._starts

    @cached_property
    def first_index(self) -> Tensor:
        return torch.where(self.row_lengths > 0, self.row_splits[:-1], self.nvals)

    @cached_property
    def last_index(self) -> Tensor:
        return torch.where(self.row_lengths > 0, self.row_splits[1:] - 1, self.nvals)

    @cached_property
    def reverse_index(self) -> Tensor:
        ends = self.row_splits[:-1] + self.row_splits[1:] - 1
        return ends[self.value_rowids] - self.steps(self.nvals)

    @cached_property
    def width(self) -> Size:
        """Steps of the longest row; 1 where there is none, since a loop without a turn has no shape."""
        return size_of(torch.cat([self.row_lengths, self.row_splits.new_ones(1)]).max(), 1)

    @cached_property
    def padded_length(self) -> Size:
        if self._length is not None:
            return self._length
        return size_of(torch.cat([self.extents, self.row_splits.new_zeros(1)]).max())

    @cached_property
    def rank_places(self) -> Tensor:
        """(N,) place of each step in a table (B * width,)."""
        places: Tensor = self.value_rowids * self.width + self.ranks
        return places

    @cached_property
    def unpad_index(self) -> Tensor:
        return self._table(self.nrows * self.width, self.rank_places).reshape(self.nrows, self.width)

    @property
    def rank_index(self) -> Tensor:
        return self.unpad_index

    @cached_property
    def padded_index(self) -> Tensor:
        places: Tensor = self.value_rowids * self.padded_length + self.starts[self.value_rowids] + self.positions
        return places

    @cached_property
    def pad_index(self) -> Tensor:
        return self._table(self.nrows * self.padded_length, self.padded_index)

    @cached_property
    def mask(self) -> Tensor:
        live: Tensor = (self.pad_index < self.nvals).reshape(self.nrows, self.padded_length)
        return live

    def _table(self, size: Size, places: Tensor) -> Tensor:
        """Which step stands at each place; N where none does."""
        table = torch.zeros(size, dtype=torch.int64, device=places.device) + self.nvals
        made: Tensor = table.scatter(0, places, self.steps(self.nvals))
        return made


class PairArrays(RowArrays):
    """The arrays of pairs.

    Args:
        queries: arrays of the queries.
        keys: arrays of the keys.
    """

    def __init__(self, queries: RowArrays, keys: RowArrays) -> None:
        splits = splits_of(queries.row_lengths * keys.row_lengths)
        super().__init__(splits, size_of(splits[-1]))
        self.queries, self.keys = queries, keys

    @cached_property
    def _of_each_query(self) -> Tensor:
        """(N+1,) where the pairs of each query begin."""
        return splits_of(self.keys.row_lengths[self.queries.value_rowids])

    @cached_property
    def query_index(self) -> Tensor:
        return counted_rows(self._of_each_query[1:], self.nvals)

    @cached_property
    def key_ranks(self) -> Tensor:
        return self.steps(self.nvals) - self._of_each_query[:-1][self.query_index]

    @cached_property
    def key_index(self) -> Tensor:
        return self.keys.row_splits[:-1][self.value_rowids] + self.key_ranks

    @cached_property
    def query_ranks(self) -> Tensor:
        return self.queries.ranks[self.query_index]

    @cached_property
    def counts_of_queries(self) -> Tensor:
        return self.queries.row_lengths

    @cached_property
    def padded_length(self) -> Size:
        return self.queries.padded_length * self.keys.padded_length

    @cached_property
    def padded_index(self) -> Tensor:
        key = self.keys.starts[self.value_rowids] + self.keys.positions[self.key_index]
        places: Tensor = self.queries.padded_index[self.query_index] * self.keys.padded_length + key
        return places


class ExportedRows(RowPartition):
    """Rows of a program that is being exported.

    Args:
        arrays: of the rows, in its graph.
        came_padded: whether the rows came from a padded array.
    """

    def __init__(self, arrays: RowArrays, came_padded: bool = False) -> None:
        self.arrays, self._padded = arrays, came_padded
        self._moved: dict[Any, Any] = {}

    @classmethod
    def of(cls, row_splits: Tensor, nvals: Size) -> ExportedRows:
        """Rows of packed steps.

        Args:
            row_splits: (B+1,) int64.
            nvals: N.

        Returns:
            The rows.
        """
        return cls(RowArrays(row_splits, nvals))

    @classmethod
    def of_mask(cls, mask: Tensor) -> tuple[ExportedRows, Tensor]:
        """Rows of a padded array.

        Args:
            mask: (B, T) bool.

        Returns:
            The rows, and the (N,) place of each step in the array reshaped to (B*T, ...).
        """
        places = torch.nonzero(mask.reshape(-1))[:, 0]
        # Of no column there is no first one; one more, of nothing, changes no answer.
        marks = torch.cat([mask, mask.new_zeros((mask.shape[0], 1))], dim=1)
        starts = marks.to(torch.int64).argmax(dim=1)
        splits = splits_of(mask.sum(dim=1))
        rowids = counted_rows(splits[1:], places.shape[0])
        positions = places - rowids * mask.shape[1] - starts[rowids]
        return cls(RowArrays(splits, places.shape[0], positions, starts, mask.shape[1]), True), places

    def array(self, name: str, *arguments: Any) -> Any:
        """An array of the graph, by its name in `RowPartition`."""
        if arguments:
            return getattr(self, name)(*arguments)
        return getattr(self.arrays, name)

    # ---- what layers may know

    @property
    def row_splits(self) -> Int:  # type: ignore[override]
        """Not known here, and with it nothing that the host makes of it."""
        self._unknown("the lengths of rows")

    def _unknown(self, what: str) -> NoReturn:
        raise BackendError(
            explain(
                f"{what}, in a program that is being exported",
                expected="index arrays of the backend: backend.index(rows, 'row_lengths')",
                got="numbers of the host, which are not there before a batch is",
                fix="backend.index(x.rows, name), row_sum, row_mean, spread and the like",
            )
        )

    @property
    def known(self) -> bool:
        """Not here."""
        return False

    @property
    def nrows(self) -> int:
        """B, as an input has it."""
        return self.arrays.nrows  # type: ignore[no-any-return]

    @property
    def live_rows(self) -> int:
        """All."""
        return self.nrows

    @property
    def nvals(self) -> int:
        """N, as an input has it."""
        return self.arrays.nvals  # type: ignore[no-any-return]

    @property
    def max_row_length(self) -> int:
        """Steps of the longest row; at least 1."""
        return self.arrays.width  # type: ignore[no-any-return]

    @property
    def padded_length(self) -> int:
        """T."""
        return self.arrays.padded_length  # type: ignore[no-any-return]

    @property
    def has_holes(self) -> bool:
        """Whether steps in the middle of rows may be masked."""
        return self.arrays.has_holes

    @property
    def came_padded(self) -> bool:
        """Whether the rows came from a padded array."""
        return self._padded

    @property
    def is_uniform(self) -> bool:
        """Never: no such thing is known."""
        return False

    @property
    def lengths_text(self) -> str:
        """Nothing is known."""
        return "of any length"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rows of an exported program)"

    def same_steps(self, other: RowPartition) -> bool:
        """Whether both are the same object: nothing else is known."""
        return self is other

    def same_lengths(self, other: RowPartition) -> bool:
        """As `same_steps`."""
        return self is other

    # ---- other rows from these

    def narrowed(self, keep: Tensor) -> tuple[ExportedRows, Tensor]:
        """As `select`, in the graph.

        Args:
            keep: (N,) bool.

        Returns:
            The rows, and the (M,) steps that stay.
        """
        old = self.arrays
        index = torch.nonzero(keep)[:, 0]
        rowids = old.value_rowids[index]
        lengths = torch.zeros_like(old.row_lengths).index_add(0, rowids, torch.ones_like(rowids))
        splits = splits_of(lengths)
        places = old.positions[index]
        # 0 for an empty row.
        firsts = torch.cat([places, places.new_zeros(1)])[torch.where(lengths > 0, splits[:-1], index.shape[0])]
        length = old.padded_length if self._padded else None
        starts = old.starts + firsts if self._padded else None
        made = RowArrays(splits, index.shape[0], places - firsts[rowids], starts, length)
        return ExportedRows(made, self._padded), index

    def derived(self, how: Derivation, *others: RowPartition) -> RowPartition:
        """As outside, in the graph."""
        if not self.has_holes:
            how = how.alike
        make: Any = {Split: split, Behind: behind, Uniform: uniform}.get(type(how), resized)
        made: Made = self.moved(("derived", how, *weakly(others)), lambda: make(how, self, *others))
        return made.rows

    def taps(self, how: Derivation, *others: RowPartition) -> Any:
        """As outside, in the graph."""
        return self._read(how, others).steps

    def taps_inside(self, how: Derivation, *others: RowPartition) -> Any:
        """As outside, in the graph."""
        return self._read(how, others).inside

    def taps_kernel(self, how: Derivation, *others: RowPartition) -> Any:
        """As outside, in the graph."""
        return self._read(how, others).kernel

    def _read(self, how: Derivation, others: tuple[RowPartition, ...]) -> Any:
        self.derived(how, *others)
        alike = how if self.has_holes else how.alike
        made = self.moved(("derived", alike, *weakly(others)), lambda: None)
        return self.moved(("taps", how, *weakly(others)), lambda: made.read(how))

    def scaled(self, factor: int) -> RowPartition:
        """As outside, in the graph."""
        arrays = self.arrays
        made = self.moved(
            ("scaled", factor),
            lambda: ExportedRows.of(arrays.row_splits * factor, arrays.nvals * factor),
        )
        return made  # type: ignore[no-any-return]

    def pairs(self, keys: RowPartition) -> RowPartition:
        """As outside, in the graph."""
        if not isinstance(keys, ExportedRows):
            keys = self.derived(Uniform(keys.padded_length))
        return self._paired_once(keys, ExportedPairs)

    def _paired_once(self, keys: RowPartition, make: Any) -> RowPartition:
        return self.moved(("pairs", *weakly((keys,))), lambda: make(self, keys))  # type: ignore[no-any-return]

    def _pairs_with(self, queries: RowPartition) -> RowPartition:
        if isinstance(queries, ExportedRows):
            return queries.pairs(self)
        return self.derived(Uniform(queries.padded_length)).pairs(self)


class ExportedPairs(ExportedRows, PairRows):
    """Pairs in a program that is being exported.

    Args:
        queries: rows.
        keys: rows.
    """

    def __init__(self, queries: ExportedRows, keys: ExportedRows) -> None:
        self.pair_arrays = PairArrays(queries.arrays, keys.arrays)
        ExportedRows.__init__(self, self.pair_arrays, queries.came_padded)
        self.queries, self.keys = queries, keys

    def same_steps(self, other: RowPartition) -> bool:
        """Whether both are of the same queries and keys."""
        if not isinstance(other, ExportedPairs):
            return False
        return self.queries.same_steps(other.queries) and self.keys.same_steps(other.keys)

    def same_lengths(self, other: RowPartition) -> bool:
        """As `same_steps`."""
        return self.same_steps(other)


# ---- how rows come of rows: `Derivation.rows` and `Derivation.taps`, in the graph


class Made(NamedTuple):
    """What came of rows.

    Attributes:
        rows: of the output.
        read: gives what their steps read, by a derivation that gives the same rows.
    """

    rows: ExportedRows
    read: Callable[[Derivation], Taps]


def resized(how: Derivation, one: ExportedRows) -> Made:
    """Rows with another number of places each.

    Args:
        how: says how many.
        one: the input.

    Returns:
        The rows.
    """
    old, dense = one.arrays, one.arrays
    if not how.keeps:
        lengths = _tensor(how.count(Numbers(old.extents)))  # type: ignore[arg-type]
        splits = splits_of(lengths)
        starts, length = _column(how, old, lengths) if one.came_padded else (None, None)
        dense = RowArrays(splits, size_of(splits[-1]), None, starts, length)
    if how.holes == "seen" or not one.has_holes:
        rows = one if how.keeps else ExportedRows(dense, one.came_padded)
        return Made(rows, lambda how: _taps(how, old, dense)[0])
    all_taps, inside = _taps(how, old, dense)
    live = ~(inside & (all_taps.steps == old.nvals)).any(dim=1)
    rows, index = ExportedRows(dense, one.came_padded).narrowed(live)
    return Made(rows, lambda how: Taps(*(array[index] for array in all_taps)))


def _taps(how: Derivation, old: RowArrays, dense: RowArrays) -> tuple[Taps, Tensor]:
    """What the steps of rows read, and whether it lies inside of the row: (M, K) bool."""
    index, inside = _read(how, old, dense)
    kernel: Any = how.kernel(Numbers(dense.positions))  # type: ignore[arg-type]
    kernel = kernel.tensor if isinstance(kernel, Numbers) else torch.tensor(kernel.tolist(), device=index.device)
    return Taps(index, inside.sum(dim=1), torch.zeros_like(index) + kernel), inside  # type: ignore[arg-type]


def _column(how: Derivation, old: RowArrays, lengths: Tensor) -> tuple[Tensor, Size]:
    """As `_resized` in `lengths.py`: a row that stood at an edge of the padded array still does."""
    before = lengths.new_zeros(1) + old.padded_length
    after = _tensor(how.count(Numbers(before)))  # type: ignore[arg-type]
    at_end = old.starts + old.extents == before
    latest = after - lengths
    column = torch.minimum(_tensor(how.column(Numbers(old.starts))), latest)  # type: ignore[arg-type]
    return torch.where(at_end, latest, column), size_of(after[0])


def _read(how: Derivation, old: RowArrays, dense: RowArrays) -> tuple[Tensor, Tensor]:
    """As `Derivation._dense`."""
    rowids = dense.value_rowids
    extents = old.extents[rowids]
    taps = _tensor(how.reads(Numbers(dense.positions), Numbers(extents)))  # type: ignore[arg-type]
    inside = (taps >= 0) & (taps < extents[:, None])
    if not old.has_holes:
        return torch.where(inside, old.row_splits[:-1][rowids][:, None] + taps, old.nvals), inside
    firsts = torch.cumsum(old.extents, 0) - old.extents
    spare = size_of(old.extents.sum())
    table = torch.zeros(spare + 1, dtype=torch.int64, device=taps.device) + old.nvals
    table = table.scatter(0, firsts[old.value_rowids] + old.positions, old.steps(old.nvals))
    return table[torch.where(inside, firsts[rowids][:, None] + taps, spare)], inside


def split(how: Split, one: ExportedRows) -> Made:
    """As `Split.rows` and `Split.taps`."""
    old = one.arrays
    lengths, part = old.row_lengths[:, None], old.steps(how.parts)
    firsts = torch.div(part * lengths, how.parts, rounding_mode="floor")
    lasts = -torch.div(-((part + 1) * lengths), how.parts, rounding_mode="floor")
    splits = splits_of((lasts - firsts).reshape(-1))
    made = RowArrays(splits, size_of(splits[-1]))
    starts = (old.row_splits[:-1][:, None] + firsts).reshape(-1)
    return _of_single_taps(ExportedRows(made), starts[made.value_rowids] + made.ranks)


def behind(how: Behind, *parts: ExportedRows) -> Made:
    """As `Behind.rows` and `Behind.taps`."""
    olds = [part.arrays for part in parts]
    rowids = torch.cat([old.value_rowids for old in olds])
    splits = splits_of(sum((old.row_lengths for old in olds[1:]), start=olds[0].row_lengths))
    nvals = rowids.shape[0]
    # Where each step goes: behind the rows before, and behind its own row in the inputs before.
    lengths = torch.cumsum(torch.stack([old.row_lengths for old in olds]), 0)
    places = torch.cat(
        [
            splits[:-1][old.value_rowids] + (lengths[at] - old.row_lengths)[old.value_rowids] + old.ranks
            for at, old in enumerate(olds)
        ]
    )
    steps = olds[0].steps(nvals)
    order = torch.zeros_like(steps).scatter(0, places, steps)
    positions = None
    if any(part.has_holes for part in parts):
        extents = torch.cumsum(torch.stack([old.extents for old in olds]), 0)
        each = [old.positions + (extents[at] - old.extents)[old.value_rowids] for at, old in enumerate(olds)]
        positions = torch.cat(each)[order]
    starts, length = _behind_in_array(olds) if any(part.came_padded for part in parts) else (None, None)
    rows = ExportedRows(RowArrays(splits, nvals, positions, starts, length), length is not None)
    return _of_single_taps(rows, order)


def _behind_in_array(olds: list[RowArrays]) -> tuple[Tensor, Size]:
    length = sum((old.padded_length for old in olds[1:]), start=olds[0].padded_length)
    latest = length - sum((old.extents for old in olds[1:]), start=olds[0].extents)
    at_end = torch.stack([old.starts + old.extents == old.padded_length for old in olds]).all(dim=0)
    return torch.where(at_end, latest, torch.minimum(olds[0].starts, latest)), length


def uniform(how: Uniform, one: ExportedRows) -> Made:
    """Rows of one length, as many as there are."""
    arrays = one.arrays
    splits = arrays.steps(arrays.nrows + 1) * how.length
    made = RowArrays(splits, arrays.nrows * how.length, None, None, how.length)
    return _of_single_taps(ExportedRows(made, True), made.steps(made.nvals))


def _of_single_taps(rows: ExportedRows, index: Tensor) -> Made:
    taps = Taps(index[:, None], torch.ones_like(index), torch.zeros_like(index)[:, None])  # type: ignore[arg-type]
    return Made(rows, lambda how: taps)


def _tensor(x: Any) -> Tensor:
    return x.tensor  # type: ignore[no-any-return]
