"""Everything that the next training step depends on, as a tree of plain values and arrays, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from padless import random, saving
from padless.errors import ArgumentError, explain
from padless.layer import carried, carry
from padless.saving.optimizer_state import into_optimizer, of_optimizer
from padless.saving.transaction import all_or_nothing
from padless.saving.trees import Tree


def of_model(model: Any) -> Tree:
    """Weights, what layers keep from batch to batch, optimizer, random numbers: what the next step depends on.

    Args:
        model: built and compiled.

    Returns:
        A tree, with copies of all arrays.
    """
    host = model.backend.to_host
    return {
        "weights": model.state_dict(),
        "kept": {path: [np.array(host(array)) for array in arrays] for path, arrays in carried(model).items()},
        "optimizer": of_optimizer(model),
        "random": random.get_state(),
        "input": None if model._first_spec is None else saving.spec_config(model._first_spec),
    }


def check(model: Any, state: Tree) -> None:
    """Refuse the state of a model with another optimizer; a model without weights yet gets them.

    Args:
        model: compiled.
        state: as `of_model` gave it.

    Raises:
        ArgumentError: when the model cannot be that of the state.
    """
    name = type(model.optimizer).__name__
    if state["optimizer"]["class_name"] != name:
        raise ArgumentError(
            explain(
                "a backup",
                expected=f"the state of {name}, the optimizer of the model",
                got=f"that of {state['optimizer']['class_name']}",
                fix="compile the model as for the run that was backed up, or name another folder",
            )
        )
    if not model.built and state["input"] is not None:
        model.trace(saving.standin_of(state["input"]))


def into_model(model: Any, state: Tree) -> None:
    """Set what the next step depends on.

    Args:
        model: compiled.
        state: as `of_model` gave it.

    Raises:
        ArgumentError: as `check`.
        ShapeError: when the weights are not those of the model.
        DataError: when the optimizer's state is not that of the model's; nothing is changed after an error.
    """
    with all_or_nothing(model):
        _into_model(model, state)
    random.set_state(state["random"])


def _into_model(model: Any, state: Tree) -> None:
    check(model, state)
    model.load_state_dict(state["weights"])
    asarray = model.backend.asarray
    model.reset_states()
    carry(model, {path: [asarray(array) for array in arrays] for path, arrays in state["kept"].items()})
    into_optimizer(model, state["optimizer"], "a backup")
