"""Layers that give values another shape."""

from __future__ import annotations

import math
from typing import Any

from padless.errors import explain
from padless.layer import Array, Layer
from padless.layers.arguments import word


class Flatten(Layer):
    """Put all axes but the batch into one.

    Rows of unequal length have no fixed number of features to give, so they raise.

    Args:
        data_format: "channels_last", or "channels_first" for (B, D, ...), whose second axis then is moved to the end.
        **kwargs: name, dtype.

    Shapes:
        (B, ...) to (B, product of the others); (B,) to (B, 1).

    Raises:
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> tuple(Flatten()(np.ones((2, 3, 4))).shape)
        (2, 12)
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        known = ("channels_last", "channels_first")
        self.data_format = word(self.place, "data_format", data_format or known[0], known)

    def call(self, x: Array) -> Array:
        """Reshape.

        Args:
            x: (B, ...).

        Returns:
            (B, D).
        """
        if self.data_format == "channels_first" and x.ndim > 2:
            x = self.xp.permute_dims(x, (0, *range(2, x.ndim), 1))
        return self.xp.reshape(x, (x.shape[0], math.prod(x.shape[1:])))

    def mask_error(self) -> str:
        """The text of the error that rows raise here."""
        return explain(
            self.place,
            expected="the same number of steps in every row, since features of different steps become one vector",
            got="rows of unequal length",
            fix="pool the rows first, with layers.GlobalMaxPooling1D() or a recurrent layer; or cut and pad them to "
            "one length without a mask: pad_sequences(x, maxlen=100), or x.to_padded(length=100)",
        )
