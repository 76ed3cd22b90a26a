"""What an exported program computes with rows: as the defaults in `backends/base.py`, of lengths that nobody knows."""

from __future__ import annotations

from typing import Any

import torch
from torch._higher_order_ops.scan import scan_op
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from padless.backends.base import Step
from padless.backends.torch.exporting.rows import ExportedPairs, ExportedRows

Tensor = torch.Tensor


def segment_max(values: Tensor, rows: ExportedRows) -> Tensor:
    """As `Backend.segment_max`."""
    floats = values.dtype.is_floating_point
    lowest = -torch.inf if floats else torch.iinfo(values.dtype).min
    arrays = rows.arrays
    beside = (-1, *(1 for _ in values.shape[1:]))
    index = arrays.value_rowids.reshape(beside).expand_as(values)
    largest = torch.full((rows.nrows, *values.shape[1:]), lowest, dtype=values.dtype, device=values.device)
    largest = largest.scatter_reduce(0, index, values, "amax")
    return torch.where(arrays.row_lengths.reshape(beside) > 0, largest, torch.zeros_like(largest))


# ---- recurrence


class _Outside(TorchFunctionMode):
    """Notes which tensors a function reads that are neither its arguments nor made by it."""

    def __init__(self, inside: Any) -> None:
        super().__init__()
        self._made = {id(x): x for x in pytree.tree_leaves(inside)}
        self.found: dict[int, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for x in pytree.tree_leaves((args, kwargs or {})):
            if isinstance(x, Tensor) and id(x) not in self._made:
                self.found.setdefault(id(x), x)
        made = func(*args, **(kwargs or {}))
        # Kept, so that no other tensor gets the same id.
        self._made.update((id(x), x) for x in pytree.tree_leaves(made) if isinstance(x, Tensor))
        return made


class _Instead(TorchFunctionMode):
    """Has a function read other tensors in the place of some."""

    def __init__(self, instead: dict[int, Tensor]) -> None:
        super().__init__()
        self._instead = instead

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = pytree.tree_map(
            lambda x: self._instead.get(id(x), x) if isinstance(x, Tensor) else x, (args, kwargs or {})
        )
        return func(*args, **kwargs)


def scan(
    step: Step, x: Tensor, rows: ExportedRows, state: tuple[Tensor, ...], reverse: bool, constants: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """As `Backend.scan`: one loop over the longest row, in which a row that has ended keeps its state."""
    arrays = rows.arrays
    table = arrays.unpad_index.transpose(0, 1)
    if reverse:
        index = torch.cat([arrays.reverse_index, arrays.row_splits.new_zeros(1) + arrays.nvals])
        table = index[table]
    steps = torch.cat([x, x.new_zeros((1, *x.shape[1:]))])[table]
    alive = table < arrays.nvals

    def live(beside: Tensor, like: Tensor) -> Tensor:
        return beside.reshape(-1, *(1 for _ in like.shape[1:]))

    # A step may read weights; what a loop reads has to be handed to it.
    with _Outside((steps[0], state, constants)) as outside:
        step(steps[0], state, *constants)
    read = tuple(outside.found.values())
    count = len(state)

    def body(*given: Tensor) -> list[Tensor]:
        before, now, on = given[:count], given[count], given[count + 1]
        beside, weights = given[count + 2 : count + 2 + len(constants)], given[count + 2 + len(constants) :]
        with _Instead({id(old): new for old, new in zip(read, weights, strict=True)}):
            y, after = step(now, before, *beside)
        kept = [torch.where(live(on, new), new, old) for new, old in zip(after, before, strict=True)]
        return [*kept, y.clone()]

    *final, outputs = scan_op(body, [s.clone() for s in state], [steps, alive], (*constants, *read))
    flat = outputs.transpose(0, 1).reshape(rows.nrows * arrays.width, *outputs.shape[2:])
    ranks = arrays.row_lengths[arrays.value_rowids] - 1 - arrays.ranks if reverse else arrays.ranks
    return flat[arrays.value_rowids * arrays.width + ranks], tuple(final)


# ---- attention


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    pairs: ExportedPairs,
    *,
    scale: float,
    causal: bool,
    window: int | None,
) -> Tensor:
    """As `Backend.attention` without a mask, all rows at once: scores of padding are computed and left out.

    Args:
        q: (N, H, K).
        k: (M, H, K).
        v: (M, H, V).
        pairs: of queries and keys.
        scale: of the scores.
        causal: as there.
        window: as there.

    Returns:
        (N, H, V).
    """
    queries, keys = pairs.pair_arrays.queries, pairs.pair_arrays.keys

    def padded(x: Tensor, table: Tensor) -> Tensor:
        return torch.cat([x, x.new_zeros((1, *x.shape[1:]))])[table].transpose(1, 2)

    scores = scale * (padded(q, queries.unpad_index) @ padded(k, keys.unpad_index).transpose(2, 3))
    visible = (keys.unpad_index < keys.nvals)[:, None, None, :]
    if causal or window is not None:
        ahead = keys.steps(keys.width)[None, :] - queries.steps(queries.width)[:, None]
        near = ahead < (1 if causal or window is None else window)
        visible = visible & (near if window is None else near & (ahead > -window))
    scores = torch.where(visible, scores, -torch.inf)
    largest = scores.amax(dim=-1, keepdim=True)
    shares = torch.exp(scores - torch.where(largest == -torch.inf, torch.zeros_like(largest), largest))
    total = shares.sum(dim=-1, keepdim=True)
    shares = shares / torch.where(total == 0, torch.ones_like(total), total)
    y = (shares @ padded(v, keys.unpad_index)).transpose(1, 2)
    return y.reshape(queries.nrows * queries.width, *y.shape[2:])[queries.rank_places]


def pair_scores(q: Tensor, k: Tensor, pairs: ExportedPairs, scale: float) -> Tensor:
    """As `Backend.pair_scores`, heads of keys already as many as of queries."""
    return scale * (q[pairs.array("query_index")] * k[pairs.array("key_index")]).sum(dim=-1)


def pair_softmax(scores: Tensor, pairs: ExportedPairs) -> Tensor:
    """As `Backend._pair_softmax`."""
    queries = pairs.array("query_index")
    shape = (pairs.queries.nvals, scores.shape[1])
    largest = torch.full(shape, -torch.inf, dtype=scores.dtype, device=scores.device)
    largest = largest.scatter_reduce(0, queries[:, None].expand_as(scores), scores, "amax")
    largest = torch.where(largest == -torch.inf, torch.zeros_like(largest), largest)
    shares = torch.exp(scores - largest[queries])
    total = torch.zeros(shape, dtype=scores.dtype, device=scores.device).index_add(0, queries, shares)
    return shares / torch.where(total == 0, torch.ones_like(total), total)[queries]


def pair_sums(shares: Tensor, v: Tensor, pairs: ExportedPairs) -> Tensor:
    """As `Backend.pair_sums`, heads of values already as many as of shares."""
    parts = shares[:, :, None] * v[pairs.array("key_index")]
    sums = torch.zeros((pairs.queries.nvals, *parts.shape[1:]), dtype=parts.dtype, device=parts.device)
    return sums.index_add(0, pairs.array("query_index"), parts)
