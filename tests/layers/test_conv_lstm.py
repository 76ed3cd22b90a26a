"""Convolutional LSTMs: the formula, step by step; shapes; what does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Ragged, Sequential, layers
from padless.errors import ArgumentError, NotThereYetError, ShapeError
from padless.layers.conv_lstm import ConvLSTMCell
from padless.random import drawing
from tests.tolerances import VALUES

F = 2
SHAPES = {layers.ConvLSTM1D: (6, 3), layers.ConvLSTM2D: (5, 6, 3), layers.ConvLSTM3D: (3, 4, 5, 3)}
every_rank = pytest.mark.parametrize("kind", SHAPES)


def host(x: Any) -> np.ndarray[Any, Any]:
    return padless.backends.of(x).to_host(x)


def frames(*lengths: int, shape: tuple[int, ...] = (6, 3)) -> Ragged:
    numbers = np.random.default_rng(0)
    return Ragged.from_list([numbers.normal(size=(n, *shape)).astype(np.float32) for n in lengths])


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def test_the_formula_as_plainly_as_it_can_be_written(backend: str) -> None:
    layer = layers.ConvLSTM1D(F, 3, return_sequences=True, return_state=True)
    x = frames(4, 0, 2)
    output, h_last, c_last = layer(x)
    kernel, recurrent, bias = layer.get_weights()
    assert (kernel.shape, recurrent.shape, bias.tolist()) == ((3, 3, 4 * F), (3, F, 4 * F), [0, 0, 1, 1, 0, 0, 0, 0])
    for row, steps in enumerate(x):
        h = c = np.zeros((4, F))
        for t, step in enumerate(host(steps)):
            around = np.pad(h, ((1, 1), (0, 0)))
            z = np.stack(
                [sum(step[w + k] @ kernel[k] + around[w + k] @ recurrent[k] for k in range(3)) for w in range(4)]
            )
            i, f, g, o = np.split(z + bias, 4, axis=-1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            np.testing.assert_allclose(host(output[row])[t], h, **VALUES)
        np.testing.assert_allclose(host(h_last)[row], h, **VALUES)
        np.testing.assert_allclose(host(c_last)[row], c, **VALUES)


@every_rank
@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ({}, lambda n: n - 1),
        ({"padding": "same"}, lambda n: n),
        ({"strides": 2}, lambda n: (n - 2) // 2 + 1),
        ({"strides": 2, "padding": "same"}, lambda n: -(-n // 2)),
        ({"dilation_rate": 2}, lambda n: n - 2),
    ],
)
def test_sizes(backend: str, kind: Any, arguments: dict[str, Any], size: Any) -> None:
    *places, channels = SHAPES[kind]
    layer = kind(F, 2, return_sequences=True, return_state=True, **arguments)
    x = frames(3, 0, 1, shape=SHAPES[kind])
    output, h, c = layer(x)
    expected = tuple(size(n) for n in places)
    assert output.shape == (3, None, *expected, F)
    assert tuple(h.shape) == tuple(c.shape) == (3, *expected, F)
    assert layer.get_weights()[0].shape == (*(2 for _ in places), channels, 4 * F)
    assert (layer.filters, layer.kernel_size) == (F, (2,) * len(places))
    assert not host(h)[1].any(), "no step, no state"


@every_rank
def test_a_dense_array_and_symbols(backend: str, kind: Any) -> None:
    model = Sequential([Input((None, *SHAPES[kind])), kind(F, 2, padding="same"), layers.Flatten(), layers.Dense(1)])
    x = np.random.default_rng(0).normal(size=(2, 3, *SHAPES[kind])).astype(np.float32)
    alone = [host(model(x[row : row + 1]))[0] for row in range(2)]
    np.testing.assert_allclose(host(model(x)), alone, **VALUES)
    np.testing.assert_allclose(host(model(Ragged.from_padded(x))), alone, **VALUES)


def test_both_directions_and_stacks(backend: str) -> None:
    x = frames(3, 1)
    both = layers.Bidirectional(layers.ConvLSTM1D(F, 3, padding="same", return_sequences=True))
    assert both(x).shape == (2, None, 6, 2 * F)
    stack = layers.RNN([ConvLSTMCell(1, F, 3), ConvLSTMCell(1, 1, 2)], return_sequences=True)
    assert stack(x).shape == (2, None, 3, 1)


def test_dropout_drops_whole_rows_alike(backend: str) -> None:
    for share in ("dropout", "recurrent_dropout"):
        layer = layers.ConvLSTM1D(F, 3, **{share: 0.5})
        x = frames(3, 2)
        quiet = host(layer(x))
        np.testing.assert_array_equal(host(layer(x)), quiet)
        with drawing(1, 1):
            first, same = host(layer(x, training=True)), host(layer(x, training=True))
        np.testing.assert_array_equal(first, same)
        assert np.abs(first - quiet).max() > 1e-3


def test_what_does_not_fit(backend: str) -> None:
    with pytest.raises(ShapeError, match=r"steps of shape \(W, C\)[^$]*steps of shape \(3,\)"):
        layers.ConvLSTM1D(F, 3)(Ragged.from_list([np.ones((2, 3), np.float32)]))
    with pytest.raises(ShapeError, match=r"steps of shape \(H, W, C\)[^$]*\(6, 3\)"):
        layers.ConvLSTM2D(F, 3)(frames(2))
    with pytest.raises(ShapeError, match=r"at least 7 places[^$]*padding='same'"):
        layers.ConvLSTM1D(F, 7)(frames(2))
    layers.ConvLSTM1D(F, 7, padding="same")(frames(2))
    layer = layers.ConvLSTM1D(F, 3)
    layer(frames(2))
    with pytest.raises(ShapeError, match="as in the first call"):
        layer(frames(2, shape=(7, 3)))
    with pytest.raises(ShapeError, match=r"2 array\(s\) of shape \(1, 4, 2\), \(1, 4, 2\)"):
        layers.ConvLSTM1D(F, 3)(frames(2), initial_state=[np.zeros((1, 6, 2)), np.zeros((1, 6, 2))])


def test_arguments() -> None:
    with pytest.raises(ArgumentError, match="filters: expected a whole number above 0"):
        layers.ConvLSTM1D(0, 3)
    with pytest.raises(ArgumentError, match="padding"):
        layers.ConvLSTM1D(F, 3, padding="causal")
    with pytest.raises(ArgumentError, match="not both"):
        layers.ConvLSTM2D(F, 3, strides=2, dilation_rate=2)
    with pytest.raises(ArgumentError, match="2 of them"):
        layers.ConvLSTM2D(F, (3, 3, 3))
    with pytest.raises(NotThereYetError, match="channels_last"):
        layers.ConvLSTM1D(F, 3, data_format="channels_first")
    with pytest.raises(ArgumentError, match="unit_forget_bias"):
        layers.ConvLSTM1D(F, 3, unit_forget_bia=False)
