"""What the estimators share: making the model, fitting it, its parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Self

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from padless import random, saving
from padless.callbacks import History
from padless.errors import ArgumentError, explain
from padless.model import Model
from padless.ragged import Ragged
from padless.wrappers.inputs import checked, is_rows

_KEYWORDS = ("model_kwargs", "fit_kwargs")


class ModelEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A model as an estimator.

    Args:
        model: a compiled model, of which each fit makes a new one with weights of its own; or a function
            model(X=, y=, **model_kwargs) that makes a compiled one.
        warm_start: whether a fit goes on with the weights of the one before.
        model_kwargs: further arguments of the function; `set_params(model_kwargs__units=8)` sets one of them.
        fit_kwargs: arguments of `Model.fit`; those given to `fit` itself come first. `verbose` is 0 unless said.
        random_state: a number that makes each fit draw the same weights and the same orders of rows.
    """

    def __init__(
        self,
        model: Any,
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
        random_state: int | None = None,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs
        self.random_state = random_state

    # ---- parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the estimator; with `deep`, those of the model and of fit by name as well.

        Args:
            deep: as of scikit-learn.

        Returns:
            Values by name, such as "model_kwargs__units".
        """
        found: dict[str, Any] = super().get_params(deep=False)
        if deep:
            for group in _KEYWORDS:
                if isinstance(found[group], dict):
                    found |= {f"{group}__{name}": value for name, value in found[group].items()}
        return found

    def set_params(self, **params: Any) -> Self:
        """Change arguments of the estimator, the model ("model_kwargs__units") or fit ("fit_kwargs__epochs").

        Args:
            **params: values by name.

        Returns:
            The estimator.
        """
        inner = {name: value for name, value in params.items() if name.partition("__")[0] in _KEYWORDS and "__" in name}
        super().set_params(**{name: value for name, value in params.items() if name not in inner})
        for name, value in inner.items():
            group, _, key = name.partition("__")
            # A new dict: the estimator that this one was cloned from may hold the same.
            setattr(self, group, {**(getattr(self, group) or {}), key: value})
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.random_state is None
        return tags

    # ---- fitting

    def _fitted(self, x: Any, y: Any, targets: Callable[[Model], Any], options: dict[str, Any]) -> Self:
        """Make a model and fit it; `targets` says what it reads of y."""
        with _drawing(self.random_state):
            model = self._made(x, y)
            if not model.compiled or model.loss is None:
                fix = 'model.compile(optimizer="adam", loss="sparse_categorical_crossentropy") in the function'
                raise ArgumentError(
                    explain(type(self).__name__, expected="a compiled model with a loss", got=repr(model), fix=fix)
                )
            history = model.fit(x, targets(model), **options)
        # Without the model, which is here once.
        self.history_ = History()
        self.history_.set_state(history.get_state())
        self.model_ = model
        return self

    def _made(self, x: Any, y: Any) -> Model:
        if self.warm_start and hasattr(self, "model_"):
            return self.model_
        if isinstance(self.model, Model):
            return self.model if self.warm_start else anew(self.model)
        made = self.model(X=x, y=y, **(self.model_kwargs or {}))
        if not isinstance(made, Model):
            where = f"{type(self).__name__}(model=...)"
            raise ArgumentError(
                explain(where, expected="a function that returns a model", got=repr(made), fix="return model")
            )
        return made

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"verbose": 0, **(self.fit_kwargs or {}), **given}

    def _predicted(self, x: Any) -> Any:
        """What the model gives: an array, or a Ragged on the host where it gives something for each step."""
        check_is_fitted(self)
        spec = self.model_._first_spec
        timed = isinstance(spec, tuple) and len(spec) > 1 and spec[1] is None
        made = self.model_.predict(checked(self, x, any_width=timed and not is_rows(x)), verbose=0)
        if isinstance(made, list):  # rows came as a list
            return Ragged.from_list(made)
        return made.numpy() if isinstance(made, Ragged) else made

    @property
    def epoch_(self) -> int:
        """Number of epochs of the last fit."""
        return len(self.history_.epoch) if hasattr(self, "history_") else 0


def anew(model: Model) -> Model:
    """A model of the same layers and arguments, with weights that are drawn when it is built.

    Args:
        model: a compiled one.

    Returns:
        A compiled one.

    Example:
        >>> import padless
        >>> model = padless.Sequential([padless.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> anew(model).compiled
        True
    """
    made: Model = saving.deserialize(saving.serialize(model))
    if model.compiled:
        made.compile(**saving.deserialize(saving.serialize(model.compile_arguments)))
    return made


@contextlib.contextmanager
def _drawing(seed: int | None) -> Iterator[None]:
    """Within this context, draw by this seed; what is drawn after it is as if nothing had been."""
    if seed is None:
        yield
        return
    before = random.get_state()
    random.set_random_seed(seed)
    try:
        yield
    finally:
        random.set_state(before)
