"""From what people have to what a model reads: how long rows are, windows of a series, packs and buckets."""

from __future__ import annotations

from padless.data.inspection import Inspection, inspect
from padless.data.packing import Bucket, Packs, bucket_by_length, pack_sequences
from padless.data.parquet import ParquetRows
from padless.data.plan import EpochPlan, plan_epoch
from padless.data.windows import TimeseriesGenerator, Windows, timeseries_dataset_from_array

__all__ = [
    "Bucket",
    "EpochPlan",
    "Inspection",
    "Packs",
    "ParquetRows",
    "TimeseriesGenerator",
    "Windows",
    "bucket_by_length",
    "inspect",
    "pack_sequences",
    "plan_epoch",
    "timeseries_dataset_from_array",
]
