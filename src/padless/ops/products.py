"""Products of matrices: one for every step, or sums over the steps of a row; and sums over segments of an array."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from padless.errors import ArgumentError, MaskError, ShapeError, explain
from padless.operation import named
from padless.ops.values import Array, array_of, entered, features, owner_of, refuse
from padless.ragged import Ragged
from padless.row_ops import row_sum, spread
from padless.rows import RowPartition, require_same_steps


def _matmul(x1: Any, x2: Any) -> Any:
    """x1 @ x2. Of rows: every step times a matrix or a vector, or matrices of the same step."""
    if isinstance(x1, Ragged):
        return x1 @ x2
    if isinstance(x2, Ragged):
        return x2._operate("@", x1, swap=True)
    _, _, (a, b) = entered("ops.matmul", (x1, x2))
    return a @ b


def _dot(x1: Any, x2: Any) -> Any:
    """The sum of products over the last axis of x1 and the last but one of x2. Of rows: every step times a matrix."""
    if isinstance(x1, Ragged) or isinstance(x2, Ragged):
        plain = all(isinstance(x, Ragged) or getattr(x, "ndim", 0) == 0 for x in (x1, x2))
        both = isinstance(x1, Ragged) and isinstance(x2, Ragged)
        return operator.mul(x1, x2) if plain and not both else _matmul(x1, x2)
    _, b, (one, other) = entered("ops.dot", (x1, x2))
    if not one.ndim or not other.ndim:
        return one * other
    return b.xp.tensordot(one, other, axes=((one.ndim - 1,), (max(other.ndim - 2, 0),)))


def _tensordot(x1: Any, x2: Any, axes: Any = 2) -> Any:
    """The sum of products over several axes. Of rows: features of every step of x1, with an array x2."""
    if isinstance(x2, Ragged):
        refuse("ops.tensordot", x2, axes, fix="rows as x1; or ops.einsum('btd,btd->bt', x1, x2)")
    if isinstance(axes, int):
        rank = x1.ndim if isinstance(x1, Ragged) else array_of(x1).ndim
        axes = (tuple(range(rank - axes, rank)), tuple(range(axes)))
    left, right = ((one,) if isinstance(one, int) else tuple(one) for one in axes)
    if isinstance(x1, Ragged):
        own = features("ops.tensordot", x1, left)
        return x1.with_values(_tensordot(x1.values, x2, (own, right)))
    owner = owner_of([x1, x2])
    return owner.xp.tensordot(array_of(x1, owner), array_of(x2, owner), axes=(left, right))


def _einsum(subscripts: str, *operands: Any) -> Any:
    """Sums of products by Einstein's notation. Of rows, batch and time are the first two letters: "btd,de->bte"."""
    return einsum_of("ops.einsum", subscripts, operands)


def einsum_of(where: str, subscripts: str, operands: Sequence[Any]) -> Any:
    """Sums of products by Einstein's notation.

    Args:
        where: the function or layer, for errors.
        subscripts: with the letters of batch and time in front of the others of each operand with rows. What has the
            letter of the batch in front and no time has an entry for each row. A result without time is summed over
            the steps of each row.
        operands: Ragged with the same rows, arrays.

    Returns:
        A Ragged, or an array.

    Raises:
        MaskError: when rows, or steps of different places, would meet.
        ShapeError: when letters and axes do not fit.
    """
    owner = owner_of(operands)
    first = next((one for one in operands if isinstance(one, Ragged)), None)
    plain = subscripts.replace(" ", "")
    if first is None:
        return owner.xp.einsum(plain, *(array_of(one, owner) for one in operands))
    labels, result = _letters(where, plain, operands)
    batch, time = _checked(where, subscripts, labels, result, operands)
    arrays, own = [], []
    for letters, one in zip(labels, operands, strict=True):
        if isinstance(one, Ragged):
            require_same_steps(where, first.rows, one.rows)
            arrays.append(array_of(one.values, owner))
            own.append(letters.replace(time, "", 1))
        elif letters[:1] == batch:
            arrays.append(spread(array_of(one, owner), first).values)
            own.append(letters)
        else:
            arrays.append(array_of(one, owner))
            own.append(letters)
    steps = owner.xp.einsum(f"{','.join(own)}->{result.replace(time, '', 1)}", *arrays)
    y = first.with_values(steps)
    return y if time in result else row_sum(y)


def _letters(where: str, subscripts: str, operands: Sequence[Any]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, those that an ellipsis stands for among them."""
    left, arrow, result = subscripts.partition("->")
    labels = left.split(",")
    if len(labels) != len(operands):
        raise ArgumentError(
            explain(where, expected=f"{len(labels)} values for {subscripts!r}", got=str(len(operands)), fix="as many")
        )
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in subscripts]
    widest = 0
    for at, (letters, one) in enumerate(zip(labels, operands, strict=True)):
        count = len(letters.replace("...", ""))
        rank = one.ndim if hasattr(one, "ndim") else np.ndim(one)
        if "..." in letters:
            widest = max(widest, rank - count)
            hidden = "".join(free[widest - (rank - count) : widest] if rank > count else [])
            labels[at] = letters.replace("...", hidden)
        if len(labels[at]) != rank:
            raise ShapeError(
                explain(
                    where,
                    expected=f"{rank} letters for the axes of {tuple(one.shape)}, with rows batch and time first",
                    got=f"{letters!r} in {subscripts!r}",
                    fix="'btd,de->bte', for example",
                )
            )
    if not arrow:
        every = "".join(labels)
        result = "".join(sorted(c for c in set(every) if every.count(c) == 1))
    return labels, result.replace("...", "".join(free[:widest]))


def _checked(where: str, subscripts: str, labels: list[str], result: str, operands: Sequence[Any]) -> tuple[str, str]:
    """The letters of batch and time, when neither rows nor steps of different places meet."""
    pairs = {letters[:2] for letters, one in zip(labels, operands, strict=True) if isinstance(one, Ragged)}
    pair = next(iter(pairs))
    batch, time = pair[0], pair[1]
    wrong = ""
    if len({pair[0] for pair in pairs}) > 1 or batch == time:
        wrong = "rows that meet other rows"
    elif len(pairs) > 1:
        wrong = "steps that meet steps at other places of their row"
    elif result[:1] != batch:
        wrong = f"a result {result!r} that does not begin with the batch, {batch!r}"
    elif time in result[2:] or (time in result and result[1] != time):
        wrong = f"time, {time!r}, at another place in the result {result!r}"
    for letters, one in zip(labels, operands, strict=True):
        if isinstance(one, Ragged):
            if batch in letters[1:] or time in letters[2:]:
                wrong = wrong or f"batch or time twice in {letters!r}"
        elif time in letters:
            wrong = wrong or f"an array with entries for each place in time, {letters!r}"
        elif batch in letters[1:]:
            wrong = wrong or f"the batch, {batch!r}, at another place in {letters!r}"
    if wrong:
        raise MaskError(
            explain(
                where,
                expected="batch and time as the first two letters of all that has rows, and of the result",
                got=f"{subscripts!r}: {wrong}",
                fix="'btd,de->bte' and 'btd,btd->bt' for each step, 'btd,bte->bde' for a sum over each "
                "row; layers.Attention() lets the steps of a row meet each other",
            )
        )
    return batch, time


# ---- segments of an array


def _segments(name: str, data: Any, segment_ids: Any, num_segments: int | None) -> Array:
    where = f"ops.{name}"
    if isinstance(data, Ragged) or isinstance(segment_ids, Ragged):
        refuse(where, data, "0", fix=f"padless.{name.replace('segment', 'row')}(x) for each row")
    owner = owner_of([data, segment_ids])
    values, ids = array_of(data, owner), array_of(segment_ids, owner)
    if ids.ndim != 1 or not values.ndim or values.shape[0] != ids.shape[0]:
        raise ShapeError(
            explain(
                where,
                expected="one segment for each entry of the first axis",
                got=f"{tuple(values.shape)} and {tuple(ids.shape)}",
                fix="segment_ids of shape (data.shape[0],)",
            )
        )
    largest = name == "segment_max"
    if owner.is_traced(ids):
        return _marked(owner, values, ids, num_segments, largest)
    host = owner.to_host(ids).astype(np.int64)
    count = int(host.max(initial=-1)) + 1 if num_segments is None else num_segments
    inside = np.nonzero((host >= 0) & (host < count))[0]
    order = inside[np.argsort(host[inside], kind="stable")]
    rows = RowPartition.from_lengths(np.bincount(host[inside], minlength=count))
    picked = owner.xp.take(values, owner.asarray(order), axis=0)
    if not largest:
        return owner.segment_sum(picked, rows)
    empty = owner.xp.reshape(owner.index(rows, "row_lengths") == 0, (-1, *(1 for _ in values.shape[1:])))
    y = owner.segment_max(picked, rows)
    return owner.xp.where(empty, owner.xp.full_like(y, _lowest(owner, y)), y)


def _lowest(owner: Any, x: Array) -> Any:
    floats = owner.dtype_name(x).startswith(("float", "bfloat"))
    return -float("inf") if floats else int(owner.xp.iinfo(x.dtype).min)


def _marked(owner: Any, values: Array, ids: Array, count: int | None, largest: bool) -> Array:
    """The same inside of a compiled step, where ids cannot be looked at."""
    if count is None:
        raise ArgumentError(
            explain("num_segments", expected="a number inside of a compiled step", got="None", fix="num_segments=8")
        )
    marks = owner.asarray(np.arange(count))[:, None] == ids[None, :]
    marks = owner.xp.reshape(marks, (*marks.shape, *(1 for _ in values.shape[1:])))
    if largest:
        return owner.xp.max(owner.xp.where(marks, values[None], _lowest(owner, values)), axis=1)
    return owner.xp.sum(owner.xp.where(marks, values[None], owner.xp.zeros_like(values)[None]), axis=1)


def _segment_sum(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Array:
    """The sum of the entries of each segment; of rows, `padless.row_sum`."""
    return _segments("segment_sum", data, segment_ids, num_segments)


def _segment_max(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Array:
    """The largest of the entries of each segment, the lowest number for none; of rows, `padless.row_max`."""
    return _segments("segment_max", data, segment_ids, num_segments)


matmul = named("product", "matmul", _matmul)
dot = named("product", "dot", _dot)
tensordot = named("product", "tensordot", _tensordot)
einsum = named("product", "einsum", _einsum)
segment_sum = named("other", "segment_sum", _segment_sum)
segment_max = named("other", "segment_max", _segment_max)
