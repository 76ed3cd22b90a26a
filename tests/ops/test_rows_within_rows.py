"""Functions and operators on rows within rows: element by element they keep both; others say how to reach the inner."""

from __future__ import annotations

import numpy as np
import pytest

from padless import DataError, Input, MaskError, Model, Ragged, layers, ops

DOCUMENTS = [[[[1.0, -2.0], [3.0, 4.0]], [[5.0, 6.0]]], [], [[[7.0, -8.0]]]]


def test_functions_element_by_element_keep_both_rows() -> None:
    x = Ragged.from_list(DOCUMENTS)
    for made in (ops.relu(x), ops.maximum(x, 0.0), ops.where(x > 0, x, 0.0), x * np.array([1.0, 1.0]), x[..., :]):
        assert made.rows is x.rows
        assert made.values.rows is x.values.rows
    assert ops.relu(x).to_list()[0] == [[[1, 0], [3, 4]], [[5, 6]]]
    assert (x * np.array([1, 10])).to_list()[2] == [[[7, -80]]]
    assert x[..., 0].to_list() == [[[1, 3], [5]], [], [[7]]]
    for product in (x @ np.ones((2, 1), np.float32), ops.matmul(x, np.ones((2, 1), np.float32))):
        assert product.to_list()[2] == [[[-1]]]
    other = Ragged.from_list([[[[1.0, 2.0]], [[5.0, 6.0], [3.0, 4.0]]], [], [[[7.0, -8.0]]]])
    with pytest.raises(DataError, match="has 2 steps on one side and 1"):
        ops.add(x, other)


def test_symbols_of_rows_within_rows_as_data() -> None:
    documents = Input((None, None, 2))
    functions = (lambda x: x[..., 0], lambda x: x[:, :, 1:], lambda x: x @ np.ones((2, 1), np.float32), lambda x: 1 - x)
    x = Ragged.from_list(DOCUMENTS)
    for one, function in zip(Model(documents, [f(documents) for f in functions])(x), functions, strict=True):
        assert one.to_list() == function(x).to_list()


def test_other_functions_say_how_to_reach_the_inner_rows() -> None:
    x = Ragged.from_list(DOCUMENTS)
    for attempt in (lambda: ops.sum(x, axis=1), lambda: ops.concatenate([x, x], axis=-1), lambda: ops.flip(x, axis=1)):
        with pytest.raises(MaskError, match=r"x\.with_values\(ops\.\w+\(x\.values"):
            attempt()
    assert x.with_values(ops.max(x.values, axis=1)).to_list() == [[[3, 4], [5, 6]], [], [[7, -8]]]


@pytest.mark.parametrize("axis", [1, 2])
def test_axes_of_layers_are_not_taken_for_those_of_inner_rows(axis: int) -> None:
    x = Ragged.from_list(DOCUMENTS)
    for layer, given in (
        (layers.Concatenate(axis=axis), [x, x]),
        (layers.Softmax(axis=axis), x),
        (layers.LayerNormalization(axis=axis), x),
    ):
        with pytest.raises(MaskError, match=rf"{layer.name}.*counted from the end.*\n.*axis=\[?{axis}"):
            layer(given)
    assert layers.Concatenate(axis=-2)([x, x]).to_list()[2] == [[[7, -8], [7, -8]]]


def test_layers_that_look_at_steps_look_at_inner_ones() -> None:
    x = Ragged.from_list(DOCUMENTS)
    assert layers.Identity()(x).values.rows is x.values.rows
    assert layers.Reshape((-1, 2, 1))(x).shape == (3, None, None, 2, 1)
    assert layers.EinsumDense("abc,cd->abd", (None, 5))(x).shape == (3, None, None, 5)
    assert layers.Lambda(lambda v: v * 2, view="steps")(x).to_list()[2] == [[[14, -16]]]
    for layer in (layers.Lambda(ops.relu, view="ragged"), layers.Permute((2, 1))):
        with pytest.raises(MaskError, match=layer.name):
            layer(x)
