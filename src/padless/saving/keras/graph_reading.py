"""A functional model of a config of Keras, without its masks, which are steps of the graph: rows travel with values."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from padless.errors import DataError, NotThereYetError, explain
from padless.graph import symbols_in
from padless.layer import Layer
from padless.model import Functional
from padless.operation import Operation
from padless.saving.keras import names

if TYPE_CHECKING:
    from padless.saving.keras.reading import Reader

Config = dict[str, Any]
Ref = tuple[str, int]
"""Name of a layer, and the number of its call."""

_IN_MASKS = frozenset(
    ("NotEqual", "Any", "All", "LogicalOr", "LogicalAnd", "LogicalNot", "Isnan", "ExpandDims", "Squeeze", "Concatenate",
     "ZerosLike", "OnesLike", "BroadcastTo", "Cast", "Reshape", "Repeat", "Stack")
)  # fmt: skip
"""Steps of which Keras makes masks of what Embedding and Masking find."""
_FIRST = ("inputs", "sequences", "x", "query")
"""How Keras's layers name the first argument of a call."""


def functional(reader: Reader, config: Config) -> Functional:
    """Make a functional model.

    Args:
        reader: makes the layers.
        config: of Keras's model.

    Returns:
        The model; its layers come in the order of the file, in which the weights are.
    """
    return _Graph(reader, config).model()


class _Graph:
    """One graph that is being read.

    Args:
        reader: makes the layers.
        config: of Keras's model.
    """

    def __init__(self, reader: Reader, config: Config) -> None:
        self.reader = reader
        self.config = config
        self.entries: dict[str, Config] = {entry["name"]: entry for entry in config["layers"]}
        self.layers: dict[str, Any] = {}
        self.outputs: dict[Ref, list[Any]] = {}

    def model(self) -> Functional:
        """Make the model.

        Returns:
            The model.
        """
        config = self.config
        ends = [self._end(ref) for key in ("input_layers", "output_layers") for ref in _refs(config[key])]
        needed = self._needed(ends)
        # In the order of the file, so that shared objects are made where they come first.
        for name, entry in self.entries.items():
            if name in needed and not _is_operation(entry) and entry["class_name"] != "InputLayer":
                self.layers[name] = self.reader.read({key: part for key, part in entry.items() if key != "name"})
        self._call_all(needed)
        made = Functional(
            self._tree(config["input_layers"]), self._tree(config["output_layers"]), name=config.get("name")
        )
        in_file = [self.layers[name] for name in self.entries if name in self.layers]
        order = {id(layer): at for at, layer in enumerate(in_file)}
        made._layers.sort(key=lambda layer: order.get(id(layer), len(order)))
        made.claim_layers()
        made._trainable = bool(config.get("trainable", True))
        return made

    def _refuse(self, got: str, expected: str = "a graph of layers") -> DataError:
        return DataError(explain(self.reader.where, expected=expected, got=got, fix="a file that Keras wrote"))

    # ---- which calls there are

    def _end(self, ref: list[Any]) -> Ref:
        """An input or output; of a nested functional model Keras counts the calls from 1 here."""
        name, node = ref[0], ref[1]
        entry = self.entries.get(name)
        if entry is None:
            raise self._refuse(f"a layer {name!r} that is not there")
        return name, node - (entry["class_name"] in ("Functional", "Model"))

    def _calls(self, name: str) -> list[Config]:
        if name not in self.entries:
            raise self._refuse(f"a layer {name!r} that is not there")
        return [_modern(call) for call in self.entries[name].get("inbound_nodes", [])]

    def _call(self, ref: Ref) -> Config:
        calls = self._calls(ref[0])
        if not calls and ref[1] == 0:
            return {"args": [], "kwargs": {}}
        if not 0 <= ref[1] < len(calls):
            raise self._refuse(f"call {ref[1]} of layer {ref[0]!r}, of which there are {len(calls)}")
        return calls[ref[1]]

    def _needed(self, ends: list[Ref]) -> dict[str, set[int]]:
        """The calls that lead to the outputs; those that make masks are not among them."""
        needed: dict[str, set[int]] = defaultdict(set)
        waiting = list(ends)
        while waiting:
            ref = waiting.pop()
            if ref[1] in needed[ref[0]]:
                continue
            needed[ref[0]].add(ref[1])
            call = self._call(ref)
            waiting.extend(tensors(call["args"]))
            waiting.extend(tensors({key: value for key, value in call["kwargs"].items() if key not in names.MASKS}))
        return needed

    # ---- calling

    def _call_all(self, needed: dict[str, set[int]]) -> None:
        """Call the layers, each as soon as there is what it reads; in the order of the file, as Keras does."""
        left = [(name, at) for name in self.entries if name in needed for at in sorted(needed[name])]
        while left:
            waiting = [ref for ref in left if not self._try(ref)]
            if len(waiting) == len(left):
                raise self._refuse(f"layers that wait for each other: {sorted({name for name, _ in left})[:5]}")
            left = waiting

    def _try(self, ref: Ref) -> bool:
        entry, call = self.entries[ref[0]], self._call(ref)
        if entry["class_name"] == "InputLayer":
            self.outputs[ref] = [self.reader.input(entry["config"])]
            return True
        kwargs = {key: value for key, value in call["kwargs"].items() if key not in names.MASKS}
        if not all(one in self.outputs for one in tensors([call["args"], kwargs])):
            return False
        for key, mask in call["kwargs"].items():
            if key in names.MASKS:
                self._require_own_mask(ref[0], mask)
        args, kwargs = self._values(call["args"]), self._values(kwargs)
        if _is_operation(entry):
            made = self._operation(ref[0], entry, args, kwargs)
        else:
            made = self._layer(ref[0], args, kwargs)
        self.outputs[ref] = symbols_in(made)
        return True

    def _values(self, value: Any) -> Any:
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            name, node, part = value["config"]["keras_history"]
            return self._output((name, node), part)
        if isinstance(value, dict) and "class_name" not in value:
            return {key: self._values(item) for key, item in value.items()}
        return [self._values(item) for item in value] if isinstance(value, list) else self.reader.read(value)

    def _output(self, ref: Ref, part: int) -> Any:
        parts = self.outputs[ref]
        if not 0 <= part < len(parts):
            raise self._refuse(f"output {part} of layer {ref[0]!r}, which has {len(parts)}")
        return parts[part]

    def _layer(self, name: str, args: list[Any], kwargs: Config) -> Any:
        layer: Layer = self.layers[name]
        kwargs = dict(kwargs)
        # Keras's fit, evaluate and predict say themselves whether a call trains, whatever is written here.
        kwargs.pop("training", None)
        if not args:
            first = next((key for key in _FIRST if key in kwargs), None)
            if first is None:
                raise self._refuse(f"a call of layer {name!r} without an input")
            args = [kwargs.pop(first)]
        kwargs = {key: value for key, value in kwargs.items() if value is not None and value is not False}
        said = [at for at, value in enumerate(args) if value is not None and value is not False]
        args = args[: 1 + max(said, default=0)]
        if _is_recurrent(self.entries[name]["class_name"]):
            if len(args) > 2:
                raise self._own_mask(name)
            if isinstance(args[0], list):  # [x, *states]
                return layer(args[0][0], initial_state=symbols_in(args[0][1:]))
            if "initial_state" in kwargs:  # of stacked cells there is a list for each
                kwargs["initial_state"] = symbols_in(kwargs["initial_state"])
            args[1:] = [symbols_in(states) for states in args[1:]]
        return layer(*args, **kwargs)

    def _operation(self, name: str, entry: Config, args: list[Any], kwargs: Config) -> Any:
        config = {key: self.reader.read(value) for key, value in entry["config"].items() if key != "name"}
        function = names.functions().get(entry["class_name"])
        if entry["module"].startswith("keras.src.activations") and entry["class_name"] == "ReLU":
            return Operation("activations.relu", name=name)(*args, **kwargs, **config)
        if function is None:
            raise NotThereYetError(
                explain(
                    f"{self.reader.where}, {name!r}",
                    expected="functions that padless.ops has",
                    got=f"keras.ops.{entry['class_name']}",
                    fix="docs/ops.md lists them; a layer of your own for what is not there",
                )
            )
        if function == "get_item":
            key = args[1] if isinstance(args[1], list) else [args[1]]
            return Operation(function, name=name)(args[0], *key)
        if function == "einsum":
            return Operation(function, name=name)(config["subscripts"], *args)
        taken = names.parameters(function)
        for key in [key for key in {**config, **kwargs} if key not in taken]:
            given = config if key in config else kwargs
            default = entry["class_name"] == "Prod" and key == "dtype" and given[key] is None
            if default:
                given.pop(key)
            else:
                self.reader._require_meaningless(f"{entry['class_name']} {name!r}", key, given.pop(key))
        # Keras's calls have fewer arguments than the function, and so others in the same places.
        in_call = [parameter for parameter in taken if names.stands_in_call(function, parameter)]
        given = {**dict(zip(in_call, args, strict=False)), **kwargs, **config}
        alike = [one == other for one, other in zip(in_call, taken, strict=False)]
        first = args[: alike.index(False) if False in alike else len(alike)]
        return Operation(function, name=name)(*first, **{key: given[key] for key in list(given)[len(first) :]})

    def _tree(self, tree: Any) -> Any:
        if _is_ref(tree):
            return self._output(self._end(tree), tree[2])
        if isinstance(tree, dict):
            return {key: self._tree(part) for key, part in tree.items()}
        made = [self._tree(part) for part in tree]
        return made

    # ---- masks

    def _own_mask(self, name: str) -> NotThereYetError:
        return NotThereYetError(
            explain(
                f"{self.reader.where}, layer {name!r}",
                expected="masks that Embedding(mask_zero=True) and Masking find, which travel with the rows",
                got="a mask that the model computes itself, or takes as an input",
                fix="predict(x, mask=...) of padless takes a mask beside the data; or Ragged.from_padded(x, mask)",
            )
        )

    def _require_own_mask(self, name: str, mask: Any) -> None:
        """Refuse a mask that no layer found: leaving it out would change the answer."""
        waiting, seen = tensors(mask), set()
        while waiting:
            ref = waiting.pop()
            if ref in seen:
                continue
            seen.add(ref)
            entry, call = self.entries.get(ref[0], {}), self._call(ref)
            kind = entry.get("class_name")
            if not _is_operation(entry) or kind not in _IN_MASKS:
                raise self._own_mask(name)
            if kind in ("ZerosLike", "OnesLike"):
                continue
            if kind in ("NotEqual", "Isnan"):
                if not self._is_looked_at(call["args"][0]):
                    raise self._own_mask(name)
                continue
            waiting.extend(tensors([call["args"], call["kwargs"]]))

    def _is_looked_at(self, tensor: Any) -> bool:
        """Whether a layer that finds padding reads a tensor."""
        wanted = set(tensors(tensor))
        return any(
            _finds_padding(entry) and wanted & set(tensors([call["args"] for call in self._calls(name)]))
            for name, entry in self.entries.items()
        )


def _finds_padding(entry: Config) -> bool:
    config = entry["config"]
    if entry["class_name"] == "TimeDistributed":
        return _finds_padding(config["layer"])
    return entry["class_name"] == "Masking" or (entry["class_name"] == "Embedding" and bool(config.get("mask_zero")))


def _is_operation(entry: Config) -> bool:
    module = entry.get("module") or ""
    return module.startswith(("keras.src.ops.", "keras.ops", "keras.src.activations"))


def _is_recurrent(kind: str) -> bool:
    return names.MASKED.get(kind) == "mask" and kind not in (
        "BatchNormalization", "GlobalAveragePooling1D", "TimeDistributed",
    )  # fmt: skip


def _is_ref(tree: Any) -> bool:
    return isinstance(tree, list) and len(tree) == 3 and isinstance(tree[0], str)


def _refs(tree: Any) -> list[list[Any]]:
    if _is_ref(tree):
        return [tree]
    return [ref for part in (tree.values() if isinstance(tree, dict) else tree) for ref in _refs(part)]


def tensors(tree: Any) -> list[Ref]:
    """The calls whose outputs stand in the arguments of a call.

    Args:
        tree: as in a file.

    Returns:
        The calls.
    """
    if isinstance(tree, dict):
        if tree.get("class_name") == "__keras_tensor__":
            name, node, _ = tree["config"]["keras_history"]
            return [(name, node)]
        return [ref for part in tree.values() for ref in tensors(part)]
    return [ref for part in tree for ref in tensors(part)] if isinstance(tree, list) else []


def _modern(call: Any) -> Config:
    """A call as today's files have it; older ones have a list [name, node, part, kwargs] for each input."""
    if isinstance(call, dict):
        return call
    inputs = [
        {"class_name": "__keras_tensor__", "config": {"keras_history": [name, node, part]}}
        for name, node, part, *_ in call
    ]
    kwargs = next((dict(one[3]) for one in call if len(one) > 3), {})
    return {"args": [inputs[0] if len(inputs) == 1 else inputs], "kwargs": kwargs}
