"""Lengths of the rows in files: Parquet, JSON lines, CSV, texts. Nothing but the lengths is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from padless.callbacks import waiting
from padless.errors import ArgumentError, BackendError, DataError, explain, nearest

Int = NDArray[np.int64]
Bool = NDArray[np.bool_]
Measure = Callable[[Sequence[str | bytes]], Int]
"""Counts the tokens of each text."""

LIST, TEXT = "a list", "a text"
_TEXTS_AT_ONCE = 4 << 20


class Block(NamedTuple):
    """Rows that follow each other.

    Attributes:
        lengths: (b,) their steps, or tokens; 0 where there is no row but a null.
        nulls: (b,) where that is so.
        name: what people call one of them, by its number in the block, such as "news.jsonl line 18".
    """

    lengths: Int
    nulls: Bool
    name: Callable[[int], str]


class Reader(Protocol):
    """Files of one format."""

    rows_are: str
    """What a row is, where that is not plain."""

    def columns(self) -> dict[str, str]:
        """What each column holds: LIST, TEXT, or the name of another type. The first file tells."""

    def blocks(self, column: str, kind: str, measure: Measure) -> Iterator[Block]:
        """The lengths of a column, file by file, a few rows at a time."""


class Files(NamedTuple):
    """Files of one format.

    Attributes:
        paths: in order.
        base: the folder that they are named in.
        shown: whether to show progress.
    """

    paths: list[Path]
    base: Path
    shown: bool

    def name(self, path: Path) -> str:
        """What people call a file."""
        return path.relative_to(self.base).as_posix()


def open_files(path: Path, shown: bool) -> Reader:
    """Find out what a file or a folder holds.

    Args:
        path: a file, or a folder with files of one format, also in folders of it.
        shown: whether to show progress.

    Returns:
        What reads it.

    Raises:
        ArgumentError: when there is no such file, or none of a known format, or several formats.
        DataError: when the file is empty.
    """
    from padless.data.lines import Csv, JsonLines, TextLines

    formats: dict[str, Callable[[Files], Reader]] = {
        ".parquet": Parquet, ".pq": Parquet, ".jsonl": JsonLines, ".ndjson": JsonLines, ".csv": Csv, ".tsv": Csv,
        ".txt": TextFiles,
    }  # fmt: skip
    if path.is_file():
        reads = {**formats, ".json": JsonLines, ".txt": TextLines}.get(path.suffix.lower())
        if reads is None:
            raise _no_format(str(path), path.suffix or "a name without an ending", formats)
        if not path.stat().st_size:
            raise no_rows(str(path))
        return reads(Files([path], path.parent, shown))
    if not path.is_dir():
        beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        close = get_close_matches(path.name, beside, n=5, cutoff=0.5)
        fix = nearest(path.name, close) if close else f"look into {path.parent}" if beside else "another folder"
        raise ArgumentError(explain(str(path), expected="a file or a folder", got="none of that name", fix=fix))
    paths = sorted(found for found in path.rglob("*") if found.is_file() and not _hidden(found.relative_to(path)))
    known = [found for found in paths if found.suffix.lower() in formats]
    readers = {formats[found.suffix.lower()] for found in known}
    if not readers:
        raise _no_format(str(path), _endings(paths) or "an empty folder", formats)
    if len(readers) > 1:
        expected, fix = "files of one format", "name one of the files, or a folder with one format"
        raise ArgumentError(explain(str(path), expected=expected, got=_endings(known), fix=fix))
    return readers.pop()(Files(known, path, shown))


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _endings(paths: Sequence[Path]) -> str:
    counts = Counter(path.suffix.lower() or "no ending" for path in paths)
    return ", ".join(f"{ending} ({count})" for ending, count in counts.most_common(8))


def _no_format(where: str, got: str, formats: Mapping[str, Any]) -> ArgumentError:
    fix = f"files that end in {', '.join(formats)}; unpack what is compressed, or give inspect() the rows themselves"
    return ArgumentError(explain(where, expected="Parquet, JSON lines, CSV or texts", got=got, fix=fix))


def no_rows(where: str) -> DataError:
    """The error for data without any.

    Args:
        where: the file or folder.

    Returns:
        An error to raise.
    """
    return DataError(explain(where, expected="at least one row", got="none", fix="check how the data were written"))


def choose(reader: Reader, column: str | None, where: str) -> tuple[str, str]:
    """Find the column to read.

    Args:
        reader: of the files.
        column: its name; None for the only one that holds lists or texts.
        where: for errors.

    Returns:
        Its name, and LIST or TEXT.

    Raises:
        ArgumentError: when there is no such column, or several to choose from.
        DataError: when no column, or not this one, holds lists or texts, or there are no rows.
    """
    kinds = reader.columns()
    usable = {name: kind for name, kind in kinds.items() if kind in (LIST, TEXT)}
    expected = "a column of lists or texts"
    if not kinds:
        raise no_rows(where)
    if column is None and len(usable) == 1:
        return next(iter(usable.items()))
    if column is None and usable:
        name = next(iter(usable))
        got, fix = f"several: {', '.join(usable)}", f"column={name!r}; on the command line --column {name}"
        raise ArgumentError(explain(where, expected=f"one {expected[2:]}", got=got, fix=fix))
    if column is not None and column not in kinds:
        got = f"no column {column!r}"
        raise ArgumentError(explain(where, expected=expected, got=got, fix=nearest(column, kinds)))
    if column not in usable:
        held = kinds if column is None else {column: kinds[column]}
        got = ", ".join(f"{name}: {kind}" for name, kind in held.items())
        fix = f"name one of these: {', '.join(usable)}" if usable else "write the sequences as lists, or as texts"
        raise DataError(explain(where, expected=expected, got=got, fix=fix))
    return column, usable[column]


# ---- Parquet


class Parquet:
    """Parquet files, row group by row group."""

    rows_are = ""

    def __init__(self, files: Files) -> None:
        try:
            import pyarrow.parquet
        except ImportError as error:
            got, fix = "no pyarrow", "pip install pyarrow"
            text = explain(str(files.paths[0]), expected="a package that reads Parquet", got=got, fix=fix)
            raise BackendError(text) from error
        self._open_file = pyarrow.parquet.ParquetFile
        self._broken = (pyarrow.ArrowException, OSError, ValueError)
        self.files = files

    def _open(self, path: Path) -> Any:
        try:
            return self._open_file(path)
        except self._broken as error:
            raise self._ended(self.files.name(path), error) from error

    def _ended(self, where: str, error: Exception) -> DataError:
        expected, fix = "a whole Parquet file", "copy it again: it has ended early, or is damaged, or is no Parquet"
        return DataError(explain(where, expected=expected, got=str(error).splitlines()[0], fix=fix))

    def columns(self) -> dict[str, str]:
        """As `Reader`."""
        with self._open(self.files.paths[0]) as file:
            return _kinds(file.schema_arrow)

    def blocks(self, column: str, kind: str, measure: Measure) -> Iterator[Block]:
        """As `Reader`."""
        pieces = [piece for path in self.files.paths for piece in self._groups(path, column, kind)]
        path, first = None, 0
        for piece in waiting("Reading", pieces, self.files.shown):
            first = first if piece.path == path else 0
            path = piece.path
            for array in self._arrays(piece, column):
                lengths, nulls = _measured(array, kind, measure)
                yield Block(lengths, nulls, numbered(self.files.name(path), "row", range(first, first + len(array))))
                first += len(array)

    def _groups(self, path: Path, column: str, kind: str) -> list[_Group]:
        with self._open(path) as file:
            kinds = _kinds(file.schema_arrow)
            if kinds.get(column) != kind:
                got = f"no column {column!r}" if column not in kinds else kinds[column]
                fix = f"files of one schema. {nearest(column, kinds)}"
                expected = f"{kind} in column {column!r}, as in {self.files.name(self.files.paths[0])}"
                raise DataError(explain(self.files.name(path), expected=expected, got=got, fix=fix))
            return [_Group(path, number) for number in range(file.num_row_groups)]

    def _arrays(self, group: _Group, column: str) -> Iterator[Any]:
        with self._open(group.path) as file:
            batches = file.iter_batches(65_536, row_groups=[group.number], columns=[column])
            while True:
                try:
                    batch = next(batches, None)
                except self._broken as error:
                    where = f"{self.files.name(group.path)}, column {column!r}, row group {group.number}"
                    raise self._ended(where, error) from error
                if batch is None:
                    return
                yield batch.column(0)


class _Group(NamedTuple):
    path: Path
    number: int


def numbered(file: str, unit: str, numbers: Sequence[int]) -> Callable[[int], str]:
    """Names for the rows of a block.

    Args:
        file: that they stand in.
        unit: "row" or "line".
        numbers: of each in the file.

    Returns:
        A function that names one by its number in the block.
    """
    return lambda at: f"{file} {unit} {numbers[at]:,}"


def _kinds(schema: Any) -> dict[str, str]:
    """What each column of an Arrow schema holds."""
    from pyarrow import types

    def kind(field: Any) -> str:
        held = field.type.value_type if types.is_dictionary(field.type) else field.type
        if types.is_string(held) or types.is_large_string(held) or types.is_string_view(held):
            return TEXT
        lists = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view)
        return LIST if any(is_one(held) for is_one in (*lists, types.is_large_list_view)) else str(field.type)

    return {field.name: kind(field) for field in schema}


def _measured(array: Any, kind: str, measure: Measure) -> tuple[Int, Bool]:
    """The lengths of an Arrow column, and where it is null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    nulls = array.is_null().to_numpy(zero_copy_only=False)
    if kind == LIST:
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        return lengths.astype(np.int64), nulls
    texts = array.cast(pa.large_string()).cast(pa.large_binary()).fill_null(b"").to_pylist()
    return measure(texts), nulls


# ---- texts


class TextFiles:
    """A folder of texts, each of which is a row."""

    rows_are = "texts, a file each"

    def __init__(self, files: Files) -> None:
        self.files = files

    def columns(self) -> dict[str, str]:
        """As `Reader`."""
        return {"text": TEXT}

    def blocks(self, column: str, kind: str, measure: Measure) -> Iterator[Block]:
        """As `Reader`."""
        names: list[str] = []
        texts: list[bytes] = []
        size = 0
        for path in waiting("Reading", self.files.paths, self.files.shown):
            texts.append(path.read_bytes())
            names.append(self.files.name(path))
            size += len(texts[-1])
            if size > _TEXTS_AT_ONCE:
                yield Block(measure(texts), np.zeros(len(texts), np.bool_), names.__getitem__)
                names, texts, size = [], [], 0
        if texts:
            yield Block(measure(texts), np.zeros(len(texts), np.bool_), names.__getitem__)
