"""Compiling ahead: which sizes batches will have is found out on their lengths, then each is compiled once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from padless import random as _random
from padless.backends.base import Program
from padless.batching import Batch, Planned, Source, Table
from padless.callbacks import waiting
from padless.errors import ArgumentError, DataError, explain
from padless.layer import coming_states

if TYPE_CHECKING:
    from padless.training import Trainer

Room = tuple[int, int] | None
_STEPS = ("train", "evaluate", "predict")
_MOST_BATCHES = 1000
"""Batches that are looked at, a millisecond each: a size that so many did not have is rare."""


def checked(steps: Any) -> tuple[str, ...]:
    """Names of steps, all of them known.

    Args:
        steps: names, or one name.

    Returns:
        The names.

    Raises:
        ArgumentError: when one is unknown.
    """
    names = (steps,) if isinstance(steps, str) else tuple(steps)
    if not set(names) <= set(_STEPS):
        raise ArgumentError(
            explain(
                "warmup(steps=...)", expected=f"some of {_STEPS}", got=repr(steps), fix='steps=("train", "predict")'
            )
        )
    return names


def warm(trainer: Trainer, source: Source, names: tuple[str, ...], epochs: int, shown: bool) -> int:
    """Compile steps for all sizes that batches will have.

    Args:
        trainer: the model.
        source: of its data.
        names: of the steps.
        epochs: in an order of their own, to look at for training; 0 where rows keep their order.
        shown: whether to show progress.

    Returns:
        How often something was compiled.
    """
    jobs: list[tuple[Program, dict[str, Any], Any, Room]] = []
    before = 0
    if "train" in names and trainer.optimizer is not None and trainer.optimizer.gathers:
        names = (*names, "gather")
    for name in names:
        program, numbers = trainer._run_of(name)
        before += program.compilations
        batches = _batches(source, epochs if name in ("train", "gather") else 0)
        jobs += [(program, numbers, *found) for found in _of_each_size(trainer, name, program, numbers, batches)]
    for program, numbers, parts, room in waiting("Compiling", jobs, shown):
        program.warm(numbers, parts, room)
    return sum(trainer._run_of(name)[0].compilations for name in names) - before


def _batches(source: Source, epochs: int) -> Iterator[tuple[Batch, Callable[[], Batch]]]:
    """Batches to come, with lengths alone, and what makes each as it is."""
    if not isinstance(source, Planned):
        if source.once:
            raise DataError(
                explain("warmup", expected="data that can be read again", got="a generator", fix="warmup(x, y)")
            )
        return ((batch, partial(_itself, batch)) for batch in itertools.islice(source.epoch(), _MOST_BATCHES))
    seed, planner = _random.coming_seed(), source.planner
    plans = (planner.plan(epoch, seed) for epoch in range(epochs)) if epochs else (planner.plan() for _ in range(1))
    if not isinstance(source, Table):
        batches = itertools.chain.from_iterable(map(source.batches, plans))
        return ((batch, partial(_itself, batch)) for batch in itertools.islice(batches, _MOST_BATCHES))
    few = itertools.islice(itertools.chain.from_iterable(map(source.hollow().batches, plans)), _MOST_BATCHES)
    return ((batch, partial(source.batch, batch.rows)) for batch in few if batch.rows is not None)


def _itself(batch: Batch) -> Batch:
    return batch


def _of_each_size(
    trainer: Trainer,
    name: str,
    program: Program,
    numbers: dict[str, Any],
    batches: Iterator[tuple[Batch, Callable[[], Batch]]],
) -> Iterator[tuple[Any, Room]]:
    seen: set[Hashable] = {None}
    for hollow, make in batches:

        def whole(make: Callable[[], Batch] = make) -> Any:
            return trainer._parts_for(name, make())

        size = program.size(numbers, trainer._parts_for(name, hollow), hollow.room, whole)
        if size not in seen:
            seen.add(size)
            batch = make()
            x, y, weight, kept = trainer._parts_for(name, batch)
            yield (x, y, weight, kept), hollow.room
            # The first batch of a stateful model has no states yet: those after it are another size.
            coming = coming_states(trainer, batch.nrows)
            if coming:
                yield (x, y, weight, {**kept, **coming}), hollow.room
