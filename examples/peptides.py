"""Tell antimicrobial peptides from others, of 7 to 174 amino acids, without padding them.

The data are 2,600 peptides of the APD3 database and 2,600 pieces of proteins from UniProt, in the PyPI package modlamp.
A convolution and a separable convolution read each peptide alone; the maximum over its amino acids says which kind it
is. Beside it stand what guessing would reach, and a logistic regression on how often each amino acid occurs, which
knows nothing of their order. Peptides of one family are alike and may stand on both sides of the split, so these
numbers compare the two with each other; they do not say how well a peptide of a new family would be told.

Run it with `python examples/peptides.py` where padless[torch] is installed. It takes about half a minute.
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
from padless import Sequential, layers

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
BATCH = 64


def data_file() -> Path:
    """The table in an installed modlamp, which is not imported: it would load much that is not needed here."""
    package = importlib.util.find_spec("modlamp")
    if package is None or not package.submodule_search_locations:
        sys.exit("The peptides are in a package of their own: pip install --no-deps modlamp==4.3.3")
    return Path(package.submodule_search_locations[0]) / "data" / "AMPvsUniProt.csv"


def load_peptides(file: Path) -> tuple[list[str], np.ndarray]:
    """The sequences and their classes; each sequence once, so that none is in training and held out as well."""
    found: dict[str, set[int]] = {}
    for line in file.read_text(encoding="utf-8").splitlines()[1:]:
        sequence, _, kind = line.partition(",")
        found.setdefault(sequence.strip(), set()).add(int(kind))
    # A few pieces of proteins are antimicrobial peptides themselves.
    clear = {sequence: kinds.pop() for sequence, kinds in found.items() if len(kinds) == 1}
    return list(clear), np.array(list(clear.values()))


def make_model() -> Any:
    model = Sequential(
        [
            layers.Embedding(len(AMINO_ACIDS) + 1, 32, mask_zero=True),
            layers.Conv1D(96, 5, padding="same", activation="relu"),
            layers.Dropout(0.3),
            layers.SeparableConv1D(96, 9, padding="same", activation="relu"),
            layers.GlobalMaxPooling1D(),  # in Keras, this one reads the padding too
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer=padless.optimizers.Adam(learning_rate=2e-3), loss="binary_crossentropy")
    return model


def area_under_curve(classes: np.ndarray, scores: np.ndarray) -> float:
    """The chance that a peptide of class 1 scores higher than one of class 0 (Mann and Whitney 1947)."""
    higher = scores[classes == 1][:, None] - scores[classes == 0][None]
    return float(((higher > 0) + 0.5 * (higher == 0)).mean())


def logistic_scores(counts: np.ndarray, classes: np.ndarray, held_out: np.ndarray) -> np.ndarray | None:
    """Probabilities by a logistic regression on the number of each amino acid; None where scikit-learn is not there."""
    if importlib.util.find_spec("sklearn") is None:
        return None
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return model.fit(counts, classes).predict_proba(held_out)[:, 1]


def show(name: str, classes: np.ndarray, scores: np.ndarray) -> None:
    right = ((scores > 0.5) == classes).mean()
    print(f"  {name:<42} accuracy {right:6.1%}, area under the curve {area_under_curve(classes, scores):.3f}")


def show_promise(model: Any, peptides: list[list[int]]) -> None:
    """The same peptides alone, and padded on the left to twice the longest: the same answers."""
    from padless.utils import pad_sequences

    padded = pad_sequences(peptides, maxlen=2 * max(map(len, peptides)), padding="pre")
    alone = np.concatenate([model.predict([peptide], verbose=0) for peptide in peptides])
    worst = float(np.abs(model.predict(padded, verbose=0) - alone).max())
    print(f"\n{len(peptides)} held-out peptides, padded left, against each alone: probabilities differ by {worst:.1e}.")
    if worst > 1e-5:
        sys.exit("Padding changed an answer: this is a bug, please report it.")


def main() -> None:
    parser = argparse.ArgumentParser(description="Tell antimicrobial peptides from others without padding them.")
    parser.add_argument("--epochs", type=int, default=15, help="times through the peptides (default 15)")
    parser.add_argument("--data", type=Path, help="a table of peptides, in place of the one in modlamp")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    sequences, classes = load_peptides(options.data or data_file())
    number = {letter: at for at, letter in enumerate(AMINO_ACIDS, start=1)}
    peptides = [[number[letter] for letter in sequence] for sequence in sequences]
    lengths = np.array([len(peptide) for peptide in peptides])
    order = np.random.default_rng(0).permutation(len(peptides))
    held_out, training = order[: len(order) // 5], order[len(order) // 5 :]
    print("Peptides of APD3 (Wang, Li and Wang 2016) and pieces of proteins of UniProt; PyPI modlamp 4.3.3.")
    print("Licence: the package is under the BSD 3-clause licence; UniProt is under CC BY 4.0.")
    print(f"{len(peptides):,} different peptides, {classes.mean():.0%} antimicrobial; {len(held_out)} are held out.")
    print(f"{lengths.min()} to {lengths.max()} amino acids, half of the peptides up to {np.median(lengths):.0f}.\n")

    padless.utils.set_random_seed(1)
    model = make_model()
    start = time.perf_counter()
    model.fit([peptides[i] for i in training], classes[training], batch_size=BATCH, epochs=options.epochs, verbose=2)
    print(f"\nTrained for {time.perf_counter() - start:.0f} s. {len(held_out)} held-out peptides:")

    known, truth = [peptides[i] for i in held_out], classes[held_out]
    counts = np.array([[peptide.count(at) for at in number.values()] for peptide in peptides])
    logistic = logistic_scores(counts[training], classes[training], counts[held_out])
    show("always the larger class", truth, np.full(len(truth), classes[training].mean()))
    if logistic is None:
        print("  (a logistic regression on counts of amino acids: pip install scikit-learn)")
    else:
        show("logistic regression on counts", truth, logistic)
    show("convolutions on the sequence", truth, model.predict(known, verbose=0)[:, 0])
    show_promise(model, known[:32])


if __name__ == "__main__":
    main()
