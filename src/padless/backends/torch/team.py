"""A kernel in C on all threads at once: on those that torch itself computes with, where they can be reached.

After each of its operations torch's threads look out for the next one for some milliseconds and keep their cores busy
with that. Threads of our own have to share the cores with them: attention within 32 news articles took 11.0 ms on two
threads behind an operation of torch, 8.5 ms where there was none before, and 7.7 on torch's threads; within 256 short
texts 2.0, 2.1 and 0.7.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from padless.backends.torch.threads import workers


@cache
def _parallel() -> Any:
    """GNU OpenMP's function that lets a team run a function; None where torch's wheel does not come with GNU's."""
    if not hasattr(os, "RTLD_NOLOAD"):
        return None
    home = Path(torch.__file__).parent
    for path in (*home.glob("lib/libgomp*.so*"), *home.parent.glob("torch.libs/libgomp*.so*")):
        try:
            found = ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_NOLOAD).GOMP_parallel
        except (OSError, AttributeError):
            continue
        found.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        found.restype = None
        return found
    return None


def run(kernel: Callable[..., int], call: ctypes.Structure, threads: int) -> None:
    """Let several threads run the same call at the same time; they share the work as it says.

    Args:
        kernel: of `native.find`, takes a pointer.
        call: what the pointer is to.
        threads: how many; at most torch.get_num_threads().
    """
    address, parallel = ctypes.addressof(call), _parallel()
    if threads <= 1:
        kernel(address)
    elif parallel is None:
        workers.map(kernel, [address] * threads)
    else:
        parallel(ctypes.cast(kernel, ctypes.c_void_p), address, threads, 0)  # type: ignore[arg-type]
