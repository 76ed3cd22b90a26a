"""Kernels in C: pointers and sizes in, no threads of their own, no state; a backend that finds none goes another way.

The library is compiled when padless is installed (`build.py`), twice on x86: for AVX-512 and for AVX2. What calls its
functions shares the work among threads: ctypes lets go of Python's lock for the length of a call.

`PADLESS_NATIVE=0` does without it, at installation and at run time.
"""

from __future__ import annotations

import ctypes
import os
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from padless.native import build

_TYPES: dict[str, Any] = {"p": ctypes.c_void_p, "n": ctypes.c_int64, "f": ctypes.c_float}
_LEVELS = {4: "v4", 3: "v3", 1: "base"}


@cache
def _library() -> tuple[ctypes.CDLL, str] | None:
    """The library and the level of this processor; None where there is none, or it was made of other sources."""
    path = Path(__file__).with_name(build.LIBRARY)
    if os.environ.get("PADLESS_NATIVE") == "0" or not path.exists():
        return None
    try:
        found = ctypes.CDLL(str(path))
        level, made_of = found.padless_level(), found.padless_sources
    except (OSError, AttributeError) as error:
        warnings.warn(f"padless: {path} cannot be loaded ({error}); going on without it, more slowly.", stacklevel=2)
        return None
    made_of.restype = ctypes.c_char_p
    if made_of().decode() != build.fingerprint():
        # Its functions may take other arguments than those that Python would hand over.
        warnings.warn(
            f"padless: {path} is not made of the sources beside it; going on without it, more slowly. "
            "Install padless again.",
            stacklevel=2,
        )
        return None
    return (found, _LEVELS[level]) if level in _LEVELS else None


def available() -> bool:
    """Whether there are native kernels for this processor."""
    return _library() is not None


@cache
def _find(name: str, takes: str) -> Callable[..., int] | None:
    found = _library()
    if found is None:
        return None
    library, level = found
    function: Any = getattr(library, f"padless_{name}_{level}")
    function.argtypes = [_TYPES[letter] for letter in takes]
    function.restype = ctypes.c_int
    return function  # type: ignore[no-any-return]


def find(name: str, takes: str) -> Callable[..., int] | None:
    """Give a kernel.

    Args:
        name: as in the C source, without prefix and level.
        takes: a letter for each argument: "p" pointer, "n" int64, "f" float.

    Returns:
        The function, which returns 0 when all went well; None where there is no library.

    Example:
        >>> from padless import native
        >>> (native.find("tanh", "pn") is not None) == native.available()
        True
    """
    return _find(name, takes)
