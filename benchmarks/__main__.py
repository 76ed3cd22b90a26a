"""`./run bench`: padless beside Keras and PyTorch, one table per question."""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks import feeding, machine, more, small, speed, tables
from benchmarks.data import WASTES
from benchmarks.machine import Ceilings
from benchmarks.orchestrator import Setting
from benchmarks.peers import CONTESTANTS, OPTIONAL
from benchmarks.tables import Table
from benchmarks.workloads import WORKLOADS

QUESTIONS = ("import", "overhead", "pad_sequences", "data", "memory", "slope", "requests", "speed")
SERVED = ("bilstm64", "encoder128")
NEAR = ("padless random", "padless grouped", "PyTorch padded")
RIVALS = (*NEAR, "PyTorch bucketed", "PyTorch packed", "Keras tensorflow padded", "Keras jax bucketed")


def parsed(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("--questions", nargs="+", choices=QUESTIONS, default=list(QUESTIONS), help="default: all")
    parser.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), metavar="NAME", help=" ".join(WORKLOADS))
    parser.add_argument(
        "--contestants", nargs="+", metavar="NAME", help=f"beginnings will do; {', '.join(CONTESTANTS)}"
    )
    parser.add_argument("--turns", type=int, help="of each contestant (default 5)")
    parser.add_argument("--seconds", type=float, default=1.2, help="of a turn; who is slower gets fewer batches")
    parser.add_argument("--batches", type=int, help="of the sample that stands for an epoch (default: of the workload)")
    parser.add_argument("--threads", type=int, help="of each contestant (default: all cores)")
    parser.add_argument("--quick", action="store_true", help="two turns of two batches: only to see whether it works")
    parser.add_argument("--no-log", action="store_true", help="do not append the tables to benchmarks/LOG.md")
    options = parser.parse_args(given)
    options.turns = options.turns or (2 if options.quick else 5)
    options.batches = options.batches or (2 if options.quick else None)
    options.threads = options.threads or machine.cores()
    usual = ["conv"] if options.quick else [name for name, one in WORKLOADS.items() if one.usual]
    options.workloads = options.workloads or usual
    options.names = chosen(parser, options.contestants)
    return options


def chosen(parser: argparse.ArgumentParser, beginnings: list[str] | None) -> list[str]:
    if not beginnings:
        return [name for name in CONTESTANTS if name not in OPTIONAL]
    for beginning in beginnings:
        if not any(name.lower().startswith(beginning.lower()) for name in CONTESTANTS):
            parser.error(f"no contestant begins with {beginning!r}; there are {', '.join(CONTESTANTS)}")
    return [name for name in CONTESTANTS if any(name.lower().startswith(b.lower()) for b in beginnings)]


def answer(question: str, options: argparse.Namespace, setting: Setting, ceilings: Ceilings) -> list[Table]:
    """All questions but speed; slope and memory are asked of padless and its nearest rival unless others are named."""
    near = options.names if options.contestants else NEAR
    if question == "slope":
        return more.slopes(near, setting, ceilings, (0.0, 0.9) if options.quick else WASTES)
    if question == "memory":
        return more.memory(near, setting)
    if question == "requests":
        return more.requests([WORKLOADS[name] for name in SERVED], options.names, setting, 4 if options.quick else 64)
    if question == "data":
        return feeding.data(setting.turns, 2 if options.quick else 100)
    work = {"import": small.imports, "overhead": small.overhead, "pad_sequences": small.padding}
    return work[question](setting.turns)


def main() -> None:
    options = parsed()
    begun = time.perf_counter()

    def say(line: str) -> None:
        print(f"[{time.perf_counter() - begun:6.0f} s] {line}", file=sys.stderr, flush=True)

    setting = Setting(options.turns, options.seconds, options.threads, say)
    ceilings = Ceilings()
    about = f"{machine.processor()}, {options.threads} of {machine.cores()} cores; {machine.versions()}."
    print(about)
    found: list[Table] = []
    warnings = set()

    def show(new: list[Table]) -> None:
        found.extend(new)
        for table in new:
            print(f"\n{table.text()}", flush=True)

    def watch() -> None:
        if warned := machine.warning():
            warnings.add(warned)
            say(warned)

    for question in options.questions:
        watch()
        say(question)
        if question == "speed":
            for name in options.workloads:
                watch()
                say(f"speed: {name}")
                names = RIVALS if WORKLOADS[name].near and not options.contestants else options.names
                show(speed.question(WORKLOADS[name], names, setting, ceilings, options.batches))
        else:
            show(answer(question, options, setting, ceilings))
    if found and not options.no_log:
        tables.log("  \n".join([about, *sorted(warnings)[:1]]), found)
    say("done")


if __name__ == "__main__":
    main()
