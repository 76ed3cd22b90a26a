"""Layers that give values another shape."""

from __future__ import annotations

import math
from typing import Any

from padless.errors import ArgumentError, explain
from padless.layer import Array, Layer
from padless.layers.arguments import counts, positive, require_rank, word
from padless.layers.channels import FeatureAxis
from padless.lengths import Extend, Repeat
from padless.ragged import Ragged
from padless.row_ops import derived, row_slice
from padless.spec import Spec


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


_NO_STEPS = "return_sequences=True in the recurrent layer before, if there is one"


class ZeroPadding1D(FeatureAxis):
    """Put steps of zeros before the first and behind the last step of each row.

    These steps are as real as others: later layers read them. A row without steps gets them, too. Steps that are masked
    stay so.

    Args:
        padding: how many before and how many behind; one number for both.
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        **kwargs: name, dtype.

    Shapes:
        (B, T, ...) to (B, T + before + behind, ...); rows (B, None, ...) to rows.

    Raises:
        ArgumentError: for numbers below 0.

    Example:
        >>> import padless
        >>> x = padless.Ragged.from_list([[1, 2], [3]])
        >>> ZeroPadding1D((1, 2))(x).to_list()
        [[0, 1, 2, 0, 0], [0, 3, 0, 0]]
    """

    view = "ragged"

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding = counts(self.place, "padding", padding, 2)
        self._read_format(data_format)

    def build(self, spec: Spec) -> None:
        """Check the input.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 2, least=True, fix=_NO_STEPS)

    def call(self, x: Ragged) -> Ragged:
        """Pad.

        Args:
            x: (B, None, ...).

        Returns:
            (B, None, ...).
        """
        return derived(x, Extend(*self.padding))


class Cropping1D(Layer):
    """Cut steps off at the real ends of each row.

    A row that is too short for it has no steps afterwards. A masked step within a row counts as one, and stays masked.

    Args:
        cropping: how many steps to cut off before and behind; one number for both.
        **kwargs: name, dtype.

    Shapes:
        (B, T, ...) to (B, T - before - behind, ...); rows (B, None, ...) to rows.

    Raises:
        ArgumentError: for numbers below 0.

    Example:
        >>> import padless
        >>> x = padless.Ragged.from_list([[1, 2, 3, 4], [5, 6]])
        >>> Cropping1D((1, 1))(x).to_list()
        [[2, 3], []]
    """

    view = "ragged"

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = counts(self.place, "cropping", cropping, 2)

    def build(self, spec: Spec) -> None:
        """Check the input.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 2, least=True, fix=_NO_STEPS)

    def call(self, x: Ragged) -> Ragged:
        """Crop.

        Args:
            x: (B, None, ...).

        Returns:
            (B, None, ...).
        """
        before, behind = self.cropping
        return row_slice(x, before, -behind if behind else None) if before or behind else x


class TimeSlice(Layer):
    """Take some steps of each row, as Python slices a list: `row[start:stop:step]`.

    What a language model needs to set a sequence beside the one that is a step ahead: `TimeSlice(stop=-1)(x)` is its
    input, `TimeSlice(1)(x)` its target. A masked step within a row counts as one, and stays masked.

    Args:
        start: the first step; counted from the end of the row where negative. None: the first of the row.
        stop: the step behind the last one; counted from the end where negative. None: the end of the row.
        step: steps from one to the next; above 0. None: 1.
        **kwargs: name, dtype.

    Shapes:
        (B, T, ...) to (B, T', ...); rows (B, None, ...) to rows.

    Raises:
        ArgumentError: for a step that is not above 0, or what is no whole number.

    Example:
        >>> import padless
        >>> x = padless.Ragged.from_list([[1, 2, 3, 4], [5]])
        >>> TimeSlice(1)(x).to_list(), TimeSlice(stop=-1)(x).to_list(), TimeSlice(-2)(x).to_list()
        ([[2, 3, 4], []], [[1, 2, 3], []], [[3, 4], [5]])
    """

    view = "ragged"

    def __init__(
        self, start: int | None = None, stop: int | None = None, step: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        for name, end in (("start", start), ("stop", stop)):
            if end is not None and (isinstance(end, bool) or not hasattr(end, "__index__")):
                raise ArgumentError(
                    explain(f"{self.place}: {name}", expected="a whole number", got=repr(end), fix=f"{name}=None")
                )
        self.start, self.stop = start, stop
        self.step = None if step is None else positive(self.place, "step", step)

    def build(self, spec: Spec) -> None:
        """Check the input.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 2, least=True, fix=_NO_STEPS)

    def call(self, x: Ragged) -> Ragged:
        """Slice.

        Args:
            x: (B, None, ...).

        Returns:
            (B, None, ...).
        """
        return row_slice(x, self.start, self.stop, self.step)


class UpSampling1D(Layer):
    """Repeat every step of each row.

    Args:
        size: how often each step stands in the output.
        **kwargs: name, dtype.

    Shapes:
        (B, T, ...) to (B, T * size, ...); rows (B, None, ...) to rows.

    Raises:
        ArgumentError: for a size that is not above 0.

    Example:
        >>> import padless
        >>> UpSampling1D(2)(padless.Ragged.from_list([[1, 2], [3]])).to_list()
        [[1, 1, 2, 2], [3, 3]]
    """

    view = "ragged"

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = positive(self.place, "size", size)

    def build(self, spec: Spec) -> None:
        """Check the input.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 2, least=True, fix=_NO_STEPS)

    def call(self, x: Ragged) -> Ragged:
        """Repeat.

        Args:
            x: (B, None, ...).

        Returns:
            (B, None, ...).
        """
        return derived(x, Repeat(self.size))
