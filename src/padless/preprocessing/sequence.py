"""Keras's import path for the preparation of sequences; the code is in `padless.text` and `padless.data`."""

from __future__ import annotations

from padless.data.windows import TimeseriesGenerator
from padless.text.padding import pad_sequences
from padless.text.skipgrams import make_sampling_table, skipgrams

__all__ = ["TimeseriesGenerator", "make_sampling_table", "pad_sequences", "skipgrams"]
