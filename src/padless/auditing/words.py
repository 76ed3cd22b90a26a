"""An audit in words: verdict, facts, findings, advice; whatever they are written on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from padless.auditing.findings import (
    ALONE,
    EMPTY,
    GRADIENTS,
    LEFT,
    LONGER_ROWS,
    LOSS,
    ORDER,
    OTHERS,
    ROW_GRADIENTS,
    TRAINING,
    Finding,
    Probe,
)
from padless.auditing.picture import number
from padless.auditing.probes import FILLS, LONGER

if TYPE_CHECKING:
    from padless.auditing.report import AuditReport

_TRAINING = (TRAINING, LOSS, GRADIENTS, ROW_GRADIENTS)
_WHEN = {
    ALONE: "when a row is padded to the length of a longer one beside it",
    LONGER_ROWS: "when other rows of the batch are longer",
    LEFT: "when rows are padded on the left",
    OTHERS: "when other rows are beside it, without any padding more",
    ORDER: "when the rows come in another order",
}
_SHORT = {
    ALONE: "in a batch, not alone",
    LONGER_ROWS: "longer rows beside it",
    LEFT: "padded on the left",
    OTHERS: "fewer rows beside it",
    ORDER: "rows in another order",
    EMPTY: "a row without steps",
    TRAINING: "answers in training",
    LOSS: "loss of training",
    GRADIENTS: "gradients of training",
    ROW_GRADIENTS: "gradients, row by row",
}
"""In the order of the table; what masked steps hold comes last."""


class Line(NamedTuple):
    """A row of the table of probes.

    Attributes:
        name: what was asked, in few words.
        question: in more.
        answer: how large the difference was.
        state: "same", "differs", "reads" for what is harmless as long as masked steps hold what they do, "empty" for
            NaN of an empty row, "unknown".
    """

    name: str
    question: str
    answer: str
    state: str


class Paragraph(NamedTuple):
    """A finding in words.

    Attributes:
        title: the layer.
        why: what happens.
        size: how large the difference is, and where.
        fix: what to do in Keras; "" for none.
        grave: whether answers or training differ by it.
    """

    title: str
    why: str
    size: str
    fix: str
    grave: bool


def verdict(report: AuditReport) -> str:
    """Say the result in one sentence.

    Args:
        report: the report.

    Returns:
        The sentence.
    """
    wrong = [probe for probe in report.probes if probe.differs and probe.grave]
    answers = [probe for probe in wrong if probe.name not in _TRAINING]
    if not wrong and (read := _read(report)):
        return (
            f"Padding changed none of the answers that this model was asked for, but masked steps are not skipped: "
            f"{read} reads them, so what stands there is part of the answer."
        )
    if not wrong:
        return (
            f"Padding changes none of this model's answers: {_counted(len(report.rows), 'row')} got the same ones "
            f"alone and in a batch, however they were padded ({_largest(report)})."
        )
    if not answers:
        return f"Padding does not change what this model predicts, but how it learns: {_learning(wrong)}."
    if all(probe.name == LEFT for probe in answers):
        return (
            "Padded on the right, this model's answers are sound; padded on the left, as Keras's pad_sequences does by "
            f"default, they change: {_by(report, answers[0])}."
        )
    worst = _worst(answers)
    if worst.name in (OTHERS, ORDER):
        return f"This model mixes rows: its answer for one changes {_by(report, worst)} {_WHEN[worst.name]}."
    if worst.name not in _WHEN:
        what = f"when these hold {worst.name.removeprefix('fill ')}"
        return f"Masked steps are a part of this model's answers: they change {_by(report, worst)} {what}."
    return f"Padding changes this model's answers: {_by(report, worst)} {_WHEN[worst.name]}."


def meaning(report: AuditReport) -> str:
    """Say what the verdict means for who uses the model.

    Args:
        report: the report.

    Returns:
        A sentence, or "" where nothing is to be done.
    """
    wrong = {probe.name for probe in report.probes if probe.differs and probe.grave}
    if wrong & {OTHERS, ORDER, ALONE, LONGER_ROWS}:
        return (
            "The same row can get another answer in another batch: what was measured in tests need not hold in "
            "production, and answers from different batches cannot be compared."
        )
    if wrong and wrong <= set(_TRAINING):
        return "Predictions can be trusted; losses and what is learned depend on how rows were put into batches."
    return ""


def _read(report: AuditReport) -> str:
    """A layer that reads what finite numbers masked steps hold."""
    names = [f"fill {name}" for name, fill in FILLS.items() if math.isfinite(fill)]
    if not any(probe.differs for probe in report.probes if probe.name in names):
        return ""
    places = [one.starts or one.kind for one in report.findings if set(names) & set(one.probes)]
    return repr(places[0]) if places else ""


def _worst(probes: list[Probe]) -> Probe:
    """The one to speak of: rows that are mixed, then what happens in use, then what masked steps hold."""
    kinds = ((OTHERS, ORDER), (ALONE, LONGER_ROWS), ("fill 0",))
    chosen = ([probe for probe in probes if probe.name in names] for names in kinds)
    return max(next((some for some in chosen if some), probes), key=lambda probe: probe.largest)


def _by(report: AuditReport, probe: Probe) -> str:
    output = max(probe.differences, key=lambda name: probe.differences[name])
    if number(probe.largest) == "NaN":
        size = "to no number at all"
    elif report.probabilities:
        size = f"by up to {number(probe.largest)} in a probability"
    else:
        size = f"by up to {number(probe.largest)}" + (f" in {output!r}" if len(probe.differences) > 1 else "")
    if probe.flips:
        gets = "gets" if probe.flips == 1 else "get"
        size += f", and {probe.flips} of {_counted(len(report.rows), 'row')} {gets} another class,"
    return size


def _learning(wrong: list[Probe]) -> str:
    for probe in wrong:
        if probe.values is not None:
            one, two = probe.values
            return f"for the same rows its loss is {one:.4g}, and {two:.4g} when there is more padding"
    return "for the same rows its gradients are others when there is more padding"


def _largest(report: AuditReport) -> str:
    off = max((probe.largest for probe in report.probes if probe.grave and probe.name not in _TRAINING), default=0.0)
    return "the largest difference is 0" if off == 0 else f"the largest difference, {number(off)}, is rounding"


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" + ("s" if count != 1 else "")


def facts(report: AuditReport) -> list[tuple[str, str]]:
    """What was audited.

    Args:
        report: the report.

    Returns:
        Names and values.
    """
    lengths = ", ".join(map(str, report.rows))
    kind = "of random numbers" if report.invented else "of the data given"
    return [
        ("model", f"{report.name} ({report.source})"),
        ("library", report.library),
        ("asked about", f"{_counted(len(report.rows), 'row')} {kind}, of {lengths} steps, padded to {report.columns}"
                        f"{_and_more(report)}"),
    ]  # fmt: skip


def _and_more(report: AuditReport) -> str:
    return "" if report.of(LONGER_ROWS) is None else f" and to {report.columns + LONGER}"


def lines(report: AuditReport) -> list[Line]:
    """The table of probes.

    Args:
        report: the report.

    Returns:
        A line for each.
    """
    found, order = [], list(_SHORT)
    for probe in sorted(report.probes, key=lambda one: order.index(one.name) if one.name in order else len(order)):
        if probe.error:
            found.append(Line(short(probe.name), probe.question, f"not asked: {probe.error}", "unknown"))
            continue
        if probe.name == EMPTY:
            found.append(
                Line(short(EMPTY), probe.question, *(("NaN", "empty") if probe.differs else ("numbers", "same")))
            )
            continue
        answer = number(probe.largest)
        if probe.values is not None and probe.differs:
            answer = f"{probe.values[0]:.4g}, then {probe.values[1]:.4g}"
        if probe.flips:
            answer += f", another class for {_counted(probe.flips, 'row')}"
        state = "same" if not probe.differs else "differs" if probe.grave else "reads"
        found.append(Line(short(probe.name), probe.question, answer, state))
    return found


STATES = {"same": "same", "differs": "DIFFERS", "reads": "is read", "empty": "no number", "unknown": "unknown"}
"""How a line ends."""


def short(name: str) -> str:
    """A probe in few words."""
    return _SHORT.get(name, f"{name.removeprefix('fill ')} in masked steps")


def paragraphs(report: AuditReport) -> list[Paragraph]:
    """The findings in words.

    Args:
        report: the report.

    Returns:
        One for each.
    """
    return [_paragraph(one, report.library) for one in report.findings]


def _paragraph(one: Finding, library: str) -> Paragraph:
    title = f"{one.layer} ({one.kind})" if one.layer else one.kind
    why = f"{one.why[0].upper()}{one.why[1:]}."
    # Of what cannot come from outside, only the finite is of interest beside what can.
    probes = {name: size for name, size in one.probes.items() if not name.startswith("fill ")} or one.probes
    size = max(probes.values())
    there = "there" if one.starts_key == one.key else f"first in {one.starts} ({one.starts_kind})"
    asked = short(max(probes, key=lambda name: probes[name]))
    by = "and become NaN" if not math.isfinite(size) else f"by up to {number(size)}"
    told = f"Numbers differ {there}, {by} ({asked})."
    if set(probes) == {LOSS}:
        told = f"The loss differs by {number(size)}."
    return Paragraph(title, why, told, one.fix if library.startswith("Keras") else "", one.grave)


def compared(report: AuditReport) -> list[str]:
    """The same model in padless, in sentences.

    Args:
        report: the report.

    Returns:
        Sentences; none where nothing was compared.
    """
    found = report.comparison
    if found is None:
        return []
    if found.error:
        return [f"padless could not be asked the same: {found.error}"]
    cases = ", ".join(found.differences)
    off = max(found.differences.values())
    said = []
    if found.ok:
        said.append(f"In padless the same model, with the same weights, gives each row one answer: {cases}, the "
                    f"largest difference from the row alone is {number(off)}.")  # fmt: skip
        if found.from_keras is not None:
            said.append(
                f"That answer is Keras's own for the row alone, unpadded: to within {number(found.from_keras)}."
            )
    else:
        said.append(f"In padless the same model does NOT give the same answers: {number(off)} between ways of padding, "
                    f"{number(found.from_keras or 0.0)} from Keras on rows alone. Do not rely on it.")  # fmt: skip
    speed = found.speed
    if speed.error:
        return [*said, f"How long it takes was not measured: {speed.error}"]
    share = f"{100 * (1 - speed.steps / speed.padded_steps):.0f}\u00a0%"
    rates = [f"{_time(one)} ({speed.steps / one:,.0f} real steps/s)" for one in (speed.keras, speed.padless)]
    said.append(
        f"A batch of {speed.rows} rows with {speed.steps:,} real steps, whose padded array is {share} padding: Keras "
        f"{rates[0]}, padless {rates[1]}, {_times(speed.times)}. This is one measurement, on this machine: the medians "
        f"of {speed.runs} predictions each, in turns."
    )
    return said


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def _times(times: float) -> str:
    return f"{times:.1f} times as fast" if times >= 1 else f"{1 / max(times, 1e-9):.1f} times slower"


def remarks(report: AuditReport) -> list[str]:
    """What the reader should know of how far the result goes.

    Args:
        report: the report.

    Returns:
        Sentences.
    """
    said = []
    if report.invented:
        said.append("The rows were made of random numbers; data= (--data) asks about rows of yours.")
    if any(line.state == "reads" for line in lines(report)):
        said.append("What masked steps hold was changed within the model, after the layer that makes the mask. Where "
                    f"the table says {STATES['reads']!r}, no input of this model can bring that about, and the verdict "
                    "does not count it; but such steps are not skipped.")  # fmt: skip
    empty = report.of(EMPTY)
    if empty is not None and empty.differs:
        said.append("A row without any real step, such as a text of unknown words alone, gets NaN, and so does the "
                    "loss of the batch that it is in. Keep such rows out.")  # fmt: skip
    if report.of(LEFT) is None:
        said.append("Padding on the left was not asked about.")
    return said
