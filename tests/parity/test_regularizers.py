"""Regularizers and constraints: Keras's numbers, on every backend."""

from __future__ import annotations

import numpy as np
import pytest

from padless import backends, constraints, regularizers
from padless.errors import ArgumentError, ShapeError
from tests.tolerances import GRADIENTS, VALUES

torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")

W = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
COSTS = [
    ("L1", {}),
    ("L1", {"l1": 0.5}),
    ("L2", {"l2": 0.5}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.5, "l2": 0.25}),
    ("OrthogonalRegularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
]
PLACES = [
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 1.0, "axis": 1}),
    ("MaxNorm", {"max_value": 1.0, "axis": [0, 1]}),
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": 1}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 2.0, "max_value": 2.5, "rate": 0.3, "axis": 1}),
]


@pytest.mark.parametrize(("name", "arguments"), COSTS)
def test_regularizers(name, arguments, backend):
    mine, other = getattr(regularizers, name)(**arguments), getattr(keras.regularizers, name)(**arguments)
    value = mine(backends.get(backend).asarray(W))
    assert value.ndim == 0
    np.testing.assert_allclose(float(value), float(other(torch.tensor(W))), **VALUES)
    assert mine.get_config() == pytest.approx(other.get_config()) if "mode" not in mine.get_config() else True
    assert type(mine).from_config(mine.get_config()).get_config() == mine.get_config()


@pytest.mark.parametrize(("name", "arguments"), COSTS)
def test_regularizer_gradients(name, arguments):
    found = []
    for library in (regularizers, keras.regularizers):
        w = torch.tensor(W, requires_grad=True)
        value = getattr(library, name)(**arguments)(w)
        found.append(torch.autograd.grad(value, w, allow_unused=True)[0] if value.requires_grad else 0 * W)
    np.testing.assert_allclose(*(np.asarray(g) for g in found), **GRADIENTS)


def test_regularizer_gradient_at_zero():
    w = torch.zeros((3, 3), requires_grad=True)
    (regularizers.OrthogonalRegularizer()(w) + regularizers.L1L2(0.1, 0.1)(w)).backward()
    assert torch.isfinite(w.grad).all()


@pytest.mark.parametrize(("name", "arguments"), PLACES)
def test_constraints(name, arguments, backend):
    mine, other = getattr(constraints, name)(**arguments), getattr(keras.constraints, name)(**arguments)
    made = backends.get(backend)
    np.testing.assert_allclose(made.to_host(mine(made.asarray(W))), other(torch.tensor(W)).numpy(), **VALUES)
    assert np.isfinite(made.to_host(mine(made.asarray(0 * W)))).all()
    assert mine.get_config() == other.get_config()
    assert type(mine).from_config(mine.get_config()).get_config() == mine.get_config()


@pytest.mark.parametrize(("module", "theirs"), [(regularizers, keras.regularizers), (constraints, keras.constraints)])
def test_get(module, theirs):
    assert module.get(None) is None
    assert module.get(abs) is abs
    name = "l2" if module is regularizers else "unit_norm"
    assert type(module.get(name)).__name__ == type(theirs.get(name)).__name__
    assert type(module.get(theirs.serialize(theirs.get(name)))) is type(module.get(name))
    with pytest.raises(ArgumentError, match="Known: "):
        module.get("nothing")


def test_errors():
    with pytest.raises(ArgumentError, match="regularizer, l2: expected a number from 0 on"):
        regularizers.L2(-1.0)
    with pytest.raises(ArgumentError, match="did you mean 'rows'"):
        regularizers.OrthogonalRegularizer(mode="row")
    with pytest.raises(ShapeError, match="OrthogonalRegularizer: expected a matrix"):
        regularizers.OrthogonalRegularizer()(np.ones(3))
