"""One table of every public layer, with arguments: what goes in, and what happens to rows.

Every property in tests/properties runs over the whole table. A new layer needs one line here; a test fails until it
has one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest

import padless
from padless import Layer, Sequential, backends, layers, ops
from tests.conftest import ALL_DIRECTLY, BACKENDS

Rows = Literal["kept", "change", "end", "drop", "error"]
"""What a layer does to rows: keeps them, gives each another length, ends them in one entry per row, drops them on
purpose, or raises MaskError."""

Holes = Literal["skipped", "zeros", "nothing", "kept"]
"""What a masked step in the middle of a row is: a step that is not there (those behind it move up), zeros at its true
place, nothing at its true place, or a step at its true place that stays masked."""


@dataclass(frozen=True)
class Case:
    """A layer with arguments.

    Attributes:
        name: of the test.
        make: makes the layer, given a dtype.
        rows: what happens to rows.
        inputs: features of each input; more than one for a layer that merges.
        reads: whether the inputs are floats or ids.
        holes: what a masked step in the middle of a row is.
        states: widths of the initial states that the call gets.
        length: of an output row, given that of the input row; None where it is kept.
        alike: whether several inputs need the same rows.
    """

    name: str
    make: Callable[[str], Layer]
    rows: Rows
    inputs: tuple[tuple[int, ...], ...] = ((4,),)
    reads: Literal["floats", "ids"] = "floats"
    holes: Holes = "skipped"
    states: tuple[int, ...] = ()
    length: Callable[[int], int] | None = None
    alike: bool = True


def _valid(size: int, stride: int = 1) -> Callable[[int], int]:
    return lambda n: max((n - size) // stride + 1, 0)


def _same(stride: int) -> Callable[[int], int]:
    return lambda n: -(-n // stride)


# ---- layers as users write them: Keras's habits, cells of their own, models as layers


@padless.register
class OwnWeightedSum(Layer):
    """Reads padded arrays and a mask, and ends rows."""

    def build(self, spec: Any) -> None:
        self.scale = self.add_weight("scale", (spec[-1],))

    def call(self, x: Any, mask: Any = None) -> Any:
        y = x * self.scale
        if mask is not None:
            y = self.xp.where(self.xp.expand_dims(mask, axis=-1), y, self.xp.zeros_like(y))
        return self.xp.sum(y, axis=1)


@padless.register
class OwnCentred(Layer):
    """Reads padded arrays and a mask, mixes the steps of a row, and keeps rows; padding holds rubbish afterwards."""

    def call(self, x: Any, mask: Any = None) -> Any:
        live = self.xp.ones_like(x[..., :1])
        if mask is not None:
            live = self.backend.cast(self.xp.expand_dims(mask, axis=-1), self.dtype)
        count = self.xp.sum(live, axis=1, keepdims=True)
        count = self.xp.where(count == 0, self.xp.ones_like(count), count)
        return x - self.xp.sum(x * live, axis=1, keepdims=True) / count


@padless.register
class OwnScale(Layer):
    """Says in Keras's words that it looks at one step at a time."""

    supports_masking = True

    def build(self, spec: Any) -> None:
        self.scale = self.add_weight("scale", (spec.features,))

    def call(self, x: Any) -> Any:
        return x * self.scale


@padless.register
class OwnPlain(Layer):
    """Says nothing about rows."""

    def call(self, x: Any) -> Any:
        return x


@padless.register
class OwnCell(Layer):
    """A recurrent cell of a user: h = a h + x W."""

    view = "steps"

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units
        self.output_size = units

    def build(self, spec: Any) -> None:
        self.decay = self.add_weight("decay", (self.units,))
        self.kernel = self.add_weight("kernel", (spec[-1], self.units))

    def call(self, x: Any, states: Any) -> Any:
        h = states[0] * self.decay + x @ self.kernel
        return h, [h]


@padless.register
class OwnMatrixCell(Layer):
    """A cell with a matrix among its states, a first state of its own, and an output that is neither of them."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.state_size = [units, (2, units)]
        self.output_size = 2 * units

    def build(self, spec: Any) -> None:
        units = self.state_size[0]
        self.kernel = self.add_weight("kernel", (spec[-1], units))
        self.decay = self.add_weight("decay", (2, units))
        self.start = self.add_weight("start", (2, units))

    def get_initial_state(self, batch_size: int) -> list[Any]:
        xp = self.xp
        matrix = xp.broadcast_to(self.start, (batch_size, *self.start.shape))
        return [xp.zeros_like(matrix[:, 0, :]), matrix]

    def call(self, x: Any, states: Any, training: bool = False) -> Any:
        h, matrix = states
        h = self.xp.tanh(0.5 * h + x @ self.kernel + matrix[:, 0, :])
        matrix = matrix * self.decay + h[:, None, :]
        return self.xp.concat([h, matrix[:, 1, :]], axis=-1), [h, matrix]


@padless.register
class OwnAttention(Layer):
    """Attends within a row, or to pairs of its steps: rows of another length, and none for rows of one step."""

    view = "ragged"

    def __init__(self, causal: bool = False, half: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.causal = causal
        self.half = half
        self.pairs = layers.AveragePooling1D(2, dtype=kwargs.get("dtype"))
        self.attend = layers.MultiHeadAttention(2, 3, dtype=kwargs.get("dtype"))

    def call(self, x: Any) -> Any:
        return self.attend(x, self.pairs(x) if self.half else x, use_causal_mask=self.causal)


@padless.register
def own_halves(x: Any) -> Any:
    """Looks at one step at a time."""
    return x / 2


@padless.register
def own_largest(x: Any) -> Any:
    """Asks for the largest of each row."""
    return ops.max(x, axis=1)


@padless.register
def own_centred(x: Any, mask: Any = None) -> Any:
    """Reads padded arrays and a mask."""
    xp = backends.of(x).xp
    live = xp.ones_like(x[..., :1]) if mask is None else xp.astype(xp.expand_dims(mask, axis=-1), x.dtype)
    count = xp.maximum(xp.sum(live, axis=1, keepdims=True), xp.ones_like(live[:, :1]))
    return x - xp.sum(x * live, axis=1, keepdims=True) / count


@padless.register
class OwnContext(Layer):
    """Adds to every step what a function of rows says of its row: ops, Spread and Dot in a layer of a user."""

    view = "ragged"

    def __init__(self, how: str = "spread", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.how = how
        self.spread = layers.Spread(dtype=kwargs.get("dtype"))
        self.dot = layers.Dot((2, 1), dtype=kwargs.get("dtype"))

    def call(self, x: Any) -> Any:
        if self.how == "dot":
            return ops.expand_dims(self.dot([x, ops.mean(x, axis=1)]), -1)
        if self.how == "softmax":
            return x * ops.softmax(x, axis=1) + ops.cumsum(x, axis=1)
        return x * self.spread([ops.logsumexp(x, axis=1), x])


# ---- the table


def _per_step() -> list[Case]:
    return [
        Case("Dense", lambda d: layers.Dense(3, dtype=d), "kept"),
        Case("Dense-softmax", lambda d: layers.Dense(3, activation="softmax", use_bias=False, dtype=d), "kept"),
        Case("Dense-more axes", lambda d: layers.Dense(3, dtype=d), "kept", inputs=((2, 4),)),
        Case("Embedding", lambda d: layers.Embedding(10, 3, dtype=d), "kept", inputs=((),), reads="ids"),
        Case(
            "CategoryEncoding-one_hot",
            lambda d: layers.CategoryEncoding(10, "one_hot", dtype=d),
            "kept",
            inputs=((2,),),
            reads="ids",
        ),
        Case(
            "CategoryEncoding-count",
            lambda d: layers.CategoryEncoding(10, "count", dtype=d),
            "end",
            inputs=((),),
            reads="ids",
        ),
        Case(
            "CategoryEncoding-multi_hot",
            lambda d: layers.CategoryEncoding(10, "multi_hot", dtype=d),
            "end",
            inputs=((),),
            reads="ids",
        ),
        Case(
            "Discretization-one_hot",
            lambda d: layers.Discretization([-1.0, 0.0, 1.0], output_mode="one_hot", dtype=d),
            "kept",
            inputs=((2,),),
        ),
        Case(
            "Discretization-count",
            lambda d: layers.Discretization([-1.0, 0.0, 1.0], output_mode="count", dtype=d),
            "end",
            inputs=((),),
        ),
        Case("Embedding-several ids", lambda d: layers.Embedding(10, 3, dtype=d), "kept", inputs=((2,),), reads="ids"),
        Case(
            "Embedding-mask_zero",
            lambda d: layers.Embedding(10, 3, mask_zero=True, dtype=d),
            "kept",
            inputs=((),),
            reads="ids",
        ),
        Case(
            "ReversibleEmbedding",
            lambda d: layers.ReversibleEmbedding(10, 3, dtype=d),
            "kept",
            inputs=((),),
            reads="ids",
        ),
        Case("Masking", lambda d: layers.Masking(dtype=d), "kept"),
        Case("Masking-nan", lambda d: layers.Masking(float("nan"), dtype=d), "kept"),
        Case("Dropout", lambda d: layers.Dropout(0.5, dtype=d), "kept"),
        Case("Dropout-noise_shape", lambda d: layers.Dropout(0.5, (None, None, 1), seed=3, dtype=d), "kept"),
        Case("Activation-relu", lambda d: layers.Activation("relu", dtype=d), "kept"),
        Case("Activation-gelu", lambda d: layers.Activation("gelu", dtype=d), "kept"),
        Case("Activation-softmax", lambda d: layers.Activation("softmax", dtype=d), "kept"),
        Case("Activation-tanh on numbers", lambda d: layers.Activation("tanh", dtype=d), "kept", inputs=((),)),
        Case("ReLU", lambda d: layers.ReLU(max_value=0.5, negative_slope=0.1, threshold=0.1, dtype=d), "kept"),
        Case("LeakyReLU", lambda d: layers.LeakyReLU(dtype=d), "kept"),
        Case("ELU", lambda d: layers.ELU(0.7, dtype=d), "kept"),
        Case("PReLU", lambda d: layers.PReLU(shared_axes=[1], dtype=d), "kept"),
        Case("PReLU-slopes in time", lambda d: layers.PReLU(dtype=d), "error"),
        Case("Softmax", lambda d: layers.Softmax(dtype=d), "kept"),
        Case("Softmax-two axes", lambda d: layers.Softmax(axis=(-2, -1), dtype=d), "kept", inputs=((2, 3),)),
        Case("Softmax-time", lambda d: layers.Softmax(axis=1, dtype=d), "kept"),
        Case("Softmax-time and features", lambda d: layers.Softmax(axis=(1, 2), dtype=d), "kept"),
        Case("LayerNormalization", lambda d: layers.LayerNormalization(dtype=d), "kept"),
        Case(
            "LayerNormalization-two axes",
            lambda d: layers.LayerNormalization(axis=(-2, -1), dtype=d),
            "kept",
            inputs=((2, 3),),
        ),
        Case("LayerNormalization-rms", lambda d: layers.LayerNormalization(rms_scaling=True, dtype=d), "kept"),
        Case("LayerNormalization-time", lambda d: layers.LayerNormalization(axis=1, dtype=d), "error"),
        Case("BatchNormalization", lambda d: layers.BatchNormalization(momentum=0.5, dtype=d), "kept"),
        Case(
            "BatchNormalization-plain",
            lambda d: layers.BatchNormalization(center=False, scale=False, dtype=d),
            "kept",
            inputs=((2, 3),),
        ),
        Case("BatchNormalization-time", lambda d: layers.BatchNormalization(axis=1, dtype=d), "error"),
    ]  # fmt: skip


def _merging() -> list[Case]:
    two = ((4,), (4,))
    kinds: list[Callable[..., Layer]] = [
        layers.Add,
        layers.Subtract,
        layers.Multiply,
        layers.Average,
        layers.Maximum,
        layers.Minimum,
    ]
    return [
        *(Case(kind.__name__, lambda d, kind=kind: kind(dtype=d), "kept", inputs=two) for kind in kinds),
        Case("Add-three", lambda d: layers.Add(dtype=d), "kept", inputs=((4,), (4,), (4,))),
        Case("Multiply-one feature", lambda d: layers.Multiply(dtype=d), "kept", inputs=((4,), (1,))),
        Case("Concatenate", lambda d: layers.Concatenate(dtype=d), "kept", inputs=((4,), (2,), (1,))),
        Case("Concatenate-axis 2", lambda d: layers.Concatenate(axis=2, dtype=d), "kept", inputs=((2, 3), (1, 3))),
    ]


def _recurrent() -> list[Case]:
    kinds: list[tuple[Callable[..., Layer], tuple[int, ...]]] = [
        (layers.LSTM, (3, 3)),
        (layers.GRU, (3,)),
        (layers.SimpleRNN, (3,)),
    ]
    cases: list[Case] = []
    for kind, states in kinds:
        name = kind.__name__
        options: list[tuple[str, dict[str, Any], Rows, tuple[int, ...]]] = [
            ("", {}, "end", ()),
            ("-sequences", {"return_sequences": True}, "kept", ()),
            ("-backwards", {"go_backwards": True}, "end", ()),
            ("-sequences backwards", {"return_sequences": True, "go_backwards": True}, "kept", ()),
            ("-initial state", {"return_state": True}, "end", states),
            ("-sequences and state", {"return_sequences": True, "return_state": True}, "kept", states),
            ("-no bias", {"use_bias": False, "return_sequences": True}, "kept", ()),
            ("-dropout", {"dropout": 0.3, "recurrent_dropout": 0.3, "return_sequences": True, "seed": 1}, "kept", ()),
            ("-other activation", {"activation": "relu", "return_sequences": True}, "kept", ()),
        ]
        cases += [
            Case(f"{name}{suffix}", lambda d, k=kind, o=arguments: k(3, dtype=d, **o), rows, states=initial)
            for suffix, arguments, rows, initial in options
        ]
    return [
        *cases,
        Case("GRU-reset before", lambda d: layers.GRU(3, reset_after=False, return_sequences=True, dtype=d), "kept"),
        Case(
            "GRU-reset before, state",
            lambda d: layers.GRU(3, reset_after=False, return_state=True, dtype=d),
            "end",
            states=(3,),
        ),
        Case("RNN-LSTMCell", lambda d: layers.RNN(layers.LSTMCell(3, dtype=d), return_sequences=True, dtype=d), "kept"),
        Case(
            "RNN-own cell",
            lambda d: layers.RNN(OwnCell(3, dtype=d), return_sequences=True, dtype=d),
            "kept",
            states=(3,),
        ),
        Case("RNN-own cell, last", lambda d: layers.RNN(OwnCell(3, dtype=d), return_state=True, dtype=d), "end"),
        Case("RNN-own cell, backwards", lambda d: layers.RNN(OwnCell(3, dtype=d), go_backwards=True, dtype=d), "end"),
        *_bidirectional(),
    ]


def _bidirectional() -> list[Case]:
    def both(d: str, inner: Callable[..., Layer] = layers.LSTM, mode: str | None = "concat", **arguments: Any) -> Layer:
        return layers.Bidirectional(inner(3, dtype=d, **arguments), merge_mode=mode, dtype=d)

    modes: list[str | None] = ["concat", "sum", "mul", "ave", None]
    return [
        *(Case(f"Bidirectional-{m}", lambda d, m=m: both(d, mode=m, return_sequences=True), "kept") for m in modes),
        *(Case(f"Bidirectional-{m}, last", lambda d, m=m: both(d, mode=m), "end") for m in modes),
        Case("Bidirectional-GRU", lambda d: both(d, layers.GRU, return_sequences=True), "kept"),
        Case("Bidirectional-SimpleRNN", lambda d: both(d, layers.SimpleRNN), "end"),
        Case(
            "Bidirectional-state",
            lambda d: both(d, return_sequences=True, return_state=True),
            "kept",
            states=(3, 3, 3, 3),
        ),
        Case(
            "Bidirectional-other way back",
            lambda d: layers.Bidirectional(
                layers.LSTM(3, return_sequences=True, dtype=d),
                backward_layer=layers.GRU(2, return_sequences=True, go_backwards=True, dtype=d),
                dtype=d,
            ),
            "kept",
        ),
    ]


def _windows() -> list[Case]:
    def conv(d: str, size: int, **arguments: Any) -> Layer:
        return layers.Conv1D(6, size, dtype=d, **arguments)

    cases = [
        Case("Conv1D-valid", lambda d: conv(d, 3), "change", length=_valid(3)),
        Case("Conv1D-valid, stride", lambda d: conv(d, 3, strides=2), "change", length=_valid(3, 2)),
        Case("Conv1D-valid, dilation", lambda d: conv(d, 3, dilation_rate=2), "change", length=_valid(5)),
        Case("Conv1D-valid, long", lambda d: conv(d, 9, activation="tanh"), "change", length=_valid(9)),
        Case("Conv1D-same", lambda d: conv(d, 3, padding="same"), "kept"),
        Case("Conv1D-same, even", lambda d: conv(d, 4, padding="same", activation="relu"), "kept"),
        Case("Conv1D-same, dilation", lambda d: conv(d, 3, padding="same", dilation_rate=3), "kept"),
        Case("Conv1D-same, stride", lambda d: conv(d, 3, padding="same", strides=2), "change", length=_same(2)),
        Case("Conv1D-causal", lambda d: conv(d, 3, padding="causal"), "kept"),
        Case(
            "Conv1D-causal, dilation", lambda d: conv(d, 2, padding="causal", dilation_rate=4, use_bias=False), "kept"
        ),
        Case("Conv1D-causal, stride", lambda d: conv(d, 3, padding="causal", strides=2), "change", length=_same(2)),
        Case("Conv1D-groups", lambda d: conv(d, 3, padding="same", groups=2), "kept"),
        Case("Conv1D-groups, stride", lambda d: conv(d, 3, strides=3, groups=2), "change", length=_valid(3, 3)),
        Case("Conv1D-one step", lambda d: conv(d, 1), "change", length=_valid(1)),
        Case("AveragePooling1D-valid", lambda d: layers.AveragePooling1D(2, dtype=d), "change", length=_valid(2, 2)),
        Case(
            "AveragePooling1D-same", lambda d: layers.AveragePooling1D(3, 2, "same", dtype=d), "change", length=_same(2)
        ),
        Case("AveragePooling1D-same, stride 1", lambda d: layers.AveragePooling1D(3, 1, "same", dtype=d), "kept"),
    ]
    largest = [
        Case("MaxPooling1D-valid", lambda d: layers.MaxPooling1D(2, dtype=d), "change", length=_valid(2, 2)),
        Case(
            "MaxPooling1D-valid, overlap", lambda d: layers.MaxPooling1D(3, 2, dtype=d), "change", length=_valid(3, 2)
        ),
        Case("MaxPooling1D-same", lambda d: layers.MaxPooling1D(3, 2, "same", dtype=d), "change", length=_same(2)),
        Case(
            "MaxPooling1D-same, stride 1",
            lambda d: layers.MaxPooling1D(3, 1, "same", dtype=d),
            "kept",
            inputs=((2, 3),),
        ),
    ]
    return [
        *(Case(**{**vars(case), "holes": "zeros"}) for case in cases),
        *(Case(**{**vars(case), "holes": "nothing"}) for case in largest),
    ]


def _attention() -> list[Case]:
    options: list[tuple[str, dict[str, Any], tuple[tuple[int, ...], ...]]] = [
        ("", {}, ((4,), (4,))),
        ("-another key", {"value_dim": 5}, ((4,), (3,), (2,))),
        ("-no bias, gate", {"value_dim": 2, "use_bias": False, "use_gate": True}, ((4,), (3,))),
        ("-output_shape", {"output_shape": (2, 3)}, ((4,), (4,))),
        ("-dropout", {"dropout": 0.4, "seed": 1}, ((4,), (4,))),
    ]
    return [
        *(
            Case(
                f"MultiHeadAttention{suffix}",
                lambda d, o=arguments: layers.MultiHeadAttention(2, 3, dtype=d, **o),
                "kept",
                inputs=inputs,
                alike=False,
            )
            for suffix, arguments, inputs in options
        ),
        Case("own-self-attention", lambda d: OwnAttention(dtype=d), "kept"),
        Case("own-self-attention, causal", lambda d: OwnAttention(causal=True, dtype=d), "kept"),
        Case("own-attention to other rows", lambda d: OwnAttention(half=True, dtype=d), "kept"),
        Case("own-attention to other rows, causal", lambda d: OwnAttention(True, True, dtype=d), "kept"),
    ]


def _ending() -> list[Case]:
    return [
        Case("GlobalMaxPooling1D", lambda d: layers.GlobalMaxPooling1D(dtype=d), "end"),
        Case(
            "GlobalMaxPooling1D-keepdims",
            lambda d: layers.GlobalMaxPooling1D(keepdims=True, dtype=d),
            "end",
            inputs=((2, 3),),
        ),
        Case("GlobalAveragePooling1D", lambda d: layers.GlobalAveragePooling1D(dtype=d), "end"),
        Case("GlobalAveragePooling1D-keepdims", lambda d: layers.GlobalAveragePooling1D(keepdims=True, dtype=d), "end"),
        Case("Unmask", lambda d: layers.Unmask(dtype=d), "drop"),
        Case("Flatten", lambda d: layers.Flatten(dtype=d), "error"),
        Case("Conv2D", lambda d: layers.Conv2D(3, 2, dtype=d), "error", inputs=((5, 3),)),
        Case("Conv2D-same", lambda d: layers.Conv2D(3, 2, padding="same", dtype=d), "error", inputs=((5, 3),)),
        Case(
            "Conv2D-channels first",
            lambda d: layers.Conv2D(3, 2, data_format="channels_first", dtype=d),
            "error",
            inputs=((5, 3),),
        ),
        Case("DepthwiseConv2D", lambda d: layers.DepthwiseConv2D(2, dtype=d), "error", inputs=((5, 3),)),
        *(
            Case(kind.__name__, lambda d, kind=kind: kind(3, 2, dtype=d), "error", inputs=inputs)
            for kind, inputs in (
                (layers.SeparableConv2D, ((5, 3),)),
                (layers.Conv2DTranspose, ((5, 3),)),
                (layers.Conv3D, ((5, 4, 3),)),
                (layers.Conv3DTranspose, ((5, 4, 3),)),
            )
        ),
        *(
            Case(kind.__name__, lambda d, kind=kind: kind(dtype=d), "error", inputs=((5, 3),))
            for kind in (
                layers.MaxPooling2D,
                layers.AveragePooling2D,
                layers.GlobalMaxPooling2D,
                layers.GlobalAveragePooling2D,
                layers.ZeroPadding2D,
                layers.Cropping2D,
                layers.UpSampling2D,
            )
        ),
        *(
            Case(kind.__name__, lambda d, kind=kind: kind(dtype=d), "error", inputs=((5, 4, 3),))
            for kind in (
                layers.MaxPooling3D,
                layers.AveragePooling3D,
                layers.GlobalMaxPooling3D,
                layers.GlobalAveragePooling3D,
                layers.ZeroPadding3D,
                layers.Cropping3D,
                layers.UpSampling3D,
            )
        ),
        *(
            Case(kind.__name__, lambda d, kind=kind: kind(2, dtype=d), "error", inputs=inputs)
            for kind, inputs in (
                (layers.AdaptiveMaxPooling2D, ((5, 3),)),
                (layers.AdaptiveAveragePooling2D, ((5, 3),)),
                (layers.AdaptiveMaxPooling3D, ((5, 4, 3),)),
                (layers.AdaptiveAveragePooling3D, ((5, 4, 3),)),
            )
        ),
        *(
            Case(f"{cell.__name__}-alone", lambda d, cell=cell: cell(3, dtype=d), "error")
            for cell in (layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell)
        ),
    ]


def _own() -> list[Case]:
    def tagger(d: str) -> Layer:
        return Sequential(
            [
                layers.Conv1D(4, 3, padding="same", dtype=d),
                layers.LayerNormalization(dtype=d),
                layers.Bidirectional(layers.GRU(3, return_sequences=True, dtype=d), dtype=d),
                layers.Dense(2, activation="softmax", dtype=d),
            ]
        )

    def classifier(d: str) -> Layer:
        return Sequential(
            [
                layers.Embedding(10, 4, dtype=d),
                layers.Conv1D(4, 3, dtype=d),
                layers.MaxPooling1D(2, padding="same", dtype=d),
                layers.LSTM(3, dtype=d),
                layers.Dense(2, dtype=d),
            ]
        )

    return [
        Case("own-padded, ends", lambda d: OwnWeightedSum(dtype=d), "end"),
        Case("own-padded, keeps", lambda d: OwnCentred(dtype=d), "kept"),
        Case("own-steps", lambda d: OwnScale(dtype=d), "kept"),
        Case("own-nothing said", lambda d: OwnPlain(dtype=d), "error"),
        Case("Sequential-tagger", tagger, "kept", holes="zeros"),
        Case("Sequential-classifier", classifier, "end", inputs=((),), reads="ids", holes="zeros"),
    ]


def _core() -> list[Case]:
    """Layers that make one value of another, one step at a time or one row at a time."""

    def einsum(d: str, equation: str, shape: Any, **arguments: Any) -> Layer:
        return layers.EinsumDense(equation, shape, dtype=d, **arguments)

    two = ((4,), (4,))
    return [
        Case("Identity", lambda d: layers.Identity(dtype=d), "kept"),
        Case("Lambda-steps", lambda d: layers.Lambda(own_halves, view="steps", dtype=d), "kept"),
        Case("Lambda-ragged", lambda d: layers.Lambda(own_largest, view="ragged", dtype=d), "end"),
        Case("Lambda-padded", lambda d: layers.Lambda(own_centred, dtype=d), "kept"),
        Case("Lambda-nothing said", lambda d: layers.Lambda(own_halves, dtype=d), "error"),
        Case("EinsumDense", lambda d: einsum(d, "abc,cd->abd", (None, 3), bias_axes="d", activation="tanh"), "kept"),
        Case(
            "EinsumDense-more axes",
            lambda d: einsum(d, "abcd,def->abecf", (None, 5, 2, 3), bias_axes="ef"),
            "kept",
            inputs=((2, 4),),
        ),
        Case("EinsumDense-ellipsis", lambda d: einsum(d, "...x,xy->...y", 3, bias_axes="y"), "kept"),
        Case("EinsumDense-over time", lambda d: einsum(d, "abc,bd->adc", (3, None)), "error"),
        Case("Reshape", lambda d: layers.Reshape((-1, 2, 2), dtype=d), "kept"),
        Case("Reshape-over time", lambda d: layers.Reshape((-1, 2), dtype=d), "error"),
        Case("Permute", lambda d: layers.Permute((1, 3, 2), dtype=d), "kept", inputs=((2, 3),)),
        Case("Permute-time", lambda d: layers.Permute((2, 1), dtype=d), "error"),
        Case("RepeatVector", lambda d: layers.RepeatVector(3, dtype=d), "error", inputs=((),)),
        Case("Dot-over time", lambda d: layers.Dot(1, dtype=d), "end", inputs=((4,), (2,))),
        Case("Dot-over time, cosine", lambda d: layers.Dot(1, normalize=True, dtype=d), "end", inputs=two),
        Case("own-Spread", lambda d: OwnContext(dtype=d), "kept"),
        Case("own-Dot", lambda d: OwnContext("dot", dtype=d), "kept"),
        Case("own-ops", lambda d: OwnContext("softmax", dtype=d), "kept"),
    ]


def _regularizing() -> list[Case]:
    """Noise, normalization and penalties."""
    clipping = {"rmax": 1.2, "rmin": 0.8, "dmax": 0.1}
    return [
        Case("GroupNormalization", lambda d: layers.GroupNormalization(2, dtype=d), "kept"),
        Case("GroupNormalization-one each", lambda d: layers.GroupNormalization(-1, dtype=d), "kept"),
        Case(
            "GroupNormalization-axis 2",
            lambda d: layers.GroupNormalization(2, axis=2, center=False, epsilon=0.1, dtype=d),
            "kept",
            inputs=((2, 3),),
        ),
        Case("GroupNormalization-time", lambda d: layers.GroupNormalization(-1, axis=1, dtype=d), "error"),
        Case("RMSNormalization", lambda d: layers.RMSNormalization(dtype=d), "kept"),
        Case(
            "RMSNormalization-two axes", lambda d: layers.RMSNormalization((-2, -1), dtype=d), "kept", inputs=((2, 3),)
        ),
        Case("RMSNormalization-time", lambda d: layers.RMSNormalization(1, dtype=d), "error"),
        Case("UnitNormalization", lambda d: layers.UnitNormalization(dtype=d), "kept"),
        Case("UnitNormalization-axis 2", lambda d: layers.UnitNormalization(2, dtype=d), "kept", inputs=((2, 3),)),
        Case("UnitNormalization-time", lambda d: layers.UnitNormalization((1, 2), dtype=d), "error"),
        Case(
            "BatchNormalization-renorm",
            lambda d: layers.BatchNormalization(renorm=True, renorm_clipping=clipping, dtype=d),
            "kept",
        ),
        Case(
            "SpectralNormalization", lambda d: layers.SpectralNormalization(layers.Dense(3, dtype=d), dtype=d), "kept"
        ),
        Case(
            "SpectralNormalization-Conv1D",
            lambda d: layers.SpectralNormalization(layers.Conv1D(3, 2, dtype=d), 2, dtype=d),
            "change",
            length=_valid(2),
            holes="zeros",
        ),
        Case(
            "SpectralNormalization-Embedding",
            lambda d: layers.SpectralNormalization(layers.Embedding(10, 3, mask_zero=True, dtype=d), dtype=d),
            "kept",
            inputs=((),),
            reads="ids",
        ),
        Case(
            "SpectralNormalization-Conv2D",
            lambda d: layers.SpectralNormalization(layers.Conv2D(3, 2, dtype=d), dtype=d),
            "error",
            inputs=((5, 3),),
        ),
        Case("Dropout-one mask for a row", lambda d: layers.Dropout(0.5, (None, 1, None), dtype=d), "kept"),
        Case("Dropout-one mask for all rows", lambda d: layers.Dropout(0.5, (1, None, 1), dtype=d), "kept"),
        Case("SpatialDropout1D", lambda d: layers.SpatialDropout1D(0.5, seed=2, dtype=d), "kept"),
        Case("SpatialDropout2D", lambda d: layers.SpatialDropout2D(0.5, dtype=d), "kept", inputs=((2, 3),)),
        Case("SpatialDropout3D", lambda d: layers.SpatialDropout3D(0.5, dtype=d), "kept", inputs=((2, 1, 3),)),
        Case(
            "SpatialDropout2D-channels_first",
            lambda d: layers.SpatialDropout2D(0.5, "channels_first", dtype=d),
            "error",
            inputs=((2, 3),),
        ),
        Case("GaussianNoise", lambda d: layers.GaussianNoise(0.5, dtype=d), "kept"),
        Case("GaussianDropout", lambda d: layers.GaussianDropout(0.5, dtype=d), "kept"),
        Case("AlphaDropout", lambda d: layers.AlphaDropout(0.5, (None, 1, None), dtype=d), "kept"),
        Case("ActivityRegularization", lambda d: layers.ActivityRegularization(0.1, 0.2, dtype=d), "kept"),
        Case("Rescaling", lambda d: layers.Rescaling(0.5, [1.0, 2.0, 3.0, 4.0], dtype=d), "kept"),
        Case(
            "Normalization",
            lambda d: layers.Normalization(mean=[1.0, 0.5, 0.0, 2.0], variance=[1.0, 0.0, 4.0, 2.0], dtype=d),
            "kept",
        ),
        Case(
            "Normalization-invert",
            lambda d: layers.Normalization(2, [1.0, 0.5], [1.0, 4.0], True, dtype=d),
            "kept",
            inputs=((2, 3),),
        ),
        Case("Dense-activity_regularizer", lambda d: layers.Dense(3, activity_regularizer="l1", dtype=d), "kept"),
    ]


def _more_recurrent() -> list[Case]:
    """Stacked cells, cells with states of other shapes, convolutions in time; stateful layers: test_stateful.py."""

    def stack(d: str, *cells: Callable[..., Layer], **arguments: Any) -> Layer:
        return layers.RNN([cell(3, dtype=d) for cell in cells], dtype=d, **arguments)

    def frames(d: str, rank: int, **arguments: Any) -> Layer:
        kind = (layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D)[rank - 1]
        return kind(2, 2, dtype=d, **arguments)

    lstm, gru = layers.LSTMCell, layers.GRUCell
    return [
        Case("RNN-stack", lambda d: stack(d, lstm, gru, return_sequences=True), "kept", states=(3, 3, 3)),
        Case("RNN-stack, own cell", lambda d: stack(d, gru, OwnCell, go_backwards=True), "end"),
        Case(
            "RNN-stack, dropout",
            lambda d: layers.RNN([lstm(3, dropout=0.3, dtype=d), gru(3, recurrent_dropout=0.3, dtype=d)], dtype=d),
            "end",
        ),
        Case("RNN-matrix", lambda d: layers.RNN(OwnMatrixCell(3, dtype=d), return_sequences=True, dtype=d), "kept"),
        Case("RNN-matrix, back", lambda d: layers.RNN(OwnMatrixCell(3, dtype=d), go_backwards=True, dtype=d), "end"),
        Case(
            "Bidirectional-stack",
            lambda d: layers.Bidirectional(stack(d, gru, OwnMatrixCell, return_sequences=True), dtype=d),
            "kept",
        ),
        Case("ConvLSTM1D", lambda d: frames(d, 1, return_sequences=True), "kept", inputs=((4, 2),)),
        Case(
            "ConvLSTM1D-same, backwards",
            lambda d: frames(d, 1, padding="same", strides=2, dropout=0.3, recurrent_dropout=0.3, go_backwards=True),
            "end",
            inputs=((4, 2),),
        ),
        Case(
            "ConvLSTM1D-dilation",
            lambda d: frames(d, 1, dilation_rate=2, use_bias=False, activation="relu", return_sequences=True),
            "kept",
            inputs=((4, 2),),
        ),
        Case("ConvLSTM2D", lambda d: frames(d, 2, return_sequences=True), "kept", inputs=((3, 4, 2),)),
        Case("ConvLSTM3D", lambda d: frames(d, 3, padding="same"), "end", inputs=((2, 3, 2, 1),)),
        Case("StackedRNNCells-LSTMCell-alone", lambda d: layers.StackedRNNCells([lstm(3, dtype=d)], dtype=d), "error"),
    ]


def _lengths() -> list[Case]:
    """Layers that give rows another length: transposed convolutions, padding, cropping, repeating."""
    depthwise, separable, transposed = layers.DepthwiseConv1D, layers.SeparableConv1D, layers.Conv1DTranspose

    def longer(stride: int, edge: int) -> Callable[[int], int]:
        return lambda n: (n - 1) * stride + edge if n else 0

    convolutions: list[tuple[str, Callable[[str], Layer], Callable[[int], int] | None]] = [
        ("DepthwiseConv1D-valid", lambda d: depthwise(3, activation="tanh", dtype=d), _valid(3)),
        ("DepthwiseConv1D-same, more", lambda d: depthwise(4, 1, "same", 2, use_bias=False, dtype=d), None),
        ("DepthwiseConv1D-causal, dilation", lambda d: depthwise(2, 1, "causal", dilation_rate=3, dtype=d), None),
        ("DepthwiseConv1D-same, stride", lambda d: depthwise(3, 2, "same", 2, dtype=d), _same(2)),
        ("SeparableConv1D-same", lambda d: separable(3, 3, padding="same", activation="relu", dtype=d), None),
        ("SeparableConv1D-stride", lambda d: separable(3, 3, 2, depth_multiplier=2, dtype=d), _valid(3, 2)),
        ("Conv1DTranspose-valid", lambda d: transposed(3, 3, 2, activation="tanh", dtype=d), longer(2, 3)),
        ("Conv1DTranspose-same", lambda d: transposed(3, 4, 2, "same", dtype=d), longer(2, 2)),
        ("Conv1DTranspose-dilation", lambda d: transposed(3, 3, 1, "same", dilation_rate=2, dtype=d), longer(1, 1)),
        ("Conv1DTranspose-output_padding", lambda d: transposed(3, 3, 2, "same", 0, dtype=d), longer(2, 1)),
        ("Conv1DTranspose-gaps", lambda d: transposed(3, 1, 2, use_bias=False, dtype=d), longer(2, 2)),
    ]
    moves: list[tuple[str, Callable[[str], Layer], Callable[[int], int]]] = [
        ("ZeroPadding1D", lambda d: layers.ZeroPadding1D((2, 1), dtype=d), lambda n: n + 3),
        ("Cropping1D", lambda d: layers.Cropping1D((1, 2), dtype=d), lambda n: max(n - 3, 0)),
        ("TimeSlice-shifted", lambda d: layers.TimeSlice(2, dtype=d), lambda n: max(n - 2, 0)),
        ("TimeSlice-last", lambda d: layers.TimeSlice(-4, -1, dtype=d), lambda n: max(min(n, 4) - 1, 0)),
        ("TimeSlice-every other", lambda d: layers.TimeSlice(step=2, dtype=d), _same(2)),
        ("UpSampling1D", lambda d: layers.UpSampling1D(2, dtype=d), lambda n: 2 * n),
    ]
    behind = {"rows": "change", "inputs": ((4,), (4,)), "length": lambda n: 2 * n, "alike": False}
    return [
        *(
            Case(name, make, "kept" if length is None else "change", holes="zeros", length=length)
            for name, make, length in convolutions
        ),
        *(Case(name, make, "change", holes="kept", length=length) for name, make, length in moves),
        Case("Concatenate-time", lambda d: layers.Concatenate(axis=1, dtype=d), **behind),  # type: ignore[arg-type]
        Case("AdaptiveAveragePooling1D", lambda d: layers.AdaptiveAveragePooling1D(3, dtype=d), "end"),
        Case("AdaptiveMaxPooling1D", lambda d: layers.AdaptiveMaxPooling1D(2, dtype=d), "end", inputs=((2, 3),)),
    ]


@padless.register
class OwnScores(Layer):
    """Attends within a row, and reads what it attends to: scores of one layer are the mask of another."""

    view = "ragged"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.look = layers.MultiHeadAttention(2, 3, dtype=kwargs.get("dtype"))
        self.mix = layers.Dense(2, dtype=kwargs.get("dtype"))
        self.attend = layers.GroupedQueryAttention(3, 2, 1, dtype=kwargs.get("dtype"))

    def call(self, x: Any) -> Any:
        y, scores = self.look(x, x, return_attention_scores=True)
        return self.attend(y, x, attention_mask=self.mix(scores) > 0)


def _more_attention() -> list[Case]:
    """The other kinds of attention, positions, whole blocks."""
    three, two = ((4,), (3,), (4,)), ((4,), (4,))
    apart: list[tuple[str, Callable[..., Layer], dict[str, Any], tuple[tuple[int, ...], ...]]] = [
        ("Attention", layers.Attention, {}, two),
        ("Attention-another key, scale", layers.Attention, {"use_scale": True, "dropout": 0.4}, three),
        ("Attention-concat", layers.Attention, {"use_scale": True, "score_mode": "concat", "dropout": 0.4}, three),
        ("AdditiveAttention", layers.AdditiveAttention, {}, three),
        ("AdditiveAttention-no scale", layers.AdditiveAttention, {"use_scale": False, "dropout": 0.4, "seed": 1}, two),
        ("MultiHeadAttention-window", layers.MultiHeadAttention, {"sliding_window": 2}, ((4,), (3,))),
        ("GroupedQueryAttention", layers.GroupedQueryAttention, {}, three),
        (
            "GroupedQueryAttention-window, gate",
            layers.GroupedQueryAttention,
            {"sliding_window": 3, "use_gate": True, "use_bias": False, "dropout": 0.4},
            two,
        ),
    ]
    first: dict[Any, tuple[int, ...]] = {layers.MultiHeadAttention: (2, 3), layers.GroupedQueryAttention: (3, 4, 2)}
    along: list[tuple[str, Any]] = [("time", 1), ("places", 2), ("both", None)]
    return [
        *(
            Case(
                name,
                lambda d, k=kind, o=arguments: k(*first.get(k, ()), dtype=d, **o),
                "kept",
                inputs=inputs,
                alike=False,
            )
            for name, kind, arguments, inputs in apart
        ),
        *(
            Case(
                f"MultiHeadAttention-along {name}",
                lambda d, axes=axes: layers.MultiHeadAttention(2, 3, attention_axes=axes, dtype=d),
                "kept",
                inputs=((2, 4), (2, 4)),
                alike=False,
            )
            for name, axes in along
        ),
        Case("RotaryEmbedding", lambda d: layers.RotaryEmbedding(dtype=d), "kept", holes="zeros"),
        Case(
            "RotaryEmbedding-heads",
            lambda d: layers.RotaryEmbedding(100, 2.0, dtype=d),
            "kept",
            inputs=((2, 4),),
            holes="zeros",
        ),
        Case("SinePositionEncoding", lambda d: layers.SinePositionEncoding(dtype=d), "kept", holes="zeros"),
        Case("PositionEmbedding", lambda d: layers.PositionEmbedding(64, dtype=d), "kept", holes="zeros"),
        Case(
            "TokenAndPositionEmbedding",
            lambda d: layers.TokenAndPositionEmbedding(10, 64, 3, dtype=d),
            "kept",
            inputs=((),),
            reads="ids",
            holes="zeros",
        ),
        Case("TransformerEncoder", lambda d: layers.TransformerEncoder(5, 2, dropout=0.4, dtype=d), "kept"),
        Case(
            "TransformerDecoder",
            lambda d: layers.TransformerDecoder(5, 2, dropout=0.4, normalize_first=True, dtype=d),
            "kept",
            inputs=((4,), (3,)),
            alike=False,
        ),
        Case("own-scores as mask", lambda d: OwnScores(dtype=d), "kept"),
    ]


def _nested() -> list[Case]:
    """A layer for every step, of which some are rows of fixed length; rows within rows are in test_nested.py."""

    def of_models(d: str) -> Layer:
        inner = [
            layers.Conv1D(4, 3, padding="same", activation="relu", dtype=d),
            layers.BatchNormalization(momentum=0.5, dtype=d),
            layers.Dropout(0.5, dtype=d),
            layers.LSTM(3, dtype=d),
        ]
        return layers.TimeDistributed(Sequential(inner), dtype=d)

    def of(inner: Layer, d: str) -> Layer:
        return layers.TimeDistributed(inner, dtype=d)

    return [
        Case("TimeDistributed-Dense", lambda d: of(layers.Dense(3, dtype=d), d), "kept"),
        Case("TimeDistributed-model", of_models, "kept", inputs=((3, 2),)),
        Case(
            "TimeDistributed-GRU",
            lambda d: of(layers.GRU(3, return_sequences=True, return_state=True, dtype=d), d),
            "kept",
            inputs=((3, 2),),
        ),
        Case(
            "TimeDistributed-Conv2D",
            lambda d: of(layers.Conv2D(3, 2, dtype=d), d),
            "kept",
            inputs=((3, 3, 2),),
        ),
        Case(
            "TimeDistributed-Embedding",
            lambda d: of(layers.Embedding(10, 3, dtype=d), d),
            "kept",
            inputs=((2,),),
            reads="ids",
        ),
    ]


def _heads() -> list[Case]:
    """What ends a sequence model: conditional random fields."""
    return [
        Case("CRF", lambda d: layers.CRF(3, boundary_initializer="glorot_uniform", dtype=d), "kept"),
        Case(
            "CRF-no boundary",
            lambda d: layers.CRF(3, use_boundary=False, use_bias=False, activation="tanh", dtype=d),
            "kept",
        ),
        Case("CRF-no kernel", lambda d: layers.CRF(4, use_kernel=False, dtype=d), "kept"),
    ]


CASES: tuple[Case, ...] = (
    *_per_step(),
    *_merging(),
    *_recurrent(),
    *_windows(),
    *_attention(),
    *_ending(),
    *_own(),
    *_core(),
    *_regularizing(),
    *_more_recurrent(),
    *_lengths(),
    *_more_attention(),
    *_nested(),
    *_heads(),
)

NO_CASE = {
    **dict.fromkeys(
        ("HashedCrossing", "Hashing", "IntegerLookup", "StringLookup", "TextVectorization"),
        "reads texts or keys, on the host: tests/parity/test_preprocessing.py, tests/text",
    ),
    "Layer": "the base class of all layers: it computes nothing",
    "Spread": "the first of its inputs has no rows: it is in OwnContext",
    "Wrapper": "a base class: it computes nothing",
}
"""Public layer classes without a case, and why."""


def cases(*rows: Rows, where: Callable[[Case], bool] | None = None) -> list[Any]:
    """Parameters for pytest: the cases with these fates of rows (all, without any), of which `where` holds."""
    found = [case for case in CASES if (not rows or case.rows in rows) and (where is None or where(case))]
    return [pytest.param(case, id=case.name) for case in found]


DIRECTLY = (
    "Dense",
    "Embedding-mask_zero",
    "Masking",
    "BatchNormalization",
    "LayerNormalization-time",
    "Add",
    "LSTM-sequences and state",
    "GRU-dropout",
    "RNN-own cell, last",
    "Bidirectional-concat",
    "Conv1D-valid, stride",
    "MaxPooling1D-same",
    "MultiHeadAttention-another key",
    "SeparableConv1D-stride",
    "Conv1DTranspose-same",
    "Cropping1D",
    "Concatenate-time",
    "GlobalAveragePooling1D",
    "Unmask",
    "Flatten",
    "Conv2D",
    "TimeDistributed-GRU",
    "own-padded, keeps",
    "own-steps",
    "own-nothing said",
    "Sequential-classifier",
)
"""Cases that stand for all where JAX is called directly."""


def directly(
    *rows: Rows, where: Callable[[Case], bool] | None = None, on_jax: tuple[str, ...] = DIRECTLY
) -> pytest.MarkDecorator:
    """Run a test over backends and cases, for what does not depend on a backend's arithmetic: forms, files, errors.

    Called directly, JAX compiles every operation for every shape, so that it takes part with a few layers of each kind;
    with all by `./run test --jax`. How all of them compute there, the other properties say, which compile whole layers.
    """
    pairs = [
        pytest.param(backend, case, id=f"{backend}-{case.name}")
        for backend in BACKENDS
        for case in CASES
        if (not rows or case.rows in rows) and (where is None or where(case))
        if backend != "jax" or ALL_DIRECTLY or case.name in on_jax
    ]
    return pytest.mark.parametrize(("backend", "case"), pairs, indirect=["backend"])
