"""Sources of batches that are not generators: Keras's PyDataset, torch's DataLoader, tf.data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from padless.ragged import Ragged


class PyDataset:
    """Base of a data set that makes its batches itself, by their number, as Keras's.

    A subclass has `__len__`, the number of batches, and `__getitem__(index)`, which gives x, (x, y) or
    (x, y, sample_weight) of one. `fit` with shuffle asks for them in another order in each epoch.

    Args:
        workers: accepted; batches are made where `fit` runs.
        use_multiprocessing: accepted, likewise.
        max_queue_size: accepted, likewise.

    Example:
        >>> class Squares(PyDataset):
        ...     def __len__(self):
        ...         return 2
        ...     def __getitem__(self, index):
        ...         return [[index], [index, index]], [index, index**2]
        >>> list(Squares())
        [([[0], [0, 0]], [0, 0]), ([[1], [1, 1]], [1, 1])]

    Source: `keras.utils.PyDataset`.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __len__(self) -> int:
        """Number of batches."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> Any:
        """The batch of that number."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        """Go through all batches once, in order."""
        return (self[index] for index in range(len(self)))

    def on_epoch_end(self) -> None:
        """Called when all batches of an epoch were read."""


def iterated(source: Any, shuffle: np.random.Generator | None) -> Iterator[Any]:
    """Begin to read a source of batches.

    Args:
        source: what can be iterated; or has a length and gives batches by number, which then come in another order if
            they are shuffled.
        shuffle: draws the order; None keeps it.

    Returns:
        The batches, each a tuple where it has several parts.
    """
    if hasattr(source, "as_numpy_iterator"):  # tf.data
        return (_of_tensorflow(batch) for batch in source.as_numpy_iterator())
    kinds = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(source).__mro__}
    if ("torch", "DataLoader") in kinds:
        # Its own way to put samples together makes lists of what were tuples; one of the user's own says what it means.
        whole = getattr(source.collate_fn, "__name__", "") == "default_collate"
        return (tuple(batch) if whole and isinstance(batch, list) else batch for batch in source)
    if kinds & {("padless", "PyDataset"), ("keras", "PyDataset")} or not hasattr(source, "__iter__"):
        return _by_number(source, shuffle)
    return iter(source)


def _by_number(source: Any, shuffle: np.random.Generator | None) -> Iterator[Any]:
    count = len(source)
    for index in range(count) if shuffle is None else shuffle.permutation(count).tolist():
        yield source[index]
    getattr(source, "on_epoch_end", bool)()


def _of_tensorflow(part: Any) -> Any:
    """Rows of what tf.data calls a RaggedTensorValue; everything else is NumPy already."""
    if hasattr(part, "row_splits"):
        return Ragged.from_tensorflow(part)
    if isinstance(part, dict):
        return {key: _of_tensorflow(value) for key, value in part.items()}
    return tuple(map(_of_tensorflow, part)) if isinstance(part, tuple) else part


def structure(x: Any) -> str:
    """What a batch is made of, so that two can be compared: parts, rows, and the features of steps.

    Args:
        x: a Ragged, an array, or a tuple or dict of these, or None.

    Returns:
        In words.

    Example:
        >>> structure((Ragged.from_list([[1, 2]]), None))
        '(rows of numbers, nothing)'
    """
    if x is None:
        return "nothing"
    if isinstance(x, tuple):
        return f"({', '.join(map(structure, x))})"
    if isinstance(x, dict):
        return f"{{{', '.join(f'{key!r}: {structure(part)}' for key, part in sorted(x.items()))}}}"
    kind = "texts" if x.dtype == object else "numbers"
    if not isinstance(x, Ragged):
        return f"{x.ndim} axes of {kind}"
    width = x.flat_values.shape[1:]
    within = "rows of " * x.ragged_rank
    return f"{within}{kind}" if not width else f"{within}steps of {' x '.join(map(str, width))} {kind}"
