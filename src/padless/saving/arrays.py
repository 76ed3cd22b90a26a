"""Safetensors files: arrays by name, and texts beside them."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from padless.errors import DataError, explain
from padless.saving import bfloat16
from padless.saving.atomic import replacing

NDArray = np.ndarray[Any, Any]

_DTYPES: dict[str, np.dtype[Any]] = {
    "BF16": bfloat16.PAIR,
    "BOOL": np.dtype(bool),
    **{f"{kind.upper()}{8 * size}": np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": np.dtype(f"f{size}") for size in (2, 4, 8)},
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def write_arrays(path: Any, arrays: dict[str, NDArray], metadata: dict[str, str]) -> None:
    """Write a safetensors file whole or not at all.

    Args:
        path: of the file.
        arrays: numbers by name; those of bfloat16 as `bfloat16.packed` makes them.
        metadata: texts by name.
    """
    # Not by the library, which writes bfloat16 for NumPy only where another one has taught NumPy that dtype.
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, array in ordered:
        begin, end = end, end + array.nbytes
        dtype = _NAMES[array.dtype.newbyteorder("=")]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            file.write(array.astype(array.dtype.newbyteorder("<"), order="C", copy=False).tobytes())


def read_arrays(path: Any) -> tuple[dict[str, NDArray], dict[str, str]]:
    """Read a safetensors file.

    Args:
        path: of the file.

    Returns:
        Arrays by name, float32 for bfloat16; and texts by name.

    Raises:
        DataError: when it is none, or broken.
        OSError: when it cannot be opened.
    """
    from safetensors import SafetensorError, deserialize

    with open(path, "rb") as file:
        data = file.read()
    try:
        views: list[tuple[str, dict[str, Any]]] = deserialize(data)  # type: ignore[no-untyped-call,unused-ignore]
        found = {name: _array(view) for name, view in views}
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    except (SafetensorError, ValueError, KeyError, OverflowError, RecursionError) as wrong:
        raise DataError(
            explain(
                f"file {path}",
                expected="a safetensors file written by padless",
                got=f"{type(wrong).__name__}: {wrong}"[:200],
                fix="model.save(path) writes one",
            )
        ) from None
    return found, metadata


def _array(view: dict[str, Any]) -> NDArray:
    dtype, shape = _DTYPES[view["dtype"]], view["shape"]
    if math.prod(shape) * dtype.itemsize != len(view["data"]):
        raise ValueError(f"shape {shape} in {len(view['data'])} bytes")
    array = np.frombuffer(view["data"], dtype.newbyteorder("<")).reshape(shape)
    return bfloat16.unpacked(array) if dtype == bfloat16.PAIR else array.astype(dtype)


def arrays_of(model: Any) -> dict[str, NDArray]:
    """The weights of a model as files hold them.

    Args:
        model: a layer or model, built.

    Returns:
        By path, as `state_dict`; those of bfloat16 as pairs of bytes.
    """
    slots = model.weight_slots()
    arrays: dict[str, NDArray] = model.state_dict()
    half = [path for path, (layer, name) in slots.items() if layer._weights[name].dtype == "bfloat16"]
    return arrays | {path: bfloat16.packed(arrays[path]) for path in half}
