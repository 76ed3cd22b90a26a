"""HDF5 files, read in Python: groups, and arrays of plain numbers that stand in one piece in the file.

That is all that files of weights hold. The C library of HDF5 can do far more, and of some broken files it does not come
back. Here every structure is read at most once, so that the work is bounded by the size of the file, and what is not
needed is refused by name.

Source: HDF5 File Format Specification, version 3.0. The names are its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from padless.saving import bfloat16

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_NOWHERE = 2**64 - 1
_DEEPEST = 100
_MOST_AXES = 32
_SHARED = 0x02


class Hdf5Error(Exception):
    """A file is broken, or holds what has no place in it.

    Args:
        expected: what would have been right.
        got: what stands there.
    """

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"{expected}; {got}")
        self.expected = expected
        self.got = got


class Dataset(NamedTuple):
    """An array of a file.

    Args:
        shape: of the array.
        dtype: of its numbers; pairs of bytes for bfloat16.
        data: its bytes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    data: memoryview

    def array(self) -> np.ndarray[Any, Any]:
        """A copy as an array, in the machine's byte order; float32 for bfloat16."""
        found = np.frombuffer(self.data, self.dtype).reshape(self.shape)
        if self.dtype == bfloat16.PAIR:
            return bfloat16.unpacked(found)
        return found.astype(self.dtype.newbyteorder("="))


class _Message(NamedTuple):
    kind: int
    flags: int
    data: memoryview


class _Cursor:
    """Reads numbers from a place of a file, up to its end."""

    def __init__(self, data: memoryview, at: int = 0) -> None:
        self.data = data
        self.at = at

    def take(self, size: int) -> memoryview:
        """The next bytes."""
        if not 0 <= size <= len(self.data) - self.at or self.at < 0:
            raise Hdf5Error("a file that goes on", f"its end, {size} bytes before what stands at byte {self.at}")
        found = self.data[self.at : self.at + size]
        self.at += size
        return found

    def number(self, size: int = 8) -> int:
        """The next bytes as a whole number."""
        return int.from_bytes(self.take(size), "little")

    def expect(self, what: bytes) -> None:
        """Read what has to stand there."""
        found = bytes(self.take(len(what)))
        if found != what:
            raise Hdf5Error(f"{what!r} in the file", repr(found))


def read(data: bytes) -> dict[str, Dataset]:
    """Find all arrays of a file.

    Args:
        data: the whole file.

    Returns:
        Datasets by path, such as "layers/dense/vars/0".

    Raises:
        Hdf5Error: when the file is broken, or holds something else.
    """
    return _File(data).datasets()


class _File:
    """One file that is being read."""

    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        self.budget = 2 * len(data) + 1024
        self.claimed = 0
        self.seen: set[tuple[str, int]] = set()

    def datasets(self) -> dict[str, Dataset]:
        """All datasets by path."""
        found: dict[str, Dataset] = {}
        waiting = [("", self._root(), 0)]
        while waiting:
            path, address, depth = waiting.pop()
            if depth > _DEEPEST:
                raise Hdf5Error(f"at most {_DEEPEST} groups within each other", "more")
            messages = self._messages(address)
            kinds = {message.kind for message in messages}
            if kinds & {0x02, 0x06, 0x11}:
                for name, inner in self._links(messages):
                    waiting.append((f"{path}/{name}" if path else name, inner, depth + 1))
            elif 0x08 in kinds:
                if path in found:
                    raise Hdf5Error("each name once", f"{path!r} several times")
                found[path] = self._dataset(path, messages)
            elif depth:  # the root may be empty, and in new files a group without links says nothing of them
                raise Hdf5Error("groups and datasets", f"something else at {path!r}")
        return found

    def _cursor(self, kind: str, address: int, size: int) -> _Cursor:
        """A structure of a known size; each is read once, and all together are no longer than the file."""
        if (kind, address) in self.seen:
            raise Hdf5Error("each object at one place", f"another link to that at byte {address}")
        self.seen.add((kind, address))
        self.budget -= size
        if self.budget < 0:
            raise Hdf5Error("structures beside each other", "some over one another")
        if not 0 <= address <= len(self.data) - size:
            raise Hdf5Error("a file that is whole", f"one that ends before byte {address + size}")
        return _Cursor(self.data[address : address + size])

    # ---- the start

    def _root(self) -> int:
        """Address of the root's object header."""
        start = _Cursor(self.data)
        start.expect(SIGNATURE)
        version = start.number(1)
        if version in (0, 1):
            start.take(4)
            sizes = start.number(1), start.number(1)
            start.take(1 + 2 + 2 + 4 + (4 if version else 0))
            base = start.number()
            start.take(3 * 8 + 8)
        elif version in (2, 3):
            sizes = start.number(1), start.number(1)
            start.take(1)
            base = start.number()
            start.take(2 * 8)
        else:
            raise Hdf5Error("an HDF5 file of version 0 to 3", f"version {version}")
        if sizes != (8, 8) or base:
            raise Hdf5Error("addresses of 8 bytes, counted from the start", f"sizes {sizes} and start {base}")
        return start.number()

    # ---- object headers

    def _messages(self, address: int) -> list[_Message]:
        """What an object says of itself."""
        if bytes(self.data[address : address + 4]) == b"OHDR":
            return list(self._new_messages(address))
        prefix = self._cursor("header", address, 16)
        if prefix.number(1) != 1:
            raise Hdf5Error("an object header", f"something else at byte {address}")
        prefix.take(1)
        count = prefix.number(2)
        prefix.take(4)
        chunks = [(address + 16, prefix.number(4))]
        found: list[_Message] = []
        while chunks and len(found) < count:
            chunk = self._cursor("chunk", *chunks.pop(0))
            while len(chunk.data) - chunk.at >= 8 and len(found) < count:
                kind, size, flags = chunk.number(2), chunk.number(2), chunk.number(1)
                chunk.take(3)
                found.append(_Message(kind, flags, chunk.take(size)))
                if kind == 0x10:
                    chunks.append(_place(found[-1].data))
        return found

    def _new_messages(self, address: int) -> Iterator[_Message]:
        prefix = _Cursor(self.data, address + 4)
        version, flags = prefix.number(1), prefix.number(1)
        if version != 2:
            raise Hdf5Error("an object header of version 2", f"version {version}")
        prefix.take((16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0))
        size = prefix.number(1 << (flags & 3))
        chunks = [(prefix.at, size)]
        self._cursor("header", address, 0)
        while chunks:
            at, size = chunks.pop(0)
            chunk = self._cursor("chunk", at, size)
            if at != prefix.at:
                chunk.expect(b"OCHK")
                chunk = _Cursor(chunk.take(size - 8) if size >= 8 else chunk.take(0))
            ahead = 6 if flags & 0x04 else 4
            while len(chunk.data) - chunk.at >= ahead:
                kind, length, own = chunk.number(1), chunk.number(2), chunk.number(1)
                chunk.take(ahead - 4)
                message = _Message(kind, own, chunk.take(length))
                yield message
                if kind == 0x10:
                    chunks.append(_place(message.data))

    # ---- groups

    def _links(self, messages: list[_Message]) -> Iterator[tuple[str, int]]:
        """Names in a group, and addresses of the objects of these names."""
        for message in messages:
            if message.flags & _SHARED:
                raise Hdf5Error("messages that stand where they belong", "a shared one")
            if message.kind == 0x11:
                yield from self._table(*_place(message.data))
            elif message.kind == 0x06:
                yield _link(message.data)
            elif message.kind == 0x02:
                yield from self._dense_links(_Cursor(message.data))

    def _table(self, tree: int, heap: int) -> Iterator[tuple[str, int]]:
        """The links of a group of the older kind: a tree of tables, and a heap of names."""
        head = self._cursor("heap", heap, 32)
        head.expect(b"HEAP")
        head.take(4)
        size = head.number()
        head.take(8)
        names = self._cursor("names", head.number(), size).data
        waiting = [(tree, -1)]
        while waiting:
            address, level = waiting.pop()
            node = self._cursor("node", address, 24)
            node.expect(b"TREE")
            kind, own, count = node.number(1), node.number(1), node.number(2)
            if kind != 0 or level not in (-1, own):
                raise Hdf5Error("a tree of links", f"kind {kind} at level {own}")
            children = self._cursor("children", address + 24, 8 + 16 * count)
            for _ in range(count):
                children.take(8)
                child = children.number()
                if own:
                    waiting.append((child, own - 1))
                else:
                    yield from self._entries(child, names)

    def _entries(self, address: int, names: memoryview) -> Iterator[tuple[str, int]]:
        head = self._cursor("table", address, 8)
        head.expect(b"SNOD")
        head.take(2)
        entries = self._cursor("entries", address + 8, 40 * (count := head.number(2)))
        for _ in range(count):
            place, inner, kind = entries.number(), entries.number(), entries.number(4)
            entries.take(4 + 16)
            if kind == 2:
                raise Hdf5Error("groups and datasets", "a soft link")
            yield _text(names, place), inner

    def _dense_links(self, info: _Cursor) -> Iterator[tuple[str, int]]:
        """The links of a large group of the newer kind: in a heap, found by a tree."""
        info.take(1)
        flags = info.number(1)
        info.take(8 if flags & 1 else 0)
        heap, tree = info.number(), info.number()
        if heap == _NOWHERE:
            return
        blocks = _Heap(self, heap)
        for record in self._records(tree):
            yield _link(blocks.object(record[4:]))

    def _records(self, address: int) -> Iterator[memoryview]:
        """The records of a tree of version 2."""
        head = self._cursor("tree", address, 38)
        head.expect(b"BTHD")
        if (version := head.number(1)) or (kind := head.number(1)) != 5:
            raise Hdf5Error("a tree of names of links", f"version {version}, kind {kind}")
        size, length, depth = head.number(4), head.number(2), head.number(2)
        head.take(2)
        root, count = head.number(), head.number(2)
        if depth > 10 or not 4 < length < size < 2**20:
            raise Hdf5Error("a tree of names of links", f"depth {depth}, nodes of {size}, records of {length}")
        widths = _widths(size, length, depth)
        waiting = [(root, count, depth)]
        while waiting:
            at, count, level = waiting.pop()
            node = self._cursor("node", at, size)
            node.expect(b"BTIN" if level else b"BTLF")
            node.take(2)
            for _ in range(count):
                yield node.take(length)
            if level:
                for _ in range(count + 1):
                    child, below = node.number(), node.number(widths[0])
                    node.take(widths[level - 1] if level > 1 else 0)
                    waiting.append((child, below, level - 1))

    # ---- datasets

    def _dataset(self, path: str, messages: list[_Message]) -> Dataset:
        found = {message.kind: message for message in messages}
        if any(message.flags & _SHARED for message in messages if message.kind in (0x01, 0x03, 0x08)):
            raise Hdf5Error("messages that stand where they belong", f"a shared one at {path!r}")
        if 0x07 in found:
            raise Hdf5Error("data in this file", f"{path!r}, which lies in another one")
        if 0x0B in found:
            raise Hdf5Error("arrays in one piece, as Keras writes them", f"{path!r} compressed")
        if not {0x01, 0x03} <= set(found):
            raise Hdf5Error("a shape and a dtype", f"none at {path!r}")
        shape, dtype = _shape(path, found[0x01].data), _dtype(path, found[0x03].data)
        if dtype == bfloat16.PAIR and not any(_is_dtype_attribute(message) for message in messages):
            raise Hdf5Error("numbers", f"pairs of bytes at {path!r}")
        size = math.prod(shape) * dtype.itemsize
        stored = self._stored(path, _Cursor(found[0x08].data))
        self.claimed += size
        if size > len(stored) or self.claimed > len(self.data):
            raise Hdf5Error(
                "arrays of which all bytes are there", f"shape {shape} in {len(stored):,} bytes at {path!r}"
            )
        return Dataset(shape, dtype, stored[:size])

    def _stored(self, path: str, layout: _Cursor) -> memoryview:
        """The bytes of a dataset."""
        version, kind = layout.number(1), layout.number(1)
        if version not in (3, 4) or kind not in (0, 1):
            names = {2: "in chunks", 3: "a view of other files"}
            got = f"{path!r} {names.get(kind, 'in another way')} (version {version})"
            raise Hdf5Error("arrays in one piece, as Keras writes them", got)
        if kind == 0:
            return layout.take(layout.number(2))
        address, size = layout.number(), layout.number()
        if address == _NOWHERE or not size:
            return self.data[:0]
        if address + size > len(self.data):
            raise Hdf5Error("a file that is whole", f"one that ends before the data of {path!r}")
        return self.data[address : address + size]


class _Heap:
    """The blocks of a fractal heap, in which large groups keep their links."""

    def __init__(self, file: _File, address: int) -> None:
        self.file = file
        head = file._cursor("fractal heap", address, 146)
        head.expect(b"FRHP")
        head.take(1)
        head.take(2)
        filters, self.flags, self.largest = head.number(2), head.number(1), head.number(4)
        head.take(12 * 8)
        self.width, self.start, most = head.number(2), head.number(), head.number()
        self.bits = head.number(2)
        head.take(2)
        root, rows = head.number(), head.number(2)
        sound = 0 < self.width <= 64 and 0 < self.start <= most < 2**32 and 0 < self.bits <= 64 and rows <= 64
        if filters or not sound or self.start & (self.start - 1) or most & (most - 1):
            raise Hdf5Error("a heap of links", "one of other sizes")
        self.direct_rows = most.bit_length() - self.start.bit_length() + 2
        self.length_width = min(_bytes_for(most), _bytes_for(self.largest))
        self.blocks: list[tuple[int, int, int]] = []
        """Of each block, where it begins in the heap, its size, and its address."""
        if rows:
            self._find(root, rows, 0)
        else:
            self.blocks.append((0, self.start, root))

    def _row_size(self, row: int) -> int:
        return self.start << max(row - 1, 0)

    def _find(self, address: int, rows: int, begin: int) -> None:
        direct = min(rows, self.direct_rows)
        if rows > direct:
            raise Hdf5Error("a group of fewer links", "one of many thousands")
        ahead = 5 + 8 + -(-self.bits // 8)
        table = self.file._cursor("block", address, ahead + 8 * self.width * direct)
        table.expect(b"FHIB")
        table.take(ahead - 4)
        for row in range(direct):
            for _ in range(self.width):
                block = table.number()
                if block != _NOWHERE:
                    self.blocks.append((begin, self._row_size(row), block))
                begin += self._row_size(row)

    def object(self, identity: memoryview) -> memoryview:
        """The bytes of one object, by its ID."""
        cursor = _Cursor(identity)
        if cursor.number(1) & 0xF0:
            raise Hdf5Error("short names of links", "a long one")
        offset, length = cursor.number(-(-self.bits // 8)), cursor.number(self.length_width)
        for begin, size, address in self.blocks:
            if begin <= offset and offset + length <= begin + size:
                return self.file._cursor("link", address + offset - begin, length).data
        raise Hdf5Error("a link in its heap", "none there")


def _place(data: memoryview) -> tuple[int, int]:
    """Two numbers: an address and a size, or two addresses."""
    cursor = _Cursor(data)
    return cursor.number(), cursor.number()


def _bytes_for(most: int) -> int:
    return (most.bit_length() + 7) // 8


def _widths(size: int, length: int, depth: int) -> list[int]:
    """Bytes for the number of records in a leaf, then in trees of depth 1, 2, ..."""
    room = size - 10
    most = total = room // length
    widths = [_bytes_for(most)]
    for level in range(1, depth):
        pointer = 8 + widths[0] + (widths[level - 1] if level > 1 else 0)
        inner = (room - pointer) // (length + pointer)
        total = (inner + 1) * total + inner
        widths.append(_bytes_for(total))
    return widths


def _text(data: memoryview, at: int) -> str:
    """A name that ends with a zero byte."""
    name, end, _ = bytes(data[at : at + 1024]).partition(b"\0")
    return _name(name if end else b"")


def _name(raw: bytes) -> str:
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        name = ""
    if not name or "/" in name or name in (".", ".."):
        raise Hdf5Error("names of layers and arrays", repr(raw[:40]))
    return name


def _link(data: memoryview) -> tuple[str, int]:
    """Name and address of a link message."""
    cursor = _Cursor(data)
    version, flags = cursor.number(1), cursor.number(1)
    kind = cursor.number(1) if flags & 0x08 else 0
    if version != 1 or kind:
        raise Hdf5Error(
            "groups and datasets", {1: "a soft link", 64: "a link to another file"}.get(kind, "another link")
        )
    cursor.take((8 if flags & 0x04 else 0) + (1 if flags & 0x10 else 0))
    name = _name(bytes(cursor.take(cursor.number(1 << (flags & 3)))))
    return name, cursor.number()


def _shape(path: str, data: memoryview) -> tuple[int, ...]:
    cursor = _Cursor(data)
    version, axes, _ = cursor.number(1), cursor.number(1), cursor.number(1)
    kind = cursor.number(1) if version == 2 else int(axes > 0)
    if version == 1:
        cursor.take(5)
    if version not in (1, 2) or axes > _MOST_AXES or kind not in (0, 1) or (kind == 0 and axes):
        raise Hdf5Error("arrays", f"something else at {path!r}")
    return tuple(cursor.number() for _ in range(axes))


def _dtype(path: str, data: memoryview) -> np.dtype[Any]:
    """The dtype that a message describes, if it is one of NumPy's numbers or of two bytes."""
    cursor = _Cursor(data)
    kind = cursor.number(1) & 0x0F
    flags, size = cursor.number(3), cursor.number(4)
    order = ">" if flags & 1 else "<"
    if kind == 0 and size in (1, 2, 4, 8):
        return np.dtype(f"{order}{'i' if flags & 8 else 'u'}{size}")
    if kind == 1 and size in (2, 4, 8) and not flags & 0x40:
        offset, bits, _, exponent, _, mantissa = (cursor.number(n) for n in (2, 2, 1, 1, 1, 1))
        if (bits, exponent, mantissa) == {2: (16, 5, 10), 4: (32, 8, 23), 8: (64, 11, 52)}[size] and not offset:
            return np.dtype(f"{order}f{size}")
    if kind == 5 and size == 2:
        return bfloat16.PAIR
    if kind == 8 and size == 1:  # h5py's truth values: an enumeration of FALSE and TRUE
        return np.dtype(bool)
    names = {3: "texts", 4: "bits", 5: "bytes", 6: "records", 7: "references", 8: "an enumeration", 9: "texts or lists"}
    raise Hdf5Error("numbers", f"{names.get(kind, 'numbers of another kind')} at {path!r}")


def _is_dtype_attribute(message: _Message) -> bool:
    """Whether it is the attribute by which Keras tells bfloat16 from other pairs of bytes."""
    return message.kind == 0x0C and b"dtype\0" in bytes(message.data[:64])
