"""Programs that leave padless: a model traced by `torch.export`, with the lengths of rows as inputs.

`rows` holds rows whose arrays are computed in the graph, `kernels` what is computed with them, `program` the tracing,
`onnx` the file.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import torch

from padless.backends.torch.exporting import kernels as kernels
from padless.backends.torch.exporting.rows import ExportedPairs as ExportedPairs
from padless.backends.torch.exporting.rows import ExportedRows as ExportedRows
from padless.backends.torch.exporting.rows import RowArrays
from padless.errors import NotThereYetError, explain

_active: contextvars.ContextVar[bool] = contextvars.ContextVar("padless_exporting", default=False)


def active() -> bool:
    """Whether the present call is traced, to be exported."""
    return _active.get()


@contextlib.contextmanager
def tracing() -> Iterator[None]:
    """Within this context, calls are traced, to be exported."""
    token = _active.set(True)
    try:
        yield
    finally:
        _active.reset(token)


def rows_of_array(x: torch.Tensor, mask: torch.Tensor | None) -> tuple[ExportedRows, torch.Tensor | None]:
    """As `Backend.graph_rows`.

    Args:
        x: (B, T, ...).
        mask: (B, T) bool, or None.

    Returns:
        The rows, and places of their steps.
    """
    if isinstance(mask, torch.Tensor):
        if mask.ndim != 2:
            fix = "Input((None, None)), so that rows within rows come as such"
            got = f"a mask of {mask.ndim} axes"
            raise NotThereYetError(explain("export of a padded array", expected="(B, T)", got=got, fix=fix))
        return ExportedRows.of_mask(mask)
    nrows, length = x.shape[:2]
    splits = torch.arange(nrows + 1, dtype=torch.int64, device=x.device) * length
    return ExportedRows(RowArrays(splits, nrows * length, None, None, length), True), None
