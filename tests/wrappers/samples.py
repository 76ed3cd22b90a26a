"""Real data and small models for the tests of scikit-learn's wrappers."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

import padless
from padless import layers

DATA = Path(__file__).parents[1] / "data"


def peptides() -> tuple[list[list[int]], Any]:
    """200 peptides as ids from 1, antimicrobial (1) and others (0) in turn."""
    with (DATA / "peptides.csv").open(encoding="utf-8") as file:
        rows = [(text, int(kind)) for text, kind in list(csv.reader(file))[1:]]
    chosen = [row for pair in zip(rows[:100], rows[100:], strict=True) for row in pair]
    return [[ord(letter) - 64 for letter in text] for text, _ in chosen], np.array([kind for _, kind in chosen])


def vowels() -> tuple[list[Any], list[str]]:
    """Recordings of 7 to 29 steps of 12 numbers, and who speaks."""
    lines = (DATA / "JapaneseVowels" / "JapaneseVowels_TRAIN.ts").read_text().splitlines()
    begin = next(at for at, line in enumerate(lines) if line.lower() == "@data") + 1
    found = [line.split(":") for line in lines[begin:]]
    return [np.array([one.split(",") for one in parts[:-1]], np.float32).T for parts in found], [p[-1] for p in found]


def sentences() -> tuple[list[list[int]], list[list[str]]]:
    """200 Turkish sentences as ids of words, and the tag of each word."""
    blocks = (DATA / "turkish_web.conllu").read_text(encoding="utf-8").split("\n\n")
    tables = [[line.split("\t") for line in block.splitlines() if line and line[0] != "#"] for block in blocks]
    tables = [table for table in tables if table]
    known = {word: at + 1 for at, word in enumerate(dict.fromkeys(line[1] for table in tables for line in table))}
    return [[known[line[1]] for line in table] for table in tables], [[line[3] for line in table] for table in tables]


def reader(X: Any, y: Any, units: int = 8, loss: str = "categorical_crossentropy", rate: float = 0.02) -> Any:
    """A classifier of rows of ids."""
    model = padless.Sequential(
        [
            layers.Embedding(5000, 8, mask_zero=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(units, activation="relu"),
            layers.Dense(y.shape[-1], activation="softmax"),
        ]
    )
    model.compile(padless.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


def detector(X: Any, y: Any, logits: bool = False) -> Any:
    """A classifier of rows of ids with one output."""
    head = layers.Dense(1, activation=None if logits else "sigmoid")
    model = padless.Sequential([layers.Embedding(50, 8), layers.GlobalAveragePooling1D(), head])
    model.compile(padless.optimizers.Adam(0.05), padless.losses.BinaryCrossentropy(from_logits=logits))
    return model


def tagger(X: Any, y: Any, loss: str = "categorical_crossentropy") -> Any:
    """A classifier of steps."""
    head = layers.Dense(y.shape[-1], activation="softmax")
    model = padless.Sequential([layers.Embedding(5000, 8), layers.LSTM(8, return_sequences=True), head])
    model.compile(padless.optimizers.Adam(0.02), loss)
    return model


def gauge(X: Any, y: Any, outputs: int = 1, pool: bool = True) -> Any:
    """A regressor of rows of ids, or of their steps."""
    stack = [layers.Embedding(50, 8), layers.GRU(8, return_sequences=not pool), layers.Dense(outputs)]
    model = padless.Sequential(stack)
    model.compile(padless.optimizers.Adam(0.02), "mse")
    return model


class Dense:
    """A model of features; no function, whose address would be in the names of tests, another in each worker."""

    def __call__(
        self, X: Any, y: Any, loss: str = "categorical_crossentropy", activation: str | None = "softmax"
    ) -> Any:
        outputs = layers.Dense(y.shape[1] if y.ndim > 1 else 1, activation=activation)
        model = padless.Sequential([layers.Dense(10, activation="relu"), outputs])
        model.compile("rmsprop", loss)
        return model

    def __repr__(self) -> str:
        return "dense"


dense = Dense()
