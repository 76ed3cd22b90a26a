"""What the optimizer of a model remembers, as a tree for padless's own files, and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from padless.errors import DataError, explain
from padless.saving import keras_optimizers
from padless.saving.trees import Tree


def of_optimizer(model: Any) -> Tree:
    """What an optimizer remembers.

    Args:
        model: compiled.

    Returns:
        A tree, with copies of all arrays.
    """
    host, optimizer = model.backend.to_host, model.optimizer
    rate = optimizer._learning_rate
    return {
        "class_name": type(optimizer).__name__,
        "iterations": optimizer.iterations,
        "gathered_batches": optimizer.gathered_batches,
        "learning_rate": rate if isinstance(rate, float) else None,
        "slots": {
            name: {path: np.array(host(array)) for path, array in slot.items()}
            for name, slot in optimizer.slots.items()
        },
    }


def into_optimizer(model: Any, tree: Tree, where: str) -> None:
    """Have an optimizer remember what a tree says.

    Args:
        model: built and compiled.
        tree: as `of_optimizer` gave it, maybe by way of a file.
        where: the file, for errors.

    Raises:
        DataError: when the tree is not that of this optimizer.
    """
    optimizer, asarray = model.optimizer, model.backend.asarray
    _check_numbers(tree, where)
    _check_kind(optimizer, tree, where)
    if keras_optimizers.known(optimizer):
        likes = _likes(model, tree["slots"])
        made: dict[str, dict[str, Any]] = {}
        for name, slot in tree["slots"].items():
            for path, array in slot.items():
                like = likes.get(name, {}).get(path)
                if like is None or tuple(like.shape) != np.shape(array):
                    got = f"{name!r} of {path!r} with shape {np.shape(array)}"
                    expected = f"what {type(optimizer).__name__} remembers of the weights of the model"
                    raise _refused(where, expected, got)
                made.setdefault(name, {})[path] = asarray(np.array(array), model.backend.dtype_name(like))
        optimizer.slots.clear()
    else:  # of another library, which knows by itself what it remembers
        slots = tree["slots"].items()
        made = {name: {path: asarray(np.array(array)) for path, array in slot.items()} for name, slot in slots}
    for name, slot in made.items():
        optimizer.slots[name] = slot
    optimizer.iterations, optimizer.gathered_batches = tree["iterations"], tree["gathered_batches"]
    if tree["learning_rate"] is not None:
        optimizer._learning_rate = float(tree["learning_rate"])


def _likes(model: Any, slots: Any) -> dict[str, dict[str, Any]]:
    """What the optimizer begins with, of all weights that are named: some may not be trained at present."""
    model.trained_weights()
    places = model.weight_slots()
    paths = {path: places[path] for slot in slots.values() for path in slot if path in places}
    with model.backend.no_gradient():
        model.optimizer.prepare(model.backend, {path: layer.__dict__[name] for path, (layer, name) in paths.items()})
    found: dict[str, dict[str, Any]] = model.optimizer.slots
    return found


def _check_kind(optimizer: Any, tree: Tree, where: str) -> None:
    name = type(optimizer).__name__
    if tree["class_name"] != name:
        expected, got = f"the state of {name}, the optimizer of the model", f"that of {tree['class_name']}"
        raise _refused(where, expected, got)


def _check_numbers(tree: Tree, where: str) -> None:
    names = ("class_name", "iterations", "gathered_batches", "learning_rate", "slots")
    absent = [name for name in names if not isinstance(tree, dict) or name not in tree]
    if absent:
        raise _refused(where, f"the state of an optimizer with {absent[0]!r}", "none")
    counts, rate = [tree["iterations"], tree["gathered_batches"]], tree["learning_rate"]
    sound = all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts)
    sound = sound and (rate is None or (isinstance(rate, int | float) and math.isfinite(rate)))
    if not sound:
        raise _refused(where, "numbers of steps, and a learning rate", f"{counts}, {rate!r}"[:80])
    slots = tree["slots"]
    if not isinstance(slots, dict) or not all(isinstance(slot, dict) for slot in slots.values()):
        raise _refused(where, "arrays by name and path", repr(slots)[:80])


def _refused(where: str, expected: str, got: str) -> DataError:
    fix = "compile the model as the one that was saved, or name another file"
    return DataError(explain(where, expected=expected, got=got, fix=fix))
