"""Transformations of optax as optimizers. Optax itself is not imported: `init` and `update` are all that is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from padless.backends.base import Array, Backend
from padless.errors import ArgumentError, explain
from padless.optimizers import Absent, Optimizer

_RATE = ".hyperparams['learning_rate']"
"""How the place of a learning rate ends that `optax.inject_hyperparams` keeps in the state."""


class Transformation(Optimizer):
    """A transformation of optax as an optimizer.

    What it remembers lies flat in `slots["state"]`, each array under its place in the state of optax. So a weight that
    is frozen and later trained again finds its own, as it does with padless's optimizers.

    Args:
        transformation: has init(weights) and update(gradients, state, weights); of optax or of one's own.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> from padless import backends
        >>> optimizer = Transformation(optax.sgd(0.5))
        >>> optimizer.apply(backends.get("jax"), {"w": jnp.ones(1)}, {"w": jnp.ones(1)})["w"].tolist()
        [0.5]
    """

    def __init__(self, transformation: Any) -> None:
        super().__init__(0.0)
        self.transformation = transformation
        self.slots = {"state": {}}
        self._shapes: dict[Any, tuple[tuple[str, ...], Any]] = {}
        """Places and tree of the state for weights that were seen before."""

    # ---- what is remembered

    def prepare(self, backend: Backend, weights: dict[str, Array]) -> None:
        """Make what the state lacks for these weights.

        Args:
            backend: JAX.
            weights: arrays by path.
        """
        if tuple(weights) not in self._shapes:
            self._start(weights)

    def _start(self, weights: Mapping[str, Array]) -> None:
        leaves, tree = jax.tree_util.tree_flatten_with_path(self.transformation.init(dict(weights)))
        places = tuple(jax.tree_util.keystr(place) for place, _ in leaves)
        state = self.slots["state"]
        for name, (_, leaf) in zip(places, leaves, strict=True):
            if name not in state:
                # A copy, of a dtype of its own: some states begin with the very arrays of the weights, and a step
                # hands its state over for good.
                state[name] = jnp.array(leaf, dtype=jnp.asarray(leaf).dtype, copy=True)
        self._shapes[tuple(weights)] = places, tree

    def held(self, weights: Iterable[str]) -> Any:
        """The state, as optax made it.

        Args:
            weights: paths, as they were prepared.

        Returns:
            A tree of arrays.
        """
        places, tree = self._shapes[tuple(weights)]
        return jax.tree.unflatten(tree, [self.slots["state"][name] for name in places])

    def keep(self, slots: Any) -> None:
        """Take the state that a step gave.

        Args:
            slots: a tree of arrays.
        """
        leaves, _ = jax.tree_util.tree_flatten_with_path(slots)
        self.slots["state"].update({jax.tree_util.keystr(place): leaf for place, leaf in leaves})

    # ---- the step

    def numbers(self) -> dict[str, Any]:
        """Nothing but the count: the learning rate is optax's own affair."""
        return {"iteration": self.iterations, "learning_rate": 0.0}

    def step(
        self,
        backend: Backend,
        weights: dict[str, Array],
        gradients: dict[str, Array],
        slots: Any,
        learning_rate: float,
        iteration: int,
    ) -> tuple[dict[str, Array], Any]:
        """Take the step that optax would.

        Args:
            backend: JAX.
            weights: arrays by path.
            gradients: arrays by path, one for each weight.
            slots: the state.
            learning_rate: not used.
            iteration: not used.

        Returns:
            New weights and the new state.
        """
        moves, after = self.transformation.update(gradients, slots, weights)
        new = {path: (weight + moves[path]).astype(weight.dtype) for path, weight in weights.items()}
        return new, jax.tree.map(_alike, after, slots)

    # ---- the learning rate

    def _place_of_rate(self) -> str:
        if not self._shapes:
            self._start({})
        found = [name for name in self.slots["state"] if name.endswith(_RATE)]
        if not found:
            raise ArgumentError(
                explain(
                    "learning_rate of an optax transformation",
                    expected="one that it keeps where it can be read and set",
                    got="a transformation that keeps it to itself",
                    fix="optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)",
                )
            )
        return found[0]

    @property
    def learning_rate(self) -> float:
        """The learning rate, where `optax.inject_hyperparams` keeps it."""
        return float(self.slots["state"][self._place_of_rate()])

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        place = self._place_of_rate()
        self.slots["state"][place] = jnp.full_like(self.slots["state"][place], float(value))

    # ---- config

    def for_file(self, given: Any) -> Any:
        """A stand-in: functions cannot be saved.

        Args:
            given: the transformation.

        Returns:
            An optimizer that says so.
        """
        return Absent("an optax transformation")

    def get_config(self) -> dict[str, Any]:
        """The transformation, which no file can hold.

        Returns:
            The argument by its name.
        """
        return {"transformation": self.transformation}


def _alike(after: Array, before: Array) -> Array:
    """A new part of the state in the dtype of the old one: a weak one would have the step compiled again."""
    return lax.convert_element_type(after, before.dtype)
