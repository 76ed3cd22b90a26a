"""Questions about training beyond its speed on one workload: the slope, memory, requests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.data import Data, bbc, slope
from benchmarks.dealing import as_made
from benchmarks.machine import Ceilings
from benchmarks.orchestrator import Case, Result, Room, Setting, contestants, measure
from benchmarks.peers import CONTESTANTS
from benchmarks.processes import Failed
from benchmarks.tables import Table, spread
from benchmarks.targets import MEMORY, SLOPE, verdict
from benchmarks.workloads import SLOPE_MODELS, Workload


def _whole(name: str, found: Data, batches: int) -> Case:
    """Data that hold their batches one after the other, all with the same lengths."""
    return Case(name, found, as_made(found.lengths, len(found.lengths) // batches))


def slopes(names: Sequence[str], setting: Setting, ceilings: Ceilings, wastes: Sequence[float]) -> list[Table]:
    """16,384 real steps in each batch, with more and more padding for who pads."""
    tables = []
    for model in SLOPE_MODELS:
        cases = [_whole(f"{waste:.0%}", slope(waste), 2) for waste in wastes]
        found, troubles = _measured(model, cases, names, setting)
        rows = []
        for who in dict.fromkeys(r.who.name for r in found):
            steps = {r.case: float(np.median(r.step)) for r in found if r.who.name == who}
            base, bad = steps.get("0%"), steps.get("90%")
            ratio = bad / base if base and bad else float("nan")
            own = who.startswith("padless") and base and bad
            cells = [f"{1e3 * steps[c.name]:,.1f}" if c.name in steps else "" for c in cases]
            rows.append([who, *cells, f"{ratio:.2f}", verdict(ratio, *SLOPE) if own else ""])
        notes = [f"Reach {SLOPE[0]}, aim at {SLOPE[1]}.", f"Ceilings: {ceilings.line(setting.threads)}.", *troubles]
        head = ["contestant", *(case.name for case in cases), "90% / 0%", ""]
        tables.append(Table(f"slope, {model}: ms a step at a waste of", head, rows, [f"{note}  " for note in notes]))
    return tables


def _measured(
    model: str, cases: Sequence[Case], names: Sequence[str], setting: Setting
) -> tuple[list[Result], list[str]]:
    room = Room(model, cases, setting)
    try:
        return measure(room, contestants(model, names, CONTESTANTS))
    finally:
        room.close()


def memory(names: Sequence[str], setting: Setting) -> list[Table]:
    """What a training step at 63 % waste keeps for the way back, and the peak beyond what the process holds anyway."""
    tables = []
    for model in SLOPE_MODELS:
        found, troubles = _measured(model, [_whole("63%", slope(0.63), 2)], names, setting)
        kept = {r.who.name: r.kept for r in found}
        above = {r.who.name: float(np.median(r.above)) for r in found}
        padded = "PyTorch padded"
        rows = []
        for r in found:
            ratio = (r.kept or float("nan")) / (kept.get(padded) or float("nan"))
            peak = above[r.who.name] / above.get(padded, float("nan"))
            said = verdict(ratio, *MEMORY) if ratio == ratio and r.who.library == "padless" else ""
            own = f"{r.kept:,.1f}" if r.kept is not None else ""
            rows.append([r.who.name, own, f"{ratio:.2f}", said, spread(r.above), f"{peak:.2f}", f"{max(r.peak):,.0f}"])
        head = [
            "contestant",
            "MB kept for the way back",
            "it / PyTorch padded",
            "",
            "MB above rest",
            "it / PyTorch padded",
        ]
        head.append("MB of the process")
        notes = [
            f"Kept: reach {MEMORY[0]}, aim at {MEMORY[1]}. Above rest: free memory that is kept counts, too.",
            *troubles,
        ]
        tables.append(Table(f"memory, {model}: a step at 63 % waste", head, rows, [f"{n}  " for n in notes]))
    return tables


def requests(workloads: Sequence[Workload], names: Sequence[str], setting: Setting, count: int = 64) -> list[Table]:
    """One to eight articles a request, of any length, each request answered by itself."""
    found = bbc()
    rng = np.random.default_rng(3)
    groups = [
        [int(row) for row in rng.choice(len(found.lengths), rng.choice([1, 1, 1, 2, 4, 8]))] for _ in range(count)
    ]
    tables = []
    for workload in workloads:
        room = Room(workload.model, [Case(workload.name, found, workload.deal(found, 2))], setting)
        runs, rows, notes = [], [], []
        try:
            for who in contestants(workload.model, names, CONTESTANTS):
                if who.bucketed or who.variant == "single":
                    continue
                own = groups[:8] if who.compiles else groups  # every shape is compiled
                try:
                    process = room.enter(who)
                    runs.append((who, process, own, [], []))
                    process.ask("stream", name=workload.name, groups=own)
                except Failed as problem:
                    notes.append(f"{who.name}: {problem}  ")
            for turn in range(setting.turns):
                setting.say(f"  requests, {workload.name}: turn {turn + 1} of {setting.turns}")
                for _, process, own, speeds, times in runs:
                    answer = process.ask("stream", name=workload.name, groups=own)
                    speeds.append(answer["rows"] / sum(answer["times"]))
                    times += answer["times"]
        finally:
            for _, process, *_ in runs:
                process.close()
            room.close()
        base = next((np.median(speeds) for who, _, _, speeds, _ in runs if who.name == "padless random"), None)
        for who, _, own, speeds, times in runs:
            at = [f"{1e3 * np.quantile(times, q):.1f}" for q in (0.5, 0.99)]
            rows.append(
                [who.name, spread(speeds), *at, f"{base / np.median(speeds):.2f}" if base else "", str(len(own))]
            )
        head = ["contestant", "articles/s", "ms, half", "ms, 99 of 100", "padless / it", "requests"]
        tables.append(Table(f"requests, {workload.name}: warm, {setting.threads} threads", head, rows, notes))
    return tables
