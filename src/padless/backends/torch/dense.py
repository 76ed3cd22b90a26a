"""Products of steps with a matrix, for PyTorch on the CPU."""

from __future__ import annotations

from typing import Any

import torch

from padless.backends.torch import products

Tensor = torch.Tensor


class _Dense(torch.autograd.Function):
    """x W + b, and what lies below 0 made 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
        """(N, D), (D, F), (F,) to (N, F)."""
        y = products.affine(x, kernel, bias)
        if relu:
            # In place, and not by oneDNN, which would make 0 of NaN.
            y.relu_()
        ctx.save_for_backward(x, kernel, bias, y if relu else None)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """(N, F) to the gradients of x, W and b."""
        x, kernel, bias, y = ctx.saved_tensors
        by_x, by_kernel, by_bias, _ = ctx.needs_input_grad
        given = grads[0]
        if torch.is_grad_enabled():  # gradients of gradients are wanted: by operations that have them
            given = given if y is None else given * (y > 0)
            return given @ kernel.t(), x.t() @ given, None if bias is None else given.sum(0), None
        given, summed = products.passed(given, y, by_bias)
        return (
            products.mm(given, kernel.t()) if by_x else None,
            products.outer(x, given) if by_kernel else None,
            summed,
            None,
        )


def dense(x: Tensor, kernel: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
    """As `Backend.dense`.

    Args:
        x: (..., D).
        kernel: (D, F).
        bias: (F,) or None.
        relu: whether what lies below 0 becomes 0.

    Returns:
        (..., F).
    """
    flat = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
    if products.by_onednn(flat, kernel):
        y: Tensor = _Dense.apply(flat, kernel, bias, relu)  # type: ignore[no-untyped-call]
    else:
        y = flat @ kernel if bias is None else torch.addmm(bias, flat, kernel)
        if relu:
            y = torch.relu(y)
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], kernel.shape[1])
