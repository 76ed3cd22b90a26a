"""HDF5 files, written in Python: groups, and arrays of plain numbers, in the oldest form, which every reader knows.

Source: HDF5 File Format Specification, version 3.0: superblock 0, object headers 1, groups as trees of tables.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np

from padless.errors import ArgumentError, explain
from padless.saving import bfloat16
from padless.saving.hdf5_reading import SIGNATURE

NDArray = np.ndarray[Any, Any]

_NOWHERE = 2**64 - 1
_IN_TABLE = 8
_IN_NODE = 32
"""How many names a table holds, and how many parts a node of a tree has."""
_HEAP_SIZE = 4096
_NO_FREE_SPACE = 1
_SCALAR = struct.pack("<BBBx4x", 1, 0, 0)
_FLOATS = {2: (15, 16, 10, 5, 10, 15), 4: (31, 32, 23, 8, 23, 127), 8: (63, 64, 52, 11, 52, 1023)}
"""Of a float of some bytes: place of the sign, bits, place and bits of the exponent, bits of the mantissa, bias."""

Tree = dict[str, Any]
"""Groups and arrays by name."""


def write(tree: Tree, texts: dict[str, dict[str, str]]) -> bytes:
    """The bytes of a file.

    Args:
        tree: groups are dicts, arrays are numbers; pairs of bytes are marked as bfloat16, as Keras does.
        texts: attributes of groups, by path.

    Returns:
        The bytes.
    """
    return bytes(_Writer(texts).file(tree))


class _Writer:
    """Puts structures one after the other; what refers to another comes after it."""

    def __init__(self, texts: dict[str, dict[str, str]]) -> None:
        self.texts = texts
        self.data = bytearray(96)
        self.strings: dict[str, tuple[int, int]] = {}

    def file(self, tree: Tree) -> bytearray:
        self._keep_strings({"bfloat16", *(text for one in self.texts.values() for text in one.values())})
        header, tables, heap = self._group("", tree)
        start = SIGNATURE + struct.pack("<8BHHI", 0, 0, 0, 0, 0, 8, 8, 0, _IN_TABLE // 2, _IN_NODE // 2, 0)
        start += struct.pack("<QQQQ", 0, _NOWHERE, len(self.data), _NOWHERE)
        self.data[:96] = start + struct.pack("<QQII", 0, header, 1, 0) + struct.pack("<QQ", tables, heap)
        return self.data

    def _put(self, part: bytes | bytearray) -> int:
        """Append a structure at an address that divides by 8."""
        address = len(self.data)
        self.data += part
        self.data += bytes(-len(self.data) % 8)
        return address

    # ---- objects

    def _object(self, messages: list[tuple[int, bytes]]) -> int:
        body = b""
        for kind, data in messages:
            padded = _padded(data)
            body += struct.pack("<HHBxxx", kind, len(padded), 0) + padded
        return self._put(struct.pack("<BxHIIxxxx", 1, len(messages), 1, len(body)) + body)

    def _group(self, path: str, tree: Tree) -> tuple[int, int, int]:
        """Addresses of a group's header, its tree and its heap."""
        inner: dict[bytes, int] = {}
        for key, value in tree.items():
            below = f"{path}/{key}" if path else key
            inner[key.encode()] = self._group(below, value)[0] if isinstance(value, dict) else self._dataset(value)
        places, names = {}, bytearray(8)
        for name in sorted(inner):
            places[name] = len(names)
            names += _padded(name + b"\0")
        heap_data = self._put(names)
        heap = self._put(b"HEAP" + struct.pack("<B3xQQQ", 0, len(names), _NO_FREE_SPACE, heap_data))
        tables = self._tables(inner, places)
        attributes = [(0x0C, self._text(name, text)) for name, text in self.texts.get(path, {}).items()]
        return self._object([(0x11, struct.pack("<QQ", tables, heap)), *attributes]), tables, heap

    def _tables(self, inner: dict[bytes, int], places: dict[bytes, int]) -> int:
        """The tree of a group: addresses of its objects, by the places of their names in the heap."""
        names, level = sorted(inner), 0
        parts: list[tuple[int, int]] = []
        for at in range(0, len(names), _IN_TABLE):
            some = names[at : at + _IN_TABLE]
            table = b"SNOD" + struct.pack("<BxH", 1, len(some))
            table += b"".join(struct.pack("<QQII16x", places[name], inner[name], 0, 0) for name in some)
            parts.append((self._put(table.ljust(8 + 40 * _IN_TABLE, b"\0")), places[some[-1]]))
        parts = self._nodes(parts, level)
        while len(parts) > 1:
            level += 1
            parts = self._nodes(parts, level)
        return parts[0][0]

    def _nodes(self, parts: list[tuple[int, int]], level: int) -> list[tuple[int, int]]:
        """A level of a tree over parts, each an address and the last name in it; the nodes are parts of the next."""
        several = [parts[at : at + _IN_NODE] for at in range(0, len(parts), _IN_NODE)] or [[]]
        size = 24 + 8 + 16 * _IN_NODE
        first = len(self.data)
        nodes: list[tuple[int, int]] = []
        for at, some in enumerate(several):
            left = first + (at - 1) * size if at else _NOWHERE
            right = first + (at + 1) * size if at + 1 < len(several) else _NOWHERE
            node = b"TREE" + struct.pack("<BBHQQQ", 0, level, len(some), left, right, nodes[-1][1] if nodes else 0)
            node += b"".join(struct.pack("<QQ", address, last) for address, last in some)
            nodes.append((self._put(node.ljust(size, b"\0")), some[-1][1] if some else 0))
        return nodes

    def _dataset(self, array: NDArray) -> int:
        array = np.asarray(array, order="C")
        if array.dtype.kind == "b":
            array = array.astype(np.uint8)
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        address = self._put(array.tobytes()) if array.size else _NOWHERE
        shape = struct.pack("<BBBx4x", 1, array.ndim, 0) + struct.pack(f"<{array.ndim}Q", *array.shape)
        messages = [(0x01, shape), (0x03, _dtype(array.dtype))]
        messages.append((0x08, struct.pack("<BBQQ", 3, 1, address, array.nbytes)))
        if array.dtype == bfloat16.PAIR:
            messages.append((0x0C, self._text("dtype", "bfloat16")))
        return self._object(messages)

    # ---- texts

    def _keep_strings(self, texts: Iterable[str]) -> None:
        """Write texts of any length into heaps, where attributes refer to them."""
        objects: list[tuple[str, bytes]] = []

        def close() -> None:
            body = b"".join(
                struct.pack("<HHIQ", at, 1, 0, len(data)) + _padded(data) for at, (_, data) in enumerate(objects, 1)
            )
            free = max(_HEAP_SIZE - 16 - len(body), 16)
            body += struct.pack("<HHIQ", 0, 0, 0, free) + bytes(free - 16)
            address = self._put(b"GCOL" + struct.pack("<B3xQ", 1, 16 + len(body)) + body)
            self.strings.update({text: (address, at) for at, (text, _) in enumerate(objects, 1)})
            objects.clear()

        size = 0
        for text in sorted(texts):
            data = text.encode() or b"\0"
            if objects and size + 32 + len(data) > _HEAP_SIZE - 64:
                close()
                size = 0
            objects.append((text, data))
            size += 32 + len(data)
        if objects:
            close()

    def _text(self, name: str, text: str) -> bytes:
        """An attribute that is a text of any length, as h5py writes one."""
        key = _padded(name.encode() + b"\0")
        dtype = struct.pack("<B3BI", 0x19, 0x01, 0x01, 0, 16) + struct.pack("<B3BIHH", 0x10, 0, 0, 0, 1, 0, 8)
        address, at = self.strings[text]
        head = struct.pack("<BxHHH", 1, len(name) + 1, len(dtype), len(_SCALAR))
        return head + key + _padded(dtype) + _SCALAR + struct.pack("<IQI", len(text.encode()), address, at)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def _dtype(dtype: np.dtype[Any]) -> bytes:
    """The message of a dtype."""
    size = dtype.itemsize
    if dtype.kind == "f":
        sign, bits, exponent_at, exponent, mantissa, bias = _FLOATS[size]
        head = struct.pack("<B3BI", 0x11, 0x20, sign, 0, size)
        return head + struct.pack("<HHBBBBI", 0, bits, exponent_at, exponent, 0, mantissa, bias)
    if dtype.kind in "iu":
        return struct.pack("<B3BIHH", 0x10, 0x08 if dtype.kind == "i" else 0, 0, 0, size, 0, 8 * size)
    if dtype == bfloat16.PAIR:
        return struct.pack("<B3BI", 0x15, 0, 0, 0, size)
    raise ArgumentError(
        explain("save_weights", expected="weights that are numbers", got=f"dtype {dtype}", fix="float32, or integers")
    )
