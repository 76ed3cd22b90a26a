"""Convolutions, for PyTorch.

A row-wise convolution of stride 1 is a sum over the taps of plain matrix products: shifted views of one packed buffer,
in which zeros stand between the rows, times one tap of the kernel each. Nothing is copied per tap, and products of
this shape run at the speed of large ones: with 12,000 steps, 128 to 128 features and 5 taps at 167 of 169 GFLOP/s on
two cores, forward and backward, where gathering all windows into one wide matrix (the default) ran at 112 forward.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from padless.backends.numpy import same_padding
from padless.lengths import Transposed, Window
from padless.rows import RowPartition

if TYPE_CHECKING:
    from padless.backends.torch import TorchBackend

Tensor = torch.Tensor

# Slots per product: input and output of one block, of some hundred features, stay in a core's cache over all taps.
_BLOCK = 2048
# The same where features do not meet, and nothing but memory is waited for.
_THIN_BLOCK = 512
# Below so many features the products are too thin, and gathering the few features is cheap.
_LEAST_FEATURES = 16


class Plan(NamedTuple):
    """Where steps stand in the buffer.

    Attributes:
        rows: partition of the output.
        slots: slots of the buffer.
        outputs: slots of the output: one for each window that lies in the buffer.
        inward: (N,) slot of each step; None where the buffer is the steps themselves.
        outward: (M,) slot of each output step.
    """

    rows: RowPartition
    slots: int
    outputs: int
    inward: Tensor | None
    outward: Tensor


def plan(backend: TorchBackend, rows: RowPartition, size: int, dilation: int, padding: str) -> Plan:
    """Lay out the rows of a batch for one kind of window; made once per batch.

    Args:
        backend: moves the index arrays.
        rows: the partition.
        size: taps.
        dilation: places between two taps.
        padding: "valid", "same" or "causal".

    Returns:
        The plan.
    """

    def make() -> Plan:
        span = (size - 1) * dilation
        before = {"valid": 0, "same": span // 2, "causal": span}[padding]
        after = span - before if padding == "same" else 0
        extents = rows.extents
        # One run of zeros serves the end of a row and the start of the next.
        wide = np.where(extents > 0, extents + max(before, after), 0)
        firsts = before + np.cumsum(wide) - wide
        slots = int(wide.sum()) + before + after
        inward = firsts[rows.value_rowids] + rows.positions
        made = rows.derived(Window(size, 1, dilation, padding))
        outward = (firsts - before)[made.value_rowids] + made.positions
        packed = padding == "valid" and not rows.has_holes
        return Plan(
            made, slots, max(slots - span, 0), None if packed else backend.asarray(inward), backend.asarray(outward)
        )

    key = (backend.name, str(backend.device), "convolution", size, dilation, padding)
    found: Plan = rows.moved(key, make)
    return found


def convolve(
    backend: TorchBackend, x: Tensor, rows: RowPartition, kernel: Tensor, dilation: int, padding: str, groups: int
) -> tuple[Tensor, RowPartition] | None:
    """Convolve rows with stride 1, all features together or each alone.

    Args:
        backend: moves the index arrays.
        x: (N, D) steps.
        rows: their partition.
        kernel: (K, D / groups, filters).
        dilation: places between two taps.
        padding: "valid", "same" or "causal".
        groups: 1, or D.

    Returns:
        (M, filters) and the partition of the output; None where the default is faster: few features, or rows so short
        that the buffer would be mostly zeros; and for other groups.
    """
    size = kernel.shape[0]
    if groups > 1:
        if kernel.shape[1] > 1:
            return None
        layout = plan(backend, rows, size, dilation, padding)
        if not layout.rows.nvals or layout.outputs > 4 * layout.rows.nvals:
            return None
        # Features that several kernels read stand side by side; most often there is one for each.
        each = kernel.shape[2] // groups
        wide = x if each == 1 else x.repeat_interleave(each, dim=1)
        alone: Tensor = _Depthwise.apply(wide, kernel[:, 0], layout, dilation)  # type: ignore[no-untyped-call]
        return alone, layout.rows
    if size > 1 and kernel.shape[1] < _LEAST_FEATURES:
        return None
    layout = plan(backend, rows, size, dilation, padding)
    if size == 1 and not rows.has_holes:
        return x @ kernel[0], layout.rows
    if not layout.rows.nvals or layout.outputs > 1.5 * layout.rows.nvals:
        return None
    y: Tensor = _Convolution.apply(x, kernel, layout, dilation)  # type: ignore[no-untyped-call]
    return y, layout.rows


def _spread(x: Tensor, slots: int, index: Tensor) -> Tensor:
    # index_add_ into zeros is faster than index_copy_: 0.4 against 0.6 ms for 12,000 x 128.
    return x.new_zeros((slots, x.shape[1])).index_add_(0, index, x)


class _Convolution(torch.autograd.Function):
    """Sum over taps of (buffer shifted by the tap) @ (tap of the kernel)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, layout: Plan, dilation: int) -> Tensor:
        buffer = x.contiguous() if layout.inward is None else _spread(x, layout.slots, layout.inward)
        y = x.new_empty((layout.outputs, kernel.shape[2]))
        for first, last in _blocks(x, layout.outputs):
            block = y[first:last]
            torch.mm(buffer[first:last], kernel[0], out=block)
            for tap in range(1, kernel.shape[0]):
                block.addmm_(buffer[first + tap * dilation : last + tap * dilation], kernel[tap])
        ctx.save_for_backward(buffer, kernel)
        ctx.layout, ctx.dilation = layout, dilation
        return y.index_select(0, layout.outward)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        buffer, kernel = ctx.saved_tensors
        layout: Plan = ctx.layout
        by_y = _spread(grads[0], layout.outputs, layout.outward)
        by_buffer = torch.zeros_like(buffer) if ctx.needs_input_grad[0] else None
        by_kernel = torch.zeros_like(kernel)
        for first, last in _blocks(by_y, layout.outputs):
            block = by_y[first:last]
            for tap in range(kernel.shape[0]):
                seen = slice(first + tap * ctx.dilation, last + tap * ctx.dilation)
                by_kernel[tap].addmm_(buffer[seen].t(), block)
                if by_buffer is not None:
                    by_buffer[seen].addmm_(block, kernel[tap].t())
        if by_buffer is not None and layout.inward is not None:
            by_buffer = by_buffer.index_select(0, layout.inward)
        return by_buffer, by_kernel, None, None


class _Depthwise(torch.autograd.Function):
    """Sum over taps of (buffer shifted by the tap) * (tap of the kernel), feature by feature.

    With 12,000 steps, 128 features and 9 taps it takes 32 ms forward and backward, torch's own convolution in groups
    52, and gathering each tap's steps (the default) 82, on one core.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, layout: Plan, dilation: int) -> Tensor:
        buffer = x.contiguous() if layout.inward is None else _spread(x, layout.slots, layout.inward)
        y = x.new_empty((layout.outputs, kernel.shape[1]))
        for first, last in _blocks(x, layout.outputs, _THIN_BLOCK):
            block = y[first:last]
            torch.mul(buffer[first:last], kernel[0], out=block)
            for tap in range(1, kernel.shape[0]):
                block.addcmul_(buffer[first + tap * dilation : last + tap * dilation], kernel[tap])
        ctx.save_for_backward(buffer, kernel)
        ctx.layout, ctx.dilation = layout, dilation
        return y.index_select(0, layout.outward)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        buffer, kernel = ctx.saved_tensors
        layout: Plan = ctx.layout
        by_y = _spread(grads[0], layout.outputs, layout.outward)
        by_buffer = torch.zeros_like(buffer) if ctx.needs_input_grad[0] else None
        by_kernel = torch.zeros_like(kernel)
        for first, last in _blocks(by_y, layout.outputs, _THIN_BLOCK):
            block = by_y[first:last]
            for tap in range(kernel.shape[0]):
                seen = slice(first + tap * ctx.dilation, last + tap * ctx.dilation)
                by_kernel[tap] += (buffer[seen] * block).sum(0)
                if by_buffer is not None:
                    by_buffer[seen].addcmul_(block, kernel[tap])
        if by_buffer is not None and layout.inward is not None:
            by_buffer = by_buffer.index_select(0, layout.inward)
        return by_buffer, by_kernel, None, None


def _blocks(x: Tensor, slots: int, most: int = _BLOCK) -> list[tuple[int, int]]:
    block = most if x.device.type == "cpu" else slots
    return [(first, min(first + block, slots)) for first in range(0, slots, block)]


def convolve_dense(
    x: Tensor, kernel: Tensor, strides: tuple[int, ...], dilation: tuple[int, ...], padding: str, groups: int
) -> Tensor:
    """Convolve a batch of fixed size, channels last, with Keras's padding.

    Args:
        x: (B, spatial axes, C), one to three axes.
        kernel: (taps of each axis, C / groups, filters).
        strides: of each axis.
        dilation: of each axis.
        padding: "valid" or "same"; the latter pads one more behind than before where the sum is odd.
        groups: number of groups of channels.

    Returns:
        (B, spatial axes, filters).
    """
    spatial = kernel.ndim - 2
    function: Any = (F.conv1d, F.conv2d, F.conv3d)[spatial - 1]
    pads = [(0, 0)] * spatial
    if padding == "same":
        pads = same_padding(x.shape[1:-1], kernel.shape[:spatial], strides, dilation)
    even = all(before == after for before, after in pads)
    x = x.movedim(-1, 1)
    if not even:
        x = F.pad(x, [pad for pair in reversed(pads) for pad in pair])
    y: Tensor = function(
        x,
        kernel.movedim((-1, -2), (0, 1)),
        stride=strides,
        padding=tuple(before for before, _ in pads) if even else 0,
        dilation=dilation,
        groups=groups,
    )
    return y.movedim(1, -1)


def convolve_dense_transposed(x: Tensor, kernel: Tensor, hows: tuple[Transposed, ...]) -> Tensor:
    """Convolve a batch of fixed size the other way round, channels last, with Keras's cuts.

    Args:
        x: (B, spatial axes, D), one to three axes.
        kernel: (taps of each axis, filters, D).
        hows: which steps and taps fall on which place, for each axis.

    Returns:
        (B, spatial axes, filters).
    """
    function: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(hows) - 1]
    y = function(
        x.movedim(-1, 1),
        kernel.movedim((-1, -2), (0, 1)),
        stride=tuple(how.stride for how in hows),
        dilation=tuple(how.dilation for how in hows),
    )
    # Torch makes all places that anything falls on; less than none is cut off.
    pads = [(before - how.span + 1, behind - how.span + 1) for how in hows for before, behind in [how.zeros]]
    y = F.pad(y, [pad for pair in reversed(pads) for pad in pair])
    return y.movedim(1, -1)
