"""Files: what was saved comes back; what is no file of ours is refused; nothing is half written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Model, Sequential, layers
from padless.errors import ArgumentError, DataError, NotBuiltError, ShapeError
from tests.conftest import BACKENDS
from tests.oracle import using
from tests.tolerances import VALUES

IDS = [[3, 1, 4], [1], [5, 9, 2, 6, 5]]


def sequential() -> Sequential:
    return Sequential(
        [
            layers.Embedding(10, 4, mask_zero=True),
            layers.Bidirectional(layers.GRU(3, return_sequences=True)),
            layers.GlobalMaxPooling1D(),
            layers.Dense(2, activation="softmax"),
        ],
        name="mine",
    )


def functional() -> Model:
    x = Input((None,), dtype="int32", name="ids")
    h = layers.Embedding(10, 4, mask_zero=True)(x)
    h = layers.Add()([h, layers.Conv1D(4, 3, padding="same", activation="relu")(h)])
    return Model(x, layers.Dense(2)(layers.LSTM(3)(h)))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("make", [sequential, functional])
def test_a_saved_model_gives_the_same_answers(make: Any, tmp_path: Path) -> None:
    model = make()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    want = model.predict(IDS)
    model.save(tmp_path / "m.safetensors")
    again = padless.load_model(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict(IDS), want)
    assert again.compiled
    assert again.name == model.name
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


@pytest.mark.parametrize("other", BACKENDS)
def test_a_file_saved_on_one_backend_loads_on_the_other(tmp_path: Path, backend: str, other: str) -> None:
    model = sequential()
    want = model.predict(IDS)
    model.save(tmp_path / "m.safetensors")
    with using(other):
        np.testing.assert_allclose(padless.load_model(tmp_path / "m.safetensors").predict(IDS), want, **VALUES)


def test_weights_alone(tmp_path: Path) -> None:
    model, other = sequential(), sequential()
    want = model.predict(IDS)
    other.predict(IDS)
    model.save_weights(tmp_path / "w.safetensors")
    other.load_weights(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(other.predict(IDS), want)
    small = Sequential([layers.Dense(1)])
    small(np.ones((1, 2), "float32"))
    before = small.get_weights()
    with pytest.raises(ShapeError, match="unknown"):
        small.load_weights(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(small.get_weights()[0], before[0])


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    model = sequential()
    with pytest.raises(NotBuiltError):
        model.save(path)
    model.predict(IDS)
    model.save(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="safetensors"):
        padless.load_model(path)
    model.save_weights(path)
    with pytest.raises(DataError, match="load_weights"):
        padless.load_model(path)


def test_a_class_of_your_own_must_be_registered(tmp_path: Path) -> None:
    class Unknown(padless.Layer):
        view = "steps"

        def call(self, x: Any) -> Any:
            return 2 * x

    model = Sequential([layers.Dense(2), Unknown()])
    want = model.predict(np.ones((1, 3), "float32"))
    model.save(tmp_path / "m.safetensors")
    with pytest.raises(ArgumentError, match=r"@padless.register[^$]*custom_objects=\{'Unknown': Unknown\}"):
        padless.load_model(tmp_path / "m.safetensors")
    again = padless.load_model(tmp_path / "m.safetensors", custom_objects={"Unknown": Unknown})
    np.testing.assert_array_equal(again.predict(np.ones((1, 3), "float32")), want)


def test_a_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = sequential()
    model.predict(IDS)
    path = tmp_path / "m.safetensors"
    model.save(path)
    old = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        model.save(path)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


@pytest.mark.parametrize("name", ["m.h5", "m.hdf5", "m.weights.h5"])
def test_names_of_other_formats_are_not_taken_for_this_one(name: str, tmp_path: Path) -> None:
    model = sequential()
    model.predict(IDS)
    with pytest.raises(ArgumentError, match=r"Fix: m\.keras"):
        model.save(tmp_path / name)
    if name != "m.weights.h5":
        with pytest.raises(ArgumentError, match=r"Fix: m\.weights\.h5"):
            model.save_weights(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_nothing_to_take_off() -> None:
    with pytest.raises(ArgumentError, match="a layer to take off"):
        Sequential().pop()
