"""Weights alone, in the format that the name of the file says."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padless.errors import ArgumentError, DataError, NotThereYetError, ShapeError, explain
from padless.layer import Layer
from padless.saving import keras_layout
from padless.saving.archive import read_archive
from padless.saving.arrays import arrays_of, read_arrays, write_arrays
from padless.saving.atomic import replacing
from padless.saving.hdf5 import NDArray, read_hdf5
from padless.saving.json_text import parsed
from padless.saving.transaction import all_or_nothing

if TYPE_CHECKING:
    from padless.model import Model

_FORMAT = "padless 1"
_MOST_INDEX = 2**28


def save_weights(model: Model, path: Any, overwrite: bool = True, max_shard_size: float | None = None) -> None:
    """Write a model's weights into a file.

    Args:
        model: the model, built.
        path: of the file: one that ends in ".weights.h5" is Keras's, with what the optimizer remembers; any other is a
            safetensors file.
        overwrite: False refuses to replace a file.
        max_shard_size: must be None: there is one file.

    Raises:
        ArgumentError: when there is a file that must not be replaced; for the name of another of Keras's files.
        NotThereYetError: for a `max_shard_size`.
    """
    name = Path(path).name
    if max_shard_size is not None or name.endswith(".weights.json"):
        got = f"max_shard_size={max_shard_size}" if max_shard_size is not None else repr(name)
        fix = f"{name.partition('.')[0]}.weights.h5; load_weights reads several files, as well"
        raise NotThereYetError(explain("save_weights", expected="one file of weights", got=got, fix=fix))
    refuse_to_replace(path, overwrite)
    model.require_built()
    require_weights_name(path)
    if name.endswith(".weights.h5"):
        with replacing(path) as file:
            file.write(keras_layout.weights_alone_bytes(model))
    else:
        write_arrays(path, arrays_of(model), {"format": _FORMAT})


def refuse_to_replace(path: Any, overwrite: bool) -> None:
    """Raise when there is a file already that is not to be replaced.

    Args:
        path: of the file.
        overwrite: whether it may be.

    Raises:
        ArgumentError: when it may not.
    """
    if not overwrite and Path(path).exists():
        fix = "another name, or overwrite=True"
        raise ArgumentError(
            explain("overwrite=False", expected="a name that is free", got=f"{path}, which is there", fix=fix)
        )


def require_weights_name(path: Any) -> None:
    """Refuse the names of other files of Keras, which another program would take it for.

    Args:
        path: of a file of weights.

    Raises:
        ArgumentError: for such a name.
    """
    name = Path(path).name
    if name.endswith(".weights.h5"):
        return
    if name.endswith((".keras", ".h5", ".hdf5")):
        stem = name.partition(".")[0]
        raise ArgumentError(
            explain(
                f"weights in a file named {name!r}",
                expected="a name that ends in .weights.h5, which is Keras's format, or in .safetensors",
                got="that of another of Keras's files",
                fix=f"{stem}.weights.h5",
            )
        )


def load_weights(
    model: Model, path: Any, skip_mismatch: bool = False, objects_to_skip: Sequence[Layer] | None = None
) -> None:
    """Read a model's weights from a file.

    Of Keras's files the optimizer's state comes along where the model has one that took a step already, as in Keras: a
    model that was compiled anew begins anew, with its own learning rate. `load_model` brings it back in any case.

    Args:
        model: the model, built, with the same layers and shapes.
        path: of the file: ".weights.h5", ".weights.json" (an index of several files) or ".keras" of Keras or padless,
            or a safetensors file of padless.
        skip_mismatch: leave layers alone whose arrays do not fit, with a warning.
        objects_to_skip: layers to leave alone.

    Raises:
        DataError: when the file is broken, or holds what has no place in it.
        ShapeError: when its arrays are not those of the model; nothing is changed after an error.
    """
    model.require_built()
    name, where = Path(path).name, f"file {path}"
    skipped = list(objects_to_skip or ())
    with all_or_nothing(model):
        if name.endswith((".weights.h5", ".weights.json", ".keras")) or Path(path).is_dir():
            groups = _groups(Path(path), where)
            if not keras_layout.has_begun(model):
                groups.pop(keras_layout.OPTIMIZER, None)
            keras_layout.load_groups(model, groups, where, skip_mismatch, skipped)
        else:
            require_weights_name(path)
            _load_paths(model, read_arrays(path)[0], where, skip_mismatch, skipped)


def _groups(path: Path, where: str) -> dict[str, list[NDArray]]:
    if path.name.endswith(".weights.json"):
        return read_hdf5(_shards(path, where), where)
    if path.name.endswith(".weights.h5"):
        return read_hdf5(path.read_bytes(), where)
    return read_hdf5(weights_in(read_archive(path), where), where)


def weights_in(files: dict[str, bytes], where: str) -> bytes:
    """The HDF5 file in the container of a `.keras` file.

    Args:
        files: as `read_archive` gave them.
        where: the file, for errors.

    Returns:
        The bytes.

    Raises:
        DataError: when there is none.
    """
    if "model.weights.h5" not in files:
        got = "model.weights.npz, which is made of pickles" if "model.weights.npz" in files else "none"
        fix = "keras.saving.load_model(path) and model.save(path) in Keras write it anew"
        raise DataError(explain(where, expected="weights in model.weights.h5", got=got, fix=fix))
    return files["model.weights.h5"]


def _shards(path: Path, where: str) -> list[bytes]:
    """The files that an index names, which lie beside it."""
    if path.stat().st_size > _MOST_INDEX:
        raise DataError(explain(where, expected="an index", got="a huge file", fix="the index that Keras wrote"))
    index = parsed(path.read_bytes(), where)
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict):
        fix = "the index that model.save_weights(path, max_shard_size=...) wrote in Keras"
        raise DataError(explain(where, expected="an index of files of weights", got="another JSON", fix=fix))
    named = [name for one in places.values() for name in (one if isinstance(one, list) else [one])]
    wrong = [name for name in named if not isinstance(name, str) or Path(name).name != name or "\\" in name]
    wrong += [name for name in named if isinstance(name, str) and not name.endswith(".weights.h5")]
    if wrong:
        fix = "an index that Keras wrote"
        raise DataError(
            explain(where, expected="names of .weights.h5 files beside it", got=repr(wrong[0])[:80], fix=fix)
        )
    return [path.with_name(name).read_bytes() for name in dict.fromkeys(named)]


def _load_paths(
    model: Model, arrays: dict[str, NDArray], where: str, skip_mismatch: bool, skipped: Sequence[Layer]
) -> None:
    """Set weights by padless's own paths."""
    left_alone = {id(inner) for layer in skipped for inner in (layer, *(one for _, one in layer.inner_layers()))}
    slots = model.weight_slots()
    arrays = dict(arrays)
    for path, (layer, name) in slots.items():
        array = arrays.get(path)
        fits = array is not None and array.shape == layer._weights[name].shape
        if id(layer) in left_alone or (skip_mismatch and not fits):
            if id(layer) not in left_alone:
                expected = f"{layer._weights[name].shape} for {path!r}"
                got = "none" if array is None else str(array.shape)
                warnings.warn(explain(where, expected=expected, got=got, fix="it was left as it is"), stacklevel=4)
            arrays[path] = layer.backend.to_host(layer.__dict__[name])
    if skip_mismatch:
        arrays = {path: array for path, array in arrays.items() if path in slots}
    try:
        model.load_state_dict(arrays)
    except ShapeError as wrong:
        raise wrong.inside(where) from None
