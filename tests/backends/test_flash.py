"""The kernel in C for attention on the CPU, against the default in float64."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from padless import backends, native
from padless.backends.base import Backend
from padless.rows import RowPartition
from tests.tolerances import GRADIENTS, VALUES

if not importlib.util.find_spec("torch") or not native.available():
    pytest.skip("needs torch and the library of kernels", allow_module_level=True)

import torch

from padless.backends.torch import flash
from padless.backends.torch import threads as teams

Host = npt.NDArray[Any]
Rows = tuple[RowPartition, RowPartition]

pytestmark = pytest.mark.skipif(backends.get("torch").device.type != "cpu", reason="the kernel is for the CPU")


@pytest.fixture(params=[1, 2, 5])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def drawn(rows: Rows, heads: int, groups: int, key: int, value: int, seed: int = 0) -> list[Host]:
    numbers = np.random.default_rng(seed)
    n, m = (each.nvals for each in rows)
    shapes = (n, heads, key), (m, groups, key), (m, groups, value), (n, heads, value)
    q, k, v, by_y = (numbers.normal(size=shape).astype("float32") for shape in shapes)
    return [q * np.float32(3 / key**0.5), k, v, by_y]


def native_results(arrays: list[Host], rows: Rows, **options: Any) -> list[Host]:
    q, k, v, by_y = (torch.from_numpy(each) for each in arrays)
    leaves = [each.clone().requires_grad_() for each in (q, k, v)]
    assert flash.fits(*leaves)
    y = backends.get("torch").attention(*leaves, *rows, scale=0.3, **options)
    assert type(y.grad_fn).__name__ == "_AttentionBackward"
    return [each.detach().numpy() for each in (y, *torch.autograd.grad(y, leaves, by_y))]


def oracle_results(arrays: list[Host], rows: Rows, **options: Any) -> list[Host]:
    q, k, v, by_y = (torch.from_numpy(each).double() for each in arrays)
    leaves = [each.requires_grad_() for each in (q, k, v)]
    y = Backend.attention(backends.get("torch"), *leaves, *rows, scale=0.3, **options)
    found = torch.autograd.grad(y, leaves, by_y, allow_unused=True, materialize_grads=True)
    return [each.detach().numpy() for each in (y, *found)]


def assert_right(arrays: list[Host], rows: Rows, **options: Any) -> None:
    for got, expected in zip(
        native_results(arrays, rows, **options), oracle_results(arrays, rows, **options), strict=True
    ):
        np.testing.assert_allclose(got, expected, **GRADIENTS)


LENGTHS = {
    "one step": ([1], [1]),
    "one row": ([70], [131]),
    "short": ([5, 12, 1, 40, 17, 33], [6, 3, 40, 1, 16, 32]),
    "empty": ([0, 3, 0, 70, 5, 0], [4, 0, 0, 65, 7, 9]),
    "no queries": ([0, 0], [3, 0]),
    "no keys": ([3, 2], [0, 0]),
    "giant among dwarfs": ([2, 1100, 3, 0, 1], [3, 900, 1, 2, 1]),
    "edges of blocks": ([63, 64, 65, 512, 513], [95, 96, 97, 191, 193]),
}
SEEN: dict[str, dict[str, Any]] = {
    "all": {},
    "causal": {"causal": True},
    "window": {"window": 9},
    "window of one": {"window": 1},
    "a window over all": {"window": 2**40},
    "both": {"causal": True, "window": 100},
}


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("lengths", LENGTHS)
def test_it_equals_the_default(lengths: str, seen: str, threads: int) -> None:
    rows = tuple(RowPartition.from_lengths(side) for side in LENGTHS[lengths])
    assert_right(drawn(rows, 2, 2, 32, 32), rows, **SEEN[seen])


@pytest.mark.parametrize("seen", SEEN)
def test_shorter_vectors_than_those_of_this_processor(seen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = native._library()
    assert found is not None
    if found[1] != "v4":
        pytest.skip("needs a processor with two levels")

    def kernel(name: str) -> Any:
        function: Any = getattr(found[0], f"padless_attention_{name}_v3")
        function.argtypes = [ctypes.c_void_p]
        return function

    monkeypatch.setattr(flash, "_kernel", kernel)
    for lengths, value_lengths in LENGTHS.values():
        rows = RowPartition.from_lengths(lengths), RowPartition.from_lengths(value_lengths)
        assert_right(drawn(rows, 2, 1, 20, 32), rows, **SEEN[seen])


@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (4, 2), (3, 1)])
@pytest.mark.parametrize(("key", "value"), [(1, 1), (3, 5), (8, 16), (16, 24), (33, 40), (64, 64), (128, 256)])
def test_any_heads_and_widths(heads: int, groups: int, key: int, value: int) -> None:
    rows = RowPartition.from_lengths([20, 0, 97]), RowPartition.from_lengths([33, 2, 70])
    assert_right(drawn(rows, heads, groups, key, value), rows, causal=heads == 4)


def test_torch_without_threads_of_its_own(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr(teams, "_openmp", lambda: None)
    rows = RowPartition.from_lengths([300, 20]), RowPartition.from_lengths([250, 70])
    assert_right(drawn(rows, 2, 2, 32, 32), rows)


FORKS = """
import os, signal, torch
from padless import backends
from padless.rows import RowPartition
torch.set_num_threads(2)
rows, q = RowPartition.from_lengths([300, 400]), torch.randn(700, 2, 32)
attend = lambda: backends.get("torch").attention(q, q, q, rows, rows, scale=0.2)
expected = attend()
child = os.fork()
if child == 0:
    signal.alarm(60)
    os._exit(0 if torch.equal(attend(), expected) else 1)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_goes_on() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0", done.stderr


def test_threads_of_python_at_once(threads: int) -> None:
    rows = RowPartition.from_lengths([300, 20]), RowPartition.from_lengths([250, 70])
    problems = [drawn(rows, 2, 2, 32, 32, seed) for seed in range(4)]
    got: dict[int, list[Host]] = {}
    running = [
        threading.Thread(target=lambda i=i: got.update({i: native_results(problems[i], rows)})) for i in range(4)
    ]
    for each in running:
        each.start()
    for each in running:
        each.join()
    for i, problem in enumerate(problems):
        for one, expected in zip(got[i], native_results(problem, rows), strict=True):
            np.testing.assert_array_equal(one, expected)


def test_a_row_is_the_same_in_every_batch() -> None:
    both = RowPartition.from_lengths([130, 600, 7])
    alone = RowPartition.from_lengths([130])
    arrays = drawn((both, both), 2, 2, 32, 32)
    got = native_results(arrays, (both, both))
    first = native_results([each[:130] for each in arrays], (alone, alone))
    for whole, part in zip(got, first, strict=True):
        np.testing.assert_array_equal(whole[:130], part)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_poison_stays_in_its_row(bad: float) -> None:
    rows = RowPartition.from_lengths([17, 130, 1]), RowPartition.from_lengths([20, 100, 3])
    clean = drawn(rows, 2, 2, 32, 32)
    expected = native_results(clean, rows)
    for which, side in ((0, 0), (1, 1), (2, 1), (3, 0)):
        arrays = [each.copy() for each in clean]
        arrays[which][rows[side].value_rowids == 1] = bad
        for one, whole, of in zip(native_results(arrays, rows), expected, (0, 0, 1, 1), strict=True):
            others = rows[of].value_rowids != 1
            np.testing.assert_array_equal(one[others], whole[others])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_do_as_in_a_softmax(bad: float) -> None:
    rows = (RowPartition.from_lengths([70]),) * 2
    arrays = [np.abs(each) for each in drawn(rows, 1, 1, 4, 4)]
    arrays[1][3] = bad
    np.testing.assert_allclose(
        native_results(arrays, rows)[0], oracle_results(arrays, rows)[0], equal_nan=True, **VALUES
    )


def test_large_scores() -> None:
    rows = (RowPartition.from_lengths([70, 3]),) * 2
    q, k, v, by_y = drawn(rows, 2, 2, 32, 32)
    # Whole numbers and powers of two: the products themselves are exact in float32.
    arrays = [np.round(64 * q), np.round(64 * k), v, by_y]
    got, expected = native_results(arrays, rows), oracle_results(arrays, rows)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-3, atol=1e-3)
    assert all(np.isfinite(each).all() for each in got)


def test_strides_are_read_as_they_are() -> None:
    rows = (RowPartition.from_lengths([30, 5]),) * 2
    wide = torch.randn(35, 3, 2, 16)
    parts = wide.unbind(1)
    backend = backends.get("torch")
    got = backend.attention(*parts, *rows, scale=0.3)
    torch.testing.assert_close(got, backend.attention(*(each.clone() for each in parts), *rows, scale=0.3))


@pytest.mark.parametrize("options", [{}, {"causal": True}])
def test_gradients_of_gradients(options: dict[str, Any]) -> None:
    rows = RowPartition.from_lengths([9, 0, 5]), RowPartition.from_lengths([7, 2, 5])
    arrays = drawn(rows, 2, 1, 4, 3)
    backend, found = backends.get("torch"), []
    for attention, dtype in (
        (backend.attention, torch.float32),
        (super(type(backend), backend).attention, torch.float64),
    ):
        q, k, v, by_y = (torch.from_numpy(each).to(dtype).requires_grad_() for each in arrays)
        y = attention(q, k, v, *rows, scale=0.3, **options)
        first = torch.autograd.grad(y, (q, k, v), by_y, create_graph=True)
        found.append(torch.autograd.grad(sum((each**2).sum() for each in first), (q, k, v, by_y)))
    for got, expected in zip(*found, strict=True):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), **GRADIENTS)


@pytest.mark.parametrize("same", ["all", "keys and values"])
def test_gradients_of_gradients_where_one_tensor_stands_at_several_places(same: str) -> None:
    rows = (RowPartition.from_lengths([9, 0, 5]),) * 2
    arrays = drawn(rows, 2, 2, 4, 4)
    backend, found = backends.get("torch"), []
    for attention, dtype in (
        (backend.attention, torch.float32),
        (super(type(backend), backend).attention, torch.float64),
    ):
        q, k = (torch.from_numpy(each).to(dtype).requires_grad_() for each in arrays[:2])
        given = (q, q, q) if same == "all" else (q, k, k)
        wanted = (q,) if same == "all" else (q, k)
        first = torch.autograd.grad(attention(*given, *rows, scale=0.3).sum(), wanted, create_graph=True)
        found.append((*first, *torch.autograd.grad(sum((each**2).sum() for each in first), wanted)))
    for got, expected in zip(*found, strict=True):
        np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), **GRADIENTS)


def test_gradients_of_gradients_without_keys() -> None:
    rows = RowPartition.from_lengths([2]), RowPartition.from_lengths([0])
    q, k, v = (torch.ones(n, 1, 4, requires_grad=True) for n in (2, 0, 0))
    y = backends.get("torch").attention(q, k, v, *rows, scale=0.3)
    found = torch.autograd.grad(y.sum(), (q, k, v), create_graph=True, allow_unused=True, materialize_grads=True)
    assert [each.shape for each in found] == [q.shape, k.shape, v.shape]
    assert not found[0].any()


def test_gradients_of_some_inputs() -> None:
    rows = (RowPartition.from_lengths([30, 5]),) * 2
    q, k, v = (torch.randn(35, 2, 16) for _ in range(3))
    k.requires_grad_()
    y = backends.get("torch").attention(q, k, v, *rows, scale=0.3).sum()
    (by_k,) = torch.autograd.grad(y, k, retain_graph=True)
    (again,) = torch.autograd.grad(y, k, create_graph=True)
    torch.testing.assert_close(by_k, again.detach())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(mode: Any) -> None:
    rows = (RowPartition.from_lengths([30, 5]),) * 2
    q, k, v = (torch.randn(35, 2, 16, requires_grad=True) for _ in range(3))
    backend = backends.get("torch")
    with mode():
        y = backend.attention(q, k, v, *rows, scale=0.3)
    assert not y.requires_grad
    torch.testing.assert_close(y, backend.attention(q, k, v, *rows, scale=0.3).detach())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_dtypes(dtype: torch.dtype) -> None:
    rows = (RowPartition.from_lengths([30, 5]),) * 2
    exact = [torch.randn(35, 2, 16).to(dtype).float().requires_grad_() for _ in range(3)]
    leaves = [each.detach().to(dtype).requires_grad_() for each in exact]
    assert flash.fits(*leaves) == (dtype != torch.float64)
    backend, by_y = backends.get("torch"), torch.randn(35, 2, 16)
    for of, dtype_of in ((exact, torch.float32), (leaves, dtype)):
        y = backend.attention(*of, *rows, scale=0.3)
        assert y.dtype == dtype_of
        y.backward(by_y.to(dtype_of))
    for one, other in zip(leaves, exact, strict=True):
        torch.testing.assert_close(one.grad.float(), other.grad, rtol=0.02, atol=0.02)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (RowPartition.from_lengths([30, 5]),) * 2
    q, k, v = (torch.randn(35, 2, 16) for _ in range(3))
    backend = backends.get("torch")
    expected = backend.attention(q, k, v, *rows, scale=0.3)
    monkeypatch.setattr(native, "find", lambda name, takes: None)
    torch.testing.assert_close(backend.attention(q, k, v, *rows, scale=0.3), expected)
