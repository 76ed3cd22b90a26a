"""Tell nine speakers apart by how they say two vowels: time series of 7 to 29 steps, padded with NaN.

The data are the 640 recordings of JapaneseVowels, 12 numbers for each of their steps, as they are in the PyPI package
aeon. They are put into one padded array; `Masking` finds the padding, and a bidirectional GRU reads every recording
from its first to its last real step. Beside its score stand that of the commonest speaker and that of logistic
regression on means and other sums over the steps. At the end the program shows that padding changes no answer.

Run it with `python examples/japanese_vowels.py` where padless[torch] is installed, and the data by
`pip install --no-deps aeon==1.6.0`; scikit-learn makes the logistic regression.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import padless
from padless import Ragged, Sequential, layers

NAME = "JapaneseVowels"


def find_data() -> Path:
    """The folder of the data in an installed aeon, which is not imported: that would want numba and pandas."""
    package = importlib.util.find_spec("aeon")
    if package is None or not package.submodule_search_locations:
        sys.exit("The recordings are in the package aeon, of which only the files are read:\n"
                 "  pip install --no-deps aeon==1.6.0\n"
                 "or name a folder with JapaneseVowels_TRAIN.ts and JapaneseVowels_TEST.ts: --data FOLDER")  # fmt: skip
    return Path(package.submodule_search_locations[0]) / "datasets" / "data" / NAME


def read(file: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Time series (steps, 12) and their classes.

    After the line @data comes a line for each series: its features between colons, each with its numbers between
    commas, and its class at the end.
    """
    if not file.exists():
        sys.exit(f"There is no {file}.")
    lines = file.read_text(encoding="utf-8").splitlines()
    begin = next(at for at, line in enumerate(lines) if line.strip().lower() == "@data") + 1
    series, classes = [], []
    for line in lines[begin:]:
        *features, label = line.strip().split(":")
        series.append(np.array([feature.split(",") for feature in features], np.float32).T)
        classes.append(int(label) - 1)
    return series, np.array(classes)


def show_lengths(lengths: np.ndarray) -> None:
    """A histogram, and what padding is."""
    block = "█" if "utf" in (sys.stdout.encoding or "").lower() else "#"
    edges = [0, 10, 12, 14, 16, 18, 20, 25, 30]
    counts, _ = np.histogram(lengths, edges)
    print("\nSteps per recording")
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        print(f"  {low:2} to {high - 1:2}  {block * round(50 * count / counts.max()):<50} {count:4}")
    share = 1 - lengths.sum() / (len(lengths) * lengths.max())
    print(f"Shortest {lengths.min()}, median {int(np.median(lengths))}, longest {lengths.max()}.")
    print(f"In one array, padded to the longest: {share:.0%} is padding, NaN here.")


def padded(series: list[np.ndarray], length: int) -> np.ndarray:
    """(B, T, 12), NaN where a recording has ended."""
    return Ragged.from_list(series).to_padded(value=np.nan, length=length)


def pooled(series: list[np.ndarray]) -> np.ndarray:
    """(B, 48): mean, deviation, smallest and largest of each feature over the steps; what has no order needs no RNN."""
    return np.stack([np.concatenate([x.mean(0), x.std(0), x.min(0), x.max(0)]) for x in series])


def logistic_regression(series: list[np.ndarray], classes: np.ndarray, held_out: list[np.ndarray]) -> np.ndarray | None:
    """The classes that logistic regression on pooled features gives; None without scikit-learn."""
    if importlib.util.find_spec("sklearn") is None:
        return None
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return np.asarray(model.fit(pooled(series), classes).predict(pooled(held_out)))


def make_model(classes: int) -> Sequential:
    model = Sequential(
        [
            layers.Masking(mask_value=float("nan")),  # in Keras, this masks nothing: NaN is not equal to itself
            layers.BatchNormalization(),  # by the real steps alone
            layers.Bidirectional(layers.GRU(32, dropout=0.1)),
            layers.Dropout(0.3),
            layers.Dense(classes, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=padless.optimizers.Adam(learning_rate=3e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def show_promise(model: Any, series: list[np.ndarray]) -> None:
    """The same recordings as a list, padded to other lengths, and each alone."""
    alone = np.concatenate([model.predict([one], verbose=0) for one in series])
    longest = max(map(len, series))
    answers = {
        "as a list": model.predict(series, verbose=0),
        f"padded to {longest}": model.predict(padded(series, longest), verbose=0),
        f"padded to {4 * longest}": model.predict(padded(series, 4 * longest), verbose=0),
    }
    print(f"\n{len(series)} recordings, compared with each recording alone:")
    for name, answer in answers.items():
        print(f"  {name:<16} largest difference of a probability {np.abs(answer - alone).max():.1e}")
    if max(np.abs(answer - alone).max() for answer in answers.values()) > 1e-5:
        sys.exit("Padding changed an answer: this is a bug, please report it.")


def main() -> None:
    parser = argparse.ArgumentParser(description="Tell speakers apart by two vowels, without computing any padding.")
    parser.add_argument("--epochs", type=int, default=40, help="times through the recordings (default 40)")
    parser.add_argument("--quick", action="store_true", help="three epochs, to see that it runs")
    parser.add_argument("--data", type=Path, help="folder with the two .ts files (default: those of an installed aeon)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    folder = options.data or find_data()
    series, classes = read(folder / f"{NAME}_TRAIN.ts")
    held_out, truth = read(folder / f"{NAME}_TEST.ts")
    print("JapaneseVowels: M. Kudo, J. Toyama, M. Shimbo, Pattern Recognition Letters 20 (1999); UCI repository, "
          "doi 10.24432/C5NS47.")  # fmt: skip
    print("Licence: the package aeon, which holds the files, is under the BSD 3-Clause licence.")
    print(f"Nine men say /ae/. {len(series)} recordings for training, {len(held_out)} held out, 12 numbers a step.")
    lengths = np.array([len(one) for one in series + held_out])
    show_lengths(lengths)

    padless.utils.set_random_seed(1)
    model = make_model(int(classes.max()) + 1)
    print()
    start = time.perf_counter()
    longest = int(lengths.max())
    model.fit(
        padded(series, longest),
        classes,
        batch_size=16,
        epochs=3 if options.quick else options.epochs,
        validation_data=(padded(held_out, longest), truth),
    )
    print(f"\nTrained for {time.perf_counter() - start:.0f} s.")

    guesses = {
        "always the commonest speaker": np.full(len(truth), np.bincount(classes).argmax()),
        "logistic regression on means, deviations and extremes": logistic_regression(series, classes, held_out),
        "bidirectional GRU": model.predict(padded(held_out, longest), verbose=0).argmax(1),
    }
    print(f"Of {len(truth)} held-out recordings right:")
    for name, guess in guesses.items():
        score = "scikit-learn is not installed" if guess is None else f"{(guess == truth).mean():.1%}"
        print(f"  {name:<54} {score}")
    show_promise(model, held_out[:32])


if __name__ == "__main__":
    main()
