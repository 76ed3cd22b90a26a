"""What a model is asked: the same rows alone, in batches, padded in several ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from padless.errors import ArgumentError, DataError, explain

Host = npt.NDArray[Any]
Side = Literal["right", "left"]

LENGTHS = (9, 14, 5, 3, 4, 3)
"""Mostly short ones: the fewer real steps, the more padding weighs."""
LONGER = 7
FILLS = {"0": 0.0, "1000": 1e3, "NaN": np.nan}


@dataclass(frozen=True)
class Slot:
    """An input of a model.

    Attributes:
        name: of the input.
        shape: of one step, or of a row where there are no steps.
        dtype: a name.
        steps: whether rows have steps.
        fixed: how many columns it must have; None for any number.
        ids: for ids, how many there are; None for numbers.
        pad: what stands at padded steps.
        masked: whether the model makes a mask from `pad`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    steps: bool = True
    fixed: int | None = None
    ids: int | None = None
    pad: float = 0.0
    masked: bool = False

    @property
    def open(self) -> bool:
        """Whether nothing says which of its steps are padding, so that any number may stand there."""
        return self.steps and not self.masked and self.ids is None and self.dtype.startswith("float")


@dataclass(frozen=True)
class Rows:
    """Rows to ask about.

    Attributes:
        parts: for each input the rows: (length, *shape), or (*shape) where there are no steps.
        lengths: of the rows.
    """

    parts: tuple[tuple[Host, ...], ...]
    lengths: tuple[int, ...]

    def take(self, chosen: Sequence[int]) -> Rows:
        """The chosen rows."""
        parts = tuple(tuple(part[at] for at in chosen) for part in self.parts)
        return Rows(parts, tuple(self.lengths[at] for at in chosen))

    def with_empty(self, slots: Sequence[Slot]) -> Rows:
        """The rows, and one without steps."""
        parts = tuple(
            (*part, part[0][:0] if slot.steps else part[0]) for part, slot in zip(self.parts, slots, strict=True)
        )
        return Rows(parts, (*self.lengths, 0))


@dataclass(frozen=True)
class Batch:
    """Rows in padded arrays.

    Attributes:
        rows: the rows.
        columns: of the arrays.
        side: where the padding is.
        fill: what is put in place of masked steps within the model, after the layer that made the mask, and into the
            padding of inputs that get no mask; None leaves what is there.
    """

    rows: Rows
    columns: int
    side: Side = "right"
    fill: float | None = None

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(B, T), True where a step is real."""
        columns, lengths = np.arange(self.columns), np.array(self.rows.lengths, np.int64)[:, None]
        return columns < lengths if self.side == "right" else columns >= self.columns - lengths

    def arrays(self, slots: Sequence[Slot]) -> list[Host]:
        """An array for each input.

        Args:
            slots: the inputs.

        Returns:
            (B, T, ...), or (B, ...) where there are no steps.
        """
        return [self._array(part, slot) for part, slot in zip(self.rows.parts, slots, strict=True)]

    def _array(self, part: tuple[Host, ...], slot: Slot) -> Host:
        if not slot.steps:
            return np.stack(part).astype(slot.dtype)
        pad = self.fill if self.fill is not None and slot.open else slot.pad
        array = np.full((len(part), self.columns, *slot.shape), pad, slot.dtype)
        mask = self.mask
        for at, row in enumerate(part):
            array[at, mask[at]] = row
        return array


def invented(slots: Sequence[Slot], lengths: Sequence[int], seed: int = 0) -> Rows:
    """Rows of random numbers.

    Args:
        slots: the inputs.
        lengths: of the rows.
        seed: of the numbers.

    Returns:
        The rows; ids are never 0, which often stands for padding.
    """
    numbers = np.random.default_rng(seed)

    def row(slot: Slot, at: int) -> Host:
        shape = (lengths[at], *slot.shape) if slot.steps else slot.shape
        if slot.ids is not None:
            return numbers.integers(1, max(slot.ids, 2), shape).astype(slot.dtype)
        # Some rows mostly below 0 and some above, so that zeros beside them are no neutral value.
        return (numbers.normal(size=shape) + (-2, 0, 2)[at % 3]).astype(slot.dtype)

    return Rows(tuple(tuple(row(slot, at) for at in range(len(lengths))) for slot in slots), tuple(lengths))


def given(slots: Sequence[Slot], data: Any, most: int) -> Rows:
    """The first rows of the user's data.

    Args:
        slots: the inputs.
        data: for one input a list of sequences, a Ragged or a padded array; for several a dict by name, or a list with
            one of these for each.
        most: how many rows to take; the longest of them and different lengths first.

    Returns:
        The rows.

    Raises:
        DataError: when there are no rows with steps, or inputs differ in them.
        ArgumentError: when an input is not there, or data do not fit it.
    """
    parts = tuple(_rows_of(slot, one) for slot, one in zip(slots, _by_slot(slots, data), strict=True))
    counts = {len(part) for part in parts}
    if len(counts) > 1:
        got, fix = f"{', '.join(str(len(part)) for part in parts)} rows", "the same rows for every input"
        raise DataError(explain("audit(data=...)", expected="as many rows for each input", got=got, fix=fix))
    steps = [part for part, slot in zip(parts, slots, strict=True) if slot.steps]
    if not steps:
        got, fix = "none", "models that read sequences"
        raise ArgumentError(explain("audit(data=...)", expected="an input with steps", got=got, fix=fix))
    lengths = [len(row) for row in steps[0]]
    for part in steps[1:]:
        for at, row in enumerate(part):
            if len(row) != lengths[at]:
                got = f"{len(row)} and {lengths[at]} steps in row {at}"
                fix = "rows of equal lengths for every input that has steps"
                raise DataError(explain("audit(data=...)", expected="inputs of the same lengths", got=got, fix=fix))
    chosen = _varied(lengths, most)
    if not chosen:
        fix = "rows with steps"
        raise DataError(explain("audit(data=...)", expected="rows with steps", got="none", fix=fix))
    return Rows(parts, tuple(lengths)).take(chosen)


def _varied(lengths: Sequence[int], most: int) -> list[int]:
    """Indices of rows with steps, such that lengths differ: evenly from the shortest to the longest."""
    live = sorted((at for at, n in enumerate(lengths) if n), key=lambda at: lengths[at])
    places: Any = np.unique(np.linspace(0, len(live) - 1, min(most, len(live))).astype(int)) if live else []
    return sorted(live[at] for at in places)


def _by_slot(slots: Sequence[Slot], data: Any) -> list[Any]:
    if isinstance(data, Mapping):
        missing = [slot.name for slot in slots if slot.name not in data]
        if len(slots) == 1 and len(data) == 1:
            return list(data.values())
        if missing:
            got, fix = f"only {', '.join(map(str, data))}", f"data with {missing[0]!r}, too"
            expected = f"data for {', '.join(slot.name for slot in slots)}"
            raise ArgumentError(explain("audit(data=...)", expected=expected, got=got, fix=fix))
        return [data[slot.name] for slot in slots]
    if len(slots) == 1:
        return [data]
    if not isinstance(data, list | tuple) or len(data) != len(slots):
        names = ", ".join(slot.name for slot in slots)
        got, fix = type(data).__name__, f"a dict with the names of the inputs: {names}"
        raise ArgumentError(explain("audit(data=...)", expected=f"data for {names}", got=got, fix=fix))
    return list(data)


def _rows_of(slot: Slot, data: Any) -> tuple[Host, ...]:
    """Rows of the data of one input; the padding of padded arrays is taken off on the right and the left."""
    from padless.ragged import Ragged

    where = f"audit, data of {slot.name!r}"
    padded = isinstance(data, np.ndarray) and data.dtype != object and slot.steps
    rows = data.to_list() if isinstance(data, Ragged) else list(data)
    try:
        arrays = [np.asarray(row) for row in rows]
        arrays = [(_stripped(row, slot) if padded else row).astype(slot.dtype) for row in arrays]
    except (TypeError, ValueError) as error:
        fix = "lists of numbers, all of the same shape in a row"
        raise ArgumentError(explain(where, expected=f"rows of {slot.dtype}", got=str(error), fix=fix)) from error
    for at, row in enumerate(arrays):
        if slot.steps and not row.size:
            arrays[at] = row.reshape((0, *slot.shape))
        elif row.shape[int(slot.steps) :] != slot.shape or row.ndim != len(slot.shape) + slot.steps:
            wanted = ", ".join(map(str, (("length",) if slot.steps else ()) + slot.shape))
            fix = "what the model reads"
            raise ArgumentError(explain(where, expected=f"rows of shape ({wanted})", got=str(row.shape), fix=fix))
        if slot.ids is not None and row.size and not (row.min() >= 0 and row.max() < slot.ids):
            got, fix = f"{row.min()} to {row.max()} in row {at}", "the ids that the model was made for"
            raise DataError(explain(where, expected=f"ids below {slot.ids}", got=got, fix=fix))
        if slot.fixed is not None and slot.steps and len(row) > slot.fixed:
            arrays[at] = row[: slot.fixed]
    return tuple(arrays)


def _stripped(row: Host, slot: Slot) -> Host:
    live = row != slot.pad if row.ndim == 1 else (row != slot.pad).any(axis=tuple(range(1, row.ndim)))
    where = np.flatnonzero(live)
    return row[where[0] : where[-1] + 1] if len(where) else row[:0]
