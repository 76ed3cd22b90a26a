"""Where Keras's files keep the arrays of a model: paths of objects, found as Keras finds them.

Keras walks from object to object: the layers of a Sequential or functional model first, then attributes by name, those
with an underscore in front last. What stands in a list is named after its class, never by its own name: "dense",
"dense_1". An object that comes again is at the path where it came first. Each keeps its own arrays, those that may be
trained before the others.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from padless.errors import ShapeError, explain
from padless.layer import Layer
from padless.named import snake_case
from padless.optimizers import LostOptimizerWarning
from padless.saving import bfloat16, keras_optimizers
from padless.saving.hdf5 import Group, read_hdf5, write_hdf5
from padless.saving.transaction import all_or_nothing

if TYPE_CHECKING:
    from padless.model import Model

NDArray = np.ndarray[Any, Any]
OPTIMIZER = "optimizer"
"""Path of the optimizer of a model."""
Slot = tuple[Layer, str]
"""Where an array lives: its layer, and the name of the attribute."""

_ATTENTION = {"query": "query_dense", "key": "key_dense", "value": "value_dense", "attention_output": "output_dense"}
_ATTRIBUTES = {
    "MultiHeadAttention": {**_ATTENTION, "gate": "_gate_dense"},
    "GroupedQueryAttention": {own: f"_{theirs}" for own, theirs in _ATTENTION.items()} | {"gate": "_gate_dense"},
}
"""Attributes that have another name in Keras, by the class that has them."""


class Place(NamedTuple):
    """An object with arrays of its own.

    Args:
        path: in Keras's files; "" for the model itself.
        layer: the object.
        slots: where its arrays live, in Keras's order.
    """

    path: str
    layer: Layer
    slots: list[Slot]


def places(model: Layer, without: Sequence[Layer] = ()) -> list[Place]:
    """All objects in a model, each once, in the order in which Keras comes to them.

    Args:
        model: a layer or model, built.
        without: layers that are left out, with what is in them.

    Returns:
        Their places.
    """
    found: list[Place] = []
    seen = {id(layer) for layer in without}

    def visit(path: str, value: Any) -> None:
        if isinstance(value, Layer):
            if id(value) not in seen:
                seen.add(id(value))
                found.append(Place(path, value, _own_slots(value)))
                for name, inner in _attributes(value):
                    visit(f"{path}/{name}" if path else name, inner)
        else:
            for name, inner in _named(value):
                visit(f"{path}/{name}", inner)

    visit("", model)
    return found


def _own_slots(layer: Layer) -> list[Slot]:
    ahead = [tuple(place.rsplit("/", 1)) for place in layer.weights_ahead()]
    trained = [(layer.__dict__[attribute], name) for attribute, name in ahead]
    trained += [(layer, name) for name, weight in layer._weights.items() if weight.trainable]
    return trained + [(layer, name) for name, weight in layer._weights.items() if not weight.trainable]


def _attributes(layer: Layer) -> list[tuple[str, Any]]:
    """The attributes in which Keras would find further objects, in its order."""
    from padless.model import Functional, Model, Sequential

    if isinstance(layer, Functional | Sequential):
        return [("layers", layer.layers)]
    renamed = next((_ATTRIBUTES[kind.__name__] for kind in type(layer).__mro__ if kind.__name__ in _ATTRIBUTES), {})
    inside = dict.fromkeys(path.partition("/")[0] for path, _ in layer.children())
    found = {name: layer.__dict__[name] for name in inside}
    named = {renamed.get(name, name): value for name, value in found.items()}
    if isinstance(layer, Model):
        named["layers"] = layer.layers  # all of them once more; those that came under another name are left out
    return sorted(named.items(), key=lambda item: f"~{item[0]}" if item[0][0] == "_" else item[0])


def _named(container: Any) -> Iterator[tuple[str, Any]]:
    """What stands in a container, named as Keras does."""
    seen: Counter[str] = Counter()
    for value in container.values() if isinstance(container, dict) else container:
        if not isinstance(value, Layer | list | tuple | dict):
            continue
        base = snake_case(type(value).__name__) if isinstance(value, Layer) else "container"
        yield f"{base}_{seen[base]}" if seen[base] else base, value
        seen[base] += 1


# ---- writing


def weights_bytes(model: Model) -> bytes:
    """The weights of a model, and what its optimizer remembers, as the bytes of the file in a `.keras` file.

    Args:
        model: built.

    Returns:
        The bytes.
    """
    return write_hdf5([*weight_groups(model), *_optimizer_groups(model)])


def weights_alone_bytes(model: Model) -> bytes:
    """The same for a file without a config: with what layers learned.

    Args:
        model: built.

    Returns:
        The bytes.
    """
    return write_hdf5([*weight_groups(model), *learned_groups(model), *_optimizer_groups(model)])


def weight_groups(model: Layer) -> list[Group]:
    """The arrays of a model as groups of a file.

    Args:
        model: built.

    Returns:
        Groups; none of objects without arrays.
    """
    return [
        Group(place.path, place.layer.name, [_for_file(*slot) for slot in place.slots])
        for place in places(model)
        if place.slots
    ]


def learned_groups(model: Layer) -> list[Group]:
    """What layers learned that Keras keeps among the weights, and padless in the config.

    Args:
        model: built.

    Returns:
        Groups, for files without a config.
    """
    found = [(place, place.layer.learned_arrays()) for place in places(model)]
    return [Group(place.path, place.layer.name, arrays) for place, arrays in found if arrays]


def _for_file(layer: Layer, name: str) -> NDArray:
    array = layer.backend.to_host(layer.__dict__[name])
    return bfloat16.packed(array) if layer._weights[name].dtype == "bfloat16" else array


def _optimizer_groups(model: Model) -> list[Group]:
    optimizer = model.optimizer
    if optimizer is None or not keras_optimizers.known(optimizer):
        return []
    arrays = keras_optimizers.arrays_of(optimizer, model.backend, model.trained_weights())
    return [Group(OPTIMIZER, optimizer.name, arrays)]


# ---- reading


def load_weights_bytes(model: Model, data: bytes, where: str = "weights") -> None:
    """Set the weights of a model, and what its optimizer remembers, of the bytes of a `.weights.h5` file.

    Args:
        model: built; compiled, if its optimizer is to remember.
        data: the bytes.
        where: the file, for errors.

    Raises:
        DataError: when the bytes are no such file, or hold what has no place in it.
        ShapeError: when the arrays are not those of the model, layer by layer; nothing is changed then.
    """
    load_groups(model, read_hdf5(data, where), where)


def load_groups(
    model: Model,
    groups: dict[str, list[NDArray]],
    where: str,
    skip_mismatch: bool = False,
    objects_to_skip: Sequence[Layer] = (),
) -> None:
    """Set the weights of a model, and what its optimizer remembers.

    Args:
        model: built.
        groups: arrays by path, as `read_hdf5` gives them.
        where: the file, for errors.
        skip_mismatch: leave the layers alone whose arrays do not fit, with a warning.
        objects_to_skip: layers to leave alone.

    Raises:
        ShapeError: when the arrays are not those of the model; nothing is changed then.
    """
    found = places(model, objects_to_skip)
    groups = {_as_today(path): arrays for path, arrays in groups.items()}
    problems = {place.path: text for place in found if (text := _misfit(place, groups.get(place.path, [])))}
    known = {place.path for place in places(model)}
    for path, arrays in groups.items():
        if arrays and path not in known and "optimizer" not in path.split("/"):
            problems[path] = f"{path}: {_shapes(arrays)}, of which the model has none"
    if problems and not skip_mismatch:
        raise ShapeError(_told(model, where, problems))
    made = [
        (layer, name, layer.backend.asarray(np.array(array), layer._weights[name].dtype))
        for place in found
        if place.path not in problems and place.slots
        for (layer, name), array in zip(place.slots, groups.get(place.path, []), strict=True)
    ]
    restore = _restoring(model, groups.get(OPTIMIZER), where)
    if problems:
        warnings.warn(_told(model, where, problems), stacklevel=4)
    with all_or_nothing(model):
        for layer, name, array in made:
            layer.__dict__[name] = array
        for place in found:
            if _learns(place) and groups.get(place.path) and place.path not in problems:
                place.layer.learn_arrays(groups[place.path])
        restore()


def _learns(place: Place) -> bool:
    return type(place.layer).learn_arrays is not Layer.learn_arrays


def has_begun(model: Model) -> bool:
    """Whether a model has an optimizer that took a step, or remembers something.

    Args:
        model: any.

    Returns:
        False for one that is not compiled.
    """
    optimizer = model.optimizer
    return optimizer is not None and bool(optimizer.batches or any(optimizer.slots.values()))


def _as_today(path: str) -> str:
    """The path of today for one of Keras 2.13."""
    return path.replace("_layer_checkpoint_dependencies", "layers")


def _told(model: Model, where: str, problems: dict[str, str]) -> str:
    several = list(problems.values())
    more = f"; and {len(several) - 8} more" if len(several) > 8 else ""
    return explain(
        where,
        expected=f"the weights of {model.name!r}",
        got="; ".join(several[:8]) + more,
        fix="build the model that was saved: layers of the same classes, in the same order and sizes; or "
        "skip_mismatch=True, to leave those alone that differ",
    )


def _misfit(place: Place, arrays: list[NDArray]) -> str | None:
    """What is wrong with the arrays of one object."""
    wanted = [(name, layer._weights[name].shape) for layer, name in place.slots]
    if _learns(place):  # which looks at them itself
        return None
    if [array.shape for array in arrays] == [shape for _, shape in wanted]:
        return None
    names = ", ".join(f"{name} {shape}" for name, shape in wanted) or "none"
    where = f"layer {place.layer.name!r} ({place.path})" if place.path else "the model itself"
    return f"{where}: expected {names}, got {_shapes(arrays)}"


def _shapes(arrays: list[NDArray]) -> str:
    return ", ".join(str(array.shape) for array in arrays) or "none"


def _restoring(model: Model, arrays: list[NDArray] | None, where: str) -> Callable[[], None]:
    """What has the optimizer remember what is in a file; all that can fail was done."""
    optimizer, backend = model.optimizer, model.backend
    if arrays is None or optimizer is None or not keras_optimizers.known(optimizer):
        return lambda: None
    weights = model.trained_weights()
    problem = keras_optimizers.misfit(optimizer, backend, weights, arrays)
    if problem is not None:
        fix = "compile the model as the saved one was; or train on: it begins anew"
        text = explain(f"{where}, optimizer {optimizer.name!r}", expected=problem, got="another optimizer's", fix=fix)
        return lambda: warnings.warn(text, LostOptimizerWarning, stacklevel=5)
    numbers = keras_optimizers.checked_numbers(optimizer, arrays, where)
    return lambda: keras_optimizers.restore(optimizer, backend, weights, arrays, numbers)
