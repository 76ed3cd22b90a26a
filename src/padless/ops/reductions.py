"""Sums, means, extremes: over features for each step, over time (axis 1) for each row, never over rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from padless import backends
from padless.errors import ArgumentError, MaskError, NotThereYetError, explain
from padless.operation import named
from padless.ops.values import Array, array_of, features, places
from padless.ragged import Ragged
from padless.row_ops import row_max, row_mean, row_sum, spread

Axis = int | tuple[int, ...] | list[int] | None


def reduction(
    name: str, says: str, dense: Callable[[Any, Array, Any, bool], Array], per_row: Callable[[Ragged], Array]
) -> Any:
    """Make a function that takes entries of an axis, or of several, together.

    Args:
        name: of the function, as in Keras.
        says: what it gives, in one sentence.
        dense: of the backend, an array, axes and keepdims. Over features first and then over time, or all at once, must
            give the same.
        per_row: the same over the steps of each row.

    Returns:
        The function of x, axis and keepdims.
    """

    def compute(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
        return reduced(f"ops.{name}", dense, per_row, x, axis, keepdims)

    return named("reduction", name, compute, f"{says} Of rows: axis=1 for each row, -1 for each step.")


def reduced(
    where: str,
    dense: Callable[[Any, Array, Any, bool], Array],
    per_row: Callable[[Ragged], Array],
    x: Any,
    axis: Axis,
    keepdims: bool,
) -> Any:
    """Reduce a value along axes that are counted as those of the padded array.

    Args:
        where: the function, for errors.
        dense: as of `reduction`.
        per_row: as of `reduction`.
        x: a Ragged or an array.
        axis: a number or several; None for all.
        keepdims: whether the axes stay, with size 1.

    Returns:
        A Ragged where only features were reduced; else an array, (B, ...) for rows.

    Raises:
        MaskError: when rows would be mixed.
    """
    if not isinstance(x, Ragged):
        array = array_of(x)
        axes = None if axis is None else places(where, array, axis)
        return dense(backends.of(array), array, axes, keepdims)
    axes = places(where, x, axis)
    if axis is None or 0 in axes:
        raise MaskError(
            explain(
                where,
                expected="axes after the batch: rows must not touch each other",
                got=f"axis={axis} of {x!r}",
                fix=f"{where}(x, axis=1) for one result per row, axis=-1 for one per step, axis=(1, 2) for both; "
                f"{where}(x.values) for all steps of the batch, on purpose",
            )
        )
    own = tuple(one - 1 for one in axes if one > 1)
    values = dense(backends.of(x.values), x.values, own, keepdims) if own else x.values
    steps = x.with_values(values)
    if 1 not in axes:
        return steps
    y = per_row(steps)
    return backends.of(y).xp.expand_dims(y, axis=1) if keepdims else y


# ---- the steps of a row together


def _filled(x: Ragged, y: Array, fill: Any) -> Array:
    """Results per row, with something else for empty rows."""
    b = backends.of(y)
    alive = b.xp.reshape(b.index(x.rows, "row_lengths") > 0, (-1, *(1 for _ in y.shape[1:])))
    return b.xp.where(alive, y, b.xp.full_like(y, fill))


def _row_min(x: Ragged) -> Array:
    b = backends.of(x.values)
    if b.dtype_name(x.values).startswith(("float", "bfloat")):
        return -row_max(x.with_values(-x.values))
    if b.dtype_name(x.values) == "bool":
        return _row_all(x)
    return _filled(x, ~row_max(x.with_values(~x.values)), 0)


def _row_max(x: Ragged) -> Array:
    return _row_any(x) if backends.of(x.values).dtype_name(x.values) == "bool" else row_max(x)


def _row_any(x: Ragged) -> Array:
    b = backends.of(x.values)
    return row_sum(x.with_values(b.cast(x.values != 0, "int32"))) > 0


def _row_all(x: Ragged) -> Array:
    b = backends.of(x.values)
    return row_sum(x.with_values(b.cast(x.values == 0, "int32"))) == 0


def _row_sum(x: Ragged) -> Array:
    return row_sum(x.with_values(_counted(backends.of(x.values), x.values)))


def _row_mean(x: Ragged) -> Array:
    return row_mean(x.with_values(_floats(backends.of(x.values), x.values)))


def _row_prod(x: Ragged) -> Array:
    b = backends.of(x.values)
    values = _counted(b, x.values)
    one = b.xp.ones((x.rows.nrows, *values.shape[1:]), dtype=values.dtype, device=b.device_of(values))
    return b.scan(lambda v, state: (v, (state[0] * v,)), values, x.rows, (one,))[1][0]


def _row_logsumexp(x: Ragged) -> Array:
    b = backends.of(x.values)
    values = _floats(b, x.values)
    largest = b.stop_gradient(row_max(x.with_values(values)))
    largest = b.xp.where(b.xp.isfinite(largest), largest, b.xp.zeros_like(largest))
    moved = b.xp.exp(values - spread(largest, x).values)
    total = row_sum(x.with_values(moved))
    return _filled(x, largest + b.xp.log(total + _none(b, x, total)), 0)


def _none(b: Any, x: Ragged, total: Array) -> Array:
    """1 for empty rows, so that their logarithm is a number; 0 for others."""
    empty = b.xp.reshape(b.index(x.rows, "row_lengths") == 0, (-1, *(1 for _ in total.shape[1:])))
    return b.xp.where(empty, b.xp.ones_like(total), b.xp.zeros_like(total))


# ---- dtypes, as Keras chooses them


def _floats(b: Any, x: Array) -> Array:
    return x if b.dtype_name(x).startswith(("float", "bfloat")) else b.cast(x, "float32")


def _counted(b: Any, x: Array) -> Array:
    return b.cast(x, "int32") if b.dtype_name(x) == "bool" else x


def _sums(b: Any, x: Array, axis: Any, keepdims: bool) -> Array:
    x = _counted(b, x)
    return b.xp.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype)


def _products(b: Any, x: Array, axis: Any, keepdims: bool) -> Array:
    x = _counted(b, x)
    return b.xp.prod(x, axis=axis, keepdims=keepdims, dtype=x.dtype)


def _means(b: Any, x: Array, axis: Any, keepdims: bool) -> Array:
    return b.xp.mean(_floats(b, x), axis=axis, keepdims=keepdims)


def _logsumexps(b: Any, x: Array, axis: Any, keepdims: bool) -> Array:
    xp, x = b.xp, _floats(b, x)
    largest = b.stop_gradient(xp.max(x, axis=axis, keepdims=True))
    largest = xp.where(xp.isfinite(largest), largest, xp.zeros_like(largest))
    total = xp.sum(xp.exp(x - largest), axis=axis, keepdims=True)
    y = largest + xp.log(total)
    return y if keepdims else xp.squeeze(y, axis=tuple(range(x.ndim)) if axis is None else axis)


sum = reduction("sum", "The sum.", _sums, _row_sum)
mean = reduction("mean", "The mean; 0 for an empty row.", _means, _row_mean)
prod = reduction("prod", "The product; 1 for an empty row.", _products, _row_prod)
max = reduction(
    "max",
    "The largest; 0 for an empty row.",
    lambda b, x, axis, keepdims: b.xp.max(x, axis=axis, keepdims=keepdims),
    _row_max,
)
min = reduction(
    "min",
    "The smallest; 0 for an empty row.",
    lambda b, x, axis, keepdims: b.xp.min(x, axis=axis, keepdims=keepdims),
    _row_min,
)
amax, amin = max, min
any = reduction(
    "any",
    "Whether one is true.",
    lambda b, x, axis, keepdims: b.xp.any(x != 0, axis=axis, keepdims=keepdims),
    _row_any,
)
all = reduction(
    "all",
    "Whether all are true, as those of an empty row are.",
    lambda b, x, axis, keepdims: b.xp.all(x != 0, axis=axis, keepdims=keepdims),
    _row_all,
)
logsumexp = reduction(
    "logsumexp", "log(sum(exp(x))), without the loss of digits; 0 for an empty row.", _logsumexps, _row_logsumexp
)


def _count_nonzero(x: Any, axis: Axis = None) -> Any:
    """How many entries are not 0. Of rows: axis=1 for each row, -1 for each step."""
    if isinstance(x, Ragged):
        return sum(x.with_values(x.values != 0), axis=axis)
    return sum(array_of(x) != 0, axis=axis)


def _var(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The variance, divided by the count; 0 for an empty row. Of rows: axis=1 for each row, -1 for each step."""
    middle = mean(x, axis=axis, keepdims=True)
    if isinstance(x, Ragged):
        around = middle.values if isinstance(middle, Ragged) else spread(middle[:, 0], x).values
        apart = x.with_values((_floats(backends.of(x.values), x.values) - around) ** 2)
        return mean(apart, axis=axis, keepdims=keepdims)
    array = array_of(x)
    return mean((_floats(backends.of(array), array) - middle) ** 2, axis=axis, keepdims=keepdims)


def _std(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The standard deviation: the root of `var`. Of rows: axis=1 for each row, -1 for each step."""
    return _root(_var(x, axis, keepdims))


def _root(x: Any) -> Any:
    if isinstance(x, Ragged):
        return x.with_values(_root(x.values))
    return _power(x, 0.5)


def _power(x: Array, exponent: float) -> Array:
    """A root; where x is 0, as for a row of one step, the gradient is 0 and not infinite."""
    xp = backends.of(x).xp
    nothing = x == 0
    safe = xp.where(nothing, xp.ones_like(x), x)
    return xp.where(nothing, xp.zeros_like(x), xp.sqrt(safe) if exponent == 0.5 else safe**exponent)


def _moments(x: Any, axes: Axis, keepdims: bool = False, synchronized: bool = False) -> Any:
    """Mean and variance. Of rows: axes=[1] for each row, [-1] for each step."""
    return mean(x, axis=axes, keepdims=keepdims), _var(x, axes, keepdims)


def _norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """The length of vectors: ord 1, 2 (the default), any other number, inf or -inf. Of rows as `sum`."""
    if isinstance(ord, str) and ord != "fro":
        raise NotThereYetError(
            explain("ops.norm: ord", expected="None, 'fro' or a number", got=repr(ord), fix="ord=2 for Euclid's")
        )
    if isinstance(axis, list | tuple) and len(axis) > 1 and ord not in (None, "fro"):
        raise NotThereYetError(
            explain("ops.norm: ord", expected="None or 'fro' for two axes", got=repr(ord), fix="axis=-1, for vectors")
        )
    b = backends.of(x.values if isinstance(x, Ragged) else x)

    def of(function: Callable[[Array], Array], y: Any) -> Any:
        return y.with_values(function(y.values)) if isinstance(y, Ragged) else function(y)

    size = of(lambda v: b.xp.abs(_floats(b, v)), x if isinstance(x, Ragged) else array_of(x))
    if ord in (float("inf"), -float("inf")):
        return (max if ord > 0 else min)(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return sum(of(lambda v: _floats(b, v != 0), size), axis=axis, keepdims=keepdims)
    power = 2.0 if ord in (None, "fro") else float(ord)
    total = sum(of(lambda v: v**power, size), axis=axis, keepdims=keepdims)
    return of(lambda v: _power(v, 1 / power) if power > 1 else v ** (1 / power), total)


def _arg(where: str, x: Any, axis: Any, keepdims: bool, largest: bool) -> Any:
    if axis is not None and isinstance(axis, list | tuple):
        raise ArgumentError(explain(f"{where}: axis", expected="one axis", got=repr(axis), fix="axis=-1"))

    def dense(b: Any, v: Array, axes: Any, keep: bool) -> Array:
        at = None if axes is None else axes[0]
        v = _counted(b, v)
        found = (b.xp.argmax if largest else b.xp.argmin)(v, axis=at, keepdims=keep)
        return b.cast(found, "int32")

    def per_row(steps: Ragged) -> Array:
        b, xp = backends.of(steps.values), backends.of(steps.values).xp
        best = spread((_row_max if largest else _row_min)(steps), steps).values
        at = steps.values == best
        if b.dtype_name(steps.values).startswith(("float", "bfloat")):
            at = at | xp.isnan(steps.values)
        ranks = b.cast(b.index(steps.rows, "ranks"), "int32")
        ranks = xp.reshape(ranks, (-1, *(1 for _ in steps.values.shape[1:])))
        far = xp.full_like(ranks, 2**30)
        return _row_min(steps.with_values(xp.where(at, ranks, far)))

    return reduced(where, dense, per_row, x, axis, keepdims)


def _argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the largest stands. Of rows: axis=1 for the step of each row, among those that it has, -1 for features."""
    return _arg("ops.argmax", x, axis, keepdims, True)


def _argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the smallest stands. Of rows: axis=1 for the step of each row, among those that it has, -1 for features."""
    return _arg("ops.argmin", x, axis, keepdims, False)


count_nonzero = named("reduction", "count_nonzero", _count_nonzero)
var = named("reduction", "var", _var)
std = named("reduction", "std", _std)
moments = named("reduction", "moments", _moments)
norm = named("reduction", "norm", _norm)
argmax = named("reduction", "argmax", _argmax)
argmin = named("reduction", "argmin", _argmin)


# ---- along an axis that stays


def _along(where: str, x: Any, axis: Any, dense: Callable[[Any, Array, int], Array]) -> Any:
    if isinstance(x, Ragged):
        return x.with_values(dense(backends.of(x.values), x.values, features(where, x, axis)[0]))
    array = array_of(x)
    return dense(backends.of(array), array, places(where, array, axis)[0])


def _cumulative(
    where: str, x: Any, axis: Any, dtype: Any, name: str, step: Callable[[Array, Array], Array], start: int
) -> Any:
    from padless.ops.elementwise import cast

    x = x if dtype is None else cast(x, dtype)
    if isinstance(x, Ragged) and axis is not None and places(where, x, axis) == (1,):
        b, values = backends.of(x.values), _counted(backends.of(x.values), x.values)
        shape = (x.rows.nrows, *values.shape[1:])
        first = b.xp.full(shape, start, dtype=values.dtype, device=b.device_of(values))

        def go(v: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
            y = step(state[0], v)
            return y, (y,)

        # Not as differences of one long sum: a row must not change by a bit with those before it.
        return x.with_values(b.scan(go, values, x.rows, (first,))[0])
    if axis is None and not isinstance(x, Ragged):
        array = array_of(x)
        x, axis = backends.of(array).xp.reshape(array, (-1,)), 0

    def dense(b: Any, v: Array, at: int) -> Array:
        v = _counted(b, v)
        return getattr(b.xp, name)(v, axis=at, dtype=v.dtype)

    return _along(where, x, axis, dense)


def _cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Sums of all entries up to each. Of rows: axis=1 along each row, -1 along the features of each step."""
    return _cumulative("ops.cumsum", x, axis, dtype, "cumulative_sum", lambda a, b: a + b, 0)


def _cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Products of all entries up to each. Of rows: axis=1 along each row, -1 along the features of each step."""
    return _cumulative("ops.cumprod", x, axis, dtype, "cumulative_prod", lambda a, b: a * b, 1)


def _softmax(x: Any, axis: Any = -1) -> Any:
    """Numbers from 0 to 1 that sum to 1 along an axis. Of rows: axis=1 within each row, -1 within each step."""
    return _normalized("ops.softmax", x, axis, False)


def _log_softmax(x: Any, axis: Any = -1) -> Any:
    """The logarithm of `softmax`. Of rows: axis=1 within each row, -1 within each step."""
    return _normalized("ops.log_softmax", x, axis, True)


def _normalized(where: str, x: Any, axis: Any, logarithm: bool) -> Any:
    from padless import activations

    function = activations.log_softmax if logarithm else activations.softmax
    if not isinstance(x, Ragged):
        array = array_of(x)
        array = _floats(backends.of(array), array)
        if backends.of(array).is_empty(array):
            return array
        if axis is None:
            flat = backends.of(array).xp.reshape(array, (-1,))
            return backends.of(array).xp.reshape(function(flat), array.shape)
        axes = places(where, array, axis)
        return function(array) if axes == (array.ndim - 1,) else function(array, axes[0] if len(axes) == 1 else axes)
    b = backends.of(x.values)
    if axis is not None and 1 in places(where, x, axis):
        total = logsumexp(x, axis=axis, keepdims=True)  # refuses the batch
        y = _floats(b, x.values) - spread(total[:, 0], x).values
        return x.with_values(y if logarithm else b.xp.exp(y))
    axes = features(where, x, axis)
    values = _floats(b, x.values)
    last = axes == (values.ndim - 1,)
    return x.with_values(function(values) if last else function(values, axes[0] if len(axes) == 1 else axes))


def _normalize(x: Any, axis: Any = -1, order: Any = 2, epsilon: float | None = None) -> Any:
    """Values divided by their `norm` along an axis. Of rows: axis=1 along each row, -1 within each step."""
    from padless.ops.elementwise import maximum

    size = maximum(_norm(x, order, axis, True), 1e-7 if epsilon is None else epsilon)
    if isinstance(x, Ragged) and not isinstance(size, Ragged):
        size = spread(size[:, 0], x)
    return x / size


cumsum = named("along", "cumsum", _cumsum)
cumprod = named("along", "cumprod", _cumprod)
softmax = named("along", "softmax", _softmax)
log_softmax = named("along", "log_softmax", _log_softmax)
normalize = named("along", "normalize", _normalize)
