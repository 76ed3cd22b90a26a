"""Errors of other libraries, in one line."""

from __future__ import annotations

import re

_MOST = 400


def told(error: BaseException) -> str:
    """Put an error into one line.

    Args:
        error: of any library.

    Returns:
        Its class, and the beginning of its text without colours and line ends.
    """
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())
    return f"{type(error).__name__}: {text}"[:_MOST].rstrip(": ")
