"""Tables: columns of pandas, polars, Arrow, HF datasets and Parquet files, and which of them a model reads.

The rule: columns go to the inputs of the same name, or all that are left to the only input; `y` and `sample_weight` may
be names of columns. None of these packages is imported unless a table of it comes.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padless.errors import BackendError, DataError, DTypeError, PadlessError, explain, nearest
from padless.ragged import Ragged
from padless.rows import RowPartition

RankOf = Callable[[int | str], int | None]


class Wanted(NamedTuple):
    """What a model reads.

    Attributes:
        inputs: names of the inputs; none, where there is one without a name or `call` reads a dict.
        ninputs: how many inputs there are; 0 where only `call` knows.
        by_name: whether the inputs come in a dict even where there is only one.
        outputs: names of the outputs.
        needs_targets: whether there is a loss.
        ragged_rank: says how many axes after the first vary in an input, by its number or name; None where that is not
            known.
    """

    inputs: Sequence[str] = ()
    ninputs: int = 1
    by_name: bool = False
    outputs: Sequence[str] = ()
    needs_targets: bool = False
    ragged_rank: RankOf = lambda key: None


class Columns:
    """The columns of a table, read when they are asked for.

    Args:
        names: of all columns.
        read: read(names) gives some of them.
        place: such as "train.parquet", for errors.
    """

    def __init__(self, names: Sequence[Any], read: Callable[[list[str]], Mapping[str, Any]], place: str) -> None:
        self.names = list(names)
        self._read = read
        self.place = place

    def pick(self, names: Sequence[str], what: str, rank_of: RankOf = lambda key: None) -> dict[str, Any]:
        """Read some columns.

        Args:
            names: which.
            what: what they are for, such as "x".
            rank_of: as of `Wanted`.

        Returns:
            Rows, arrays, or texts, by name.

        Raises:
            DataError: when one is not there, or cannot be read; it names the column and the row.
        """
        for name in names:
            if self.names.count(name) != 1:
                raise DataError(
                    explain(
                        f"{what}, column {name!r} of {self.place}",
                        expected="the name of one column",
                        got="a name that none has" if name not in self.names else "a name that several have",
                        fix=nearest(str(name), map(str, self.names)),
                    )
                )
        found = self._read(list(names))
        made = {}
        for name in names:
            where = f"{what}, column {name!r} of {self.place}"
            listed = isinstance(found[name], list | tuple)
            made[name] = (
                _of_objects(list(found[name]), where, rank_of(name))
                if listed
                else read_column(found[name], where, rank_of(name), name)
            )
        return made


# ---- which of the columns


def resolved(x: Any, y: Any, weight: Any, wanted: Wanted) -> tuple[Any, Any, Any]:
    """Find inputs, targets and weights in a table.

    Args:
        x: what `fit` was given: a table, a column, or anything else.
        y: targets: as x, or the name of a column of x, a list of names for several outputs, or a dict of them.
        weight: sample weights, likewise.
        wanted: what the model reads.

    Returns:
        The three without tables, and without names.

    Raises:
        DataError: when a column is not there, or cannot be read, or nobody can say which one is meant.
    """
    table = columns_of(x)
    if table is None and isinstance(x, dict) and (_names_in(y) or _names_in(weight)):
        table = Columns(list(x), lambda names: x, "the dict")
    if table is None:
        for what, part in (("y", y), ("sample_weight", weight)):
            if isinstance(part, str) and columns_of(part) is None:
                raise DataError(
                    explain(
                        f"{what}={part!r}",
                        expected="the name of a column of x, or the values themselves",
                        got=f"x of type {type(x).__name__}, which has no columns",
                        fix=f"fit(table, {what}={part!r}), or {what}=table[{part!r}]",
                    )
                )
        return inputs(x, wanted), targets("y", y, wanted), targets("sample_weight", weight, wanted)
    taken = {*_names_in(y), *_names_in(weight)}
    if y is None:
        named = [name for name in wanted.outputs if name in table.names and name not in wanted.inputs]
        if named:
            y = named[0] if len(wanted.outputs) == 1 else {name: name for name in named}
            taken |= set(named)
        elif wanted.needs_targets:
            raise DataError(
                explain(
                    table.place,
                    expected="targets, since there is a loss: y= names their column"
                    + (f", or columns with the names of the outputs, {list(wanted.outputs)}" if wanted.outputs else ""),
                    got=f"y=None and the columns {table.names}",
                    fix='fit(table, y="label")',
                )
            )
    found = _by_names(table, "y", y, wanted), _by_names(table, "sample_weight", weight, wanted)
    return (_chosen(table, taken, wanted), *found)


def inputs(x: Any, wanted: Wanted) -> Any:
    """Find the inputs of a model in a table, or read columns.

    Args:
        x: a table, a column, a tuple or dict of columns, or anything else, which is given back.
        wanted: what the model reads.

    Returns:
        x without tables and columns.

    Raises:
        DataError: as `resolved`.
    """
    table = columns_of(x)
    if table is not None:
        return _chosen(table, set(), wanted)
    if isinstance(x, dict):
        return {name: read_column(part, f"x[{name!r}]", wanted.ragged_rank(name)) for name, part in x.items()}
    if (isinstance(x, tuple) and wanted.ninputs != 1) or (isinstance(x, list) and wanted.ninputs > 1):
        return type(x)(read_column(part, f"x[{at}]", wanted.ragged_rank(at)) for at, part in enumerate(x))
    return read_column(x, "x", wanted.ragged_rank(0))


def targets(what: str, y: Any, wanted: Wanted) -> Any:
    """Find targets or weights in a table of their own, or read columns.

    Args:
        what: "y" or "sample_weight".
        y: a table, a column, a list, tuple or dict of them, or anything else, which is given back.
        wanted: what the model reads.

    Returns:
        y without tables and columns.

    Raises:
        DataError: as `resolved`.
    """
    table = columns_of(y)
    if table is not None:
        if len(wanted.outputs) > 1 and set(table.names) <= set(wanted.outputs):
            return table.pick(table.names, what)
        return _only_input(table, table.names, wanted._replace(ninputs=1), what)
    if isinstance(y, dict):
        return {name: read_column(part, f"{what}[{name!r}]") for name, part in y.items()}
    if isinstance(y, list | tuple) and len(wanted.outputs) > 1:
        return type(y)(read_column(part, f"{what}[{at}]") for at, part in enumerate(y))
    return read_column(y, what)


def _names_in(part: Any) -> list[str]:
    """The names of columns that stand for values; none, where these are there themselves."""
    if isinstance(part, str):
        return [part] if columns_of(part) is None else []
    names = list(part.values()) if isinstance(part, dict) else part
    some = isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names)
    return list(names) if some else []


def names_only(y: Any, weight: Any) -> tuple[Any, Any]:
    """What means columns of another table as well.

    Args:
        y: as of `resolved`.
        weight: likewise.

    Returns:
        Each where it is made of names of columns, else None.
    """
    return y if _names_in(y) else None, weight if _names_in(weight) else None


def _by_names(table: Columns, what: str, part: Any, wanted: Wanted) -> Any:
    """Targets or weights, of the columns of x or of their own."""
    names = _names_in(part)
    if not names:
        return targets(what, part, wanted)
    found = table.pick(list(dict.fromkeys(names)), what)
    if isinstance(part, dict):
        return {key: found[name] for key, name in part.items()}
    if isinstance(part, str):
        return found[part]
    return [found[name] for name in names] if len(wanted.outputs) > 1 else _stacked(found, table, what)


def _chosen(table: Columns, taken: set[str], wanted: Wanted) -> Any:
    """The columns for the inputs."""
    names = list(wanted.inputs)
    if names and (len(names) > 1 or wanted.by_name or names[0] in table.names):
        absent = [name for name in names if name not in table.names]
        if absent:
            raise DataError(
                explain(
                    f"x, {table.place}",
                    expected=f"a column for each of the model's inputs, {names}",
                    got=f"no column {absent[0]!r}",
                    fix=f'{nearest(absent[0], map(str, table.names))}; Input(..., name="...") names an input',
                )
            )
        found = table.pick(names, "x", wanted.ragged_rank)
        return found if len(names) > 1 or wanted.by_name else found[names[0]]
    rest = [name for name in table.names if name not in taken]
    return _only_input(table, rest, wanted, "x")


def _only_input(table: Columns, rest: Sequence[str], wanted: Wanted, what: str) -> Any:
    """What is left, as one input: a column, or several of numbers side by side."""
    if not rest:
        raise DataError(
            explain(
                f"{what}, {table.place}",
                expected="at least one column",
                got=f"the columns {table.names}, all of which are taken",
                fix="a table with a column for the input",
            )
        )
    found = table.pick(rest, what, lambda name: wanted.ragged_rank(0))
    if len(rest) == 1:
        return found[rest[0]]
    if all(isinstance(part, np.ndarray) and part.ndim == 1 and part.dtype.kind in "biuf" for part in found.values()):
        return _stacked(found, table, what)
    if not wanted.ninputs:
        return found
    name = repr(wanted.inputs[0]) if wanted.inputs else "one without a name"
    raise DataError(
        explain(
            f"{what}, {table.place}",
            expected=f"one column for the model's input, {name}",
            got=f"the columns {list(rest)}",
            fix=f'table[["{rest[0]}"]]; y="..." for the column of targets; '
            f'or Input(..., name="{rest[0]}"), which finds its column by itself',
        )
    )


def _stacked(found: Mapping[str, Any], table: Columns, what: str) -> Any:
    """Columns of numbers side by side, (B, columns)."""
    for name, part in found.items():
        if isinstance(part, Ragged) or getattr(part, "ndim", 0) != 1 or part.dtype.kind not in "biuf":
            raise DataError(
                explain(
                    f"{what}, column {name!r} of {table.place}",
                    expected="a number in each row, to stand beside the other columns",
                    got=repr(part) if isinstance(part, Ragged) else f"{type(part).__name__}",
                    fix="one column, or a dict of columns for a model with several inputs or outputs",
                )
            )
    return np.stack(list(found.values()), axis=1)


# ---- what is a table


def _is(x: Any, package: str, *names: str) -> bool:
    """Whether x is of a class of a package, which need not be installed."""
    return any(kind.__name__ in names and kind.__module__.partition(".")[0] == package for kind in type(x).__mro__[:-1])


def columns_of(x: Any) -> Columns | None:
    """The columns of a table.

    Args:
        x: a pandas or polars DataFrame, a pyarrow Table, RecordBatch, RecordBatchReader or Dataset, an HF Dataset, the
            path of a Parquet file (a Path, or a str that ends in .parquet), or anything with columns that speaks
            Arrow's C stream.

    Returns:
        The columns; None for anything else.

    Raises:
        DataError: when a file is none, or x is several tables.
    """
    if not is_columnar(x):
        return None
    if isinstance(x, os.PathLike) or (isinstance(x, str) and x.endswith(".parquet")):
        return _parquet(Path(x))
    if _is(x, "pandas", "DataFrame"):
        return Columns(x.columns, lambda names: {name: x[name] for name in names}, "the DataFrame")
    if _is(x, "datasets", "Dataset"):
        return _hf_dataset(x)
    if _is(x, "datasets", "DatasetDict", "IterableDatasetDict", "IterableDataset"):
        raise DataError(
            explain(
                "x",
                expected="a datasets.Dataset",
                got=type(x).__name__,
                fix=f"one of its splits: {sorted(x)}"
                if isinstance(x, dict)
                else 'a generator: (batch["ids"], batch["label"]) for batch in x.iter(batch_size=32)',
            )
        )
    if _is(x, "pyarrow", "Dataset"):
        read = x.to_table
        return Columns(x.schema.names, lambda names: _by_name(read(columns=names), names), "the Dataset")
    if _is(x, "pyarrow", "RecordBatchReader"):
        x = x.read_all()
    if _is(x, "pyarrow", "Table", "RecordBatch"):
        return Columns(x.column_names, lambda names: _by_name(x, names), f"the {type(x).__name__}")
    if hasattr(x, "columns") and hasattr(x, "__arrow_c_stream__"):  # polars, DuckDB and others
        return Columns(x.columns, lambda names: _by_name(_pyarrow(x).table(x), names), f"the {type(x).__name__}")
    return None


def _by_name(table: Any, names: list[str]) -> dict[str, Any]:
    return {name: table.column(name) for name in names}


def _hf_dataset(data: Any) -> Columns:
    """An HF Dataset in its own order: shuffled, selected and sliced ones hold their rows in another."""
    if data.format["type"] == "custom":  # a transform of the user's own makes the columns
        made = data[:]
        return Columns(list(made), lambda names: made, "the Dataset")
    names = data.format["columns"] or data.column_names

    def read(names: list[str]) -> Mapping[str, Any]:
        return _by_name(data.select_columns(names).with_format("arrow")[:], names)

    return Columns(names, read, "the Dataset")


def _parquet(path: Path) -> Columns:
    """A Parquet file; columns nobody asks for are not read."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise _needs_pyarrow(f"the file {path.name}") from None
    place = str(path)
    if path.is_dir():
        fix = 'padless.data.ParquetRows(path, x="ids", y="label"), which reads all files of a folder piece by piece'
        raise DataError(explain(place, expected="a Parquet file", got="a folder", fix=fix))

    def read(names: list[str]) -> Mapping[str, Any]:
        try:
            return _by_name(pa.parquet.read_table(path, columns=names), names)
        except (pa.ArrowException, OSError) as wrong:
            raise _broken(place, wrong) from wrong

    try:
        names = pa.parquet.read_schema(path).names
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as wrong:
        raise _broken(place, wrong) from wrong
    return Columns(names, read, place)


def _broken(place: str, wrong: Exception) -> DataError:
    return DataError(
        explain(
            place,
            expected="a whole Parquet file",
            got=f"one that ends early, or is none; pyarrow says: {wrong}",
            fix="copy or write it again; other files: pyarrow.csv, pyarrow.json, pandas and polars read them to tables",
        )
    )


# ---- what is a column


def is_columnar(x: Any) -> bool:
    """Whether x is a table or a column of one, so rows that are all at hand.

    Args:
        x: what `fit` was given.

    Returns:
        True for these, and for a path of a Parquet file.
    """
    kind: Any = type(x)
    return _has_columns(kind) or (isinstance(x, str) and x.endswith(".parquet"))


@functools.lru_cache(maxsize=1024)
def _has_columns(kind: Any) -> bool:
    """The same of a class; layers ask it of all that comes in."""
    names = {(one.__module__.partition(".")[0], one.__name__) for one in kind.__mro__}
    by_name = {("pandas", "DataFrame"), ("pandas", "Series"), ("pyarrow", "Dataset")}
    by_name |= {("datasets", name) for name in ("Dataset", "Column", "DatasetDict", "IterableDataset")}
    speaks_arrow = hasattr(kind, "__arrow_c_stream__") or hasattr(kind, "__arrow_c_array__")
    return speaks_arrow or issubclass(kind, os.PathLike) or bool(names & by_name)


def read(x: Any, where: str, ragged_rank: int | None = None) -> Any:
    """Read a column, or a table that stands for one.

    Args:
        x: a column; a table of one column or of numbers; anything else is given back.
        where: for errors.
        ragged_rank: how many axes after the first vary; None where that is not known.

    Returns:
        Rows, an array of numbers, or of texts.

    Raises:
        DataError: when there are nulls, or several columns that are not numbers; it names column and row.
        DTypeError: when the column holds dates or the like.
    """
    if not is_columnar(x):
        return x
    table = columns_of(x)
    if table is None:
        return read_column(x, where, ragged_rank)
    return _only_input(table, table.names, Wanted(ragged_rank=lambda key: ragged_rank), where)


def read_column(x: Any, where: str, ragged_rank: int | None = None, name: Any = None) -> Any:
    """Read a column.

    Args:
        x: a pandas or polars Series, a pyarrow Array or ChunkedArray, a column of an HF Dataset; anything else is given
            back.
        where: for errors.
        ragged_rank: how many axes after the first vary; None: 2 for lists of lists of unequal length, else 1.
        name: of the column, where `where` has it already.

    Returns:
        A Ragged for lists, an array for numbers, an array of objects for texts and for pandas's objects.

    Raises:
        DataError: when there are nulls; it names the first row that has one.
        DTypeError: when the column holds dates or the like.
    """
    if not is_columnar(x):
        return x
    if _is(x, "datasets", "Column"):
        return _hf_column(x, where, ragged_rank)
    label = getattr(x, "name", None)
    if label is not None and name is None:
        where = f"{where}, column {label!r}"
    if _is(x, "pandas", "Series"):
        array = getattr(x.array, "__arrow_array__", None) if _is(x.dtype, "pandas", "ArrowDtype") else None
        if array is None:
            return _pandas(x, where, ragged_rank)
        x = array()
    elif not _is(x, "pyarrow", "Array", "ChunkedArray"):
        try:
            x = _pyarrow(x).chunked_array(x)
        except BackendError:
            if not hasattr(x, "to_list"):
                raise
            return _of_objects(x.to_list(), where, ragged_rank)
    from padless.data.arrow import values_of

    found = values_of(x, where)
    return as_features(found, where, ragged_rank) if isinstance(found, Ragged) else found


def _hf_column(x: Any, where: str, ragged_rank: int | None) -> Any:
    if not _is(x.source, "datasets", "Dataset") or x.source.format["type"] == "custom":
        return _of_objects(list(x[:]), where, ragged_rank)
    column = _hf_dataset(x.source.select_columns([x.column_name]).with_format(None))
    return column.pick([x.column_name], where, lambda key: ragged_rank)[x.column_name]


def _pandas(x: Any, where: str, ragged_rank: int | None) -> Ragged | NDArray[Any]:
    """A pandas column of NumPy's or its own dtypes; NaN among numbers is a number, elsewhere it is null."""
    host: NDArray[Any] = x.to_numpy()
    plain = isinstance(x.dtype, np.dtype) and x.dtype.kind in "biufc"
    null = np.zeros(1, bool) if plain else x.isna().to_numpy()
    if null.any():
        raise DataError(
            explain(
                where,
                expected="no nulls",
                got=f"{null.sum()} null among {len(x)} of type {x.dtype}; the first is in row {null.argmax()}",
                fix="dropna() or fillna(...) on the DataFrame",
            )
        )
    if host.dtype.kind in "mM":
        raise DTypeError(
            explain(
                where,
                expected="numbers, texts or sequences",
                got=f"{x.dtype}, {x.iloc[0]} in row 0" if len(x) else str(x.dtype),
                fix='numbers, such as seconds since the first row: .astype("int64")',
            )
        )
    return _of_objects(list(host), where, ragged_rank) if host.dtype == object else host


def _of_objects(values: list[Any], where: str, ragged_rank: int | None) -> Ragged | NDArray[Any]:
    """A column of Python's objects: sequences, texts, rows of texts, or numbers."""
    null = next((row for row, value in enumerate(values) if value is None), None)
    if null is not None:
        raise DataError(
            explain(
                where, expected="no nulls", got=f"None in row {null}", fix="drop the row, or put [] or a value there"
            )
        )
    if not any(hasattr(value, "__len__") or getattr(value, "ndim", 0) for value in values):
        return np.asarray(values)
    if all(isinstance(value, str | bytes) for value in values):
        return np.array(values, dtype=object)
    try:
        first = next((value[0] for value in values if len(value)), None)
        if isinstance(first, str) and all(isinstance(value, list | tuple | np.ndarray) for value in values):
            words = [word for row in values for word in row]
            return Ragged(np.array(words, dtype=object), RowPartition.from_lengths([len(row) for row in values]))
        return Ragged.from_list(values, ragged_rank=ragged_rank)
    except PadlessError as wrong:
        raise wrong.inside(where) from None
    except TypeError:  # numbers among sequences
        row = next(row for row, value in enumerate(values) if not hasattr(value, "__len__"))
        got = f"{values[row]!r} in row {row}"
        raise DataError(explain(where, expected="a sequence in each row", got=got, fix="[5] for one step")) from None


def as_features(x: Ragged, where: str, ragged_rank: int | None) -> Ragged:
    """Read lists of lists as a list of Python is read: inner lists of one length are the features of steps.

    Args:
        x: rows within rows, or rows, which are given back.
        where: for errors.
        ragged_rank: how many axes after the first vary; None: 2 where the lengths of inner lists do, else 1.

    Returns:
        The rows, not copied.

    Raises:
        DataError: when inner lists vary that may not; it names the first row that has one.
    """
    inner = x.values
    if not isinstance(inner, Ragged):
        return x
    lengths = inner.rows.row_lengths
    equal = len(lengths) > 0 and bool((lengths == lengths[0]).all())
    rank = (1 if equal else 2) if ragged_rank is None else ragged_rank
    if rank == 1 and not equal and len(lengths):
        step = int(np.argmax(lengths != lengths[0]))
        row = int(x.rows.value_rowids[step])
        raise DataError(
            explain(
                where,
                expected=f"steps of as many features, {lengths[0]} as in the first row",
                got=f"row {row} with a step of {lengths[step]}",
                fix="the same features for each step; Input(shape=(None, None)) for rows within rows",
            )
        )
    inner = as_features(inner, where, max(rank - 1, 1))
    if rank > 1 or not len(lengths):
        return x.with_values(inner)
    return x.with_values(inner.values.reshape(len(lengths), lengths[0], *inner.values.shape[1:]))


def _pyarrow(x: Any) -> Any:
    try:
        import pyarrow
    except ImportError:
        raise _needs_pyarrow(f"a {type(x).__name__} of {type(x).__module__.partition('.')[0]}") from None
    return pyarrow


def _needs_pyarrow(what: str) -> BackendError:
    return BackendError(
        explain(what, expected="the package pyarrow to be installed", got="no such package", fix="pip install pyarrow")
    )
