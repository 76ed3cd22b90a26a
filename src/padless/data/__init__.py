"""From what people have to what a model reads: how long rows are, windows of a series, packs and buckets."""

from __future__ import annotations

from padless.data.inspection import Inspection, inspect
from padless.data.packing import Bucket, Packs, bucket_by_length, pack_sequences
from padless.data.windows import TimeseriesGenerator, Windows, timeseries_dataset_from_array

__all__ = [
    "Bucket",
    "Inspection",
    "Packs",
    "TimeseriesGenerator",
    "Windows",
    "bucket_by_length",
    "inspect",
    "pack_sequences",
    "timeseries_dataset_from_array",
]
