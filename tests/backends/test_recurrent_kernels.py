"""The fast recurrent kernels against the plain scan: outputs, last states, all gradients."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from padless import backends
from padless.backends.base import Backend
from padless.errors import NotThereYetError
from padless.rows import RowPartition
from tests import strategies
from tests.tolerances import GRADIENTS

torch = pytest.importorskip("torch")
recurrent = pytest.importorskip("padless.backends.torch.recurrent")
lstm = pytest.importorskip("padless.backends.torch.lstm")
native_recurrent = pytest.importorskip("padless.backends.torch.native_recurrent")

UNITS, FEATURES = 4, 3
KINDS = ("lstm", "gru", "gru reset before", "simple_rnn")


class Formula:
    """Keras's formulas of the three cells, as plainly as they can be written."""

    fusable = True

    def __init__(self, kind: str, weights: dict[str, Any]) -> None:
        self.kind = kind.split()[0]
        self.reset_after = kind == "gru"
        self.units = UNITS
        self.weights = weights

    def project(self, x: Any) -> Any:
        bias = self.weights.get("bias")
        if bias is not None and self.kind == "gru" and self.reset_after:
            bias = bias[0]
        return x @ self.weights["kernel"] + (0 if bias is None else bias)

    def step(self, x: Any, state: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        xp = backends.of(x).xp

        def sigmoid(v: Any) -> Any:
            return 1 / (1 + xp.exp(-v))

        h, kernel = state[0], self.weights["recurrent_kernel"]
        if self.kind == "simple_rnn":
            h = xp.tanh(x + h @ kernel)
            return h, (h,)
        parts = gates(x)
        if self.kind == "lstm":
            i, f, g, o = (a + b for a, b in zip(parts, gates(h @ kernel), strict=True))
            c = sigmoid(f) * state[1] + sigmoid(i) * xp.tanh(g)
            h = sigmoid(o) * xp.tanh(c)
            return h, (h, c)
        kernels = gates(kernel)
        biases = [0, 0, 0]
        if self.reset_after and "bias" in self.weights:
            biases = gates(self.weights["bias"][1])
        z, r = (sigmoid(parts[k] + h @ kernels[k] + biases[k]) for k in (0, 1))
        inner = r * (h @ kernels[2] + biases[2]) if self.reset_after else (r * h) @ kernels[2]
        h = z * h + (1 - z) * xp.tanh(parts[2] + inner)
        return h, (h,)


def gates(x: Any) -> list[Any]:
    return [x[..., at : at + UNITS] for at in range(0, x.shape[-1], UNITS)]


def arrays(kind: str, nrows: int, steps: int, bias: bool, dtype: str, seed: int) -> dict[str, np.ndarray[Any, Any]]:
    """x, the states and the weights of a cell.

    In float64 the weights drive gates to their ends; in float32 they are smaller, for over 60 steps of such a chaotic
    cell rounding alone grows above any tolerance, in the scan as in the kernels.
    """
    draw = np.random.default_rng(seed)
    count = {"lstm": 4, "simple_rnn": 1}.get(kind, 3)
    shapes: dict[str, tuple[int, ...]] = {
        "x": (steps, FEATURES),
        "h": (nrows, UNITS),
        "kernel": (FEATURES, count * UNITS),
        "recurrent_kernel": (UNITS, count * UNITS),
    }
    if kind == "lstm":
        shapes["c"] = (nrows, UNITS)
    if bias:
        shapes["bias"] = (2, count * UNITS) if kind == "gru" else (count * UNITS,)
    scale = 1.0 if dtype == "float64" else 0.4
    return {name: (draw.normal(size=shape) * scale).astype(dtype) for name, shape in shapes.items()}


def run(backend: Any, kind: str, rows: RowPartition, given_: dict[str, Any], reverse: bool, *, fast: bool) -> list[Any]:
    """Outputs, last states, and the gradients of a weighted sum of them all by everything."""

    def loss(a: dict[str, Any]) -> tuple[Any, Any]:
        cell = Formula(kind, {name: a[name] for name in a if name.endswith(("kernel", "bias"))})
        state = tuple(a[name] for name in ("h", "c") if name in a)
        recur = backend.recur if fast else lambda *args, **options: Backend.recur(backend, *args, **options)
        y, final = recur(cell, a["x"], rows, state, reverse=reverse)
        seen, draw = [y, *final], np.random.default_rng(0)
        weights = [backend.asarray(draw.normal(size=tuple(v.shape)), backend.dtype_name(v)) for v in seen]
        return sum((v * w).sum() for v, w in zip(seen, weights, strict=True)), seen

    # As a whole: operation by operation, JAX would compile each of them for every shape that is drawn.
    trained = backend.compile(lambda a: backend.value_and_grad(loss, a))
    (_, seen), gradients = trained({name: backend.asarray(a) for name, a in given_.items()})
    return [*(backend.to_host(v) for v in seen), *(backend.to_host(gradients[name]) for name in given_)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["float32", "float32 by torch", "float64"])
@given(lengths=strategies.lengths(), seed=strategies.seeds(), bias=st.booleans(), reverse=st.booleans())
def test_kernels_equal_the_scan(kind: str, how: str, lengths: list[int], seed: int, bias: bool, reverse: bool) -> None:
    rows = RowPartition.from_lengths(lengths)
    dtype = how.split()[0]
    given_ = arrays(kind, rows.nrows, rows.nvals, bias, dtype, seed)
    backend = backends.get("torch")
    with pytest.MonkeyPatch.context() as patch:
        if how != dtype:
            patch.setattr(native_recurrent, "fits", lambda x: False)
        fast = run(backend, kind, rows, given_, reverse, fast=True)
    slow = run(backend, kind, rows, given_, reverse, fast=False)
    for one, other in zip(fast, slow, strict=True):
        assert one.dtype == other.dtype == dtype
        np.testing.assert_allclose(one, other, **GRADIENTS)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences(kind: str, reverse: bool) -> None:
    rows = RowPartition.from_lengths([2, 0, 3, 1])
    given_ = arrays(kind, rows.nrows, rows.nvals, True, "float64", 1)
    names = list(given_)

    def function(*values: Any) -> tuple[Any, ...]:
        a = dict(zip(names, values, strict=True))
        cell = Formula(kind, {name: a[name] for name in a if name.endswith(("kernel", "bias"))})
        state = tuple(a[name] for name in ("h", "c") if name in a)
        y, final = backends.get("torch").recur(cell, a["x"], rows, state, reverse=reverse)
        return (y, *final)

    values = tuple(torch.from_numpy(v).requires_grad_() for v in given_.values())
    assert torch.autograd.gradcheck(function, values)


def rows_alone(rows: RowPartition) -> Iterator[tuple[int, slice]]:
    for row in range(rows.nrows):
        yield row, slice(int(rows.row_splits[row]), int(rows.row_splits[row + 1]))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_gets_what_it_gets_alone(kind: str, reverse: bool) -> None:
    backend, rows = backends.get("torch"), RowPartition.from_lengths([3, 0, 7, 7, 1])
    given_ = arrays(kind, rows.nrows, rows.nvals, True, "float32", 2)
    together = run(backend, kind, rows, given_, reverse, fast=True)
    states = 2 if kind == "lstm" else 1
    for row, steps in rows_alone(rows):
        own = {**given_, "x": given_["x"][steps], "h": given_["h"][row : row + 1]}
        if kind == "lstm":
            own["c"] = given_["c"][row : row + 1]
        one = RowPartition.from_lengths([steps.stop - steps.start])
        alone = run(backend, kind, one, own, reverse, fast=True)
        np.testing.assert_allclose(together[0][steps], alone[0], **GRADIENTS)
        for k in range(1, 1 + states):
            np.testing.assert_allclose(together[k][row], alone[k][0], **GRADIENTS)


@pytest.mark.parametrize("kind", KINDS)
def test_without_gradients_the_numbers_are_the_same(kind: str) -> None:
    backend, rows = backends.get("torch"), RowPartition.from_lengths([3, 0, 7, 7, 1])
    given_ = arrays(kind, rows.nrows, rows.nvals, True, "float32", 3)
    trained = run(backend, kind, rows, given_, False, fast=True)
    a = {name: backend.asarray(v) for name, v in given_.items()}
    cell = Formula(kind, {name: a[name] for name in a if name.endswith(("kernel", "bias"))})
    with backend.no_gradient():
        y, final = backend.recur(cell, a["x"], rows, tuple(a[name] for name in ("h", "c") if name in a))
    for one, other in zip((y, *final), trained, strict=False):
        np.testing.assert_allclose(backend.to_host(one), other, **GRADIENTS)


@pytest.mark.parametrize("kind", KINDS)
def test_poison_in_one_row_stays_there(kind: str) -> None:
    backend, rows = backends.get("torch"), RowPartition.from_lengths([2, 4, 3])
    given_ = arrays(kind, rows.nrows, rows.nvals, True, "float32", 4)
    given_["x"][2] = np.nan
    y = run(backend, kind, rows, given_, False, fast=True)[0]
    assert np.isnan(y[2:6]).all()
    assert np.isfinite(y[:2]).all()
    assert np.isfinite(y[6:]).all()


def test_other_cells_are_left_to_the_scan() -> None:
    backend, rows = backends.get("torch"), RowPartition.from_lengths([2, 1])
    given_ = {name: torch.from_numpy(a) for name, a in arrays("lstm", 2, 3, True, "float32", 5).items()}
    cell = Formula("lstm", {name: given_[name] for name in given_ if name.endswith(("kernel", "bias"))})
    cell.fusable = False
    seen = []
    step = cell.step
    cell.step = lambda *arguments: seen.append(1) or step(*arguments)  # type: ignore[method-assign]
    backend.recur(cell, given_["x"], rows, (given_["h"], given_["c"]))
    assert len(seen) == 2


@pytest.mark.parametrize("kind", ["lstm", "gru", "simple_rnn"])
@given(lengths=strategies.lengths(), seed=strategies.seeds(), bias=st.booleans(), reverse=st.booleans())
def test_the_packed_call_for_cuda_equals_the_scan(
    kind: str, lengths: list[int], seed: int, bias: bool, reverse: bool
) -> None:
    # On the CPU the same call runs torch's own loop: slow, but the layout of steps, states and weights is the same.
    rows = RowPartition.from_lengths(lengths)
    if not rows.nvals:
        return
    given_ = arrays(kind, rows.nrows, rows.nvals, bias, "float64", seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recurrent, "kernel_for", lambda cell, device: recurrent._cudnn)
        fast = run(backends.get("torch"), kind, rows, given_, reverse, fast=True)
    slow = run(backends.get("torch"), kind, rows, given_, reverse, fast=False)
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_allclose(one, other, **GRADIENTS)


def test_each_device_has_its_kernel() -> None:
    def kernel(kind: str, device: str) -> Any:
        return recurrent.kernel_for(Formula(kind, {}), device)

    assert [kernel(kind, "cuda") for kind in ("lstm", "gru", "simple_rnn")] == [recurrent._cudnn] * 3
    assert kernel("gru reset before", "cuda") is recurrent._loop
    assert [kernel(kind, "cpu") for kind in KINDS] == [recurrent._cpu] * 4
    assert kernel("peephole", "cpu") is None


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [[5, 0, 3, 9, 1, 7, 7, 2, 0, 4, 6, 8, 3, 1, 60], [4], [0, 2], [3] * 12])
def test_rows_dealt_to_threads_give_the_same(lengths: list[int], reverse: bool) -> None:
    rows = RowPartition.from_lengths(lengths)
    given_ = arrays("lstm", rows.nrows, rows.nvals, True, "float64", 5)
    fast = run(backends.get("torch"), "lstm", rows, given_, reverse, fast=True)
    slow = run(backends.get("torch"), "lstm", rows, given_, reverse, fast=False)
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_allclose(one, other, **GRADIENTS)
    groups = lstm._groups(backends.get("torch"), rows, reverse, 3)
    dealt = sorted(int(row) for group in groups for row in group.rows)
    assert dealt == [row for row, length in enumerate(lengths) if length]
    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_threads_that_start_later_keep_the_number_that_the_user_chose() -> None:
    rows = RowPartition.from_lengths([3] * 12)
    run(backends.get("torch"), "lstm", rows, arrays("lstm", 12, 36, True, "float32", 5), False, fast=True)
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [3]


# ---- native code: sizes at which vectors, panels, blocks and chunks end

NATIVE = pytest.mark.skipif(not native_recurrent.native.available(), reason="needs the native library")
SHAPES = {
    "one unit, one feature": (1, 1, [5, 0, 2, 9]),
    "vectors that are not full": (33, 5, [3, 1, 40, 0, 7]),
    "several panels": (64, 130, [20, 3, 11]),
    "more rows than a chunk holds": (7, 3, [2] * 150 + [5] * 3),
    "a giant among dwarfs": (20, 9, [700] + [2] * 70),
    "every row alone in its step": (16, 16, [1] * 5 + [300]),
}


@NATIVE
@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_native_code_at_all_sizes(kind: str, shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    units, features, lengths = SHAPES[shape]
    here = globals()
    monkeypatch.setitem(here, "UNITS", units)
    monkeypatch.setitem(here, "FEATURES", features)
    monkeypatch.setattr(native_recurrent, "_WORTH", 1)
    rows = RowPartition.from_lengths(lengths)
    draw = arrays(kind, rows.nrows, rows.nvals, True, "float32", 6)
    given_ = {name: a * np.float32(0.5 / (units if "kernel" in name else 1) ** 0.5) for name, a in draw.items()}
    exact = {name: a.astype(np.float64) for name, a in given_.items()}
    for reverse in (False, True):
        fast = run(backends.get("torch"), kind, rows, given_, reverse, fast=True)
        slow = run(backends.get("torch"), kind, rows, exact, reverse, fast=True)
        for one, other in zip(fast, slow, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * max(1, np.abs(other).max()))


@NATIVE
@pytest.mark.parametrize("kind", KINDS)
def test_native_code_with_shorter_vectors_than_those_of_this_processor(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = native_recurrent.native._library()
    assert library is not None
    if library[1] != "v4":
        pytest.skip("needs a processor with two levels")

    def find(name: str, _takes: str) -> Any:
        function: Any = getattr(library[0], f"padless_{name}_v3")
        function.argtypes = [ctypes.c_void_p]
        return function

    monkeypatch.setattr(native_recurrent.native, "find", find)
    monkeypatch.setitem(globals(), "UNITS", 33)
    rows = RowPartition.from_lengths([3, 1, 40, 0, 7])
    given_ = {n: a * np.float32(0.3) for n, a in arrays(kind, rows.nrows, rows.nvals, True, "float32", 11).items()}
    fast = run(backends.get("torch"), kind, rows, given_, False, fast=True)
    slow = run(backends.get("torch"), kind, rows, given_, False, fast=False)
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * max(1, np.abs(other).max()))


@NATIVE
@pytest.mark.parametrize("kind", KINDS)
def test_native_code_with_no_gradient_by_the_input_or_the_outputs(kind: str) -> None:
    rows = RowPartition.from_lengths([3, 0, 5])
    a = {n: torch.from_numpy(v) for n, v in arrays(kind, 3, 8, True, "float32", 7).items()}
    found = []
    for asked in (True, False):
        leaves = {n: v.clone().requires_grad_(asked or n != "x") for n, v in a.items()}
        cell = Formula(kind, {n: leaves[n] for n in leaves if n.endswith(("kernel", "bias"))})
        state = tuple(leaves[n] for n in ("h", "c") if n in leaves)
        _y, final = backends.get("torch").recur(cell, leaves["x"], rows, state)
        final[0].square().sum().backward()
        assert (leaves["x"].grad is None) == (not asked)
        found.append([leaves[n].grad for n in leaves if n != "x"])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@NATIVE
@pytest.mark.parametrize("kind", KINDS)
def test_native_code_takes_half_precision_and_views(kind: str) -> None:
    rows = RowPartition.from_lengths([3, 0, 5])
    a = {n: torch.from_numpy(v) for n, v in arrays(kind, 3, 8, True, "float32", 8).items()}
    wide = torch.stack([a["x"], a["x"]], dim=2)
    plain = run(backends.get("torch"), kind, rows, {n: v.numpy() for n, v in a.items()}, False, fast=True)
    for x, tolerance in ((wide[:, :, 1], 1e-6), (a["x"].bfloat16(), 0.03)):
        dtype = x.dtype
        cell = Formula(kind, {n: a[n].to(dtype) for n in a if n.endswith(("kernel", "bias"))})
        state = tuple(a[n].to(dtype) for n in ("h", "c") if n in a)
        y, final = backends.get("torch").recur(cell, x, rows, state)
        assert y.dtype == final[0].dtype == dtype
        np.testing.assert_allclose(y.float().numpy(), plain[0], atol=tolerance)


@NATIVE
@given(lengths=st.lists(st.integers(0, 50), min_size=1, max_size=40), count=st.integers(1, 5))
def test_every_row_is_dealt_once_and_evenly(lengths: list[int], count: int) -> None:
    dealt = native_recurrent.deal(np.array(lengths), count)
    assert sorted(row for rows in dealt for row in rows) == list(range(len(lengths)))
    for rows in dealt:
        assert [lengths[row] for row in rows] == sorted((lengths[row] for row in rows), reverse=True)
    steps = [sum(lengths[row] for row in rows) for rows in dealt]
    assert max(steps) <= sum(lengths) / count + max(lengths) * 3 + 1


@NATIVE
@pytest.mark.usefixtures("three_threads")
def test_many_threads_of_the_user_may_train_at_once() -> None:
    rows = RowPartition.from_lengths([30, 20, 25])
    given_ = arrays("gru", 3, 75, True, "float32", 10)
    expected = run(backends.get("torch"), "gru", rows, given_, False, fast=True)
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(run(backends.get("torch"), "gru", rows, given_, False, fast=True)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    for each in found:
        for one, other in zip(each, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("how", ["float32", "float32 by torch", "float64"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("asked", ["x", "recurrent_kernel", "h"])
def test_gradients_of_gradients_are_an_error_and_never_left_out(
    kind: str, how: str, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "float32 by torch":
        monkeypatch.setattr(native_recurrent, "fits", lambda x: False)
    rows = RowPartition.from_lengths([2, 0, 3, 1])
    a = {n: torch.from_numpy(v) for n, v in arrays(kind, rows.nrows, rows.nvals, True, how.split()[0], 1).items()}
    a[asked].requires_grad_()
    cell = Formula(kind, {name: a[name] for name in a if name.endswith(("kernel", "bias"))})
    state = tuple(a[name] for name in ("h", "c") if name in a)
    y, _ = backends.get("torch").recur(cell, a["x"], rows, state)
    # The gradient by a sum is a constant, and the output itself depends on what is asked for, too.
    (first,) = torch.autograd.grad(y.sum(), a[asked], create_graph=True)
    assert first.isfinite().all()
    with pytest.raises(NotThereYetError, match="gradients of its gradients"):
        torch.autograd.grad(y.sum() + first.square().sum(), a[asked])
