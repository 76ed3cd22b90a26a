"""From what people have to what a model reads: tables, files, plans of epochs, windows, packs, and a look at them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

# Imported when they are named: the modules here that read data are needed by what some of these are built of.
_MODULE_OF = {
    "Bucket": "packing",
    "EpochPlan": "plan",
    "Inspection": "inspection",
    "Packs": "packing",
    "ParquetRows": "parquet",
    "TimeseriesGenerator": "windows",
    "Windows": "windows",
    "bucket_by_length": "packing",
    "inspect": "inspection",
    "pack_sequences": "packing",
    "plan_epoch": "plan",
    "timeseries_dataset_from_array": "windows",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'padless.data' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"padless.data.{_MODULE_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
