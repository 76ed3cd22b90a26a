"""Adam and its kin: running means of the gradient and of its size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

from padless.errors import ArgumentError, explain
from padless.optimizers.arguments import Common, share
from padless.optimizers.base import Array, LearningRate, Optimizer, Slots, lost


class Adam(Optimizer):
    """Moves of about the same size for every weight, from running means of the gradient and of its square.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        beta_1: share of the running mean that is kept at each step.
        beta_2: share of the running mean of squares that is kept.
        epsilon: added to the root of the latter.
        amsgrad: divide by the largest running mean of squares so far.
        lazy_embeddings: leave the rows of an embedding's table alone that a step did not look up, or whose gradient is
            all zero: the row, its running means and its weight decay. The others take the ordinary step by the sum of
            their gradients, corrected for the start by the number of all steps, not of their own. Plain Adam moves
            every row in every step, as long as its running mean is not yet zero; for a large table that is most of the
            work. Not in Keras; as torch.optim.SparseAdam and TensorFlow Addons' LazyAdam. It changes nothing of a table
            that has a regularizer or a constraint, or is the tied one of a `ReversibleEmbedding`.
        **common: see `Common`.

    Raises:
        ArgumentError: when beta_1 or beta_2 is not from 0 to 1.

    Example:
        >>> Adam().slot_names
        ('momentum', 'velocity')

    Source: Kingma and Ba 2015, section 2 (epsilon-hat); Reddi, Kale and Kumar 2018; Keras 3.15.
    """

    kind: ClassVar[str] = "adam"

    def __init__(
        self,
        learning_rate: LearningRate | Mapping[str, Any] = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        *,
        lazy_embeddings: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = share(type(self).__name__, "beta_1", beta_1)
        self.beta_2 = share(type(self).__name__, "beta_2", beta_2)
        self.epsilon = epsilon
        self.amsgrad = amsgrad
        self.lazy_embeddings = lazy_embeddings

    @property
    def slot_names(self) -> tuple[str, ...]:  # noqa: D102
        return ("momentum", "velocity", "velocity_hat") if self.amsgrad else ("momentum", "velocity")

    def rule(  # noqa: D102
        self, xp: Any, weight: Array, gradient: Array, slots: Slots, learning_rate: float, iteration: int
    ) -> tuple[Array, Slots]:
        lost_1, lost_2 = (lost(xp, beta, iteration + 1) for beta in (self.beta_1, self.beta_2))
        size = learning_rate * lost_2**0.5 / lost_1
        m = slots["momentum"] + (gradient - slots["momentum"]) * (1 - self.beta_1)
        v = slots["velocity"] + (gradient * gradient - slots["velocity"]) * (1 - self.beta_2)
        if not self.amsgrad:
            return weight - size * m / (xp.sqrt(v) + self.epsilon), {"momentum": m, "velocity": v}
        largest = xp.maximum(slots["velocity_hat"], v)
        after = {"momentum": m, "velocity": v, "velocity_hat": largest}
        return weight - size * m / (xp.sqrt(largest) + self.epsilon), after

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon, "amsgrad": self.amsgrad}
        return {**super().get_config(), **own, **({"lazy_embeddings": True} if self.lazy_embeddings else {})}


class AdamW(Adam):
    """Adam with weight decay.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        weight_decay: share of each weight, times the learning rate, that is taken off before each step.
        beta_1: share of the running mean that is kept at each step.
        beta_2: share of the running mean of squares that is kept.
        epsilon: added to the root of the latter.
        amsgrad: divide by the largest running mean of squares so far.
        **common: lazy_embeddings, as of `Adam`; and see `Common`.

    Raises:
        ArgumentError: when weight_decay is None.

    Example:
        >>> AdamW().weight_decay
        0.004

    Source: Loshchilov and Hutter 2019; Keras 3.15.
    """

    kind: ClassVar[str] = "adamw"

    def __init__(
        self,
        learning_rate: LearningRate | Mapping[str, Any] = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **common)
        if weight_decay is None:
            raise ArgumentError(explain("AdamW, weight_decay", expected="a number", got="None", fix="use Adam"))


class Adamax(Optimizer):
    """Adam with the largest gradient of late in the place of the root of squares.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        beta_1: share of the running mean that is kept at each step.
        beta_2: share of the largest size of a gradient that is kept at each step.
        epsilon: added to that size.
        **common: see `Common`.

    Raises:
        ArgumentError: when beta_1 or beta_2 is not from 0 to 1.

    Example:
        >>> Adamax().slot_names
        ('momentum', 'norm')

    Source: Kingma and Ba 2015, section 7.1; Keras 3.15.
    """

    def __init__(
        self,
        learning_rate: LearningRate | Mapping[str, Any] = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = share("Adamax", "beta_1", beta_1)
        self.beta_2 = share("Adamax", "beta_2", beta_2)
        self.epsilon = epsilon

    @property
    def slot_names(self) -> tuple[str, ...]:  # noqa: D102
        return ("momentum", "norm")

    def rule(  # noqa: D102
        self, xp: Any, weight: Array, gradient: Array, slots: Slots, learning_rate: float, iteration: int
    ) -> tuple[Array, Slots]:
        m = slots["momentum"] + (gradient - slots["momentum"]) * (1 - self.beta_1)
        largest = xp.maximum(self.beta_2 * slots["norm"], xp.abs(gradient))
        size = learning_rate / lost(xp, self.beta_1, iteration + 1)
        return weight - size * m / (largest + self.epsilon), {"momentum": m, "norm": largest}

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


class Nadam(Optimizer):
    """Adam with Nesterov momentum, which grows with the steps.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        beta_1: share of the running mean that is kept at each step.
        beta_2: share of the running mean of squares that is kept.
        epsilon: added to the root of the latter.
        **common: see `Common`.

    Raises:
        ArgumentError: when beta_1 or beta_2 is not from 0 to 1.

    Example:
        >>> Nadam().slot_names
        ('momentum', 'velocity', 'momentum_product')

    Source: Dozat 2016; Keras 3.15, whose momentum grows 250 times as fast as there.
    """

    def __init__(
        self,
        learning_rate: LearningRate | Mapping[str, Any] = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = share("Nadam", "beta_1", beta_1)
        self.beta_2 = share("Nadam", "beta_2", beta_2)
        self.epsilon = epsilon

    @property
    def slot_names(self) -> tuple[str, ...]:  # noqa: D102
        return ("momentum", "velocity", "momentum_product")

    def initial(self, name: str, weight: Array, xp: Any) -> Array:  # noqa: D102
        return 1 + 0 * xp.sum(xp.zeros_like(weight)) if name == "momentum_product" else xp.zeros_like(weight)

    def rule(  # noqa: D102
        self, xp: Any, weight: Array, gradient: Array, slots: Slots, learning_rate: float, iteration: int
    ) -> tuple[Array, Slots]:
        now, coming = (self.beta_1 * (1 - 0.5 * 0.96 ** (iteration + ahead)) for ahead in (1, 2))
        product = slots["momentum_product"] * now
        m = slots["momentum"] + (gradient - slots["momentum"]) * (1 - self.beta_1)
        v = slots["velocity"] + (gradient * gradient - slots["velocity"]) * (1 - self.beta_2)
        m_hat = coming * m / (1 - product * coming) + (1 - now) * gradient / (1 - product)
        v_hat = v / lost(xp, self.beta_2, iteration + 1)
        after = {"momentum": m, "velocity": v, "momentum_product": product}
        return weight - learning_rate * m_hat / (xp.sqrt(v_hat) + self.epsilon), after

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


class Lamb(Optimizer):
    """Adam whose move is as large, for each weight as a whole, as the learning rate times its norm.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        beta_1: share of the running mean that is kept at each step.
        beta_2: share of the running mean of squares that is kept.
        epsilon: added to the root of the latter, corrected for its start.
        **common: see `Common`.

    Raises:
        ArgumentError: when beta_1 or beta_2 is not from 0 to 1.

    Example:
        >>> Lamb().slot_names
        ('momentum', 'velocity')

    Source: You and others 2020, algorithm 2, with decay before the step; Keras 3.15.
    """

    def __init__(
        self,
        learning_rate: LearningRate | Mapping[str, Any] = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = share("Lamb", "beta_1", beta_1)
        self.beta_2 = share("Lamb", "beta_2", beta_2)
        self.epsilon = epsilon

    @property
    def slot_names(self) -> tuple[str, ...]:  # noqa: D102
        return ("momentum", "velocity")

    def rule(  # noqa: D102
        self, xp: Any, weight: Array, gradient: Array, slots: Slots, learning_rate: float, iteration: int
    ) -> tuple[Array, Slots]:
        m = slots["momentum"] + (gradient - slots["momentum"]) * (1 - self.beta_1)
        v = slots["velocity"] + (gradient * gradient - slots["velocity"]) * (1 - self.beta_2)
        root = xp.sqrt(v / lost(xp, self.beta_2, iteration + 1))
        move = m / lost(xp, self.beta_1, iteration + 1) / (root + self.epsilon)
        size, length = xp.sqrt(xp.sum(weight * weight)), xp.sqrt(xp.sum(move * move))
        either = (size == 0) | (length == 0)
        ratio = xp.where(either, 1.0, size / xp.where(either, 1.0, length))
        return weight - ratio * learning_rate * move, {"momentum": m, "velocity": v}

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
