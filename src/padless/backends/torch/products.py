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
        _LINEAR is not None
        and a.dtype == b.dtype == torch.float32
        and a.device.type == "cpu"
        and 2 * a.shape[0] * a.shape[1] * b.shape[1] >= _LEAST
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


_ACROSS, _WIDTH, _STEPS = 8, 32, 128
"""Sizes in native/convolution.c, the largest of all levels."""


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
    (steps, features), filters = x.shape, y.shape[1]
    kernel = native.find("kernel_gradient", "pppppnnnnnnnnnn")
    if kernel is None or not by_onednn(x.t(), y) or features < 8 or filters < 16:
        # The wider side last: oneDNN is up to twice as fast so.
        return mm(x.t(), y) if filters >= features else mm(y.t(), x).t()
    x, y = x.contiguous(), y.contiguous()
    rows, pitch = features + _ACROSS - 1, -(-filters // _WIDTH) * _WIDTH
    if pitch > filters:
        y = torch.nn.functional.pad(y, (0, pitch - filters))
    source = torch.arange(steps)
    found = x.new_empty((rows, pitch))
    scratch = x.new_empty((torch.get_num_threads(), _STEPS * pitch))

    def some(part: int, parts: int) -> None:
        arrays = (t.data_ptr() for t in (x, source, y, found, scratch[part]))
        kernel(*arrays, steps, features, pitch, 1, 1, 1, rows, pitch, part, parts)

    share(some)
    return found[:features, :filters].contiguous()


def passed(given: Tensor, y: Tensor | None, summed: bool) -> tuple[Tensor, Tensor | None]:
    """What a ReLU lets pass of a gradient, and its sum over the steps, in one pass over memory.

    Args:
        given: (n, m) gradient by the output.
        y: (n, m) the output; None where there was no ReLU.
        summed: whether the sum is wanted.

    Returns:
        (n, m) and (m,).
    """
    kernel = native.find("spread", "pppppnnn")
    if y is None or kernel is None or given.dtype != torch.float32 or given.device.type != "cpu":
        given = given if y is None else torch.ops.aten.threshold_backward(given, y, 0)
        return given, given.sum(0) if summed else None
    given, (steps, width) = given.contiguous(), given.shape
    source, to = torch.arange(steps), torch.empty_like(given)
    sums = given.new_zeros((torch.get_num_threads(), 2, width))

    def some(part: int, parts: int) -> None:
        first, last = steps * part // parts, steps * (part + 1) // parts
        arrays = (t.data_ptr() for t in (given, y, source, to, sums[part]))
        kernel(*arrays, first, last, width)

    share(some, alone=to.numel() < 100_000)
    total = sums[0, 0]
    for other in sums[1:, 0]:
        total = total + other
    return to, total if summed else None
