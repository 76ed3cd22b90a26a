"""Optimizers: how gradients change weights; formulas, names and defaults of Keras 3.15."""

from __future__ import annotations

import functools
import types
from typing import Any

from padless import backends
from padless.backends.base import Backend
from padless.errors import ArgumentError, explain
from padless.named import find
from padless.optimizers.absent import Absent, LostOptimizerWarning
from padless.optimizers.adam import Adam, Adamax, AdamW, Lamb, Nadam
from padless.optimizers.arguments import Common
from padless.optimizers.base import Array, LearningRate, Optimizer, Slots
from padless.optimizers.descent import SGD, Lion
from padless.optimizers.ftrl import Ftrl
from padless.optimizers.loss_scale import LossScaleOptimizer
from padless.optimizers.muon import Muon
from padless.optimizers.squares import Adadelta, Adafactor, Adagrad, RMSprop

__all__ = [
    "SGD", "Absent", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Array", "Common", "Ftrl", "Lamb",
    "LearningRate", "Lion", "LossScaleOptimizer", "LostOptimizerWarning", "Muon", "Nadam", "Optimizer", "RMSprop",
    "Slots", "get",
]  # fmt: skip

_KINDS = (SGD, Adadelta, Adafactor, Adagrad, Adam, Adamax, AdamW, Ftrl, Lamb, Lion, Muon, Nadam, RMSprop)
_KNOWN: dict[str, type[Optimizer]] = {name: kind for kind in _KINDS for name in (kind.__name__, kind.__name__.lower())}
_WRAPPING: dict[str, type[Optimizer]] = {"LossScaleOptimizer": LossScaleOptimizer}
"""Known from files; they need another optimizer."""
_KERAS_ONLY = ("multi_optimizer", "optimizer_map", "schedule_free_adam_w")


def get(identifier: Any, backend: Backend | None = None) -> Optimizer:
    """Find an optimizer.

    Args:
        identifier: a name in any case, an object, a class, or a config as in a model's file; on JAX also a
            transformation of optax, or anything else with its `init` and `update`; on torch also a class of
            torch.optim, a functools.partial of one, or a function that makes one of a list of parameters.
        backend: of the model; the current one by default.

    Returns:
        The optimizer.

    Raises:
        ArgumentError: when there is no such name; it gives the nearest one. When a transformation or a class of torch
            comes to another backend, or an optimizer of torch that has its parameters already.
        NotThereYetError: when Keras has it and padless does not yet.

    Example:
        >>> get("RMSprop").learning_rate
        0.001
    """
    if _transforms(identifier):
        return (backend or backends.current()).transforming(identifier)
    if _of_torch(type(identifier)):
        raise ArgumentError(
            explain(
                "optimizer",
                expected="what makes an optimizer: the parameters of a model come to it later",
                got=f"a {type(identifier).__name__} that was made of parameters already",
                fix=f"functools.partial(torch.optim.{type(identifier).__name__}, lr=...)",
            )
        )
    if _makes_one_of_torch(identifier):
        return (backend or backends.current()).making(identifier)
    name = identifier.lower() if isinstance(identifier, str) and identifier.lower() in _KNOWN else identifier
    return find("optimizer", name, _KNOWN | _WRAPPING, Optimizer, _KERAS_ONLY)


def _of_torch(kind: type) -> bool:
    """Whether a class is an optimizer of torch, which need not be installed."""
    return any((base.__module__, base.__name__) == ("torch.optim.optimizer", "Optimizer") for base in kind.__mro__)


def _makes_one_of_torch(identifier: Any) -> bool:
    if isinstance(identifier, functools.partial):
        return _makes_one_of_torch(identifier.func)
    if isinstance(identifier, type):
        return _of_torch(identifier)
    return isinstance(identifier, types.FunctionType | types.MethodType)


def _transforms(identifier: Any) -> bool:
    """Whether something has the two functions of optax: init(weights) and update(gradients, state, weights)."""
    ours = isinstance(identifier, Optimizer | type)
    return not ours and all(callable(getattr(identifier, name, None)) for name in ("init", "update"))
