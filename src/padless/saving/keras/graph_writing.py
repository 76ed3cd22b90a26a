"""Keras's config of a functional model: layers by name, and the calls of each, with the masks that they get.

Keras makes masks itself while it reads a file, as steps of the graph, and loses them at operators and elsewhere. Here
they are written down for every layer that takes one: then Keras has them where padless has rows, and its layers come in
an order that is known, in which their weights stand in the file.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from padless import layers
from padless.errors import NotThereYetError, explain
from padless.graph import Node, symbols_in
from padless.layer import Layer
from padless.model import Functional, Model
from padless.operation import Operation
from padless.saving.keras import names
from padless.saving.keras.order import keras_order
from padless.saving.keras.writing import (
    _ANOTHER_FILE,
    Config,
    _entry,
    _input,
    _Names,
    _sound_name,
    refused,
    stands_elsewhere,
    written,
)
from padless.spec import Symbol

_orders: contextvars.ContextVar[dict[int, list[Layer]]] = contextvars.ContextVar("padless_keras_orders")


@contextlib.contextmanager
def noting_orders() -> Iterator[dict[int, list[Layer]]]:
    """Within this context, the orders that Keras gives the layers of functional models are noted.

    Yields:
        Layers by id of the model; is filled.
    """
    token = _orders.set({})
    try:
        yield _orders.get()
    finally:
        _orders.reset(token)


def functional_config(model: Functional) -> Config:
    """The config of a functional model.

    Args:
        model: the model.

    Returns:
        What JSON can hold.

    Raises:
        NotThereYetError: for what Keras does not have.
    """
    return _Writer(model).config()


class _Writer:
    """Writes one functional model.

    Args:
        model: the model.
    """

    def __init__(self, model: Functional) -> None:
        self.model = model
        self.names = _Names([_sound_name(layer.name) for layer in model.layers])
        self.entries: dict[str, Config] = {}
        self.refs: dict[int, tuple[str, int, int]] = {}
        self.sources: dict[int, Symbol] = {}
        """By id of a symbol: the one that a layer gave which found the padding in it."""
        self.masks: dict[int, Config] = {}
        """The masks that are written, by id of the source."""
        self.called: Counter[str] = Counter()
        self.layer_names: dict[int, str] = {}

    def config(self) -> Config:
        """The config.

        Returns:
            What JSON can hold.
        """
        model = self.model
        for symbol in model.inputs:
            name = self.names.free(_sound_name(symbol.name))
            self.entries[name] = {**_input(symbol, name), "name": name, "inbound_nodes": []}
            self.refs[id(symbol)] = (name, 0, 0)
        for layer in model.layers:
            self._name(layer)
        for node in model._nodes:
            self._write(node)
        ends = [self.refs[id(symbol)][:2] for symbol in _in_keras_order(model._output_tree)]
        order = keras_order(self.entries, ends)
        places = {name: at for at, name in enumerate(order)}
        _orders.get({})[id(model)] = sorted(model.layers, key=lambda layer: places[self.layer_names[id(layer)]])
        return {
            "name": _sound_name(model.name),
            "trainable": model.trainable,
            "layers": [self.entries[name] for name in order],
            "input_layers": self._ends(model._input_tree),
            "output_layers": self._ends(model._output_tree),
        }

    def _name(self, layer: Layer) -> None:
        if stands_elsewhere(layer):
            got = f"one that is in two models that are in each other, {self.model.name!r} among them"
            raise refused(f"layer {layer.name!r}", f"{got}: Keras writes such files, and cannot open them")
        wanted = _sound_name(layer.name)
        if isinstance(layer, Operation) and layer.function in ("not_equal", "any"):
            wanted = f"of_model_{wanted}"  # Keras names its masks so, and wants each name once
        self.layer_names[id(layer)] = self.names.own(wanted)

    def _ends(self, tree: Any) -> Any:
        """Inputs or outputs; of a nested functional model Keras counts the calls from 1 here."""
        if isinstance(tree, Symbol):
            name, node, part = self.refs[id(tree)]
            nested = tree.node is not None and isinstance(tree.node.layer, Functional)
            return [name, node + nested, part]
        if isinstance(tree, dict):
            return {key: self._ends(part) for key, part in tree.items()}
        return [self._ends(part) for part in tree]

    def _tensor(self, symbol: Symbol) -> Config:
        return _tensor(self.refs[id(symbol)], list(symbol.shape), symbol.dtype)

    def _argument(self, value: Any) -> Any:
        """What a call was given, with tensors in the place of symbols."""
        if isinstance(value, Symbol):
            return self._tensor(value)
        if isinstance(value, list | tuple):
            return [self._argument(part) for part in value]
        if isinstance(value, dict):
            return {key: self._argument(part) for key, part in value.items()}
        return written(value)

    # ---- calls

    def _write(self, node: Node) -> None:
        layer = node.layer
        if node.training:
            raise NotThereYetError(
                explain(
                    layer.place,
                    expected="calls that train when the model does, in a .keras file",
                    got="training=True, which Keras's predict and evaluate override",
                    fix=_ANOTHER_FILE,
                )
            )
        if isinstance(layer, Operation):
            self._operation(node, layer)
        else:
            self._call(node, layer)
        self._hand_masks_on(node)

    def _call(self, node: Node, layer: Layer) -> None:
        positional, keyword = node.arguments
        name = self.layer_names[id(layer)]
        if name not in self.entries:
            entry = written(layer)
            entry["config"]["name"] = name
            self.entries[name] = {**entry, "name": name, "inbound_nodes": []}
        kind = names.CLASSES.get(type(layer).__name__, type(layer).__name__)
        args = [self._argument(value) for value in positional]
        if names.MASKED.get(kind) == "each":  # query, value, key
            args = [*args[0], *args[1:]]
        kwargs = {key: self._argument(value) for key, value in keyword.items() if key != "in_order"}
        cells = getattr(getattr(layer, "cell", None), "cells", None)
        if cells is not None and "initial_state" in kwargs:
            kwargs["initial_state"] = _by_cell(kwargs["initial_state"], cells)
        kwargs |= self._masks_of(kind, layer, positional[0])
        if node.training is False:
            kwargs["training"] = False
        self._add(name, node, args, kwargs)

    def _add(self, name: str, node: Node, args: list[Any], kwargs: Config) -> None:
        self.entries[name]["inbound_nodes"].append({"args": args, "kwargs": kwargs})
        for part, symbol in enumerate(symbols_in(node.outputs)):
            self.refs[id(symbol)] = (name, self.called[name], part)
        self.called[name] += 1

    def _operation(self, node: Node, layer: Operation) -> None:
        """A function: some of its arguments make Keras's object, the others are in the call."""
        positional, keyword = node.arguments
        name = self.layer_names[id(layer)]
        module, _, activation = layer.function.rpartition(".")
        if module == "activations":
            self._activation(node, layer, name, activation)
            return
        function = "absolute" if layer.function == "abs" else layer.function
        if function not in names.functions().values():
            raise NotThereYetError(
                explain(
                    layer.place,
                    expected="functions that Keras has, in a .keras file",
                    got=f"{layer.function}",
                    fix=_ANOTHER_FILE,
                )
            )
        if layer.function == "get_item":
            in_call: list[Any] = [positional[0], list(positional[1:])]
            config: Config = {}
        else:
            in_call, config = _apart(layer.function, positional, keyword)
        kind = names.camel_case(function)
        made = _entry(names.module_of_function(layer.function), kind, {"name": name, **written(config)}, kind)
        self.entries[name] = {**made, "name": name, "inbound_nodes": []}
        self._add(name, node, [self._argument(value) for value in in_call], {})

    def _activation(self, node: Node, layer: Operation, name: str, activation: str) -> None:
        positional, keyword = node.arguments
        if keyword or len(positional) != 1:
            fix = f"a layer such as layers.LeakyReLU(), or ops.{activation}"
            got = f"activations.{activation} with arguments"
            raise NotThereYetError(
                explain(layer.place, expected="functions that Keras has, in a .keras file", got=got, fix=fix)
            )
        entry = _entry("keras.layers", "Activation", {"name": name, "activation": activation})
        self.entries[name] = {**entry, "name": name, "inbound_nodes": []}
        self._add(name, node, [self._argument(positional[0])], {})

    # ---- masks

    def _masks_of(self, kind: str, layer: Layer, given: Any) -> Config:
        """The masks of the inputs of a layer, as it takes them."""
        parts = symbols_in(given)
        takes = isinstance(layer, Model) or (_is_own(layer) and "mask" in layer._call_parameters)
        how = "mask" if takes and len(parts) == 1 else names.MASKED.get(kind)
        if how is None:
            return {}
        masks = [self._mask(symbol) for symbol in parts]
        if not any(masks):
            return {}
        if how == "mask":
            return {"mask": masks[0]}
        if how == "list":
            return {"mask": masks}
        found = dict(zip(("query_mask", "value_mask", "key_mask"), masks, strict=False))
        return {key: mask for key, mask in found.items() if mask}

    def _mask(self, symbol: Symbol) -> Config | None:
        source = self.sources.get(id(symbol))
        if source is None:
            return None
        if id(source) not in self.masks:
            assert source.node is not None
            self.masks[id(source)] = self._found_by(source.node.layer, source.node.parents[0])
        return self.masks[id(source)]

    def _hand_masks_on(self, node: Node) -> None:
        """What a layer gives with the rows of an input has its mask."""
        for symbol in symbols_in(node.outputs):
            rows = getattr(symbol.standin, "rows", None)
            if rows is None:
                continue
            if _finds_padding(node):
                self.sources[id(symbol)] = symbol
                continue
            same = [one for one in node.parents if getattr(one.standin, "rows", None) is rows]
            found = next((self.sources[id(one)] for one in same if id(one) in self.sources), None)
            if found is not None:
                self.sources[id(symbol)] = found

    def _found_by(self, layer: Layer, symbol: Symbol) -> Config:
        """The mask that an Embedding or a Masking finds."""
        if isinstance(layer, layers.Embedding):
            return self._step("NotEqual", {}, [self._tensor(symbol), 0], symbol)
        assert isinstance(layer, layers.Masking)
        value = float(layer.mask_value)
        if math.isnan(value):
            nothing = self._step("Isnan", {}, [self._tensor(symbol)], symbol)
            different = self._step("LogicalNot", {}, [nothing], symbol)
        else:
            different = self._step("NotEqual", {}, [self._tensor(symbol), value], symbol)
        mask = self._step("Any", {"axis": -1, "keepdims": False}, [different], symbol, 2)
        before = self._mask(symbol)
        return mask if before is None else self._step("LogicalAnd", {}, [before, mask], symbol, 2)

    def _step(self, kind: str, config: Config, args: list[Any], like: Symbol, axes: int | None = None) -> Config:
        name = self.names.free("padding_mask")
        entry = _entry("keras.src.ops.numpy", kind, {"name": name, **config}, kind)
        self.entries[name] = {**entry, "name": name, "inbound_nodes": [{"args": args, "kwargs": {}}]}
        return _tensor((name, 0, 0), list(like.shape)[:axes], "bool")


def _finds_padding(node: Node) -> bool:
    layer = node.layer
    looks_up = isinstance(layer, layers.Embedding) and layer.mask_zero and len(node.parents[0].shape) == 2
    return looks_up or isinstance(layer, layers.Masking)


def _tensor(ref: tuple[str, int, int], shape: list[int | None], dtype: str) -> Config:
    return {"class_name": "__keras_tensor__", "config": {"shape": shape, "dtype": dtype, "keras_history": list(ref)}}


def _apart(function: str, positional: tuple[Any, ...], keyword: dict[str, Any]) -> tuple[list[Any], Config]:
    """The arguments of a function: those in Keras's call, and those that make its object."""
    if function == "einsum":
        subscripts = next(value for value in positional if isinstance(value, str))
        return [value for value in positional if not isinstance(value, str)], {"subscripts": subscripts}
    taken = names.parameters(function)
    given = {**dict(zip(taken, positional, strict=False)), **keyword}
    given = {name: given.get(name, one.default) for name, one in taken.items()}
    in_call = [value for name, value in given.items() if names.stands_in_call(function, name)]
    return in_call, {name: value for name, value in given.items() if not names.stands_in_call(function, name)}


def _by_cell(states: list[Any], cells: list[Any]) -> list[list[Any]]:
    """The states of stacked cells as Keras wants them: a list for each cell."""
    left = iter(states)
    sizes = [cell.state_size if isinstance(cell.state_size, list | tuple) else [cell.state_size] for cell in cells]
    return [[next(left) for _ in size] for size in sizes]


def _in_keras_order(tree: Any) -> list[Symbol]:
    """The outputs; Keras sorts those of a dict by their keys."""
    if isinstance(tree, dict):
        return [symbol for key in sorted(tree) for symbol in _in_keras_order(tree[key])]
    if isinstance(tree, list | tuple):
        return [symbol for part in tree for symbol in _in_keras_order(part)]
    return [tree]


def _is_own(layer: Layer) -> bool:
    """Whether a user wrote the class."""
    return not type(layer).__module__.startswith("padless.")
