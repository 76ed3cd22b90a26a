"""Keras's import path for text and sequence preparation; the code is in `padless.text` and `padless.data`."""

from __future__ import annotations

from padless.data.windows import timeseries_dataset_from_array
from padless.preprocessing import sequence, text

__all__ = ["sequence", "text", "timeseries_dataset_from_array"]
