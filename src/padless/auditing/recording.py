"""Watching a Keras model run: every call of a layer, with its masks."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from padless.auditing.trace import Call, Operand, Trace

Host = npt.NDArray[Any]

_LOCK = threading.RLock()  # calls are watched by a change of Keras's own class


def mask_of(tensor: Any) -> Any:
    """The mask that Keras carries with a tensor, or None."""
    from keras.src import backend

    found = getattr(backend, "get_keras_mask", None)
    return getattr(tensor, "_keras_mask", None) if found is None else found(tensor)


def set_mask(tensor: Any, mask: Any) -> None:
    """Attach a mask to a tensor as Keras does."""
    from keras.src import backend

    backend.set_keras_mask(tensor, mask)


def to_host(tensor: Any) -> Host:
    """A NumPy array of a tensor; what NumPy has no dtype for becomes float32."""
    import keras

    array = np.asarray(keras.ops.convert_to_numpy(tensor))
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def is_opaque(layer: Any) -> bool:
    """Whether a layer is Keras's own, or made from one: what it calls within is its own affair."""
    import keras

    if isinstance(layer, keras.Model):
        return False
    own = [kind for kind in type(layer).__mro__ if kind.__module__.split(".")[0] == "keras"]
    return own[0] not in (keras.Layer, keras.Operation)


class Recorder:
    """Writes down the calls of one run.

    Args:
        top: the model; its own call is not one of the calls.
        fill: what to put in place of masked steps after the layer that makes a mask; None for nothing.
    """

    def __init__(self, top: Any, fill: float | None) -> None:
        self.trace = Trace()
        self._top, self._fill = top, fill
        self._stack: list[Call] = []
        self._opaque = 0
        self._counts: Counter[str] = Counter()
        self._made: dict[int, tuple[Any, str]] = {}  # the tensors too, so that none takes the place of another

    def entered(self, tensors: list[Any]) -> None:
        """Say which tensors are the inputs of the model."""
        for at, tensor in enumerate(tensors):
            self._made[id(tensor)] = (tensor, f"input:{at}")

    def finished(self, outputs: list[Any]) -> Trace:
        """Close the trace with the outputs of the model."""
        self.trace.outputs = [to_host(tensor) for tensor in outputs]
        self.trace.sources = [self._source(tensor) for tensor in outputs]
        return self.trace

    def call(self, original: Callable[..., Any], layer: Any, args: Any, kwargs: Any) -> Any:
        """Call a layer as Keras would, and write it down."""
        if layer is self._top or self._opaque:
            return original(layer, *args, **kwargs)
        path = "/".join([*(call.layer.name for call in self._stack), layer.name])
        self._counts[path] += 1
        count = self._counts[path]
        call = Call(path if count == 1 else f"{path}#{count}", path, type(layer).__name__, layer)
        call.within = self._stack[-1].key if self._stack else ""
        tensors = self._tensors(args, kwargs)
        call.operands = [Operand(to_host(x), self._source(x), mask_of(x) is not None) for x in tensors]
        call.given_mask = any(value is not None for name, value in kwargs.items() if _names_mask(name))
        self._stack.append(call)
        opaque = is_opaque(layer)
        self._opaque += opaque
        try:
            outputs = original(layer, *args, **kwargs)
        finally:
            self._opaque -= opaque
            self._stack.pop()
        return self._close(call, tensors, outputs)

    def _close(self, call: Call, tensors: list[Any], outputs: Any) -> Any:
        import keras

        for operand, tensor in zip(call.operands, tensors, strict=True):
            operand.kept = mask_of(tensor) is not None
        if self._fill is not None and not call.mask_came and not call.parts:
            outputs = keras.tree.map_structure(self._filled, outputs)
        made = [tensor for tensor in keras.tree.flatten(outputs) if keras.ops.is_tensor(tensor)]
        if made and all(keras.backend.standardize_dtype(tensor.dtype) == "bool" for tensor in made):
            return outputs  # a mask, as Keras writes it into the graph
        call.outputs = [to_host(tensor) for tensor in made]
        mask = mask_of(made[0]) if made else None
        call.masked = mask is not None
        call.mask = None if mask is None else to_host(mask)
        if self._stack:
            self._stack[-1].parts += 1
        self.trace.calls[call.key] = call
        for tensor in made:
            # What hands on its input is not its maker; a model's output was made by a layer in it.
            if id(tensor) not in self._made:
                self._made[id(tensor)] = (tensor, call.key)
        return outputs

    def _filled(self, tensor: Any) -> Any:
        import keras

        mask = mask_of(tensor) if keras.ops.is_tensor(tensor) else None
        if mask is None or not keras.backend.standardize_dtype(tensor.dtype).startswith(("float", "bfloat")):
            return tensor
        live = keras.ops.reshape(mask, (*mask.shape, *[1] * (len(tensor.shape) - len(mask.shape))))
        filled = keras.ops.where(live, tensor, keras.ops.cast(self._fill, tensor.dtype))
        set_mask(filled, mask)
        return filled

    def _tensors(self, args: Any, kwargs: Any) -> list[Any]:
        """What goes in, apart from masks."""
        import keras

        named = {name: value for name, value in kwargs.items() if name != "training" and not _names_mask(name)}
        return [x for x in keras.tree.flatten((args, named)) if keras.ops.is_tensor(x) or isinstance(x, np.ndarray)]

    def _source(self, tensor: Any) -> str:
        if id(tensor) in self._made:
            return self._made[id(tensor)][1]
        # A cast or a copy on the way into a model within the model.
        for other, key in reversed(self._made.values()):
            if tuple(other.shape) == tuple(tensor.shape) and np.array_equal(to_host(other), to_host(tensor), True):
                return key
        return ""


def _names_mask(name: str) -> bool:
    return name == "mask" or name.endswith("_mask")


@contextmanager
def recorded(top: Any, fill: float | None) -> Iterator[Recorder]:
    """Watch the calls that this thread makes.

    Args:
        top: the model.
        fill: as of Recorder.

    Yields:
        The recorder.
    """
    import keras

    recorder, thread = Recorder(top, fill), threading.get_ident()

    def watching(original: Callable[..., Any], layers: bool) -> Callable[..., Any]:
        def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
            watched = threading.get_ident() == thread and isinstance(self, keras.Layer) is layers
            if not watched or _symbolic((args, kwargs)):
                return original(self, *args, **kwargs)
            return recorder.call(original, self, args, kwargs)

        return __call__

    with _LOCK:
        kinds = [(keras.Layer, True), (keras.Operation, False)]
        originals = [kind.__call__ for kind, _ in kinds]
        for (kind, layers), original in zip(kinds, originals, strict=True):
            kind.__call__ = watching(original, layers)
        try:
            yield recorder
        finally:
            for (kind, _), original in zip(kinds, originals, strict=True):
                kind.__call__ = original


def _symbolic(values: Any) -> bool:
    import keras

    return any(isinstance(value, keras.KerasTensor) for value in keras.tree.flatten(values))
