"""Lengths of the rows in files that are read line by line: JSON lines, CSV, texts with a row a line."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from padless.callbacks import waiting
from padless.data.files import LIST, TEXT, Block, Files, Measure, numbered
from padless.errors import DataError, explain, nearest

_BLOCK = 4 << 20
"""Bytes that are read at once."""

_HEAD = 100
"""Rows that tell what columns hold."""


def _read(files: Files) -> Iterator[tuple[Path, Iterator[list[bytes]]]]:
    """Each file, and its lines, with their ends, some megabytes at a time."""
    pieces = [path for path in files.paths for _ in range(0, path.stat().st_size, _BLOCK)]
    for path, group in groupby(waiting("Reading", pieces, files.shown)):
        with path.open("rb") as stream:
            yield path, filter(None, (stream.readlines(_BLOCK) for _ in group))


def _first(files: Files) -> Files:
    return files._replace(paths=files.paths[:1], shown=False)


# ---- a text a line


class TextLines:
    """Files whose lines are texts."""

    rows_are = "lines"

    def __init__(self, files: Files) -> None:
        self.files = files

    def columns(self) -> dict[str, str]:
        """As `Reader`."""
        return {"text": TEXT}

    def blocks(self, column: str, kind: str, measure: Measure) -> Iterator[Block]:
        """As `Reader`."""
        for path, parts in _read(self.files):
            first = 1
            for lines in parts:
                texts = [line.rstrip(b"\r\n") for line in lines]
                name = numbered(self.files.name(path), "line", range(first, first + len(texts)))
                yield Block(measure(texts), np.zeros(len(texts), np.bool_), name)
                first += len(texts)


# ---- JSON lines


NULL = "null"
ITSELF = ""
"""Name of the only column where each line is a list or a text, not an object."""


class JsonLines:
    """Files with a JSON value a line: an object, or the list or the text itself."""

    rows_are = ""

    def __init__(self, files: Files) -> None:
        self.files = files

    def columns(self) -> dict[str, str]:
        """As `Reader`."""
        head = islice(chain.from_iterable(self._parsed(_first(self.files))), _HEAD)
        found: dict[str, str] = {}
        for _, _, row in head:
            for name, value in (row if isinstance(row, dict) else {ITSELF: row}).items():
                if found.get(name, NULL) == NULL:
                    found[name] = _described(value)
        return found

    def _parsed(self, files: Files) -> Iterator[Iterator[tuple[str, int, Any]]]:
        """Some lines at a time: the file, the number of each line that holds something, and what."""
        for path, parts in _read(files):
            first = 1
            for lines in parts:
                yield self._values(files.name(path), lines, first)
                first += len(lines)

    def _values(self, file: str, lines: Sequence[bytes], first: int) -> Iterator[tuple[str, int, Any]]:
        for number, line in enumerate(lines, first):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                ended = not line.endswith(b"\n")
                fix = "copy the file again: it ends in the middle of this line" if ended else "one JSON value a line"
                where = f"{file} line {number}"
                raise DataError(explain(where, expected="JSON", got=str(error), fix=fix)) from error
            yield file, number, value

    def blocks(self, column: str, kind: str, measure: Measure) -> Iterator[Block]:
        """As `Reader`."""
        for part in self._parsed(self.files):
            numbers: list[int] = []
            values: list[Any] = []
            file = ""
            for file, number, row in part:
                numbers.append(number)
                values.append(self._value(row, column, kind, f"{file} line {number}"))
            nulls = [value is None for value in values]
            yield _block([value or "" for value in values], nulls, numbered(file, "line", numbers), kind, measure)

    def _value(self, row: Any, column: str, kind: str, where: str) -> Any:
        """The list or text of a row, None for null."""
        if column != ITSELF:
            if not isinstance(row, dict):
                fix = "objects in all lines, or in none"
                raise DataError(explain(where, expected="an object", got=_described(row), fix=fix))
            if column not in row:
                fix = f"null where there is none. {nearest(column, row)}"
                raise DataError(explain(where, expected=f"column {column!r}", got="an object without it", fix=fix))
            row, where = row[column], f"{where}, column {column!r}"
        if row is not None and _described(row) != kind:
            fix = f"{kind}, or null where there is none"
            raise DataError(explain(where, expected=kind, got=f"{_described(row)}: {_cut(json.dumps(row))}", fix=fix))
        return row


def _block(values: Sequence[Any], nulls: list[bool], name: Callable[[int], str], kind: str, measure: Measure) -> Block:
    lengths = measure(values) if kind == TEXT else np.fromiter(map(len, values), np.int64, len(values))
    return Block(lengths, np.array(nulls, np.bool_), name)


_NAMES = {list: LIST, str: TEXT, dict: "an object", bool: "a truth value", int: "a number", float: "a number"}


def _described(value: Any) -> str:
    return _NAMES.get(type(value), NULL)


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + " ..."


# ---- CSV


class Csv:
    """Files with cells between commas, or tabs (.tsv), and the names of the columns in the first line."""

    rows_are = ""

    def __init__(self, files: Files) -> None:
        self.files = files
        # A limit for the whole process, of 128 KiB: articles are longer. It is raised and stays so, for another thread
        # may be reading.
        csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))

    def _records(self, path: Path, lines: Iterator[bytes]) -> Iterator[list[str]]:
        """The cells of each row; those of the first are the names."""
        # What is not UTF-8 comes through as it is: it is only counted.
        decoded = (line.decode("utf-8-sig", "surrogateescape") for line in lines)
        reader = csv.reader(decoded, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
        names: list[str] | None = None
        try:
            for cells in reader:
                names = cells if names is None else names
                if len(cells) != len(names) and cells:
                    got, fix = f"{len(cells)}: {_cut(','.join(cells))}", "quotes around cells that hold commas or lines"
                    where = f"{self.files.name(path)} line {reader.line_num}"
                    raise DataError(explain(where, expected=f"{len(names)} cells", got=got, fix=fix))
                if cells:
                    yield cells
        except csv.Error as error:
            where = f"{self.files.name(path)} line {reader.line_num}"
            ended = "unexpected end" in str(error)
            fix = "copy the file again: it ends inside of quotes" if ended else 'double the quotes within quotes: ""'
            raise DataError(explain(where, expected="cells", got=str(error), fix=fix)) from error

    def columns(self) -> dict[str, str]:
        """As `Reader`."""
        for path, parts in _read(_first(self.files)):
            names, *rows = islice(self._records(path, chain.from_iterable(parts)), _HEAD + 1)
            return {name: _kind_of_cells([row[at] for row in rows]) for at, name in enumerate(names)}
        return {}

    def blocks(self, column: str, kind: str, measure: Measure) -> Iterator[Block]:
        """As `Reader`."""
        for path, parts in _read(self.files):
            records = self._records(path, chain.from_iterable(parts))
            names = next(records, [])
            if column not in names:
                got, fix = "no such column", f"files with the same columns. {nearest(column, names)}"
                raise DataError(explain(self.files.name(path), expected=f"column {column!r}", got=got, fix=fix))
            at, first = names.index(column), 0
            while cells := [record[at] for record in islice(records, 2_000)]:
                name = numbered(self.files.name(path), "row", range(first, first + len(cells)))
                yield self._counted(cells, kind, measure, name, column)
                first += len(cells)

    def _counted(self, cells: list[str], kind: str, measure: Measure, name: Callable[[int], str], column: str) -> Block:
        if kind == TEXT:
            return _block(cells, [False] * len(cells), name, kind, measure)
        lists = [_listed(cell, f"{name(at)}, column {column!r}") for at, cell in enumerate(cells)]
        return _block(lists, [not cell.strip() for cell in cells], name, kind, measure)


def _kind_of_cells(cells: Sequence[str]) -> str:
    filled = [cell for cell in cells if cell.strip()]
    if not filled:
        return f"nothing in the first {_HEAD} rows"
    if _as_list(filled[0]) is not None:
        return LIST
    return "numbers" if all(map(_is_number, filled)) else TEXT


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _as_list(cell: str) -> list[Any] | None:
    """A list as JSON or Python write it; None for anything else."""
    if not cell.lstrip().startswith("["):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(cell.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    return None


def _listed(cell: str, where: str) -> list[Any]:
    if not cell.strip():
        return []
    found = _as_list(cell)
    if found is None:
        fix = "lists as JSON or Python write them: [1, 2, 3]"
        raise DataError(explain(where, expected=LIST, got=_cut(cell), fix=fix))
    return found
