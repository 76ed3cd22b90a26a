"""Threads that kernels share their work among, one core each: no barrier within a kernel, one at its end."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch

T = TypeVar("T")


def _one_core() -> None:
    # A thread takes the number last set anywhere when it first asks, so it must ask before it sets its own.
    torch.get_num_threads()
    torch.set_num_threads(1)


class _Workers:
    """Threads that compute with one core each, kept for the next call."""

    def __init__(self) -> None:
        self._pools: dict[int, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()
        # The threads do not exist in a forked process; it starts its own.
        os.register_at_fork(after_in_child=self.__init__)  # type: ignore[misc]

    def _pool(self, threads: int) -> ThreadPoolExecutor:
        with self._lock:
            if threads not in self._pools:
                pool = ThreadPoolExecutor(threads, "padless", _one_core)
                started = threading.Barrier(threads)
                list(pool.map(lambda _: started.wait(), range(threads)))
                # torch notes the number last set for threads that start later: they shall have what the user chose.
                torch.set_num_threads(threads)
                self._pools[threads] = pool
            return self._pools[threads]

    def map(self, function: Callable[..., T], *items: Sequence[Any]) -> list[T]:
        """As the built-in map, with torch.get_num_threads() at a time."""
        threads = torch.get_num_threads()
        if threads == 1:
            return [function(*item) for item in zip(*items, strict=True)]
        return list(self._pool(threads).map(function, *items))


workers = _Workers()


class _Shared:
    """Work of a team: what to do, and what went wrong."""

    def __init__(self, work: Callable[[int, int], Any]) -> None:
        self.work = work
        self.errors: list[BaseException] = []


class _Team:
    """Of torch's OpenMP: what starts a team of threads, and what says which thread of how many one is."""

    def __init__(self, path: Path) -> None:
        task = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self._start: Any = ctypes.CDLL(str(path)).GOMP_parallel
        self._start.argtypes, self._start.restype = [task, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
        # Calls so short that letting go of Python's lock would take longer.
        own = ctypes.PyDLL(str(path))
        self._number, self._count = own.omp_get_thread_num, own.omp_get_num_threads
        self._task = task(self._one)

    def _one(self, address: int) -> None:
        shared: _Shared = ctypes.cast(address, ctypes.py_object).value
        try:
            shared.work(self._number(), self._count())
        except BaseException as error:  # it must not go through C
            shared.errors.append(error)

    def run(self, work: Callable[[int, int], Any], threads: int) -> None:
        shared = _Shared(work)
        self._start(self._task, id(shared), threads, 0)
        if shared.errors:
            raise shared.errors[0]


@cache
def _team() -> _Team | None:
    found = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))
    try:
        return _Team(found[0]) if len(found) == 1 else None
    except (OSError, AttributeError):
        return None


def share(work: Callable[[int, int], Any], alone: bool = False) -> None:
    """Run short work in native code on all of torch's threads.

    They are torch's own where it comes with GNU's OpenMP: for some milliseconds after each of torch's operations they
    wait busily for the next, and would take a core from any other thread. A kernel of 4.5 ms took 9 to 10 in others.

    Args:
        work: work(part, parts) does one of equal parts; called once for each.
        alone: whether this thread does it all, because it takes no longer than sharing: some 50 microseconds.
    """
    threads = 1 if alone else torch.get_num_threads()
    team = _team() if threads > 1 else None
    if threads == 1:
        work(0, 1)
    elif team is None:
        workers.map(work, range(threads), [threads] * threads)
    else:
        team.run(work, threads)
