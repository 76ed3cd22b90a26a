"""Keras's config of a model of padless."""

from __future__ import annotations

import contextvars
import importlib
import inspect
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from padless.errors import ArgumentError, NotThereYetError, explain
from padless.layer import Layer
from padless.optimizers import Absent, Optimizer
from padless.saving.keras import names

if TYPE_CHECKING:
    from padless.spec import Symbol

Config = dict[str, Any]
_ANOTHER_FILE = "model.save('model.safetensors'), padless's own file, which holds everything"
_shared: contextvars.ContextVar[dict[int, int] | None] = contextvars.ContextVar("padless_keras_shared", default=None)
"""Numbers of layers that stand at several places of what is being written, by id."""


def written(value: Any) -> Any:
    """Something of padless as Keras's files hold it.

    Args:
        value: a model, a layer, an initializer and the like, a function, or plain values.

    Returns:
        What JSON can hold.

    Raises:
        NotThereYetError: for what Keras does not have.
        ArgumentError: for what no file can hold.
    """
    from padless.model import Functional, Sequential

    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Layer):
        kinds = {Sequential: _sequential, Functional: _functional}
        made = kinds.get(type(value), _layer)(value)
        number = (_shared.get() or {}).get(id(value))
        return made if number is None else {**made, "shared_object_id": number}
    if isinstance(value, list | tuple):
        return [written(item) for item in value]
    if isinstance(value, dict):
        return {str(key): written(item) for key, item in value.items()}
    return _plain(value) if isinstance(value, np.generic | np.ndarray | slice | type(...)) else _object(value)


def _plain(value: Any) -> Any:
    if isinstance(value, slice):
        parts = {"start": value.start, "stop": value.stop, "step": value.step}
        return {"class_name": "__slice__", "config": parts}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if value.ndim == 0:
        return value.item()
    return {"class_name": "__numpy__", "config": {"value": value.tolist(), "dtype": str(value.dtype)}}


def _entry(module: str | None, name: str, config: Any, registered: str | None = None) -> Config:
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


def refused(where: str, got: str, fix: str = _ANOTHER_FILE) -> NotThereYetError:
    """The error for what a `.keras` file cannot hold.

    Args:
        where: what was to be written.
        got: what is in it.
        fix: what to do.

    Returns:
        The error.
    """
    return NotThereYetError(explain(where, expected="what Keras has, in a .keras file", got=got, fix=fix))


def _kind_of(thing: Any) -> str | None:
    """The module of `names.KINDS` that has a class or function of padless; None for one of a user."""
    if not (getattr(thing, "__module__", None) or "").startswith("padless."):
        return None
    modules = (*names.KINDS, "activations")
    places = [getattr(importlib.import_module(f"padless.{module}"), thing.__name__, None) for module in modules]
    return next((module for module, found in zip(modules, places, strict=True) if found is thing), "")


def _object(value: Any) -> Any:
    """An initializer, a loss and the like, or a function."""
    if inspect.isfunction(value):
        return _function(value)
    if not hasattr(value, "get_config"):
        fix = "a function with a name, or a class with get_config()"
        raise ArgumentError(explain("a .keras file", expected="values that JSON can hold", got=repr(value), fix=fix))
    kind = type(value)
    config = value.get_config()
    if isinstance(value, Optimizer) and not isinstance(value, Absent):
        config = {**config, "learning_rate": value._learning_rate}
    module = _kind_of(kind)
    if module is None:
        return _entry(kind.__module__, kind.__name__, written(config), kind.__name__)
    if not module or isinstance(value, Absent) or kind.__name__ in names.OURS_ALONE:
        raise refused(f"{kind.__name__}", "a class that Keras does not have")
    if kind.__name__ == "FunctionInitializer":
        raise refused("an initializer", f"the function {config['function']!r}", "an object of padless.initializers")
    return _entry(
        names.PUBLIC.get(module, f"keras.{module}"), kind.__name__, written(_shared_arguments(kind.__name__, config))
    )


def _function(value: Any) -> Any:
    name = value.__name__
    if name == "<lambda>":
        fix = "def my_function(x): ..., registered on both sides"
        raise ArgumentError(explain("a .keras file", expected="a function with a name", got="a Python lambda", fix=fix))
    module = _kind_of(value)
    if module == "":
        raise refused(f"function {name!r}", "one of padless that Keras does not have by this name")
    return _entry(value.__module__, "function", name, name) if module is None else name


def _shared_arguments(kind: str, arguments: Config) -> Config:
    """The arguments without those that Keras does not have, which must say what Keras does."""
    ours = names.ARGUMENTS_OURS_ALONE.get(kind, {})
    for name, value in arguments.items():
        if (name in ours and value != ours[name]) or value in names.NOT_IN_KERAS.get((kind, name), ()):
            raise refused(f"{kind}({name}=...)", f"{value!r}, which Keras cannot do")
    return {name: value for name, value in arguments.items() if name not in ours}


# ---- layers


def stands_elsewhere(layer: Layer) -> bool:
    """Whether a layer is at several places of what is being written.

    Args:
        layer: in a model.

    Returns:
        False for one that a single model calls several times.
    """
    return id(layer) in (_shared.get() or {})


def _layer(layer: Layer) -> Config:
    from padless.operation import Operation

    kind = type(layer)
    module = _kind_of(kind)
    if isinstance(layer, Operation):
        raise ArgumentError(explain(layer.place, expected="a layer", got="a function of ops", fix="Model(x, y)"))
    if module is None:
        return _entry(kind.__module__, kind.__name__, _arguments(layer), kind.__name__)
    if module != "layers" or kind.__name__ in names.OURS_ALONE:
        raise refused(layer.place, "a layer that Keras does not have")
    name = names.CLASSES.get(kind.__name__, kind.__name__)
    made = _entry("keras.layers", name, _arguments(layer))
    view = layer._arguments.get("view")
    # Keras does not look at further keys.
    return made if view is None else {**made, names.BESIDES: {"view": view}}


def _arguments(layer: Layer) -> Config:
    """The arguments of a layer; what it learned that belongs to them."""
    from padless import layers

    kind = type(layer)
    given = dict(layer._arguments)
    if kind.get_config is not Layer.get_config:
        given |= {key: value for key, value in layer.get_config().items() if key not in given or given[key] is None}
    if isinstance(layer, layers.RNN) and "cell" in given:
        given["cell"] = layer.cell
    if isinstance(layer, layers.Lambda):
        if given.pop("view", None) == "ragged":
            raise refused(layer.place, "a function that reads rows; in Keras it would get a padded array")
        given["arguments"] = dict(given.get("arguments") or {})
    for name in ("input_shape", "weights", "name", "dtype", "trainable"):
        given.pop(name, None)
    defaults = inspect.signature(kind.__init__).parameters
    # What nobody gave is left to Keras: a class of a user may not take it.
    kept = {
        name: value
        for name, value in given.items()
        if value is not None or (name in defaults and defaults[name].default is not None)
    }
    said = {
        "name": _sound_name(layer.name),
        "dtype": layer.dtype_policy.name,
        **({} if layer.trainable else {"trainable": False}),
    }
    return {name: written(value) for name, value in {**said, **_shared_arguments(kind.__name__, kept)}.items()}


def _sound_name(name: str) -> str:
    return name.replace("/", "_")


def _input(symbol: Symbol, name: str) -> Config:
    config = {"batch_shape": list(symbol.shape), "dtype": symbol.dtype, "sparse": False, "ragged": False, "name": name}
    return _entry("keras.layers", "InputLayer", config)


def _sequential(model: Any) -> Config:
    """The first layer of Keras's is the Input."""
    first = [] if model._input is None else [_input(model._input, _sound_name(model._input.name))]
    # The input is added last to the names, so that layers keep theirs.
    taken = _Names([_sound_name(layer.name) for layer in model.layers])
    for entry in first:
        entry["config"]["name"] = taken.free(entry["config"]["name"])
    entries = []
    for layer in model.layers:
        entry = written(layer)
        entry["config"]["name"] = taken.own(entry["config"]["name"])
        entries.append(entry)
    config = {"name": _sound_name(model.name), "trainable": model.trainable, "layers": first + entries}
    spec = model._first_spec
    if not first and isinstance(spec, tuple):
        shape = [None, None, *spec[2:]] if getattr(spec, "ragged", False) else [None, *spec[1:]]
        dtype = getattr(spec, "dtype", "float32")
        made = _entry("keras.layers", "InputLayer", {"batch_shape": shape, "dtype": dtype, "name": taken.free("input")})
        config["layers"] = [made, *entries]
    return _entry("keras", "Sequential", config)


class _Names:
    """Names within one model, each given once.

    Args:
        wanted: names of the layers.
    """

    def __init__(self, wanted: list[str]) -> None:
        self._wanted = set(wanted)
        self._given: set[str] = set()
        self._counts: Counter[str] = Counter()

    def own(self, name: str) -> str:
        """The name of a layer: its own for the first that has it.

        Args:
            name: its own.

        Returns:
            A name that no other has.
        """
        if name in self._given:
            return self.free(name)
        self._given.add(name)
        return name

    def free(self, name: str) -> str:
        """A name that no layer wants.

        Args:
            name: how it begins.

        Returns:
            The name.
        """
        made = name
        while made in self._wanted or made in self._given:
            self._counts[name] += 1
            made = f"{name}_{self._counts[name]}"
        self._given.add(made)
        return made


@contextmanager
def sharing(model: Layer) -> Iterator[None]:
    """Within this context, a layer that stands at several places of a model gets a number.

    Args:
        model: what is written.

    Yields:
        Nothing.
    """
    places = Counter(id(inner) for _, inner in model.inner_layers())
    several = [key for key, count in places.items() if count > 1]
    token = _shared.set({one: at for at, one in enumerate(several, start=1)})
    try:
        yield
    finally:
        _shared.reset(token)


def _functional(model: Any) -> Config:
    from padless.saving.keras.graph_writing import functional_config

    return _entry("keras.src.models.functional", "Functional", functional_config(model), "Functional")


def compile_config(model: Any) -> Config:
    """How a model was compiled, as Keras's files say it.

    Args:
        model: compiled.

    Returns:
        What JSON can hold.
    """
    said = model.compile_arguments
    return {
        "optimizer": written(_optimizer(model)),
        "loss": written(said["loss"]),
        "loss_weights": written(said["loss_weights"]),
        "metrics": written(said["metrics"]) or None,
        "weighted_metrics": written(said["weighted_metrics"]) or None,
        "run_eagerly": False,
        "steps_per_execution": 1,
        "jit_compile": False,
    }


def _optimizer(model: Any) -> Any:
    """The optimizer itself, which says of a mere name what it means."""
    optimizer = model.optimizer
    if isinstance(optimizer, Absent) or type(optimizer).__module__.startswith("padless.backends"):
        fix = f"compile with an optimizer of padless.optimizers; or {_ANOTHER_FILE}"
        raise refused("optimizer", "one of another library", fix)
    return optimizer
