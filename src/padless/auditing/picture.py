"""The calls of a model as a picture: masks along the arrows, red where one is lost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from padless.auditing.comparing import Parts, Told
from padless.auditing.findings import Finding, Outcome
from padless.auditing.probes import Slot
from padless.auditing.reasons import NOTES
from padless.auditing.trace import Call, Value
from padless.pictures.drawing import RED, Arrow, Box, Drawing, Frame, Mark

AMBER = "#b26a00"


def drawing_of(outcome: Outcome, slots: Sequence[Slot], name: str, carries: tuple[str, str]) -> Drawing:
    """Describe what the model did with a batch.

    Args:
        outcome: of the audit.
        slots: inputs of the model.
        name: of the model.
        carries: what goes along with values, by name and in words.

    Returns:
        Boxes for the inputs, each call of a layer, the outputs; frames around models in the model.
    """
    calls, count = outcome.trace.calls, len(outcome.batch.rows.lengths)
    boxes = [
        Box(f"input:{at}", slot.name, "input", (_shape(("B", "T") if slot.steps else ("B",), slot.shape),))
        for at, slot in enumerate(slots)
    ]
    arrows = []
    leaves = {call.key: call for call in outcome.trace.leaves()}
    for call in leaves.values():
        alone = outcome.truth.calls.get(call.key)
        boxes.append(Box(call.key, call.layer.name, call.kind, _details(call, count, alone)))
        for operand in call.operands:
            if operand.source in leaves or operand.source.startswith("input:"):
                masked = operand.masked or (call.given_mask and len(call.operands) == 1)
                arrows.append(Arrow(operand.source, call.key, (carries[0],) if masked else ()))
    for at, source in enumerate(outcome.trace.sources):
        boxes.append(Box(f"output:{at}", "answers" if len(outcome.trace.sources) == 1 else f"answers {at + 1}"))
        if source in leaves or source.startswith("input:"):
            masked = source in leaves and leaves[source].masked
            arrows.append(Arrow(source, f"output:{at}", (carries[0],) if masked else ()))
    arrows += _unknown(list(leaves.values()), arrows, boxes)
    legend = dict([carries]) if any(arrow.rows for arrow in arrows) else {}
    frames = _frames(calls, leaves)
    drawing = Drawing(boxes, dict.fromkeys(arrows), frames, name, legend)
    return drawing.marked(_marks(outcome.findings, {part.key for part in drawing.parts}))


def _unknown(leaves: list[Call], arrows: list[Arrow], boxes: list[Box]) -> list[Arrow]:
    """Dashed arrows to what is made of values that no layer made, from the call before it."""
    reached = {arrow.target for arrow in arrows}
    found = []
    for before, call in itertools.pairwise(leaves):
        if call.key not in reached and call.operands:
            found.append(Arrow(before.key, call.key, known=False))
    ends = [box.key for box in boxes if box.key.startswith("output:") and box.key not in reached]
    return found + [Arrow(leaves[-1].key, key, known=False) for key in ends if leaves]


def _frames(calls: dict[str, Call], leaves: dict[str, Call]) -> list[Frame]:
    frames = []
    for call in calls.values():
        inner = tuple(key for key, one in calls.items() if one.within == call.key)
        if call.key not in leaves and inner:
            frames.append(Frame(call.key, f"{call.layer.name} ({call.kind})", inner))
    return frames


def _marks(findings: list[Finding], keys: set[str]) -> dict[str, Mark]:
    marks: dict[str, Mark] = {}
    for one in reversed(findings):  # gravest last, so that it is what is seen
        if one.starts_key in keys and one.grave and one.starts_key != one.key:
            marks.setdefault(one.starts_key, Mark(f"numbers differ from here: {number(one.difference)}", AMBER))
    for one in reversed(findings):
        place = one.key if one.key in keys else one.starts_key
        if place in keys and (one.grave or place not in marks):
            marks[place] = Mark(NOTES[one.observed], RED if one.grave else AMBER)
    return marks


def number(value: float) -> str:
    """A difference, to be read by people: "0.31", "4e-09", "NaN"."""
    if not math.isfinite(value):
        return "NaN"
    return "0" if value == 0 else f"{value:.2g}" if value < 1 else f"{value:,.3g}"


def _details(call: Call, rows: int, alone: Told | None) -> tuple[str, ...]:
    parts: list[Parts] = [] if alone is None else alone.outs
    return tuple(
        _shape_of(value, rows, parts[at] if at < len(parts) else []) for at, value in enumerate(call.outputs[:2])
    )


def _shape_of(value: Value, rows: int, alone: Parts) -> str:
    """Such as "(B, T, 16)"; T where rows alone have other sizes than one another."""
    if isinstance(value, list):
        return _shape(("B", "T"), value[0].shape[1:] if value else ())
    batched = value.ndim > 0 and value.shape[0] in (1, rows)
    sizes = value.shape[1:] if batched else value.shape
    shapes = {row.shape for row in alone if row is not None and row.ndim == len(sizes)}
    varies = [len({shape[axis] for shape in shapes}) > 1 for axis in range(len(sizes))]
    named = ["T" if free else str(int(size)) for free, size in zip(varies, sizes, strict=True)]
    return f"({', '.join(['B'] * batched + named)})"


def _shape(letters: Sequence[str], shape: Sequence[int]) -> str:
    return f"({', '.join([*letters, *(str(int(size)) for size in shape)])})"
