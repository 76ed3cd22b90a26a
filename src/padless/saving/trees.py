"""Trees of plain values and arrays, in two parts: JSON for the ones, a file of arrays for the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from padless.errors import ArgumentError, DataError, explain

Tree = Any
"""Texts, numbers, booleans, None and NumPy arrays, in dicts by text and in lists."""
NDArray = np.ndarray[Any, Any]
_ARRAY = "__array__"


def apart(tree: Tree, where: str) -> tuple[Tree, dict[str, NDArray]]:
    """A tree as JSON can hold it, with the places of its arrays, and these.

    Args:
        tree: the tree.
        where: what it is, for errors.

    Returns:
        What JSON can hold, and the arrays by number.

    Raises:
        ArgumentError: when something else stands in it.
    """
    arrays: dict[str, NDArray] = {}

    def plain(value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            key = str(len(arrays))
            arrays[key] = value
            return {_ARRAY: key}
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        raise ArgumentError(
            explain(
                where,
                expected="texts, numbers, None and NumPy arrays, in dicts by text and in lists",
                got=repr(value)[:80],
                fix="get_state() that gives these",
            )
        )

    return plain(tree), arrays


def together(tree: Tree, arrays: dict[str, NDArray]) -> Tree:
    """What `apart` took apart.

    Args:
        tree: what JSON holds.
        arrays: by number.

    Returns:
        The tree; tuples are lists.

    Raises:
        DataError: when an array is missing.
    """
    if isinstance(tree, list):
        return [together(item, arrays) for item in tree]
    if isinstance(tree, dict):
        if tree.keys() == {_ARRAY}:
            key = tree[_ARRAY]
            if not isinstance(key, str) or key not in arrays:
                fix = "a file that padless wrote"
                raise DataError(explain("a file", expected=f"array {key!r}", got="none", fix=fix))
            return arrays[key]
        return {key: together(item, arrays) for key, item in tree.items()}
    return tree
