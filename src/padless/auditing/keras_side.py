"""A Keras model under audit: its inputs, its runs, its loss and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from padless.auditing.foreign import told
from padless.auditing.probes import LENGTHS, Batch, Slot
from padless.auditing.recording import recorded, to_host
from padless.auditing.trace import Trace
from padless.errors import ArgumentError, DTypeError, explain

Host = npt.NDArray[Any]
_NOISE = ("rate", "dropout", "recurrent_dropout", "_dropout", "stddev")


class KerasSubject:
    """A live Keras model.

    Args:
        model: the model; it is left as it was.
        data: of the user, for a model of a class of its own, whose inputs nothing else tells.

    Raises:
        ArgumentError: when its inputs are not known, or none has rows of unequal length.
        DTypeError: when it reads texts.
    """

    carries = ("mask", "a mask goes along with the values")
    reads_fills = False

    def __init__(self, model: Any, data: Any = None) -> None:
        import keras

        self.model = model
        self.library = f"Keras {keras.__version__} ({keras.backend.backend()})"
        self._inputs = getattr(model, "_inputs_struct", None)
        if self._inputs is None and getattr(model, "_functional", None) is not None:
            self._inputs = model._functional._inputs_struct  # of a Sequential
        self._names = list(data) if isinstance(data, dict) else []
        self.slots = self._known_slots() if self._inputs is not None else _guessed(model, data)
        self.slots = [self._consumed(at) for at in range(len(self.slots))]
        if not any(slot.steps for slot in self.slots):
            got, fix = _told(self.slots), "a model whose input has shape (None, ...), or makes a mask"
            raise ArgumentError(explain("audit", expected="an input with rows of unequal length", got=got, fix=fix))

    @property
    def fixed(self) -> int | None:
        """How many columns its inputs must have; None for any number."""
        return next((slot.fixed for slot in self.slots if slot.steps and slot.fixed is not None), None)

    @property
    def takes_fills(self) -> bool:
        """Whether there are padded steps whose content can be changed, and only that."""
        return any(slot.masked or slot.open for slot in self.slots)

    @property
    def learns_padding(self) -> bool:
        """Whether padded steps hold what is learned: a row of a table, as ids of 0 do."""
        return any(slot.masked and slot.ids is not None for slot in self.slots)

    @property
    def output_names(self) -> list[str]:
        """Names of its outputs."""
        names = getattr(self.model, "output_names", None)
        return list(names) if names else []

    @property
    def tolerance(self) -> float:
        """Up to which numbers are equal, beside the largest of them."""
        policies = {str(layer.compute_dtype) for layer in self.model._flatten_layers()}
        return 5e-2 if "bfloat16" in policies else 1e-2 if "float16" in policies else 1e-5

    def run(self, batch: Batch, *, training: bool = False) -> Trace:
        """Call the model, and write down what its layers did.

        Args:
            batch: the rows.
            training: whether as in training, without noise.

        Returns:
            The trace.
        """
        return self._run(batch.arrays(self.slots), batch.fill, training)

    def _run(self, arrays: Sequence[Host], fill: float | None, training: bool) -> Trace:
        import keras

        tensors = [keras.ops.convert_to_tensor(array) for array in arrays]
        with self._undisturbed(training), recorded(self.model, fill) as recorder:
            recorder.entered(tensors)
            outputs = self.model(self._packed(tensors), training=training)
            return recorder.finished(keras.tree.flatten(outputs))

    def _packed(self, tensors: list[Any]) -> Any:
        import keras

        if self._inputs is None:
            return dict(zip(self._names, tensors, strict=True)) if self._names else tensors[0]
        return keras.tree.pack_sequence_as(self._inputs, tensors)

    @contextmanager
    def _undisturbed(self, training: bool) -> Iterator[None]:
        """Without noise and without a trace in the model: states and statistics are put back."""
        import warnings

        noise = _noise(self.model) if training else []
        # In training some layers assign weights, too: SpectralNormalization does.
        variables = self.model.variables if training else self.model.non_trainable_variables
        state = [(variable, to_host(variable.value)) for variable in variables]
        for layer, name, _ in noise:
            setattr(layer, name, 0.0)
        try:
            with _no_gradient(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Keras warns of some of what is said here, and of what is not so
                yield
        finally:
            for layer, name, value in noise:
                setattr(layer, name, value)
            for variable, kept in state:
                variable.assign(kept)

    # ---- loss and gradients

    def loss(self, batch: Batch, targets: Sequence[Sequence[Host]]) -> tuple[float, dict[str, Host]]:
        """The loss of training, and its gradients.

        Args:
            batch: the rows.
            targets: for each output, and each row, what the output should be.

        Returns:
            The loss; the gradient of each weight that is trained, by path.
        """
        import keras

        arrays = batch.arrays(self.slots)
        weights = self.model.trainable_variables

        def value(model_call: Callable[[Any], Any]) -> Any:
            x = self._packed([keras.ops.convert_to_tensor(array) for array in arrays])
            y = model_call(x)
            wanted = [_padded(rows, batch, to_shape.shape) for rows, to_shape in zip(targets, _flat(y), strict=True)]
            return self._loss(x, keras.tree.pack_sequence_as(y, wanted), y)

        with self._undisturbed(True):
            loss, found = _gradients(self.model, value, weights)
        names = [getattr(weight, "path", weight.name) for weight in weights]
        return loss, dict(zip(names, found, strict=True))

    def _loss(self, x: Any, y: Any, prediction: Any) -> Any:
        import keras

        if getattr(self.model, "compiled", False) and self.model.loss is not None:
            return self.model.compute_loss(x=x, y=y, y_pred=prediction, training=True)
        total = keras.ops.convert_to_tensor(0.0)
        for one, other in zip(_flat(y), _flat(prediction), strict=True):
            total = total + keras.losses.MeanSquaredError()(one, other)
        for penalty in self.model.losses:
            total = total + penalty
        return total

    @property
    def loss_name(self) -> str:
        """What `loss` is."""
        if getattr(self.model, "compiled", False) and self.model.loss is not None:
            return "its compiled loss"
        return "the mean squared error (the model is not compiled)"

    def wants_classes(self, at: int) -> bool:
        """Whether the loss of an output wants numbers of classes."""
        if not getattr(self.model, "compiled", False):
            return False
        import keras

        losses = keras.tree.flatten(self.model.loss)
        loss = losses[at] if at < len(losses) else losses[0]
        name = loss if isinstance(loss, str) else getattr(loss, "name", getattr(loss, "__name__", type(loss).__name__))
        return "sparse" in str(name).lower()

    def mask_reaches(self, trace: Trace, at: int) -> bool:
        """Whether a mask is on an output."""
        call = trace.calls.get(trace.sources[at])
        return call is not None and call.masked

    def predict(self, arrays: Sequence[Host]) -> list[Host]:
        """Predictions as `model.predict_on_batch` gives them: the quickest way of the model."""
        import keras

        return [np.asarray(y) for y in keras.tree.flatten(self.model.predict_on_batch(self._packed(list(arrays))))]

    # ---- inputs

    def _known_slots(self) -> list[Slot]:
        import keras

        slots = []
        for at, tensor in enumerate(keras.tree.flatten(self._inputs)):
            batch, *shape = tensor.shape
            if batch is not None:
                got, fix = f"batches of {batch} rows alone", "the same model built with Input(batch_size=None)"
                raise ArgumentError(explain("audit", expected="an input of any number of rows", got=got, fix=fix))
            name = getattr(tensor, "name", None) or f"input_{at}"
            if any(size is None for size in shape[1:]):
                got = f"{name!r} of shape {tuple(tensor.shape)}"
                fix = "sizes for all axes but those of rows and steps"
                raise ArgumentError(explain("audit", expected="rows of steps", got=got, fix=fix))
            dtype = keras.backend.standardize_dtype(tensor.dtype)
            if dtype == "string":
                got, fix = f"texts in {name!r}", "the part of the model that comes after its texts have become ids"
                raise DTypeError(explain("audit", expected="numbers or ids", got=got, fix=fix))
            fixed = bool(shape) and shape[0] is not None
            slots.append(Slot(name, tuple(shape[1:]), dtype, steps=bool(shape), fixed=shape[0] if fixed else None))
        return slots

    def _consumed(self, at: int) -> Slot:
        """An input, and what the layer that reads it says of it: found by one run with ones."""
        slot = self.slots[at]
        readers = [
            call.layer for call in self._first_run.leaves() if any(o.source == f"input:{at}" for o in call.operands)
        ]
        readers = [_innermost(layer) for layer in readers]
        ids = [layer for layer in readers if type(layer).__name__ in ("Embedding", "ReversibleEmbedding")]
        masks = [layer for layer in readers if type(layer).__name__ == "Masking"]
        if ids:
            made = any(getattr(layer, "mask_zero", False) for layer in ids)
            kind = slot.dtype if slot.dtype.startswith(("int", "uint")) else "int32"
            slot = replace(slot, dtype=kind, ids=min(int(layer.input_dim) for layer in ids), masked=made)
        if masks:
            slot = replace(slot, pad=float(masks[0].mask_value), masked=True)
        if slot.fixed is not None and not slot.masked:  # every row has as many
            return replace(slot, steps=False, shape=(slot.fixed, *slot.shape), fixed=None)
        return slot

    @property
    def _first_run(self) -> Trace:
        if not hasattr(self, "_ones"):
            for columns in (max(LENGTHS), 64, 256):
                arrays = [_ones(slot, slot.fixed or columns) for slot in self.slots]
                try:
                    self._ones = self._run(arrays, None, False)
                    break
                except Exception as error:
                    last = error
            else:
                got, fix = told(last), "Keras's own error says what is wrong; it would come in `predict`, too"
                raise ArgumentError(explain("audit", expected="a model that runs", got=got, fix=fix)) from last
        return self._ones


def _ones(slot: Slot, columns: int) -> Host:
    return np.ones((2, columns, *slot.shape) if slot.steps else (2, *slot.shape), slot.dtype)


def _innermost(layer: Any) -> Any:
    while type(layer).__name__ == "TimeDistributed":
        layer = layer.layer
    return layer


def _told(slots: Sequence[Slot]) -> str:
    return ", ".join(f"{slot.name!r} of (rows, {', '.join(map(str, slot.shape))})" for slot in slots)


def _guessed(model: Any, data: Any) -> list[Slot]:
    """Inputs of a model of a class of its own, as data tell them."""
    if data is None:
        got, fix = f"{type(model).__name__}, a class of its own", "audit(model, data=[...]) with rows that it reads"
        raise ArgumentError(explain("audit", expected="a model whose inputs are known", got=got, fix=fix))
    named = data if isinstance(data, dict) else {"input": data}
    slots = []
    for name, given in named.items():
        rows = [np.asarray(row) for row in given]
        dtype = "int32" if rows and rows[0].dtype.kind in "iu" else "float32"
        shapes = {row.shape for row in rows}
        shape = rows[0].shape if rows else (0,)
        # Beside an input whose rows have different lengths, one whose rows are all alike is no sequence.
        steps = len(named) == 1 or len(shapes) > 1
        slots.append(Slot(str(name), shape[1:] if steps else shape, dtype, steps))
    return slots


def _noise(model: Any) -> list[tuple[Any, str, float]]:
    """Every number that makes noise in training."""
    found = []
    for layer in model._flatten_layers():
        for name in _NOISE:
            value = getattr(layer, name, None)
            if isinstance(value, float | int) and not isinstance(value, bool) and value and name in vars(layer):
                found.append((layer, name, value))
    return found


def _flat(value: Any) -> list[Any]:
    import keras

    return list(keras.tree.flatten(value))


def _padded(rows: Sequence[Host], batch: Batch, shape: Sequence[int]) -> Host:
    """Targets as an array of the shape of an output: zeros where a row has ended."""
    array = np.zeros((len(rows), *map(int, shape[1 : rows[0].ndim + 1])), rows[0].dtype)
    for at, row in enumerate(rows):
        place: tuple[Any, ...] = (at, *(slice(0, n) for n in row.shape))
        array[place] = row
    return array


def _no_gradient() -> Any:
    import keras

    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    return torch.no_grad()


def _gradients(
    model: Any, value: Callable[[Callable[[Any], Any]], Any], weights: list[Any]
) -> tuple[float, list[Host]]:
    import keras

    name = keras.backend.backend()
    found = {"torch": _by_torch, "tensorflow": _by_tensorflow, "jax": _by_jax}.get(name)
    if found is None:
        loss = value(lambda x: model(x, training=True))
        return float(to_host(loss)), [np.zeros(0) for _ in weights]
    loss, gradients = found(model, value, weights)
    return float(to_host(loss)), [np.zeros(0) if one is None else to_host(one) for one in gradients]


def _by_torch(model: Any, value: Callable[[Callable[[Any], Any]], Any], weights: list[Any]) -> tuple[Any, list[Any]]:
    import torch

    with torch.enable_grad():
        loss = value(lambda x: model(x, training=True))
        live = [weight.value for weight in weights]
        return loss, list(torch.autograd.grad(loss, live, allow_unused=True)) if live else []


def _by_tensorflow(
    model: Any, value: Callable[[Callable[[Any], Any]], Any], weights: list[Any]
) -> tuple[Any, list[Any]]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = value(lambda x: model(x, training=True))
    found = tape.gradient(loss, [weight.value for weight in weights])
    return loss, [None if one is None else tf.convert_to_tensor(one) for one in found]


def _by_jax(model: Any, value: Callable[[Callable[[Any], Any]], Any], weights: list[Any]) -> tuple[Any, list[Any]]:
    import jax
    import keras

    def function(arrays: list[Any]) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(weights, arrays, strict=True))):
            return value(lambda x: model(x, training=True))

    return jax.value_and_grad(function)([weight.value for weight in weights])
