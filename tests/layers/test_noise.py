"""Noise: what is drawn depends on seed, place and row, never on padding, other rows' lengths or spare slots."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from padless import Layer, Ragged, backends, layers, random
from padless.errors import ArgumentError, MaskError, NotThereYetError, ShapeError
from tests.cases import Case
from tests.compiled import run_training
from tests.tolerances import VALUES

RNG = np.random.default_rng(5)
D = 6


def host(x: Any) -> Any:
    return backends.of(x).to_host(x)


def drawn(layer: Layer, lengths: list[int], *, seed: int = 1) -> list[Any]:
    """What a layer makes of rows of ones, while training."""
    x = Ragged.from_lengths(np.ones((sum(lengths), D), np.float32), lengths)
    with random.drawing(seed, 2):
        return [host(row) for row in layer(x, training=True)]


SHARED: list[Any] = [
    lambda: layers.SpatialDropout1D(0.5, name="here"),
    lambda: layers.Dropout(0.5, (None, 1, None), name="here"),
    lambda: layers.AlphaDropout(0.5, (None, 1, None), name="here"),
]


@pytest.mark.parametrize("make", SHARED)
def test_one_mask_for_a_row(backend: str, make: Any) -> None:
    found = drawn(make(), [3, 0, 5, 1])
    for row in found:
        assert (row == row[:1]).all()
    masks = {tuple(row[0]) for row in found if len(row)}
    assert len(masks) == 3, "each row has its own"
    for other in ([1, 2, 9, 4], [40, 40, 40, 40], [3, 0, 5, 1, 7, 7, 7]):
        for row, mine in zip(drawn(make(), other), found, strict=False):
            if len(row) and len(mine):
                np.testing.assert_array_equal(row[0], mine[0])
    assert not all(
        (a[0] == b[0]).all() for a, b in zip(drawn(make(), [1] * 4, seed=9), drawn(make(), [1] * 4), strict=True)
    )


@pytest.mark.parametrize("make", SHARED)
def test_filled_up_as_it_is(backend: str, make: Any) -> None:
    """Where steps are compiled, spare rows and steps change no draw; rows without padding give what padded ones do."""
    layer = make()
    x = Ragged.from_lengths(np.ones((9, D), np.float32), [3, 0, 5, 1])
    layer(x)
    with random.drawing(seed=1, step=2):
        plain = [host(row) for row in layer(x, training=True)]
    compiled, _ = run_training(layer, [Ragged(layer.backend.asarray(x.values), x.rows)])
    np.testing.assert_array_equal(host(compiled.values), np.concatenate(plain))
    mask = np.zeros((4, 12), bool)
    for row, n in enumerate([3, 0, 5, 1]):
        mask[row, 12 - n :] = True
    with random.drawing(seed=1, step=2):
        padded = host(
            layer(np.where(mask[..., None], 1.0, np.nan).repeat(D, -1).astype(np.float32), mask=mask, training=True)
        )
    np.testing.assert_array_equal(padded[mask], np.concatenate(plain))


def test_one_mask_for_a_place_in_all_rows(backend: str) -> None:
    found = drawn(layers.Dropout(0.5, (1, None, None), name="here"), [4, 7, 2])
    for row in found:
        np.testing.assert_array_equal(row, found[1][: len(row)])
    assert len({tuple(step) for step in found[1]}) > 3
    one = drawn(layers.Dropout(0.5, (1, 1, None), name="here"), [4, 7, 2])
    assert len({tuple(step) for row in one for step in row}) == 1
    by_step = drawn(layers.Dropout(0.5, (None, None, 1), name="here"), [40])
    assert {tuple(set(step)) for step in by_step[0].tolist()} == {(0.0,), (2.0,)}


@pytest.mark.parametrize("kind", [layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D])
def test_whole_features_of_arrays(backend: str, kind: Any) -> None:
    extra = {layers.SpatialDropout1D: 1, layers.SpatialDropout2D: 2, layers.SpatialDropout3D: 3}[kind]
    x = np.ones((5, *(3 for _ in range(extra)), 20), np.float32)
    y = host(kind(0.5)(x, training=True)).reshape(5, -1, 20)
    assert (y == y[:, :1]).all()
    assert {0.0, 2.0} == set(y.ravel().tolist())
    assert (y[0] != y[1]).any()
    np.testing.assert_array_equal(host(kind(0.5)(x)), x)
    if extra > 1:
        first = host(kind(0.5, data_format="channels_first")(np.moveaxis(x, -1, 1), training=True)).reshape(5, 20, -1)
        assert (first == first[..., :1]).all()
        assert (first[..., 0] != first[:, :1, 0]).any()
        with pytest.raises(MaskError, match="'channels_last' on rows"):
            kind(0.5, "channels_first")(Ragged.from_lengths(x[0], [2, 1]))
    with pytest.raises(ShapeError, match=f"expected {extra + 2} axes"):
        kind(0.5)(np.ones((2, 3), np.float32))


@pytest.mark.parametrize(
    ("layer", "mean", "deviation"),
    [
        (layers.GaussianNoise(0.3), 2.0, 0.3),
        (layers.GaussianDropout(0.2), 2.0, 2 * 0.5),
        (layers.SpatialDropout1D(0.2), 2.0, 2 * 0.5),
    ],
)
def test_moments(layer: Layer, mean: float, deviation: float) -> None:
    y = np.asarray(
        host(type(layer)(*layer._arguments.values())(np.full((400, 2, 100), 2.0, np.float32), training=True))
    )
    assert abs(y.mean() - mean) < 0.02
    assert abs(y.std() - deviation) < 0.02
    assert layer(np.ones((1, 1, 2), np.float32)) is not None


def test_alpha_dropout_keeps_mean_and_variance(backend: str) -> None:
    x = RNG.normal(size=(300, 100)).astype(np.float32)
    y = host(layers.AlphaDropout(0.4)(x, training=True))
    assert abs(y.mean()) < 0.02
    assert abs(y.std() - 1) < 0.02
    lowest = -1.0507009873554805 * 1.6732632423543772
    scale = (0.6 * (1 + 0.4 * lowest**2)) ** -0.5
    dropped = np.isclose(y, scale * (lowest - 0.4 * lowest), rtol=1e-6)
    assert abs(dropped.mean() - 0.4) < 0.02
    np.testing.assert_allclose(y[~dropped], scale * (x[~dropped] - 0.4 * lowest), **VALUES)


@pytest.mark.parametrize(
    "kind", [layers.GaussianNoise, layers.GaussianDropout, layers.AlphaDropout, layers.SpatialDropout1D]
)
def test_nothing_happens_outside_of_training_and_at_0(backend: str, kind: Any) -> None:
    x = RNG.normal(size=(3, 4, 2)).astype(np.float32)
    np.testing.assert_array_equal(host(kind(0.5)(x)), x)
    np.testing.assert_array_equal(host(kind(0)(x, training=True)), x)
    with random.drawing(1, 2):
        one = host(kind(0.5, seed=3, name="here")(x, training=True))
        assert (one != host(kind(0.5, seed=4, name="here")(x, training=True))).any()
        np.testing.assert_array_equal(one, host(kind(0.5, seed=3, name="here")(x, training=True)))


def test_wrong_arguments() -> None:
    for kind in (layers.GaussianDropout, layers.AlphaDropout):
        with pytest.raises(ArgumentError, match="rate: expected a number from 0 up to, but not, 1"):
            kind(1.0)
    for kind in (layers.GaussianDropout, layers.AlphaDropout, layers.SpatialDropout1D, layers.GaussianNoise):
        for wrong in (-0.1, 1.5, "half", None):
            with pytest.raises(ArgumentError, match="expected a number from 0"):
                kind(wrong)
    with pytest.raises(ArgumentError, match="noise_shape"):
        layers.AlphaDropout(0.5, "abc")
    with pytest.raises(ArgumentError, match="one of 'channels_last', 'channels_first'"):
        layers.SpatialDropout2D(0.5, "first")
    with pytest.raises(NotThereYetError, match="lora_rank"):
        layers.GaussianNoise(0.5, lora_rank=2)


def test_float64_stays() -> None:
    for layer in (layers.GaussianNoise(0.5, dtype="float64"), layers.GaussianDropout(0.5, dtype="float64")):
        case = Case("", lambda d, layer=layer: layer, "kept")
        assert host(case.make("")(np.ones((2, 3)), training=True)).dtype == np.float64
