"""From what a user has to batches: lists, Ragged, padded arrays, tensors, and anything that yields batches."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from padless import backends
from padless.data import tables
from padless.data.loading import iterated, structure
from padless.data.parquet import ParquetRows
from padless.data.plan import EpochPlan, Planner
from padless.errors import ArgumentError, DataError, DTypeError, PadlessError, explain
from padless.forms import as_texts, narrowed
from padless.layer import Layer, mask_finder
from padless.ragged import Ragged
from padless.rows import RowPartition

Int = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
RankOf = Callable[[int | str], int | None]


class EmptyRowsWarning(UserWarning):
    """Some rows of the data have no steps: texts whose words are all unknown, for example."""


class Batch(NamedTuple):
    """What one training step reads.

    Attributes:
        x: the input: a Ragged, an array, or a tuple or dict of these.
        y: the targets, or None; a dict by output, where there are several.
        weight: weights per row or per step, or None; or a dict by output.
        rows: (B,) index of each row in the data, or None when they came in a stream.
        room: the most rows and steps that any batch of the epoch has, where that is known.
    """

    x: Any
    y: Any = None
    weight: Any = None
    rows: Int | None = None
    room: tuple[int, int] | None = None

    @property
    def nrows(self) -> int:
        """Number of rows."""
        return count_rows(self.x)

    @property
    def nsteps(self) -> int:
        """Number of real steps; of rows, where the input has no steps."""
        return count_steps(self.x)

    @property
    def nplaces(self) -> int:
        """Number of steps that a padded batch would have."""
        return count_places(self.x)


def count_rows(x: Any) -> int:
    """Number of rows of an input.

    Args:
        x: a Ragged, an array, or a tuple, list or dict of these.

    Returns:
        B.
    """
    if isinstance(x, dict):
        return count_rows(next(iter(x.values())))
    if isinstance(x, tuple):
        return count_rows(x[0])
    return len(x)


def count_places(x: Any) -> int:
    """What a library that pads to the longest row would compute in the place of the steps.

    Args:
        x: a Ragged, an array, or a tuple, list or dict of these.

    Returns:
        Rows times the longest, of the input with the most of them; for an array the number of its steps.
    """
    if isinstance(x, dict):
        return max(count_places(value) for value in x.values())
    if isinstance(x, tuple):
        return max(count_places(value) for value in x)
    if not isinstance(x, Ragged):
        return count_steps(x)
    places, part = len(x), x  # type: int, Any
    while isinstance(part, Ragged):
        places, part = places * part.rows.max_row_length, part.values
    return places


def count_steps(x: Any) -> int:
    """Number of real steps of an input.

    Args:
        x: a Ragged, an array, or a tuple, list or dict of these.

    Returns:
        N, the innermost of rows within rows; for an array, rows times its second axis.
    """
    if isinstance(x, dict):
        return max(count_steps(value) for value in x.values())
    if isinstance(x, tuple):
        return max(count_steps(value) for value in x)
    if isinstance(x, Ragged):
        return len(x.flat_values)
    shape: tuple[int, ...] = tuple(getattr(x, "shape", (len(x),)))
    return int(shape[0]) * (int(shape[1]) if len(shape) > 2 or (len(shape) == 2 and x.dtype.kind in "iu") else 1)


class Column(Protocol):
    """One input or target of all rows."""

    nrows: int

    def take(self, rows: Int) -> Any:
        """The entries of some rows."""


class RaggedColumn:
    """Sequences of unequal length, packed once."""

    def __init__(self, data: Ragged) -> None:
        self.data = data
        self.nrows = len(data)

    def take(self, rows: Int) -> Any:
        """The sequences of some rows; all in their order are the data themselves, which nobody changes."""
        return self.data if len(rows) == self.nrows and (rows == np.arange(self.nrows)).all() else self.data[rows]

    def lengths(self) -> Int:
        """(B,) steps of each row, the innermost of rows within rows."""
        splits, inner = self.data.rows.row_splits, self.data.values
        while isinstance(inner, Ragged):
            splits, inner = inner.rows.row_splits[splits], inner.values
        return np.diff(splits)


class ArrayColumn:
    """An array whose first axis is the rows."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.nrows = int(data.shape[0])

    def take(self, rows: Int) -> Any:
        """The entries of some rows."""
        return self.data[rows]


class PaddedColumn(ArrayColumn):
    """A padded array in front of a layer that finds the padding: packed on the host, batch by batch.

    Args:
        data: (B, T, ...); (B, S, W, ...) where the layer reads rows within rows.
        layer: the layer.
    """

    def __init__(self, data: Any, layer: Layer) -> None:
        super().__init__(data)
        self.layer = layer
        self._finder, self._axes = mask_finder(layer)

    def mask(self, x: Any) -> Bool:
        """(B, T) where the steps of some rows are real; (B, S, W) for rows within rows."""
        if _reads_host_steps(self._finder):
            return _live_places(self._finder, x, 1 + self._axes)
        backend = self.layer.backend
        mask = self.layer.compute_mask(backend.asarray(x))  # type: ignore[attr-defined]
        return np.asarray(backend.to_host(mask))

    def take(self, rows: Int) -> Any:
        """The sequences of some rows."""
        x = self.data[rows]
        return Ragged.from_padded(x, self.mask(x))

    def lengths(self) -> Int:
        """(B,) steps of each row."""
        blocks = [self.mask(self.data[at : at + 4096]) for at in range(0, self.nrows, 4096)]
        counts = [live.sum(axis=tuple(range(1, live.ndim))) for live in blocks]
        return np.concatenate([np.zeros(0, np.int64), *counts])


def _reads_host_steps(layer: Layer) -> bool:
    """Whether a layer's `compute_mask` takes rows of NumPy; one that a user wrote gets padded arrays of the backend."""
    return not layer._computes_mask and layer.dtype in ("float16", "float32", "float64")


def _live_steps(layer: Layer, values: npt.NDArray[Any]) -> Bool:
    """(N,) which packed steps a layer calls real; found on the host in the layer's dtype, block by block."""
    found = []
    for at in range(0, len(values), 65_536):
        block = values[at : at + 65_536]
        if block.dtype.kind == "f":
            block = block.astype(layer.dtype, copy=False)
        steps = Ragged(block, RowPartition.uniform(1, len(block)))
        found.append(layer.compute_mask(steps).values)  # type: ignore[attr-defined]
    return np.concatenate(found) if found else np.zeros(0, np.bool_)


def _live_places(finder: Layer, x: npt.NDArray[Any], axes: int) -> Bool:
    """Which places of an array are real, its first axes telling the place."""
    found = _live_steps(finder, x.reshape(math.prod(x.shape[:axes]), *x.shape[axes:]))
    return found.reshape(*x.shape[:axes], *found.shape[1:])


def _without_masked_steps(data: Ragged, layer: Layer | None) -> Ragged:
    """What the layer will make of the rows anyway, made once, so that no training step has to look for holes."""
    if layer is None:
        return data
    finder, axes = mask_finder(layer)
    values = data.flat_values
    within = max(axes - data.ragged_rank, 0)
    if not _reads_host_steps(finder) or values.ndim <= within:
        return data
    live = _live_places(finder, values, 1 + within)
    if live.ndim == 1:
        return narrowed(data, live, finder.place)
    return data.with_flat_values(Ragged.from_padded(values, live))


def column(what: str, data: Any, mask_maker: Layer | None = None, ragged_rank: int | None = None) -> Column:
    """Make a column of what a user gives.

    Args:
        what: such as "x", for errors.
        data: a list of sequences or of numbers, a Ragged, an array, a tensor (a jagged one, too), or a column or table
            that `tables.read` knows.
        mask_maker: the layer that finds padding, if data are the input of one.
        ragged_rank: how many axes after the first vary in a list, where that is known.

    Returns:
        The column, without the steps that the layer masks.

    Raises:
        DTypeError: when it is nothing of the kind.
    """
    data = tables.read(data, what, ragged_rank)
    if isinstance(data, Ragged):
        return RaggedColumn(_without_masked_steps(data.numpy(), mask_maker))
    texts = as_texts(data)
    if texts is not None:
        # They stay on the host, for a layer that reads them.
        return ArrayColumn(texts)
    if isinstance(data, list | tuple):
        if any(hasattr(item, "__len__") or getattr(item, "ndim", 0) for item in data):
            ragged = Ragged.from_list([_on_host(item) for item in data], ragged_rank=ragged_rank).numpy()
            return RaggedColumn(_without_masked_steps(ragged, mask_maker))
        return ArrayColumn(np.asarray(data))
    if getattr(data, "is_nested", False):
        return column(what, Ragged.from_nested(data), mask_maker)
    if getattr(data, "dtype", None) == np.dtype(object):
        return column(what, list(data), mask_maker, ragged_rank)
    if not getattr(data, "ndim", 0):
        raise DTypeError(
            explain(
                what,
                expected="a list of sequences, a Ragged or an array",
                got=type(data).__name__,
                fix="np.asarray(data)",
            )
        )
    host = backends.of(data).to_host(data)
    if host.dtype == np.float64:
        host = host.astype(np.float32)
    if mask_maker is not None and host.ndim > 1:
        padded = PaddedColumn(host, mask_maker)
        if host.ndim >= mask_finder(mask_maker)[1] + 1:  # else the layer itself says what is wrong
            return padded
    return ArrayColumn(host)


def _on_host(item: Any) -> Any:
    if isinstance(item, Ragged):
        return item.numpy()
    return np.asarray(backends.of(item).to_host(item)) if hasattr(item, "shape") else item


class Planned:
    """A source of rows that can be planned before they are read.

    Args:
        planner: deals its rows.

    Attributes:
        planner: deals its rows.
    """

    def __init__(self, planner: Planner) -> None:
        self.planner = planner

    @property
    def nrows(self) -> int:
        """Number of rows."""
        return self.planner.nrows

    def __len__(self) -> int:
        """Number of batches of the epoch planned last; before the first, of one in the order of the rows."""
        return len(self.planner)

    def batches(self, plan: EpochPlan) -> Generator[Batch]:
        """Make the batches of a plan one by one, from the first that was not given out yet.

        Args:
            plan: it counts them.

        Returns:
            The batches, on the host.
        """
        raise NotImplementedError

    def epoch(self) -> Generator[Batch]:
        """Make the batches of an epoch in the order of the rows.

        Returns:
            The batches.
        """
        return self.batches(self.planner.plan())

    def name_of(self, row: int) -> str:
        """Name a row in errors.

        Args:
            row: its index in the data.

        Returns:
            Such as "row 3".
        """
        return f"row {row}"

    def warn_of_empty_rows(self) -> None:
        """Warn, with their number and the index of the first, when rows of the input have no steps."""


class Table(Planned):
    """Rows that are all at hand.

    Args:
        x: the inputs: one, or a tuple or dict for a model with several.
        y: the targets, or None; a dict by output, where there are several.
        weight: (B,) weights, or weights per step, or None; or a dict by output.
        batch_size: rows of a batch.
        mask_maker: the layer that finds padding, if the model begins with one.
        max_tokens: steps that a batch may hold, instead of batch_size; of several inputs, the longest of a row counts.
        ragged_rank: says how many axes after the first vary in the list of an input, by its number or name.
        steps: batches of an epoch; None for all.
        length_grouping: batches among whose rows those of like lengths are put together; 0 for none.

    Raises:
        DataError: when counts differ, or there are no rows, or a row is longer than max_tokens.
        ArgumentError: when max_tokens is given and no input has rows of unequal length.
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        weight: Any = None,
        batch_size: int = 32,
        mask_maker: Layer | None = None,
        max_tokens: int | None = None,
        ragged_rank: RankOf | None = None,
        steps: int | None = None,
        length_grouping: int = 0,
    ) -> None:
        # Targets and weights of several outputs are a dict; a tuple of them is a list of numbers.
        self.inputs: Any = _columns("x", x, mask_maker, ragged_rank)
        self.targets: Any = None if y is None else _columns("y", list(y) if isinstance(y, tuple) else y)
        self.weights: Any = (
            None if weight is None else _columns("sample_weight", list(weight) if isinstance(weight, tuple) else weight)
        )
        _refuse_texts(_named("y", self.targets) | _named("sample_weight", self.weights))
        columns = {**_named("x", self.inputs), **_named("y", self.targets), **_named("sample_weight", self.weights)}
        counts = {name: part.nrows for name, part in columns.items()}
        if len(set(counts.values())) != 1:
            raise DataError(
                explain(
                    "the data",
                    expected="as many rows in each part",
                    got=", ".join(f"{count} in {name}" for name, count in counts.items()),
                    fix="one target (and one weight) for each sequence; a tuple of the inputs of a subclassed model",
                )
            )
        nrows = next(iter(counts.values()))
        if not nrows:
            raise DataError(
                explain("the data", expected="at least one row", got="none", fix="check how the data were read")
            )
        self._columns = columns
        super().__init__(
            Planner(
                nrows,
                _lengths_of(self._ragged()),
                batch_size=batch_size,
                max_tokens=max_tokens,
                steps=steps,
                length_grouping=length_grouping,
            )
        )

    def _ragged(self) -> dict[str, RaggedColumn | PaddedColumn]:
        """The inputs that have rows of unequal length, by name."""
        return {
            name: part
            for name, part in self._columns.items()
            if name.startswith("x") and isinstance(part, RaggedColumn | PaddedColumn)
        }

    def warn_of_empty_rows(self) -> None:
        """Warn, with their number and the index of the first, when rows of the input have no steps."""
        for name, part in self._ragged().items():
            empty = np.nonzero(part.lengths() == 0)[0]
            if len(empty):
                warnings.warn(
                    f"{len(empty)} of {self.nrows} rows of {name} have no steps; the first is row {empty[0]}. "
                    "They are legal: sums, means, maxima over none give 0, recurrent layers their initial state.",
                    EmptyRowsWarning,
                    stacklevel=4,
                )

    def batch(self, rows: Int) -> Batch:
        """Make a batch of some rows.

        Args:
            rows: their indices.

        Returns:
            The batch, on the host.
        """
        x, y, weight = (
            _in_each(tree, lambda _, part: part.take(rows)) for tree in (self.inputs, self.targets, self.weights)
        )
        return Batch(x, y, weight, rows, self.planner.room)

    def batches(self, plan: EpochPlan) -> Generator[Batch]:
        """Make the batches of a plan one by one.

        Args:
            plan: it counts them.

        Yields:
            The batches, on the host.
        """
        for rows in plan[plan.done :]:
            plan.done += 1
            yield self.batch(rows)

    def hollow(self) -> Table:
        """The same rows without the features of their steps: enough to see how long they are.

        Returns:
            A table whose batches hold the same rows as those of this one.
        """
        made = copy.copy(self)
        made.inputs = _in_each(self.inputs, lambda _, part: _hollow(part))
        return made

    def split(self, fraction: float) -> tuple[Table, Table]:
        """Cut the last rows off, before any shuffling, as Keras does.

        Args:
            fraction: share of the rows that is cut off.

        Returns:
            The rest and the part that was cut off.

        Raises:
            DataError: when one of them would be empty.
        """
        at = int(self.nrows * (1 - fraction))
        if not 0 < at < self.nrows:
            raise DataError(
                explain(
                    f"validation_split={fraction}",
                    expected="a share that leaves rows on both sides",
                    got=f"{self.nrows} rows, cut at {at}",
                    fix="validation_split=0.2, or more data",
                )
            )
        return self._part(np.arange(at)), self._part(np.arange(at, self.nrows))

    def _part(self, rows: Int) -> Table:
        part = copy.copy(self)
        picked = {name: _cut(col, rows) for name, col in self._columns.items()}
        part._columns = picked
        part.planner = self.planner.part(rows, _lengths_of(part._ragged()))
        part.inputs = _in_each(self.inputs, lambda at, _: picked[f"x{at}"])
        part.targets = _in_each(self.targets, lambda at, _: picked[f"y{at}"])
        part.weights = _in_each(self.weights, lambda at, _: picked[f"sample_weight{at}"])
        return part


def _in_each(tree: Any, function: Callable[[str, Any], Any]) -> Any:
    """Call function(place, column) for one column, or each of a tuple or dict of them."""
    return with_keys(tree, lambda key, part: function("" if key is None else f"[{key!r}]", part))


def with_keys(tree: Any, function: Callable[[int | str | None, Any], Any]) -> Any:
    """Call a function for one thing, or for each of a tuple or dict of them.

    Args:
        tree: the things, or None.
        function: function(key, thing), the key being the number or the name; None for the only one.

    Returns:
        What it returned, in the same form.
    """
    if tree is None:
        return None
    if isinstance(tree, tuple):
        return tuple(function(at, part) for at, part in enumerate(tree))
    if isinstance(tree, dict):
        return {key: function(key, part) for key, part in tree.items()}
    return function(None, tree)


def _columns(what: str, data: Any, mask_maker: Layer | None = None, ragged_rank: RankOf | None = None) -> Any:
    """Columns of what a user gives: one, or a tuple or dict."""

    def made(key: int | str | None, part: Any) -> Column:
        rank = None if ragged_rank is None else ragged_rank(0 if key is None else key)
        return column(what if key is None else f"{what}[{key!r}]", part, mask_maker, rank)

    return with_keys(data, made)


def _named(what: str, tree: Any) -> dict[str, Column]:
    """The columns by their names in errors."""
    found: dict[str, Column] = {}
    _in_each(tree, lambda at, part: found.setdefault(f"{what}{at}", part))
    return found


def _lengths_of(columns: dict[str, RaggedColumn | PaddedColumn]) -> Callable[[], Int] | None:
    """What gives (B,) steps of each row, of several columns the most; None where no column has rows."""
    parts = list(columns.values())
    return (lambda: np.max([part.lengths() for part in parts], axis=0)) if parts else None


def _refuse_texts(columns: dict[str, Column]) -> None:
    """Targets and weights are numbers; nothing in a model could read texts."""
    for name, part in columns.items():
        if isinstance(part, ArrayColumn) and part.data.dtype == object:
            raise DTypeError(
                explain(
                    name,
                    expected="numbers",
                    got=f"{part.data.reshape(-1)[0]!r} in row 0",
                    fix="layers.StringLookup(num_oov_indices=0), adapted to them, makes class numbers of names",
                )
            )


def _hollow(col: Column) -> Column:
    if isinstance(col, RaggedColumn) and col.data.flat_values.ndim > 1:
        return RaggedColumn(col.data.with_flat_values(col.data.flat_values[:, :0]))
    return col


def _cut(col: Any, rows: Int) -> Any:
    if isinstance(col, RaggedColumn):
        return RaggedColumn(col.data[rows])
    if isinstance(col, PaddedColumn):
        return PaddedColumn(col.data[rows], col.layer)
    return ArrayColumn(col.data[rows])


class Stream:
    """Batches that come one by one, from a generator, a DataLoader or anything else that can be iterated.

    Args:
        source: yields x, (x, y) or (x, y, sample_weight).
        steps: batches of an epoch; needed for a generator without end.
        mask_maker: the layer that finds padding in padded arrays, if the model begins with one.
        ragged_rank: as of `Table`.
        named: named(y, weight) gives both by the names of the outputs.

    Attributes:
        once: whether the source can be read only once, as a generator.
    """

    def __init__(
        self,
        source: Iterable[Any],
        steps: int | None = None,
        mask_maker: Layer | None = None,
        ragged_rank: RankOf | None = None,
        named: Callable[[Any, Any], tuple[Any, Any]] | None = None,
    ) -> None:
        self.source = source
        self.named = named
        self.steps = steps
        self.ragged_rank = ragged_rank
        self.mask_maker = mask_maker
        self._iterator: Iterator[Any] | None = None
        self.once = hasattr(source, "__iter__") and not hasattr(source, "as_numpy_iterator") and iter(source) is source
        self._first: str | None = None
        self._epoch = 0

    def __len__(self) -> int:
        """Number of batches of an epoch, 0 if nobody knows."""
        if self.steps is not None:
            return self.steps
        try:
            return len(self.source)  # type: ignore[arg-type]
        except TypeError:  # tf.data has a length only where it knows it
            return 0

    def warn_of_empty_rows(self) -> None:
        """Nothing is known of rows to come."""

    def name_of(self, row: int) -> str:
        """As of rows that are all at hand."""
        return f"row {row}"

    def epoch(self, shuffle: np.random.Generator | None = None) -> Generator[Batch]:
        """Give the batches of one epoch.

        Args:
            shuffle: draws the order of batches that are asked for by number; others come as they come.

        Yields:
            The batches.

        Raises:
            DataError: when the source ends before the epoch does, or yields nothing at all.
        """
        if self._iterator is None or not (self.once or self.steps):
            self._iterator = iterated(self.source, shuffle)
        self._epoch += 1
        done = 0
        while self.steps is None or done < self.steps:
            try:
                item = next(self._iterator)
            except StopIteration:
                if self.steps is not None and not self.once and done == 0:
                    self._iterator = iterated(self.source, shuffle)
                    item = next(self._iterator, None)
                    if item is None:
                        break
                elif self.steps is None and done:
                    return
                else:
                    break
            done += 1
            yield self._checked(item, f"batch {done - 1} of epoch {self._epoch}")
        if self.steps is None or done < self.steps:
            raise DataError(
                explain(
                    "the batches of an epoch",
                    expected=f"{self.steps} batches" if self.steps else "at least one batch",
                    got=f"{done}, then the generator ended",
                    fix="let it run on (while True: ...), or give fewer steps_per_epoch or epochs; "
                    "the training so far is kept in the weights and in model.history",
                )
            )

    def _checked(self, item: Any, place: str) -> Batch:
        """A batch, which is made of the same as the first one; weights may be there or not."""
        try:
            batch = self._batch(item)
        except PadlessError as wrong:
            raise wrong.inside(place) from None
        made = structure((batch.x, batch.y))
        if self._first is None:
            self._first = made
        if made != self._first and batch.nsteps:
            raise DataError(
                explain(
                    place,
                    expected=f"x and y as in the first batch: {self._first}",
                    got=made,
                    fix="yield the same parts each time, with the same features; "
                    "the training so far is kept in the weights and in model.history",
                )
            )
        return batch

    def _batch(self, item: Any) -> Batch:
        parts = item if isinstance(item, tuple) else (item,)
        if not 1 <= len(parts) <= 3:
            raise DataError(
                explain(
                    "a batch",
                    expected="x, (x, y) or (x, y, sample_weight)",
                    got=f"a tuple of {len(parts)}",
                    fix="yield x, y",
                )
            )
        x, y, weight = (*parts, None, None)[:3]
        if self.named is not None:
            y, weight = self.named(y, weight)
        table = Table(x, y, weight, mask_maker=self.mask_maker, ragged_rank=self.ragged_rank)
        return table.batch(np.arange(table.nrows))._replace(rows=None)


Source = Planned | Stream


def yields_batches(x: Any) -> bool:
    """Whether data are a source of batches, such as a generator, and not rows.

    Args:
        x: what `fit` was given.

    Returns:
        True for what can only be iterated, or gives batches by number.
    """
    rows = isinstance(x, list | tuple | dict | Ragged) or hasattr(x, "shape") or tables.is_columnar(x)
    by_number = hasattr(x, "__getitem__") and hasattr(x, "__len__")
    return not rows and (hasattr(x, "__iter__") or by_number)


def source_of(
    x: Any,
    y: Any,
    weight: Any,
    *,
    batch_size: int | None,
    steps: int | None,
    mask_maker: Layer | None,
    several: bool,
    max_tokens: int | None = None,
    ragged_rank: RankOf | None = None,
    named: Callable[[Any, Any], tuple[Any, Any]] | None = None,
    length_grouping: int | None = None,
) -> Source:
    """Make a source of batches of the arguments of `fit`.

    Args:
        x: the inputs, or something that yields batches.
        y: the targets.
        weight: the sample weights.
        batch_size: rows of a batch; 32 by default.
        steps: batches of an epoch, or None for all.
        mask_maker: the layer that finds padding, if the model begins with one.
        several: whether the model has several inputs, so that a list is a list of inputs.
        max_tokens: steps that a batch may hold, instead of batch_size.
        ragged_rank: as of `Table`.
        named: named(y, weight) gives targets and weights by the names of the outputs.
        length_grouping: batches among whose rows those of like lengths are put together; None or 0 for none.

    Returns:
        The source.

    Raises:
        ArgumentError: when max_tokens is no number of steps, or stands beside what it cannot go with.
        DataError: when a generator has targets beside it, or the data cannot be a table.
    """
    if max_tokens is not None:
        _check_max_tokens(max_tokens, batch_size)
    if length_grouping:
        _check_length_grouping(length_grouping)
    if several and isinstance(x, list):
        x = tuple(x)
    if isinstance(x, ParquetRows):
        _refuse_beside("ParquetRows", "ParquetRows(path, x=..., y=..., weight=...)", y, weight)
        rule = {"max_tokens": max_tokens, "steps": steps, "length_grouping": length_grouping or 0}
        return _of_files(x, mask_maker, named, batch_size=32 if batch_size is None else batch_size, **rule)
    if not yields_batches(x):
        if named is not None:
            y, weight = named(y, weight)
        size = 32 if batch_size is None else batch_size
        return Table(x, y, weight, size, mask_maker, max_tokens, ragged_rank, steps, length_grouping or 0)
    if max_tokens is not None or length_grouping:
        raise ArgumentError(
            explain(
                f"length_grouping={length_grouping}" if max_tokens is None else f"max_tokens={max_tokens}",
                expected="data that are all at hand",
                got="a source of ready batches",
                fix="yield batches of the size that you want, or give lists or a Ragged",
            )
        )
    _refuse_beside("a generator", "yield x, y", y, weight)
    return Stream(x, steps, mask_maker, ragged_rank, named)


def _of_files(
    rows: ParquetRows,
    mask_maker: Layer | None,
    named: Callable[[Any, Any], tuple[Any, Any]] | None,
    **rule: Any,
) -> Planned:
    """Rows in files as a source, their targets and weights named by the outputs."""
    from padless.data.streaming import RowGroups

    y, weight = (rows.y, rows.weight) if named is None else named(rows.y, rows.weight)
    return RowGroups(rows, mask_maker, y, weight, **rule)


def _refuse_beside(source: str, fix: str, y: Any, weight: Any) -> None:
    if y is not None or weight is not None:
        got = "y= or sample_weight= beside it"
        raise DataError(explain("fit", expected=f"targets inside the batches of {source}", got=got, fix=fix))


def _check_length_grouping(length_grouping: Any) -> None:
    whole = isinstance(length_grouping, int | np.integer) and not isinstance(length_grouping, bool)
    if not whole or length_grouping < 1:
        got, fix = repr(length_grouping), "length_grouping=50"
        raise ArgumentError(explain("length_grouping", expected="a number of batches, from 1 on", got=got, fix=fix))


def _check_max_tokens(max_tokens: Any, batch_size: int | None) -> None:
    if not isinstance(max_tokens, int | np.integer) or isinstance(max_tokens, bool) or max_tokens < 1:
        raise ArgumentError(
            explain("max_tokens", expected="a whole number from 1 on", got=repr(max_tokens), fix="max_tokens=12_000")
        )
    if batch_size is not None:
        raise ArgumentError(
            explain(
                "the size of a batch",
                expected="batch_size or max_tokens",
                got=f"batch_size={batch_size} and max_tokens={max_tokens}",
                fix="leave one of them out",
            )
        )
