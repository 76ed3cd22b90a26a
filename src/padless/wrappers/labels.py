"""Labels of a classifier: what a model reads of them, and what they are again in the end."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import column_or_1d

from padless.errors import DataError, NotThereYetError, ShapeError, explain
from padless.model import Model
from padless.ragged import Ragged
from padless.rows import RowPartition
from padless.wrappers.inputs import is_rows, lengths_of

NDArray = np.ndarray[Any, Any]


class RowLabels:
    """One class for each row: numbers, words, or whatever NumPy can sort.

    Args:
        y: (B,).

    Raises:
        ValueError: of one class alone, or of no classes.
    """

    def __init__(self, y: Any) -> None:
        kind = type_of_target(y, input_name="y", raise_unknown=True)
        if kind not in ("binary", "multiclass"):
            # In the words that scikit-learn's own checks look for.
            raise ValueError(f"Unknown label type: {kind}. A classifier needs labels, one for each row or step.")
        self.classes = np.unique(column_or_1d(y, warn=True))
        if len(self.classes) == 1:
            raise ValueError("Classifier can't train when only one class is present.")

    def codes(self, y: Any) -> Any:
        """(B,) numbers of the classes."""
        return _codes(self.classes, np.asarray(y).ravel())

    def one_hot(self, y: Any) -> Any:
        """(B, classes)."""
        return np.eye(len(self.classes), dtype=np.float32)[self.codes(y)]

    def back(self, codes: Any) -> Any:
        """Labels again: (B,)."""
        return self.classes[codes]


class StepLabels:
    """One class for each step of each row.

    Args:
        y: a Ragged, or a list of B sequences.
    """

    def __init__(self, y: Any) -> None:
        self.classes = np.unique(steps_of(y))

    def codes(self, y: Any) -> Ragged:
        """(B, None) numbers of the classes."""
        lengths = lengths_of(y)
        assert lengths is not None
        return Ragged(_codes(self.classes, steps_of(y)), RowPartition.from_lengths(lengths))

    def one_hot(self, y: Any) -> Ragged:
        """(B, None, classes)."""
        codes = self.codes(y)
        return codes.with_values(np.eye(len(self.classes), dtype=np.float32)[codes.values])

    def back(self, codes: Any) -> Any:
        """Labels again: a list of B arrays."""
        return [self.classes[np.asarray(row)] for row in codes]


class Indicators:
    """Any number of classes for each row: a column of 0 and 1 for each.

    Args:
        y: (B, classes).
    """

    def __init__(self, y: Any) -> None:
        self.classes = np.arange(np.asarray(y).shape[1])

    def codes(self, y: Any) -> Any:
        """The columns as they are."""
        return np.asarray(y)

    one_hot = codes

    def back(self, columns: Any) -> Any:
        """Of probabilities, 0 and 1."""
        return (columns > 0.5).astype(int)


Labels = RowLabels | StepLabels | Indicators


def labels_of(x: Any, y: Any) -> Labels:
    """Read what kind of labels these are.

    Args:
        x: B rows.
        y: their labels.

    Returns:
        The kind.

    Raises:
        ShapeError: for labels in rows that have not the lengths of those of x.
    """
    if isinstance(y, Ragged) or (is_rows(x) and isinstance(y, list | tuple) and lengths_of(y) is not None and len(y)):
        lengths, steps = lengths_of(y), lengths_of(x)
        if steps is not None and lengths != steps:
            raise ShapeError(
                explain("y", expected="one label for each step of x", got="rows of other lengths", fix="y[i] for x[i]")
            )
        return StepLabels(y)
    if type_of_target(y, input_name="y") == "multilabel-indicator":
        return Indicators(y)
    return RowLabels(y)


def targets(labels: Labels, y: Any, model: Model, width: int) -> Any:
    """What the loss of a model reads of labels.

    Args:
        labels: the kind.
        y: labels.
        model: a compiled one.
        width: numbers that it gives for each row or step.

    Returns:
        Numbers of classes for sparse losses, 0 and 1 for a single output, else a column for each class.
    """
    if isinstance(labels, Indicators):
        return labels.codes(y)
    if _name(model.loss).startswith(("sparse", "crf")):
        return labels.codes(y)
    if width == 1:
        if len(labels.classes) > 2:
            raise DataError(
                explain("y", expected="two classes for one output", got=f"{len(labels.classes)}", fix="Dense(classes)")
            )
        codes = labels.codes(y)
        return codes.with_values(codes.values.astype(np.float32)) if isinstance(codes, Ragged) else codes.astype("f4")
    return labels.one_hot(y)


def _name(loss: Any) -> str:
    if isinstance(loss, list | tuple | dict):
        raise NotThereYetError(
            explain("SKLearnClassifier", expected="a model of one output", got=f"loss={loss!r}", fix="model.fit")
        )
    found = loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", "")
    return str(found).lower()


def steps_of(y: Any) -> NDArray:
    """The labels of all steps, end to end.

    Args:
        y: a Ragged, or a list of B sequences.

    Returns:
        (N,).
    """
    if isinstance(y, Ragged):
        return np.asarray(y.numpy().values)
    full = [np.asarray(row) for row in y if len(row)]
    return np.concatenate(full) if full else np.zeros(0, np.int64)


def _codes(classes: NDArray, y: NDArray) -> NDArray:
    codes = np.searchsorted(classes, y)
    known = classes[np.minimum(codes, len(classes) - 1)] == y
    if not np.all(known):
        first = y[~known][0]
        raise DataError(
            explain(
                "y", expected="labels that were there in fit", got=repr(first), fix="a split that keeps all classes"
            )
        )
    return codes
