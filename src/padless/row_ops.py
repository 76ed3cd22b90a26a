"""What can be asked of each row: sum, mean, first and last step, reversal; and a row's entry spread to its steps."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from padless import backends
from padless.errors import ArgumentError, DataError, ShapeError, explain
from padless.lengths import Behind, Derivation, Slice
from padless.mixed_precision import HALVES
from padless.ragged import Ragged
from padless.spec import has_symbol

Array = Any
F = TypeVar("F", bound=Callable[..., Any])
ROW_OPS: dict[str, Callable[..., Any]] = {}
"""The functions of this file by name."""


def _of_symbols_too(function: F) -> F:
    """The same function; where a symbol is given, it becomes a step of the graph."""
    ROW_OPS[function.__name__] = function

    @functools.wraps(function)
    def chosen(*args: Any, **kwargs: Any) -> Any:
        if any(map(has_symbol, args)) or (kwargs and any(map(has_symbol, kwargs.values()))):
            from padless.operation import Operation

            return Operation(function.__name__)(*args, **kwargs)
        return function(*args, **kwargs)

    return chosen  # type: ignore[return-value]


@_of_symbols_too
def row_sum(x: Ragged) -> Array:
    """Sum the steps of each row.

    Args:
        x: (B, None, ...).

    Returns:
        (B, ...); 0 for an empty row.

    Example:
        >>> row_sum(Ragged.from_list([[1, 2], [], [5]])).tolist()
        [3, 0, 5]
    """
    return backends.of(x.values).segment_sum(x.values, x.rows)


@_of_symbols_too
def row_mean(x: Ragged) -> Array:
    """Average the steps of each row.

    Args:
        x: (B, None, ...) floats.

    Returns:
        (B, ...); 0 for an empty row.

    Example:
        >>> row_mean(Ragged.from_list([[1.0, 2.0], []])).tolist()
        [1.5, 0.0]
    """
    owner = backends.of(x.values)
    kind = owner.dtype_name(x.values)
    if kind in HALVES:  # the sum may be beyond what they hold, where the mean is not
        return owner.cast(row_mean(x.with_values(owner.wide(x.values))), kind)
    counts = owner.cast(owner.index(x.rows, "row_divisors"), kind)
    return owner.segment_sum(x.values, x.rows) / owner.xp.reshape(counts, (-1, *(1 for _ in x.values.shape[1:])))


@_of_symbols_too
def row_max(x: Ragged) -> Array:
    """Take the largest step of each row, feature by feature.

    Args:
        x: (B, None, ...).

    Returns:
        (B, ...); 0 for an empty row.

    Example:
        >>> row_max(Ragged.from_list([[-1, -2], []])).tolist()
        [-1, 0]
    """
    return backends.of(x.values).segment_max(x.values, x.rows)


@_of_symbols_too
def row_first(x: Ragged) -> Array:
    """Take the first step of each row.

    Args:
        x: (B, None, ...).

    Returns:
        (B, ...); 0 for an empty row.

    Example:
        >>> row_first(Ragged.from_list([[1, 2], [3]])).tolist()
        [1, 3]
    """
    owner = backends.of(x.values)
    return owner.take_or(x.values, owner.index(x.rows, "first_index"), 0)


@_of_symbols_too
def row_last(x: Ragged) -> Array:
    """Take the last step of each row.

    Args:
        x: (B, None, ...).

    Returns:
        (B, ...); 0 for an empty row.

    Example:
        >>> row_last(Ragged.from_list([[1, 2], [3]])).tolist()
        [2, 3]
    """
    owner = backends.of(x.values)
    return owner.take_or(x.values, owner.index(x.rows, "last_index"), 0)


def derived(x: Ragged, how: Derivation, *others: Ragged) -> Ragged:
    """Take the steps that a derivation reads, where it reads one for each step of the output.

    Args:
        x: (B, None, ...).
        how: says which rows come of these.
        *others: further inputs with steps of the same shape, where it has several.

    Returns:
        Rows (B, None, ...) of other lengths; zeros where nothing is read.

    Example:
        >>> from padless.lengths import Repeat
        >>> derived(Ragged.from_list([[1, 2], [3]]), Repeat(2)).to_list()
        [[1, 1, 2, 2], [3, 3]]
    """
    owner = backends.of(x.values)
    rows, more = x.rows, [other.rows for other in others]
    made = rows.derived(how, *more)
    if made is rows:
        return x
    values = owner.xp.concat([x.values, *(other.values for other in others)]) if others else x.values
    index = owner.xp.reshape(owner.index(rows, "taps", how, *more), (-1,))
    return Ragged(owner.take_or(values, index, 0), made)


@_of_symbols_too
def row_concat(parts: Sequence[Ragged]) -> Ragged:
    """Put rows behind rows: each row of the output holds the steps of that row of every input, one after the other.

    Args:
        parts: values (B, None, ...) with as many rows, and steps of the same shape.

    Returns:
        (B, None, ...).

    Raises:
        DataError: when there are other rows in one of them.
        ShapeError: when steps have another shape.

    Example:
        >>> row_concat([Ragged.from_list([[1, 2], []]), Ragged.from_list([[7], [8]])]).to_list()
        [[1, 2, 7], [8]]
    """
    first, *others = parts
    for other in others:
        if other.rows.nrows != first.rows.nrows:
            raise DataError(
                explain(
                    "rows behind rows",
                    expected=f"as many rows in each value, {first.rows.nrows}",
                    got=str(other.rows.nrows),
                    fix="values of one batch",
                )
            )
        if tuple(other.values.shape[1:]) != tuple(first.values.shape[1:]):
            shapes = ", ".join(str(part.shape) for part in parts)
            raise ShapeError(
                explain(
                    "rows behind rows",
                    expected="steps of one shape",
                    got=f"shapes {shapes}",
                    fix="bring them to one width first, with layers.Dense(units)",
                )
            )
    return derived(first, Behind(), *others) if others else first


@_of_symbols_too
def row_slice(x: Ragged, start: int | None = None, stop: int | None = None, step: int | None = None) -> Ragged:
    """Take some steps of each row, as Python slices a list: `row[start:stop:step]`.

    Args:
        x: (B, None, ...).
        start: the first step; counted from the end of the row where negative. None: the first of the row.
        stop: the step behind the last one; counted from the end where negative. None: the end of the row.
        step: steps from one to the next; above 0. None: 1.

    Returns:
        (B, None, ...). A masked step within a row counts as one, and stays masked.

    Raises:
        ArgumentError: for a step that is not above 0.

    Example:
        >>> x = Ragged.from_list([[1, 2, 3], [4], []])
        >>> row_slice(x, 1).to_list(), row_slice(x, None, -1).to_list(), row_slice(x, -2).to_list()
        ([[2, 3], [], []], [[1, 2], [], []], [[2, 3], [4], []])
    """
    if step is not None and step < 1:
        raise ArgumentError(
            explain("row_slice step", expected="a whole number above 0", got=repr(step), fix="row_reverse(x) first")
        )
    return derived(x, Slice(start or 0, stop, step or 1))


@_of_symbols_too
def row_reverse(x: Ragged) -> Ragged:
    """Reverse the order of the steps of each row.

    Args:
        x: (B, None, ...).

    Returns:
        (B, None, ...) with the same rows.

    Example:
        >>> row_reverse(Ragged.from_list([[1, 2], [3]])).to_list()
        [[2, 1], [3]]
    """
    owner = backends.of(x.values)
    return x.with_values(owner.xp.take(x.values, owner.index(x.rows, "reverse_index"), axis=0))


@_of_symbols_too
def spread(x: Array, like: Ragged) -> Ragged:
    """Give each row's entry to all steps of the row.

    Args:
        x: (B, ...), one entry for each row.
        like: (B, None, ...), whose rows to use; of rows within rows, each of these is a step.

    Returns:
        (B, None, ...) with those rows.

    Raises:
        ShapeError: when the number of rows is another.

    Example:
        >>> import numpy as np
        >>> spread(np.array([7, 8]), Ragged.from_list([[1, 2], [3]])).to_list()
        [[7, 7], [8]]
    """
    owner = backends.of(like.flat_values)
    entries = owner.asarray(x)
    if entries.ndim == 0 or entries.shape[0] != like.rows.nrows:
        raise ShapeError(
            explain(
                "spread",
                expected=f"one entry for each of {like.rows.nrows} rows",
                got=f"shape {tuple(entries.shape)}",
                fix="an array whose first axis is the batch",
            )
        )
    return like.with_values(owner.xp.take(entries, owner.index(like.rows, "value_rowids"), axis=0))
