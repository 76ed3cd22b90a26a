"""Recurrent layers on packed rows, for PyTorch.

All work in time-major order: step 0 of all rows, step 1 of all rows, ..., longest row first. There the live rows of
each time step are one dense block, and the time steps of equally many live rows a dense rectangle.

On the CPU, float32 goes to native code (`native_recurrent`), which asks for no other order. What is here, and LSTM in a
file of its own, is for float64 and for installations without it: GRU and SimpleRNN, for which PyTorch has no fast CPU
kernel, are a loop over time steps of in-place operations with a backward pass by hand, which keeps all products that do
not depend on the next step out of the loop. On CUDA each is one cuDNN call.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from padless.backends.base import Cell
from padless.backends.torch import lstm, native_recurrent
from padless.backends.torch.derivatives import first_only
from padless.rows import RowPartition

if TYPE_CHECKING:
    from padless.backends.torch import TorchBackend

Tensor = torch.Tensor
State = tuple[Tensor, ...]
Result = tuple[Tensor, State]


class Order(NamedTuple):
    """How the steps and rows of one batch stand in time-major order, on the device.

    Attributes:
        steps: (N,) the step at each slot.
        back: (N,) the slot of each step.
        rows: (B,) rows, longest first.
        rows_back: (B,) where each row went.
        previous: (N,) place of each slot's previous state, among the initial states of the live rows and the slots.
        sizes: live rows at each time step.
    """

    steps: Tensor
    back: Tensor
    rows: Tensor
    rows_back: Tensor
    previous: Tensor
    sizes: list[int]


def _order(backend: TorchBackend, rows: RowPartition, reverse: bool) -> Order:
    def make() -> Order:
        sizes = rows.batch_sizes
        firsts = np.cumsum(sizes) - sizes
        # The state before slot i of time step t stands at slot i of step t-1; before t = 0 come the initial states.
        before = np.concatenate([np.zeros(1, np.int64), sizes[0] + firsts[:-1]])
        previous = np.arange(rows.nvals) - np.repeat(firsts - before, sizes)
        return Order(
            backend.index(rows, "time_major_reverse" if reverse else "time_major"),
            backend.index(rows, "time_major_reverse_inverse" if reverse else "time_major_inverse"),
            backend.index(rows, "rows_by_length"),
            backend.index(rows, "rows_by_length_inverse"),
            backend.asarray(previous),
            sizes.tolist(),
        )

    order: Order = rows.moved((backend.name, str(backend.device), "order", reverse), make)
    return order


class _Permute(torch.autograd.Function):
    """Take steps in another order; the gradient comes back by the inverse order, not by adding up."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.inverse = inverse
        return x.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0].index_select(0, ctx.inverse), None, None


def _cut(x: Tensor, order: Order) -> list[Tensor]:
    """One view for each time step."""
    return list(torch.split_with_sizes(x, order.sizes))


def _call(function: type[torch.autograd.Function], *arguments: Any) -> Any:
    return function.apply(*arguments)  # type: ignore[no-untyped-call]


def kernel_for(cell: Cell, device: str) -> Callable[..., Result] | None:
    """Give the kernel for this cell.

    Args:
        cell: formula and weights.
        device: "cpu" or "cuda".

    Returns:
        kernel(backend, cell, x, rows, state, reverse), which returns what `Backend.recur` returns; None where only
        the default scan can.
    """
    if not cell.fusable or cell.kind is None:
        return None
    if device == "cuda":
        # cuDNN's GRU resets after the product, as Keras's default does; for the other there is the loop.
        if cell.kind in _GATES and (cell.kind != "gru" or cell.reset_after):
            return _cudnn
    if device == "cpu":
        return _cpu if cell.kind in _GATES else None
    return {"lstm": lstm.run, "gru": _loop, "simple_rnn": _loop}.get(cell.kind)


def _cpu(backend: TorchBackend, cell: Cell, x: Tensor, rows: RowPartition, state: State, reverse: bool) -> Result:
    """Native code where there is any for these numbers; else torch's own operations."""
    if native_recurrent.fits(x):
        return native_recurrent.run(backend, cell, x, rows, state, reverse)
    return (lstm.run if cell.kind == "lstm" else _loop)(backend, cell, x, rows, state, reverse)


_VF: Any = torch._VF


# ---- GRU and SimpleRNN: a loop of in-place operations


def _loop(backend: TorchBackend, cell: Cell, x: Tensor, rows: RowPartition, state: State, reverse: bool) -> Result:
    order = _order(backend, rows, reverse)
    kernel = cell.weights["recurrent_kernel"]
    z = cell.project(x)
    if cell.kind == "simple_rnn":
        y = _call(_SimpleRNN, z, kernel, state[0], order)
    elif cell.reset_after:
        bias = cell.weights.get("bias")
        y = _call(_GRU, z, kernel, kernel.new_zeros(kernel.shape[1]) if bias is None else bias[1], state[0], order)
    else:
        y = _call(_GRUResetBefore, z, kernel, state[0], order)
    last = y.index_select(0, backend.index(rows, "first_index" if reverse else "last_index").clamp(max=rows.nvals - 1))
    empty = (backend.index(rows, "row_lengths") == 0).unsqueeze(1)
    return y, (torch.where(empty, state[0], last),)


class _Buffers(NamedTuple):
    """Initial states of the live rows and then the states of all slots, as one array and as blocks."""

    hidden: Tensor
    before: list[Tensor]
    after: list[Tensor]


def _buffers(state: Tensor, order: Order, steps: int) -> _Buffers:
    live = order.sizes[0]
    hidden = state.new_empty((live + steps, state.shape[1]))
    torch.index_select(state, 0, order.rows[:live], out=hidden[:live])
    after = _cut(hidden[live:], order)
    before = [h[:n] for h, n in zip([hidden[:live], *after], order.sizes, strict=False)]
    return _Buffers(hidden, before, after)


def _initial_gradient(carry: Tensor, order: Order, like: Tensor) -> Tensor:
    """(B, units) gradient by the initial states, 0 for empty rows, from that of the rows alive at step 0."""
    return like.new_zeros(like.shape).index_copy_(0, order.rows[: order.sizes[0]], carry)


class _SimpleRNN(torch.autograd.Function):
    """h' = tanh(z + h R) (Elman 1990), with z (N, u) projected from the input."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, kernel: Tensor, state: Tensor, order: Order) -> Tensor:
        z = z.index_select(0, order.steps)
        hidden, before, after = _buffers(state, order, z.shape[0])
        for now, h, out in zip(_cut(z, order), before, after, strict=True):
            torch.tanh(now.addmm_(h, kernel), out=out)
        y = hidden[order.sizes[0] :].index_select(0, order.back)
        ctx.save_for_backward(kernel, state, hidden, y)
        ctx.order = order
        return y

    @staticmethod
    @first_only
    def backward(ctx: Any, *grads: Any) -> Any:
        kernel, state, hidden, *_ = ctx.saved_tensors
        order: Order = ctx.order
        live = order.sizes[0]
        grad = torch.cat([hidden.new_zeros((live, hidden.shape[1])), grads[0].index_select(0, order.steps)])
        slope = _cut(1 - hidden[live:].square(), order)
        blocks = _cut(grad[live:], order)
        transposed = kernel.t().contiguous()
        for t in range(len(blocks) - 1, -1, -1):
            earlier = blocks[t - 1][: order.sizes[t]] if t else grad[:live]
            earlier.addmm_(blocks[t].mul_(slope[t]), transposed)
        by_z = grad[live:]
        by_kernel = hidden.index_select(0, order.previous).t() @ by_z
        return by_z.index_select(0, order.back), by_kernel, _initial_gradient(grad[:live], order, state), None


class _GRU(torch.autograd.Function):
    """GRU (Cho et al. 2014) in the form of cuDNN, which resets after the product with the recurrent kernel.

    a = h R + b;  z = sigmoid(x_z + a_z);  r = sigmoid(x_r + a_r);  n = tanh(x_n + r a_n);  h' = z h + (1 - z) n.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor, state: Tensor, order: Order) -> Tensor:
        units = kernel.shape[0]
        gates = x.index_select(0, order.steps)
        new = gates[:, 2 * units :].clone()
        gates[:, 2 * units :] = 0
        gates += bias
        hidden, before, after = _buffers(state, order, x.shape[0])
        blocks = [
            gates,
            gates[:, : 2 * units],
            gates[:, :units],
            gates[:, units : 2 * units],
            gates[:, 2 * units :],
            new,
        ]
        for all3, zr, z, r, a, n, h, out in zip(*(_cut(b, order) for b in blocks), before, after, strict=True):
            all3.addmm_(h, kernel)
            zr.sigmoid_()
            torch.lerp(n.addcmul_(r, a).tanh_(), h, z, out=out)
        y = hidden[order.sizes[0] :].index_select(0, order.back)
        ctx.save_for_backward(kernel, state, hidden, gates, new, y)
        ctx.order = order
        return y

    @staticmethod
    @first_only
    def backward(ctx: Any, *grads: Any) -> Any:
        kernel, state, hidden, gates, new, *_ = ctx.saved_tensors
        order: Order = ctx.order
        live, units = order.sizes[0], kernel.shape[0]
        z, r, a = gates.chunk(3, 1)
        previous = hidden.index_select(0, order.previous)
        # Each gate's gradient is that of the new state times a factor known beforehand: only dh is left to the loop.
        factors = torch.empty_like(gates).view(-1, 3, units)
        by_new = (1 - z) * (1 - new.square())
        torch.mul((previous - new) * z, 1 - z, out=factors[:, 0])
        torch.mul(by_new * a * r, 1 - r, out=factors[:, 1])
        torch.mul(by_new, r, out=factors[:, 2])
        grad = torch.cat([hidden.new_zeros((live, units)), grads[0].index_select(0, order.steps)])
        by_a = torch.empty_like(gates)
        blocks = [_cut(b, order) for b in (grad[live:], factors, by_a.view(-1, 3, units), by_a, z)]
        transposed = kernel.t().contiguous()
        for t in range(len(order.sizes) - 1, -1, -1):
            now, factor, out, flat, keep = (b[t] for b in blocks)
            torch.mul(now.unsqueeze(1), factor, out=out)
            earlier = blocks[0][t - 1][: order.sizes[t]] if t else grad[:live]
            earlier.addcmul_(now, keep).addmm_(flat, transposed)
        by_kernel, by_bias = previous.t() @ by_a, by_a.sum(0)
        by_a[:, 2 * units :] = by_new.mul_(grad[live:])
        return by_a.index_select(0, order.back), by_kernel, by_bias, _initial_gradient(grad[:live], order, state), None


class _GRUResetBefore(torch.autograd.Function):
    """GRU (Cho et al. 2014) as first published, which resets before the product with the recurrent kernel.

    z, r = sigmoid(x + h R);  n = tanh(x_n + (r h) R_n);  h' = z h + (1 - z) n.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, state: Tensor, order: Order) -> Tensor:
        units = kernel.shape[0]
        for_gates, for_new = kernel[:, : 2 * units].contiguous(), kernel[:, 2 * units :].contiguous()
        gates = x[:, : 2 * units].index_select(0, order.steps)
        new = x[:, 2 * units :].index_select(0, order.steps)
        reset = torch.empty_like(new)
        hidden, before, after = _buffers(state, order, x.shape[0])
        blocks = [gates, gates[:, :units], gates[:, units:], new, reset]
        for zr, z, r, n, rh, h, out in zip(*(_cut(b, order) for b in blocks), before, after, strict=True):
            zr.addmm_(h, for_gates).sigmoid_()
            n.addmm_(torch.mul(r, h, out=rh), for_new).tanh_()
            torch.lerp(n, h, z, out=out)
        y = hidden[order.sizes[0] :].index_select(0, order.back)
        ctx.save_for_backward(kernel, state, hidden, gates, new, reset, y)
        ctx.order = order
        return y

    @staticmethod
    @first_only
    def backward(ctx: Any, *grads: Any) -> Any:
        kernel, state, hidden, gates, new, reset, *_ = ctx.saved_tensors
        order: Order = ctx.order
        live, units = order.sizes[0], kernel.shape[0]
        z, r = gates.chunk(2, 1)
        previous = hidden.index_select(0, order.previous)
        grad = torch.cat([hidden.new_zeros((live, units)), grads[0].index_select(0, order.steps)])
        by_x = torch.empty((new.shape[0], 3 * units), dtype=new.dtype, device=new.device)
        by_z, by_r, by_n = by_x.chunk(3, 1)
        sources = (grad[live:], by_z, by_r, by_n, by_x[:, : 2 * units], z, r)
        factors = ((previous - new) * z * (1 - z), previous * r * (1 - r), (1 - z) * (1 - new.square()))
        blocks = [_cut(b, order) for b in (*sources, *factors)]
        for_gates, for_new = (k.t().contiguous() for k in (kernel[:, : 2 * units], kernel[:, 2 * units :]))
        for t in range(len(order.sizes) - 1, -1, -1):
            now, out_z, out_r, out_n, out_zr, keep, open_, factor_z, factor_r, factor_n = (b[t] for b in blocks)
            torch.mul(now, factor_z, out=out_z)
            by_reset = torch.mul(now, factor_n, out=out_n) @ for_new
            torch.mul(by_reset, factor_r, out=out_r)
            earlier = blocks[0][t - 1][: order.sizes[t]] if t else grad[:live]
            earlier.addcmul_(now, keep).addcmul_(by_reset, open_).addmm_(out_zr, for_gates)
        by_kernel = torch.cat([previous.t() @ by_x[:, : 2 * units], reset.t() @ by_n], 1)
        return by_x.index_select(0, order.back), by_kernel, _initial_gradient(grad[:live], order, state), None


# ---- CUDA: cuDNN on packed rows

# Which of Keras's gates stands at each place of torch's (and cuDNN's) weights.
_GATES = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2), "simple_rnn": (0,)}


def _cudnn(backend: TorchBackend, cell: Cell, x: Tensor, rows: RowPartition, state: State, reverse: bool) -> Result:
    """Run a whole layer by one call of torch's packed kernels, which are cuDNN's on a device; no CPU runs this way."""
    order = _order(backend, rows, reverse)
    kind = str(cell.kind)

    def gates(weight: Tensor) -> Tensor:
        parts = weight.chunk(len(_GATES[kind]), -1)
        return torch.cat([parts[gate] for gate in _GATES[kind]], -1)

    weights = [gates(cell.weights[name]).t().contiguous() for name in ("kernel", "recurrent_kernel")]
    bias = cell.weights.get("bias")
    if bias is not None:
        weights += gates(bias if bias.ndim == 2 else torch.stack([bias, torch.zeros_like(bias)])).unbind()
    # Empty rows are not handed over: they stand last, and keep their state.
    live = order.sizes[0]
    ordered = [s.index_select(0, order.rows) for s in state]
    initial = tuple(s[:live].unsqueeze(0).contiguous() for s in ordered)
    function = {"lstm": _VF.lstm, "gru": _VF.gru, "simple_rnn": _VF.rnn_tanh}[kind]
    with warnings.catch_warnings():
        # That the weights do not lie end to end: they are those of the model, and copied.
        warnings.filterwarnings("ignore", message="RNN module weights")
        y, *last = function(
            _call(_Permute, x, order.steps, order.back),
            torch.tensor(order.sizes),
            initial if kind == "lstm" else initial[0],
            weights,
            bias is not None,
            1,
            0.0,
            torch.is_grad_enabled(),
            False,
        )
    final = tuple(
        torch.cat([h.squeeze(0), s[live:]]).index_select(0, order.rows_back) for h, s in zip(last, ordered, strict=True)
    )
    return _call(_Permute, y, order.back, order.steps), final
