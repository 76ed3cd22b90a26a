"""Gradients of gradients: by operations that have them, or an error that says that there are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch

from padless.errors import NotThereYetError, explain

Tensor = torch.Tensor


def by_default(
    function: Callable[..., Tensor], inputs: Sequence[Tensor | None], wanted: Sequence[bool], by_y: Tensor
) -> tuple[Tensor | None, ...]:
    """Give gradients that have gradients in turn: those of a backend's default.

    Args:
        function: the default, of the inputs.
        inputs: of the kernel, as they were given to it.
        wanted: whose gradient is asked for.
        by_y: gradient by the output.

    Returns:
        A gradient for each input, None where none is asked for.
    """
    # Views, since one tensor may stand at several places, as in attention to itself: each place has a gradient.
    apart = [x if x is None else x.view_as(x) for x in inputs]
    asked = [x for x, want in zip(apart, wanted, strict=True) if want and x is not None]
    found = iter(torch.autograd.grad(function(*apart), asked, by_y, create_graph=True, allow_unused=True))
    return tuple(next(found) if want else None for want in wanted)


def first_only(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Have a backward pass raise where its gradients are to be differentiated in turn.

    torch's `once_differentiable` looks at the gradient that comes in alone. By a sum it is a constant; the gradient of
    a gradient would then silently be taken for 0.

    Args:
        backward: of an autograd function that keeps an input or output that the gradient belongs to.

    Returns:
        The same for gradients; an error for gradients of them.
    """

    @wraps(backward)
    def checked(ctx: Any, *grads: Tensor | None) -> Any:
        with torch.no_grad():
            found = backward(ctx, *grads)
        if not torch.is_grad_enabled():
            return found
        roots = [t for t in (*ctx.saved_tensors, *grads) if t is not None and t.requires_grad]
        some = [t for t in found if isinstance(t, Tensor)]
        marked = iter(_First.apply(len(some), *some, *roots))  # type: ignore[no-untyped-call]
        return tuple(next(marked) if isinstance(t, Tensor) else t for t in found)

    return checked


class _First(torch.autograd.Function):
    """Gradients as they are; going back through them is an error."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(t.view_as(t) for t in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise NotThereYetError(
            explain(
                "a recurrent layer",
                expected="gradients of its outputs",
                got="gradients of its gradients, which the fast kernels do not have",
                fix="activation=lambda x: padless.ops.tanh(x), which is computed step by step",
            )
        )
