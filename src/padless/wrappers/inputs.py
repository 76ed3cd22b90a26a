"""What scikit-learn hands on as X: arrays of features are checked as it checks them, sequences stay as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_array, validate_data

from padless.data import tables
from padless.forms import as_texts
from padless.ragged import Ragged


def checked(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Look at X as scikit-learn's estimators do, if it is an array of features.

    Args:
        estimator: whose n_features_in_ and feature_names_in_ are set or compared with.
        X: sequences, texts, columns, or an array (B, D).
        reset: whether to set them.

    Returns:
        The array; or X itself, if it is none.

    Raises:
        ValueError: for an array with NaN, with another D than in `fit`, or of one axis.
    """
    if not _holds_features(X):
        for name in ("n_features_in_", "feature_names_in_", "_whole_numbers") if reset else ():
            vars(estimator).pop(name, None)  # of an earlier fit
        return X
    # Whole numbers may be ids padded to another length than in fit.
    if not reset and isinstance(X, np.ndarray) and X.dtype.kind in "iu" and getattr(estimator, "_whole_numbers", True):
        return check_array(X)
    made = validate_data(estimator, X, reset=reset)
    if reset:
        estimator._whole_numbers = made.dtype.kind in "iu"
    return made


def _holds_features(X: Any) -> bool:
    if issparse(X):
        return True  # and so refused
    if isinstance(X, Ragged):
        return False
    if isinstance(X, list):
        return not (X and hasattr(X[0], "__len__"))
    if isinstance(X, np.ndarray):
        rows_within = X.dtype == object and X.ndim == 1 and len(X) > 0 and hasattr(X[0], "__len__")
        return X.ndim < 3 and as_texts(X) is None and not rows_within
    if tables.is_columnar(X):
        kinds = getattr(X, "dtypes", None)
        return len(getattr(X, "shape", ())) == 2 and kinds is not None and all(map(_is_number, kinds))
    return not hasattr(X, "dtype")  # else a framework's array


def _is_number(dtype: Any) -> bool:
    if hasattr(dtype, "is_numeric"):  # of polars
        return bool(dtype.is_numeric())
    return getattr(dtype, "kind", "O") in "biuf"
