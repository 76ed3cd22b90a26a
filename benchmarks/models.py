"""The models, in the same lines for padless and Keras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LEARNING_RATE, EPSILON, HEADS = 1e-3, 1e-7, 4


@dataclass(frozen=True)
class Spec:
    """One model.

    Attributes:
        name: as on the command line.
        width: of the embedding.
        units: of what follows.
        kind: which body.
        per_step: whether every step gets an answer.
    """

    name: str
    width: int
    units: int
    kind: str
    per_step: bool = False

    def flops(self, length: float) -> float:
        """Of the matrix products in training, for each step of rows of this (effective) length; the table is none."""
        i, h = self.width, self.units
        if self.kind in ("bilstm", "bigru", "lstm"):
            return 6 * (1 if self.kind == "lstm" else 2) * (3 if self.kind == "bigru" else 4) * h * (i + h)
        if self.kind == "conv":
            return 6 * 5 * (i * h + h * h)
        if self.kind == "encoder":
            return 2 * (72 * i * i + 14 * i * length)
        return 0.0


SPECS = {
    spec.name: spec
    for spec in (
        Spec("bilstm64", 128, 64, "bilstm"),
        Spec("bilstm256", 128, 256, "bilstm"),
        Spec("gru64", 128, 64, "bigru"),
        Spec("conv", 128, 128, "conv"),
        Spec("encoder128", 128, 128, "encoder"),
        Spec("encoder256", 256, 256, "encoder"),
        Spec("bag", 128, 128, "bag"),
        Spec("tagger", 128, 64, "bilstm", per_step=True),
        Spec("lstm64", 12, 64, "lstm"),
    )
}


def body(layers: Any, spec: Spec, x: Any, kind: dict[str, Any]) -> Any:
    if spec.kind == "lstm":
        return layers.LSTM(spec.units, **kind)(x)
    if spec.kind in ("bilstm", "bigru"):
        layer = layers.LSTM if spec.kind == "bilstm" else layers.GRU
        x = layers.Bidirectional(layer(spec.units, return_sequences=True, **kind), **kind)(x)
        return x if spec.per_step else layers.GlobalMaxPooling1D(**kind)(x)
    if spec.kind == "conv":
        for _ in range(2):
            x = layers.Conv1D(spec.units, 5, padding="same", activation="relu", **kind)(x)
        return layers.GlobalMaxPooling1D(**kind)(x)
    if spec.kind == "encoder":
        return encoder(layers, spec.units, x, kind)
    return layers.GlobalAveragePooling1D(**kind)(x)


def encoder(layers: Any, width: int, x: Any, kind: dict[str, Any]) -> Any:
    """Two blocks of attention, normalized before each part, and the mean over the words.

    The other order, LayerNormalization after the sum, would let Keras lose the mask at the first sum: its attention
    takes the mask off the very tensor that is added.
    """
    for _ in range(2):
        normal = layers.LayerNormalization(**kind)(x)
        attention = layers.MultiHeadAttention(num_heads=HEADS, key_dim=width // HEADS, **kind)
        x = layers.Add(**kind)([x, attention(normal, normal)])
        wide = layers.Dense(4 * width, activation="relu", **kind)(layers.LayerNormalization(**kind)(x))
        x = layers.Add(**kind)([x, layers.Dense(width, **kind)(wide)])
    return layers.GlobalAveragePooling1D(**kind)(layers.LayerNormalization(**kind)(x))


def build(library: Any, spec: Spec, vocabulary: int, classes: int, dtype: str | None = None, **adam: Any) -> Any:
    """A compiled model of padless or Keras; without a vocabulary it reads features, and a step of zeros is padding."""
    layers = library.layers
    kind = {"dtype": dtype} if dtype else {}
    if vocabulary:
        given = library.Input((None,), dtype="int32")
        x = layers.Embedding(vocabulary, spec.width, mask_zero=True, **kind)(given)
    else:
        given = library.Input((None, spec.width), dtype=dtype or "float32")
        x = layers.Masking(**kind)(given)
    answer = layers.Dense(classes, activation="softmax", **kind)(body(layers, spec, x, kind))
    model = library.Model(given, answer)
    model.compile(optimizer=library.optimizers.Adam(LEARNING_RATE, **adam), loss="sparse_categorical_crossentropy")
    return model
