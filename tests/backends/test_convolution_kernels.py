"""The convolution of rows as one convolution of a buffer, against the default in float64: values and gradients."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from padless import backends, native
from padless.backends.base import Backend
from padless.lengths import Window
from padless.rows import RowPartition
from tests.tolerances import GRADIENTS, VALUES

torch = pytest.importorskip("torch")
convolution = pytest.importorskip("padless.backends.torch.convolution")


@pytest.fixture(autouse=True)
def _small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_LEAST_OPERATIONS", 0)


Host = np.ndarray[Any, Any]
ON_CPU = str(backends.get("torch").device) == "cpu"
LENGTHS: dict[str, list[int]] = {
    "several": [301, 0, 17, 1, 655, 2, 0, 404],
    "one": [1037],
    "a giant among dwarfs": [3, 1, 1201, 2, 4],
    "short": [5, 0, 3],
    "empty at both ends": [0, 0, 130, 0],
    "enough for two threads": [3000, 0, 2500, 611],
}
KINDS: dict[str, dict[str, Any]] = {
    "same": {"size": 5, "padding": "same"},
    "same, even": {"size": 4, "padding": "same", "features": 17, "filters": 23},
    "valid": {"size": 3, "filters": 40},
    "causal, dilation": {"size": 3, "padding": "causal", "dilation": 5},
    "one tap": {"size": 1},
    "stride": {"size": 5, "stride": 2, "padding": "same"},
    "stride beyond the window": {"size": 2, "stride": 5},
    "causal, stride": {"size": 4, "stride": 3, "padding": "causal", "features": 33},
    "groups": {"size": 3, "padding": "same", "features": 32, "filters": 8, "groups": 2},
    "groups, stride": {"size": 3, "stride": 2, "features": 32, "filters": 8, "groups": 2},
    "groups of one filter": {"size": 3, "padding": "same", "features": 32, "filters": 8, "groups": 8},
    "each alone": {"size": 7, "padding": "same", "filters": 16, "groups": 16},
    "each alone, several": {"size": 3, "dilation": 2, "filters": 32, "groups": 16},
    "each alone, stride": {"size": 3, "stride": 2, "padding": "same", "features": 3, "filters": 3, "groups": 3},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def prepared(kind: str, lengths: list[int], holes: bool = False) -> tuple[list[Host], RowPartition, dict[str, Any]]:
    """Steps, kernel and bias, their rows, and the options of `convolve`."""
    options = dict(KINDS[kind])
    size, features, filters = options.pop("size"), options.pop("features", 16), options.pop("filters", 24)
    draw, rows = np.random.default_rng(7), RowPartition.from_lengths(lengths)
    if holes:
        rows, _ = rows.select(draw.random(rows.nvals) < 0.8)
    width = features // options.get("groups", 1)
    inputs = [draw.normal(size=shape) for shape in ((rows.nvals, features), (size, width, filters), (filters,))]
    inputs[1] /= np.sqrt(size * width)
    return inputs, rows, options


def tensor(x: Host, dtype: str = "float32") -> Any:
    return backends.get("torch").asarray(x, dtype)


def weights_of(y: Any) -> Any:
    """Numbers, such that the gradients of the kernel are about as large as one."""
    drawn = np.random.default_rng(1).normal(size=tuple(y.shape)) / np.sqrt(max(len(y), 1))
    return tensor(drawn).to(y.dtype)


def convolved(
    convolve: Callable[..., Any],
    inputs: list[Host],
    rows: RowPartition,
    options: dict[str, Any],
    dtype: str,
    relu: bool = True,
) -> list[Host]:
    """Outputs and the gradients of steps, kernel and bias."""
    tensors = [tensor(x, dtype).requires_grad_() for x in inputs]
    y, _ = convolve(tensors[0], rows, tensors[1], **options, bias=tensors[2], relu=relu)
    found = torch.autograd.grad((y * weights_of(y)).sum(), tensors)
    return [t.detach().to(torch.float64).cpu().numpy() for t in (y, *found)]


def by_default(*args: Any, **options: Any) -> Any:
    return Backend.convolve(backends.get("torch"), *args, **options)


def compared(kind: str, lengths: list[int], dtype: str, holes: bool = False) -> None:
    inputs, rows, options = prepared(kind, lengths, holes)
    found = convolved(backends.get("torch").convolve, inputs, rows, options, dtype)
    for one, other in zip(found, convolved(by_default, inputs, rows, options, "float64"), strict=True):
        np.testing.assert_allclose(one, other, **GRADIENTS)


@pytest.fixture(params=["native", "torch"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the kernels in C, where there are any, and without."""
    if request.param == "torch":
        monkeypatch.setattr(native, "find", lambda name, takes: None)


@every_kind
@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("lengths", LENGTHS)
def test_values_and_gradients(kind: str, lengths: str) -> None:
    compared(kind, LENGTHS[lengths], "float32")


@every_kind
def test_holes_are_zeros(kind: str) -> None:
    compared(kind, LENGTHS["several"], "float32", holes=True)


@every_kind
def test_double_precision(kind: str) -> None:
    compared(kind, LENGTHS["several"], "float64")


@every_kind
def test_few_operations(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_LEAST_OPERATIONS", 1 << 40)
    compared(kind, LENGTHS["several"], "float32")


@every_kind
def test_half_precision(kind: str) -> None:
    # Without ReLU: near 0 the other precision may be on its other side.
    inputs, rows, options = prepared(kind, LENGTHS["several"])
    found = convolved(backends.get("torch").convolve, inputs, rows, options, "bfloat16", relu=False)
    for one, other in zip(found, convolved(by_default, inputs, rows, options, "float64", relu=False), strict=True):
        np.testing.assert_allclose(one, other, rtol=0.05, atol=0.01 * abs(other).max())


@every_kind
def test_without_onednn(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_ONEDNN", False)
    compared(kind, LENGTHS["several"], "float32")


def test_the_kernel_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any) -> Any:
        raise AssertionError("gathered")

    monkeypatch.setattr(Backend, "_convolve_taps", never)
    for kind in KINDS:
        inputs, rows, options = prepared(kind, LENGTHS["several"])
        convolved(backends.get("torch").convolve, inputs, rows, options, "float32")


@every_kind
def test_a_row_alone_is_the_row_in_a_batch(kind: str) -> None:
    (x, kernel, bias), rows, options = prepared(kind, LENGTHS["several"])
    backend = backends.get("torch")
    kernel, bias = (tensor(a) for a in (kernel, bias))
    together, made = backend.convolve(tensor(x), rows, kernel, **options, bias=bias)
    for row in np.nonzero(made.row_lengths)[0]:
        own = slice(rows.row_splits[row], rows.row_splits[row + 1])
        one = RowPartition.from_lengths([own.stop - own.start])
        alone, _ = backend.convolve(tensor(x[own]), one, kernel, **options, bias=bias)
        at = slice(made.row_splits[row], made.row_splits[row + 1])
        np.testing.assert_allclose(together[at].cpu().numpy(), alone.cpu().numpy(), **VALUES)


@every_kind
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_poison_stays_in_its_row(kind: str, poison: float) -> None:
    (x, *weights), rows, options = prepared(kind, LENGTHS["several"])
    backend = backends.get("torch")
    kernel, bias = (tensor(a) for a in weights)
    x[rows.row_splits[4] : rows.row_splits[5]] = poison
    values = tensor(x).requires_grad_()
    y, made = backend.convolve(values, rows, kernel, **options, bias=bias)
    bad = np.repeat(np.arange(len(rows.row_lengths)) == 4, made.row_lengths)
    assert y[~bad].isfinite().all()
    assert not y[bad].isfinite().any()
    by_y = torch.ones_like(y)
    by_y[bad] = poison
    (by_x,) = torch.autograd.grad(y, values, by_y)
    assert by_x[np.repeat(np.arange(len(rows.row_lengths)) != 4, rows.row_lengths)].isfinite().all()


def test_relu_keeps_nan() -> None:
    (x, kernel, _), rows, options = prepared("same", LENGTHS["one"])
    x[500] = np.nan
    values, kernel = (tensor(a) for a in (x, kernel))
    y, _ = backends.get("torch").convolve(values, rows, kernel, **options, relu=True)
    assert y[498:503].isnan().all()
    assert (y[:498] >= 0).all()


@every_kind
def test_only_the_gradients_that_are_wanted(kind: str) -> None:
    inputs, rows, options = prepared(kind, LENGTHS["several"])
    backend = backends.get("torch")
    whole = convolved(backend.convolve, inputs, rows, options, "float32")[1:]
    for at in range(3):
        tensors = [tensor(a) for a in inputs]
        tensors[at].requires_grad_()
        y, _ = backend.convolve(tensors[0], rows, tensors[1], **options, bias=tensors[2], relu=True)
        (found,) = torch.autograd.grad((y * weights_of(y)).sum(), tensors[at])
        np.testing.assert_array_equal(found.cpu().numpy(), whole[at].astype(np.float32))


@every_kind
def test_gradients_of_gradients(kind: str) -> None:
    inputs, rows, options = prepared(kind, [31, 0, 7])

    def second(convolve: Callable[..., Any]) -> list[Host]:
        tensors = [tensor(x, "float64").requires_grad_() for x in inputs]
        y, _ = convolve(tensors[0], rows, tensors[1], **options, bias=tensors[2], relu=True)
        first = torch.autograd.grad((y**3).sum(), tensors, create_graph=True)
        found = torch.autograd.grad(sum((g**2).sum() for g in first), tensors)
        return [t.detach().cpu().numpy() for t in found]

    for one, other in zip(second(backends.get("torch").convolve), second(by_default), strict=True):
        np.testing.assert_allclose(one, other, **GRADIENTS)


@pytest.mark.skipif(not (native.available() and ON_CPU), reason="needs the library, on the CPU")
def test_the_gradient_of_the_kernel_is_that_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_aten_backward", None)
    compared("same", LENGTHS["several"], "float32")
    # So far apart are the taps that the kernel refuses, and oneDNN steps in.
    monkeypatch.setitem(KINDS, "far", {"size": 3, "dilation": 600, "padding": "same"})
    with pytest.raises(TypeError, match="not callable"):
        compared("far", LENGTHS["one"], "float32")
    monkeypatch.undo()
    monkeypatch.setitem(KINDS, "far", {"size": 3, "dilation": 600, "padding": "same"})
    compared("far", LENGTHS["one"], "float32")


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for kind in KINDS:
            compared(kind, LENGTHS["enough for two threads"], "float32")
    finally:
        torch.set_num_threads(before)


def test_two_threads_at_once() -> None:
    backend, (inputs, rows, options) = backends.get("torch"), prepared("same", LENGTHS["several"])
    right, found = convolved(backend.convolve, inputs, rows, options, "float32"), []

    def work() -> None:
        for _ in range(5):
            found.append(convolved(backend.convolve, inputs, rows, options, "float32"))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 10
    for each in found:
        for one, other in zip(each, right, strict=True):
            np.testing.assert_allclose(one, other, **GRADIENTS)


@every_kind
def test_what_no_window_reads_is_not_in_the_gradient_of_the_kernel(kind: str) -> None:
    (x, kernel, _), rows, options = prepared(kind, [301, 7, 404, 6])
    taps = rows.taps(Window(len(kernel), **{k: v for k, v in options.items() if k != "groups"}))
    x[np.setdiff1d(np.arange(len(x)), taps)] = np.nan
    leaf = tensor(kernel).requires_grad_()
    y, _ = backends.get("torch").convolve(tensor(x), rows, leaf, **options)
    (by_kernel,) = torch.autograd.grad(y.sum(), leaf)
    assert y.isfinite().all()
    assert by_kernel.isfinite().all()


def test_the_compiler_of_torch_takes_the_default() -> None:
    (x, kernel, bias), rows, options = prepared("same", [301, 7])
    backend = backends.get("torch")

    def convolve(x: Any, kernel: Any, bias: Any) -> Any:
        return backend.convolve(x, rows, kernel, bias=bias, **options)[0]

    given = tensor(x), tensor(kernel), tensor(bias)
    got = torch.compile(convolve, backend="eager")(*given)
    np.testing.assert_allclose(got.numpy(), convolve(*given).numpy(), **VALUES)
