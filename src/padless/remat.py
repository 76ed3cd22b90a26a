"""Gradients that need less memory: what layers computed on their way is dropped, and computed again when needed.

A layer reads the scope around it when it is made, as in Keras. Its inputs and outputs are kept, nothing in between.
"""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from padless import random
from padless.errors import ArgumentError, explain, nearest
from padless.ragged import Ragged

if TYPE_CHECKING:
    from padless.layer import Layer

Array = Any
_MODES = ("full", "activations", "larger_than", "list_of_layers", None)
_scopes: contextvars.ContextVar[tuple[RematScope, ...]] = contextvars.ContextVar("padless_remat", default=())


class RematScope:
    """Layers that are made within this context compute again for gradients what they would else have kept.

    The numbers are the same to the bit, and so are random ones; a training step takes up to a third longer and needs
    less memory. A model is not one such layer, its layers are: one that stands for a block, such as
    `TransformerEncoder`, saves most.

    Args:
        mode: "full" for all layers; "activations" for what goes into the activation function of layers that have one;
            "larger_than" for layers whose output is larger; "list_of_layers" for some; None for none, within another
            scope.
        output_size_threshold: of "larger_than": numbers in the output for each step, or for each row without steps.
        layer_names: of "list_of_layers"; models may be among them.

    Raises:
        ArgumentError: for a mode that is not known.

    Example:
        >>> import padless
        >>> with padless.RematScope(mode="full"):
        ...     block = padless.layers.TransformerEncoder(64, 4)

    Source: Chen and others 2016, arXiv:1604.06174; names as in keras.RematScope.
    """

    def __init__(
        self,
        mode: str | None = "full",
        output_size_threshold: int = 1024,
        layer_names: Sequence[str] | None = None,
    ) -> None:
        if mode not in _MODES:
            raise ArgumentError(
                explain(
                    "RematScope(mode=...)",
                    expected="one of full, activations, larger_than, list_of_layers, or None",
                    got=repr(mode),
                    fix=nearest(str(mode), [name for name in _MODES if name]),
                )
            )
        self.mode = mode
        self.output_size_threshold = output_size_threshold
        self.layer_names = list(layer_names or ())

    def __enter__(self) -> RematScope:
        _scopes.set((*_scopes.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        _scopes.set(_scopes.get()[:-1])


class Remat(NamedTuple):
    """What a layer read of the scope around it.

    Attributes:
        mode: as of `RematScope`.
        threshold: of "larger_than".
    """

    mode: str
    threshold: int


def for_layer(layer: Layer) -> Remat | None:
    """What the scope says of a layer that is being made.

    Args:
        layer: with its name.

    Returns:
        None where it says nothing of it.
    """
    scopes = _scopes.get()
    if not scopes or scopes[-1].mode is None:
        return None
    scope = scopes[-1]
    assert scope.mode is not None
    if scope.mode == "list_of_layers":
        wanted = layer.name in scope.layer_names
    else:
        wanted = layer.follows_policy  # a model is computed layer by layer
    return Remat(scope.mode, scope.output_size_threshold) if wanted else None


def run(layer: Layer, compute: Callable[[Layer], Any]) -> Any:
    """Run a layer that read a scope.

    Args:
        layer: the layer, built.
        compute: gets the layer, or a copy of it.

    Returns:
        What `compute` returns.
    """
    remat = layer.remat
    assert remat is not None
    if not layer.training or layer.tracing or layer.watched or _within.get():
        return _noting_size(layer, compute(layer))
    if remat.mode == "activations":
        return compute(_with_activation(layer))
    if remat.mode == "larger_than" and layer.output_size_seen <= remat.threshold:
        return _noting_size(layer, compute(layer))
    token = _within.set(True)
    try:
        with random.repeatable():
            return _whole(layer, compute)
    finally:
        _within.reset(token)


_within: contextvars.ContextVar[bool] = contextvars.ContextVar("padless_remat_within", default=False)
"""Whether a layer around this one is computed again as a whole: twice is enough."""


def _whole(layer: Layer, compute: Callable[[Layer], Any]) -> Any:
    """Run a layer by a function that can be called again after everything around it has changed."""
    from padless.layer import carried, carry, carrying, losses_go, substituted

    slots = layer.weight_slots()
    arrays = {path: owner.__dict__[name] for path, (owner, name) in slots.items()}
    before = carried(layer)
    givers: list[Layer] = []

    def pure() -> Any:
        added: list[Array] = []
        givers.clear()

        def note(giver: Layer, value: Array) -> None:
            givers.append(giver)
            added.append(value)

        with losses_go(note), substituted(layer, arrays) as assigned, carrying(layer, before) as kept:
            y = compute(layer)
        return y, assigned, kept, added

    y, assigned, kept, added = layer.backend.remat(pure)
    for path, array in assigned.items():
        owner, name = slots[path]
        owner.assign(name, array)
    carry(layer, kept)
    for giver, value in zip(list(givers), added, strict=True):
        giver.add_loss(value)
    return y


def _noting_size(layer: Layer, y: Any) -> Any:
    """The output; how large it is for each step, or for each row, is remembered where that decides something."""
    if layer.remat is not None and layer.remat.mode == "larger_than":
        layer.output_size_seen = _size(y)
    return y


def _size(y: Any) -> int:
    if isinstance(y, list | tuple):
        return sum(map(_size, y))
    if isinstance(y, dict):
        return sum(map(_size, y.values()))
    values = y.flat_values if isinstance(y, Ragged) else y
    return math.prod(values.shape[1:])


def _with_activation(layer: Layer) -> Layer:
    """The layer, its activation computed again for gradients; itself where that would save nothing."""
    from padless import activations

    function = layer.__dict__.get("activation")
    if function in (None, activations.linear, activations.relu):  # which keep nothing but what they give
        return layer
    made: Layer = object.__new__(type(layer))
    made.__dict__.update(layer.__dict__)
    made.__dict__["activation"] = lambda y: layer.backend.remat(lambda: function(y))
    made.__dict__["_original"] = layer
    return made
