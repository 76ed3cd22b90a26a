"""Real words per second in training on texts of unequal length: padless, PyTorch padded, Keras on torch.

How it measures is in benchmarks/README.md. From the root of the repository: `./run bench`, or
`KERAS_BACKEND=torch python -m benchmarks.text_models`.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import statistics
import subprocess
import sys
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch

import padless
from examples.bbc_news import load_articles
from padless.preprocessing.text import Tokenizer

ROOT = Path(__file__).resolve().parents[1]
VOCABULARY, DIM, LONGEST, BATCH, CLASSES = 20_000, 128, 1_024, 32, 5
LEARNING_RATE, EPSILON = 1e-3, 1e-7
MODELS = ("bilstm", "conv")
Text = list[int]


def build(library: Any, model: str) -> Any:
    """The same lines for padless and Keras."""
    layers = library.layers
    if model == "bilstm":
        body = [layers.Bidirectional(layers.LSTM(64, return_sequences=True))]
    else:
        body = [layers.Conv1D(128, 5, padding="same", activation="relu") for _ in range(2)]
    made = library.Sequential(
        [
            library.Input((None,), dtype="int32"),
            layers.Embedding(VOCABULARY, DIM, mask_zero=True),
            *body,
            layers.GlobalMaxPooling1D(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    made.compile(optimizer=library.optimizers.Adam(LEARNING_RATE), loss="sparse_categorical_crossentropy")
    return made


class Contestant(ABC):
    name: str

    @abstractmethod
    def train(self, texts: list[Text], classes: np.ndarray) -> None:
        """One pass over the texts in this order, in batches of BATCH, everything included."""

    @abstractmethod
    def probabilities(self, texts: list[Text]) -> np.ndarray:
        """Of the texts as one batch."""


class Padless(Contestant):
    name = "padless"

    def __init__(self, model: str, weights: Sequence[np.ndarray]) -> None:
        self.model = build(padless, model)
        self.model.set_weights(weights)

    def train(self, texts: list[Text], classes: np.ndarray) -> None:
        self.model.fit(texts, classes, batch_size=BATCH, shuffle=False, verbose=0)

    def probabilities(self, texts: list[Text]) -> np.ndarray:
        return np.asarray(self.model.predict(texts, batch_size=len(texts), verbose=0))


class Keras(Contestant):
    name = "Keras on torch"

    def __init__(self, model: str, weights: Sequence[np.ndarray]) -> None:
        self.model = build(keras, model)
        self.model.set_weights(weights)

    def train(self, texts: list[Text], classes: np.ndarray) -> None:
        def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for i in range(0, len(texts), BATCH):
                yield keras.utils.pad_sequences(texts[i : i + BATCH], padding="post"), classes[i : i + BATCH]

        self.model.fit(batches(), steps_per_epoch=-(-len(texts) // BATCH), shuffle=False, verbose=0)

    def probabilities(self, texts: list[Text]) -> np.ndarray:
        return np.asarray(self.model.predict_on_batch(keras.utils.pad_sequences(texts, padding="post")))


class TorchModel(torch.nn.Module):
    """What one would write by hand; takes the weights of the others."""

    def __init__(self, model: str, weights: Sequence[np.ndarray]) -> None:
        super().__init__()
        table, *body, kernel, bias = (torch.tensor(w) for w in weights)
        self.embedding = torch.nn.Embedding.from_pretrained(table, freeze=False)
        self.head = torch.nn.Linear(len(kernel), CLASSES)
        copies = [(self.head.weight, kernel.T), (self.head.bias, bias)]
        self.lstm: torch.nn.LSTM | None = None
        self.convolutions = torch.nn.ModuleList()
        if model == "bilstm":
            self.lstm = torch.nn.LSTM(DIM, 64, batch_first=True, bidirectional=True)
            for suffix, (w, u, b) in (("", body[:3]), ("_reverse", body[3:])):
                copies += [
                    (getattr(self.lstm, f"weight_ih_l0{suffix}"), w.T),
                    (getattr(self.lstm, f"weight_hh_l0{suffix}"), u.T),
                    (getattr(self.lstm, f"bias_ih_l0{suffix}"), b),
                    (getattr(self.lstm, f"bias_hh_l0{suffix}"), torch.zeros_like(b)),
                ]
        else:
            for w, b in (body[:2], body[2:]):
                convolution = torch.nn.Conv1d(w.shape[1], w.shape[2], w.shape[0], padding="same")
                copies += [(convolution.weight, w.permute(2, 1, 0)), (convolution.bias, b)]
                self.convolutions.append(convolution)
        with torch.no_grad():
            for parameter, value in copies:
                parameter.copy_(value)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        mask = (ids != 0)[:, :, None]
        x = self.embedding(ids)
        if self.lstm is not None:
            x, _ = self.lstm(x)
        for convolution in self.convolutions:
            x = torch.relu(convolution((x * mask).transpose(1, 2))).transpose(1, 2)
        return self.head(x.masked_fill(~mask, -torch.inf).amax(1))


class Torch(Contestant):
    name = "PyTorch padded"

    def __init__(self, model: str, weights: Sequence[np.ndarray]) -> None:
        self.model = TorchModel(model, weights)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE, eps=EPSILON)

    @staticmethod
    def pad(texts: list[Text]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence([torch.tensor(text) for text in texts], batch_first=True)

    def train(self, texts: list[Text], classes: np.ndarray) -> None:
        targets = torch.tensor(classes)
        for i in range(0, len(texts), BATCH):
            scores = self.model(self.pad(texts[i : i + BATCH]))
            loss = torch.nn.functional.cross_entropy(scores, targets[i : i + BATCH])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def probabilities(self, texts: list[Text]) -> np.ndarray:
        with torch.no_grad():
            return torch.softmax(self.model(self.pad(texts)), 1).numpy()


def load(batches: int) -> tuple[list[Text], np.ndarray]:
    """The first batches of one random order that every contestant gets."""
    texts, classes, _ = load_articles()
    order = np.random.default_rng(0).permutation(len(texts))[: batches * BATCH]
    tokenizer = Tokenizer(num_words=VOCABULARY)
    tokenizer.fit_on_texts(texts)
    return [ids[:LONGEST] for ids in tokenizer.texts_to_sequences([texts[i] for i in order])], classes[order]


def ceilings() -> tuple[float, float]:
    """GFLOP/s of a float32 matrix product and GB/s (read plus written) of a copy; the best of ten."""
    a, b = torch.rand(2, 2_048, 2_048)
    source = torch.rand(64 * 2**20)
    target = torch.empty_like(source)
    seconds = {"product": float("inf"), "copy": float("inf")}
    for _ in range(10):
        start = time.perf_counter()
        torch.mm(a, b)
        middle = time.perf_counter()
        target.copy_(source)
        end = time.perf_counter()
        seconds["product"] = min(seconds["product"], middle - start)
        seconds["copy"] = min(seconds["copy"], end - middle)
    return 2 * 2_048**3 / seconds["product"] / 1e9, 2 * 4 * source.numel() / seconds["copy"] / 1e9


def compare_losses(contestants: Sequence[Contestant], texts: list[Text], classes: np.ndarray) -> dict[str, str]:
    """With equal weights: the loss of one batch beside that of the same texts one by one."""
    verdicts = {}
    truth = None
    print(f"\nLoss of {len(texts)} texts with the same weights, as one batch and each text alone:")
    for contestant in contestants:
        rows = np.arange(len(texts))
        batch = -np.log(contestant.probabilities(texts)[rows, classes])
        alone = -np.log(np.concatenate([contestant.probabilities([text]) for text in texts])[rows, classes])
        truth = alone if truth is None else truth
        same = bool(np.allclose(batch, truth, atol=1e-5) and np.allclose(alone, truth, atol=1e-5))
        verdicts[contestant.name] = "the same" if same else "padding changes it"
        print(
            f"  {contestant.name:<16} {batch.mean():.6f} and {alone.mean():.6f}; furthest text "
            f"{np.abs(batch - alone).max():.1e}: {verdicts[contestant.name]}"
        )
    return verdicts


def measure(model: str, batches: dict[str, int], repeats: int, texts: list[Text], classes: np.ndarray) -> list[str]:
    """Rows for the log."""
    padless.utils.set_random_seed(1)
    weights = [np.asarray(w) for w in build(padless, model).get_weights()]
    contestants = [kind(model, weights) for kind in (Padless, Torch, Keras)]
    verdicts = compare_losses(contestants, texts[:8], classes[:8])

    speeds: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for turn in range(repeats + 1):
        for contestant in contestants:
            # A warm-up of one batch, then the measured turns, one contestant after the other.
            count = (batches[contestant.name] if turn else 1) * BATCH
            start = time.perf_counter()
            contestant.train(texts[:count], classes[:count])
            if turn:
                speeds[contestant.name].append(sum(map(len, texts[:count])) / (time.perf_counter() - start))
    rows = []
    print(f"\n{model}: real words per second in training, median of {repeats} (least to most)")
    for contestant in contestants:
        kept = speeds[contestant.name]
        spread = f"{statistics.median(kept):,.0f} ({min(kept):,.0f} to {max(kept):,.0f})"
        print(f"  {contestant.name:<16} {spread:<34} {batches[contestant.name]} batches")
        rows.append(
            f"| {model} | {contestant.name} | {spread} | {batches[contestant.name]} | {verdicts[contestant.name]} |"
        )
    ratio = statistics.median(speeds["padless"])
    for contestant in contestants[1:]:
        print(f"  padless is {ratio / statistics.median(speeds[contestant.name]):.1f} times {contestant.name}")
    return rows


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def revision() -> str:
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown revision"


def main() -> None:
    parser = argparse.ArgumentParser(description="Real words per second in training: padless, PyTorch, Keras.")
    parser.add_argument("--quick", action="store_true", help="fewer batches, three repeats: for a first look")
    parser.add_argument("--only", choices=MODELS, help="one of the models")
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's own choice)")
    parser.add_argument("--no-log", action="store_true", help="do not append the results to benchmarks/LOG.md")
    options = parser.parse_args()
    # Keras says once per layer that the mask is lost; the comparison of losses shows it.
    warnings.filterwarnings("ignore", message=".*mask.*")
    if options.threads:
        torch.set_num_threads(options.threads)

    most, repeats = (3, 3) if options.quick else (10, 5)
    texts, classes = load(most)
    lengths = np.array([len(text) for text in texts])
    padded = sum(BATCH * lengths[i : i + BATCH].max() for i in range(0, len(lengths), BATCH))
    flops, copied = ceilings()
    setting = (
        f"{processor()}, {torch.get_num_threads()} threads; "
        f"float32 matrix product {flops:,.0f} GFLOP/s, copy {copied:,.1f} GB/s. "
        f"Python {platform.python_version()}, padless {padless.__version__} ({revision()}), torch {torch.__version__}, "
        f"Keras {keras.__version__}, NumPy {np.__version__}."
    )
    print(setting)
    waste = 1 - lengths.sum() / padded
    print(f"{len(texts)} texts, {lengths.sum():,} words; padded per batch, {waste:.0%} would be padding.")

    rows = []
    for model in [options.only] if options.only else MODELS:
        batches = dict.fromkeys((Padless.name, Torch.name, Keras.name), most)
        if model == "bilstm":
            batches[Keras.name] = max(1, most // 3)  # so slow that the whole order would take most of the run
        rows += measure(model, batches, repeats, texts, classes)

    if not options.no_log:
        with (ROOT / "benchmarks" / "LOG.md").open("a", encoding="utf-8") as log:
            log.write(f"\n## {datetime.date.today()}: `./run bench {' '.join(sys.argv[1:])}`\n".replace(" `\n", "`\n"))
            log.write(f"\n{setting}\n\n| model | contestant | words per second | batches | answers |\n")
            log.write("| --- | --- | --- | --- | --- |\n" + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
