"""Layers written for Keras: whether `supports_masking = True` can be taken for "one step at a time"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from padless.errors import MaskError, explain

if TYPE_CHECKING:
    from padless.layer import Layer

Array = Any

_ROWS, _STEPS = 3, 2


def require_steps_alone(layer: Layer, values: Array, arguments: dict[str, Any]) -> bool:
    """Raise when a layer that says `supports_masking = True` does not compute every step alone.

    In Keras such a layer gets (B, T, ...), and may mean time by axis 1, where packed steps (N, ...) have features. So
    it is tried once, on random numbers: a step alone, the same step with another behind it, and packed steps must give
    the same.

    Args:
        layer: the layer, built.
        values: (N, ...) packed steps, of which features and dtype are read.
        arguments: of the call.

    Returns:
        Whether the answer is known: not inside of a compiled function, where there are no numbers to compare.

    Raises:
        MaskError: when it gives other answers.
    """
    backend = layer.backend
    kind = backend.dtype_name(values)
    if not kind.startswith("float"):
        return True
    drawn = np.random.default_rng(0).normal(size=(_ROWS, _STEPS, *values.shape[1:]))
    said = {**arguments, "training": False} if "training" in arguments else arguments
    found = []
    for x in (drawn, drawn[:, :1], drawn[:, 0]):
        try:
            found.append(layer.tried(backend.asarray(x, kind), said))
        except Exception:  # It is the user's code, and may be for packed steps alone: the real call says what is wrong.
            return True
    if not all(backend.is_array(y) for y in found):
        return True
    if any(backend.is_traced(y) for y in found):
        return False
    both, alone, packed = (backend.to_host(y).astype(np.float64) for y in found)
    same = both.shape[:2] == (_ROWS, _STEPS) and alone.shape[:2] == (_ROWS, 1)
    if same and _close(both[:, 0], alone[:, 0]) and _close(packed, alone[:, 0]):
        return True
    raise MaskError(
        explain(
            layer.place,
            expected="every step to be computed alone, as supports_masking = True without a mask in `call` says",
            got="another answer for a step when another one stands behind it, or when axis 1 is that of features",
            fix="axis=-1 for features; a `mask` parameter in `call`, or view = 'padded', for a layer that mixes steps; "
            "pooling and recurrent layers of padless do so by row",
        )
    )


def _close(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-3, atol=1e-4, equal_nan=True)
