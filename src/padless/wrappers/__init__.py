"""Models as estimators of scikit-learn, with Keras's names; scikit-learn is imported when one is first named."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from padless.errors import explain

if TYPE_CHECKING:
    from padless.wrappers.classifier import SKLearnClassifier as SKLearnClassifier
    from padless.wrappers.regressor import SKLearnRegressor as SKLearnRegressor
    from padless.wrappers.transformer import SKLearnTransformer as SKLearnTransformer

_PLACES = {
    "SKLearnClassifier": "padless.wrappers.classifier",
    "SKLearnRegressor": "padless.wrappers.regressor",
    "SKLearnTransformer": "padless.wrappers.transformer",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'padless.wrappers' has no attribute {name!r}")
    if importlib.util.find_spec("sklearn") is None:
        fix = "pip install 'padless[sklearn]'"
        raise ImportError(explain(name, expected="scikit-learn to be installed", got="no such package", fix=fix))
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
