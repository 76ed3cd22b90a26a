"""A Keras model beside the same in padless: the same answers, in all cases, and how long each takes here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from padless.auditing.comparing import Seen
from padless.auditing.findings import Outcome
from padless.auditing.foreign import told
from padless.auditing.keras_side import KerasSubject
from padless.auditing.padless_side import PadlessSubject, rows_of
from padless.auditing.probes import LENGTHS, LONGER, Batch, Rows, invented
from padless.auditing.trace import Value, apart, row_of, scale
from padless.errors import PadlessError

_ROWS, _RUNS, _SECONDS = 32, 7, 6.0


@dataclass
class Speed:
    """One measurement, on the machine of the audit.

    Attributes:
        rows: of the batch.
        steps: real steps of all rows.
        padded_steps: steps with padding.
        keras: seconds of a prediction of the batch, padded to its longest row; the median.
        padless: likewise, as rows.
        runs: how often each was measured, in turns.
        error: why there is none; "" where there is one.
    """

    rows: int = 0
    steps: int = 0
    padded_steps: int = 0
    keras: float = 0.0
    padless: float = 0.0
    runs: int = 0
    error: str = ""

    @property
    def times(self) -> float:
        """How many times as fast padless is."""
        return self.keras / self.padless if self.padless else 0.0


@dataclass
class Comparison:
    """The same model in padless.

    Attributes:
        from_keras: the largest difference from what Keras says of each row alone, without padding; None where Keras
            cannot be asked that.
        differences: by way of padding, the largest difference from what padless says of each row alone.
        ok: whether all of these are rounding.
        speed: how long a prediction takes.
        error: why there is no such model in padless; "" where there is.
    """

    from_keras: float | None = None
    differences: dict[str, float] = field(default_factory=dict)
    ok: bool = False
    speed: Speed = field(default_factory=Speed)
    error: str = ""


def compare_with_padless(
    subject: KerasSubject, outcome: Outcome, rows: Rows, speed_rows: Rows | None, progress: Callable[[str], None]
) -> Comparison:
    """Turn the model into one of padless, and ask it the same.

    Args:
        subject: the Keras model.
        outcome: of its audit.
        rows: of the audit.
        speed_rows: for the measurement; None invents some.
        progress: told of every step.

    Returns:
        The comparison; where padless has no such model, with the reason.
    """
    import padless

    progress("the same model in padless")
    try:
        model = padless.from_keras(subject.model)
        mine = PadlessSubject(model, slots=subject.slots)
        found = _answers(mine, outcome, rows, subject.fixed)
    except Exception as error:
        return Comparison(error=str(error) if isinstance(error, PadlessError) else told(error))
    progress("how long it takes")
    found.speed = _measured(subject, mine, speed_rows)
    return found


def _answers(mine: PadlessSubject, outcome: Outcome, rows: Rows, fixed: int | None) -> Comparison:
    longest = max(rows.lengths)
    alone = [mine.call(mine.inputs(Batch(rows.take([at]), n))) for at, n in enumerate(rows.lengths)]
    truth = [[row_of(_host(mine, outputs[at]), 0, 1) for outputs in alone] for at in range(len(alone[0]))]
    batches = {
        f"padded to {longest} steps": Batch(rows, longest),
        f"padded to {longest + LONGER} steps": Batch(rows, longest + LONGER),
        "padded on the left": Batch(rows, longest, "left"),
        "with NaN in the padding": Batch(rows, longest, fill=np.nan),
    }
    limit, found = 1e-5, Comparison(ok=True)
    for name, batch in batches.items():
        outputs = [_host(mine, y) for y in mine.call(mine.inputs(batch))]
        found.differences[name] = _largest(truth, outputs, len(rows.lengths))
    size = max((scale(row) for part in truth for row in part), default=1.0)
    if fixed is None:
        found.from_keras = _from_keras(outcome.truth, truth)
        found.ok = found.from_keras <= limit * size
    found.ok &= all(off <= limit * size for off in found.differences.values())
    return found


def _host(mine: PadlessSubject, y: Any) -> Value:
    return rows_of(y, mine.model)


def _largest(truth: list[list[Any]], outputs: list[Value], count: int) -> float:
    return max(
        apart(alone, row_of(value, at, count))
        for rows, value in zip(truth, outputs, strict=True)
        for at, alone in enumerate(rows)
    )


def _from_keras(keras: Seen, mine: list[list[Any]]) -> float:
    if len(keras.outputs) != len(mine):
        return float("inf")
    return max(
        apart(one, other) for part, others in zip(keras.outputs, mine, strict=True)
        for one, other in zip(part, others, strict=True)
    )  # fmt: skip


def _measured(subject: KerasSubject, mine: PadlessSubject, rows: Rows | None) -> Speed:
    numbers = np.random.default_rng(0)
    usual = np.clip(np.exp(numbers.normal(4.0, 0.7, _ROWS)), 8, 200).astype(int).tolist()
    if subject.fixed is not None:
        usual = [min(n, subject.fixed) for n in usual]
    tries = [rows] if rows is not None else [invented(mine.slots, usual), invented(mine.slots, LENGTHS * 8)]
    error: Exception | None = None
    for one in tries:
        try:
            return _timed(subject, mine, one)
        except Exception as found:  # such as a table of places that ends before these rows do
            error = found
    return Speed(error="" if error is None else told(error))


def _timed(subject: KerasSubject, mine: PadlessSubject, rows: Rows) -> Speed:
    columns = subject.fixed or max(rows.lengths)
    arrays = Batch(rows, columns).arrays(subject.slots)
    inputs = mine.inputs(Batch(rows, columns))
    calls: tuple[Callable[[], Any], ...] = (
        lambda: subject.predict(arrays),
        lambda: mine.model.predict_on_batch(mine.packed(inputs)),
    )
    times: tuple[list[float], list[float]] = ([], [])
    for call in calls:  # what is compiled at first, is not counted
        call()
    began = time.perf_counter()
    while len(times[0]) < _RUNS and (len(times[0]) < 3 or time.perf_counter() - began < _SECONDS):
        for call, kept in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            kept.append(time.perf_counter() - start)
    theirs, ours = (statistics.median(one) for one in times)
    count = len(rows.lengths)
    return Speed(count, sum(rows.lengths), columns * count, theirs, ours, len(times[0]))
