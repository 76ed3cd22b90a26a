"""SKLearnTransformer."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from padless import backends
from padless.layer import Layer
from padless.model import Model
from padless.ragged import Ragged
from padless.wrappers.estimator import ModelEstimator, required


class SKLearnTransformer(TransformerMixin, ModelEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A model, a layer that prepares data or a Tokenizer, as a step of a scikit-learn pipeline.

    A compiled model is trained on X and y, and its outputs are handed on. A layer with `adapt`, such as
    TextVectorization, and a `Tokenizer` learn from X alone; they hand on sequences, which no step pads.

    Args:
        model: the model, layer or Tokenizer, of which every fit trains a copy; or a function model(X, y,
            **model_kwargs) that makes one.
        warm_start: whether a second fit goes on with what the first learned.
        model_kwargs: arguments of the function.
        fit_kwargs: arguments of `Model.fit` or `adapt`; those given to `fit` itself come before them.
        random_state: a whole number makes weights, shuffling and dropout of a fit repeatable.

    Attributes:
        model_: what was fitted.
        history_: of a model, the `History` of the last fit.

    Shapes:
        As of the model, layer or Tokenizer.

    Raises:
        NotBuiltError: in `fit`, for a model that is not compiled.

    Example:
        >>> from padless import layers
        >>> from padless.wrappers import SKLearnTransformer
        >>> SKLearnTransformer(layers.TextVectorization()).fit_transform(["the cat", "the end of the"]).to_list()
        [[2, 5], [2, 4, 3, 2]]

    Source: Keras 3.15, whose one takes models alone.
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Self:
        """Train or adapt.

        Args:
            X: sequences in a list or Ragged, texts, a padded array, a column, or an array of features.
            y: targets of a model.
            sample_weight: (B,); or for each step.
            **kwargs: for `Model.fit` or `adapt`.

        Returns:
            The estimator.
        """
        with self._seeded():
            X, y, weight = self._read(X, y, sample_weight)
            made: Any = self._start(X, y)
            if hasattr(made, "adapt") and not isinstance(made, Model):
                made.adapt(X, **self._fit_kwargs(kwargs))
                self.model_ = made
            elif hasattr(made, "fit_on_texts"):
                made.fit_on_texts(X, **self._fit_kwargs(kwargs))
                self.model_ = made
            else:
                self._require_compiled(made)
                self._train(made, X, required(self, y), weight, self._fit_kwargs(kwargs))
        return self

    def transform(self, X: Any) -> Any:
        """Compute what the next step is to get.

        Args:
            X: as in `fit`.

        Returns:
            An array, or sequences where the model or layer gives such.
        """
        check_is_fitted(self, "model_")
        if isinstance(self.model_, Model):
            return self._predicted(X)
        if isinstance(self.model_, Layer):
            return _on_host(self.model_(self._checked(X, reset=False)))
        return self.model_.texts_to_sequences(self._checked(X, reset=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        tags.target_tags.required = isinstance(self.model, Model)
        return tags


def _on_host(made: Any) -> Any:
    """What a layer gives, for steps that know NumPy alone."""
    if isinstance(made, list):
        return [_on_host(row) for row in made]
    return made.numpy() if isinstance(made, Ragged) else backends.of(made).to_host(made)
