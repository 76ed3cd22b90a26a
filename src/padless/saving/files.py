"""A file of padless: one safetensors container, arrays by path, the config as JSON."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padless.errors import DataError, NotThereYetError, PadlessError, explain
from padless.layer import weights_of_at_most
from padless.saving import keras_optimizers
from padless.saving.arrays import arrays_of, read_arrays, write_arrays
from padless.saving.configs import deserialize, known_besides, serialize
from padless.saving.json_text import parsed
from padless.saving.optimizer_state import into_optimizer, of_optimizer
from padless.saving.trees import apart, together

if TYPE_CHECKING:
    from padless.model import Model

_FORMAT = "padless 1"
_OPTIMIZER = "optimizer/"
"""What names of arrays begin with that the optimizer remembers; a layer cannot stand there."""


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
    arrays, metadata = arrays_of(model), {"format": _FORMAT}
    if model._first_spec is not None:
        config["input"] = spec_config(model._first_spec)
    if model.compiled:
        config["compile"] = serialize(model.compile_arguments)
        if keras_optimizers.known(model.optimizer):
            tree, remembered = apart(of_optimizer(model), "the optimizer")
            metadata["optimizer"] = json.dumps(tree)
            arrays |= {f"{_OPTIMIZER}{key}": array for key, array in remembered.items()}
    write_arrays(path, arrays, {**metadata, "config": json.dumps(config)})


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
    where = f"file {path}"
    config = parsed(metadata["config"], where)
    remembered = {key.removeprefix(_OPTIMIZER): arrays.pop(key) for key in list(arrays) if key.startswith(_OPTIMIZER)}
    with _sound(where), weights_of_at_most(sum(array.size for array in arrays.values())):
        with known_besides(custom_objects):
            model: Model = deserialize(config["model"])
            arguments = deserialize(config["compile"]) if compile else None
        if not model.built and "input" in config:
            model.trace(standin_of(config["input"]))
        model.load_state_dict(arrays)
        if arguments is not None:
            model.compile(**arguments)
            if "optimizer" in metadata:
                tree = together(parsed(metadata["optimizer"], where), remembered)
                into_optimizer(model, tree, where)
    return model


@contextlib.contextmanager
def _sound(where: str) -> Iterator[None]:
    """Within this context, what a config makes fail that padless did not write is the file's fault."""
    try:
        yield
    except PadlessError:
        raise
    except Exception as wrong:
        got = f"{type(wrong).__name__}: {wrong}"[:300]
        fix = "a file that model.save(path) wrote; if classes of your own are in it, see the error above"
        raise DataError(explain(where, expected="a sound config of a model", got=got, fix=fix)) from wrong
