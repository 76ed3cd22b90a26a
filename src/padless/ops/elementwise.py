"""Functions element by element: rows are kept."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from padless import activations, backends
from padless.operation import dtype_text, named
from padless.ops.values import Array, array_of, entered
from padless.ragged import Ragged


def each(name: str, says: str, formula: Callable[..., Array] | None = None, *, floats: bool = False) -> Any:
    """Make a function element by element.

    Args:
        name: of the function, as in Keras.
        says: what it does, in one sentence.
        formula: of the backend, the values, and options with defaults; by default the function of that name in `xp`.
        floats: whether whole numbers become float32 first.

    Returns:
        The function; values with rows keep them, and arrays beside these have an entry for each feature.
    """
    rule = formula or (lambda b, x: getattr(b.xp, name)(x))
    signature = inspect.Signature(list(inspect.signature(rule).parameters.values())[1:])
    values = [key for key, one in signature.parameters.items() if one.default is inspect.Parameter.empty]
    where = f"ops.{name}"

    def compute(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        like, owner, arrays = entered(where, [given.pop(key) for key in values], floats=floats)
        y = rule(owner, *arrays, **given)
        return y if like is None else like.with_values(y)

    compute.__signature__ = signature  # type: ignore[attr-defined]
    return named("each", name, compute, says)


# ---- arithmetic

add = each("add", "x1 + x2.", lambda b, x1, x2: x1 + x2)
subtract = each("subtract", "x1 - x2.", lambda b, x1, x2: x1 - x2)
multiply = each("multiply", "x1 * x2.", lambda b, x1, x2: x1 * x2)
divide = each("divide", "x1 / x2.", lambda b, x1, x2: x1 / x2, floats=True)
true_divide = each("true_divide", "x1 / x2.", lambda b, x1, x2: x1 / x2, floats=True)
floor_divide = each("floor_divide", "The whole part of x1 / x2, rounded down.", lambda b, x1, x2: x1 // x2)
mod = each("mod", "What a division leaves; it has the sign of x2.", lambda b, x1, x2: b.xp.remainder(x1, x2))
power = each("power", "x1 to the power of x2.", lambda b, x1, x2: x1**x2)
divide_no_nan = each(
    "divide_no_nan",
    "x1 / x2, and 0 where x2 is 0.",
    lambda b, x1, x2: b.xp.where(x2 == 0, b.xp.zeros_like(x1 * x2), x1 / b.xp.where(x2 == 0, b.xp.ones_like(x2), x2)),
    floats=True,
)
negative = each("negative", "-x.", lambda b, x: -x)
abs = each("abs", "The absolute value.", lambda b, x: b.xp.abs(x))
absolute = each("absolute", "The absolute value.", lambda b, x: b.xp.abs(x))
sign = each("sign", "-1, 0 or 1: the sign.")
square = each("square", "x times x.", lambda b, x: x * x)
reciprocal = each("reciprocal", "1 / x.", lambda b, x: 1 / x, floats=True)
maximum = each("maximum", "The larger of two.", lambda b, x1, x2: b.xp.maximum(x1, x2))
minimum = each("minimum", "The smaller of two.", lambda b, x1, x2: b.xp.minimum(x1, x2))
clip = each(
    "clip",
    "x, cut off below x_min and above x_max.",
    lambda b, x, x_min, x_max: b.xp.minimum(b.xp.maximum(x, x_min), x_max),
)
where = each(
    "where",
    "x1 where the condition holds, x2 elsewhere.",
    lambda b, condition, x1, x2: b.xp.where(condition != 0, x1, x2),
)

# ---- rounding

floor = each("floor", "The next whole number below.", lambda b, x: b.xp.floor(x), floats=True)
ceil = each("ceil", "The next whole number above.", lambda b, x: b.xp.ceil(x), floats=True)
trunc = each("trunc", "Without what follows the point.", lambda b, x: b.xp.trunc(x), floats=True)
round = each(
    "round",
    "Rounded to so many decimals; halves go to the even one.",
    lambda b, x, decimals=0: b.xp.round(x) if not decimals else b.xp.round(x * 10.0**decimals) / 10.0**decimals,
)

# ---- exponentials, roots, angles

exp = each("exp", "e to the power of x.", floats=True)
expm1 = each("expm1", "exp(x) - 1, without the loss of digits near 0.", floats=True)
log = each("log", "The natural logarithm.", floats=True)
log1p = each("log1p", "log(1 + x), without the loss of digits near 0.", floats=True)
log2 = each("log2", "The logarithm to base 2.", floats=True)
log10 = each("log10", "The logarithm to base 10.", floats=True)
exp2 = each("exp2", "2 to the power of x.", lambda b, x: 2.0**x, floats=True)
logaddexp = each("logaddexp", "log(exp(x1) + exp(x2)).", lambda b, x1, x2: b.xp.logaddexp(x1, x2), floats=True)
sqrt = each("sqrt", "The square root.", floats=True)
rsqrt = each("rsqrt", "1 / sqrt(x).", lambda b, x: 1 / b.xp.sqrt(x), floats=True)
sin = each("sin", "The sine of radians.", floats=True)
cos = each("cos", "The cosine of radians.", floats=True)
tan = each("tan", "The tangent of radians.", floats=True)
arcsin = each("arcsin", "The radians whose sine is x.", lambda b, x: b.xp.asin(x), floats=True)
arccos = each("arccos", "The radians whose cosine is x.", lambda b, x: b.xp.acos(x), floats=True)
arctan = each("arctan", "The radians whose tangent is x.", lambda b, x: b.xp.atan(x), floats=True)
arctan2 = each("arctan2", "The angle of the point (x2, x1).", lambda b, x1, x2: b.xp.atan2(x1, x2), floats=True)
hypot = each("hypot", "sqrt(x1 * x1 + x2 * x2).", lambda b, x1, x2: b.xp.hypot(x1, x2), floats=True)
sinh = each("sinh", "The hyperbolic sine.", floats=True)
cosh = each("cosh", "The hyperbolic cosine.", floats=True)
arcsinh = each("arcsinh", "The inverse of sinh.", lambda b, x: b.xp.asinh(x), floats=True)
arccosh = each("arccosh", "The inverse of cosh.", lambda b, x: b.xp.acosh(x), floats=True)
arctanh = each("arctanh", "The inverse of tanh.", lambda b, x: b.xp.atanh(x), floats=True)
tanh = each("tanh", "The hyperbolic tangent.", lambda b, x: activations.tanh(x), floats=True)
erf = each("erf", "The error function.", lambda b, x: b.erf(x), floats=True)

# ---- activations

relu = each("relu", "max(x, 0).", lambda b, x: activations.relu(x))
relu6 = each("relu6", "min(max(x, 0), 6).", lambda b, x: activations.relu6(x))
leaky_relu = each(
    "leaky_relu",
    "x above 0, negative_slope * x below.",
    lambda b, x, negative_slope=0.2: activations.leaky_relu(x, negative_slope),
    floats=True,
)
sigmoid = each("sigmoid", "1 / (1 + exp(-x)).", lambda b, x: activations.sigmoid(x), floats=True)
log_sigmoid = each("log_sigmoid", "log(sigmoid(x)).", lambda b, x: activations.log_sigmoid(x), floats=True)
hard_sigmoid = each("hard_sigmoid", "relu6(x + 3) / 6.", lambda b, x: activations.hard_sigmoid(x), floats=True)
silu = each("silu", "x * sigmoid(x).", lambda b, x: activations.silu(x), floats=True)
swish = silu
hard_silu = each("hard_silu", "x * hard_sigmoid(x).", lambda b, x: activations.hard_silu(x), floats=True)
gelu = each(
    "gelu",
    "x times the share of the normal distribution below x; by tanh unless approximate is False.",
    lambda b, x, approximate=True: activations.gelu(x, approximate),
    floats=True,
)
elu = each(
    "elu", "x above 0, alpha * (exp(x) - 1) below.", lambda b, x, alpha=1.0: activations.elu(x, alpha), floats=True
)
selu = each("selu", "elu, scaled so that it keeps mean and variance.", lambda b, x: activations.selu(x), floats=True)
celu = each(
    "celu",
    "x above 0, alpha * (exp(x / alpha) - 1) below.",
    lambda b, x, alpha=1.0: activations.celu(x, alpha),
    floats=True,
)
softplus = each("softplus", "log(1 + exp(x)).", lambda b, x: activations.softplus(x), floats=True)
softsign = each("softsign", "x / (1 + |x|).", lambda b, x: activations.softsign(x), floats=True)
squareplus = each(
    "squareplus", "(x + sqrt(x * x + b)) / 2.", lambda owner, x, b=4: activations.squareplus(x, b), floats=True
)
sparse_plus = each(
    "sparse_plus", "A softplus that is 0 below -1.", lambda b, x: activations.sparse_plus(x), floats=True
)
sparse_sigmoid = each(
    "sparse_sigmoid", "(x + 1) / 2, cut off at 0 and 1.", lambda b, x: activations.sparse_sigmoid(x), floats=True
)
tanh_shrink = each("tanh_shrink", "x - tanh(x).", lambda b, x: activations.tanh_shrink(x), floats=True)
hard_tanh = each("hard_tanh", "x, cut off at -1 and 1.", lambda b, x: activations.hard_tanh(x), floats=True)
soft_shrink = each(
    "soft_shrink",
    "x brought towards 0 by the threshold.",
    lambda b, x, threshold=0.5: activations.soft_shrink(x, threshold),
    floats=True,
)
hard_shrink = each(
    "hard_shrink",
    "x, and 0 where it is not beyond the threshold.",
    lambda b, x, threshold=0.5: activations.hard_shrink(x, threshold),
    floats=True,
)

# ---- comparisons and logic

equal = each("equal", "Whether x1 == x2.", lambda b, x1, x2: x1 == x2)
not_equal = each("not_equal", "Whether x1 != x2.", lambda b, x1, x2: x1 != x2)
less = each("less", "Whether x1 < x2.", lambda b, x1, x2: x1 < x2)
less_equal = each("less_equal", "Whether x1 <= x2.", lambda b, x1, x2: x1 <= x2)
greater = each("greater", "Whether x1 > x2.", lambda b, x1, x2: x1 > x2)
greater_equal = each("greater_equal", "Whether x1 >= x2.", lambda b, x1, x2: x1 >= x2)
isnan = each("isnan", "Whether x is NaN.", floats=True)
isinf = each("isinf", "Whether x is infinite.", floats=True)
isfinite = each("isfinite", "Whether x is neither NaN nor infinite.", floats=True)
logical_and = each("logical_and", "Whether both are true.", lambda b, x1, x2: (x1 != 0) & (x2 != 0))
logical_or = each("logical_or", "Whether one is true.", lambda b, x1, x2: (x1 != 0) | (x2 != 0))
logical_xor = each("logical_xor", "Whether just one is true.", lambda b, x1, x2: (x1 != 0) ^ (x2 != 0))
logical_not = each("logical_not", "Whether x is false.", lambda b, x: x == 0)
bitwise_and = each("bitwise_and", "x & y, bit by bit.", lambda b, x, y: x & y)
bitwise_or = each("bitwise_or", "x | y, bit by bit.", lambda b, x, y: x | y)
bitwise_xor = each("bitwise_xor", "x ^ y, bit by bit.", lambda b, x, y: x ^ y)
bitwise_not = each("bitwise_not", "~x, bit by bit.", lambda b, x: ~x)

# ---- other numbers in the same place

zeros_like = each("zeros_like", "Zeros where x has entries.", lambda b, x, dtype=None: _filled(b, x, 0, dtype))
ones_like = each("ones_like", "Ones where x has entries.", lambda b, x, dtype=None: _filled(b, x, 1, dtype))
full_like = each(
    "full_like",
    "One number where x has entries.",
    lambda b, x, fill_value, dtype=None: _filled(b, x, 0, dtype) + b.cast(fill_value, dtype_text(dtype or x.dtype)),
)
stop_gradient = each(
    "stop_gradient", "The same numbers, without a gradient.", lambda b, variable: b.stop_gradient(variable)
)
copy = each("copy", "The same numbers in an array of its own.", lambda b, x: x + b.xp.zeros_like(x))
nan_to_num = each(
    "nan_to_num",
    "x with other numbers in the place of NaN and of the infinities.",
    lambda b, x, nan=0.0, posinf=None, neginf=None: _finite(b, x, nan, posinf, neginf),
    floats=True,
)


def _filled(b: Any, x: Array, value: int, dtype: Any) -> Array:
    made = b.xp.zeros_like(x) if value == 0 else b.xp.ones_like(x)
    return made if dtype is None else b.cast(made, dtype_text(dtype))


def _finite(b: Any, x: Array, nan: float, posinf: float | None, neginf: float | None) -> Array:
    xp = b.xp
    bounds = xp.finfo(x.dtype)
    high, low = (float(bounds.max) if posinf is None else posinf), (float(bounds.min) if neginf is None else neginf)
    marks = ((xp.isnan(x), nan), (x == np.inf, high), (x == -np.inf, low))
    for mark, value in marks:
        x = xp.where(mark, xp.full_like(x, value), x)
    return x


def _cast(x: Any, dtype: Any) -> Any:
    """The same numbers in another dtype, given by name."""
    if isinstance(x, Ragged):
        return x.with_values(_cast(x.values, dtype))
    array = array_of(x)
    return backends.of(array).cast(array, dtype_text(dtype))


cast = named("each", "cast", _cast)
