"""Threads that kernels share their work among, one core each: no barrier within a kernel, one at its end."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator, Sequence
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
        if hasattr(os, "register_at_fork"):
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


# ---- torch's own threads

_used = _lost = False


def _lose() -> None:
    """The threads do not exist in a forked process, and their library would wait for them for ever.

    So would torch itself, which goes on with one thread, as in the workers of its DataLoader.
    """
    global _lost
    _lost = True
    if _used:
        torch.set_num_threads(1)


# Now, and not at the first kernel: torch's own operations may have started the threads before.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lose)


def _in_parallel(function: Any, data: int | None, threads: int) -> bool:
    """Call a function in C on several of torch's threads; False, and nothing done, where they cannot be reached."""
    global _used
    openmp = None if _lost else _openmp()
    if openmp is None:
        return False
    _used = True
    openmp.GOMP_parallel(_entry(function), data, threads, 0)
    return True


@cache
def _openmp() -> Any:
    """GNU's OpenMP, which torch's wheels for Linux come with; None where there is another."""
    if not hasattr(os, "RTLD_NOLOAD"):
        return None
    home = Path(torch.__file__).parent
    for path in (*home.glob("lib/libgomp*.so*"), *home.parent.glob("torch.libs/libgomp*.so*")):
        try:
            found = ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_NOLOAD)
            found.GOMP_parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
            found.GOMP_parallel.restype = None
        except (OSError, AttributeError):
            continue
        return found
    return None


def team(kernel: Callable[..., int], call: ctypes.Structure, threads: int) -> None:
    """Let several threads run the same call of a kernel in C at the same time; they share the work as it says.

    They are those that torch itself computes with, where they can be reached: after each of its operations they look
    out for the next one for some milliseconds and keep their cores busy with that. Threads of our own have to share
    the cores with them: attention within 32 news articles took 11.0 ms on two threads behind an operation of torch, 8.5
    ms where there was none before, and 7.7 on torch's threads; within 256 short texts 2.0, 2.1 and 0.7.

    Args:
        kernel: of `native.find`, takes a pointer.
        call: what the pointer is to.
        threads: how many; at most torch.get_num_threads().
    """
    address = ctypes.addressof(call)
    if threads <= 1:
        kernel(address)
    elif not _in_parallel(kernel, address, threads):
        workers.map(kernel, [address] * threads)


_Task = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def _entry(function: Any) -> int | None:
    """The address of a function of ctypes.

    Not by `ctypes.cast`, which has the function refer to itself: all arrays that the work holds would be kept until
    Python next looks for cycles, 123 MB of a step of an encoder of two blocks with 12,181 words.
    """
    return ctypes.c_void_p.from_buffer(function).value


def share(work: Callable[[int, int], Any], alone: bool = False) -> None:
    """Run work in native code in equal parts on all of torch's threads, as `team` does.

    Args:
        work: work(part, parts) does one of the parts; called once for each.
        alone: whether this thread does it all, because it takes no longer than sharing: some 50 microseconds.
    """
    threads = 1 if alone else torch.get_num_threads()
    if threads == 1:
        work(0, 1)
        return
    parts: Iterator[int] = iter(range(threads))
    errors: list[BaseException] = []

    def one(_: int) -> None:
        try:
            # Python's lock is held here: no two threads take the same part. There may be fewer threads than parts.
            for part in parts:
                work(part, threads)
        except BaseException as error:  # it must not go through C
            errors.append(error)

    if not _in_parallel(_Task(one), None, threads):
        workers.map(work, range(threads), [threads] * threads)
    if errors:
        raise errors[0]
