"""Arrow columns: lists become rows without a copy, and back; what cannot be a row of numbers says so.

An Arrow list column is values and row splits already, so that nothing is copied but the splits. Several chunks are put
end to end, and bools, which Arrow packs, are unpacked: these are the copies that remain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padless.errors import DataError, DTypeError, MaskError, explain
from padless.ragged import Ragged, end_to_end
from padless.rows import PairRows, RowPartition

if TYPE_CHECKING:
    import pyarrow

RowOf = Callable[[int], int]
"""Says which row of the data an entry is in: an entry of the column, or one of the steps within."""


def values_of(column: Any, where: str = "from_arrow", first_row: int = 0) -> Ragged | NDArray[Any]:
    """Read a column as its type says.

    Args:
        column: a pyarrow Array or ChunkedArray.
        where: the column, for errors.
        first_row: index in the data of the column's first row, for errors.

    Returns:
        Lists of any kind: a Ragged, with rows within rows for lists of lists. Lists of a fixed size: an array (B, k),
        and as steps of a list the features of these. Numbers and bools: (B,). Texts: objects (B,), or rows of objects.
        The dtype is that of the column, the memory that of Arrow, where it has one chunk.

    Raises:
        DataError: when a row or a step is null; it names the first row that has one.
        DTypeError: when the column holds anything else, such as dates; it says what to write.

    Example:
        >>> import pyarrow as pa
        >>> values_of(pa.array([[1, 2], []])).to_list()
        [[1, 2], []]
    """
    import pyarrow as pa

    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = []
    for chunk in chunks:
        parts.append(_read(chunk, where, lambda entry, base=first_row: base + entry))  # type: ignore[misc]
        first_row += len(chunk)
    if not parts:
        return _read(pa.array([], column.type), where, lambda entry: entry)
    return parts[0] if len(parts) == 1 else end_to_end(parts)


def rows_of(column: Any, where: str = "from_arrow", first_row: int = 0) -> Ragged:
    """Read a column of lists; those of a fixed size are rows, too.

    Args:
        column: a pyarrow Array or ChunkedArray.
        where: the column, for errors.
        first_row: index in the data of the column's first row, for errors.

    Returns:
        The rows.

    Raises:
        DataError: when a row or a step is null, or the column is none of lists.
        DTypeError: when the lists hold anything but numbers, bools and texts.
    """
    found = values_of(column, where, first_row)
    if isinstance(found, Ragged):
        return found
    if found.ndim > 1:
        length = np.full(len(found), found.shape[1], np.int64)
        return Ragged(found.reshape(len(found) * found.shape[1], *found.shape[2:]), RowPartition.from_lengths(length))
    raise DataError(
        explain(
            where,
            expected="a column of lists",
            got=f"one of {column.type}",
            fix="pass the column to fit as it is: numbers and texts are not rows; or group its rows into lists first",
        )
    )


def arrow_of(x: Ragged) -> pyarrow.Array:
    """Write rows as an Arrow column of lists.

    Args:
        x: rows, on the host or not; of rows within rows, too. The places of holes are not written.

    Returns:
        large_list of numbers, of fixed-size lists for steps with features, or of large_list.

    Raises:
        MaskError: for pairs of steps, which are no lists.
    """
    import pyarrow as pa

    if isinstance(x.rows, PairRows):
        raise MaskError(
            explain("to_arrow", expected="rows of steps", got=repr(x), fix="x.to_padded(), or a list of x[i].tolist()")
        )
    host = x.numpy()
    inner = arrow_of(host.values) if isinstance(host.values, Ragged) else _steps_column(host.values)
    return pa.LargeListArray.from_arrays(pa.array(host.rows.row_splits), inner)


def _steps_column(values: NDArray[Any]) -> pyarrow.Array:
    """Packed steps as a column: numbers, or fixed-size lists of them."""
    import pyarrow as pa

    native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    return _in_lists(pa.array(native.reshape(-1)), values.shape[1:])


def _read(array: pyarrow.Array, where: str, row_of: RowOf) -> Ragged | NDArray[Any]:
    """One chunk, or the steps of one."""
    import pyarrow as pa

    _refuse_nulls(array, where, row_of)
    array = _unwrapped(array)
    _refuse_nulls(array, where, row_of)  # those behind a dictionary or runs
    kind = array.type
    if pa.types.is_fixed_size_list(kind):
        return _of_fixed_size(array, where, row_of)
    if isinstance(kind, pa.ListViewType | pa.LargeListViewType):
        splits, steps = _views(array)
    elif isinstance(kind, pa.ListType | pa.LargeListType):
        splits, steps = _lists(array)
    else:
        return _leaf(array, where, row_of)
    values = _read(steps, where, lambda step: row_of(int(np.searchsorted(splits, step, "right")) - 1))
    return Ragged(values, RowPartition(splits))


def _unwrapped(array: pyarrow.Array) -> pyarrow.Array:
    """The plain column behind a dictionary, runs or an extension type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    while True:
        kind = array.type
        name = getattr(kind, "extension_name", "")
        if pa.types.is_dictionary(kind):
            texts = "view" in str(kind.value_type)  # which pyarrow cannot take from
            array = (
                array.cast(pa.dictionary(kind.index_type, pa.large_string())) if texts else array
            ).dictionary_decode()
        elif pa.types.is_run_end_encoded(kind):
            array = pc.run_end_decode(array)
        elif name == "arrow.bool8":
            array = array.storage.cast(pa.bool_())
        elif name == "arrow.fixed_shape_tensor":
            # In the order of the axes that a permutation gives; mostly there is none.
            tensors = array.to_numpy_ndarray()
            array = _in_lists(pa.array(tensors.reshape(-1)), tensors.shape[1:])
        elif name and hasattr(kind, "shape"):  # ArrayXD of HF datasets: lists, of which most have one size
            array = array.storage.cast(_of_shape(pa.from_numpy_dtype(kind.value_type), kind.shape))
        elif name:
            array = array.storage
        else:
            return array


def _of_shape(kind: pyarrow.DataType, shape: tuple[int | None, ...]) -> pyarrow.DataType:
    """The type of arrays of a shape: lists of a fixed size, of any size where it is None."""
    import pyarrow as pa

    for size in shape[::-1]:
        kind = pa.list_(kind, -1 if size is None else size)
    return kind


def _in_lists(flat: pyarrow.Array, shape: tuple[int, ...]) -> pyarrow.Array:
    """Numbers as fixed-size lists within each other, one for each axis."""
    import pyarrow as pa

    for size in shape[::-1]:
        flat = pa.FixedSizeListArray.from_arrays(flat, size)
    return flat


def _lists(array: pyarrow.Array) -> tuple[NDArray[np.int64], pyarrow.Array]:
    """Where the rows of a list or large_list begin, and its steps; a slice begins anywhere in the buffers."""
    offsets = array.offsets.to_numpy()
    return offsets - offsets[0], array.values[offsets[0] : offsets[-1]]


def _views(array: pyarrow.Array) -> tuple[NDArray[np.int64], pyarrow.Array]:
    """The same of a list_view, whose rows may lie in any order, and over each other: then they are copied."""
    starts, sizes = array.offsets.to_numpy(), array.sizes.to_numpy()
    splits = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
    live = sizes > 0
    gaps = starts[live] - splits[:-1][live]
    if len(gaps) and (gaps == gaps[0]).all():
        return splits, array.values[gaps[0] : gaps[0] + splits[-1]]
    return splits, array.flatten()


def _of_fixed_size(array: pyarrow.Array, where: str, row_of: RowOf) -> Ragged | NDArray[Any]:
    """Lists of a fixed size: an array with one more axis; rows, where they hold lists of any size."""
    size = array.type.list_size
    steps = _read(array.flatten(), where, (lambda step: row_of(step // size)) if size else row_of)
    if isinstance(steps, Ragged):
        return Ragged(steps, RowPartition.from_lengths(np.full(len(array), size, np.int64)))
    return steps.reshape(len(array), size, *steps.shape[1:])


def _leaf(array: pyarrow.Array, where: str, row_of: RowOf) -> NDArray[Any]:
    """Numbers, bools or texts."""
    import pyarrow as pa

    is_a, kind = pa.types, array.type
    if is_a.is_integer(kind) or is_a.is_floating(kind):
        return np.asarray(array.to_numpy())
    texts = (is_a.is_string, is_a.is_large_string, is_a.is_string_view)
    in_bytes = (is_a.is_binary, is_a.is_large_binary, is_a.is_binary_view)
    if is_a.is_boolean(kind) or any(test(kind) for test in (*texts, *in_bytes)):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    if is_a.is_null(kind):
        return np.zeros(0, np.int64)  # the kind of an empty list in Python; others were refused as nulls
    first = f", {array[0]} in row {row_of(0)}" if len(array) else ""
    raise DTypeError(
        explain(
            where,
            expected="numbers, bools, texts, or lists of these",
            got=f"{kind}{first}",
            fix=_instead_of(kind),
        )
    )


def _instead_of(kind: Any) -> str:
    import pyarrow as pa

    if pa.types.is_temporal(kind):
        return (
            "numbers, such as seconds since the first row: column.cast(pa.int64()) in pyarrow (pa.int32() for days), "
            '.astype("int64") in pandas, .dt.epoch() in polars'
        )
    if pa.types.is_decimal(kind):
        return 'column.cast(pa.float64()) in pyarrow, .astype("float64") in pandas, .cast(pl.Float64) in polars'
    if pa.types.is_struct(kind) or pa.types.is_map(kind):
        return "a column for each field: table.flatten() in pyarrow, pd.json_normalize, .struct.unnest() in polars"
    return "column.cast(...) to numbers or texts"


def _refuse_nulls(array: pyarrow.Array, where: str, row_of: RowOf) -> None:
    if not array.null_count:
        return
    first = int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
    raise DataError(
        explain(
            where,
            expected="no nulls; a row without steps is an empty list",
            got=f"{array.null_count} null among {len(array)} of type {array.type}; the first is in row {row_of(first)}",
            fix="drop or fill them: drop_null() or pc.fill_null(column, ...) in pyarrow, dropna() or fillna() in "
            "pandas, drop_nulls() or fill_null() in polars",
        )
    )
