"""What is trained: a model on rows in batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks import data
from benchmarks.data import Data
from benchmarks.dealing import Deal, as_made, deal


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
        near: whether only the nearest rivals take part when none is named.
    """

    name: str
    model: str
    rows: Callable[[], Data]
    count: int = 10
    batch: int = 32
    usual: bool = True
    near: bool = False

    def deal(self, found: Data, count: int | None = None) -> Deal:
        if self.rows in (data.equal, data.giant):
            return as_made(found.lengths, self.batch)
        return deal(found.lengths, self.batch, min(count or self.count, len(found.lengths) // self.batch))


CUT, UNCUT = data.bbc, partial(data.bbc, None)
WORKLOADS = {
    one.name: one
    for one in (
        *(Workload(name, name, CUT) for name in ("bilstm64", "gru64", "conv", "encoder128", "bag")),
        Workload("bilstm256", "bilstm256", CUT, near=True),
        Workload("encoder256", "encoder256", CUT, 6, near=True),
        Workload("bilstm64-uncut", "bilstm64", UNCUT, near=True),
        *(Workload(f"{n}-uncut", n, UNCUT, usual=False) for n in ("gru64", "conv", "bag", "bilstm256")),
        *(Workload(f"{n}-uncut", n, UNCUT, 6, usual=False) for n in ("encoder128", "encoder256")),
        Workload("tags", "tagger", data.sentences, 40, near=True),
        Workload("vowels", "lstm64", data.vowels, 15, near=True),
        *(Workload(f"{n}-equal", n, data.equal, 4, near=True) for n in ("bilstm64", "conv", "encoder128")),
        *(Workload(f"{n}-giant", n, data.giant, 2, near=True) for n in ("bilstm64", "conv", "encoder128")),
        *(Workload(f"{n}-one", n, CUT, 40, 1, near=True) for n in ("bilstm64", "conv", "encoder128")),
    )
}
SLOPE_MODELS = ("bilstm64", "conv", "encoder128")
