"""How much of what JAX's kernels compute is live, on BBC news in random batches: `python -m benchmarks.live_slots`."""

from __future__ import annotations

import argparse

import numpy as np

from examples.bbc_news import load_articles
from padless.backends.jax import PLANS, attention, recurrent
from padless.backends.jax.compiled import FilledBatch
from padless.preprocessing.text import Tokenizer
from padless.ragged import Ragged
from padless.rows import RowPartition

TAPS = 5


def counted(lengths: np.ndarray) -> dict[str, tuple[int, int]]:
    """Live and computed slots of one batch, by kernel."""
    real = RowPartition.from_lengths(lengths)
    rows = FilledBatch((Ragged(np.zeros(real.nvals, np.int64), real),)).rows[0]
    turns = np.diff(PLANS["staircase"](rows, False)["turns"])
    separated = PLANS["separated"](rows, TAPS, 1, 1, "same")["steps"].size
    queries, keys = (attention.block(rows.nvals, rows.nrows, most) for most in (attention.QUERIES, attention.KEYS))
    blocks = -(-lengths // queries) * queries * (-(-lengths // keys) * keys)
    return {
        "steps of a batch, in every layer": (real.nvals, rows.nvals),
        "recurrence (staircase)": (real.nvals, int((turns * recurrent.widths(rows.nrows)).sum())),
        f"convolution, {TAPS} taps (separated rows)": (real.nvals, separated),
        "attention (blocks of scores)": (int((lengths**2).sum()), int(blocks.sum())),
        "padded, for comparison: steps": (real.nvals, len(lengths) * int(lengths.max())),
        "padded, for comparison: scores": (int((lengths**2).sum()), len(lengths) * int(lengths.max()) ** 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--longest", type=int, default=1024, help="words of an article (default 1024)")
    parser.add_argument("--batch", type=int, default=32, help="articles of a batch (default 32)")
    arguments = parser.parse_args()
    tokenizer = Tokenizer(num_words=20_000)
    texts = load_articles()[0]
    tokenizer.fit_on_texts(texts)
    lengths = np.array([min(len(ids), arguments.longest) for ids in tokenizer.texts_to_sequences(texts)])
    order = np.random.default_rng(0).permutation(len(lengths))
    sums: dict[str, np.ndarray] = {}
    for at in range(0, len(order), arguments.batch):
        for name, pair in counted(lengths[order[at : at + arguments.batch]]).items():
            sums[name] = sums.get(name, np.zeros(2)) + pair
    print("| kernel | live |\n| --- | --- |")
    for name, (live, computed) in sums.items():
        print(f"| {name} | {100 * live / computed:.1f} % |")


if __name__ == "__main__":
    main()
