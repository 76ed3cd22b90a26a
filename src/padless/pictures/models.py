"""A model as a drawing: its calls of layers, shapes, and where rows enter, change and end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from padless import backends, graph
from padless.errors import NotBuiltError, PadlessError, explain
from padless.graph import Node
from padless.layer import Layer, calling, keeping_names
from padless.pictures.drawing import Arrow, Box, Drawing, Frame
from padless.ragged import Ragged
from padless.rows import PairRows, RowPartition
from padless.spec import Symbol

if TYPE_CHECKING:
    from padless.model import Model


@dataclass(frozen=True)
class Shown:
    """What the boxes say; the arguments of `plot_model`."""

    shapes: bool = True
    dtype: bool = False
    names: bool = True
    activations: bool = False
    trainable: bool = False
    nested: bool = False


class _Calls(NamedTuple):
    """A model as nodes."""

    inputs: list[Symbol]
    nodes: list[Node]
    outputs: list[Symbol]


class _Value(NamedTuple):
    """Where a value comes from ("" for what the model's own code made), and its rows by name, outermost first."""

    box: str
    output: str
    letters: tuple[str, ...]

    @property
    def rows(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.letters))


def drawing_of(model: Model, shown: Shown = Shown()) -> Drawing:
    """Describe a model.

    Args:
        model: Sequential, functional, or one of a class of your own; one whose input is known.
        shown: what the boxes say.

    Returns:
        The drawing. The key of a box is the name of the layer, within models after those of the models, as in
        "encoder/dense"; those of further calls end with ":2", ":3", ...

    Raises:
        NotBuiltError: when nothing is known of the input yet.

    Example:
        >>> import padless
        >>> from padless import layers
        >>> model = padless.Sequential([padless.Input((None, 4), name="x"), layers.LSTM(8, name="read")])
        >>> [(box.key, box.rows) for box in drawing_of(model).boxes]
        [('x', 'rows as they come'), ('read', 'rows end')]
        >>> drawing_of(model).arrows[0].rows
        ('T',)
    """
    made = _Describer(shown)
    with keeping_names():
        try:
            found = _calls(model)
        except PadlessError:
            if model._standins() is None:
                raise
            found = None
        if found is None:
            made.follow(model)
        else:
            made.enter(found)
            made.go_out(made.walk(found, "", []))
    return Drawing(made.boxes, made.arrows, made.frames, model.name, made.names.legend)


def _calls(model: Model) -> _Calls:
    """The calls of layers in a model; a model of a class of its own is called on symbols."""
    from padless.model import Functional, Sequential

    if isinstance(model, Functional):
        return _Calls(model.inputs, model._nodes, model.outputs)
    first = model._input if isinstance(model, Sequential) else None
    value = first if first is not None else _symbols(model)
    y: Any = value
    if isinstance(model, Sequential):
        for layer in model.layers:
            y = layer(y)
    else:
        try:
            with calling(tracing=True):
                y = model.call(value)
        except Exception as error:  # whatever its code does with numbers, which symbols have none of
            got, fix = f"{type(error).__name__}: {error}", "layers and functions of padless in it"
            raise PadlessError(explain(model.place, expected="a call on symbols", got=got, fix=fix)) from error
    inputs, outputs = graph.symbols_in(value), graph.symbols_in(y)
    if not outputs:
        got, fix = "a call that gives none", "layers and functions of padless in it"
        raise PadlessError(explain(model.place, expected="symbols", got=got, fix=fix))
    return _Calls(inputs, graph.nodes_between(inputs, outputs), outputs)


def _symbols(model: Model) -> Any:
    """Symbols in the place of the inputs."""
    value = model._standins()
    if value is None:
        raise NotBuiltError(
            explain(
                f"picture of {model.name!r}",
                expected="a model whose input is known",
                got="one that never saw data",
                fix="give it an Input, call build((None, None, 16)), or call it once",
            )
        )
    if isinstance(value, dict):
        return {name: Symbol(part, name=name) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(Symbol(part, name=f"input_{at + 1}") for at, part in enumerate(value))
    return Symbol(value, name="input")


# ---- rows by name


def levels(value: Any) -> list[RowPartition]:
    """The partitions of a value, one for each axis that varies, outermost first."""
    if not isinstance(value, Ragged):
        return []
    own = [value.rows.queries, value.rows.keys] if isinstance(value.rows, PairRows) else [value.rows]
    return own + levels(value.values)


class _Names:
    """Letters for partitions: T, and S and W for rows within rows, with numbers where there are several."""

    def __init__(self) -> None:
        self.legend: dict[str, str] = {}

    def new(self, letter: str, meaning: str) -> str:
        name = next(
            name
            for name in itertools.chain([letter], (f"{letter}{at}" for at in itertools.count(2)))
            if name not in self.legend
        )
        self.legend[name] = meaning
        return name


@dataclass
class _Scope:
    """The names of the partitions in one call of a model; keeps them, as names go by which object they are."""

    known: dict[int, str] = field(default_factory=dict)
    kept: list[RowPartition] = field(default_factory=list)

    def add(self, rows: RowPartition, name: str) -> None:
        self.known[id(rows)] = name
        self.kept.append(rows)


def _change(layer: str, before: Sequence[RowPartition], after: RowPartition) -> str:
    """How long rows are after a layer."""
    for rows in before:
        how = rows.way_to(after)
        if how is None:
            continue
        try:
            count = int(how.count(np.array([100]))[0])
        except NotImplementedError:
            break
        return f"steps of a row after {layer} (100 → {count})"
    return f"steps of a row after {layer}"


# ---- the walk through the calls


class _Describer:
    """Makes boxes and arrows of calls."""

    def __init__(self, shown: Shown) -> None:
        self.shown, self.names = shown, _Names()
        self.boxes: list[Box] = []
        self.arrows: list[Arrow] = []
        self.frames: list[Frame] = []
        self.keys: set[str] = set()
        self.scope = _Scope()
        self.outer: dict[int, _Value] = {}

    def key(self, name: str, prefix: str) -> str:
        """A key that nothing has yet."""
        first = prefix + (name or "box")
        found = next(key for key in itertools.chain([first], (f"{first}:{at}" for at in itertools.count(2)))
                     if key not in self.keys)  # fmt: skip
        self.keys.add(found)
        return found

    def enter(self, found: _Calls) -> None:
        """Boxes for the inputs of the whole."""
        for symbol in found.inputs:
            self.outer[id(symbol)] = self.entered(symbol.name, symbol.standin, symbol.must_be_ragged)

    def entered(self, name: str, value: Any, promised: bool) -> _Value:
        """The box of an input."""
        parts = levels(value)
        for rows, letter in zip(parts, "T" if len(parts) == 1 else "SW", strict=False):
            if id(rows) not in self.scope.known:
                inner = letter == "S"
                meaning = f"{'rows' if inner else 'steps'} of a row of {name!r}" if letter != "W" else (
                    f"steps of such a row of {name!r}")  # fmt: skip
                self.scope.add(rows, self.names.new(letter, meaning))
        letters = tuple(self.scope.known[id(rows)] for rows in parts)
        key = self.key(name, "")
        details = [shape_text(value, letters)] if self.shown.shapes else []
        details += [_dtype(value)] if self.shown.dtype else []
        said = ("rows promised" if promised else "rows as they come") if parts else ""
        self.boxes.append(Box(key, name if self.shown.names else "", "Input", tuple(details), said))
        return _Value(key, "", letters)

    def walk(self, found: _Calls, prefix: str, frame: list[str]) -> list[_Value]:
        """Boxes for calls; `outer` knows the inputs.

        Args:
            found: the calls.
            prefix: of keys.
            frame: takes the keys of what is made.

        Returns:
            Where the outputs come from.
        """
        values = {id(symbol): self.outer[id(symbol)] for symbol in found.inputs}
        for node in found.nodes:
            parents = list({id(symbol): symbol for symbol in node.parents}.values())
            given = [values[id(symbol)] for symbol in parents]
            made = graph.symbols_in(node.outputs)
            inner = self._calls_within(node.layer)
            if inner is None:
                standins = ([one.standin for one in parents], [one.standin for one in made])
                results = self.called(node.layer, standins, given, prefix, frame)
            else:
                results = self.within(node.layer, inner, (given, made), prefix, frame)
            values |= {id(symbol): value for symbol, value in zip(made, results, strict=True)}
        return [values[id(symbol)] for symbol in found.outputs]

    def go_out(self, results: list[_Value]) -> None:
        """Say of the boxes that outputs of the whole come from that rows go out there."""
        last = {value.box for value in results if value.rows}
        for at, box in enumerate(self.boxes):
            if box.key in last:
                self.boxes[at] = replace(box, rows=", ".join(filter(None, (box.rows, "rows go out"))))

    def _calls_within(self, layer: Layer) -> _Calls | None:
        from padless.model import Model

        if not self.shown.nested or not isinstance(layer, Model):
            return None
        try:
            return _calls(layer)
        except PadlessError:
            return None

    def within(
        self,
        layer: Layer,
        inner: _Calls,
        outside: tuple[list[_Value], list[Symbol]],
        prefix: str,
        frame: list[str],
    ) -> list[_Value]:
        """A frame for a call of a model."""
        given, made = outside
        key, parts = self.key(layer.name, prefix), list[str]()
        before, self.scope = self.scope, _Scope()
        for symbol, value in zip(inner.inputs, given, strict=True):
            self.outer[id(symbol)] = value
            for rows, name in zip(levels(symbol.standin), value.letters, strict=False):
                self.scope.add(rows, name)
        results = self.walk(inner, f"{key}/", parts)
        self.scope = before
        for symbol, value in zip(made, results, strict=True):
            for rows, name in zip(levels(symbol.standin), value.letters, strict=False):
                self.scope.add(rows, name)
        if parts:
            self.frames.append(Frame(key, f"{layer.name} ({type(layer).__name__})", tuple(parts)))
            frame.append(key)
        return results

    def called(
        self,
        layer: Layer,
        standins: tuple[list[Any], list[Any]],
        given: list[_Value],
        prefix: str,
        frame: list[str],
    ) -> list[_Value]:
        """A box for a call of a layer."""
        before, after = standins
        key = self.key(layer.name, prefix)
        frame.append(key)
        parts = [rows for value in before for rows in levels(value)]
        letters = [tuple(self._named(rows, parts, layer) for rows in levels(value)) for value in after]
        self.boxes.append(
            Box(
                key,
                layer.name if self.shown.names else "",
                kind_of(layer),
                tuple(self._details(layer, standins, given, letters)),
                rows_text(layer, [one.rows for one in given], letters),
            )
        )
        self.arrows += [Arrow(value.box, key, value.rows, value.output) for value in given if value.box]
        return [_Value(key, str(at) if at else "", names) for at, names in enumerate(letters)]

    def _named(self, rows: RowPartition, before: list[RowPartition], layer: Layer) -> str:
        """The name of a partition: its own, or that of one before the layer that it is equal to."""
        found = self.scope.known.get(id(rows))
        if found is None:
            same = (one for one in before if one.way_to(rows) is None and one.same_steps(rows))
            one = next(same, None)
            found = None if one is None else self.scope.known.get(id(one))
            found = found or self.names.new("T", _change(layer.name, before, rows))
            self.scope.add(rows, found)
        return found

    def _details(
        self, layer: Layer, standins: tuple[list[Any], list[Any]], given: list[_Value], letters: list[tuple[str, ...]]
    ) -> Iterator[str]:
        if self.shown.shapes:
            into = _counted([shape_text(x, one.letters) for x, one in zip(standins[0], given, strict=True)])
            out = _counted(list(map(shape_text, standins[1], letters)))
            if len(into) + len(out) < 44:
                yield f"{into} → {out}"
            else:
                yield f"{into} →"
                yield out
        if self.shown.dtype:
            yield ", ".join(dict.fromkeys(map(_dtype, standins[1])))
        activation = getattr(layer, "activation", None)
        if self.shown.activations and activation is not None:
            yield f"activation {getattr(activation, '__name__', type(activation).__name__)}"
        if self.shown.trainable and layer.weights:
            yield "trained" if layer.trainable else "not trained"

    def _of_own_code(self, value: Any, layer: Layer) -> _Value:
        """A value that no layer made."""
        letters = []
        for rows in levels(value):
            if id(rows) not in self.scope.known:
                self.scope.add(rows, self.names.new("T", f"steps of a row that {layer.name} is given"))
            letters.append(self.scope.known[id(rows)])
        return _Value("", "", tuple(letters))

    def follow(self, model: Model) -> None:
        """Boxes for the layers that a model calls, where it does with their outputs what symbols cannot tell."""
        kept: list[Any] = []  # so that no other object gets the identity of one that is gone
        seen: dict[int, _Value] = {}
        own = {id(layer) for _, layer in model.children()}
        standins = model._standins()
        for at, value in enumerate(parts_of(standins)):
            seen[id(_flat(value))] = self.entered(f"input_{at + 1}" if at else "input", value, False)
        last: list[_Value] = list(seen.values())

        def watch(layer: Layer, x: Any, y: Any) -> None:
            if id(layer) not in own:
                return
            before, after = parts_of(x), parts_of(y)
            given = [seen.get(id(_flat(value))) or self._of_own_code(value, layer) for value in before]
            made = self.called(layer, (before, after), given, "", [])
            unknown = next((one for one in given if not one.box), None)
            if unknown is not None:
                self.arrows += [Arrow(one.box, made[0].box, unknown.rows, one.output, known=False) for one in last]
            seen.update({id(_flat(value)): one for value, one in zip(after, made, strict=True)})
            kept.extend((before, after))
            last[:] = made[:1]

        out = parts_of(model.trace(standins, watch))
        self.go_out([seen[id(_flat(value))] for value in out if id(_flat(value)) in seen])


def _flat(value: Any) -> Any:
    """What stays the same object when rows are put around it anew."""
    return value.flat_values if isinstance(value, Ragged) else value


def parts_of(value: Any) -> list[Any]:
    """One value or several, in lists, tuples and dicts, as a list; None is none."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [part for one in value for part in parts_of(one)]
    return [] if value is None else [value]


# ---- words


def kind_of(layer: Layer) -> str:
    """The class of a layer, with that of the layer in it: "Bidirectional(LSTM)"; of an operation its function."""
    function = getattr(layer, "function", None)
    if isinstance(function, str):
        return f"ops.{function}"
    inner = next((getattr(layer, name, None) for name in ("layer", "forward_layer")
                  if isinstance(getattr(layer, name, None), Layer)), None)  # fmt: skip
    return type(layer).__name__ + ("" if inner is None else f"({kind_of(inner)})")


def shape_text(value: Any, letters: Sequence[str] = ()) -> str:
    """Write a shape with the letters of the legend: B for the batch, T and others for axes that vary.

    Args:
        value: a Ragged or an array.
        letters: of the axes that vary, outermost first.

    Returns:
        Such as "(B, T, 64)".
    """
    names = iter(letters)
    sizes = ["B"] if len(value.shape) else []
    sizes += [next(names, "?") if size is None else str(int(size)) for size in value.shape[1:]]
    return f"({', '.join(sizes)})"


def _counted(shapes: list[str]) -> str:
    """Shapes, three and more equal ones in a row as one: "8 times (B, T, 4)"."""
    runs = [(shape, len(list(run))) for shape, run in itertools.groupby(shapes)]
    return ", ".join(f"{count} \u00d7 {shape}" if count > 2 else ", ".join([shape] * count) for shape, count in runs)


def rows_text(layer: Layer, before: Sequence[Sequence[str]], after: Sequence[Sequence[str]]) -> str:
    """Say what a layer does to rows.

    Args:
        layer: the layer.
        before: names of the rows of each input.
        after: of each output.

    Returns:
        Such as "rows T → T2", or "" where it keeps them or there are none.
    """
    come = list(dict.fromkeys(name for names in before for name in names))
    go = list(dict.fromkeys(name for names in after[:1] for name in names))
    if layer.makes_mask and go and len(go) >= len(come):
        return "mask: rows enter"
    if not come:
        return f"rows {', '.join(go)} enter" if go else ""
    if not go:
        return "rows end"
    first = [name for name in next((names for names in before if names), ()) if name not in go]
    new = [name for name in go if name not in come]
    if new:
        return f"rows {', '.join(first or come)} → {', '.join(new)}"
    return f"rows {', '.join(first)} end" if first else ""


def _dtype(value: Any) -> str:
    flat = _flat(value)
    if getattr(flat, "dtype", None) == np.dtype(object):
        return "string"
    return backends.of(flat).dtype_name(flat)
