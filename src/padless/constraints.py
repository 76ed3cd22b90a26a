"""Constraints: where weights are put back to after each step; formulas of Keras 3.15."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from padless import backends
from padless.losses import EPSILON
from padless.named import Configured, config_of, find, table

Array = Any
Axis = int | Sequence[int]


class Constraint(Configured):
    """Base class: a subclass has `__call__(weight)`, which gives the weight as it shall be."""

    def __call__(self, weight: Array) -> Array:
        """Put a weight back to where it may be.

        Args:
            weight: an array.

        Returns:
            An array of the same shape.
        """
        raise NotImplementedError


def _norms(weight: Array, axis: Axis) -> Array:
    """Euclidean norms along an axis, or several together."""
    axes = axis if isinstance(axis, int) else tuple(axis)
    xp = backends.of(weight).xp
    return xp.sqrt(xp.sum(weight * weight, axis=axes, keepdims=True))


class MaxNorm(Constraint):
    """Vectors longer than a bound are made as long as it.

    Args:
        max_value: the bound.
        axis: along which the vectors lie; 0 for the weights into each unit of a Dense layer.

    Example:
        >>> import numpy as np
        >>> MaxNorm(1.0)(np.array([[3.0], [4.0]])).round(4).tolist()
        [[0.6], [0.8]]

    Source: Keras 3.15.
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        self.max_value = max_value
        self.axis = axis

    def __call__(self, weight: Array) -> Array:  # noqa: D102
        norms = _norms(weight, self.axis)
        return weight * (backends.of(weight).xp.clip(norms, 0.0, self.max_value) / (EPSILON + norms))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"max_value": self.max_value, "axis": self.axis}


class NonNeg(Constraint):
    """Numbers below 0 become 0.

    Example:
        >>> import numpy as np
        >>> NonNeg()(np.array([-1.0, 2.0])).tolist()
        [0.0, 2.0]

    Source: Keras 3.15.
    """

    def __call__(self, weight: Array) -> Array:  # noqa: D102
        return backends.of(weight).xp.where(weight < 0, 0.0, weight)


class UnitNorm(Constraint):
    """Vectors are made as long as 1.

    Args:
        axis: along which the vectors lie; 0 for the weights into each unit of a Dense layer.

    Example:
        >>> import numpy as np
        >>> UnitNorm()(np.array([[3.0], [4.0]])).round(4).tolist()
        [[0.6], [0.8]]

    Source: Keras 3.15.
    """

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, weight: Array) -> Array:  # noqa: D102
        return weight / (EPSILON + _norms(weight, self.axis))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"axis": self.axis}


class MinMaxNorm(Constraint):
    """Vectors are made as long as two bounds allow, at once or in part.

    Args:
        min_value: lower bound.
        max_value: upper bound.
        rate: which part of the way to the bounds is made.
        axis: along which the vectors lie; 0 for the weights into each unit of a Dense layer.

    Example:
        >>> import numpy as np
        >>> MinMaxNorm(0.0, 2.5)(np.array([[3.0], [4.0]])).round(4).tolist()
        [[1.5], [2.0]]

    Source: Keras 3.15.
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axis = 0) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, weight: Array) -> Array:  # noqa: D102
        norms = _norms(weight, self.axis)
        wanted = backends.of(weight).xp.clip(norms, self.min_value, self.max_value)
        return weight * ((self.rate * wanted + (1 - self.rate) * norms) / (EPSILON + norms))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


max_norm = MaxNorm
non_neg = NonNeg
unit_norm = UnitNorm
min_max_norm = MinMaxNorm

_KNOWN: dict[str, type[Constraint]] = table(MaxNorm, NonNeg, UnitNorm, MinMaxNorm)


def get(identifier: Any) -> Constraint | Callable[[Array], Array] | None:
    """Find a constraint.

    Args:
        identifier: a name, an object, a class, a config as in a model's file, a function of one array, or None.

    Returns:
        The constraint; None for None.

    Raises:
        ArgumentError: when there is no such name; it gives the nearest one.

    Example:
        >>> get("max_norm")
        MaxNorm(max_value=2, axis=0)
    """
    if identifier is None or (callable(identifier) and not isinstance(identifier, Constraint | type)):
        function: Callable[[Array], Array] | None = identifier
        return function
    return find("constraint", identifier, _KNOWN, Constraint)


def serialize(constraint: Constraint) -> dict[str, Any]:
    """A config from which `deserialize` makes the constraint again.

    Args:
        constraint: a constraint.

    Returns:
        A dict that JSON can hold.

    Example:
        >>> deserialize(serialize(MaxNorm(3.0)))
        MaxNorm(max_value=3.0, axis=0)
    """
    return config_of(constraint)


def deserialize(config: Mapping[str, Any]) -> Constraint | Callable[[Array], Array] | None:
    """Make a constraint of its config, as `get` does.

    Args:
        config: {"class_name": ..., "config": {...}}.

    Returns:
        The constraint.
    """
    return get(config)
