"""Masking finds padding in features; Unmask drops a mask on purpose."""

from __future__ import annotations

from typing import Any

import numpy as np

from padless import backends
from padless.forms import narrowed
from padless.layer import Array, Layer
from padless.ragged import Ragged


class Masking(Layer):
    """Mask every step whose features all equal one value: a padded array becomes rows of its other steps.

    Steps that are masked already stay masked. Nothing is zeroed: a masked step is simply not there any more.

    Args:
        mask_value: the value; NaN masks the steps whose features are all NaN.
        **kwargs: name, dtype.

    Shapes:
        (B, T, ...) to rows (B, None, ...); rows (B, None, ...) to the rows that are left. TimeDistributed(Masking())
        finds padding in the steps of steps, (B, S, W, D).

    Example:
        >>> import numpy as np
        >>> x = Masking()(np.array([[[0.0, 0.0], [0.0, 1.0]]]))
        >>> x.shape, x.rows.row_lengths.tolist()
        ((1, None, 2), [1])
    """

    view = "ragged"
    makes_mask = True

    def __init__(self, mask_value: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value

    def _differs(self, x: Array, axis: int) -> Array:
        """Whether any feature is not the value; the features are the axes from `axis` on."""
        xp = backends.of(x).xp  # rows that are still on the host are looked through there
        value = self.mask_value.item() if isinstance(self.mask_value, np.generic) else self.mask_value
        unlike = xp.logical_not(xp.isnan(x) if value != value else x == value)
        return xp.any(unlike, axis=tuple(range(axis, x.ndim))) if x.ndim > axis else unlike

    def call(self, x: Ragged) -> Ragged:
        """Leave the masked steps out.

        Args:
            x: (B, None, ...).

        Returns:
            (B, None, ...) with fewer steps.
        """
        return x if self.tracing else narrowed(x, self._differs(x.values, 1), self.place)

    def compute_mask(self, x: Array, mask: Any = None) -> Array:
        """Say which steps are real.

        Args:
            x: (B, T, ...) array, or rows.
            mask: (B, T) mask from before, which stays in force; or None.

        Returns:
            (B, T) bool, or rows of bools.
        """
        if isinstance(x, Ragged):
            return x.with_values(self._differs(x.values, 1))
        found = self._differs(self.backend.asarray(x), 2)
        return found if mask is None else self.xp.logical_and(found, self.backend.asarray(mask))


class Unmask(Layer):
    """Drop the mask on purpose: rows become a padded array of zeros and real steps, and count as real from here on.

    This gives up what padless promises: whatever comes after computes the padded steps, mixes them into its answers,
    and answers differently when a longer row is in the batch. It is for code that cannot read rows and where that is
    known to do no harm.

    Args:
        **kwargs: name, dtype.

    Shapes:
        rows (B, None, ...) to (B, T, ...), zeros where no step is; rows within rows to (B, S, W, ...).

    Example:
        >>> import padless
        >>> Unmask()(padless.Ragged.from_list([[1.0, 2.0], [3.0]])).tolist()
        [[1.0, 2.0], [3.0, 0.0]]
    """

    view = "ragged"
    reads_nested = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, x: Ragged) -> Array:
        """Pad.

        Args:
            x: (B, None, ...).

        Returns:
            (B, T, ...).
        """
        return x.to_padded()
