"""Losses of whole batches and rows in training: filled up or not, the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import padless
from padless import Ragged, Sequential, layers, losses
from tests.tolerances import TRAINING, VALUES

RNG = np.random.default_rng(2)
X = [RNG.normal(size=(n, 3)).astype("float32") for n in (4, 1, 6, 3, 2)]
Y = [RNG.integers(0, 2, (len(x), 2)).astype("float32") for x in X]
LABELS = [RNG.integers(0, 2, len(x)) for x in X]

LOSSES: dict[str, tuple[Any, Any]] = {
    "Dice": (losses.Dice, Y),
    "Dice of rows": (lambda: losses.Dice(axis=(1, 2)), Y),
    "Dice of steps": (lambda: losses.Dice(axis=-1), Y),
    "Tversky of outputs": (lambda: losses.Tversky(0.3, 0.7, axis=(0, 1)), Y),
    "Circle": (lambda: losses.Circle(gamma=2.0), LABELS),
    "focal": (lambda: losses.BinaryFocalCrossentropy(apply_class_balancing=True), Y),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_in_training(name: str, weighted: bool, trainer: str) -> None:
    make, y = LOSSES[name]
    weight = np.array([1.0, 0.5, 2.0, 0.0, 1.0]) if weighted else None
    padless.utils.set_random_seed(4)
    model = Sequential([layers.Dense(2, activation="sigmoid"), layers.LayerNormalization()][: 1 + (name == "Circle")])
    model.compile("sgd", loss=make())
    predicted = model.predict(X, verbose=0)
    want = float(make()(Ragged.from_list(y), Ragged.from_list(predicted), weight))
    np.testing.assert_allclose(model.evaluate(X, y, sample_weight=weight, verbose=0), want, **VALUES)
    history = model.fit(X, y, sample_weight=weight, epochs=2, verbose=0).history["loss"]
    np.testing.assert_allclose(history[0], want, **TRAINING)
    assert history[1] < history[0]
