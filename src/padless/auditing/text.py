"""An audit as plain text, and on a terminal."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from padless.auditing import words

if TYPE_CHECKING:
    from padless.auditing.report import AuditReport

_WIDE = 100


def plain(report: AuditReport) -> str:
    """Write a report as plain text.

    Args:
        report: the report.

    Returns:
        Lines.
    """
    meaning = words.meaning(report)
    out = [*_wrapped(report.verdict), *(_wrapped(meaning) if meaning else []), ""]
    out += [f"{name:<13}{value}" for name, value in words.facts(report)]
    table = [
        ("asked", "largest difference", ""),
        *((x.name, x.answer, words.STATES[x.state]) for x in words.lines(report)),
    ]
    first, second = (max(len(row[at]) for row in table) for at in (0, 1))
    out += ["", *(f"{a:<{first}}  {b:<{second}}  {c}".rstrip() for a, b, c in table)]
    for one in words.paragraphs(report):
        out += ["", f"{'! ' if one.grave else '- '}{one.title}"]
        out += _wrapped(f"{one.why} {one.size}", "  ")
        out += _wrapped(f"In Keras: {one.fix}.", "  ") if one.fix else []
    for paragraph in (words.compared(report), words.remarks(report)):
        out += ["", *(part for text in paragraph for part in _wrapped(text))] if paragraph else []
    return "\n".join(out)


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(" ".join(text.split()), _WIDE, initial_indent=indent, subsequent_indent=indent) or [""]


def show(report: AuditReport) -> None:
    """Print a report: with rich on a terminal, plain elsewhere.

    Args:
        report: the report.
    """
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        print(plain(report))
        return
    from rich.panel import Panel
    from rich.table import Table

    colour = "green" if report.ok else "red"
    console.print(Panel(_styled(report.verdict, f"bold {colour}"), border_style=colour))
    if words.meaning(report):
        console.print(_styled(words.meaning(report)), "")
    facts = Table.grid(padding=(0, 2))
    for name, value in words.facts(report):
        facts.add_row(_styled(name, "bold"), _styled(value))
    console.print(facts, "", _probes(report))
    for one in words.paragraphs(report):
        console.print(_styled(one.title, "bold red" if one.grave else "bold yellow"))
        console.print(_styled(f"{one.why} {one.size}"))
        if one.fix:
            console.print(_styled(f"In Keras: {one.fix}.", "dim"))
        console.print()
    for paragraph in (words.compared(report), words.remarks(report)):
        for text in paragraph:
            console.print(_styled(text))
        console.print()


def _probes(report: AuditReport) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("asked", "largest difference", ""):
        table.add_column(name)
    colours = {"same": "green", "differs": "bold red", "reads": "yellow", "empty": "yellow", "unknown": "dim"}
    for line in words.lines(report):
        table.add_row(_styled(line.name), _styled(line.answer), _styled(words.STATES[line.state], colours[line.state]))
    return table


def _styled(text: str, style: str = "") -> Any:
    """Text that is no markup: names of layers may hold brackets."""
    from rich.text import Text

    return Text(text, style)
