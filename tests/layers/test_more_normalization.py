"""Normalization of groups, by root mean square, to unit length, with slow statistics, of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Model, Ragged, Sequential, backends, layers
from padless.errors import ArgumentError, DataError, MaskError, NotBuiltError, ShapeError
from padless.layer import substituted
from tests.tolerances import TRAINING, VALUES

RNG = np.random.default_rng(8)
LENGTHS = [3, 0, 5, 1]
X = RNG.normal(size=(sum(LENGTHS), 6)).astype(np.float32)


def host(x: Any) -> Any:
    return backends.of(x).to_host(x)


def test_groups_by_hand(backend: str) -> None:
    y = layers.GroupNormalization(3, epsilon=1e-4)(Ragged.from_lengths(X, LENGTHS))
    for row, got in zip(np.split(X, np.cumsum(LENGTHS)[:-1]), y, strict=True):
        if not len(row):
            assert host(got).shape == (0, 6)
            continue
        groups = row.astype(np.float64).reshape(len(row), 3, 2)
        mean, variance = groups.mean(axis=(0, 2), keepdims=True), groups.var(axis=(0, 2), keepdims=True)
        want = (groups - mean) / np.sqrt(variance + 1e-4)
        np.testing.assert_allclose(host(got), want.reshape(row.shape), **VALUES)


def test_groups_of_rows_are_those_of_arrays_of_their_length(backend: str) -> None:
    layer = layers.GroupNormalization(2, axis=2)
    x = RNG.normal(size=(2, 5, 4, 3)).astype(np.float32)
    rows = layer(Ragged.from_lengths(x.reshape(10, 4, 3), [5, 5]))
    np.testing.assert_allclose(host(rows.values).reshape(x.shape), host(layer(x)), **VALUES)


def test_groups_must_divide_the_features() -> None:
    for groups in (0, -2, 1.5, "two"):
        with pytest.raises(ArgumentError, match="groups: expected a whole number above 0"):
            layers.GroupNormalization(groups)
    with pytest.raises(ArgumentError, match=r"a divisor of the 6 features(.|\n)*groups=2"):
        layers.GroupNormalization(4)(X)
    with pytest.raises(ArgumentError, match="groups=2"):
        layers.GroupNormalization()(X)
    with pytest.raises(ArgumentError, match="expected one axis"):
        layers.GroupNormalization(2, axis=(1, 2))(X[None])
    layer = layers.GroupNormalization(2)
    layer(X)
    with pytest.raises(ShapeError, match="6 features"):
        layer(X[:, :4])
    assert layers.GroupNormalization(-1).get_config()["groups"] == -1


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.GroupNormalization(2, axis=1),
        lambda: layers.RMSNormalization(axis=(1, 2)),
        lambda: layers.UnitNormalization(axis=1),
        lambda: layers.BatchNormalization(axis=1, renorm=True),
    ],
)
def test_time_of_rows_is_refused(backend: str, make: Any) -> None:
    layer, x = make(), RNG.normal(size=(2, 4, 6)).astype(np.float32)
    assert host(layer(x)).shape == x.shape
    with pytest.raises(MaskError, match="holds time, and rows"):
        layer(Ragged.from_lengths(X, LENGTHS))
    with pytest.raises((MaskError, ShapeError), match=r"holds time, and rows|axes whose size is known"):
        make()(Input((None, 6)))


def test_axes_that_do_not_stand_beside_each_other(backend: str) -> None:
    """Keras multiplies such scales along the wrong axes, or fails."""
    x = RNG.normal(size=(3, 5, 2, 4)).astype(np.float32)
    layer = layers.RMSNormalization(axis=(1, 3), epsilon=0.01)
    layer(x)
    scale = RNG.normal(size=(5, 4)).astype(np.float32)
    layer.set_weights([scale])
    want = x / np.sqrt((x.astype(np.float64) ** 2).mean(axis=(1, 3), keepdims=True) + 0.01) * scale[:, None]
    np.testing.assert_allclose(host(layer(x)), want, **VALUES)


def test_zeros_are_fine(backend: str) -> None:
    x = np.zeros((2, 3), np.float32)
    for layer in (layers.UnitNormalization(), layers.RMSNormalization(), layers.GroupNormalization(1)):
        np.testing.assert_array_equal(host(layer(x)), x)


def test_gradients_at_zero_are_numbers(trainer: str) -> None:
    backend = backends.current()
    for layer in (layers.UnitNormalization(), layers.RMSNormalization(), layers.GroupNormalization(1)):
        start = {"x": backend.asarray(np.zeros((2, 3), np.float32))}
        _, gradients = backend.value_and_grad(lambda a, layer=layer: (backend.xp.sum(layer(a["x"])), None), start)
        assert np.abs(host(gradients["x"])).max() < 1e4


def test_bounds_of_renorm() -> None:
    for wrong in ({"r": 1.0}, {"rmin": 2.0, "rmax": 1.0}, {"dmax": -1.0}, "rmax"):
        with pytest.raises(ArgumentError, match="renorm_clipping: expected a dict"):
            layers.BatchNormalization(renorm=True, renorm_clipping=wrong)


@pytest.mark.filterwarnings("ignore::padless.batching.EmptyRowsWarning")
def test_spectral_normalization_on_rows_and_in_models(trainer: str) -> None:
    padless.utils.set_random_seed(1)
    x = Input((None, 6))
    dense = layers.SpectralNormalization(layers.Dense(4), power_iterations=3)
    model = Model(x, layers.LSTM(2)(dense(x)))
    model.compile("sgd", "mse")
    rows = np.split(X, np.cumsum(LENGTHS)[:-1])
    for _ in range(20):
        model.fit(rows, np.zeros((4, 2)), batch_size=3, verbose=0)
    largest = np.linalg.norm(dense.layer.get_weights()[0], 2)
    assert abs(largest - 1) < 0.1
    again = Sequential.from_config(Sequential([dense]).get_config())
    assert again.layers[0].power_iterations == 3
    assert dense(Ragged.from_lengths(X, LENGTHS)).rows.row_lengths.tolist() == LENGTHS


def test_spectral_normalization_changes_a_called_layer_as_in_keras(backend: str) -> None:
    layer = layers.SpectralNormalization(layers.Dense(4), power_iterations=30)
    layer(X)
    drawn = layer.layer.get_weights()
    # The iterations converge as the second singular value over the first: a drawn kernel may have two alike.
    u, _, v = np.linalg.svd(drawn[0], full_matrices=False)
    layer.layer.set_weights([np.float32(u * [1.2, 0.6, 0.3, 0.1] @ v), *drawn[1:]])
    before = layer.layer.get_weights()[0]
    layer(X)
    np.testing.assert_array_equal(layer.layer.get_weights()[0], before)
    with substituted(layer, {}) as states:
        layer(X, training=True)
    assert set(states) == {"vector_u", "layer/kernel"}
    np.testing.assert_array_equal(layer.layer.get_weights()[0], before)
    layer(X, training=True)
    np.testing.assert_allclose(layer.layer.get_weights()[0], before / np.linalg.norm(before, 2), **TRAINING)
    assert not np.array_equal(layer.get_weights()[0], np.zeros((1, 4)))


def test_spectral_normalization_needs_a_matrix() -> None:
    with pytest.raises(ArgumentError, match="layer: expected a layer"):
        layers.SpectralNormalization("dense")
    with pytest.raises(ArgumentError, match="power_iterations"):
        layers.SpectralNormalization(layers.Dense(2), 0)
    with pytest.raises(ArgumentError, match="expected one with a kernel or embeddings"):
        layers.SpectralNormalization(layers.ReLU())(X)
    with pytest.raises(MaskError, match="SpectralNormalization"):
        layers.SpectralNormalization(layers.Conv2D(2, 2))(Ragged.from_lengths(np.ones((4, 5, 3), "float32"), [3, 1]))


def test_given_scales_must_fit() -> None:
    rows = Ragged.from_lengths(X, LENGTHS)
    with pytest.raises(ShapeError, match=r"scale: expected a number, or an array that fits(.|\n)*shape \(5,\)"):
        layers.Rescaling(np.ones(5))(X)
    with pytest.raises(ShapeError, match="offset"):
        layers.Rescaling(1.0, np.ones((3, 6)))(rows)
    with pytest.raises(ShapeError, match=r"one for each feature along axis -1: shape \(6,\)"):
        layers.Normalization(mean=np.ones(5), variance=np.ones(5))(X)
    with pytest.raises(ArgumentError, match="mean and variance: expected both, of one shape"):
        layers.Normalization(mean=1.0)
    with pytest.raises(ArgumentError, match="mean and variance"):
        layers.Normalization(mean=np.ones(2), variance=np.ones(3))
    with pytest.raises(NotBuiltError, match=r"layer.adapt\(data\)"):
        layers.Normalization()(X)
    with pytest.raises(ArgumentError, match="adapt: expected neither given"):
        layers.Normalization(mean=1.0, variance=1.0).adapt(X)
    with pytest.raises(DataError, match="adapt: expected numbers"):
        layers.Normalization().adapt(Ragged.from_list([np.zeros((0, 6))]))
    layer = layers.Normalization(axis=1, mean=1.0, variance=1.0)
    layer(X[None])
    with pytest.raises(MaskError, match="holds time, and rows"):
        layer(rows)


def test_whole_numbers_are_rescaled(backend: str) -> None:
    x = Ragged.from_list([[0, 255], [51]])
    np.testing.assert_allclose(host(layers.Rescaling(1 / 255)(x).values), [0, 1, 0.2], **VALUES)
    one = layers.Normalization(axis=None, mean=1.0, variance=4.0)
    np.testing.assert_allclose(host(one(x).values), [-0.5, 127, 25], **VALUES)
