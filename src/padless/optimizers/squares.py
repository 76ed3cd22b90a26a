"""Steps divided by the root of squared gradients: Adagrad, Adadelta, RMSprop, Adafactor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

from padless.optimizers.arguments import Common, at_least_0, share
from padless.optimizers.base import Array, LearningRate, Optimizer, Slots


class RMSprop(Optimizer):
    """Moves divided by the root of a running mean of squared gradients.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        rho: share of the running mean that is kept at each step.
        momentum: share of the last move that is made again.
        epsilon: added under the root.
        centered: divide by the running standard deviation instead.
        **common: see `Common`.

    Raises:
        ArgumentError: when rho or momentum is not from 0 to 1.

    Example:
        >>> RMSprop(momentum=0.5, centered=True).slot_names
        ('velocity', 'momentum', 'average_gradient')

    Source: Hinton 2012; Graves 2013; Keras 3.15.
    """

    kind: ClassVar[str] = "rmsprop"

    def __init__(
        self,
        learning_rate: LearningRate | Mapping[str, Any] = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.rho = share("RMSprop", "rho", rho)
        self.momentum = share("RMSprop", "momentum", momentum)
        self.epsilon = epsilon
        self.centered = centered

    @property
    def slot_names(self) -> tuple[str, ...]:  # noqa: D102
        wanted = {"velocity": True, "momentum": self.momentum > 0, "average_gradient": self.centered}
        return tuple(name for name, used in wanted.items() if used)

    def rule(  # noqa: D102
        self, xp: Any, weight: Array, gradient: Array, slots: Slots, learning_rate: float, iteration: int
    ) -> tuple[Array, Slots]:
        after = {"velocity": self.rho * slots["velocity"] + (1 - self.rho) * gradient * gradient}
        under = after["velocity"] + self.epsilon
        if self.centered:
            mean = self.rho * slots["average_gradient"] + (1 - self.rho) * gradient
            after["average_gradient"] = mean
            under = after["velocity"] - mean * mean + self.epsilon
        move = learning_rate * gradient / xp.sqrt(under)
        if self.momentum > 0:
            move = after["momentum"] = self.momentum * slots["momentum"] + move
        return weight - move, after

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        own = {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon, "centered": self.centered}
        return {**super().get_config(), **own}


class Adagrad(Optimizer):
    """Moves divided by the root of the sum of all squared gradients so far.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        initial_accumulator_value: what the sum of squares begins with.
        epsilon: added under the root.
        **common: see `Common`.

    Raises:
        ArgumentError: when initial_accumulator_value is below 0.

    Example:
        >>> Adagrad().slot_names
        ('accumulator',)

    Source: Duchi, Hazan and Singer 2011; Keras 3.15.
    """

    def __init__(
        self,
        learning_rate: LearningRate | Mapping[str, Any] = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.initial_accumulator_value = at_least_0("Adagrad", "initial_accumulator_value", initial_accumulator_value)
        self.epsilon = epsilon

    @property
    def slot_names(self) -> tuple[str, ...]:  # noqa: D102
        return ("accumulator",)

    def initial(self, name: str, weight: Array, xp: Any) -> Array:  # noqa: D102
        zeros = super().initial(name, weight, xp)
        return zeros + self.initial_accumulator_value if name == "accumulator" else zeros

    def rule(  # noqa: D102
        self, xp: Any, weight: Array, gradient: Array, slots: Slots, learning_rate: float, iteration: int
    ) -> tuple[Array, Slots]:
        total = slots["accumulator"] + gradient * gradient
        return weight - learning_rate * gradient / xp.sqrt(total + self.epsilon), {"accumulator": total}

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        own = ("initial_accumulator_value", "epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


class Adadelta(Optimizer):
    """Moves by the root of a mean of squared moves, over that of a mean of squared gradients.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        rho: share of the running means that is kept at each step.
        epsilon: added under both roots.
        **common: see `Common`.

    Raises:
        ArgumentError: when rho is not from 0 to 1.

    Example:
        >>> Adadelta().slot_names
        ('accumulated_grad', 'accumulated_delta_var')

    Source: Zeiler 2012, algorithm 1, times a learning rate (1.0 in the paper); Keras 3.15.
    """

    def __init__(
        self,
        learning_rate: LearningRate | Mapping[str, Any] = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.rho = share("Adadelta", "rho", rho)
        self.epsilon = epsilon

    @property
    def slot_names(self) -> tuple[str, ...]:  # noqa: D102
        return ("accumulated_grad", "accumulated_delta_var")

    def rule(  # noqa: D102
        self, xp: Any, weight: Array, gradient: Array, slots: Slots, learning_rate: float, iteration: int
    ) -> tuple[Array, Slots]:
        squares = self.rho * slots["accumulated_grad"] + (1 - self.rho) * gradient * gradient
        before = slots["accumulated_delta_var"]
        move = -xp.sqrt(before + self.epsilon) * gradient / xp.sqrt(squares + self.epsilon)
        moves = self.rho * before + (1 - self.rho) * move * move
        return weight + learning_rate * move, {"accumulated_grad": squares, "accumulated_delta_var": moves}

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}


class Adafactor(Optimizer):
    """Moves divided by the root of squared gradients of which a matrix remembers only the means of rows and columns.

    Args:
        learning_rate: a number, a schedule, or a function without arguments; never more than 1 / sqrt(steps) is used.
        beta_2_decay: of step t, the running means keep the share 1 - t ** beta_2_decay.
        epsilon_1: added to squared gradients.
        epsilon_2: the least root mean square of a weight by which its moves are scaled.
        clip_threshold: the largest root mean square of a move, before it is scaled.
        relative_step: accepted; changes nothing, as in Keras 3.15, which bounds the learning rate in any case.
        **common: see `Common`.

    Example:
        >>> import numpy as np
        >>> Adafactor().slots_of("kernel", np.ones((2, 3))), Adafactor().slots_of("bias", np.ones(3))
        (('row', 'column'), ('velocity',))

    Source: Shazeer and Stern 2018, algorithms 4 and 5, without momentum; Keras 3.15.
    """

    def __init__(
        self,
        learning_rate: LearningRate | Mapping[str, Any] = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    @property
    def slot_names(self) -> tuple[str, ...]:  # noqa: D102
        return ("row", "column", "velocity")

    def slots_of(self, path: str, weight: Array) -> tuple[str, ...]:  # noqa: D102
        return ("row", "column") if weight.ndim >= 2 else ("velocity",)

    def initial(self, name: str, weight: Array, xp: Any) -> Array:  # noqa: D102
        if name == "velocity":
            return xp.zeros_like(weight)
        return xp.zeros_like(xp.sum(weight, axis=-1 if name == "row" else -2))

    def rule(  # noqa: D102
        self, xp: Any, weight: Array, gradient: Array, slots: Slots, learning_rate: float, iteration: int
    ) -> tuple[Array, Slots]:
        step = iteration + 1
        most = step**-0.5
        rate = min(learning_rate, most) if isinstance(most, float) else xp.minimum(learning_rate, most)
        fresh = step**self.beta_2_decay
        squares = gradient * gradient + self.epsilon_1
        if "velocity" in slots:
            v = (1 - fresh) * slots["velocity"] + fresh * squares
            after = {"velocity": v}
        else:
            row = (1 - fresh) * slots["row"] + fresh * xp.mean(squares, axis=-1)
            column = (1 - fresh) * slots["column"] + fresh * xp.mean(squares, axis=-2)
            v = (row / xp.mean(row, axis=-1, keepdims=True))[..., None] * column[..., None, :]
            after = {"row": row, "column": column}
        move = gradient / xp.sqrt(v)
        move = move / xp.clip(_root_mean_square(xp, move) / self.clip_threshold, 1.0, None)
        return weight - rate * xp.clip(_root_mean_square(xp, weight), self.epsilon_2, None) * move, after

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        own = ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


def _root_mean_square(xp: Any, x: Array) -> Array:
    return xp.sqrt(xp.mean(x * x))
