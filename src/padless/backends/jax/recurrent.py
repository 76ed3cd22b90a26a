"""Recurrent layers on packed rows, for JAX: lanes with resets.

A compiled loop over time cannot shrink its batch when rows end, and padding them all to the longest would compute two
thirds of nothing on news articles. So rows are laid end to end in lanes of equal length, at least that of the longest
row; one loop runs over all lanes at once, and wherever a row begins, its lane's state is set to that row's initial
state. The part of a formula that needs no state is one product over the packed steps beforehand.

LSTM, GRU and SimpleRNN have backward passes by hand: the gradients by weights, which JAX would add up within the
loop, are one product after it. Any other cell is differentiated by JAX.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from padless.backends.base import Cell, Step
from padless.backends.jax.shapes import FAR, Host, broadcast, bucket, relaid
from padless.rows import RowPartition

Array = jax.Array
State = tuple[Array, ...]
Plan = dict[str, Array]
Result = tuple[Array, State]

# Sizes between two powers of two, share of slots beyond them, and numbers of lanes. On BBC news in random batches of
# 32, 89 % of the slots are live, in 12 shapes an epoch.
_PARTS, _SPARE = 4, 0.04
_COUNTS = [n << k for k in range(16) for n in ((2, 3) if k else (1, 2, 3))]


def lanes(rows: RowPartition, reverse: bool) -> dict[str, Host]:
    """Lay rows end to end in lanes, for a loop over L time steps of K lanes.

    Args:
        rows: the partition; at least one step.
        reverse: every row backwards.

    Returns:
        steps: (L * K,) the step at each slot. A slot behind the last row of its lane repeats the first step of some
            row, so that what is computed there is finite where data are; nothing reads it.
        owned: (L * K,) the same, but FAR at a slot behind the last row.
        slots: (N,) the slot of each step.
        starts: (L, K) whether the state is set anew before this slot.
        rows: (L, K) the row that each slot belongs to.
        lasts: (B,) the slot of each row's last step; FAR for an empty row.
        firsts: (B,) the slot of each row's first step; FAR for an empty row.
    """
    length, count = lane_shape(rows)
    laid = rows.lanes(count)
    size, ids = length * count, rows.value_rowids
    ranks = (rows.row_lengths[ids] - 1 - rows.ranks) if reverse else rows.ranks
    slots = (laid.offset[ids] + ranks) * count + laid.lane[ids]
    first = int(np.argmin(ranks))
    steps, owned = np.full(size, first), np.full(size, FAR)
    steps[slots] = owned[slots] = np.arange(rows.nvals)
    starts, of = np.ones(size, np.bool_), np.full(size, ids[first])
    starts[slots], of[slots] = ranks == 0, ids
    full = rows.row_lengths > 0
    firsts = np.where(full, laid.offset * count + laid.lane, FAR)
    lasts = np.where(full, firsts + (rows.row_lengths - 1) * count, FAR)
    shape = (length, count)
    return {
        "steps": steps,
        "owned": owned,
        "slots": slots,
        "starts": starts.reshape(shape),
        "rows": of.reshape(shape),
        "lasts": lasts,
        "firsts": firsts,
    }


def lane_shape(rows: RowPartition) -> tuple[int, int]:
    """Choose how many lanes there are and how long: one of few shapes, so that few are compiled.

    The slots are the steps, rounded up; of the numbers of lanes that share them evenly the largest is taken whose lanes
    hold the rows, the longest row above all: the loop turns as often as a lane is long.

    Args:
        rows: the partition; at least one step.

    Returns:
        L and K.
    """
    most = int((rows.row_lengths > 0).sum())
    if rows.max_row_length * most == rows.nvals:
        return rows.max_row_length, most
    slots = int(bucket(rows.nvals, _PARTS) * (1 + _SPARE))
    chosen = bucket(rows.nvals, _PARTS), 1
    for count in _COUNTS:
        length = -(-slots // count)
        if length < rows.max_row_length or count > most:
            break
        if rows.lanes(count).length <= length:
            chosen = length, count
    return chosen


# ---- the frame: from packed steps to lanes and back


def _into(x: Array, plan: Plan) -> Array:
    """(N, ...) to (L, K, ...)."""
    return relaid(x, plan["steps"], plan["slots"]).reshape(*plan["starts"].shape, *x.shape[1:])


def _out(y: Array, plan: Plan) -> Array:
    """(L, K, ...) to (N, ...)."""
    return relaid(y.reshape(-1, *y.shape[2:]), plan["slots"], plan["owned"])


def _last(states: Array, initial: Array, plan: Plan) -> Array:
    """(B, ...) the state after each row's last step; the initial one for an empty row."""
    flat = states.reshape(-1, *states.shape[2:])
    last = flat.at[plan["lasts"]].get(mode="fill", fill_value=0, wrap_negative_indices=False)
    return jnp.where(broadcast(plan["lasts"] == FAR, last), initial, last)


def _of_rows(initial: Array, rows: Array) -> Array:
    taken: Array = initial.at[rows].get(mode="promise_in_bounds", wrap_negative_indices=False)
    return taken


def _chosen(starts: Array, initial: Array, before: Array) -> Array:
    return jnp.where(broadcast(starts, before), initial, before)


# ---- any cell


def scan(step: Step, x: Array, plan: Plan | None, state: State, constants: State) -> Result:
    """Run a cell over lanes.

    The step is traced once per call, which takes a millisecond; what was compiled for the same formula and the same
    shapes is used again.

    Args:
        step: the cell; what it reads beside its arguments, such as weights, is found by tracing it.
        x: (N, ...) steps.
        plan: what `lanes` made; None where there is no step.
        state: arrays (B, ...).
        constants: arrays (B, ...).

    Returns:
        (N, ...) and the last states.
    """
    width = 0 if plan is None else plan["starts"].shape[1]

    def like(a: Array) -> Any:
        return jax.ShapeDtypeStruct((width, *a.shape[1:]), a.dtype)  # type: ignore[no-untyped-call]

    examples = (like(x), tuple(map(like, state)), *map(like, constants))
    formula, shapes = jax.make_jaxpr(step, return_shape=True)(*examples)
    if plan is None:
        return jnp.zeros((0, *shapes[0].shape[1:]), shapes[0].dtype), state
    key = (str(formula.jaxpr), jax.tree.structure(shapes))
    if key not in _compiled:
        if len(_compiled) >= _MOST:
            _compiled.pop(next(iter(_compiled)))
        _compiled[key] = jax.jit(functools.partial(_scan, formula.jaxpr))
    result: Result = _compiled[key](formula.consts, x, plan, state, constants)
    return result


_compiled: dict[Any, Callable[..., Result]] = {}
_MOST = 256


def _scan(formula: Any, read: list[Array], x: Array, plan: Plan, state: State, constants: State) -> Result:
    def turn(before: State, now: tuple[Array, Array, Array]) -> tuple[State, tuple[Array, State]]:
        x_t, starts, rows = now
        own = tuple(_chosen(starts, _of_rows(s, rows), b) for s, b in zip(state, before, strict=True))
        of_rows = [_of_rows(c, rows) for c in constants]
        y, *new = jax.core.eval_jaxpr(formula, read, x_t, *own, *of_rows)
        after = tuple(n.astype(b.dtype) for n, b in zip(new, before, strict=True))
        return after, (y, after)

    width = plan["starts"].shape[1]
    begin = tuple(jnp.zeros((width, *s.shape[1:]), s.dtype) for s in state)
    _, (y, states) = lax.scan(turn, begin, (_into(x, plan), plan["starts"], plan["rows"]))
    return _out(y, plan), tuple(_last(s, i, plan) for s, i in zip(states, state, strict=True))


# ---- LSTM, GRU, SimpleRNN


def kernel_for(cell: Cell) -> Callable[[Cell, Array, Plan, State], Result] | None:
    """Give the kernel for this cell.

    Args:
        cell: formula and weights.

    Returns:
        kernel(cell, x, plan, state), which returns what `Backend.recur` returns; None where only the scan can.
    """
    if not cell.fusable or (cell.kind == "gru" and not getattr(cell, "reset_after", True)):
        return None
    return _run if cell.kind in _LOOPS else None


def _run(cell: Cell, x: Array, plan: Plan, state: State) -> Result:
    kernel = cell.weights["recurrent_kernel"]
    bias = cell.weights.get("bias")
    inner = bias[1] if cell.kind == "gru" and bias is not None else jnp.zeros(kernel.shape[1], kernel.dtype)
    result: Result = _whole(str(cell.kind), cell.project(x), kernel, inner, plan, state)
    return result


@functools.partial(jax.jit, static_argnums=(0,))
def _whole(kind: str, z: Array, kernel: Array, bias: Array, plan: Plan, state: State) -> Result:
    states = _LOOPS[kind](_into(z, plan), kernel, bias, state, plan["starts"], plan["rows"], plan["firsts"])
    return _out(states[0], plan), tuple(_last(s, i, plan) for s, i in zip(states, state, strict=True))


def _before(states: Array, initial: Array, starts: Array, rows: Array) -> Array:
    """(L, K, H) the state that each slot began with."""
    earlier = jnp.concatenate([jnp.zeros_like(states[:1]), states[:-1]])
    return _chosen(starts, _of_rows(initial, rows), earlier)


def _at_starts(x: Array, firsts: Array) -> Array:
    """(B, ...) what belongs to the first slot of each row; 0 for an empty one."""
    taken: Array = x.reshape(-1, *x.shape[2:]).at[firsts].get(mode="fill", fill_value=0, wrap_negative_indices=False)
    return taken


def _flat(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def _zeros(like: Array, lanes: int) -> Array:
    return jnp.zeros((lanes, like.shape[-1]), like.dtype)


_Loop = Callable[[Array, Array, Array, State, Array, Array, Array], State]


def _looped(forward: Any, backward: Any) -> _Loop:
    """A loop over lanes with its backward pass.

    forward(z, kernel, bias, state, starts, rows) gives the states of all slots and what backward wants of them;
    backward(kept, gradients) gives the gradients by z, kernel, bias and the initial states.
    """

    @jax.custom_vjp
    def loop(z: Array, kernel: Array, bias: Array, state: State, starts: Array, rows: Array, firsts: Array) -> State:
        states: State = forward(z, kernel, bias, state, starts, rows)[0]
        return states

    def keep(
        z: Array, kernel: Array, bias: Array, state: State, starts: Array, rows: Array, firsts: Array
    ) -> tuple[State, Any]:
        states, kept = forward(z, kernel, bias, state, starts, rows)
        return states, (kernel, bias, state, starts, rows, firsts, states, kept)

    def give(kept: Any, gradients: State) -> tuple[Any, ...]:
        return (*backward(*kept, gradients), None, None, None)

    loop.defvjp(keep, give)
    return loop


def _lstm_forward(
    z: Array, kernel: Array, bias: Array, state: State, starts: Array, rows: Array
) -> tuple[State, Array]:
    """LSTM (Hochreiter and Schmidhuber 1997), gates i, f, c, o as in Keras."""

    def turn(carry: State, now: State) -> tuple[State, State]:
        (h, c), (z_t, start, row) = carry, now
        h, c = (_chosen(start, _of_rows(s, row), b) for s, b in zip(state, (h, c), strict=True))
        i, f, g, o = jnp.split(z_t + h @ kernel, 4, axis=1)
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        c = f * c + i * g
        h = o * jnp.tanh(c)
        return (h, c), (h, c, jnp.concatenate([i, f, g, o], axis=1))

    width = z.shape[1]
    _, (h, c, gates) = lax.scan(turn, tuple(_zeros(s, width) for s in state), (z, starts, rows))
    return (h, c), gates


def _lstm_backward(
    kernel: Array,
    bias: Array,
    state: State,
    starts: Array,
    rows: Array,
    firsts: Array,
    states: State,
    gates: Array,
    gradients: State,
) -> tuple[Array, Array, Array, State]:
    c_before = _before(states[1], state[1], starts, rows)
    transposed = kernel.T

    def turn(carry: State, now: State) -> tuple[State, State]:
        (dh, dc), (dh_t, dc_t, gate, c, c_in, start) = carry, now
        i, f, g, o = jnp.split(gate, 4, axis=1)
        squashed = jnp.tanh(c)
        dh = dh + dh_t
        dc = dc + dc_t + dh * o * (1 - squashed * squashed)
        by_i, by_f, by_g = dc * g * i * (1 - i), dc * c_in * f * (1 - f), dc * i * (1 - g * g)
        by_z = jnp.concatenate([by_i, by_f, by_g, dh * squashed * o * (1 - o)], axis=1)
        dc = dc * f
        keep = ~start[:, None]
        return (jnp.where(keep, by_z @ transposed, 0), jnp.where(keep, dc, 0)), (by_z, dc)

    begin = tuple(_zeros(s, starts.shape[1]) for s in state)
    _, (by_z, by_c) = lax.scan(turn, begin, (*gradients, gates, states[1], c_before, starts), reverse=True)
    by_kernel = _flat(_before(states[0], state[0], starts, rows)).T @ _flat(by_z)
    by_state = (_at_starts(by_z, firsts) @ transposed, _at_starts(by_c, firsts))
    return by_z, by_kernel, jnp.zeros_like(bias), by_state


def _gru_forward(z: Array, kernel: Array, bias: Array, state: State, starts: Array, rows: Array) -> tuple[State, Array]:
    """GRU (Cho et al. 2014) in the form of cuDNN, which resets after the product with the recurrent kernel."""

    def turn(h: Array, now: State) -> tuple[Array, State]:
        z_t, start, row = now
        h = _chosen(start, _of_rows(state[0], row), h)
        a = h @ kernel + bias
        units = h.shape[1]
        zr = jax.nn.sigmoid(z_t[:, : 2 * units] + a[:, : 2 * units])
        update, reset, a_new = zr[:, :units], zr[:, units:], a[:, 2 * units :]
        new = jnp.tanh(z_t[:, 2 * units :] + reset * a_new)
        h = new + update * (h - new)
        return h, (h, jnp.concatenate([update, reset, new, a_new], axis=1))

    _, (h, gates) = lax.scan(turn, _zeros(state[0], z.shape[1]), (z, starts, rows))
    return (h,), gates


def _gru_backward(
    kernel: Array,
    bias: Array,
    state: State,
    starts: Array,
    rows: Array,
    firsts: Array,
    states: State,
    gates: Array,
    gradients: State,
) -> tuple[Array, Array, Array, State]:
    before = _before(states[0], state[0], starts, rows)
    transposed = kernel.T

    def turn(dh: Array, now: State) -> tuple[Array, State]:
        dh_t, gate, h_in, start = now
        update, reset, new, a_new = jnp.split(gate, 4, axis=1)
        dh = dh + dh_t
        by_new = dh * (1 - update) * (1 - new * new)
        by_update = dh * (h_in - new) * update * (1 - update)
        by_reset = by_new * a_new * reset * (1 - reset)
        by_a = jnp.concatenate([by_update, by_reset, by_new * reset], axis=1)
        dh = dh * update + by_a @ transposed
        return jnp.where(start[:, None], 0, dh), (by_a, by_new, dh)

    _, (by_a, by_new, by_h) = lax.scan(
        turn, _zeros(state[0], starts.shape[1]), (gradients[0], gates, before, starts), reverse=True
    )
    units = kernel.shape[0]
    by_z = jnp.concatenate([by_a[..., : 2 * units], by_new], axis=-1)
    flat = _flat(by_a)
    return by_z, _flat(before).T @ flat, flat.sum(0), (_at_starts(by_h, firsts),)


def _simple_forward(
    z: Array, kernel: Array, bias: Array, state: State, starts: Array, rows: Array
) -> tuple[State, None]:
    """SimpleRNN (Elman 1990): h' = tanh(z + h R)."""

    def turn(h: Array, now: State) -> tuple[Array, Array]:
        z_t, start, row = now
        h = jnp.tanh(z_t + _chosen(start, _of_rows(state[0], row), h) @ kernel)
        return h, h

    _, h = lax.scan(turn, _zeros(state[0], z.shape[1]), (z, starts, rows))
    return (h,), None


def _simple_backward(
    kernel: Array,
    bias: Array,
    state: State,
    starts: Array,
    rows: Array,
    firsts: Array,
    states: State,
    kept: None,
    gradients: State,
) -> tuple[Array, Array, Array, State]:
    transposed = kernel.T

    def turn(dh: Array, now: State) -> tuple[Array, Array]:
        dh_t, h, start = now
        by_z = (dh + dh_t) * (1 - h * h)
        return jnp.where(start[:, None], 0, by_z @ transposed), by_z

    begin = _zeros(state[0], starts.shape[1])
    _, by_z = lax.scan(turn, begin, (gradients[0], states[0], starts), reverse=True)
    by_kernel = _flat(_before(states[0], state[0], starts, rows)).T @ _flat(by_z)
    return by_z, by_kernel, jnp.zeros_like(bias), (_at_starts(by_z, firsts) @ transposed,)


_LOOPS: dict[str, _Loop] = {
    "lstm": _looped(_lstm_forward, _lstm_backward),
    "gru": _looped(_gru_forward, _gru_backward),
    "simple_rnn": _looped(_simple_forward, _simple_backward),
}
