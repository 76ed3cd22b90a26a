"""Ask a model the same in several ways, and find where its answers begin to differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from padless.auditing.causes import cause_of, loss_cause
from padless.auditing.comparing import (
    Seen,
    compare,
    joined,
    seen_alone,
    seen_in_batch,
    seen_in_columns,
    taken,
)
from padless.auditing.foreign import told
from padless.auditing.probes import FILLS, LONGER, Batch, Rows, Slot
from padless.auditing.reasons import Observed, Reason, reason_for
from padless.auditing.trace import Trace, apart, row_of, scale

Host = npt.NDArray[Any]

ALONE, LONGER_ROWS, LEFT, ORDER, OTHERS = "alone", "longer", "left", "order", "others"
NAN, EMPTY = "fill NaN", "empty"
TRAINING, LOSS, GRADIENTS, ROW_GRADIENTS = "training", "loss", "gradients", "row gradients"


class Subject(Protocol):
    """A model under audit.

    Attributes:
        library: it is of, with version and backend.
        slots: its inputs.
        carries: what goes along with values, by name and in words.
        reads_fills: whether what stands in the padding of an input is all that `Batch.fill` changes.
        fixed: how many columns its inputs must have; None for any number.
        takes_fills: whether there are padded steps whose content can be changed, and only that.
        learns_padding: whether padded steps hold what is learned, not what the data hold.
        tolerance: up to which numbers are equal, beside the largest of them.
        loss_name: what `loss` is.
        output_names: of its outputs.
    """

    library: str
    slots: list[Slot]
    carries: tuple[str, str]
    reads_fills: bool

    @property
    def fixed(self) -> int | None: ...  # noqa: D102
    @property
    def takes_fills(self) -> bool: ...  # noqa: D102
    @property
    def learns_padding(self) -> bool: ...  # noqa: D102
    @property
    def tolerance(self) -> float: ...  # noqa: D102
    @property
    def loss_name(self) -> str: ...  # noqa: D102
    @property
    def output_names(self) -> list[str]: ...  # noqa: D102

    def run(self, batch: Batch, *, training: bool = False) -> Trace:
        """Call the model, and write down what its layers did."""

    def loss(self, batch: Batch, targets: Sequence[Sequence[Host]]) -> tuple[float, dict[str, Host]]:
        """A loss of training, and gradients by weight."""

    def wants_classes(self, at: int) -> bool:
        """Whether the loss of an output wants numbers of classes."""


@dataclass
class Probe:
    """One way of asking, and how far the answers were from what they should be.

    Attributes:
        name: "alone", "longer", "left", "order", "others", "fill 0", "fill 1000", "fill NaN", "empty",
            "training", "loss", "gradients", "row gradients".
        question: in words.
        differences: the largest, by output (by weight for gradients); infinity for NaN.
        differs: whether any is more than rounding.
        grave: whether such a difference is one of answers, so that the model is not clean.
        flips: how many rows have their largest entry elsewhere: another class.
        values: for a loss, both.
        error: why it could not be asked; "" where it was.
    """

    name: str
    question: str
    differences: dict[str, float] = field(default_factory=dict)
    differs: bool = False
    grave: bool = True
    flips: int = 0
    values: tuple[float, float] | None = None
    error: str = ""

    @property
    def largest(self) -> float:
        """The largest difference."""
        return max(self.differences.values(), default=0.0)


@dataclass
class Finding:
    """A layer by which padding gets into answers.

    Attributes:
        layer: its path; "" for the code of the model itself.
        kind: its class.
        reason: a name for programs.
        observed: what the probes saw, in general.
        why: in words.
        fix: what to do about it in Keras.
        starts: path of the layer in which numbers first differ: this one, or one that comes after it.
        starts_kind: its class.
        probes: how large the difference is there, by probe.
        grave: whether answers or training differ; otherwise it is harmless as long as masked steps hold what they do.
        key: of the call, for the picture.
        starts_key: likewise.
    """

    layer: str
    kind: str
    reason: str
    observed: Observed
    why: str
    fix: str
    starts: str
    starts_kind: str
    probes: dict[str, float]
    grave: bool
    key: str
    starts_key: str

    @property
    def difference(self) -> float:
        """The largest difference in the layer where numbers first differ; of what input can bring about, if it can."""
        real = [size for name, size in self.probes.items() if not name.startswith("fill ")]
        return max(real or self.probes.values())


@dataclass
class Outcome:
    """All that was found.

    Attributes:
        probes: what was asked.
        findings: gravest first.
        trace: of the batch, for the picture.
        batch: that was asked about.
        truth: what each row gets alone.
        probabilities: whether answers are between 0 and 1, and add up to 1 or stand alone.
    """

    probes: list[Probe]
    findings: list[Finding]
    trace: Trace
    batch: Batch
    truth: Seen
    probabilities: bool


class Examination:
    """Puts all questions to one model.

    Args:
        subject: the model.
        rows: to ask about.
        sides: on which padding may be.
        progress: told of every step.
    """

    def __init__(
        self, subject: Subject, rows: Rows, sides: Sequence[str], progress: Callable[[str], None] = lambda text: None
    ) -> None:
        self.subject, self.rows, self.sides, self.progress = subject, rows, sides, progress
        self.columns = subject.fixed or max(rows.lengths)
        self.base = Batch(rows, self.columns)
        self.probes: list[Probe] = []
        self.findings: dict[tuple[str, str], Finding] = {}
        self._mixing: set[str] = set()
        self._right: set[str] = set()

    def run(self) -> Outcome:
        """Ask."""
        self.progress("each row alone")
        self.truth = self._alone()
        self.progress("a batch")
        self.trace = self.subject.run(self.base)
        self.seen = self._seen(self.trace, self.base)
        self._ask_others()
        self._ask(ALONE, "each row in a batch, and alone without padding", self.truth, self.seen)
        if self.subject.fixed is None:
            self._ask_longer()
        if "left" in self.sides:
            self._ask_left()
        if self.subject.takes_fills:
            self._ask_fills()
            self._ask_empty()
        self._ask_training()
        found = sorted(self.findings.values(), key=lambda one: (not one.grave, -one.difference))
        return Outcome(self.probes, found, self.trace, self.base, self.truth, self._probabilities())

    # ---- questions

    def _alone(self) -> Seen:
        batches = [Batch(self.rows.take([at]), self.subject.fixed or n) for at, n in enumerate(self.rows.lengths)]
        traces = [self.subject.run(batch) for batch in batches]
        if self.subject.fixed is None:
            return seen_alone(traces)
        return joined([seen_in_columns(trace, batch) for trace, batch in zip(traces, batches, strict=True)])

    def _seen(self, trace: Trace, batch: Batch, order: Sequence[int] | None = None) -> Seen:
        """What rows get in a batch of all, or of those in front."""
        order = range(len(batch.rows.lengths)) if order is None else order
        if self.subject.fixed is None:
            return seen_in_batch(trace, batch, taken(self.truth, range(len(order))), order)
        return taken(seen_in_columns(trace, batch), order)

    def _ask_others(self) -> None:
        count = len(self.rows.lengths)
        if count < 2:
            return
        self.progress("other rows beside it, another order")
        half = Batch(self.rows.take(range(count // 2)), self.columns)
        trace = self.subject.run(half)
        there = self._seen(trace, half)
        self._ask(OTHERS, "rows in a batch of all and of half of them, equally padded",
                  taken(self.seen, range(count // 2)), there, Observed.MIXES)  # fmt: skip
        order = list(range(count))[::-1]
        turned = Batch(self.rows.take(order), self.columns)
        there = self._seen(self.subject.run(turned), turned, order)
        self._ask(ORDER, "rows in another order", self.seen, there, Observed.MIXES)

    def _ask_longer(self) -> None:
        self.progress("longer rows beside it")
        longer = Batch(self.rows, self.columns + LONGER)
        there = self._seen(self.subject.run(longer), longer)
        question = f"a batch padded to {self.columns} steps, and to {self.columns + LONGER}"
        self._ask(LONGER_ROWS, question, self.seen, there)

    def _ask_left(self) -> None:
        self.progress("padding on the left")
        left = Batch(self.rows, self.columns, "left")
        there = self._seen(self.subject.run(left), left)
        self._ask(LEFT, "each row padded on the left, and alone without padding", self.truth, there, Observed.SIDE)

    def _ask_fills(self) -> None:
        for name, fill in FILLS.items():
            self.progress(f"{name} in masked steps")
            filled = Batch(self.rows, self.columns, fill=fill)
            there = self._seen(self.subject.run(filled), filled)
            # Zeros that a Masking makes stay zeros. A row of a table is learned; and where all rows have one length,
            # there is no other way to see whether masked steps are read.
            moves = self.subject.learns_padding or self.subject.fixed is not None
            grave = self.subject.reads_fills or (moves and math.isfinite(fill))
            where = "" if self.subject.reads_fills else " within the model"
            question = f"masked steps that hold {name}{where}"
            self._ask(f"fill {name}", question, self.seen, there, grave=grave)

    def _ask_empty(self) -> None:
        """A row without any real step, as a text of unknown words is: whether numbers come out."""
        self.progress("a row without steps")
        batch = Batch(self.rows.with_empty(self.subject.slots), self.columns)
        trace, last = self.subject.run(batch), len(self.rows.lengths)
        rows = [row_of(value, last, last + 1) for value in trace.outputs]
        lost = [bool(row.size) and not np.isfinite(row).all() for row in rows]
        differences = self._named([math.inf if wrong else 0.0 for wrong in lost])
        self.probes.append(Probe(EMPTY, "a row without any real step", differences, any(lost), grave=False))

    def _ask_training(self) -> None:
        self.progress("training: loss and gradients")
        if self.subject.fixed is None:
            longer = Batch(self.rows, self.columns + LONGER)
        else:
            longer = Batch(self.rows, self.columns, fill=0.0)
        before, after = (self.subject.run(batch, training=True) for batch in (self.base, longer))
        question = f"layers as they are in training, {self._two(longer)}"
        there, here = self._seen(after, longer), self._seen(before, self.base)
        self._ask(TRAINING, question, here, there, trace=before)
        self._ask_loss(longer)
        self._ask_row_gradients()

    def _two(self, longer: Batch) -> str:
        if longer.columns == self.columns:
            return "with two fills of masked steps"
        return f"padded to {self.columns} and to {longer.columns} steps"

    def _ask_loss(self, longer: Batch) -> None:
        targets = list(self._targets())
        question = f"the loss, {self.subject.loss_name}, {self._two(longer)}"
        try:
            (one, here), (two, there) = (self.subject.loss(batch, targets) for batch in (self.base, longer))
        except Exception as error:
            self.probes.append(Probe(LOSS, question, error=told(error)))
            return
        off = _number_apart(one, two)
        differs = off > 10 * self.subject.tolerance * max(1.0, abs(one))
        self.probes.append(Probe(LOSS, question, {"loss": off}, differs, values=(one, two)))
        gradients = {name: apart(here[name], there[name]) for name in here}
        wrong = {name for name, size in gradients.items() if size > 10 * self.subject.tolerance * scale(here[name])}
        worst = dict(sorted(gradients.items(), key=lambda item: -item[1])[:3])
        self.probes.append(Probe(GRADIENTS, f"gradients of that loss, {self._two(longer)}", worst, bool(wrong)))
        if differs and not any(one.grave and set(one.probes) - {LEFT} for one in self.findings.values()):
            observed, key = loss_cause(self.trace, self.columns)
            self._found(observed, key, key, LOSS, off, True, self.trace)

    def _ask_row_gradients(self) -> None:
        """For models whose gradients are those of each row, added up."""
        gradients = getattr(self.subject, "gradients", None)
        if gradients is None:
            return
        whole = gradients(self.base)
        if not whole:  # a backend that does not train
            return
        parts = [gradients(Batch(self.rows.take([at]), n)) for at, n in enumerate(self.rows.lengths)]
        off = {name: apart(one, np.sum([part[name] for part in parts], axis=0)) for name, one in whole.items()}
        differs = any(size > 10 * self.subject.tolerance * scale(whole[name]) for name, size in off.items())
        worst = dict(sorted(off.items(), key=lambda item: -item[1])[:3])
        question = "gradients of a batch, and the sum of those of each row alone"
        self.probes.append(Probe(ROW_GRADIENTS, question, worst, differs))

    def _targets(self) -> Iterator[list[Host]]:
        numbers = np.random.default_rng(0)
        for at, rows in enumerate(self.truth.outputs):
            shapes = [row.shape for row in rows if row is not None]
            if self.subject.wants_classes(at):
                yield [np.asarray(numbers.integers(0, shape[-1], shape[:-1]), np.int32) for shape in shapes]
            else:
                yield [numbers.uniform(size=shape).astype(np.float32) for shape in shapes]

    # ---- what comes of them

    def _ask(
        self,
        name: str,
        question: str,
        truth: Seen,
        other: Seen,
        observed: Observed | None = None,
        *,
        grave: bool = True,
        trace: Trace | None = None,
    ) -> None:
        """Compare, and keep what comes of it."""
        trace = trace or self.trace
        found = compare(truth, other, trace, self.subject.tolerance)
        probe = Probe(name, question, self._named(found.outputs), found.differs(self.subject.tolerance), grave)
        probe.flips = _flips(truth, other)
        self.probes.append(probe)
        for first in found.firsts:
            why, place = self._why(name, first.key, first.before, observed, trace)
            # What differs within and not in the answers, harms nobody.
            self._found(why, place, first.key, name, first.difference, grave and probe.differs, trace)
        keys = {first.key for first in found.firsts}
        if observed is Observed.MIXES:
            self._mixing |= keys
        elif name not in (LEFT, NAN):
            self._right |= keys

    def _why(self, name: str, key: str, before: bool, observed: Observed | None, trace: Trace) -> tuple[Observed, str]:
        if observed is Observed.MIXES or key in self._mixing:
            return Observed.MIXES, key
        only_here = key not in self._right
        if before:
            place = trace.calls[key].within if key else ""
            return (Observed.SIDE if name == LEFT and only_here else Observed.CODE), place
        why, place = cause_of(trace, key, self.columns)
        if only_here and (why in (Observed.READS, Observed.NEVER) or place == key):
            if name == LEFT:
                return Observed.SIDE, key
            if name == NAN:
                return Observed.NAN, key
        return why, place

    def _found(
        self, observed: Observed, place: str, start: str, probe: str, difference: float, grave: bool, trace: Trace
    ) -> None:
        call, begins = trace.calls.get(place), trace.calls.get(start)
        reason: Reason = reason_for(observed, call)
        finding = self.findings.get((place, reason.name))
        if finding is None:
            names = [("", "the model's own code") if one is None else (one.path, one.kind) for one in (call, begins)]
            (path, kind), (at, at_kind) = names
            words = (reason.name, observed, reason.text, reason.fix)
            finding = Finding(path, kind, *words, at, at_kind, {}, grave, place, start)
            self.findings[place, reason.name] = finding
        finding.grave |= grave
        finding.probes[probe] = max(difference, finding.probes.get(probe, 0.0))

    def _named(self, values: list[float]) -> dict[str, float]:
        """Values by the names of outputs."""
        names = self.subject.output_names
        if len(names) != len(values):
            names = [f"output {at}" if len(values) > 1 else "output" for at in range(len(values))]
        return dict(zip(names, values, strict=True))

    def _probabilities(self) -> bool:
        rows = [row for part in self.truth.outputs for row in part if row is not None and row.size]
        sums = [row.sum(axis=-1) for row in rows if row.ndim]
        return (
            bool(rows)
            and all(row.min() >= 0 and row.max() <= 1 for row in rows)
            and all(
                row.shape[-1:] == (1,) or np.allclose(total, 1, atol=1e-3)
                for row, total in zip(rows, sums, strict=False)
            )
        )


def _flips(truth: Seen, other: Seen) -> int:
    """How many rows get another class."""
    found = set()
    for rows, others in zip(truth.outputs, other.outputs, strict=True):
        for at, (one, two) in enumerate(zip(rows, others, strict=True)):
            if one is not None and two is not None and one.ndim == 1 and len(one) > 1 and one.shape == two.shape:
                found |= {at} if one.argmax() != two.argmax() else set()
    return len(found)


def _number_apart(one: float, two: float) -> float:
    if math.isnan(one) and math.isnan(two):
        return 0.0
    return abs(one - two) if math.isfinite(one - two) else math.inf
