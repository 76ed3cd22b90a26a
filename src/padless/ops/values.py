"""How the functions of `padless.ops` read their values: arrays of one backend, and the rows that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from padless import backends
from padless.backends.base import Backend
from padless.errors import ArgumentError, MaskError, ShapeError, explain
from padless.ragged import Ragged, beside

Array = Any


def owner_of(values: Sequence[Any]) -> Backend:
    """The backend of some values: that of the first array, of another framework than NumPy if there is one.

    Args:
        values: Ragged, arrays, numbers, lists.

    Returns:
        The backend; the current one where there are only numbers and lists.

    Example:
        >>> import numpy as np
        >>> owner_of([1.0, np.ones(2)]).name
        'numpy'
    """
    found = [backends.of(v.values if isinstance(v, Ragged) else v) for v in values if hasattr(v, "shape")]
    return next((owner for owner in found if owner.name != "numpy"), found[0] if found else backends.current())


def array_of(x: Any, owner: Backend | None = None) -> Array:
    """A value without rows as an array: arrays as they are, lists and numbers on the current backend.

    Args:
        x: an array, a number or nested lists.
        owner: the backend; that of the array by default.

    Returns:
        The array.
    """
    owner = owner or owner_of([x])
    if owner.is_array(x):
        return x
    if hasattr(x, "shape"):
        return owner.asarray(backends.of(x).to_host(x))
    host = np.asarray(x)
    return owner.asarray(host, {"float64": "float32", "int64": "int32"}.get(host.dtype.name))


def entered(where: str, values: Sequence[Any], *, floats: bool = False) -> tuple[Ragged | None, Backend, list[Array]]:
    """Values as arrays that stand beside each other, element by element.

    Numbers take the dtype of what they stand beside, whole numbers beside floats that of the floats.

    Args:
        where: the function, for errors.
        values: Ragged with the same rows, arrays, numbers.
        floats: whether whole numbers become float32.

    Returns:
        The first value with rows, or None; the backend; the arrays.
    """
    owner = owner_of(values)
    first = next((value for value in values if isinstance(value, Ragged)), None)
    if first is not None and not owner.is_array(first.values):
        first = first.with_values(array_of(first.values, owner))
    made: list[Any] = []
    for value in values:
        if isinstance(value, bool | int | float):
            made.append(value)
        elif first is None:
            made.append(array_of(value, owner))
        else:
            made.append(beside(where, first, value if value is not None else "nothing"))
    kinds = [owner.dtype_name(one) for one in made if hasattr(one, "shape")]
    point = "float32" if any(isinstance(one, float) for one in made) else None
    wide = next((kind for kind in kinds if kind.startswith(("float", "bfloat"))), point)
    whole = next((kind for kind in kinds if kind != "bool"), None)
    return first, owner, [_alike(owner, one, wide, whole, floats) for one in made]


def _alike(owner: Backend, value: Any, wide: str | None, whole: str | None, floats: bool) -> Array:
    if isinstance(value, bool):
        return owner.asarray(np.asarray(value))
    if isinstance(value, float):
        return owner.asarray(np.asarray(value), wide or "float32")
    if isinstance(value, int):
        return owner.asarray(np.asarray(value), wide or ("float32" if floats else whole) or "int32")
    kind = owner.dtype_name(value)
    if kind.startswith(("int", "uint")) and (wide or floats):
        return owner.cast(value, wide or "float32")
    return owner.cast(value, "float32") if kind == "bool" and floats else value


def places(where: str, x: Any, axis: Any, *, new: int = 0) -> tuple[int, ...]:
    """Axes of a value, counted from the front, as of its shape with batch and time.

    Args:
        where: the function, for errors.
        x: a Ragged or an array.
        axis: a number or several; None for all.
        new: axes more that the result has.

    Returns:
        The axes, in the order given.

    Raises:
        ShapeError: when there is no such axis.
        ArgumentError: when it is no number.
    """
    rank = x.ndim + new
    given = range(rank) if axis is None else axis if isinstance(axis, list | tuple) else (axis,)
    for one in given:
        if isinstance(one, bool) or not hasattr(one, "__index__"):
            raise ArgumentError(
                explain(f"{where}: axis", expected="a number, or several", got=repr(axis), fix="axis=-1")
            )
        if not -rank <= one < rank:
            raise ShapeError(
                explain(f"{where}: axis", expected=f"an axis of {tuple(x.shape)}", got=str(one), fix="axis=-1")
            )
    return tuple(int(one) % rank for one in given)


def features(where: str, x: Ragged, axis: Any, *, new: int = 0) -> tuple[int, ...]:
    """Axes of the features of a value with rows, as axes of its packed steps.

    Args:
        where: the function, for errors.
        x: (B, None, ...).
        axis: a number or several, counted with batch and time.
        new: axes more that the result has.

    Returns:
        The axes of (N, ...).

    Raises:
        MaskError: when batch or time is among them, or it is None.
    """
    found = places(where, x, axis, new=new)
    if axis is None or any(one < 2 for one in found):
        refuse(where, x, axis)
    return tuple(one - 1 for one in found)


def refuse(where: str, x: Any, axis: Any, fix: str = "") -> NoReturn:
    """Raise: an operation would mix rows, or steps that have no fixed place.

    Args:
        where: the function.
        x: what it was given.
        axis: along which.
        fix: what to write instead.
    """
    raise MaskError(
        explain(
            where,
            expected="axes of the features (from 2 on, or -1): rows must not touch each other, and their steps have no "
            "fixed places",
            got=f"axis={axis} of {x!r}",
            fix=fix or f"{where}(x, axis=-1); {where}(x.to_padded(), ...) or layers.Unmask() to treat padding as data",
        )
    )
