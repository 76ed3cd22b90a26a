"""Ten training steps with copied weights, on unpadded data: the losses and the weights of Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import padless
from padless import Sequential, layers
from tests.tolerances import TRAINING

# Keras's variables do not take NumPy 2's copy argument.
pytestmark = [
    pytest.mark.usefixtures("trainer"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

RNG = np.random.default_rng(3)
STEPS = 10
BATCHES = RNG.normal(size=(STEPS, 4, 6, 5)).astype("float32")
IDS = RNG.integers(0, 9, size=(STEPS, 4, 6))
NUMBERS = RNG.normal(size=(STEPS, 4, 2)).astype("float32")
LABELS = RNG.integers(0, 2, size=(STEPS, 4))
IMAGES = RNG.normal(size=(STEPS, 4, 6, 6, 3)).astype("float32")


def both(stack: Any, shape: tuple[int, ...]) -> tuple[Any, Sequential]:
    """The same stack of layers in Keras and here, with Keras's weights."""
    theirs = keras.Sequential([keras.Input(shape), *stack(keras.layers)])
    ours = Sequential([padless.Input(shape), *stack(layers)])
    ours.set_weights(theirs.get_weights())
    return theirs, ours


def train(theirs: Any, ours: Sequential, x: Any, y: Any, **weights: Any) -> None:
    for step in range(STEPS):
        extra = {key: value[step] for key, value in weights.items()}
        want = theirs.train_on_batch(x[step], y[step], return_dict=True, **extra)
        got = ours.train_on_batch(x[step], y[step], return_dict=True, **extra)
        assert set(got) == set(want)
        theirs.reset_metrics()
        ours.reset_metrics()
        np.testing.assert_allclose(
            [got[name] for name in want], [float(want[name]) for name in want], err_msg=f"step {step}", **TRAINING
        )
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, **TRAINING)


SEQUENCE: dict[str, Any] = {
    "Dense": lambda k: [k.Dense(4, activation="tanh")],
    "Activation": lambda k: [k.Dense(4), k.Activation("gelu")],
    "LayerNormalization": lambda k: [k.LayerNormalization()],
    "BatchNormalization": lambda k: [k.BatchNormalization(momentum=0.8)],
    "LSTM": lambda k: [k.LSTM(4, return_sequences=True)],
    "GRU": lambda k: [k.GRU(4, return_sequences=True)],
    "GRU, reset before": lambda k: [k.GRU(4, return_sequences=True, reset_after=False)],
    "SimpleRNN": lambda k: [k.SimpleRNN(4, return_sequences=True, go_backwards=True)],
    **{
        f"Bidirectional, {mode}": lambda k, mode=mode: [
            k.Bidirectional(k.LSTM(4, return_sequences=True), merge_mode=mode)
        ]
        for mode in ("concat", "sum", "mul", "ave")
    },
    **{
        f"Conv1D, {padding}": lambda k, padding=padding: [k.Conv1D(4, 3, padding=padding, activation="relu")]
        for padding in ("valid", "same", "causal")
    },
    "Conv1D, strides": lambda k: [k.Conv1D(4, 3, strides=2, padding="same")],
    "Conv1D, dilation": lambda k: [k.Conv1D(4, 2, dilation_rate=2, padding="causal")],
    "Conv1D, groups": lambda k: [k.Dense(4), k.Conv1D(4, 3, groups=2)],
    "MaxPooling1D": lambda k: [k.Dense(4), k.MaxPooling1D(2)],
    "AveragePooling1D": lambda k: [k.Dense(4), k.AveragePooling1D(2)],
}


@pytest.mark.parametrize("name", SEQUENCE)
@pytest.mark.parametrize("pool", ["GlobalAveragePooling1D", "GlobalMaxPooling1D"])
def test_layers(name: str, pool: str) -> None:
    theirs, ours = both(lambda k: [*SEQUENCE[name](k), getattr(k, pool)(), k.Dense(2)], (6, 5))
    theirs.compile(keras.optimizers.SGD(0.05), loss="mse", metrics=["mae"])
    ours.compile(padless.optimizers.SGD(0.05), loss="mse", metrics=["mae"])
    train(theirs, ours, BATCHES, NUMBERS)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_embedding_and_last_states(kind: str) -> None:
    theirs, ours = both(lambda k: [k.Embedding(9, 4), getattr(k, kind)(3), k.Dense(2, activation="softmax")], (6,))
    theirs.compile(keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    ours.compile(padless.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    train(theirs, ours, IDS, LABELS)


def test_flatten_and_images() -> None:
    theirs, ours = both(
        lambda k: [
            k.Conv2D(4, 3, padding="same", activation="relu"),
            k.MaxPooling2D(2),
            k.Conv2D(3, 2),
            k.Flatten(),
            k.Dense(2),
        ],
        (6, 6, 3),
    )
    theirs.compile(keras.optimizers.Adam(0.01), loss="mse")
    ours.compile(padless.optimizers.Adam(0.01), loss="mse")
    train(theirs, ours, IMAGES, NUMBERS)


OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda k: k.SGD(0.05),
    "momentum": lambda k: k.SGD(0.05, momentum=0.9),
    "nesterov": lambda k: k.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda k: k.Adam(0.01),
    "amsgrad": lambda k: k.Adam(0.01, amsgrad=True),
    "adamw": lambda k: k.AdamW(0.01),
    "rmsprop": lambda k: k.RMSprop(0.01, momentum=0.5, centered=True),
    "clipnorm": lambda k: k.Adam(0.01, clipnorm=0.1),
    "clipvalue": lambda k: k.SGD(0.05, clipvalue=0.01),
    "global_clipnorm": lambda k: k.SGD(0.05, global_clipnorm=0.05),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str) -> None:
    theirs, ours = both(lambda k: [k.LSTM(4), k.Dense(2)], (6, 5))
    theirs.compile(OPTIMIZERS[name](keras.optimizers), loss="mse")
    ours.compile(OPTIMIZERS[name](padless.optimizers), loss="mse")
    train(theirs, ours, BATCHES, NUMBERS)


ONE_HOT = np.eye(2, dtype="float32")[LABELS]
LOSSES: dict[str, tuple[Any, Any]] = {
    "sparse": (lambda k: k.SparseCategoricalCrossentropy(from_logits=True), LABELS),
    "categorical": (lambda k: k.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1), ONE_HOT),
    "binary": (lambda k: k.BinaryCrossentropy(from_logits=True), ONE_HOT),
    "mse": (lambda k: k.MeanSquaredError(), NUMBERS),
    "mae": (lambda k: k.MeanAbsoluteError(), NUMBERS),
    "huber": (lambda k: k.Huber(0.5), NUMBERS),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    theirs, ours = both(lambda k: [k.GRU(4), k.Dense(2)], (6, 5))
    loss, y = LOSSES[name]
    theirs.compile(keras.optimizers.SGD(0.1), loss=loss(keras.losses))
    ours.compile(padless.optimizers.SGD(0.1), loss=loss(padless.losses))
    train(theirs, ours, BATCHES, y)


@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"])
def test_losses_of_probabilities_and_metrics(name: str) -> None:
    theirs, ours = both(lambda k: [k.GRU(4), k.Dense(2, activation="softmax")], (6, 5))
    y = LABELS if name.startswith("sparse") else ONE_HOT
    metrics = ["accuracy"] if name.startswith("sparse") else ["accuracy", "AUC", "Precision", "Recall", "mse", "mae"]
    theirs.compile("sgd", loss=name, metrics=metrics)
    ours.compile("sgd", loss=name, metrics=metrics)
    train(theirs, ours, BATCHES, y)


def test_sample_weights_by_keras_division() -> None:
    """Told to, a loss divides by the count as Keras does."""
    weights = RNG.uniform(size=(STEPS, 4)).astype("float32")
    theirs, ours = both(lambda k: [k.LSTM(4), k.Dense(2)], (6, 5))
    theirs.compile("sgd", loss=keras.losses.MeanSquaredError(reduction="sum_over_batch_size"))
    ours.compile("sgd", loss=padless.losses.MeanSquaredError(reduction="sum_over_batch_size"))
    train(theirs, ours, BATCHES, NUMBERS, sample_weight=weights)


def test_regularizers_and_constraints() -> None:
    theirs, ours = both(
        lambda k: [
            k.LSTM(4, kernel_regularizer="l2", recurrent_constraint="unit_norm"),
            k.Dense(2, bias_regularizer="l1"),
        ],
        (6, 5),
    )
    theirs.compile("sgd", loss="mse")
    ours.compile("sgd", loss="mse")
    train(theirs, ours, BATCHES, NUMBERS)


def test_a_tagger_one_loss_per_step() -> None:
    y = RNG.integers(0, 3, size=(STEPS, 4, 6))
    theirs, ours = both(lambda k: [k.Embedding(9, 4), k.GRU(4, return_sequences=True), k.Dense(3)], (6,))
    theirs.compile("adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    ours.compile("adam", loss=padless.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    train(theirs, ours, IDS, y)
