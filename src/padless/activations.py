"""Activation functions: one array in, one array out; formulas and names of Keras 3.15.

They take arrays, packed steps (N, D) among them, values with rows, and symbols. They never mix entries, except
softmax, log_softmax, sparsemax and glu, which mix along `axis`. Branches are chosen with `where` on the inputs as well
as on the results, so that gradients stay finite at 0 and far from it. NaN stays NaN.

The formulas here are the specification. A backend whose framework has a function itself may name it in its `native`
table; it then stands in wherever every further argument is at its default.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar

from padless import backends
from padless.errors import ArgumentError, ShapeError, explain, nearest
from padless.mixed_precision import HALVES
from padless.ragged import Ragged

Array = Any
Activation = Callable[[Array], Array]
Axis = int | tuple[int, ...]


def _given(x: Any) -> tuple[Array, Any]:
    """The array and its namespace; numbers and lists become float32 arrays."""
    owner = backends.of(x)
    return (x if owner.is_array(x) else owner.asarray(x, "float32")), owner.xp


def _decay(x: Array, xp: Any) -> Array:
    """exp(-|x|), with the gradient of exp(-x) at 0."""
    return xp.exp(xp.where(x >= 0, -x, x))


_SUMMING = ("softmax", "log_softmax", "sparsemax")
"""What adds many numbers up, and so computes in float32 where 16 bits come."""

F = TypeVar("F", bound=Callable[..., Any])


def _or_native(formula: F) -> F:
    """The backend's own function of this name where it has one and no argument differs from its default."""
    sums = formula.__name__ in _SUMMING
    defaults = {name: p.default for name, p in list(inspect.signature(formula).parameters.items())[1:]}

    def is_default(name: str, value: Any) -> bool:
        return name in defaults and isinstance(value, int | float | None) and value == defaults[name]

    @functools.wraps(formula)
    def chosen(x: Any, *arguments: Any, **named: Any) -> Array:
        if isinstance(x, Ragged):
            return _of_rows(chosen, defaults, x, arguments, named)
        if _is_symbol(x):
            from padless.operation import Operation

            return Operation(f"activations.{formula.__name__}")(x, *arguments, **named)
        if sums:
            owner = backends.of(x)
            kind = owner.dtype_name(x) if owner.is_array(x) else ""
            if kind in HALVES:
                return owner.cast(chosen(owner.wide(x), *arguments, **named), kind)
        given = {**dict(zip(defaults, arguments, strict=False)), **named}
        if len(arguments) <= len(defaults) and all(is_default(name, value) for name, value in given.items()):
            owner = backends.of(x)
            function = getattr(owner, "native", {}).get(formula.__name__)
            if function is not None and owner.is_array(x):
                return function(x)
        return formula(x, *arguments, **named)

    return chosen  # type: ignore[return-value]


def _is_symbol(x: Any) -> bool:
    from padless.spec import Symbol

    return isinstance(x, Symbol)


def _of_rows(
    function: Callable[..., Array], known: dict[str, Any], x: Ragged, arguments: tuple[Any, ...], named: dict[str, Any]
) -> Ragged:
    """An activation of every step; an axis counts as in the padded array."""
    given = {**dict(zip(known, arguments, strict=False)), **named}
    if "axis" in known:
        from padless.ops.values import features

        axis = given.get("axis", known["axis"])
        own = features(f"activations.{function.__name__}", x, axis)
        given["axis"] = own if isinstance(axis, list | tuple) else own[0] - x.values.ndim
    return x.with_values(function(x.values, **given))


def linear(x: Array) -> Array:
    """Give back the input.

    Args:
        x: array of any shape.

    Returns:
        x.

    Example:
        >>> linear(3.0)
        3.0
    """
    return x


@_or_native
def relu(x: Array, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Array:
    """Keep what lies above a threshold: max(x, 0) by default.

    Args:
        x: array of any shape.
        negative_slope: slope below the threshold.
        max_value: where the output stops growing; None for nowhere.
        threshold: where the output starts to grow.

    Returns:
        An array like x: x above the threshold, negative_slope * (x - threshold) below it.

    Example:
        >>> import numpy as np
        >>> relu(np.array([-2.0, 0.0, 3.0])).tolist()
        [0.0, 0.0, 3.0]

    Source: Keras 3.15.
    """
    x, xp = _given(x)
    below = negative_slope * (x - threshold) if negative_slope else 0.0
    y = xp.where(x <= threshold, below, x)
    return y if max_value is None else xp.where(x >= max_value, max_value, y)


@_or_native
def leaky_relu(x: Array, negative_slope: float = 0.2) -> Array:
    """Rectify, but with a small slope below 0.

    Args:
        x: array of any shape.
        negative_slope: slope below 0.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> leaky_relu(np.array([-2.0, 3.0]), negative_slope=0.25).tolist()
        [-0.5, 3.0]

    Source: Maas, Hannun and Ng 2013; Keras 3.15.
    """
    return relu(x, negative_slope)


@_or_native
def relu6(x: Array) -> Array:
    """Rectify and stop at 6.

    Args:
        x: array of any shape.

    Returns:
        min(max(x, 0), 6).

    Example:
        >>> import numpy as np
        >>> relu6(np.array([-2.0, 3.0, 9.0])).tolist()
        [0.0, 3.0, 6.0]

    Source: Krizhevsky 2010; Keras 3.15.
    """
    return relu(x, max_value=6.0)


@_or_native
def softmax(x: Array, axis: Axis = -1) -> Array:
    """Turn scores into probabilities that sum to 1 along an axis.

    Args:
        x: array of any shape.
        axis: which; a tuple for several together.

    Returns:
        exp(x) / sum(exp(x)).

    Example:
        >>> import numpy as np
        >>> softmax(np.array([0.0, 0.0, 1000.0])).tolist()
        [0.0, 0.0, 1.0]

    Source: Bridle 1990; Keras 3.15.
    """
    x, xp = _given(x)
    e = xp.exp(x - backends.of(x).stop_gradient(xp.max(x, axis=axis, keepdims=True)))
    return e / xp.sum(e, axis=axis, keepdims=True)


@_or_native
def log_softmax(x: Array, axis: Axis = -1) -> Array:
    """Logarithm of softmax, without the loss of digits.

    Args:
        x: array of any shape.
        axis: which; a tuple for several together.

    Returns:
        x - log(sum(exp(x))).

    Example:
        >>> import numpy as np
        >>> log_softmax(np.array([0.0, 1000.0])).tolist()
        [-1000.0, 0.0]

    Source: Keras 3.15.
    """
    x, xp = _given(x)
    shifted = x - backends.of(x).stop_gradient(xp.max(x, axis=axis, keepdims=True))
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


@_or_native
def sparsemax(x: Array, axis: int = -1) -> Array:
    """Turn scores into probabilities many of which are exactly 0: the nearest point of the simplex.

    Keras 3.15 gives numbers that do not sum to 1 where more than one of them is not 0; here they do.

    Args:
        x: array of any shape.
        axis: along which the probabilities sum to 1.

    Returns:
        max(x - t, 0), with t such that the sum is 1.

    Example:
        >>> import numpy as np
        >>> sparsemax(np.array([1.0, 0.5, -2.0])).tolist()
        [0.75, 0.25, 0.0]

    Source: Martins and Astudillo 2016, algorithm 1.
    """
    x, xp = _given(x)
    falling = xp.sort(x, axis=axis, descending=True)
    shape = [1] * x.ndim
    shape[axis] = -1
    rank = xp.reshape(xp.arange(1, x.shape[axis] + 1, dtype=x.dtype, device=backends.of(x).device_of(x)), tuple(shape))
    support = 1 + rank * falling > xp.cumulative_sum(falling, axis=axis)
    size = xp.sum(xp.astype(support, x.dtype), axis=axis, keepdims=True)
    bound = (xp.sum(xp.where(support, falling, 0.0), axis=axis, keepdims=True) - 1) / size
    return xp.where(x <= bound, 0.0, x - bound)


@_or_native
def glu(x: Array, axis: int = -1) -> Array:
    """Gate one half of the features with the other.

    Args:
        x: array with an even size along the axis.
        axis: which.

    Returns:
        a * sigmoid(b) for the halves a and b; half as large as x along the axis.

    Raises:
        ShapeError: when the size is odd.

    Example:
        >>> import numpy as np
        >>> glu(np.array([2.0, 0.0])).tolist()
        [1.0]

    Source: Dauphin and others 2017; Keras 3.15.
    """
    x, xp = _given(x)
    size = x.shape[axis]
    if size % 2:
        raise ShapeError(
            explain(
                "glu",
                expected=f"an even number of features along axis {axis}",
                got=f"{size} (shape {tuple(x.shape)})",
                fix="a layer before it with an even number of units",
            )
        )
    index = xp.arange(size, device=backends.of(x).device_of(x))
    value = xp.take(x, index[: size // 2], axis=axis)
    gate = xp.take(x, index[size // 2 :], axis=axis)
    return value * sigmoid(gate)


@_or_native
def elu(x: Array, alpha: float = 1.0) -> Array:
    """Exponential linear unit.

    Args:
        x: array of any shape.
        alpha: minus the limit far below 0.

    Returns:
        x above 0, alpha * (exp(x) - 1) below.

    Example:
        >>> import numpy as np
        >>> elu(np.array([-1000.0, 2.0])).tolist()
        [-1.0, 2.0]

    Source: Clevert, Unterthiner and Hochreiter 2016; Keras 3.15.
    """
    x, xp = _given(x)
    return xp.where(x <= 0, alpha * xp.expm1(xp.where(x <= 0, x, 0.0)), x)


@_or_native
def selu(x: Array) -> Array:
    """Scaled exponential linear unit, which keeps mean 0 and variance 1.

    Args:
        x: array of any shape.

    Returns:
        1.0507 * elu(x, 1.6733), with more digits.

    Example:
        >>> import numpy as np
        >>> selu(np.array([0.0, 1.0])).round(4).tolist()
        [0.0, 1.0507]

    Source: Klambauer and others 2017; Keras 3.15.
    """
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


@_or_native
def celu(x: Array, alpha: float = 1.0) -> Array:
    """Exponential linear unit whose slope is continuous for every alpha.

    Args:
        x: array of any shape.
        alpha: minus the limit far below 0.

    Returns:
        x above 0, alpha * (exp(x / alpha) - 1) below.

    Example:
        >>> import numpy as np
        >>> celu(np.array([-1000.0, 2.0]), alpha=0.5).tolist()
        [-0.5, 2.0]

    Source: Barron 2017; Keras 3.15.
    """
    x, xp = _given(x)
    return xp.where(x <= 0, alpha * xp.expm1(xp.where(x <= 0, x, 0.0) / alpha), x)


@_or_native
def silu(x: Array) -> Array:
    """Swish: x * sigmoid(x).

    Args:
        x: array of any shape.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> silu(np.array([0.0, 1.0])).round(4).tolist()
        [0.0, 0.7311]

    Source: Ramachandran, Zoph and Le 2017; Keras 3.15.
    """
    x, _ = _given(x)
    return x * sigmoid(x)


@_or_native
def gelu(x: Array, approximate: bool = False) -> Array:
    """Gaussian error linear unit: x times the normal distribution function at x.

    Args:
        x: array of any shape.
        approximate: use the formula with tanh.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> gelu(np.array([0.0, 1.0])).round(4).tolist()
        [0.0, 0.8413]

    Source: Hendrycks and Gimpel 2016; Keras 3.15.
    """
    x, xp = _given(x)
    if approximate:
        return 0.5 * x * (1.0 + xp.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1.0 + backends.of(x).erf(x / math.sqrt(2.0)))


@_or_native
def mish(x: Array) -> Array:
    """Smooth activation without bound above: x * tanh(softplus(x)).

    Args:
        x: array of any shape.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> mish(np.array([0.0, 1.0])).round(4).tolist()
        [0.0, 0.8651]

    Source: Misra 2019; Keras 3.15.
    """
    x, xp = _given(x)
    return x * xp.tanh(softplus(x))


@_or_native
def softplus(x: Array) -> Array:
    """Smooth relu: log(exp(x) + 1).

    Args:
        x: array of any shape.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> softplus(np.array([-1000.0, 1000.0])).tolist()
        [0.0, 1000.0]

    Source: Dugas and others 2001; Keras 3.15.
    """
    x, xp = _given(x)
    return xp.where(x >= 0, x, 0.0) + xp.log1p(_decay(x, xp))


@_or_native
def squareplus(x: Array, b: float = 4) -> Array:
    """Smooth relu without exponentials: (x + sqrt(x^2 + b)) / 2.

    Args:
        x: array of any shape.
        b: how smooth; 0 gives relu.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> squareplus(np.array([0.0, 1.5])).tolist()
        [1.0, 2.0]

    Source: Barron 2021; Keras 3.15.
    """
    x, xp = _given(x)
    return (x + xp.sqrt(x * x + b)) / 2


@_or_native
def softsign(x: Array) -> Array:
    """Squash to (-1, 1): x / (1 + |x|).

    Args:
        x: array of any shape.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> softsign(np.array([-1.0, 3.0])).tolist()
        [-0.5, 0.75]

    Source: Bergstra and others 2009; Keras 3.15.
    """
    x, xp = _given(x)
    return x / (1.0 + xp.abs(x))


@_or_native
def sparse_plus(x: Array) -> Array:
    """Relu with a parabola from -1 to 1.

    Args:
        x: array of any shape.

    Returns:
        0 up to -1, (x + 1)^2 / 4 up to 1, then x.

    Example:
        >>> import numpy as np
        >>> sparse_plus(np.array([-2.0, 0.0, 2.0])).tolist()
        [0.0, 0.25, 2.0]

    Source: Keras 3.15.
    """
    x, xp = _given(x)
    middle = xp.where(xp.abs(x) < 1, x, 0.0)
    return xp.where(x <= -1, 0.0, xp.where(x < 1, 0.25 * (middle + 1.0) ** 2, x))


@_or_native
def sigmoid(x: Array) -> Array:
    """Logistic function: 1 / (1 + exp(-x)).

    Args:
        x: array of any shape.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
        [0.0, 0.5, 1.0]

    Source: Keras 3.15.
    """
    x, xp = _given(x)
    e = _decay(x, xp)
    return xp.where(x >= 0, 1.0, e) / (1.0 + e)


@_or_native
def log_sigmoid(x: Array) -> Array:
    """Logarithm of the logistic function, without the loss of digits.

    Args:
        x: array of any shape.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> log_sigmoid(np.array([-1000.0, 1000.0])).tolist()
        [-1000.0, 0.0]

    Source: Keras 3.15.
    """
    x, xp = _given(x)
    return xp.where(x >= 0, 0.0, x) - xp.log1p(_decay(x, xp))


@_or_native
def hard_sigmoid(x: Array) -> Array:
    """Straight line in place of the logistic function: x / 6 + 1/2, from 0 to 1.

    Args:
        x: array of any shape.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> hard_sigmoid(np.array([-4.0, 0.0, 4.0])).tolist()
        [0.0, 0.5, 1.0]

    Source: Courbariaux, Bengio and David 2015, with the slope of Keras 3.15.
    """
    x, xp = _given(x)
    return xp.where(x <= -3, 0.0, xp.where(x >= 3, 1.0, x / 6.0 + 0.5))


@_or_native
def hard_silu(x: Array) -> Array:
    """Swish with a straight line in place of the logistic function: x * hard_sigmoid(x).

    Args:
        x: array of any shape.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> hard_silu(np.array([-4.0, 0.0, 4.0])).tolist()
        [0.0, 0.0, 4.0]

    Source: Howard and others 2019; Keras 3.15.
    """
    x, xp = _given(x)
    return xp.where(x <= -3, 0.0, x * hard_sigmoid(x))


@_or_native
def sparse_sigmoid(x: Array) -> Array:
    """Straight line from 0 at -1 to 1 at 1.

    Args:
        x: array of any shape.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> sparse_sigmoid(np.array([-2.0, 0.5, 2.0])).tolist()
        [0.0, 0.75, 1.0]

    Source: Keras 3.15.
    """
    x, xp = _given(x)
    return xp.where(x <= -1, 0.0, xp.where(x >= 1, 1.0, 0.5 * (x + 1.0)))


@_or_native
def tanh(x: Array) -> Array:
    """Hyperbolic tangent.

    Args:
        x: array of any shape.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> tanh(np.array([0.0, 1000.0])).tolist()
        [0.0, 1.0]

    Source: Keras 3.15.
    """
    x, xp = _given(x)
    return xp.tanh(x)


@_or_native
def hard_tanh(x: Array) -> Array:
    """Cut to [-1, 1].

    Args:
        x: array of any shape.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> hard_tanh(np.array([-2.0, 0.5, 2.0])).tolist()
        [-1.0, 0.5, 1.0]

    Source: Keras 3.15.
    """
    x, xp = _given(x)
    return xp.where(x <= -1, -1.0, xp.where(x >= 1, 1.0, x))


@_or_native
def tanh_shrink(x: Array) -> Array:
    """What tanh takes away: x - tanh(x).

    Args:
        x: array of any shape.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> tanh_shrink(np.array([0.0, 1000.0])).tolist()
        [0.0, 999.0]

    Source: Keras 3.15.
    """
    x, xp = _given(x)
    return x - xp.tanh(x)


@_or_native
def soft_shrink(x: Array, threshold: float = 0.5) -> Array:
    """Bring every number nearer to 0 by a threshold.

    Args:
        x: array of any shape.
        threshold: by how much.

    Returns:
        x - threshold above it, x + threshold below -threshold, else 0.

    Example:
        >>> import numpy as np
        >>> soft_shrink(np.array([-2.0, 0.25, 2.0])).tolist()
        [-1.5, 0.0, 1.5]

    Source: Keras 3.15.
    """
    x, xp = _given(x)
    return xp.where(xp.abs(x) <= threshold, 0.0, x - threshold * xp.sign(x))


@_or_native
def hard_shrink(x: Array, threshold: float = 0.5) -> Array:
    """Set numbers near 0 to 0.

    Args:
        x: array of any shape.
        threshold: how near.

    Returns:
        0 where |x| <= threshold, else x.

    Example:
        >>> import numpy as np
        >>> hard_shrink(np.array([-2.0, 0.25, 2.0])).tolist()
        [-2.0, 0.0, 2.0]

    Source: Keras 3.15.
    """
    x, xp = _given(x)
    return xp.where(xp.abs(x) <= threshold, 0.0, x)


@_or_native
def threshold(x: Array, threshold: float, default_value: float) -> Array:
    """Replace what does not exceed a threshold.

    Args:
        x: array of any shape.
        threshold: what must be exceeded.
        default_value: what to put instead.

    Returns:
        An array like x.

    Example:
        >>> import numpy as np
        >>> threshold(np.array([1.0, 2.0, 3.0]), 1.5, 0.0).tolist()
        [0.0, 2.0, 3.0]

    Source: Keras 3.15.
    """
    x, xp = _given(x)
    return xp.where(x <= threshold, default_value, x)


@_or_native
def exponential(x: Array) -> Array:
    """Exponential function.

    Args:
        x: array of any shape.

    Returns:
        exp(x).

    Example:
        >>> import numpy as np
        >>> exponential(np.array([0.0])).tolist()
        [1.0]

    Source: Keras 3.15.
    """
    x, xp = _given(x)
    return xp.exp(x)


swish = silu
hard_swish = hard_silu

_KNOWN: dict[str, Callable[..., Array]] = {
    function.__name__: function
    for function in (
        *(linear, relu, leaky_relu, relu6, softmax, log_softmax, sparsemax, glu, elu, selu, celu, silu, gelu, mish),
        *(softplus, squareplus, softsign, sparse_plus, sigmoid, log_sigmoid, hard_sigmoid, hard_silu, sparse_sigmoid),
        *(tanh, hard_tanh, tanh_shrink, soft_shrink, hard_shrink, threshold, exponential),
    )
} | {"swish": silu, "hard_swish": hard_silu}


def get(identifier: str | Activation | None) -> Callable[..., Array]:
    """Find an activation by its name.

    Args:
        identifier: a name, a function (given back as it is), or None for `linear`.

    Returns:
        The function.

    Raises:
        ArgumentError: when there is no such name; it gives the nearest one.

    Example:
        >>> get("relu").__name__
        'relu'
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str) and identifier in _KNOWN:
        return _KNOWN[identifier]
    if callable(identifier):
        return identifier
    hint = nearest(identifier, _KNOWN) if isinstance(identifier, str) else "activation='relu', or a function"
    raise ArgumentError(
        explain("activation", expected="a name or a function of one array", got=repr(identifier), fix=hint)
    )


def serialize(activation: Activation) -> str:
    """Name of an activation, as it stands in a model's file.

    Args:
        activation: a function of this module, or your own with a name of its own.

    Returns:
        The name.

    Raises:
        ArgumentError: when no name would bring back this function: a lambda, an object, or a name that is taken.

    Example:
        >>> serialize(swish)
        'silu'
    """
    name = getattr(activation, "__name__", "")
    if name.isidentifier() and _KNOWN.get(name, activation) is activation:
        return name
    raise ArgumentError(
        explain(
            "activation",
            expected="a function whose name stands for it in a file",
            got=repr(activation),
            fix="def a function with a name that padless.activations does not have",
        )
    )


def deserialize(config: Any) -> Callable[..., Array]:
    """Find an activation by what `serialize` gave, as `get` does.

    Args:
        config: a name, or None.

    Returns:
        The activation.

    Example:
        >>> deserialize("relu") is relu
        True
    """
    return get(config)
