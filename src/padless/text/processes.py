"""Work on blocks of texts in several processes, where somebody asks for them."""

from __future__ import annotations

import multiprocessing
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

from padless.errors import ArgumentError, DTypeError, explain

T = TypeVar("T")

_work: Callable[[Any], Any] | None = None
"""What this process does, where it is one of several."""


def in_processes(function: Callable[[Any], T], blocks: Iterable[Any], workers: int, place: str) -> Iterator[T]:
    """As the built-in map, in several processes; what comes of the blocks keeps their order.

    Args:
        function: of a block; each process is given it once, so it may be large.
        blocks: are read as they are needed, twice as many ahead as there are processes.
        workers: number of processes; 1 stays in this one.
        place: for errors.

    Yields:
        What comes of each block.

    Raises:
        ArgumentError: when workers is no number from 1 on.
        DTypeError: when the function cannot be given to another process.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ArgumentError(
            explain(f"{place}: workers", expected="a whole number from 1 on", got=repr(workers), fix="workers=2")
        )
    if workers == 1:
        yield from map(function, blocks)
        return
    _require_portable(function, place)
    # A fork would take over the locks of threads that it does not have.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin, (function,)) as pool:
        coming: deque[Future[T]] = deque()
        try:
            for block in blocks:
                coming.append(pool.submit(_run, block))
                if len(coming) > 2 * workers:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin(function: Callable[[Any], Any]) -> None:
    global _work
    _work = function


def _run(block: Any) -> Any:
    assert _work is not None
    return _work(block)


def _require_portable(function: Any, place: str) -> None:
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise DTypeError(
            explain(
                f"{place}: workers",
                expected="functions that another process can import",
                got=str(error),
                fix="a function of a module in the place of a lambda or a local one; or workers=1",
            )
        ) from error
