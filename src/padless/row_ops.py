"""What can be asked of each row: sum, mean, first and last step, reversal; and a row's entry spread to its steps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from padless import backends
from padless.errors import ShapeError, explain
from padless.ragged import Ragged

Array = Any
F = TypeVar("F", bound=Callable[..., Any])
ROW_OPS: dict[str, Callable[..., Any]] = {}
"""The functions of this file by name."""


def _of_symbols_too(function: F) -> F:
    """The same function; where a symbol is given, it becomes a step of the graph."""
    ROW_OPS[function.__name__] = function

    @functools.wraps(function)
    def chosen(*args: Any, **kwargs: Any) -> Any:
        from padless.spec import Symbol

        if any(isinstance(value, Symbol) for value in (*args, *kwargs.values())):
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
    xp = owner.xp
    counts = owner.cast(xp.maximum(owner.index(x.rows, "row_lengths"), owner.asarray(1)), owner.dtype_name(x.values))
    return owner.segment_sum(x.values, x.rows) / xp.reshape(counts, (-1, *(1 for _ in x.values.shape[1:])))


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
        like: (B, None, ...), whose rows to use.

    Returns:
        (B, None, ...) with those rows.

    Raises:
        ShapeError: when the number of rows is another.

    Example:
        >>> import numpy as np
        >>> spread(np.array([7, 8]), Ragged.from_list([[1, 2], [3]])).to_list()
        [[7, 7], [8]]
    """
    owner = backends.of(like.values)
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
