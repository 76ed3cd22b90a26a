"""Blocks of a transformer: attention and two dense layers, each around a sum and a normalization."""

from __future__ import annotations

from typing import Any

from padless import activations, initializers, regularizers
from padless.errors import ArgumentError, ShapeError, explain
from padless.layer import Layer
from padless.layers.arguments import positive, require_rank, share
from padless.layers.attention import AcrossRows, MultiHeadAttention
from padless.layers.dense import Dense
from padless.layers.dropout import Dropout
from padless.layers.normalization import LayerNormalization
from padless.ragged import Ragged
from padless.spec import Spec


class _Block(Layer):
    """What encoder and decoder share."""

    view = "ragged"
    reads = "floats"

    feedforward_intermediate_dense: Dense
    feedforward_output_dense: Dense

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float,
        activation: Any,
        layer_norm_epsilon: float,
        normalize_first: bool,
        options: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.intermediate_dim = positive(self.place, "intermediate_dim", intermediate_dim)
        self.num_heads = positive(self.place, "num_heads", num_heads)
        self.dropout = share(self.place, "dropout", dropout)
        self.activation = activations.get(activation)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.normalize_first = normalize_first
        getters = {"initializer": initializers.get, "regularizer": regularizers.get}
        self._options: dict[str, Any] = {
            name: getters[name.partition("_")[2]](value) for name, value in options.items()
        }

    def _common(self, name: str) -> dict[str, Any]:
        return {"name": name, "dtype": self.dtype_policy, "trainable": self.trainable}

    def _attention(self, name: str, query: Spec, value: Spec) -> MultiHeadAttention:
        for one in (query, value):
            require_rank(self.place, one, 3)
        if query.features < self.num_heads:
            raise ShapeError(
                explain(
                    self.place,
                    expected=f"at least {self.num_heads} features, one for each head",
                    got=f"shape {tuple(query)}",
                    fix=f"num_heads={query.features}, or more features",
                )
            )
        options = {**self._options, **self._common(name)}
        made = MultiHeadAttention(self.num_heads, query.features // self.num_heads, dropout=self.dropout, **options)
        made._build_with([query, value])
        return made

    def _norm(self, name: str, spec: Spec) -> LayerNormalization:
        made = LayerNormalization(epsilon=self.layer_norm_epsilon, **self._common(name))
        made._build_with(spec)
        return made

    def _drop(self, name: str) -> Dropout:
        return Dropout(self.dropout, **self._common(name))

    def _dense(self, name: str, units: int, width: int, activation: Any = None) -> Dense:
        made = Dense(units, activation, **self._options, **self._common(name))
        made._build_with(Spec((None, None, width), self.dtype))
        return made

    def _around(self, x: Ragged, norm: LayerNormalization, drop: Dropout, inner: Any) -> Any:
        """The sum of x and inner(x), normalized before or after; and what else `inner` gave."""
        y, extra = inner(norm(x) if self.normalize_first else x)
        y = drop(y) + x
        return (y if self.normalize_first else norm(y)), extra

    def _forward(self, x: Ragged) -> tuple[Ragged, None]:
        return self.feedforward_output_dense(self.feedforward_intermediate_dense(x)), None


class TransformerEncoder(_Block):
    """Let the steps of each row attend to each other, then change each by two dense layers.

    Args:
        intermediate_dim: units of the first dense layer.
        num_heads: H, heads of the attention.
        dropout: share that is dropped of the attention, and of what attention and dense layers add.
        activation: of the first dense layer.
        layer_norm_epsilon: of the normalizations.
        kernel_initializer: of all matrices.
        bias_initializer: of their biases.
        kernel_regularizer: adds a penalty on the matrices to the loss.
        bias_regularizer: adds a penalty on the biases to the loss.
        activity_regularizer: adds a penalty on the output to the loss.
        normalize_first: whether to normalize what goes into attention and dense layers, rather than what comes out.
        **kwargs: name, dtype, trainable.

    Call arguments: `layer(x, padding_mask=None, attention_mask=None, return_attention_scores=False)`; padding_mask
        (B, T) beside a padded array, the others as of `MultiHeadAttention`.

    Shapes:
        (B, None, D) to the same; scores as of `MultiHeadAttention`. Weights: those of self_attention_layer,
        self_attention_layer_norm, feedforward_layer_norm, feedforward_intermediate_dense, feedforward_output_dense.

    Raises:
        ArgumentError: when sizes are not above 0, or dropout is no share.
        ShapeError: when steps are not vectors of at least H features.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((2, 8)), np.ones((5, 8))])
        >>> TransformerEncoder(intermediate_dim=16, num_heads=2)(x).shape
        (2, None, 8)

    Source: Vaswani and others 2017; arguments and weights as in keras_hub.layers.TransformerEncoder.
    """

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float = 0,
        activation: Any = "relu",
        layer_norm_epsilon: float = 1e-05,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        normalize_first: bool = False,
        **kwargs: Any,
    ) -> None:
        options = {
            "kernel_initializer": kernel_initializer,
            "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer,
            "bias_regularizer": bias_regularizer,
        }
        sizes = (intermediate_dim, num_heads, dropout, activation, layer_norm_epsilon, normalize_first)
        super().__init__(*sizes, options, activity_regularizer=activity_regularizer, **kwargs)

    def build(self, spec: Spec) -> None:
        """Make the layers.

        Args:
            spec: of the input.
        """
        self.self_attention_layer = self._attention("self_attention_layer", spec, spec)
        self.self_attention_layer_norm = self._norm("self_attention_layer_norm", spec)
        self.self_attention_dropout = self._drop("self_attention_dropout")
        self.feedforward_layer_norm = self._norm("feedforward_layer_norm", spec)
        width, between = spec.features, self.intermediate_dim
        self.feedforward_intermediate_dense = self._dense(
            "feedforward_intermediate_dense", between, width, self.activation
        )
        self.feedforward_output_dense = self._dense("feedforward_output_dense", width, between)
        self.feedforward_dropout = self._drop("feedforward_dropout")

    def __call__(  # type: ignore[override]
        self,
        inputs: Any,
        padding_mask: Any = None,
        attention_mask: Any = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        *,
        mask: Any = None,
    ) -> Any:
        """Call the layer on data or on symbols; the class says how."""
        arguments: dict[str, Any] = {"return_attention_scores": True} if return_attention_scores else {}
        if attention_mask is not None:
            arguments["attention_mask"] = attention_mask
        live = padding_mask if mask is None else mask
        return super().__call__(inputs, mask=live, training=training, **arguments)

    def call(self, x: Ragged, attention_mask: Any = None, return_attention_scores: bool = False) -> Any:
        """Encode.

        Args:
            x: (B, None, D).
            attention_mask: which pairs see each other.
            return_attention_scores: whether to return the probabilities, too.

        Returns:
            (B, None, D); and a Ragged of pairs.
        """

        def attend(y: Ragged) -> tuple[Any, Any]:
            options: dict[str, Any] = {"attention_mask": attention_mask}
            if return_attention_scores:
                found = self.self_attention_layer(y, y, **options, return_attention_scores=True)
                return found[0], found[1]
            return self.self_attention_layer(y, y, **options), None

        y, scores = self._around(x, self.self_attention_layer_norm, self.self_attention_dropout, attend)
        y, _ = self._around(y, self.feedforward_layer_norm, self.feedforward_dropout, self._forward)
        return (y, scores) if return_attention_scores else y


class TransformerDecoder(_Block, AcrossRows):
    """Let each step of a row attend to those before it, then to all of another sequence, then change it.

    Args:
        intermediate_dim: units of the first dense layer.
        num_heads: H, heads of the attentions.
        dropout: share that is dropped of the attentions, and of what attentions and dense layers add.
        activation: of the first dense layer.
        layer_norm_epsilon: of the normalizations.
        kernel_initializer: of all matrices.
        bias_initializer: of their biases.
        normalize_first: whether to normalize what goes into attentions and dense layers, rather than what comes out.
        **kwargs: name, dtype, trainable.

    Call arguments: `layer(decoder_sequence, encoder_sequence=None, ...)`; the two have as many rows, each with its own
        lengths: row 3 attends to row 3. Without encoder_sequence, at the first call, there is no attention to another
        sequence. `decoder_padding_mask` and `encoder_padding_mask` (B, T) beside padded arrays;
        `decoder_attention_mask` and `encoder_attention_mask` as attention_mask of `MultiHeadAttention`;
        `use_causal_mask=False` lets steps see those behind them.

    Shapes:
        (B, None, D) and (B, None, E) to (B, None, D), with the rows of the first. Weights: those of self_attention,
        self_attention_layer_norm, [cross_attention, cross_attention_layer_norm,] feedforward_intermediate_dense,
        feedforward_output_dense, feedforward_layer_norm.

    Raises:
        ArgumentError: when sizes are not above 0, dropout is no share, or the number of inputs is not that of the
            first call.
        DataError: when the sequences have different numbers of rows.
        ShapeError: when steps are not vectors of at least H features.
        NotThereYetError: for caches.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((2, 8)), np.ones((5, 8))])
        >>> memory = padless.Ragged.from_list([np.ones((4, 6)), np.ones((1, 6))])
        >>> TransformerDecoder(intermediate_dim=16, num_heads=2)(x, memory).shape
        (2, None, 8)

    Source: Vaswani and others 2017; arguments and weights as in keras_hub.layers.TransformerDecoder.
    """

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float = 0,
        activation: Any = "relu",
        layer_norm_epsilon: float = 1e-05,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        normalize_first: bool = False,
        **kwargs: Any,
    ) -> None:
        options = {"kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer}
        sizes = (intermediate_dim, num_heads, dropout, activation, layer_norm_epsilon, normalize_first)
        super().__init__(*sizes, options, **kwargs)

    def build(self, spec: list[Spec]) -> None:
        """Make the layers.

        Args:
            spec: of the sequence and, if there is one, of the encoder's.
        """
        own = spec[0]
        self.self_attention = self._attention("self_attention", own, own)
        self.self_attention_layer_norm = self._norm("self_attention_layer_norm", own)
        self.self_attention_dropout = self._drop("self_attention_dropout")
        self.crosses = len(spec) > 1
        if self.crosses:
            self.cross_attention = self._attention("cross_attention", own, spec[1])
            self.cross_attention_layer_norm = self._norm("cross_attention_layer_norm", own)
            self.cross_attention_dropout = self._drop("cross_attention_dropout")
        width, between = own.features, self.intermediate_dim
        self.feedforward_intermediate_dense = self._dense(
            "feedforward_intermediate_dense", between, width, self.activation
        )
        self.feedforward_output_dense = self._dense("feedforward_output_dense", width, between)
        self.feedforward_layer_norm = self._norm("feedforward_layer_norm", own)
        self.feedforward_dropout = self._drop("feedforward_dropout")

    def __call__(  # type: ignore[override]
        self,
        decoder_sequence: Any,
        encoder_sequence: Any = None,
        decoder_padding_mask: Any = None,
        decoder_attention_mask: Any = None,
        encoder_padding_mask: Any = None,
        encoder_attention_mask: Any = None,
        self_attention_cache: Any = None,
        self_attention_cache_update_index: Any = None,
        cross_attention_cache: Any = None,
        cross_attention_cache_update_index: Any = None,
        use_causal_mask: bool = True,
        training: bool | None = None,
        *,
        mask: Any = None,
    ) -> Any:
        """Call the layer on data or on symbols; the class says how."""
        for name, cache in (
            ("self_attention_cache", self_attention_cache),
            ("self_attention_cache_update_index", self_attention_cache_update_index),
            ("cross_attention_cache", cross_attention_cache),
            ("cross_attention_cache_update_index", cross_attention_cache_update_index),
        ):
            if cache is not None:
                self._refuse(name, "a cache", "the whole sequence so far as decoder_sequence")
        if encoder_sequence is None and isinstance(decoder_sequence, list | tuple) and _depth(decoder_sequence) > 3:
            decoder_sequence, encoder_sequence = decoder_sequence
        inputs = [decoder_sequence] if encoder_sequence is None else [decoder_sequence, encoder_sequence]
        masks = self._masks(inputs, mask, decoder_padding_mask, encoder_padding_mask, None)
        given = {"decoder_attention_mask": decoder_attention_mask, "encoder_attention_mask": encoder_attention_mask}
        arguments = {name: value for name, value in given.items() if value is not None}
        return super().__call__(inputs, mask=masks, training=training, use_causal_mask=use_causal_mask, **arguments)

    def call(
        self,
        x: list[Ragged],
        decoder_attention_mask: Any = None,
        encoder_attention_mask: Any = None,
        use_causal_mask: bool = True,
    ) -> Ragged:
        """Decode.

        Args:
            x: the sequence and, if there is one, the encoder's; (B, None, D), (B, None, E).
            decoder_attention_mask: which pairs of the sequence's own steps see each other.
            encoder_attention_mask: which steps of the sequence see which of the encoder's.
            use_causal_mask: whether a step sees only its row's steps up to itself.

        Returns:
            (B, None, D).
        """
        self._require_as_built(len(x))

        def attend(y: Ragged) -> tuple[Any, None]:
            mask = decoder_attention_mask
            return self.self_attention(y, y, attention_mask=mask, use_causal_mask=use_causal_mask), None

        def attend_across(y: Ragged) -> tuple[Any, None]:
            return self.cross_attention(y, x[1], attention_mask=encoder_attention_mask), None

        y, _ = self._around(x[0], self.self_attention_layer_norm, self.self_attention_dropout, attend)
        if self.crosses:
            y, _ = self._around(y, self.cross_attention_layer_norm, self.cross_attention_dropout, attend_across)
        y, _ = self._around(y, self.feedforward_layer_norm, self.feedforward_dropout, self._forward)
        return y  # type: ignore[no-any-return]

    def _require_as_built(self, count: int) -> None:
        if self.crosses != (count > 1):
            raise ArgumentError(
                explain(
                    self.place,
                    expected="an encoder_sequence, as at the first call"
                    if self.crosses
                    else "no encoder_sequence, as at the first call",
                    got="none" if self.crosses else "one",
                    fix="a layer of its own for each of the two uses",
                )
            )


def _depth(x: Any) -> int:
    """Axes of nested lists and arrays: 3 of a list of rows of steps, 4 of a list of two such sequences."""
    if hasattr(x, "shape"):
        return len(x.shape)
    return 1 + max(map(_depth, x), default=0) if isinstance(x, list | tuple) else 0
