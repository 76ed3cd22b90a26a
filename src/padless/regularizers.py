"""Regularizers: what large weights cost; formulas of Keras 3.15."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from padless import backends
from padless.errors import ArgumentError, ShapeError, explain, nearest
from padless.named import Configured, config_of, find, table

Array = Any


class Regularizer(Configured):
    """Base class: a subclass has `__call__(weight)`, a scalar to be added to the loss.

    Attributes:
        adds_up: whether that is a sum over the entries, in which zeros cost nothing; so it can be asked of rows.
    """

    adds_up: bool = True

    def __call__(self, weight: Array) -> Array:
        """What the weight costs.

        Args:
            weight: an array.

        Returns:
            A scalar array.
        """
        raise NotImplementedError


def _factor(name: str, value: float) -> float:
    if not (isinstance(value, int | float) and 0 <= value < math.inf):
        raise ArgumentError(
            explain(f"regularizer, {name}", expected="a number from 0 on", got=repr(value), fix=f"{name}=0.01")
        )
    return float(value)


class L1L2(Regularizer):
    """l1 times the sum of sizes plus l2 times the sum of squares.

    Args:
        l1: factor of the sizes.
        l2: factor of the squares.

    Raises:
        ArgumentError: when a factor is below 0.

    Example:
        >>> import numpy as np
        >>> float(L1L2(l1=0.5, l2=0.25)(np.array([2.0, -2.0])))
        4.0

    Source: Keras 3.15.
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _factor("l1", l1 or 0.0)
        self.l2 = _factor("l2", l2 or 0.0)

    def __call__(self, weight: Array) -> Array:  # noqa: D102
        xp = backends.of(weight).xp
        return self.l1 * xp.sum(xp.abs(weight)) + self.l2 * xp.sum(weight * weight)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"l1": self.l1, "l2": self.l2}


class L1(Regularizer):
    """l1 times the sum of sizes.

    Args:
        l1: the factor.

    Raises:
        ArgumentError: when it is below 0.

    Example:
        >>> import numpy as np
        >>> float(L1(0.5)(np.array([2.0, -2.0])))
        2.0

    Source: Keras 3.15.
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = _factor("l1", 0.01 if l1 is None else l1)

    def __call__(self, weight: Array) -> Array:  # noqa: D102
        xp = backends.of(weight).xp
        return self.l1 * xp.sum(xp.abs(weight))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"l1": self.l1}


class L2(Regularizer):
    """l2 times the sum of squares.

    Args:
        l2: the factor.

    Raises:
        ArgumentError: when it is below 0.

    Example:
        >>> import numpy as np
        >>> float(L2(0.5)(np.array([2.0, -2.0])))
        4.0

    Source: Keras 3.15.
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = _factor("l2", 0.01 if l2 is None else l2)

    def __call__(self, weight: Array) -> Array:  # noqa: D102
        return self.l2 * backends.of(weight).xp.sum(weight * weight)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """Cosines between the rows (or columns) of a matrix, which should be 0.

    Args:
        factor: of the mean size of the cosines.
        mode: "rows" or "columns".

    Raises:
        ArgumentError: when mode is neither.
        ShapeError: when called with anything but a matrix.

    Example:
        >>> import numpy as np
        >>> float(OrthogonalRegularizer(0.5)(np.eye(2)))
        0.0

    Source: Keras 3.15.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise ArgumentError(
                explain(
                    "OrthogonalRegularizer, mode",
                    expected="a known name",
                    got=repr(mode),
                    fix=nearest(str(mode), ("rows", "columns")),
                )
            )
        self.factor = _factor("factor", factor)
        self.mode = mode
        self.adds_up = False

    def __call__(self, weight: Array) -> Array:  # noqa: D102
        if weight.ndim != 2:
            raise ShapeError(
                explain(
                    "OrthogonalRegularizer",
                    expected="a matrix",
                    got=f"shape {tuple(weight.shape)}",
                    fix="another regularizer for this weight, such as 'l2'",
                )
            )
        owner = backends.of(weight)
        xp = owner.xp
        vectors = weight if self.mode == "rows" else weight.T
        square = xp.sum(vectors * vectors, axis=1, keepdims=True)
        unit = vectors / xp.sqrt(xp.where(square < 1e-12, 1e-12, square))
        size = vectors.shape[0]
        same = xp.eye(size, dtype=weight.dtype, device=owner.device_of(weight))
        off_diagonal = xp.abs(unit @ unit.T) * (1.0 - same)
        return self.factor * 0.5 * xp.sum(off_diagonal) / max(size * (size - 1) / 2, 1)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"factor": self.factor, "mode": self.mode}


l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer

_KNOWN: dict[str, type[Regularizer]] = table(L1, L2, L1L2, OrthogonalRegularizer, **{"l1_l2": L1L2})


def get(identifier: Any) -> Regularizer | Callable[[Array], Array] | None:
    """Find a regularizer.

    Args:
        identifier: a name, an object, a class, a config as in a model's file, a function of one array, or None.

    Returns:
        The regularizer; None for None.

    Raises:
        ArgumentError: when there is no such name; it gives the nearest one.

    Example:
        >>> get("l2")
        L2(l2=0.01)
    """
    if identifier is None or (callable(identifier) and not isinstance(identifier, Regularizer | type)):
        function: Callable[[Array], Array] | None = identifier
        return function
    return find("regularizer", identifier, _KNOWN, Regularizer)


def serialize(regularizer: Regularizer) -> dict[str, Any]:
    """A config from which `deserialize` makes the regularizer again.

    Args:
        regularizer: a regularizer.

    Returns:
        A dict that JSON can hold.

    Example:
        >>> deserialize(serialize(L2(0.5)))
        L2(l2=0.5)
    """
    return config_of(regularizer)


def deserialize(config: Mapping[str, Any]) -> Regularizer | Callable[[Array], Array] | None:
    """Make a regularizer of its config, as `get` does.

    Args:
        config: {"class_name": ..., "config": {...}}.

    Returns:
        The regularizer.
    """
    return get(config)
