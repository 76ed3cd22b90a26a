"""The largest steps of rows and windows in C: large ones, ties, NaN, gradients of gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from padless import backends, native
from padless.backends.base import Backend
from padless.lengths import Window
from padless.rows import RowPartition
from tests.tolerances import GRADIENTS

torch = pytest.importorskip("torch")

ON_CPU = str(backends.get("torch").device) == "cpu"
pytestmark = pytest.mark.skipif(not (native.available() and ON_CPU), reason="needs the library, on the CPU")
LENGTHS = [3000, 0, 2500, 1, 611, 0]
WINDOW = Window(3, 2, padding="same")
KINDS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "rows": (
        lambda x, rows: backends.get("torch").segment_max(x, rows),
        lambda x, rows: Backend.segment_max(backends.get("torch"), x, rows),
    ),
    "windows": (
        lambda x, rows: backends.get("torch").window_max(x, rows, WINDOW),
        lambda x, rows: Backend.window_max(backends.get("torch"), x, rows, WINDOW),
    ),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def drawn(width: int, holes: bool = False, ties: bool = True) -> tuple[Any, RowPartition]:
    rows, draw = RowPartition.from_lengths(LENGTHS), np.random.default_rng(0)
    if holes:
        rows, _ = rows.select(draw.random(rows.nvals) < 0.5)
    x = draw.integers(0, 5, (rows.nvals, width)) if ties else draw.normal(size=(rows.nvals, width))
    return torch.from_numpy(x).float().requires_grad_(), rows


@every_kind
@pytest.mark.parametrize("width", [1, 7, 33, 64, 150])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_values_and_gradients(kind: str, width: int, holes: bool, threads: int) -> None:
    (fast, slow), (x, rows), before = KINDS[kind], drawn(width, holes), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        y, right = fast(x, rows), slow(x, rows)
        by_y = torch.randn(y.shape)
        (found,), (wanted,) = (torch.autograd.grad(out, x, by_y) for out in (y, right))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(y.detach().numpy(), right.detach().numpy())
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), **GRADIENTS)


@every_kind
def test_nan_is_largest_and_stays_in_its_row(kind: str) -> None:
    (fast, slow), (x, rows) = KINDS[kind], drawn(64)
    with torch.no_grad():
        x[[0, 100, 2999, 5501]] = torch.nan
        x[200:204, 3] = torch.inf
        x[300:320] = -torch.inf
    y, right = fast(x, rows), slow(x, rows)
    np.testing.assert_array_equal(y.detach().numpy(), right.detach().numpy())
    (by_x,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert by_x.isfinite().all()


@every_kind
@pytest.mark.parametrize("view", [False, True])
def test_gradients_of_gradients(kind: str, view: bool) -> None:
    (fast, slow), (x, rows) = KINDS[kind], drawn(5, ties=False)
    if view:
        # Whose numbers do not lie as the kernels read them.
        x = x.detach().t().contiguous().t().requires_grad_()

    def second(function: Callable[..., Any]) -> Any:
        (first,) = torch.autograd.grad((function(x, rows) ** 3).sum(), x, create_graph=True)
        return torch.autograd.grad((first**2).sum(), x)[0].numpy()

    np.testing.assert_allclose(second(fast), second(slow), **GRADIENTS)
