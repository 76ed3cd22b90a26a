"""Matrix products, for PyTorch: on the CPU by oneDNN where that is faster than the BLAS that torch calls.

torch's own products go to MKL, which uses half of the vector width of AMD's processors: on two Zen 5 cores (12,160 x
128) @ (128 x 256) ran at 223 GFLOP/s there, and at 405 through the operator that torch's compiler emits for a Dense
layer, which is oneDNN's. That operator takes views as they are, and may end with an activation.
"""

from __future__ import annotations

from typing import Any

import torch

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
        True for large ones in float32 on the CPU.
    """
    return (
        _LINEAR is not None
        and a.dtype == b.dtype == torch.float32
        and a.device.type == "cpu"
        and 2 * a.shape[0] * a.shape[1] * b.shape[1] >= _LEAST
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
