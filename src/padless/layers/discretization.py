"""Numbers and ids as categories: Discretization and CategoryEncoding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from padless.errors import ArgumentError, DataError, NotBuiltError, explain
from padless.layer import Array, Layer
from padless.layers.arguments import positive, refuse_sparse, word
from padless.layers.host import batches
from padless.ragged import Ragged, require_same_rows

_MODES = ("one_hot", "multi_hot", "count")


class Categories(Layer):
    """What both layers share: ids written as one_hot, or each row's, or the last axis's, together."""

    view = "ragged"
    sums = True
    output_mode: str

    def __init__(self, output_mode: str, known: tuple[str, ...], sparse: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = "multi_hot" if output_mode == "binary" else output_mode
        self.output_mode = word(self.place, "output_mode", given, known)
        refuse_sparse(self.place, sparse)

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # Arrays of any rank may come, and their last axis is then what a row is: no uniform rows are made of them.
        return self.call(x, *args, **kwargs)

    def written(self, ids: Any, depth: int, weights: Any = None) -> Any:
        """Ids as output_mode says.

        Args:
            ids: whole numbers (...), or rows of them.
            depth: width of the result.
            weights: of each id, for "count".

        Returns:
            (..., depth) floats; (B, depth) for rows, but for "one_hot".
        """
        xp, backend = self.xp, self.backend
        if self.output_mode == "int":
            return ids
        values = ids.values if isinstance(ids, Ragged) else ids
        if self.output_mode == "one_hot" and not isinstance(ids, Ragged) and ids.ndim > 1 and ids.shape[-1] == 1:
            values = values[..., 0]
        numbers = backend.asarray(np.arange(depth, dtype=np.int64))
        hot = backend.cast(xp.expand_dims(backend.cast(values, "int64"), axis=-1) == numbers, self.call_dtype)
        if self.output_mode == "one_hot":
            return ids.with_values(hot) if isinstance(ids, Ragged) else hot
        if weights is not None:
            hot = hot * xp.expand_dims(backend.cast(weights, self.call_dtype), axis=-1)
        if isinstance(ids, Ragged):
            counted = backend.segment_sum(hot, ids.rows)
        else:
            counted = xp.sum(hot, axis=max(hot.ndim - 2, 0))
        return backend.cast(counted > 0, self.call_dtype) if self.output_mode == "multi_hot" else counted


class CategoryEncoding(Categories):
    """Write ids of categories as vectors with a place for each.

    Args:
        num_tokens: number of categories.
        output_mode: "one_hot" for each id; "multi_hot" (1 where it is there) or "count" for the ids of a row, or of the
            last axis, together.
        sparse: must be False.
        **kwargs: name, dtype.

    Shapes:
        Ids (...,) to (..., num_tokens); (..., T) or rows (B, None) to (..., num_tokens), (B, num_tokens) together.

    Call arguments: `count_weights=`, a weight for each id, for "count".

    Raises:
        ArgumentError: without num_tokens, or for weights beside another mode than "count".
        DataError: for an id below 0, or num_tokens and above; on compiled backends it counts nowhere.

    Example:
        >>> import numpy as np
        >>> np.asarray(CategoryEncoding(num_tokens=4, output_mode="count")(np.array([[3, 0, 3]]))).tolist()
        [[1.0, 0.0, 0.0, 2.0]]

    Source: Keras 3.15.
    """

    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot", sparse: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(output_mode, _MODES, sparse, **kwargs)
        if num_tokens is None:
            fix = "num_tokens=largest id + 1; or Hashing, StringLookup, which know how many there are"
            raise ArgumentError(explain(self.place, expected="num_tokens", got="none", fix=fix))
        self.num_tokens = positive(self.place, "num_tokens", num_tokens)

    def call(self, x: Any, count_weights: Any = None) -> Any:
        """Encode.

        Args:
            x: ids (...), or rows of them.
            count_weights: (...) a weight for each.

        Returns:
            (..., num_tokens), or (B, num_tokens).
        """
        if count_weights is not None and self.output_mode != "count":
            got, fix = f"output_mode={self.output_mode!r}", 'output_mode="count", or no weights'
            raise ArgumentError(explain(self.place, expected="count_weights with 'count' alone", got=got, fix=fix))
        values = x.values if isinstance(x, Ragged) else x
        bounds = None if self.tracing else self.backend.bounds(self.backend.cast(values, "int64"))
        if bounds is not None and (bounds[0] < 0 or bounds[1] >= self.num_tokens):
            got = str(bounds[0] if bounds[0] < 0 else bounds[1])
            fix = "num_tokens=largest id + 1"
            raise DataError(explain(self.place, expected=f"ids from 0 to {self.num_tokens - 1}", got=got, fix=fix))
        weights = count_weights
        if isinstance(weights, Ragged):
            require_same_rows(self.place, x, weights)
            weights = weights.values
        elif isinstance(x, Ragged) and weights is not None:
            weights = Ragged.from_list(weights) if isinstance(weights, list) else weights
            weights = weights.values if isinstance(weights, Ragged) else weights
        return self.written(x, self.num_tokens, None if weights is None else self.backend.asarray(weights))


class Discretization(Categories):
    """Put numbers into bins: the number of boundaries that are not above them.

    Args:
        bin_boundaries: ascending; None to learn them by `adapt`.
        num_bins: how many bins `adapt` makes, each with about as many numbers.
        epsilon: how exact the boundaries are that it finds, as a share of the numbers.
        output_mode: "int"; "one_hot" for each number; "multi_hot" or "count" for those of a row, or of the last axis.
        sparse: must be False.
        **kwargs: name, dtype.

    Shapes:
        (...) or rows (B, None, ...) to whole numbers of the same shape; or as of `CategoryEncoding`.

    Raises:
        ArgumentError: for both boundaries and a number of bins, or neither.
        NotBuiltError: before there are boundaries.

    Example:
        >>> import numpy as np
        >>> np.asarray(Discretization(bin_boundaries=[0.0, 1.0])(np.array([-1.5, 0.0, 3.4]))).tolist()
        [0, 1, 2]

    Source: Keras 3.15; quantiles of a stream by merged summaries, Greenwald and Khanna 2001.
    """

    reads = "floats"

    def __init__(
        self,
        bin_boundaries: Any = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(output_mode, ("int", *_MODES), sparse, **kwargs)
        if (bin_boundaries is None) == (num_bins is None):
            got = "neither" if num_bins is None else "both"
            fix = "bin_boundaries=[0.0, 1.0], or num_bins=10 and adapt(numbers)"
            raise ArgumentError(explain(self.place, expected="bin_boundaries or num_bins", got=got, fix=fix))
        self.num_bins = num_bins
        self.epsilon = epsilon
        self.bin_boundaries: list[float] | None = None if bin_boundaries is None else [float(b) for b in bin_boundaries]
        self.reset_state()

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find boundaries between which there are about equally many numbers.

        Args:
            data: an array, a Ragged (its live steps count), or anything that yields such batches.
            steps: batches to read; None for all.

        Raises:
            ArgumentError: when boundaries were given.
        """
        if self.num_bins is None:
            got, fix = "bin_boundaries", "num_bins=10 in their place"
            raise ArgumentError(explain(f"{self.place}: adapt", expected="a number of bins", got=got, fix=fix))
        self.reset_state()
        for batch in batches(data, steps, self.place):
            self.update_state(batch)
        self.finalize_state()

    def reset_state(self) -> None:
        """Forget the numbers that were seen."""
        self._summary = np.zeros((2, 0), np.float32)

    def update_state(self, data: Any) -> None:
        """Look at some numbers.

        Args:
            data: an array or a Ragged.
        """
        values = data.numpy().flat_values if isinstance(data, Ragged) else np.asarray(data)
        merged = np.concatenate([_summary(values.astype(np.float32).reshape(-1), self.epsilon), self._summary], axis=1)
        self._summary = _compressed(merged[:, np.argsort(merged[0])], self.epsilon)

    def finalize_state(self) -> None:
        """Choose the boundaries."""
        if self.num_bins is not None and self._summary.size:
            self.bin_boundaries = _compressed(self._summary, 1.0 / self.num_bins)[0, :-1].tolist()

    def call(self, x: Any) -> Any:
        """Find the bins.

        Args:
            x: (...), or rows of numbers.

        Returns:
            Whole numbers, or what output_mode says.
        """
        if self.bin_boundaries is None and not self.tracing:
            fix = "layer.adapt(numbers), or bin_boundaries=[0.0, 1.0]"
            raise NotBuiltError(explain(self.place, expected="boundaries", got="none", fix=fix))
        bounds = self.bin_boundaries if self.bin_boundaries is not None else [0.0] * ((self.num_bins or 1) - 1)
        values = x.values if isinstance(x, Ragged) else x
        bins = self._bins(values, self.backend.asarray(np.asarray(bounds, self.call_dtype)))
        return self.written(x.with_values(bins) if isinstance(x, Ragged) else bins, len(bounds) + 1)

    def _bins(self, values: Array, bounds: Array) -> Array:
        # Whole numbers have no gradient: none is recorded.
        flat = self.xp.reshape(self.backend.stop_gradient(values), (-1,))
        found = self.xp.searchsorted(bounds, flat, side="right")
        return self.backend.cast(self.xp.reshape(found, values.shape), "int64")

    def get_config(self) -> dict[str, Any]:
        """The arguments; boundaries that were learned are among them."""
        learned = self.num_bins is not None and self.bin_boundaries is not None
        return super().get_config() | ({"bin_boundaries": self.bin_boundaries} if learned else {})

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Discretization:
        """Make a layer of what `get_config` gave."""
        given = dict(config)
        learned = given.pop("bin_boundaries") if given.get("num_bins") is not None else None
        made = super().from_config(given)
        assert isinstance(made, Discretization)
        if learned is not None:
            made.bin_boundaries = [float(bound) for bound in learned]
        return made


def _summary(values: NDArray[np.float32], epsilon: float) -> NDArray[np.float32]:
    """(2, n) every so many of the sorted numbers, and how many each stands for."""
    step = max(len(values) * epsilon, 1.0)
    chosen = np.sort(values)[int(step - 1) :: int(step)]
    return np.stack([chosen, np.full_like(chosen, step)])


def _compressed(summary: NDArray[np.float32], epsilon: float) -> NDArray[np.float32]:
    """A summary of 1 / epsilon numbers, found between those that there are by how many stand before them."""
    if summary.shape[1] * epsilon < 1:
        return summary
    before = summary[1].cumsum()
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    numbers = np.interp(shares, before / before[-1], summary[0])
    counts = np.diff(np.interp(shares, before / before[-1], before), prepend=0.0)
    return np.stack([numbers, counts]).astype(np.float32)
