"""A model, a layer that adapts, or a Tokenizer as a transformer."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from padless.layer import Layer
from padless.model import Model
from padless.ragged import Ragged
from padless.text.tokenizer import Tokenizer
from padless.wrappers.base import ModelEstimator
from padless.wrappers.inputs import checked, is_rows, lengths_of


class SKLearnTransformer(TransformerMixin, ModelEstimator):  # type: ignore[misc]
    """What a model gives as a step of a pipeline; or what a layer that adapts, or a Tokenizer, makes of data.

    A model that is built needs no fit, so that one that was trained elsewhere can be frozen. Of a layer such as
    `TextVectorization`, and of a `Tokenizer`, each fit makes a new one that learns from the data it is given.

    Args:
        model: a compiled model; a function model(X=, y=, **model_kwargs) that makes one; a layer with `adapt`; or a
            Tokenizer.
        warm_start: whether a fit goes on with the weights of the one before.
        model_kwargs: further arguments of the function; `set_params(model_kwargs__units=8)` sets one of them.
        fit_kwargs: arguments of `Model.fit`; those given to `fit` itself come first. `verbose` is 0 unless said.
        random_state: a number that makes each fit draw the same weights and the same orders of rows.

    Attributes:
        model_: what was fitted.
        history_: of a model, what its `fit` returned.

    Example:
        >>> from padless.layers import TextVectorization
        >>> words = SKLearnTransformer(TextVectorization())
        >>> [row.tolist() for row in words.fit_transform(["a b a", "a"])]
        [[2, 3, 2], [2]]

    Source: `keras.wrappers.SKLearnTransformer`.
    """

    def fit(self, X: Any, y: Any = None, **kwargs: Any) -> Self:
        """Fit a model, or let a layer or a Tokenizer learn.

        Args:
            X: B rows.
            y: targets of the model.
            **kwargs: of `Model.fit`.

        Returns:
            The estimator.
        """
        if isinstance(self.model, Tokenizer) or (isinstance(self.model, Layer) and not isinstance(self.model, Model)):
            learns: Any = copy.deepcopy(self.model)
            learns.fit_on_texts(list(X)) if isinstance(learns, Tokenizer) else learns.adapt(X)
            self.model_ = learns
            return self
        x = checked(self, X, X if y is None else y)
        made = y if y is None or (is_rows(y) and lengths_of(y) is not None) else np.asarray(y)
        return self._fitted(x, made, lambda model: made, self._options(kwargs))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_") or (isinstance(self.model, Model) and self.model.built)

    def transform(self, X: Any) -> Any:
        """What the model gives.

        Args:
            X: B rows.

        Returns:
            An array, a Ragged, or of a Tokenizer lists of ids.
        """
        check_is_fitted(self)
        model = getattr(self, "model_", self.model)
        if isinstance(model, Tokenizer):
            return model.texts_to_sequences(list(X))
        if isinstance(model, Model):
            return self._predicted(X) if hasattr(self, "model_") else model.predict(X, verbose=0)
        made = model(X)
        return made.numpy() if isinstance(made, Ragged) else model.backend.to_host(made)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
