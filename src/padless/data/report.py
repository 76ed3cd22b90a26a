"""An inspection for people: as plain text, on a terminal, in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from padless.data.histogram import Bin

if TYPE_CHECKING:
    from padless.data.inspection import Inspection

_BAR = 40


class Report(NamedTuple):
    """What is said, whatever it is written on.

    Attributes:
        facts: names and values.
        bins: the histogram.
        head: what stands above the costs.
        costs: for each layout its name, steps, share of padding, pairs.
        advice: sentences.
    """

    facts: list[tuple[str, str]]
    bins: list[Bin]
    head: tuple[str, str, str, str]
    costs: list[tuple[str, str, str, str]]
    advice: list[str]


def report(found: Inspection) -> Report:
    """Put an inspection into words.

    Args:
        found: the inspection.

    Returns:
        The words.
    """
    real = found.histogram.unpadded()
    costs = [
        (name, f"{cost.steps:,.0f}", f"{cost.waste(real):.1%}".replace("%", " %"), _short(cost.pairs))
        for name, cost in found.costs.items()
    ]
    head = ("an epoch computes", found.unit, "padding", "attention pairs")
    return Report(_facts(found), found.histogram.bins(), head, costs, _advice(found))


def _facts(found: Inspection) -> list[tuple[str, str]]:
    rows = found.histogram
    shares = ((name, rows.percentile(share)) for name, share in
              (("5 %", 5), ("25 %", 25), ("median", 50), ("75 %", 75), ("95 %", 95), ("99 %", 99)))  # fmt: skip
    counted = " (as TextVectorization splits them)" if found.unit == "words" else ""
    facts = [
        ("data", found.source + (f", column {found.column}" if found.column else "")),
        ("rows", f"{found.rows:,}"),
        (found.unit, f"{found.steps:,}{counted}"),
        ("per row", f"mean {rows.mean:,.1f}, {', '.join(f'{name} {value:,.0f}' for name, value in shares)}"),
        ("shortest", f"{rows.shortest:,}"),
        ("longest", f"{rows.longest:,} in {found.longest}"),
        ("empty rows", f"{found.empty_rows:,}" + (f", first: {found.first_empty}" if found.first_empty else "")),
    ]
    if found.first_null is not None:
        facts.append(("null rows", f"{found.null_rows:,}, first: {found.first_null}; counted as empty, too"))
    return facts


def _advice(found: Inspection) -> list[str]:
    rows, size, unit = found.histogram, found.batch_sizes[0], found.unit
    real, padded = rows.unpadded(), rows.in_batches(size)
    if not real.steps:
        return [f"No row has any {unit}."]
    steps, pairs = padded.steps / real.steps, padded.pairs / real.pairs
    saved = (
        f"Beside shuffled batches of {size}, each padded to its longest row (the mean over all orders), padless saves "
        f"{padded.steps - real.steps:,.0f} of {padded.steps:,.0f} {unit} an epoch ({steps:.1f} times fewer), "
        f"and {_short(padded.pairs - real.pairs)} of {_short(padded.pairs)} attention pairs ({pairs:.1f} times fewer)."
    )
    usual, longest = size * rows.mean, rows.longest
    why = f"as many as {size} rows have on average, {usual:,.0f}"
    if usual < longest:
        why = f"as many as the longest row has, {longest:,}; {size} rows have {usual:,.0f} on average"
    suggested = (
        f"Suggestion: fit(..., max_tokens={found.max_tokens:_}): {why}, rounded up. "
        f"A padded batch of {size} with the longest row has {min(size, found.rows) * longest:,}."
    )
    return [saved, suggested]


def _short(number: float) -> str:
    """Such as "12.3 million"."""
    for power, name in ((12, "trillion"), (9, "billion"), (6, "million")):
        if number >= 10**power:
            return f"{number / 10**power:,.1f} {name}"
    return f"{number:,.0f}"


def _share(one: Bin, bins: list[Bin]) -> float:
    return one.rows / max(each.rows for each in bins)


def _labels(one: Bin) -> tuple[str, str]:
    """Lengths and rows of a bin."""
    return f"{one.low:,}" if one.low == one.high else f"{one.low:,} to {one.high:,}", f"{one.rows:,}"


# ---- text


def plain(found: Inspection, block: str = "#") -> str:
    """Write an inspection as plain text.

    Args:
        found: the inspection.
        block: what bars are made of.

    Returns:
        Lines.
    """
    words = report(found)
    lines = [f"{name:<12}{value}" for name, value in words.facts]
    wide, most = (max(map(len, column)) for column in zip(*map(_labels, words.bins), strict=True))
    lines += ["", f"{found.unit} per row, and rows"]
    for one in words.bins:
        label, rows = _labels(one)
        lines.append(f"  {label:>{wide}}  {rows:>{most}}  {block * _blocks(one, words.bins)}".rstrip())
    table = [words.head, *words.costs]
    widths = [max(len(row[at]) for row in table) for at in range(len(words.head))]
    lines.append("")
    for first, *rest in table:
        cells = (f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True))
        lines.append("  ".join([f"{first:<{widths[0]}}", *cells]))
    return "\n".join([*lines, "", *words.advice])


def _blocks(one: Bin, bins: list[Bin]) -> int:
    """Length of a bar; rows that are there are seen."""
    return max(round(_BAR * _share(one, bins)), int(one.rows > 0))


def show(found: Inspection) -> None:
    """Print an inspection: with rich on a terminal, plain elsewhere.

    Args:
        found: the inspection.
    """
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        print(plain(found))
        return
    from rich import box
    from rich.table import Table

    words = report(found)
    facts = Table.grid(padding=(0, 2))
    for name, value in words.facts:
        facts.add_row(_styled(name, "bold"), _styled(value))
    bins = Table(title=f"{found.unit} per row", title_justify="left", box=None, show_header=False, padding=(0, 1))
    bins.add_column(justify="right")
    bins.add_column(justify="right")
    for one in words.bins:
        bins.add_row(*_labels(one), _styled(_drawn(_BAR * _share(one, words.bins)), "cyan"))
    costs = Table(box=box.SIMPLE_HEAD)
    for at, name in enumerate(words.head):
        costs.add_column(name, justify="right" if at else "left")
    for number, row in enumerate(words.costs):
        costs.add_row(*row, style="green" if number == 0 else None)
    console.print(facts, "", bins, costs, *(_styled(text) for text in words.advice), sep="\n")


def _styled(text: str, style: str = "") -> Any:
    """Text that is no markup: names of files may hold brackets."""
    from rich.text import Text

    return Text(text, style)


def _drawn(length: float) -> str:
    """A bar in eighths of a character; what is more than nothing is seen."""
    eighths = max(round(8 * length), int(length > 0))
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


# ---- a notebook


def html(found: Inspection) -> str:
    """Write an inspection for a notebook.

    Args:
        found: the inspection.

    Returns:
        HTML.
    """
    words = report(found)
    facts = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in words.facts)
    bar = '<div style="background:#0072b2;height:0.8em;width:{:.2f}em"></div>'
    bins = "".join(
        f"<tr><td>{'</td><td>'.join(_labels(one))}</td><td>{bar.format(20 * _share(one, words.bins))}</td></tr>"
        for one in words.bins
    )
    head = "".join(f"<th>{name}</th>" for name in words.head)
    costs = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in words.costs)
    advice = "".join(f"<p>{escape(text)}</p>" for text in words.advice)
    unit = f"<tr><th>{found.unit} per row</th><th>rows</th><th></th></tr>"
    return f"<table>{facts}</table><table>{unit}{bins}</table><table><tr>{head}</tr>{costs}</table>{advice}"
