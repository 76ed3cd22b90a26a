"""Files that TensorBoard reads, written without TensorFlow: TFRecords of Event messages.

A record is its length (8 bytes), the masked CRC-32C of that, the message, and the masked CRC-32C of it. Of the messages
(event.proto, summary.proto, histogram.proto) the few fields are encoded that scalars and histograms need.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

_POLYNOMIAL = 0x82F63B78
_BINS = 30
_numbers = itertools.count()


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli) of some bytes.

    Args:
        data: the bytes.

    Returns:
        A whole number from 0 to 2**32 - 1.

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    total = 0xFFFFFFFF
    for byte in data:
        total = _TABLE[(total ^ byte) & 0xFF] ^ total >> 8
    return total ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """The checksum as records hold it: turned by 15 bits, and a constant added."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _varint(number: int) -> bytes:
    number &= 0xFFFFFFFFFFFFFFFF
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*made, number])


def _field(number: int, data: bytes) -> bytes:
    """A field of bytes: a text, or a message."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _doubles(number: int, values: Iterable[float]) -> bytes:
    return _field(number, b"".join(struct.pack("<d", value) for value in values))


def scalar(tag: str, value: float) -> bytes:
    """A Summary.Value of one number.

    Args:
        tag: its name.
        value: the number.

    Returns:
        The message.
    """
    return _field(1, tag.encode()) + _varint(2 << 3 | 5) + struct.pack("<f", np.float32(value))


def histogram(tag: str, values: npt.ArrayLike) -> bytes:
    """A Summary.Value of the distribution of numbers; what is not finite is left out.

    Args:
        tag: its name.
        values: the numbers.

    Returns:
        The message.
    """
    flat = np.asarray(values, np.float64).ravel()
    flat = flat[np.isfinite(flat)]
    counts, edges = np.histogram(flat, _BINS)
    low, high = (flat.min(), flat.max()) if flat.size else (0.0, 0.0)
    sums = flat.sum(), float(flat @ flat)
    message = b"".join(_double(at, number) for at, number in enumerate((low, high, flat.size, *sums), 1))
    return _field(1, tag.encode()) + _field(5, message + _doubles(6, edges[1:]) + _doubles(7, counts))


class EventFile:
    """A file of events in a folder, which is made.

    Args:
        folder: where.

    Example:
        >>> import tempfile, os
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = EventFile(folder)
        ...     file.add(0, [scalar("loss", 0.5)])
        ...     file.close()
        ...     os.listdir(folder)[0][:20]
        'events.out.tfevents.'
    """

    def __init__(self, folder: Path) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self._file = open(Path(folder) / name, "xb")
        self._write(_field(3, b"brain.Event:2"))

    def _write(self, event: bytes) -> None:
        event = _double(1, time.time()) + event
        length = struct.pack("<Q", len(event))
        checks = (struct.pack("<I", masked(crc32c(part))) for part in (length, event))
        self._file.write(length + next(checks) + event + next(checks))
        self._file.flush()

    def add(self, step: int, values: Iterable[bytes]) -> None:
        """Write what `scalar` and `histogram` made.

        Args:
            step: place on the axis of steps.
            values: the messages; without any, nothing is written.
        """
        summary = b"".join(_field(1, value) for value in values)
        if summary:
            self._write(_varint(2 << 3) + _varint(step) + _field(5, summary))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
