"""What went on in one run of a model: calls of layers, with what went in and came out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from padless.auditing.probes import Side

Host = npt.NDArray[Any]
Value = Host | list[Host]
"""A padded array, or an array for each row."""


@dataclass
class Operand:
    """A value that went into a layer.

    Attributes:
        value: what it held.
        source: key of the call that made it, "" where that is unknown, "input:0" for an input of the model.
        masked: whether a mask came with it.
        kept: whether the mask was still there after the call.
    """

    value: Value
    source: str = ""
    masked: bool = False
    kept: bool = True


@dataclass
class Call:
    """A call of a layer.

    Attributes:
        key: the path, and which of the calls of this layer it is.
        path: names of the layer and of what holds it.
        kind: its class.
        layer: the layer.
        operands: what went in.
        outputs: what came out.
        masked: whether a mask came out.
        mask: that mask, where it is one of steps.
        given_mask: whether the layer itself was told of a mask.
        within: key of the call in which it was made, "" for none.
        parts: how many calls were made within it.
    """

    key: str
    path: str
    kind: str
    layer: Any
    operands: list[Operand] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    masked: bool = False
    mask: Host | None = None
    given_mask: bool = False
    within: str = ""
    parts: int = 0

    @property
    def mask_came(self) -> bool:
        """Whether the layer was told of a mask, or a mask was on any of its operands."""
        return self.given_mask or any(operand.masked for operand in self.operands)


@dataclass
class Trace:
    """A run.

    Attributes:
        calls: by key, in the order in which they ended.
        outputs: of the model.
        sources: keys of the calls that made them.
    """

    calls: dict[str, Call] = field(default_factory=dict)
    outputs: list[Value] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)

    def leaves(self) -> Iterator[Call]:
        """Calls in which no other was made."""
        return (call for call in self.calls.values() if not call.parts)


def row_of(value: Value, at: int, rows: int) -> Host:
    """What a value says of one row; all of it where it is the same for all rows, as a table of positions is."""
    if isinstance(value, list) or (value.ndim and value.shape[0] == rows):
        return value[at]
    return value[0] if value.ndim and value.shape[0] == 1 else value


def cut(row: Host, shape: Sequence[int], side: Side) -> Host | None:
    """The part of a padded row that has the shape of the row alone.

    Args:
        row: as it came out of a padded batch.
        shape: that it has alone.
        side: where the padding is.

    Returns:
        The part; None when there is none of this shape.
    """
    if row.ndim != len(shape) or any(mine < wanted for mine, wanted in zip(row.shape, shape, strict=True)):
        return None
    places = (
        slice(0, n) if side == "right" else slice(size - n, size) for size, n in zip(row.shape, shape, strict=True)
    )
    return row[tuple(places)]


def apart(one: Host | None, other: Host | None) -> float:
    """The largest difference of two arrays; infinity where one has no number, or another shape."""
    if one is None or other is None or one.shape != other.shape:
        return float("inf")
    if not one.size:
        return 0.0
    if one.dtype.kind not in "fiub" or other.dtype.kind not in "fiub":
        return 0.0 if bool((one == other).all()) else float("inf")
    mine, theirs = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(invalid="ignore"):
        off = np.abs(mine - theirs)
    off[(mine == theirs) | (np.isnan(mine) & np.isnan(theirs))] = 0.0
    return float(np.where(np.isnan(off), np.inf, off).max())


def scale(value: Host) -> float:
    """The largest number of an array, at least 1: differences are judged beside it."""
    if value.dtype.kind not in "fiu" or not value.size:
        return 1.0
    live = np.abs(value[np.isfinite(value)].astype(np.float64))
    return float(live.max(initial=1.0))
