"""A model as a regressor."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import check_array
from sklearn.utils.multiclass import type_of_target

from padless.ragged import Ragged
from padless.wrappers.base import ModelEstimator
from padless.wrappers.inputs import checked, is_rows, lengths_of


class SKLearnRegressor(RegressorMixin, ModelEstimator):  # type: ignore[misc]
    """A model as a regressor of scikit-learn: numbers for each row, or for each step of it.

    Args:
        model: a compiled model, of which each fit makes a new one with weights of its own; or a function
            model(X=, y=, **model_kwargs) that makes a compiled one. y has two axes there, as in Keras.
        warm_start: whether a fit goes on with the weights of the one before.
        model_kwargs: further arguments of the function; `set_params(model_kwargs__units=8)` sets one of them.
        fit_kwargs: arguments of `Model.fit`; those given to `fit` itself come first. `verbose` is 0 unless said.
        random_state: a number that makes each fit draw the same weights and the same orders of rows.

    Attributes:
        model_: the fitted model.
        history_: what its `fit` returned.

    Example:
        >>> import numpy as np
        >>> from padless import Sequential, layers
        >>> model = Sequential([layers.GlobalAveragePooling1D(), layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> estimator = SKLearnRegressor(model)
        >>> estimator.fit([np.ones((2, 3)), np.zeros((1, 3))], [1.0, 0.0]).predict([np.ones((5, 3))]).shape
        (1,)

    Source: `keras.wrappers.SKLearnRegressor`.
    """

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Self:
        """Fit a model.

        Args:
            X: B rows.
            y: (B,) or (B, outputs) numbers, or a Ragged or list with some for each step.
            **kwargs: of `Model.fit`.

        Returns:
            The estimator.
        """
        x = checked(self, X, y)
        options = self._options(kwargs)
        made = self._read(x, y)
        self._flat = not isinstance(made, Ragged) and np.asarray(y).ndim == 1
        if options.get("validation_data") is not None:
            held, held_y, *weights = options["validation_data"]
            options["validation_data"] = (held, self._read(held, held_y), *weights)
        return self._fitted(x, made, lambda model: made, options)

    def _read(self, x: Any, y: Any) -> Any:
        if isinstance(y, Ragged):
            return y
        lengths = lengths_of(y) if is_rows(x) and isinstance(y, list | tuple) and len(y) else None
        if lengths is not None and lengths == lengths_of(x):
            return Ragged.from_list([np.asarray(row, np.float32) for row in y])
        type_of_target(y, input_name="y", raise_unknown=True)
        made = check_array(y, ensure_2d=False, dtype="numeric", input_name="y")
        return made[:, None] if made.ndim == 1 else made

    def predict(self, X: Any) -> Any:
        """What the model gives.

        Args:
            X: B rows.

        Returns:
            (B,) or (B, outputs), as y was; a Ragged where there are numbers for steps.
        """
        made = self._predicted(X)
        return made.reshape(-1) if self._flat and not isinstance(made, Ragged) else made

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R2, over all steps where there are numbers for steps.

        Args:
            X: B rows.
            y: numbers.
            sample_weight: (B,) of rows.

        Returns:
            At most 1.
        """
        made: Any = self.predict(X)
        if not isinstance(made, Ragged):
            return float(super().score(X, y, sample_weight))
        right = self._read(X, y)
        weights = None if sample_weight is None else np.asarray(sample_weight)[right.rows.value_rowids]
        flat = (np.asarray(each.numpy().values).reshape(right.rows.nvals, -1) for each in (right, made))
        return float(r2_score(*flat, sample_weight=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        tags.target_tags.multi_output = True
        return tags
