"""Keras's import path for text and sequence preparation; the code is in `padless.text`."""

from __future__ import annotations

from padless.preprocessing import sequence, text

__all__ = ["sequence", "text"]
