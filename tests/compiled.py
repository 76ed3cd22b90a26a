"""On JAX, the properties run layers as a training step does: compiled, filled up to a size, spare slots poisoned.

One program gives all that the properties ask of a layer: its answers, a weighed sum of them, the gradients of that, and
the states that it assigned. One compilation serves all batches, which is what makes these tests quick: called directly,
JAX compiles every operation for every shape.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from padless import Layer, Ragged, random
from padless.backends.base import Program
from padless.layer import calling, live_entries, substituted
from tests.calls import call, outputs

ROOM = (8, 128)
"""Rows and steps that nearly all batches of these tests fit into."""


class Made(NamedTuple):
    """What the program of a layer gives; results and gradients may lie on the host.

    Attributes:
        result: what the layer returned.
        assigned: the states that it assigned, by path.
        loss: `weighed_sum` of the result.
        by_weights: gradients of the loss, by path.
        by_inputs: the same, rows for each input; nothing for ids.
        by_states: the same, for each initial state.
    """

    result: Any
    assigned: dict[str, Any]
    loss: float
    by_weights: dict[str, Any]
    by_inputs: list[Ragged]
    by_states: list[Any]


def run(layer: Layer, inputs: Sequence[Any], *, states: Sequence[Any] = ()) -> Any:
    """Call a layer on packed rows, compiled where the backend compiles; the result may lie on the host."""
    if not layer.backend.compiles:
        return call(layer, inputs, states=states)
    return run_program(layer, inputs, states).result


def run_forward(layer: Layer, inputs: Sequence[Any]) -> Any:
    """As `run` without gradients: for a layer that gives whole numbers, or arrays among its inputs."""
    if not layer.backend.compiles:
        return call(layer, inputs)

    def function(arrays: dict[str, Any], numbers: Any, batch: Any, live: Any) -> Any:
        with substituted(layer, arrays), calling(live=live):
            return {}, {}, call(layer, batch)

    program = compiled(function, layer)
    found = program({}, list(inputs), fits(inputs[0].rows.nrows, inputs[0].rows.nvals))[2]
    assert program.compilations, "a layer was not compiled"
    return found


def run_padded(layer: Layer, arrays: Sequence[Any], mask: Any, *, states: Sequence[Any] = ()) -> Any:
    """Call a layer on padded arrays; where the backend compiles, rows are packed on the host before."""
    if not layer.backend.compiles:
        moved = [layer.backend.asarray(array) for array in arrays]
        return call(layer, moved, states=states, mask=layer.backend.asarray(mask))
    found = run(layer, entered(layer, arrays, mask), states=states)
    padded = [one.to_padded() if isinstance(one, Ragged) else one for one in outputs(found)]
    return padded if isinstance(found, list | tuple) else padded[0]


def run_training(layer: Layer, inputs: Sequence[Any], *, states: Sequence[Any] = ()) -> tuple[Any, dict[str, Any]]:
    """Call a layer as a training step does; gives the result and the states that it assigned."""
    if not layer.backend.compiles:
        with random.drawing(seed=1, step=2), substituted(layer, {}) as assigned:
            result = call(layer, inputs, states=states, training=True)
        return result, assigned
    made = run_program(layer, inputs, states, training=True)
    return made.result, made.assigned


def entered(layer: Layer, arrays: Sequence[Any], mask: Any) -> list[Ragged]:
    """Padded arrays as rows of the layer's backend; where it compiles, packed on the host before they get there."""
    moved = arrays if layer.backend.compiles else [layer.backend.asarray(array) for array in arrays]
    return [Ragged.from_padded(array, mask) for array in moved]


def compiled(function: Callable[..., Any], layer: Layer) -> Program:
    """A program of a function of a layer's arrays and of a batch."""

    def arrays() -> dict[str, Any]:
        return {path: owner.__dict__[name] for path, (owner, name) in layer.weight_slots().items()}

    made: Any = layer.backend.program(function, arrays, threading.RLock())
    # Examples of all lengths go through one program: that a padded length differs each time is no news here.
    made._warned = True
    return made


def fits(nrows: int, nvals: int) -> tuple[int, int] | None:
    """The room for a batch; None for one that is too large for it."""
    return ROOM if nrows <= ROOM[0] and nvals < ROOM[1] else None


def weighed_sum(layer: Layer, result: Any, names: Any, seed: Any, live: Any = None) -> Any:
    """The sum of all answers, each times a number in [-1, 1] that is tied to its output, row, step and feature.

    Args:
        layer: the layer.
        result: what it returned.
        names: (B,) whole numbers that name the rows.
        seed: of the numbers.
        live: (B,) bool, False for rows that only fill the batch up.
    """
    xp, backend, total = layer.xp, layer.backend, 0
    for at, y in enumerate(outputs(result)):
        values, named, rank = y, names, names * 0
        if isinstance(y, Ragged):
            values, rank = y.values, backend.index(y.rows, "ranks")
            named = xp.take(names, backend.index(y.rows, "value_rowids"), axis=0)
        feature = xp.arange(math.prod(values.shape[1:]))
        # In whole numbers, and over a power of two, so that all backends have the same ones in any precision.
        mixed = ((37 * named + 101 * rank + 59 * at + seed)[:, None] + 211 * feature) % 257
        factors = backend.cast(mixed**3 % 257, layer.dtype) / 128 - 1
        products = xp.reshape(values, tuple(factors.shape)) * factors
        marks = live_entries(y, live)
        total = total + xp.sum(products if marks is None else xp.where(marks[:, None], products, 0))
    return total


def run_program(
    layer: Layer,
    inputs: Sequence[Any],
    states: Sequence[Any] = (),
    *,
    names: Sequence[int] | None = None,
    seed: int = 0,
    training: bool = False,
) -> Made:
    """Run the program of a layer.

    Args:
        layer: the layer.
        inputs: packed rows, on the host or on the backend.
        states: initial states.
        names: of the rows, for the loss; their places by default.
        seed: of the loss.
        training: whether dropout drops and statistics move.
    """
    rows = inputs[0].rows
    named = np.arange(rows.nrows) if names is None else np.array(names, np.int64)
    begun = [np.asarray(state, layer.dtype) for state in states]
    program = _program(layer, training)
    arrays, found, made = program({"seed": seed % 257}, (list(inputs), begun, named), fits(rows.nrows, rows.nvals))
    assert program.compilations, "a layer was not compiled"
    result, by_inputs, by_states = made
    return Made(result, arrays["assigned"], float(found["loss"]), arrays["by_weights"], by_inputs, by_states)


@functools.cache
def _program(layer: Layer, training: bool) -> Program:
    def function(arrays: dict[str, Any], numbers: Any, batch: Any, live: Any) -> Any:
        inputs, states, names = batch
        weights = {path: arrays[path] for path, (owner, name) in layer.weight_slots().items() if owner.trains(name)}
        ids = layer.backend.dtype_name(inputs[0].values).startswith("int")
        by_input = {} if ids else {f"@{at}": one.values for at, one in enumerate(inputs)}
        by_state = {f"#{at}": state for at, state in enumerate(states)}

        def loss(given: dict[str, Any]) -> tuple[Any, Any]:
            fed = [one.with_values(given.get(f"@{at}", one.values)) for at, one in enumerate(inputs)]
            moved = {path: given.get(path, array) for path, array in arrays.items()}
            with random.drawing(seed=1, step=2), substituted(layer, moved) as assigned:
                with calling(training=training, live=live):
                    result = call(layer, fed, states=[given[key] for key in by_state])
            return weighed_sum(layer, result, names, numbers["seed"], live), (result, assigned)

        (value, (result, assigned)), found = layer.backend.value_and_grad(loss, {**weights, **by_input, **by_state})
        gradients = [one.with_values(found[key]) for key, one in zip(by_input, inputs, strict=False)]
        made = result, gradients, [found[key] for key in by_state]
        return {"by_weights": {path: found[path] for path in weights}, "assigned": assigned}, {"loss": value}, made

    return compiled(function, layer)
