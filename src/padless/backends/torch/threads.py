"""Threads that kernels share their work among, one core each: no barrier within a kernel, one at its end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
