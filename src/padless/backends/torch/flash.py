"""Attention within rows on the CPU, for PyTorch, by the kernel in C: rows as they lie, no padding, no grouping.

Forward and backward of 12,135 words of 32 news articles, 4 heads of 32, on two cores: see `fits` for who comes here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from padless import native
from padless.backends.torch.threads import workers
from padless.rows import RowPartition

if TYPE_CHECKING:
    from padless.backends.torch import TorchBackend

Tensor = torch.Tensor

_CHUNK = 512
"""Queries of a row and a head that are one piece of work: long rows are shared among threads."""
_LEAST = 2e7
"""Floating-point operations from which on it pays to wake other threads."""


class Work(NamedTuple):
    """Pieces of work, the largest first.

    Attributes:
        splits: (B+1,) int64 of the queries.
        value_splits: (B+1,) int64 of the keys.
        forward: (n, 4) int64: row, head, first query, the one behind the last.
        backward: (m, 2) int64: row, head of the keys.
        longest: keys of the longest row.
        scores: pairs of queries and keys in all rows.
    """

    splits: Any
    value_splits: Any
    forward: Any
    backward: Any
    longest: int
    scores: int


class Options(NamedTuple):
    """What else the kernel takes: heads of queries and of keys, their widths, and as in `Backend.attention`."""

    heads: int
    groups: int
    key_width: int
    value_width: int
    scale: float
    causal: bool
    window: int


def fits(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether the kernel takes these.

    Args:
        q: (N, H, K).
        k: (M, G, K).
        v: (M, G, V).

    Returns:
        True for float32 on the CPU, where the kernels were compiled.
    """
    return all(x.dtype == torch.float32 and x.device.type == "cpu" for x in (q, k, v)) and _kernels() is not None


def attend(
    backend: TorchBackend,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    rows: RowPartition,
    value_rows: RowPartition,
    *,
    scale: float,
    causal: bool,
    window: int | None,
) -> Tensor:
    """Attend within rows; as `Backend.attention`.

    Args:
        backend: whose name the pieces of work are kept under.
        q: (N, H, K).
        k: (M, G, K).
        v: (M, G, V).
        rows: partition of the queries.
        value_rows: partition of the keys.
        scale: of the scores.
        causal: whether the i-th step of a row sees only the first i of the other.
        window: the i-th step sees only those that are fewer than so many places from i.

    Returns:
        (N, H, V).
    """
    heads, groups = q.shape[1], k.shape[1]
    key = (backend.name, "flash", heads, groups, value_rows.row_splits.tobytes())
    work: Work = rows.moved(key, lambda: _work(rows, value_rows, heads, groups))
    options = Options(heads, groups, q.shape[2], v.shape[2], scale, causal, window or 0)
    y: Tensor = _Attention.apply(q, k, v, work, options)  # type: ignore[no-untyped-call]
    return y


def _work(rows: RowPartition, value_rows: RowPartition, heads: int, groups: int) -> Work:
    lengths, value_lengths = rows.row_lengths.astype(np.int64), value_rows.row_lengths.astype(np.int64)
    chunks = -(-lengths // _CHUNK)
    row = np.repeat(np.arange(len(lengths)), chunks)
    first = _CHUNK * (np.arange(len(row)) - np.repeat(np.cumsum(chunks) - chunks, chunks))
    last = np.minimum(first + _CHUNK, lengths[row])
    order = np.argsort(-(last - first) * value_lengths[row], kind="stable")
    pieces = np.stack([row, np.zeros_like(row), first, last], axis=1)[order]
    forward = np.repeat(pieces, heads, axis=0)
    forward[:, 1] = np.tile(np.arange(heads), len(pieces))
    some = np.nonzero(lengths + value_lengths)[0]
    some = some[np.argsort(-(lengths * value_lengths)[some], kind="stable")]
    backward = np.stack([np.repeat(some, groups), np.tile(np.arange(groups), len(some))], axis=1)
    splits, value_splits = (np.ascontiguousarray(each.row_splits, dtype=np.int64) for each in (rows, value_rows))
    longest, scores = int(value_lengths.max(initial=0)), int((lengths * value_lengths).sum())
    return Work(splits, value_splits, forward, backward, longest, scores)


def _kernels() -> tuple[Callable[..., int], Callable[..., int]] | None:
    forward = native.find("attention_forward", "p" * 8 + "np" + "n" * 6 + "fnn")
    backward = native.find("attention_backward", "p" * 12 + "np" + "n" * 6 + "fnn")
    return None if forward is None or backward is None else (forward, backward)


def _run(
    kernel: Callable[..., int], tensors: list[Tensor], items: Any, work: Work, options: Options, operations: int
) -> None:
    """Let threads take pieces of work until none is left."""
    taken = np.zeros(1, np.int64)
    arguments = [
        *(x.data_ptr() for x in tensors),
        *(each.ctypes.data for each in (work.splits, work.value_splits, items)),
        len(items),
        taken.ctypes.data,
        work.longest,
        tensors[0].shape[0],
        *options,
    ]

    def take(_: int) -> int:
        return kernel(*arguments)

    several = operations * work.scores * options.heads * (options.key_width + options.value_width) > _LEAST
    threads = min(torch.get_num_threads(), len(items)) if several else 1
    if any(workers.map(take, range(threads)) if threads > 1 else [take(0)]):
        raise MemoryError(f"no memory for attention to {work.longest} keys")


class _Attention(torch.autograd.Function):
    """Softmax(scale q k^T) v within rows."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, work: Work, options: Options) -> Tensor:
        """(N, H, K), (M, G, K), (M, G, V) to (N, H, V)."""
        kernels = _kernels()
        assert kernels is not None
        q, k, v = (x.contiguous() for x in (q, k, v))
        y = q.new_empty((q.shape[0], options.heads, options.value_width))
        # Of each query and head, the largest score and 1 / the sum of the powers.
        sums = q.new_empty((2, options.heads, q.shape[0]))
        _run(kernels[0], [q, k, v, y, sums], work.forward, work, options, 2)
        ctx.save_for_backward(q, k, v, y, sums)
        ctx.given = work, options
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """(N, H, V) to the gradients of q, k and v."""
        kernels = _kernels()
        assert kernels is not None
        work, options = ctx.given
        q, k, v, y, sums = ctx.saved_tensors
        by = [torch.empty_like(x) for x in (q, k, v)]
        _run(kernels[1], [q, k, v, y, sums, grads[0].contiguous(), *by], work.backward, work, options, 5)
        return *by, None, None
