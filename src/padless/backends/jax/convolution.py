"""Convolutions, for JAX: one dense convolution over a buffer in which zeros stand between the rows."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
from jax import lax

from padless.backends.jax.shapes import FAR, Host, bucket, relaid
from padless.rows import RowPartition


def separated(rows: RowPartition, size: int, stride: int, dilation: int, padding: str) -> dict[str, Host]:
    """Lay rows out so that the windows of a convolution never see two of them.

    A row begins where a window does, at a multiple of the stride. One run of zeros serves the end of a row and the
    start of the next.

    Args:
        rows: the partition.
        size: taps.
        stride: places between two windows.
        dilation: places between two taps.
        padding: "valid", "same" or "causal".

    Returns:
        steps: (slots,) the step at each slot of the buffer; FAR for a zero.
        slots: (N,) slot of each step; FAR for a step of a row that no window fits into.
        windows: (M,) the window of each output step.
        outputs: (windows,) the output step of each window; FAR for one that reaches over the end of a row.
    """
    span = (size - 1) * dilation + 1
    made = rows.window_rows(size, stride, dilation, padding)
    extents, counts = rows.extents, made.extents
    before = rows.window_margins(size, stride, dilation, padding)
    full = counts > 0
    margin = int(before[full].min(initial=span))
    wide = np.maximum(before + extents, (counts - 1) * stride + span - margin)
    wide = np.where(full, -(-wide // stride) * stride, 0)
    bases = np.cumsum(wide) - wide
    # The last windows may reach behind the last row.
    total = bucket(int(wide.sum()) + span)
    slots = np.where(full[rows.value_rowids], (bases + before)[rows.value_rowids] + rows.positions, FAR)
    steps = np.full(total, FAR)
    steps[slots[slots < FAR]] = np.nonzero(slots < FAR)[0]
    windows = (bases // stride)[made.value_rowids] + made.positions
    outputs = np.full((total - span) // stride + 1, FAR)
    outputs[windows] = np.arange(made.nvals)
    return {"steps": steps, "slots": slots, "windows": windows, "outputs": outputs}


@partial(jax.jit, static_argnames=("stride", "dilation", "groups"))
def convolve(
    x: jax.Array, kernel: jax.Array, plan: dict[str, jax.Array], stride: int, dilation: int, groups: int
) -> jax.Array:
    """Convolve rows.

    Args:
        x: (N, D) steps.
        kernel: (K, D / groups, filters).
        plan: what `separated` made.
        stride: places between two windows.
        dilation: places between two taps.
        groups: number of groups of features that do not see each other.

    Returns:
        (M, filters).
    """
    buffer = relaid(x, plan["steps"], plan["slots"])
    y = lax.conv_general_dilated(
        buffer[None],
        kernel,
        (stride,),
        "VALID",
        rhs_dilation=(dilation,),
        feature_group_count=groups,
        dimension_numbers=("NWC", "WIO", "NWC"),
    )[0]
    return relaid(y, plan["windows"], plan["outputs"])
