"""Questions about one machine part at a time: importing, the cost of a layer call, padding."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.host_overhead import of_layers, timed
from benchmarks.tables import Table, spread
from benchmarks.targets import IMPORT, OVERHEAD, PADDING, least, verdict


def imports(turns: int) -> list[Table]:
    """New processes, one after the other; what Python itself needs is taken off."""
    modules = ("padless", "torch", "keras", "tensorflow")
    found: dict[str, list[float]] = {name: [] for name in modules}
    probe = "import sys, time; t = time.perf_counter(); __import__(sys.argv[1]); print(time.perf_counter() - t)"
    environment = {**os.environ, "KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "3"}
    for turn in range(turns + 1):
        for name in modules:
            done = subprocess.run(
                [sys.executable, "-c", probe, name], capture_output=True, text=True, check=False, env=environment
            )
            if turn and done.returncode == 0:  # the first turn fills the caches of the disk
                found[name].append(float(done.stdout.split()[-1]))
    rows = [[name, spread(times, ".2f")] for name, times in found.items() if times]
    middle = statistics.median(found["padless"])
    note = f"`import padless` should take {IMPORT[0]} s, at best {IMPORT[1]} s: {verdict(middle, *IMPORT)}."
    return [Table("import, seconds in a new process", ["module", "seconds"], rows, [note])]


def overhead(turns: int) -> list[Table]:
    """Layers on fourteen steps, beside the same arithmetic in bare torch, without gradients; one thread."""
    import torch

    import padless

    padless.set_backend("torch")
    torch.set_num_threads(1)
    found = [row for row in of_layers(turns, 200) if row.bare is not None and row.ours is not None]
    rows = [[row.what, *(f"{1e6 * seconds:.1f}" for seconds in (row.call, row.bare, row.ours))] for row in found]
    dearest = max(found, key=lambda row: row.ours)
    said = verdict(1e6 * dearest.ours, *OVERHEAD)
    note = f"{dearest.what} should cost {OVERHEAD[0]} us a layer beyond the kernel, at best {OVERHEAD[1]}: {said}."
    head = ["layer", "us a call", "us of bare torch", "difference, a layer"]
    return [Table("host time of a layer call, 1 thread, microseconds", head, rows, [note])]


def _forms() -> dict[str, Any]:
    from benchmarks.data import bbc

    found = bbc()
    int32 = [found.row(at) for at in range(len(found.lengths))]
    lists = [row.tolist() for row in int32]
    return {
        "arrays: int32, repeated 8 times": int32 * 8,
        "arrays: int32, each its own": [row.copy() for row in int32 * 8],
        "arrays: int64, each its own": [row.astype(np.int64) for row in int32 * 8],
        "lists of ints, repeated 8 times": lists * 8,
        "lists of ints, once": lists,
    }


def padding(turns: int) -> list[Table]:
    """`pad_sequences` of padless and Keras; the limit fills with zeros and copies the result once."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    from padless.utils import pad_sequences

    rows = []
    for name, given in _forms().items():
        wanted = keras.utils.pad_sequences(given, 1_024)
        np.testing.assert_array_equal(pad_sequences(given, 1_024), wanted)
        calls: dict[str, Callable[[], Any]] = {
            "Keras": lambda given=given: keras.utils.pad_sequences(given, 1_024),
            "padless": lambda given=given: pad_sequences(given, 1_024),
            "limit": lambda wanted=wanted: np.copyto(np.zeros(wanted.shape, wanted.dtype), wanted),
        }
        found: dict[str, list[float]] = {who: [] for who in calls}
        for turn in range(turns + 1):
            for who, call in calls.items():
                milliseconds = 1e3 * timed(call, 1)
                if turn:  # the first fills the caches
                    found[who].append(milliseconds)
        middle = {who: statistics.median(times) for who, times in found.items()}
        reach, aim = PADDING[name.split()[0].strip(":")]
        ratio = middle["Keras"] / middle["padless"]
        rows.append(
            [
                name,
                *(spread(found[who], ".1f") for who in calls),
                f"{ratio:.2f}",
                f"{middle['limit'] / middle['padless']:.0%}",
                f"{reach:g}",
                f"{aim:g}",
                least(ratio, reach, aim),
            ]
        )
    head = ["rows", "Keras ms", "padless ms", "zero-fill and copy ms", "Keras / padless", "share of the limit"]
    return [Table("pad_sequences on BBC cut at 1,024", [*head, "reach", "aim at", ""], rows)]
