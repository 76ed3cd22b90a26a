"""Arrays in an HDF5 file, as Keras lays them out: groups named `<path>/vars` with datasets "0", "1", ..."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from padless.errors import DataError, explain
from padless.saving import hdf5_reading, hdf5_writing

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
    """Write groups of arrays as the bytes of an HDF5 file. h5py is not needed.

    Args:
        groups: what to write.

    Returns:
        The bytes.
    """
    tree: hdf5_writing.Tree = {}
    texts = {}
    for group in groups:
        path = f"{group.path}/vars" if group.path else "vars"
        inner = tree
        for part in path.split("/"):
            inner = inner.setdefault(part, {})
        inner.update({str(at): array for at, array in enumerate(group.arrays)})
        texts[path] = {"name": group.name}
    return hdf5_writing.write(tree, texts)


def read_hdf5(data: bytes | Sequence[bytes], where: str) -> dict[str, list[NDArray]]:
    """Read the arrays of an HDF5 file, or of several that make one. h5py is not needed.

    Args:
        data: the bytes of the file, or of each.
        where: the file, for errors.

    Returns:
        Arrays in order, by the path of their object: "layers/dense" for the group "layers/dense/vars", "" for "vars".

    Raises:
        DataError: when the bytes are no such file, or one with what has no place in it: links to other places or
            files, data in other files, compressed data, anything but plain numbers.
    """
    try:
        named: dict[str, dict[str, hdf5_reading.Dataset]] = {}
        for part in [data] if isinstance(data, bytes) else data:
            for path, dataset in _datasets(part).items():
                group, _, name = path.rpartition("/")
                if name in named.setdefault(group, {}):
                    raise hdf5_reading.Hdf5Error("each array in one file", f"{path} in several")
                named[group][name] = dataset
        return {_owner(path, datasets): _in_order(path, datasets) for path, datasets in named.items()}
    except hdf5_reading.Hdf5Error as wrong:
        fix = "a file that model.save_weights(path) wrote"
        raise DataError(explain(where, expected=wrong.expected, got=wrong.got, fix=fix)) from None


def _datasets(data: bytes) -> dict[str, hdf5_reading.Dataset]:
    if not data.startswith(hdf5_reading.SIGNATURE):
        raise hdf5_reading.Hdf5Error("an HDF5 file of weights", "something else, or nothing")
    return hdf5_reading.read(data)


def _owner(path: str, datasets: dict[str, Any]) -> str:
    owner, _, last = path.rpartition("/")
    if last != "vars":
        raise hdf5_reading.Hdf5Error("arrays in groups named 'vars'", f"{path}/{next(iter(datasets))}"[:200])
    return owner


def _in_order(path: str, datasets: dict[str, hdf5_reading.Dataset]) -> list[NDArray]:
    names = [str(at) for at in range(len(datasets))]
    if set(names) != set(datasets):
        raise hdf5_reading.Hdf5Error("arrays named '0', '1', ...", f"{', '.join(sorted(datasets))[:80]} in {path}")
    return [datasets[name].array() for name in names]
