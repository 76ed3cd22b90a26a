"""Pooling over arrays of fixed size: images (B, H, W, D) and volumes (B, H, W, L, D)."""

from __future__ import annotations

from functools import reduce
from typing import Any, ClassVar

import numpy as np

from padless.errors import ShapeError, explain
from padless.layer import Array
from padless.layers.arguments import require_rank, sizes, word
from padless.layers.channels import FeatureAxis
from padless.spec import Spec


class _Pooling(FeatureAxis):
    """What windows over several axes have. They are pooled along one axis after the other."""

    reads = "floats"
    sums = True
    spatial: ClassVar[int]

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
        self.pool_size = sizes(self.place, "pool_size", pool_size, self.spatial)
        self.strides = self.pool_size if strides is None else sizes(self.place, "strides", strides, self.spatial)
        self.padding = word(self.place, "padding", padding, ("valid", "same"))
        self._read_format(data_format)

    def build(self, spec: Spec) -> None:
        """Check the input.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, self.spatial + 2)

    def call(self, x: Array) -> Array:
        """Pool.

        Args:
            x: (B, ..., D).

        Returns:
            (B, ..., D).
        """
        for axis, (size, stride) in enumerate(zip(self.pool_size, self.strides, strict=True), start=1):
            x = self._along(x, axis, self._taps(x.shape[axis], size, stride))
        return x

    def _along(self, x: Array, axis: int, taps: list[np.ndarray[Any, Any]]) -> Array:
        """Pool along one axis, given the place under each tap of every window; outside of the array where none is."""
        raise NotImplementedError

    def _taps(self, length: int, size: int, stride: int) -> list[np.ndarray[Any, Any]]:
        if self.padding == "same":
            count = -(-length // stride)
            before = max((count - 1) * stride + size - length, 0) // 2
        else:
            count, before = (length - size) // stride + 1, 0
        if count < 1:
            raise ShapeError(
                explain(
                    self.place,
                    expected=f"at least {size} places along each axis, the size of a window",
                    got=str(length),
                    fix="padding='same', or a smaller pool_size",
                )
            )
        firsts = np.arange(count) * stride - before
        return [firsts + tap for tap in range(size)]

    def _seen(self, x: Array, axis: int, places: np.ndarray[Any, Any]) -> Array:
        """What a tap sees: the nearest place where it is outside."""
        return self.xp.take(x, self.backend.asarray(np.clip(places, 0, x.shape[axis] - 1)), axis=axis)


class _MaxPooling(_Pooling):
    """The largest of each window."""

    def _along(self, x: Array, axis: int, taps: list[np.ndarray[Any, Any]]) -> Array:
        # The nearest place inside is one that a window which reaches over the edge holds anyway.
        return reduce(self.xp.maximum, (self._seen(x, axis, places) for places in taps))


class _AveragePooling(_Pooling):
    """The mean of that part of each window that lies inside."""

    def _along(self, x: Array, axis: int, taps: list[np.ndarray[Any, Any]]) -> Array:
        shape = (-1, *(1 for _ in x.shape[axis + 1 :]))
        shares = [((places >= 0) & (places < x.shape[axis])).astype(np.float64) for places in taps]
        counts = sum(shares[1:], start=shares[0])
        parts = [
            self._seen(x, axis, places) * self.backend.asarray((share / counts).reshape(shape), self.call_dtype)
            for places, share in zip(taps, shares, strict=True)
        ]
        return reduce(lambda a, b: a + b, parts)


class MaxPooling2D(_MaxPooling):
    """Slide a window over images of fixed size, and give the largest of what it sees, feature by feature.

    Args:
        pool_size: height and width of a window; one number for all.
        strides: places between two windows; None for pool_size.
        padding: "valid" or "same".
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        name: of the layer.
        **kwargs: dtype.

    Shapes:
        (B, H, W, D) to (B, H', W', D).

    Raises:
        ArgumentError: for sizes that are not above 0, or an unknown padding.
        ShapeError: when the input has another number of axes, or is smaller than a "valid" window.
        MaskError: when rows come: a window over several axes has no meaning across rows of unequal length.

    Example:
        >>> import numpy as np
        >>> MaxPooling2D()(np.arange(4.0).reshape(1, 2, 2, 1)).tolist()
        [[[[3.0]]]]
    """

    spatial = 2


class MaxPooling3D(_MaxPooling):
    """Slide a window over volumes of fixed size, and give the largest of what it sees, feature by feature.

    Args:
        pool_size: height, width and length of a window; one number for all.
        strides: places between two windows; None for pool_size.
        padding: "valid" or "same".
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        name: of the layer.
        **kwargs: dtype.

    Shapes:
        (B, H, W, L, D) to (B, H', W', L', D).

    Raises:
        ArgumentError: for sizes that are not above 0, or an unknown padding.
        ShapeError: when the input has another number of axes, or is smaller than a "valid" window.
        MaskError: when rows come: a window over several axes has no meaning across rows of unequal length.

    Example:
        >>> import numpy as np
        >>> MaxPooling3D()(np.arange(8.0).reshape(1, 2, 2, 2, 1)).tolist()
        [[[[[7.0]]]]]
    """

    spatial = 3


class AveragePooling2D(_AveragePooling):
    """Slide a window over images of fixed size, and give the mean of what it sees, feature by feature.

    The mean is over the part of the window that lies inside.

    Args:
        pool_size: height and width of a window; one number for all.
        strides: places between two windows; None for pool_size.
        padding: "valid" or "same".
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        name: of the layer.
        **kwargs: dtype.

    Shapes:
        (B, H, W, D) to (B, H', W', D).

    Raises:
        ArgumentError: for sizes that are not above 0, or an unknown padding.
        ShapeError: when the input has another number of axes, or is smaller than a "valid" window.
        MaskError: when rows come: a window over several axes has no meaning across rows of unequal length.

    Example:
        >>> import numpy as np
        >>> AveragePooling2D()(np.arange(4.0).reshape(1, 2, 2, 1)).tolist()
        [[[[1.5]]]]
    """

    spatial = 2


class AveragePooling3D(_AveragePooling):
    """Slide a window over volumes of fixed size, and give the mean of what it sees, feature by feature.

    The mean is over the part of the window that lies inside.

    Args:
        pool_size: height, width and length of a window; one number for all.
        strides: places between two windows; None for pool_size.
        padding: "valid" or "same".
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        name: of the layer.
        **kwargs: dtype.

    Shapes:
        (B, H, W, L, D) to (B, H', W', L', D).

    Raises:
        ArgumentError: for sizes that are not above 0, or an unknown padding.
        ShapeError: when the input has another number of axes, or is smaller than a "valid" window.
        MaskError: when rows come: a window over several axes has no meaning across rows of unequal length.

    Example:
        >>> import numpy as np
        >>> AveragePooling3D()(np.arange(8.0).reshape(1, 2, 2, 2, 1)).tolist()
        [[[[[3.5]]]]]
    """

    spatial = 3


class _GlobalPooling(FeatureAxis):
    """What pooling over all places has."""

    reads = "floats"
    sums = True
    spatial: ClassVar[int]

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._read_format(data_format)
        self.keepdims = keepdims

    def build(self, spec: Spec) -> None:
        """Check the input.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, self.spatial + 2)

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(1, self.spatial + 1))


class _GlobalMaxPooling(_GlobalPooling):
    """The largest of all places."""

    def call(self, x: Array) -> Array:
        """Pool.

        Args:
            x: (B, ..., D).

        Returns:
            (B, D).
        """
        return self.xp.max(x, axis=self._axes, keepdims=self.keepdims)


class _GlobalAveragePooling(_GlobalPooling):
    """The mean of all places."""

    def call(self, x: Array) -> Array:
        """Pool.

        Args:
            x: (B, ..., D).

        Returns:
            (B, D).
        """
        return self.xp.mean(x, axis=self._axes, keepdims=self.keepdims)


class GlobalMaxPooling2D(_GlobalMaxPooling):
    """Give the largest of all places of images, feature by feature.

    Args:
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        keepdims: whether the axes stay, with one place each.
        **kwargs: name, dtype.

    Shapes:
        (B, H, W, D) to (B, D).

    Raises:
        ShapeError: when the input has another number of axes.
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> GlobalMaxPooling2D()(np.arange(4.0).reshape(1, 2, 2, 1)).tolist()
        [[3.0]]
    """

    spatial = 2


class GlobalAveragePooling2D(_GlobalAveragePooling):
    """Give the mean of all places of images, feature by feature.

    Args:
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        keepdims: whether the axes stay, with one place each.
        **kwargs: name, dtype.

    Shapes:
        (B, H, W, D) to (B, D).

    Raises:
        ShapeError: when the input has another number of axes.
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> GlobalAveragePooling2D()(np.arange(4.0).reshape(1, 2, 2, 1)).tolist()
        [[1.5]]
    """

    spatial = 2


class GlobalMaxPooling3D(_GlobalMaxPooling):
    """Give the largest of all places of volumes, feature by feature.

    Args:
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        keepdims: whether the axes stay, with one place each.
        **kwargs: name, dtype.

    Shapes:
        (B, H, W, L, D) to (B, D).

    Raises:
        ShapeError: when the input has another number of axes.
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> GlobalMaxPooling3D()(np.arange(8.0).reshape(1, 2, 2, 2, 1)).tolist()
        [[7.0]]
    """

    spatial = 3


class GlobalAveragePooling3D(_GlobalAveragePooling):
    """Give the mean of all places of volumes, feature by feature.

    Args:
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        keepdims: whether the axes stay, with one place each.
        **kwargs: name, dtype.

    Shapes:
        (B, H, W, L, D) to (B, D).

    Raises:
        ShapeError: when the input has another number of axes.
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> GlobalAveragePooling3D()(np.arange(8.0).reshape(1, 2, 2, 2, 1)).tolist()
        [[3.5]]
    """

    spatial = 3


class _AdaptivePooling(FeatureAxis):
    """What pooling to a given number of places has: window i of n goes from floor(i L / n) to ceil((i + 1) L / n)."""

    reads = "floats"
    sums = True
    spatial: ClassVar[int]

    def __init__(self, output_size: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size = sizes(self.place, "output_size", output_size, self.spatial)
        self._read_format(data_format)

    def build(self, spec: Spec) -> None:
        """Check the input.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, self.spatial + 2)

    def call(self, x: Array) -> Array:
        """Pool, along one axis after the other.

        Args:
            x: (B, ..., D).

        Returns:
            (B, n1, n2, ..., D).
        """
        for axis, count in enumerate(self.output_size, start=1):
            length = x.shape[axis]
            windows = [(at * length // count, -(-(at + 1) * length // count)) for at in range(count)]
            x = self.xp.concat([self._of_window(x, axis, first, end) for first, end in windows], axis=axis)
        return x

    def _of_window(self, x: Array, axis: int, first: int, end: int) -> Array:
        raise NotImplementedError


class _AdaptiveMaxPooling(_AdaptivePooling):
    """The largest of each window."""

    def _of_window(self, x: Array, axis: int, first: int, end: int) -> Array:
        return self.xp.max(x[(slice(None),) * axis + (slice(first, end),)], axis=axis, keepdims=True)


class _AdaptiveAveragePooling(_AdaptivePooling):
    """The mean of each window."""

    def _of_window(self, x: Array, axis: int, first: int, end: int) -> Array:
        return self.xp.mean(x[(slice(None),) * axis + (slice(first, end),)], axis=axis, keepdims=True)


class AdaptiveMaxPooling2D(_AdaptiveMaxPooling):
    """Cut images of any size into a given number of windows, and give the largest of each, feature by feature.

    Args:
        output_size: number of windows along height and width; one number for all.
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        **kwargs: name, dtype.

    Shapes:
        (B, H, W, D) to (B, n1, n2, D).

    Raises:
        ArgumentError: for sizes that are not above 0.
        ShapeError: when the input has another number of axes.
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> tuple(AdaptiveMaxPooling2D(2)(np.ones((1, 4, 4, 3))).shape)
        (1, 2, 2, 3)
    """

    spatial = 2


class AdaptiveAveragePooling2D(_AdaptiveAveragePooling):
    """Cut images of any size into a given number of windows, and give the mean of each, feature by feature.

    Args:
        output_size: number of windows along height and width; one number for all.
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        **kwargs: name, dtype.

    Shapes:
        (B, H, W, D) to (B, n1, n2, D).

    Raises:
        ArgumentError: for sizes that are not above 0.
        ShapeError: when the input has another number of axes.
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> tuple(AdaptiveAveragePooling2D(2)(np.ones((1, 4, 4, 3))).shape)
        (1, 2, 2, 3)
    """

    spatial = 2


class AdaptiveMaxPooling3D(_AdaptiveMaxPooling):
    """Cut volumes of any size into a given number of windows, and give the largest of each, feature by feature.

    Args:
        output_size: number of windows along height, width and length; one number for all.
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        **kwargs: name, dtype.

    Shapes:
        (B, H, W, L, D) to (B, n1, n2, n3, D).

    Raises:
        ArgumentError: for sizes that are not above 0.
        ShapeError: when the input has another number of axes.
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> tuple(AdaptiveMaxPooling3D(2)(np.ones((1, 4, 4, 4, 3))).shape)
        (1, 2, 2, 2, 3)
    """

    spatial = 3


class AdaptiveAveragePooling3D(_AdaptiveAveragePooling):
    """Cut volumes of any size into a given number of windows, and give the mean of each, feature by feature.

    Args:
        output_size: number of windows along height, width and length; one number for all.
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        **kwargs: name, dtype.

    Shapes:
        (B, H, W, L, D) to (B, n1, n2, n3, D).

    Raises:
        ArgumentError: for sizes that are not above 0.
        ShapeError: when the input has another number of axes.
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> tuple(AdaptiveAveragePooling3D(2)(np.ones((1, 4, 4, 4, 3))).shape)
        (1, 2, 2, 2, 3)
    """

    spatial = 3
