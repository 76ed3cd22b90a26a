"""SKLearnClassifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score

from padless.errors import ArgumentError, DataError, ShapeError, explain
from padless.losses import RowLoss
from padless.model import Model
from padless.ragged import Ragged
from padless.wrappers import sequences
from padless.wrappers.estimator import ModelEstimator, first_answer, read_targets, required
from padless.wrappers.labels import Labels


class SKLearnClassifier(ClassifierMixin, ModelEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A model that tells classes, as a classifier of scikit-learn.

    Labels may be numbers or texts. What the model is trained on depends on it: numbers of classes for a sparse
    loss, 0 and 1 for a single output, else a vector of 0 and 1, as Keras does always.

    Args:
        model: a compiled model, of which every fit trains a copy; or a function model(X, y, **model_kwargs) that makes
            one. Its y are the vectors: y.shape[-1] is the number of classes.
        warm_start: whether a second fit goes on with the model of the first.
        model_kwargs: arguments of the function.
        fit_kwargs: arguments of `Model.fit`; those given to `fit` itself come before them. The keys of class_weight are
            labels; "balanced" is known.
        random_state: a whole number makes weights, shuffling and dropout of a fit repeatable.

    Attributes:
        model_: the fitted model.
        history_: the `History` of the last fit.
        classes_: the labels, sorted.

    Shapes:
        X as in `Model.fit`; y one label for each row, (B, classes) of 0 and 1, or a label for each step in lists or a
        Ragged. Predictions likewise.

    Raises:
        NotBuiltError: in `fit`, for a model that is not compiled.
        DataError: in `fit`, when there is one class only.
        ShapeError: in `fit`, when the model has another number of outputs than there are classes.

    Example:
        >>> import numpy as np, padless
        >>> from padless import layers
        >>> from padless.wrappers import SKLearnClassifier
        >>> def make(X, y, units=4):
        ...     outputs = layers.Dense(y.shape[-1], activation="softmax")
        ...     model = padless.Sequential([layers.Embedding(10, 4), layers.LSTM(units), outputs])
        ...     model.compile("adam", "categorical_crossentropy")
        ...     return model
        >>> classifier = SKLearnClassifier(make, model_kwargs={"units": 3}, fit_kwargs={"verbose": 0})
        >>> classifier.fit([[1, 2, 3], [4], [5, 6]], ["good", "bad", "good"]).classes_.tolist()
        ['bad', 'good']
        >>> classifier.predict_proba([[1], [2, 3]]).shape
        (2, 2)

    Source: Keras 3.15.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> Self:
        """Train.

        Args:
            X: sequences in a list or Ragged, a padded array, a column, or an array of features.
            y: labels.
            sample_weight: (B,); or for each step.
            **kwargs: for `Model.fit`.

        Returns:
            The estimator.
        """
        X, y, weight = self._read(X, required(self, y), sample_weight)
        if not (self.warm_start and hasattr(self, "model_")):
            self.labels_ = Labels(y)
            self.classes_ = self.labels_.classes
        with self._seeded():
            model = self._start(X, self.labels_.encoded(y, ids=False))
            self._require_compiled(model)
            self._look_at_outputs(model, X)
            arguments = self._fit_kwargs(kwargs)
            if "class_weight" in arguments:
                arguments["class_weight"] = self.labels_.weights(arguments["class_weight"], y)
            held_out = arguments.get("validation_data")
            if isinstance(held_out, tuple | list):
                x, given, *rest = held_out
                arguments["validation_data"] = (
                    self._checked(x, reset=False),
                    self._targets(read_targets(given)),
                    *rest,
                )
            self._train(model, X, self._targets(y), weight, arguments)
        return self

    def _look_at_outputs(self, model: Model, X: Any) -> None:
        """See whether the model's outputs are those of the labels, and which targets its loss wants."""
        found = first_answer(model, X)
        rows = isinstance(found, list | Ragged)
        scores = found[0] if rows else found
        labels, decided = self.labels_, "int" in str(scores.dtype)
        if rows != labels.steps or (not rows and scores.ndim != 1 + (not decided)):
            expected = f"{'an answer' if labels.steps else 'one answer'} for each {'step' if labels.steps else 'row'}"
            fix = (
                "for labels of steps: X as a list or Ragged.from_padded(x, mask), and a model that keeps the rows; for "
            )
            fix += "labels of rows: a layer that pools them, such as LSTM or GlobalMaxPooling1D"
            got = "rows of answers" if rows else f"an array of {scores.ndim} axes"
            raise DataError(explain(f"model {model.name!r}", expected=expected, got=got, fix=fix))
        self._width = None if decided else int(scores.shape[-1])
        wanted = {None, len(labels.classes)} | ({1} if len(labels.classes) == 2 and not labels.several else set())
        if self._width not in wanted:
            got = f"{self._width} outputs for the classes {labels.classes[:20].tolist()}"
            fix = "a function model(X, y) with Dense(y.shape[-1]), and folds that hold every class (StratifiedKFold)"
            raise ShapeError(explain(f"model {model.name!r}", expected="an output for each class", got=got, fix=fix))
        name = getattr(model.loss, "name", "")
        reads_numbers = isinstance(model.loss, RowLoss) or name.startswith("sparse") or name == "crossentropy"
        self._ids = self._width != 1 and reads_numbers

    def _targets(self, y: Any) -> Any:
        return self.labels_.encoded(y, ids=self._ids, width=self._width)

    # ---- predicting

    def _each(self, X: Any, function: Callable[[Any], Any]) -> Any:
        """A function of what the model says, row by row where there are rows."""
        found = self._predicted(X)
        if isinstance(found, list):
            return [function(row) for row in found]
        return found.with_flat_values(function(found.flat_values)) if isinstance(found, Ragged) else function(found)

    def predict(self, X: Any) -> Any:
        """The most probable label.

        Args:
            X: as in `fit`.

        Returns:
            (B,) labels; (B, classes) of 0 and 1 where a row may have several; for labels of steps the form of X.
        """
        return self._each(X, self._decided)

    def _decided(self, scores: Any) -> Any:
        if self._width is None:
            return self.classes_[scores]
        if self.labels_.several:
            return (self._margin(scores) > 0).astype(np.int64)
        if self._width == 1:
            return self.classes_[(self._margin(scores)[..., 0] > 0).astype(np.int64)]
        return self.classes_[scores.argmax(axis=-1)]

    def predict_proba(self, X: Any) -> Any:
        """The probability of each class: of no and yes for a single output.

        Args:
            X: as in `fit`.

        Returns:
            (B, classes); for labels of steps the form of X.

        Raises:
            ArgumentError: when the model gives something else than probabilities or logits that its loss knows of.
        """
        return self._each(X, self._probabilities)

    def _probabilities(self, scores: Any) -> Any:
        alone = self._width == 1 or self.labels_.several
        found = scores
        if self._reads_logits():
            found = expit(scores) if alone else softmax(scores, axis=-1)
        if self._width is None or (found.size and (found.min() < 0 or found.max() > 1)):
            fix = "a softmax or sigmoid at the end of the model, or from_logits=True in the loss; decision_function(X)"
            got = "decided labels" if self._width is None else "numbers outside 0 to 1"
            raise ArgumentError(explain("predict_proba", expected="probabilities", got=got, fix=fix))
        return np.concatenate([1 - found, found], axis=-1) if self._width == 1 else found

    def decision_function(self, X: Any) -> Any:
        """What the model says, as scikit-learn wants it: for two classes one number, over 0 for the second.

        Args:
            X: as in `fit`.

        Returns:
            (B,) for two classes, else (B, classes); for labels of steps the form of X.
        """
        return self._each(X, self._decision)

    def _decision(self, scores: Any) -> Any:
        if self._width == 1:
            return self._margin(scores)[..., 0]
        if self._width == 2 and not self.labels_.several:
            return scores[..., 1] - scores[..., 0]
        return scores

    def _margin(self, scores: Any) -> Any:
        """By how much a yes is the more probable answer."""
        return scores if self._reads_logits() else scores - 0.5

    def _reads_logits(self) -> bool:
        return bool(getattr(self.model_.loss, "from_logits", False))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy; over all steps where there is a label for each.

        Args:
            X: as in `fit`.
            y: labels.
            sample_weight: (B,), or for each step.

        Returns:
            From 0 to 1.
        """
        y = read_targets(y)
        if not sequences.are_rows(y):
            return float(super().score(X, y, sample_weight))
        truth = sequences.packed(y)
        weight = sequences.step_weights(sample_weight, truth)
        return float(accuracy_score(*sequences.beside(truth, self.predict(X)), sample_weight=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        tags.classifier_tags.multi_label = True
        return tags
