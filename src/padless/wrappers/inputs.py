"""What an estimator is given: rows of unequal length as they are, tables of numbers as scikit-learn wants them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import validate_data

from padless.ragged import Ragged


def is_rows(x: Any) -> bool:
    """Whether these are sequences, texts or the like, which only padless can read.

    Args:
        x: whatever `fit` was given.

    Returns:
        False for a table of numbers (B, D), and for what scikit-learn shall refuse.

    Example:
        >>> is_rows([[1, 2], [3]]), is_rows(np.zeros((2, 3)))
        (True, False)
    """
    if isinstance(x, list | tuple):
        return not _is_table(x)
    if isinstance(x, Ragged):
        return True
    if isinstance(x, np.ndarray):
        return x.ndim > 2 or (x.ndim == 1 and x.dtype.kind in "OUST")
    # Columns of Arrow, pandas and polars; not tables, which have columns.
    return not hasattr(x, "columns") and (hasattr(x, "__arrow_c_array__") or hasattr(x, "__arrow_c_stream__"))


def _is_table(x: Any) -> bool:
    """Lists of as many floats each are what scikit-learn takes for a table."""
    first = x[0] if len(x) else None
    if not isinstance(first, list | tuple) or not first or not isinstance(first[0], float):
        return False
    return all(isinstance(row, list | tuple) and len(row) == len(first) for row in x)


def checked(estimator: Any, x: Any, y: Any = None, *, any_width: bool = False) -> Any:
    """Look at what `predict` is given, or with y, what `fit` is.

    Args:
        estimator: remembers how many features it was fitted with.
        x: B rows of any kind.
        y: B targets.
        any_width: whether the second axis of an array is time: padding may make it longer or shorter.

    Returns:
        x, an array where it was a table of numbers.

    Raises:
        ValueError: of scikit-learn, for a table that holds anything else, or as many rows of x as there are not of y.

    Example:
        >>> checked(None, [[1, 2], [3]], [0, 1])
        [[1, 2], [3]]
    """
    if is_rows(x):
        if y is not None:
            check_consistent_length(x, y)
        return list(x) if isinstance(x, tuple) or (isinstance(x, np.ndarray) and x.dtype.kind in "OUST") else x
    if any_width:
        return check_array(x)
    if y is None:
        return validate_data(estimator, x, reset=False)
    x = validate_data(estimator, x, reset=True)
    check_consistent_length(x, y)
    return x


def lengths_of(x: Any) -> list[int] | None:
    """How many steps each row has.

    Args:
        x: what `is_rows`.

    Returns:
        B numbers, or None for what has no steps that could be counted before a model reads it, such as texts.

    Example:
        >>> lengths_of([[1, 2], [3]])
        [2, 1]
    """
    if isinstance(x, Ragged):
        lengths: list[int] = x.rows.row_lengths.tolist()
        return lengths
    if not isinstance(x, list | tuple) or not all(isinstance(row, list | tuple | np.ndarray) for row in x):
        return None
    return [len(row) for row in x]
