"""Embedding: a learned vector for every id."""

from __future__ import annotations

from typing import Any

import numpy as np

from padless import constraints, initializers, regularizers
from padless.errors import RowError, ShapeError, explain
from padless.forms import narrowed
from padless.layer import Array, Layer
from padless.layers.arguments import positive, require_features
from padless.ragged import Ragged
from padless.spec import Spec


class Embedding(Layer):
    """Turn ids into learned vectors.

    With `mask_zero=True`, id 0 means padding: a padded array becomes rows of its other steps, and a 0 inside a row
    becomes a hole. Everything after this layer then skips those steps. Steps of several ids each, (B, S, W), become
    rows within rows.

    Args:
        input_dim: number of ids: they go from 0 to input_dim - 1.
        output_dim: D, size of a vector.
        embeddings_initializer: of the table.
        embeddings_regularizer: adds a penalty on the table to the loss.
        embeddings_constraint: applied to the table after each update.
        mask_zero: whether steps with id 0 are masked.
        weights: (input_dim, output_dim) values of the table to start with, or a list that holds them.
        **kwargs: name, dtype, trainable. `input_length` of older Keras does nothing: rows know their lengths.

    Shapes:
        ids (B, ...) to (B, ..., D); rows (B, None, ...) to (B, None, ..., D). With mask_zero: (B, T) to rows
        (B, None, D), (B, S, W) to rows within rows (B, None, None, D). Weights: embeddings (input_dim, D).

    Raises:
        ArgumentError: when a size is not a whole number above 0.
        DTypeError: when the ids are floats.
        DataError: when an id is outside the table; it names the id, its row and its step. Not looked for where that
            would stall the device.
        ShapeError: when `weights` has another shape.

    Example:
        >>> import numpy as np
        >>> Embedding(10, 4)([[1, 2], [3]])[0].shape[1]
        4
        >>> Embedding(10, 4, mask_zero=True)(np.array([[0, 7], [8, 9]])).rows.row_lengths.tolist()
        [1, 2]
    """

    view = "steps"
    reads = "ids"
    sums = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("input_length", None)
        super().__init__(**kwargs)
        self.input_dim = positive(self.place, "input_dim", input_dim)
        self.output_dim = positive(self.place, "output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.makes_mask = mask_zero
        if weights is not None:
            self.embeddings_initializer = initializers.get(self._table(weights))
            self._arguments = {**self._arguments, "weights": None}  # the file holds the table already

    def _table(self, weights: Any) -> np.ndarray[Any, Any]:
        table = np.asarray(weights[0] if isinstance(weights, list | tuple) and len(weights) == 1 else weights)
        if table.shape != (self.input_dim, self.output_dim):
            raise ShapeError(
                explain(
                    f"{self.place}: weights",
                    expected=f"shape {(self.input_dim, self.output_dim)}, input_dim and output_dim",
                    got=f"shape {table.shape}",
                    fix="one row for each id, id 0 included",
                )
            )
        return table

    def build(self, spec: Spec) -> None:
        """Make the table.

        Args:
            spec: of the input.
        """
        self.embeddings = self.add_weight(
            "embeddings",
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
            looked_up=True,
        )

    def call(self, x: Array) -> Array:
        """Look the ids up.

        Args:
            x: (N, ...) ids.

        Returns:
            (N, ..., D).
        """
        ids = self.xp.reshape(x * 0 if self.tracing else x, (-1,))
        return self.xp.reshape(self.backend.lookup(self.embeddings, ids), (*x.shape, self.output_dim))

    def compute_mask(self, x: Array, mask: Any = None) -> Array | None:
        """Say which ids are real.

        Args:
            x: ids, an array or rows.
            mask: not used.

        Returns:
            Bools like x, True where the id is not 0; None without `mask_zero`.
        """
        if not self.mask_zero:
            return None
        return (x if isinstance(x, Ragged) else self.backend.asarray(x)) != 0

    def _prepared(self, x: Any) -> Any:
        x = super()._prepared(x)
        lowest = None if self.tracing else self._require_known(x)
        if not self.mask_zero or (isinstance(x, Ragged) and lowest is not None and lowest > 0):
            return x  # no step is masked
        return self._masked(x)

    def _masked(self, x: Any) -> Ragged:
        if isinstance(x, Ragged):
            if x.values.ndim > 1:
                return x.with_values(self._masked(x.values))
            return x if self.tracing else narrowed(x, x.values != 0, self.place)
        if x.ndim < 2:
            raise ShapeError(
                explain(
                    self.place,
                    expected="one id for each step, (B, T), with mask_zero=True",
                    got=f"shape {tuple(x.shape)}",
                    fix="mask_zero=False, or x[None] for one sequence",
                )
            )
        if x.ndim == 2:
            return self._masked(Ragged.from_padded(x))
        mask = x != 0
        if self.tracing or self.backend.assume(mask):
            return Ragged.from_padded(x, np.ones(tuple(x.shape), np.bool_))
        return Ragged.from_padded(x, mask)

    def _require_known(self, x: Any) -> int | None:
        """Raise unless all ids are known; gives the lowest of them, where that can be found out."""
        values = x.flat_values if isinstance(x, Ragged) else x
        if self.backend.is_traced(values):
            self.backend.assume((values >= 0) & (values < self.input_dim))
            return None
        bounds = self.backend.bounds(values)
        if bounds is None:
            return None
        if bounds[0] >= 0 and bounds[1] < self.input_dim:
            return bounds[0]
        ids = self.backend.to_host(values)
        first = tuple(int(n) for n in np.argwhere((ids < 0) | (ids >= self.input_dim))[0])
        wrong, where = int(ids[first]), first
        if isinstance(x, Ragged):
            where = (int(x.rows.value_rowids[first[0]]), int(x.rows.positions[first[0]]), *first[1:])
        words = ("row", "step", "place", "place", "place")
        larger = f"input_dim={bounds[1] + 1}" if bounds[1] >= self.input_dim else "ids from 0 on"
        raise RowError(
            explain(
                self.place,
                expected=f"ids of the vocabulary, which has {self.input_dim}, 0 to {self.input_dim - 1}",
                got=f"id {wrong} in " + ", ".join(f"{name} {at}" for name, at in zip(words, where, strict=False)),
                fix=f"{larger}; or give the tokenizer num_words={self.input_dim}",
            ),
            where[0],
        )


class ReversibleEmbedding(Embedding):
    """Give each id a learned vector, and, called with `reverse=True`, each vector a score for every id.

    The scores are x E^T, with the table E that looks ids up, or with one of their own. A language model that ends with
    the table it begins with needs half as many weights (Press and Wolf 2017, https://arxiv.org/abs/1608.05859).

    Args:
        input_dim: number of ids: they go from 0 to input_dim - 1.
        output_dim: D, size of a vector.
        tie_weights: whether scores are made with the same table.
        embeddings_initializer: of the table.
        embeddings_regularizer: adds a penalty on the table to the loss.
        embeddings_constraint: applied to the table after each update.
        mask_zero: whether steps with id 0 are masked.
        reverse_dtype: in which scores are computed; the layer's by default.
        logit_soft_cap: c, so that scores s become c tanh(s / c); None for no such bound.
        **kwargs: name, dtype, trainable.

    Shapes:
        ids (B, ...) to (B, ..., D); with `reverse=True` (B, ..., D) to (B, ..., input_dim); rows are kept. Weights:
        embeddings (input_dim, D), and reverse_embeddings (D, input_dim) if they are not tied.

    Raises:
        DataError: as `Embedding`.
        ShapeError: when vectors have another width than D.

    Example:
        >>> layer = ReversibleEmbedding(10, 4)
        >>> vectors = layer([[1, 2], [3]])
        >>> [tuple(row.shape) for row in layer(vectors, reverse=True)]
        [(2, 10), (1, 10)]
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: str | None = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer,
            embeddings_regularizer,
            embeddings_constraint,
            mask_zero,
            **kwargs,
        )
        self.tie_weights = tie_weights
        self.reverse_dtype = reverse_dtype
        self.logit_soft_cap = logit_soft_cap

    def build(self, spec: Spec) -> None:
        """Make the table, and the one for scores.

        Args:
            spec: of the input.
        """
        super().build(spec)
        # A tied table makes the scores of all ids, too: no step leaves a row of it alone.
        self._weights["embeddings"].looked_up = not self.tie_weights
        if not self.tie_weights:
            shape = (self.output_dim, self.input_dim)
            self.reverse_embeddings = self.add_weight("reverse_embeddings", shape, self.embeddings_initializer)

    def call(self, x: Array, reverse: bool = False) -> Array:
        """Look ids up, or give scores.

        Args:
            x: (N, ...) ids, or (N, ..., D) vectors.
            reverse: whether to give scores.

        Returns:
            (N, ..., D), or (N, ..., input_dim).
        """
        if not reverse:
            return super().call(x)
        require_features(self.place, x, self.output_dim)
        kernel = self.embeddings.T if self.tie_weights else self.reverse_embeddings
        dtype = self.reverse_dtype or self.compute_dtype
        scores = self.backend.cast(x, dtype) @ self.backend.cast(kernel, dtype)
        cap = self.logit_soft_cap
        return scores if cap is None else cap * self.xp.tanh(scores / cap)

    def _computed(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # Scores are a product, whose dtype `call` says itself; what is looked up comes out of the table as it is.
        reverse = kwargs.get("reverse", args[0] if args else False)
        return self._dispatch(x, args, kwargs) if reverse else super()._computed(x, args, kwargs)

    def _run(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        # Vectors are no ids: there is nothing to be looked up or masked.
        reverse = kwargs.get("reverse", args[0] if args else False)
        return self._run_prepared(x, args, kwargs) if reverse else super()._run(x, *args, **kwargs)
