"""Sources that are not generators: Keras's PyDataset, torch's Dataset and DataLoader, tf.data."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from padless.callbacks import waiting
from padless.errors import DataError, explain
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


def samples(x: Any) -> tuple[Any, Any, Any] | None:
    """Read all rows of torch's Dataset, which gives them one by one.

    Args:
        x: what `fit` was given; each item of a Dataset is x, (x, y) or (x, y, sample_weight), or a dict of these.

    Returns:
        Inputs, targets and weights of all rows, None for what there is not; None for anything else.

    Raises:
        DataError: when the Dataset has no rows, or other parts in some, or no length.
    """
    kinds = _kinds(x)
    if ("torch", "Dataset") not in kinds or ("datasets", "Dataset") in kinds:
        return None
    name = type(x).__name__
    if ("torch", "IterableDataset") in kinds or not hasattr(x, "__len__"):
        fix = (
            "torch.utils.data.DataLoader(dataset, batch_size=32, collate_fn=...), with steps_per_epoch if it has no end"
        )
        raise DataError(explain(name, expected="batches, or rows by number", got="rows one by one", fix=fix))
    parts: list[tuple[Any, ...]] = []
    for row in waiting("Reading rows", range(len(x)), sys.stderr.isatty()):
        item = x[row]
        parts.append(item if isinstance(item, tuple) else (item,))
        if len(parts[-1]) != len(parts[0]) or not 1 <= len(parts[0]) <= 3:
            got = f"{len(parts[-1])} parts in row {row}, {len(parts[0])} in row 0"
            fix = "the same parts from each __getitem__"
            raise DataError(explain(name, expected="x, (x, y) or (x, y, sample_weight)", got=got, fix=fix))
    if not parts:
        raise DataError(explain(name, expected="at least one row", got="none", fix="check how the data were read"))
    read = [_together(list(part)) for part in zip(*parts, strict=True)]
    x, y, weight = (*read, None, None)[:3]
    return x, y, weight


def _together(items: list[Any]) -> Any:
    """One column of the items of all rows; a dict of them for dicts."""
    if isinstance(items[0], dict):
        return {key: _together([item[key] for item in items]) for key in items[0]}
    return [item.item() if getattr(item, "ndim", None) == 0 else item for item in items]


def _kinds(x: Any) -> set[tuple[str, str]]:
    """The packages and names of the classes of x, none of which need be installed."""
    return {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(x).__mro__}


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
    kinds = _kinds(source)
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
