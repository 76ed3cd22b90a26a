"""Normalization, noise and penalties on outputs against Keras, on input without padding."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest
import torch

import padless
from padless import Sequential, layers
from padless.layer import substituted
from tests.tolerances import GRADIENTS, TRAINING, VALUES

# Keras's variables do not take NumPy 2's copy argument.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Case = tuple[str, dict[str, Any], tuple[int, ...]]
CASES: list[Case] = [
    ("GroupNormalization", {"groups": 2}, (3, 5, 4)),
    ("GroupNormalization", {"groups": 1, "epsilon": 1e-2}, (3, 4)),
    ("GroupNormalization", {"groups": -1, "scale": False}, (3, 5, 4)),
    ("GroupNormalization", {"groups": 2, "axis": 1, "center": False}, (3, 4, 2, 3)),
    ("GroupNormalization", {"groups": 3, "axis": -2, "gamma_initializer": "zeros"}, (2, 5, 6, 3)),
    ("RMSNormalization", {}, (3, 5, 4)),
    ("RMSNormalization", {"epsilon": 0.1}, (3, 4)),
    ("RMSNormalization", {"axis": [1, 2]}, (3, 5, 4)),
    ("UnitNormalization", {}, (3, 5, 4)),
    ("UnitNormalization", {"axis": [1, 2]}, (3, 5, 4)),
    ("UnitNormalization", {"axis": 1}, (3, 5, 4)),
    ("BatchNormalization", {"renorm": True}, (3, 5, 4)),
    ("Rescaling", {"scale": 0.5, "offset": -1.0}, (3, 5, 4)),
    ("Rescaling", {"scale": [0.5, 1.0, 2.0, 3.0]}, (3, 4)),
    ("Normalization", {"mean": 3.0, "variance": 2.0}, (3, 5, 4)),
    ("Normalization", {"mean": [3.0, 1.0, 0.0, 2.0], "variance": [0.0, 1.0, 4.0, 9.0], "invert": True}, (3, 5, 4)),
    ("Normalization", {"axis": None, "mean": 3.0, "variance": 2.0}, (3, 5, 4)),
    ("Normalization", {"axis": [1, 2], "mean": [3.0, 1.0, 2.0], "variance": [1.0, 4.0, 9.0]}, (3, 2, 3)),
    ("SpatialDropout1D", {"rate": 0.5}, (3, 5, 4)),
    ("SpatialDropout2D", {"rate": 0.5}, (3, 5, 4, 2)),
    ("SpatialDropout3D", {"rate": 0.5, "data_format": "channels_first"}, (3, 5, 4, 2, 2)),
    ("GaussianNoise", {"stddev": 0.5}, (3, 4)),
    ("GaussianDropout", {"rate": 0.5}, (3, 4)),
    ("AlphaDropout", {"rate": 0.5}, (3, 4)),
    ("ActivityRegularization", {"l1": 0.5, "l2": 0.25}, (3, 5, 4)),
]


def label(case: Any) -> str:
    return f"{case[0]}-{case[2]}-" + ",".join(f"{key}={value}" for key, value in case[1].items())


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(autouse=True)
def _torch() -> Any:
    before = padless.backend()
    padless.set_backend("torch")
    yield
    padless.set_backend(before)


def pair(theirs: Any, ours: Any, x: Any) -> tuple[Any, Any]:
    """Keras's layer and ours, built, with the same weights, none of them at its default."""
    theirs(x)
    ours(x)
    weights = theirs.get_weights()
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in weights]
    names = [slot.rsplit("/", 1)[-1] for slot in ours.weight_slots()]
    assert names == [w.name for w in theirs.weights]
    weights = [np.abs(draw(*w.shape, seed=20 + at)) + 0.1 for at, w in enumerate(weights)]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    return theirs, ours


def same(theirs: Any, ours: Any, x: Any, *, training: bool = False) -> None:
    """Output, gradients of trained weights and of the input, and what becomes of the states."""
    given = torch.tensor(x, requires_grad=True)
    y = theirs(given, training=training)
    weights = [weight.value for weight in theirs.trainable_weights]
    seen = torch.tensor(draw(*y.shape, seed=9))
    wanted = [g.numpy() for g in torch.autograd.grad((y * seen).sum(), [*weights, given])]
    slots = ours.weight_slots()
    trained = [path for path, (owner, name) in slots.items() if owner.trains(name)]
    leaves = {path: slots[path][0].__dict__[slots[path][1]] for path in trained} | {"@": torch.tensor(x)}
    moved: dict[str, Any] = {}

    def loss(arrays: dict[str, Any]) -> Any:
        with substituted(ours, {path: arrays[path] for path in trained}) as assigned:
            found = ours(arrays["@"], training=training)
        moved.update(assigned)
        return (found * seen).sum(), found

    (_, found), gradients = ours.backend.value_and_grad(loss, leaves)
    for path, value in moved.items():
        slots[path][0].assign(slots[path][1], value)
    np.testing.assert_allclose(found.detach().numpy(), y.detach().numpy(), **VALUES)
    for path, right in zip([*trained, "@"], wanted, strict=True):
        np.testing.assert_allclose(gradients[path].numpy(), right, err_msg=path, **GRADIENTS)
    for mine, right in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, right, **VALUES)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_layers_compute_what_keras_computes(case: Case) -> None:
    name, kwargs, shape = case
    x = draw(*shape)
    theirs, ours = pair(getattr(keras.layers, name)(**kwargs), getattr(layers, name)(**kwargs), x)
    same(theirs, ours, x)
    assert set(theirs.get_config()) >= set(kwargs)


CLIPPING = {"rmin": 0.7, "rmax": 1.5, "dmax": 0.2}


@pytest.mark.parametrize(
    ("kwargs", "shape"),
    [
        ({}, (4, 6, 3)),
        ({"renorm_clipping": CLIPPING, "renorm_momentum": 0.8, "momentum": 0.6}, (4, 6, 3)),
        ({"renorm_clipping": {"rmax": 1.1}, "axis": 1, "scale": False, "center": False}, (4, 6, 3)),
        ({"renorm_clipping": {"dmax": 0.1}, "moving_variance_initializer": "zeros", "epsilon": 0.01}, (8, 3)),
    ],
)
def test_renorm_trains_as_in_keras(kwargs: dict[str, Any], shape: tuple[int, ...]) -> None:
    made = (kind.BatchNormalization(renorm=True, **kwargs) for kind in (keras.layers, layers))
    theirs, ours = pair(*made, draw(*shape))
    for step in range(4):
        same(theirs, ours, 3 * draw(*shape, seed=step) + step, training=True)
    same(theirs, ours, draw(*shape))


INNER: dict[str, Any] = {
    "Dense": lambda k: k.Dense(3, activation="tanh"),
    "Conv1D": lambda k: k.Conv1D(3, 2, padding="same"),
    "Conv2D": lambda k: k.Conv2D(3, 2),
}


@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("name", INNER)
def test_spectral_normalization(name: str, iterations: int) -> None:
    shape = (2, 5, 4, 3) if name == "Conv2D" else (2, 5, 3)
    theirs, ours = (k.SpectralNormalization(INNER[name](k), iterations) for k in (keras.layers, layers))
    pair(theirs, ours, draw(*shape))
    same(theirs, ours, draw(*shape))
    for step in range(3):
        same(theirs, ours, draw(*shape, seed=step), training=True)
    same(theirs, ours, draw(*shape))


def test_spectral_normalization_of_embeddings_and_of_zeros() -> None:
    ids = np.array([[1, 2, 8], [3, 1, 0]])
    for start in ("uniform", "zeros"):
        theirs, ours = (
            k.SpectralNormalization(k.Embedding(9, 4, embeddings_initializer=start)) for k in (keras.layers, layers)
        )
        theirs(ids)
        ours(ids)
        ours.set_weights(theirs.get_weights())
        for _ in range(2):
            # Keras makes the output as whole as the ids are: zeros.
            right = theirs(ids.astype("float32"), training=True).detach().numpy()
            np.testing.assert_allclose(ours(ids, training=True).numpy(), right, **VALUES)
        for mine, wanted in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(mine, wanted, **VALUES)


def both(stack: Any, shape: tuple[int, ...]) -> tuple[Any, Sequential]:
    """The same stack of layers in Keras and here, with Keras's weights."""
    theirs = keras.Sequential([keras.Input(shape), *stack(keras.layers)])
    ours = Sequential([padless.Input(shape), *stack(layers)])
    ours.set_weights(theirs.get_weights())
    theirs.compile(keras.optimizers.SGD(0.05), loss="mse")
    ours.compile(padless.optimizers.SGD(0.05), loss="mse")
    return theirs, ours


def quiet(k: Any) -> Any:
    """A layer that adds a scalar to the loss, in either library."""

    class Quiet(k.Layer):  # type: ignore[misc]
        supports_masking = True

        def call(self, x: Any) -> Any:
            self.add_loss(0.1 * (x * x).mean())
            return x

    return Quiet()


STACKS: dict[str, Any] = {
    "SpectralNormalization": lambda k: [k.SpectralNormalization(k.Dense(3, kernel_regularizer="l2")), k.Flatten()],
    "GroupNormalization": lambda k: [k.Dense(4), k.GroupNormalization(2, gamma_regularizer="l2"), k.Flatten()],
    "RMSNormalization": lambda k: [k.Dense(4), k.RMSNormalization(), k.Flatten()],
    "BatchNormalization": lambda k: [k.BatchNormalization(renorm=True, renorm_momentum=0.5), k.Flatten()],
    "ActivityRegularization": lambda k: [k.Dense(4), k.ActivityRegularization(0.05, 0.02), k.Flatten()],
    "Dense": lambda k: [k.Dense(4, activity_regularizer="l1"), k.Flatten(), k.Dense(3, activity_regularizer="l2")],
    "Conv1D": lambda k: [k.Conv1D(4, 2, activity_regularizer="l2", kernel_regularizer="l1"), k.Flatten()],
    "LSTM": lambda k: [
        k.LSTM(4, return_sequences=True, activity_regularizer="l1"),
        k.GRU(3, activity_regularizer="l2"),
    ],
    "SimpleRNN": lambda k: [
        k.Bidirectional(k.SimpleRNN(4, return_sequences=True), activity_regularizer="l1"),
        k.Flatten(),
    ],
    "function": lambda k: [k.Dense(4, activity_regularizer=lambda y: 0.1 * (y**4).sum()), k.Flatten()],
    "orthogonal": lambda k: [k.Flatten(), k.Dense(4, activity_regularizer="orthogonal_regularizer")],
    "add_loss": lambda k: [k.Dense(4), quiet(k), k.Flatten()],
    "wrapped": lambda k: [
        k.SpectralNormalization(k.Dense(4, activity_regularizer="l1"), activity_regularizer="l2"),
        k.Flatten(),
    ],
}


@pytest.mark.parametrize("name", STACKS)
def test_training(name: str) -> None:
    theirs, ours = both(lambda k: [*STACKS[name](k), k.Dense(2)], (5, 3))
    for step in range(5):
        x, y = draw(4, 5, 3, seed=step), draw(4, 2, seed=50 + step)
        want = theirs.train_on_batch(x, y, return_dict=True)["loss"]
        got = ours.train_on_batch(x, y, return_dict=True)["loss"]
        theirs.reset_metrics()
        ours.reset_metrics()
        np.testing.assert_allclose(got, float(want), err_msg=f"step {step}", **TRAINING)
        for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, **TRAINING)
    np.testing.assert_allclose(ours.evaluate(x, y, verbose=0), theirs.evaluate(x, y, verbose=0), **TRAINING)
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), **TRAINING)


def test_epochs_weigh_penalties_by_rows() -> None:
    x, y = draw(7, 5, 3), draw(7, 2, seed=1)
    theirs, ours = both(lambda k: [k.Dense(4, activity_regularizer="l1", kernel_regularizer="l2"), k.LSTM(2)], (5, 3))
    want = theirs.fit(x, y, batch_size=3, epochs=3, shuffle=False, verbose=0).history["loss"]
    got = ours.fit(x, y, batch_size=3, epochs=3, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(got, want, **TRAINING)
    np.testing.assert_allclose(
        ours.evaluate(x, y, batch_size=3, verbose=0), theirs.evaluate(x, y, batch_size=3, verbose=0), **TRAINING
    )


def test_losses_of_a_layer_and_of_a_model() -> None:
    x = draw(4, 5, 3)
    theirs, ours = both(
        lambda k: [k.Dense(4, activity_regularizer="l1", bias_regularizer="l2"), k.LSTM(2, activity_regularizer="l2")],
        (5, 3),
    )
    for model in (theirs, ours):
        model.layers[0].set_weights([np.ones((3, 4)), np.ones(4)])
        model(x)
        model(x)
    assert len(ours.losses) == len(theirs.losses) == 3
    right = [value.detach().numpy() for value in theirs.losses]
    np.testing.assert_allclose([float(value) for value in ours.losses], right, **VALUES)
    np.testing.assert_allclose(float(ours.layers[0].losses[0]), right[0], **VALUES)


NOISES: list[tuple[str, dict[str, Any]]] = [
    ("GaussianNoise", {"stddev": 0.3}),
    ("GaussianDropout", {"rate": 0.3}),
    ("AlphaDropout", {"rate": 0.3}),
    ("AlphaDropout", {"rate": 0.3, "noise_shape": (None, 1, None)}),
]


@pytest.mark.parametrize(("name", "kwargs"), NOISES)
def test_noise_made_of_the_same_numbers(name: str, kwargs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    x, uniform, normal = draw(3, 5, 4), np.random.default_rng(1).random((3, 5, 4), np.float32), draw(3, 5, 4, seed=2)

    def cut(numbers: Any, shape: Any) -> torch.Tensor:
        return torch.tensor(numbers[tuple(slice(int(n)) for n in shape)])

    monkeypatch.setattr(
        "keras.src.backend.random.normal", lambda shape, mean, stddev, **_: mean + stddev * cut(normal, shape)
    )
    monkeypatch.setattr("keras.src.random.uniform", lambda shape, **_: cut(uniform, shape))
    monkeypatch.setattr("keras.src.backend.random.uniform", lambda shape, **_: cut(uniform, shape))
    theirs, ours = getattr(keras.layers, name)(**kwargs), getattr(layers, name)(**kwargs)
    monkeypatch.setattr(ours.backend, "random_uniform", lambda key, shape, dtype: cut(uniform, shape))
    monkeypatch.setattr(ours.backend, "random_normal", lambda key, shape, dtype: cut(normal, shape))
    right = theirs(x, training=True).numpy()
    assert (right != x).any()
    np.testing.assert_allclose(ours(x, training=True).numpy(), right, **VALUES)


CLASSES = sorted({name for name, _, _ in CASES} | {"SpectralNormalization"})


@pytest.mark.parametrize("name", CLASSES)
def test_arguments_are_those_of_keras(name: str) -> None:
    theirs = inspect.signature(getattr(keras.layers, name).__init__).parameters
    ours = inspect.signature(getattr(layers, name).__init__).parameters
    wanted = {key: p.default for key, p in theirs.items() if p.kind is not p.VAR_KEYWORD}
    got = {key: p.default for key, p in ours.items() if p.kind is not p.VAR_KEYWORD}
    assert list(got) == list(wanted)
    assert got == wanted
