"""How a layer computes in another dtype than its weights have: by a copy of it that has them in that dtype.

A copy, since another thread may be calling the layer, or saving it: its own arrays are never changed for a call. What
the copy assigns, such as a moving mean, is taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from padless.errors import BackendError, explain
from padless.mixed_precision import HALVES
from padless.ragged import Ragged

if TYPE_CHECKING:
    from padless.layer import Layer

Array = Any


def call_dtype(layer: Layer) -> tuple[str, str]:
    """In which dtype a layer computes, and which it gives.

    Args:
        layer: with its policy and its backend.

    Returns:
        Both; float32 and 16 bits for a layer that adds numbers up, under a policy of 16 bits. Where a backend has no
        such numbers, a mixed policy computes in float32 altogether.

    Raises:
        BackendError: for weights in bfloat16 on a backend without them.
    """
    policy, backend = layer.dtype_policy, layer.backend
    gives = policy.compute_dtype
    if gives not in HALVES:
        return gives, gives
    if gives not in backend.halves:
        if policy.variable_dtype == "float32":
            return "float32", "float32"
        if gives == "bfloat16":
            raise BackendError(
                explain(
                    f"dtype={policy.name!r}",
                    expected=f"a dtype that the backend {backend.name!r} has",
                    got="bfloat16",
                    fix='dtype="mixed_bfloat16", whose weights are float32; or padless.set_backend("torch")',
                )
            )
        return "float32", gives
    return "float32" if layer.sums else gives, gives


def in_call_dtype(layer: Layer, run: Callable[[Layer], Any]) -> Any:
    """Run a layer with its weights, and those that it reads of other layers, in the dtype that it computes in.

    Args:
        layer: the layer, built.
        run: gets the layer, or a copy of it.

    Returns:
        What `run` returns; floats in the dtype that the layer gives, if it computes in another.
    """
    copies: list[_Copy] = []
    y = run(_copied(layer, layer.call_dtype, copies))
    for copy in copies:
        copy.take_back()
    return layer.narrowed(y)


def as_dtype(y: Any, dtype: str, layer: Layer) -> Any:
    """Floats of 32 bits among outputs, in another dtype; what a layer gives in a dtype of its own choice stays so.

    Args:
        y: arrays and Ragged, in lists, tuples and dicts.
        dtype: the dtype.
        layer: whose outputs these are.

    Returns:
        The same form.
    """
    if isinstance(y, list | tuple):
        return type(y)(as_dtype(part, dtype, layer) for part in y)
    if isinstance(y, dict):
        return {key: as_dtype(part, dtype, layer) for key, part in y.items()}
    values = y.flat_values if isinstance(y, Ragged) else y
    backend = layer.backend
    if not backend.is_array(values) or backend.dtype_name(values) != "float32":
        return y
    values = backend.cast(values, dtype)
    return y.with_flat_values(values) if isinstance(y, Ragged) else values


def _copied(layer: Layer, dtype: str, copies: list[_Copy]) -> Layer:
    """A copy of a layer that computes in a dtype, or the layer itself where it does so."""
    read = {name: layer.__dict__[name] for name in layer.reads_weights_of if name in layer.__dict__}
    inner = {name: _inner(value, dtype, copies) for name, value in read.items()}
    if layer.dtype == dtype == layer.call_dtype and all(inner[name] is value for name, value in read.items()):
        return layer
    made = _Copy(layer, dtype, inner)
    copies.append(made)
    return made.layer


def _inner(value: Any, dtype: str, copies: list[_Copy]) -> Any:
    """A layer, or a list of them, of which another one reads the weights."""
    if isinstance(value, list | tuple):
        found = [_inner(item, dtype, copies) for item in value]
        same = all(one is other for one, other in zip(found, value, strict=True))
        return value if same else type(value)(found)
    # Anything with `call` may be a cell; what is no layer has no weights.
    return _copied(value, dtype, copies) if hasattr(value, "weight_slots") else value


class _Copy:
    """A layer that shares everything with another but the dtype of its arrays."""

    def __init__(self, layer: Layer, dtype: str, inner: dict[str, Any]) -> None:
        self.original = layer
        self.layer: Layer = object.__new__(type(layer))
        backend, state = layer.backend, dict(layer.__dict__)
        for name in layer._weights:
            array = state[name]
            if backend.dtype_name(array) != dtype and backend.dtype_name(array) in _FLOATS:
                state[name] = backend.cast(array, dtype)
        # All of it in one dtype: a cell that is called at each step must not go back to 16 bits.
        state.update(inner, call_dtype=dtype, _special=False, _original=layer)
        self.given = state
        self.layer.__dict__.update(state)

    def take_back(self) -> None:
        """Give the original what its copy was assigned."""
        original, backend = self.original, self.original.backend
        for name, value in self.layer.__dict__.items():
            if value is self.given.get(name, self):
                continue
            if name in original._weights:
                original.assign(name, backend.cast(value, original._weights[name].dtype))
            else:
                object.__setattr__(original, name, value)


_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
