"""Real files with random damage: each either loads, or raises an error of padless and leaves everything as it was.

`attempt(target, seed)` tries one. tests/saving/test_fuzz.py tries some of them; with --thorough, many.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import signal
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import padless
from padless import Input, Model, Sequential, callbacks, layers, saving
from padless.errors import PadlessError
from padless.saving.keras_layout import weights_bytes

NUMBERS = (0, 1, -1, 2, 7, 255, 256, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 2**31, 10**15, 10**400, 0.5, -0.5, float("nan"), float("inf"), "", "x", "relu",
    "Dense", "padless.layers", "__symbol__", "__array__", "layers/0/kernel", [], [[]], {}, [1, 2, 3],
    {"__symbol__": [0, 0]},
    {"module": "os", "class_name": "system", "config": {}}, {"__array__": "0"}, "O", "../x", "é",
)  # fmt: skip
_SECONDS = 60
"""After so long a loader hangs."""


# ---- what is damaged


def tagger() -> Model:
    """A functional model with inner models, shared layers, and an optimizer that remembers."""
    ids = Input((None,), dtype="int32")
    shared = layers.Dense(3, activation="relu")
    x = shared(layers.Embedding(6, 3, mask_zero=True)(ids))
    x = Sequential([layers.Conv1D(3, 2, padding="same"), layers.BatchNormalization()])(layers.Add()([x, shared(x)]))
    x = layers.Bidirectional(layers.GRU(2, return_sequences=True))(x * 2)
    model = Model(ids, layers.Dense(2, activation="softmax", kernel_regularizer="l2")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def attender() -> Model:
    """A sequential model with attention and normalization of its own kind."""
    model = Sequential(
        [Input((None, 4)), layers.TransformerEncoder(4, 2), layers.GlobalMaxPooling1D(), layers.Dense(1)]
    )
    model.compile(padless.optimizers.SGD(padless.schedules.ExponentialDecay(0.1, 5, 0.9), momentum=0.9), "mse")
    return model


def trained(make: Callable[[], Model], folder: Path) -> Model:
    """A model after an epoch, with a backup of it in the folder."""
    model = make()
    backup = callbacks.BackupAndRestore(folder, delete_checkpoint=False)
    if make is tagger:
        x, y = [[1, 2, 3], [4, 5]], [[0, 1, 1], [1, 0]]
        model.fit(x, y, epochs=1, verbose=0, callbacks=[backup])
    else:
        rows = [np.ones((2, 4)), np.zeros((3, 4))]
        model.fit(rows, np.ones((2, 1)), epochs=1, verbose=0, callbacks=[backup])
    return model


class Target:
    """A loader, files for it, and a model that it loads into.

    Attributes:
        name: of the kind of file.
        files: real ones.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.files: list[bytes] = []
        self.folder = Path(tempfile.mkdtemp(prefix="padless-fuzz-"))
        for make in (attender, tagger):
            for old in (self.folder / "backup").glob("*"):
                old.unlink()
            self.model = trained(make, self.folder / "backup")
            self.files.append(self._file())
        self.before = _held(self.model)

    def _file(self) -> bytes:
        path = self.folder / _NAMES[self.name]
        if self.name == "model":
            self.model.save(path)
        elif self.name == "keras":
            files = {"metadata.json": b'{"keras_version": "3.15.1"}', "config.json": b'{"class_name": "Sequential"}'}
            saving.write_archive(path, {**files, "model.weights.h5": weights_bytes(self.model)})
        elif self.name == "backup":
            path = self.folder / "backup" / "latest.safetensors"
        else:
            self.model.save_weights(path)
        return path.read_bytes()

    def load(self, data: bytes) -> None:
        """Have the loader read these bytes."""
        folder = self.folder / "backup" if self.name == "backup" else self.folder
        path = folder / ("latest.safetensors" if self.name == "backup" else _NAMES[self.name])
        path.write_bytes(data)
        if self.name == "model":
            padless.load_model(path)
        elif self.name == "backup":
            backup = callbacks.BackupAndRestore(folder)
            backup.set_model(self.model)
            backup.set_params({"epochs": 2, "steps": 1})
            backup.on_train_begin()
        else:
            self.model.load_weights(path)


_NAMES = {
    "model": "m.safetensors",
    "weights": "w.safetensors",
    "hdf5": "w.weights.h5",
    "keras": "m.keras",
    "backup": "latest.safetensors",
}
TARGETS = tuple(_NAMES)


def _held(model: Any) -> dict[str, Any]:
    """The very arrays of a model and of its optimizer."""
    held = {path: layer.__dict__[name] for path, (layer, name) in model.weight_slots().items()}
    held |= {f"{name} of {path}": a for name, slot in model.optimizer.slots.items() for path, a in slot.items()}
    return held | {"iterations": model.optimizer.iterations, "rate": model.optimizer._learning_rate}


# ---- damage


def damaged(files: list[bytes], name: str, draw: random.Random) -> bytes:
    """One of the files with some random damage."""
    data = draw.choice(files)
    if name in ("model", "weights", "backup") and draw.random() < 0.6:
        return _damaged_json(data, draw)
    if name == "keras" and draw.random() < 0.8:
        return _damaged_inside(data, files, draw)
    for _ in range(draw.choice((1, 1, 1, 2, 5, 20))):
        data = draw.choice(_DAMAGES)(data, files, draw)
    return data


def _flip(data: bytes, files: list[bytes], draw: random.Random) -> bytes:
    made = bytearray(data)
    if made:
        made[_place(data, draw)] ^= 1 << draw.randrange(8)
    return bytes(made)


def _set(data: bytes, files: list[bytes], draw: random.Random) -> bytes:
    made, size, at = bytearray(data), draw.choice((1, 2, 4, 8)), _place(data, draw)
    made[at : at + size] = (draw.choice(NUMBERS) % 2 ** (8 * size)).to_bytes(size, "little")
    return bytes(made)


def _point(data: bytes, files: list[bytes], draw: random.Random) -> bytes:
    """An address of something else."""
    made, at = bytearray(data), _place(data, draw) // 8 * 8
    made[at : at + 8] = (draw.randrange(len(data) + 1) // 8 * 8).to_bytes(8, "little")
    return bytes(made)


def _cut(data: bytes, files: list[bytes], draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _splice(data: bytes, files: list[bytes], draw: random.Random) -> bytes:
    other = draw.choice(files)
    at, start, size = _place(data, draw), draw.randrange(len(other) + 1), draw.choice((1, 8, 40, 200, 4000))
    end = at + (size if draw.random() < 0.7 else 0)
    return data[:at] + other[start : start + size] + data[end:]


def _lose(data: bytes, files: list[bytes], draw: random.Random) -> bytes:
    at = _place(data, draw)
    return data[:at] + data[at + draw.choice((1, 8, 100)) :]


_DAMAGES = (_flip, _flip, _set, _set, _point, _cut, _splice, _lose)


def _place(data: bytes, draw: random.Random) -> int:
    """Somewhere in a file, half of the time at its start or its end, where it says what it is."""
    size = len(data)
    if not size:
        return 0
    return draw.choice(
        (draw.randrange(size), draw.randrange(min(size, 600)), size - 1 - draw.randrange(min(size, 200)))
    )


def _damaged_json(data: bytes, draw: random.Random) -> bytes:
    """A safetensors file with damage in its header, or in the JSON within it, and everything around it sound."""
    size = int.from_bytes(data[:8], "little")
    header, rest = json.loads(data[8 : 8 + size]), data[8 + size :]
    metadata = header.get("__metadata__", {})
    inner = [key for key in ("config", "optimizer", "state") if key in metadata]
    if inner and draw.random() < 0.9:
        key = draw.choice(inner)
        tree = json.loads(metadata[key])
        for _ in range(draw.choice((1, 1, 1, 3))):
            tree = _changed(tree, draw)
        metadata[key] = json.dumps(tree)
    else:
        header = _changed(header, draw)
    text = json.dumps(header).encode()
    made = len(text).to_bytes(8, "little") + text + rest
    return _with_checksum(made) if "state" in inner else made


def _damaged_inside(data: bytes, files: list[bytes], draw: random.Random) -> bytes:
    """An archive that is sound, of a file that is damaged."""
    made, kind = io.BytesIO(), draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(io.BytesIO(data)) as whole, zipfile.ZipFile(made, "w", kind) as archive:
        victim = draw.choice(whole.namelist())
        for name in whole.namelist():
            inner = whole.read(name)
            if name == victim and name.endswith(".json") and draw.random() < 0.7:
                inner = json.dumps(_changed(json.loads(inner), draw)).encode()
            elif name == victim:
                for _ in range(draw.choice((1, 1, 5))):
                    inner = draw.choice(_DAMAGES)(inner, [inner], draw)
            archive.writestr(name, inner)
    return made.getvalue()


def _with_checksum(data: bytes) -> bytes:
    """A backup whose checksum fits again."""
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(data)
        file.flush()
        try:
            arrays, metadata = saving.read_arrays(file.name)
            total = zlib.crc32(metadata["state"].encode())
        except (PadlessError, KeyError):
            return data
        for name in sorted(arrays):
            total = zlib.crc32(np.ascontiguousarray(arrays[name]).tobytes(), total)
        saving.write_arrays(file.name, arrays, {**metadata, "crc32": str(total)})
        return Path(file.name).read_bytes()


def _changed(tree: Any, draw: random.Random) -> Any:
    """A tree of JSON with another value somewhere."""
    if not isinstance(tree, dict | list) or not tree or draw.random() < 0.1:
        value = draw.choice(VALUES)
        return {"nested": tree} if draw.random() < 0.1 else value
    if isinstance(tree, dict):
        made = dict(tree)
        key = draw.choice(list(made))
        how = draw.random()
        if how < 0.1:
            del made[key]
        elif how < 0.2:
            made[draw.choice(("x", "name", "config", "units", key + "_"))] = made[key]
        elif how < 0.3:
            made[key] = made[draw.choice(list(made))]
        else:
            made[key] = _changed(made[key], draw)
        return made
    items = list(tree)
    at, how = draw.randrange(len(items)), draw.random()
    if how < 0.1:
        del items[at]
    elif how < 0.2:
        items.insert(at, items[draw.randrange(len(items))])
    elif how < 0.3:
        items[at] = items[draw.randrange(len(items))]
    else:
        items[at] = _changed(items[at], draw)
    return items


# ---- the attempt


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    def late(*_: object) -> None:
        raise AssertionError(f"no answer after {_SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(target: Target, seed: int) -> str:
    """Load one damaged file.

    Returns:
        What came of it: "loaded", or the name of the error.
    """
    data = damaged(target.files, target.name, random.Random(f"{target.name} {seed}"))
    outcome = "loaded"
    with _in_time(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            target.load(data)
        except PadlessError as refused:
            outcome = type(refused).__name__
    after = _held(target.model)
    if outcome == "loaded":
        _put_back(target)
    else:
        assert after.keys() == target.before.keys(), f"changed after {outcome}"
        assert all(after[key] is value for key, value in target.before.items()), f"changed after {outcome}"
    return outcome


def _put_back(target: Target) -> None:
    model, held = target.model, target.before
    for path, (layer, name) in model.weight_slots().items():
        layer.__dict__[name] = held[path]
    optimizer = model.optimizer
    assert optimizer is not None
    optimizer.slots = {
        name: {path: held[f"{name} of {path}"] for path in slot if f"{name} of {path}" in held}
        for name, slot in optimizer.slots.items()
    }
    optimizer.iterations, optimizer._learning_rate = held["iterations"], held["rate"]
