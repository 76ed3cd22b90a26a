"""ReversibleEmbedding called backwards: beside Keras, on rows, in a model that ends with its own table."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from padless import Input, Model, Ragged, layers
from padless.errors import DataError, ShapeError
from tests.oracle import answers, assert_same
from tests.tolerances import VALUES

VECTORS = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("options", [{}, {"tie_weights": False}, {"logit_soft_cap": 0.1}], ids=str)
def test_scores_are_those_of_keras(backend: str, options: dict[str, Any]) -> None:
    theirs, ours = keras.layers.ReversibleEmbedding(7, 4, **options), layers.ReversibleEmbedding(7, 4, **options)
    theirs(np.array([[1]]))
    ours(np.array([[1]]))
    ours.set_weights(theirs.get_weights())
    expected = keras.ops.convert_to_numpy(theirs(VECTORS, reverse=True))
    assert_same(answers(ours(VECTORS, reverse=True)), [list(expected)], **VALUES)


def test_a_language_model_ends_with_the_table_it_begins_with(backend: str) -> None:
    table = layers.ReversibleEmbedding(7, 4, mask_zero=True)
    x = Input((None,), dtype="int32")
    model = Model(x, table(layers.LSTM(4, return_sequences=True)(table(x)), reverse=True))
    assert model.count_params() == 7 * 4 + 2 * 4 * 16 + 16
    rows = [[1, 2, 3], [4]]
    truth = [[answers(model(np.array([row])))[0][0] for row in rows]]
    assert_same(answers(model(Ragged.from_list(rows))), truth, **VALUES)
    padded = answers(model(np.array([[1, 2, 3, 0], [4, 0, 0, 0]])))[0]
    assert_same([[padded[0][:3], padded[1][:1]]], truth, **VALUES)


def test_wrong_input_is_named(backend: str) -> None:
    layer = layers.ReversibleEmbedding(7, 4)
    layer([[1]])
    with pytest.raises(ShapeError, match="expected 4 features"):
        layer(Ragged.from_list([np.ones((2, 3), np.float32)]), reverse=True)
    with pytest.raises(DataError, match="id 9"):
        layer([[9]])
