"""Keras's import path for a few functions; the code of most is elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from padless.data.loading import PyDataset
from padless.data.packing import bucket_by_length, pack_sequences
from padless.data.windows import timeseries_dataset_from_array
from padless.errors import ArgumentError, DataError, explain
from padless.text.padding import first_lost, pad_sequences, unpad_sequences

if TYPE_CHECKING:
    from padless.pictures import model_to_mermaid, plot_model
    from padless.random import set_random_seed

__all__ = [
    "PyDataset",
    "bucket_by_length",
    "model_to_mermaid",
    "pack_sequences",
    "pad_sequences",
    "plot_model",
    "set_random_seed",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpad_sequences",
]


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> NDArray[np.float64]:
    """Write class numbers as rows with a single 1.

    Differences from Keras: labels that Keras takes for other classes in silence (fractions, which it cuts, and
    negative ones, which it counts from the last class) are errors.

    Args:
        x: class numbers from 0 on, of shape (...) or (..., 1).
        num_classes: the number of classes; None or 0 takes the largest label plus one.

    Returns:
        An array of shape (..., num_classes).

    Raises:
        ArgumentError: for no labels and no `num_classes`. A ValueError.
        DataError: for labels that are no class: fractions, below 0, or `num_classes` and above. A ValueError.

    Example:
        >>> to_categorical([0, 2])
        array([[1., 0., 0.],
               [0., 0., 1.]])

    Source: `keras.utils.to_categorical`.
    """
    where = "to_categorical"
    given = np.asarray(x)
    fraction = first_lost(given, np.dtype("int64"))
    if fraction is not None:
        raise DataError(
            explain(where, expected="whole numbers", got=repr(fraction), fix="turn the labels into class numbers first")
        )
    try:
        labels = given.astype("int64")
    except (TypeError, ValueError) as error:
        raise DataError(
            explain(where, expected="whole numbers", got=str(error), fix="turn the labels into class numbers first")
        ) from error
    shape = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
    if not num_classes and not labels.size:
        raise ArgumentError(explain(where, expected="labels, or num_classes", got="neither", fix="give num_classes="))
    classes = num_classes or int(labels.max()) + 1
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise DataError(
            explain(
                where,
                expected=f"labels from 0 to {classes - 1}",
                got=f"the label {wrong[0]}",
                fix="give num_classes=largest label + 1, and begin to count at 0",
            )
        )
    out = np.zeros((labels.size, classes))
    out[np.arange(labels.size), labels.reshape(-1)] = 1
    return out.reshape(*shape, classes)


def __getattr__(name: str) -> Any:
    # Only when asked for: neither is needed to prepare data.
    if name == "set_random_seed":
        from padless.random import set_random_seed

        return set_random_seed
    if name in ("plot_model", "model_to_mermaid"):
        from padless import pictures

        return getattr(pictures, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
