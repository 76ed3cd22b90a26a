"""pad_sequences: rows of unequal length to one array, as Keras does it."""

from __future__ import annotations

import numbers
import operator
import struct
from collections import deque
from collections.abc import Callable, Collection
from itertools import compress, pairwise, repeat
from operator import attrgetter, itemgetter, setitem
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from padless import native
from padless.errors import ArgumentError, DataError, DTypeError, ShapeError, explain, nearest

Side = Literal["pre", "post"]

# Numbers of rows that are put end to end, looked at and copied at a time: few enough to stay in the cache meanwhile.
_BLOCK = 1 << 17

# For the dtypes that the struct module writes as NumPy does: kind and bytes of the dtype, and struct's letter.
_STRUCT_LETTERS = {np.dtype(letter).str[1:]: letter for letter in "bhiqBHIQfd"}
_SCALARS = (int, float, np.integer, np.floating, np.bool_)


def pad_sequences(
    sequences: Collection[Any],
    maxlen: int | None = None,
    dtype: DTypeLike = "int32",
    padding: Side = "pre",
    truncating: Side = "pre",
    value: Any = 0.0,
) -> NDArray[Any]:
    """Write rows of unequal length into one array, cut or filled up to the same length.

    The results are Keras's for every legal call. One deliberate difference: where Keras lets the cast to `dtype`
    change numbers in silence (0.9 becomes 0, NaN becomes -2147483648, an id beyond int32 becomes another id, text is
    cut to the width of "<U3"), this function raises `DataError`. A cast to bool still means "is not zero", and a
    cast between float types still rounds.

    padless itself needs no padding: a list of rows, or `padless.Ragged.from_list(rows)`, goes into a model as it is.

    Args:
        sequences: B rows; each a list, tuple, array or tensor of shape (length, ...); the "..." is common to all.
        maxlen: T, the length of all rows in the result; None takes the longest row's.
        dtype: of the result; `object` or a string type of sufficient width for rows of strings.
        padding: "pre" fills in front of a short row, "post" behind it.
        truncating: "pre" drops the first steps of a long row, "post" its last.
        value: what padding is filled with; a number, or a string where the dtype is one.

    Returns:
        An array of shape (B, T, ...). A row without steps becomes padding only.

    Raises:
        ArgumentError: for no length to pad to (no rows and no `maxlen`), for words other than "pre" and "post", and
            for a `value` that cannot be written in `dtype`. A ValueError, as in Keras.
        DataError: for a row that is none, and for values that the cast would change. A ValueError.
        ShapeError: for rows whose steps differ in shape. A ValueError, as in Keras.
        DTypeError: for a type that cannot be used as a row, a length or a dtype. A TypeError.

    Example:
        >>> pad_sequences([[1], [2, 3], [4, 5, 6]])
        array([[0, 0, 1],
               [0, 2, 3],
               [4, 5, 6]], dtype=int32)
        >>> pad_sequences([[0.9], [0.5, 0.1]], maxlen=3, dtype="float32", padding="post")
        array([[0.9, 0. , 0. ],
               [0.5, 0.1, 0. ]], dtype=float32)

    Source: `keras.utils.pad_sequences`.
    """
    _check_side("padding", padding)
    _check_side("truncating", truncating)
    rows, lengths = _rows_and_lengths(sequences)
    length = _common_length(maxlen, lengths)
    out = _filled((len(rows), length, *_step_shape(rows, lengths)), value, dtype)
    lengths = _truncate(rows, lengths, length, truncating)
    if not (_fill_from_arrays(out, rows, lengths, padding) or _fill_from_numbers(out, rows, lengths, padding)):
        _fill_from_anything(out, rows, lengths, padding)
    return out


def unpad_sequences(
    sequences: Any,
    mask: Any = None,
    *,
    lengths: Any = None,
    padding: Side = "pre",
    value: Any = 0.0,
) -> list[NDArray[Any]]:
    """Take the rows out of a padded array: the inverse of `pad_sequences`.

    Without mask or lengths, padding is what equals `value` at the padded side, up to the first step that does not: a
    real step of that value at that very end is taken for padding. With either of them nothing is guessed.

    Args:
        sequences: (B, T, ...) an array or tensor.
        mask: (B, T), True where the step is real; steps without are left out, wherever they stand.
        lengths: (B,) real steps of each row, which stand opposite the padded side.
        padding: the side where the padding is, as in `pad_sequences`.
        value: of the padding; NaN finds NaN.

    Returns:
        B arrays (length, ...).

    Raises:
        ArgumentError: for both a mask and lengths, or another word than "pre" and "post".
        ShapeError: for an array without a second axis, or a mask or lengths of another shape.
        DataError: for a length below 0 or above T.

    Example:
        >>> [row.tolist() for row in unpad_sequences([[0, 0, 1], [0, 2, 3]])]
        [[1], [2, 3]]
    """
    where = "unpad_sequences"
    _check_side("padding", padding)
    table = np.asarray(sequences)
    if table.ndim < 2:
        fix = "unpad_sequences([row]) for a single row"
        raise ShapeError(explain(where, expected="an array (B, T, ...)", got=f"shape {table.shape}", fix=fix))
    if mask is not None and lengths is not None:
        raise ArgumentError(explain(where, expected="mask or lengths", got="both", fix="leave one of them out"))
    if lengths is not None:
        counts = np.asarray(lengths)
        _require_shape("lengths", counts, table.shape[:1])
        if counts.size and (counts.min() < 0 or counts.max() > table.shape[1]):
            bad = int(counts.min()) if counts.min() < 0 else int(counts.max())
            expected = f"lengths from 0 to {table.shape[1]}"
            raise DataError(explain(where, expected=expected, got=str(bad), fix="the lengths before padding"))
    elif mask is not None:
        live = np.asarray(mask, bool)
        _require_shape("mask", live, table.shape[:2])
        return [row[kept] for row, kept in zip(table, live, strict=True)]
    else:
        same = np.isnan(table) if isinstance(value, float) and np.isnan(value) else table == value
        real = ~same.all(axis=tuple(range(2, table.ndim)))
        seen = real if padding == "pre" else real[:, ::-1]
        # The padded side first: how many steps come before the first real one.
        counts = table.shape[1] - np.argmax(np.pad(seen, ((0, 0), (0, 1)), constant_values=True), axis=1)
    if padding == "pre":
        return [row[table.shape[1] - n :] for row, n in zip(table, counts.tolist(), strict=True)]
    return [row[:n] for row, n in zip(table, counts.tolist(), strict=True)]


def _require_shape(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        fix = f"one entry for each {'row' if len(shape) == 1 else 'step'}"
        raise ShapeError(
            explain(f"unpad_sequences({name}=...)", expected=f"shape {shape}", got=f"shape {array.shape}", fix=fix)
        )


def first_lost(values: NDArray[Any], target: np.dtype[Any]) -> Any:
    """Find the first number that a cast would change without a word.

    Args:
        values: of any shape.
        target: the dtype that they are to be cast to.

    Returns:
        The number, or None if all of them survive. Casts to bool and roundings between float types count as intended.

    Example:
        >>> first_lost(np.array([1.0, 2.5]), np.dtype("int32"))
        2.5
    """
    kind = values.dtype.kind
    if kind == "c" and target.kind in "iuf":
        kept = values.imag == 0
    elif kind in "iuf" and target.kind in "iu":
        if kind != "f" and _integers_fit(values, target):
            return None
        kept = _kept_as_integers(values, target)
    else:
        return None
    return None if kept.all() else values[~kept].reshape(-1)[0].item()


def _integers_fit(values: NDArray[Any], target: np.dtype[Any]) -> bool:
    if not values.size:
        return True
    low, high = int(np.iinfo(target).min), int(np.iinfo(target).max)
    # Most ids are not negative: then no id has more bits than all of them together, and one pass is enough.
    if 0 <= int(np.bitwise_or.reduce(values, axis=None)) <= high:
        return True
    return low <= int(values.min()) and int(values.max()) <= high


def _kept_as_integers(values: NDArray[Any], target: np.dtype[Any]) -> NDArray[np.bool_]:
    low, high = int(np.iinfo(target).min), int(np.iinfo(target).max)
    kept: NDArray[np.bool_]
    if values.dtype.kind == "f":
        # high + 1 is a power of two and so exact as a float, high is not; NaN fails every comparison.
        kept = (values >= np.float64(low)) & (values < np.float64(high + 1)) & (values == np.rint(values))
    else:
        kept = (values >= low) & (values <= high)
    return kept


def _check_side(name: str, side: object) -> None:
    if side not in ("pre", "post"):
        hint = f" ({nearest(side, ['pre', 'post'])})" if isinstance(side, str) else ""
        raise ArgumentError(
            explain(
                f"pad_sequences({name}=...)",
                expected='"pre" or "post"',
                got=f"{side!r}, which is not understood{hint}",
                fix=f'write {name}="pre" (the default) or {name}="post"',
            )
        )


def _rows_and_lengths(sequences: Collection[Any]) -> tuple[list[Any], list[int]]:
    where = "pad_sequences(sequences)"
    if not hasattr(sequences, "__len__"):
        raise ArgumentError(
            explain(
                where,
                expected="a list of rows (it must be iterable and have a length)",
                got=f"{type(sequences).__name__}",
                fix="write pad_sequences(list(sequences))",
            )
        )
    try:
        rows = list(sequences)
    except TypeError as error:  # an array or tensor without axes
        raise DTypeError(
            explain(
                where,
                expected="a list of rows",
                got=f"{shown(sequences)}, which has none",
                fix="write pad_sequences([row]) for a single row",
            )
        ) from error
    try:
        return rows, list(map(len, rows))
    except TypeError as error:
        place, row = next((i, row) for i, row in enumerate(rows) if not _has_length(row))
        raise DataError(
            explain(
                where,
                expected="a list of iterables, one per row",
                got=f"{shown(row)} at position {place}",
                fix="write pad_sequences([row]) for a single row, list(row) for a generator",
            )
        ) from error


def _has_length(row: Any) -> bool:
    try:
        len(row)
    except TypeError:
        return False
    return True


def _common_length(maxlen: int | None, lengths: list[int]) -> int:
    if maxlen is None:
        if not lengths:
            raise ArgumentError(
                explain(
                    "pad_sequences(sequences)",
                    expected="at least one row, or a maxlen",
                    got="no rows and maxlen=None: there is no longest row",
                    fix="give maxlen=, then the result has the shape (0, maxlen)",
                )
            )
        return max(lengths)
    try:
        if isinstance(maxlen, bool):
            raise TypeError("True and False are no lengths")
        length = operator.index(maxlen)
    except TypeError as error:
        raise DTypeError(
            explain(
                "pad_sequences(maxlen=...)",
                expected="an integer or None",
                got=shown(maxlen),
                fix="write maxlen=int(maxlen)",
            )
        ) from error
    if length < 0:
        raise ArgumentError(
            explain(
                "pad_sequences(maxlen=...)",
                expected="0 or more steps",
                got=str(length),
                fix="leave maxlen out to take the longest row's length",
            )
        )
    return length


def _step_shape(rows: list[Any], lengths: list[int]) -> tuple[int, ...]:
    """Read the shape of one step from the first row that has any."""
    place = next((i for i, n in enumerate(lengths) if n), None)
    if place is None:
        return ()
    row = rows[place]
    shape = row.shape if isinstance(row, np.ndarray) else _as_array(row, None, f"pad_sequences, row {place}").shape
    return tuple(shape[1:])


def _filled(shape: tuple[int, ...], value: Any, dtype: DTypeLike) -> NDArray[Any]:
    """Make the array that the rows are copied into: padding everywhere."""
    where = "pad_sequences(value=...)"
    try:
        target = np.asarray(value).dtype if dtype is None else np.dtype(dtype)
    except TypeError as error:
        raise DTypeError(
            explain(
                "pad_sequences(dtype=...)",
                expected="a NumPy dtype or its name",
                got=shown(dtype),
                fix='write dtype="int32", dtype="float32" or dtype=object',
            )
        ) from error
    if isinstance(value, str) and (dtype is None or target.kind not in "OUS"):
        raise ArgumentError(
            explain(
                where,
                expected=f"a number, because the dtype is {dtype if dtype is None else target}",
                got=repr(value),
                fix="write dtype=object, which holds strings of any length",
            )
        )
    if target.kind in "US" and not target.itemsize:
        target = np.empty((), target).dtype  # plain `str` means strings of length 1 to NumPy
    one = _as_array(value, target, where)
    # calloc is cheaper than writing zeros. Looking at the bytes keeps -0.0, and 0.0 among objects.
    if one.ndim == 0 and not target.hasobject and not any(one.tobytes()):
        return np.zeros(shape, target)
    try:
        return np.full(shape, value, target)
    except ValueError as error:
        raise ArgumentError(
            explain(
                where,
                expected=f"one number, or as many as fit a step of shape {shape[2:]}",
                got=f"an array of shape {one.shape}",
                fix="write value=0",
            )
        ) from error


def _truncate(rows: list[Any], lengths: list[int], length: int, truncating: Side) -> list[int]:
    """Cut the long rows, in place in the list `rows`, and return the lengths after it."""
    if max(lengths, default=0) <= length:
        return lengths
    counts = np.array(lengths)
    for i in np.flatnonzero(counts > length).tolist():
        # Counted from the front: row[-0:] would keep everything.
        start = lengths[i] - length if truncating == "pre" else 0
        rows[i] = _sliced(rows[i], start, start + length, i)
    cut: list[int] = np.minimum(counts, length).tolist()
    return cut


def _fill_from_arrays(out: NDArray[Any], rows: list[Any], lengths: list[int], padding: Side) -> bool:
    """Copy rows that are NumPy arrays; False means that they are not, or that a closer look is needed.

    The loop over the rows runs inside `map` and NumPy: no line of Python is executed per row.
    """
    try:
        dtypes: list[Any] = list(map(attrgetter("dtype"), rows))
    except AttributeError:
        return False
    at, counts = np.arange(len(rows)), np.array(lengths, np.int64)
    if 0 in lengths:  # such rows may have any dtype and shape: np.array([]) is float64
        at, counts = at[counts > 0], counts[counts > 0]
        rows, dtypes = list(compress(rows, lengths)), list(compress(dtypes, lengths))
    # Counting compares by identity first and is quicker than a set, which hashes every dtype.
    one_dtype = bool(dtypes) and dtypes.count(dtypes[0]) == len(dtypes)
    check = _array_casts(set(dtypes[:1] if one_dtype else dtypes), out.dtype)
    if check is None or not _same_steps(rows, 1 in lengths, out.shape[2:]):
        return False
    try:
        if one_dtype and not out.dtype.hasobject:
            return _fill_by_blocks(out, rows, at, counts, padding, check)
        put: Callable[[Any, Any, Any], None] = setitem
        starts = (out.shape[1] - counts if padding == "pre" else np.zeros_like(counts)).tolist()
        slots = zip(at.tolist(), map(slice, starts, (starts + counts).tolist()), strict=True)
        deque(map(put, repeat(out), slots, rows), maxlen=0)
    except (TypeError, ValueError):  # rows with more axes than one, or foreign arrays that NumPy cannot read
        return False
    return True


def _fill_by_blocks(
    out: NDArray[Any], rows: list[Any], at: NDArray[Any], counts: NDArray[Any], padding: Side, check: bool
) -> bool:
    """Put some rows end to end at a time, cast them, and copy each to its place; False for a number that is lost."""
    row_size, step_size = out.strides[:2]
    sizes = counts * step_size
    places = at * row_size + (row_size - sizes if padding == "pre" else 0)
    blocks = np.cumsum(sizes) // (_BLOCK * out.itemsize)
    edges = [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), len(rows)]
    # Memory that is used again: new pages cost as much as what is written to them.
    most = max(int(counts[first:last].sum()) for first, last in pairwise(edges))
    source, target = (np.empty((most, *out.shape[2:]), dtype) for dtype in (rows[0].dtype, out.dtype))
    for first, last in pairwise(edges):
        steps = source[: int(counts[first:last].sum())]
        np.concatenate(rows[first:last], out=steps)
        if check and first_lost(steps, out.dtype) is not None:
            return False
        if steps.dtype != out.dtype:
            np.copyto(target[: len(steps)], steps, casting="unsafe")
            steps = target[: len(steps)]
        _scatter(steps, sizes[first:last], places[first:last], out)
    return True


def _scatter(steps: NDArray[Any], sizes: NDArray[np.int64], places: NDArray[np.int64], out: NDArray[Any]) -> None:
    """Copy rows that lie end to end, of so many bytes each, to where they belong."""
    copy = native.find("scatter_rows", "ppppn")
    if copy is not None:
        copy(steps.ctypes.data, sizes.ctypes.data, places.ctypes.data, out.ctypes.data, len(sizes))
        return
    source, memory, start = (*(array.reshape(-1).view(np.uint8) for array in (steps, out)), 0)
    for size, place in zip(sizes.tolist(), places.tolist(), strict=True):
        memory[place : place + size] = source[start : start + size]
        start += size


def _array_casts(sources: set[Any], target: np.dtype[Any]) -> bool | None:
    """Say whether a cast from all these dtypes needs a check of the values; None for casts left to the slow path."""
    if target.kind in "US" or not all(isinstance(source, np.dtype) for source in sources):
        return None  # text may be cut; and a tensor's dtype is not NumPy's
    unsafe = {source for source in sources if not np.can_cast(source, target, "safe")}
    if not unsafe:
        return False
    if any(source.kind not in "biuf" for source in unsafe) or target.kind not in "biuf":
        return None
    if target.kind in "bf":
        return False
    return True if len(sources) == 1 else None  # a mixture would be promoted before the check


def _same_steps(rows: list[Any], any_single: bool, shape: tuple[int, ...]) -> bool:
    # For plain rows NumPy refuses more axes by itself, except where a row holds one number: (1, 1) fits into (1,).
    if not shape and not any_single:
        return True
    return {found[1:] for found in set(map(attrgetter("shape"), rows))} <= {shape}


def _fill_from_numbers(out: NDArray[Any], rows: list[Any], lengths: list[int], padding: Side) -> bool:
    """Write rows that are lists or tuples of Python numbers; False means that a closer look is needed.

    struct.pack_into writes numbers straight into the result and refuses, with no further pass, what the cast would
    change: fractions among integers, and integers beyond the dtype.
    """
    letter = _STRUCT_LETTERS.get(out.dtype.str[1:])
    if letter is None or not out.dtype.isnative or out.ndim != 2 or not out.size:
        return False
    if not set(map(type, rows)) <= {list, tuple}:
        return False
    # Objects that stand for one number each may still be arrays or tensors with axes: [tensor([1]), tensor([2])].
    if not all(issubclass(kind, _SCALARS) for kind in set(map(type, map(itemgetter(0), filter(None, rows))))):
        return False
    packers = {n: struct.Struct(f"{n}{letter}").pack_into for n in set(lengths)}
    places = {n: place.start * out.itemsize for n, place in _places(out.shape[1], set(lengths), padding).items()}
    memory = out.data.cast("B")
    try:
        for row, n, start in zip(rows, lengths, range(0, out.nbytes, out.strides[0]), strict=True):
            packers[n](memory, start + places[n], *row)
    except (struct.error, OverflowError, TypeError):
        return False
    return True


def _fill_from_anything(out: NDArray[Any], rows: list[Any], lengths: list[int], padding: Side) -> None:
    """Convert and copy row by row: tensors, rows of lists, strings, objects, and everything that ends in an error."""
    places = _places(out.shape[1], set(lengths), padding)
    for i, (row, n) in enumerate(zip(rows, lengths, strict=True)):
        if not n:
            continue
        where = f"pad_sequences, row {i}"
        steps = _as_array(_sliced(row, 0, n, i), out.dtype, where)
        if isinstance(row, str | bytes) or steps.ndim == 0:
            raise DTypeError(
                explain(
                    where,
                    expected="a list, tuple, array or tensor",
                    got=shown(row),
                    fix="write list(row), or turn texts into rows of ids first (padless.text.Tokenizer)",
                )
            )
        if steps.shape[1:] != out.shape[2:]:
            raise ShapeError(
                explain(
                    where,
                    expected=f"steps of shape {out.shape[2:]}, as in the first row that is not empty",
                    got=f"steps of shape {steps.shape[1:]}",
                    fix="give every row the same shape except for its length",
                )
            )
        out[i, places[n]] = steps


def _places(length: int, counts: set[int], padding: Side) -> dict[int, slice]:
    """Say where in a row of the result so many steps go."""
    if padding == "pre":
        return {n: slice(length - n, length) for n in counts}
    return {n: slice(0, n) for n in counts}


def _sliced(row: Any, start: int, stop: int, place: int) -> Any:
    try:
        return row[start:stop]
    except (TypeError, KeyError) as error:
        raise DTypeError(
            explain(
                f"pad_sequences, row {place}",
                expected="a list, tuple, array or tensor, which can be sliced",
                got=shown(row),
                fix="write list(row)",
            )
        ) from error


def _as_array(given: Any, target: np.dtype[Any] | None, where: str) -> NDArray[Any]:
    """Convert a row or the padding value, and raise where NumPy would fail obscurely or change a value in silence."""
    try:
        natural = np.asarray(given, dtype=target if target is not None and target.kind == "O" else None)
        if target is None or natural.dtype == target:
            return natural
        lost = first_lost(natural, target)
        if lost is None:
            # From the numbers themselves where a detour over the natural dtype could round twice.
            direct = isinstance(given, np.ndarray) or natural.dtype.kind == target.kind
            steps = natural.astype(target) if direct else np.asarray(given, dtype=target)
            lost = _first_lost_object(natural, steps)
    except (OverflowError, ValueError, RuntimeError) as error:
        raise DataError(_unreadable(where, given, target, error)) from error
    except TypeError as error:
        raise DTypeError(_unreadable(where, given, target, error)) from error
    if lost is None:
        return steps
    number = target.kind not in "US"
    raise DataError(
        explain(
            where,
            expected=f"values that {target} can hold as they are",
            got=f"{lost!r}, which the cast would change in silence" if number else f"{lost!r}, which would be cut",
            fix=f'write dtype="{_wide_enough(lost)}"' if number else "write dtype=object",
        )
    )


def _first_lost_object(natural: NDArray[Any], steps: NDArray[Any]) -> Any:
    """Look for lost values where the dtypes alone do not tell: Python objects to integers, and text to narrow text."""
    if steps.dtype.kind in "US":
        whole = natural.astype(steps.dtype.type)
        cut = whole != steps
        return whole[cut].reshape(-1)[0].item() if cut.any() else None
    if natural.dtype.kind != "O" or steps.dtype.kind not in "iu":
        return None
    pairs = zip(natural.flat, steps.flat, strict=True)
    return next((a for a, b in pairs if isinstance(a, numbers.Number) and a != b), None)


def _wide_enough(lost: Any) -> str:
    if isinstance(lost, complex):
        return "complex64"
    if not isinstance(lost, int):
        return "float32"
    return "int64" if -(2**63) <= lost < 2**63 else "object"


def _unreadable(where: str, given: Any, target: np.dtype[Any] | None, error: Exception) -> str:
    if isinstance(error, OverflowError):
        fix = 'write dtype="int64", or dtype=object for integers of any size'
    elif hasattr(given, "detach"):
        fix = "write row.detach().cpu().numpy(), after row.float() for a bfloat16 tensor"
    elif target is None:
        fix = "give every step of a row the same shape"
    else:
        fix = "write dtype=object, or turn the values into numbers first"
    return explain(
        where,
        expected=f"values that NumPy can turn into {target or 'an array'}",
        got=f"{shown(given)} ({type(error).__name__}: {error})",
        fix=fix,
    )


def shown(thing: Any) -> str:
    """Name a wrong argument in an error text: its type, and as much of it as fits.

    Args:
        thing: the argument.

    Returns:
        One line.

    Example:
        >>> shown(3)
        'int 3'
    """
    text = repr(thing)
    return f"{type(thing).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
