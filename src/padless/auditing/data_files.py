"""Rows to ask a model about, from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from padless.errors import ArgumentError, BackendError, DataError, explain

_MOST = 512
"""Rows that are read; those that are asked about are chosen from them by their lengths."""


def read_data(path: Path, column: str | None = None) -> Any:
    """Read rows.

    Args:
        path: .parquet with a column of lists, or .npz or .npy with padded arrays; several columns or arrays are named
            as the inputs of the model.
        column: which to read, where there is one input.

    Returns:
        Rows for `audit(data=...)`.

    Raises:
        DataError: when the file is broken, or needs Python objects.
        ArgumentError: when it is of another kind, or has no such column.
        BackendError: for Parquet without pyarrow.
    """
    readers = {".parquet": _parquet, ".npz": _npz, ".npy": _npy}
    if path.suffix not in readers:
        fix = "--data rows.parquet, rows.npz"
        raise ArgumentError(explain("--data", expected=f"{', '.join(readers)}", got=path.name, fix=fix))
    try:
        columns = readers[path.suffix](path)
    except BackendError:
        raise
    except Exception as error:
        got = getattr(error, "strerror", None) or str(error).splitlines()[0]
        fix = "check its name, and that it was written whole and without Python objects"
        raise DataError(explain(f"file {path}", expected="a file of rows", got=got, fix=fix)) from error
    if column is None:
        return columns
    if column not in columns:
        got, fix = repr(column), f"one of {', '.join(columns)}"
        raise ArgumentError(explain(f"file {path}", expected="a column of it", got=got, fix=fix))
    return {column: columns[column]}


def _parquet(path: Path) -> dict[str, Any]:
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        fix = "pip install pyarrow"
        raise BackendError(explain(f"file {path}", expected="a package for Parquet", got="none", fix=fix)) from error
    with parquet.ParquetFile(path) as file:
        batch = next(file.iter_batches(batch_size=_MOST), None)
        if batch is None:
            return {}
        kinds = {field.name: field.type for field in file.schema_arrow}
    lists = [name for name, kind in kinds.items() if arrow.types.is_list(kind) or arrow.types.is_large_list(kind)]
    chosen = lists if len(lists) == 1 else list(kinds)  # beside one column of lists the others are labels
    return {name: batch.column(name).to_pylist() for name in chosen}


def _npz(path: Path) -> dict[str, Any]:
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        return {name: file[name][:_MOST] for name in file.files}


def _npy(path: Path) -> dict[str, Any]:
    with path.open("rb") as raw:
        return {"input": np.load(raw, allow_pickle=False)[:_MOST]}
