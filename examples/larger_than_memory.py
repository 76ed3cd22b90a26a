"""Train on Parquet files that need not fit into memory: 1 GB of rows, a few row groups of them at a time.

The rows are generated: noise of 64 features a step, of 20 to 200 steps, and somewhere in it one step of one of four
patterns, which is the class. They are written class by class, as sorted data often are: they are learnt from only
where rows are mixed across the files. Then they are planned, streamed through `fit`, stopped in the middle of an
epoch, and gone on with.

Run it with `python examples/larger_than_memory.py` where padless[torch] and pyarrow are installed; --megabytes=100 is
a quicker look.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    sys.exit("Parquet files are read by a package of its own: pip install pyarrow")

import padless
from padless import Ragged, Sequential, layers
from padless.data import ParquetRows, plan_epoch

FEATURES, CLASSES, ROWS = 64, 4, 250
"""ROWS: of a row group, which then has 7 MB."""


def generated(seed: int, label: int, patterns: np.ndarray) -> pa.Table:
    """One row group of one class."""
    numbers = np.random.default_rng(seed)
    lengths = numbers.integers(20, 200, ROWS)
    values = numbers.standard_normal((lengths.sum(), FEATURES), np.float32)
    values[np.cumsum(lengths) - numbers.integers(1, lengths + 1)] += patterns[label]
    x = Ragged.from_lengths(values, lengths)
    return pa.table({"signal": x.to_arrow(), "class": np.full(ROWS, label)})


def write(folder: Path, megabytes: float) -> None:
    """Files of 8 row groups each, all rows of a class before those of the next; the last file is for validation."""
    folder.mkdir(parents=True, exist_ok=True)
    patterns = np.random.default_rng(0).standard_normal((CLASSES, FEATURES)).astype(np.float32)
    groups = max(round(megabytes * 1e6 / (ROWS * 110 * FEATURES * 4)), CLASSES)
    labels = [group * CLASSES // groups for group in range(groups)] + list(range(CLASSES))
    writer, began = None, time.perf_counter()
    for group, label in enumerate(labels):
        table = generated(group + 1, label, patterns)
        if writer is None or group == groups or (group < groups and group % 8 == 0):
            if writer is not None:
                writer.close()
            name = "held_out" if group == groups else f"train-{group // 8:03}"
            writer = pq.ParquetWriter(folder / f"{name}.parquet", table.schema, use_dictionary=False)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    size = sum(file.stat().st_size for file in folder.glob("*.parquet"))
    print(f"Wrote {size / 1e6:,.0f} MB in {time.perf_counter() - began:.0f} s to {folder}.")


def make_model() -> Any:
    model = Sequential(
        [
            layers.Dense(32, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def peak() -> float | None:
    """The most memory that this program had so far, in MB, where the system tells it."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) / 1000 if found else None


class StopsIn(padless.callbacks.Callback):
    """Ends training after some batches of the last epoch, as Ctrl-C would."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.batches = batches

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop, if it is time."""
        last = self.model.data_state["epoch"] == self.params["epochs"] - 1
        self.model.stop_training = last and batch + 1 == self.batches


def train(folder: Path, options: argparse.Namespace) -> None:
    training = sorted(folder.glob("train-*.parquet"))
    rows = ParquetRows(training, x="signal", y="class", window=options.window)
    held_out = ParquetRows(folder / "held_out.parquet", x="signal", y="class")
    print(rows)
    began = time.perf_counter()
    plan = plan_epoch(rows, max_tokens=options.max_tokens, seed=0)
    print(f"Planned in {time.perf_counter() - began:.1f} s, most of it for reading the lengths:\n{plan}\n")

    before, began = peak(), time.perf_counter()
    read = sum(batch.x.values.nbytes for batch in rows.batches(plan))
    seconds = time.perf_counter() - began
    print(f"An epoch of batches alone: {read / 1e6:,.0f} MB in {seconds:.1f} s, {read / seconds / 1e9:.2f} GB/s.")

    padless.utils.set_random_seed(1)
    model = make_model()
    more: dict[str, Any] = {"max_tokens": options.max_tokens, "validation_data": held_out, "verbose": 2}
    stop = len(plan) // 2
    model.fit(rows, epochs=options.epochs, callbacks=[StopsIn(stop)], **more)
    state = model.data_state
    print(f"Stopped at {state}; going on there.")
    model.data_state = state
    model.fit(rows, epochs=options.epochs, **more)
    _, right = model.evaluate(held_out, verbose=0)
    print(f"{right:.1%} of {held_out.nrows} held-out rows right; the commonest class is {1 / CLASSES:.0%} of them.")
    if before is not None:
        print(f"Peak memory {peak():,.0f} MB, of which {before:,.0f} MB before the first epoch.")


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train on Parquet files that need not fit into memory.")
    parser.add_argument("--megabytes", type=float, default=1000, help="rows to write (default 1000)")
    parser.add_argument("--folder", type=Path, help="where to write them, or where an earlier run did; else they go")
    parser.add_argument("--epochs", type=int, default=2, help="times through the rows (default 2)")
    parser.add_argument("--max-tokens", type=int, default=12_000, help="steps of a batch (default 12000)")
    parser.add_argument("--window", type=int, default=12, help="row groups among which rows are mixed (default 12)")
    return parser.parse_args(arguments)


def folders(given: Path | None) -> Iterator[Path]:
    """The folder that was named, or one that goes afterwards."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def main() -> None:
    options = options_of()
    for folder in folders(options.folder):
        if not list(folder.glob("train-*.parquet")):
            write(folder, options.megabytes)
        train(folder, options)


if __name__ == "__main__":
    main()
