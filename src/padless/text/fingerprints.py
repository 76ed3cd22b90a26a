"""Numbers for texts that are the same in every process: FarmHash's Fingerprint64 and SipHash-2-4.

They are what TensorFlow's `tf.strings.to_hash_bucket_fast` and `to_hash_bucket_strong` compute, and so Keras's Hashing
and lookups with several places for unknown terms.

Source: FarmHash (Pike and Alakuijala 2014, farmhashna::Hash64); SipHash (Aumasson and Bernstein 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

_M = (1 << 64) - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def _rotated(x: int, by: int) -> int:
    """Rotate right."""
    return (x >> by | x << (64 - by)) & _M


def _mixed(x: int) -> int:
    return x ^ x >> 47


def _word(text: bytes, at: int, size: int = 8) -> int:
    return int.from_bytes(text[at : at + size], "little")


def _of_two(u: int, v: int, factor: int) -> int:
    a = _mixed((u ^ v) * factor & _M)
    b = _mixed((v ^ a) * factor & _M)
    return b * factor & _M


def _short(text: bytes) -> int:
    """Up to 16 bytes."""
    n = len(text)
    factor = _K2 + 2 * n
    if n >= 8:
        a, b = (_word(text, 0) + _K2) & _M, _word(text, n - 8)
        return _of_two((_rotated(b, 37) * factor + a) & _M, (_rotated(a, 25) + b) * factor & _M, factor)
    if n >= 4:
        return _of_two((n + (_word(text, 0, 4) << 3)) & _M, _word(text, n - 4, 4), factor)
    if not n:
        return _K2
    y, z = text[0] + (text[n >> 1] << 8), n + (text[-1] << 2)
    return _mixed((y * _K2 & _M) ^ (z * _K0 & _M)) * _K2 & _M


def _medium(text: bytes) -> int:
    """17 to 64 bytes."""
    n = len(text)
    factor = _K2 + 2 * n
    a = _word(text, 0) * (_K1 if n <= 32 else _K2) & _M
    b, c, d = _word(text, 8), _word(text, n - 8) * factor & _M, _word(text, n - 16) * _K2 & _M
    y = (_rotated((a + b) & _M, 43) + _rotated(c, 30) + d) & _M
    z = _of_two(y, (a + _rotated((b + _K2) & _M, 18) + c) & _M, factor)
    if n <= 32:
        return z
    e, f = _word(text, 16) * factor & _M, _word(text, 24)
    g, h = (y + _word(text, n - 32)) * factor & _M, (z + _word(text, n - 24)) * factor & _M
    first = (_rotated((e + f) & _M, 43) + _rotated(g, 30) + h) & _M
    return _of_two(first, (e + _rotated((f + a) & _M, 18) + g) & _M, factor)


def _weak(text: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    """Hash 32 bytes with two seeds."""
    w, x, y, z = (_word(text, at + 8 * k) for k in range(4))
    a = a + w & _M
    b = _rotated(b + a + z & _M, 21)
    c = a
    a = a + x + y & _M
    return a + z & _M, b + _rotated(a, 44) + c & _M


def _long(text: bytes) -> int:
    """More than 64 bytes."""
    n = len(text)
    x, y = 81, (81 * _K1 + 113) & _M
    z = _mixed((y * _K2 + 113) & _M) * _K2 & _M
    v, w = (0, 0), (0, 0)
    x = (x * _K2 + _word(text, 0)) & _M
    end = (n - 1) // 64 * 64
    for at in (*range(0, end, 64), -1):
        factor = _K1
        if at < 0:  # the last 64 bytes, which may overlap those before
            at = n - 64
            factor = (_K1 + ((z & 0xFF) << 1)) & _M
            w = ((w[0] + ((n - 1) & 63)) & _M, w[1])
            v = ((v[0] + w[0]) & _M, v[1])
            w = ((w[0] + v[0]) & _M, w[1])
        nine = 1 if factor == _K1 else 9
        x = _rotated((x + y + v[0] + _word(text, at + 8)) & _M, 37) * factor & _M
        y = _rotated((y + v[1] + _word(text, at + 48)) & _M, 42) * factor & _M
        x ^= w[1] * nine & _M
        y = (y + v[0] * nine + _word(text, at + 40)) & _M
        z = _rotated((z + w[0]) & _M, 33) * factor & _M
        v, w = (
            _weak(text, at, v[1] * factor & _M, (x + w[0]) & _M),
            _weak(text, at + 32, (z + w[1]) & _M, (y + _word(text, at + 16)) & _M),
        )
        z, x = x, z
    first = (_of_two(v[0], w[0], factor) + _mixed(y) * _K0 + z) & _M
    return _of_two(first, (_of_two(v[1], w[1], factor) + x) & _M, factor)


def farmhash64(text: bytes) -> int:
    """Fingerprint64 of FarmHash.

    Args:
        text: bytes.

    Returns:
        A number below 2**64.

    Example:
        >>> [farmhash64(text) % 3 for text in (b"Hello", b"TensorFlow", b"2.x")]
        [0, 2, 2]
    """
    n = len(text)
    return _short(text) if n <= 16 else _medium(text) if n <= 64 else _long(text)


def siphash64(text: bytes, key: tuple[int, int]) -> int:
    """SipHash-2-4.

    Args:
        text: bytes.
        key: two numbers below 2**64.

    Returns:
        A number below 2**64.

    Example:
        >>> hex(siphash64(bytes(range(15)), (0x0706050403020100, 0x0F0E0D0C0B0A0908)))
        '0xa129ca6149be45e5'
    """
    a, b = key[0] ^ 0x736F6D6570736575, key[1] ^ 0x646F72616E646F6D
    c, d = key[0] ^ 0x6C7967656E657261, key[1] ^ 0x7465646279746573

    def rounds(count: int) -> None:
        nonlocal a, b, c, d
        for _ in range(count):
            a, c = (a + b) & _M, (c + d) & _M
            b, d = _rotated(b, 51) ^ a, _rotated(d, 48) ^ c
            a = _rotated(a, 32)
            c, a = (c + b) & _M, (a + d) & _M
            b, d = _rotated(b, 47) ^ c, _rotated(d, 43) ^ a
            c = _rotated(c, 32)

    whole = len(text) // 8 * 8
    last = _word(text, whole, len(text) - whole) | (len(text) & 0xFF) << 56
    for m in (*(_word(text, at) for at in range(0, whole, 8)), last):
        d ^= m
        rounds(2)
        a ^= m
    c ^= 0xFF
    rounds(4)
    return a ^ b ^ c ^ d


def buckets(texts: Iterable[bytes], count: int, salt: tuple[int, int] | None = None) -> NDArray[np.int64]:
    """Put each text into one of some buckets; equal texts are hashed once.

    Args:
        texts: bytes.
        count: of buckets.
        salt: for SipHash; None for FarmHash.

    Returns:
        (N,) numbers from 0 on.
    """
    known: dict[bytes, int] = {}
    of: Callable[[bytes], int] = farmhash64 if salt is None else lambda text: siphash64(text, salt)
    listed = list(texts)
    for text in set(listed):
        known[text] = of(text) % count
    return np.fromiter(map(known.__getitem__, listed), np.int64, len(listed))


def crossed(first: int, second: int) -> int:
    """Make one fingerprint of two, in this order, as TensorFlow's `FingerprintCat64` does.

    Args:
        first: a number below 2**64.
        second: a number below 2**64.

    Returns:
        A number below 2**64.
    """
    factor = 0xC6A4A7935BD1E995
    made = (first ^ factor ^ (_mixed(second * factor & _M) * factor & _M)) * factor & _M
    return _mixed(_mixed(made) * factor & _M)
