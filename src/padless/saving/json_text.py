"""JSON of files that others may have written."""

from __future__ import annotations

import json
from typing import Any

from padless.errors import DataError, explain

_DEEPEST = 100


def parsed(text: str | bytes, where: str) -> Any:
    """Read JSON.

    Args:
        text: of the file.
        where: the file, for errors.

    Returns:
        What it says.

    Raises:
        DataError: when it is no JSON, or one of absurd depth, by which it could end the program that goes through it.
    """
    fix = "a file that padless or Keras wrote"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as wrong:
        got = f"{type(wrong).__name__}: {wrong}"[:200]
        raise DataError(explain(where, expected="JSON", got=got, fix=fix)) from None
    layer, depth = [value], 0
    while layer:
        depth += 1
        if depth > _DEEPEST:
            got = "more"
            raise DataError(explain(where, expected=f"at most {_DEEPEST} levels of JSON", got=got, fix=fix))
        layer = [
            item
            for one in layer
            if isinstance(one, list | dict)
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, list | dict)
        ]
    return value
