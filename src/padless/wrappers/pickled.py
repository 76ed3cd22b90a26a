"""Models as bytes without a framework in them: their arrays are NumPy's, whatever they were trained on."""

from __future__ import annotations

import io
import pickle
from typing import Any

from padless import backends
from padless.layer import Layer

try:
    from cloudpickle import Pickler  # what joblib sends to other processes by: it knows classes of __main__
except ImportError:
    from pickle import Pickler


class Frozen:
    """A layer or model as bytes.

    Args:
        layer: the layer or model.
    """

    def __init__(self, layer: Layer) -> None:
        file = io.BytesIO()
        _Pickler(file).dump(layer)
        self.data = file.getvalue()

    def thawed(self) -> Any:
        """The layer or model, with arrays of its own backend on this machine."""
        return pickle.loads(self.data)


class _Pickler(Pickler):  # type: ignore[misc]
    def reducer_override(self, value: Any) -> Any:
        framework = type(value).__module__.partition(".")[0]
        if framework in ("torch", "jax", "jaxlib") and hasattr(value, "shape") and hasattr(value, "dtype"):
            owner = backends.of(value)
            return _array, (owner.name, owner.to_host(value), owner.dtype_name(value))
        inherited = getattr(super(), "reducer_override", None)  # only cloudpickle's has one
        return NotImplemented if inherited is None else inherited(value)


def _array(backend: str, values: Any, dtype: str) -> Any:
    return backends.get(backend).asarray(values, dtype)
