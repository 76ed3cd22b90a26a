"""Kernels for shorter vectors than those of this processor: convolution, dense products and pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from padless import backends, native
from padless.backends.base import Backend
from padless.lengths import Window
from padless.rows import RowPartition

torch = pytest.importorskip("torch")
convolution = pytest.importorskip("padless.backends.torch.convolution")
products = pytest.importorskip("padless.backends.torch.products")


@pytest.fixture(autouse=True)
def _level(monkeypatch: pytest.MonkeyPatch) -> None:
    found = native._library()
    if found is None or found[1] != "v4":
        pytest.skip("needs a processor with two levels")

    def find(name: str, takes: str) -> Any:
        function: Any = getattr(found[0], f"padless_{name}_v3")
        function.argtypes = [native._TYPES[letter] for letter in takes]
        return function

    monkeypatch.setattr(native, "find", find)
    monkeypatch.setattr(convolution, "_LEAST_OPERATIONS", 0)
    monkeypatch.setattr(products, "_LEAST", 1)


def assert_like_the_default(fast: Callable[..., Any], slow: Callable[..., Any], *shapes: tuple[int, ...]) -> None:
    draw, found = np.random.default_rng(0), []
    arrays = [draw.normal(size=shape) for shape in shapes]
    for function, dtype in ((fast, torch.float32), (slow, torch.float64)):
        leaves = [torch.from_numpy(a).to(dtype).requires_grad_() for a in arrays]
        y = function(*leaves)
        found.append([y, *torch.autograd.grad((y * y.detach().sin()).sum(), leaves)])
    for one, other in zip(*found, strict=True):
        scale = max(1.0, float(other.detach().abs().max()))
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), rtol=1e-4, atol=1e-5 * scale)


ROWS = RowPartition.from_lengths([301, 0, 17, 1, 255])


@pytest.mark.parametrize("filters", [16, 33, 40, 47, 65])
@pytest.mark.parametrize("features", [8, 13, 70])
def test_convolution(features: int, filters: int) -> None:
    def convolve(of: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x, kernel, bias: of(x, ROWS, kernel, bias=bias, padding="same")[0]

    backend = backends.get("torch")
    fast, slow = convolve(backend.convolve), convolve(super(type(backend), backend).convolve)
    assert_like_the_default(fast, slow, (ROWS.nvals, features), (3, features, filters), (filters,))


@pytest.mark.parametrize("filters", [16, 40, 65])
def test_dense(filters: int) -> None:
    backend = backends.get("torch")
    assert_like_the_default(backend.dense, lambda *a: Backend.dense(backend, *a), (500, 13), (13, filters), (filters,))


@pytest.mark.parametrize("features", [5, 8, 41, 130])
def test_pooling(features: int) -> None:
    backend, window = backends.get("torch"), Window(3, 2, 1, "same")
    for fast, slow in (
        (lambda x: backend.segment_max(x, ROWS), lambda x: Backend.segment_max(backend, x, ROWS)),
        (lambda x: backend.window_max(x, ROWS, window), lambda x: Backend.window_max(backend, x, ROWS, window)),
    ):
        assert_like_the_default(fast, slow, (ROWS.nvals, features))
