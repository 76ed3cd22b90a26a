"""How the tests call a layer and read what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from padless import Layer


def call(layer: Layer, inputs: Sequence[Any], *, states: Sequence[Any] = (), mask: Any = None, **arguments: Any) -> Any:
    """Call a layer the way a user does, with one input or several."""
    if states:
        arguments["initial_state"] = [layer.backend.asarray(state) for state in states]
    x = list(inputs) if layer.merges else inputs[0]
    return layer(x, **arguments) if mask is None else layer(x, mask=mask, **arguments)


def outputs(result: Any) -> list[Any]:
    """The outputs of a layer, one or several, as a list."""
    return list(result) if isinstance(result, list | tuple) else [result]
