"""Hashing: keys of any kind to a fixed number of places, with no vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np

from padless.errors import ArgumentError, NotThereYetError, explain
from padless.layers.arguments import positive, word
from padless.layers.host import HostLayer, OnHost, encoded
from padless.ragged import Ragged
from padless.text.fingerprints import buckets


class Hashing(HostLayer):
    """Put keys into bins by their hash: the same in every process, with nothing to learn.

    Args:
        num_bins: number of bins, that of `mask_value` among them.
        mask_value: the key for bin 0, which is then its alone; None for none.
        salt: one or two numbers for another hash (SipHash in place of FarmHash).
        output_mode: "int"; "one_hot" for each key; "multi_hot" or "count" for each row, or the last axis.
        sparse: must be False.
        **kwargs: name, dtype.

    Shapes:
        Texts or numbers (...) or rows of them to int64 of the same shape; or float32 (..., num_bins), (B, num_bins) for
        rows.

    Raises:
        ArgumentError: for arguments that do not fit.

    Example:
        >>> Hashing(num_bins=3)(["A", "B", "C", "D", "E"]).tolist()
        [1, 0, 1, 1, 2]

    Source: Keras 3.15; FarmHash (Pike and Alakuijala 2014), SipHash (Aumasson and Bernstein 2012).
    """

    def __init__(
        self,
        num_bins: int,
        mask_value: Any = None,
        salt: Any = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_bins = positive(self.place, "num_bins", num_bins)
        self.mask_value = mask_value
        self.salt = None if salt is None else (salt, salt) if isinstance(salt, int) else tuple(salt)
        if self.salt is not None and len(self.salt) != 2:
            expected, fix = "salt as a number or two", "salt=[133, 137]"
            raise ArgumentError(explain(self.place, expected=expected, got=repr(salt), fix=fix))
        self.output_mode = word(self.place, "output_mode", output_mode, ("int", "one_hot", "multi_hot", "count"))
        if sparse:
            fix = "sparse=False; rows of bins, output_mode='int', hold nothing but what is there"
            raise NotThereYetError(explain(self.place, expected="dense arrays", got="sparse=True", fix=fix))

    def prepare(self, x: OnHost) -> OnHost:
        """Hash.

        Args:
            x: keys (...), or rows of them; floats lose their fraction, as in Keras.

        Returns:
            Bins, as output_mode says.
        """
        values = x.flat_values if isinstance(x, Ragged) else x
        flat = values.reshape(-1)
        keys = (flat.astype(np.int64) if flat.dtype.kind == "f" else flat).tolist()
        masks = self.mask_value is not None and self.num_bins > 1
        texts = [key if isinstance(key, bytes) else str(key).encode() for key in keys]
        bins = buckets(texts, self.num_bins - masks, self.salt)
        if masks:
            own = self.mask_value.encode() if isinstance(self.mask_value, str) else self.mask_value
            same = [text == own for text in texts] if isinstance(own, bytes) else (flat == own).tolist()
            bins = np.where(np.asarray(same, np.bool_), 0, bins + 1)
        bins = bins.reshape(values.shape)
        return encoded(x.with_flat_values(bins) if isinstance(x, Ragged) else bins, self.output_mode, self.num_bins)
