"""Write Arabic sentences in Devanagari: a sequence to a sequence, with attention, and no padding on either side.

The data are the 4,000 sentences of daily use and of book titles in the PyPI package ah-translit-bench. A bidirectional
GRU reads the letters of a sentence; another one writes, letter by letter, and looks at each step at the letters that it
needs. A sentence of 3 letters and one of 60 share a batch, and each costs what it holds.

Arabic leaves most vowels out, and the data spell one word in several ways, so that no program gets all letters right.
After 16 epochs, one and a half minutes of one core, 16 % of the letters are wrong; a list of the words in training,
with a table of letters for the other words, gets 21 % wrong.

Run it with `python examples/transliteration.py` where padless[torch,demo] is installed.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import padless
from padless import Input, Model, Ragged, layers

START, END = 1, 2
BATCH = 64
UNITS = 128
Pair = tuple[str, str]


def load_pairs(path: Path | None, longest: int) -> list[Pair]:
    """Arabic sentences with their transliterations, each once; the files are read without the package's code."""
    if path is None:
        package = importlib.util.find_spec("AH_Translit_Bench")
        if package is None or not package.submodule_search_locations:
            sys.exit("The sentences are in a package of their own: pip install ah-translit-bench==2.1.1")
        folder = Path(package.submodule_search_locations[0]) / "data"
        files = [folder / f"msa_{name}_benchmark_2000.csv" for name in ("bibliographic", "dailyuse")]
    else:
        files = [path]
    pairs: dict[str, str] = {}
    for file in files:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            for row in csv.DictReader(lines):
                # "al- kitab" is one word with its article.
                pairs.setdefault(_clean(row["Arabic"]), _clean(row["Hindi"].replace("- ", "-")))
    return [(source, target) for source, target in pairs.items() if 0 < len(source) <= longest and target]


def _clean(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))


class Letters:
    """Numbers for letters, from 3 on; 0 stands for letters that training never saw."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.letters = ["", "", "", *sorted(set("".join(texts)))]
        self.ids = {letter: number for number, letter in enumerate(self.letters) if letter}

    def encode(self, text: str) -> list[int]:
        """Numbers of letters."""
        return [self.ids.get(letter, 0) for letter in text]

    def decode(self, ids: Sequence[int]) -> str:
        """Letters of numbers."""
        return "".join(self.letters[number] for number in ids)


# ---- the model


def make_models(sources: int, targets: int, batches: int) -> tuple[Any, Any, Any]:
    """The encoder, the decoder, and both together for so many batches of training."""
    letters = Input((None,), dtype="int32")
    read = layers.Bidirectional(layers.GRU(UNITS // 2, return_sequences=True, return_state=True))
    encoded, forwards, backwards = read(layers.Embedding(sources, 64)(letters))
    state = layers.Dense(UNITS, activation="tanh")(layers.Concatenate()([forwards, backwards]))
    placed = layers.Add()([layers.Dropout(0.1)(encoded), layers.SinePositionEncoding()(encoded)])
    encoder = Model(letters, [placed, state])

    memory, before, previous = Input((None, UNITS)), Input((UNITS,)), Input((None,), dtype="int32")
    write = layers.GRU(UNITS, return_sequences=True, return_state=True)
    steps, after = write(layers.Embedding(targets, 64)(previous), initial_state=before)
    # Each step of a row asks the letters of the sentence with the same number.
    context = layers.MultiHeadAttention(num_heads=1, key_dim=64, value_dim=UNITS)(steps, memory)
    joined = layers.Dense(UNITS, activation="tanh")(layers.Dropout(0.2)(layers.Concatenate()([steps, context])))
    decoder = Model([memory, before, previous], [layers.Dense(targets, activation="softmax")(joined), after])

    source, given = Input((None,), dtype="int32"), Input((None,), dtype="int32")
    both = Model([source, given], decoder([*encoder(source), given])[0])
    both.compile(
        optimizer=padless.optimizers.Adam(padless.schedules.CosineDecay(4e-3, batches), clipnorm=1.0),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return encoder, decoder, both


def write_greedily(encoder: Any, decoder: Any, sources: list[list[int]]) -> list[list[int]]:
    """The likeliest letter at each step, until the end; rows that have ended cost nothing any more."""
    most = 2 * np.array([len(source) for source in sources]) + 5
    memory, state = encoder(Ragged.from_list(sources))
    written: list[list[int]] = [[] for _ in sources]
    alive, last = np.arange(len(sources)), np.full((len(sources), 1), START)
    for step in range(int(most.max())):
        scores, state = decoder([memory, state, last])
        last = np.asarray(scores)[:, -1].argmax(-1)
        stays = (last != END) & (step < most[alive])
        for row, letter in zip(alive[stays], last[stays], strict=True):
            written[row].append(int(letter))
        alive, last = alive[stays], last[stays, None]
        if not len(alive):
            break
        memory, state = memory[stays], state[torch.from_numpy(stays)]
    return written


# ---- scores


def edits(one: str, other: str) -> int:
    """Insertions, deletions and replacements between two texts (Levenshtein 1966)."""
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, start=1):
        before, row[0] = row[0], at
        for place, wanted in enumerate(other, start=1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (letter != wanted))
    return row[-1]


def show_scores(name: str, written: Sequence[str], wanted: Sequence[str]) -> float:
    wrong = sum(edits(one, other) for one, other in zip(written, wanted, strict=True)) / sum(map(len, wanted))
    words = [(a, b) for one, other in zip(written, wanted, strict=True) for a, b in _side_by_side(one, other)]
    right = sum(a == b for a, b in words) / len(words)
    exact = sum(one == other for one, other in zip(written, wanted, strict=True)) / len(wanted)
    print(f"  {name:<42} {wrong:8.1%} {right:9.1%} {exact:9.1%}")
    return wrong


def _side_by_side(one: str, other: str) -> list[Pair]:
    words = one.split()
    return [(words[at] if at < len(words) else "", word) for at, word in enumerate(other.split())]


def letter_table(words: Counter[Pair]) -> dict[str, str]:
    """The baseline: for each letter the piece of a transliterated word that stands most often in its place."""
    pieces: dict[str, Counter[str]] = {}
    for (source, target), count in words.items():
        edges = [round(at * len(target) / len(source)) for at in range(len(source) + 1)]
        for letter, first, last in zip(source, edges, edges[1:], strict=False):
            pieces.setdefault(letter, Counter())[target[first:last]] += count
    return {letter: counts.most_common(1)[0][0] for letter, counts in pieces.items()}


def word_pairs(pairs: Sequence[Pair]) -> Counter[Pair]:
    """Words beside each other, of sentences that have as many on both sides."""
    split = ((source.split(), target.split()) for source, target in pairs)
    return Counter(pair for one, other in split if len(one) == len(other) for pair in zip(one, other, strict=True))


def baselines(training: Sequence[Pair], sources: Sequence[str]) -> dict[str, list[str]]:
    """By letters; and each word as it was written most often, unknown ones by letters."""
    words = word_pairs(training)
    table, known = letter_table(words), dict[str, str]()
    for (source, target), _ in words.most_common():
        known.setdefault(source, target)

    def by_letters(word: str) -> str:
        return "".join(table.get(letter, letter) for letter in word)

    def spelled(sentence: str, remember: bool) -> str:
        return " ".join(
            known.get(word, by_letters(word)) if remember else by_letters(word) for word in sentence.split()
        )

    return {
        "most frequent piece for each letter": [spelled(source, False) for source in sources],
        "words as in training, others by letters": [spelled(source, True) for source in sources],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Write Arabic sentences in Devanagari.")
    parser.add_argument("--epochs", type=int, default=16, help="times through the sentences (default 16)")
    parser.add_argument("--sentences", type=int, help="use only so many sentences, for a quick look")
    parser.add_argument(
        "--data", type=Path, help="a CSV file with the columns Arabic and Hindi, in place of the package"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1; try 2 on an idle machine)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    pairs = load_pairs(options.data, longest=60)
    pairs = [pairs[at] for at in np.random.default_rng(0).permutation(len(pairs))[: options.sentences]]
    held_out, training = pairs[: len(pairs) // 10], pairs[len(pairs) // 10 :]
    print("Arabic sentences and their transliteration, PyPI ah-translit-bench 2.1.1 (MIT licence).")
    lengths = np.array([(len(source), len(target)) for source, target in pairs])
    padded = sum(
        np.prod(lengths[at : at + BATCH].max(0)) * len(lengths[at : at + BATCH]) for at in range(0, len(pairs), BATCH)
    )
    print(f"{len(training):,} for training, {len(held_out):,} held out; {lengths[:, 0].min()} to {lengths[:, 0].max()}")
    print(
        f"letters become {lengths[:, 1].min()} to {lengths[:, 1].max()}. Of the pairs of letters that attention would"
    )
    print(
        f"compute in padded batches of {BATCH}, {1 - np.prod(lengths, axis=1).sum() / padded:.0%} would be padding.\n"
    )

    source_letters, target_letters = (Letters(side) for side in zip(*training, strict=True))
    # The end is a letter, too: the decoder looks at it before it writes the end itself.
    rows = [*training, *sorted(word_pairs(training))]  # sentences, and each of their words on its own
    sources = [[*source_letters.encode(source), END] for source, _ in rows]
    targets = [target_letters.encode(target) for _, target in rows]
    padless.utils.set_random_seed(1)
    batches = options.epochs * -(-len(rows) // BATCH)
    encoder, decoder, model = make_models(len(source_letters.letters), len(target_letters.letters), batches)
    start = time.perf_counter()
    # Teacher forcing: the decoder sees what should have been written before.
    model.fit(
        [sources, [[START, *ids] for ids in targets]],
        [[*ids, END] for ids in targets],
        batch_size=BATCH,
        epochs=options.epochs,
    )
    print(f"\nTrained for {time.perf_counter() - start:.0f} s. {len(held_out)} held-out sentences, written greedily:\n")

    asked, wanted = zip(*held_out, strict=True)
    written = write_greedily(encoder, decoder, [[*source_letters.encode(source), END] for source in asked])
    answers = [target_letters.decode(ids) for ids in written]
    print(f"  {'':<42} {'letters':>8} {'words':>9} {'sentences':>9}")
    print(f"  {'':<42} {'wrong':>8} {'right':>9} {'right':>9}")
    for name, spelled in baselines(training, asked).items():
        show_scores(name, spelled, wanted)
    show_scores("encoder, attention, decoder", answers, wanted)
    print()
    for source, answer, right in list(zip(asked, answers, wanted, strict=True))[:4]:
        print(f"  {source}\n    {answer}" + ("" if answer == right else f"\n    should be {right}"))

    # Alone or among others, a sentence becomes the same.
    few = [[*source_letters.encode(source), END] for source in asked[:8]]
    if [write_greedily(encoder, decoder, [one])[0] for one in few] != written[: len(few)]:
        sys.exit("Batch mates changed an answer: this is a bug, please report it.")
    print(f"\n{len(few)} of them, written one at a time: the same answers.")


if __name__ == "__main__":
    main()
