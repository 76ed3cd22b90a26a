"""Two runs of a model, call by call: where their answers for the same rows begin to differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from padless.auditing.probes import Batch
from padless.auditing.trace import Call, Trace, Value, apart, cut, row_of, scale

Host = npt.NDArray[Any]
Parts = list[Host | None]
"""Of one value: what it says of each row."""


class Told(NamedTuple):
    """What went into a call, and came out, by row."""

    ins: list[Parts]
    outs: list[Parts]


@dataclass
class Seen:
    """What a run says of each row, without padding.

    Attributes:
        calls: by key.
        outputs: of the model.
    """

    calls: dict[str, Told] = field(default_factory=dict)
    outputs: list[Parts] = field(default_factory=list)


def seen_alone(traces: Sequence[Trace]) -> Seen:
    """What each row gets alone, unpadded.

    Args:
        traces: a run for each row.

    Returns:
        The truth.
    """
    keys = [key for key in traces[0].calls if all(key in trace.calls for trace in traces)]

    def turned(values: list[list[Value]]) -> list[Parts]:
        return [[row_of(value, 0, 1) for value in same] for same in zip(*values, strict=False)]

    calls = {}
    for key in keys:
        same = [trace.calls[key] for trace in traces]
        calls[key] = Told(
            turned([[o.value for o in call.operands] for call in same]), turned([c.outputs for c in same])
        )
    return Seen(calls, turned([trace.outputs for trace in traces]))


def seen_in_columns(trace: Trace, batch: Batch) -> Seen:
    """What each row gets in a batch, for a model that reads no other number of columns: steps by their lengths.

    Args:
        trace: the run.
        batch: of it.

    Returns:
        Real steps of what has as many steps as the batch has columns; all of what has not.
    """
    lengths, count = batch.rows.lengths, len(batch.rows.lengths)

    def parts(value: Value) -> Parts:
        found: Parts = []
        for at, length in enumerate(lengths):
            row = row_of(value, at, count)
            if row.ndim and row.shape[0] == batch.columns:
                row = row[:length] if batch.side == "right" else row[batch.columns - length :]
            found.append(row)
        return found

    calls = {
        key: Told([parts(o.value) for o in call.operands], [parts(y) for y in call.outputs])
        for key, call in trace.calls.items()
    }
    return Seen(calls, [parts(y) for y in trace.outputs])


def seen_in_batch(trace: Trace, batch: Batch, truth: Seen, order: Sequence[int]) -> Seen:
    """What each row gets in a batch: of each value the part that has the shape that the row has alone.

    Args:
        trace: the run.
        batch: of it.
        truth: what gives the shapes.
        order: for each row of the truth, its place in the batch.

    Returns:
        The parts.
    """

    def parts(values: Sequence[Value], wanted: Sequence[Parts]) -> list[Parts]:
        return [
            [
                None if alone is None else cut(row_of(value, place, len(order)), alone.shape, batch.side)
                for alone, place in zip(rows, order, strict=True)
            ]
            for value, rows in zip(values, wanted, strict=False)
        ]

    calls = {}
    for key, told in truth.calls.items():
        call = trace.calls.get(key)
        if call is not None:
            calls[key] = Told(parts([o.value for o in call.operands], told.ins), parts(call.outputs, told.outs))
    return Seen(calls, parts(trace.outputs, truth.outputs))


def taken(seen: Seen, chosen: Sequence[int]) -> Seen:
    """What was seen of some rows."""

    def parts(values: list[Parts]) -> list[Parts]:
        return [[value[at] for at in chosen] for value in values]

    calls = {key: Told(parts(told.ins), parts(told.outs)) for key, told in seen.calls.items()}
    return Seen(calls, parts(seen.outputs))


def joined(each: Sequence[Seen]) -> Seen:
    """What was seen of several batches, one after another."""

    def parts(values: Sequence[list[Parts]]) -> list[Parts]:
        return [[row for part in same for row in part] for same in zip(*values, strict=False)]

    keys = [key for key in each[0].calls if all(key in one.calls for one in each)]
    calls = {
        key: Told(parts([one.calls[key].ins for one in each]), parts([one.calls[key].outs for one in each]))
        for key in keys
    }
    return Seen(calls, parts([one.outputs for one in each]))


class First(NamedTuple):
    """A place where a difference begins.

    Attributes:
        key: of the call; "" for the model's own code.
        before: whether it begins before the layer, in code that is no layer.
        difference: how large it is there.
        scale: of the numbers there.
    """

    key: str
    before: bool
    difference: float
    scale: float


@dataclass
class Comparison:
    """How two runs differ.

    Attributes:
        outputs: for each output of the model the largest difference.
        scales: for each output its largest number, at least 1.
        firsts: where differences begin.
    """

    outputs: list[float]
    scales: list[float]
    firsts: list[First]

    def differs(self, tolerance: float) -> bool:
        """Whether any output does."""
        return any(off > tolerance * size for off, size in zip(self.outputs, self.scales, strict=True))


def compare(truth: Seen, other: Seen, trace: Trace, tolerance: float) -> Comparison:
    """Compare two runs.

    Args:
        truth: one.
        other: the other.
        trace: of either: who calls whom.
        tolerance: up to which numbers are equal, beside the largest of them.

    Returns:
        The comparison.
    """
    ins, outs = {}, {}
    for key, told in other.calls.items():
        ins[key] = [_off(a, b) for a, b in zip(truth.calls[key].ins, told.ins, strict=False)]
        outs[key] = [_off(a, b) for a, b in zip(truth.calls[key].outs, told.outs, strict=False)]
    firsts: dict[str, First] = {}
    for key in outs:
        first = _first(trace.calls[key], ins[key], outs, tolerance)
        if first is not None and not any(_within(trace, found, key) for found in firsts):
            firsts[key] = first
    differences = [_off(a, b) for a, b in zip(truth.outputs, other.outputs, strict=True)]
    unknown = [off for off, source in zip(differences, trace.sources, strict=True) if not source]
    worst = max(unknown, key=lambda one: one[0], default=(0.0, 1.0))
    if worst[0] > tolerance * worst[1] and not firsts:
        firsts[""] = First("", True, *worst)
    return Comparison([off for off, _ in differences], [size for _, size in differences], list(firsts.values()))


def _first(
    call: Call, ins: list[tuple[float, float]], outs: dict[str, list[tuple[float, float]]], tolerance: float
) -> First | None:
    """Whether a difference begins in a call, or before it in what no layer did."""
    for operand, (off, size) in zip(call.operands, ins, strict=False):
        if off > tolerance * size:
            return None if operand.source else First(call.key, True, off, size)
    off, size = max(outs[call.key], key=lambda one: one[0] / one[1], default=(0.0, 1.0))
    return First(call.key, False, off, size) if off > tolerance * size else None


def _within(trace: Trace, key: str, outer: str) -> bool:
    """Whether a call was made in another."""
    while key:
        key = trace.calls[key].within if key in trace.calls else ""
        if key == outer:
            return True
    return False


def _off(one: Parts, other: Parts) -> tuple[float, float]:
    """The largest difference of two values, and the scale of the first."""
    worst, size = 0.0, 1.0
    for mine, theirs in zip(one, other, strict=True):
        worst = max(worst, apart(mine, theirs))
        size = max(size, 1.0 if mine is None else scale(mine))
    return worst, size


def has_steps(value: Value, columns: int) -> bool:
    """Whether a value seems to have an axis of steps."""
    return isinstance(value, np.ndarray) and (value.ndim > 2 or (value.ndim == 2 and value.shape[1] == columns))
