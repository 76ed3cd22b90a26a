"""What a notebook shows of models, histories, values and tokenizers: HTML without anything from elsewhere.

Text and lines of tables have the colors of the page, dark or light; pictures bring their own paper.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from padless import backends
from padless.pictures.curves import panel_svg, panels_of, strip_svg
from padless.pictures.svg import text_of

if TYPE_CHECKING:
    from padless.callbacks.history import History
    from padless.model import Model
    from padless.ragged import Ragged
    from padless.text.tokenizer import Tokenizer

_CELL = "text-align:left;padding:1px 10px 1px 0;vertical-align:top;white-space:pre-wrap;background:transparent"
_NUMBER = "white-space:nowrap;text-align:right;padding:1px 10px 1px 0;vertical-align:top;background:transparent"
_MOST_BOXES, _MOST_EPOCHS, _MOST_ROWS, _MOST_STEPS, _MOST_WORDS = 60, 12, 5, 12, 12


def _block(title: str, *parts: str) -> str:
    shown = "".join(f'<div style="margin:4px 0">{part}</div>' for part in parts if part)
    return f'<div style="font-size:13px;overflow:auto"><b>{text_of(title)}</b>{shown}</div>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """A table whose last columns are numbers."""

    def line(cells: Sequence[str], tag: str) -> str:
        styles = [_CELL] * (len(cells) - numbers) + [_NUMBER] * numbers
        return "".join(
            f'<{tag} style="{style}">{text_of(cell)}</{tag}>' for cell, style in zip(cells, styles, strict=True)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    rule = "border-bottom:1px solid currentColor"
    top = f'<thead><tr style="{rule}">{line(head, "th")}</tr></thead>' if head else ""
    return f'<table style="border-collapse:collapse;border:none;font-size:12px">{top}<tbody>{body}</tbody></table>'


# ---- a model


def model_html(model: Model) -> str:
    """Show a model: the table of its summary, and its picture to unfold.

    Args:
        model: the model.

    Returns:
        HTML.
    """
    from padless.summary import summary_of

    try:
        found = summary_of(model, expand_nested=True)
    except Exception as error:  # of the model's own code: what shows it must not fail
        return _block(repr(model), f"<pre>{text_of(str(error))}</pre>")
    head = ["layer (type)", "output shape", "rows", *(["connected to"] if found.branches else []), "weights"]
    rows = []
    for row in found.rows:
        name = "\u00a0" * 4 * row.depth + f"{row.name} ({row.kind})"
        count = "" if row.weights is None else f"{row.weights:,}"
        rows.append(
            [
                name,
                row.shape,
                row.rows.replace(" ", "\u00a0"),
                *([", ".join(row.sources)] if found.branches else []),
                count,
            ]
        )
    return _block(found.title, _table(head, rows, 1), text_of(found.totals), _picture(model))


def _picture(model: Model) -> str:
    from padless.pictures.models import drawing_of
    from padless.pictures.picture import Picture

    if model._standins() is None:
        return (
            "Nothing is known of the input yet: give it an Input, or call it once, and there are shapes and a picture."
        )
    try:
        drawing = drawing_of(model)
    except Exception:
        return ""
    if len(drawing.boxes) > _MOST_BOXES:
        return f"{len(drawing.boxes)} calls of layers: padless.plot_model(model) draws them."
    return f"<details open><summary>picture</summary>{Picture(drawing).svg()}</details>"


# ---- a history


def history_html(history: History) -> str:
    """Show a history: curves, and the values of the last epochs.

    Args:
        history: the history.

    Returns:
        HTML.
    """
    title = f"History of {len(history.epoch)} epoch" + ("s" if len(history.epoch) != 1 else "")
    if not history.epoch:
        return _block(title)
    panels = [panel for panel in panels_of(history) if panel.curves]
    curves = "".join(f'<span style="display:inline-block;margin:2px">{panel_svg(panel)}</span>' for panel in panels)
    key = '<span style="color:#0072b2">&#9632;</span> training <span style="color:#d55e00">&#9632;</span> validation'
    return _block(title, curves, key, _values_table(history))


def _values_table(history: History) -> str:
    from padless.callbacks.screens import logs_parts
    from padless.pictures.curves import epochs_of

    names = list(history.history)
    values = {name: dict(zip(epochs_of(history, name), history.history[name], strict=True)) for name in names}
    rows = []
    for epoch in history.epoch[-_MOST_EPOCHS:]:
        cells = [logs_parts({"": values[name][epoch]})[0][2:] if epoch in values[name] else "" for name in names]
        rows.append([str(epoch + 1), *cells])
    hidden = len(history.epoch) - len(rows)
    table = _table(["epoch", *names], rows, len(names))
    return (f"{hidden} epochs before these" if hidden else "") + table


# ---- values with rows


def ragged_html(x: Ragged) -> str:
    """Show a value with rows: its shape, its lengths, its first rows.

    Args:
        x: the value.

    Returns:
        HTML.
    """
    lengths = np.asarray(x.rows.row_lengths, np.int64)
    dtype = backends.of(x.flat_values).dtype_name(x.flat_values)
    facts = f"{len(lengths):,} rows, {lengths.sum():,} steps"
    if len(lengths):
        facts += f", {lengths.min():,} to {lengths.max():,} in a row, {lengths.mean():,.1f} on average"
    empty = int((lengths == 0).sum())
    facts += f", {empty:,} empty" if empty else ""
    rows = [[str(at), str(lengths[at]), _row_text(x, at)] for at in range(min(len(lengths), _MOST_ROWS))]
    if len(lengths) > _MOST_ROWS:
        rows.append(["...", "", ""])
    first = _table(["row", "steps", "values"], rows) if rows else ""
    return _block(f"Ragged {x.shape}, {dtype}", text_of(facts), strip_svg(lengths) if len(lengths) else "", first)


def _row_text(x: Any, at: int) -> str:
    """The first steps of a row."""
    row, more = x[at], ""
    if len(row) > _MOST_STEPS:
        row, more = row[:_MOST_STEPS], ", ..."
    listed = row.to_list() if hasattr(row, "to_list") else np.asarray(backends.of(row).to_host(row)).tolist()
    text = _shown(listed)
    text = text[:-1] + more + text[-1] if more else text
    return text if len(text) < 160 else text[:156] + " ..."


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_shown(part) for part in itertools.islice(value, 40))}]"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    return repr(value)


# ---- a tokenizer


def tokenizer_html(tokenizer: Tokenizer) -> str:
    """Show a tokenizer: how many words it knows, and the most frequent ones.

    Args:
        tokenizer: the tokenizer.

    Returns:
        HTML.
    """
    known, limit = len(tokenizer.word_index), tokenizer.num_words
    kind = "characters" if tokenizer.char_level else "words"
    used = min(known, limit - 1) if limit else known
    facts = f"{known:,} {kind} of {tokenizer.document_count:,} texts"
    facts += f"; ids 1 to {used:,} are used (num_words={limit:,})" if limit else ""
    if not known:
        return _block("Tokenizer", "no words yet: fit_on_texts(texts) finds them")
    first = sorted(tokenizer.word_index, key=tokenizer.word_index.__getitem__)[:_MOST_WORDS]
    rows = []
    for word in first:
        count = tokenizer.word_counts.get(word)
        share = tokenizer.word_docs.get(word, 0) / max(tokenizer.document_count, 1)
        shown = str(word) if len(str(word)) <= 40 else str(word)[:37] + "..."
        times, texts = ("", "") if count is None else (f"{count:,}", f"{share:.0%}")
        rows.append([shown, str(tokenizer.word_index[word]), times, texts])
    return _block("Tokenizer", text_of(facts), _table([kind[:-1], "id", "times", "of the texts"], rows, 3))
