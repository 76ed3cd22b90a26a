"""The rows that contestants train on, and the batches they are dealt in.

The orchestrator makes them and writes them to a file; a worker reads that file, so that it imports nothing that its
library would not.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

VOCABULARY, LONGEST, GIANT = 20_000, 1_024, 4_442
SLOPE_STEPS, SLOPE_LENGTH = 16_384, 512
WASTES = (0.0, 0.25, 0.5, 0.63, 0.75, 0.9, 0.95)


@dataclass(frozen=True)
class Data:
    """Rows end to end.

    Attributes:
        values: (N,) ids from 1 up, or (N, D) features.
        splits: (B + 1,) where rows begin and end.
        targets: (B,) classes of rows, or (N,) of steps.
        vocabulary: rows of the embedding table; 0 for features.
        classes: how many.
        source: said in the log.
    """

    values: np.ndarray
    splits: np.ndarray
    targets: np.ndarray
    vocabulary: int
    classes: int
    source: str = ""

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.splits)

    @property
    def per_step(self) -> bool:
        return len(self.targets) == len(self.values) and len(self.targets) != len(self.lengths)

    def row(self, at: int) -> np.ndarray:
        return self.values[self.splits[at] : self.splits[at + 1]]

    def target(self, at: int) -> np.ndarray:
        """() the class of a row, or (T,) those of its steps."""
        return self.targets[self.splits[at] : self.splits[at + 1]] if self.per_step else self.targets[at]

    def padded(self, rows: list[int], length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(B, T, ...) with zeros behind the rows, and (B,) or (B, T) targets; T is the longest row if not told."""
        length = length or int(self.lengths[rows].max())
        x = np.zeros((len(rows), length, *self.values.shape[1:]), self.values.dtype)
        y = np.zeros((len(rows), length) if self.per_step else len(rows), np.int32)
        for at, row in enumerate(rows):
            steps = self.row(row)
            x[at, : len(steps)] = steps
            y[(at, slice(0, len(steps))) if self.per_step else at] = self.target(row)
        return x, y

    def save(self, file: Path) -> None:
        np.savez(file, **self.__dict__)

    @classmethod
    def load(cls, file: str | Path) -> Data:
        with np.load(file) as kept:
            found = {name: kept[name] for name in kept.files}
        for name in ("vocabulary", "classes", "source"):
            found[name] = found[name].item()
        return cls(**found)


def _of(rows: list[np.ndarray], targets: np.ndarray, vocabulary: int, classes: int, source: str) -> Data:
    splits = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return Data(np.concatenate(rows), splits, np.asarray(targets, np.int32), vocabulary, classes, source)


def articles() -> list[str]:
    """The texts of the BBC articles."""
    from examples.bbc_news import load_articles

    return list(load_articles()[0])


def _articles() -> tuple[list[list[int]], np.ndarray, list[str]]:
    """Ids of all BBC articles, their classes, their texts."""
    from examples.bbc_news import load_articles
    from padless.preprocessing.text import Tokenizer

    texts, classes, _ = load_articles()
    tokenizer = Tokenizer(num_words=VOCABULARY)
    tokenizer.fit_on_texts(texts)
    return tokenizer.texts_to_sequences(texts), classes, texts


def bbc(longest: int | None = LONGEST) -> Data:
    ids, classes, _ = _articles()
    rows = [np.array(row[:longest], np.int32) for row in ids]
    cut = f"cut at {longest:,} words" if longest else "uncut"
    return _of(rows, classes, VOCABULARY, 5, f"{len(rows):,} BBC articles, {cut}")


def sentences(longest: int = 60) -> Data:
    """Sentences of the articles; the class of a word is how it is written: small, Capital, CAPITALS, a number."""
    from padless.preprocessing.text import Tokenizer

    _, _, texts = _articles()
    found = []
    for text in texts:
        for sentence in re.split(r"(?<=[.!?])\s+|\n+", text):
            words = re.findall(r"[A-Za-z]+|\d+", sentence)[:longest]
            if words:
                found.append(words)
    tokenizer = Tokenizer(num_words=VOCABULARY, oov_token="?")
    tokenizer.fit_on_texts([" ".join(words) for words in found])
    index = tokenizer.word_index

    def known(word: str) -> int:
        at = int(index.get(word.lower(), 1))
        return at if at < VOCABULARY else 1

    def written(word: str) -> int:
        return 3 if word.isdigit() else 2 if word.isupper() and len(word) > 1 else 1 if word[0].isupper() else 0

    rows = [np.array([known(word) for word in words], np.int32) for words in found]
    tags = np.concatenate([[written(word) for word in words] for words in found])
    mean = sum(map(len, rows)) / len(rows)
    return _of(rows, tags, VOCABULARY, 4, f"{len(rows):,} sentences of BBC articles, {mean:.0f} words on average")


def vowels() -> Data:
    """JapaneseVowels: of an installed aeon all 640 recordings, else the 54 that the tests keep, over and over."""
    from examples.japanese_vowels import NAME, read

    package = importlib.util.find_spec("aeon")
    if package is not None and package.submodule_search_locations:
        folder, repeats = Path(package.submodule_search_locations[0]) / "datasets" / "data" / NAME, 1
    else:
        folder, repeats = Path(__file__).resolve().parents[1] / "tests" / "data" / NAME, 12
    rows, classes = [], []
    for part in ("TRAIN", "TEST"):
        series, labels = read(folder / f"{NAME}_{part}.ts")
        rows += list(series) * repeats
        classes += list(labels) * repeats
    said = f"{len(rows)} recordings of JapaneseVowels" + (f", {len(rows) // repeats} different" * (repeats > 1))
    return _of(rows, np.array(classes), 0, 9, said)


def slope(waste: float, batches: int = 2) -> Data:
    """Batches of 16,384 steps, of whose padded form `waste` is padding.

    The longest row is `top`, the share of rows shorter than u * top is u ** (1 / p): p = 0 are equal lengths, p = 1 any
    length as often. With N and the sum of squared lengths fixed, p, `top` and the number of rows follow from `waste`:
    attention has the same number of scores at every waste.
    """
    p = waste / (1 - waste)
    top = SLOPE_LENGTH * (2 * p + 1) / (p + 1)
    count = round(SLOPE_STEPS / ((1 - waste) * top))
    lengths = np.maximum(1, np.round(top * ((np.arange(count) + 0.5) / count) ** p).astype(int))
    while gap := SLOPE_STEPS - int(lengths.sum()):  # what rounding left over, one step a row
        changed = np.argsort(lengths)[-2 : -2 - min(abs(gap), count - 1) : -1]
        lengths[changed] += np.sign(gap)
    return synthetic(lengths, batches, f"{SLOPE_STEPS:,} steps in {count} rows, longest {lengths.max():,}")


def equal(length: int = 400, batches: int = 4, rows: int = 32) -> Data:
    return synthetic(np.full(rows, length), batches, f"{rows} rows of {length} steps in each batch", VOCABULARY)


def giant(batches: int = 2) -> Data:
    lengths = np.concatenate([[GIANT], np.random.default_rng(0).integers(15, 26, 31)])
    return synthetic(lengths, batches, f"one row of {GIANT:,} steps among 31 of 15 to 25", VOCABULARY)


def synthetic(lengths: np.ndarray, batches: int, source: str, vocabulary: int = 1_000) -> Data:
    """The same lengths in every batch, shuffled; the small table keeps the optimizer's part of a step small."""
    rng = np.random.default_rng(1)
    rows = [rng.integers(1, vocabulary, n, dtype=np.int32) for _ in range(batches) for n in rng.permutation(lengths)]
    return _of(rows, rng.integers(0, 5, len(rows)), vocabulary, 5, source)
