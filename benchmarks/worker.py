"""One contestant in a process of its own: orders come in on stdin, answers go out on stdout, a line of JSON each."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

KEPT = 600
"""MB that a worker may keep between its turns."""
STARTED = time.perf_counter()


def settle(told: dict[str, Any]) -> None:
    """Cores, threads and backend; before the library is imported."""
    threads = told["threads"]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ[name] = str(threads)
    os.environ.update(KERAS_BACKEND=told["backend"], TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"


def memory() -> tuple[float, float]:
    """MB of this process now, and at most since `forget_peak`; zeros where there is no /proc."""
    file = Path("/proc/self/status")
    if not file.exists():
        return 0.0, 0.0
    fields = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
    return tuple(int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def give_back() -> None:
    """Free memory goes to the system, so that all workers have room; glibc alone keeps some."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        pass


class Worker:
    """Does what it is told; see the methods for the orders."""

    def __init__(self, told: dict[str, Any]) -> None:
        settle(told)
        from benchmarks.peers import Task, load

        self.task = Task(**told)
        start = time.perf_counter()
        self.peer = load(self.task)
        if self.task.backend == "torch":
            import torch

            torch.set_num_threads(self.task.threads)
        self.loaded = time.perf_counter() - start
        self.cases: dict[str, Any] = {}
        self.made: dict[str, Any] = {}
        self.base = 0.0
        self.cpu = time.process_time()

    def weights(self, file: str, make: bool = False) -> dict[str, Any]:
        """Take the weights out of a file; the oracle makes them, and moves zeros a little so that no bias hides."""
        import numpy as np

        if make:
            rng = np.random.default_rng(2)
            found = [np.asarray(weight) for weight in self.peer.model.get_weights()]  # type: ignore[attr-defined]
            found = [w + 0.05 * rng.standard_normal(w.shape) if w.ndim < 3 and not w.any() else w for w in found]
            np.savez(file, *found)
        with np.load(file) as kept:
            arrays = [kept[name] for name in kept.files]
        self.peer.set_weights([a.astype(self.task.dtype or "float32") for a in arrays])
        return {}

    def case(self, name: str, file: str, batches: list[list[int]]) -> dict[str, Any]:
        """Data and batches under a name."""
        from benchmarks.data import Data

        data = Data.load(file)
        self.cases[name] = data, batches, int(data.lengths.max())
        return {}

    def losses(self, name: str, rows: list[int], alone: bool = False) -> dict[str, Any]:
        data, _, longest = self.cases[name]
        if alone:
            return {"losses": [self.peer.losses(data, [row], longest)[0][0] for row in rows]}
        losses, own = self.peer.losses(data, rows, longest)
        return {"losses": losses, "own": own}

    def first(self, name: str) -> dict[str, Any]:
        """Time from nothing to the end of the first step, imports included."""
        data, batches, longest = self.cases[name]
        made = self.peer.ready(data, batches[:1], longest)
        start = time.perf_counter()
        self.peer.train(made)
        seconds = time.perf_counter() - start
        give_back()
        self.base = memory()[0]
        return {"seconds": seconds, "loaded": self.loaded}

    def epoch(self, name: str, picked: list[int]) -> dict[str, Any]:
        """Train on some of the batches of a case."""
        idle = time.process_time() - self.cpu
        data, batches, longest = self.cases[name]
        key = f"{name} {picked}"
        if key not in self.made:
            self.made[key] = self.peer.ready(data, [batches[at] for at in picked], longest)
        forget_peak()
        start = time.perf_counter()
        self.peer.train(self.made[key])
        seconds = time.perf_counter() - start
        now, peak = memory()
        if now - self.base > KEPT:
            give_back()
        tokens = sum(int(data.lengths[batches[at]].sum()) for at in picked)
        self.cpu = time.process_time()
        return {
            "seconds": seconds,
            "tokens": tokens,
            "steps": len(picked),
            "peak": peak,
            "base": self.base,
            "idle": idle,
        }

    def activations(self, name: str, picked: list[int]) -> dict[str, Any]:
        """MB that torch keeps between forward and backward, each piece of memory once, weights left out."""
        if self.task.backend != "torch":
            return {"mb": None}
        import torch

        data, batches, longest = self.cases[name]
        made, held = self.peer.ready(data, [batches[picked[0]]], longest), {}

        def pack(kept: torch.Tensor) -> torch.Tensor:
            storage = kept.untyped_storage()
            held[storage.data_ptr()] = storage.nbytes()
            return kept

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept):
            self.peer.train(made)
        model = self.peer.model  # type: ignore[attr-defined]
        weights = model.weights if self.task.library == "padless" else model.parameters()
        own = {weight.untyped_storage().data_ptr() for weight in weights}
        return {"mb": sum(size for at, size in held.items() if at not in own) / 1e6}

    def stream(self, name: str, groups: list[list[int]]) -> dict[str, Any]:
        """Answer requests one after the other."""
        data, _, longest = self.cases[name]
        key = f"stream {name}"
        if key not in self.made:
            self.made[key] = self.peer.requests(data, groups, longest)
        times = []
        for made in self.made[key]:
            start = time.perf_counter()
            self.peer.answer(made)
            times.append(time.perf_counter() - start)
        return {"times": times, "rows": sum(map(len, groups))}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    worker: Worker | None = None
    for line in sys.stdin:
        order, given = json.loads(line)
        try:
            if worker is None:
                worker, answer = Worker(given), {"started": time.perf_counter() - STARTED}
            else:
                answer = getattr(worker, order)(**given)
        except Exception as problem:
            answer = {"error": f"{type(problem).__name__}: {problem}".splitlines()[0][:300]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
