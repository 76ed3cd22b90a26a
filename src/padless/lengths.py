"""How layers give rows another length: windows, slices, padding, repeating, rows behind rows.

A `Derivation` says how the rows of an output come of those of one input or several: how many steps each has, which
input steps each of these reads, and how many there can be at most where the lengths are not known yet. Partitions of
every kind (of the host, filled up to a size, traced by JAX) follow any derivation, so that a new one is one class here.

Places are counted from a row's first live step, masked steps within the row (holes) among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from padless.rows import Bool, Int, RowPartition


class Taps(NamedTuple):
    """What each step of the output reads.

    Attributes:
        steps: (M, K) the input step under each tap, counted over all inputs end to end; as many as there are steps in
            all where a tap meets nothing: a place outside of the row, or a hole.
        inside: (M,) how many taps lie inside of the row, holes included.
        kernel: (M, K) which tap of a kernel each tap is.
    """

    steps: Int
    inside: Int
    kernel: Int


class Room(NamedTuple):
    """How large rows can be at most.

    Attributes:
        nrows: B.
        nvals: N.
        places: of all rows together.
    """

    nrows: int
    nvals: int
    places: int


class Derivation:
    """How rows come of other rows, each of the row with its number. Hashable, and equal to one with the same numbers.

    Subclasses say `count`, `reads` and `most`; what comes of several inputs, or makes several rows of one, says
    `rows`, `taps` and `room` instead.
    """

    holes: ClassVar[Literal["seen", "kept"]] = "seen"
    """Whether masked steps within rows are places like others, of which output steps come, or stay masked."""

    @property
    def keeps(self) -> bool:
        """Whether every input step has its own output step: the rows are then the same, and so is the partition."""
        return False

    @property
    def alike(self) -> Derivation:
        """A derivation that gives the same rows where no step within a row is masked; they are then one object."""
        return self

    def count(self, places: Int) -> Int:
        """How many places a row has that had so many."""
        raise NotImplementedError

    def column(self, starts: Int) -> Int:
        """(B,) where in the padded array rows begin that began at such columns, if they stood at no edge of it."""
        return starts

    def reads(self, places: Int, extents: Int) -> Int:
        """The input place under each tap, outside of 0 to the extent where there is none.

        Args:
            places: (M,) of output steps in their rows.
            extents: (M,) number of input places of these rows.

        Returns:
            (M, K).
        """
        raise NotImplementedError

    def kernel(self, places: Int) -> Int:
        """(M, K) or (1, K) which tap of a kernel each tap is, for output steps at (M,) places."""
        return np.zeros((1, 1), np.int64)

    def most(self, places: int, nrows: int) -> int:
        """How many output places there can be in so many rows with so many places in all."""
        raise NotImplementedError

    def rows(self, *parts: RowPartition) -> RowPartition:
        """The partition of the output.

        Args:
            *parts: of the inputs.

        Returns:
            The partition.
        """
        (one,) = parts
        if self.keeps:
            return one
        dense = _resized(one, self)
        live = self._live(one, dense)
        return dense if live is None else dense.select(live)[0]

    def taps(self, *parts: RowPartition) -> Taps:
        """What each step of the output reads.

        Args:
            *parts: partitions of the inputs.

        Returns:
            The taps.
        """
        (one,) = parts
        dense = one if self.keeps else _resized(one, self)
        index, inside = self._dense(one, dense)
        kernel = np.broadcast_to(self.kernel(dense.positions), index.shape)
        made = Taps(index, inside.sum(axis=1, dtype=np.int64), kernel)
        live = self._live(one, dense)
        return made if live is None else Taps(*(array[live] for array in made))

    def room(self, *parts: Room) -> Room:
        """How large the output can be at most.

        Args:
            *parts: the inputs.

        Returns:
            The bounds.
        """
        (one,) = parts
        most = self.most(one.places, one.nrows)
        if self.holes == "seen":
            return Room(one.nrows, most, most)
        most, holes = self.most(one.nvals, one.nrows), one.places - one.nvals
        return Room(one.nrows, most, most + max(holes, self.most(holes, 0)))

    def _dense(self, one: RowPartition, dense: RowPartition) -> tuple[Int, Bool]:
        """(M, K) the step under each tap, and whether it lies inside of the row."""
        rowids = dense.value_rowids
        extents = one.extents[rowids]
        taps = self.reads(dense.positions, extents)
        inside = (taps >= 0) & (taps < extents[:, None])
        if not one.has_holes:
            return np.where(inside, one.row_splits[:-1][rowids][:, None] + taps, one.nvals), inside
        firsts = np.cumsum(one.extents) - one.extents
        table = np.full(one.places + 1, one.nvals, np.int64)
        table[firsts[one.value_rowids] + one.positions] = np.arange(one.nvals)
        return table[np.where(inside, firsts[rowids][:, None] + taps, -1)], inside

    def _live(self, one: RowPartition, dense: RowPartition) -> Bool | None:
        """(M,) False for output steps that are holes as what they read is; None where none is."""
        if self.holes == "seen" or not one.has_holes:
            return None
        index, inside = self._dense(one, dense)
        live: Bool = ~(inside & (index == one.nvals)).any(axis=1)
        return live


@dataclass(frozen=True)
class Window(Derivation):
    """The windows of a convolution or of pooling, every row alone, by Keras's formulas.

    Args:
        size: K, taps of a window.
        stride: places between two windows.
        dilation: places between two taps.
        padding: "valid", "same" or "causal".
    """

    size: int
    stride: int = 1
    dilation: int = 1
    padding: str = "valid"

    @property
    def span(self) -> int:
        """Places from the first to the last tap of a window."""
        return (self.size - 1) * self.dilation + 1

    @property
    def keeps(self) -> bool:
        return self.stride == 1 and self.padding != "valid"

    def count(self, places: Int) -> Int:
        if self.padding == "valid":
            return np.maximum((places - self.span) // self.stride + 1, 0)
        return -(-places // self.stride)

    def column(self, starts: Int) -> Int:
        return starts // self.stride

    def margins(self, extents: Int) -> Int:
        """(B,) how many places before the row the first window of each row begins."""
        if self.padding != "same":
            return np.full_like(extents, self.span - 1 if self.padding == "causal" else 0)
        margins: Int = np.maximum((self.count(extents) - 1) * self.stride + self.span - extents, 0) // 2
        return margins

    def reads(self, places: Int, extents: Int) -> Int:
        firsts = places * self.stride - self.margins(extents)
        taps: Int = firsts[:, None] + np.arange(self.size) * self.dilation
        return taps

    def most(self, places: int, nrows: int) -> int:
        """A row of e places has at most e / stride windows, and one more when windows reach over its end."""
        over = self.stride - (self.span if self.padding == "valid" else 1)
        return (places + nrows * max(over, 0)) // self.stride


@dataclass(frozen=True)
class Slice(Derivation):
    """Some steps of each row, as Python slices a list: `row[start:stop:stride]`.

    Args:
        start: the first place; counted from the end of the row where negative.
        stop: the place behind the last one; counted from the end where negative. None: the end of the row.
        stride: places from one to the next; above 0.
    """

    start: int = 0
    stop: int | None = None
    stride: int = 1
    holes = "kept"

    @property
    def alike(self) -> Derivation:
        """All steps but the first are as many as all but the last."""
        end = 0 if self.stop is None else self.stop
        if self.start < 0 or self.stop == 0 or end > 0:
            return self
        return Slice(0, end - self.start or None, self.stride)

    def _bounds(self, places: Int) -> tuple[Int, Int]:
        def clipped(end: int) -> Int:
            return np.clip(end + (places if end < 0 else 0), 0, places)

        return clipped(self.start), places if self.stop is None else clipped(self.stop)

    def count(self, places: Int) -> Int:
        first, last = self._bounds(places)
        counts: Int = np.maximum(-((first - last) // self.stride), 0)
        return counts

    def column(self, starts: Int) -> Int:
        return starts // self.stride

    def reads(self, places: Int, extents: Int) -> Int:
        taps: Int = (self._bounds(extents)[0] + places * self.stride)[:, None]
        return taps

    def most(self, places: int, nrows: int) -> int:
        found = (places + nrows * (self.stride - 1)) // self.stride
        end = 0 if self.stop is None else self.stop
        if (self.start < 0 and end <= 0 and self.stop != 0) or (self.start >= 0 and self.stop is not None and end >= 0):
            found = min(found, nrows * max(end - self.start, 0))
        return found

    def room(self, *parts: Room) -> Room:
        """Live steps may all lie where the slice takes them."""
        (one,) = parts
        most = min(one.nvals, self.most(one.places, one.nrows))
        return Room(one.nrows, most, most + one.places - one.nvals)


@dataclass(frozen=True)
class Extend(Derivation):
    """Steps of zeros before and behind each row.

    Args:
        before: how many before it.
        after: how many behind it.
    """

    before: int
    after: int
    holes = "kept"

    def count(self, places: Int) -> Int:
        return places + (self.before + self.after)

    def reads(self, places: Int, extents: Int) -> Int:
        return (places - self.before)[:, None]

    def most(self, places: int, nrows: int) -> int:
        return places + nrows * (self.before + self.after)


@dataclass(frozen=True)
class Repeat(Derivation):
    """Every step several times.

    Args:
        times: how often.
    """

    times: int
    holes = "kept"

    def count(self, places: Int) -> Int:
        return places * self.times

    def column(self, starts: Int) -> Int:
        return starts * self.times

    def reads(self, places: Int, extents: Int) -> Int:
        return (places // self.times)[:, None]

    def most(self, places: int, nrows: int) -> int:
        return places * self.times


@dataclass(frozen=True)
class Transposed(Derivation):
    """A transposed convolution, every row alone: the way back from a convolution's output to its input.

    The step at place i adds to the places i * stride + k * dilation, for each tap k of the kernel; how much is cut off
    before, and how many places there are, follows Keras's formulas (those of TensorFlow).

    Args:
        size: K, taps of the kernel.
        stride: places between what two steps add to.
        dilation: places between two taps; 1 where the stride is above 1.
        padding: "valid" or "same".
        more: places behind; None for as many as make all places that a convolution of this kind could come from.
    """

    size: int
    stride: int = 1
    dilation: int = 1
    padding: str = "valid"
    more: int | None = None

    @property
    def span(self) -> int:
        """Places from the first to the last tap."""
        return (self.size - 1) * self.dilation + 1

    def _edge(self) -> int:
        """Number of places that a row of one step becomes."""
        if self.padding == "valid":
            return max(self.span, self.stride) if self.more is None else self.span + self.more
        return self.stride if self.more is None else self.span % 2 + self.more

    @property
    def cut(self) -> int:
        """Places cut off before."""
        if self.padding == "valid":
            return 0
        total = self._edge() + self.span - 2
        return self.span - 1 - min(total // 2 + total % 2, self.span - 1)

    @property
    def zeros(self) -> tuple[int, int]:
        """Zeros before and behind steps that stand `stride` apart, of which a convolution then makes the same."""
        return self.span - 1 - self.cut, self._edge() - 1 + self.cut

    def count(self, places: Int) -> Int:
        return np.where(places > 0, np.maximum((places - 1) * self.stride + self._edge(), 0), 0)

    def column(self, starts: Int) -> Int:
        return starts * self.stride

    def reads(self, places: Int, extents: Int) -> Int:
        full, kernel = places + self.cut, self.kernel(places)
        at: Int = (full[:, None] - kernel * self.dilation) // self.stride
        return np.where(kernel < self.size, at, -1)

    def kernel(self, places: Int) -> Int:
        if self.stride == 1:
            return np.arange(self.size)[None]
        # Every stride-th tap of the kernel meets a step.
        phase = (places + self.cut) % self.stride
        taps: Int = phase[:, None] + np.arange(-(-self.size // self.stride)) * self.stride
        return taps

    def most(self, places: int, nrows: int) -> int:
        return places * self.stride + nrows * max(self._edge() - self.stride, 0)


@dataclass(frozen=True)
class Split(Derivation):
    """Cut each row into so many parts of about one length, each a row of its own; neighbours may share a step.

    Part i of a row of n live steps holds the steps from floor(i n / parts) to ceil((i + 1) n / parts).

    Args:
        parts: of each row.
    """

    parts: int

    def _ends(self, rows: RowPartition) -> tuple[Int, Int]:
        """(B * parts,) first step of each part, and the one behind its last."""
        part, lengths = np.arange(self.parts), rows.row_lengths[:, None]
        firsts = part * lengths // self.parts
        lasts = -(-(part + 1) * lengths // self.parts)
        starts = rows.row_splits[:-1][:, None]
        return (starts + firsts).reshape(-1), (starts + lasts).reshape(-1)

    def rows(self, *parts: RowPartition) -> RowPartition:
        firsts, lasts = self._ends(parts[0])
        return RowPartition.from_lengths(lasts - firsts)

    def taps(self, *parts: RowPartition) -> Taps:
        rows = self.rows(*parts)
        index = (self._ends(parts[0])[0][rows.value_rowids] + rows.positions)[:, None]
        return Taps(index, np.ones(rows.nvals, np.int64), np.zeros_like(index))

    def room(self, *parts: Room) -> Room:
        (one,) = parts
        most = one.nvals + one.nrows * (self.parts - 1)
        return Room(one.nrows * self.parts, most, most)


@dataclass(frozen=True)
class Behind(Derivation):
    """Rows behind rows: the first step of a row of one input follows the last of that row of the input before."""

    def rows(self, *parts: RowPartition) -> RowPartition:
        lengths = np.sum([part.row_lengths for part in parts], axis=0)
        made = RowPartition.from_lengths(lengths)
        places = None
        if any(part.has_holes for part in parts):
            before = np.cumsum([part.extents for part in parts], axis=0) - np.stack([part.extents for part in parts])
            each = [part.positions + ends[part.value_rowids] for part, ends in zip(parts, before, strict=True)]
            places = np.concatenate(each)[self._order(parts)]
        if not any(part.came_padded for part in parts):
            return made if places is None else RowPartition(made.row_splits, positions=places)
        length = sum(part.padded_length for part in parts)
        extents = np.sum([part.extents for part in parts], axis=0)
        at_end = np.all([part.starts + part.extents == part.padded_length for part in parts], axis=0)
        starts = np.where(at_end, length - extents, np.minimum(parts[0].starts, length - extents))
        return RowPartition(made.row_splits, positions=places, starts=starts, length=length)

    def taps(self, *parts: RowPartition) -> Taps:
        index = self._order(parts)[:, None]
        return Taps(index, np.ones(len(index), np.int64), np.zeros_like(index))

    def room(self, *parts: Room) -> Room:
        return Room(parts[0].nrows, sum(part.nvals for part in parts), sum(part.places for part in parts))

    def _order(self, parts: tuple[RowPartition, ...]) -> Int:
        return np.argsort(np.concatenate([part.value_rowids for part in parts]), kind="stable")


@dataclass(frozen=True)
class Uniform(Derivation):
    """Rows of one length, as many as there are: those of a dense array (B, T, ...) beside rows.

    Args:
        length: T.
    """

    length: int

    def rows(self, *parts: RowPartition) -> RowPartition:
        return RowPartition.uniform(parts[0].nrows, self.length)

    def room(self, *parts: Room) -> Room:
        most = parts[0].nrows * self.length
        return Room(parts[0].nrows, most, most)


def _resized(rows: RowPartition, how: Derivation) -> RowPartition:
    """Rows with another number of places each, all of them live."""
    lengths = how.count(rows.extents)
    if not rows.came_padded:
        return RowPartition.from_lengths(lengths)
    # A row that stood at an edge of the padded array still does.
    length = max(int(how.count(np.array([rows.padded_length]))[0]), int(lengths.max(initial=0)))
    at_end = rows.starts + rows.extents == rows.padded_length
    latest = length - lengths
    starts = np.where(at_end, latest, np.minimum(how.column(rows.starts), latest))
    return RowPartition(np.concatenate([[0], np.cumsum(lengths)]), starts=starts, length=length)
