"""Layers of Keras made of ours: the same classes with the same arguments."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np

import padless
from padless import Layer, layers
from tests.cases import Case

ALIASES = {"GroupedQueryAttention": "GroupQueryAttention"}


def known(layer: Layer) -> bool:
    """Whether Keras has the layer, and all in it."""
    inner = [layer, *(one for _, one in layer.inner_layers())]
    return all(
        type(one).__module__.startswith("padless.")
        and (isinstance(one, padless.Sequential) or hasattr(keras.layers, _name(one)))
        for one in inner
    )


def _name(layer: Layer) -> str:
    return ALIASES.get(type(layer).__name__, type(layer).__name__)


def twin(layer: Layer) -> Any:
    """Keras's layer with the same arguments, not built."""
    if isinstance(layer, padless.Sequential):
        return keras.Sequential([twin(inner) for inner in layer.layers])
    kind = getattr(keras.layers, _name(layer))
    takes = inspect.signature(kind.__init__).parameters
    more = any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values())
    arguments = {name: _value(value) for name, value in layer._arguments.items() if value is not None}
    return kind(**{name: value for name, value in arguments.items() if more or name in takes})


def _value(value: Any) -> Any:
    if isinstance(value, Layer):
        return twin(value)
    if isinstance(value, list | tuple):
        return type(value)(_value(item) for item in value)
    if hasattr(value, "get_config"):
        module = getattr(keras, type(value).__module__.split(".")[1])
        return getattr(module, type(value).__name__)(**value.get_config())
    return value


def inputs(case: Case) -> list[np.ndarray[Any, Any]]:
    """Arrays without padding for a case: two rows of twelve steps."""
    rng = np.random.default_rng(1)
    shapes = [(2, 12, *features) for features in case.inputs]
    if case.reads == "ids":
        return [rng.integers(0, 10, shape).astype(np.int32) for shape in shapes]
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def called(layer: Any, case: Case, xs: list[Any]) -> Any:
    """Call a layer of ours or of Keras on the inputs of its case, so that it is built."""
    attention = isinstance(
        layer,
        layers.MultiHeadAttention
        | layers.GroupedQueryAttention
        | keras.layers.MultiHeadAttention
        | keras.layers.GroupQueryAttention,
    )
    if case.name.endswith("-alone"):
        return layer(keras.ops.convert_to_tensor(xs[0][:, 0]), layer.get_initial_state(2))
    if attention:
        xs = xs if len(xs) > 1 else [xs[0], xs[0]]
        return layer(*xs[:2], **({"key": xs[2]} if len(xs) > 2 else {}))
    return layer(xs if len(xs) > 1 else xs[0])
