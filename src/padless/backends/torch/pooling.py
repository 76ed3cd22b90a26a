"""The largest step of each row and of each window, for PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from padless import native
from padless.backends.base import Backend
from padless.backends.torch import derivatives
from padless.backends.torch.threads import share
from padless.lengths import Window
from padless.rows import RowPartition

if TYPE_CHECKING:
    from padless.backends.torch import TorchBackend

Tensor = torch.Tensor

_PART = 16
"""Features that a thread takes at least: what is read together lies together."""


def segment_max(backend: TorchBackend, values: Tensor, rows: RowPartition) -> Tensor:
    """Largest step of each row, feature by feature.

    Args:
        backend: moves the index arrays.
        values: (N, D) steps, N above 0.
        rows: their partition.

    Returns:
        (B, D); 0 for an empty row.
    """
    if not _by_native(values):
        largest: Tensor = _SegmentMax.apply(values, backend.index(rows, "value_rowids"), rows.nrows)  # type: ignore[no-untyped-call]
        return largest
    splits, rowids = backend.index(rows, "row_splits"), backend.index(rows, "value_rowids")
    native_largest: Tensor = _NativeSegmentMax.apply(values, splits, rowids)  # type: ignore[no-untyped-call]
    return native_largest


def _by_native(values: Tensor) -> bool:
    return native.available() and values.device.type == "cpu" and values.dtype == torch.float32


def window_max(backend: TorchBackend, values: Tensor, rows: RowPartition, window: Window) -> Tensor | None:
    """As `Backend.window_max`, in C; None where that is not to be had."""
    if not _by_native(values) or not values.numel() or not rows.derived(window).nvals:
        return None

    def again(values: Tensor) -> Tensor:
        y: Tensor = Backend.window_max(backend, values, rows, window)
        return y

    flat = values.reshape(rows.nvals, -1)
    y: Tensor = _NativeWindowMax.apply(flat, backend.index(rows, "taps", window), again)  # type: ignore[no-untyped-call]
    return y.reshape((y.shape[0], *values.shape[1:]))


def _shared(values: Tensor, rowids: Tensor, largest: Tensor, by_largest: Tensor) -> Tensor:
    """The gradient, shared equally among the steps that reach the largest, as torch.amax does: (B, D) to (N, D)."""
    reached = (values == largest.index_select(0, rowids)).to(values.dtype)
    ties = torch.zeros_like(largest).index_add_(0, rowids, reached)
    shares = by_largest / ties.clamp_(min=1)
    return reached.mul_(shares.index_select(0, rowids))


class _SegmentMax(torch.autograd.Function):
    """About half the time of torch.segment_reduce or of a maximum over padded rows."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rowids: Tensor, nrows: int) -> Tensor:
        """(N, D) to (B, D)."""
        largest = values.new_zeros((nrows, values.shape[1]))
        largest.scatter_reduce_(0, rowids[:, None].expand(values.shape), values, "amax", include_self=False)
        ctx.save_for_backward(values, rowids, largest)
        return largest

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """(B, D) to (N, D)."""
        values, rowids, largest = ctx.saved_tensors
        return _shared(values, rowids, largest, grads[0]), None, None


class _NativeSegmentMax(torch.autograd.Function):
    """The same in C: 12,000 x 128 with gradient in 0.6 ms on two cores, where torch's operations take 1.7."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, splits: Tensor, rowids: Tensor) -> Tensor:
        """(N, D) to (B, D)."""
        values = values.contiguous()
        largest = values.new_empty((len(splits) - 1, values.shape[1]))
        ties = torch.empty_like(largest)
        _run("row_max", [values, splits, largest, ties], len(largest))
        ctx.save_for_backward(values, splits, rowids, largest, ties)
        return largest

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """(B, D) to (N, D)."""
        values, splits, rowids, largest, ties = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _shared(values, rowids, largest, grads[0]), None, None
        by_values = torch.empty_like(values)
        arrays = [values, splits, largest, ties, grads[0].contiguous(), by_values]
        _run("row_max_gradient", arrays, len(largest))
        return by_values, None, None


class _NativeWindowMax(torch.autograd.Function):
    """In C: 12,000 x 128 in windows of 2 with gradient in 0.9 ms on two cores, where torch's operations take 3.5."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, taps: Tensor, again: Callable[[Tensor], Tensor]) -> Tensor:
        """(N, D) and (M, K) to (M, D)."""
        largest = values.new_empty((taps.shape[0], values.shape[1]))
        ties = torch.empty_like(largest)
        _run("window_max", [values.contiguous(), taps, largest, ties], *taps.shape, len(values))
        ctx.save_for_backward(values, taps, largest, ties)
        ctx.again = again
        return largest

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """(M, D) to (N, D)."""
        values, taps, largest, ties = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *derivatives.by_default(ctx.again, [values], [True], grads[0]), None, None
        values = values.contiguous()
        by_values = torch.zeros_like(values)
        arrays = [values, taps, largest, ties, grads[0].contiguous(), by_values]
        _run("window_max_gradient", arrays, *taps.shape, len(values))
        return by_values, None, None


def _run(name: str, arrays: list[Tensor], *sizes: int) -> None:
    """Run a kernel; every thread takes some of the features, for which the kernel's last three arguments are."""
    kernel = native.find(name, "p" * len(arrays) + "n" * (len(sizes) + 3))
    assert kernel is not None
    width = arrays[0].shape[1]
    pointers = [array.data_ptr() for array in arrays]

    def some(part: int, parts: int) -> None:
        tiles = -(-width // _PART)
        first, last = (min(tiles * at // parts * _PART, width) for at in (part, part + 1))
        kernel(*pointers, *sizes, width, first, last)

    share(some, alone=arrays[0].numel() < 100_000)
