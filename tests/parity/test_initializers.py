"""Initializers: Keras's distributions, fans and configs; the same numbers for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

import padless
from padless import initializers
from padless.errors import ArgumentError, ShapeError

keras = pytest.importorskip("keras")

RANDOM = [
    ("RandomNormal", {"mean": 1.0, "stddev": 0.5}),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0}),
    ("TruncatedNormal", {"mean": 1.0, "stddev": 0.5}),
    ("VarianceScaling", {}),
    ("VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "uniform"}),
    ("VarianceScaling", {"mode": "fan_avg", "distribution": "untruncated_normal"}),
    ("VarianceScaling", {"distribution": "normal"}),
    *((name, {}) for name in ("GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal")),
]
SHAPES = [(300, 200), (5, 40, 200), (60_000,)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "arguments"), RANDOM)
def test_same_distribution(name, arguments, shape):
    """Moments and extremes of many draws, with errors of a few standard deviations allowed."""
    ours = getattr(initializers, name)(**arguments, seed=1)(shape)
    theirs = getattr(keras.initializers, name)(**arguments, seed=1)(shape).numpy()
    assert ours.dtype == theirs.dtype == np.float32
    assert ours.shape == theirs.shape
    spread = theirs.std()
    assert abs(ours.mean() - theirs.mean()) < 8 * spread / np.sqrt(ours.size)
    assert abs(ours.std() / spread - 1) < 0.02
    for moment in (3, 4):
        about = [(((a - theirs.mean()) / spread) ** moment).mean() for a in (ours, theirs)]
        assert about[0] == pytest.approx(about[1], abs=0.2)
    if "ntruncated" not in str(arguments) and name != "RandomNormal":
        # Bounded distributions: the same bounds.
        np.testing.assert_allclose([ours.min(), ours.max()], [theirs.min(), theirs.max()], atol=0.02 * spread)


@pytest.mark.parametrize("name", ["zeros", "ones", "identity"])
def test_fixed_numbers(name):
    np.testing.assert_array_equal(initializers.get(name)((3, 4)), keras.initializers.get(name)((3, 4)).numpy())


def test_constant():
    np.testing.assert_array_equal(initializers.Constant(0.25)((2, 2)), np.full((2, 2), 0.25, "float32"))
    np.testing.assert_array_equal(initializers.Constant([1.0, 2.0])((3, 2)), np.tile([1.0, 2.0], (3, 1)))


WINDOWS = ["hann", "hamming", "blackman", "nuttall", "blackmanharris", "flattop", "boxcar", "bartlett", "cosine"]


@pytest.mark.parametrize("window", [*WINDOWS, None, np.arange(1.0, 9.0)], ids=str)
@pytest.mark.parametrize("scaling", ["density", "spectrum", None])
def test_stft(window, scaling):
    for side, periodic in (("real", False), ("imag", True), ("imag", False)):
        made = (i.STFT(side, window, scaling, periodic) for i in (initializers, keras.initializers))
        ours, theirs = (init((8, 1, 5), "float64") for init in made)
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5, atol=1e-6)
    assert initializers.STFT("real", "hann")((1, 1, 1)).tolist() == [[[1.0]]]


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (2, 3, 5)], ids=str)
def test_orthogonal(shape):
    w = initializers.Orthogonal(gain=2.0, seed=3)(shape, "float64").reshape(-1, shape[-1])
    product = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(product, 4.0 * np.eye(min(w.shape)), atol=1e-12)


def test_orthogonal_prefers_no_direction():
    """The signs of R are divided out; without that, the first entry would never be positive."""
    first = [initializers.Orthogonal(seed=seed)((3, 3))[0, 0] for seed in range(60)]
    assert abs(np.mean(first)) < 0.3


@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (3, 4, 8), (2, 3, 4, 8)], ids=str)
def test_fans(shape):
    from keras.src.initializers.random_initializers import compute_fans

    assert initializers.compute_fans(shape) == compute_fans(shape)


def test_fans_by_axes():
    assert initializers.compute_fans((8, 2, 4), (0,), (1, 2)) == (8, 8)


def test_seed_gives_the_same_numbers_at_each_call():
    init = initializers.GlorotUniform(seed=7)
    np.testing.assert_array_equal(init((4, 4)), init((4, 4)))
    assert (initializers.GlorotUniform(seed=8)((4, 4)) != init((4, 4))).any()
    np.testing.assert_array_equal(init((4, 4), "float64").astype("float32"), init((4, 4)))


def test_without_seed_the_numbers_follow_set_random_seed():
    init = initializers.HeNormal()
    padless.utils.set_random_seed(1)
    first, second = init((4, 4)), init((4, 4))
    padless.utils.set_random_seed(1)
    np.testing.assert_array_equal(init((4, 4)), first)
    assert (first != second).any()


@pytest.mark.parametrize(("name", "arguments"), [*RANDOM, ("Orthogonal", {"gain": 2.0}), ("Constant", {"value": 3.0})])
def test_config_round_trip(name, arguments):
    init = getattr(initializers, name)(**arguments)
    if "seed" in init.get_config():
        init.seed = 5
    again = type(init).from_config(init.get_config())
    assert again.get_config() == init.get_config()
    np.testing.assert_array_equal(again((3, 4)), init((3, 4)))
    assert set(init.get_config()) == set(getattr(keras.initializers, name)(**arguments).get_config())


def test_stft_config_round_trip():
    for window in ("hamming", None, [1.0, 2.0, 1.0]):
        init = initializers.STFT("imag", window, "spectrum", True)
        again = initializers.STFT.from_config(init.get_config())
        np.testing.assert_array_equal(again((3, 1, 4)), init((3, 1, 4)))
        assert set(init.get_config()) == set(keras.initializers.STFT("imag", window).get_config())


@pytest.mark.parametrize("module", ["initializers", "regularizers", "constraints"])
def test_every_name_of_keras(module):
    """Names in `get`, as attributes, and configs both ways."""
    theirs, ours = getattr(keras, module), getattr(padless, module)
    missing = [name for name in dir(theirs) if not name.startswith("_") and not hasattr(ours, name)]
    assert missing == []
    bases = {"Initializer", "Regularizer", "Constraint"}
    for name in (name for name in dir(theirs) if isinstance(getattr(theirs, name), type) and name not in bases):
        found, right = ours.get(name), getattr(theirs, name)()
        assert type(found).__name__ == type(right).__name__
        config = ours.serialize(found)
        assert type(ours.deserialize(config)) is type(found)
        assert type(ours.deserialize(theirs.serialize(right))) is type(found)


def test_configs_of_keras_are_read():
    theirs = keras.initializers.serialize(keras.initializers.VarianceScaling(2.0, "fan_out", seed=3))
    ours = initializers.get(theirs)
    assert (ours.scale, ours.mode, ours.seed) == (2.0, "fan_out", 3)


def test_get():
    assert initializers.get(None) is None
    assert isinstance(initializers.get("uniform"), initializers.RandomUniform)
    assert isinstance(initializers.get(initializers.Ones), initializers.Ones)
    np.testing.assert_array_equal(initializers.get(np.eye(2))((2, 2)), np.eye(2))
    np.testing.assert_array_equal(initializers.get(lambda shape, dtype: np.full(shape, 2.0))((2,)), [2.0, 2.0])
    with pytest.raises(ArgumentError, match="did you mean 'glorot_uniform'"):
        initializers.get("glorot_unifrom")
    with pytest.raises(ArgumentError, match="one of these names"):
        initializers.get(3)


def test_errors():
    with pytest.raises(ShapeError, match=r"expected numbers for a weight of shape \(3, 3\)\s+Got: shape \(2, 2\)"):
        initializers.get(np.eye(2))((3, 3))
    with pytest.raises(ShapeError, match="Orthogonal: expected a weight with at least two axes"):
        initializers.Orthogonal()((3,))
    with pytest.raises(ShapeError, match="Identity: expected the shape of a matrix"):
        initializers.Identity()((3,))
    with pytest.raises(ShapeError, match=r"kernel \(T, 1, F\)(.|\n)*\(8, 2, 5\)"):
        initializers.STFT()((8, 2, 5))
    with pytest.raises(ShapeError, match=r"a window of shape \(3,\)"):
        initializers.STFT(window=[1.0, 2.0, 3.0])((8, 1, 5))
    for wrong in ({"side": "left"}, {"scaling": "some"}):
        with pytest.raises(ArgumentError, match=r"STFT, (side|scaling): expected one of"):
            initializers.STFT(**wrong)
    with pytest.raises(ArgumentError, match="did you mean 'hamming'"):
        initializers.STFT(window="haming")
    with pytest.raises(ArgumentError, match="scale: expected a number above 0"):
        initializers.VarianceScaling(scale=0.0)
    with pytest.raises(ArgumentError, match="did you mean 'fan_in'"):
        initializers.VarianceScaling(mode="fan_i")
