"""HDF5 in Python: h5py reads what is written, and what it writes is read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from padless import Input, Sequential, callbacks, layers
from padless.errors import ArgumentError, DataError
from padless.saving import bfloat16
from padless.saving.hdf5 import Group, read_hdf5, write_hdf5

h5py = pytest.importorskip("h5py")

DTYPES = ("<f2", "<f4", "<f8", ">f4", "i1", "<i4", "<i8", "u1", ">u2", "<u8")
NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=20)


@st.composite
def groups(draw: Any) -> list[Group]:
    names = draw(st.lists(NAMES.filter(lambda name: name not in (".", "..", "vars")), unique=True, max_size=12))
    shapes = arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    dtypes = st.sampled_from(DTYPES).map(np.dtype)
    several = st.lists(dtypes.flatmap(lambda dtype: arrays_of.arrays(dtype, shapes)), max_size=4)
    return [Group(f"layers/{name}", draw(st.text(max_size=300)).replace("\0", ""), draw(several)) for name in names]


def alike(one: Any, other: Any) -> None:
    np.testing.assert_array_equal(one, other)
    assert one.dtype == other.dtype.newbyteorder("=")


@given(groups())
def test_whatever_is_written_is_read(written: list[Group]) -> None:
    data = write_hdf5(written)
    found = read_hdf5(data, "a file")
    with h5py.File(io.BytesIO(data), "r") as file:
        for group in written:
            mine, theirs = found.get(group.path, []), file[f"{group.path}/vars"]
            assert theirs.attrs["name"] == group.name
            assert len(mine) == len(group.arrays) == len(theirs)
            for at, array in enumerate(group.arrays):
                alike(mine[at], array)
                alike(np.asarray(theirs[str(at)]), array)


@pytest.mark.parametrize("count", [0, 1, 8, 9, 256, 257, 2100])
def test_groups_of_any_size(count: int) -> None:
    wanted = {f"layers/dense_{at}": np.float32(at) for at in range(count)}
    data = write_hdf5([Group(path, "dense", [np.asarray(number)]) for path, number in wanted.items()])
    found = read_hdf5(data, "a file")
    with h5py.File(io.BytesIO(data), "r") as file:
        assert len(file["layers"]) == count if count else "layers" not in file
        for path, number in wanted.items():
            assert found[path][0] == number == file[path]["vars/0"][()]


def test_bfloat16_and_truth_values() -> None:
    numbers = np.array([1.5, -2.0, 0.0, np.inf, 2.0**-130], np.float32)
    data = write_hdf5([Group("a", "", [bfloat16.packed(numbers), np.array([True, False])])])
    np.testing.assert_array_equal(read_hdf5(data, "a file")["a"][0], numbers)
    np.testing.assert_array_equal(read_hdf5(data, "a file")["a"][1], [1, 0])
    with h5py.File(io.BytesIO(data), "r") as file:
        assert file["a/vars/0"].attrs["dtype"] == "bfloat16"
    theirs = io.BytesIO()
    with h5py.File(theirs, "w") as file:
        file["a/vars/0"] = np.array([True, False])
    np.testing.assert_array_equal(read_hdf5(theirs.getvalue(), "a file")["a"][0], [True, False])
    with pytest.raises(ArgumentError, match="complex64"):
        write_hdf5([Group("a", "", [np.ones(1, np.complex64)])])


def test_what_the_c_library_does_not_come_back_from() -> None:
    """A free list of names that leads round in a ring."""
    data = bytearray(write_hdf5([Group("a", "x", [np.ones(2, np.float32)])]))
    heap = data.find(b"HEAP")
    data[heap + 16 : heap + 24] = (0).to_bytes(8, "little")
    assert list(read_hdf5(bytes(data), "a file")) == ["a"]
    data[heap + 24 : heap + 32] = (2**63).to_bytes(8, "little")
    with pytest.raises(DataError, match="a file that is whole"):
        read_hdf5(bytes(data), "a file")


def test_checkpoints_of_weights_are_keras_files(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    model = Sequential([Input((None, 3)), layers.LSTM(2), layers.Dense(1)])
    model.compile("adam", "mse")
    checkpoint = callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True)
    model.fit([np.ones((2, 3)), np.ones((1, 3))], [0.0, 1.0], epochs=2, verbose=0, callbacks=[checkpoint])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.weights.h5", "2.weights.h5"]
    wanted = model.get_weights()
    model.load_weights(tmp_path / "1.weights.h5")
    model.load_weights(tmp_path / "2.weights.h5")
    assert all((a == b).all() for a, b in zip(model.get_weights(), wanted, strict=True))
