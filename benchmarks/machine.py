"""What this machine reaches, and how busy it is."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SIZE = 1_536


def _measure(threads: int) -> dict[str, float]:
    """GFLOP/s of float32 products and GB/s (read plus written) of a copy; the best of ten."""
    import torch

    from padless.backends.torch import products

    torch.set_num_threads(threads)
    a, b = torch.rand(2, SIZE, SIZE)
    source = torch.rand(48 * 2**20)
    target = torch.empty_like(source)
    work = {
        "torch.mm": lambda: torch.mm(a, b),
        "oneDNN": lambda: products.mm(a, b),
        "copy": lambda: target.copy_(source),
    }
    best = dict.fromkeys(work, float("inf"))
    for _ in range(10):
        for name, call in work.items():
            start = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - start)
    amount = {"torch.mm": 2 * SIZE**3, "oneDNN": 2 * SIZE**3, "copy": 2 * 4 * source.numel()}
    return {name: amount[name] / seconds / 1e9 for name, seconds in best.items()}


class Ceilings:
    """Measured when first asked for, for each number of threads."""

    def __init__(self) -> None:
        self.found: dict[int, dict[str, float]] = {}

    def at(self, threads: int) -> dict[str, float]:
        if threads not in self.found:
            self.found[threads] = _measure(threads)
        return self.found[threads]

    def product(self, threads: int) -> float:
        """The faster of the two products."""
        return max(self.at(threads)["torch.mm"], self.at(threads)["oneDNN"])

    def line(self, threads: int) -> str:
        parts = []
        for count in sorted({1, threads}):
            one = self.at(count)
            parts.append(
                f"{count} thread{'s' * (count > 1)}: product {one['torch.mm']:,.0f} (torch.mm) and "
                f"{one['oneDNN']:,.0f} (oneDNN) GFLOP/s, copy {one['copy']:.1f} GB/s"
            )
        return "; ".join(parts)


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _ticks() -> tuple[int, int] | None:
    file = Path("/proc/stat")
    if not file.exists():
        return None
    fields = [int(field) for field in file.read_text().splitlines()[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def busy(seconds: float = 1.0) -> float:
    """The share of all cores that others use just now."""
    before = _ticks()
    time.sleep(seconds)
    after = _ticks()
    if before is None or after is None or after[1] == before[1]:
        return 0.0
    return (after[0] - before[0]) / (after[1] - before[1])


def warning() -> str:
    share = busy()
    if share < 0.1:
        return ""
    return f"WARNING: the machine is busy: others use {share:.0%} of its cores. Trust ratios at most."


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


def versions() -> str:
    found = []
    for name in ("keras", "torch", "jax", "tensorflow", "tensorflow-cpu", "numpy"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join([f"Python {platform.python_version()}", f"padless {revision()}", *found])
