"""Optimizers: how gradients change weights; formulas, names and defaults of Keras 3.15.

`rule` is the formula for one weight, free of state, and the specification; a backend may compute all weights at once
(`Backend.update`), and is tested against it. `Optimizer.apply` is the driver: it clips the gradients, decays the
weights, takes the step and remembers the slots, in this order, as Keras does. The formulas are not those of torch.optim
or optax: Adam's epsilon is added to a root that is not corrected for the start, RMSprop's stands inside the root.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self, TypedDict, Unpack

from padless import backends, schedules
from padless.backends.base import Backend, RowGradient
from padless.errors import ArgumentError, NotThereYetError, explain
from padless.named import Configured, find, snake_case
from padless.schedules import LearningRateSchedule

Array = Any
Slots = dict[str, Array]
LearningRate = float | LearningRateSchedule | Callable[[], float]


class Common(TypedDict, total=False):
    """Arguments of every optimizer, all optional.

    Attributes:
        weight_decay: share of each weight, times the learning rate, that is taken off before each step.
        clipnorm: each gradient is scaled down to this norm.
        clipvalue: each number of a gradient is cut to this size.
        global_clipnorm: all gradients together are scaled down to this norm.
        use_ema: not there yet.
        ema_momentum: not there yet.
        ema_overwrite_frequency: not there yet.
        loss_scale_factor: not there yet.
        gradient_accumulation_steps: not there yet.
        name: shown in logs.
    """

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


_NOT_YET: dict[str, Any] = {
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}
_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")


class Optimizer(Configured):
    """Base class of optimizers: a subclass has `rule`, and `slot_names` for what the rule remembers of each weight.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        **common: see `Common`.

    Attributes:
        iterations: number of steps taken.
        slots: what the rule remembers: {slot name: {path: array}}.
        lazy_embeddings: whether rows of a table that a step did not look up are left alone.
        tables: paths of the weights that are looked up row by row.

    Raises:
        ArgumentError: when an argument is unknown, or more than one of the three clips is given.
        NotThereYetError: when an argument is given that padless does not offer yet.

    Example:
        >>> class Signs(Optimizer):
        ...     def rule(self, xp, weight, gradient, slots, learning_rate, iteration):
        ...         return weight - learning_rate * xp.sign(gradient), {}
        >>> Signs(0.1).learning_rate
        0.1
    """

    kind: ClassVar[str] = ""
    """The formula's name, by which a backend knows whether it has a fast path; "" where it has none."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "rule" in vars(cls) and "kind" not in vars(cls):
            # Another formula than that of the class above: no fast path may take it for the same.
            cls.kind = ""

    def __init__(self, learning_rate: LearningRate | Mapping[str, Any], **common: Unpack[Common]) -> None:
        _check_common(type(self).__name__, common)
        self.name = common.get("name") or snake_case(type(self).__name__)
        self.weight_decay = common.get("weight_decay")
        self.clipnorm = common.get("clipnorm")
        self.clipvalue = common.get("clipvalue")
        self.global_clipnorm = common.get("global_clipnorm")
        self.iterations = 0
        self.slots: dict[str, dict[str, Array]] = {}
        self.lazy_embeddings = False
        self.tables: frozenset[str] = frozenset()
        self._undecayed: tuple[str, ...] = ()
        self._undecayed_words: tuple[str, ...] = ()
        self._learning_rate: LearningRate = (
            schedules.get(learning_rate)
            if isinstance(learning_rate, Mapping)
            else learning_rate
            if callable(learning_rate)
            else float(learning_rate)
        )

    # ---- what a subclass defines

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Names of what the rule remembers of each weight."""
        return ()

    def initial(self, name: str, weight: Array, xp: Any) -> Array:
        """What a slot holds before the first step: zeros.

        Args:
            name: of the slot.
            weight: an array.
            xp: its namespace.

        Returns:
            An array like the weight.
        """
        return xp.zeros_like(weight)

    def rule(
        self, xp: Any, weight: Array, gradient: Array, slots: Slots, learning_rate: float, iteration: int
    ) -> tuple[Array, Slots]:
        """The formula for one weight, without state.

        Args:
            xp: namespace of the arrays.
            weight: an array, decayed already.
            gradient: of its shape, clipped already.
            slots: what is remembered of it, by slot name.
            learning_rate: of this step.
            iteration: 0 for the first step.

        Returns:
            The new weight and the new slots.
        """
        raise NotImplementedError

    # ---- the learning rate

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step. A number may be set, unless there is a schedule."""
        if isinstance(self._learning_rate, LearningRateSchedule):
            return float(self._learning_rate(self.iterations))
        return float(self._learning_rate() if callable(self._learning_rate) else self._learning_rate)

    @learning_rate.setter
    def learning_rate(self, value: LearningRate) -> None:
        if callable(value):
            self._learning_rate = value
            return
        if isinstance(self._learning_rate, LearningRateSchedule):
            raise ArgumentError(
                explain(
                    f"optimizer {self.name!r}, learning_rate",
                    expected="another schedule, since it follows one",
                    got=repr(value),
                    fix=f"{type(self).__name__}(learning_rate=0.001) for a learning rate that can be set",
                )
            )
        self._learning_rate = float(value)

    # ---- clipping and decay

    def clip(self, xp: Any, gradients: dict[str, Array]) -> dict[str, Array]:
        """Make large gradients smaller, as clipnorm, global_clipnorm or clipvalue say.

        Args:
            xp: namespace of the arrays.
            gradients: arrays by path.

        Returns:
            Arrays by path. A gradient with an infinity or a NaN makes all NaN under global_clipnorm.
        """
        if self.clipnorm and self.clipnorm > 0:
            bound = self.clipnorm
            return {path: g * (bound / _at_least(xp, _norm(xp, [g]), bound)) for path, g in gradients.items()}
        if self.global_clipnorm and self.global_clipnorm > 0 and gradients:
            norm = _norm(xp, gradients.values())
            scale = xp.where(
                xp.isfinite(norm), self.global_clipnorm / _at_least(xp, norm, self.global_clipnorm), math.nan
            )
            return {path: g * scale for path, g in gradients.items()}
        if self.clipvalue and self.clipvalue > 0:
            return {path: xp.clip(g, -self.clipvalue, self.clipvalue) for path, g in gradients.items()}
        return gradients

    def exclude_from_weight_decay(
        self, var_list: Iterable[str] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave weights out of the weight decay; each call replaces what the one before said.

        Args:
            var_list: paths of weights.
            var_names: words or regular expressions; a weight whose path holds one is left out.

        Example:
            >>> optimizer = AdamW()
            >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
            >>> optimizer.decays("encoder/0/bias"), optimizer.decays("encoder/0/kernel")
            (False, True)
        """
        self._undecayed = tuple(var_list or ())
        self._undecayed_words = tuple(var_names or ())

    def decays(self, path: str) -> bool:
        """Whether the weight at this path is decayed."""
        left_out = path in self._undecayed or any(re.search(word, path) for word in self._undecayed_words)
        return self.weight_decay is not None and not left_out

    def decay(self, backend: Backend, weights: dict[str, Array], learning_rate: float) -> dict[str, Array]:
        """Take the weight decay off the weights.

        Args:
            backend: of the arrays.
            weights: arrays by path.
            learning_rate: of this step.

        Returns:
            Arrays by path; on torch those given, changed in place.
        """
        chosen = {path: weight for path, weight in weights.items() if self.decays(path)} if self.weight_decay else {}
        if not chosen:
            return weights
        return {**weights, **backend.decay(chosen, (self.weight_decay or 0.0) * learning_rate)}

    # ---- the driver

    def apply(self, backend: Backend, weights: dict[str, Array], gradients: dict[str, Array]) -> dict[str, Array]:
        """Take one step: clip the gradients, decay the weights, apply the rule, remember the slots.

        Args:
            backend: of the arrays.
            weights: arrays by path.
            gradients: arrays by path, one for each weight.

        Returns:
            The new weights by path.

        Example:
            >>> import numpy as np
            >>> from padless import backends
            >>> optimizer = SGD(0.5)
            >>> optimizer.apply(backends.get("numpy"), {"w": np.ones(1)}, {"w": np.ones(1)})["w"].tolist()
            [0.5]
        """
        with backend.no_gradient():
            self.prepare(backend, weights)
            slots, numbers = self.held(weights), self.numbers()
            new_weights, after = self.step(backend, weights, gradients, slots, **numbers)
        self.remember(after)
        return new_weights

    def step(
        self,
        backend: Backend,
        weights: dict[str, Array],
        gradients: dict[str, Array],
        slots: Any,
        learning_rate: float,
        iteration: int,
    ) -> tuple[dict[str, Array], Any]:
        """Clip the gradients, decay the weights, apply the rule: a function of its arguments alone.

        Args:
            backend: of the arrays.
            weights: arrays by path.
            gradients: arrays by path, one for each weight.
            slots: what `held` gave.
            learning_rate: of this step.
            iteration: 0 for the first step.

        Returns:
            New weights and new slots.
        """
        clipped = self._clipped(backend.xp, gradients)
        lazy = self.lazily().intersection(weights)
        if not lazy:
            decayed = self.decay(backend, weights, learning_rate)
            return backend.update(self, decayed, clipped, slots, learning_rate, iteration)
        others = {path: weight for path, weight in weights.items() if path not in lazy}
        own = {name: {path: slot[path] for path in others} for name, slot in slots.items()}
        decayed = self.decay(backend, others, learning_rate)
        made, after = backend.update(self, decayed, clipped, own, learning_rate, iteration)
        after = {name: dict(after[name]) for name in slots}
        for path in lazy:
            share = (self.weight_decay or 0.0) * learning_rate if self.decays(path) else 0.0
            remembered = {name: slots[name][path] for name in slots}
            new, kept = backend.update_rows(
                self, weights[path], clipped[path], remembered, learning_rate, iteration, share
            )
            made = {**made, path: new}
            for name, slot in kept.items():
                after[name][path] = slot
        # In the order in which they came: a compiled step gives back what it was given.
        return {path: made[path] for path in weights}, {n: {path: after[n][path] for path in slots[n]} for n in slots}

    def lazily(self) -> frozenset[str]:
        """Paths of the tables of which a step changes only the rows that it looked up."""
        return self.tables if self.lazy_embeddings else frozenset()

    def _clipped(self, xp: Any, gradients: dict[str, Any]) -> dict[str, Any]:
        """As `clip`; of gradients of some rows, these: zeros change no norm."""
        values = {path: g.values if isinstance(g, RowGradient) else g for path, g in gradients.items()}
        made = self.clip(xp, values)
        return {
            path: RowGradient(g.rows, made[path]) if isinstance(g, RowGradient) else made[path]
            for path, g in gradients.items()
        }

    def numbers(self) -> dict[str, Any]:
        """The plain numbers that the next step reads, by the name of the argument of `step`."""
        return {"learning_rate": self.learning_rate, "iteration": self.iterations}

    def held(self, weights: Iterable[str]) -> Any:
        """What is remembered of some weights, as a tree of arrays that a compiled step can take and give back.

        Args:
            weights: their paths.

        Returns:
            {slot name: {path: array}}.
        """
        paths = list(weights)
        return {name: {path: slot[path] for path in paths} for name, slot in self.slots.items()}

    def keep(self, slots: Any) -> None:
        """Take what a step gave in the place of what it was given.

        Args:
            slots: of the kind that `held` gives.
        """
        for name, slot in slots.items():
            self.slots[name].update(slot)

    def remember(self, slots: Any) -> None:
        """Note that a step was taken.

        Args:
            slots: what `step` gave.
        """
        self.keep(slots)
        self.iterations += 1

    def prepare(self, backend: Backend, weights: dict[str, Array]) -> None:
        """Make the slots of weights that have none yet.

        Args:
            backend: of the arrays.
            weights: arrays by path.
        """
        for name in self.slot_names:
            slot = self.slots.setdefault(name, {})
            for path, weight in weights.items():
                if path not in slot:
                    slot[path] = self.initial(name, weight, backend.xp)

    # ---- config

    def for_file(self, given: Any) -> Any:
        """What the file of a model holds in the place of this optimizer.

        Args:
            given: the argument of `compile` that it was made of.

        Returns:
            The argument, as far as files can hold it.
        """
        return given

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        rate: Any = self._learning_rate
        if isinstance(rate, LearningRateSchedule):
            rate = {"class_name": type(rate).__name__, "config": rate.get_config()}
        return {
            "name": self.name,
            "learning_rate": rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "clipvalue": self.clipvalue,
            "global_clipnorm": self.global_clipnorm,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:  # noqa: D102
        return cls(**config)


def _norm(xp: Any, gradients: Iterable[Array]) -> Array:
    """Euclidean norm of all numbers together."""
    squares = [xp.sum(g * g) for g in gradients]
    return xp.sqrt(sum(squares[1:], start=squares[0]))


def _at_least(xp: Any, norm: Array, bound: float) -> Array:
    return xp.where(norm < bound, bound, norm)


def _check_common(where: str, common: Common) -> None:
    unknown = sorted(set(common) - set(Common.__annotations__))
    if unknown:
        raise ArgumentError(
            explain(
                where,
                expected=f"arguments of its own or these: {', '.join(Common.__annotations__)}",
                got=", ".join(unknown),
                fix="learning_rate=1e-3" if unknown == ["lr"] else f"leave out {', '.join(unknown)}",
            )
        )
    given: dict[str, Any] = {**common}
    for name, default in _NOT_YET.items():
        if given.get(name, default) not in (default, None):
            raise NotThereYetError(
                explain(
                    f"{where}, {name}",
                    expected=f"its default, {default!r}: padless does not offer it yet",
                    got=repr(given[name]),
                    fix=f"leave out {name}",
                )
            )
    clips = [name for name in _CLIPS if given.get(name) is not None]
    if len(clips) > 1:
        raise ArgumentError(
            explain(where, expected=f"at most one of {', '.join(_CLIPS)}", got=" and ".join(clips), fix="keep one")
        )


def _lost(xp: Any, beta: float, steps: Any) -> Any:
    """1 - beta**steps: what a running mean that began at 0 lacks; `steps` is an array in a compiled step."""
    if isinstance(steps, int) or beta in (0, 1):
        return 1 - beta**steps
    # Not 1 - beta**steps, of which float32 keeps four digits at the start.
    return -xp.expm1(steps * math.log(beta))


def _share(where: str, name: str, value: float) -> float:
    """A number from 0 to 1."""
    if not 0 <= value <= 1:
        raise ArgumentError(
            explain(f"{where}, {name}", expected="a number from 0 to 1", got=repr(value), fix=f"{name}=0.9")
        )
    return value


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
        self.momentum = _share("SGD", "momentum", momentum)
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
        self.beta_1 = _share(type(self).__name__, "beta_1", beta_1)
        self.beta_2 = _share(type(self).__name__, "beta_2", beta_2)
        self.epsilon = epsilon
        self.amsgrad = amsgrad
        self.lazy_embeddings = lazy_embeddings

    @property
    def slot_names(self) -> tuple[str, ...]:  # noqa: D102
        return ("momentum", "velocity", "velocity_hat") if self.amsgrad else ("momentum", "velocity")

    def rule(  # noqa: D102
        self, xp: Any, weight: Array, gradient: Array, slots: Slots, learning_rate: float, iteration: int
    ) -> tuple[Array, Slots]:
        lost_1, lost_2 = (_lost(xp, beta, iteration + 1) for beta in (self.beta_1, self.beta_2))
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
        self.rho = _share("RMSprop", "rho", rho)
        self.momentum = _share("RMSprop", "momentum", momentum)
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


class Absent(Optimizer):
    """Stands in a loaded model for an optimizer that no file can hold; training says so, everything else works.

    Args:
        what: the optimizer that the saved model had.

    Example:
        >>> Absent("an optax transformation").get_config()
        {'what': 'an optax transformation'}
    """

    def __init__(self, what: str) -> None:
        super().__init__(0.0)
        self.what = what

    @property
    def _again(self) -> str:
        return explain(
            "optimizer of a loaded model",
            expected="one whose arguments are in the file",
            got=f"{self.what}, a function that no file can hold; the weights, the loss and the metrics are there",
            fix="model.compile(optimizer=..., loss=..., metrics=...) as for the model that was saved, before training",
        )

    def prepare(self, backend: Backend, weights: dict[str, Array]) -> None:
        """Refuse to train.

        Args:
            backend: of the arrays.
            weights: arrays by path.

        Raises:
            ArgumentError: always.
        """
        raise ArgumentError(self._again)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"what": self.what}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:  # noqa: D102
        made = cls(**config)
        warnings.warn(made._again, LostOptimizerWarning, stacklevel=2)
        return made


class LostOptimizerWarning(UserWarning):
    """A model was loaded whose optimizer its file does not hold."""


_KNOWN: dict[str, type[Optimizer]] = {
    name: kind for kind in (SGD, Adam, AdamW, RMSprop) for name in (kind.__name__, kind.__name__.lower())
}
_KERAS_ONLY = (
    *("adadelta", "adagrad", "adamax", "adafactor", "muon", "nadam", "ftrl", "lion", "lamb"),
    *("multi_optimizer", "optimizer_map", "loss_scale_optimizer", "schedule_free_adam_w"),
)


def get(identifier: Any, backend: Backend | None = None) -> Optimizer:
    """Find an optimizer.

    Args:
        identifier: a name in any case, an object, a class, or a config as in a model's file; on JAX also a
            transformation of optax, or anything else with its `init` and `update`.
        backend: of the model; the current one by default.

    Returns:
        The optimizer.

    Raises:
        ArgumentError: when there is no such name; it gives the nearest one. When a transformation comes to another
            backend.
        NotThereYetError: when Keras has it and padless does not yet.

    Example:
        >>> get("RMSprop").learning_rate
        0.001
    """
    if _transforms(identifier):
        return (backend or backends.current()).transforming(identifier)
    name = identifier.lower() if isinstance(identifier, str) and identifier.lower() in _KNOWN else identifier
    return find("optimizer", name, _KNOWN, Optimizer, _KERAS_ONLY)


def _transforms(identifier: Any) -> bool:
    """Whether something has the two functions of optax: init(weights) and update(gradients, state, weights)."""
    ours = isinstance(identifier, Optimizer | type)
    return not ours and all(callable(getattr(identifier, name, None)) for name in ("init", "update"))
