"""What a contestant is: a library, a backend, and how it deals with unequal lengths."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.data import Data
from benchmarks.models import SPECS, Spec


@dataclass(frozen=True)
class Contestant:
    """Who takes part.

    Attributes:
        library: padless, keras or torch.
        backend: of padless and Keras.
        variant: how unequal lengths are dealt with.
    """

    library: str
    backend: str
    variant: str

    @property
    def name(self) -> str:
        own = {"padless": f"padless {self.backend}" if self.backend != "torch" else "padless", "torch": "PyTorch"}
        return f"{own.get(self.library, f'Keras {self.backend}')} {self.variant}"

    @property
    def bucketed(self) -> bool:
        return self.variant in ("bucketed", "grouped")

    @property
    def compiles(self) -> bool:
        """Whether every new shape is compiled, so that few of them can be had."""
        return self.backend == "jax" and self.variant in ("padded", "bucketed")

    def takes(self, spec: Spec) -> bool:
        if self.library == "torch" and self.variant == "packed":
            return spec.kind in ("bilstm", "bigru", "lstm", "bag")
        return True


CONTESTANTS = {
    who.name: who
    for who in (
        Contestant("padless", "torch", "random"),
        Contestant("padless", "torch", "grouped"),
        Contestant("torch", "torch", "padded"),
        Contestant("torch", "torch", "bucketed"),
        Contestant("torch", "torch", "packed"),
        Contestant("torch", "torch", "single"),
        *(
            Contestant("keras", backend, variant)
            for backend in ("torch", "jax", "tensorflow")
            for variant in ("padded", "fixed", "bucketed")
        ),
        Contestant("padless", "jax", "random"),
        Contestant("padless", "jax", "grouped"),
    )
}
OPTIONAL = ("padless jax random", "padless jax grouped")
"""Not among the default contestants."""


@dataclass(frozen=True)
class Task:
    """What a worker is told.

    Attributes:
        library, backend, variant: see Contestant.
        model: a name of models.SPECS.
        vocabulary: rows of the table; 0 for features.
        classes: how many.
        threads: how many cores it may use.
        dtype: of the oracle, float64.
    """

    library: str
    backend: str
    variant: str
    model: str
    vocabulary: int
    classes: int
    threads: int
    dtype: str | None = None

    @property
    def spec(self) -> Spec:
        return SPECS[self.model]

    def told(self) -> dict[str, Any]:
        return asdict(self)


class Peer(ABC):
    """A model in training. `ready` is not timed, `train`, `answer` are."""

    task: Task

    @abstractmethod
    def set_weights(self, weights: list[np.ndarray]) -> None:
        """In the order in which Keras keeps them."""

    @abstractmethod
    def ready(self, data: Data, batches: list[list[int]], longest: int) -> Any:
        """What `train` is given: padded batches where the library needs them. The fixed variant pads to `longest`."""

    @abstractmethod
    def train(self, made: Any) -> None:
        """Go through the batches once, as its users would; the last update is done when it returns."""

    @abstractmethod
    def losses(self, data: Data, rows: list[int], longest: int) -> tuple[list[float], float]:
        """Of these rows as one batch: each row's own, and what the library takes for the loss of the batch."""

    @abstractmethod
    def requests(self, data: Data, groups: list[list[int]], longest: int) -> list[Any]:
        """What `answer` is given."""

    @abstractmethod
    def answer(self, made: Any) -> None:
        """Predict and bring the result to NumPy."""


def row_losses(data: Data, rows: list[int], probabilities: list[np.ndarray]) -> list[float]:
    """Cross-entropy of each row, the mean over its steps where every step has a class."""
    found = []
    for at, row in enumerate(rows):
        own = probabilities[at][: data.lengths[row]] if data.per_step else probabilities[at][None]
        targets = np.atleast_1d(data.target(row))
        found.append(float(-np.log(own[np.arange(len(targets)), targets].astype(np.float64)).mean()))
    return found


def load(task: Task) -> Peer:
    """Import the library and build the model."""
    if task.library == "padless":
        from benchmarks.peers_padless import Padless

        return Padless(task)
    if task.library == "keras":
        from benchmarks.peers_keras import Keras

        return Keras(task)
    from benchmarks.peers_torch import Torch

    return Torch(task)
