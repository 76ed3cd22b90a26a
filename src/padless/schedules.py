"""Learning-rate schedules: the learning rate as a function of the step, in plain Python; formulas of Keras 3.15."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Any

from padless.errors import ArgumentError, explain
from padless.named import Configured, find, table


class LearningRateSchedule(Configured):
    """Base class: a subclass has `__call__(step)`.

    Example:
        >>> class Halved(LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return 0.1 * 0.5**step
        >>> Halved()(1)
        0.05
    """

    def __call__(self, step: int) -> float:
        """The learning rate of a step.

        Args:
            step: 0 for the first.

        Returns:
            The learning rate.
        """
        raise NotImplementedError


def _positive(where: str, name: str, steps: float) -> float:
    if steps <= 0:
        raise ArgumentError(
            explain(f"{where}, {name}", expected="a number of steps above 0", got=repr(steps), fix=f"{name}=1000")
        )
    return steps


class ExponentialDecay(LearningRateSchedule):
    """The learning rate is multiplied by a factor every so many steps.

    Args:
        initial_learning_rate: at step 0.
        decay_steps: after how many steps it is multiplied by `decay_rate`.
        decay_rate: the factor.
        staircase: multiply all at once rather than a little at each step.
        name: shown in configs.

    Raises:
        ArgumentError: when decay_steps is not above 0.

    Example:
        >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(10)
        0.05

    Source: Keras 3.15.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive("ExponentialDecay", "decay_steps", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: int) -> float:  # noqa: D102
        p = step / self.decay_steps
        return float(self.initial_learning_rate * self.decay_rate ** (math.floor(p) if self.staircase else p))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return dict(vars(self))


class InverseTimeDecay(LearningRateSchedule):
    """The learning rate falls like 1 / time.

    Args:
        initial_learning_rate: at step 0.
        decay_steps: unit of time.
        decay_rate: how fast.
        staircase: fall all at once after each unit of time.
        name: shown in configs.

    Raises:
        ArgumentError: when decay_steps is not above 0.

    Example:
        >>> InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0)(10)
        0.05

    Source: Keras 3.15.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive("InverseTimeDecay", "decay_steps", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: int) -> float:  # noqa: D102
        p = step / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * (math.floor(p) if self.staircase else p))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return dict(vars(self))


class PiecewiseConstantDecay(LearningRateSchedule):
    """One learning rate up to a step, then another, and so on.

    Args:
        boundaries: last step of each learning rate but the last, rising.
        values: the learning rates, one more than boundaries.
        name: shown in configs.

    Raises:
        ArgumentError: when there is not one value more than boundaries.

    Example:
        >>> schedule = PiecewiseConstantDecay([10], [0.1, 0.01])
        >>> schedule(10), schedule(11)
        (0.1, 0.01)

    Source: Keras 3.15.
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(values) != len(boundaries) + 1:
            raise ArgumentError(
                explain(
                    "PiecewiseConstantDecay",
                    expected="one value more than boundaries",
                    got=f"{len(boundaries)} boundaries and {len(values)} values",
                    fix="PiecewiseConstantDecay([1000], [0.1, 0.01])",
                )
            )
        self.boundaries = list(boundaries)
        self.values = list(values)
        self.name = name

    def __call__(self, step: int) -> float:  # noqa: D102
        return self.values[bisect.bisect_left(self.boundaries, step)]

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return dict(vars(self))


class PolynomialDecay(LearningRateSchedule):
    """The learning rate falls to an end along a power of the time left.

    Args:
        initial_learning_rate: at step 0.
        decay_steps: when the end is reached.
        end_learning_rate: from then on.
        power: 1 for a straight line.
        cycle: begin again at multiples of decay_steps instead of staying at the end.
        name: shown in configs.

    Raises:
        ArgumentError: when decay_steps is not above 0.

    Example:
        >>> PolynomialDecay(0.5, decay_steps=10, end_learning_rate=0.0)(5)
        0.25

    Source: Keras 3.15.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive("PolynomialDecay", "decay_steps", decay_steps)
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: int) -> float:  # noqa: D102
        period = self.decay_steps * (max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1)
        left = 1 - min(step, period) / period
        return float((self.initial_learning_rate - self.end_learning_rate) * left**self.power + self.end_learning_rate)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return dict(vars(self))


def _cosine(fraction: float) -> float:
    """From 1 to 0 along half a period."""
    return 0.5 * (1.0 + math.cos(math.pi * fraction))


class CosineDecay(LearningRateSchedule):
    """The learning rate rises along a line, if you like, and then falls along half a cosine.

    Args:
        initial_learning_rate: at step 0.
        decay_steps: length of the fall.
        alpha: lowest learning rate, as a share of the highest.
        name: shown in configs.
        warmup_target: learning rate at the end of the rise; None for no rise.
        warmup_steps: length of the rise.

    Raises:
        ArgumentError: when decay_steps is not above 0.

    Example:
        >>> CosineDecay(0.5, decay_steps=10)(10)
        0.0

    Source: Loshchilov and Hutter 2017; Keras 3.15.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive("CosineDecay", "decay_steps", decay_steps)
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:  # noqa: D102
        if self.warmup_target is None:
            return self._fall(self.initial_learning_rate, step)
        if step < self.warmup_steps:
            rise = self.warmup_target - self.initial_learning_rate
            return self.initial_learning_rate + rise * step / self.warmup_steps
        return self._fall(self.warmup_target, step - self.warmup_steps)

    def _fall(self, start: float, step: float) -> float:
        return start * ((1 - self.alpha) * _cosine(min(step / self.decay_steps, 1.0)) + self.alpha)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return dict(vars(self))


class CosineDecayRestarts(LearningRateSchedule):
    """The learning rate falls along half a cosine again and again.

    Args:
        initial_learning_rate: at step 0.
        first_decay_steps: length of the first fall.
        t_mul: how many times longer each fall is than the one before.
        m_mul: how many times higher each start is than the one before.
        alpha: lowest learning rate, as a share of the first.
        name: shown in configs.

    Raises:
        ArgumentError: when first_decay_steps is not above 0.

    Example:
        >>> CosineDecayRestarts(0.5, first_decay_steps=10)(10)
        0.5

    Source: Loshchilov and Hutter 2017; Keras 3.15.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = _positive("CosineDecayRestarts", "first_decay_steps", first_decay_steps)
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: int) -> float:  # noqa: D102
        falls, fraction = self._place(step / self.first_decay_steps)
        height = self.m_mul**falls * _cosine(fraction)
        return float(self.initial_learning_rate * ((1 - self.alpha) * height + self.alpha))

    def _place(self, time: float) -> tuple[int, float]:
        """How many falls are over, and how much of the present one."""
        if self.t_mul == 1.0:
            return math.floor(time), time % 1.0
        # The small number keeps a restart from being missed by a rounding error of the logarithms.
        falls = math.floor(math.log(1.0 - time * (1.0 - self.t_mul), self.t_mul) + 1e-9)
        over = (1.0 - self.t_mul**falls) / (1.0 - self.t_mul)
        return falls, (time - over) / self.t_mul**falls

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return dict(vars(self))


_KNOWN: dict[str, type[LearningRateSchedule]] = table(
    *(ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay, CosineDecay, CosineDecayRestarts)
)


def get(identifier: Any) -> LearningRateSchedule:
    """Find a schedule.

    Args:
        identifier: an object, or a config as in a model's file.

    Returns:
        The schedule.

    Raises:
        ArgumentError: when there is no such name; it gives the nearest one.

    Example:
        >>> get({"class_name": "CosineDecay", "config": {"initial_learning_rate": 0.5, "decay_steps": 10}})(0)
        0.5
    """
    return find("learning_rate", identifier, _KNOWN, LearningRateSchedule)
