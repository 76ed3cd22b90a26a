"""Steps along the gradient: SGD and Lion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

from padless.errors import ArgumentError, explain
from padless.optimizers.arguments import Common, share
from padless.optimizers.base import Array, LearningRate, Optimizer, Slots


class SGD(Optimizer):
    """Gradient descent, with momentum if you like.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        momentum: share of the last move that is made again.
        nesterov: look ahead along that move.
        **common: see `Common`.

    Raises:
        ArgumentError: when momentum is not from 0 to 1.

    Example:
        >>> SGD(0.1, momentum=0.9).slot_names
        ('momentum',)

    Source: Sutskever and others 2013; Keras 3.15 (the learning rate stands inside the momentum).
    """

    kind: ClassVar[str] = "sgd"

    def __init__(
        self,
        learning_rate: LearningRate | Mapping[str, Any] = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.momentum = share("SGD", "momentum", momentum)
        self.nesterov = nesterov

    @property
    def slot_names(self) -> tuple[str, ...]:  # noqa: D102
        return ("momentum",) if self.momentum else ()

    def rule(  # noqa: D102
        self, xp: Any, weight: Array, gradient: Array, slots: Slots, learning_rate: float, iteration: int
    ) -> tuple[Array, Slots]:
        move = -learning_rate * gradient
        if not self.momentum:
            return weight + move, {}
        m = self.momentum * slots["momentum"] + move
        return weight + (self.momentum * m + move if self.nesterov else m), {"momentum": m}

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class Lion(Optimizer):
    """Moves of one size, with the sign of a running mean of the gradient.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        beta_1: share of the running mean in what gives the sign; above 0.
        beta_2: share of the running mean that is kept at each step.
        **common: see `Common`.

    Raises:
        ArgumentError: when beta_1 or beta_2 is not from 0 to 1, or beta_1 is 0.

    Example:
        >>> Lion().slot_names
        ('momentum',)

    Source: Chen and others 2023, algorithm 2; Keras 3.15.
    """

    def __init__(
        self,
        learning_rate: LearningRate | Mapping[str, Any] = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = share("Lion", "beta_1", beta_1)
        self.beta_2 = share("Lion", "beta_2", beta_2)
        if beta_1 == 0:
            raise ArgumentError(
                explain("Lion, beta_1", expected="a number above 0", got=repr(beta_1), fix="beta_1=0.9")
            )

    @property
    def slot_names(self) -> tuple[str, ...]:  # noqa: D102
        return ("momentum",)

    def rule(  # noqa: D102
        self, xp: Any, weight: Array, gradient: Array, slots: Slots, learning_rate: float, iteration: int
    ) -> tuple[Array, Slots]:
        m = slots["momentum"]
        move = learning_rate * xp.sign(self.beta_1 * m + (1 - self.beta_1) * gradient)
        return weight - move, {"momentum": self.beta_2 * m + (1 - self.beta_2) * gradient}

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}
