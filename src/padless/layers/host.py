"""Layers that read texts or keys on the host, where a model begins; what they give are arrays or rows of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padless import backends
from padless.data import tables
from padless.errors import DTypeError, explain
from padless.layer import Layer, watched
from padless.ragged import Ragged
from padless.rows import RowPartition
from padless.spec import has_symbol

OnHost = NDArray[Any] | Ragged
"""A NumPy array, of objects where it holds texts; or rows of one."""


def on_host(x: Any, place: str) -> OnHost:
    """Bring to the host what may be texts.

    Args:
        x: a text or number, a list of them or of lists of them, an array of any framework, a Ragged, a column or
            table that `tables.read` knows.
        place: for errors.

    Returns:
        An array; rows for a list of lists.

    Raises:
        DTypeError: when it is nothing of the kind.
    """
    x = tables.read(x, place)
    if isinstance(x, np.ndarray) and x.dtype == object and any(map(_has_rows, x)):
        x = list(x)
    if isinstance(x, Ragged):
        return x.numpy()
    if isinstance(x, str | bytes | int | float | np.generic):
        return _array([x]).reshape(())
    if isinstance(x, list | tuple):
        if any(_has_rows(item) for item in x):
            rows = [item.tolist() if hasattr(item, "tolist") else item for item in x]
            lengths = [len(row) for row in rows]
            return Ragged(_array(list(chain.from_iterable(rows))), RowPartition.from_lengths(lengths))
        return _array(list(x))
    if getattr(x, "is_nested", False):
        return Ragged.from_nested(x).numpy()
    if not hasattr(x, "shape"):
        expected, fix = "texts or numbers: a list, an array or a Ragged", "list(x)"
        raise DTypeError(explain(place, expected=expected, got=type(x).__name__, fix=fix))
    host = x if isinstance(x, np.ndarray) else backends.of(x).to_host(x)
    return host.astype(object) if host.dtype.kind in "SU" else host


def _has_rows(item: Any) -> bool:
    return isinstance(item, list | tuple) or bool(getattr(item, "ndim", 0))


def _array(items: list[Any]) -> NDArray[Any]:
    texts = any(isinstance(item, str | bytes) for item in items)
    return np.array(items, dtype=object if texts else None)


def batches(data: Any, steps: int | None, place: str) -> Iterator[OnHost]:
    """What `adapt` is given, batch by batch.

    Args:
        data: what fits into memory, as one batch; or anything else that can be iterated, whose items are batches.
        steps: how many of these to read; None for all.
        place: for errors.

    Yields:
        Values on the host.
    """
    whole = isinstance(data, list | tuple | Ragged) or hasattr(data, "shape") or tables.is_columnar(data)
    if whole:
        yield on_host(data, place)
        return
    if not isinstance(data, Iterable):
        on_host(data, place)
    for at, batch in enumerate(data):
        if steps is not None and at >= steps:
            return
        yield on_host(batch, place)


class HostLayer(Layer):
    """Base of layers that look keys up, hash or split texts: `prepare` is what they do, on the host.

    In a model such a layer comes first, and `fit` and its likes take texts as they are. Where steps are compiled, texts
    cannot be part of them: there the layer is called before, on the data.
    """

    view = "ragged"

    def prepare(self, x: OnHost) -> OnHost:
        """What the layer does.

        Args:
            x: on the host.

        Returns:
            On the host.
        """
        raise NotImplementedError

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the layer on data or on a symbol.

        Args:
            x: what `on_host` takes, or a Symbol.
            *args: none.
            **kwargs: `mask` and `training` are taken, and change nothing.

        Returns:
            An array or rows on the backend; texts stay on the host.
        """
        if has_symbol(x):
            return super().__call__(x, *args, **kwargs)
        return self._run(x)

    def _run(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.built:
            self._build_with(None)
        y = self._on_backend(self.prepare(x if self.merges else on_host(x, self.place)))
        watched(self, x, y)
        return y

    def call(self, x: Any) -> Any:
        """As calling the layer.

        Args:
            x: what `on_host` takes.

        Returns:
            An array or rows on the backend.
        """
        return self._run(x)

    def _on_backend(self, y: OnHost) -> Any:
        values = y.flat_values if isinstance(y, Ragged) else y
        if values.dtype == object:
            return y
        moved = self.backend.asarray(values)
        return y.with_flat_values(moved) if isinstance(y, Ragged) else moved


def encoded(ids: OnHost, mode: str, depth: int) -> OnHost:
    """Write ids as Keras's output modes say.

    Args:
        ids: whole numbers (...), or rows of them; those below 0 or from `depth` on count nowhere.
        mode: "int", "one_hot" (each id alone), "multi_hot" or "count" (the last axis, or each row, together).
        depth: width of the result.

    Returns:
        ids; or float32 (..., depth).
    """
    if mode == "int":
        return ids
    values = ids.flat_values if isinstance(ids, Ragged) else ids
    if mode == "one_hot":
        if not isinstance(ids, Ragged) and ids.ndim > 1 and ids.shape[-1] == 1:
            values = values[..., 0]
        made = (values[..., None] == np.arange(depth)).astype(np.float32)
        return ids.with_flat_values(made) if isinstance(ids, Ragged) else made
    if isinstance(ids, Ragged):
        count, row = ids.rows.nrows, ids.rows.value_rowids
        shape: tuple[int, ...] = (count, depth)
    else:
        values = np.atleast_1d(values)
        shape = (*values.shape[:-1], depth)
        count = int(np.prod(shape[:-1], dtype=np.int64))
        row = np.repeat(np.arange(count), values.shape[-1])
    flat = values.reshape(-1)
    live = (flat >= 0) & (flat < depth)
    counted = np.bincount(row[live] * depth + flat[live], minlength=count * depth).reshape(shape)
    return (counted > 0 if mode == "multi_hot" else counted).astype(np.float32)
