"""What is trained: a model on rows in batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks import data
from benchmarks.data import Data
from benchmarks.dealing import Deal, deal


@dataclass(frozen=True)
class Workload:
    """One row of the list below.

    Attributes:
        name: as on the command line.
        model: a name of models.SPECS.
        rows: makes the data.
        count: batches of the sample.
        batch: rows of a batch; None where the data say it.
        usual: whether it is among those that run when none is named.
    """

    name: str
    model: str
    rows: Callable[[], Data]
    count: int = 10
    batch: int = 32
    usual: bool = True

    def deal(self, found: Data, count: int | None = None) -> Deal:
        return deal(found.lengths, self.batch, min(count or self.count, len(found.lengths) // self.batch))


CUT, UNCUT = data.bbc, partial(data.bbc, None)
WORKLOADS = {
    one.name: one
    for one in (
        *(Workload(name, name, CUT) for name in ("bilstm64", "gru64", "conv", "encoder128", "bag", "bilstm256")),
        Workload("encoder256", "encoder256", CUT, 6),
        *(
            Workload(f"{name}-uncut", name, UNCUT, 6, usual=False)
            for name in ("gru64", "bilstm256", "encoder256", "bag")
        ),
        Workload("bilstm64-uncut", "bilstm64", UNCUT),
        Workload("conv-uncut", "conv", UNCUT, usual=False),
        Workload("encoder128-uncut", "encoder128", UNCUT, 6, usual=False),
        Workload("tags", "tagger", data.sentences, 40),
        Workload("vowels", "lstm64", data.vowels, 15),
        *(Workload(f"{name}-equal", name, data.equal, 4) for name in ("bilstm64", "conv", "encoder128")),
        *(Workload(f"{name}-giant", name, data.giant, 2) for name in ("bilstm64", "conv", "encoder128")),
        *(Workload(f"{name}-one", name, CUT, 40, 1) for name in ("bilstm64", "conv", "encoder128")),
    )
}
SLOPE_MODELS = ("bilstm64", "conv", "encoder128")


def longest_of(found: Data) -> int:
    return int(found.lengths.max())
