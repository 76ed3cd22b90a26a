"""On JAX, the properties run layers as a training step does: compiled, filled up to a size, spare slots poisoned.

One program serves all batches of a layer, which is also what makes these tests quick: called directly, JAX compiles
every operation for every shape.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from padless import Layer, Ragged, random
from padless.backends.base import Program
from padless.layer import calling, substituted
from tests.calls import call, outputs

ROOM = (8, 128)
"""Rows and steps that nearly all batches of these tests fit into."""


def run(layer: Layer, inputs: Sequence[Any], *, states: Sequence[Any] = ()) -> Any:
    """Call a layer on packed rows, compiled where the backend compiles; the result may lie on the host."""
    if layer.backend.name != "jax":
        return call(layer, inputs, states=states)
    return _made(_forward(layer), inputs, states)[2]


def run_padded(layer: Layer, arrays: Sequence[Any], mask: Any, *, states: Sequence[Any] = ()) -> Any:
    """Call a layer on padded arrays; where the backend compiles, rows are packed on the host before."""
    if layer.backend.name != "jax":
        moved = [layer.backend.asarray(array) for array in arrays]
        return call(layer, moved, states=states, mask=layer.backend.asarray(mask))
    found = run(layer, [Ragged.from_padded(array, mask) for array in arrays], states=states)
    padded = [one.to_padded() if isinstance(one, Ragged) else one for one in outputs(found)]
    return padded if isinstance(found, list | tuple) else padded[0]


def run_training(layer: Layer, inputs: Sequence[Any], *, states: Sequence[Any] = ()) -> tuple[Any, dict[str, Any]]:
    """Call a layer as a training step does; gives the result and the states that it assigned."""
    if layer.backend.name != "jax":
        with random.drawing(seed=1, step=2), substituted(layer, {}) as assigned:
            result = call(layer, inputs, states=states, training=True)
        return result, assigned
    made, _, result = _made(_training(layer), inputs, states)
    return result, made


def compiled(function: Callable[..., Any], layer: Layer) -> Program:
    """A program of a function of a layer's arrays and of a batch."""

    def arrays() -> dict[str, Any]:
        return {path: owner.__dict__[name] for path, (owner, name) in layer.weight_slots().items()}

    return layer.backend.program(function, arrays, threading.RLock())


def fits(nrows: int, nvals: int) -> tuple[int, int] | None:
    """The room for a batch; None for one that is too large for it."""
    return ROOM if nrows <= ROOM[0] and nvals < ROOM[1] else None


def _made(program: Program, inputs: Sequence[Any], states: Sequence[Any]) -> Any:
    rows = inputs[0].rows
    found = program({}, (list(inputs), list(states)), fits(rows.nrows, rows.nvals))
    assert program.compilations, "a layer was not compiled"
    return found


@functools.cache
def _forward(layer: Layer) -> Program:
    def function(arrays: dict[str, Any], numbers: Any, batch: Any, live: Any) -> Any:
        with substituted(layer, arrays), calling(live=live):
            return {}, {}, call(layer, batch[0], states=batch[1])

    return compiled(function, layer)


@functools.cache
def _training(layer: Layer) -> Program:
    def function(arrays: dict[str, Any], numbers: Any, batch: Any, live: Any) -> Any:
        with random.drawing(seed=1, step=2), substituted(layer, arrays) as assigned, calling(training=True, live=live):
            result = call(layer, batch[0], states=batch[1])
        return assigned, {}, result

    return compiled(function, layer)
