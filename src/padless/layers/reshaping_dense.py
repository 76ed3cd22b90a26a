"""Padding, cropping and repeating of arrays of fixed size: images (B, H, W, D) and volumes (B, H, W, L, D)."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from padless.errors import ArgumentError, ShapeError, explain
from padless.layer import Array
from padless.layers.arguments import require_rank, sizes, word
from padless.layers.channels import FeatureAxis
from padless.spec import Spec

Pairs = tuple[tuple[int, int], ...]
Host = np.ndarray[Any, Any]


def _cubic(far: Host) -> Host:
    """The weights of Keys 1981, for distances below 2."""
    near = (1.5 * far - 2.5) * far**2 + 1
    return np.where(far < 1, near, np.where(far < 2, ((2.5 - 0.5 * far) * far - 4) * far + 2, 0))


def _lanczos(reach: int) -> Callable[[Host], Host]:
    return lambda far: np.where(far < reach, np.sinc(far) * np.sinc(far / reach), 0)


INTERPOLATIONS: dict[str, tuple[int, Callable[[Host], Host]]] = {
    "bilinear": (1, lambda far: np.maximum(1 - far, 0)),
    "bicubic": (2, _cubic),
    "lanczos3": (3, _lanczos(3)),
    "lanczos5": (5, _lanczos(5)),
}
"""How far away a place still counts, and how much it does at which distance."""


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


class _Fixed(FeatureAxis):
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
        self._read_format(data_format)

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
        self._read_format(data_format)

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
        self._read_format(data_format)

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
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
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
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
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
    """Repeat every place of images, or put places in between.

    Each new place is a mean of the places around it that there are; how much each counts depends on its distance.

    Args:
        size: how often, along height and width; one number for all.
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        interpolation: "nearest" repeats; "bilinear", "bicubic", "lanczos3" and "lanczos5" take in ever more places.
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
        >>> line = np.array([0.0, 4.0]).reshape(1, 1, 2, 1)
        >>> UpSampling2D((1, 2), interpolation="bilinear")(line)[0, 0, :, 0].tolist()
        [0.0, 1.0, 3.0, 4.0]

    Source: Keys 1981, "Cubic convolution interpolation for digital image processing", for "bicubic".
    """

    spatial = 2

    def __init__(
        self, size: Any = 2, data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any
    ) -> None:
        super().__init__(size, data_format, **kwargs)
        self.interpolation = word(self.place, "interpolation", interpolation, ("nearest", *INTERPOLATIONS))

    def call(self, x: Array) -> Array:
        """Repeat, or interpolate along one axis after the other.

        Args:
            x: (B, H, W, D).

        Returns:
            (B, H', W', D).
        """
        if self.interpolation == "nearest":
            return super().call(x)
        x = self.backend.cast(x, self.call_dtype)
        for axis, times in enumerate(self.size, start=1):
            x = self._between(x, axis, times)
        return x

    def _between(self, x: Array, axis: int, times: int) -> Array:
        reach, share = INTERPOLATIONS[self.interpolation]
        length = x.shape[axis]
        middle = (np.arange(length * times) + 0.5) / times - 0.5
        places = (np.floor(middle)[:, None] + np.arange(1 - reach, reach + 1)).astype(np.int64)
        shares = share(np.abs(middle[:, None] - places)) * ((places >= 0) & (places < length))
        shares = shares / shares.sum(axis=1, keepdims=True)
        shape = (-1, *(1 for _ in x.shape[axis + 1 :]))
        parts = [
            self.xp.take(x, self.backend.asarray(np.clip(places[:, tap], 0, length - 1)), axis=axis)
            * self.backend.asarray(shares[:, tap].reshape(shape), self.call_dtype)
            for tap in range(2 * reach)
        ]
        return reduce(lambda a, b: a + b, parts)


class ZeroPadding3D(_ZeroPadding):
    """Put zeros around volumes.

    Args:
        padding: places along height, width and length: one number for all, one for each, or pairs (before, behind).
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
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
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
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
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
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
