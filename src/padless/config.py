"""Keras's import path for what holds for all layers that are made from now on; the code is in `mixed_precision`."""

from __future__ import annotations

from padless.mixed_precision import dtype_policy, floatx, set_dtype_policy, set_floatx

__all__ = ["dtype_policy", "floatx", "set_dtype_policy", "set_floatx"]
