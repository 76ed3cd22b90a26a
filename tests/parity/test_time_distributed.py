"""TimeDistributed against Keras on input without padding: outputs, gradients, weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import padless
from padless import Ragged, layers
from tests.parity.test_layers import _torch as _torch
from tests.parity.test_layers import draw, same
from tests.tolerances import VALUES

# Keras's variables do not take NumPy 2's copy argument.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

INNER: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "Dense": (lambda of: of.Dense(4, activation="tanh"), (2, 3, 5)),
    "Dense, more axes": (lambda of: of.Dense(4), (2, 3, 2, 5)),
    "LayerNormalization": (lambda of: of.LayerNormalization(), (2, 3, 5)),
    "LSTM": (lambda of: of.LSTM(4), (2, 3, 5, 2)),
    "GRU, sequences": (lambda of: of.GRU(4, return_sequences=True), (2, 3, 5, 2)),
    "Conv1D": (lambda of: of.Conv1D(4, 2, padding="same"), (2, 3, 5, 2)),
    "Conv2D": (lambda of: of.Conv2D(4, 2), (2, 3, 4, 5, 2)),
    "MaxPooling2D": (lambda of: of.MaxPooling2D(), (2, 3, 4, 5, 2)),
    "GlobalMaxPooling1D": (lambda of: of.GlobalMaxPooling1D(), (2, 3, 5, 2)),
    "Bidirectional": (lambda of: of.Bidirectional(of.LSTM(3, return_sequences=True)), (2, 3, 5, 2)),
    "TimeDistributed": (lambda of: of.TimeDistributed(of.Dense(4)), (2, 3, 5, 2)),
}


def pair(make: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
    theirs, ours = keras.layers.TimeDistributed(make(keras.layers)), layers.TimeDistributed(make(layers))
    theirs(x)
    ours(x)
    weights = theirs.get_weights()
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in weights]
    weights = [np.abs(draw(*w.shape, seed=20 + at)) * 0.5 for at, w in enumerate(weights)]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    return theirs, ours


@pytest.mark.parametrize("name", INNER)
def test_layers_in_time(name: str) -> None:
    make, shape = INNER[name]
    x = draw(*shape)
    same(*pair(make, x), x)


def test_a_model_of_sentences() -> None:
    """The same ids, without padding, as an array and as documents of sentences."""
    ids = np.random.default_rng(0).integers(1, 10, (2, 3, 5))
    inner = keras.Sequential([keras.layers.Embedding(10, 4), keras.layers.LSTM(3)])
    theirs = keras.Sequential([keras.layers.TimeDistributed(inner), keras.layers.GRU(2)])
    wanted = theirs(ids).detach().numpy()
    ours = padless.Sequential(
        [
            layers.TimeDistributed(padless.Sequential([layers.Embedding(10, 4, mask_zero=True), layers.LSTM(3)])),
            layers.GRU(2),
        ]
    )
    ours(ids)
    ours.set_weights(theirs.get_weights())
    for x in (ids, Ragged.from_list(ids.tolist(), ragged_rank=2), np.pad(ids, ((0, 0), (2, 1), (3, 2)))):
        np.testing.assert_allclose(ours.predict(x) if isinstance(x, Ragged) else ours(x).numpy(), wanted, **VALUES)
    assert theirs.layers[0].get_config()["name"]
    assert set(layers.TimeDistributed(layers.Dense(2)).get_config()) >= {"layer", "name", "trainable", "dtype"}


def test_keras_makes_no_mask_inside_and_padless_does() -> None:
    """keras#3651, #4786, #5212, #7292: there, more padding of words changes the answer."""
    ids = np.random.default_rng(0).integers(1, 10, (2, 3, 5))
    more = np.pad(ids, ((0, 0), (0, 0), (0, 6)))

    def apart(of: Any, sequential: Any) -> float:
        model = sequential(
            [
                of.TimeDistributed(of.Embedding(10, 4, mask_zero=True)),
                of.TimeDistributed(of.GRU(3)),
                of.GRU(2),
            ]
        )
        model(ids)
        model.set_weights([draw(*w.shape, seed=at) for at, w in enumerate(model.get_weights())])
        one, other = model(ids), model(more)
        return float(abs(one - other).max().detach())

    assert apart(keras.layers, keras.Sequential) > 1e-3, "Keras got it right: make this a test of parity"
    assert apart(layers, padless.Sequential) < 1e-6
