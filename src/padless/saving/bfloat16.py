"""bfloat16 in files: NumPy has no such numbers, so on the host they are float32, and in files pairs of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

NDArray = np.ndarray[Any, Any]
PAIR = np.dtype("V2")
"""The dtype of an array of pairs of bytes, as h5py reads and writes one."""


def packed(array: NDArray) -> NDArray:
    """Numbers as pairs of bytes.

    Args:
        array: of float32 that bfloat16 holds exactly, as the host's copy of an array of bfloat16.

    Returns:
        An array of the same shape and of dtype `PAIR`.

    Example:
        >>> unpacked(packed(np.array([1.5, -2.0], np.float32))).tolist()
        [1.5, -2.0]
    """
    bits = np.asarray(array, np.float32, order="C").view(np.uint32) >> 16
    return bits.astype("<u2").view(PAIR)


def unpacked(array: NDArray) -> NDArray:
    """What `packed` made pairs of bytes of.

    Args:
        array: of dtype `PAIR`.

    Returns:
        float32.
    """
    bits = np.asarray(array, order="C").view("<u2").astype(np.uint32) << 16
    return bits.view(np.float32)
