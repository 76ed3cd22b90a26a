"""Matrix products, for PyTorch: on the CPU by oneDNN where that is faster than the BLAS that torch calls.

torch's own products go to MKL, which uses half of the vector width of AMD's processors: on two Zen 5 cores (12,160 x
128) @ (128 x 256) ran at 223 GFLOP/s there, and at 405 through the operator that torch's compiler emits for a Dense
layer, which is oneDNN's. That operator takes views as they are, and may end with an activation.
"""

from __future__ import annotations

from typing import Any

import torch

from padless import native
from padless.backends.torch.threads import share

Tensor = torch.Tensor

_LINEAR: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch._C._has_mkldnn else None
_LEAST = 4_000_000
"""Floating-point operations from which on oneDNN is faster: its call takes some 13 microseconds, torch's two."""


def by_onednn(a: Tensor, b: Tensor) -> bool:
    """Whether `mm` hands a product to oneDNN.

    Args:
        a: (n, k).
        b: (k, m).

    Returns:
        True for large ones in float32 on the CPU; not under torch.autocast, which makes bfloat16 of others: the dtype
        must not depend on the size.
    """
    return (
        2 * a.numel() * b.shape[1] >= _LEAST  # first, for the sake of small ones
        and _LINEAR is not None
        and a.dtype == b.dtype == torch.float32
        and a.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
    )


def mm(a: Tensor, b: Tensor) -> Tensor:
    """Multiply two matrices; no gradient is recorded.

    Args:
        a: (n, k), any strides.
        b: (k, m), any strides.

    Returns:
        (n, m).
    """
    if by_onednn(a, b):
        y: Tensor = _LINEAR(a, b.t(), None, "none", [], "")
        return y
    return torch.mm(a, b)


def affine(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply by a matrix and add a bias, in one call of oneDNN; no gradient is recorded.

    Args:
        x: (n, k), of a product that is `by_onednn`.
        kernel: (k, m).
        bias: (m,) or None.

    Returns:
        (n, m).
    """
    y: Tensor = _LINEAR(x, kernel.t(), bias, "none", [], "")
    return y


# Of the kernels in C: windows at a time, features and filters of a tile at most.
STEPS, ACROSS, WIDTH = 128, 8, 32


def kernel_gradient(
    x: Tensor, source: Tensor | None, by_y: Tensor, taps: int, stride: int, dilation: int
) -> Tensor | None:
    """The sum over all windows of what each tap sees times the gradient of the output, in C.

    Args:
        x: (N, D) steps.
        source: (slots,) the step at each slot, below 0 for zeros; None where the slots are the steps.
        by_y: (windows, F); a window begins each `stride` slots, and its taps are `dilation` apart.
        taps: of a window.
        stride: see above.
        dilation: see above.

    Returns:
        (taps, D, F); None where the kernel is not to be had, or fills up more than it computes.
    """
    function = native.find("kernel_gradient", "pppppnnnnnnnnnn")
    (windows, filters), features = by_y.shape, x.shape[1]
    if function is None or features < 8 or filters < 16:
        return None
    x, by_y = x.contiguous(), by_y.contiguous()
    rows, pitch = features + ACROSS - 1, -(-filters // WIDTH) * WIDTH
    found = x.new_empty((taps, rows, pitch))
    scratch = x.new_empty((torch.get_num_threads(), STEPS * pitch))
    named = None if source is None else source.data_ptr()
    codes: list[int] = []

    def some(part: int, parts: int) -> None:
        arrays = x.data_ptr(), named, by_y.data_ptr(), found.data_ptr(), scratch[part].data_ptr()
        codes.append(function(*arrays, windows, features, filters, taps, stride, dilation, rows, pitch, part, parts))

    share(some, alone=windows * features * filters * taps < 4_000_000)
    return None if any(codes) else found[:, :features, :filters].contiguous()


def outer(x: Tensor, y: Tensor) -> Tensor:
    """x^T y of two long and narrow matrices, as the gradient of a kernel is; no gradient is recorded.

    A sum over so many steps is what libraries are slow at: with 12,151 steps of 128 and 128 features, on two Zen 5
    cores, MKL and oneDNN ran at some 210 GFLOP/s, the kernel in C, which is that of a convolution with one tap, at 420.

    Args:
        x: (n, k).
        y: (n, m).

    Returns:
        (k, m).
    """
    found = kernel_gradient(x, None, y, 1, 1, 1) if by_onednn(x.t(), y) else None
    if found is not None:
        return found[0]
    # The wider side last: oneDNN is up to twice as fast so.
    return mm(x.t(), y) if y.shape[1] >= x.shape[1] else mm(y.t(), x).t()


def spread(
    given: Tensor, above: Tensor | None, source: Tensor | None, summed: bool
) -> tuple[Tensor, Tensor | None] | None:
    """Steps to slots, where a ReLU let them pass, and their sum, in C: one pass over memory in place of three.

    Args:
        given: (n, m) gradient by the output.
        above: (n, m) output of the ReLU; None where there was none.
        source: (slots,) the step at each slot, below 0 for zeros; None where the slots are the steps.
        summed: whether the sum is wanted.

    Returns:
        (slots, m) and (m,); None where the kernel is not to be had.
    """
    kernel = native.find("spread", "pppppnnn")
    if kernel is None or given.dtype != torch.float32 or given.device.type != "cpu":
        return None
    given, width, slots = given.contiguous(), given.shape[1], given.shape[0] if source is None else len(source)
    to, sums = given.new_empty((slots, width)), given.new_zeros((torch.get_num_threads(), 2, width))
    sign, named = (None if array is None else array.data_ptr() for array in (above, source))

    def some(part: int, parts: int) -> None:
        first, last = slots * part // parts, slots * (part + 1) // parts
        sum_of_part = sums[part].data_ptr() if summed else None
        kernel(given.data_ptr(), sign, named, to.data_ptr(), sum_of_part, first, last, width)

    share(some, alone=to.numel() < 100_000)
    return to, sums[:, 0].sum(0) if summed else None


def passed(given: Tensor, y: Tensor | None, summed: bool) -> tuple[Tensor, Tensor | None]:
    """What a ReLU lets pass of a gradient, and its sum over the steps.

    Args:
        given: (n, m) gradient by the output.
        y: (n, m) the output; None where there was no ReLU.
        summed: whether the sum is wanted.

    Returns:
        (n, m) and (m,).
    """
    made = None if y is None else spread(given, y, None, summed)
    if made is not None:
        return made
    given = given if y is None else torch.ops.aten.threshold_backward(given, y, 0)
    return given, given.sum(0) if summed else None
