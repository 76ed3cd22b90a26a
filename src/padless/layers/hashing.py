"""Keys of any kind to a fixed number of bins, with no vocabulary: Hashing, and HashedCrossing of several."""

from __future__ import annotations

from typing import Any

import numpy as np

from padless.errors import ArgumentError, ShapeError, explain
from padless.layers.arguments import positive, refuse_sparse, two_numbers, word
from padless.layers.host import HostLayer, OnHost, encoded, on_host
from padless.ragged import Ragged
from padless.text.fingerprints import buckets, crossed, farmhash64
from padless.text.splitting import utf8


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
        self.salt = two_numbers(self.place, "salt", salt)
        self.output_mode = word(self.place, "output_mode", output_mode, ("int", "one_hot", "multi_hot", "count"))
        refuse_sparse(self.place, sparse)

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
        texts = utf8(keys)
        bins = buckets(texts, self.num_bins - masks, self.salt)
        if masks:
            own = self.mask_value.encode() if isinstance(self.mask_value, str) else self.mask_value
            same = [text == own for text in texts] if isinstance(own, bytes) else (flat == own).tolist()
            bins = np.where(np.asarray(same, np.bool_), 0, bins + 1)
        bins = bins.reshape(values.shape)
        return encoded(x.with_flat_values(bins) if isinstance(x, Ragged) else bins, self.output_mode, self.num_bins)


_SEED = 0xDECAFCAFFE
"""What TensorFlow's cross_hashed begins with."""


class HashedCrossing(HostLayer):
    """Put each pair (or more) of keys into a bin by its hash.

    Args:
        num_bins: number of bins.
        output_mode: "int", or "one_hot".
        sparse: must be False.
        **kwargs: name, dtype.

    Shapes:
        A list of texts or whole numbers, each (B,) or (B, 1), or rows (B, None) that have the same partition, to int64
        of the same shape; or float32 (B, num_bins), rows (B, None, num_bins).

    Raises:
        ArgumentError: for fewer than two inputs.
        ShapeError: for inputs of different shapes.

    Example:
        >>> HashedCrossing(num_bins=5)([["A", "B", "A"], [101, 101, 102]]).tolist()
        [1, 4, 3]

    Source: Keras 3.15.
    """

    merges = True

    def __init__(self, num_bins: int, output_mode: str = "int", sparse: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_bins = positive(self.place, "num_bins", num_bins)
        self.output_mode = word(self.place, "output_mode", output_mode, ("int", "one_hot"))
        refuse_sparse(self.place, sparse)

    def prepare(self, x: Any) -> OnHost:
        """Hash the pairs.

        Args:
            x: the keys of each input.

        Returns:
            Bins, as output_mode says.
        """
        if not isinstance(x, list | tuple) or len(x) < 2:
            got = f"{len(x)}" if isinstance(x, list | tuple) else type(x).__name__
            raise ArgumentError(explain(self.place, expected="at least two inputs", got=got, fix="layer([a, b])"))
        parts = [on_host(part, self.place) for part in x]
        first = parts[0]
        shapes = [part.shape for part in parts]
        same = all(
            part.rows.same_steps(first.rows) if isinstance(part, Ragged) and isinstance(first, Ragged) else True
            for part in parts
        )
        if len(set(shapes)) > 1 or not same:
            got = ", ".join(map(str, shapes)) if len(set(shapes)) > 1 else "rows of other lengths"
            fix = "one key of each for a pair"
            raise ShapeError(explain(self.place, expected="inputs of one shape", got=got, fix=fix))
        keys = [(part.flat_values if isinstance(part, Ragged) else part).reshape(-1).tolist() for part in parts]
        bins = np.fromiter(map(self._bin, zip(*keys, strict=True)), np.int64, len(keys[0]))
        made = first.with_flat_values(bins) if isinstance(first, Ragged) else bins.reshape(first.shape)
        return encoded(made, self.output_mode, self.num_bins)

    def _bin(self, keys: tuple[Any, ...]) -> int:
        made = _SEED
        for key in keys:
            # As there: whole numbers as they are, texts by their fingerprint.
            made = crossed(made, key & (2**64 - 1) if isinstance(key, int) else farmhash64(utf8([key])[0]))
        return made % self.num_bins
