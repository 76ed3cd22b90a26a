"""Arrays in an HDF5 file, as Keras lays them out: groups named `<path>/vars` with datasets "0", "1", ..."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from padless.errors import BackendError, DataError, explain
from padless.saving import bfloat16, hdf5_format

NDArray = np.ndarray[Any, Any]


class Group(NamedTuple):
    """Arrays of one object.

    Args:
        path: such as "layers/dense"; "" for the model itself.
        name: of the layer, for people.
        arrays: in order; those of bfloat16 as `bfloat16.packed` makes them.
    """

    path: str
    name: str
    arrays: list[NDArray]


def write_hdf5(groups: Iterable[Group]) -> bytes:
    """Write groups of arrays as the bytes of an HDF5 file.

    Args:
        groups: what to write.

    Returns:
        The bytes.

    Raises:
        BackendError: when h5py is not installed.
    """
    h5py = _h5py()
    with h5py.File("padless", "w", driver="core", backing_store=False) as file:
        for group in groups:
            variables = file.create_group(f"{group.path}/vars" if group.path else "vars")
            variables.attrs["name"] = group.name
            for at, array in enumerate(group.arrays):
                dataset = variables.create_dataset(str(at), data=array)
                if array.dtype == bfloat16.PAIR:
                    dataset.attrs["dtype"] = "bfloat16"
        file.flush()
        image: bytes = file.id.get_file_image()
    return image


def read_hdf5(data: bytes, where: str) -> dict[str, list[NDArray]]:
    """Read the arrays of an HDF5 file. h5py is not needed.

    Args:
        data: the bytes of the file.
        where: the file, for errors.

    Returns:
        Arrays in order, by the path of their object: "layers/dense" for the group "layers/dense/vars", "" for "vars".

    Raises:
        DataError: when the bytes are no such file, or one with what has no place in it: links to other places or
            files, data in other files, compressed data, anything but plain numbers.
    """
    try:
        if not data.startswith(hdf5_format.SIGNATURE):
            raise hdf5_format.Hdf5Error("an HDF5 file of weights", "something else, or nothing")
        found = hdf5_format.read(data)
        named: dict[str, dict[str, hdf5_format.Dataset]] = {}
        for path, dataset in found.items():
            group, _, name = path.rpartition("/")
            named.setdefault(group, {})[name] = dataset
        return {_owner(path, datasets): _in_order(path, datasets) for path, datasets in named.items()}
    except hdf5_format.Hdf5Error as wrong:
        fix = "a file that model.save_weights(path) wrote"
        raise DataError(explain(where, expected=wrong.expected, got=wrong.got, fix=fix)) from None


def _owner(path: str, datasets: dict[str, Any]) -> str:
    owner, _, last = path.rpartition("/")
    if last != "vars":
        raise hdf5_format.Hdf5Error("arrays in groups named 'vars'", f"{path}/{next(iter(datasets))}"[:200])
    return owner


def _in_order(path: str, datasets: dict[str, hdf5_format.Dataset]) -> list[NDArray]:
    names = [str(at) for at in range(len(datasets))]
    if set(names) != set(datasets):
        raise hdf5_format.Hdf5Error("arrays named '0', '1', ...", f"{', '.join(sorted(datasets))[:80]} in {path}")
    return [datasets[name].array() for name in names]


def _h5py() -> Any:
    try:
        return importlib.import_module("h5py")
    except ImportError:
        raise BackendError(
            explain(
                "writing a file of Keras (.keras, .weights.h5)",
                expected="h5py, which writes the weights in it",
                got="none",
                fix='pip install h5py; or model.save("m.safetensors"), which needs nothing',
            )
        ) from None
