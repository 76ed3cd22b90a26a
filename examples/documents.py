"""Classify news articles as documents of sentences of words, without padding words or sentences.

The articles of bbc_news.py are cut into sentences of unequal length, as many as each has. A small network reads the
words of each sentence; a GRU in both directions reads what it makes of the sentences; a weighted mean over them, whose
weights are learned, goes into a softmax over five classes (Yang et al. 2016, "Hierarchical attention networks for
document classification"). Beside it: a logistic regression on the counts of words, and always the largest class.

Run it with `python examples/documents.py` where padless[torch,demo] is installed; it takes a minute.
"""

from __future__ import annotations

import argparse
import re
import time
from typing import Any

import numpy as np
import torch
from bbc_news import BATCH, load_articles

import padless
from padless import Layer, Ragged, Sequential, layers
from padless.preprocessing.text import Tokenizer

END = re.compile(r"(?<=[.!?])\s+|\n+")  # a full stop and a space, or a new line


class AttentionPooling(Layer):
    """The mean of the steps of each row, weighted by the softmax of a learned score; nothing for an empty row."""

    view = "ragged"

    def build(self, spec: Any) -> None:
        """Make a projection and the vector that scores."""
        self.kernel = self.add_weight("kernel", (spec.features, spec.features))
        self.query = self.add_weight("query", (spec.features, 1))

    def call(self, x: Ragged) -> Any:
        """(B, None, D) to (B, D)."""
        scores = x.with_values(self.xp.tanh(x.values @ self.kernel) @ self.query)
        shares = x.with_values(self.xp.exp((scores - padless.spread(padless.row_max(scores), x)).values))
        total = padless.row_sum(shares)
        return padless.row_sum(x.with_values(x.values * shares.values)) / self.xp.where(total > 0, total, 1 + total)


def make_model(words: int, classes: int) -> Any:
    sentence = Sequential(
        [
            layers.Embedding(words, 64, mask_zero=True),
            layers.Dropout(0.2),
            layers.Conv1D(64, 3, padding="same", activation="relu"),
            layers.GlobalMaxPooling1D(),
        ],
        name="sentence",
    )
    model = Sequential(
        [
            padless.Input((None, None), dtype="int32"),  # documents of sentences of words
            layers.TimeDistributed(sentence),
            layers.Bidirectional(layers.GRU(32, return_sequences=True)),
            AttentionPooling(),
            layers.Dense(classes, activation="softmax"),
        ]
    )
    model.compile(padless.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def regression(counts: np.ndarray, classes: np.ndarray, training: np.ndarray, held_out: np.ndarray) -> float:
    """Accuracy of a logistic regression on the words of an article, weighted by how rare they are."""
    model = Sequential([layers.Dense(int(classes.max()) + 1, activation="softmax")])
    model.compile(padless.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(counts[training], classes[training], epochs=10, verbose=0)
    return float(model.evaluate(counts[held_out], classes[held_out], verbose=0)[1])


def show_lengths(documents: list[list[list[int]]]) -> None:
    sentences = np.array([len(document) for document in documents])
    words = np.array([len(sentence) for document in documents for sentence in document])
    # What arrays of batches would hold, padded to the batch's most sentences and to its longest sentence.
    batches = [documents[at : at + BATCH] for at in range(0, len(documents), BATCH)]
    longest = [max((len(s) for d in batch for s in d), default=0) for batch in batches]
    padded = sum(len(b) * max(map(len, b)) * n for b, n in zip(batches, longest, strict=True))
    print(f"Sentences of an article: {sentences.min()} to {sentences.max()}, median {int(np.median(sentences))}.")
    print(f"Words of a sentence: {words.min()} to {words.max()}, median {int(np.median(words))}.")
    print(f"Batches of {BATCH}, padded at both levels: {1 - words.sum() / padded:.0%} would be padding.\n")


def show_promise(model: Any, documents: list[list[list[int]]]) -> None:
    """The same articles as lists, alone, and in an array padded at both levels."""
    padded = Ragged.from_list(documents, ragged_rank=2).to_padded(side="pre")
    alone = np.concatenate([model.predict([document], verbose=0) for document in documents])
    print(f"\n{len(documents)} held-out articles, compared with each article alone:")
    for name, form in (("as lists", documents), (f"padded to {padded.shape[1]} x {padded.shape[2]}", padded)):
        difference = float(np.abs(model.predict(form, verbose=0) - alone).max())
        print(f"  {name:<22} largest difference of a probability {difference:.1e}")
        assert difference < 1e-5, "padding changed an answer: this is a bug, please report it"


def main() -> None:
    parser = argparse.ArgumentParser(description="Classify BBC news articles as documents of sentences of words.")
    parser.add_argument("--epochs", type=int, default=4, help="times through the articles (default 4)")
    parser.add_argument("--words", type=int, default=10_000, help="size of the vocabulary (default 10000)")
    parser.add_argument("--articles", type=int, help="use only so many articles, for a quick look")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1; try 2 on an idle machine)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    texts, classes, names = load_articles()
    order = np.random.default_rng(0).permutation(len(texts))[: options.articles]
    held_out, training = order[: len(order) // 5], order[len(order) // 5 :]
    print(f"{len(order):,} BBC articles of 2004 and 2005; {len(training):,} for training, {len(held_out):,} held out.")
    tokenizer = Tokenizer(num_words=options.words)
    tokenizer.fit_on_texts([texts[i] for i in training])
    cut = [tokenizer.texts_to_sequences([part for part in END.split(text) if part]) for text in texts]
    documents = [[sentence for sentence in document if sentence] for document in cut]  # lists of lists of lists of ids
    show_lengths([documents[i] for i in order])

    padless.utils.set_random_seed(1)
    model = make_model(options.words, len(names))
    model.summary()
    start = time.perf_counter()
    model.fit(
        [documents[i] for i in training],
        classes[training],
        batch_size=BATCH,
        epochs=options.epochs,
        validation_data=([documents[i] for i in held_out], classes[held_out]),
    )
    seconds = time.perf_counter() - start
    words = options.epochs * sum(len(sentence) for i in training for sentence in documents[i])
    print(f"Trained for {seconds:.0f} s, {words / seconds:,.0f} words per second, held-out articles included.\n")

    scores = model.predict([documents[i] for i in held_out], verbose=0)
    right = float((scores.argmax(axis=1) == classes[held_out]).mean())
    counts = tokenizer.texts_to_matrix(texts, mode="tfidf").astype("float32")
    counts /= np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)
    majority = np.bincount(classes[training]).argmax()
    always = float((classes[held_out] == majority).mean())
    print(f"Of {len(held_out)} held-out articles right:")
    print(f"  sentences of words        {right:.1%}")
    print(f"  regression on word counts {regression(counts, classes, training, held_out):.1%}")
    print(f"  always {names[majority]:<18} {always:.1%}")
    show_promise(model, [documents[i] for i in held_out[:BATCH]])


if __name__ == "__main__":
    main()
