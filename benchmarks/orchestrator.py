"""Contestants take turns; one computes at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import Data
from benchmarks.dealing import Deal, thinned
from benchmarks.models import SPECS
from benchmarks.peers import Contestant, Task
from benchmarks.processes import Failed, Process

COMPILED = 4
"""Batches of those who compile each of them."""
CHECKED = 8
"""Rows whose losses are compared with the oracle's."""


@dataclass(frozen=True)
class Setting:
    """How it is measured.

    Attributes:
        turns: of each contestant.
        seconds: that a turn should take; who is slower gets fewer batches.
        threads: of each worker.
        say: where progress goes.
    """

    turns: int
    seconds: float
    threads: int
    say: Callable[[str], None]


@dataclass
class Result:
    """Of one contestant on one case."""

    who: Contestant
    case: str
    model: str
    batches: int = 0
    speeds: list[float] = field(default_factory=list)
    step: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)
    above: list[float] = field(default_factory=list)
    kept: float | None = None
    first: float = 0.0
    loaded: float = 0.0
    idle: float = 0.0
    answers: str = ""
    length: float = 0.0

    @property
    def speed(self) -> float:
        return float(np.median(self.speeds)) if self.speeds else float("nan")


@dataclass(frozen=True)
class Case:
    """Data and what is dealt of them."""

    name: str
    data: Data
    deal: Deal


class Room:
    """Where the workers of one model meet: its weights, what the oracle says, the files of the cases."""

    def __init__(self, model: str, cases: Sequence[Case], setting: Setting) -> None:
        self.model, self.cases, self.setting = model, list(cases), setting
        self.folder = tempfile.TemporaryDirectory(prefix="padless-bench-")
        self.root = Path(self.folder.name)
        for at, case in enumerate(self.cases):
            case.data.save(self.root / f"{at}.npz")
        first = self.cases[0].data
        self.rows = self._checked(first)
        with_oracle = Process(self._task(Contestant("padless", "numpy", "random"), "float64"))
        with_oracle.ask("weights", file=str(self.root / "weights.npz"), make=True)
        self._tell(with_oracle, False)
        self.truth = with_oracle.ask("losses", name=self.cases[0].name, rows=self.rows, alone=True)["losses"]
        with_oracle.close()
        steps = first.lengths[self.rows] if first.per_step else np.ones(len(self.rows))
        self.mean = float(np.average(self.truth, weights=steps))

    def _checked(self, found: Data) -> list[int]:
        """Rows of many lengths, of middle length at most: the oracle is slow, and the longest says no more."""
        order = np.argsort(found.lengths, kind="stable")[: max(CHECKED, len(found.lengths) * 3 // 4)]
        return [int(order[at]) for at in np.linspace(0, len(order) - 1, min(CHECKED, len(order))).astype(int)]

    def _task(self, who: Contestant, dtype: str | None = None) -> Task:
        found = self.cases[0].data
        threads = self.setting.threads
        return Task(who.library, who.backend, who.variant, self.model, found.vocabulary, found.classes, threads, dtype)

    def _tell(self, process: Process, bucketed: bool) -> None:
        for at, case in enumerate(self.cases):
            batches = case.deal.bucketed if bucketed else case.deal.random
            process.ask("case", name=case.name, file=str(self.root / f"{at}.npz"), batches=batches)

    def enter(self, who: Contestant) -> Process:
        """A worker with the weights, the cases and its first step behind it."""
        process = Process(self._task(who))
        try:
            self._tell(process, who.bucketed)
        except Failed:
            process.close()
            raise
        return process

    def verdict(self, process: Process) -> str:
        """Whether a worker's losses are those of the oracle, which reads each row alone."""
        process.ask("weights", file=str(self.root / "weights.npz"))
        found = process.ask("losses", name=self.cases[0].name, rows=self.rows)
        rows = float(np.abs(np.subtract(found["losses"], self.truth)).max())
        own = abs(found["own"] - self.mean)
        if max(rows, own) < 2e-5:
            return "the same"
        return f"differ by {max(rows, own):.1g}"

    def close(self) -> None:
        self.folder.cleanup()


def measure(room: Room, who: Sequence[Contestant]) -> tuple[list[Result], list[str]]:
    """All contestants on all cases of a room; and what went wrong."""
    setting, troubles = room.setting, []
    runs: list[tuple[Process, Result, list[int]]] = []
    processes = []
    try:
        for one in who:
            try:
                process = room.enter(one)
                processes.append(process)
                runs += [(process, *pair) for pair in _settled(room, one, process)]
            except Failed as problem:
                troubles.append(f"{one.name}: {problem}")
                setting.say(f"  {one.name} takes no part: {problem}")
                if processes and processes[-1] not in [process for process, *_ in runs]:
                    processes.pop().close()
        for turn in range(setting.turns):
            setting.say(f"  {room.model}: turn {turn + 1} of {setting.turns}")
            for process, result, picked in runs:
                if process not in processes:
                    continue
                try:
                    _record(result, process.ask("epoch", name=result.case, picked=picked))
                    if result.kept is None and turn == 0:
                        result.kept = process.ask("activations", name=result.case, picked=picked)["mb"]
                except Failed as problem:  # out of memory, mostly: the others go on
                    troubles.append(f"{result.who.name} from turn {turn + 1} on: {problem}")
                    processes.remove(process)
                    process.close()
    finally:
        for process in processes:
            process.close()
    return [result for _, result, _ in runs if result.speeds], troubles


def _record(result: Result, found: dict[str, Any]) -> None:
    result.speeds.append(found["tokens"] / found["seconds"])
    result.step.append(found["seconds"] / found["steps"])
    result.peak.append(found["peak"])
    result.above.append(found["peak"] - found["base"])
    result.idle += found["idle"]


def _settled(room: Room, who: Contestant, process: Process) -> list[tuple[Result, list[int]]]:
    """First step, losses, warm-up; and how many batches each turn takes."""
    found = []
    for at, case in enumerate(room.cases):
        result = Result(who, case.name, room.model)
        if at == 0:
            first = process.ask("first", name=case.name)
            result.first, result.loaded = first["seconds"], process.started
            result.answers = room.verdict(process)
        batches = case.deal.bucketed if who.bucketed else case.deal.random
        lengths = case.data.lengths
        most = min(len(batches), COMPILED) if who.compiles else len(batches)
        tried = process.ask("epoch", name=case.name, picked=[0])["seconds"]
        if (at or who.compiles) and who.backend != "torch":  # what was compiled just now
            tried = process.ask("epoch", name=case.name, picked=[0])["seconds"]
        share = float(
            (lengths[batches[0]].max() * len(batches[0])) / np.mean([lengths[b].max() * len(b) for b in batches])
        )
        count = int(np.clip(room.setting.seconds / (tried / share), 1, most))
        kept = thinned(lengths, batches, count)
        picked = [batches.index(batch) for batch in kept]
        result.batches, result.length = count, float((lengths**2).sum() / lengths.sum())
        if picked != [0]:
            process.ask("epoch", name=case.name, picked=picked)
        room.setting.say(f"  {who.name} on {case.name}: {count} batches, answers {result.answers or 'as before'}")
        found.append((result, picked))
    return found


def contestants(model: str, names: Sequence[str], table: dict[str, Contestant]) -> list[Contestant]:
    return [table[name] for name in names if table[name].takes(SPECS[model])]
