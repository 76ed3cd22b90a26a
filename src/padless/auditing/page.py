"""An audit as a page of HTML that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from padless.auditing import words
from padless.errors import PadlessError
from padless.pictures.svg import text_of

if TYPE_CHECKING:
    from padless.auditing.report import AuditReport

_STYLE = """
.audit { font: 15px/1.5 Helvetica, Arial, 'DejaVu Sans', sans-serif; color: #1c1c1c; max-width: 62em; }
.audit .verdict { font-size: 1.35em; line-height: 1.35; padding: 0.7em 0.9em; border-left: 8px solid; margin: 0 0 1em; }
.audit .verdict.ok { border-color: #2e7d32; background: #edf7ee; }
.audit .verdict.wrong { border-color: #c62828; background: #fdeeee; }
.audit h2 { font-size: 1.08em; margin: 1.5em 0 0.4em; }
.audit h3 { font-size: 1em; margin: 1em 0 0.1em; }
.audit p { margin: 0.2em 0 0.4em; }
.audit table { border-collapse: collapse; }
.audit th, .audit td { text-align: left; padding: 0.18em 1.4em 0.18em 0; vertical-align: top; font-weight: normal;
  background: none; }
.audit th { color: #5c5c5c; }
.audit .probes td { border-top: 1px solid #e2e2e2; }
.audit .probes td:first-child, .audit .probes td:last-child { white-space: nowrap; }
.audit .differs { color: #c62828; font-weight: bold; }
.audit .same { color: #2e7d32; }
.audit .reads, .audit .empty { color: #8a5200; }
.audit .unknown, .audit .fix, .audit .remarks { color: #5c5c5c; }
.audit .columns { display: flex; flex-wrap: wrap; gap: 2em; align-items: flex-start; }
.audit .columns > div { flex: 1 1 24em; min-width: 0; }
.audit .graph { overflow: auto; }
@media print { .audit .graph { overflow: visible; } }
"""


def page(report: AuditReport) -> str:
    """Write a report as a page.

    Args:
        report: the report.

    Returns:
        HTML.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>Audit of {text_of(report.name)}: {'clean' if report.ok else 'padding changes answers'}</title>\n"
        f"</head>\n<body>\n{fragment(report)}\n</body>\n</html>\n"
    )


def fragment(report: AuditReport) -> str:
    """Write a report as a part of a page, such as a notebook.

    Args:
        report: the report.

    Returns:
        HTML.
    """
    facts = "".join(f"<tr><th>{text_of(a)}</th><td>{text_of(b)}</td></tr>" for a, b in words.facts(report))
    meaning = words.meaning(report)
    parts = [
        f"<style>{_STYLE}</style>",
        f'<p class="verdict {"ok" if report.ok else "wrong"}">{text_of(report.verdict)}</p>',
        f"<p>{text_of(meaning)}</p>" if meaning else "",
        f"<table>{facts}</table>",
        '<div class="columns"><div>',
        _findings(report),
        _compared(report),
        _probes(report),
        f'</div><div><h2>{_caption(report)}</h2><div class="graph">{_graph(report)}</div></div></div>',
        "".join(f'<p class="remarks">{text_of(text)}</p>' for text in words.remarks(report)),
    ]
    return f'<div class="audit">\n{chr(10).join(part for part in parts if part)}\n</div>'


def _caption(report: AuditReport) -> str:
    return "The model" if report.ok else "Where padding gets in"


def _graph(report: AuditReport) -> str:
    try:
        return report.picture.svg()
    except PadlessError as error:  # a report without its picture is better than none
        return f"<p>There is no picture: {text_of(str(error))}</p>"


def _findings(report: AuditReport) -> str:
    found = words.paragraphs(report)
    parts = (
        ("Why", [one for one in found if one.grave]),
        ("What else was seen", [one for one in found if not one.grave]),
    )
    return "".join(f"<h2>{title}</h2>{''.join(map(_finding, some))}" for title, some in parts if some)


def _finding(one: words.Paragraph) -> str:
    fix = f'<p class="fix">In Keras: {text_of(one.fix)}.</p>' if one.fix else ""
    kind = "differs" if one.grave else "reads"
    return f'<h3 class="{kind}">{text_of(one.title)}</h3><p>{text_of(one.why)}</p><p>{text_of(one.size)}</p>{fix}'


def _compared(report: AuditReport) -> str:
    said = words.compared(report)
    if not said:
        return ""
    return "<h2>The same model in padless</h2>" + "".join(f"<p>{text_of(text)}</p>" for text in said)


def _probes(report: AuditReport) -> str:
    rows = "".join(
        f'<tr title="{text_of(line.question)}"><td>{text_of(line.name)}</td><td>{text_of(line.answer)}</td>'
        f'<td class="{line.state}">{text_of(words.STATES[line.state])}</td></tr>'
        for line in words.lines(report)
    )
    head = "<tr><th>asked</th><th>largest difference</th><th></th></tr>"
    return f'<h2>What was asked</h2><table class="probes">{head}{rows}</table>'
