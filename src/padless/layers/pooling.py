"""Pooling: over windows of each row, over whole rows."""

from __future__ import annotations

from typing import Any

from padless.layer import Array, Layer
from padless.layers.arguments import channels_last, require_rank, sizes, word
from padless.ragged import Ragged
from padless.row_ops import row_max, row_mean
from padless.spec import Spec

_NO_STEPS = "return_sequences=True in the recurrent layer before; pooling is over steps"


class _Pooling1D(Layer):
    """What windows along the steps of a row have."""

    view = "ragged"
    reads = "floats"

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.pool_size = sizes(self.place, "pool_size", pool_size, 1)[0]
        self.strides = self.pool_size if strides is None else sizes(self.place, "strides", strides, 1)[0]
        self.padding = word(self.place, "padding", padding, ("valid", "same"))
        channels_last(self.place, data_format)
        self._windows = (self.pool_size, self.strides, 1, self.padding)

    def build(self, spec: Spec) -> None:
        """Check the input.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 3, least=True, fix=_NO_STEPS)

    def _taps(self, x: Ragged, fill: float) -> tuple[Array, Array]:
        """The step under each tap of the windows, and (M, K, ...) what it sees; `fill` where there is none."""
        index = self.backend.index(x.rows, "window_index", *self._windows)
        return index, self.backend.take_or(x.values, index, fill)

    def _of_windows(self, marks: Array, like: Array) -> Array:
        """(M,) with as many axes as the output has."""
        return self.xp.reshape(marks, (marks.shape[0], *(1 for _ in like.shape[1:])))


class MaxPooling1D(_Pooling1D):
    """Slide a window along the steps of each row, and give the largest of what it sees, feature by feature.

    Each row is pooled alone; lengths follow Keras's formulas row by row. Masked steps in the middle of a row are
    passed over; a window that holds nothing else gives 0.

    Args:
        pool_size: K, number of steps in a window.
        strides: steps between two windows; None for pool_size.
        padding: "valid" or "same".
        data_format: "channels_last".
        name: of the layer.
        **kwargs: dtype.

    Shapes:
        (B, T, ...) to (B, T', ...); rows (B, None, ...) to rows (B, None, ...).

    Raises:
        ArgumentError: for sizes that are not above 0, or an unknown padding.
        ShapeError: when the input has no steps with features.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.array([[1.0], [3.0], [2.0], [0.0]]), np.array([[-5.0]])])
        >>> MaxPooling1D(2, padding="same")(x).to_list()
        [[[3.0], [2.0]], [[-5.0]]]
    """

    def call(self, x: Ragged) -> Ragged:
        """Pool.

        Args:
            x: (B, None, ...).

        Returns:
            (B, None, ...).
        """
        index, taps = self._taps(x, -self.xp.inf)
        y = self.xp.max(taps, axis=1)
        if x.rows.has_holes:
            seen = self.xp.any(index < x.rows.nvals, axis=1)
            y = self.xp.where(self._of_windows(seen, y), y, self.xp.zeros_like(y))
        return Ragged(y, x.rows.window_rows(*self._windows))


class AveragePooling1D(_Pooling1D):
    """Slide a window along the steps of each row, and give the mean of what it sees, feature by feature.

    Each row is pooled alone; lengths follow Keras's formulas row by row. The mean is over the part of the window that
    lies inside the row; a masked step in the middle of a row counts there as zeros.

    Args:
        pool_size: K, number of steps in a window.
        strides: steps between two windows; None for pool_size.
        padding: "valid" or "same".
        data_format: "channels_last".
        name: of the layer.
        **kwargs: dtype.

    Shapes:
        (B, T, ...) to (B, T', ...); rows (B, None, ...) to rows (B, None, ...).

    Raises:
        ArgumentError: for sizes that are not above 0, or an unknown padding.
        ShapeError: when the input has no steps with features.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.array([[1.0], [3.0], [2.0]]), np.array([[-5.0]])])
        >>> AveragePooling1D(2, padding="same")(x).to_list()
        [[[2.0], [2.0]], [[-5.0]]]
    """

    def __init__(
        self,
        pool_size: Any,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)

    def call(self, x: Ragged) -> Ragged:
        """Pool.

        Args:
            x: (B, None, ...).

        Returns:
            (B, None, ...).
        """
        _, taps = self._taps(x, 0)
        sums = self.xp.sum(taps, axis=1)
        counts = self.backend.cast(self.backend.index(x.rows, "window_inside", *self._windows), self.dtype)
        return Ragged(sums / self._of_windows(counts, sums), x.rows.window_rows(*self._windows))


class _GlobalPooling1D(Layer):
    """What pooling of whole rows has."""

    view = "ragged"
    reads = "floats"

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        channels_last(self.place, data_format)
        self.keepdims = keepdims

    def build(self, spec: Spec) -> None:
        """Check the input.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 3, least=True, fix=_NO_STEPS)

    def _kept(self, y: Array) -> Array:
        return self.xp.expand_dims(y, axis=1) if self.keepdims else y


class GlobalMaxPooling1D(_GlobalPooling1D):
    """Take the largest live step of each row, feature by feature; 0 for an empty row.

    Args:
        data_format: "channels_last".
        keepdims: whether to keep a time axis of size 1.
        **kwargs: name, dtype.

    Shapes:
        (B, T, ...) or rows (B, None, ...) to (B, ...); with keepdims to (B, 1, ...).

    Raises:
        ShapeError: when the input has no steps with features.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([-np.ones((3, 2)), np.zeros((0, 2))])
        >>> GlobalMaxPooling1D()(x).tolist()
        [[-1.0, -1.0], [0.0, 0.0]]
    """

    def call(self, x: Ragged) -> Array:
        """Pool.

        Args:
            x: (B, None, ...).

        Returns:
            (B, ...).
        """
        return self._kept(row_max(x))


class GlobalAveragePooling1D(_GlobalPooling1D):
    """Average the live steps of each row, feature by feature; 0 for an empty row.

    Args:
        data_format: "channels_last".
        keepdims: whether to keep a time axis of size 1.
        **kwargs: name, dtype.

    Shapes:
        (B, T, ...) or rows (B, None, ...) to (B, ...); with keepdims to (B, 1, ...).

    Raises:
        ShapeError: when the input has no steps with features.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.array([[1.0], [3.0]]), np.zeros((0, 1))])
        >>> GlobalAveragePooling1D()(x).tolist()
        [[2.0], [0.0]]
    """

    def call(self, x: Ragged) -> Array:
        """Pool.

        Args:
            x: (B, None, ...).

        Returns:
            (B, ...).
        """
        return self._kept(row_mean(x))
