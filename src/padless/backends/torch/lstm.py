"""LSTM on packed rows on the CPU, for PyTorch: a staircase of oneDNN calls, one thread for each group of rows.

In time-major order (step 0 of all rows, step 1 of all rows, ..., longest row first) the time steps at which equally
many rows are alive are one dense rectangle. oneDNN's LSTM runs on each (ATen's own loop in float64), handing the state
on; no ended row is computed.

Rows are dealt to groups, and each thread runs its groups alone. Were all threads to share each call, they would meet
at a barrier at every time step, which costs more than the second thread brings, and on a busy machine a hundred times
as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from padless.backends.base import Cell
from padless.backends.torch.derivatives import first_only
from padless.backends.torch.threads import workers
from padless.rows import Rectangle, RowPartition

if TYPE_CHECKING:
    from padless.backends.torch import TorchBackend

Tensor = torch.Tensor
_VF: Any = torch._VF

LEAST_ROWS = 4
"""Rows that a group has at least: fewer make the matrix products too thin."""


class Group(NamedTuple):
    """The rows of one thread.

    Attributes:
        steps: (n,) the step at each slot of time-major order.
        rows: (b,) the rows, longest first.
        rectangles: the slots as dense blocks.
    """

    steps: Tensor
    rows: Tensor
    rectangles: tuple[Rectangle, ...]


def _groups(backend: TorchBackend, rows: RowPartition, reverse: bool, threads: int) -> list[Group]:
    alive = int((rows.row_lengths > 0).sum())
    count = max(1, min(threads, alive // LEAST_ROWS))

    def make() -> list[Group]:
        made = []
        longest_first = rows.rows_by_length[:alive]
        # There and back again, so that no group gets the longer row each time.
        dealt = np.resize(np.concatenate([np.arange(count), np.arange(count)[::-1]]), alive)
        for number in range(count):
            chosen = longest_first[dealt == number]
            part, index = rows.take(chosen)
            order = part.time_major_reverse if reverse else part.time_major
            steps, own = backend.asarray(index[order]), backend.asarray(chosen[part.rows_by_length])
            made.append(Group(steps, own, part.rectangles))
        return made

    made: list[Group] = rows.moved((backend.name, str(backend.device), "groups", reverse, count), make)
    return made


def _staircase(group: Group, x: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One group: (n, D) in time-major order to (n, u) and the last states, rows longest first."""
    training = torch.is_grad_enabled()
    # One split, and not slices: its backward pass joins the pieces once instead of adding up n steps for each.
    blocks = torch.split_with_sizes(x, [r.steps * r.live for r in group.rectangles])
    outputs: list[Tensor] = []
    ended: list[tuple[Tensor, Tensor]] = []
    for rectangle, block in zip(group.rectangles, blocks, strict=True):
        live = rectangle.live
        if live < h.shape[0]:
            ended.append((h[live:], c[live:]))
            h, c = h[:live], c[:live]
        y, h_last, c_last = _VF.lstm(
            block.view(rectangle.steps, live, -1),
            (h.unsqueeze(0), c.unsqueeze(0)),
            weights,
            len(weights) == 4,
            1,
            0.0,
            training,
            False,
            False,
        )
        h, c = h_last.squeeze(0), c_last.squeeze(0)
        outputs.append(y.view(rectangle.steps * live, -1))
    ended.append((h, c))
    h, c = (torch.cat([piece[k] for piece in reversed(ended)]) for k in (0, 1))
    return torch.cat(outputs), h, c


class _LSTM(torch.autograd.Function):
    """LSTM (Hochreiter and Schmidhuber 1997) of all groups; each group's graph is kept and run by its own thread."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, c: Tensor, groups: list[Group], training: bool, *weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        def run(group: Group) -> tuple[list[Tensor], tuple[Tensor, Tensor, Tensor]]:
            with torch.set_grad_enabled(training):
                own = [x.index_select(0, group.steps), h.index_select(0, group.rows), c.index_select(0, group.rows)]
                leaves = [t.detach().requires_grad_(training) for t in (*own, *weights)]
                return leaves, _staircase(group, *leaves)

        parts = workers.map(run, groups)
        y, h_last, c_last = x.new_empty((x.shape[0], h.shape[1])), h.clone(), c.clone()
        for group, (_, made) in zip(groups, parts, strict=True):
            for whole, index, part in zip(
                (y, h_last, c_last), (group.steps, group.rows, group.rows), made, strict=True
            ):
                whole.index_copy_(0, index, part.detach())
        ctx.parts = list(zip(groups, parts, strict=True)) if training else None
        ctx.sizes = x.shape
        ctx.save_for_backward(y, h_last, c_last)  # only so that whose gradient it is can be told
        return y, h_last, c_last

    @staticmethod
    @first_only
    def backward(ctx: Any, *grads: Any) -> Any:
        by_y, by_h, by_c = grads
        # Who asked to keep the graph goes backward again; else each part is freed as soon as it is done.
        keep = torch._C._autograd._get_current_graph_task_keep_graph()

        def run(part: Any) -> tuple[Tensor, ...]:
            group, (leaves, made) = part
            given = (
                by_y.index_select(0, group.steps), by_h.index_select(0, group.rows), by_c.index_select(0, group.rows)
            )  # fmt: skip
            by: tuple[Tensor, ...] = torch.autograd.grad(made, leaves, given, retain_graph=keep)
            return by

        found = workers.map(run, ctx.parts)
        # An empty row's last state is its first.
        by_x, by_h, by_c = by_y.new_empty(ctx.sizes), by_h.clone(), by_c.clone()
        for (group, _), (part_x, part_h, part_c, *_) in zip(ctx.parts, found, strict=True):
            by_x.index_copy_(0, group.steps, part_x)
            by_h.index_copy_(0, group.rows, part_h)
            by_c.index_copy_(0, group.rows, part_c)
        if not keep:
            ctx.parts = None
        by_weights = [
            torch.stack(each).sum(0) if len(each) > 1 else each[0] for each in zip(*(f[3:] for f in found), strict=True)
        ]
        return by_x, by_h, by_c, None, None, *by_weights


def run(
    backend: TorchBackend, cell: Cell, x: Tensor, rows: RowPartition, state: tuple[Tensor, ...], reverse: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run an LSTM over every row; as `Backend.recur`.

    Args:
        backend: whose device to use.
        cell: formula and weights, gates in the order i, f, c, o, which is torch's.
        x: (N, D) steps, N above 0.
        rows: their partition.
        state: h and c, each (B, H).
        reverse: read every row backwards.

    Returns:
        (N, H) and the last states.
    """
    weights = [cell.weights[name].t().contiguous() for name in ("kernel", "recurrent_kernel")]
    bias = cell.weights.get("bias")
    if bias is not None:
        weights += [bias, torch.zeros_like(bias)]
    groups = _groups(backend, rows, reverse, torch.get_num_threads())
    training = torch.is_grad_enabled() and any(t.requires_grad for t in (x, *state, *weights))
    y, h, c = _LSTM.apply(x, *state, groups, training, *weights)  # type: ignore[no-untyped-call]
    return y, (h, c)
