"""What JSON can hold of layers, models and what belongs to them, and back. Nothing is unpickled."""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from padless.errors import ArgumentError, explain, nearest

if TYPE_CHECKING:
    from padless.layer import Layer
    from padless.model import Functional
    from padless.spec import Symbol

_MODULES = (
    "padless.layers", "padless.model", "padless.initializers", "padless.regularizers", "padless.constraints",
    "padless.losses", "padless.metrics", "padless.optimizers", "padless.schedules", "padless.activations",
)  # fmt: skip
_FUNCTIONS = ("padless.ops", "padless.row_ops", "padless.operation")
"""What else is found in files; names in these modules are free for what users register."""
_custom: dict[str, Any] = {}
_numbers: contextvars.ContextVar[dict[int, int] | None] = contextvars.ContextVar("padless_numbers", default=None)
"""Of layers that stand at several places of what is being written, by id."""
_made: contextvars.ContextVar[dict[int, Any] | None] = contextvars.ContextVar("padless_made", default=None)
"""The layers with a number that were made of what is being read."""


@contextlib.contextmanager
def _writing(layer: Layer) -> Iterator[None]:
    """Within this context, a layer that stands at several places in another, or in those in it, gets a number."""
    if _numbers.get() is not None:
        yield
        return
    places = Counter(id(inner) for _, inner in layer.inner_layers())
    token = _numbers.set({one: at for at, one in enumerate(key for key, count in places.items() if count > 1)})
    try:
        yield
    finally:
        _numbers.reset(token)


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Within this context, layers with one number are one layer."""
    token = _made.set({}) if _made.get() is None else None
    try:
        yield
    finally:
        if token is not None:
            _made.reset(token)


@contextlib.contextmanager
def known_besides(custom_objects: dict[str, Any] | None) -> Iterator[None]:
    """Within this context, these classes and functions are known by their names as well."""
    before = dict(_custom)
    _custom.update(custom_objects or {})
    try:
        yield
    finally:
        _custom.clear()
        _custom.update(before)


def register(kind: Any) -> Any:
    """Make a class or function of your own known to `load_model`; usable as a decorator.

    Args:
        kind: the class or function.

    Returns:
        The same.

    Raises:
        ArgumentError: when padless has one of that name.

    Example:
        >>> import padless
        >>> @padless.register
        ... class Twice(padless.Layer):
        ...     view = "steps"
        ...     def call(self, x):
        ...         return 2 * x
    """
    if _built_in(kind.__name__) is not None:
        raise ArgumentError(
            explain(
                "register",
                expected="a name of its own",
                got=f"{kind.__name__!r}, which padless has",
                fix="another class name",
            )
        )
    _custom[kind.__name__] = kind
    return kind


def registered(*names: Any) -> Any:
    """A class or function that the user made known.

    Args:
        *names: under which it may be known; of "package>Name", Keras's way, the part behind is one, too.

    Returns:
        It, or None.
    """
    alone = [name.rpartition(">")[2] for name in names if isinstance(name, str)]
    return next((_custom[name] for name in (*names, *alone) if name in _custom), None)


def _built_in(name: str, modules: Sequence[str] = _MODULES) -> Any:
    for module in modules:
        found = getattr(importlib.import_module(module), name, None)
        if found is not None and getattr(found, "__module__", "").startswith("padless."):
            return found
    return None


def serialize(value: Any) -> Any:
    """Turn a value into something JSON can hold.

    Args:
        value: numbers, strings, containers, functions, and objects with a `get_config`.

    Returns:
        The same as JSON values; objects become {"module": ..., "class_name": ..., "config": ...}.

    Raises:
        ArgumentError: when there is no way.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {
            "module": None,
            "class_name": "__array__",
            "config": {"value": value.tolist(), "dtype": str(value.dtype)},
        }
    if isinstance(value, slice):
        return {"module": None, "class_name": "__slice__", "config": [value.start, value.stop, value.step]}
    if value is Ellipsis:
        return {"module": None, "class_name": "__ellipsis__", "config": None}
    if isinstance(value, list | tuple):
        return [serialize(item) for item in value]
    if isinstance(value, dict):
        return {str(key): serialize(item) for key, item in value.items()}
    if hasattr(value, "get_config"):
        kind = type(value)
        with _writing(value) if hasattr(value, "inner_layers") else contextlib.nullcontext():
            config = serialize(value.get_config())
            number = (_numbers.get() or {}).get(id(value))
        made = {"module": _module_of(kind), "class_name": kind.__name__, "config": config}
        return made if number is None else {**made, "shared": number}
    if inspect.isfunction(value) and value.__name__ != "<lambda>":
        return {"module": _module_of(value), "class_name": "__function__", "config": {"name": value.__name__}}
    raise ArgumentError(
        explain(
            "get_config",
            expected="values that JSON can hold",
            got=repr(value),
            fix="write get_config() for the layer, or name the function",
        )
    )


def deserialize(value: Any) -> Any:
    """Turn what `serialize` gave back into values.

    Args:
        value: JSON values.

    Returns:
        The values; objects are made anew.

    Raises:
        ArgumentError: for a class that is not known.
    """
    if isinstance(value, list):
        return [deserialize(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) - {"shared"} != {"module", "class_name", "config"}:
        return {key: deserialize(item) for key, item in value.items()}
    if "shared" in value:
        with _reading():
            made = _made.get()
            assert made is not None
            if value["shared"] not in made:
                made[value["shared"]] = deserialize({key: part for key, part in value.items() if key != "shared"})
            return made[value["shared"]]
    module, name, config = value["module"], value["class_name"], value["config"]
    if name == "__array__":
        return _array(config["value"], config["dtype"])
    if name == "__slice__":
        return slice(*config)
    if name == "__ellipsis__":
        return ...
    if name == "__input__":
        from padless.graph import Input

        return Input(tuple(config["shape"]), dtype=config["dtype"], name=config["name"], ragged=config["ragged"])
    if name == "__function__":
        return _known(module, config["name"])
    kind = _known(module, name)
    maker: Callable[[dict[str, Any]], Any] | None = getattr(kind, "from_config", None)
    if not hasattr(kind, "call") or not hasattr(kind, "weight_slots"):  # a layer reads its config itself
        config = deserialize(config)
    with _reading():
        return maker(config) if maker is not None else kind(**config)


def _array(value: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """An array of a file; of texts, as wide as these are, and no wider."""
    kind = np.dtype(dtype)
    if kind.kind not in "biufU":
        raise ArgumentError(
            explain("load_model", expected="arrays of numbers or texts", got=f"dtype {dtype!r}", fix="numbers")
        )
    return np.array(value, dtype=str if kind.kind == "U" else kind)


def _module_of(kind: Any) -> str | None:
    """The public module that has a class or function of padless; None for anything else."""
    modules = (*_MODULES, *_FUNCTIONS)
    return next((m for m in modules if getattr(importlib.import_module(m), kind.__name__, None) is kind), None)


def _known(module: str | None, name: str) -> Any:
    # Only these modules, whatever a file says, and only what is padless's own in them.
    found = (
        _custom.get(name) if module is None else _built_in(name, [module] if module in (*_MODULES, *_FUNCTIONS) else [])
    )
    if found is None:
        raise ArgumentError(
            explain(
                "load_model",
                expected="classes that padless knows",
                got=repr(name),
                fix=f"@padless.register above its definition before loading, or custom_objects={{{name!r}: {name}}}; "
                f"{nearest(name, _custom)}",
            )
        )
    return found


def input_config(symbol: Symbol) -> dict[str, Any]:
    """The config of an Input."""
    return {
        "module": None,
        "class_name": "__input__",
        "config": {
            "shape": list(symbol.shape[1:]),
            "dtype": symbol.dtype,
            "name": symbol.name,
            "ragged": symbol.must_be_ragged,
        },
    }


def graph_config(model: Functional) -> dict[str, Any]:
    """The config of a functional model: inputs, layers, and calls that refer to them by number.

    Args:
        model: the model.

    Returns:
        A dict that JSON can hold.
    """
    from padless.graph import replace, symbols_in

    refs: dict[int, dict[str, Any]] = {
        id(symbol): {"__symbol__": ["input", at]} for at, symbol in enumerate(model.inputs)
    }
    calls = []
    for at, node in enumerate(model._nodes):
        args, kwargs = replace(node.arguments, lambda symbol: refs[id(symbol)])
        made = {"layer": model._layers.index(node.layer), "args": serialize(args), "kwargs": serialize(kwargs)}
        calls.append(made if node.training is None else {**made, "training": node.training})
        for part, symbol in enumerate(symbols_in(node.outputs)):
            refs[id(symbol)] = {"__symbol__": [at, part]}
    return {
        "name": model.name,
        "inputs": [input_config(symbol) for symbol in model.inputs],
        "like": [_place_among(model.inputs, symbol.like) for symbol in model.inputs],
        "layers": written(model),
        "calls": calls,
        "input_tree": serialize(replace(model._input_tree, lambda symbol: refs[id(symbol)])),
        "output_tree": serialize(replace(model._output_tree, lambda symbol: refs[id(symbol)])),
    }


def written(model: Any) -> list[Any]:
    """The configs of a model's layers; one that stands at several places has a number there.

    Args:
        model: with `layers`.

    Returns:
        What JSON can hold.
    """
    with _writing(model):
        return [serialize(layer) for layer in model.layers]


def read(configs: list[Any]) -> list[Any]:
    """The layers that `written` gave the configs of.

    Args:
        configs: these, and those of inputs.

    Returns:
        The layers.
    """
    with _reading():
        return [deserialize(config) for config in configs]


def _place_among(symbols: list[Symbol], one: Symbol | None) -> int | None:
    return next((at for at, symbol in enumerate(symbols) if symbol is one), None)


def graph_from_config(cls: type[Functional], config: dict[str, Any]) -> Functional:
    """Make a functional model of what `graph_config` gave.

    Args:
        cls: the class to make.
        config: the config.

    Returns:
        The model, built.
    """
    from padless.graph import stand_like, symbols_in

    inputs: list[Symbol] = [deserialize(symbol) for symbol in config["inputs"]]
    for symbol, at in zip(inputs, config.get("like", []), strict=False):
        if at is not None:
            stand_like(symbol, inputs[at])
    layers: list[Layer] = read(config["layers"])
    outputs: list[list[Symbol]] = []

    def resolve(tree: Any) -> Any:
        if isinstance(tree, dict):
            if set(tree) == {"__symbol__"}:
                source, part = tree["__symbol__"]
                return inputs[part] if source == "input" else outputs[source][part]
            if set(tree) == {"module", "class_name", "config"}:
                return deserialize(tree)
            return {key: resolve(item) for key, item in tree.items()}
        return [resolve(item) for item in tree] if isinstance(tree, list) else tree

    for call in config["calls"]:
        named = {} if call.get("training") is None else {"training": call["training"]}
        made = layers[call["layer"]](*resolve(call["args"]), **resolve(call["kwargs"]), **named)
        outputs.append(symbols_in(made))
    return cls(resolve(config["input_tree"]), resolve(config["output_tree"]), name=config["name"])
