"""Small Keras models, each with one way in which Keras lets padding change an answer, or with none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

WORDS = 40


class Loss(NamedTuple):
    """A model, and what its audit must name.

    Attributes:
        make: makes the model.
        layer: path of the place.
        reason: name of the reason.
        starts: path of the layer where numbers first differ; "" for the same.
    """

    make: Callable[[], Any]
    layer: str
    reason: str
    starts: str = ""


def model(
    body: Callable[[Any], Any], shape: tuple[int | None, ...] = (None,), dtype: str = "int32", name: str = "probed"
) -> Any:
    """A functional model of one input."""
    keras.utils.set_random_seed(3)
    x = keras.Input(shape, dtype=dtype, name="words")
    return keras.Model(x, body(x), name=name)


def embedded(x: Any) -> Any:
    """Ids as vectors, with a mask."""
    return layers.Embedding(WORDS, 6, mask_zero=True, name="embedded")(x)


def then(*more: Any) -> Callable[[], Any]:
    """A model of layers in a row, after an embedding with a mask."""

    def make() -> Any:
        def body(x: Any) -> Any:
            y = embedded(x)
            for one in more:
                y = one()(y)
            return y

        return model(body)

    return make


def named(kind: Any, *args: Any, **kwargs: Any) -> Callable[[], Any]:
    """Makes a layer called "probe"."""
    return lambda: kind(*args, name="probe", **kwargs)


@keras.saving.register_keras_serializable("audited")
class Places(layers.Layer):
    """Adds vectors of places, counted from the first column; keeps the mask."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.table = layers.Embedding(64, 6, name="table")

    def call(self, x: Any) -> Any:
        return x + self.table(keras.ops.arange(x.shape[1]))[None]


class PlacesAlone(layers.Layer):
    """Vectors of places, without a mask."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = layers.Embedding(64, 6, name="table")

    def call(self, x: Any) -> Any:
        return self.table(keras.ops.arange(x.shape[1]))[None] + 0 * x[:, :, :1]


class Centred(layers.Layer):
    """Takes the mean over the batch away."""

    def call(self, x: Any) -> Any:
        return x - keras.ops.mean(x, axis=0, keepdims=True)


class Encoder(keras.Model):
    """A model of a class of its own, with an operator between its layers."""

    def __init__(self) -> None:
        super().__init__(name="encoder")
        keras.utils.set_random_seed(3)
        self.words = layers.Embedding(WORDS, 6, mask_zero=True)
        self.doubled = layers.Dense(6)
        self.pooled = layers.GlobalAveragePooling1D(name="pooled")
        self.head = layers.Dense(2)

    def call(self, x: Any) -> Any:
        y = self.words(x)
        return self.head(self.pooled(y + self.doubled(y)))


def attention_block(x: Any, number: int) -> Any:
    """A post-norm block of a transformer, of Keras's own layers."""
    attended = layers.MultiHeadAttention(2, 4, name=f"attention_{number}")(x, x)
    x = layers.LayerNormalization(name=f"norm_{number}a")(layers.Add(name=f"add_{number}a")([x, attended]))
    h = layers.Dense(6, name=f"back_{number}")(layers.Dense(12, activation="relu", name=f"wide_{number}")(x))
    return layers.LayerNormalization(name=f"norm_{number}b")(layers.Add(name=f"add_{number}b")([x, h]))


def encoder() -> Any:
    """A transformer encoder of two blocks."""
    return model(
        lambda x: layers.Dense(3, activation="softmax")(
            layers.GlobalAveragePooling1D()(attention_block(attention_block(embedded(x), 1), 2))
        )
    )


def seq2seq() -> Any:
    """A recurrent layer that begins with the state of another."""

    def body(x: Any) -> Any:
        y = embedded(x)
        _, state = layers.GRU(4, return_state=True)(y)
        return layers.GRU(4, name="probe")(y, initial_state=state)

    return model(body)


def two_decoders() -> Any:
    """Two blocks that attend to the same encoder output."""

    def body(x: Any) -> Any:
        keys = embedded(x)
        first = layers.MultiHeadAttention(2, 4, name="first")(keys, keys)
        return layers.GlobalAveragePooling1D()(layers.MultiHeadAttention(2, 4, name="second")(first, keys))

    return model(body)


def position_added() -> Any:
    """Add of a value with a mask and one without."""

    def body(x: Any) -> Any:
        y = embedded(x)
        places = layers.Embedding(WORDS, 6, name="places")(x)
        return layers.GRU(3, name="reader")(layers.Add(name="probe")([y, places]))

    return model(body)


def nested() -> Any:
    """The loss is in a model within the model."""
    inner_input = keras.Input((None, 6))
    inner = keras.Model(
        inner_input, layers.GRU(3, name="reader")(layers.Conv1D(4, 1, name="conv")(inner_input)), name="inner"
    )
    return model(lambda x: layers.Dense(2)(inner(embedded(x))))


def dotted() -> Any:
    """Sums over steps."""

    def body(x: Any) -> Any:
        y = embedded(x)
        return layers.Dot(axes=1, name="probe")([y, y])

    return model(body)


def sentences() -> Any:
    """A mask that would be made within TimeDistributed."""

    def body(x: Any) -> Any:
        words = layers.TimeDistributed(layers.Embedding(WORDS, 4, mask_zero=True), name="probe")(x)
        return layers.GRU(3, name="gru")(layers.TimeDistributed(layers.GRU(3), name="reader")(words))

    return model(body, (None, 6))


LOSSES: dict[str, Loss] = {
    # 1.1 core
    "EinsumDense": Loss(
        then(named(layers.EinsumDense, "abc,cd->abd", output_shape=(None, 3)), lambda: layers.GRU(3, name="reader")),
        "probe", "no_supports_masking", "reader"),
    "Embedding without mask_zero": Loss(
        lambda: model(lambda x: layers.GRU(3, name="probe")(layers.Embedding(WORDS, 4)(x))), "probe", "no_mask_made"),
    "numbers without a mask": Loss(
        lambda: model(lambda x: layers.GlobalMaxPooling1D(name="probe")(x), (None, 3), "float32"),
        "probe", "no_mask_made"),
    "Lambda": Loss(then(named(layers.Lambda, lambda x: keras.ops.mean(x, axis=1))), "probe", "lambda_reads_padding"),
    "Lambda per step": Loss(
        then(named(layers.Lambda, lambda x: 2 * x), lambda: layers.GRU(3, name="reader")),
        "probe", "lambda_drops_mask", "reader"),
    "activity_regularizer": Loss(
        then(named(layers.Dense, 4, activity_regularizer="l2"), lambda: layers.GRU(3)),
        "probe", "penalty_counts_padding"),
    # 1.2 recurrent
    "initial_state": Loss(seq2seq, "probe", "initial_state_hides_mask"),
    "go_backwards": Loss(
        then(named(layers.GRU, 4, go_backwards=True, return_sequences=True), layers.GlobalAveragePooling1D),
        "probe", "reversed_steps_unreversed_mask"),
    "zero_output_for_mask": Loss(
        then(named(layers.LSTM, 4, zero_output_for_mask=True)), "probe", "zero_output_for_mask"),
    "TimeDistributed(Embedding)": Loss(sentences, "probe", "inner_mask_not_made", "gru"),
    # 1.3 convolution, pooling, shape
    "Conv1D same": Loss(
        then(named(layers.Conv1D, 4, 3, padding="same"), layers.GlobalMaxPooling1D),
        "probe", "convolution_reads_padding"),
    "SeparableConv1D same": Loss(
        then(named(layers.SeparableConv1D, 4, 3, padding="same")), "probe", "convolution_reads_padding"),
    "DepthwiseConv1D same": Loss(
        then(named(layers.DepthwiseConv1D, 3, padding="same")), "probe", "convolution_reads_padding"),
    "Conv1DTranspose": Loss(
        then(named(layers.Conv1DTranspose, 4, 3, strides=2)), "probe", "convolution_reads_padding"),
    "Conv1D valid": Loss(
        then(named(layers.Conv1D, 4, 3), lambda: layers.GlobalMaxPooling1D(name="pooled")),
        "probe", "convolution_drops_mask", "pooled"),
    "Conv1D causal, padded left": Loss(
        then(named(layers.Conv1D, 4, 3, padding="causal")), "probe", "causal_left"),
    "MaxPooling1D": Loss(
        then(named(layers.MaxPooling1D, 2), lambda: layers.GRU(3, name="reader")),
        "probe", "pooling_drops_mask", "reader"),
    "AveragePooling1D same": Loss(
        then(named(layers.AveragePooling1D, 3, padding="same")), "probe", "pooling_over_padding"),
    "GlobalMaxPooling1D": Loss(then(named(layers.GlobalMaxPooling1D)), "probe", "maximum_over_padding"),
    "AdaptiveMaxPooling1D": Loss(then(named(layers.AdaptiveMaxPooling1D, 2)), "probe", "pooling_over_padding"),
    "ZeroPadding1D": Loss(
        then(named(layers.ZeroPadding1D, (1, 0)), lambda: layers.GRU(3, name="reader")),
        "probe", "shape_drops_mask", "reader"),
    "UpSampling1D": Loss(
        then(named(layers.UpSampling1D, 2), lambda: layers.GRU(3, name="reader")),
        "probe", "shape_drops_mask", "reader"),
    "Flatten of a fixed length": Loss(
        lambda: model(lambda x: layers.Dense(2)(layers.Flatten(name="probe")(embedded(x))), (16,)),
        "probe", "flatten_padding"),
    # 1.4 attention
    "attention takes masks off": Loss(encoder, "attention_1", "attention_strips_mask", "attention_2"),
    "two decoders": Loss(two_decoders, "first", "attention_strips_mask", "second"),
    # 1.5 normalization
    "GroupNormalization": Loss(then(named(layers.GroupNormalization, 2)), "probe", "statistics_over_padding"),
    "RMSNormalization": Loss(
        then(named(layers.RMSNormalization), lambda: layers.GRU(3, name="reader")),
        "probe", "no_supports_masking", "reader"),
    "BatchNormalization after a lost mask": Loss(
        then(named(layers.Conv1D, 4, 1), lambda: layers.BatchNormalization(name="norm")),
        "probe", "convolution_drops_mask", "norm"),
    # 1.6 merging, operators, models
    "Add with one mask": Loss(position_added, "probe", "one_operand_without_mask", "reader"),
    "Dot": Loss(dotted, "probe", "dot_over_padding"),
    "operator": Loss(
        lambda: model(lambda x: layers.GRU(3, name="reader")(embedded(x) * 2.0)),
        "multiply", "operation_drops_mask", "reader"),
    "in a model within": Loss(nested, "inner/conv", "convolution_drops_mask", "inner/reader"),
    "code between layers": Loss(Encoder, "", "code_reads_padding", "pooled"),
    "places counted from the left": Loss(
        then(named(Places), lambda: layers.GRU(3)), "probe", "places_from_the_left", "probe/table"),
    "rows mixed": Loss(then(lambda: layers.GRU(3), named(Centred)), "probe", "mixes_rows"),
    # 1.7 losses
    "loss without a mask": Loss(
        then(named(layers.EinsumDense, "abc,cd->abd", output_shape=(None, 3))), "probe", "loss_counts_padding"),
}  # fmt: skip


def masked_numbers() -> Any:
    """Numbers of which zeros are masked."""
    return model(lambda x: layers.Dense(2)(layers.LSTM(4)(layers.Masking()(x))), (None, 3), "float32")


def two_inputs() -> Any:
    """Ids and numbers, each with its mask."""
    keras.utils.set_random_seed(3)
    words, signal = keras.Input((None,), dtype="int32", name="title"), keras.Input((None, 3), name="signal")
    read = [layers.GRU(4)(embedded(words)), layers.LSTM(4)(layers.Masking()(signal))]
    return keras.Model([words, signal], layers.Dense(1, activation="sigmoid")(layers.Concatenate()(read)))


CLEAN: dict[str, Callable[[], Any]] = {
    "LSTM": then(lambda: layers.LSTM(4), lambda: layers.Dense(2)),
    "stacked": then(lambda: layers.GRU(4, return_sequences=True), lambda: layers.GRU(4)),
    "Bidirectional": then(lambda: layers.Bidirectional(layers.LSTM(4))),
    "tagger": then(lambda: layers.LSTM(4, return_sequences=True), lambda: layers.Dense(3)),
    "TimeDistributed": then(lambda: layers.TimeDistributed(layers.Dense(4)), lambda: layers.GRU(3)),
    "GlobalAveragePooling1D": then(layers.GlobalAveragePooling1D, lambda: layers.Dense(2)),
    "BatchNormalization": then(layers.BatchNormalization, layers.GlobalAveragePooling1D),
    "Dropout": then(lambda: layers.Dropout(0.5), lambda: layers.GRU(3, dropout=0.2)),
    "one attention": then(lambda: SelfAttention(), layers.GlobalAveragePooling1D),
    "Masking": masked_numbers,
    "two inputs": two_inputs,
}


class SelfAttention(layers.Layer):
    """One layer of attention with itself, that hands the mask on."""

    def __init__(self) -> None:
        super().__init__()
        self.supports_masking = True
        self.attention = layers.Attention()

    def call(self, x: Any, mask: Any = None) -> Any:
        return self.attention([x, x], mask=[mask, mask])


def rows(count: int = 5) -> list[np.ndarray]:
    """Ids of unequal length."""
    numbers = np.random.default_rng(5)
    return [numbers.integers(1, WORDS, n) for n in range(2, 2 + 3 * count, 3)]
