"""Rows of a size that is known before: real rows, then rows without steps, then one that owns all spare steps.

That one is the sink. Rows never change each other's answers, so a layer needs no further care for it; kernels leave out
the rows from `live_rows` on, and whatever adds up over a batch counts live rows only.

Outside of a compiled function the arrays of such rows come from the host (`FilledRows`). Inside of one only their sizes
are known (`TracedRows`): everything else is an input of the function, by name.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np

from padless.errors import BackendError, explain
from padless.lengths import Derivation, Room, Taps
from padless.rows import Bool, Int, PairRows, RowPartition, weakly

Path = tuple[tuple[Any, ...], ...]
"""How a partition came of that of an input: names and arguments of methods, one after the other."""

_PARTS = 5
"""Sizes between two powers of two. On BBC news in random batches of 32, 93 % of the steps are live, in 5 sizes."""
_ROWS, _STEPS = 8, 64
"""The smallest sizes: below, another compilation costs more than the spare slots ever will."""


def capacity(size: int, least: int) -> int:
    """Round a size up to one of a geometric series.

    Args:
        size: not below 0.
        least: the smallest of the series; a power of two, so that others are in it.

    Returns:
        The next number of the series, in multiples of 8.

    Example:
        >>> [capacity(n, 8) for n in (0, 8, 9, 32, 33, 12_000)]
        [0, 8, 16, 32, 40, 12424]
    """
    if size <= least:
        return least if size else 0
    power = math.ceil(_PARTS * math.log2(size) - 1e-9)
    return math.ceil(2 ** (power / _PARTS) / 8 - 1e-9) * 8


class FilledRows(RowPartition):
    """The rows of a batch, filled up to a size.

    Args:
        real: the rows of the batch.
        nrows: B of the filled batch: at least one more than there are rows.
        nvals: N of the filled batch.
        places: of all rows together, masked steps in the middle of rows among them; only where there are such.
    """

    def __init__(self, real: RowPartition, nrows: int, nvals: int, places: int | None = None) -> None:
        empty = np.full(nrows - real.nrows - 1, real.nvals)
        RowPartition.__init__(self, np.concatenate([real.row_splits, empty, [nvals]]))
        self.real = real
        self._given_starts = None
        self._given_length = real._given_length
        if real.has_holes:
            places_of_sink = np.arange(nvals - real.nvals)
            self._given_positions = np.concatenate([real.positions, places_of_sink])
        self.places = nvals if places is None else places

    @classmethod
    def of(cls, real: RowPartition, nrows: int, nvals: int | None = None, spare: int = 0) -> FilledRows:
        """Fill rows up.

        Args:
            real: the rows of a batch.
            nrows: B of the filled batch, without the sink.
            nvals: N of the filled batch; the next capacity by default.
            spare: how many spare steps there are at least.

        Returns:
            The filled rows.
        """
        size = capacity(real.nvals + spare, _STEPS) if nvals is None else nvals
        places = capacity(int(real.extents.sum()) + size - real.nvals, _STEPS) if real.has_holes else None
        return cls(real, nrows + 1, max(size, _STEPS), places)

    @property
    def live_rows(self) -> int:
        """Number of real rows."""
        return self.real.nrows

    @cached_property
    def max_row_length(self) -> int:
        """Of the real rows."""
        return self.real.max_row_length

    @cached_property
    def starts(self) -> Int:
        """(B,) as of the real rows."""
        return np.concatenate([self.real.starts, np.zeros(self.nrows - self.real.nrows, np.int64)])

    @cached_property
    def padded_length(self) -> int:
        """T of the real rows."""
        return self.real.padded_length

    @cached_property
    def is_uniform(self) -> bool:
        """Never: no such thing is known before."""
        return False

    @property
    def has_one_length(self) -> bool:
        """Of the real rows."""
        return self.real.is_uniform

    @cached_property
    def padded_index(self) -> Int:
        """(N,) place of each step in the padded array; a spare step has that of the first."""
        return np.concatenate([self.real.padded_index, np.zeros(self.nvals - self.real.nvals, np.int64)])

    @cached_property
    def pad_index(self) -> Int:
        """(B*T,) step at each place of the padded array of the real rows; N where none is."""
        table = np.full(self.nrows * self.padded_length, self.nvals, np.int64)
        table[self.real.padded_index] = np.arange(self.real.nvals)
        return table

    @cached_property
    def rank_index(self) -> Int:
        """(B, L) step at each place of each row, N where it has ended; L is one of a series. The sink is cut."""
        width = capacity(self.max_row_length, _ROWS)
        table = np.full((self.nrows, width), self.nvals, np.int64)
        inside = np.nonzero(self.ranks < width)[0]
        table[self.value_rowids[inside], self.ranks[inside]] = inside
        return table

    @cached_property
    def mask(self) -> Bool:
        """(B, T) True where the padded array holds a step of a real row."""
        return self.pad_index.reshape(self.nrows, self.padded_length) < self.nvals

    @property
    def counts_of_queries(self) -> Int:
        """(B,) number of queries of each row of pairs; -1 of rows of steps."""
        made = np.full(self.nrows, -1)
        if isinstance(self.real, PairRows):
            made[: self.real.nrows] = self.real.counts_of_queries
        return made

    @property
    def room(self) -> Room:
        """How large rows of these sizes can be."""
        return Room(self.nrows, self.nvals, self.places)

    def derived(self, how: Derivation, *others: RowPartition) -> RowPartition:
        """As of the real rows, filled up."""
        if not self.has_holes:
            how = how.alike

        def make() -> RowPartition:
            parts = _all_filled((self, *others))
            room = how.room(*(part.room for part in parts))
            return FilledRows(self.real.derived(how, *(part.real for part in parts[1:])), *room)

        return self if how.keeps else self.moved(("derived", how, *weakly(others)), make)

    def scaled(self, factor: int) -> RowPartition:
        """As of the real rows, filled up."""
        made = self.moved(
            ("scaled", factor), lambda: FilledRows(self.real.scaled(factor), self.nrows, self.nvals * factor)
        )
        return made  # type: ignore[no-any-return]

    def pairs(self, keys: RowPartition) -> RowPartition:
        """As of the real rows, filled up."""
        return self._paired_once(keys, FilledPairs)

    def _pairs_with(self, queries: RowPartition) -> RowPartition:
        return queries._paired_once(self, FilledPairs)

    def _taps(self, how: Derivation, *others: RowPartition) -> Taps:
        """As of the real rows; a spare step reads what the first does: it is as finite as the data are."""

        def make() -> Taps:
            parts = _all_filled((self, *others))
            real = self.real._taps(how, *(part.real for part in parts[1:]))
            # Where the real steps of all inputs end to end stand among the filled ones.
            ends = np.cumsum([part.nvals for part in parts])
            steps = [np.arange(part.real.nvals) + end - part.nvals for part, end in zip(parts, ends, strict=True)]
            found = real._replace(steps=np.concatenate([*steps, ends[-1:]])[real.steps])
            size = self.derived(how, *others).nvals
            # Of nothing at all, a mean is over one tap: it divides.
            return Taps(_filled(found.steps, size), _filled(found.inside, size, 1), _filled(found.kernel, size))

        return self.moved(("taps", how, *weakly(others)), make)  # type: ignore[no-any-return]


def _all_filled(parts: tuple[RowPartition, ...]) -> list[FilledRows]:
    assert all(isinstance(part, FilledRows) for part in parts)
    return [part for part in parts if isinstance(part, FilledRows)]


def _filled(array: Int, size: int, otherwise: int = 0) -> Int:
    """An array with its first entry in all spare places; another number where there is no entry."""
    first = array[:1] if len(array) else np.full((1, *array.shape[1:]), otherwise)
    return np.concatenate([array, np.repeat(first, size - len(array), axis=0)])


class FilledPairs(FilledRows, PairRows):
    """The pairs of two partitions of a batch, filled up to a size.

    Args:
        queries: filled rows; or rows of one length, of an array of as many rows.
        keys: likewise.
    """

    def __init__(self, queries: RowPartition, keys: RowPartition) -> None:
        nrows = next(rows.real.nrows for rows in (queries, keys) if isinstance(rows, FilledRows))
        one, other = (
            rows.real if isinstance(rows, FilledRows) else RowPartition.uniform(nrows, rows.padded_length)
            for rows in (queries, keys)
        )
        real = one.pairs(other)
        assert isinstance(real, PairRows)
        FilledRows.__init__(self, real, queries.nrows, max(capacity(real.nvals, _STEPS), _STEPS))
        self.queries, self.keys, self._pairs = queries, keys, real

    def _spared(self, index: Int, spare: int) -> Int:
        return np.concatenate([index, np.full(self.nvals - self.real.nvals, spare)])

    @cached_property
    def query_index(self) -> Int:
        """(P,) as of the real pairs; N for a spare one."""
        return self._spared(self._pairs.query_index, self.queries.nvals)

    @cached_property
    def key_index(self) -> Int:
        """(P,) as of the real pairs; the first for a spare one."""
        return self._spared(self._pairs.key_index, 0)

    @cached_property
    def query_ranks(self) -> Int:
        """(P,) as of the real pairs; 0 for a spare one."""
        return self._spared(self._pairs.query_ranks, 0)

    @cached_property
    def key_ranks(self) -> Int:
        """(P,) as of the real pairs; 0 for a spare one."""
        return self._spared(self._pairs.key_ranks, 0)


class Source(Protocol):
    """Where the arrays of traced rows come from.

    Attributes:
        live: (B,) bool, False for rows that only fill the batch up; None where the function is told otherwise.
        counts: (inputs + 1,) how many steps of each input, and how many rows, are real; None likewise.
    """

    live: Any
    counts: Any

    def array(self, input_name: int, path: Path, how: str, name: str, arguments: tuple[Hashable, ...]) -> Any:
        """An array ("index"), or arrays by name ("plan")."""

    def number(self, input_name: int, path: Path, name: str) -> int:
        """A size that is then part of what the function was compiled for."""


class Origin(NamedTuple):
    """Where rows come from.

    Attributes:
        input_name: number of the input's rows among those of the batch.
        path: how the rows came of them.
    """

    input_name: int
    path: Path


class Sizes(NamedTuple):
    """What is known of rows before the numbers are.

    Attributes:
        nrows: B.
        nvals: N.
    """

    nrows: int
    nvals: int


class TracedRows(RowPartition):
    """Rows inside of a compiled function.

    Args:
        sizes: what is known of them.
        source: gives their arrays.
        input_name: number of the input's rows among those of the batch.
        path: how these rows came of them.
    """

    def __init__(self, sizes: Sizes, source: Source | None, input_name: int, path: Path = ()) -> None:
        self.sizes, self.input_name, self.path = sizes, input_name, path
        # Rows that leave the function keep nothing of it alive: its arrays mean nothing outside.
        self._source = None if source is None else weakref.ref(source)
        self._moved: dict[Any, Any] = {}

    @property
    def source(self) -> Source:
        """Where the arrays come from."""
        found = None if self._source is None else self._source()
        if found is None:
            raise BackendError(
                explain(
                    "rows that came out of a compiled function",
                    expected="the batch that they belong to, to say how long they are",
                    got="sizes alone",
                    fix="batch.cut(output) gives the output on the host; or compute with it inside of the function",
                )
            )
        return found

    @property
    def row_splits(self) -> Int:  # type: ignore[override]
        """Not known here, and with it nothing that the host makes of it."""
        self._unknown("the lengths of rows")

    @property
    def known(self) -> bool:
        """Not here."""
        return False

    def _unknown(self, what: str) -> NoReturn:
        raise BackendError(
            explain(
                f"{what}, inside of a compiled step",
                expected="index arrays of the backend: backend.index(rows, 'row_lengths')",
                got="numbers of the host, which are not there before a batch is",
                fix="backend.index(x.rows, name), row_sum, row_mean, spread and the like; or compile(run_eagerly=True)",
            )
        )

    @property
    def nrows(self) -> int:
        """B of the filled batch."""
        return self.sizes.nrows

    @property
    def live_rows(self) -> int:
        """Not known here."""
        self._unknown("the number of live rows")

    @cached_property
    def nvals(self) -> int:
        """N of the filled batch."""
        return self.sizes.nvals

    def _number(self, name: str) -> int:
        """A size that the function is compiled for once it has asked."""
        return self.source.number(self.input_name, self.path, name)

    @property
    def has_holes(self) -> bool:
        """Whether steps in the middle of rows are masked."""
        return bool(self._number("has_holes"))

    @property
    def came_padded(self) -> bool:
        """Whether the rows came from a padded array."""
        return bool(self._number("came_padded"))

    @cached_property
    def is_uniform(self) -> bool:
        """Never: no such thing is known before."""
        return False

    @property
    def has_one_length(self) -> bool:
        """Whether every real row holds all steps of a padded array."""
        return bool(self._number("has_one_length"))

    @cached_property
    def padded_length(self) -> int:
        """T of the padded array."""
        return self._number("padded_length")

    def same_steps(self, other: RowPartition) -> bool:
        """Whether both came of the same input in the same way."""
        mine = (self.input_name, self.path, self.sizes)
        return isinstance(other, TracedRows) and mine == (other.input_name, other.path, other.sizes)

    def same_lengths(self, other: RowPartition) -> bool:
        """As `same_steps`: a batch keeps but one of several inputs with the same rows."""
        return self.same_steps(other)

    @property
    def room(self) -> Room:
        """How large rows of these sizes can be."""
        return Room(self.nrows, self.nvals, self._number("places"))

    def derived(self, how: Derivation, *others: RowPartition) -> RowPartition:
        """As outside, with sizes alone."""
        if how.keeps:
            return self
        if not self.has_holes:
            how = how.alike
        origins = [_origin(other) for other in others]
        room = how.room(self.room, *(other.room for other in others if isinstance(other, TracedRows)))
        path = (*self.path, ("derived", how, *origins))
        return TracedRows(Sizes(room.nrows, room.nvals), self.source, self.input_name, path)

    def scaled(self, factor: int) -> RowPartition:
        """As outside, with sizes alone."""
        sizes = Sizes(self.nrows, self.nvals * factor)
        return TracedRows(sizes, self.source, self.input_name, (*self.path, ("scaled", factor)))

    def pairs(self, keys: RowPartition) -> RowPartition:
        """As outside, with sizes alone."""
        if isinstance(keys, TracedRows):
            return self._paired(self, keys, ("pairs", Origin(keys.input_name, keys.path)))
        return self._paired(self, keys, ("pairs_with_array", keys.padded_length, True))

    def _pairs_with(self, queries: RowPartition) -> RowPartition:
        if isinstance(queries, TracedRows):
            return queries.pairs(self)
        return self._paired(queries, self, ("pairs_with_array", queries.padded_length, False))

    def _paired(self, queries: RowPartition, keys: RowPartition, step: tuple[Any, ...]) -> RowPartition:
        path = (*self.path, step)
        size = self.source.number(self.input_name, path, "nvals")
        return TracedPairs(queries, keys, Sizes(self.nrows, size), self.source, self.input_name, path)

    def arrays(self, how: str, name: str, *arguments: Hashable) -> Any:
        """What the host made of these rows.

        Args:
            how: "index" for an array of the partition, "plan" for the arrays of a plan.
            name: of it.
            *arguments: of the method or function.

        Returns:
            An array, or arrays by name.
        """
        asked = tuple(_origin(part) if isinstance(part, RowPartition) else part for part in arguments)
        return self.source.array(self.input_name, self.path, how, name, asked)

    def bare(self) -> TracedRows:
        """The same without arrays, to be returned from a compiled function."""
        return TracedRows(self.sizes, None, self.input_name, self.path)

    def __hash__(self) -> int:
        return hash((self.sizes, self.input_name, self.path))

    def __eq__(self, other: object) -> bool:
        # The source, too: JAX takes what is equal here for interchangeable, and arrays of another batch are not.
        return isinstance(other, TracedRows) and self.same_steps(other) and self._source == other._source

    @property
    def lengths_text(self) -> str:
        """What is known, to be shown."""
        return f"up to {self.nvals} in all"

    def __repr__(self) -> str:
        return f"TracedRows(up to {self.nrows} rows, up to {self.nvals} steps)"


def _origin(rows: RowPartition) -> Origin:
    """Where rows come from, to find them again outside."""
    if not isinstance(rows, TracedRows):
        raise BackendError(
            explain(
                "rows behind or beside those of a compiled step",
                expected="rows of its inputs",
                got=repr(rows),
                fix="hand the other value in as an input of the model, or compile(run_eagerly=True)",
            )
        )
    return Origin(rows.input_name, rows.path)


class TracedPairs(TracedRows, PairRows):
    """Pairs inside of a compiled function.

    Args:
        queries: traced rows; or rows of one length, of an array of as many rows.
        keys: likewise.
        sizes: as of `TracedRows`.
        source: as of `TracedRows`.
        input_name: as of `TracedRows`.
        path: as of `TracedRows`.
    """

    def __init__(
        self,
        queries: RowPartition,
        keys: RowPartition,
        sizes: Sizes,
        source: Source | None,
        input_name: int,
        path: Path,
    ) -> None:
        TracedRows.__init__(self, sizes, source, input_name, path)
        self.queries, self.keys = queries, keys


def follow(inputs: Sequence[RowPartition], at: int, path: Path) -> RowPartition:
    """Walk from the rows of an input to rows that came of them.

    Args:
        inputs: rows of all inputs.
        at: number of the input.
        path: names and arguments of methods.

    Returns:
        The rows.
    """
    rows = inputs[at]
    for name, *arguments in path:
        step: Callable[..., RowPartition] = getattr(rows, name)
        rows = step(*found(inputs, arguments))
    return rows


def found(inputs: Sequence[RowPartition], arguments: Sequence[Hashable]) -> list[Any]:
    """Arguments with rows in place of where these come from.

    Args:
        inputs: rows of all inputs.
        arguments: of a method of rows.

    Returns:
        The arguments.
    """
    return [follow(inputs, *part) if isinstance(part, Origin) else part for part in arguments]
