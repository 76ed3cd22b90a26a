"""Products of steps with a matrix by oneDNN and native code, against the default in float64: values and gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from padless import backends, native
from padless.backends.base import Backend
from tests.tolerances import GRADIENTS

torch = pytest.importorskip("torch")
products = pytest.importorskip("padless.backends.torch.products")

SHAPES = {
    "several blocks": (1_037, 64, 96),
    "nothing is a multiple": (403, 17, 33),
    "wide": (300, 24, 520),
    "narrow": (2_000, 130, 5),
    "one feature": (500, 1, 64),
    "one step": (1, 40, 50),
    "no step": (0, 16, 32),
}
WITH = {"relu and bias": (True, True), "bias": (True, False), "relu": (False, True), "neither": (False, False)}


@pytest.fixture(params=["native", "no native code", "as small ones"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "as small ones":
        monkeypatch.setattr(products, "_LEAST", 1)
    if request.param == "no native code":
        monkeypatch.setattr(native, "find", lambda name, takes: None)


@pytest.fixture(params=[1, 3])
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def found(function: Any, inputs: list[Any], weights: Any) -> list[Any]:
    """The output and the gradients of its weighted sum."""
    leaves = [torch.from_numpy(a).requires_grad_() for a in inputs]
    y = function(*leaves)
    gradients = torch.autograd.grad((y * torch.from_numpy(weights)).sum(), leaves)
    return [y.detach().numpy(), *(g.numpy() for g in gradients)]


@pytest.mark.usefixtures("way", "_threads")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", WITH)
def test_dense_is_the_default(shape: str, kind: str) -> None:
    steps, features, units = SHAPES[shape]
    has_bias, relu = WITH[kind]
    draw, backend = np.random.default_rng(0), backends.get("torch")
    shapes = [(steps, features), (features, units), *([(units,)] if has_bias else [])]
    exact = [
        draw.normal(size=each) / (each[0] ** 0.5 if len(each) == 2 and each[0] == features else 1) for each in shapes
    ]
    # Like any input of a model: some numbers are 0, and the gradient is that of ReLU there.
    exact[0][::7] = 0
    weights = draw.normal(size=(steps, units))
    short = [a.astype(np.float32) for a in exact]
    fast = found(lambda *a: backend.dense(*a, relu=relu), short, weights.astype(np.float32))
    slow = found(lambda *a: Backend.dense(backend, *a, relu=relu), [a.astype(np.float64) for a in short], weights)
    for one, other in zip(fast, slow, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(other).max(initial=0)))


@pytest.mark.usefixtures("way")
def test_more_axes_views_and_other_dtypes() -> None:
    backend, draw = backends.get("torch"), np.random.default_rng(1)
    x, kernel = (torch.from_numpy(draw.normal(size=s).astype(np.float32)) for s in ((4, 50, 32), (16, 24)))
    view, turned = x[..., ::2], kernel.t().contiguous().t()
    expected = view @ kernel
    torch.testing.assert_close(backend.dense(view, turned), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(backend.dense(view[0, 0], kernel), expected[0, 0], rtol=1e-5, atol=1e-5)
    for dtype in (torch.float64, torch.bfloat16):
        y = backend.dense(view.to(dtype), kernel.to(dtype), relu=True)
        assert y.dtype == dtype
        torch.testing.assert_close(y.float(), expected.relu(), rtol=0.05, atol=0.1)


@pytest.mark.usefixtures("way")
def test_nan_stays_in_its_step_and_is_not_made_0() -> None:
    backend = backends.get("torch")
    x = torch.ones(600, 32, requires_grad=True)
    with torch.no_grad():
        x[3] = float("nan")
    y = backend.dense(x, torch.ones(32, 64), torch.zeros(64), relu=True)
    assert y[3].isnan().all()
    others = torch.arange(600) != 3
    assert (y[others] == 32).all()
    (by_x,) = torch.autograd.grad(y.sum(), x)
    assert by_x[others].isfinite().all()


@pytest.mark.usefixtures("way")
def test_gradients_of_gradients() -> None:
    backend, draw = backends.get("torch"), np.random.default_rng(2)
    arrays = [torch.from_numpy(draw.normal(size=s).astype(np.float32)) for s in ((300, 16), (16, 24), (24,))]

    def second(dense: Any, dtype: Any) -> list[Any]:
        x, kernel, bias = (a.to(dtype).requires_grad_() for a in arrays)
        y = dense(x, kernel, bias, relu=True)
        (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        return list(torch.autograd.grad(first.square().sum(), (x, kernel, bias)))

    exact = second(lambda *a, **o: Backend.dense(backend, *a, **o), torch.float64)
    for one, other in zip(second(backend.dense, torch.float32), exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


def test_autocast_gives_the_same_dtype_for_any_number_of_steps() -> None:
    backend, kernel = backends.get("torch"), torch.ones(64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        few, many = (backend.dense(torch.ones(steps, 64), kernel) for steps in (3, 5_000))
    assert few.dtype == many.dtype == torch.bfloat16


def test_what_is_not_wanted_is_not_computed() -> None:
    backend = backends.get("torch")
    x, kernel = torch.ones(5_000, 64), torch.ones(64, 64, requires_grad=True)
    backend.dense(x, kernel).sum().backward()
    assert kernel.grad is not None
    assert x.grad is None


@pytest.mark.parametrize("given", ["both", "gamma", "neither"])
def test_layer_norm_is_the_default(given: str) -> None:
    backend, draw = backends.get("torch"), np.random.default_rng(3)
    x, gamma, beta = draw.normal(size=(40, 7)), draw.normal(size=7), draw.normal(size=7)
    scales = {"both": [gamma, beta], "gamma": [gamma], "neither": []}[given]

    def run(norm: Any, dtype: Any) -> list[Any]:
        def function(x: Any, *scales: Any) -> Any:
            return norm(x, *(*scales, None, None)[:2], 1e-3)

        return found(function, [a.astype(dtype) for a in (x, *scales)], np.arange(280.0).reshape(40, 7).astype(dtype))

    slow = run(lambda *a: Backend.layer_norm(backend, *a), np.float64)
    for one, other in zip(run(backend.layer_norm, np.float64), slow, strict=True):
        np.testing.assert_allclose(one, other, **GRADIENTS)
    for one, other in zip(run(backend.layer_norm, np.float32), slow, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())
