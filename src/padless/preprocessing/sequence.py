"""Keras's import path for `pad_sequences`; the code is in `padless.text.padding`."""

from __future__ import annotations

from padless.text.padding import pad_sequences

__all__ = ["pad_sequences"]
