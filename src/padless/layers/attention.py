"""Attention: every step of a row looks at the live steps of the same row, of this or of another input."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, ClassVar

from padless import activations, backends, constraints, initializers, random, regularizers
from padless.errors import ArgumentError, DataError, MaskError, NotThereYetError, PadlessError, ShapeError, explain
from padless.layer import Array, Layer
from padless.layers.arguments import positive, require_features, require_rank, share, word
from padless.ragged import Ragged
from padless.rows import PairRows, RowPartition, require_same_steps
from padless.spec import Spec

_SIZES = ("row_lengths", "counts_of_queries")
"""What says of pairs how many queries and keys each row has."""


class AcrossRows(Layer):
    """What layers share that read two inputs or three, of which the rows with the same number belong together."""

    view = "ragged"
    merges = True
    reads = "floats"

    def _dispatch(self, x: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # Arrays (B, T, D) are rows of one length.
        dense = not isinstance(x[0], Ragged)
        made = self.call([one if isinstance(one, Ragged) else Ragged.from_padded(one) for one in x], *args, **kwargs)
        if not dense:
            return made
        return tuple(part.to_padded() for part in made) if isinstance(made, tuple) else made.to_padded()

    def _masks(self, inputs: list[Any], mask: Any, of_query: Any, of_value: Any, of_key: Any) -> Any:
        """The masks of the inputs; key and value share theirs, and so does a query that is the value."""
        if of_query is None and of_value is None and of_key is None:
            return mask
        if mask is not None:
            raise ArgumentError(
                explain(
                    self.place,
                    expected="mask= for all inputs, or one for each",
                    got="both",
                    fix="query_mask= and value_mask=",
                )
            )
        of_both = of_key if of_value is None else of_value if of_key is None else of_value & of_key
        if len(inputs) > 1 and inputs[0] is inputs[1]:
            of_query = of_both if of_query is None else of_query
            of_both = of_query if of_both is None else of_both
        return [of_query, *([of_both] * (len(inputs) - 1))]

    def _require_fitting(self, query: RowPartition, value: RowPartition, key: RowPartition | None = None) -> None:
        if key is not None and key is not value:
            require_same_steps(self.place, value, key)
        if query.nrows != value.nrows:
            raise DataError(
                explain(
                    self.place,
                    expected="as many rows in the value as in the query: each row attends to its own",
                    got=f"{query!r} and {value!r}: {query.nrows} rows against {value.nrows}",
                    fix="give both for the same sequences, in the same order",
                )
            )

    def _refuse(self, name: str, value: Any, fix: str) -> None:
        raise NotThereYetError(
            explain(f"{self.place}: {name}", expected="nothing", got=f"{value!r}, which is not there yet", fix=fix)
        )

    def _seed_for(self, seed: int | None) -> tuple[int, ...]:
        key = random.key(self._path or self.name)
        return key if seed is None else (seed, *key)


def pair_mask(layer: Layer, mask: Any, query: RowPartition, value: RowPartition, heads: int) -> Array | None:
    """Read which pairs of a query and a key see each other.

    Args:
        layer: for errors, and for its backend.
        mask: a Ragged of pairs; a list of arrays (n, m) or (H, n, m), one for each row; an array (T, S), (B, T, S) or
            (B, H, T, S) as long as the inputs are when padded, of which any of B and H may be 1; or None.
        query: rows of the queries.
        value: rows of the keys.
        heads: H.

    Returns:
        (P, 1) or (P, H) bool for the pairs `query.pairs(value)`, or None.

    Raises:
        ShapeError: when the mask has another rank or size.
        DataError: when its rows are others.
    """
    if mask is None:
        return None
    where, backend = f"{layer.place}: attention_mask", layer.backend
    pairs = query.pairs(value)
    if isinstance(mask, list | tuple):
        try:
            mask = Ragged.from_pairs(mask)
        except PadlessError as wrong:
            raise type(wrong)(f"{where}: {wrong}") from None
    if isinstance(mask, Ragged) and isinstance(mask.values, Ragged):
        raise MaskError(
            explain(
                where,
                expected="an entry for each pair of steps",
                got=f"rows within rows, {mask!r}",
                fix="Ragged.from_pairs of arrays (n, m), in a subclassed model; or Input((T, S)) for one size",
            )
        )
    if isinstance(mask, Ragged):
        mask = mask if backend.is_array(mask.values) else mask.with_values(backend.asarray(mask.values))
        seen = _ragged_mask(where, mask, pairs, heads)
    else:
        array = backend.asarray(mask if backend.is_array(mask) else backends.of(mask).to_host(mask))
        seen = _padded_mask(where, array, query, value, heads)
        flat = backend.xp.reshape(seen, (-1, seen.shape[-1]))
        seen = backend.xp.take(flat, backend.index(pairs, "padded_index"), axis=0)
    return backend.cast(seen, "bool")


def _ragged_mask(where: str, mask: Ragged, pairs: RowPartition, heads: int) -> Array:
    backend, seen = backends.of(mask.values), mask.values
    if mask.rows is not pairs:
        _require_pairs(where, mask, pairs)
        # What fills a compiled batch up may be more on one side; the pairs themselves come first on both.
        spare = pairs.nvals - seen.shape[0]
        if spare > 0:
            more = backend.xp.zeros((spare, *seen.shape[1:]), dtype=seen.dtype, device=backend.device_of(seen))
            seen = backend.xp.concat([seen, more])
        seen = seen[: pairs.nvals]
    if seen.ndim == 1:
        seen = backend.xp.expand_dims(seen, axis=-1)
    if seen.ndim != 2 or seen.shape[1] not in (1, heads):
        raise ShapeError(
            explain(
                where,
                expected=f"one bool for each pair, or one for each of {heads} heads",
                got=f"values of shape {tuple(mask.values.shape)}",
                fix="Ragged.from_pairs of arrays (n, m)",
            )
        )
    return seen


def _require_pairs(where: str, mask: Ragged, pairs: RowPartition) -> None:
    """Raise unless a mask has the pairs of the inputs."""
    if isinstance(mask.rows, PairRows) and mask.rows.same_steps(pairs):
        return
    backend = backends.of(mask.values)
    if backend.is_traced(mask.values):
        # Inside of a compiled step the lengths are arrays; where they differ, the step runs again outside, and raises.
        sizes = zip(*([backend.index(rows, name)[:-1] for name in _SIZES] for rows in (mask.rows, pairs)), strict=True)
        if mask.rows.nrows == pairs.nrows and all([backend.assume(mine == other) for mine, other in sizes]):
            return
    wrong: str | None = "rows of steps, not of pairs"
    if isinstance(mask.rows, PairRows) and isinstance(pairs, PairRows):
        if mask.rows.same_lengths(pairs):
            return
        wrong = f"pairs of {mask.rows.lengths_text} steps"
    assert isinstance(pairs, PairRows)
    raise DataError(
        explain(
            where,
            expected=f"pairs of {pairs.lengths_text} steps: those of the query and of the value",
            got=f"{wrong}",
            fix="Ragged.from_pairs([array of shape (n, m) for each row])",
        )
    )


def _padded_mask(where: str, mask: Array, query: RowPartition, value: RowPartition, heads: int) -> Array:
    """(B, T, S, 1 or H)."""
    xp = backends.of(mask).xp
    shape = (query.nrows, query.padded_length, value.padded_length)
    if mask.ndim in (2, 3, 4):
        full = xp.reshape(mask, (*(1,) * (3 - mask.ndim), *mask.shape))
        full = xp.expand_dims(full, axis=1) if full.ndim == 3 else full
        rows, own, *lengths = full.shape
        if rows in (1, shape[0]) and own in (1, heads) and tuple(lengths) == shape[1:]:
            return xp.permute_dims(xp.broadcast_to(full, (shape[0], own, *lengths)), (0, 2, 3, 1))
    raise ShapeError(
        explain(
            where,
            expected=f"an array (B, T, S) = {shape}, (B, H, T, S) = {(shape[0], heads, *shape[1:])}, or pairs of rows",
            got=f"shape {tuple(mask.shape)}",
            fix="Ragged.from_pairs([array of shape (n, m) for each row]) does not depend on padding",
        )
    )


class Attention(AcrossRows):
    """Let every step of a row attend to the live steps of the same row of another input, or of its own.

    softmax(score(query, key)) value, with query key^T as score, or c sum(tanh(query + key)) for "concat".

    Args:
        use_scale: whether a weight s, 1 at first, scales the products, or the sums inside of tanh.
        score_mode: "dot" or "concat".
        dropout: share of the probabilities that is zeroed in training; the others grow by 1 / (1 - dropout).
        seed: mixed into what dropout draws.
        **kwargs: name, dtype, trainable.

    Call arguments: `layer([query, value])` or `layer([query, value, key])`; key is value by default, and has its rows.
        `mask=[query_mask, value_mask]` beside padded arrays. `use_causal_mask=True` lets the i-th step of a row see the
        first i steps only. `return_attention_scores=True` returns the probabilities as well.

    Shapes:
        query (B, None, D), value (B, None, V) and key (B, None, D) to (B, None, V), with the query's rows; 0 for a row
        without anything to attend to. Scores: a Ragged of pairs, (n, m) for a row of n queries and m keys; (B, T, S)
        for arrays. Weights: scale (), concat_score_weight ().

    Raises:
        ArgumentError: when score_mode is another word, dropout is no share, or there are not two or three inputs.
        DataError: when inputs have different numbers of rows, or key and value different rows.
        ShapeError: when query and key have different features.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((2, 8)), np.ones((5, 8))])
        >>> y, scores = Attention()([x, x], return_attention_scores=True)
        >>> y.shape, [tuple(row.shape) for row in scores]
        ((2, None, 8), [(2, 2), (5, 5)])

    Source: Luong and others 2015, Effective approaches to attention-based neural machine translation.
    """

    sums = True

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_scale = use_scale
        self.score_mode = word(self.place, "score_mode", score_mode, ("dot", "concat"))
        self.dropout = share(self.place, "dropout", dropout)
        self.seed = seed

    def build(self, spec: list[Spec]) -> None:
        """Make the weights.

        Args:
            spec: of query, value and, if there is one, key.
        """
        self._require_features(spec)
        self.scale = self.add_weight("scale", (), "ones") if self.use_scale else None
        concat = self.score_mode == "concat"
        self.concat_score_weight = self.add_weight("concat_score_weight", (), "ones") if concat else None

    def _require_features(self, spec: list[Spec]) -> None:
        for one in spec:
            require_rank(self.place, one, 3)
        self.features = spec[0].features
        if spec[-1].features != self.features:
            raise ShapeError(
                explain(
                    self.place,
                    expected=f"a key of {self.features} features, as the query has",
                    got=f"{spec[-1].features}",
                    fix="layers.Dense on one of them first; MultiHeadAttention does so itself",
                )
            )

    def __call__(  # type: ignore[override]
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """Call the layer on data or on symbols; the class says how."""
        if not isinstance(inputs, list | tuple) or len(inputs) not in (2, 3):
            raise ArgumentError(
                explain(
                    self.place,
                    expected="a list [query, value] or [query, value, key]",
                    got=f"{len(inputs)} inputs" if isinstance(inputs, list | tuple) else type(inputs).__name__,
                    fix="layer([x, x]) for self-attention",
                )
            )
        if isinstance(mask, list | tuple):
            if len(mask) not in (2, 3):
                raise ArgumentError(
                    explain(
                        f"{self.place}: mask",
                        expected="a list [query_mask, value_mask]",
                        got=f"{len(mask)} masks",
                        fix="None in the place of one that there is not",
                    )
                )
            of_query, of_value, of_key = (*mask, None)[:3]
            mask = self._masks(list(inputs), None, of_query, of_value, of_key)
        said = {"return_attention_scores": return_attention_scores, "use_causal_mask": use_causal_mask}
        arguments = {name: True for name, value in said.items() if value}
        return super().__call__(list(inputs), mask=mask, training=training, **arguments)

    def call(self, x: list[Ragged], return_attention_scores: bool = False, use_causal_mask: bool = False) -> Any:
        """Attend.

        Args:
            x: query, value and, if it is another, key; (B, None, D).
            return_attention_scores: whether to return the probabilities, too.
            use_causal_mask: whether the i-th step of a row sees only the first i.

        Returns:
            (B, None, V) with the rows of the query; and a Ragged of pairs.
        """
        query, value, key = x[0], x[1], x[-1]
        self._require_fitting(query.rows, value.rows, key.rows)
        for one in (query, key):
            require_features(self.place, one.values, self.features)
        rate = self.dropout if self.training else 0.0
        seed = self._seed_for(self.seed) if rate else ()
        backend, xp = self.backend, self.xp
        values = xp.expand_dims(value.values, axis=1)
        if self.score_mode == "dot" and not return_attention_scores:
            q, k = (xp.expand_dims(one, axis=1) for one in self._scaled(query.values, key.values))
            options: dict[str, Any] = {"causal": use_causal_mask, "dropout": rate, "seed": seed}
            y = backend.attention(q, k, values, query.rows, value.rows, scale=1.0, **options)
            return query.with_values(y[:, 0])
        pairs = query.rows.pairs(value.rows)
        shares = backend.pair_shares(self._scores(query.values, key.values, pairs), pairs, causal=use_causal_mask)
        shares = backend.pair_dropout(shares, pairs, rate, seed) if rate else shares
        y = query.with_values(backend.pair_sums(shares, values, pairs)[:, 0])
        return (y, Ragged(shares[:, 0], pairs)) if return_attention_scores else y

    def _scaled(self, query: Array, key: Array) -> tuple[Array, Array]:
        return (query if self.scale is None else query * self.scale), key

    def _scores(self, query: Array, key: Array, pairs: RowPartition) -> Array:
        """(P, 1)."""
        if self.score_mode == "dot":
            q, k = (self.xp.expand_dims(one, axis=1) for one in self._scaled(query, key))
            return self.backend.pair_scores(q, k, pairs, 1.0)
        sums = self._sums(query, key, pairs)
        scores = self.xp.sum(self.xp.tanh(sums if self.scale is None else self.scale * sums), axis=-1, keepdims=True)
        return self.concat_score_weight * scores

    def _sums(self, query: Array, key: Array, pairs: RowPartition) -> Array:
        """(P, D) query + key."""
        of_queries, of_keys = (self.backend.index(pairs, name) for name in ("query_index", "key_index"))
        return self.backend.take_or(query, of_queries, 0) + self.backend.take_or(key, of_keys, 0)


class AdditiveAttention(Attention):
    """Let every step of a row attend to the live steps of the same row, by the sum of tanh(query + key).

    softmax(sum(s tanh(query + key))) value. D numbers are computed for each pair of a query and a key: for long rows,
    `Attention` and `MultiHeadAttention` take much less.

    Args:
        use_scale: whether s (D,) is a weight; else it is 1.
        dropout: share of the probabilities that is zeroed in training; the others grow by 1 / (1 - dropout).
        **kwargs: seed, name, dtype, trainable.

    Call arguments: as of `Attention`.

    Shapes:
        As of `Attention`. Weights: scale (D,).

    Raises:
        ArgumentError: when dropout is no share, or there are not two or three inputs.
        DataError: when inputs have different numbers of rows, or key and value different rows.
        ShapeError: when query and key have different features.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((2, 8)), np.ones((5, 8))])
        >>> AdditiveAttention()([x, x]).shape
        (2, None, 8)

    Source: Bahdanau and others 2015, Neural machine translation by jointly learning to align and translate.
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)
        self.score_mode = "additive"

    def build(self, spec: list[Spec]) -> None:
        """Make the weight.

        Args:
            spec: of query, value and, if there is one, key.
        """
        self._require_features(spec)
        self.scale = self.add_weight("scale", (self.features,)) if self.use_scale else None

    def _scores(self, query: Array, key: Array, pairs: RowPartition) -> Array:
        """(P, 1)."""
        grown = self.xp.tanh(self._sums(query, key, pairs))
        return self.xp.sum(grown if self.scale is None else self.scale * grown, axis=-1, keepdims=True)


class _Projection(Layer):
    """A matrix between the features of a step and heads of features, in Keras's layout: kernel (*inner, *outer)."""

    view = "steps"
    reads = "floats"

    def __init__(self, inner: tuple[int, ...], outer: tuple[int, ...], options: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = inner
        self.outer = outer
        self.options = options
        self._sizes = math.prod(inner), math.prod(outer)

    def build(self, spec: Any) -> None:
        """Make kernel and bias.

        Args:
            spec: not read: the shapes are known.
        """
        self.kernel = self._weight("kernel", (*self.inner, *self.outer))
        self.bias = self._weight("bias", self.outer) if self.options["use_bias"] else None

    def _weight(self, name: str, shape: tuple[int, ...]) -> Array:
        start, rule, limit = (self.options[f"{name}_{what}"] for what in ("initializer", "regularizer", "constraint"))
        if name == "kernel" and isinstance(start, initializers.VarianceScaling):
            start = copy.copy(start)
            if start.input_axes is None or start.output_axes is None:
                start.input_axes, start.output_axes = range(len(self.inner)), range(len(self.inner), len(shape))
        return self.add_weight(name, shape, start, regularizer=rule, constraint=limit)

    def call(self, x: Array) -> Array:
        """Project.

        Args:
            x: (N, ..., *inner).

        Returns:
            (N, ..., *outer).
        """
        backend, outer, bias, kernel = self.backend, self.outer, self.bias, self.kernel
        (columns, made), reshape = self._sizes, backend.xp.reshape
        if bias is not None and len(outer) > 1:
            bias = reshape(bias, (made,))
        if kernel.ndim > 2:
            kernel = reshape(kernel, (columns, made))
        if x.ndim == 2 and len(self.inner) == 1:  # as nearly always
            y = backend.dense(x, kernel, bias)
            return y if len(outer) == 1 else reshape(y, (x.shape[0], *outer))
        before = x.shape[: x.ndim - len(self.inner)]
        y = backend.dense(reshape(x, (math.prod(before), columns)), kernel, bias)
        return reshape(y, (*before, *outer))

    def project(self, like: Ragged, x: Array, activation: Callable[[Array], Array] | None = None) -> Array:
        """Project the steps of rows, and count what comes of it.

        Args:
            like: (B, None, ...), the rows.
            x: (N, ..., *inner), the steps.
            activation: of what comes of it.

        Returns:
            (N, ..., *outer).
        """
        y = self.call(x) if activation is None else activation(self.call(x))
        if self.activity_regularizer is not None:
            self.add_activity(like.with_values(y))
        return y


class _HeadedAttention(AcrossRows):
    """What MultiHeadAttention and GroupedQueryAttention share: H heads of queries, G heads of keys and values."""

    reads_weights_of = ("query", "key", "value", "gate", "attention_output")

    _heads: int
    _groups: int
    _widths: tuple[int, int]
    _sizes: tuple[int, ...] = ()
    _axes: tuple[int, ...] | None = None
    _counts_output: ClassVar[bool] = False
    """Whether the activity regularizer counts the output once more."""

    def __init__(self, options: dict[str, Any], **kwargs: Any) -> None:
        self._activity = regularizers.get(options.pop("activity_regularizer"))
        super().__init__(activity_regularizer=self._activity if self._counts_output else None, **kwargs)
        self.dropout = share(self.place, "dropout", options.pop("dropout"))
        window = options.pop("sliding_window")
        self.sliding_window = None if window is None else positive(self.place, "sliding_window", window)
        self.use_gate = bool(options.pop("use_gate"))
        self.seed = options.pop("seed")
        getters = {"initializer": initializers.get, "regularizer": regularizers.get, "constraint": constraints.get}
        self._options = {
            name: value if name == "use_bias" else getters[name.partition("_")[2]](value)
            for name, value in options.items()
        }

    def build(self, spec: list[Spec]) -> None:
        """Make the projections.

        Args:
            spec: of query, value and, if there is one, key.
        """
        for one in spec:
            require_rank(self.place, one, 3, least=True)
            require_rank(self.place, one, len(spec[0]))
        query, value, key = spec[0].features, spec[1].features, spec[-1].features
        self._attended = self._attention_axes(len(spec[0]))
        width, value_width = self._widths
        self.query = self._projection("query", (query,), (self._heads, width))
        self.key = self._projection("key", (key,), (self._groups, width))
        if self.use_gate:
            self.gate = self._projection("gate", (query,), (self._heads, value_width))
        self.value = self._projection("value", (value,), (self._groups, value_width))
        sizes = self._sizes or (query,)
        self.attention_output = self._projection("attention_output", (self._heads, value_width), sizes)

    def _attention_axes(self, rank: int) -> tuple[int, ...]:
        """The axes that are attended along, of (B, T, ...)."""
        given = tuple(range(1, rank - 1)) if self._axes is None else self._axes
        axes = tuple(sorted(axis + rank if axis < 0 else axis for axis in given))
        if not axes or len({*axes}) < len(axes) or not all(0 < axis < rank - 1 for axis in axes):
            raise ArgumentError(
                explain(
                    f"{self.place}: attention_axes",
                    expected=f"axes from 1, time, to {rank - 2}, each once",
                    got=repr(given),
                    fix="attention_axes=1 to attend along time",
                )
            )
        return axes

    def _projection(self, name: str, inner: tuple[int, ...], outer: tuple[int, ...]) -> _Projection:
        made = _Projection(
            inner,
            outer,
            self._options,
            name=name,
            dtype=self.dtype_policy,
            trainable=self.trainable,
            activity_regularizer=self._activity,
        )
        made._build_with(None)
        return made

    def __call__(  # type: ignore[override]
        self,
        query: Any,
        value: Any = None,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
        *,
        mask: Any = None,
    ) -> Any:
        """Call the layer on data or on symbols; the class says how."""
        inputs = list(query) if value is None and isinstance(query, list | tuple) else [query, value]
        if len(inputs) not in (2, 3) or inputs[1] is None:
            raise ArgumentError(
                explain(
                    self.place,
                    expected="a query and a value",
                    got="a query alone" if len(inputs) == 2 else f"{len(inputs)} of them",
                    fix="layer(x, x) for self-attention",
                )
            )
        inputs += [] if key is None else [key]
        masks = self._masks(inputs, mask, query_mask, value_mask, key_mask)
        said = {"use_causal_mask": use_causal_mask, "return_attention_scores": return_attention_scores}
        arguments: dict[str, Any] = {name: True for name, given in said.items() if given}
        if attention_mask is not None:
            arguments["attention_mask"] = attention_mask
        return super().__call__(inputs, mask=masks, training=training, **arguments)

    def call(
        self,
        x: list[Ragged],
        use_causal_mask: bool = False,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
    ) -> Any:
        """Attend.

        Args:
            x: query, value and, if it is another, key; (B, None, D).
            use_causal_mask: whether the i-th step of a row sees only the first i.
            attention_mask: which pairs see each other.
            return_attention_scores: whether to return the probabilities, too.

        Returns:
            (B, None, D) with the rows of the query; and a Ragged of pairs with a probability for each head.
        """
        query, value, key = x[0], x[1], x[-1]
        self._require_fitting(query.rows, value.rows, key.rows)
        for one, projection in ((query, self.query), (value, self.value), (key, self.key)):
            if one.values.shape[-1] != projection.inner[0]:
                require_features(self.place, one.values, projection.inner[0])
        if self._attended != (1,):
            asked = use_causal_mask or return_attention_scores or self.sliding_window is not None
            if asked or attention_mask is not None:
                self._refuse("attention_axes", self._attended, "attention_axes=1, where masks or scores are wanted")
            if 1 not in self._attended:
                require_same_steps(self.place, query.rows, value.rows)
        seen = pair_mask(self, attention_mask, query.rows, value.rows, self._heads)
        options: dict[str, Any] = {"causal": use_causal_mask, "window": self.sliding_window, "mask": seen}
        q, k, v = (
            layer.project(one, one.values) for layer, one in ((self.query, query), (self.key, key), (self.value, value))
        )
        if query.values.ndim > 2:
            heads, scores = self._along_axes(q, k, v, query.rows, value.rows, options, return_attention_scores)
        else:
            heads, scores = self._attend(q, k, v, query.rows, value.rows, options, return_attention_scores)
        if self.use_gate:
            heads = heads * self.gate.project(query, query.values, activations.sigmoid)
        y = query.with_values(self.attention_output.project(query, heads))
        return (y, scores) if return_attention_scores else y

    def _attend(
        self,
        q: Array,
        k: Array,
        v: Array,
        rows: RowPartition,
        value_rows: RowPartition,
        options: dict[str, Any],
        wanted: bool,
    ) -> tuple[Array, Ragged | None]:
        """(N, H, V), and the probabilities before dropout where they are wanted."""
        scale, drops, scores = self._widths[0] ** -0.5, self.training and self.dropout > 0, None
        drop: dict[str, Any] = {"dropout": self.dropout, "seed": self._seed_for(self.seed)} if drops else {}
        if wanted:
            pairs = rows.pairs(value_rows)
            products = self.backend.pair_scores(q, k, pairs, scale)
            scores = Ragged(self.backend.pair_shares(products, pairs, **options), pairs)
        return self.backend.attention(q, k, v, rows, value_rows, scale=scale, **options, **drop), scores

    def _along_axes(
        self,
        q: Array,
        k: Array,
        v: Array,
        rows: RowPartition,
        value_rows: RowPartition,
        options: dict[str, Any],
        wanted: bool,
    ) -> tuple[Array, Ragged | None]:
        """Steps have axes of their own: those attended along join time, the others stand beside the heads."""
        xp, inner = self.xp, q.ndim - 3
        along = [axis - 1 for axis in self._attended if axis > 1]
        beside = [axis for axis in range(1, inner + 1) if axis not in along]
        order, timed = (0, *along, *beside, inner + 1, inner + 2), 1 in self._attended
        moved, parts = [], []
        for x, of in ((q, rows), (k, value_rows), (v, value_rows)):
            y = xp.permute_dims(x, order)
            entries, free = math.prod(y.shape[1 : 1 + len(along)]), y.shape[1 + len(along) : -2]
            moved.append(y.shape)
            flat = xp.reshape(y, (y.shape[0], entries, math.prod(free) * y.shape[-2], y.shape[-1]))
            dense = Ragged.from_padded(flat)
            parts.append((dense.values, of.scaled(entries) if timed else dense.rows))
        free = moved[0][1 + len(along) : -2]
        if options["mask"] is not None and options["mask"].shape[1] > 1:
            options = {**options, "mask": xp.concat([options["mask"]] * math.prod(free), axis=1)}
        (q, rows), (k, value_rows), (flat_v, _) = parts
        heads, scores = self._attend(q, k, flat_v, rows, value_rows, options, wanted)
        if scores is not None:
            scores = scores.with_values(xp.reshape(scores.values, (-1, *free, self._heads)))
        back = sorted(range(len(order)), key=order.__getitem__)
        return xp.permute_dims(xp.reshape(heads, (*moved[0][:-1], v.shape[-1])), back), scores


class MultiHeadAttention(_HeadedAttention):
    """Let every step of a row attend to the live steps of the same row of another input, or of its own.

    For each of H heads: softmax(q k^T / sqrt(K)) v, with q, k and v linear in query, key and value; the heads together
    are projected once more. What is computed follows the live steps: n m scores for n steps and the m of its row.

    Args:
        num_heads: H.
        key_dim: K, features of a head for query and key.
        value_dim: V, features of a head for the value; K by default.
        dropout: share of the probabilities that is zeroed in training; the others grow by 1 / (1 - dropout).
        use_bias: whether the projections add a bias.
        output_shape: features of the output, a number or several; those of the query by default.
        attention_axes: axes of (B, T, ..., D) to attend along; all but batch and features by default. Masks, windows
            and scores go with time, axis 1, alone.
        sliding_window: W: the i-th step of a row sees only steps fewer than W places from i.
        flash_attention: taken for Keras's sake; the fastest way is taken in any case.
        kernel_initializer: of the projections' matrices.
        bias_initializer: of their biases.
        kernel_regularizer: adds a penalty on the matrices to the loss.
        bias_regularizer: adds a penalty on the biases to the loss.
        activity_regularizer: adds a penalty on what each of the projections gives to the loss, live steps alone.
        kernel_constraint: applied to the matrices after each update.
        bias_constraint: applied to the biases after each update.
        use_gate: whether to multiply each head's output with sigmoid(query gate) (Qiu and others 2025).
        seed: mixed into what dropout draws.
        **kwargs: name, dtype, trainable.

    Call arguments: `layer(query, value, key=None, ...)`; key is value by default. Each is a Ragged, a list of
        sequences, a padded array beside its `query_mask`, `value_mask` or `key_mask`, or an array (B, T, D), with as
        many rows B as the others; key and value have the same rows. `mask=` is the mask of all. `use_causal_mask=True`
        lets the i-th step of a row see the first i steps only. `attention_mask` says which pairs of a query and a key
        see each other: `Ragged.from_pairs`, a list of arrays (n, m) or (H, n, m) for rows of n queries and m keys, or
        an array (B, T, S) or (B, H, T, S), read at live steps. `return_attention_scores=True` returns the
        probabilities, before dropout, as well.

    Shapes:
        query (B, None, D), value and key (B, None, ...) to (B, None, D), with the query's rows; `output_shape` in the
        place of D. A row without anything to attend to gives the bias of the last projection. Scores: a Ragged of
        pairs, (H, n, m) for a row of n queries and m keys; (B, H, T, S) for arrays. They cost n m H numbers, which
        without them are never kept. Weights: query/kernel (D, H, K), query/bias (H, K), key/..., [gate/...,] value/...,
        attention_output/kernel (H, V, D), attention_output/bias (D,).

    Raises:
        ArgumentError: when sizes are not above 0, dropout is no share, or there is no value.
        DataError: when inputs have different numbers of rows, or key and value different rows.
        ShapeError: when steps are not vectors, or the attention mask has another shape.
        NotThereYetError: for masks, windows and scores along other `attention_axes` than time.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((2, 8)), np.ones((5, 8))])
        >>> y, scores = MultiHeadAttention(num_heads=2, key_dim=4)(x, x, return_attention_scores=True)
        >>> y.shape, [tuple(row.shape) for row in scores]
        ((2, None, 8), [(2, 2, 2), (2, 5, 5)])

    Source: Vaswani and others 2017, Attention is all you need; sliding windows: Beltagy and others 2020, Longformer.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(_projection_options(locals()), **kwargs)
        self.num_heads = positive(self.place, "num_heads", num_heads)
        self.key_dim = positive(self.place, "key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else positive(self.place, "value_dim", value_dim)
        self._heads = self._groups = self.num_heads
        self._widths = (self.key_dim, self.value_dim)
        sizes = output_shape if isinstance(output_shape, list | tuple) else (output_shape,) if output_shape else ()
        self._sizes = tuple(positive(self.place, "output_shape", size) for size in sizes)
        if attention_axes is not None:
            self._axes = tuple(attention_axes) if isinstance(attention_axes, list | tuple) else (attention_axes,)


class GroupedQueryAttention(_HeadedAttention):
    """Multi-head attention in which several heads of queries share one head of keys and values.

    With one head of keys it is multi-query attention, with as many as of queries multi-head attention.

    Args:
        head_dim: K, features of a head.
        num_query_heads: H.
        num_key_value_heads: G; H is a multiple of it.
        dropout: share of the probabilities that is zeroed in training; the others grow by 1 / (1 - dropout).
        use_bias: whether the projections add a bias.
        sliding_window: W: the i-th step of a row sees only steps fewer than W places from i.
        flash_attention: taken for Keras's sake; the fastest way is taken in any case.
        kernel_initializer: of the projections' matrices.
        bias_initializer: of their biases.
        kernel_regularizer: adds a penalty on the matrices to the loss.
        bias_regularizer: adds a penalty on the biases to the loss.
        activity_regularizer: adds a penalty on what each of the projections gives to the loss, live steps alone; and
            one more on the output of the layer, as in Keras.
        kernel_constraint: applied to the matrices after each update.
        bias_constraint: applied to the biases after each update.
        use_gate: whether to multiply each head's output with sigmoid(query gate).
        seed: mixed into what dropout draws.
        **kwargs: name, dtype, trainable.

    Call arguments: as of `MultiHeadAttention`.

    Shapes:
        query (B, None, D), value and key (B, None, ...) to (B, None, D), with the query's rows; scores as of
        `MultiHeadAttention`. Weights: query/kernel (D, H, K), query/bias (H, K), key/kernel (..., G, K), key/bias
        (G, K), [gate/...,] value/..., attention_output/kernel (H, K, D), attention_output/bias (D,).

    Raises:
        ArgumentError: when sizes are not above 0, or H is no multiple of G.
        DataError: when inputs have different numbers of rows, or key and value different rows.
        ShapeError: when steps are not vectors, or the attention mask has another shape.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((2, 8)), np.ones((5, 8))])
        >>> GroupedQueryAttention(head_dim=4, num_query_heads=4, num_key_value_heads=2)(x, x).shape
        (2, None, 8)

    Source: Ainslie and others 2023, GQA: training generalized multi-query transformer models.
    """

    _counts_output = True

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(_projection_options(locals()), **kwargs)
        self.head_dim = positive(self.place, "head_dim", head_dim)
        self.num_query_heads = positive(self.place, "num_query_heads", num_query_heads)
        self.num_key_value_heads = positive(self.place, "num_key_value_heads", num_key_value_heads)
        if self.num_query_heads % self.num_key_value_heads:
            raise ArgumentError(
                explain(
                    f"{self.place}: num_key_value_heads",
                    expected=f"a divisor of the {num_query_heads} heads of queries",
                    got=repr(num_key_value_heads),
                    fix="num_query_heads=8, num_key_value_heads=2, for example",
                )
            )
        self._heads, self._groups = self.num_query_heads, self.num_key_value_heads
        self._widths = (self.head_dim, self.head_dim)

    def build(self, spec: list[Spec]) -> None:
        """Make the projections.

        Args:
            spec: of query, value and, if there is one, key.
        """
        require_rank(self.place, spec[0], 3)
        super().build(spec)


def _projection_options(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments that both kinds of headed attention hand on."""
    names = ["use_bias", "dropout", "sliding_window", "activity_regularizer", "use_gate", "seed"]
    for part in ("kernel", "bias"):
        names += [f"{part}_{what}" for what in ("initializer", "regularizer", "constraint")]
    return {name: given[name] for name in names}
