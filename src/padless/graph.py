"""Functional models: layers called on symbols make nodes; a model runs its nodes in order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from padless import backends
from padless.errors import ArgumentError, DataError, MaskError, NotThereYetError, ShapeError, explain
from padless.layer import calling, training_is
from padless.ragged import Ragged
from padless.rows import RowPartition
from padless.spec import Symbol

if TYPE_CHECKING:
    from padless.layer import Layer

_STANDIN_LENGTHS = (2, 3, 1)
_SEVERAL = (list, tuple)


class Node:
    """One call of a layer on symbols.

    Args:
        layer: the layer.
        arguments: what it was called with: (positional, keyword), symbols among them.
        training: whether it always or never is a training step; None: as the model's call.
    """

    def __init__(
        self, layer: Layer, arguments: tuple[tuple[Any, ...], dict[str, Any]], training: bool | None = None
    ) -> None:
        self.layer = layer
        self.arguments = arguments
        self.training = training
        self.outputs: Any = None
        positional, keyword = arguments
        # As nearly all nodes are: nothing is then to be looked for in containers at each call.
        alone = len(positional) == 1 and isinstance(positional[0], Symbol) and not keyword
        self._alone: Symbol | None = positional[0] if alone else None

    def run(self, values: dict[int, Any]) -> None:
        """Call the layer on values, and add what it gives to them.

        Args:
            values: by id of the symbol.
        """
        if self._alone is not None:
            y = self.layer._run(values[id(self._alone)])
        else:
            positional, keyword = replace(self.arguments, lambda symbol: values[id(symbol)])
            y = self.layer._run(*positional, **keyword)
        _bind(self.outputs, y, values)

    @property
    def parents(self) -> list[Symbol]:
        """The symbols that the layer was called with."""
        return symbols_in(self.arguments)


def symbols_in(tree: Any) -> list[Symbol]:
    """All symbols in nested tuples, lists and dicts, in order.

    Args:
        tree: a symbol, or a container of them and of anything else.

    Returns:
        The symbols.
    """
    found: list[Symbol] = []
    replace(tree, lambda symbol: found.append(symbol))
    return found


def replace(tree: Any, function: Callable[[Symbol], Any]) -> Any:
    """Put something else in the place of each symbol in nested tuples, lists and dicts.

    Args:
        tree: a symbol, or a container of them and of anything else.
        function: gives what stands for a symbol.

    Returns:
        A new tree.
    """
    if isinstance(tree, Symbol):
        return function(tree)
    if isinstance(tree, _SEVERAL):
        return type(tree)([replace(part, function) for part in tree])
    if isinstance(tree, dict):
        return {key: replace(part, function) for key, part in tree.items()}
    return tree


def apply(
    layer: Layer, x: Any, args: tuple[Any, ...], mask: Any, kwargs: dict[str, Any], training: bool | None = None
) -> Any:
    """Call a layer on symbols: find the shape of the output on stand-ins, and note the call.

    Args:
        layer: the layer; it is built by this.
        x: a symbol, or a list, tuple or dict of symbols.
        args: further arguments, symbols among them.
        mask: must be None: rows travel with the value.
        kwargs: further arguments, symbols among them.
        training: whether the call always or never is a training step; None: as the model's call.

    Returns:
        The output as a symbol, or as a list, tuple or dict of symbols.
    """
    if mask is not None:
        raise MaskError(
            explain(
                layer.place,
                expected="no mask beside a symbol: rows travel with the value",
                got="mask=...",
                fix="leave it out; Masking() or Embedding(mask_zero=True) before this layer makes the mask",
            )
        )
    _require_fitting_input(layer, x)
    node = Node(layer, ((x, *args), kwargs), training)
    positional, keyword = replace(node.arguments, lambda symbol: symbol.standin)

    containers: list[Any] = []

    def run() -> Any:
        with calling(tracing=True):
            y = layer._run(*positional, **keyword)
        containers.append(_each(y, lambda part: ...))
        return y

    with layer.backend.no_gradient():
        try:
            y = layer.backend.abstractly(run)
        except DataError as wrong:
            _tell_origins(wrong, node, lambda symbol: symbol.standin)
            raise
    count = itertools.count()
    y = _in_order(y, containers[-1])  # JAX sorts dicts by their keys
    node.outputs = _each(y, lambda part: Symbol(part, node, next(count), layer.name))
    return node.outputs


def require_symbols(place: str, x: Any) -> None:
    """Raise when the first argument of a layer is data, or holds data among symbols.

    Args:
        place: of the layer.
        x: what it is called with, where symbols are among the arguments.

    Raises:
        ArgumentError: when it is or holds an array.
    """
    parts = x if isinstance(x, list | tuple) else [x]
    given = next((part for part in parts if hasattr(part, "shape") and not isinstance(part, Symbol)), None)
    if given is not None:
        raise ArgumentError(
            explain(
                place,
                expected="symbols beside symbols, since data belong to one batch",
                got=f"a {type(given).__name__} of shape {tuple(given.shape)}",
                fix="Input(shape) for it",
            )
        )


def _require_fitting_input(layer: Layer, x: Any) -> None:
    """A list of symbols for a layer that merges, one symbol for any other; models and functions take what they take."""
    from padless.model import Model
    from padless.operation import Operation

    if isinstance(layer, Model | Operation):
        return
    several = isinstance(x, list | tuple | dict)
    if layer.merges:
        if isinstance(x, list | tuple):
            return
        expected, fix = "a list of symbols", f"{type(layer).__name__}()([a, b])"
        got = "a dict" if several else "one symbol"
    elif several:
        expected, got = "one symbol", f"a {type(x).__name__} of {len(x)}"
        fix = (
            "layers.Concatenate()([a, b]) makes one of several; initial_state=[h, c] for states; "
            "merges = True in a class of your own, whose call then gets the list"
        )
    else:
        return
    raise ArgumentError(explain(layer.place, expected=expected, got=got, fix=fix))


def _each(tree: Any, function: Callable[[Any], Any]) -> Any:
    """The same containers with something else in the place of each value; None stays."""
    if isinstance(tree, list | tuple):
        return type(tree)(_each(part, function) for part in tree)
    if isinstance(tree, dict):
        return {key: _each(part, function) for key, part in tree.items()}
    return None if tree is None else function(tree)


def _in_order(tree: Any, like: Any) -> Any:
    """The same containers, dicts in the order of others."""
    if isinstance(tree, list | tuple):
        return type(tree)(_in_order(part, other) for part, other in zip(tree, like, strict=True))
    return {key: _in_order(tree[key], other) for key, other in like.items()} if isinstance(tree, dict) else tree


def _bind(made: Any, y: Any, values: dict[int, Any]) -> None:
    """Note the values of symbols, container by container."""
    if isinstance(made, Symbol):
        values[id(made)] = y
    elif isinstance(made, dict):
        for key, part in made.items():
            _bind(part, y[key], values)
    elif isinstance(made, _SEVERAL):
        for part, value in zip(made, y, strict=True):
            _bind(part, value, values)


# ---- where rows come from, for errors


def _tell_origins(wrong: DataError, node: Node, value_of: Callable[[Symbol], Any]) -> None:
    """Have an error about two different partitions say where each of them came from."""
    if wrong.partitions is None:
        return
    one, other = (_origin(node, rows, value_of) for rows in wrong.partitions)
    wrong.partitions = None
    if one and other:
        head, fix, tail = str(wrong).partition("\n  Fix:")
        wrong.args = (f"{head} The first rows are those of {one}, the second those of {other}.{fix}{tail}",)


def _origin(node: Node, rows: RowPartition, value_of: Callable[[Symbol], Any]) -> str | None:
    """Which input or layer made a partition that is among the inputs of a node."""
    made = None
    waiting = node.parents
    while waiting:
        symbol = waiting.pop(0)
        if getattr(value_of(symbol), "rows", None) is rows:
            # What a layer that keeps rows was given has the same ones: the first value that has them made them.
            made, waiting = symbol, list(symbol.node.parents) if symbol.node is not None else []
    if made is None:
        return None
    return f"input {made.name!r}" if made.node is None else made.node.layer.place


def nodes_between(inputs: Iterable[Symbol], outputs: Iterable[Symbol]) -> list[Node]:
    """The nodes that lead from inputs to outputs, each after the ones it needs.

    Args:
        inputs: where data come in.
        outputs: what is wanted.

    Returns:
        The nodes in an order in which they can run.

    Raises:
        ArgumentError: when an output depends on an Input that is not among the inputs.
    """
    known = {id(symbol) for symbol in inputs}
    order: list[Node] = []
    done: set[int] = set()
    stack: list[tuple[Symbol, bool]] = [(symbol, False) for symbol in reversed(list(outputs))]
    while stack:
        symbol, children_done = stack.pop()
        if id(symbol) in known:
            continue
        node = symbol.node
        if node is None:
            raise ArgumentError(
                explain(
                    "Model(inputs, outputs)",
                    expected="every Input that the outputs depend on among the inputs",
                    got=f"outputs that need {symbol!r} too",
                    fix="add it to inputs",
                )
            )
        if id(node) in done:
            continue
        if children_done:
            done.add(id(node))
            order.append(node)
        else:
            stack.append((symbol, True))
            stack.extend((parent, False) for parent in reversed(node.parents))
    return order


def layers_in(nodes: list[Node], outputs: Iterable[Symbol]) -> list[Layer]:
    """The layers of a graph in Keras's order: those farther from the outputs first, then as the outputs lead to them.

    Weights stand in this order in `get_weights` and in files.

    Args:
        nodes: in running order.
        outputs: what is wanted in the end.

    Returns:
        The layers, each once.
    """
    within = {id(node) for node in nodes}
    distance: dict[int, int] = {}
    farthest: dict[int, int] = {}
    for node in reversed(nodes):
        at = max(distance.get(id(node), 0), farthest.get(id(node.layer), 0))
        farthest[id(node.layer)] = at
        for symbol in node.parents:
            distance[id(symbol.node)] = max(distance.get(id(symbol.node), 0), at + 1)
    met: dict[int, Layer] = {}
    seen: set[int] = set()
    waiting = list(outputs)[::-1]
    while waiting:
        maker = waiting.pop().node
        if maker is not None and id(maker) in within and id(maker) not in seen:
            seen.add(id(maker))
            met.setdefault(id(maker.layer), maker.layer)
            waiting.extend(reversed(maker.parents))
    return sorted(met.values(), key=lambda layer: -farthest[id(layer)])


def last_reads(nodes: list[Node], outputs: Iterable[Symbol]) -> list[list[Symbol]]:
    """Which values nothing reads any more, so that their memory is for the next.

    Args:
        nodes: in running order.
        outputs: what is wanted in the end.

    Returns:
        For each node, the symbols that neither a later node nor the caller needs.
    """
    needed = {id(symbol) for symbol in outputs}
    found: list[list[Symbol]] = []
    for node in reversed(nodes):
        own = {id(symbol): symbol for symbol in (*node.parents, *symbols_in(node.outputs))}
        found.append([symbol for key, symbol in own.items() if key not in needed])
        needed.update(own)
    return found[::-1]


class _Left(NamedTuple):
    """What is kept of a value that was read for the last time: its rows, for errors."""

    rows: Any


def run(nodes: list[Node], values: dict[int, Any], outputs: Any, done: list[list[Symbol]]) -> Any:
    """Compute outputs from the values of the inputs.

    Args:
        nodes: in running order.
        values: by id of the symbol; is filled, and emptied of what nothing reads any more.
        outputs: a symbol or a container of symbols.
        done: `last_reads` of the nodes.

    Returns:
        The outputs, in the same container.
    """
    for node, read in zip(nodes, done, strict=True):
        try:
            if node.training is None:
                node.run(values)
            else:
                with training_is(node.training):
                    node.run(values)
        except DataError as wrong:
            _tell_origins(wrong, node, lambda symbol: values.get(id(symbol)))
            raise
        for symbol in read:
            values[id(symbol)] = _Left(getattr(values[id(symbol)], "rows", None))
    return replace(outputs, lambda symbol: values[id(symbol)])


def standin(shape: tuple[int | None, ...], dtype: str, *, ragged: bool = False) -> Any:
    """Make a tiny value with given features.

    Args:
        shape: without the batch axis; the first may be None, and the second: rows within rows.
        dtype: name.
        ragged: whether to make rows although the first axis has a size.

    Returns:
        A Ragged of three unequal rows if the first axis is None, of unequal rows themselves if the second is; else an
        array of three equal ones.
    """
    backend = backends.current()
    if any(n is None for n in shape[2:]):
        raise NotThereYetError(
            explain(
                f"Input(shape={shape})",
                expected="at most two axes that vary, the first ones after the batch",
                got=f"None in place {shape.index(None, 2)}",
                fix="give the other axes a size",
            )
        )
    if dtype in ("string", "object"):
        # Texts stay on the host, until a layer makes numbers of them.
        return np.full((len(_STANDIN_LENGTHS), *(n or 1 for n in shape)), "a text", dtype=object)
    if len(shape) > 1 and shape[1] is None:
        counts = _STANDIN_LENGTHS if shape[0] is None else (shape[0],) * len(_STANDIN_LENGTHS)
        rows = RowPartition.from_lengths(counts)
        inner = RowPartition.from_lengths([_STANDIN_LENGTHS[at % len(_STANDIN_LENGTHS)] for at in range(rows.nvals)])
        return Ragged(Ragged(backend.asarray(np.ones((inner.nvals, *shape[2:])), dtype), inner), rows)
    if ragged or (shape and shape[0] is None):
        rows = RowPartition.from_lengths(_STANDIN_LENGTHS)
        return Ragged(backend.asarray(np.ones((rows.nvals, *shape[1:])), dtype), rows)
    return backend.asarray(np.ones((len(_STANDIN_LENGTHS), *shape)), dtype)


def Input(
    shape: tuple[int | None, ...] | None = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    *,
    batch_shape: tuple[int | None, ...] | None = None,
    name: str | None = None,
    ragged: bool = False,
    like: Symbol | None = None,
) -> Symbol:
    """Say where data enter a model.

    Args:
        shape: of one row, such as (None, 16) for sequences of 16 features, or (None,) for sequences of ids. Any form of
            data fits: lists, Ragged, padded arrays; rows are there if what comes has them, or if `Masking` or
            `Embedding(mask_zero=True)` finds them. (None, None) or (None, None, 16) for rows within rows, such as
            documents of sentences of words: lists are then read as such.
        batch_size: not needed; any number of rows fits.
        dtype: name; "float32" by default.
        batch_shape: shape with the batch axis, in place of `shape`.
        name: for the summary.
        ragged: promise that what comes has rows, so that a layer that cannot read them is found at once.
        like: another Input that always comes with the same rows. Checked per batch.

    Returns:
        A symbol to call layers on.

    Raises:
        ShapeError: when no shape is given, or a shape without a sequence axis is said to be ragged.

    Example:
        >>> from padless import Input, Model, layers
        >>> x = Input(shape=(None, 4))
        >>> model = Model(x, layers.GlobalMaxPooling1D()(layers.LSTM(8, return_sequences=True)(x)))
        >>> [tuple(y.shape) for y in [model([[[1.0, 2.0, 3.0, 4.0]], []])]]
        [(2, 8)]
    """
    if shape is None:
        if batch_shape is None:
            raise ShapeError(
                explain(
                    "Input", expected="a shape", got="none", fix="Input(shape=(None, 16)), or shape=(None,) for ids"
                )
            )
        shape = tuple(batch_shape[1:])
    elif not isinstance(shape, list | tuple):
        raise ShapeError(explain("Input", expected="a tuple", got=repr(shape), fix=f"Input(shape=({shape},))"))
    if any(n is not None and n < 0 for n in shape):
        raise ShapeError(
            explain(
                f"Input(shape={tuple(shape)})", expected="sizes", got="one below 0", fix="None for an axis that varies"
            )
        )
    if ragged and (not shape or shape[0] is not None):
        raise ShapeError(
            explain(
                f"Input(shape={shape}, ragged=True)",
                expected="None as first axis",
                got=f"{shape}",
                fix="shape=(None, D)",
            )
        )
    symbol = Symbol(standin(tuple(shape), dtype or "float32"), name=name or "input")
    symbol.given_shape = (None, *shape)
    symbol.must_be_ragged = ragged
    if like is not None:
        if not isinstance(like.standin, Ragged) or not isinstance(symbol.standin, Ragged):
            raise ShapeError(
                explain(
                    "Input(like=...)",
                    expected="two inputs of sequences",
                    got=f"{symbol!r} like {like!r}",
                    fix="shape=(None, D)",
                )
            )
        stand_like(symbol, like)
    return symbol


def stand_like(symbol: Symbol, like: Symbol) -> None:
    """Promise that an input always comes with the rows of another."""
    symbol.standin = Ragged(symbol.standin.values, like.standin.rows)
    symbol.like = like
