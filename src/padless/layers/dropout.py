"""Noise while training: features that are zeroed, shifted or scaled at random."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from padless import random
from padless.errors import ArgumentError, MaskError, ShapeError, explain
from padless.layer import Array, Layer
from padless.layers.arguments import require_rank, word
from padless.ragged import Ragged
from padless.spec import Spec

Shape = tuple[int, ...]
Draw = Callable[[Callable[..., Array]], Array]
"""draw(backend.random_uniform) gives numbers that stand beside the input."""


class _Noise(Layer):
    """What all have: numbers drawn for each live step, or for each row, that no padding changes.

    A subclass writes `noisy(x, draw)`, where x is an array of packed steps, or of rows.
    """

    view = "steps"
    reads = "floats"
    strength: ClassVar[str] = "rate"
    """Name of the argument that says how much; where it is 0, nothing is drawn."""

    noise_shape: tuple[int | None, ...] | None = None
    seed: int | None

    def noisy(self, x: Array, draw: Draw) -> Array:
        """Add the noise.

        Args:
            x: (N, ...) packed steps, or (B, ...).
            draw: draws numbers that stand beside x.

        Returns:
            As x.
        """
        raise NotImplementedError

    def _share(self, name: str, value: Any, *, below: bool = False) -> float:
        fine = not isinstance(value, bool) and isinstance(value, int | float | np.floating) and 0 <= value <= 1
        if not fine or (below and value == 1):
            raise ArgumentError(
                explain(
                    f"{self.place}: {name}",
                    expected="a number from 0 up to, but not, 1" if below else "a number from 0 to 1",
                    got=repr(value),
                    fix=f"{name}=0.1" if name == "stddev" else f"{name}=0.5 for half",
                )
            )
        return float(value)

    def _checked(self, noise_shape: Any) -> tuple[int | None, ...] | None:
        if noise_shape is None:
            return None
        sizes = tuple(noise_shape) if isinstance(noise_shape, list | tuple) else ()
        if not sizes or not all(n is None or (isinstance(n, int) and n > 0) for n in sizes):
            raise ArgumentError(
                explain(
                    f"{self.place}: noise_shape",
                    expected="a tuple of sizes above 0, or None in the place of some",
                    got=repr(noise_shape),
                    fix="noise_shape=(None, 1, None)",
                )
            )
        return sizes

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.call(x)  # with its rows, which may share what is drawn

    def call(self, x: Any) -> Any:
        """Add the noise, while training.

        Args:
            x: rows (B, None, ...), or an array (B, ...).

        Returns:
            The same form.
        """
        sizes = self._sizes(x)
        if not self.training or not getattr(self, self.strength):
            return x
        key = random.key(self._path or self.name)
        if self.seed is not None:
            key = (self.seed, *key)

        def draw(kind: Callable[..., Array]) -> Array:
            return self._beside(x, sizes, lambda shape: kind(key, shape, "float32"))

        return x.with_values(self.noisy(x.values, draw)) if isinstance(x, Ragged) else self.noisy(x, draw)

    def _sizes(self, x: Any) -> tuple[int | None, ...]:
        """Sizes of what is drawn; those of batch and time of rows are 1, or None for one of each."""
        shape = x.shape if isinstance(x, Ragged) else tuple(x.shape)
        sizes = self.noise_shape or (None,) * len(shape)
        free = 2 if isinstance(x, Ragged) else 0
        wrong = len(sizes) != len(shape) or any(n not in (None, 1) for n in sizes[:free])
        if wrong or any(n not in (None, 1, m) for n, m in zip(sizes[free:], shape[free:], strict=True)):
            raise ShapeError(
                explain(
                    f"{self.place}: noise_shape",
                    expected="for batch and time of rows 1 or None, for any other axis its size, 1 or None",
                    got=f"{self.noise_shape} and an input of shape {shape}",
                    fix="noise_shape=(None, 1, None) for (B, T, D), where all steps of a row share what is drawn",
                )
            )
        return (*sizes[:free], *(m if n is None else n for n, m in zip(sizes[free:], shape[free:], strict=True)))

    def _beside(self, x: Any, sizes: tuple[int | None, ...], drawn: Callable[[Shape], Array]) -> Array:
        """Draw numbers that stand beside packed steps. The first are the same, however many spare ones follow."""
        if not isinstance(x, Ragged):
            return drawn(tuple(n for n in sizes if n is not None))
        rows, steps, *features = sizes
        if rows is None and steps is None:
            return drawn((x.rows.nvals, *features))  # type: ignore[arg-type]
        if rows == steps == 1:
            return drawn((1, *features))  # type: ignore[arg-type]
        name, count = ("value_rowids", x.rows.nrows) if rows is None else ("ranks", x.rows.nvals)
        index = self.backend.index(x.rows, name)
        return self.xp.take(drawn((count, *features)), index, axis=0)  # type: ignore[arg-type]


class Dropout(_Noise):
    """Zero a part of the features while training, and scale the rest up by 1 / (1 - rate).

    On rows it draws numbers for live steps only.

    Args:
        rate: part of the features that is zeroed, from 0 to 1.
        noise_shape: shape of what is drawn, counted as in Keras: 1 for an axis whose places share one number, None for
            the size of the input. On rows, batch and time are 1 or None: (None, 1, None) zeroes the same features in
            all steps of a row.
        seed: mixed into what is drawn.
        **kwargs: name, dtype.

    Shapes:
        Any; the output has that of the input.

    Raises:
        ArgumentError: when rate is not between 0 and 1, or noise_shape is no list of sizes.
        ShapeError: when noise_shape does not fit the input.

    Example:
        >>> import numpy as np
        >>> x = np.ones((1, 4), "float32")
        >>> np.asarray(Dropout(0.5)(x)).tolist()
        [[1.0, 1.0, 1.0, 1.0]]
        >>> sorted({float(y) for y in np.ravel(Dropout(0.5)(np.ones((1, 99)), training=True))})
        [0.0, 2.0]

    Source: Srivastava et al. 2014, JMLR 15.
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = self._share("rate", rate)
        self.noise_shape = self._checked(noise_shape)
        self.seed = seed

    def noisy(self, x: Array, draw: Draw) -> Array:
        """Drop.

        Args:
            x: (N, ...) packed steps, or (B, ...).
            draw: draws numbers that stand beside x.

        Returns:
            As x.
        """
        if self.rate == 1:
            return self.xp.zeros_like(x)
        kept = draw(self.backend.random_uniform) >= self.rate
        return self.xp.where(kept, x / (1 - self.rate), self.xp.zeros_like(x))


class _SpatialDropout(Dropout):
    """Dropout of whole features: all places of a row share what is drawn."""

    axes: ClassVar[int]

    def __init__(
        self,
        rate: float,
        data_format: Any = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype, **kwargs)
        formats = ("channels_last", "channels_first")
        self.data_format = word(self.place, "data_format", data_format or "channels_last", formats)
        shared = (1,) * (self.axes - 2)
        last = self.data_format == "channels_last"
        self.noise_shape = (None, *shared, None) if last else (None, None, *shared)

    def build(self, spec: Spec) -> None:
        """Look at the axes.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, self.axes, fix="Dropout for inputs of other shapes")

    def call(self, x: Any) -> Any:
        """Drop, while training.

        Args:
            x: rows (B, None, ..., D), or an array (B, ..., D).

        Returns:
            The same form.
        """
        if isinstance(x, Ragged) and self.data_format == "channels_first":
            raise MaskError(
                explain(
                    f"{self.place}: data_format",
                    expected="'channels_last' on rows: their second axis is time",
                    got="'channels_first' and rows of unequal length",
                    fix="leave data_format out",
                )
            )
        return super().call(x)


class SpatialDropout1D(_SpatialDropout):
    """Zero whole features of a row while training: the same ones in all of its steps.

    What is zeroed in a row depends on its place in the batch alone, not on any length.

    Args:
        rate: part of the features that is zeroed, from 0 to 1.
        seed: mixed into what is drawn.
        name: for summaries and errors.
        dtype: of computation.

    Shapes:
        (B, T, D) or rows (B, None, D); the output has that of the input.

    Raises:
        ArgumentError: when rate is not between 0 and 1.
        ShapeError: when the input has other axes.

    Example:
        >>> import numpy as np, padless
        >>> y = SpatialDropout1D(0.5)(padless.Ragged.from_list([np.ones((2, 9)), np.ones((5, 9))]), training=True)
        >>> [len({tuple(step) for step in row}) for row in y.to_list()]
        [1, 1]

    Source: Tompson et al. 2015, arXiv:1411.4280.
    """

    axes = 3

    def __init__(
        self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, None, seed, name, dtype, **kwargs)


class SpatialDropout2D(_SpatialDropout):
    """Zero whole features of a row while training: the same ones at all of its places.

    Args:
        rate: part of the features that is zeroed, from 0 to 1.
        data_format: "channels_last" (the default), or "channels_first" for arrays (B, D, H, W).
        seed: mixed into what is drawn.
        name: for summaries and errors.
        dtype: of computation.

    Shapes:
        (B, H, W, D) or rows (B, None, W, D); the output has that of the input.

    Raises:
        ArgumentError: when rate is not between 0 and 1.
        MaskError: when rows come, and the features first.
        ShapeError: when the input has other axes.

    Example:
        >>> import numpy as np
        >>> y = np.asarray(SpatialDropout2D(0.5)(np.ones((1, 4, 4, 3), "float32"), training=True))
        >>> bool((y == y[:, :1, :1]).all())
        True

    Source: Tompson et al. 2015, arXiv:1411.4280.
    """

    axes = 4


class SpatialDropout3D(_SpatialDropout):
    """Zero whole features of a row while training: the same ones at all of its places.

    Args:
        rate: part of the features that is zeroed, from 0 to 1.
        data_format: "channels_last" (the default), or "channels_first" for arrays (B, D, L, H, W).
        seed: mixed into what is drawn.
        name: for summaries and errors.
        dtype: of computation.

    Shapes:
        (B, L, H, W, D) or rows (B, None, H, W, D); the output has that of the input.

    Raises:
        ArgumentError: when rate is not between 0 and 1.
        MaskError: when rows come, and the features first.
        ShapeError: when the input has other axes.

    Example:
        >>> import numpy as np
        >>> y = np.asarray(SpatialDropout3D(0.5)(np.ones((1, 4, 4, 4, 3), "float32"), training=True))
        >>> bool((y == y[:, :1, :1, :1]).all())
        True

    Source: Tompson et al. 2015, arXiv:1411.4280.
    """

    axes = 5


class GaussianNoise(_Noise):
    """Add normal noise of mean 0 to every feature while training.

    Args:
        stddev: standard deviation of the noise, from 0 to 1.
        seed: mixed into what is drawn.
        **kwargs: name, dtype.

    Shapes:
        Any; the output has that of the input. On rows, noise is drawn for live steps only.

    Raises:
        ArgumentError: when stddev is not between 0 and 1.

    Example:
        >>> import numpy as np
        >>> y = np.asarray(GaussianNoise(0.1)(np.zeros((99, 99), "float32"), training=True))
        >>> 0.09 < float(y.std()) < 0.11
        True

    Source: Keras 3.15.
    """

    strength = "stddev"

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = self._share("stddev", stddev)
        self.seed = seed

    def noisy(self, x: Array, draw: Draw) -> Array:
        """Add the noise.

        Args:
            x: (N, ...) packed steps, or (B, ...).
            draw: draws numbers that stand beside x.

        Returns:
            As x.
        """
        noise = self.stddev * draw(self.backend.random_normal)
        return x + self.backend.cast(noise, self.backend.dtype_name(x))


class GaussianDropout(_Noise):
    """Multiply every feature with normal noise of mean 1 and variance rate / (1 - rate) while training.

    Args:
        rate: as that of Dropout with the same variance: from 0 up to, but not, 1.
        seed: mixed into what is drawn.
        **kwargs: name, dtype.

    Shapes:
        Any; the output has that of the input. On rows, noise is drawn for live steps only.

    Raises:
        ArgumentError: when rate is not between 0 and 1, or 1.

    Example:
        >>> import numpy as np
        >>> y = np.asarray(GaussianDropout(0.5)(np.ones((99, 99), "float32"), training=True))
        >>> 0.9 < float(y.mean()) < 1.1, 0.9 < float(y.std()) < 1.1
        (True, True)

    Source: Srivastava et al. 2014, JMLR 15, section 10.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = self._share("rate", rate, below=True)
        self.seed = seed

    def noisy(self, x: Array, draw: Draw) -> Array:
        """Multiply with the noise.

        Args:
            x: (N, ...) packed steps, or (B, ...).
            draw: draws numbers that stand beside x.

        Returns:
            As x.
        """
        noise = 1 + math.sqrt(self.rate / (1 - self.rate)) * draw(self.backend.random_normal)
        return x * self.backend.cast(noise, self.backend.dtype_name(x))


class AlphaDropout(_Noise):
    """Put a part of the features to what SELU gives at most below 0, and keep mean and variance, while training.

    Args:
        rate: part of the features that is put there, from 0 up to, but not, 1.
        noise_shape: as that of Dropout.
        seed: mixed into what is drawn.
        **kwargs: name, dtype.

    Shapes:
        Any; the output has that of the input. On rows, numbers are drawn for live steps only.

    Raises:
        ArgumentError: when rate is not between 0 and 1, or 1, or noise_shape is no list of sizes.
        ShapeError: when noise_shape does not fit the input.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(99, 99)).astype("float32")
        >>> y = np.asarray(AlphaDropout(0.3)(x, training=True))
        >>> abs(float(y.mean())) < 0.1, 0.9 < float(y.std()) < 1.1
        (True, True)

    Source: Klambauer et al. 2017, arXiv:1706.02515.
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = self._share("rate", rate, below=True)
        self.noise_shape = self._checked(noise_shape)
        self.seed = seed

    def noisy(self, x: Array, draw: Draw) -> Array:
        """Drop.

        Args:
            x: (N, ...) packed steps, or (B, ...).
            draw: draws numbers that stand beside x.

        Returns:
            As x.
        """
        kept = draw(self.backend.random_uniform) >= self.rate
        scale = 1 / math.sqrt((1 - self.rate) * (1 + self.rate * _LOWEST**2))
        return scale * (self.xp.where(kept, x, self.xp.full_like(x, _LOWEST)) - _LOWEST * self.rate)


_LOWEST = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717
"""The limit of SELU far below 0."""
