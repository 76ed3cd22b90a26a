"""What optimizers remember, in the order in which Keras keeps it in its files: `optimizer/vars`.

First the number of batches, then the learning rate if it is a number, then what is remembered of the weights: kind by
kind for all weights where Keras makes one kind after the other, weight by weight where it makes several at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from padless.backends.base import Array, Backend
from padless.errors import DataError, explain
from padless.optimizers import Absent, Adafactor, Nadam, Optimizer, RMSprop

NDArray = np.ndarray[Any, Any]
_PRODUCT = "momentum_product"
_AFTERWARDS = ("velocity_hat",)
"""Slots that come after the others of all weights."""


class _Variable(NamedTuple):
    """An array that Keras keeps.

    Args:
        slot: name of the slot it is in; None for one that padless does not need.
        path: of the weight.
        shape: of the array.
        dtype: of the array.
    """

    slot: str | None
    path: str
    shape: tuple[int, ...]
    dtype: str


def known(optimizer: Any) -> bool:
    """Whether Keras has an optimizer like this one.

    Args:
        optimizer: of a model; None where it has none.

    Returns:
        False for one of another library, too.
    """
    foreign = type(optimizer).__module__.startswith("padless.backends")
    return isinstance(optimizer, Optimizer) and not isinstance(optimizer, Absent) and not foreign


def arrays_of(optimizer: Optimizer, backend: Backend, weights: dict[str, Array]) -> list[NDArray]:
    """What an optimizer remembers; of one that took no step yet, what it begins with.

    Where several batches make a step, the gradients since the last one are left out: Keras adds them up in another way.

    Args:
        optimizer: one that Keras knows.
        backend: of the arrays.
        weights: those that are trained, by path, in Keras's order.

    Returns:
        Arrays, in Keras's order.
    """
    batches = optimizer.iterations * (optimizer.gradient_accumulation_steps or 1)
    found = [np.array(batches, np.int32 if batches < 2**31 else np.int64)]
    if isinstance(optimizer._learning_rate, float):
        found.append(np.array(optimizer._learning_rate, np.float32))
    for variable in _variables(optimizer, backend, weights):
        if variable.slot is None:
            found.append(np.zeros(variable.shape, variable.dtype))
            continue
        array = optimizer.slots.get(variable.slot, {}).get(variable.path)
        if array is None:
            array = _initial(optimizer, variable, backend, weights)
        found.append(np.array(backend.to_host(array)))
    return found


def misfit(optimizer: Optimizer, backend: Backend, weights: dict[str, Array], arrays: list[NDArray]) -> str | None:
    """What is wrong with arrays for an optimizer.

    Args:
        optimizer: one that Keras knows.
        backend: of the model.
        weights: as of `arrays_of`.
        arrays: from a file.

    Returns:
        What was expected and what came, or None.
    """
    wanted: list[tuple[int, ...]] = [(), *([()] if isinstance(optimizer._learning_rate, float) else [])]
    wanted += [variable.shape for variable in _variables(optimizer, backend, weights)]
    if [array.shape for array in arrays] == wanted:
        return None
    return f"{len(wanted)} arrays of shapes {wanted[:8]}, got {len(arrays)} of {[a.shape for a in arrays[:8]]}"


def checked_numbers(optimizer: Optimizer, arrays: list[NDArray], where: str) -> tuple[int, float | None]:
    """The numbers before the slots.

    Args:
        optimizer: that `arrays` fit.
        arrays: from a file.
        where: the file, for errors.

    Returns:
        Number of batches, and the learning rate, if it is kept.

    Raises:
        DataError: when they are none that an optimizer can have.
    """
    rate = float(arrays[1]) if isinstance(optimizer._learning_rate, float) else None
    sound = arrays[0].dtype.kind in "iu" and int(arrays[0]) >= 0 and (rate is None or math.isfinite(rate))
    if not sound:
        got = f"{arrays[0]} batches, learning rate {rate}"
        fix = "a file that model.save(path) wrote"
        raise DataError(explain(where, expected="a number of batches and a learning rate", got=got, fix=fix))
    return int(arrays[0]), rate


def restore(
    optimizer: Optimizer,
    backend: Backend,
    weights: dict[str, Array],
    arrays: list[NDArray],
    numbers: tuple[int, float | None],
) -> None:
    """Have an optimizer remember what is in a file.

    Args:
        optimizer: one that Keras knows.
        backend: of the model.
        weights: as of `arrays_of`.
        arrays: that fit.
        numbers: what `checked_numbers` gave.
    """
    batches, rate = numbers
    slots: dict[str, dict[str, Array]] = {}
    first = 1 + isinstance(optimizer._learning_rate, float)
    for variable, array in zip(_variables(optimizer, backend, weights), arrays[first:], strict=True):
        if variable.slot == _PRODUCT:  # one for all weights in Keras, one for each here
            slots[_PRODUCT] = {path: backend.asarray(np.array(array), variable.dtype) for path in weights}
        elif variable.slot is not None:
            slots.setdefault(variable.slot, {})[variable.path] = backend.asarray(np.array(array), variable.dtype)
    optimizer.slots = slots
    optimizer.iterations, optimizer.gathered_batches = batches // (optimizer.gradient_accumulation_steps or 1), 0
    # The file has it in float32: the number that it was made of is kept.
    if rate is not None and np.float32(optimizer.learning_rate) != np.float32(rate):
        optimizer._learning_rate = rate


def _initial(optimizer: Optimizer, variable: _Variable, backend: Backend, weights: dict[str, Array]) -> Array:
    weight = weights[variable.path]
    if variable.slot == "average":
        return backend.xp.zeros_like(weight)
    assert variable.slot is not None
    return optimizer.initial(variable.slot, weight, backend.xp)


def _variables(optimizer: Optimizer, backend: Backend, weights: dict[str, Array]) -> Iterator[_Variable]:
    """What Keras keeps of the weights, in its order."""

    def like(slot: str | None, path: str) -> _Variable:
        weight = weights[path]
        return _Variable(slot, path, tuple(weight.shape), backend.dtype_name(weight))

    if optimizer.use_ema:
        yield from (like("average", path) for path in weights)
    if optimizer.gathers:
        yield from (like(None, path) for path in weights)
    for names in _rounds(optimizer):
        for path, weight in weights.items():
            if isinstance(optimizer, Adafactor):
                yield from _factored(path, tuple(weight.shape), backend.dtype_name(weight))
            else:
                yield from (like(name, path) for name in names if name in optimizer.slots_of(path, weight))
    if isinstance(optimizer, Nadam) and weights:
        path = next(iter(weights))
        yield _Variable(_PRODUCT, path, (), backend.dtype_name(weights[path]))


def _rounds(optimizer: Optimizer) -> list[tuple[str, ...]]:
    """The kinds of slots that come together, weight by weight."""
    names = [name for name in optimizer.slot_names if name != _PRODUCT]
    if isinstance(optimizer, RMSprop):
        return [(name,) for name in names]
    together = tuple(name for name in names if name not in _AFTERWARDS)
    return [together, *((name,) for name in names if name in _AFTERWARDS)]


def _factored(path: str, shape: tuple[int, ...], dtype: str) -> Iterator[_Variable]:
    """Of a matrix Keras keeps the product of row and column, too; of a vector a number in the place of each."""
    if len(shape) >= 2:
        yield _Variable("row", path, shape[:-1], dtype)
        yield _Variable("column", path, (*shape[:-2], shape[-1]), dtype)
        yield _Variable(None, path, shape, dtype)
    else:
        yield _Variable(None, path, (), "int32")
        yield _Variable(None, path, (), "int32")
        yield _Variable("velocity", path, shape, dtype)
