"""Tag the words of Turkish sentences, each as long as it is, with a bidirectional LSTM and a CRF.

The data are the 4,851 sentences of the Turkish Web Treebank in the PyPI package turkish-treebanks (Apache-2.0, Google),
with one of 14 parts of speech for each word. Turkish says with endings what other languages say with word order, so the
model reads the last letters of each word beside the word itself. The program prints the share of right tags in held-out
sentences, beside what the most frequent tag of each word gives.

    pip download --no-deps turkish-treebanks==1.0.0    # a file of 1.2 MB, read as it is; nothing is installed
    python examples/tagging.py
"""

from __future__ import annotations

import argparse
import collections
import importlib.metadata
import sys
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

import padless
from padless import Input, Model, layers

FILES = ("data/web.conllu", "data/wiki.conllu")
Sentences = list[list[tuple[str, str]]]
"""For each sentence its words, each with its tag."""


def read(text: str) -> Sentences:
    """Sentences of a CoNLL-U file: a line for each word, form in the second column and tag in the fourth."""
    sentences: Sentences = []
    for block in text.split("\n\n"):
        lines = [line.split("\t") for line in block.splitlines() if line and not line.startswith("#")]
        if lines:
            sentences.append([(line[1], line[3]) for line in lines])
    return sentences


def load(path: Path | None) -> Sentences:
    """The file that was named, or both treebanks: out of a wheel that lies here, or where the package is installed."""
    if path is not None:
        return read(path.read_text(encoding="utf-8"))
    wheels = sorted(Path().glob("turkish_treebanks-*.whl"))
    if wheels:
        with zipfile.ZipFile(wheels[-1]) as wheel:
            return [s for name in FILES for s in read(wheel.read(name).decode("utf-8"))]
    try:
        installed = importlib.metadata.distribution("turkish-treebanks")
    except importlib.metadata.PackageNotFoundError:
        sys.exit("The sentences are in a package of their own: pip download --no-deps turkish-treebanks==1.0.0")
    return [s for name in FILES for s in read(Path(str(installed.locate_file(name))).read_text(encoding="utf-8"))]


def lowered(word: str) -> str:
    """Lower case as in Turkish, where I belongs to ı and İ to i."""
    return word.replace("I", "\u0131").replace("\u0130", "i").lower()


class Ids:
    """Ids from 1 on for what occurs at least so often in training; 1 is everything else."""

    def __init__(self, items: Iterable[str], least: int) -> None:
        counts = collections.Counter(items)
        kept = sorted(item for item, count in counts.items() if count >= least)
        self.known = {item: at + 2 for at, item in enumerate(kept)}

    def __len__(self) -> int:
        return len(self.known) + 2

    def of(self, items: Iterable[str]) -> list[int]:
        """The id of each."""
        return [self.known.get(item, 1) for item in items]


READ = {
    "word": (lowered, 2, 64),
    "last 3": (lambda w: lowered(w)[-3:], 3, 32),
    "last 2": (lambda w: lowered(w)[-2:], 3, 16),
}
READ["shape"] = (lambda w: ("A" if w[:1].isupper() else "a") + ("1" if any(c.isdigit() for c in w) else ""), 1, 4)
"""What is read of each word, how often it must occur in training to have an id, and how many numbers stand for it."""


def make_model(sizes: dict[str, int], tags: int) -> Model:
    first = Input((None,), dtype="int32", name="word")
    inputs = [first, *(Input((None,), dtype="int32", name=name, like=first) for name in list(READ)[1:])]
    embedded = [layers.Embedding(sizes[x.name], READ[x.name][2])(x) for x in inputs]
    h = layers.Dropout(0.4)(layers.Concatenate()(embedded))
    h = layers.Dropout(0.4)(layers.Bidirectional(layers.LSTM(64, return_sequences=True))(h))
    crf = layers.CRF(tags, name="tags")
    model = Model(inputs, crf(h))
    model.compile(padless.optimizers.Adam(3e-3), loss=crf.loss, metrics=["accuracy"])
    return model


def most_frequent(training: Sentences) -> tuple[dict[str, str], str]:
    """The most frequent tag of each word, and of all."""
    by_word: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for sentence in training:
        for word, tag in sentence:
            by_word[lowered(word)][tag] += 1
    all_tags = collections.Counter(tag for sentence in training for _, tag in sentence)
    return {w: tags.most_common(1)[0][0] for w, tags in by_word.items()}, all_tags.most_common(1)[0][0]


def share(right: Iterable[bool]) -> str:
    found = list(right)
    return f"{sum(found):,} of {len(found):,} right: {sum(found) / len(found):.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Tag the words of Turkish sentences without padding them.")
    parser.add_argument("--epochs", type=int, default=5, help="times through the sentences (default 5)")
    parser.add_argument("--sentences", type=int, help="use only so many sentences, for a quick look")
    parser.add_argument("--data", type=Path, help="a CoNLL-U file to use instead of the package")
    options = parser.parse_args()

    sentences = load(options.data)
    order = np.random.default_rng(0).permutation(len(sentences))[: options.sentences]
    held_out, training = ([sentences[i] for i in part] for part in np.split(order, [len(order) // 5]))
    tags = sorted({tag for sentence in training for _, tag in sentence})
    print("Turkish Web Treebank by Google, Apache License 2.0; PyPI turkish-treebanks 1.0.0.")
    lengths = np.array([len(s) for s in training])
    print(f"{len(training):,} sentences for training, {len(held_out):,} held out; {len(tags)} tags: {' '.join(tags)}.")
    print(f"Words per sentence: shortest {lengths.min()}, median {int(np.median(lengths))}, longest {lengths.max()}.\n")

    ids = {name: Ids((f(w) for s in training for w, _ in s), least) for name, (f, least, _) in READ.items()}

    def inputs(part: Sentences) -> list[list[list[int]]]:
        return [[ids[name].of(f(w) for w, _ in s) for s in part] for name, (f, _, _) in READ.items()]

    def targets(part: Sentences) -> list[list[int]]:
        return [[tags.index(tag) if tag in tags else 0 for _, tag in s] for s in part]

    padless.utils.set_random_seed(1)
    model = make_model({name: len(known) for name, known in ids.items()}, len(tags))
    start = time.perf_counter()
    model.fit(
        inputs(training),
        targets(training),
        batch_size=32,
        epochs=options.epochs,
        validation_data=(inputs(held_out), targets(held_out)),
    )
    seconds = time.perf_counter() - start
    words = options.epochs * int(lengths.sum())
    print(f"\nTrained for {seconds:.0f} s, {words / seconds:,.0f} words per second, held-out sentences included.")

    by_word, most = most_frequent(training)
    predicted = [[tags[i] for i in row] for row in model.predict(inputs(held_out), verbose=0)]
    pairs = [
        (w, true, tag)
        for s, row in zip(held_out, predicted, strict=True)
        for (w, true), tag in zip(s, row, strict=True)
    ]
    print("Words of held-out sentences:")
    print(f"  the most frequent tag of each word  {share(by_word.get(lowered(w), most) == t for w, t, _ in pairs)}")
    print(f"  LSTM and CRF                        {share(tag == t for _, t, tag in pairs)}")
    unseen = [pair for pair in pairs if lowered(pair[0]) not in by_word]
    if unseen:
        print(f"  of these, words not seen before     {share(tag == t for _, t, tag in unseen)}")
    shortest = min(range(len(held_out)), key=lambda i: abs(len(held_out[i]) - 8))
    print("\n  " + "  ".join(f"{w}/{tag}" for (w, _), tag in zip(held_out[shortest], predicted[shortest], strict=True)))


if __name__ == "__main__":
    main()
