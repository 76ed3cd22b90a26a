"""The table that `Model.summary` prints, and the one that a notebook shows."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from padless import backends
from padless.errors import ArgumentError, explain, nearest
from padless.graph import symbols_in
from padless.layer import Layer
from padless.ragged import Ragged

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from padless.model import Model

_ROWS = "Rows: where sequences of unequal length enter, are kept, change their number of steps, and end."


class Row(NamedTuple):
    """What is said of a layer.

    Attributes:
        depth: in how many models within the model it is.
        name: of the layer.
        kind: its class.
        shape: of its output.
        rows: what it does to rows.
        weights: how many numbers it has; None for an input.
        trained: whether they are trained; None where there are none.
        sources: names of what its inputs come from.
    """

    depth: int
    name: str
    kind: str
    shape: str
    rows: str
    weights: int | None
    trained: bool | None
    sources: tuple[str, ...] = ()


class Summary(NamedTuple):
    """What a summary says, whatever it is written on.

    Attributes:
        title: above the table.
        rows: of the table.
        branches: whether it says what layers are connected to: where that is not always the layer above.
        totals: below the table.
    """

    title: str
    rows: list[Row]
    branches: bool
    totals: str


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
    if one.rows.way_to(other.rows) is not None:
        return False  # as long by chance, as the first five steps of rows that are shorter
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


def summary_of(model: Model, *, expand_nested: bool = False, layer_range: Sequence[str] | None = None) -> Summary:
    """Look at a model.

    Args:
        model: the model; where nothing is known of its input, no shapes are either.
        expand_nested: whether to go into models within the model.
        layer_range: names of the first and the last layer that are wanted, or regular expressions for them.

    Returns:
        What there is to say.

    Raises:
        ArgumentError: when no layer has such a name.
    """
    seen: dict[int, tuple[str, str]] = {}

    def watch(layer: Layer, x: Any, y: Any) -> None:
        seen[id(layer)] = (shape_text(y), rows_word(layer, x, y))

    value = model._standins()
    if value is not None:
        model.trace(value, watch)
    sources = _sources(model)
    rows = list(_input_rows(model, value)) if value is not None and layer_range is None else []
    for layer in _chosen(model, layer_range):
        rows += _layer_rows(layer, seen, sources, 0, expand_nested)
    return Summary(f"Model: {model.name!r}", rows, _branches(model), _totals(model))


def _input_rows(model: Model, value: Any) -> Iterator[Row]:
    """A row for each input."""
    from padless.model import Functional

    named = [symbol.name for symbol in model.inputs] if isinstance(model, Functional) else []
    first = getattr(model, "_input", None)
    named = named or ([first.name] if first is not None else [])
    for at, part in enumerate(_values(value)):
        name = named[at] if at < len(named) else "input" if not at else f"input_{at + 1}"
        word = "if given" if isinstance(part, Ragged) else ""
        yield Row(0, name, "Input", shape_text(part), word, None, None)


def _layer_rows(
    layer: Layer, seen: dict[int, tuple[str, str]], sources: dict[int, tuple[str, ...]], depth: int, expand: bool
) -> Iterator[Row]:
    from padless.model import Model

    shape, word = seen.get(id(layer), ("not called" if seen else "not known", ""))
    count = layer.count_params()
    trained = any(True for _ in layer.trainable_weights) if layer.weights else None
    yield Row(depth, layer.name, type(layer).__name__, shape, word, count, trained, sources.get(id(layer), ()))
    if expand and isinstance(layer, Model):
        for inner in layer.layers:
            yield from _layer_rows(inner, seen, sources, depth + 1, expand)


def _sources(model: Model) -> dict[int, tuple[str, ...]]:
    """What the inputs of each layer of a functional model come from."""
    from padless.model import Functional

    found: dict[int, list[str]] = {}
    for node in model._nodes if isinstance(model, Functional) else ():
        for symbol in node.parents:
            name = symbol.name if symbol.node is None else symbol.node.layer.name
            several = symbol.node is not None and len(symbols_in(symbol.node.outputs)) > 1
            found.setdefault(id(node.layer), []).append(f"{name}[{symbol.index}]" if several else name)
    return {key: tuple(dict.fromkeys(names)) for key, names in found.items()}


def _branches(model: Model) -> bool:
    """Whether some layer is not called once, on the layer above alone."""
    from padless.model import Functional

    if not isinstance(model, Functional):
        return False
    before: Any = None
    for node in model._nodes:
        parents = [symbol.node for symbol in node.parents]
        if len(parents) != 1 or parents[0] is not before:
            return True
        before = node
    return len(model._nodes) != len(model.layers) or len(model.inputs) > 1


def _chosen(model: Model, wanted: Sequence[str] | None) -> list[Layer]:
    """The layers from the first to the last that are wanted, both among them."""
    if wanted is None:
        return model.layers
    names = [layer.name for layer in model.layers]
    where = f"summary of {model.name!r}: layer_range"
    if isinstance(wanted, str) or len(wanted) != 2 or not all(isinstance(name, str) for name in wanted):
        fix = "layer_range=(first, last)"
        raise ArgumentError(explain(where, expected="two names", got=repr(wanted), fix=fix))
    places = [[at for at, name in enumerate(names) if name == one or re.match(one, name)] for one in wanted]
    for one, found in zip(wanted, places, strict=True):
        if not found:
            raise ArgumentError(explain(where, expected="the name of a layer", got=repr(one), fix=nearest(one, names)))
    return model.layers[min(places[0]) : max(places[1]) + 1]


def _totals(model: Model) -> str:
    total = model.count_params()
    trained = sum(_size(array) for array in model.trainable_weights)
    bytes_ = sum(_size(array) * _itemsize(array) for array in model.weights)
    size = f"{bytes_ / 2**20:,.2f} MiB" if bytes_ >= 2**20 else f"{bytes_ / 2**10:.2f} KiB"
    return f"Weights: {total:,} ({size}), trained: {trained:,}, fixed: {total - trained:,}"


def _size(array: Any) -> int:
    size = 1
    for n in array.shape:
        size *= int(n)
    return size


def _itemsize(array: Any) -> int:
    bits = re.search(r"\d+$", backends.of(array).dtype_name(array))
    return int(bits[0]) // 8 if bits else 1


# ---- as text


class Columns(NamedTuple):
    """Which columns a table has.

    Attributes:
        trained: whether it says which layers are trained.
        positions: where the columns end, as shares of the line or in characters; None for what fits.
        line_length: characters of a line; None for those of the terminal.
    """

    trained: bool = False
    positions: Sequence[float] | None = None
    line_length: int | None = None


def print_summary(summary: Summary, columns: Columns, print_fn: Callable[[str], None] | None) -> None:
    """Print a summary, in colors on a terminal.

    Args:
        summary: what there is to say.
        columns: of the table.
        print_fn: called with the text; prints by default.
    """
    from rich.console import Console

    width = columns.line_length or shutil.get_terminal_size((96, 24)).columns
    if print_fn is None and sys.stdout is not None and sys.stdout.isatty():
        _render(summary, columns, Console(width=width, highlight=False))
        return
    console = Console(file=StringIO(), width=width, color_system=None, force_jupyter=False)
    _render(summary, columns, console)
    out = console.file
    assert isinstance(out, StringIO)
    text = "\n".join(line.rstrip() for line in out.getvalue().splitlines())
    if print_fn is None:
        print(text if _can_show(text, sys.stdout) else text.translate(_PLAINLY))
    else:
        print_fn(text)


_PLAINLY = str.maketrans({"─": "-", "└": "+"})


def _can_show(text: str, stream: TextIO | None) -> bool:
    """Whether a stream has all characters: one of an old code page may lack those of lines."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _render(summary: Summary, columns: Columns, console: Console) -> None:
    from rich.text import Text

    table, told = _fitting(summary, columns, console)
    console.print(table)
    console.print(Text(summary.totals))
    console.print(Text(_ROWS))
    if summary.branches and not told:
        console.print(Text("What layers are connected to has no room here: give a larger line_length."))


def _fitting(summary: Summary, columns: Columns, console: Console) -> tuple[Table, bool]:
    """The table in the first form that fits: as it is, with more lines for each layer, without the connections.

    Returns:
        The table, and whether it has the connections.
    """
    for stacked, connected in ((False, True), (True, True), (True, False)):
        table = _table(summary, columns, (stacked, connected), console)
        natural = console.measure(table, options=console.options.update(width=1000)).maximum
        if columns.positions is not None or natural <= console.width:
            return table, connected
    return table, connected


def _table(summary: Summary, columns: Columns, form: tuple[bool, bool], console: Console) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    stacked, connected = form[0], form[1] and summary.branches
    headings = [("Layer (type)", "left"), ("Output shape", "left"), ("Rows", "left"), ("Weights", "right")]
    headings += [("Connected to", "left")] if connected else []
    headings += [("Trained", "left")] if columns.trained else []
    widths = _widths(columns.positions, len(headings), console.width)
    table = Table(title=Text(summary.title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for (heading, justify), wide in zip(headings, widths, strict=True):
        table.add_column(heading, justify=justify, overflow="fold", width=wide)  # type: ignore[arg-type]
    between, corner = "\n" if stacked else " ", "+ " if console.options.ascii_only else "└ "
    for row in summary.rows:
        before = "   " * (row.depth - 1) + corner * (row.depth > 0)
        indent = " " * len(before) if stacked else ""
        name = Text.assemble(before, row.name, between, indent, "(", (row.kind, "cyan"), ")")
        count = "" if row.weights is None else f"{row.weights:,}"
        shape = row.shape.replace("), ", "),\n") if stacked else row.shape
        cells = [name, Text(shape), Text(row.rows, _STYLES.get(row.rows, "")), Text(count)]
        cells += [Text(f",{between}".join(row.sources))] if connected else []
        cells += [Text({True: "yes", False: "no", None: "-"}[row.trained])] if columns.trained else []
        table.add_row(*cells)
    return table


_STYLES = {"if given": "dim", "enter": "green", "change": "yellow", "end": "magenta", "inner end": "magenta"}


def _widths(positions: Sequence[float] | None, count: int, width: int) -> list[int | None]:
    """Widths of columns that end at some positions; two characters lie between two."""
    if positions is None:
        return [None] * count
    ends = [int(end * width) if max(positions) <= 1 else int(end) for end in positions]
    found = [end - begin - 2 for begin, end in zip([0, *ends], ends, strict=False)]
    if len(found) != count or min(found) < 4:
        got, fix = f"{list(positions)} for {count} columns", "positions=[0.4, 0.7, 0.85, 1.0], or none"
        raise ArgumentError(explain("summary: positions", expected="where each column ends", got=got, fix=fix))
    return list(found)
