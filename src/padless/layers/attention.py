"""Attention: every step of a row looks at the live steps of the same row, of this or of another input."""

from __future__ import annotations

import copy
import math
from typing import Any

from padless import activations, constraints, initializers, random, regularizers
from padless.errors import ArgumentError, DataError, NotThereYetError, explain
from padless.layer import Array, Layer
from padless.layers.arguments import positive, require_features, require_rank
from padless.ragged import Ragged
from padless.rows import RowPartition, require_same_steps
from padless.spec import Spec


class _Projection(Layer):
    """A matrix between the features of a step and heads of features, in Keras's layout: kernel (*inner, *outer)."""

    view = "steps"
    reads = "floats"

    def __init__(self, inner: tuple[int, ...], outer: tuple[int, ...], options: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = inner
        self.outer = outer
        self.options = options

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
            x: (N, *inner).

        Returns:
            (N, *outer).
        """
        columns = math.prod(self.inner)
        y = self.xp.reshape(x, (x.shape[0], columns)) @ self.xp.reshape(self.kernel, (columns, math.prod(self.outer)))
        y = self.xp.reshape(y, (x.shape[0], *self.outer))
        return y if self.bias is None else y + self.bias


class MultiHeadAttention(Layer):
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
        attention_axes: None or 1, time; others are not there yet.
        sliding_window: not there yet.
        flash_attention: taken for Keras's sake; the fastest way is taken in any case.
        kernel_initializer: of the projections' matrices.
        bias_initializer: of their biases.
        kernel_regularizer: adds a penalty on the matrices to the loss.
        bias_regularizer: adds a penalty on the biases to the loss.
        activity_regularizer: not there yet.
        kernel_constraint: applied to the matrices after each update.
        bias_constraint: applied to the biases after each update.
        use_gate: whether to multiply each head's output with sigmoid(query gate) (Qiu and others 2025).
        seed: mixed into what dropout draws.
        **kwargs: name, dtype, trainable.

    Call arguments: `layer(query, value, key=None, ...)`; key is value by default. Each is a Ragged, a list of
        sequences, a padded array beside its `query_mask`, `value_mask` or `key_mask`, or an array (B, T, D), with as
        many rows B as the others; key and value have the same rows. `mask=` is the mask of all. `use_causal_mask=True`
        lets the i-th step of a row see the first i steps only.

    Shapes:
        query (B, None, D), value and key (B, None, ...) to (B, None, D), with the query's rows; `output_shape` in the
        place of D. A row without anything to attend to gives the bias of the last projection. Weights: query/kernel
        (D, H, K), query/bias (H, K), key/..., [gate/...,] value/..., attention_output/kernel (H, V, D),
        attention_output/bias (D,).

    Raises:
        ArgumentError: when sizes are not above 0, dropout is no share, or there is no value.
        DataError: when inputs have different numbers of rows, or key and value different rows.
        ShapeError: when steps are not vectors.
        NotThereYetError: for `attention_mask`, `return_attention_scores`, other `attention_axes`, `sliding_window`.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((2, 8)), np.ones((5, 8))])
        >>> MultiHeadAttention(num_heads=2, key_dim=4)(x, x).shape
        (2, None, 8)

    Source: Vaswani and others 2017, Attention is all you need.
    """

    view = "ragged"
    merges = True
    reads = "floats"

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
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.num_heads = positive(self.place, "num_heads", num_heads)
        self.key_dim = positive(self.place, "key_dim", key_dim)
        self.value_dim = positive(self.place, "value_dim", value_dim) if value_dim else self.key_dim
        self.dropout = self._share(dropout)
        sizes = output_shape if isinstance(output_shape, list | tuple) else (output_shape,) if output_shape else ()
        self.output_sizes = tuple(positive(self.place, "output_shape", size) for size in sizes)
        self.use_gate = use_gate
        self.seed = seed
        if attention_axes not in (None, 1, (1,), [1]):
            self._refuse("attention_axes", attention_axes, "leave it out: steps attend along time")
        if sliding_window is not None:
            self._refuse("sliding_window", sliding_window, "leave it out")
        self._options = {
            "use_bias": use_bias,
            "kernel_initializer": initializers.get(kernel_initializer),
            "bias_initializer": initializers.get(bias_initializer),
            "kernel_regularizer": regularizers.get(kernel_regularizer),
            "bias_regularizer": regularizers.get(bias_regularizer),
            "kernel_constraint": constraints.get(kernel_constraint),
            "bias_constraint": constraints.get(bias_constraint),
        }

    def _share(self, rate: Any) -> float:
        if isinstance(rate, bool | str) or not 0 <= rate < 1:
            raise ArgumentError(
                explain(
                    f"{self.place}: dropout",
                    expected="a share from 0 up to, but not, 1",
                    got=repr(rate),
                    fix="dropout=0.1 to drop a tenth",
                )
            )
        return float(rate)

    def _refuse(self, name: str, value: Any, fix: str) -> None:
        raise NotThereYetError(
            explain(f"{self.place}: {name}", expected="nothing", got=f"{value!r}, which is not there yet", fix=fix)
        )

    def build(self, spec: list[Spec]) -> None:
        """Make the projections.

        Args:
            spec: of query, value and, if there is one, key.
        """
        for one in spec:
            require_rank(self.place, one, 3)
        query, value, key = spec[0].features, spec[1].features, spec[-1].features
        heads, width = self.num_heads, self.key_dim
        self.query = self._projection("query", (query,), (heads, width))
        self.key = self._projection("key", (key,), (heads, width))
        if self.use_gate:
            self.gate = self._projection("gate", (query,), (heads, self.value_dim))
        self.value = self._projection("value", (value,), (heads, self.value_dim))
        sizes = self.output_sizes or (query,)
        self.attention_output = self._projection("attention_output", (heads, self.value_dim), sizes)

    def _projection(self, name: str, inner: tuple[int, ...], outer: tuple[int, ...]) -> _Projection:
        made = _Projection(inner, outer, self._options, name=name, dtype=self.dtype, trainable=self.trainable)
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
        if attention_mask is not None:
            self._refuse("attention_mask", "a mask of pairs", "rows and use_causal_mask say who sees what")
        if return_attention_scores:
            self._refuse("return_attention_scores", True, "leave it out")
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
        arguments = {"use_causal_mask": True} if use_causal_mask else {}
        return super().__call__(inputs, mask=masks, training=training, **arguments)

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
        if inputs[0] is inputs[1]:
            of_query = of_both if of_query is None else of_query
            of_both = of_query if of_both is None else of_both
        return [of_query, *([of_both] * (len(inputs) - 1))]

    def _dispatch(self, x: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # Arrays (B, T, D) are rows of one length.
        dense = not isinstance(x[0], Ragged)
        made = self.call([one if isinstance(one, Ragged) else Ragged.from_padded(one) for one in x], *args, **kwargs)
        return made.to_padded() if dense else made

    def call(self, x: list[Ragged], use_causal_mask: bool = False) -> Ragged:
        """Attend.

        Args:
            x: query, value and, if it is another, key; (B, None, D).
            use_causal_mask: whether the i-th step of a row sees only the first i.

        Returns:
            (B, None, D) with the rows of the query.
        """
        query, value, key = x[0], x[1], x[-1]
        self._require_fitting(query.rows, value.rows, key.rows)
        for one, projection in ((query, self.query), (value, self.value), (key, self.key)):
            require_features(self.place, one.values, projection.inner[0])
        drops = self.training and self.dropout > 0
        heads = self.backend.attention(
            self.query.call(query.values),
            self.key.call(key.values),
            self.value.call(value.values),
            query.rows,
            value.rows,
            scale=self.key_dim**-0.5,
            causal=use_causal_mask,
            dropout=self.dropout if drops else 0.0,
            seed=self._key() if drops else (),
        )
        if self.use_gate:
            heads = heads * activations.sigmoid(self.gate.call(query.values))
        return query.with_values(self.attention_output.call(heads))

    def _key(self) -> tuple[int, ...]:
        key = random.key(self._path or self.name)
        return key if self.seed is None else (self.seed, *key)

    def _require_fitting(self, query: RowPartition, value: RowPartition, key: RowPartition) -> None:
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
