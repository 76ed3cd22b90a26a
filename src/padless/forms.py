"""The forms that data come in, and the way back: list in, list out; padded in, padded out; Ragged in, Ragged out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from padless import backends
from padless.backends.base import Backend
from padless.data import tables
from padless.errors import DTypeError, MaskError, PadlessError, explain
from padless.ragged import Ragged

Array = Any


def as_list(x: Ragged) -> list[Any]:
    """A list of each row's steps: arrays, or such lists where the steps are rows themselves."""
    return [as_list(row) if isinstance(row, Ragged) else row for row in x]


class Form:
    """How to turn a result into the form that the input had.

    Args:
        undo: applied to every Ragged in the result.
    """

    def __init__(self, undo: Callable[[Ragged], Any] | None = None) -> None:
        self.undo = undo

    def leave(self, result: Any) -> Any:
        """Give a result the form that the input had.

        Args:
            result: a value, or a tuple, list or dict of values.

        Returns:
            The same, with every Ragged in the input's form.
        """
        if self.undo is None:
            return result
        if isinstance(result, tuple | list):
            return type(result)(self.leave(part) for part in result)
        if isinstance(result, dict):
            return {key: self.leave(part) for key, part in result.items()}
        return self.undo(result) if isinstance(result, Ragged) else result


AS_IT_IS = Form()
AS_LIST = Form(as_list)
AS_PADDED = Form(Ragged.to_padded)


def as_texts(x: Any) -> np.ndarray[Any, Any] | None:
    """Texts as an array of objects, which stays on the host; None for anything else.

    Args:
        x: a list or an array of texts.

    Returns:
        An array, or None.
    """
    if isinstance(x, list | tuple):
        return np.array(x, dtype=object) if len(x) and all(isinstance(item, str | bytes) for item in x[:8]) else None
    if not isinstance(x, np.ndarray):
        return None
    if x.dtype.kind in "SUT":
        return x.astype(object)
    return x if x.dtype == object and x.size and isinstance(x.reshape(-1)[0], str | bytes) else None


def enter(x: Any, mask: Any, backend: Backend, place: str, ragged_rank: int | None = None) -> tuple[Any, Form]:
    """Turn what a user gives into a Ragged or an array of the backend.

    Args:
        x: a list of sequences, a Ragged, an array of any framework, or a column or table that `tables.read` knows.
        mask: (B, T) bool beside a padded array or a Ragged made of one, (B, S, W) for rows within rows; or None.
        backend: whose arrays are wanted.
        place: for errors.
        ragged_rank: how many axes after the first vary in a list, where that is known.

    Returns:
        The value, and the form that results must have.

    Raises:
        MaskError: when a mask comes with a value that cannot have one.
        DTypeError: when x is nothing of the kind.
    """
    x = tables.read(x, place, ragged_rank)
    if isinstance(x, Ragged):
        texts = getattr(x.flat_values, "dtype", None) == np.dtype(object)
        moved = x if texts or backend.is_array(x.flat_values) else x.with_flat_values(backend.asarray(x.flat_values))
        return (moved if mask is None else narrowed(moved, mask, place)), AS_IT_IS
    texts = as_texts(x)
    if texts is not None:
        return texts, AS_IT_IS
    if isinstance(x, np.ndarray) and x.dtype == object:  # the objects of pandas
        x = list(x)
    if isinstance(x, list | tuple):
        if mask is not None:
            raise MaskError(
                explain(
                    place,
                    expected="no mask beside a list of sequences",
                    got="one",
                    fix="leave it out: lists have no padding",
                )
            )
        value = Ragged.from_list(x, ragged_rank=ragged_rank)
        return value.with_flat_values(backend.asarray(value.flat_values)), AS_LIST
    if not hasattr(x, "shape"):
        raise DTypeError(
            explain(
                place, expected="a list of sequences, a Ragged or an array", got=type(x).__name__, fix="np.asarray(x)"
            )
        )
    if getattr(x, "is_nested", False):
        return Ragged.from_nested(x), AS_IT_IS
    array = backend.asarray(x if backend.is_array(x) else backends.of(x).to_host(x))
    if mask is None:
        return array, AS_IT_IS
    try:
        return Ragged.from_padded(array, mask), AS_PADDED
    except PadlessError as wrong:
        raise type(wrong)(f"{place}: {wrong}") from None


def narrowed(x: Ragged, mask: Any, place: str) -> Ragged:
    """Mask some steps of a ragged value, too.

    Args:
        x: (B, None, ...).
        mask: (B, T) bool for the padded array that x came from, or (N,) for its steps, or a Ragged of bools. Of rows
            within rows: (B, S, W), or (N,) for the innermost steps, or (B, T) for whole rows of them.
        place: for errors.

    Returns:
        The value without the masked steps.
    """
    if isinstance(mask, Ragged):
        mask = mask.flat_values
    if backends.of(mask).assume(mask):
        return x  # rows were narrowed on the host, so that nothing is left to be masked
    unseen = x.rows.narrowed(mask)
    if unseen is not None:
        rows, index = unseen
        return Ragged(backends.of(x.values).xp.take(x.values, index, axis=0), rows)
    live = backends.of(mask).to_host(mask)
    nested = isinstance(x.values, Ragged)
    if live.ndim not in ((1, 2, 3) if nested else (1, 2)) or live.dtype != bool:
        raise MaskError(
            explain(
                place,
                expected="a mask of bools: (B, T) as the padded array that the rows came from, or one for each step",
                got=f"shape {live.shape}, dtype {live.dtype}",
                fix="mask[..., 0] without a last axis of 1, mask.astype(bool) for numbers",
            )
        )
    if nested and live.ndim != 2:
        if live.ndim == 3 and live.shape[:2] == (x.rows.nrows, x.rows.padded_length):
            live = live.reshape(-1, live.shape[2])[x.rows.padded_index]
        return x.with_values(narrowed(x.values, live, place))
    if live.ndim == 2:
        if live.shape != (x.rows.nrows, x.rows.padded_length):
            raise MaskError(
                explain(
                    place,
                    expected=f"a mask of shape {(x.rows.nrows, x.rows.padded_length)}",
                    got=f"shape {live.shape}",
                    fix="the mask of the same padded array, or none: rows know which steps are real",
                )
            )
        live = live.reshape(-1)[x.rows.padded_index]
    if live.shape == (x.rows.nvals,) and live.all():
        return x
    try:
        rows, index = x.rows.select(live)
    except MaskError as wrong:
        raise MaskError(f"{place}: {wrong}") from None
    if isinstance(x.values, Ragged):
        return Ragged(x.values[index], rows)
    owner = backends.of(x.values)
    return Ragged(owner.xp.take(x.values, owner.asarray(index), axis=0), rows)
