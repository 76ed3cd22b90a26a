"""A padless model under audit: its inputs, its runs, its loss and gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

import padless
from padless import backends
from padless.auditing.probes import LENGTHS, Batch, Rows, Slot
from padless.auditing.trace import Call, Operand, Trace, Value
from padless.errors import ArgumentError, DTypeError, NotThereYetError, explain
from padless.layer import Layer, calling, carrying, substituted
from padless.model import Model
from padless.pictures.models import parts_of
from padless.ragged import Ragged

Host = npt.NDArray[Any]


class PadlessSubject:
    """A padless model.

    Args:
        model: the model; no weight changes.
        data: of the user, for a model whose input is not known.
        slots: its inputs, where they are known from elsewhere.

    Raises:
        ArgumentError: when its inputs are not known, or none has rows.
        DTypeError: when it reads texts.
    """

    carries = ("rows", "rows go along with the values, by their lengths")
    takes_fills = reads_fills = learns_padding = True
    fixed = None

    def __init__(self, model: Model, data: Any = None, slots: Sequence[Slot] | None = None) -> None:
        self.model = model
        self.library = f"padless {padless.__version__} ({model.backend.name})"
        if not model.built and data is not None:
            model(data)
        standins = model._standins()
        if standins is None:
            fix = "call it once, give it an Input, or audit(model, data=[...]) with rows that it reads"
            raise ArgumentError(explain("audit", expected="a model whose input is known", got="one without", fix=fix))
        self._struct = standins
        self._paths, self._holders = _tree(model)
        if slots is not None:
            self.slots = list(slots)
            return
        flat = parts_of(standins)
        names = _input_names(model, standins, len(flat))
        self.slots = [_slot(str(name), value) for name, value in zip(names, flat, strict=True)]
        self._find_ids()
        if not any(slot.steps for slot in self.slots):
            got, fix = "inputs without steps", "a model whose input has shape (None, ...)"
            raise ArgumentError(explain("audit", expected="an input with rows of unequal length", got=got, fix=fix))

    @property
    def output_names(self) -> list[str]:
        """Names of its outputs, where it has any."""
        names = self.model.output_names
        return list((names() if callable(names) else names) or [])

    @property
    def tolerance(self) -> float:
        """Up to which numbers are equal, beside the largest of them."""
        kinds = {str(getattr(layer, "compute_dtype", layer.dtype)) for _, layer in self.model.inner_layers()}
        return 5e-2 if "bfloat16" in kinds else 1e-2 if "float16" in kinds else 1e-5

    @property
    def loss_name(self) -> str:
        """What `loss` is."""
        if self.model.loss is not None:
            return "its compiled loss"
        return "the mean squared error of its outputs (the model is not compiled)"

    def wants_classes(self, at: int) -> bool:
        """Whether the loss of an output wants numbers of classes."""
        loss = parts_of(self.model.loss)
        one = loss[min(at, len(loss) - 1)] if loss else ""
        return "sparse" in str(one if isinstance(one, str) else type(one).__name__).lower()

    # ---- runs

    def run(self, batch: Batch, *, training: bool = False) -> Trace:
        """Call the model, and write down what its layers did.

        Args:
            batch: the rows.
            training: whether as in training, with the same noise each time.

        Returns:
            The trace.
        """
        inputs = self.inputs(batch)
        with self.model.backend.no_gradient():
            return _Recorder(self, inputs).run(training)

    def inputs(self, batch: Batch) -> list[Any]:
        """Values of a batch, padded as it says, with NaN and the like in the padding where it says so.

        Args:
            batch: the rows.

        Returns:
            A Ragged for each input that has steps.
        """
        backend, found = self.model.backend, []
        for slot, array in zip(self.slots, batch.arrays(self.slots), strict=True):
            if slot.steps and batch.fill is not None and slot.ids is None:
                array[~batch.mask] = batch.fill
            value = backend.asarray(array)
            found.append(Ragged.from_padded(value, batch.mask) if slot.steps else value)
        return found

    def packed(self, values: list[Any]) -> Any:
        """Values as the model takes them: a dict, a tuple or one alone."""
        if isinstance(self._struct, dict):
            return dict(zip(self._struct, values, strict=True))
        return tuple(values) if len(values) > 1 or isinstance(self._struct, tuple | list) else values[0]

    def call(self, inputs: list[Any], training: bool = False, watch: Any = None) -> list[Any]:
        """Outputs for inputs.

        Args:
            inputs: a value for each.
            training: whether as in training.
            watch: told of each call of a layer.

        Returns:
            A list of them.
        """
        # What layers assign in training, such as averages, and what stateful ones keep, is put back.
        with substituted(self.model, {}), carrying(self.model, {}), padless.random.drawing(seed=1, step=2):
            return self._called(inputs, training, watch)

    def _called(self, inputs: list[Any], training: bool, watch: Any) -> list[Any]:
        with calling(training=training, watch=watch):
            return parts_of(self.model._run(self.packed(inputs)))

    # ---- loss and gradients

    def loss(self, batch: Batch, targets: Sequence[Sequence[Host]]) -> tuple[float, dict[str, Host]]:
        """The loss, and gradients of the mean squared error.

        Args:
            batch: the rows.
            targets: for each output, and each row, what the output should be.

        Returns:
            The loss; the gradient of each weight that is trained, by path.
        """
        error, gradients = self._squares(batch, targets)
        if self.model.loss is None:
            return error, gradients
        x = self.packed(self.inputs(batch))
        y = [
            list(rows) if rows[0].ndim and self._ends_in_steps[at] else np.stack(rows)
            for at, rows in enumerate(targets)
        ]
        found = self.model.evaluate(x, y if len(y) > 1 else y[0], batch_size=len(batch.rows.lengths), verbose=0)
        return float(found[0] if isinstance(found, list) else found), gradients

    def _squares(self, batch: Batch, targets: Sequence[Sequence[Host]]) -> tuple[float, dict[str, Host]]:
        model, backend, xp = self.model, self.model.backend, self.model.xp
        inputs = self.inputs(batch)
        slots = model.weight_slots()
        own = {path: owner.__dict__[name] for path, (owner, name) in slots.items() if owner.trains(name)}

        def function(weights: dict[str, Any]) -> tuple[Any, None]:
            with substituted(model, weights):
                outputs = self.call(inputs, training=True)
            total: Any = 0.0
            for y, rows in zip(outputs, targets, strict=True):
                values = y.flat_values if isinstance(y, Ragged) else y
                wanted = np.concatenate(rows) if isinstance(y, Ragged) else np.stack(rows)
                if wanted.shape != tuple(values.shape):  # classes, for another loss
                    wanted = np.zeros(tuple(values.shape), np.float32)
                off = values - backend.asarray(wanted, backend.dtype_name(values))
                total = total + xp.mean(off * off)
            return total, None

        if not backend.trains:
            got, fix = backend.name, 'padless.set_backend("torch")'
            raise NotThereYetError(explain("gradients", expected="a backend that trains", got=got, fix=fix))
        (value, _), found = backend.value_and_grad(function, own)
        return float(backend.to_host(value)), {path: backend.to_host(array) for path, array in found.items()}

    def gradients(self, batch: Batch) -> dict[str, Host]:
        """Gradients of the sum of the squares of all outputs, as the model predicts.

        Args:
            batch: the rows.

        Returns:
            By path; nothing on a backend that does not train.
        """
        model, backend, xp = self.model, self.model.backend, self.model.xp
        inputs = self.inputs(batch)
        slots = model.weight_slots()
        own = {path: owner.__dict__[name] for path, (owner, name) in slots.items() if owner.trains(name)}

        def function(weights: dict[str, Any]) -> tuple[Any, None]:
            with substituted(model, weights):
                outputs = self.call(inputs)
            return sum(xp.sum(_flat(y) * _flat(y)) for y in outputs), None

        if not backend.trains or not own:
            return {}
        return {path: backend.to_host(one) for path, one in backend.value_and_grad(function, own)[1].items()}

    # ---- inputs

    def _find_ids(self) -> None:
        ones = Batch(_ones(self.slots), max(LENGTHS))
        trace = self.run(ones)
        self._ends_in_steps = [isinstance(value, list) for value in trace.outputs]
        for at in range(len(self.slots)):
            readers = [c.layer for c in trace.leaves() if any(o.source == f"input:{at}" for o in c.operands)]
            sizes = [getattr(_innermost(layer), "input_dim", None) for layer in readers]
            counts = [int(size) for size in sizes if size is not None]
            if counts:
                self.slots[at] = replace(self.slots[at], ids=min(counts))


class _Recorder:
    def __init__(self, subject: PadlessSubject, inputs: list[Any]) -> None:
        self.trace, self._subject = Trace(), subject
        self._made: dict[int, tuple[Any, str]] = {id(_flat(x)): (x, f"input:{at}") for at, x in enumerate(inputs)}
        self._inputs, self._counts = inputs, Counter[str]()

    def run(self, training: bool) -> Trace:
        outputs = self._subject.call(self._inputs, training, self._watch)
        self.trace.outputs = [self._told(y) for y in outputs]
        self.trace.sources = [self._source(y) for y in outputs]
        return self.trace

    def _watch(self, layer: Layer, x: Any, y: Any) -> None:
        path = self._subject._paths.get(id(layer))
        if path is None:
            return
        self._counts[path] += 1
        key = path if self._counts[path] == 1 else f"{path}#{self._counts[path]}"
        call = Call(key, path, type(layer).__name__, layer)
        call.operands = [Operand(self._told(v), self._source(v), isinstance(v, Ragged)) for v in parts_of(x)]
        made = parts_of(y)
        call.outputs = [self._told(v) for v in made]
        call.masked = any(isinstance(v, Ragged) for v in made)
        call.within = self._subject._holders[id(layer)]
        call.parts = sum(other.within == path for other in self.trace.calls.values())
        self.trace.calls[key] = call
        for value in made:
            self._made.setdefault(id(_flat(value)), (value, key))

    def _source(self, value: Any) -> str:
        return self._made.get(id(_flat(value)), (None, ""))[1]

    def _told(self, value: Any) -> Value:
        return rows_of(value, self._subject.model)


def _input_names(model: Model, standins: Any, count: int) -> list[str]:
    if isinstance(standins, dict):
        return [str(name) for name in standins]
    symbols = parts_of(getattr(model, "_input_tree", getattr(model, "_input", None)))
    names = [str(symbol.name) for symbol in symbols]
    return names if len(names) == count else [f"input_{at}" for at in range(count)]


def rows_of(value: Any, model: Model) -> Value:
    """What a value of padless holds, on the host: an array for each row, where it has rows.

    Args:
        value: a Ragged, or an array of the backend.
        model: whose it is.

    Returns:
        The arrays; rows within a row come end to end.
    """
    if not isinstance(value, Ragged):
        return np.asarray(model.backend.to_host(value))
    rows = value.numpy()
    if isinstance(value.values, Ragged):
        return [np.concatenate([np.asarray(part) for part in row]) if len(row) else np.zeros(0) for row in rows]
    return [np.asarray(row) for row in rows]


def _flat(value: Any) -> Any:
    return value.flat_values if isinstance(value, Ragged) else value


def _tree(model: Model) -> tuple[dict[int, str], dict[int, str]]:
    """Paths of the layers that are looked at, and of what holds them: not what is in padless's own layers."""
    paths: dict[int, str] = {}
    holders: dict[int, str] = {}

    def walk(layer: Layer, path: str) -> None:
        for _, child in layer.children():
            if id(child) in paths:
                continue
            paths[id(child)] = f"{path}/{child.name}" if path else child.name
            holders[id(child)] = path
            if isinstance(child, Model) or type(child).__module__.split(".")[0] != "padless":
                walk(child, paths[id(child)])

    walk(model, "")
    return paths, holders


def _slot(name: str, value: Any) -> Slot:
    flat = _flat(value)
    if getattr(flat, "dtype", None) == np.dtype(object):
        got, fix = f"texts in {name!r}", "the part of the model that comes after its texts have become ids"
        raise DTypeError(explain("audit", expected="numbers or ids", got=got, fix=fix))
    dtype = backends.of(flat).dtype_name(flat)
    if isinstance(value, Ragged):
        if isinstance(value.values, Ragged):
            got, fix = f"rows within rows in {name!r}", "the part of the model that reads one level of rows"
            raise ArgumentError(explain("audit", expected="rows of steps", got=got, fix=fix))
        return Slot(name, tuple(int(size or 0) for size in value.shape[2:]), dtype)
    return Slot(name, tuple(int(size or 0) for size in value.shape[1:]), dtype, steps=False)


def _ones(slots: Sequence[Slot]) -> Rows:
    def row(slot: Slot, n: int) -> Host:
        return np.ones((n, *slot.shape) if slot.steps else slot.shape, slot.dtype)

    lengths = (max(LENGTHS), min(LENGTHS))
    return Rows(tuple(tuple(row(slot, n) for n in lengths) for slot in slots), lengths)


def _innermost(layer: Any) -> Any:
    while type(layer).__name__ == "TimeDistributed":
        layer = layer.layer
    return layer
