"""The models of text_models.py and who trains them; KERAS_BACKEND must say on which backend before this is imported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import torch

import padless
from examples.bbc_news import load_articles
from padless.preprocessing.text import Tokenizer

VOCABULARY, DIM, LONGEST, BATCH, CLASSES = 20_000, 128, 1_024, 32, 5
LEARNING_RATE, EPSILON = 1e-3, 1e-7
Text = list[int]
Weights = Sequence[np.ndarray] | None


def load(batches: int) -> tuple[list[Text], np.ndarray]:
    """The first batches of one random order that every contestant gets."""
    texts, classes, _ = load_articles()
    order = np.random.default_rng(0).permutation(len(texts))[: batches * BATCH]
    tokenizer = Tokenizer(num_words=VOCABULARY)
    tokenizer.fit_on_texts(texts)
    return [ids[:LONGEST] for ids in tokenizer.texts_to_sequences([texts[i] for i in order])], classes[order]


# ---- the same lines for padless and Keras


def bilstm(layers: Any, x: Any) -> Any:
    return layers.GlobalMaxPooling1D()(layers.Bidirectional(layers.LSTM(64, return_sequences=True))(x))


def conv(layers: Any, x: Any) -> Any:
    for _ in range(2):
        x = layers.Conv1D(128, 5, padding="same", activation="relu")(x)
    return layers.GlobalMaxPooling1D()(x)


def encoder(layers: Any, x: Any) -> Any:
    """Two blocks of attention, normalized before each part, and the mean over the words.

    The other order, LayerNormalization after the sum, would let Keras lose the mask at the first sum: its attention
    takes the mask off the very tensor that is added.
    """
    for _ in range(2):
        normal = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(num_heads=4, key_dim=32)(normal, normal)])
        wide = layers.Dense(512, activation="relu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(DIM)(wide)])
    return layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))


BODIES = {"bilstm": bilstm, "conv": conv, "encoder": encoder}


def build(library: Any, model: str) -> Any:
    layers = library.layers
    ids = library.Input((None,), dtype="int32")
    body = BODIES[model](layers, layers.Embedding(VOCABULARY, DIM, mask_zero=True)(ids))
    made = library.Model(ids, layers.Dense(CLASSES, activation="softmax")(body))
    made.compile(optimizer=library.optimizers.Adam(LEARNING_RATE), loss="sparse_categorical_crossentropy")
    return made


# ---- who trains them


class Contestant(ABC):
    name: str

    @abstractmethod
    def __init__(self, model: str, weights: Weights = None) -> None:
        """Make the model and give it weights, if there are any."""

    @abstractmethod
    def train(self, texts: list[Text], classes: np.ndarray) -> None:
        """One pass over the texts in this order, in batches of BATCH, everything included."""

    @abstractmethod
    def probabilities(self, texts: list[Text]) -> np.ndarray:
        """Of the texts as one batch."""


class Padless(Contestant):
    name = "padless"

    def __init__(self, model: str, weights: Weights = None) -> None:
        self.model = build(padless, model)
        if weights is not None:
            self.model.set_weights(weights)

    def train(self, texts: list[Text], classes: np.ndarray) -> None:
        self.model.fit(texts, classes, batch_size=BATCH, shuffle=False, verbose=0)
        self.model.backend.to_host(self.model.layers[-1].bias)  # as Keras._wait

    def probabilities(self, texts: list[Text]) -> np.ndarray:
        return np.asarray(self.model.predict(texts, batch_size=len(texts), verbose=0))


class Keras(Contestant):
    """Every batch padded to its longest text. On JAX, each new length is compiled once."""

    name = f"Keras on {keras.backend.backend()}"

    def __init__(self, model: str, weights: Weights = None) -> None:
        self.model = build(keras, model)
        if weights is not None:
            self.model.set_weights(weights)

    @staticmethod
    def pad(texts: list[Text]) -> np.ndarray:
        return keras.utils.pad_sequences(texts, padding="post")

    def train(self, texts: list[Text], classes: np.ndarray) -> None:
        def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for i in range(0, len(texts), BATCH):
                yield self.pad(texts[i : i + BATCH]), classes[i : i + BATCH]

        self.model.fit(batches(), steps_per_epoch=-(-len(texts) // BATCH), shuffle=False, verbose=0)
        self._wait()

    def _wait(self) -> None:
        """Until the last step is done: JAX gives arrays before they are computed."""
        keras.ops.convert_to_numpy(self.model.trainable_variables[-1])

    def probabilities(self, texts: list[Text]) -> np.ndarray:
        return np.asarray(self.model.predict_on_batch(self.pad(texts)))


class KerasFixed(Keras):
    """All texts padded to one length, so that one step is compiled for all batches."""

    name = f"{Keras.name}, {LONGEST:,} words"

    @staticmethod
    def pad(texts: list[Text]) -> np.ndarray:
        return keras.utils.pad_sequences(texts, LONGEST, padding="post")

    def train(self, texts: list[Text], classes: np.ndarray) -> None:
        self.model.fit(self.pad(texts), classes, batch_size=BATCH, shuffle=False, verbose=0)
        self._wait()


class TorchModel(torch.nn.Module):
    """What one would write by hand; takes the weights of the others."""

    def __init__(self, model: str, weights: Sequence[np.ndarray]) -> None:
        super().__init__()
        table, *body, kernel, bias = (torch.tensor(w) for w in weights)
        self.embedding = torch.nn.Embedding.from_pretrained(table, freeze=False)
        self.head = torch.nn.Linear(len(kernel), CLASSES)
        copies = [(self.head.weight, kernel.T), (self.head.bias, bias)]
        self.lstm: torch.nn.LSTM | None = None
        self.convolutions = torch.nn.ModuleList()
        if model == "bilstm":
            self.lstm = torch.nn.LSTM(DIM, 64, batch_first=True, bidirectional=True)
            for suffix, (w, u, b) in (("", body[:3]), ("_reverse", body[3:])):
                copies += [
                    (getattr(self.lstm, f"weight_ih_l0{suffix}"), w.T),
                    (getattr(self.lstm, f"weight_hh_l0{suffix}"), u.T),
                    (getattr(self.lstm, f"bias_ih_l0{suffix}"), b),
                    (getattr(self.lstm, f"bias_hh_l0{suffix}"), torch.zeros_like(b)),
                ]
        else:
            for w, b in (body[:2], body[2:]):
                convolution = torch.nn.Conv1d(w.shape[1], w.shape[2], w.shape[0], padding="same")
                copies += [(convolution.weight, w.permute(2, 1, 0)), (convolution.bias, b)]
                self.convolutions.append(convolution)
        with torch.no_grad():
            for parameter, value in copies:
                parameter.copy_(value)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        mask = (ids != 0)[:, :, None]
        x = self.embedding(ids)
        if self.lstm is not None:
            x, _ = self.lstm(x)
        for convolution in self.convolutions:
            x = torch.relu(convolution((x * mask).transpose(1, 2))).transpose(1, 2)
        return self.head(x.masked_fill(~mask, -torch.inf).amax(1))


class Torch(Contestant):
    name = "PyTorch padded"

    def __init__(self, model: str, weights: Weights = None) -> None:
        if weights is None:
            raise ValueError("the model written by hand takes the weights of another")
        self.model = TorchModel(model, weights)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE, eps=EPSILON)

    @staticmethod
    def pad(texts: list[Text]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence([torch.tensor(text) for text in texts], batch_first=True)

    def train(self, texts: list[Text], classes: np.ndarray) -> None:
        targets = torch.tensor(classes)
        for i in range(0, len(texts), BATCH):
            scores = self.model(self.pad(texts[i : i + BATCH]))
            loss = torch.nn.functional.cross_entropy(scores, targets[i : i + BATCH])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def probabilities(self, texts: list[Text]) -> np.ndarray:
        with torch.no_grad():
            return torch.softmax(self.model(self.pad(texts)), 1).numpy()


def contestants(backend: str, model: str) -> list[type[Contestant]]:
    """Who takes part; nobody has written the encoder by hand."""
    if backend == "jax":
        return [Padless, Keras, KerasFixed]
    return [Padless, Keras] if model == "encoder" else [Padless, Torch, Keras]
