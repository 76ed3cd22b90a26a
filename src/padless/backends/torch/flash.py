"""Attention within rows on the CPU, for PyTorch, by the kernel in C: rows as they lie, no padding, no grouping.

Forward and backward with 4 heads of 32 on two Zen 5 cores, beside torch's kernel on groups of rows of about one length
(`attention.py`): 12,135 words in 32 news articles 25 and 82 ms, 256 texts of 5 to 40 words 3.3 and 12, one row of
4,442 words 73 and 202.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from padless import native
from padless.backends.base import Backend
from padless.backends.torch import derivatives
from padless.backends.torch.threads import team
from padless.rows import RowPartition

if TYPE_CHECKING:
    from padless.backends.torch import TorchBackend

Tensor = torch.Tensor

_CHUNK = 512
"""Queries of a row and a head that are one piece of work: long rows are shared among threads."""
_LEAST = 3_000_000
"""Floating-point operations that pay for another thread."""

# In bfloat16, by way of float32, 34 ms instead of the 93 of torch's own kernel.
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)

_FAR = 2**30
"""A window that reaches over any row: the kernel counts places in 32 bits."""


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
    causal: bool
    window: int
    scale: float


def fits(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether the kernel takes these.

    Args:
        q: (N, H, K).
        k: (M, G, K).
        v: (M, G, V).

    Returns:
        True on the CPU, where the kernels were compiled, for float32 and what is shorter.
    """
    # Apple's own library computes products in units that no compiler reaches.
    if sys.platform == "darwin" or _kernel("forward") is None:
        return False
    return q.dtype in _DTYPES and all(x.dtype == q.dtype and x.device.type == "cpu" for x in (q, k, v))


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
    options = Options(heads, groups, q.shape[2], v.shape[2], causal, min(window or 0, _FAR), scale)

    def by_default(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        y: Tensor = Backend.attention(backend, q, k, v, rows, value_rows, scale=scale, causal=causal, window=window)
        return y

    dtype = q.dtype
    if dtype != torch.float32:
        q, k, v = (x.to(torch.float32) for x in (q, k, v))
    y: Tensor = _Attention.apply(q, k, v, work, options, by_default)  # type: ignore[no-untyped-call]
    return y if dtype == torch.float32 else y.to(dtype)


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


class _Call(ctypes.Structure):
    """As `Call` in attention.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("q", "k", "v", "out", "stats", "by_out", "by_q", "by_k", "by_v")),
        *((name, ctypes.c_void_p) for name in ("splits", "value_splits", "items")),
        *((name, ctypes.c_int64) for name in ("count", "next", "failed", "longest", "n")),
        *((name, ctypes.c_int64) for name in ("heads", "groups", "key_width", "value_width", "causal", "window")),
        ("scale", ctypes.c_double),
    )


def _kernel(name: str) -> Callable[..., int] | None:
    return native.find(f"attention_{name}", "p")


def _run(name: str, tensors: dict[str, Tensor], items: Any, work: Work, options: Options, operations: int) -> None:
    """Let threads take pieces of work until none is left."""
    kernel = _kernel(name)
    assert kernel is not None
    tensors = {each: x.contiguous() for each, x in tensors.items()}
    call = _Call(
        **{each: x.data_ptr() for each, x in tensors.items()},
        splits=work.splits.ctypes.data,
        value_splits=work.value_splits.ctypes.data,
        items=items.ctypes.data,
        count=len(items),
        longest=work.longest,
        n=tensors["q"].shape[0],
        **options._asdict(),
    )
    done = operations * work.scores * options.heads * (options.key_width + options.value_width)
    team(kernel, call, min(torch.get_num_threads(), len(items), 1 + done // _LEAST))
    if call.failed:
        raise MemoryError(f"no memory for attention to {work.longest} keys")


class _Attention(torch.autograd.Function):
    """Softmax(scale q k^T) v within rows."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, work: Work, options: Options, by_default: Callable[..., Tensor]
    ) -> Tensor:
        """(N, H, K), (M, G, K), (M, G, V) to (N, H, V)."""
        y = q.new_empty((q.shape[0], options.heads, options.value_width))
        # Of each query and head, the largest score and 1 / the sum of the powers.
        stats = q.new_empty((2, options.heads, q.shape[0]))
        _run("forward", {"q": q, "k": k, "v": v, "out": y, "stats": stats}, work.forward, work, options, 2)
        ctx.save_for_backward(q, k, v, y, stats)
        ctx.given = work, options, by_default
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """(N, H, V) to the gradients of q, k and v."""
        work, options, by_default = ctx.given
        q, k, v, y, stats = ctx.saved_tensors
        if torch.is_grad_enabled():  # gradients of gradients are wanted, which the kernel does not have
            found = derivatives.by_default(by_default, (q, k, v), ctx.needs_input_grad[:3], grads[0])
            return *found, None, None, None
        by = {f"by_{name}": x.new_empty(x.shape) for name, x in (("q", q), ("k", k), ("v", v))}
        given = {"q": q, "k": k, "v": v, "out": y, "stats": stats, "by_out": grads[0]}
        _run("backward", given | by, work.backward, work, options, 5)
        return *by.values(), None, None, None
