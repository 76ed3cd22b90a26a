"""Targets and weights beside predictions: read at the live steps, or an error that shows the first row that differs."""

from __future__ import annotations

from typing import Any

import numpy as np

from padless import backends
from padless.backends.base import Backend
from padless.errors import DataError, ShapeError, explain
from padless.ragged import Ragged
from padless.rows import RowPartition, naming_outer_rows, require_same_steps

Array = Any


def aligned(where: str, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Array, Array, Array | None]:
    """Bring targets and weights into the order of the predictions, packed.

    Args:
        where: the loss or metric, as the user knows it.
        y_true: (B, ...) targets of predictions without rows. For a ragged prediction: a Ragged or a list with the same
            row lengths, or a padded (B, T, ...), which is read at the live steps of the prediction.
        y_pred: (B, ...), or a Ragged. Of rows within rows, targets are lists of such lists, or padded (B, S, W, ...).
        sample_weight: None, (B,) one weight per row, or one per step in any form that targets may have.

    Returns:
        Targets, predictions and weights as arrays with the same first axis: N steps, or B rows. Predictions of 16 bits
        are float32: losses and metrics add up.

    Raises:
        DataError: when rows differ; it names the first that does.
        ShapeError: when counts differ.
    """
    if not isinstance(y_pred, Ragged):
        owner = backends.of(y_pred)
        predictions = owner.wide(owner.asarray(y_pred))
        targets = _dense(where, "targets", y_true, predictions, owner)
        weights = None if sample_weight is None else _dense(where, "sample_weight", sample_weight, predictions, owner)
        return targets, predictions, weights
    owner = backends.of(y_pred.flat_values)
    targets = _packed(where, "targets", y_true, y_pred.rows, owner)
    if isinstance(targets, Ragged) and not isinstance(y_pred.values, Ragged):
        raise DataError(
            explain(
                f"{where}, targets",
                expected=f"one entry for each step of {y_pred.rows!r}",
                got=repr(y_true) if isinstance(y_true, Ragged) else "lists of sequences of unequal length",
                fix="one target per step, with as many numbers for each",
            )
        )
    weights = _packed_weights(where, sample_weight, y_pred.rows, owner)
    if isinstance(y_pred.values, Ragged):
        with naming_outer_rows(y_pred.rows):
            return aligned(f"{where}, rows within the rows", targets, y_pred.values, weights)
    return targets, owner.wide(y_pred.values), weights


def is_nested(x: Any) -> bool:
    """Whether a value has rows within rows."""
    return isinstance(x, Ragged) and isinstance(x.values, Ragged)


def within_rows(where: str, y_true: Any, y_pred: Ragged, sample_weight: Any = None) -> tuple[Any, Ragged, Any]:
    """Targets and weights of the rows within rows.

    Args:
        where: the loss, as the user knows it.
        y_true: a Ragged or lists with rows within as many rows; or padded (B, S, ...).
        y_pred: rows within rows.
        sample_weight: None, (B,) one weight per row, or one per row within.

    Returns:
        Those of the rows within, and these.
    """
    inner: Ragged = y_pred.values
    owner = backends.of(inner.flat_values)
    true = _packed(where, "targets", y_true, y_pred.rows, owner)
    return true, inner, _packed_weights(where, sample_weight, y_pred.rows, owner)


def _packed_weights(where: str, weight: Any, rows: RowPartition, owner: Backend) -> Any:
    """(N,) weights of steps, also where there is one for each row; None where there are none."""
    if weight is None:
        return None
    found = _row_weights(weight, rows, owner)
    return _packed(where, "sample_weight", weight, rows, owner) if found is None else found


def _row_weights(weight: Any, rows: RowPartition, owner: Backend) -> Any:
    """(B,) weights spread to the steps of each row; None when they are per step."""
    if isinstance(weight, Ragged):
        return None
    if isinstance(weight, list) and weight and hasattr(weight[0], "__len__"):
        return None
    array = owner.asarray(weight if owner.is_array(weight) else backends.of(weight).to_host(weight))
    if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1 and rows.padded_length != 1):
        flat = owner.xp.reshape(array, (-1,))
        if flat.shape[0] != rows.nrows:
            raise ShapeError(
                explain(
                    "sample_weight",
                    expected=f"one weight for each of {rows.nrows} rows, or one per step",
                    got=f"shape {tuple(array.shape)}",
                    fix="an array (B,), or a list of lists with the same row lengths as the targets",
                )
            )
        return owner.xp.take(flat, owner.index(rows, "value_rowids"), axis=0)
    return None


def _dense(where: str, what: str, value: Any, predictions: Array, owner: Backend) -> Array:
    if isinstance(value, Ragged) and value.ragged_rank == 1 and value.rows.has_one_length:
        value = value.to_padded()  # a list of equally long lists, such as one-hot labels
    if isinstance(value, Ragged):
        raise DataError(
            explain(
                f"{where}, {what}",
                expected=f"one entry for each prediction, whose shape is {tuple(predictions.shape)}: it has no rows",
                got=repr(value),
                fix="one target per sequence, or a model that keeps the rows (return_sequences=True, no pooling)",
            )
        )
    array = owner.asarray(np.asarray(value) if isinstance(value, list | tuple) else value)
    if array.ndim and predictions.ndim and array.shape[0] != predictions.shape[0]:
        raise ShapeError(
            explain(
                f"{where}, {what}",
                expected=f"{predictions.shape[0]} entries, as many as predictions",
                got=f"{array.shape[0]} (shape {tuple(array.shape)})",
                fix="one entry for each row",
            )
        )
    return array


def _packed(where: str, what: str, value: Any, rows: RowPartition, owner: Backend) -> Array:
    if isinstance(value, list | tuple) and (not value or hasattr(value[0], "__len__")):
        value = Ragged.from_list(value)
    if isinstance(value, Ragged):
        if value.rows.came_padded and rows.came_padded and value.rows.padded_length == rows.padded_length:
            require_same_steps(f"{where}, {what}", rows, value.rows)
        elif not rows.same_lengths(value.rows):
            # Lists know nothing of holes: the same number of live steps in each row is all they can promise.
            require_same_steps(f"{where}, {what}", rows, value.rows)
        return value.values if isinstance(value.values, Ragged) else owner.asarray(value.values)
    array = owner.asarray(value)
    # Of rows that never were padded, T is the longest; the others want targets padded exactly as they were.
    least = 0 if rows.came_padded else rows.padded_length
    if array.ndim < 2 or array.shape[0] != rows.nrows or array.shape[1] < least:
        raise DataError(
            explain(
                f"{where}, {what}",
                expected=f"one entry for each step of {rows!r}: the predictions have rows",
                got=f"an array of shape {tuple(array.shape)}",
                fix="a list of lists or a Ragged with the same row lengths, or a padded array (B, T); to predict once "
                "per sequence, pool first or leave return_sequences=False",
            )
        )
    length = int(array.shape[1])
    flat = owner.xp.reshape(array, (rows.nrows * length, *array.shape[2:]))
    if length == rows.padded_length:
        return flat if rows.is_uniform else owner.xp.take(flat, owner.index(rows, "padded_index"), axis=0)
    if rows.came_padded:
        raise DataError(
            explain(
                f"{where}, {what}",
                expected=f"{rows.padded_length} steps, as the padded predictions have",
                got=f"{length}",
                fix="pad the targets exactly as the inputs",
            )
        )
    index = owner.index(rows, "value_rowids") * length + owner.index(rows, "positions")
    return owner.xp.take(flat, index, axis=0)


def live_entries(x: Any, live: Array | None) -> Array | None:
    """Which entries of the first axis of a value are real.

    Args:
        x: a Ragged or an array (B, ...).
        live: (B,) bools, one for each row; None where all are real.

    Returns:
        Bools, one for each innermost step (N,) or row (B,); None where all are real.
    """
    if live is None or not isinstance(x, Ragged):
        return live
    return live_entries(x.values, live_steps(x, live))


def live_steps(x: Ragged, live: Array) -> Array:
    """Which steps of a value are real; of rows within rows, which of these.

    Args:
        x: (B, None, ...).
        live: (B,) bools, one for each row.

    Returns:
        Bools, one for each step (N,).
    """
    owner = backends.of(x.flat_values)
    return owner.xp.take(live, owner.index(x.rows, "value_rowids"), axis=0)
