"""Windows of a series of steps, as batches for `fit`: Keras's two ways to cut them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from padless.errors import ArgumentError, DataError, explain

Array = NDArray[Any]


class Windows:
    """Batches of windows of a series; what `timeseries_dataset_from_array` returns.

    It can be iterated again and again, and goes into `fit`, `evaluate` and `predict` as it is.

    Attributes:
        starts: the first step of each window, in the order of the series.
        batch_size: windows of a batch; None for single windows.
    """

    def __init__(
        self,
        data: Array,
        targets: Array | None,
        starts: NDArray[np.int64],
        offsets: NDArray[np.int64],
        batch_size: int | None,
        shuffle: bool,
        seed: int | None,
    ) -> None:
        self.starts = starts
        self.batch_size = batch_size
        self._data = data
        self._targets = targets
        self._offsets = offsets
        self._order = np.random.default_rng(seed) if shuffle else None

    def __len__(self) -> int:
        """Number of batches; of windows, where they come one by one."""
        return -(-len(self.starts) // (self.batch_size or 1))

    def __iter__(self) -> Iterator[Any]:
        """Go through all windows once, in a new order each time if they are shuffled."""
        starts = self.starts if self._order is None else self._order.permutation(self.starts)
        size = self.batch_size or 1
        for at in range(0, len(starts), size):
            some = starts[at : at + size] if self.batch_size else starts[at]
            x = self._data[np.add.outer(some, self._offsets)]
            yield x if self._targets is None else (x, self._targets[some])


def timeseries_dataset_from_array(
    data: ArrayLike,
    targets: ArrayLike | None,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: Literal["tf", "grain"] = "tf",
) -> Windows:
    """Cut a series into windows of equal length: window i begins at step i * sequence_stride.

    The windows are Keras's. Differences: the result is a plain object that needs neither TensorFlow nor Grain; and
    what Keras answers with no windows, or with an error while they are read, is an error here: a window longer than the
    series or of no steps, and targets that end before the first window.

    Args:
        data: (T, ...) steps at equal intervals.
        targets: (S, ...); targets[i] belongs to the window that begins at step i. None for windows alone.
        sequence_length: steps of a window.
        sequence_stride: steps from the start of a window to that of the next.
        sampling_rate: steps from one step of a window to its next.
        batch_size: windows of a batch; None for one window at a time.
        shuffle: whether to draw a new order each time.
        seed: of that order.
        start_index: the first step that is used.
        end_index: the step before which to stop; None for all.
        format: accepted; the result is the same.

    Returns:
        Batches x of shape (batch_size, sequence_length, ...), or (x, targets of the windows).

    Raises:
        ArgumentError: for a number out of its bounds.
        DataError: when no window is left.

    Example:
        >>> import numpy as np
        >>> series = np.arange(6)
        >>> for x, y in timeseries_dataset_from_array(series[:-2], series[2:], sequence_length=2, batch_size=2):
        ...     print(x.tolist(), y.tolist())
        [[0, 1], [1, 2]] [2, 3]
        [[2, 3]] [4]

    Source: `keras.utils.timeseries_dataset_from_array`.
    """
    where = "timeseries_dataset_from_array"
    steps = np.asarray(data)
    series = len(steps)
    begin = _bounded(where, "start_index", 0 if start_index is None else start_index, 0, series - 1)
    end = _bounded(where, "end_index", series if end_index is None else end_index, begin + 1, series)
    length = _bounded(where, "sequence_length", sequence_length, 1, None)
    stride = _bounded(where, "sequence_stride", sequence_stride, 1, max(series - 1, 1))
    rate = _bounded(where, "sampling_rate", sampling_rate, 1, max(series - 1, 1))
    if batch_size is not None:
        _bounded(where, "batch_size", batch_size, 1, None)
    if format not in ("tf", "grain"):
        raise ArgumentError(explain(where, expected='format="tf" or "grain"', got=repr(format), fix="leave it out"))
    last = end - (length - 1) * rate
    known = None if targets is None else np.asarray(targets)
    if known is not None:
        last = min(last, len(known))
    if last <= begin:
        got = f"steps {begin} to {end - 1}, windows that span {(length - 1) * rate + 1}"
        if known is not None:
            got += f", and {len(known)} targets"
        raise DataError(
            explain(
                where,
                expected="at least one whole window",
                got=got,
                fix="a smaller sequence_length or sampling_rate, or a longer series",
            )
        )
    starts = np.arange(begin, last, stride)
    return Windows(steps, known, starts, np.arange(length) * rate, batch_size, shuffle, seed)


def _bounded(where: str, name: str, value: Any, least: int, most: int | None) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        got: str = repr(value)
    elif value < least or (most is not None and value > most):
        got = str(value)
    else:
        return int(value)
    span = f"from {least} on" if most is None else f"from {least} to {most}"
    raise ArgumentError(
        explain(
            where, expected=f"{name} as a whole number {span}", got=got, fix=f"{name}={least if most is None else most}"
        )
    )


class TimeseriesGenerator:
    """Batches of windows that end before their target: Keras's older way, kept for programs that have it.

    The window for row r holds data[r - length : r : sampling_rate], its target is targets[r].

    Args:
        data: (T, ...) steps, an array or a list.
        targets: one for each step.
        length: steps that a window spans.
        sampling_rate: steps from one step of a window to its next.
        stride: steps from a target to the next.
        start_index: the first step that is used.
        end_index: the last target that is used, itself included; None for the last of all.
        shuffle: draw rows at random, with replacement, by NumPy's global generator.
        reverse: windows backwards.
        batch_size: windows of a batch.

    Raises:
        DataError: when data and targets differ in length, or no window is left. A ValueError, as in Keras.
        ArgumentError: for numbers below 1.
        IndexError: for a batch that does not exist, where Keras returns empty arrays.

    Example:
        >>> import numpy as np
        >>> windows = TimeseriesGenerator(np.arange(5), np.arange(5), length=2, batch_size=3)
        >>> x, y = windows[0]
        >>> x.tolist(), y.tolist(), len(windows)
        ([[0, 1], [1, 2], [2, 3]], [2, 3, 4], 1)

    Source: `keras.preprocessing.sequence.TimeseriesGenerator`.
    """

    def __init__(
        self,
        data: Sequence[Any] | Array,
        targets: Sequence[Any] | Array,
        length: int,
        sampling_rate: int = 1,
        stride: int = 1,
        start_index: int = 0,
        end_index: int | None = None,
        shuffle: bool = False,
        reverse: bool = False,
        batch_size: int = 128,
    ) -> None:
        where = "TimeseriesGenerator"
        if len(data) != len(targets):
            raise DataError(
                explain(
                    where,
                    expected="data and targets of same length",
                    got=f"{len(data)} steps and {len(targets)} targets",
                    fix="one target for each step",
                )
            )
        self.data = data
        self.targets = targets
        self.length = _bounded(where, "length", length, 1, None)
        self.sampling_rate = _bounded(where, "sampling_rate", sampling_rate, 1, None)
        self.stride = _bounded(where, "stride", stride, 1, None)
        self.start_index = _bounded(where, "start_index", start_index, 0, None) + self.length
        self.end_index = len(data) - 1 if end_index is None else end_index
        self.shuffle = shuffle
        self.reverse = reverse
        self.batch_size = _bounded(where, "batch_size", batch_size, 1, None)
        if self.start_index > self.end_index:
            raise DataError(
                explain(
                    where,
                    expected="start_index + length up to end_index",
                    got=f"start_index+length={self.start_index} > end_index={self.end_index}",
                    fix="a smaller length, or a longer series",
                )
            )

    def __len__(self) -> int:
        """Number of batches."""
        each = self.batch_size * self.stride
        return (self.end_index - self.start_index + each) // each

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        """Give a batch: windows and targets."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        if self.shuffle:
            rows = np.random.randint(self.start_index, self.end_index + 1, size=self.batch_size)
        else:
            first = self.start_index + self.batch_size * self.stride * index
            rows = np.arange(first, min(first + self.batch_size * self.stride, self.end_index + 1), self.stride)
        x = np.array([self.data[row - self.length : row : self.sampling_rate] for row in rows])
        return x[:, ::-1] if self.reverse else x, np.array([self.targets[row] for row in rows])

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """Go through all batches once."""
        return (self[index] for index in range(len(self)))

    def get_config(self) -> dict[str, Any]:
        """The arguments; data and targets as JSON.

        Returns:
            A dict; `start_index` in it is that of the first target, as in Keras.
        """
        plain = {name: np.asarray(getattr(self, name)).tolist() for name in ("data", "targets")}
        names = ("length", "sampling_rate", "stride", "start_index", "end_index", "shuffle", "reverse", "batch_size")
        return {name: json.dumps(value) for name, value in plain.items()} | {n: getattr(self, n) for n in names}

    def to_json(self, **kwargs: Any) -> str:
        """The config and the name of the class as JSON.

        Args:
            **kwargs: handed to `json.dumps`.

        Returns:
            A text.
        """
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)
