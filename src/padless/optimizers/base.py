"""What all optimizers share: the driver, clipping, weight decay, averages of weights, accumulation of gradients.

`rule` is the formula for one weight, free of state, and the specification; a backend may compute all weights at once
(`Backend.update`), and is tested against it. `Optimizer.apply` is the driver: it clips the gradients, decays the
weights, takes the step and remembers the slots, in this order, as Keras does; then come the averages of `use_ema`. The
formulas are not those of torch.optim or optax: Adam's epsilon is added to a root that is not corrected for the start,
RMSprop's stands inside the root.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self, Unpack

from padless import schedules
from padless.backends.base import Backend, RowGradient
from padless.errors import ArgumentError, explain
from padless.named import Configured, snake_case
from padless.optimizers.arguments import Common, check_common
from padless.schedules import LearningRateSchedule

Array = Any
Slots = dict[str, Array]
LearningRate = float | LearningRateSchedule | Callable[[], float]


class Optimizer(Configured):
    """Base class of optimizers: a subclass has `rule`, and `slot_names` for what the rule remembers of each weight.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        **common: see `Common`.

    Attributes:
        iterations: number of steps taken.
        slots: what the rule remembers: {slot name: {path: array}}.
        gathered_batches: number of batches since, where several make a step.
        lazy_embeddings: whether rows of a table that a step did not look up are left alone.
        tables: paths of the weights that are looked up row by row.
        names: names of layer and weight by path.
        parts: names of the losses that are added up apart, where several batches make a step.

    Raises:
        ArgumentError: when an argument is unknown or out of its range, or more than one of the three clips is given.

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
        check_common(type(self).__name__, common)
        self.name = common.get("name") or snake_case(type(self).__name__)
        self.weight_decay = common.get("weight_decay")
        self.clipnorm = common.get("clipnorm")
        self.clipvalue = common.get("clipvalue")
        self.global_clipnorm = common.get("global_clipnorm")
        self.use_ema = common.get("use_ema", False)
        self.ema_momentum = common.get("ema_momentum", 0.99)
        self.ema_overwrite_frequency = common.get("ema_overwrite_frequency")
        self.loss_scale_factor = common.get("loss_scale_factor")
        self.gradient_accumulation_steps = common.get("gradient_accumulation_steps")
        self.iterations = 0
        self.gathered_batches = 0
        self.slots: dict[str, dict[str, Array]] = {}
        self.lazy_embeddings = False
        self.tables: frozenset[str] = frozenset()
        self.names: dict[str, str] = {}
        self.parts = ["0"]
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
        """Names of what the rule remembers of weights."""
        return ()

    def slots_of(self, path: str, weight: Array) -> tuple[str, ...]:
        """Names of what the rule remembers of one weight: all `slot_names`, unless it treats weights differently.

        Args:
            path: of the weight.
            weight: an array.

        Returns:
            Some of `slot_names`; `rule` gets these.
        """
        return self.slot_names

    def decay_of(self, path: str, weight: Array) -> float | None:
        """The weight decay of one weight, unless it is left out: `weight_decay`.

        Args:
            path: of the weight.
            weight: an array.

        Returns:
            A share, or None.
        """
        return self.weight_decay

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
            >>> from padless.optimizers import AdamW
            >>> optimizer = AdamW()
            >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
            >>> optimizer.decays("encoder/0/bias"), optimizer.decays("encoder/0/kernel")
            (False, True)
        """
        self._undecayed = tuple(var_list or ())
        self._undecayed_words = tuple(var_names or ())

    def decays(self, path: str) -> bool:
        """Whether the weight at this path is decayed."""
        return self.weight_decay is not None and not self._left_out(path)

    def _left_out(self, path: str) -> bool:
        return path in self._undecayed or any(re.search(word, path) for word in self._undecayed_words)

    def _decay(self, path: str, weight: Array) -> float:
        share = self.decay_of(path, weight)
        return share if share and not self._left_out(path) else 0.0

    def decay(self, backend: Backend, weights: dict[str, Array], learning_rate: float) -> dict[str, Array]:
        """Take the weight decay off the weights.

        Args:
            backend: of the arrays.
            weights: arrays by path.
            learning_rate: of this step.

        Returns:
            Arrays by path; on torch those given, changed in place.
        """
        groups: dict[float, dict[str, Array]] = {}
        for path, weight in weights.items():
            groups.setdefault(self._decay(path, weight), {})[path] = weight
        after = dict(weights)
        for share_of_rate, group in groups.items():
            if share_of_rate:
                after.update(backend.decay(group, share_of_rate * learning_rate))
        return after

    # ---- the driver

    def apply(self, backend: Backend, weights: dict[str, Array], gradients: dict[str, Array]) -> dict[str, Array]:
        """Take one step: clip the gradients, decay the weights, apply the rule, remember the slots.

        Where several batches make a step, all but the last of them change no weight, and all count the same.

        Args:
            backend: of the arrays.
            weights: arrays by path.
            gradients: arrays by path, one for each weight.

        Returns:
            The new weights by path.

        Example:
            >>> import numpy as np
            >>> from padless import backends
            >>> from padless.optimizers import SGD
            >>> optimizer = SGD(0.5)
            >>> optimizer.apply(backends.get("numpy"), {"w": np.ones(1)}, {"w": np.ones(1)})["w"].tolist()
            [0.5]
        """
        with backend.no_gradient():
            self.prepare(backend, weights)
            numbers = self.numbers()

            def use(slots: Any, gradients: dict[str, Array]) -> tuple[dict[str, Array], Any]:
                if self.gathers:
                    slots = self.accumulated(backend, slots, dict.fromkeys(self.parts, (gradients, 1.0)))
                if not self.steps_next:
                    return weights, slots
                gradients = self.mean(backend, slots, weights) if self.gathers else gradients
                return self.step(backend, weights, gradients, slots, **numbers)

            new_weights, after = self.taken(backend, weights, self.held(weights), gradients, use)
        self.remember(after)
        return new_weights

    def taken(
        self, backend: Backend, weights: dict[str, Array], slots: Any, gradients: Any, use: Callable[[Any, Any], Any]
    ) -> tuple[dict[str, Array], Any]:
        """Use the gradients of a batch; a function of its arguments alone.

        Args:
            backend: of the arrays.
            weights: arrays by path.
            slots: what `held` gave.
            gradients: by path; where several batches make a step, those of each part beside what they are divided by.
            use: of slots and gradients, gives new weights and slots.

        Returns:
            New weights and new slots.
        """
        found: tuple[dict[str, Array], Any] = use(slots, gradients)
        return found

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
        own = {name: slot for name, slot in slots.items() if name in self.slot_names}
        gradients = self._unscaled(gradients)
        made, after = self._ruled(backend, weights, gradients, own, learning_rate, iteration)
        if self.use_ema:
            averages = after["average"] = self._averaged(backend, made, slots["average"], iteration)
            made = self._overwritten(backend, made, averages, iteration)
        if self.gathers:
            after |= self._emptied(backend, slots)
        return made, {name: after.get(name, slot) for name, slot in slots.items()}

    def _ruled(
        self,
        backend: Backend,
        weights: dict[str, Array],
        gradients: dict[str, Array],
        slots: dict[str, Slots],
        learning_rate: float,
        iteration: int,
    ) -> tuple[dict[str, Array], dict[str, Slots]]:
        """The step of the formula alone."""
        clipped = self._clipped(backend, gradients)
        lazy = self.lazily().intersection(weights)
        if not lazy:
            decayed = self.decay(backend, weights, learning_rate)
            made, after = backend.update(self, decayed, clipped, slots, learning_rate, iteration)
            return made, dict(after)
        others = {path: weight for path, weight in weights.items() if path not in lazy}
        own = {name: {path: slot[path] for path in others if path in slot} for name, slot in slots.items()}
        decayed = self.decay(backend, others, learning_rate)
        made, after = backend.update(self, decayed, clipped, own, learning_rate, iteration)
        after = {name: dict(after[name]) for name in slots}
        for path in lazy:
            off = self._decay(path, weights[path]) * learning_rate
            remembered = {name: slots[name][path] for name in slots}
            new, kept = backend.update_rows(
                self, weights[path], clipped[path], remembered, learning_rate, iteration, off
            )
            made = {**made, path: new}
            for name, slot in kept.items():
                after[name][path] = slot
        # In the order in which they came: a compiled step gives back what it was given.
        return {path: made[path] for path in weights}, {n: {path: after[n][path] for path in slots[n]} for n in slots}

    def lazily(self) -> frozenset[str]:
        """Paths of the tables of which a step changes only the rows that it looked up."""
        return self.tables if self.lazy_embeddings else frozenset()

    def _clipped(self, backend: Backend, gradients: dict[str, Any]) -> dict[str, Any]:
        """As `clip`; of gradients of some rows, these: zeros change no norm."""
        if self.clipnorm or self.clipvalue or self.global_clipnorm:
            gradients = {p: backend.added_up(g) if isinstance(g, RowGradient) else g for p, g in gradients.items()}
        return _by_values(lambda values: self.clip(backend.xp, values), gradients)

    # ---- a scaled loss

    def scaled(self, loss: Array, slots: Any = None) -> Array:
        """The loss that gradients are computed of.

        Args:
            loss: a number.
            slots: what `held` gave.

        Returns:
            The loss times `loss_scale_factor`, if there is one.
        """
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def _unscaled(self, gradients: dict[str, Any]) -> dict[str, Any]:
        scale = self.loss_scale_factor
        if scale is None:
            return gradients
        return _by_values(lambda values: {path: g / scale for path, g in values.items()}, gradients)

    # ---- averages of weights

    def _averaged(
        self, backend: Backend, weights: dict[str, Array], averages: Slots, iteration: int
    ) -> dict[str, Array]:
        """The moving averages, which begin with the weights after the first step."""
        kept = self.ema_momentum * (iteration != 0)
        mixed = {path: kept * averages[path] + (1 - kept) * weight for path, weight in weights.items()}
        return {path: backend.cast(mean, backend.dtype_name(weights[path])) for path, mean in mixed.items()}

    def _overwritten(
        self, backend: Backend, weights: dict[str, Array], averages: dict[str, Array], iteration: int
    ) -> dict[str, Array]:
        if not self.ema_overwrite_frequency:
            return weights
        due: Any = (iteration + 1) % self.ema_overwrite_frequency == 0
        if isinstance(due, bool):
            return _copies(backend, averages) if due else weights
        return {path: backend.xp.where(due, averages[path], weight) for path, weight in weights.items()}

    def finalized(self, backend: Backend, weights: dict[str, Array]) -> dict[str, Array]:
        """What takes the place of the weights when training ends.

        Args:
            backend: of the arrays.
            weights: arrays by path.

        Returns:
            The averages of those that have one, under `use_ema`; else nothing.
        """
        averages = self.slots.get("average", {})
        return _copies(backend, {path: averages[path] for path in weights if path in averages})

    # ---- several batches in a step

    @property
    def gathers(self) -> bool:
        """Whether several batches make a step."""
        return self.gradient_accumulation_steps is not None

    @property
    def steps_next(self) -> bool:
        """Whether the next batch is the last of its step."""
        return self.gathered_batches + 1 >= (self.gradient_accumulation_steps or 1)

    @property
    def batches(self) -> int:
        """Number of batches so far."""
        return self.iterations * (self.gradient_accumulation_steps or 1) + self.gathered_batches

    def accumulated(
        self, backend: Backend, slots: dict[str, Slots], parts: Mapping[str, tuple[dict[str, Array], Any]]
    ) -> dict[str, Slots]:
        """Add the gradients of a batch to those of the batches before it.

        Args:
            backend: of the arrays.
            slots: what `held` gave.
            parts: gradients of each sum of weight x loss, and what the sum is to be divided by.

        Returns:
            New slots.
        """
        after = dict(slots)
        for name, (gradients, count) in parts.items():
            sums, counts = slots[_sums(name)], slots[_counts(name)]
            after[_sums(name)] = {path: sums[path] + gradient for path, gradient in gradients.items()}
            after[_counts(name)] = {path: counts[path] + count for path in gradients}
        return after

    def mean(self, backend: Backend, slots: dict[str, Slots], weights: dict[str, Array]) -> dict[str, Array]:
        """The gradients of all batches of a step, as if they were one.

        Args:
            backend: of the arrays.
            slots: what `accumulated` gave.
            weights: arrays by path.

        Returns:
            Arrays by path.
        """
        xp, made = backend.xp, dict[str, Array]()
        for name in self.parts:
            for path, weight in weights.items():
                count = slots[_counts(name)][path]
                none = count == 0
                mean = xp.where(none, 0.0, slots[_sums(name)][path] / xp.where(none, 1.0, count))
                mean = backend.cast(mean, backend.dtype_name(weight))
                made[path] = made[path] + mean if path in made else mean
        return made

    def _emptied(self, backend: Backend, slots: dict[str, Slots]) -> dict[str, Slots]:
        names = [kind(name) for name in self.parts for kind in (_sums, _counts)]
        return {name: {path: backend.xp.zeros_like(a) for path, a in slots[name].items()} for name in names}

    # ---- what is remembered

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
        return {name: {path: slot[path] for path in paths if path in slot} for name, slot in self.slots.items()}

    def keep(self, slots: Any) -> None:
        """Take what a step gave in the place of what it was given.

        Args:
            slots: of the kind that `held` gives.
        """
        for name, slot in slots.items():
            self.slots[name].update(slot)

    def remember(self, slots: Any) -> None:
        """Keep what a step gave, and count it.

        Args:
            slots: what `step` gave.
        """
        self.keep(slots)
        self.advance()

    def advance(self) -> None:
        """Count a batch, and a step where it was the last of one."""
        done = self.steps_next
        self.gathered_batches = 0 if done else self.gathered_batches + 1
        self.iterations += done

    def prepare(self, backend: Backend, weights: dict[str, Array]) -> None:
        """Make the slots of weights that have none yet.

        Args:
            backend: of the arrays.
            weights: arrays by path.
        """
        for name in self.slot_names:
            self.slots.setdefault(name, {})
        for path, weight in weights.items():
            for name in self.slots_of(path, weight):
                if path not in self.slots[name]:
                    self.slots[name][path] = self.initial(name, weight, backend.xp)
        if self.use_ema:
            self._fill("average", weights, backend.xp.zeros_like)
        for part in self.parts if self.gathers else ():
            self._fill(_sums(part), weights, lambda weight: _wide(backend, backend.xp.zeros_like(weight)))
            self._fill(
                _counts(part), weights, lambda weight: _wide(backend, backend.xp.sum(backend.xp.zeros_like(weight)))
            )

    def _fill(self, name: str, weights: dict[str, Array], first: Callable[[Array], Array]) -> None:
        slot = self.slots.setdefault(name, {})
        slot.update({path: first(weight) for path, weight in weights.items() if path not in slot})

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
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
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


def _by_values(change: Callable[[dict[str, Array]], dict[str, Array]], gradients: dict[str, Any]) -> dict[str, Any]:
    """Change gradients; of those of some rows, these."""
    made = change({path: g.values if isinstance(g, RowGradient) else g for path, g in gradients.items()})
    return {
        path: RowGradient(g.rows, made[path]) if isinstance(g, RowGradient) else made[path]
        for path, g in gradients.items()
    }


def _copies(backend: Backend, arrays: dict[str, Array]) -> dict[str, Array]:
    """Arrays of their own: weights are changed in place, and what is remembered is handed over to compiled steps."""
    return {path: backend.xp.asarray(array, copy=True) for path, array in arrays.items()}


def _sums(part: str) -> str:
    return f"gathered/{part}"


def _counts(part: str) -> str:
    return f"counted/{part}"


def _wide(backend: Backend, array: Array) -> Array:
    """In a dtype that sums lose nothing in."""
    return array if backend.dtype_name(array) == "float64" else backend.cast(array, "float32")


def lost(xp: Any, beta: float, steps: Any) -> Any:
    """1 - beta**steps: what a running mean that began at 0 has of a whole one.

    Args:
        xp: namespace of the arrays.
        beta: share that is kept at each step.
        steps: how many there were; an array in a compiled step.

    Returns:
        A number, or an array of one.
    """
    if isinstance(steps, int) or beta in (0, 1):
        return 1 - beta**steps
    # Not 1 - beta**steps, of which float32 keeps four digits at the start.
    return -xp.expm1(steps * math.log(beta))
