"""Rows in Parquet files, for data larger than memory: what is where, how long it is, and one row group at a time."""

from __future__ import annotations

import re
import sys
from collections.abc import Generator, Iterable, Iterator
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from padless.data.arrow import values_of
from padless.data.plan import EpochPlan, Int, Lengths
from padless.errors import ArgumentError, BackendError, DataError, explain, nearest

if TYPE_CHECKING:
    import pyarrow

    from padless.batching import Batch

Paths = str | PathLike[str] | Iterable[str | PathLike[str]]
Names = str | list[str] | tuple[str, ...] | dict[str, str] | None


_PIECE = 2**20
"""Bytes of a file that are read at once."""


class ParquetRows:
    """Rows of Parquet files that go through `fit`, `evaluate` and `predict` a few row groups at a time.

    Row groups are what a Parquet file is read by. While a model trains on the rows of a few, the next one is read on
    another thread; so many are in memory, and no more, however large the files are. In a shuffled epoch row groups come
    in an order drawn from the seed, and each row is mixed among those of the row groups around its own. Where
    `max_tokens` or `length_grouping` need them, the lengths of all rows are read once, row group by row group.

    Args:
        path: a file, a folder with files named *.parquet in it or in its folders, or a list of such.
        x: the column that is the input; a list, or a dict by input, for a model with several. Lists of numbers are
            sequences, texts go to a model that begins with a text layer, numbers and lists of a fixed size are arrays.
        y: the column of the targets; a list, or a dict by output, for a model with several.
        weight: the column of the sample weights.
        window: row groups among which rows are mixed; up to two more are in memory. Where files were written in the
            order of what is learnt, such as all rows of a class together, it must span several classes.

    Attributes:
        files: the paths, in order.
        nrows: number of rows in all files.
        blocks: (G+1,) the first row of each row group, counted over all files, and the number of rows.

    Raises:
        DataError: when there is no such file, a file is none of Parquet or ends early, a column is not there, or has
            another type than in the first file.
        ArgumentError: when window is no number of row groups.
        BackendError: when pyarrow is not installed.

    Example:
        >>> import padless, tempfile, pyarrow as pa, pyarrow.parquet
        >>> file = tempfile.mkdtemp() + "/rows.parquet"
        >>> pa.parquet.write_table(pa.table({"ids": [[1, 2], [3], [4, 5, 6]], "label": [0, 1, 0]}), file)
        >>> rows = ParquetRows(file, x="ids", y="label")
        >>> rows
        ParquetRows(1 file, 1 row group, 3 rows, x='ids', y='label')
        >>> rows.lengths.tolist()
        [2, 1, 3]
        >>> for batch in rows.batches(padless.data.plan_epoch(rows, batch_size=2)):
        ...     print(batch.x.to_list(), batch.y)
        [[1, 2], [3]] [0 1]
        [[4, 5, 6]] [0]
    """

    def __init__(self, path: Paths, x: Names, y: Names = None, weight: Names = None, *, window: int = 4) -> None:
        if isinstance(window, bool) or not isinstance(window, int | np.integer) or window < 1:
            raise ArgumentError(
                explain("window", expected="a number of row groups, from 1 on", got=repr(window), fix="window=4")
            )
        self.x, self.y, self.weight, self.window = x, y, weight, int(window)
        self.files = files_of(path)
        self._metadata = [_opened(file) for file in self.files]
        self._types = self._checked_types()
        found = [
            (file, group, metadata.row_group(group).num_rows)
            for file, metadata in enumerate(self._metadata)
            for group in range(metadata.num_row_groups)
        ]
        places = np.array([place for place in found if place[2]], np.int64).reshape(-1, 3)
        if not len(places):
            got = f"none in {len(self.files)} files"
            raise DataError(
                explain("ParquetRows", expected="at least one row", got=got, fix="check how it was written")
            )
        self._file, self._group = places[:, 0], places[:, 1]
        self.blocks: Int = np.concatenate([np.zeros(1, np.int64), np.cumsum(places[:, 2])])
        self.nrows = int(self.blocks[-1])
        # The first row in its file of each row group; those without rows are not counted.
        self._first = self.blocks[:-1] - self.blocks[np.searchsorted(self._file, self._file)]

    @property
    def columns(self) -> list[str]:
        """The columns that are read, each once."""
        parts = (self.x, self.y, self.weight)
        return list(dict.fromkeys(name for part in parts for name in each_of(part)))

    @property
    def sequences(self) -> list[str]:
        """Those columns of the input that hold rows of unequal length."""
        return [name for name in each_of(self.x) if _varies(self._types[name])]

    def _checked_types(self) -> dict[str, Any]:
        """The type of each column: the same in all files."""
        types: dict[str, Any] = {}
        for file, metadata in zip(self.files, self._metadata, strict=True):
            schema = metadata.schema.to_arrow_schema()
            for name in self.columns:
                if name not in schema.names:
                    raise DataError(
                        explain(
                            f"{file}",
                            expected=f"a column {name!r}",
                            got=f"the columns {', '.join(map(repr, schema.names))}",
                            fix=nearest(name, schema.names),
                        )
                    )
                kind = schema.field(name).type
                if _plain(types.setdefault(name, kind)) != _plain(kind):
                    raise DataError(
                        explain(
                            f"column {name!r}",
                            expected="the same type in all files",
                            got=f"{types[name]} in {self.files[0]}, {kind} in {file}",
                            fix="cast the column and write the file anew, or read these files apart",
                        )
                    )
        return types

    def name_of(self, row: int) -> str:
        """Name a row in errors.

        Args:
            row: its index, counted over all files.

        Returns:
            Such as "row 17 of part-3.parquet".
        """
        block = int(np.searchsorted(self.blocks, row, side="right")) - 1
        within = row - self.blocks[block] + self._first[block]
        return f"row {within} of {self.files[self._file[block]].name}"

    def read(self, block: int, columns: Iterable[str]) -> dict[str, Any]:
        """Read a row group.

        Args:
            block: its number, counted over all files, those without rows left out.
            columns: their names.

        Returns:
            Each column: a Ragged, or an array.

        Raises:
            DataError: when the file ends early or was changed, or a row is null; it names file, row and column.
        """
        file, first = self.files[self._file[block]], int(self._first[block])
        names, count = list(columns), int(self.blocks[block + 1] - self.blocks[block])
        table = self._table(block, names)
        if len(table) != count:
            raise _broken(file, f"{len(table)} rows from row {first} on, where there were {count}")
        return {name: values_of(table.column(name), f"column {name!r} of {file}", first) for name in names}

    def _table(self, block: int, names: list[str]) -> pyarrow.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        number, group = int(self._file[block]), int(self._group[block])
        try:
            # One thread: it is one beside the model's own, and as fast for the few columns of a model. Bytes come in
            # small pieces: all at once would be as much memory again, and no faster.
            file = pq.ParquetFile(
                self.files[number], metadata=self._metadata[number], pre_buffer=False, buffer_size=_PIECE
            )
            with file as opened:
                table = opened.read_row_group(group, columns=names, use_threads=False)
            if block % 8 == 0:
                # What reading took beside the rows, which the pool would keep and add to. After each row group it would
                # take a fourth of the time.
                pa.default_memory_pool().release_unused()
            return table
        except (OSError, pa.ArrowException) as wrong:
            raise _broken(self.files[number], f"{wrong}, in row group {group}") from wrong

    @cached_property
    def lengths(self) -> Lengths:
        """(B,) steps of each row, of several inputs the most: read once, row group by row group, and kept."""
        from padless.batching import RaggedColumn
        from padless.callbacks import waiting

        found = np.zeros(self.nrows, np.int32)
        for block in waiting("Reading lengths", range(len(self.blocks) - 1), sys.stdout.isatty()):
            read = self.read(block, self.sequences)
            own = [RaggedColumn(values).lengths() for values in read.values()]
            found[self.blocks[block] : self.blocks[block + 1]] = np.max(own, axis=0)
        return found

    def batches(self, plan: EpochPlan) -> Generator[Batch]:
        """Read the batches of a plan, for a loop of one's own; the next row group is read on another thread meanwhile.

        Args:
            plan: of these rows; it counts the batches that were given out. `padless.data.plan_epoch(rows,
                batch_size=..., **plan.state)` is the plan of what is left.

        Returns:
            The batches, each with x, y, weight and the indices of its rows; close it to stop earlier.
        """
        from padless.data.streaming import RowGroups

        return RowGroups(self).batches(plan)

    def __repr__(self) -> str:
        counts = ((len(self.files), "file"), (len(self.blocks) - 1, "row group"), (self.nrows, "row"))
        parts = [f"{count:,} {what}{'s' * (count != 1)}" for count, what in counts]
        given = {"x": self.x, "y": self.y, "weight": self.weight}
        parts += [f"{name}={value!r}" for name, value in given.items() if value is not None]
        return f"ParquetRows({', '.join(parts)})"


def files_of(path: Paths) -> list[Path]:
    """The Parquet files of a path.

    Args:
        path: a file, a folder, or a list of such.

    Returns:
        The files; those of a folder, and of the folders in it, in the order of their names.

    Raises:
        DataError: when there is none.
    """
    if not isinstance(path, str | PathLike):
        return [file for one in path for file in files_of(one)]
    given = Path(path)
    found = sorted(given.rglob("*.parquet")) if given.is_dir() else [given]
    if not found or not found[0].exists():
        what = "a folder without one" if given.is_dir() else "nothing there"
        fix = f"check the path; {Path.cwd()} is where programs look from"
        raise DataError(explain(f"{given}", expected="a file, or files named *.parquet", got=what, fix=fix))
    return found


def each_of(names: Names) -> Iterator[str]:
    """Give the names of columns one by one.

    Args:
        names: one, a list or a dict of them, or None.

    Yields:
        The names.
    """
    if isinstance(names, str):
        yield names
    elif names is not None:
        yield from names.values() if isinstance(names, dict) else names


def _opened(file: Path) -> Any:
    """What the end of a file tells of it."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise BackendError(
            explain("ParquetRows", expected="pyarrow", got="it is not installed", fix="pip install pyarrow")
        ) from None
    try:
        with pq.ParquetFile(file) as opened:
            return opened.metadata
    except (OSError, pa.ArrowException) as wrong:
        raise _broken(file, str(wrong)) from wrong


def _broken(file: Path, what: str) -> DataError:
    return DataError(
        explain(
            f"{file}",
            expected="a Parquet file as it was written, from its beginning to its end",
            got=what,
            fix="copy or write it anew; training so far is kept in the weights and in model.history",
        )
    )


def _varies(kind: Any) -> bool:
    """Whether a column holds rows of unequal length."""
    import pyarrow as pa

    if isinstance(kind, pa.ListType | pa.LargeListType | pa.ListViewType | pa.LargeListViewType):
        return True
    inner = getattr(kind, "storage_type", None) or getattr(kind, "value_type", None)
    return inner is not None and _varies(inner)


def _plain(kind: Any) -> str:
    """A type without what makes no difference in a batch: width of offsets, names of items, whether nulls may be."""
    return re.sub(r"large_|_view|(?<=<)\w+: | not null", "", str(kind))
