"""Activations: Keras's values and gradients; finite at 0 and far from it."""

from __future__ import annotations

import numpy as np
import pytest

from padless import activations, backends
from padless.errors import ArgumentError, ShapeError
from tests.tolerances import GRADIENTS, VALUES

torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")

# Sparsemax is not among them: Keras's does not sum to 1 (see test_sparsemax).
SAME = [
    *("linear", "relu", "leaky_relu", "relu6", "softmax", "log_softmax", "glu", "elu", "selu", "celu", "silu", "gelu"),
    *("mish", "softplus", "squareplus", "softsign", "sparse_plus", "sigmoid", "log_sigmoid", "hard_sigmoid"),
    *("hard_silu", "sparse_sigmoid", "tanh", "hard_tanh", "tanh_shrink", "soft_shrink", "hard_shrink", "exponential"),
]
ARGUMENTS = [
    ("relu", {"negative_slope": 0.3}),
    ("relu", {"max_value": 1.5}),
    ("relu", {"threshold": 0.7}),
    ("relu", {"negative_slope": 0.3, "max_value": 1.5}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("elu", {"alpha": 0.5}),
    ("celu", {"alpha": 0.5}),
    ("gelu", {"approximate": True}),
    ("squareplus", {"b": 1}),
    ("soft_shrink", {"threshold": 0.1}),
    ("hard_shrink", {"threshold": 0.1}),
    ("threshold", {"threshold": 0.1, "default_value": -2.0}),
    ("softmax", {"axis": 0}),
    ("log_softmax", {"axis": 0}),
    ("glu", {"axis": 0}),
]


def points() -> np.ndarray:
    # Away from the corners of the piecewise ones, where a gradient is a matter of taste.
    return np.random.default_rng(0).uniform(-8, 8, (6, 8)).astype("float32")


def values_and_gradients(function, x, **arguments):
    tensor = torch.tensor(x, requires_grad=True)
    y = function(tensor, **arguments)
    weights = torch.linspace(0.5, 1.5, y.numel()).reshape(y.shape)
    (y * weights).sum().backward()
    return y.detach().numpy(), tensor.grad.numpy()


@pytest.mark.parametrize(("name", "arguments"), [*((name, {}) for name in SAME), *ARGUMENTS])
def test_as_keras(name, arguments):
    ours, our_gradients = values_and_gradients(getattr(activations, name), points(), **arguments)
    theirs, their_gradients = values_and_gradients(getattr(keras.activations, name), points(), **arguments)
    np.testing.assert_allclose(ours, theirs, **VALUES)
    np.testing.assert_allclose(our_gradients, their_gradients, **GRADIENTS)


@pytest.mark.parametrize("name", SAME)
def test_numpy_and_torch_agree(name):
    function = getattr(activations, name)
    on_numpy = function(points())
    assert on_numpy.dtype == np.float32
    np.testing.assert_allclose(on_numpy, function(torch.tensor(points())).numpy(), **VALUES)


@pytest.mark.parametrize("name", [n for n in [*SAME, "sparsemax"] if n != "exponential"])
def test_finite_at_0_and_far_away(name):
    x = np.array([[0.0, -0.0, 1e4, -1e4], [88.0, -88.0, 104.0, -104.0], [1e-30, -1e-30, 1.0, -1.0]], "float32")
    y, gradients = values_and_gradients(getattr(activations, name), x)
    assert np.isfinite(y).all()
    assert np.isfinite(gradients).all()


@pytest.mark.parametrize(("name", "slope"), [("sigmoid", 0.25), ("softplus", 0.5), ("log_sigmoid", 0.5), ("silu", 0.5)])
def test_slope_at_0(name, slope):
    tensor = torch.zeros(1, requires_grad=True)
    getattr(activations, name)(tensor).sum().backward()
    assert tensor.grad.item() == pytest.approx(slope)


@pytest.mark.parametrize("name", [n for n in SAME if n != "glu"])
def test_nan_stays_nan(name):
    assert np.isnan(getattr(activations, name)(np.array([[np.nan]], "float32"))).all()


@pytest.mark.parametrize("name", SAME)
def test_no_steps_at_all(name):
    x = np.zeros((0, 4), "float32")
    assert getattr(activations, name)(x).shape == ((0, 2) if name == "glu" else (0, 4))


def test_a_backend_may_have_its_own(monkeypatch):
    called = []

    def native(x):
        called.append("native")
        return torch.relu(x)

    monkeypatch.setattr(backends.get("torch"), "native", {"relu": native}, raising=False)
    x = torch.tensor([-1.0, 2.0])
    for arguments in ((), (0.0,), (0.0, None, 0)):
        assert activations.relu(x, *arguments).tolist() == [0.0, 2.0]
    assert activations.relu(x, threshold=0.0).tolist() == [0.0, 2.0]
    assert called == ["native"] * 4
    assert activations.relu(x, 0.5).tolist() == [-0.5, 2.0]
    assert activations.relu(x, max_value=1.0).tolist() == [0.0, 1.0]
    assert activations.relu(np.array([-1.0, 2.0])).tolist() == [0.0, 2.0]
    assert called == ["native"] * 4
    with pytest.raises(TypeError):
        activations.relu(x, 0.0, None, 0.0, 0.0)
    assert activations.get("relu") is activations.relu
    assert activations.serialize(activations.relu) == "relu"


def test_sparsemax():
    """The nearest point of the simplex, found by bisection; Keras's version does not sum to 1."""
    x = np.random.default_rng(1).normal(size=(20, 7))
    y = activations.sparsemax(x)
    np.testing.assert_allclose(y.sum(axis=-1), 1.0)
    low, high = x.min(axis=-1, keepdims=True) - 1, x.max(axis=-1, keepdims=True)
    for _ in range(80):
        middle = (low + high) / 2
        above = np.maximum(x - middle, 0).sum(axis=-1, keepdims=True) > 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    np.testing.assert_allclose(y, np.maximum(x - low, 0), atol=1e-9)
    theirs = keras.activations.sparsemax(torch.tensor([[1.0, 0.5]])).numpy()
    assert theirs.sum() < 0.5
    np.testing.assert_allclose(activations.sparsemax(x.T, axis=0), y.T)


def test_sparsemax_gradient():
    x = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(activations.sparsemax, (x,))


def test_softmax_over_two_axes():
    x = np.random.default_rng(2).normal(size=(2, 3, 4))
    y = activations.softmax(x, axis=(1, 2))
    np.testing.assert_allclose(y.sum(axis=(1, 2)), 1.0)


def test_lists_and_numbers():
    assert activations.relu([-1.0, 2.0]).tolist() == [0.0, 2.0]
    assert float(activations.sigmoid(0.0)) == 0.5


def test_glu_of_an_odd_size():
    with pytest.raises(ShapeError, match=r"glu: expected an even number of features along axis -1\.\s+Got: 3"):
        activations.glu(np.zeros((2, 3)))


def test_get():
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.silu
    assert activations.get(np.tanh) is np.tanh
    with pytest.raises(ArgumentError, match="did you mean 'sigmoid'"):
        activations.get("sigmod")
    with pytest.raises(ArgumentError, match="a name or a function"):
        activations.get(3)


def test_every_name_of_keras_is_known():
    theirs = {name for name in dir(keras.activations) if not name.startswith("_")} - {"get", "serialize", "deserialize"}
    assert not {name for name in theirs if activations.get(name) is None}


def test_serialize():
    def doubled(x):
        return 2 * x

    assert activations.serialize(activations.relu) == "relu"
    assert activations.serialize(doubled) == "doubled"

    def relu(x):
        return x

    for wrong in (relu, lambda x: x, backends.get("numpy")):
        with pytest.raises(ArgumentError, match="a function whose name stands for it"):
            activations.serialize(wrong)
