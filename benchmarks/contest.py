"""The measurement of text_models.py: contestants take turns; a table for the screen and one for LOG.md."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
import torch

import padless
from benchmarks.contestants import BATCH, Contestant, Text, build, contestants, load

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        backend: of padless and Keras.
        batches: of an epoch.
        repeats: turns of each contestant, each one epoch; 0 for first epochs alone.
        first_epochs: new processes that train one epoch from nothing; 0 for none.
        only: names of those who take part; None for all.
    """

    backend: str
    batches: int
    repeats: int
    first_epochs: int
    only: Sequence[str] | None = None

    def contestants(self, model: str) -> list[type[Contestant]]:
        kinds = contestants(self.backend, model)
        if self.only is None:
            return kinds
        if unknown := set(self.only) - {kind.name for kind in kinds}:
            raise SystemExit(f"no contestant is named {sorted(unknown)}; there are {[kind.name for kind in kinds]}")
        return [kind for kind in kinds if kind.name in self.only]

    def batches_of(self, kind: type[Contestant], model: str) -> int:
        """Keras's LSTM on torch is so slow that the whole order would take most of the run."""
        slow = self.backend == "torch" and model == "bilstm" and kind.name.startswith("Keras")
        return max(1, self.batches // 3) if slow else self.batches


@dataclass
class Result:
    """Words per second of one contestant."""

    model: str
    name: str
    batches: int
    answers: str
    warm: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)

    def row(self) -> list[str]:
        speeds = [_spread(self.warm) if self.warm else "not measured", *([_spread(self.cold)] if self.cold else [])]
        return [self.model, self.name, *speeds, str(self.batches), self.answers]


def _spread(speeds: Sequence[float]) -> str:
    return f"{statistics.median(speeds):,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f})"


def words_per_second(contestant: Contestant, texts: list[Text], classes: np.ndarray) -> float:
    start = time.perf_counter()
    contestant.train(texts, classes)
    return sum(map(len, texts)) / (time.perf_counter() - start)


def compare_losses(rivals: Sequence[Contestant], texts: list[Text], classes: np.ndarray) -> dict[str, str]:
    """With equal weights: the loss of one batch beside that of the same texts one by one."""
    verdicts = {}
    truth = None
    print(f"\nLoss of {len(texts)} texts with the same weights, as one batch and each text alone:")
    for rival in rivals:
        rows = np.arange(len(texts))
        batch = -np.log(rival.probabilities(texts)[rows, classes])
        alone = -np.log(np.concatenate([rival.probabilities([text]) for text in texts])[rows, classes])
        truth = alone if truth is None else truth
        same = bool(np.allclose(batch, truth, atol=1e-5) and np.allclose(alone, truth, atol=1e-5))
        verdicts[rival.name] = "the same" if same else "padding changes it"
        print(
            f"  {rival.name:<26} {batch.mean():.6f} and {alone.mean():.6f}; furthest text from padless alone "
            f"{max(np.abs(batch - truth).max(), np.abs(alone - truth).max()):.1e}: {verdicts[rival.name]}"
        )
    return verdicts


def measure(plan: Plan, model: str, texts: list[Text], classes: np.ndarray) -> list[Result]:
    padless.utils.set_random_seed(1)
    weights = [np.asarray(w) for w in build(padless, model).get_weights()]
    kinds = plan.contestants(model)
    rivals = [kind(model, weights) for kind in kinds]
    verdicts = compare_losses(rivals, texts[:8], classes[:8])
    results = [Result(model, kind.name, plan.batches_of(kind, model), verdicts[kind.name]) for kind in kinds]
    for turn in range(plan.repeats + 1 if plan.repeats else 0):
        for rival, result in zip(rivals, results, strict=True):
            # Before the first turn a warm-up; where steps are compiled, of all shapes that come.
            whole = turn or plan.backend == "jax"
            count = (result.batches if whole else 1) * BATCH
            speed = words_per_second(rival, texts[:count], classes[:count])
            if turn:
                result.warm.append(speed)
    for _ in range(plan.first_epochs):
        for result in results:
            result.cold.append(_in_new_process(plan, result))
    return results


def _in_new_process(plan: Plan, result: Result) -> float:
    """The first epoch of a new model where nothing is compiled yet."""
    task = ["--backend", plan.backend, "--models", result.model, "--batches", str(result.batches)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.text_models", *task, "--first-epoch-of", result.name],
        cwd=ROOT,
        env={**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def first_epoch(backend: str, model: str, batches: int, name: str) -> float:
    """What such a process does: words per second, compilation included, imports and reading the data not."""
    padless.set_backend(backend)
    texts, classes = load(batches)
    kind = next(kind for kind in contestants(backend, model) if kind.name == name)
    return words_per_second(kind(model), texts, classes)


def show(results: Sequence[Result]) -> None:
    turns = len(results[0].warm) or len(results[0].cold)
    print(f"\n{results[0].model}: real words per second in training, median of {turns} (least to most)")
    for result in results:
        warm = f"{_spread(result.warm):<34} " if result.warm else ""
        first = f"first epoch {_spread(result.cold):<30} " if result.cold else ""
        print(f"  {result.name:<26} {warm}{first}{result.batches} batches")
    for rival in results[1:]:
        times = []
        if rival.warm:
            times.append(f"{statistics.median(results[0].warm) / statistics.median(rival.warm):.1f}")
        if rival.cold:
            times.append(f"in the first epoch {statistics.median(results[0].cold) / statistics.median(rival.cold):.1f}")
        print(f"  padless is {', '.join(times)} times {rival.name}")


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


def setting(backend: str) -> str:
    """Machine and versions."""
    flops, copied = ceilings()
    threads = f"{torch.get_num_threads()} threads" if backend == "torch" else f"{os.cpu_count()} cores"
    return (
        f"{processor()}, {threads}; float32 matrix product {flops:,.0f} GFLOP/s, copy {copied:,.1f} GB/s. "
        f"Python {platform.python_version()}, padless {padless.__version__} ({revision()}), "
        f"{backend} {version(backend)}, Keras {keras.__version__}, NumPy {np.__version__}."
    )


def log(line: str, results: Sequence[Result]) -> None:
    """Append to LOG.md."""
    command = f"./run bench {shlex.join(sys.argv[1:])}".strip()
    head = ["model", "contestant", "words per second", "batches", "answers"]
    if results[0].cold:
        head.insert(3, "first epoch, compilation included")
    table = [head, ["---"] * len(head), *(result.row() for result in results)]
    with (ROOT / "benchmarks" / "LOG.md").open("a", encoding="utf-8") as file:
        file.write(f"\n## {datetime.date.today()}: `{command}`\n\n{line}\n\n")
        file.writelines(f"| {' | '.join(cells)} |\n" for cells in table)


def run(plan: Plan, models: Sequence[str]) -> tuple[str, list[Result]]:
    """Measure and show; gives what belongs in the log."""
    padless.set_backend(plan.backend)
    texts, classes = load(plan.batches)
    lengths = np.array([len(text) for text in texts])
    padded = sum(BATCH * lengths[i : i + BATCH].max() for i in range(0, len(lengths), BATCH))
    line = setting(plan.backend)
    waste = 1 - lengths.sum() / padded
    print(f"{line}\n{len(texts)} texts, {lengths.sum():,} words; padded per batch, {waste:.0%} would be padding.")
    results = []
    for model in models:
        found = measure(plan, model, texts, classes)
        show(found)
        results += found
    return line, results
