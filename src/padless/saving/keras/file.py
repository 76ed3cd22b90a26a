"""The `.keras` file."""

from __future__ import annotations

import contextlib
import datetime
import inspect
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padless.errors import ArgumentError, DataError, explain
from padless.layer import Layer, weights_of_at_most
from padless.saving import keras_layout, keras_optimizers
from padless.saving.archive import read_archive, write_archive
from padless.saving.configs import known_besides
from padless.saving.hdf5 import Group, read_hdf5, write_hdf5
from padless.saving.json_text import parsed
from padless.saving.keras.reading import Reader
from padless.saving.keras.writing import compile_config, sharing, written
from padless.saving.weights import weights_in

if TYPE_CHECKING:
    from padless.model import Model

_KERAS = "3.15.1"
"""The version of Keras whose format is written."""


def save_keras(model: Model, path: Any) -> None:
    """Write a model into a `.keras` file, which Keras opens, too.

    Args:
        model: built.
        path: of the file.

    Raises:
        NotThereYetError: when something in the model is not in Keras; it is named.
    """
    from padless.saving.keras.graph_writing import noting_orders

    model.require_built()
    with sharing(model), noting_orders() as orders:
        config = written(model)
        if model.compiled:
            config["compile_config"] = compile_config(model)
    shape = model._first_spec
    if isinstance(shape, tuple):
        config.setdefault("build_config", {"input_shape": [None, *list(shape)[1:]]})
    now = datetime.datetime.now(tz=datetime.UTC).strftime("%Y-%m-%d@%H:%M:%S")
    files = {
        "metadata.json": json.dumps({"keras_version": _KERAS, "date_saved": now}).encode(),
        "config.json": json.dumps(config).encode(),
        "model.weights.h5": _weights(model, orders),
    }
    write_archive(path, files)


def _weights(model: Model, orders: dict[int, list[Layer]]) -> bytes:
    """The weights, and what the optimizer remembers, in the order in which Keras will have the layers."""
    optimizer, slots = model.optimizer, model.weight_slots()
    with _ordered(model, orders):
        groups = keras_layout.weight_groups(model)
        places = {(id(layer), name): at for at, (layer, name) in enumerate(model.weight_slots().values())}
    if optimizer is not None and keras_optimizers.known(optimizer):
        trained = model.trained_weights()
        # Paths say which weight is which, and so must be those of the model as it is.
        paths = sorted(trained, key=lambda path: places[id(slots[path][0]), slots[path][1]])
        arrays = keras_optimizers.arrays_of(optimizer, model.backend, {path: trained[path] for path in paths})
        groups.append(Group(keras_layout.OPTIMIZER, optimizer.name, arrays))
    return write_hdf5(groups)


@contextlib.contextmanager
def _ordered(model: Model, orders: dict[int, list[Layer]]) -> Iterator[None]:
    """Within this context, functional models have their layers in another order."""
    every: list[Any] = [model, *(layer for _, layer in model.inner_layers())]
    changed = {id(one): one for one in every if id(one) in orders}
    before = {key: one.__dict__["_layers"] for key, one in changed.items()}
    try:
        for key, one in changed.items():
            one.__dict__["_layers"] = orders[key]
        yield
    finally:
        for key, one in changed.items():
            one.__dict__["_layers"] = before[key]


def load_keras(path: Any, custom_objects: dict[str, Any] | None = None, compile: bool = True) -> Model:
    """Read a model from a `.keras` file of Keras or padless.

    Args:
        path: of the file, or of the folder that Keras writes with `zipped=False`.
        custom_objects: classes and functions of your own by name.
        compile: whether to compile the model as the saved one was.

    Returns:
        The model, built.

    Raises:
        DataError: when it is no such file, or holds code.
        NotThereYetError: for what Keras has and padless does not; it is named.
        ArgumentError: for a class that is not known.
    """
    from padless.model import Model

    where = f"file {path}"
    files = read_archive(path)
    if "config.json" not in files:
        raise DataError(explain(where, expected="config.json", got="none", fix="a file that model.save(path) wrote"))
    data = weights_in(files, where)
    groups = read_hdf5(data, where)
    config = parsed(files["config.json"], where)
    if not isinstance(config, dict) or "class_name" not in config:
        raise DataError(explain(where, expected="the config of a model", got="another JSON", fix="a .keras file"))
    reader = Reader(where)
    room = sum(array.size for arrays in groups.values() for array in arrays)
    with known_besides(custom_objects), weights_of_at_most(room):
        model = reader.read(config)
        if not isinstance(model, Model):
            raise DataError(explain(where, expected="a model", got=type(model).__name__, fix="a .keras file"))
        model.require_built()
        said = config.get("compile_config")
        if compile and said:
            model.compile(**_compile_arguments(reader, said))
    called = {kind: name for name, kind in (custom_objects or {}).items() if isinstance(kind, type)}
    keras_layout.load_groups(model, groups, where, called=called)
    return model


def _compile_arguments(reader: Reader, config: dict[str, Any]) -> dict[str, Any]:
    """What `compile` takes of what Keras's did; how steps are compiled is padless's own affair."""
    found = {key: reader.read(value) for key, value in config.items()}
    for key in ("jit_compile", "run_eagerly", "steps_per_execution", "auto_scale_loss"):
        found.pop(key, None)
    return found


def _keras() -> Any:
    try:
        import keras  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        fix = "pip install keras, and torch, jax or tensorflow for it to run on"
        raise ArgumentError(explain("Keras", expected="the package keras", got="none", fix=fix)) from None
    return keras


def from_keras(model: Any, custom_objects: dict[str, Any] | None = None, compile: bool = True) -> Model:
    """Make a model of padless of one of Keras: the same layers, weights, and optimizer with what it remembers.

    Args:
        model: of Keras, built.
        custom_objects: classes and functions of your own by name, written for padless, beside those that
            `padless.register` made known.
        compile: whether to compile the model as the other is.

    Returns:
        The model, on the current backend.

    Raises:
        ArgumentError: when it is no built model of Keras, or has a class that is not known, or a loss with an argument
            that Keras does not hand out.
        NotThereYetError: for what Keras has and padless does not; it is named.

    Example:
        >>> import os; os.environ["KERAS_BACKEND"] = "torch"
        >>> import keras, padless
        >>> theirs = keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(4)])
        >>> tuple(padless.from_keras(theirs)([[[1.0, 2.0, 3.0]], []]).shape)
        (2, 4)
    """
    keras = _keras()
    if not isinstance(model, keras.Model) or not model.built:
        got = "one that is not built" if isinstance(model, keras.Model) else type(model).__name__
        fix = "model.build(shape), or one call; from_keras(keras.Sequential([layer])) for a layer"
        raise ArgumentError(explain("from_keras", expected="a built model of Keras", got=got, fix=fix))
    if compile and model.compiled:
        _require_whole(getattr(getattr(model, "_compile_config", None), "config", {}))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return load_keras(path, custom_objects, compile)


def _require_whole(said: Any) -> None:
    """Refuse losses and metrics of Keras whose `get_config` leaves arguments out, as Huber's does its delta."""
    if isinstance(said, dict | list | tuple):
        for part in said.values() if isinstance(said, dict) else said:
            _require_whole(part)
        return
    hidden = getattr(said, "_fn_kwargs", None)
    if not isinstance(hidden, dict):
        return
    kept, defaults = said.get_config(), inspect.signature(type(said).__init__).parameters
    for name, value in hidden.items():
        if name not in kept and name in defaults and defaults[name].default != value:
            kind = type(said).__name__
            fix = f"from_keras(model, compile=False), and model.compile(...) with padless's {kind}({name}={value!r})"
            got = f"{kind}({name}={value!r}), which Keras's files do not hold"
            raise ArgumentError(
                explain("from_keras", expected="losses and metrics with a whole config", got=got, fix=fix)
            )


def to_keras(model: Model, custom_objects: dict[str, Any] | None = None) -> Any:
    """Make a model of Keras of one of padless.

    Args:
        model: built.
        custom_objects: classes and functions of your own by name, written for Keras.

    Returns:
        The model, on the backend of Keras.
    """
    keras = _keras()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        save_keras(model, path)
        return keras.saving.load_model(path, custom_objects=custom_objects)
