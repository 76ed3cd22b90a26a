"""Functions that move, join, cut and pick: features of every step, never rows, and time only where rows allow it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from padless import backends
from padless.errors import ArgumentError, MaskError, ShapeError, explain
from padless.operation import dtype_text, named
from padless.ops.values import Array, array_of, features, owner_of, places, refuse
from padless.ragged import Ragged, beside, index
from padless.row_ops import row_concat, row_reverse
from padless.spec import Symbol

# ---- shape and kind; a symbol answers at once


def shape(x: Any) -> tuple[int | None, ...]:
    """The sizes of all axes; None for the time of rows.

    Args:
        x: a Ragged, an array, a symbol, or what an array can be made of.

    Returns:
        The sizes.

    Example:
        >>> from padless import Ragged
        >>> shape(Ragged.from_list([[1, 2], [3]]))
        (2, None)
    """
    return tuple(x.shape) if hasattr(x, "shape") else tuple(np.shape(x))


def ndim(x: Any) -> int:
    """The number of axes, time among them.

    Args:
        x: a Ragged, an array, a symbol, or what an array can be made of.

    Returns:
        The number.
    """
    return len(shape(x))


def dtype(x: Any) -> str:
    """The name of the dtype.

    Args:
        x: a Ragged, an array or a symbol.

    Returns:
        Such as "float32".
    """
    return dtype_text(x.dtype)


def convert_to_tensor(x: Any, dtype: Any = None) -> Any:
    """Make arrays of the current backend; rows are kept.

    Args:
        x: a Ragged, an array of any framework, a number or nested lists.
        dtype: of the result; None keeps what is there.

    Returns:
        A Ragged or an array.
    """
    owner = backends.current()
    kind = None if dtype is None else dtype_text(dtype)
    if isinstance(x, Ragged):
        return x.with_values(convert_to_tensor(x.values, dtype))
    array = array_of(x, owner)
    return array if kind is None else owner.cast(array, kind)


def convert_to_numpy(x: Any) -> Any:
    """Make NumPy arrays; rows are kept.

    Args:
        x: a Ragged, an array of any framework, a number or nested lists.

    Returns:
        A Ragged of NumPy values, or a NumPy array.
    """
    return x.numpy() if isinstance(x, Ragged) else backends.of(x).to_host(x)


def is_tensor(x: Any) -> bool:
    """Whether something is an array of the current backend.

    Args:
        x: anything.

    Returns:
        True if so.
    """
    return backends.current().is_array(x)


# ---- axes


def _expand_dims(x: Any, axis: Any) -> Any:
    """One axis more, of size 1; of rows, behind time."""
    where = "ops.expand_dims"
    count = len(axis) if isinstance(axis, list | tuple) else 1
    if isinstance(x, Ragged):
        own = features(where, x, axis, new=count)
        return x.with_values(_expand_dims(x.values, own))
    y = array_of(x)
    for at in sorted(places(where, y, axis, new=count)):
        y = backends.of(y).xp.expand_dims(y, axis=at)
    return y


def _squeeze(x: Any, axis: Any = None) -> Any:
    """Without axes of size 1; of rows, among the features."""
    where = "ops.squeeze"
    if isinstance(x, Ragged):
        if axis is None:
            axis = [at + 1 for at in range(1, x.values.ndim) if x.values.shape[at] == 1]
        return x.with_values(_squeeze(x.values, features(where, x, axis)))
    y = array_of(x)
    axes = [at for at, n in enumerate(y.shape) if n == 1] if axis is None else list(places(where, y, axis))
    wrong = [at for at in axes if y.shape[at] != 1]
    if wrong:
        raise ShapeError(
            explain(where, expected="axes of size 1", got=f"axis {wrong[0]} of {tuple(y.shape)}", fix="another axis")
        )
    return backends.of(y).xp.squeeze(y, axis=tuple(axes)) if axes else y


def _reshape(x: Any, newshape: Any) -> Any:
    """Another shape with as many entries; None is the size that is there. Of rows: (-1, None, ...), features alone."""
    where = "ops.reshape"
    wanted = tuple(newshape) if isinstance(newshape, list | tuple) else (newshape,)
    if isinstance(x, Ragged):
        count = math.prod(x.values.shape[1:])
        own = wanted[2:]
        known = math.prod(n for n in own if n != -1)
        fits = known == count if -1 not in own else own.count(-1) == 1 and known and count % known == 0
        starts = len(wanted) > 1 and wanted[0] in (-1, None, x.rows.nrows) and wanted[1] in (-1, None)
        if not starts or not fits or None in own:
            refuse(
                where,
                x,
                f"..., newshape={wanted}",
                fix=f"ops.reshape(x, (-1, None, ...)) with {count} features per step; batch and time stay",
            )
        return x.with_values(_reshape(x.values, (x.rows.nvals, *_solved(own, count))))
    y = array_of(x)
    sizes = tuple(y.shape[at] if n is None and at < y.ndim else n for at, n in enumerate(wanted))
    if not _can_be(sizes, math.prod(y.shape)):
        raise ShapeError(
            explain(
                where,
                expected=f"a shape of {math.prod(y.shape)} entries, with -1 for one axis at most",
                got=f"{wanted} for {tuple(y.shape)}",
                fix="ops.reshape(x, (-1, 8)), for example",
            )
        )
    return backends.of(y).xp.reshape(y, _solved(sizes, math.prod(y.shape)))


def _can_be(sizes: tuple[Any, ...], count: int) -> bool:
    known = math.prod(n for n in sizes if n is not None and n != -1)
    if None in sizes or sizes.count(-1) > 1:
        return False
    return bool(known == count if -1 not in sizes else known > 0 and count % known == 0)


def _solved(sizes: tuple[int, ...], count: int) -> tuple[int, ...]:
    """A number in the place of -1, which frameworks cannot find for arrays without entries."""
    known = math.prod(n for n in sizes if n != -1)
    return tuple(count // known if n == -1 else n for n in sizes)


def _transpose(x: Any, axes: Any = None) -> Any:
    """Axes in another order; of rows, batch and time stay the first two."""
    where = "ops.transpose"
    if isinstance(x, Ragged):
        order = places(where, x, axes)
        if axes is None or order[:2] != (0, 1) or sorted(order) != list(range(x.ndim)):
            refuse(where, x, axes, fix=f"{where}(x, (0, 1, 3, 2)): batch and time stay in front")
        return x.with_values(_transpose(x.values, (0, *(at - 1 for at in order[2:]))))
    y = array_of(x)
    order = tuple(reversed(range(y.ndim))) if axes is None else places(where, y, axes)
    if sorted(order) != list(range(y.ndim)):
        raise ShapeError(
            explain(where, expected=f"each of {y.ndim} axes once", got=f"{axes}", fix="axes=(0, 2, 1), for example")
        )
    return backends.of(y).xp.permute_dims(y, order)


def _moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """Axes at other places; of rows, among the features."""
    where = "ops.moveaxis"
    y = x if isinstance(x, Ragged) else array_of(x)
    old, new = places(where, y, source), places(where, y, destination)
    if isinstance(x, Ragged) and any(at < 2 for at in (*old, *new)):
        refuse(where, x, f"{source} to {destination}")
    order = [at for at in range(y.ndim) if at not in old]
    for to, at in sorted(zip(new, old, strict=True)):
        order.insert(to, at)
    return _transpose(y, tuple(order))


def _swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes in each other's place; of rows, among the features."""
    y = x if isinstance(x, Ragged) else array_of(x)
    (a,), (b,) = places("ops.swapaxes", y, axis1), places("ops.swapaxes", y, axis2)
    if isinstance(x, Ragged) and a != b and min(a, b) < 2:
        refuse("ops.swapaxes", x, (axis1, axis2))
    order = list(range(y.ndim))
    order[a], order[b] = b, a
    return _transpose(y, tuple(order))


# ---- joining and cutting


def _concatenate(xs: Sequence[Any], axis: int = 0) -> Any:
    """Several values one behind the other along an axis; values with rows need the same ones."""
    where = "ops.concatenate"
    first = next((x for x in xs if isinstance(x, Ragged)), None)
    owner = owner_of(xs)
    if first is None:
        arrays = [array_of(x, owner) for x in xs]
        return _joined(where, owner, arrays, places(where, arrays[0], axis)[0])
    if places(where, first, axis)[0] == 1:
        return row_concat([x if isinstance(x, Ragged) else refuse(where, first, axis) for x in xs])
    at = features(where, first, axis)[0]
    return first.with_values(_joined(where, owner, [_steps_beside(where, first, x) for x in xs], at))


def _joined(where: str, owner: Any, arrays: list[Array], axis: int) -> Array:
    shapes = [tuple(one.shape) for one in arrays]
    if len({(len(s), s[:axis], s[axis + 1 :]) for s in shapes}) > 1:
        raise ShapeError(
            explain(
                where,
                expected="values whose shapes differ in that axis alone",
                got=f"shapes {', '.join(map(str, shapes))} along axis {axis}",
                fix=f"{where}([a, b], axis=-1), for example",
            )
        )
    return owner.xp.concat(arrays, axis=axis)


def _steps_beside(where: str, first: Ragged, x: Any) -> Array:
    """The steps of a value with the same rows as the first; nothing else has an entry for each step."""
    if isinstance(x, Ragged):
        return beside(where, first, x)
    raise MaskError(
        explain(
            where,
            expected="rows in every value, the same ones",
            got=f"{type(x).__name__} of shape {shape(x)} beside {first!r}",
            fix="padless.spread(vector, like=sequences) gives each row's entry to all its steps",
        )
    )


def _stack(x: Sequence[Any], axis: int = 0) -> Any:
    """Several values of one shape side by side along a new axis; of rows, behind time."""
    where = "ops.stack"
    first = next((one for one in x if isinstance(one, Ragged)), None)
    if first is not None:
        at = features(where, first, axis, new=1)[0]
        return first.with_values(owner_of(x).xp.stack([_steps_beside(where, first, one) for one in x], axis=at))
    arrays = [array_of(one, owner_of(x)) for one in x]
    return owner_of(x).xp.stack(arrays, axis=places(where, arrays[0], axis, new=1)[0])


def _split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Several values of one: so many equal parts, or cut at places; of rows, along features."""
    where = "ops.split"
    y = x if isinstance(x, Ragged) else array_of(x)
    values: Any = x.values if isinstance(x, Ragged) else y
    at = features(where, x, axis)[0] if isinstance(x, Ragged) else places(where, y, axis)[0]
    size = values.shape[at]
    if isinstance(indices_or_sections, int):
        if indices_or_sections < 1 or size % indices_or_sections:
            raise ShapeError(
                explain(
                    where,
                    expected=f"a number of parts that {size} entries can be cut into",
                    got=str(indices_or_sections),
                    fix="places to cut at: ops.split(x, [2, 5], axis=-1)",
                )
            )
        each = size // indices_or_sections
        cuts = list(range(each, size, each)) if each else [0] * (indices_or_sections - 1)
    else:
        cuts = [int(one) for one in indices_or_sections]
    ends = [0, *cuts, size]
    whole: tuple[Any, ...] = (slice(None),) * at
    parts = [index(values, (*whole, slice(a, b))) for a, b in itertools.pairwise(ends)]
    return [x.with_values(part) for part in parts] if isinstance(x, Ragged) else parts


def _unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Any]:
    """A value for each place along an axis, which goes; of rows, along features."""
    where = "ops.unstack"
    y = x if isinstance(x, Ragged) else array_of(x)
    values: Any = x.values if isinstance(x, Ragged) else y
    at = features(where, x, axis)[0] if isinstance(x, Ragged) else places(where, y, axis)[0]
    whole: tuple[Any, ...] = (slice(None),) * at
    parts = [index(values, (*whole, place)) for place in range(values.shape[at])]
    return [x.with_values(part) for part in parts] if isinstance(x, Ragged) else parts


def _flip(x: Any, axis: Any = None) -> Any:
    """Backwards along an axis; of rows, axis=1 is each row backwards."""
    where = "ops.flip"
    if isinstance(x, Ragged):
        axes = places(where, x, axis)
        if axis is None or 0 in axes:
            refuse(where, x, axis, fix="ops.flip(x, axis=1) for each row backwards, axis=-1 for features")
        own = tuple(at - 1 for at in axes if at > 1)
        y = x.with_values(_flip(x.values, own)) if own else x
        return row_reverse(y) if 1 in axes else y
    array = array_of(x)
    return backends.of(array).xp.flip(array, axis=None if axis is None else places(where, array, axis))


def _roll(x: Any, shift: int, axis: int | None = None) -> Any:
    """Moved along an axis, what leaves at one end coming in at the other; of rows, along features."""
    if isinstance(x, Ragged):
        return x.with_values(_roll(x.values, shift, features("ops.roll", x, axis)[0]))
    array = array_of(x)
    return backends.of(array).xp.roll(array, shift, axis=axis)


def _repeat(x: Any, repeats: int, axis: int | None = None) -> Any:
    """Each entry along an axis so many times; of rows, along features."""
    if isinstance(x, Ragged):
        return x.with_values(_repeat(x.values, repeats, features("ops.repeat", x, axis)[0]))
    array = array_of(x)
    if axis is None:
        array, axis = _reshape(array, (-1,)), 0
    at = places("ops.repeat", array, axis)[0]
    picked = np.repeat(np.arange(array.shape[at]), repeats)
    return _take(array, picked, at)


def _pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Any:
    """A number before and behind the entries of each axis; of rows, ((0, 0), (0, 0), (before, after), ...)."""
    if mode != "constant":
        raise ArgumentError(explain("ops.pad: mode", expected="'constant'", got=repr(mode), fix="mode='constant'"))
    widths = [pad_width] if isinstance(pad_width, int) else list(pad_width)
    pairs = [(w, w) if isinstance(w, int) else tuple(w) for w in widths]
    if len(pairs) == 2 and all(isinstance(w, int) for w in widths):
        pairs = [tuple(widths)]
    rank = x.ndim if isinstance(x, Ragged) else array_of(x).ndim
    pairs = pairs * rank if len(pairs) == 1 else pairs
    if isinstance(x, Ragged):
        if pairs[0] != (0, 0) or pairs[1] != (0, 0):
            refuse("ops.pad", x, f"..., pad_width={pad_width}", fix="layers.ZeroPadding1D() for steps")
        return x.with_values(_pad(x.values, [(0, 0), *pairs[2:]], constant_values=constant_values))
    y = array_of(x)
    xp, b = backends.of(y).xp, backends.of(y)
    for at, (before, after) in enumerate(pairs):
        ends = []
        for count in (before, after):
            size = (*y.shape[:at], count, *y.shape[at + 1 :])
            ends.append(xp.full(size, constant_values or 0, dtype=y.dtype, device=b.device_of(y)))
        y = xp.concat([ends[0], y, ends[1]], axis=at)
    return y


# ---- picking


def _get_item(x: Any, *key: Any) -> Any:
    """x[key]; of rows, `...` or `:, :` in front of the indices of features."""
    return x[key if len(key) != 1 else key[0]] if isinstance(x, Ragged) else index(array_of(x), key)


def _take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Entries at places along an axis; of rows, along features. Places may come with rows, from a table."""
    where = "ops.take"
    if isinstance(indices, Ragged):
        if isinstance(x, Ragged) or axis not in (0, None) or (axis is None and array_of(x).ndim > 1):
            refuse(where, x if isinstance(x, Ragged) else indices, axis, fix="ops.take(table, ids, axis=0)")
        owner = owner_of([indices.values, x])
        return indices.with_values(_take(array_of(x, owner), array_of(indices.values, owner), 0))
    if isinstance(x, Ragged):
        return x.with_values(_take(x.values, indices, features(where, x, axis)[0]))
    array = array_of(x, owner_of([x, indices]))
    b = backends.of(array)
    if axis is None:
        array, axis = _reshape(array, (-1,)), 0
    at = places(where, array, axis)[0]
    picked = array_of(indices, b)
    size = array.shape[at]
    picked = b.xp.where(picked < 0, picked + size, picked)
    flat = b.xp.take(array, b.xp.reshape(picked, (-1,)), axis=at)
    return b.xp.reshape(flat, (*array.shape[:at], *picked.shape, *array.shape[at + 1 :]))


def _take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Entries at places that an array of as many axes says; of rows, along features of the same step."""
    where = "ops.take_along_axis"
    if isinstance(x, Ragged):
        at = features(where, x, axis)[0]
        picked = beside(where, x, indices) if isinstance(indices, Ragged) else refuse(where, x, axis)
        return x.with_values(_take_along_axis(x.values, picked, at))
    array = array_of(x, owner_of([x, indices]))
    b = backends.of(array)
    if axis is None:
        return _take(array, _reshape(array_of(indices, b), (-1,)), None)
    return b.xp.take_along_axis(array, _index(b, array_of(indices, b)), axis=places(where, array, axis)[0])


def _index(b: Any, x: Array) -> Array:
    """Places in the dtype that a backend wants for them: torch 64 bits, JAX 32."""
    return b.cast(x, "int32" if b.compiles else "int64")


def _one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None) -> Any:
    """A new axis that is 1 at the place that a whole number says and 0 elsewhere."""
    if isinstance(x, Ragged):
        at = features("ops.one_hot", x, axis, new=1)[0]
        return x.with_values(_one_hot(x.values, num_classes, at, dtype))
    ids = array_of(x)
    b = backends.of(ids)
    at = places("ops.one_hot", ids, axis, new=1)[0]
    classes = b.asarray(np.arange(num_classes), b.dtype_name(ids))
    marks = b.xp.expand_dims(ids, axis=at) == b.xp.reshape(classes, (-1, *(1 for _ in range(ids.ndim - at))))
    return b.cast(marks, dtype_text(dtype or "float32"))


def _sorted_along(where: str, x: Any, axis: int, name: str) -> Any:
    if isinstance(x, Ragged):
        return x.with_values(_sorted_along(where, x.values, features(where, x, axis)[0], name))
    array = array_of(x)
    b = backends.of(array)
    y = getattr(b.xp, name)(array, axis=places(where, array, axis)[0])
    return b.cast(y, "int32") if name == "argsort" else y


def _sort(x: Any, axis: int = -1) -> Any:
    """Smallest first along an axis; of rows, along features."""
    return _sorted_along("ops.sort", x, axis, "sort")


def _argsort(x: Any, axis: int = -1) -> Any:
    """The places of the smallest, the next, ... along an axis; of rows, along features."""
    return _sorted_along("ops.argsort", x, axis, "argsort")


def _top_k(x: Any, k: int, sorted: bool = True) -> tuple[Any, Any]:
    """The k largest along the last axis, and their places; of rows, among features."""
    if isinstance(x, Ragged):
        features("ops.top_k", x, -1)
        largest, places_of = _top_k(x.values, k)
        return x.with_values(largest), x.with_values(places_of)
    array = array_of(x)
    if not array.ndim or not 0 <= k <= array.shape[-1]:
        raise ShapeError(
            explain("ops.top_k: k", expected=f"at most the last axis of {tuple(array.shape)}", got=str(k), fix="k=1")
        )
    b = backends.of(array)
    order = _argsort(-array if b.dtype_name(array).startswith(("float", "bfloat")) else ~array)[..., :k]
    return b.xp.take_along_axis(array, _index(b, order), axis=-1), order


expand_dims = named("shape", "expand_dims", _expand_dims)
squeeze = named("shape", "squeeze", _squeeze)
reshape = named("shape", "reshape", _reshape)
transpose = named("shape", "transpose", _transpose)
moveaxis = named("shape", "moveaxis", _moveaxis)
swapaxes = named("shape", "swapaxes", _swapaxes)
concatenate = named("shape", "concatenate", _concatenate)
stack = named("shape", "stack", _stack)
split = named("shape", "split", _split)
unstack = named("shape", "unstack", _unstack)
flip = named("shape", "flip", _flip)
roll = named("shape", "roll", _roll)
repeat = named("shape", "repeat", _repeat)
pad = named("shape", "pad", _pad)
take = named("shape", "take", _take)
take_along_axis = named("shape", "take_along_axis", _take_along_axis)
one_hot = named("shape", "one_hot", _one_hot)
sort = named("shape", "sort", _sort)
argsort = named("shape", "argsort", _argsort)
top_k = named("shape", "top_k", _top_k)
_items = named("shape", "get_item", _get_item)


def get_item(x: Any, key: Any) -> Any:
    """x[key]: features of every step, or the first or last step of each row.

    Args:
        x: a Ragged, an array or a symbol.
        key: as between brackets; several indices in a tuple.

    Returns:
        What it picks.

    Example:
        >>> from padless import Ragged
        >>> get_item(Ragged.from_list([[[1, 2]], [[3, 4]]]), (..., 0)).to_list()
        [[1], [3]]
    """
    if isinstance(x, Symbol):
        return x[key]
    return _items(x, *(key if isinstance(key, tuple) else (key,)))


# ---- arrays out of nothing


def _made(kind: str, *arguments: Any, dtype: Any = None) -> Array:
    host = np.asarray(getattr(np, kind)(*arguments))
    kinds = {"float64": "float32", "int64": "int32"}
    return backends.current().asarray(host, kinds.get(host.dtype.name) if dtype is None else dtype_text(dtype))


def arange(start: float, stop: float | None = None, step: float | None = None, dtype: Any = None) -> Array:
    """Numbers from start up to, but without, stop.

    Args:
        start: the first; with stop left out, that is stop, and start is 0.
        stop: where they end.
        step: between two of them; 1 by default.
        dtype: int32 or float32 by default.

    Returns:
        (n,) array of the current backend.
    """
    return _made("arange", *((0, start) if stop is None else (start, stop)), step or 1, dtype=dtype)


def zeros(shape: Any, dtype: Any = None) -> Array:
    """Zeros.

    Args:
        shape: of the array.
        dtype: float32 by default.

    Returns:
        An array of the current backend.
    """
    return _made("zeros", shape, dtype=dtype)


def ones(shape: Any, dtype: Any = None) -> Array:
    """Ones.

    Args:
        shape: of the array.
        dtype: float32 by default.

    Returns:
        An array of the current backend.
    """
    return _made("ones", shape, dtype=dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Array:
    """One number everywhere.

    Args:
        shape: of the array.
        fill_value: the number.
        dtype: that of the number by default.

    Returns:
        An array of the current backend.
    """
    return _made("full", shape, fill_value, dtype=dtype)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Array:
    """Ones on a diagonal, zeros elsewhere.

    Args:
        N: number of rows of the matrix.
        M: number of its columns; N by default.
        k: which diagonal; above 0 to the right.
        dtype: float32 by default.

    Returns:
        (N, M) array of the current backend.
    """
    return _made("eye", N, M, k, dtype=dtype)


def linspace(start: float, stop: float, num: int = 50, endpoint: bool = True, dtype: Any = None) -> Array:
    """So many numbers at equal distances.

    Args:
        start: the first.
        stop: the last, or the one behind it.
        num: how many.
        endpoint: whether stop is the last.
        dtype: float32 by default.

    Returns:
        (num,) array of the current backend.
    """
    return _made("linspace", start, stop, num, endpoint, dtype=dtype)
