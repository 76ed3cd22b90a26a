"""Python's operators, for values with rows and for symbols alike: each comes down to one method."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

OPERATORS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "+": ("add", operator.add),
    "-": ("subtract", operator.sub),
    "*": ("multiply", operator.mul),
    "/": ("divide", operator.truediv),
    "//": ("floor_divide", operator.floordiv),
    "%": ("mod", operator.mod),
    "**": ("power", operator.pow),
    "@": ("matmul", operator.matmul),
    "&": ("bitwise_and", operator.and_),
    "|": ("bitwise_or", operator.or_),
    "^": ("bitwise_xor", operator.xor),
    "<": ("less", operator.lt),
    "<=": ("less_equal", operator.le),
    ">": ("greater", operator.gt),
    ">=": ("greater_equal", operator.ge),
    "==": ("equal", operator.eq),
    "!=": ("not_equal", operator.ne),
}
"""For each sign the name of the function in `padless.ops`, and Python's own."""

_UFUNCS = {
    "true_divide": "/",
    "remainder": "%",
    **{name: sign for sign, (name, _) in OPERATORS.items()},
}
"""Signs by the names that NumPy's numbers and arrays call them when they stand on the left."""

_TORCH = {"add": "+", "sub": "-", "mul": "*", "div": "/", "true_divide": "/", "pow": "**"}


def sign_of_ufunc(name: str) -> str | None:
    """The sign of an operator that NumPy knows under a name.

    Args:
        name: of the ufunc.

    Returns:
        The sign, or None.

    Example:
        >>> sign_of_ufunc("true_divide"), sign_of_ufunc("exp")
        ('/', None)
    """
    return _UFUNCS.get(name)


def torch_operator(name: str) -> tuple[str, bool] | None:
    """The sign of an operator that torch knows under a name, when a tensor stands on the left.

    Args:
        name: of the function.

    Returns:
        The sign, and whether the operands come in the other order; or None.

    Example:
        >>> torch_operator("__rsub__"), torch_operator("exp")
        (('-', True), None)
    """
    plain = name.strip("_")
    if plain in _TORCH:
        return _TORCH[plain], False
    return (_TORCH[plain[1:]], True) if plain[:1] == "r" and plain[1:] in _TORCH else None


class Operators:
    """What has Python's operators, by one method that says what they do."""

    __slots__ = ()

    def _operate(self, sign: str, other: Any, swap: bool = False) -> Any:
        """What an operator of `OPERATORS` gives; `swap` when the other value stands on the left."""
        raise NotImplementedError

    def _alone(self, name: str, function: Callable[[Any], Any]) -> Any:
        """What an operator of one value gives: its name in `padless.ops`, and Python's function."""
        raise NotImplementedError

    def __add__(self, other: Any) -> Any:
        return self._operate("+", other)

    def __radd__(self, other: Any) -> Any:
        return self._operate("+", other, swap=True)

    def __sub__(self, other: Any) -> Any:
        return self._operate("-", other)

    def __rsub__(self, other: Any) -> Any:
        return self._operate("-", other, swap=True)

    def __mul__(self, other: Any) -> Any:
        return self._operate("*", other)

    def __rmul__(self, other: Any) -> Any:
        return self._operate("*", other, swap=True)

    def __truediv__(self, other: Any) -> Any:
        return self._operate("/", other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._operate("/", other, swap=True)

    def __floordiv__(self, other: Any) -> Any:
        return self._operate("//", other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._operate("//", other, swap=True)

    def __mod__(self, other: Any) -> Any:
        return self._operate("%", other)

    def __rmod__(self, other: Any) -> Any:
        return self._operate("%", other, swap=True)

    def __pow__(self, other: Any) -> Any:
        return self._operate("**", other)

    def __rpow__(self, other: Any) -> Any:
        return self._operate("**", other, swap=True)

    def __matmul__(self, other: Any) -> Any:
        """Every step times a (D, E) matrix."""
        return self._operate("@", other)

    def __rmatmul__(self, other: Any) -> Any:
        return self._operate("@", other, swap=True)

    def __and__(self, other: Any) -> Any:
        return self._operate("&", other)

    def __rand__(self, other: Any) -> Any:
        return self._operate("&", other, swap=True)

    def __or__(self, other: Any) -> Any:
        return self._operate("|", other)

    def __ror__(self, other: Any) -> Any:
        return self._operate("|", other, swap=True)

    def __xor__(self, other: Any) -> Any:
        return self._operate("^", other)

    def __rxor__(self, other: Any) -> Any:
        return self._operate("^", other, swap=True)

    def __lt__(self, other: Any) -> Any:
        return self._operate("<", other)

    def __le__(self, other: Any) -> Any:
        return self._operate("<=", other)

    def __gt__(self, other: Any) -> Any:
        return self._operate(">", other)

    def __ge__(self, other: Any) -> Any:
        return self._operate(">=", other)

    def __ne__(self, other: object) -> Any:
        return self._operate("!=", other)

    def __neg__(self) -> Any:
        return self._alone("negative", operator.neg)

    def __abs__(self) -> Any:
        return self._alone("abs", abs)

    def __invert__(self) -> Any:
        return self._alone("bitwise_not", operator.invert)
