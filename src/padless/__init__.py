"""padless: deep learning with the Keras API, for sequences of unequal length.

Padding never changes an answer, a mask is never lost, padding costs nothing, and who knows Keras is at home.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from padless import backends as backends
from padless.backends import backend as backend
from padless.backends import set_backend as set_backend
from padless.errors import ArgumentError as ArgumentError
from padless.errors import DataError as DataError
from padless.errors import MaskError as MaskError
from padless.errors import PadlessError as PadlessError
from padless.errors import ShapeError as ShapeError
from padless.ragged import Ragged as Ragged
from padless.row_ops import row_concat as row_concat
from padless.row_ops import row_first as row_first
from padless.row_ops import row_last as row_last
from padless.row_ops import row_max as row_max
from padless.row_ops import row_mean as row_mean
from padless.row_ops import row_reverse as row_reverse
from padless.row_ops import row_slice as row_slice
from padless.row_ops import row_sum as row_sum
from padless.row_ops import spread as spread
from padless.rows import RowPartition as RowPartition

if TYPE_CHECKING:
    from padless import activations as activations
    from padless import auditing as auditing
    from padless import callbacks as callbacks
    from padless import chains as chains
    from padless import config as config
    from padless import constraints as constraints
    from padless import data as data
    from padless import datasets as datasets
    from padless import decoding as decoding
    from padless import initializers as initializers
    from padless import layers as layers
    from padless import losses as losses
    from padless import metrics as metrics
    from padless import mixed_precision as mixed_precision
    from padless import models as models
    from padless import ops as ops
    from padless import optimizers as optimizers
    from padless import pictures as pictures
    from padless import preprocessing as preprocessing
    from padless import regularizers as regularizers
    from padless import schedules as schedules
    from padless import testing as testing
    from padless import utils as utils
    from padless import wrappers as wrappers
    from padless.auditing import audit as audit
    from padless.graph import Input as Input
    from padless.layer import Layer as Layer
    from padless.mixed_precision import DTypePolicy as DTypePolicy
    from padless.model import Model as Model
    from padless.model import Sequential as Sequential
    from padless.pictures import model_to_mermaid as model_to_mermaid
    from padless.pictures import plot_model as plot_model
    from padless.remat import RematScope as RematScope
    from padless.saving import from_keras as from_keras
    from padless.saving import load_model as load_model
    from padless.saving import register as register

__version__ = "0.1.0"

# What most programs use is imported when it is first named, so that `import padless` stays quick.
_LAZY = {
    "DTypePolicy": "padless.mixed_precision",
    "Input": "padless.graph",
    "Layer": "padless.layer",
    "Model": "padless.model",
    "RematScope": "padless.remat",
    "Sequential": "padless.model",
    "audit": "padless.auditing",
    "from_keras": "padless.saving",
    "load_model": "padless.saving",
    "model_to_mermaid": "padless.pictures",
    "plot_model": "padless.pictures",
    "register": "padless.saving",
}
_MODULES = (
    "activations", "auditing", "callbacks", "chains", "config", "constraints", "data", "datasets", "decoding",
    "initializers", "layers", "losses", "metrics", "mixed_precision", "models", "ops", "optimizers", "pictures",
    "preprocessing", "regularizers", "schedules", "testing", "text", "utils", "wrappers",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"padless.{name}")
    else:
        raise AttributeError(f"module 'padless' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_MODULES})
