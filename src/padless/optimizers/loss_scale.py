"""Training in float16: a loss that is scaled up before gradients are computed, so that small ones do not become 0."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np

from padless.backends.base import Backend, RowGradient
from padless.errors import ArgumentError, explain
from padless.optimizers.base import Array, LearningRate, Optimizer, Slots

_SLOT = "loss_scale"
"""Where the scale lies among what optimizers remember, so that it is saved with them."""
_COMMON = (
    "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "ema_overwrite_frequency",
    "loss_scale_factor", "gradient_accumulation_steps",
)  # fmt: skip


def _of_inner(name: str) -> Any:
    """An attribute of the optimizer within."""

    def read(self: Any) -> Any:
        return getattr(self.inner_optimizer, name)

    def write(self: Any, value: Any) -> None:
        setattr(self.inner_optimizer, name, value)

    return property(read, write, doc=f"`{name}` of the optimizer within.")


class LossScaleOptimizer(Optimizer):
    """Another optimizer, whose loss is scaled by as much as gradients bear.

    A batch whose gradients are not all finite is left out: no weight changes, nothing is remembered of it, and the
    scale is halved. After `dynamic_growth_steps` batches in a row that were not left out, it is doubled.

    Args:
        inner_optimizer: a name or an optimizer; it clips, decays, averages and accumulates, and counts the steps.
        initial_scale: of the loss.
        dynamic_growth_steps: batches after which the scale is doubled.
        name: shown in logs.
        **kwargs: None or defaults, as older files hold them.

    Raises:
        ArgumentError: for arguments that belong to the optimizer within.

    Example:
        >>> import numpy as np
        >>> from padless import backends
        >>> from padless.optimizers import SGD
        >>> optimizer = LossScaleOptimizer(SGD(1.0), initial_scale=4.0)
        >>> weights, numpy = {"w": np.ones(1)}, backends.get("numpy")
        >>> optimizer.apply(numpy, weights, {"w": np.array([np.inf])})["w"].tolist(), float(optimizer.dynamic_scale)
        ([1.0], 2.0)
        >>> optimizer.apply(numpy, weights, {"w": np.array([1.0])})["w"].tolist()
        [0.5]

    Source: Micikevicius and others 2018, Mixed precision training; decisions as in keras.optimizers.
    """

    def __init__(
        self,
        inner_optimizer: Any,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        from padless.optimizers import get

        _check(kwargs)
        self.inner_optimizer = get(inner_optimizer)
        self.inner_optimizer.loss_scale_factor = None  # or the loss would be scaled twice
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        self.name = name or "loss_scale_optimizer"

    iterations = _of_inner("iterations")
    gathered_batches = _of_inner("gathered_batches")
    slots = _of_inner("slots")
    lazy_embeddings = _of_inner("lazy_embeddings")
    tables = _of_inner("tables")
    names = _of_inner("names")
    parts = _of_inner("parts")
    weight_decay = _of_inner("weight_decay")
    clipnorm = _of_inner("clipnorm")
    clipvalue = _of_inner("clipvalue")
    global_clipnorm = _of_inner("global_clipnorm")
    use_ema = _of_inner("use_ema")
    ema_momentum = _of_inner("ema_momentum")
    ema_overwrite_frequency = _of_inner("ema_overwrite_frequency")
    gradient_accumulation_steps = _of_inner("gradient_accumulation_steps")
    _learning_rate = _of_inner("_learning_rate")

    @property
    def learning_rate(self) -> float:
        """That of the optimizer within."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: LearningRate) -> None:
        self.inner_optimizer.learning_rate = value

    # ---- the scale

    @property
    def dynamic_scale(self) -> Any:
        """What the loss is multiplied with: an array, or the first scale before there is one."""
        return self.slots[_SLOT]["dynamic_scale"] if _SLOT in self.slots else self.initial_scale

    @property
    def step_counter(self) -> Any:
        """Batches in a row that were not left out, since the scale last changed."""
        return self.slots[_SLOT]["step_counter"] if _SLOT in self.slots else 0

    def scale_loss(self, loss: Array) -> Array:
        """The loss that gradients are to be computed of.

        Args:
            loss: a number.

        Returns:
            The loss times the scale.
        """
        return loss * self.dynamic_scale

    def scaled(self, loss: Array, slots: Any = None) -> Array:
        """The loss that gradients are computed of.

        Args:
            loss: a number.
            slots: what `held` gave.

        Returns:
            The loss times the scale.
        """
        return self.scale_loss(loss) if slots is None else loss * slots[_SLOT]["dynamic_scale"]

    # ---- a batch

    def taken(
        self, backend: Backend, weights: dict[str, Array], slots: Any, gradients: Any, use: Callable[[Any, Any], Any]
    ) -> tuple[dict[str, Array], Any]:
        """Use the gradients of a batch, unless one of them is not finite.

        Args:
            backend: of the arrays.
            weights: arrays by path.
            slots: what `held` gave.
            gradients: of the scaled loss, in any tree.
            use: of slots and gradients, gives new weights and slots.

        Returns:
            Weights and slots.
        """
        xp, own = backend.xp, slots[_SLOT]
        scale, counter = own["dynamic_scale"], own["step_counter"]
        leaves = [g.values if isinstance(g, RowGradient) else g for g in _gradients(gradients)]
        finite = xp.all(xp.stack([xp.all(xp.isfinite(g)) for g in leaves]))
        grows = counter >= self.dynamic_growth_steps - 1

        def used() -> tuple[Any, Any]:
            made, after = use(slots, _over(gradients, scale, backend))
            return made, {**after, _SLOT: {
                "dynamic_scale": xp.where(grows, scale * 2, scale),
                "step_counter": xp.where(grows, xp.zeros_like(counter), counter + 1),
                "left_out": xp.zeros_like(own["left_out"]),
            }}  # fmt: skip

        left_out = weights, {**slots, _SLOT: {
            "dynamic_scale": scale * 0.5,
            "step_counter": xp.zeros_like(counter),
            "left_out": xp.ones_like(own["left_out"]),
        }}  # fmt: skip
        found: tuple[dict[str, Array], Any] = backend.when(finite, used, left_out)
        return found

    def accumulated(
        self, backend: Backend, slots: Any, parts: Mapping[str, tuple[dict[str, Array], Any]]
    ) -> dict[str, Slots]:
        """Add the gradients of a batch to those before it, as the optimizer within does.

        Args:
            backend: of the arrays.
            slots: what `held` gave.
            parts: as there.

        Returns:
            New slots.
        """
        return {**slots, "inner": self.inner_optimizer.accumulated(backend, slots["inner"], parts)}

    def mean(self, backend: Backend, slots: Any, weights: dict[str, Array]) -> dict[str, Array]:
        """The gradients of all batches of a step, as the optimizer within gives them.

        Args:
            backend: of the arrays.
            slots: what `accumulated` gave.
            weights: arrays by path.

        Returns:
            Arrays by path.
        """
        return self.inner_optimizer.mean(backend, slots["inner"], weights)

    def step(
        self,
        backend: Backend,
        weights: dict[str, Array],
        gradients: dict[str, Array],
        slots: Any,
        learning_rate: float,
        iteration: int,
    ) -> tuple[dict[str, Array], Any]:
        """Take the step of the optimizer within.

        Args:
            backend: of the arrays.
            weights: arrays by path.
            gradients: arrays by path, of the loss itself.
            slots: what `held` gave.
            learning_rate: of this step.
            iteration: 0 for the first step.

        Returns:
            New weights and new slots.
        """
        made, after = self.inner_optimizer.step(backend, weights, gradients, slots["inner"], learning_rate, iteration)
        return made, {**slots, "inner": after}

    # ---- what is remembered

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Those of the optimizer within."""
        return self.inner_optimizer.slot_names

    def numbers(self) -> dict[str, Any]:
        """Those of the optimizer within."""
        return self.inner_optimizer.numbers()

    def prepare(self, backend: Backend, weights: dict[str, Array]) -> None:
        """Make what the optimizer within remembers, and the scale.

        Args:
            backend: of the arrays.
            weights: arrays by path.
        """
        self.inner_optimizer.prepare(backend, weights)
        first = {"dynamic_scale": np.float32(self.initial_scale), "step_counter": np.int32(0), "left_out": np.int32(0)}
        own = self.slots.setdefault(_SLOT, {})
        own.update({name: backend.asarray(value) for name, value in first.items() if name not in own})

    def held(self, weights: Iterable[str]) -> Any:
        """What is remembered, and the scale.

        Args:
            weights: their paths.

        Returns:
            {"inner": ..., "loss_scale": ...}.
        """
        return {"inner": self.inner_optimizer.held(weights), _SLOT: dict(self.slots[_SLOT])}

    def keep(self, slots: Any) -> None:
        """Take what a batch gave in the place of what it was given.

        Args:
            slots: of the kind that `held` gives.
        """
        self.inner_optimizer.keep(slots["inner"])
        self.slots[_SLOT].update(slots[_SLOT])

    def advance(self) -> None:
        """Count a batch, unless it was left out."""
        if not int(self.slots[_SLOT]["left_out"]):
            self.inner_optimizer.advance()

    def finalized(self, backend: Backend, weights: dict[str, Array]) -> dict[str, Array]:
        """The averages that the optimizer within keeps.

        Args:
            backend: of the arrays.
            weights: arrays by path.

        Returns:
            Arrays by path.
        """
        return self.inner_optimizer.finalized(backend, weights)

    def exclude_from_weight_decay(
        self, var_list: Iterable[str] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave weights out of the weight decay of the optimizer within.

        Args:
            var_list: paths of weights.
            var_names: words or regular expressions.
        """
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def lazily(self) -> frozenset[str]:
        """Those of the optimizer within."""
        return self.inner_optimizer.lazily()

    # ---- config

    def for_file(self, given: Any) -> Any:
        """What the file of a model holds in the place of this optimizer.

        Args:
            given: the argument of `compile` that it was made of.

        Returns:
            The argument, as far as files can hold it.
        """
        return self.inner_optimizer.for_file(given)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {
            "name": self.name,
            "inner_optimizer": self.inner_optimizer,
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:  # noqa: D102
        return cls(**config)


def _gradients(tree: Any) -> list[Any]:
    """All gradients: by path, or by part and path beside a count."""
    found: list[Any] = []
    for value in tree.values():
        found.extend(value[0].values() if _is_part(value) else [value])
    return found


def _is_part(value: Any) -> bool:
    return isinstance(value, tuple) and not isinstance(value, RowGradient)


def _over(gradients: Any, scale: Array, backend: Backend) -> Any:
    """Gradients of the loss itself."""

    def over(g: Any) -> Any:
        if isinstance(g, RowGradient):
            return RowGradient(g.rows, over(g.values))
        return backend.cast(g / scale, backend.dtype_name(g))

    made: dict[str, Any] = {}
    for key, value in gradients.items():
        made[key] = (_over(value[0], scale, backend), value[1]) if _is_part(value) else over(value)
    return made


def _check(kwargs: dict[str, Any]) -> None:
    """Arguments that say nothing are in older files; others belong to the optimizer within."""
    nothing = {"use_ema": False, "ema_momentum": 0.99, "dynamic": True}
    for name, value in kwargs.items():
        if name in (*_COMMON, "dynamic") and value == nothing.get(name):
            continue
        fix = f"LossScaleOptimizer(Adam({name}=...))" if name in _COMMON else f"leave out {name}"
        raise ArgumentError(
            explain(
                f"LossScaleOptimizer({name}=...)",
                expected="inner_optimizer, initial_scale, dynamic_growth_steps and name",
                got=f"{name}={value!r}",
                fix=fix,
            )
        )
