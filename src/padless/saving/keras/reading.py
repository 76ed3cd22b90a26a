"""What Keras's configs stand for: layers and models, losses and optimizers of padless."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from padless.errors import ArgumentError, DataError, NotThereYetError, explain, nearest
from padless.layer import Layer
from padless.saving.configs import registered
from padless.saving.keras import names

Config = dict[str, Any]
_DTYPES = ("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "string")
_MOST_NUMBERS = 2**26
"""In a row of an input, axes that vary left out: a model is built by a batch of three such rows."""


class Reader:
    """Makes things of Keras's configs.

    Args:
        where: the file, for errors.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self._shared: dict[Any, Any] = {}
        self._unnumbered: list[tuple[Any, Layer]] = []

    def read(self, value: Any) -> Any:
        """Make what a config stands for.

        Args:
            value: what JSON held.

        Returns:
            An object, or plain values.

        Raises:
            NotThereYetError: for what Keras has and padless does not.
            ArgumentError: for a class or function that is not known.
            DataError: for code, and for what is no config.
        """
        if isinstance(value, list):
            return [self.read(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "class_name" not in value or "config" not in value:
            return {key: self.read(item) for key, item in value.items()}
        special = _SPECIAL.get(value["class_name"])
        if special is not None:
            return special(self, value["config"])
        number = value.get("shared_object_id")
        if number is not None and number in self._shared:
            return self._shared[number]
        key = (value["class_name"], _unnumbered(value["config"]))
        # Keras loses the number of a layer that is in a model within as well, at its first place (3.15).
        twins = [one for other, one in self._unnumbered if other == key] if number is not None else []
        made = twins[0] if len(twins) == 1 else self._object(value)
        if number is not None:
            self._shared[number] = made
        elif isinstance(made, Layer):
            self._unnumbered.append((key, made))
        return made

    # ---- what stands for a value

    def _array(self, config: Config) -> Any:
        return np.array(config["value"], dtype=config["dtype"])

    def _slice(self, config: Config) -> slice:
        return slice(*(self.read(config[part]) for part in ("start", "stop", "step")))

    def _ellipsis(self, config: Config) -> Any:
        return ...

    def _code(self, config: Config) -> Any:
        fix = "a function with a name in place of the lambda, and @padless.register above it"
        raise DataError(explain(self.where, expected="a model without code in it", got="a Python lambda", fix=fix))

    def _dtype(self, config: Config) -> str:
        name = str(config["name"])
        if name not in (*_DTYPES, "mixed_bfloat16", "mixed_float16"):
            fix = "dtype_policy='float32' for the model in Keras, and save it again"
            raise NotThereYetError(explain(self.where, expected="a dtype, or a mixed policy", got=f"{name!r}", fix=fix))
        return name

    def _policies(self, config: Config) -> str:
        fix = "one dtype policy for the layer in Keras"
        raise NotThereYetError(explain(self.where, expected="one dtype", got="a DTypePolicyMap or the like", fix=fix))

    def _seed(self, config: Config) -> Any:
        return config.get("seed")

    def _function(self, value: Config) -> Any:
        name = value["config"]
        found = registered(value.get("registered_name"), name)
        if found is not None:
            return found
        if _of_keras(value.get("module")) or value.get("module") == "builtins":
            return name  # which the layer looks up among its own kind
        raise self._unknown(name)

    def _unknown(self, name: str) -> ArgumentError:
        return ArgumentError(
            explain(
                self.where,
                expected="classes and functions that padless knows",
                got=repr(name),
                fix=f"@padless.register above its definition before loading, or custom_objects={{{name!r}: {name}}}",
            )
        )

    # ---- objects

    def _object(self, value: Config) -> Any:
        name, module = value["class_name"], value.get("module")
        if name == "function":
            return self._function(value)
        config = value["config"] if value["config"] is not None else {}
        own = registered(value.get("registered_name"), name)
        if own is not None:
            return self._of_user(own, value, config)
        if name in ("Sequential", "Functional", "Model"):
            return self._model(value, config)
        besides = value.get(names.BESIDES)
        config = {**config, **besides} if isinstance(besides, dict) else config
        return self._built_in(self._kind(module, name), name, config)

    def _of_user(self, kind: Any, value: Config, config: Config) -> Any:
        if {"layers", "input_layers", "output_layers"} <= config.keys():
            return self._functional(config)
        arguments = {key: self.read(item) for key, item in config.items()}
        if isinstance(kind, type) and issubclass(kind, Layer) and arguments.get("autocast") is True:
            del arguments["autocast"]  # Keras's layers without a get_config of their own have it; here it is always so
        made = kind.from_config(arguments) if hasattr(kind, "from_config") else kind(**arguments)
        if isinstance(made, Layer) and not made.built:
            self._build(made, value.get("build_config") or {})
        return made

    def _build(self, layer: Layer, config: Config) -> None:
        """A model that a user wrote is traced on what it was built for; layers in graphs are built by their calls."""
        from padless.graph import standin
        from padless.model import Model

        shape = config.get("input_shape")
        if isinstance(layer, Model) and isinstance(shape, list) and shape and not isinstance(shape[0], list | dict):
            layer.trace(standin(tuple(shape[1:]), "float32"))

    def _kind(self, module: Any, name: str) -> Any:
        parts = str(module or "").split(".")
        if not _of_keras(module):
            raise self._unknown(name)
        public = next((kind for kind in names.KINDS if kind in parts), None)
        if public is None:
            raise self._unknown(name)
        found = getattr(importlib.import_module(f"padless.{public}"), name, None)
        if isinstance(found, type) and found.__module__.startswith("padless."):
            return found
        known = [one for one in dir(importlib.import_module(f"padless.{public}")) if one[0].isupper()]
        got = f"{name!r} of keras.{public}, which is not there"
        raise NotThereYetError(explain(self.where, expected="what padless has", got=got, fix=nearest(name, known)))

    def _built_in(self, kind: Any, name: str, config: Config) -> Any:
        arguments = {key: self.read(item) for key, item in config.items()}
        if issubclass(kind, Layer):
            shape = arguments.pop("batch_input_shape", None)
            if shape is not None:
                arguments["input_shape"] = tuple(shape[1:])
        taken = names.accepted(kind)
        for key in list(arguments):
            known = taken is None or key in taken
            if known and not (taken is None and key in names.MEANINGLESS):
                continue
            self._require_meaningless(f"{name} {config.get('name', '')!r}", key, arguments.pop(key))
        if "learning_rate" in arguments and isinstance(arguments["learning_rate"], float):
            # Keras keeps it in float32: the number that it was made of.
            arguments["learning_rate"] = float(str(np.float32(arguments["learning_rate"])))
        make: Callable[..., Any] = getattr(kind, "from_config", kind)
        return make(arguments) if hasattr(kind, "from_config") else make(**arguments)

    def _require_meaningless(self, what: str, key: str, value: Any) -> None:
        if key not in names.MEANINGLESS or not any(value is one or value == one for one in names.MEANINGLESS[key]):
            raise NotThereYetError(
                explain(
                    f"{self.where}, {what}",
                    expected="arguments that padless has",
                    got=f"{key}={value!r}",
                    fix="save the model from Keras without it",
                )
            )

    # ---- models

    def _model(self, value: Config, config: Config) -> Any:
        if "input_layers" in config:
            return self._functional(config)
        if value["class_name"] == "Sequential" and "layers" in config:
            return self._sequential(config)
        fix = "padless.register for the class of the model, if it is one of your own"
        raise DataError(explain(self.where, expected="a Sequential or functional model", got="another", fix=fix))

    def input(self, config: Config) -> Any:
        """Make an Input.

        Args:
            config: of Keras's InputLayer.

        Returns:
            A symbol.
        """
        from padless.graph import Input

        shape = config.get("batch_shape") or config.get("batch_input_shape") or [None, *config.get("shape", ())]
        for key in ("sparse", "optional"):
            if config.get(key):
                name = f"Input {config.get('name')!r}"
                raise NotThereYetError(
                    explain(f"{self.where}, {name}", expected="plain arrays", got=f"{key}=True", fix="leave it out")
                )
        if math.prod(max(n or 1, 1) for n in shape[1:]) > _MOST_NUMBERS:
            got, fix = str(shape)[:80], "None for an axis that varies"
            raise DataError(explain(self.where, expected="inputs of which a few fit into memory", got=got, fix=fix))
        dtype = self.read(config.get("dtype")) or "float32"
        ragged = bool(config.get("ragged"))
        return Input(tuple(shape[1:]), dtype=dtype, name=config.get("name"), ragged=ragged)

    def _sequential(self, config: Config) -> Any:
        from padless.model import Sequential

        model = Sequential(name=config.get("name"))
        for at, entry in enumerate(config["layers"]):
            if entry["class_name"] == "InputLayer":
                model.add(self.input(entry["config"]))
                continue
            layer = self.read(entry)
            shape = config.get("build_input_shape")
            if at == 0 and model._input is None and layer.input_shape_hint is None and _is_shape(shape):
                model.add(self.input({"batch_shape": shape}))
            model.add(layer)
        model._trainable = bool(config.get("trainable", True))
        return model

    def _functional(self, config: Config) -> Any:
        from padless.saving.keras.graph_reading import functional

        return functional(self, config)


def _unnumbered(config: Any) -> Any:
    """A config without the numbers of what stands at several places."""
    if isinstance(config, list):
        return [_unnumbered(item) for item in config]
    if isinstance(config, dict):
        return {key: _unnumbered(item) for key, item in config.items() if key != "shared_object_id"}
    return config


def _of_keras(module: Any) -> bool:
    return isinstance(module, str) and module.split(".")[0] == "keras"


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list) and len(shape) > 1 and all(n is None or isinstance(n, int) for n in shape)


_SPECIAL: dict[str, Callable[[Reader, Config], Any]] = {
    "__numpy__": Reader._array,
    "__tensor__": Reader._array,
    "__slice__": Reader._slice,
    "__ellipsis__": Reader._ellipsis,
    "__lambda__": Reader._code,
    "__typespec__": Reader._policies,
    "__bytes__": Reader._code,
    "DTypePolicy": Reader._dtype,
    "DTypePolicyMap": Reader._policies,
    "QuantizedDTypePolicy": Reader._policies,
    "QuantizedFloat8DTypePolicy": Reader._policies,
    "SeedGenerator": Reader._seed,
}
