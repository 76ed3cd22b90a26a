"""Targets and predictions of steps: lists of sequences and Ragged as flat values and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from padless.errors import DataError, explain
from padless.ragged import Ragged
from padless.rows import RowPartition


def are_rows(y: Any) -> bool:
    """Whether there is a sequence for each row: a Ragged, or a list or array of sequences.

    Args:
        y: targets or predictions.

    Returns:
        False for one value or vector for each row in an array.
    """
    if isinstance(y, Ragged):
        return True
    if isinstance(y, np.ndarray) and (y.dtype != object or y.ndim != 1):
        return False
    if not isinstance(y, list | tuple | np.ndarray) or not len(y):
        return False
    lengths = {len(row) if hasattr(row, "__len__") and not isinstance(row, str | bytes) else -1 for row in y}
    return lengths != {-1}


def packed(y: Any) -> Ragged:
    """Sequences as a Ragged; of labels, too, which `Ragged.from_list` refuses.

    Args:
        y: what `are_rows` is true of.

    Returns:
        A Ragged of NumPy arrays.
    """
    if isinstance(y, Ragged):
        return y.numpy()
    steps = [np.asarray(row) for row in y]
    full = [row for row in steps if len(row)]  # an empty one has no dtype to add
    return Ragged(np.concatenate(full) if full else np.zeros(0), RowPartition.from_lengths([len(row) for row in steps]))


def beside(truth: Ragged, predicted: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """The steps of targets and of predictions, one beside the other.

    Args:
        truth: targets.
        predicted: for the same rows.

    Returns:
        Two arrays (N, ...).

    Raises:
        DataError: when a row has another length; it names the first.
    """
    found = packed(predicted)
    mine, theirs = truth.rows.row_lengths, found.rows.row_lengths
    if len(mine) != len(theirs) or (mine != theirs).any():
        odd = int(np.argmax(mine != theirs)) if len(mine) == len(theirs) else min(len(mine), len(theirs))
        got = f"row {odd} of another length"
        raise DataError(explain("score", expected="a target for every step", got=got, fix="y with the rows of X"))
    return np.asarray(truth.flat_values), np.asarray(found.flat_values)


def step_weights(weight: Any, truth: Ragged) -> NDArray[Any] | None:
    """Weights of steps.

    Args:
        weight: one for each row, one for each step, or None.
        truth: targets, whose rows these are.

    Returns:
        (N,).
    """
    if weight is None:
        return None
    if are_rows(weight):
        return np.asarray(packed(weight).flat_values)
    return np.repeat(np.asarray(weight), truth.rows.row_lengths)
