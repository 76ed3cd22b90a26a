"""Everything that the next training step depends on, as a tree of plain values and arrays, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from padless import random, saving
from padless.errors import ArgumentError, explain
from padless.layer import carried, carry

Tree = Any
"""Texts, numbers, booleans, None and NumPy arrays, in dicts by text and in lists."""
_ARRAY = "__array__"


def apart(tree: Tree, where: str) -> tuple[Tree, dict[str, np.ndarray[Any, Any]]]:
    """A tree as JSON can hold it, with the places of its arrays, and these.

    Args:
        tree: the tree.
        where: what it is, for errors.

    Returns:
        What JSON can hold, and the arrays by number.

    Raises:
        ArgumentError: when something else stands in it.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}

    def plain(value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            key = str(len(arrays))
            arrays[key] = value
            return {_ARRAY: key}
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        raise ArgumentError(
            explain(
                where,
                expected="texts, numbers, None and NumPy arrays, in dicts by text and in lists",
                got=repr(value)[:80],
                fix="get_state() that gives these",
            )
        )

    return plain(tree), arrays


def together(tree: Tree, arrays: dict[str, np.ndarray[Any, Any]]) -> Tree:
    """What `apart` took apart.

    Args:
        tree: what JSON holds.
        arrays: by number.

    Returns:
        The tree; tuples are lists.
    """
    if isinstance(tree, list):
        return [together(item, arrays) for item in tree]
    if isinstance(tree, dict):
        if tree.keys() == {_ARRAY}:
            return arrays[tree[_ARRAY]]
        return {key: together(item, arrays) for key, item in tree.items()}
    return tree


def of_model(model: Any) -> Tree:
    """Weights, what layers keep from batch to batch, optimizer, random numbers: what the next step depends on.

    Args:
        model: built and compiled.

    Returns:
        A tree, with copies of all arrays.
    """
    host = model.backend.to_host
    optimizer = model.optimizer
    rate = optimizer._learning_rate
    return {
        "weights": model.state_dict(),
        "kept": {path: [np.array(host(array)) for array in arrays] for path, arrays in carried(model).items()},
        "optimizer": {
            "class_name": type(optimizer).__name__,
            "iterations": optimizer.iterations,
            "gathered_batches": optimizer.gathered_batches,
            "learning_rate": rate if isinstance(rate, float) else None,
            "slots": {
                name: {path: np.array(host(array)) for path, array in slot.items()}
                for name, slot in optimizer.slots.items()
            },
        },
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
        ShapeError: when the weights are not those of the model; nothing is changed then.
    """
    check(model, state)
    model.load_state_dict(state["weights"])
    asarray = model.backend.asarray
    model.reset_states()
    carry(model, {path: [asarray(array) for array in arrays] for path, arrays in state["kept"].items()})
    optimizer, remembered = model.optimizer, state["optimizer"]
    optimizer.iterations = remembered["iterations"]
    optimizer.gathered_batches = remembered["gathered_batches"]
    if remembered["learning_rate"] is not None:
        optimizer._learning_rate = remembered["learning_rate"]
    for name, slot in remembered["slots"].items():
        optimizer.slots[name] = {path: asarray(np.array(array)) for path, array in slot.items()}
    random.set_state(state["random"])
