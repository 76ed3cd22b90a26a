"""Memory of the C library: what one training step freed is for the next, and not given back to the system between."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

# Names and numbers of malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


@cache
def keep() -> bool:
    """From now on, keep the memory that arrays leave for the next ones.

    The GNU C library gives arrays above 32 MB back to the system at once, and others as soon as twice as much lies free
    at the end. Every step then asks for them again, page by page: 50 MB cost 12 ms, which is what a matrix product of
    that size takes. A step of an encoder of two blocks, 12,151 words, took 495 ms with 256 features and 177 with 128;
    with its memory kept 438 and 162. torch does the same on CUDA devices. `PADLESS_KEEP_MEMORY=0` leaves all as it is.

    Returns:
        Whether it is kept: not with another C library.
    """
    if not sys.platform.startswith("linux") or os.environ.get("PADLESS_KEEP_MEMORY") == "0":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return bool(library.mallopt(_MMAP_MAX, 0) and library.mallopt(_TRIM_THRESHOLD, 2**31 - 1))
