"""Attention within rows, for JAX: blocks of queries by blocks of keys, in loops whose lengths are data.

One compiled function serves every batch of as many rows and steps: it walks over rows, over blocks of a row's queries,
and over blocks of the keys of the row with the same number, with a softmax that grows as blocks come (Rabe and Staats
2021; Dao and others 2022, FlashAttention). A block of scores stays in the cache, nothing of size N x N or B x T x T
exists, and the backward pass computes the scores again.

A block may reach over the end of its row. What it reads there is made 0, and what it writes there is written over by
the next row, or is 0 where blocks add up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from padless.backends.jax.random import key_of, mixed
from padless.backends.jax.shapes import Host
from padless.rows import RowPartition

Array = jax.Array
Bounds = dict[str, Array]

# Blocks of 64 queries and 128 keys with 4 heads of 32: forward and backward of 12,000 steps of BBC news take 79 and 180
# ms, with 128 x 128 118 and 236, with 32 x 128 108 and 230, with 256 x 256 120 and 249 (two busy cores). Blocks of this
# size keep one core at its speed of matrix products; XLA shares larger ones among cores, and loses more than it gains.
QUERIES, KEYS, _LEAST = 64, 128, 16

# Which axes two blocks (H, a, b) are multiplied along, for each head.
_ROWS = (((2,), (2,)), ((0,), (0,)))
_PLAIN = (((2,), (1,)), ((0,), (0,)))
_COLUMNS = (((1,), (1,)), ((0,), (0,)))


class _How(NamedTuple):
    """What is known before the kernel is compiled."""

    scale: float
    causal: bool
    window: int | None
    rate: float
    queries: int
    keys: int


class Seen(NamedTuple):
    """Which pairs of a query and a key see each other.

    Attributes:
        mask: (P, 1) or (P, H) bool.
        starts: (B,) the first pair of each row.
    """

    mask: Array
    starts: Array


def bounds(rows: RowPartition) -> dict[str, Host]:
    """Say where each row begins and ends; rows that only fill the batch up are empty.

    Args:
        rows: the partition.

    Returns:
        starts, ends: (B,) first step of each row, and the one behind its last.
    """
    starts = rows.row_splits[:-1]
    return {"starts": starts, "ends": np.where(np.arange(rows.nrows) < rows.live_rows, rows.row_splits[1:], starts)}


@partial(jax.jit, static_argnames=("scale", "causal", "window", "rate"))
def attend(
    q: Array,
    k: Array,
    v: Array,
    rows: Bounds,
    value_rows: Bounds,
    seen: Seen | None,
    seed: list[Any],
    scale: float,
    causal: bool,
    window: int | None,
    rate: float,
) -> Array:
    """Attend within rows.

    Args:
        q: (N, H, K), not empty.
        k: (M, H, K), not empty.
        v: (M, H, V).
        rows: what `bounds` made of the partition of the queries.
        value_rows: what it made of that of the keys.
        seen: which pairs see each other; None for all.
        seed: of what is dropped.
        scale: of the scores.
        causal: whether the i-th step of a row sees only the first i of the other.
        window: the i-th step sees only those that are fewer than so many places from i.
        rate: share of the probabilities that is dropped.

    Returns:
        (N, H, V).
    """
    count = rows["starts"].shape[0]
    how = _How(scale, causal, window, rate, block(q.shape[0], count, QUERIES), block(k.shape[0], count, KEYS))
    if seen is not None:
        seen = Seen(seen.mask.T, seen.starts)
    key = jnp.stack(key_of(seed)) if rate else jnp.zeros(2, jnp.uint32)
    return _attend(how, q, k, v, rows, value_rows, seen, key)


def block(steps: int, rows: int, most: int) -> int:
    """Steps of a block: about those of a row, a power of two."""
    return min(max(1 << (-(-steps // rows) - 1).bit_length(), _LEAST), most)


# ---- pieces


def _by_head(x: Array, spare: int) -> Array:
    """(N, H, K) to (H, N + spare, K): no block reaches over the end."""
    return jnp.pad(jnp.swapaxes(x, 0, 1), ((0, 0), (0, spare), (0, 0)))


def _by_step(x: Array, steps: int) -> Array:
    """(H, N + spare, K) to (N, H, K)."""
    return jnp.swapaxes(x[:, :steps], 0, 1)


def _cut(x: Array, first: Array, size: int, live: Array) -> Array:
    """(H, N, ...) to a block (H, size, ...), of which only the first steps belong to the row; 0 for the others."""
    block = lax.dynamic_slice_in_dim(x, first, size, 1)
    mine = jnp.arange(size, dtype=jnp.int32) < live
    return jnp.where(mine[:, None] if x.ndim == 3 else mine, block, 0)


def _put(x: Array, block: Array, first: Array) -> Array:
    return lax.dynamic_update_slice_in_dim(x, block, first, 1)


def _add(x: Array, block: Array, first: Array) -> Array:
    return _put(x, lax.dynamic_slice_in_dim(x, first, block.shape[1], 1) + block, first)


class _Place(NamedTuple):
    """Where a block of queries lies: first step and length of its row, of the row of keys, and its rank in the row."""

    start: Array
    length: Array
    value_start: Array
    value_length: Array
    rank: Array
    row: Array


def _over_queries(how: _How, rows: Bounds, value_rows: Bounds, turn: Callable[[_Place, Any], Any], carry: Any) -> Any:
    """Run through the blocks of queries of all rows, in the order of the steps."""

    def of_row(row: Array, carry: Any) -> Any:
        start, value_start = rows["starts"][row], value_rows["starts"][row]
        length, value_length = rows["ends"][row] - start, value_rows["ends"][row] - value_start

        def of_block(block: Array, carry: Any) -> Any:
            return turn(_Place(start, length, value_start, value_length, block * how.queries, row), carry)

        return lax.fori_loop(0, -(-length // how.queries), of_block, carry)

    return lax.fori_loop(0, rows["starts"].shape[0], of_row, carry)


def _over_keys(how: _How, at: _Place, turn: Callable[[Array, Any], Any], carry: Any) -> Any:
    """Run through the blocks of keys that a block of queries sees, by the rank of their first."""
    first, last = jnp.zeros((), jnp.int32), at.value_length
    if how.window is not None:
        first = jnp.maximum(at.rank - how.window + 1, 0) // how.keys
        last = jnp.minimum(last, at.rank + how.queries + how.window - 1)
    if how.causal:
        last = jnp.minimum(last, at.rank + how.queries)
    return lax.fori_loop(first, -(-last // how.keys), lambda block, carry: turn(block * how.keys, carry), carry)


def _visible(how: _How, at: _Place, rank: Array, seen: Seen | None) -> Array:
    """(queries, keys), or (1 or H, queries, keys) with a mask, whether a query sees a key."""
    keys = rank + jnp.arange(how.keys, dtype=jnp.int32)
    queries = (at.rank + jnp.arange(how.queries, dtype=jnp.int32))[:, None]
    visible = jnp.broadcast_to(keys < at.value_length, (how.queries, how.keys))
    if how.causal:
        visible &= keys <= queries
    if how.window is not None:
        visible &= jnp.abs(keys - queries) < how.window
    if seen is None:
        return visible
    pair = seen.starts[at.row] + queries * at.value_length + keys
    return visible & seen.mask.at[:, pair].get(mode="fill", fill_value=False)


def _kept(how: _How, key: Array, at: _Place, rank: Array, heads: int) -> Array:
    """(H, queries, keys) whether dropout keeps a probability."""
    steps = at.start + at.rank + jnp.arange(how.queries, dtype=jnp.int32)
    columns = rank + jnp.arange(how.keys, dtype=jnp.int32)
    return _drawn(how.rate, key, steps[:, None], jnp.arange(heads)[:, None, None], columns, heads)


def _drawn(rate: float, key: Array, steps: Array, head: Array, ranks: Array, heads: int) -> Array:
    """Whether dropout keeps a probability: a hash of head, query step and rank of the key."""
    lines = steps.astype(jnp.uint32) * np.uint32(heads) + head.astype(jnp.uint32)
    drawn = mixed(mixed(lines + key[0]) ^ mixed(mixed(ranks.astype(jnp.uint32) + key[1])))
    return drawn >= np.uint32(round(rate * 2**32))


# ---- forward


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(
    how: _How, q: Array, k: Array, v: Array, rows: Bounds, value_rows: Bounds, seen: Seen | None, key: Array
) -> Array:
    return _forward(how, q, k, v, rows, value_rows, seen, key)[0]


def _forward(
    how: _How, q: Array, k: Array, v: Array, rows: Bounds, value_rows: Bounds, seen: Seen | None, key: Array
) -> tuple[Array, Any]:
    steps, kind, (heads, width) = q.shape[0], q.dtype, v.shape[1:]
    q, k, v = _by_head(q * how.scale, how.queries), _by_head(k, how.keys), _by_head(v, how.keys)

    def turn(at: _Place, made: tuple[Array, Array]) -> tuple[Array, Array]:
        first = at.start + at.rank
        own = _cut(q, first, how.queries, at.length - at.rank)

        def grow(rank: Array, before: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            largest, total, y = before
            left = at.value_length - rank
            keys, values = (_cut(x, at.value_start + rank, how.keys, left) for x in (k, v))
            scores = jnp.where(_visible(how, at, rank, seen), lax.dot_general(own, keys, _ROWS), -jnp.inf)
            new = jnp.maximum(largest, scores.max(-1))
            base = jnp.where(new == -jnp.inf, 0, new)  # of a query that has seen no key yet
            shares, shrink = jnp.exp(scores - base[..., None]), jnp.exp(largest - base)
            total = shrink * total + shares.sum(-1)
            if how.rate:
                shares = jnp.where(_kept(how, key, at, rank, heads), shares / (1 - how.rate), 0)
            return new, total, shrink[..., None] * y + lax.dot_general(shares, values, _PLAIN)

        nothing = jnp.zeros((heads, how.queries), kind)
        begin = nothing - jnp.inf, nothing, jnp.zeros((heads, how.queries, width), kind)
        largest, total, y = _over_keys(how, at, grow, begin)
        # Without any key in sight the sum is 0, and so is the output.
        some = total != 0
        y, log = y / jnp.where(some, total, 1)[..., None], jnp.where(some, largest + jnp.log(total), 0)
        return _put(made[0], y, first), _put(made[1], log, first)

    size = steps + how.queries
    y, logs = _over_queries(
        how, rows, value_rows, turn, (jnp.zeros((heads, size, width), kind), jnp.zeros((heads, size), kind))
    )
    y = jnp.where(_live(rows, steps), _by_step(y, steps), 0)
    return y, (q, k, v, y, logs, rows, value_rows, seen, key)


def _live(rows: Bounds, steps: int) -> Array:
    """(N, 1, 1) whether a step belongs to a row."""
    end = jnp.where(rows["ends"] > rows["starts"], rows["ends"], 0).max()
    return jnp.arange(steps, dtype=jnp.int32)[:, None, None] < end


# ---- pairs: for scores that are wanted, or that are no products


@partial(jax.jit, static_argnames=("scale",))
def pair_scores(q: Array, k: Array, queries: Array, keys: Array, scale: float) -> Array:
    """Products of queries and keys, for pairs.

    Args:
        q: (N, H, K).
        k: (M, H, K).
        queries: (P,) the query of each pair; N for a spare one.
        keys: (P,) its key.
        scale: of the products.

    Returns:
        (P, H).
    """
    return (_read(q * scale, queries) * _read(k, keys)).sum(-1)


@partial(jax.jit, static_argnames=("count",))
def pair_softmax(scores: Array, queries: Array, count: int) -> Array:
    """The softmax over the pairs of each query; those without any finite score get 0.

    Args:
        scores: (P, H).
        queries: (P,) the query of each pair; N for a spare one.
        count: N.

    Returns:
        (P, H).
    """
    options: dict[str, Any] = {"mode": "drop", "indices_are_sorted": True}
    nothing = jnp.zeros((count, scores.shape[1]), scores.dtype)
    largest = lax.stop_gradient((nothing - jnp.inf).at[queries].max(scores, **options))
    shares = jnp.exp(scores - _read(jnp.where(largest == -jnp.inf, 0, largest), queries))
    total = nothing.at[queries].add(shares, **options)
    return shares / _read(jnp.where(total == 0, 1, total), queries, 1)


@partial(jax.jit, static_argnames=("rate",))
def pair_dropout(shares: Array, queries: Array, ranks: Array, rate: float, seed: list[Any]) -> Array:
    """Drop what the kernel drops.

    Args:
        shares: (P, H).
        queries: (P,) the query of each pair.
        ranks: (P,) the rank of its key in the row.
        rate: share of them that is dropped.
        seed: of what is dropped.

    Returns:
        (P, H).
    """
    heads = shares.shape[1]
    stays = _drawn(rate, jnp.stack(key_of(seed)), queries[:, None], jnp.arange(heads), ranks[:, None], heads)
    return jnp.where(stays, shares / (1 - rate), 0)


@partial(jax.jit, static_argnames=("count",))
def pair_sums(shares: Array, v: Array, queries: Array, keys: Array, count: int) -> Array:
    """Sum values by their shares.

    Args:
        shares: (P, H).
        v: (M, H, V).
        queries: (P,) the query of each pair; N for a spare one.
        keys: (P,) its key.
        count: N.

    Returns:
        (N, H, V).
    """
    sums = jnp.zeros((count, *v.shape[1:]), v.dtype)
    return sums.at[queries].add(shares[..., None] * _read(v, keys), mode="drop", indices_are_sorted=True)


def _read(x: Array, index: Array, fill: float = 0) -> Array:
    found: Array = x.at[index].get(mode="fill", fill_value=fill, wrap_negative_indices=False)
    return found


# ---- backward


def _backward(how: _How, kept: Any, by_y: Array) -> tuple[Any, ...]:
    q, k, v, y, logs, rows, value_rows, seen, key = kept
    steps, value_steps, heads = by_y.shape[0], k.shape[1] - how.keys, q.shape[0]
    pulls = jnp.pad((y * by_y).sum(-1).T, ((0, 0), (0, how.queries)))
    by_y = _by_head(by_y, how.queries)

    def turn(at: _Place, made: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        first, left = at.start + at.rank, at.length - at.rank
        own, by_own, log, pull = (_cut(x, first, how.queries, left) for x in (q, by_y, logs, pulls))

        def add(rank: Array, before: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            by_q, by_k, by_v = before
            begin, left = at.value_start + rank, at.value_length - rank
            keys, values = (_cut(x, begin, how.keys, left) for x in (k, v))
            visible = _visible(how, at, rank, seen)
            shares = jnp.where(visible, jnp.exp(lax.dot_general(own, keys, _ROWS) - log[..., None]), 0)
            by_shares, used = lax.dot_general(by_own, values, _ROWS), shares
            if how.rate:
                stays = _kept(how, key, at, rank, heads)
                by_shares = jnp.where(stays, by_shares / (1 - how.rate), 0)
                used = jnp.where(stays, shares / (1 - how.rate), 0)
            by_scores = jnp.where(visible, shares * (by_shares - pull[..., None]), 0)
            by_q = by_q + lax.dot_general(by_scores, keys, _PLAIN)
            # 0 * NaN of this row is not 0: nothing may be added to the row behind it.
            mine = jnp.arange(how.keys, dtype=jnp.int32)[:, None] < left
            by_keys = jnp.where(mine, lax.dot_general(by_scores, own, _COLUMNS), 0)
            by_values = jnp.where(mine, lax.dot_general(used, by_own, _COLUMNS), 0)
            return by_q, _add(by_k, by_keys, begin), _add(by_v, by_values, begin)

        by_own_q, by_k, by_v = _over_keys(how, at, add, (jnp.zeros_like(own), *made[1:]))
        return _put(made[0], by_own_q, first), by_k, by_v

    by_q, by_k, by_v = _over_queries(how, rows, value_rows, turn, tuple(jnp.zeros_like(x) for x in (q, k, v)))
    by_q = jnp.where(_live(rows, steps), _by_step(by_q, steps) * how.scale, 0)
    return by_q, _by_step(by_k, value_steps), _by_step(by_v, value_steps), None, None, None, None


_attend.defvjp(_forward, _backward)
