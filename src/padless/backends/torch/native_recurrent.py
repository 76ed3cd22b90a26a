"""LSTM, GRU and SimpleRNN on packed rows on the CPU by the kernels of `padless.native`, for PyTorch.

Rows are dealt to groups, one for each thread; one call computes all of a group, products with weights included, and
waits for no other. Only the weights' gradients of the groups are added up at the end.

With 12,151 steps of 32 news articles, 128 features and two Zen 5 cores, forward and backward, of one direction: LSTM
with 64 units 17 ms (a staircase of oneDNN calls 36), with 256 units 93 ms (116), GRU with 64 units 11 ms (a loop of
torch operations 49).
"""

from __future__ import annotations

import ctypes
import heapq
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from padless import native
from padless.backends.base import Cell
from padless.backends.torch.derivatives import first_only
from padless.backends.torch.threads import team
from padless.rows import Int, RowPartition

if TYPE_CHECKING:
    from padless.backends.torch import TorchBackend

Tensor = torch.Tensor
State = tuple[Tensor, ...]

_POINTERS = (
    "x", "kernel", "recurrent", "bias", "state_bias", "h", "c", "last_h", "last_c", "y", "kept",
    "by_y", "by_last_h", "by_last_c", "by_h", "by_c", "by_x", "by_kernel", "by_recurrent", "by_bias", "by_state_bias",
    "first", "length", "row",
)  # fmt: skip
_NUMBERS = ("rows", "units", "features", "ahead", "y_wide", "by_y_wide", "add")
_KEPT = {"lstm": 5, "gru": 4, "gru_before": 3, "simple_rnn": 0}
"""How many times `units` numbers of each step the way back needs."""
_WORTH = 20_000_000
"""Floating-point operations that are worth another thread: it takes some 50 microseconds to start one."""
_EACH_TIME = 2
"""What a time step costs beside its rows, in rows: the recurrent kernel is read again."""


class _Layer(ctypes.Structure):
    """The struct Layer of native/recurrent.c, where each field is explained."""

    _fields_ = [(name, ctypes.c_void_p) for name in _POINTERS] + [(name, ctypes.c_int64) for name in _NUMBERS]


class _Call(ctypes.Structure):
    """The struct Call."""

    _fields_ = (("groups", ctypes.c_void_p), *((name, ctypes.c_int64) for name in ("count", "next", "failed")))


class Group:
    """The rows of one thread, longest first.

    Args:
        rows: partition of the whole batch.
        own: (b,) the rows.
        reverse: read every row backwards.
    """

    def __init__(self, rows: RowPartition, own: Int, reverse: bool) -> None:
        self.length = np.ascontiguousarray(rows.row_lengths[own])
        self.first = np.ascontiguousarray(rows.row_splits[own + 1] - 1 if reverse else rows.row_splits[own])
        self.row = np.ascontiguousarray(own)
        self.fields = {
            "first": self.first.ctypes.data,
            "length": self.length.ctypes.data,
            "row": self.row.ctypes.data,
            "rows": len(own),
            "ahead": -1 if reverse else 1,
        }


def deal(lengths: Int, count: int) -> list[list[int]]:
    """Deal rows to groups so that the longest takes as short as can be: each goes where least has been dealt so far.

    Args:
        lengths: (B,) number of steps.
        count: of groups.

    Returns:
        The rows of each group, longest first.
    """
    groups: list[list[int]] = [[] for _ in range(count)]
    heap = [(0, number) for number in range(count)]
    for row in np.argsort(-lengths, kind="stable").tolist():
        cost, number = heap[0]
        length = int(lengths[row])
        heapq.heapreplace(heap, (cost + length * (1 if groups[number] else 1 + _EACH_TIME), number))
        groups[number].append(row)
    return groups


def _groups(backend: TorchBackend, rows: RowPartition, reverse: bool, work: int) -> list[Group]:
    """The groups of a batch, made once; `work` is the number of floating-point operations of the layer."""
    count = max(1, min(torch.get_num_threads(), int((rows.row_lengths > 0).sum()), work // _WORTH))

    def make() -> list[Group]:
        return [Group(rows, np.asarray(own, np.int64), reverse) for own in deal(rows.row_lengths, count)]

    made: list[Group] = rows.moved((backend.name, "native recurrent", reverse, count), make)
    return made


def _call(name: str, groups: list[Group], fields: list[dict[str, int]]) -> None:
    kernel = native.find(name, "p")
    assert kernel is not None
    layers = (_Layer * len(groups))()
    for layer, group, own in zip(layers, groups, fields, strict=True):
        for field, value in (*group.fields.items(), *own.items()):
            setattr(layer, field, value)
    call = _Call(ctypes.addressof(layers), len(groups), 0, 0)
    # The number of threads may be another than when the rows were dealt.
    team(kernel, call, min(len(groups), torch.get_num_threads()))
    if call.failed:
        raise MemoryError(f"no memory for the kernel {name}")


def _addresses(**tensors: Tensor | None) -> dict[str, int]:
    return {name: tensor.data_ptr() for name, tensor in tensors.items() if tensor is not None}


def _steps(x: Tensor) -> Tensor:
    """The same with the numbers of each step side by side, as the kernels read it."""
    return x if x.stride(1) == 1 or x.shape[1] == 1 else x.contiguous()


class _Recurrent(torch.autograd.Function):
    """A whole layer; the formulas are in native/recurrent.c."""

    @staticmethod
    def forward(
        ctx: Any,
        kind: str,
        groups: list[Group],
        training: bool,
        x: Tensor,
        kernel: Tensor,
        recurrent: Tensor,
        bias: Tensor | None,
        h: Tensor,
        c: Tensor | None,
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        units = h.shape[1]
        y, last_h, last_c = x.new_empty((x.shape[0], units)), torch.empty_like(h), None
        if c is not None:
            last_c = torch.empty_like(c)
        kept = x.new_empty((x.shape[0], _KEPT[kind] * units)) if training else None
        own = dict(
            _addresses(x=x, kernel=kernel, recurrent=recurrent, h=h, c=c, last_h=last_h, last_c=last_c, y=y, kept=kept),
            **_biases(bias),
            units=units,
            features=x.shape[1],
            y_wide=units,
        )
        _call(kind, groups, [own] * len(groups))
        if training:
            ctx.save_for_backward(x, kernel, recurrent, bias, h, c, y, kept)
            ctx.kind, ctx.groups = kind, groups
        return (y, last_h) if last_c is None else (y, last_h, last_c)

    @staticmethod
    @first_only
    def backward(ctx: Any, by_y: Tensor | None, *by_last: Tensor | None) -> Any:
        x, kernel, recurrent, bias, h, c, y, kept = ctx.saved_tensors
        kind, groups, units = ctx.kind, ctx.groups, h.shape[1]
        by_y = None if by_y is None else _steps(by_y)
        by_last_h, by_last_c = (None if by is None else by.contiguous() for by in (*by_last, None)[:2])
        by_h, by_c = torch.empty_like(h), None if c is None else torch.empty_like(c)
        by_x = torch.empty_like(x) if ctx.needs_input_grad[3] else None
        own = dict(
            _addresses(x=x, kernel=kernel, recurrent=recurrent, h=h, c=c, y=y, kept=kept, by_y=by_y, by_x=by_x),
            **_addresses(by_last_h=by_last_h, by_last_c=by_last_c, by_h=by_h, by_c=by_c),
            units=units,
            features=x.shape[1],
            y_wide=units,
            by_y_wide=0 if by_y is None else by_y.stride(0),
        )
        # Each group has its share of the weights' gradients.
        shares = [x.new_empty((len(groups), *shape)) for shape in (kernel.shape, recurrent.shape, (2, kernel.shape[1]))]
        fields = []
        for by_kernel, by_recurrent, by_bias in zip(*shares, strict=True):
            addresses = _addresses(
                by_kernel=by_kernel, by_recurrent=by_recurrent, by_bias=by_bias[0], by_state_bias=by_bias[1]
            )
            fields.append({**own, **addresses})
        _call(f"{kind}_back", groups, fields)
        by_kernel, by_recurrent, by_bias = map(_added, shares)
        by_bias = None if bias is None else by_bias if bias.ndim == 2 else by_bias[0]
        return None, None, None, by_x, by_kernel, by_recurrent, by_bias, by_h, by_c


def _added(shares: Tensor) -> Tensor:
    """(groups, ...) to (...); one after the other: `sum` over so short an axis takes 0.6 ms, this 0.05."""
    total = shares[0]
    for share in shares[1:]:
        total.add_(share)
    return total


def _biases(bias: Tensor | None) -> dict[str, int]:
    if bias is None:
        return {}
    return _addresses(bias=bias) if bias.ndim == 1 else _addresses(bias=bias[0], state_bias=bias[1])


def fits(x: Tensor) -> bool:
    """Whether there is a kernel for steps like these.

    Args:
        x: (N, D).

    Returns:
        True on the CPU, where the kernels are there, for float32 and what float32 holds.
    """
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16, torch.float16) and native.available()


def run(
    backend: TorchBackend, cell: Cell, x: Tensor, rows: RowPartition, state: State, reverse: bool
) -> tuple[Tensor, State]:
    """Run a recurrent layer over every row; as `Backend.recur`.

    Args:
        backend: whose rows these are.
        cell: formula and weights.
        x: (N, D) steps that `fits`, N above 0.
        rows: their partition.
        state: h, and c of an LSTM, each (B, u).
        reverse: read every row backwards.

    Returns:
        (N, u) and the last states.
    """
    kind = str(cell.kind)
    if kind == "gru" and not cell.reset_after:
        kind = "gru_before"
    weights = [cell.weights.get(name) for name in ("kernel", "recurrent_kernel", "bias")]
    arrays = [None if a is None else a.to(torch.float32).contiguous() for a in (x, *weights, *state)]
    training = torch.is_grad_enabled() and any(a is not None and a.requires_grad for a in arrays)
    width = x.shape[1] + state[0].shape[1]
    groups = _groups(backend, rows, reverse, 2 * x.shape[0] * width * cell.weights["kernel"].shape[1])
    y, *last = _Recurrent.apply(kind, groups, training, *arrays, *([None] if len(state) == 1 else []))  # type: ignore[no-untyped-call]
    return y.to(x.dtype), tuple(s.to(x.dtype) for s in last)
