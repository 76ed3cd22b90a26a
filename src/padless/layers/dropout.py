"""Dropout: zeroes some features while training."""

from __future__ import annotations

from typing import Any

import numpy as np

from padless import random
from padless.errors import ArgumentError, NotThereYetError, ShapeError, explain
from padless.layer import Array, Layer


class Dropout(Layer):
    """Zero a part of the features while training, and scale the rest up by 1 / (1 - rate).

    On rows it draws numbers for live steps only.

    Args:
        rate: part of the features that is zeroed, from 0 to 1.
        noise_shape: shape of what is drawn, counted as in Keras: 1 for an axis whose places share one number, None for
            the size of the input. On rows, batch and time must be None.
        seed: mixed into what is drawn.
        **kwargs: name, dtype.

    Shapes:
        Any; the output has that of the input.

    Raises:
        ArgumentError: when rate is not between 0 and 1, or noise_shape is no list of sizes.
        NotThereYetError: when rows come and the steps of a row are to share what is drawn.

    Example:
        >>> import numpy as np
        >>> x = np.ones((1, 4), "float32")
        >>> np.asarray(Dropout(0.5)(x)).tolist()
        [[1.0, 1.0, 1.0, 1.0]]
        >>> sorted({float(y) for y in np.ravel(Dropout(0.5)(np.ones((1, 99)), training=True))})
        [0.0, 2.0]

    Source: Srivastava et al. 2014, JMLR 15.
    """

    view = "steps"
    reads = "floats"

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given: Any = rate
        if isinstance(given, bool) or not isinstance(given, int | float | np.floating) or not 0 <= given <= 1:
            raise ArgumentError(
                explain(f"{self.place}: rate", expected="a number from 0 to 1", got=repr(rate), fix="rate=0.5 for half")
            )
        self.rate = float(rate)
        self.noise_shape = None if noise_shape is None else self._checked(noise_shape)
        self.seed = seed

    def _checked(self, noise_shape: Any) -> tuple[int | None, ...]:
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

    def call(self, x: Array) -> Array:
        """Drop.

        Args:
            x: (N, ...).

        Returns:
            (N, ...).
        """
        shape = self._shape_for(x)
        if not self.training or not self.rate:
            return x
        if self.rate == 1:
            return self.xp.zeros_like(x)
        key = random.key(self._path or self.name)
        if self.seed is not None:
            key = (self.seed, *key)
        drawn = self.backend.random_uniform(key, shape, "float32")
        return self.xp.where(drawn >= self.rate, x / (1 - self.rate), self.xp.zeros_like(x))

    def _shape_for(self, x: Array) -> tuple[int, ...]:
        sizes = self.noise_shape or (None,) * x.ndim
        if len(sizes) == x.ndim + 1:  # batch and time are one axis in packed steps
            if sizes[0] is not None or sizes[1] is not None:
                raise NotThereYetError(
                    explain(
                        f"{self.place}: noise_shape",
                        expected="None for batch and time, so that every live step draws its own numbers",
                        got=f"{sizes} and rows; sharing what is drawn among the steps of a row is not there yet",
                        fix="noise_shape=(None, None, ...), or no noise_shape",
                    )
                )
            sizes = sizes[1:]
        if len(sizes) != x.ndim or any(n not in (None, 1, m) for n, m in zip(sizes, x.shape, strict=True)):
            raise ShapeError(
                explain(
                    f"{self.place}: noise_shape",
                    expected="for each axis of the input its size, 1 or None",
                    got=f"{self.noise_shape} and an input of shape {tuple(x.shape)}",
                    fix="noise_shape=(None, 1, None) for (B, T, D), where all steps share what is drawn",
                )
            )
        return tuple(m if n is None else n for n, m in zip(sizes, x.shape, strict=True))
