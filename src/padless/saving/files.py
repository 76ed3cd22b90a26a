"""A file of padless: one safetensors container, arrays by path, the config as JSON."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padless.errors import ArgumentError, DataError, NotThereYetError, PadlessError, explain
from padless.layer import weights_of_at_most
from padless.saving import keras_optimizers
from padless.saving.arrays import arrays_of, read_arrays, write_arrays
from padless.saving.configs import deserialize, known_besides, serialize
from padless.saving.json_text import parsed
from padless.saving.optimizer_state import into_optimizer, of_optimizer
from padless.saving.trees import apart, together
from padless.saving.weights import refuse_to_replace

if TYPE_CHECKING:
    from padless.model import Model

_FORMAT = "padless 1"
_OPTIMIZER = "optimizer/"
"""What names of arrays begin with that the optimizer remembers; a layer cannot stand there."""


def require_own_name(path: Any) -> None:
    """Refuse the names of files that hold no models, or models in Keras's old format.

    Args:
        path: of a file for a model.

    Raises:
        ArgumentError: for such a name.
    """
    name = Path(path).name
    if name.endswith((".h5", ".hdf5")):
        raise ArgumentError(
            explain(
                f"a model in a file named {name!r}",
                expected="a name that ends in .keras, which is Keras's format, or in .safetensors",
                got="that of a file of weights, or of Keras's old format",
                fix=f"{name.partition('.')[0]}.keras",
            )
        )


def is_keras(path: Any) -> bool:
    """Whether a path is that of a `.keras` file, or of a folder of the same.

    Args:
        path: any.

    Returns:
        The answer.
    """
    return Path(path).name.endswith(".keras") or Path(path).is_dir()


def save_model(model: Model, path: Any, overwrite: bool = True, zipped: bool | None = None) -> None:
    """Write a model's config, weights and compile arguments into one file.

    Args:
        model: the model, built.
        path: of the file: one that ends in ".keras" is Keras's, any other a safetensors file.
        overwrite: False refuses to replace a file.
        zipped: must not be False: there is one file.

    Raises:
        ArgumentError: for the name of another of Keras's files, which another program would take it for; when there is
            a file that must not be replaced.
        NotThereYetError: for a ".keras" file of what Keras does not have; for a folder.
    """
    require_own_name(path)
    if zipped is False:
        raise NotThereYetError(explain("save", expected="one file", got="zipped=False", fix="leave it out"))
    refuse_to_replace(path, overwrite)
    model.require_built()
    if is_keras(path):
        from padless.saving.keras.file import save_keras

        save_keras(model, path)
        return
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


def load_model(
    path: Any, custom_objects: dict[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Model:
    """Read a model that `Model.save` wrote, or Keras.

    Args:
        path: of the file: ".keras" of Keras or padless, or a safetensors file of padless.
        custom_objects: classes and functions of your own by name, beside those that `register` made known.
        compile: whether to compile the model as the saved one was.
        safe_mode: must be True: code in files is never run.

    Returns:
        The model, built, on the current backend.

    Raises:
        DataError: when the file is none of these, or is broken.
        NotThereYetError: for what Keras has and padless does not.
        ArgumentError: for a class that is not known; for a file in Keras's old format.
    """
    if not safe_mode:
        fix = "a function with a name, registered by @padless.register, in place of a Python lambda"
        raise NotThereYetError(explain("load_model", expected="files without code", got="safe_mode=False", fix=fix))
    require_own_name(path)
    if is_keras(path):
        from padless.saving.keras.file import load_keras

        with _sound(f"file {path}"):
            return load_keras(path, custom_objects, compile)
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
        if not hasattr(model, "compile_arguments") or not isinstance(model.layers, list):
            raise TypeError(f"a {type(model).__name__} in the place of a model")
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
