"""Penalties on what goes through."""

from __future__ import annotations

from typing import Any

from padless import regularizers
from padless.layer import Array, Layer


class ActivityRegularization(Layer):
    """Add a penalty on the input to the loss, and pass the input on.

    The penalty is what all live steps cost, divided by the number of rows; padding costs nothing.

    Args:
        l1: factor of the sizes.
        l2: factor of the squares.
        **kwargs: name, dtype.

    Shapes:
        Any; the output has that of the input.

    Raises:
        ArgumentError: when a factor is below 0.

    Example:
        >>> import padless
        >>> layer = ActivityRegularization(l1=0.5)
        >>> _ = layer(padless.Ragged.from_list([[1.0, -2.0, 3.0], [2.0]]))
        >>> [float(value) for value in layer.losses]
        [2.0]

    Source: Keras 3.15.
    """

    view = "steps"
    reads = "floats"

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1 = l1
        self.l2 = l2

    def call(self, x: Array) -> Array:
        """Pass the input on.

        Args:
            x: (N, ...).

        Returns:
            (N, ...).
        """
        return x
