"""A file that is broken or hostile is refused: no crash, no half loaded model, no memory or time without bound."""

from __future__ import annotations

import importlib
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Sequential, callbacks, layers, saving
from padless.errors import ArgumentError, DataError, NotThereYetError, PadlessError, ShapeError
from padless.saving.hdf5 import read_hdf5
from tests.saving.hostile import configs, hdf5_files, with_config, zips

SOURCE = Path(padless.__file__).parent


@pytest.fixture(autouse=True)
def _little_memory() -> Iterator[None]:
    """Two gigabytes more than there are now: what asks for more fails."""
    if not Path("/proc/self/statm").exists():
        yield
        return
    resource = importlib.import_module("resource")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2 * 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def model() -> Any:
    made = Sequential([Input((None, 3)), layers.GRU(4), layers.Dense(2)])
    made.compile("adam", "mse")
    return made


def state_of(one: Any) -> tuple[Any, ...]:
    slots = {name: dict(slot) for name, slot in one.optimizer.slots.items()}
    arrays = {name: array.copy() for name, array in one.state_dict().items()}
    return arrays, one.optimizer.iterations, one.optimizer.learning_rate, slots


def unchanged(one: Any, before: tuple[Any, ...]) -> None:
    after = state_of(one)
    assert before[1:3] == after[1:3]
    assert before[0].keys() == after[0].keys()
    assert all((array == after[0][name]).all() for name, array in before[0].items())
    assert {name: set(slot) for name, slot in before[3].items()} == {name: set(slot) for name, slot in after[3].items()}


# ---- archives


def test_archives(tmp_path: Path) -> None:
    one, path = model(), tmp_path / "m.keras"
    before = state_of(one)
    for what, says in zips(path):
        with pytest.raises(DataError) as told:
            one.load_weights(path)
        assert says in str(told.value), what
        unchanged(one, before)
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]


def test_archives_with_files_of_layers(tmp_path: Path) -> None:
    saving.write_archive(tmp_path / "m.keras", {"config.json": b"{}", "assets/a/vocabulary.txt": b"a"})
    with pytest.raises(NotThereYetError, match=r"assets/a/vocabulary\.txt"):
        saving.read_archive(tmp_path / "m.keras")


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert saving.read_archive(tmp_path) == {"config.json": b"{}"}
    (tmp_path / "model.weights.h5").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match="a link"):
        saving.read_archive(tmp_path)
    (tmp_path / "model.weights.h5").unlink()
    (tmp_path / "assets").mkdir()
    assert saving.read_archive(tmp_path) == {"config.json": b"{}"}
    (tmp_path / "assets" / "x").write_text("")
    with pytest.raises(NotThereYetError, match="files of their own"):
        saving.read_archive(tmp_path)


def test_what_an_archive_holds_comes_back(tmp_path: Path) -> None:
    files = {"config.json": b"{}", "metadata.json": b"[]", "model.weights.h5": bytes(range(256)) * 100}
    saving.write_archive(tmp_path / "m.keras", files)
    assert saving.read_archive(tmp_path / "m.keras") == files
    with pytest.raises(FileNotFoundError):
        saving.read_archive(tmp_path / "other.keras")


def test_pickles_in_the_place_of_weights(tmp_path: Path) -> None:
    data = io.BytesIO()
    np.savez(data, __root__=np.array({"0": 1}, object))
    saving.write_archive(tmp_path / "m.keras", {"config.json": b"{}", "model.weights.npz": data.getvalue()})
    with pytest.raises(DataError, match="made of pickles"):
        model().load_weights(tmp_path / "m.keras")


# ---- HDF5


def test_hdf5_files(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    one, path = model(), tmp_path / "w.weights.h5"
    before = state_of(one)
    for what, (fill, says) in hdf5_files().items():
        for version in ("earliest", "latest"):
            with h5py.File(path, "w", libver=version) as file:
                fill(file)
            with pytest.raises(DataError) as told:
                one.load_weights(path)
            assert says in str(told.value), what
            unchanged(one, before)


def test_hdf5_files_of_every_version_of_the_format(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    for version in ("earliest", "v108", "v110", "latest"):
        for count in (1, 9, 70, 700):
            data = io.BytesIO()
            with h5py.File(data, "w", libver=version) as file:
                for at in range(count):
                    group = file.create_group(f"layers/dense_{at}/vars")
                    group.attrs["name"] = "x" * (at % 50)
                    group["0"] = np.full((2, at % 3), at, np.float32)
                    group["1"] = np.float16(at)
            found = read_hdf5(data.getvalue(), "a file")
            assert len(found) == count
            for at in range(count):
                np.testing.assert_array_equal(found[f"layers/dense_{at}"][0], np.full((2, at % 3), at))
                assert found[f"layers/dense_{at}"][1] == np.float16(at)


@pytest.mark.parametrize("name", ["w.weights.h5", "w.safetensors", "m.keras"])
def test_weights_that_end_early(name: str, tmp_path: Path) -> None:
    one, path = model(), tmp_path / name
    if name == "m.keras":
        saving.write_archive(path, {"config.json": b"{}", "model.weights.h5": saving.keras_layout.weights_bytes(one)})
    else:
        one.save_weights(path)
    data = path.read_bytes()
    before = state_of(one)
    for size in {*range(0, len(data), max(len(data) // 150, 1)), *range(100), *range(len(data) - 60, len(data) - 8)}:
        path.write_bytes(data[:size])
        with pytest.raises((DataError, ShapeError)):
            one.load_weights(path)
    unchanged(one, before)


def test_wrong_shapes_and_the_like(tmp_path: Path) -> None:
    one, path = model(), tmp_path / "w.weights.h5"
    before = state_of(one)
    Sequential([Input((None, 3)), layers.GRU(5), layers.Dense(2)]).save_weights(path)
    with pytest.raises(ShapeError, match=r"expected kernel \(3, 12\)"):
        one.load_weights(path)
    Sequential([Input((None, 3)), layers.GRU(5), layers.Dense(2)]).save_weights(tmp_path / "w.safetensors")
    with pytest.raises(ShapeError, match="other shapes"):
        one.load_weights(tmp_path / "w.safetensors")
    unchanged(one, before)
    with pytest.raises(FileNotFoundError):
        one.load_weights(tmp_path / "nowhere.weights.h5")
    with pytest.raises(ArgumentError, match="in a file named"):
        one.load_weights(tmp_path / "old.h5")


# ---- safetensors


def bad_headers() -> dict[str, bytes]:
    def of(header: Any, data: bytes = bytes(24)) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + data

    one = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    return {
        "nothing": b"",
        "a length alone": (2**63 - 1).to_bytes(8, "little"),
        "a long header": (10**9).to_bytes(8, "little") + b"{}",
        "no JSON": of(b"{" * 50),
        "deep": of(b'{"a":' * 5000 + b"1" + b"}" * 5000),
        "a list": of([1]),
        "huge": of({"a": {**one, "shape": [2**40, 2**40], "data_offsets": [0, 2**62]}}),
        "negative": of({"a": {**one, "shape": [-2, -3]}}),
        "beyond the end": of({"a": {**one, "data_offsets": [0, 48], "shape": [4, 3]}}),
        "over one another": of({"a": one, "b": one}),
        "a gap": of({"a": {**one, "data_offsets": [4, 28]}}, bytes(28)),
        "another dtype": of({"a": {**one, "dtype": "PICKLE"}}),
        "numbers for texts": of({"__metadata__": {"format": 3}, "a": one}),
    }


@pytest.mark.parametrize("what", bad_headers())
def test_safetensors_with_bad_headers(what: str, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(bad_headers()[what])
    for load in (padless.load_model, model().load_weights):
        with pytest.raises(DataError, match="expected a safetensors file"):
            load(path)


# ---- configs


@pytest.mark.parametrize("what", configs())
def test_configs(what: str, tmp_path: Path) -> None:
    config, says = configs()[what]
    with_config(tmp_path / "m.safetensors", {"model": config, "compile": None})
    with pytest.raises(PadlessError, match=says):
        padless.load_model(tmp_path / "m.safetensors")


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '{"model": 1}', "[" * 100_000])
def test_configs_that_are_none(text: str, tmp_path: Path) -> None:
    metadata = {"format": "padless 1", "config": text}
    saving.write_arrays(tmp_path / "m.safetensors", {"a": np.ones(2, np.float32)}, metadata)
    with pytest.raises(DataError):
        padless.load_model(tmp_path / "m.safetensors")


# ---- backups


def backup_of(folder: Path) -> Path:
    """The backup of a model that was trained for an epoch."""
    one = model()
    backup = callbacks.BackupAndRestore(folder, delete_checkpoint=False)
    x, y = [np.ones((2, 3)), np.zeros((5, 3))], np.zeros((2, 2))
    one.fit(x, y, epochs=1, verbose=0, callbacks=[backup])
    return folder / "latest.safetensors"


def places(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all that stands in dicts of a tree."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield (*path, key)
            yield from places(value, (*path, key))


def rewritten(path: Path, tree: Any, arrays: Any, metadata: Any) -> None:
    text = json.dumps(tree)
    total = zlib.crc32(text.encode())
    for name in sorted(arrays):
        total = zlib.crc32(np.ascontiguousarray(arrays[name]).tobytes(), total)
    saving.write_arrays(path, arrays, {**metadata, "state": text, "crc32": str(total)})


def test_backups_that_were_forged(tmp_path: Path) -> None:
    """Each part left out or replaced, with a checksum that fits."""
    pytest.importorskip("torch")
    tmp_path = tmp_path / "backup"
    path = backup_of(tmp_path)
    arrays, metadata = saving.read_arrays(path)
    text = metadata["state"]
    x, y = [np.ones((2, 3)), np.zeros((5, 3))], np.zeros((2, 2))
    refused = 0
    for place in list(places(json.loads(text))):
        for value in ("gone", None, -1, "text", [1], {"__array__": "7"}):
            tree = json.loads(text)
            inner = tree
            for key in place[:-1]:
                inner = inner[key]
            if value == "gone":
                del inner[place[-1]]
            else:
                inner[place[-1]] = value
            tmp_path.mkdir(exist_ok=True)  # the last run that ended by itself removed it
            rewritten(path, tree, arrays, metadata)
            one = model()
            before = state_of(one)
            try:
                one.fit(x, y, epochs=1, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path)])
            except PadlessError:
                refused += 1
                unchanged(one, before)
    assert refused > 50


def test_nothing_is_ever_unpickled() -> None:
    """No module reads pickles, by any of the names under which they come."""
    # Estimators of scikit-learn are pickled and unpickled by whoever has them; no file of padless comes that way.
    others = SOURCE / "wrappers" / "pickled.py"
    for path in sorted(set(SOURCE.rglob("*.py")) - {others}):
        text = path.read_text().replace("np.load(raw, allow_pickle=False)", "")  # data of users, without pickles
        for word in ("pickle.load", "Unpickler", "torch.load(", "allow_pickle", "joblib", "marshal", "import dill"):
            assert word not in text, f"{word} in {path}"
        assert "np.load(" not in text, path
