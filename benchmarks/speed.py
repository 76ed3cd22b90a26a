"""Real tokens per second in training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.machine import Ceilings
from benchmarks.models import SPECS
from benchmarks.orchestrator import Case, Result, Room, Setting, contestants, measure
from benchmarks.peers import CONTESTANTS
from benchmarks.tables import Table, spread
from benchmarks.targets import HEAD, SHARE, TARGETS
from benchmarks.workloads import Workload

COLUMNS = [
    "contestant", "real tokens/s in fit", "ms a step", "padless random / it", "padless grouped / it", "peak MB",
    "first step s", "with imports s", "batches", "losses",
]  # fmt: skip


def question(
    workload: Workload, names: Sequence[str], setting: Setting, ceilings: Ceilings, count: int | None = None
) -> list[Table]:
    found = workload.rows()
    case = Case(workload.name, found, workload.deal(found, count))
    room = Room(workload.model, [case], setting)
    try:
        results, troubles = measure(room, contestants(workload.model, names, CONTESTANTS))
    finally:
        room.close()
    notes = [f"{found.source}; {case.deal.said}.", f"Ceilings: {ceilings.line(setting.threads)}."]
    notes += _shares(workload, results, setting, ceilings)
    notes += [f"Not there: {trouble}." for trouble in troubles] + _idle(results)
    title = f"{workload.name}: training, median of {setting.turns} turns (least to most), {setting.threads} threads"
    tables = [Table(title, COLUMNS, _rows(results), [f"{note}  " for note in notes])]
    lines = [line for target in TARGETS.get(workload.name, ()) if (line := target.line(results))]
    return tables + ([Table(f"{workload.name}: targets", HEAD, lines)] if lines else [])


def _rows(results: Sequence[Result]) -> list[list[str]]:
    own = {r.who.name: r.speed for r in results}
    rows = []
    for r in results:
        ratios = [f"{own[n] / r.speed:.2f}" if n in own else "" for n in ("padless random", "padless grouped")]
        rows.append(
            [
                r.who.name,
                spread(r.speeds),
                f"{1e3 * np.median(r.step):,.1f}",
                *ratios,
                f"{max(r.peak):,.0f}",
                f"{r.first:.2f}",
                f"{r.loaded + r.first:.1f}",
                str(r.batches),
                r.answers,
            ]
        )
    return rows


def _shares(workload: Workload, results: Sequence[Result], setting: Setting, ceilings: Ceilings) -> list[str]:
    """How near the products of a model come to the measured ceiling; only what real steps need is counted."""
    spec = SPECS[workload.model]
    notes = []
    for r in results:
        flops = spec.flops(r.length)
        if r.who.library == "padless" and flops:
            share = r.speed * flops / 1e9 / ceilings.product(setting.threads)
            wanted = f" (reach {SHARE[0]}, aim at {SHARE[1]})" if spec.name == "bilstm256" else ""
            notes.append(
                f"{r.who.name}: products of {flops / 1e3:,.0f} kFLOP a token, {share:.2f} of the ceiling{wanted}."
            )
    return notes


def _idle(results: Sequence[Result]) -> list[str]:
    """Workers that compute while others have their turn would disturb them."""
    total = sum(sum(r.step) * r.batches for r in results)
    return [
        f"{r.who.name} used {r.idle:.1f} s of processor time while others had their turn."
        for r in results
        if r.idle > 0.05 * total
    ]
