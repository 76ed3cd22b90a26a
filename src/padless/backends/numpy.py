"""NumPy: predicts, does not train, and is the oracle of the tests."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import array_api_compat.numpy as xp
import numpy as np

from padless.backends.base import Array, Backend
from padless.rows import RowPartition


class NumpyBackend(Backend):
    """The NumPy backend."""

    name: ClassVar[str] = "numpy"
    trains: ClassVar[bool] = False
    halves: ClassVar[frozenset[str]] = frozenset()
    xp: Any = xp

    def asarray(self, x: Any, dtype: str | None = None) -> Array:
        return np.asarray(x, dtype=dtype)

    def to_host(self, x: Array) -> np.ndarray[Any, Any]:
        return np.asarray(x)

    def is_array(self, x: object) -> bool:
        return isinstance(x, np.ndarray | np.generic)

    def bounds(self, x: Array) -> tuple[int, int] | None:
        return (int(x.min()), int(x.max())) if x.size else None

    def erf(self, x: Array) -> Array:
        # NumPy has none: the standard library's, element by element, is exact and enough for an oracle.
        return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x), dtype=x.dtype)

    def random_uniform(self, seed: tuple[int, ...], shape: tuple[int, ...], dtype: str) -> Array:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed))).random(shape).astype(dtype)

    def abstractly(self, function: Callable[[], Any]) -> Any:
        with np.errstate(all="ignore"):  # what the numbers of a stand-in give means nothing
            return function()

    def segment_sum(self, values: Array, rows: RowPartition) -> Array:
        full = rows.row_lengths > 0
        sums = np.zeros((rows.nrows, *values.shape[1:]), values.dtype)
        # reduceat gives the next row's first step for an empty row, so only full rows are handed to it.
        if full.any():
            sums[full] = np.add.reduceat(values, rows.row_splits[:-1][full], axis=0)
        return sums

    def segment_max(self, values: Array, rows: RowPartition) -> Array:
        full = rows.row_lengths > 0
        largest = np.zeros((rows.nrows, *values.shape[1:]), values.dtype)
        if full.any():
            largest[full] = np.maximum.reduceat(values, rows.row_splits[:-1][full], axis=0)
        return largest

    def convolve_dense(
        self, x: Array, kernel: Array, strides: tuple[int, ...], dilation: tuple[int, ...], padding: str, groups: int
    ) -> Array:
        spatial = kernel.ndim - 2
        width = kernel.shape[-2]
        each = kernel.shape[-1] // groups
        if padding == "same":
            x = np.pad(x, [(0, 0), *same_padding(x.shape[1:-1], kernel.shape[:-2], strides, dilation), (0, 0)])
        spans = tuple((k - 1) * d + 1 for k, d in zip(kernel.shape, dilation, strict=False))
        axes = tuple(range(1, 1 + spatial))
        views = np.lib.stride_tricks.sliding_window_view(x, spans, axis=axes)
        views = views[(slice(None), *(slice(None, None, s) for s in strides))]
        index: tuple[Any, ...] = (..., *(slice(None, None, d) for d in dilation))
        views = views[index]
        taps = tuple(range(spatial + 2, 2 * spatial + 2))
        parts = [
            np.tensordot(
                views[(slice(None),) * (spatial + 1) + (slice(g * width, (g + 1) * width),)],
                kernel[..., g * each : (g + 1) * each],
                axes=((*taps, spatial + 1), tuple(range(spatial + 1))),
            )
            for g in range(groups)
        ]
        return np.concatenate(parts, axis=-1)


def same_padding(
    sizes: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...]
) -> list[tuple[int, int]]:
    """Zeros before and after each axis so that 'same' gives ceil(size / stride) outputs, as Keras pads.

    Args:
        sizes: of the axes.
        kernel: taps of each axis.
        strides: of each axis.
        dilation: of each axis.

    Returns:
        A pair for each axis.
    """
    pads = []
    for size, taps, stride, gap in zip(sizes, kernel, strides, dilation, strict=False):
        total = max((-(-size // stride) - 1) * stride + (taps - 1) * gap + 1 - size, 0)
        pads.append((total // 2, total - total // 2))
    return pads
