"""padless as a contestant; with the numpy backend and float64 it is the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np

import padless
from benchmarks.data import Data
from benchmarks.dealing import WINDOW
from benchmarks.models import build
from benchmarks.peers import Peer, Task, row_losses


class Padless(Peer):
    def __init__(self, task: Task) -> None:
        self.task = task
        padless.set_backend(task.backend)
        padless.utils.set_random_seed(1)
        self.model = build(padless, task.spec, task.vocabulary, task.classes, task.dtype)

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.model.set_weights(weights)

    def ready(self, data: Data, batches: list[list[int]], longest: int) -> Any:
        rows = [data.row(at) for batch in batches for at in batch]
        targets = [data.target(at) for batch in batches for at in batch]
        return rows, targets if data.per_step else np.array(targets), len(batches[0])

    def train(self, made: Any) -> None:
        rows, targets, size = made
        order = {"shuffle": True, "length_grouping": WINDOW} if self.task.variant == "grouped" else {"shuffle": False}
        self.model.fit(rows, targets, batch_size=size, verbose=0, **order)
        self.model.backend.to_host(self.model.layers[-1].bias)  # until the last step is done: JAX computes behind

    def losses(self, data: Data, rows: list[int], longest: int) -> tuple[list[float], float]:
        given, targets, size = self.ready(data, [rows], longest)
        found = self.model.predict(given, batch_size=size, verbose=0)
        own = self.model.evaluate(given, targets, batch_size=size, verbose=0)
        return row_losses(data, rows, [np.asarray(found[at]) for at in range(size)]), float(np.ravel(own)[0])

    def requests(self, data: Data, groups: list[list[int]], longest: int) -> list[Any]:
        return [[data.row(at) for at in group] for group in groups]

    def answer(self, made: Any) -> None:
        self.model.predict_on_batch(made)
