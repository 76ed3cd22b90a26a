"""A file of padless: one safetensors container, arrays by path, the config as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from padless.errors import DataError, NotThereYetError, explain
from padless.saving.atomic import replacing
from padless.saving.configs import deserialize, known_besides, serialize

if TYPE_CHECKING:
    from padless.model import Model

_FORMAT = "padless 1"


def write(path: Any, arrays: dict[str, np.ndarray[Any, Any]], metadata: dict[str, str]) -> None:
    """Write a safetensors file whole or not at all."""
    from safetensors.numpy import save

    # safetensors writes arrays in memory order whatever their strides say, so they must be contiguous.
    data = save({key: np.asarray(array, order="C") for key, array in arrays.items()}, metadata)
    with replacing(path) as file:
        file.write(data)


def read_arrays(path: Any) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
    """Arrays and metadata of a safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})
    except SafetensorError as wrong:
        raise DataError(
            explain(
                f"file {path}",
                expected="a safetensors file written by padless",
                got=str(wrong),
                fix="model.save(path) writes one",
            )
        ) from None


def require_own_name(path: Any) -> None:
    """Refuse the names of Keras's own files."""
    name = Path(path).name
    if name.endswith((".keras", ".h5", ".hdf5")):
        raise NotThereYetError(
            explain(
                f"a file named {name!r}",
                expected="the name of a safetensors file, which is what is written",
                got="that of one of Keras's files, which are not there yet",
                fix=f"{name.partition('.')[0]}.safetensors",
            )
        )


def save_weights(model: Model, path: Any) -> None:
    """Write a model's weights into a safetensors file.

    Args:
        model: the model, built.
        path: of the file.

    Raises:
        NotThereYetError: for the name of one of Keras's own files, which another program would take it for.
    """
    require_own_name(path)
    model.require_built()
    write(path, model.state_dict(), {"format": _FORMAT})


def load_weights(model: Model, path: Any) -> None:
    """Read a model's weights from a safetensors file.

    Args:
        model: the model, built, with the same paths and shapes.
        path: of the file.
    """
    model.load_state_dict(read_arrays(path)[0])


def save_model(model: Model, path: Any) -> None:
    """Write a model's config, weights and compile arguments into one safetensors file.

    Args:
        model: the model, built.
        path: of the file.

    Raises:
        NotThereYetError: for the name of one of Keras's own files, which another program would take it for.
    """
    require_own_name(path)
    model.require_built()
    config: dict[str, Any] = {"model": serialize(model), "compile": None}
    if model._first_spec is not None:
        config["input"] = spec_config(model._first_spec)
    if model.compiled:
        config["compile"] = serialize(model.compile_arguments)
    write(path, model.state_dict(), {"format": _FORMAT, "config": json.dumps(config)})


def spec_config(spec: Any) -> Any:
    """What is known of the input of a model: of one, or of several in a list or dict."""
    if isinstance(spec, list):
        return [spec_config(one) for one in spec]
    if isinstance(spec, dict):
        return {"named": {key: spec_config(one) for key, one in spec.items()}}
    return {"shape": list(spec), "dtype": spec.dtype, "ragged": spec.ragged}


def standin_of(config: Any) -> Any:
    """A tiny input for a model, by what `spec_config` wrote."""
    from padless.spec import Spec

    if isinstance(config, list):
        return tuple(standin_of(one) for one in config)
    if "named" in config:
        return {key: standin_of(one) for key, one in config["named"].items()}
    return Spec(tuple(config["shape"]), config["dtype"], ragged=config["ragged"]).standin()


def load_model(path: Any, custom_objects: dict[str, Any] | None = None, compile: bool = True) -> Model:
    """Read a model that `Model.save` wrote.

    Args:
        path: of the file.
        custom_objects: classes and functions of your own by name, beside those that `register` made known.
        compile: whether to compile the model as the saved one was.

    Returns:
        The model, built, on the current backend.

    Raises:
        DataError: when the file is none of padless's.
        ArgumentError: for a class that is not known.
    """
    arrays, metadata = read_arrays(path)
    if metadata.get("format") != _FORMAT or "config" not in metadata:
        raise DataError(
            explain(
                f"file {path}",
                expected="a model written by padless",
                got=f"metadata {sorted(metadata)}",
                fix="model.save(path); for weights alone model.load_weights(path)",
            )
        )
    config = json.loads(metadata["config"])
    with known_besides(custom_objects):
        model: Model = deserialize(config["model"])
        arguments = deserialize(config["compile"])
    if not model.built and "input" in config:
        model.trace(standin_of(config["input"]))
    model.load_state_dict(arrays)
    if compile and arguments is not None:
        model.compile(**arguments)
    return model
