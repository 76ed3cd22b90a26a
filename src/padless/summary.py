"""The table that `Model.summary` prints."""

from __future__ import annotations

import shutil
from io import StringIO
from typing import TYPE_CHECKING, Any

from padless.layer import Layer
from padless.ragged import Ragged

if TYPE_CHECKING:
    from padless.model import Model


def rows_word(layer: Layer, x: Any, y: Any) -> str:
    """Say what a layer did to the rows of its input.

    Args:
        layer: the layer.
        x: a value, or a list of values, that went in.
        y: what came out.

    Returns:
        "enter", "kept", "change", "end", "inner end" for rows within rows, or "".
    """
    before = next((v for v in _values(x) if isinstance(v, Ragged)), None)
    after = next((v for v in _values(y)[:1] if isinstance(v, Ragged)), None)
    fewer = before is not None and after is not None and after.ragged_rank < before.ragged_rank
    if layer.makes_mask and after is not None and not fewer:
        return "enter"
    if before is None:
        return "" if after is None else "enter"
    if after is None:
        return "end"
    if fewer:
        return "inner end"
    return "kept" if _same_rows(before, after) else "change"


def _same_rows(one: Ragged, other: Ragged) -> bool:
    if not one.rows.same_steps(other.rows) or one.ragged_rank != other.ragged_rank:
        return False
    return not isinstance(one.values, Ragged) or _same_rows(one.values, other.values)


def _values(x: Any) -> list[Any]:
    """One value or several, in lists, tuples and dicts, as a list."""
    if isinstance(x, dict):
        x = list(x.values())
    return [v for part in x for v in _values(part)] if isinstance(x, list | tuple) else [x]


def shape_text(value: Any) -> str:
    """Write the shape of a value, None for the batch and for an axis that varies.

    Args:
        value: a Ragged, an array, or a list or dict of these.

    Returns:
        Such as "(None, None, 64)".
    """
    if isinstance(value, list | tuple | dict):
        return ", ".join(shape_text(part) for part in _values(value))
    shape = (None, *value.shape[1:])
    return "(" + ", ".join(str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"


def summary_text(model: Model, value: Any, line_length: int | None) -> str:
    """Write the table.

    Args:
        model: the model.
        value: what to trace it with.
        line_length: width in characters; the terminal's by default.

    Returns:
        The text.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    seen: dict[int, tuple[str, str]] = {}

    def watch(layer: Layer, x: Any, y: Any) -> None:
        seen[id(layer)] = (shape_text(y), rows_word(layer, x, y))

    model.trace(value, watch)
    table = Table(title=f"Model: {model.name!r}", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for heading, justify in (
        ("Layer (type)", "left"),
        ("Output shape", "left"),
        ("Rows", "left"),
        ("Weights", "right"),
    ):
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    with_rows = any(isinstance(one, Ragged) for one in _values(value))
    table.add_row("input", shape_text(value), "if given" if with_rows else "", "")
    for layer in model.layers:
        shape, word = seen.get(id(layer), ("not called", ""))
        table.add_row(f"{layer.name} ({type(layer).__name__})", shape, word, f"{layer.count_params():,}")
    width = line_length or shutil.get_terminal_size((96, 24)).columns
    console = Console(file=StringIO(), width=width, color_system=None)
    console.print(table)
    total = model.count_params()
    trained = sum(int(_size(array)) for array in model.trainable_weights)
    size = f"{total * 4 / 2**20:,.2f} MiB" if total * 4 >= 2**20 else f"{total * 4 / 2**10:.2f} KiB"
    console.print(f"Weights: {total:,} ({size}), trained: {trained:,}, fixed: {total - trained:,}")
    console.print("Rows: where sequences of unequal length enter, are kept, change their number of steps, and end.")
    out = console.file
    assert isinstance(out, StringIO)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _size(array: Any) -> int:
    size = 1
    for n in array.shape:
        size *= int(n)
    return size
