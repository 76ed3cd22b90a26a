"""How the tests run exported files: onnxruntime or a loaded program, NumPy in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from padless import Model, Ragged, RowPartition
from tests.oracle import Batch

Host = npt.NDArray[Any]
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


class Session:
    """A file of ONNX as a function of arrays by name.

    Args:
        path: of the file.

    Attributes:
        inputs: names of what it takes.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        self._opened = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.inputs = [one.name for one in self._opened.get_inputs()]

    def __call__(self, arrays: dict[str, Host]) -> dict[str, Host]:
        """Run it."""
        names = [one.name for one in self._opened.get_outputs()]
        return dict(zip(names, self._opened.run(names, arrays), strict=True))


def ragged_inputs(data: Batch) -> list[Any]:
    """A batch as a model takes it: rows, then states."""
    rows = RowPartition.from_lengths(data.lengths)
    return [*(Ragged(steps, rows) for steps in data.packed()), *data.states]


def padded_inputs(data: Batch, mask: npt.NDArray[np.bool_]) -> list[Any]:
    """A batch as a model takes it, of poisoned padded arrays."""
    return [*(Ragged.from_padded(array, mask) for array in data.padded(mask)), *data.states]


def arrays_of(model: Any, inputs: list[Any], layout: str, wanted: list[str]) -> dict[str, Host]:
    """What a file takes, by name."""
    made: dict[str, Host] = {}
    names = [symbol.name for symbol in model.inputs]
    alone = len(names) == 1
    for name, value in zip(names, inputs, strict=True):
        if not isinstance(value, Ragged):
            made[name] = value
        elif layout == "padded":
            made[name] = value.to_padded()
            made["mask" if alone else f"{name}_mask"] = value.mask
        else:
            made["values" if alone else name] = value.values
            made["row_splits" if alone else f"{name}_row_splits"] = value.rows.row_splits
    return {name: made[name] for name in wanted}


def expected_of(y: Any, layout: str, name: str = "output") -> dict[str, Host]:
    """What a file gives, by name, of what `predict` gives."""
    if isinstance(y, dict):
        return {key: array for name, part in y.items() for key, array in expected_of(part, layout, name).items()}
    if isinstance(y, list | tuple):
        parts = [expected_of(part, layout, f"{name}_{at}") for at, part in enumerate(y)]
        return {key: array for part in parts for key, array in part.items()}
    if not isinstance(y, Ragged):
        return {name: np.asarray(y)}
    if layout == "padded":
        return {name: np.asarray(y.to_padded()), f"{name}_mask": y.mask}
    return {f"{name}_values": np.asarray(y.values), f"{name}_row_splits": y.rows.row_splits}


def assert_like(got: dict[str, Host], expected: dict[str, Host], what: str = "") -> None:
    """Fail with the name of the output that differs."""
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert got[name].shape == array.shape, f"{what}, {name}: {got[name].shape}, expected {array.shape}"
        assert got[name].dtype == array.dtype, f"{what}, {name}: {got[name].dtype}, expected {array.dtype}"
        np.testing.assert_allclose(got[name], array, err_msg=f"{what}, {name}", equal_nan=False, **TOLERANCE)


def predicted(model: Model, inputs: list[Any]) -> Any:
    """What `predict` gives for one batch."""
    return model.predict_on_batch(inputs if len(inputs) > 1 else inputs[0])
