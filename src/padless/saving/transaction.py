"""Files that are loaded whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def all_or_nothing(model: Any) -> Iterator[None]:
    """Within this context a model may get other weights and its optimizer another state; after an error it has the old.

    Args:
        model: any.

    Yields:
        Nothing.
    """
    layers = list({id(layer): layer for layer in (model, *(inner for _, inner in model.inner_layers()))}.values())
    attributes = [(layer, dict(layer.__dict__), dict(layer._weights)) for layer in layers]
    optimizer = model.optimizer
    remembered = None if optimizer is None else dict(optimizer.__dict__)
    slots = {} if optimizer is None else {name: dict(slot) for name, slot in optimizer.slots.items()}
    try:
        yield
    except BaseException:
        for layer, before, weights in attributes:
            layer.__dict__.clear()
            layer.__dict__.update(before)
            layer._weights.clear()
            layer._weights.update(weights)
        if optimizer is not None and remembered is not None:
            optimizer.__dict__.clear()
            optimizer.__dict__.update(remembered)
            optimizer.slots.clear()
            optimizer.slots.update(slots)
        raise
