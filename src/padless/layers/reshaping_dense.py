"""Padding, cropping and repeating of arrays of fixed size: images (B, H, W, D) and volumes (B, H, W, L, D)."""

from __future__ import annotations

from typing import Any, ClassVar

from padless.errors import ArgumentError, NotThereYetError, ShapeError, explain
from padless.layer import Array, Layer
from padless.layers.arguments import channels_last, require_rank, sizes, word
from padless.spec import Spec

Pairs = tuple[tuple[int, int], ...]


def _pairs(place: str, name: str, value: Any, count: int) -> Pairs:
    """A number before and one behind, for each axis; one number for all of them, or one for each axis."""
    each = (value,) * count if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(each, list | tuple) and len(each) == count:
        found = [(one, one) if isinstance(one, int) else tuple(one) for one in each]
        if all(len(pair) == 2 and all(isinstance(n, int) and n >= 0 for n in pair) for pair in found):
            return tuple((int(pair[0]), int(pair[1])) for pair in found)
    raise ArgumentError(
        explain(
            f"{place}: {name}",
            expected=f"a number of places not below 0, one for each of {count} axes, or a pair for each",
            got=repr(value),
            fix=f"{name}=1, or {name}={((1, 1),) * count}",
        )
    )


class _Fixed(Layer):
    """What layers over a fixed number of axes have."""

    spatial: ClassVar[int]

    def build(self, spec: Spec) -> None:
        """Check the input.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, self.spatial + 2)


class _ZeroPadding(_Fixed):
    """Zeros around."""

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding = _pairs(self.place, "padding", padding, self.spatial)
        channels_last(self.place, data_format)

    def call(self, x: Array) -> Array:
        """Pad.

        Args:
            x: (B, ..., D).

        Returns:
            (B, ..., D), larger.
        """
        for axis, pair in enumerate(self.padding, start=1):
            before, behind = (self._zeros(x, axis, count) for count in pair)
            x = self.xp.concat([before, x, behind], axis=axis)
        return x

    def _zeros(self, x: Array, axis: int, count: int) -> Array:
        shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
        return self.xp.zeros(shape, dtype=x.dtype, device=self.backend.device_of(x))


class _Cropping(_Fixed):
    """Less at the edges."""

    def __init__(self, cropping: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = _pairs(self.place, "cropping", cropping, self.spatial)
        channels_last(self.place, data_format)

    def call(self, x: Array) -> Array:
        """Crop.

        Args:
            x: (B, ..., D).

        Returns:
            (B, ..., D), smaller.

        Raises:
            ShapeError: when nothing would be left.
        """
        sizes_now = x.shape[1:-1]
        if any(before + behind >= n for (before, behind), n in zip(self.cropping, sizes_now, strict=True)):
            raise ShapeError(
                explain(
                    f"{self.place}: cropping",
                    expected="places that are left along every axis",
                    got=f"cropping={self.cropping} of shape {tuple(x.shape)}",
                    fix="a smaller cropping",
                )
            )
        middle = [slice(before, n - behind) for (before, behind), n in zip(self.cropping, sizes_now, strict=True)]
        return x[(slice(None), *middle)]


class _UpSampling(_Fixed):
    """Every place several times."""

    def __init__(self, size: Any = 2, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = sizes(self.place, "size", size, self.spatial)
        channels_last(self.place, data_format)

    def call(self, x: Array) -> Array:
        """Repeat.

        Args:
            x: (B, ..., D).

        Returns:
            (B, ..., D), larger.
        """
        for axis, count in enumerate(self.size, start=1):
            x = self.xp.repeat(x, count, axis=axis)
        return x


class ZeroPadding2D(_ZeroPadding):
    """Put zeros around images.

    Args:
        padding: places along height and width: one number for all, one for each, or pairs (before, behind).
        data_format: "channels_last".
        **kwargs: name, dtype.

    Shapes:
        (B, H, W, D) to (B, H', W', D).

    Raises:
        ArgumentError: for numbers that do not fit.
        ShapeError: when the input has another number of axes.
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> tuple(ZeroPadding2D()(np.ones((1, 2, 2, 3))).shape)
        (1, 4, 4, 3)
    """

    spatial = 2


class Cropping2D(_Cropping):
    """Cut the edges of images off.

    Args:
        cropping: places along height and width: one number for all, one for each, or pairs (before, behind).
        data_format: "channels_last".
        **kwargs: name, dtype.

    Shapes:
        (B, H, W, D) to (B, H', W', D).

    Raises:
        ArgumentError: for numbers that do not fit.
        ShapeError: when the input has another number of axes, or nothing would be left.
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> tuple(Cropping2D(1)(np.ones((1, 4, 4, 3))).shape)
        (1, 2, 2, 3)
    """

    spatial = 2

    def __init__(self, cropping: Any = 0, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


class UpSampling2D(_UpSampling):
    """Repeat every place of images.

    Args:
        size: how often, along height and width; one number for all.
        data_format: "channels_last".
        interpolation: "nearest"; the others of Keras are not there yet.
        **kwargs: name, dtype.

    Shapes:
        (B, H, W, D) to (B, H', W', D).

    Raises:
        ArgumentError: for numbers that do not fit.
        ShapeError: when the input has another number of axes.
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> tuple(UpSampling2D()(np.ones((1, 2, 2, 3))).shape)
        (1, 4, 4, 3)
    """

    spatial = 2

    def __init__(
        self, size: Any = 2, data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any
    ) -> None:
        super().__init__(size, data_format, **kwargs)
        known = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        self.interpolation = word(self.place, "interpolation", interpolation, known)
        if self.interpolation != "nearest":
            raise NotThereYetError(
                explain(
                    f"{self.place}: interpolation",
                    expected="'nearest'",
                    got=f"{interpolation!r}, which is not there yet",
                    fix="interpolation='nearest', or Conv2DTranspose",
                )
            )


class ZeroPadding3D(_ZeroPadding):
    """Put zeros around volumes.

    Args:
        padding: places along height, width and length: one number for all, one for each, or pairs (before, behind).
        data_format: "channels_last".
        **kwargs: name, dtype.

    Shapes:
        (B, H, W, L, D) to (B, H', W', L', D).

    Raises:
        ArgumentError: for numbers that do not fit.
        ShapeError: when the input has another number of axes.
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> tuple(ZeroPadding3D()(np.ones((1, 2, 2, 2, 3))).shape)
        (1, 4, 4, 4, 3)
    """

    spatial = 3


class Cropping3D(_Cropping):
    """Cut the edges of volumes off.

    Args:
        cropping: places along height, width and length: one number for all, one for each, or pairs (before, behind).
        data_format: "channels_last".
        **kwargs: name, dtype.

    Shapes:
        (B, H, W, L, D) to (B, H', W', L', D).

    Raises:
        ArgumentError: for numbers that do not fit.
        ShapeError: when the input has another number of axes, or nothing would be left.
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> tuple(Cropping3D()(np.ones((1, 4, 4, 4, 3))).shape)
        (1, 2, 2, 2, 3)
    """

    spatial = 3


class UpSampling3D(_UpSampling):
    """Repeat every place of volumes.

    Args:
        size: how often, along height, width and length; one number for all.
        data_format: "channels_last".
        **kwargs: name, dtype.

    Shapes:
        (B, H, W, L, D) to (B, H', W', L', D).

    Raises:
        ArgumentError: for numbers that do not fit.
        ShapeError: when the input has another number of axes.
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> tuple(UpSampling3D()(np.ones((1, 2, 2, 2, 3))).shape)
        (1, 4, 4, 4, 3)
    """

    spatial = 3
