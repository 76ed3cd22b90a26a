"""SKLearnRegressor."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_array

from padless.wrappers import sequences
from padless.wrappers.estimator import ModelEstimator, read_targets, required


class SKLearnRegressor(RegressorMixin, ModelEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A model that predicts numbers, as a regressor of scikit-learn.

    Args:
        model: a compiled model, of which every fit trains a copy; or a function model(X, y, **model_kwargs) that makes
            one.
        warm_start: whether a second fit goes on with the model of the first.
        model_kwargs: arguments of the function.
        fit_kwargs: arguments of `Model.fit`; those given to `fit` itself come before them.
        random_state: a whole number makes weights, shuffling and dropout of a fit repeatable.

    Attributes:
        model_: the fitted model.
        history_: the `History` of the last fit.

    Shapes:
        X as in `Model.fit`, y (B,), (B, D), or numbers for each step in lists or a Ragged; predictions likewise.

    Raises:
        NotBuiltError: in `fit`, for a model that is not compiled.

    Example:
        >>> import numpy as np, padless
        >>> from padless import layers
        >>> from padless.wrappers import SKLearnRegressor
        >>> def make(X, y, units=4):
        ...     model = padless.Sequential([layers.LSTM(units), layers.Dense(1)])
        ...     model.compile("adam", "mse")
        ...     return model
        >>> x = [np.ones((2, 3)), np.zeros((5, 3)), np.ones((1, 3))]
        >>> regressor = SKLearnRegressor(make, fit_kwargs={"verbose": 0}, random_state=1).set_params(model__units=2)
        >>> regressor.fit(x, [1.0, 0.0, 1.0]).predict(x).shape
        (3,)

    Source: Keras 3.15.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> Self:
        """Train.

        Args:
            X: sequences in a list or Ragged, a padded array, a column, or an array of features.
            y: numbers, one or a vector for each row, or for each step.
            sample_weight: (B,); or for each step.
            **kwargs: for `Model.fit`.

        Returns:
            The estimator.
        """
        X, y, weight = self._read(X, required(self, y), sample_weight)
        targets = self._targets(y)
        with self._seeded():
            model = self._start(X, targets)
            self._require_compiled(model)
            arguments = self._fit_kwargs(kwargs)
            held_out = arguments.get("validation_data")
            if isinstance(held_out, tuple | list):
                x, given, *rest = held_out
                arguments["validation_data"] = (self._checked(x, reset=False), self._targets(given), *rest)
            self._train(model, X, targets, weight, arguments)
        return self

    def _targets(self, y: Any) -> Any:
        y = read_targets(y)
        if sequences.are_rows(y):
            self._flat = False
            return y
        y = check_array(y, ensure_2d=False, dtype="numeric", input_name="y")
        self._flat = y.ndim == 1
        return y

    def predict(self, X: Any) -> Any:
        """Predict.

        Args:
            X: as in `fit`.

        Returns:
            (B,) where y was, else as the model gives it.
        """
        found = self._predicted(X)
        return found[:, 0] if self._flat and isinstance(found, np.ndarray) and found.shape[1:] == (1,) else found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R squared; over all steps where there is a number for each.

        Args:
            X: as in `fit`.
            y: targets.
            sample_weight: (B,), or for each step.

        Returns:
            1 at best.
        """
        y = read_targets(y)
        if not sequences.are_rows(y):
            return float(super().score(X, y, sample_weight))
        true, found = sequences.beside(sequences.packed(y), self.predict(X))
        weight = sequences.step_weights(sample_weight, sequences.packed(y))
        return float(r2_score(true.reshape(len(true), -1), found.reshape(len(found), -1), sample_weight=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        tags.target_tags.multi_output = True
        return tags
