"""What the three wrappers of models for scikit-learn share: parameters, fitting, copies in files."""

from __future__ import annotations

import copy
import inspect
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from padless import random
from padless.callbacks import History
from padless.data import tables
from padless.errors import ArgumentError, DataError, DTypeError, NotBuiltError, ShapeError, explain, nearest
from padless.layer import Layer
from padless.model import Model
from padless.wrappers import inputs, sequences
from padless.wrappers.pickled import Frozen
from padless.wrappers.seeding import seeded

_ROUTED = {"model": "model_kwargs", "fit": "fit_kwargs"}
"""Which parameter `model__units` and `fit__epochs` are entries of."""


class ModelEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A model as an estimator of scikit-learn; the base of the three wrappers."""

    model_: Any

    def __init__(
        self,
        model: Any,
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs
        self.random_state = random_state

    # ---- parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name.

        Args:
            deep: whether to list the entries of model_kwargs and fit_kwargs, too: as model__units and fit__epochs.

        Returns:
            The parameters.
        """
        found: dict[str, Any] = super().get_params(deep=deep)
        for short, name in _ROUTED.items():
            values = getattr(self, name)
            if deep and isinstance(values, dict):
                found |= {f"{short}__{key}": value for key, value in values.items()}
        return found

    def set_params(self, **params: Any) -> Self:
        """Set parameters, or single entries of model_kwargs and fit_kwargs.

        Args:
            **params: by name; model__units=8 is the entry units of model_kwargs, fit__epochs=3 one of fit_kwargs.

        Returns:
            The estimator.
        """
        routed: dict[str, dict[str, Any]] = {}
        for name in list(params):
            short, _, key = name.partition("__")
            if key and short in _ROUTED:
                routed.setdefault(_ROUTED[short], {})[key] = params.pop(name)
        super().set_params(**params)
        for name, values in routed.items():
            setattr(self, name, {**(getattr(self, name) or {}), **values})  # a new dict: copies share the old one
        return self

    # ---- fitting

    def _start(self, X: Any, y: Any) -> Any:
        """The model to train: the one of the last fit, a copy of the one given, or what the function makes."""
        if self.warm_start and hasattr(self, "model_"):
            return self.model_
        if isinstance(self.model, Layer) or not callable(self.model):
            return copy.deepcopy(self.model)
        kwargs = self.model_kwargs or {}
        known = inspect.signature(self.model).parameters
        if not any(one.kind is one.VAR_KEYWORD for one in known.values()):
            for name in kwargs:
                if name not in known:
                    where, expected = f"model_kwargs of {type(self).__name__}", "arguments of the function model"
                    fix = nearest(name, set(known) - {"X", "y"})
                    raise ArgumentError(explain(where, expected=expected, got=repr(name), fix=fix))
        return self.model(X=X, y=y, **kwargs)

    def _require_compiled(self, model: Any) -> None:
        place = type(self).__name__
        if not isinstance(model, Model):
            fix = "a function that returns a compiled model, or the model"
            raise DTypeError(explain(place, expected="a model", got=type(model).__name__, fix=fix))
        if not model.compiled or model.loss is None or model.optimizer is None:
            fix = "model.compile(optimizer, loss) before, or in the function that makes it"
            raise NotBuiltError(explain(place, expected="a compiled model with a loss", got=repr(model.name), fix=fix))

    def _checked(self, X: Any, *, reset: bool) -> Any:
        if isinstance(X, dict | tuple) and not issparse(X):
            fix = "a table whose columns have the names of the inputs: scikit-learn can take rows of that"
            raise DTypeError(explain("X", expected="rows", got=f"a {type(X).__name__}", fix=fix))
        return inputs.checked(self, X, reset=reset)

    def _read(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        """The data of a fit, as many rows of each."""
        X, y = self._checked(X, reset=True), read_targets(y)
        weight = read_targets(sample_weight)
        if isinstance(weight, list | tuple) and not sequences.are_rows(weight):
            weight = np.asarray(weight)
        if isinstance(weight, np.ndarray) and weight.ndim != 1 and not sequences.are_rows(weight):
            got, fix = f"shape {weight.shape}", "one weight for each row; or lists or a Ragged, one for each step"
            raise ShapeError(explain("sample_weight", expected="Sample weights must be 1D", got=got, fix=fix))
        check_consistent_length(X, y, weight)
        if isinstance(weight, np.ndarray) and not weight.any():
            fix = "weights above zero for the rows that count"
            raise DataError(explain("sample_weight", expected="some above zero", got="zero for all rows", fix=fix))
        return X, y, weight

    def _train(self, model: Model, X: Any, y: Any, sample_weight: Any, kwargs: dict[str, Any]) -> None:
        model.fit(X, y, sample_weight=sample_weight, **kwargs)
        self.history_ = History()
        if model.history is not None:
            # Without the model, which is in model_ already.
            self.history_.set_state(model.history.get_state())
        self.model_ = model

    def _fit_kwargs(self, given: dict[str, Any]) -> dict[str, Any]:
        """Arguments of `Model.fit`; callbacks that are a parameter begin anew in every fit."""
        kept = dict(self.fit_kwargs or {})
        if "callbacks" in kept:
            kept["callbacks"] = copy.deepcopy(kept["callbacks"])
        return kept | given

    def _seeded(self) -> Any:
        return seeded(self.random_state)

    # ---- predicting

    def _predicted(self, X: Any) -> Any:
        """What the fitted model says."""
        check_is_fitted(self, "model_")
        size = (self.fit_kwargs or {}).get("batch_size")
        return self.model_.predict(self._checked(X, reset=False), batch_size=size, verbose=0)

    # ---- in files and other processes

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        for name in ("model", "model_"):
            if isinstance(state.get(name), Layer):
                state[name] = Frozen(state[name])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        thawed = {name: value.thawed() if isinstance(value, Frozen) else value for name, value in state.items()}
        super().__setstate__(thawed)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.random_state is None
        tags.input_tags.three_d_array = True
        return tags


def read_targets(y: Any) -> Any:
    """Targets, or weights, as lists, a Ragged or an array.

    Args:
        y: these, or a column or table.

    Returns:
        y, or an array or Ragged of what it holds.
    """
    if getattr(getattr(y, "dtype", None), "name", None) == "category":
        return np.asarray(y)
    if hasattr(y, "__array__") and not hasattr(y, "dtype") and not tables.is_columnar(y):
        return np.asarray(y)
    return tables.read(y, "y")


def required(estimator: Any, y: Any) -> Any:
    """Targets, which must be there.

    Args:
        estimator: for the error.
        y: targets.

    Returns:
        y.

    Raises:
        DataError: for None.
    """
    if y is None:
        got = "This estimator requires y to be passed, but the target y is None"  # words that scikit-learn looks for
        raise DataError(explain(type(estimator).__name__, expected="targets", got=got, fix="fit(X, y)"))
    return y


def first_answer(model: Model, X: Any) -> Any:
    """What a model says to the first row of X; the model and all random numbers stay as they were.

    Args:
        model: the model.
        X: at least one row.

    Returns:
        The output: an array with one row, or rows of one row.

    Raises:
        DTypeError: when the model has several outputs.
    """
    before = random.get_state()
    # Built now, it would have other weights than the same model has that `Model.fit` builds.
    found = (model if model.built else copy.deepcopy(model)).predict_on_batch(_safe_indexing(X, [0]))
    random.set_state(before)
    if isinstance(found, dict | tuple) or (isinstance(found, list) and len(found) != 1):
        fix = "a model for each output, or Model.fit itself"
        raise DTypeError(explain(f"model {model.name!r}", expected="one output", got=f"{len(found)}", fix=fix))
    return found
