"""Attention within rows, for PyTorch: torch's own kernel on groups of rows of about the same length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from padless.rows import PairRows, RowPartition

if TYPE_CHECKING:
    from padless.backends.torch import TorchBackend

Tensor = torch.Tensor

# Rows whose lengths, rounded up to a multiple of this, are the same share a call. Forward and backward with 4 heads of
# 32 on one core, for multiples of 1, 16, 32, 64 and all in one call: 32 news articles of up to 1,024 words 294, 268,
# 232, 213 and 836 ms; 256 texts of 5 to 40 words 76, 25, 31, 43 and 44 ms.
_UNIT = 32
_QUERIES = 128
"""Queries that share a call where a window keeps them from most keys."""


class Group(NamedTuple):
    """Rows that share a call.

    Attributes:
        queries: (G, n) the query at each place; N where the row has ended. A slice where one row is all.
        keys: (G, m) the key at each place; M where the row has ended. A slice where one row is all.
        mask: (G, 1, 1, m) where there is a key; None where all rows are full.
        rows: (G,) which rows, on the host.
    """

    queries: Any
    keys: Any
    mask: Tensor | None
    rows: Any


class Plan(NamedTuple):
    """How the rows of a batch are handed to the kernel.

    Attributes:
        groups: of rows that have queries and keys.
        places: (N,) where each query's answer stands when those of all groups are laid end to end; the place behind
            them for a query without keys.
    """

    groups: list[Group]
    places: Tensor


def plan(backend: TorchBackend, rows: RowPartition, value_rows: RowPartition) -> Plan:
    """Group the rows of a batch by length; made once per batch.

    Args:
        backend: moves the index arrays.
        rows: partition of the queries.
        value_rows: partition of the keys.

    Returns:
        The plan.
    """
    key = (backend.name, str(backend.device), "attention", value_rows.row_splits.tobytes())
    found: Plan = rows.moved(key, lambda: _plan(backend, rows, value_rows))
    return found


def _plan(backend: TorchBackend, rows: RowPartition, value_rows: RowPartition) -> Plan:
    lengths, value_lengths = rows.row_lengths, value_rows.row_lengths
    full = np.nonzero((lengths > 0) & (value_lengths > 0))[0]
    kinds = np.stack([-(-lengths // _UNIT), -(-value_lengths // _UNIT)], axis=1)
    groups, places, done = [], np.full(rows.nvals, -1), 0
    for kind in np.unique(kinds[full], axis=0):
        picked = full[(kinds[full] == kind).all(axis=1)]
        queries, keys = _table(rows, picked), _table(value_rows, picked)
        live = queries < rows.nvals
        places[queries[live]] = done + np.nonzero(live.reshape(-1))[0]
        done += queries.size
        ended = keys == value_rows.nvals
        mask = backend.asarray(~ended[:, None, None]) if ended.any() else None
        if len(picked) == 1:
            groups.append(Group(_slice(queries), _slice(keys), mask, picked))
        else:
            groups.append(Group(backend.asarray(queries), backend.asarray(keys), mask, picked))
    places[places < 0] = done
    return Plan(groups, backend.asarray(places))


def _table(rows: RowPartition, picked: Any) -> Any:
    """(G, L) the steps of some rows; N where a row has ended."""
    lengths = rows.row_lengths[picked][:, None]
    ranks = np.arange(lengths.max())
    return np.where(ranks < lengths, rows.row_splits[:-1][picked][:, None] + ranks, rows.nvals)


def _slice(steps: Any) -> slice:
    return slice(int(steps[0, 0]), int(steps[0, -1]) + 1)


def pair_tables(backend: TorchBackend, layout: Plan, pairs: PairRows) -> list[Tensor]:
    """Say where the pairs of each group stand; made once per batch.

    Args:
        backend: moves the tables.
        layout: the plan.
        pairs: of queries and keys.

    Returns:
        For each group (G, n, m), the pair of each query and each key; P where a row has ended.
    """

    def table(picked: Any) -> Any:
        n, m = (side.row_lengths[picked][:, None, None] for side in (pairs.queries, pairs.keys))
        query, key = np.arange(n.max())[:, None], np.arange(m.max())
        found = pairs.row_splits[:-1][picked][:, None, None] + query * m + key
        return backend.asarray(np.where((query < n) & (key < m), found, pairs.nvals))

    where = (backend.name, str(backend.device), "pair tables")
    tables: list[Tensor] = pairs.moved(where, lambda: [table(group.rows) for group in layout.groups])
    return tables


def attend(
    layout: Plan,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    scale: float,
    causal: bool,
    window: int | None = None,
    mask: Tensor | None = None,
    tables: list[Tensor] | None = None,
) -> Tensor:
    """Attend within rows.

    Args:
        layout: the plan.
        q: (N, H, K).
        k: (M, H, K).
        v: (M, H, V).
        scale: of the scores.
        causal: whether the i-th step of a row sees only the first i of the other.
        window: the i-th step sees only those that are fewer than so many places from i.
        mask: (P, 1) or (P, H) which pairs see each other.
        tables: what `pair_tables` made, where there is a mask.

    Returns:
        (N, H, V).
    """
    shared = any(not isinstance(group.queries, slice) for group in layout.groups)
    spare_q, spare_k, spare_v = (_with_spare(x) if shared else x for x in (q, k, v))
    spare_mask = None if mask is None else _with_spare(mask)
    made = []
    for at, (queries, keys, live, _) in enumerate(layout.groups):
        if isinstance(queries, slice):
            own, key, value = q[None, queries], k[None, keys], v[None, keys]
        else:
            own, key, value = _rows(spare_q, queries), _rows(spare_k, keys), _rows(spare_v, keys)
        parts = own.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        if window is None and spare_mask is None:
            y = _plainly(*parts, live, scale=scale, causal=causal)
        else:
            seen = live
            if spare_mask is not None and tables is not None:
                table = _rows(spare_mask, tables[at]).permute(0, 3, 1, 2)
                seen = table if live is None else live & table
            y = _in_blocks(*parts, seen, scale=scale, causal=causal, window=window)
        made.append(y.transpose(1, 2).reshape(-1, *v.shape[1:]))
    # The last is the answer to queries without keys.
    made.append(v.new_zeros((1, *v.shape[1:])))
    return torch.cat(made).index_select(0, layout.places)


def _plainly(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, scale: float, causal: bool) -> Tensor:
    """(G, H, n, K), (G, H, m, K), (G, H, m, V) to (G, H, n, V); every query sees a key."""
    if mask is not None and causal:
        mask = mask & torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
    return functional.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal and mask is None, scale=scale
    )


def _in_blocks(
    q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, *, scale: float, causal: bool, window: int | None
) -> Tensor:
    """As `_plainly`, where a query may see no key; a block of queries gets only the keys that its window reaches."""
    steps, keys = q.shape[2], k.shape[2]
    size = steps if window is None else _QUERIES
    made = []
    for first in range(0, steps, size):
        last = min(first + size, steps)
        begin = 0 if window is None else min(max(first - window + 1, 0), keys)
        end = max(min(last if causal else keys if window is None else last + window - 1, keys), begin)
        ahead = torch.arange(begin, end, device=q.device) - torch.arange(first, last, device=q.device)[:, None]
        visible = ahead < (1 if causal else keys if window is None else window)
        if window is not None:
            visible = visible & (ahead > -window)
        if seen is not None:
            visible = visible & (seen[..., begin:end] if seen.shape[2] == 1 else seen[..., first:last, begin:end])
        # What a kernel says of a query that sees nothing is not written down: it sees all, and 0 stands in its place.
        some = visible.any(-1, keepdim=True)
        y = functional.scaled_dot_product_attention(
            q[:, :, first:last], k[:, :, begin:end], v[:, :, begin:end], attn_mask=visible | ~some, scale=scale
        )
        made.append(torch.where(some, y, 0))
    return torch.cat(made, dim=2)


def _with_spare(x: Tensor) -> Tensor:
    return torch.cat([x, x.new_zeros((1, *x.shape[1:]))])


def _rows(x: Tensor, table: Tensor) -> Tensor:
    return x.index_select(0, table.reshape(-1)).reshape(*table.shape, *x.shape[1:])
