"""How long the rows of data are, and what padding would cost: `padless.data.inspect`, `python -m padless inspect`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Sized
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from padless.data.files import TEXT, Block, Measure, choose, no_rows, open_files
from padless.data.histogram import Cost, Histogram, round_up
from padless.errors import ArgumentError, DataError, DTypeError, explain
from padless.forms import as_texts
from padless.text.counting import Tokens, count_tokens

PERCENTILES = (5, 25, 50, 75, 95, 99)


class Place(NamedTuple):
    """A row.

    Attributes:
        row: its index in all of the data.
        name: what people call it: its file, and where in that.
    """

    row: int
    name: str

    def __str__(self) -> str:
        return f"row {self.row:,}" + (f" ({self.name})" if self.name else "")


class Inspection:
    """Lengths of the rows of some data, and what padding would make of them.

    Attributes:
        source: file, folder or type of the data.
        column: the column that was read; "" where there is no choice.
        unit: what is counted: "steps", "words" or "characters".
        histogram: how many rows have how many steps.
        longest: the longest row, the first of them.
        empty_rows: how many rows have no steps.
        first_empty: the first of them, or None.
        null_rows: how many rows are null: not there at all. They count as empty, too.
        first_null: the first of them, or None.
        batch_sizes: rows of a batch, for what padding by batch would cost.
    """

    def __init__(self, source: str, column: str, unit: str, batch_sizes: Sequence[int]) -> None:
        self.source, self.column, self.unit = source, column, unit
        self.batch_sizes = tuple(dict.fromkeys(batch_sizes))
        self.longest = Place(-1, "")
        self.empty_rows = self.null_rows = 0
        self.first_empty: Place | None = None
        self.first_null: Place | None = None
        self._counts: Counter[int] = Counter()
        self._rows, self._most = 0, -1

    def _add(self, block: Block) -> None:
        """Count the rows of a block."""
        lengths = block.lengths
        if not len(lengths):
            return
        self._counts.update(dict(zip(*(part.tolist() for part in np.unique(lengths, return_counts=True)), strict=True)))
        at = int(lengths.argmax())
        if lengths[at] > self._most:
            self._most, self.longest = int(lengths[at]), Place(self._rows + at, block.name(at))
        for name, live in (("empty", lengths == 0), ("null", block.nulls)):
            count = int(live.sum())
            if count and getattr(self, f"first_{name}") is None:
                first = int(live.argmax())
                setattr(self, f"first_{name}", Place(self._rows + first, block.name(first)))
            setattr(self, f"{name}_rows", getattr(self, f"{name}_rows") + count)
        self._rows += len(lengths)

    @cached_property
    def histogram(self) -> Histogram:
        """How many rows have how many steps."""
        return Histogram(self._counts.items())

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.histogram.rows

    @property
    def steps(self) -> int:
        """Number of steps of all rows."""
        return self.histogram.steps

    @property
    def max_tokens(self) -> int:
        """A suggestion for `fit`: as many steps as `batch_sizes[0]` rows have on average, never less than the longest.

        Rounded up to two digits. An epoch then has about as many batches as before, and no batch is much larger than
        another.
        """
        usual = round_up(self.batch_sizes[0] * self.histogram.mean)
        return max(usual, round_up(self.histogram.longest), 1)

    @cached_property
    def costs(self) -> dict[str, Cost]:
        """What an epoch computes, by how the rows are laid out; padless first."""
        rows = self.histogram
        costs = {"padless: no padding": rows.unpadded()}
        costs.update({f"sorted by length, batches of {n}": rows.in_sorted_batches(n) for n in sorted(self.batch_sizes)})
        costs.update({f"shuffled, batches of {n}": rows.in_batches(n) for n in sorted(self.batch_sizes)})
        costs["one padded array"] = rows.in_one_array()
        return costs

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as JSON can hold them.

        Returns:
            A dict. `waste` is the share of the computed steps that is padding.
        """
        rows, real = self.histogram, self.histogram.unpadded()

        def cost(of: Cost) -> dict[str, float]:
            return {"steps": round(of.steps), "attention_pairs": round(of.pairs), "waste": of.waste(real)}

        return {
            "source": self.source,
            "column": self.column,
            "unit": self.unit,
            "rows": self.rows,
            "steps": self.steps,
            "attention_pairs": round(real.pairs),
            "shortest": rows.shortest,
            "mean": rows.mean,
            "median": rows.percentile(50),
            "percentiles": {str(share): rows.percentile(share) for share in PERCENTILES},
            "longest": rows.longest,
            "longest_row": self.longest._asdict(),
            "empty_rows": self.empty_rows,
            "first_empty_row": self.first_empty and self.first_empty._asdict(),
            "null_rows": self.null_rows,
            "first_null_row": self.first_null and self.first_null._asdict(),
            "histogram": [one._asdict() for one in rows.bins()],
            "padded": {
                "one_array": cost(rows.in_one_array()),
                "shuffled_batches": {str(n): cost(rows.in_batches(n)) for n in self.batch_sizes},
                "sorted_batches": {str(n): cost(rows.in_sorted_batches(n)) for n in self.batch_sizes},
            },
            "max_tokens": self.max_tokens,
        }

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the histogram, and what each way of padding would compute.

        Args:
            path: of a file; its ending says the format: .png, .svg, .pdf.

        Raises:
            BackendError: when matplotlib is not installed.
            ArgumentError: when it knows no such format.
        """
        from padless.data.picture import draw

        draw(self, Path(path))

    def __repr__(self) -> str:
        from padless.data.report import plain

        return plain(self)

    def _repr_html_(self) -> str:
        from padless.data.report import html

        return html(self)


def inspect(
    data: Any,
    column: str | None = None,
    *,
    tokens: Tokens = "word",
    batch_size: int | Sequence[int] = 32,
    verbose: bool | None = None,
) -> Inspection:
    """Say how long the rows of data are, what padding would cost, and which `max_tokens` suits them.

    Files are read piece by piece, and nothing is kept but how many rows have which length.

    Args:
        data: a file or a folder: Parquet, JSON lines, CSV, texts (in a folder a file each, else a line each); or the
            rows themselves: a list of sequences or of texts, a Ragged, a column of pandas or polars.
        column: which column to read; None for the only one that holds lists or texts. In a CSV, lists are written as in
            JSON or Python.
        tokens: what to count in texts: "word", as `TextVectorization` splits them by default, or "char".
        batch_size: rows of a padded batch, or several such numbers.
        verbose: whether to show progress on stderr when reading takes long; None where that is a terminal.

    Returns:
        An Inspection; printed, it is a report. Of rows within rows, the outer ones are counted.

    Raises:
        ArgumentError: when there is no such file or column, or several to choose from, or a batch has no rows.
        DataError: when a file has ended early or a row is neither list nor text; it names file, row and column.
        BackendError: for Parquet without pyarrow.

    Example:
        >>> found = inspect([[1, 2, 3], [4], [], [5, 6, 7, 8]], batch_size=2)
        >>> found.rows, found.steps, found.empty_rows, str(found.longest)
        (4, 8, 1, 'row 3')
        >>> round(found.histogram.in_one_array().waste(found.histogram.unpadded()), 2)
        0.5
    """
    sizes = [batch_size] if isinstance(batch_size, int | np.integer) else list(batch_size)
    if not sizes or any(isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1 for size in sizes):
        got, fix = repr(batch_size), "batch_size=32"
        raise ArgumentError(explain("inspect", expected="whole numbers of rows from 1 on", got=got, fix=fix))
    measure = partial(count_tokens, tokens=tokens)
    measure([])  # says at once when there are no such tokens
    unit = {"word": "words", "char": "characters"}[tokens]
    if not isinstance(data, str | os.PathLike):
        texts, blocks = _rows(data, measure)
        return _counted(Inspection(type(data).__name__, "", unit if texts else "steps", sizes), blocks)
    where = str(data)
    try:
        reader = open_files(Path(data), sys.stderr.isatty() if verbose is None else verbose)
        name, kind = choose(reader, column, where)
        found = Inspection(where, "" if reader.rows_are else name, unit if kind == TEXT else "steps", sizes)
        return _counted(found, reader.blocks(name, kind, measure))
    except OSError as error:
        got, fix = error.strerror or str(error), "check its name, and that it may be read"
        raise DataError(explain(str(error.filename or where), expected="a file", got=got, fix=fix)) from error


def _rows(data: Any, measure: Measure) -> tuple[bool, Iterator[Block]]:
    """Whether rows at hand are texts, and their lengths."""
    if isinstance(data, Sized) and not len(data):
        raise no_rows(type(data).__name__)
    values = _texts(data)
    if values is not None:
        nulls = np.array([value is None or value != value for value in values])  # NaN, as pandas has it
        for row, value in enumerate(values):
            if not (isinstance(value, str | bytes) or nulls[row]):
                got, fix = type(value).__name__, "texts in all rows"
                raise DTypeError(explain(f"inspect, row {row}", expected="a text", got=got, fix=fix))
        lengths = measure(["" if null else value for value, null in zip(values, nulls, strict=True)])
        return True, iter([Block(lengths, nulls, lambda at: "")])
    from padless import batching  # which reads plans of this package

    rows = batching.column("data", data)
    if not isinstance(rows, batching.RaggedColumn):
        got, fix = f"{type(data).__name__} without rows of unequal length", "a list of sequences, or a path"
        raise DTypeError(explain("inspect", expected="sequences or texts", got=got, fix=fix))
    lengths = rows.data.rows.row_lengths
    return False, iter([Block(lengths, np.zeros(len(lengths), np.bool_), lambda at: "")])


def _texts(data: Any) -> list[Any] | None:
    """Rows at hand, if they are texts."""
    if isinstance(data, list | tuple):
        return list(data) if any(isinstance(row, str | bytes) for row in data) else None
    texts = as_texts(data)
    return None if texts is None else texts.reshape(-1).tolist()


def _counted(found: Inspection, blocks: Iterable[Block]) -> Inspection:
    for block in blocks:
        found._add(block)
    if not found._counts:
        raise no_rows(found.source)
    return found
