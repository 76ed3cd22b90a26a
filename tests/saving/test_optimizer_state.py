"""What the optimizer remembers is in a model's own file: training goes on as if it had never stopped."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Model, Sequential, layers, saving
from padless.errors import DataError

IDS = [[3, 1, 4], [1], [5, 9, 2, 6, 5], [3, 5], [8, 9, 7, 9], [3, 2, 3]]
LABELS = np.array([0, 1, 0, 1, 1, 0])

OPTIMIZERS: list[Any] = [
    "adam",
    padless.optimizers.SGD(0.1, momentum=0.9),
    padless.optimizers.RMSprop(centered=True),
    padless.optimizers.Adafactor(),
    padless.optimizers.Muon(),
    padless.optimizers.Nadam(),
    padless.optimizers.Adam(lazy_embeddings=True, gradient_accumulation_steps=4),
    padless.optimizers.Adam(padless.schedules.ExponentialDecay(0.1, 2, 0.5), use_ema=True),
]


def classifier(optimizer: Any, loss: str = "sparse_categorical_crossentropy") -> Model:
    ids = Input((None,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(ids)
    x = layers.Dropout(0.3)(layers.Add()([x, layers.Conv1D(4, 3, padding="same")(x)]))
    model = Model(ids, layers.Dense(2, activation="softmax")(layers.LSTM(3)(x)))
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    return model


def fit(model: Any) -> list[float]:
    padless.utils.set_random_seed(5)  # for dropout
    history = model.fit(IDS, LABELS, epochs=3, batch_size=2, shuffle=False, verbose=0)
    losses: list[float] = history.history["loss"]
    return losses


def copy(optimizer: Any) -> Any:
    return optimizer if isinstance(optimizer, str) else type(optimizer).from_config(optimizer.get_config())


@pytest.mark.usefixtures("trainer")
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda one: one if isinstance(one, str) else type(one).__name__)
def test_a_loaded_model_trains_on_as_if_it_had_never_stopped(optimizer: Any, tmp_path: Path) -> None:
    model = classifier(copy(optimizer))
    fit(model)
    path = tmp_path / "m.safetensors"
    model.save(path)
    again = padless.load_model(path)
    assert fit(again) == fit(model)
    for mine, wanted in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, wanted)


def test_a_model_that_was_never_trained_and_one_without_compile(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "m.safetensors"
    model = classifier("adam")
    model.save(path)
    again = padless.load_model(path)
    assert fit(again) == fit(model)
    model.save(path)
    plain = padless.load_model(path, compile=False)
    assert not plain.compiled
    np.testing.assert_array_equal(plain.predict(IDS), model.predict(IDS))


def test_a_file_without_it_still_loads(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "m.safetensors"
    model = classifier("adam")
    fit(model)
    model.save(path)
    arrays, metadata = saving.read_arrays(path)
    metadata.pop("optimizer")
    saving.write_arrays(path, {k: v for k, v in arrays.items() if not k.startswith("optimizer/")}, metadata)
    again = padless.load_model(path)
    np.testing.assert_array_equal(again.predict(IDS), model.predict(IDS))
    assert again.optimizer is not None
    assert again.optimizer.iterations == 0


def test_weights_that_were_frozen_later_keep_what_is_remembered_of_them(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "m.safetensors"
    model = classifier("adam")
    fit(model)
    model.layers[0].trainable = False
    fit(model)
    model.save(path)
    again = padless.load_model(path)
    for one in (model, again):
        one.layers[0].trainable = True
    assert fit(again) == fit(model)


def test_an_optimizer_that_no_file_holds_is_told(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = classifier(torch.optim.Adam)
    fit(model)
    model.save(tmp_path / "m.safetensors")
    with pytest.warns(padless.optimizers.LostOptimizerWarning):
        padless.load_model(tmp_path / "m.safetensors")


CHANGES: list[tuple[str, Any]] = [
    ("class_name", "SGD"),
    ("iterations", -1),
    ("iterations", "many"),
    ("iterations", True),
    ("gathered_batches", None),
    ("learning_rate", "fast"),
    ("learning_rate", float("nan")),
    ("slots", []),
    ("slots", {"momentum": 3}),
    ("slots", {"momentum": {"layers/0/embeddings": 3}}),
    ("slots", {"other": {"layers/0/embeddings": {"__array__": "0"}}}),
    ("slots", {"momentum": {"nowhere": {"__array__": "0"}}}),
    ("slots", {"momentum": {"layers/0/embeddings": {"__array__": "999"}}}),
    ("slots", {"momentum": {"layers/0/embeddings": {"__array__": ["0"]}}}),
]


@pytest.mark.parametrize(("name", "value"), CHANGES, ids=str)
def test_a_state_that_is_none_is_refused(name: str, value: Any, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "m.safetensors"
    model = classifier("adam")
    fit(model)
    model.save(path)
    arrays, metadata = saving.read_arrays(path)
    tree = json.loads(metadata["optimizer"])
    tree[name] = value
    saving.write_arrays(path, arrays, {**metadata, "optimizer": json.dumps(tree)})
    with warnings.catch_warnings(), pytest.raises(DataError):
        padless.load_model(path)
    del tree[name]
    saving.write_arrays(path, arrays, {**metadata, "optimizer": json.dumps(tree)})
    with pytest.raises(DataError, match=name):
        padless.load_model(path)


def test_bfloat16_goes_on_too(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    model = Sequential([Input((3,)), layers.Dense(2, dtype="bfloat16")])
    model.compile("adam", "mse")
    x, y = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)
    model.fit(x, y, verbose=0, shuffle=False)
    model.save(tmp_path / "m.safetensors")
    again = padless.load_model(tmp_path / "m.safetensors")
    for one in (model, again):
        one.fit(x, y, verbose=0, shuffle=False)
    for mine, wanted in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, wanted)
    assert again.optimizer is not None
    dtypes = {again.backend.dtype_name(a) for slot in again.optimizer.slots.values() for a in slot.values()}
    assert dtypes == {"bfloat16"}
