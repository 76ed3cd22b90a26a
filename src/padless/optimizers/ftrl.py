"""Follow the regularized leader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from padless.errors import ArgumentError, explain
from padless.optimizers.arguments import Common, at_least_0
from padless.optimizers.base import Array, LearningRate, Optimizer, Slots

_NOT_BELOW_0 = (
    "initial_accumulator_value",
    "l1_regularization_strength",
    "l2_regularization_strength",
    "l2_shrinkage_regularization_strength",
)


class Ftrl(Optimizer):
    """Follow the regularized leader: weights are the best for all gradients so far, many of them exactly 0.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        learning_rate_power: how the learning rate falls with the sum of squared gradients; 0 for not at all.
        initial_accumulator_value: what that sum begins with.
        l1_regularization_strength: of the sum of absolute weights.
        l2_regularization_strength: of the sum of squared weights.
        l2_shrinkage_regularization_strength: of squared weights too, as a part of the gradient.
        beta: part of l2_regularization_strength that grows as the learning rate falls.
        **common: see `Common`.

    Raises:
        ArgumentError: when learning_rate_power is above 0, or a strength or the initial value is below.

    Example:
        >>> Ftrl().slot_names
        ('accumulator', 'linear')

    Source: McMahan and others 2013, algorithm 1; Keras 3.15.
    """

    def __init__(
        self,
        learning_rate: LearningRate | Mapping[str, Any] = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        for name in _NOT_BELOW_0:
            at_least_0("Ftrl", name, getattr(self, name))
        if learning_rate_power > 0:
            raise ArgumentError(
                explain(
                    "Ftrl, learning_rate_power",
                    expected="a number of at most 0",
                    got=repr(learning_rate_power),
                    fix="learning_rate_power=-0.5",
                )
            )

    @property
    def slot_names(self) -> tuple[str, ...]:  # noqa: D102
        return ("accumulator", "linear")

    def initial(self, name: str, weight: Array, xp: Any) -> Array:  # noqa: D102
        zeros = super().initial(name, weight, xp)
        return zeros + self.initial_accumulator_value if name == "accumulator" else zeros

    def rule(  # noqa: D102
        self, xp: Any, weight: Array, gradient: Array, slots: Slots, learning_rate: float, iteration: int
    ) -> tuple[Array, Slots]:
        power, before = -self.learning_rate_power, slots["accumulator"]
        total = before + gradient * gradient
        root = total**power
        slope = gradient + 2 * self.l2_shrinkage_regularization_strength * weight
        linear = slots["linear"] + slope - (root - before**power) / learning_rate * weight
        curvature = root / learning_rate + 2 * (self.l2_regularization_strength + self.beta / (2 * learning_rate))
        bound = self.l1_regularization_strength
        new = (xp.clip(linear, -bound, bound) - linear) / curvature
        return new, {"accumulator": total, "linear": linear}

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        own = (*_NOT_BELOW_0, "learning_rate_power", "beta")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}
