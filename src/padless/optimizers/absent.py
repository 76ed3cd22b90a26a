"""What stands in a loaded model for an optimizer that no file can hold."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Self

from padless.backends.base import Backend
from padless.errors import ArgumentError, explain
from padless.optimizers.base import Array, Optimizer


class Absent(Optimizer):
    """Stands in a loaded model for an optimizer that no file can hold; training says so, everything else works.

    Args:
        what: the optimizer that the saved model had.

    Example:
        >>> Absent("an optax transformation").get_config()
        {'what': 'an optax transformation'}
    """

    def __init__(self, what: str) -> None:
        super().__init__(0.0)
        self.what = what

    @property
    def _again(self) -> str:
        return explain(
            "optimizer of a loaded model",
            expected="one whose arguments are in the file",
            got=f"{self.what}, which no file can hold; the weights, the loss and the metrics are there",
            fix="model.compile(optimizer=..., loss=..., metrics=...) as for the model that was saved, before training",
        )

    def prepare(self, backend: Backend, weights: dict[str, Array]) -> None:
        """Refuse to train.

        Args:
            backend: of the arrays.
            weights: arrays by path.

        Raises:
            ArgumentError: always.
        """
        raise ArgumentError(self._again)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"what": self.what}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:  # noqa: D102
        made = cls(**config)
        warnings.warn(made._again, LostOptimizerWarning, stacklevel=2)
        return made


class LostOptimizerWarning(UserWarning):
    """A model was loaded whose optimizer its file does not hold."""
