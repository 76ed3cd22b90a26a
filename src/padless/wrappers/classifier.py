"""A model as a classifier."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight

from padless.losses import get as loss_of
from padless.model import Model
from padless.ragged import Ragged
from padless.wrappers.base import ModelEstimator
from padless.wrappers.inputs import checked
from padless.wrappers.labels import Indicators, StepLabels, labels_of, steps_of, targets

NDArray = np.ndarray[Any, Any]


class SKLearnClassifier(ClassifierMixin, ModelEstimator):  # type: ignore[misc]
    """A model as a classifier of scikit-learn: of rows, or of each step of them, for sequences of any length.

    X is a list of sequences, a `Ragged`, an Arrow column, a padded array, or a table (B, D). y has a label for each
    row; or in a list or Ragged one for each step, or a column of 0 and 1 for each class. A function that makes the
    model is given y as one column for each class, as in Keras. The model reads what its loss wants: numbers of the
    classes for sparse losses, 0 and 1 for a single output, else a column for each class.

    Args:
        model: a compiled model, of which each fit makes a new one with weights of its own; or a function
            model(X=, y=, **model_kwargs) that makes a compiled one.
        warm_start: whether a fit goes on with the weights of the one before.
        model_kwargs: further arguments of the function; `set_params(model_kwargs__units=8)` sets one of them.
        fit_kwargs: arguments of `Model.fit`; those given to `fit` itself come first. `verbose` is 0 unless said.
            `class_weight` goes by labels, or is "balanced".
        random_state: a number that makes each fit draw the same weights and the same orders of rows.

    Attributes:
        model_: the fitted model.
        history_: what its `fit` returned.
        classes_: the labels, in order.

    Example:
        >>> from padless import Sequential, layers
        >>> def classify(X, y, units=4):
        ...     model = Sequential([layers.Embedding(10, units), layers.GlobalAveragePooling1D(),
        ...                         layers.Dense(y.shape[1], activation="softmax")])
        ...     model.compile("adam", "categorical_crossentropy")
        ...     return model
        >>> estimator = SKLearnClassifier(classify, fit_kwargs={"epochs": 60}, random_state=0)
        >>> x = [[1, 2], [1], [3, 4, 4], [4]]
        >>> estimator.fit(x * 8, ["low", "low", "high", "high"] * 8).predict(x).tolist()
        ['low', 'low', 'high', 'high']

    Source: `keras.wrappers.SKLearnClassifier`.
    """

    _labels: Any = None

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Self:
        """Fit a model.

        Args:
            X: B rows.
            y: labels.
            **kwargs: of `Model.fit`.

        Returns:
            The estimator.
        """
        x = checked(self, X, y)
        self._labels = labels = labels_of(x, y)
        self.classes_ = labels.classes
        options = self._options(kwargs)
        if options.get("class_weight") is not None:
            options["class_weight"] = self._class_weight(options["class_weight"], y)

        def read(model: Model) -> Any:
            width = _width(model, x)
            if options.get("validation_data") is not None:
                held, held_y, *weights = options["validation_data"]
                options["validation_data"] = (held, targets(labels, held_y, model, width), *weights)
            return targets(labels, y, model, width)

        return self._fitted(x, labels.one_hot(y), read, options)

    def _class_weight(self, given: Any, y: Any) -> dict[int, float]:
        """By number of the class."""
        if given == "balanced":
            codes = self._labels.codes(y)
            each = np.asarray(codes.values if isinstance(codes, Ragged) else codes)
            return dict(enumerate(compute_class_weight("balanced", classes=np.unique(each), y=each).tolist()))
        return {at: float(given[label]) for at, label in enumerate(self.classes_.tolist()) if label in given}

    def decision_function(self, X: Any) -> Any:
        """What the model gives.

        Args:
            X: B rows.

        Returns:
            (B, classes), or (B, 1); a Ragged where there are labels of steps.
        """
        return self._predicted(X)

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the classes.

        Args:
            X: B rows.

        Returns:
            (B, classes); a list of B arrays (steps, classes) where there are labels of steps.
        """
        raw = self.decision_function(X)
        if isinstance(raw, Ragged):
            flat = self._probabilities(np.asarray(raw.values))
            return list(raw.with_values(flat))
        return self._probabilities(np.asarray(raw))

    def _probabilities(self, raw: NDArray) -> NDArray:
        logits = getattr(loss_of(self.model_.loss), "arguments", {}).get("from_logits", False)
        if isinstance(self._labels, Indicators):
            return _sigmoid(raw) if logits else raw
        if raw.shape[-1] == 1:
            second = _sigmoid(raw) if logits else raw
            return np.concatenate([1 - second, second], axis=-1)
        return _softmax(raw) if logits else raw

    def predict(self, X: Any) -> Any:
        """The most probable class.

        Args:
            X: B rows.

        Returns:
            (B,) labels; a list of B arrays where there are labels of steps; (B, classes) of 0 and 1 where a row has any
            number of them.
        """
        raw = self.decision_function(X)
        values = np.asarray(raw.values if isinstance(raw, Ragged) else raw)
        made = values
        if values.dtype.kind not in "iu":  # a CRF decides itself
            made = self._probabilities(values)
            made = made if isinstance(self._labels, Indicators) else made.argmax(-1)
        return self._labels.back(raw.with_values(made) if isinstance(raw, Ragged) else made)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of rows, or of steps, that are right.

        Args:
            X: B rows.
            y: labels.
            sample_weight: (B,) of rows.

        Returns:
            From 0 to 1.
        """
        if not isinstance(self._labels, StepLabels):
            return float(super().score(X, y, sample_weight))
        made = self.predict(X)
        weights = np.ones(len(made)) if sample_weight is None else np.asarray(sample_weight)
        of_steps = np.repeat(weights, [len(row) for row in made])
        return float(np.average(steps_of(made) == steps_of(y), weights=of_steps))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        tags.classifier_tags.multi_label = True
        return tags


def _width(model: Model, x: Any) -> int:
    """Numbers that a model gives for a row or a step; it is built by that."""
    raw = model.predict(x[:1], verbose=0)
    shape = raw[0].shape if isinstance(raw, Ragged | list) else raw.shape
    return int(shape[-1]) if len(shape) > 1 else 0


def _sigmoid(x: NDArray) -> NDArray:
    made: NDArray = 0.5 * (1 + np.tanh(0.5 * x))
    return made


def _softmax(x: NDArray) -> NDArray:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    made: NDArray = powers / powers.sum(axis=-1, keepdims=True)
    return made
