"""Tables in markdown, for the screen and LOG.md alike."""

from __future__ import annotations

import datetime
import shlex
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOG = Path(__file__).resolve().parent / "LOG.md"


@dataclass(frozen=True)
class Table:
    """A title, a head, rows, and remarks below."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def text(self) -> str:
        widths = [max(len(row[at]) for row in (self.head, *self.rows)) for at in range(len(self.head))]

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

        ruled = ["| " + " | ".join("-" * max(3, width) for width in widths) + " |"]
        body = [line(self.head), *ruled, *map(line, self.rows)] if self.rows else ["(nothing measured)"]
        return "\n".join([f"### {self.title}", "", *body, *(["", *self.notes] if self.notes else []), ""])


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """The median, the least and the most."""
    if not values:
        return "not measured"
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def log(setting: str, tables: Sequence[Table], file: Path = LOG) -> None:
    """Append what was measured under the command that did it."""
    command = f"./run bench {shlex.join(sys.argv[1:])}".strip()
    with file.open("a", encoding="utf-8") as out:
        out.write(f"\n## {datetime.date.today()}: `{command}`\n\n{setting}\n\n")
        out.write("\n".join(table.text() for table in tables))
