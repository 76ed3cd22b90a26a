"""The oracle: the same layer on NumPy in float64, each row run alone, as a dense array without any padding."""

from __future__ import annotations

import contextlib
import functools
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

import padless
from padless import Layer, Ragged, RowPartition, backends
from tests.calls import call, outputs
from tests.cases import CASES, Case
from tests.compiled import run

Host = npt.NDArray[Any]
Answers = list[list[Host]]
"""For each output of a layer, one array per row: its steps, or its entry."""


@contextlib.contextmanager
def using(backend: str) -> Iterator[None]:
    """Within this context, layers are made for a backend."""
    before = padless.backend()
    padless.set_backend(backend)
    try:
        yield
    finally:
        padless.set_backend(before)


# ---- data


@dataclass(frozen=True)
class Batch:
    """Rows for a layer, on the host, without padding.

    Attributes:
        inputs: for each input of the layer, the rows.
        nothing: for each input of the layer, a row without steps: features and dtype, also when there are no rows.
        states: (B, H) initial states.
        names: of the rows, which they keep when others are taken away.
    """

    inputs: tuple[tuple[Host, ...], ...]
    nothing: tuple[Host, ...]
    states: tuple[Host, ...] = ()
    names: tuple[int, ...] = ()

    @property
    def lengths(self) -> list[int]:
        """Steps of each row."""
        return [len(row) for row in self.inputs[0]]

    @property
    def nrows(self) -> int:
        """B."""
        return len(self.inputs[0])

    def take(self, rows: Sequence[int]) -> Batch:
        """Some rows of the batch, in any order."""
        picked = tuple(tuple(one[row] for row in rows) for one in self.inputs)
        states = tuple(state[np.array(rows, np.int64)] for state in self.states)
        return replace(self, inputs=picked, states=states, names=tuple(self.names[row] for row in rows))

    def packed(self) -> list[Host]:
        """The steps of all rows of each input, end to end."""
        return [np.concatenate([*one, none]) for one, none in zip(self.inputs, self.nothing, strict=True)]

    def padded(self, mask: npt.NDArray[np.bool_]) -> list[Host]:
        """Each input as a padded array, with poison where the mask is False: NaN, or an id that no table has."""
        arrays = []
        for steps in self.packed():
            array = np.full((*mask.shape, *steps.shape[1:]), 10**6 if steps.dtype.kind == "i" else np.nan, steps.dtype)
            array[mask] = steps
            arrays.append(array)
        return arrays


def batch(case: Case, lengths: Sequence[int], seed: int = 0) -> Batch:
    """Draw numbers for a layer; those of a row depend on the row's index and the seed alone."""
    inputs = []
    for at, features in enumerate(case.inputs):
        rows = []
        for row, count in enumerate(lengths):
            numbers = np.random.default_rng((seed, at, row))
            if case.reads == "ids":
                rows.append(numbers.integers(1, 10, (count, *features)))
            else:
                rows.append(numbers.uniform(-1, 1, (count, *features)).astype(np.float32))
        inputs.append(tuple(rows))
    states = tuple(
        np.random.default_rng((seed, 99, at)).uniform(-1, 1, (len(lengths), width)).astype(np.float32)
        for at, width in enumerate(case.states)
    )
    kind = np.int64 if case.reads == "ids" else np.float32
    nothing = tuple(np.zeros((0, *features), kind) for features in case.inputs)
    return Batch(tuple(inputs), nothing, states, tuple(range(len(lengths))))


# ---- layers


@functools.cache
def _built(name: str, backend: str, dtype: str) -> Layer:
    case = next(case for case in CASES if case.name == name)
    with using(backend):
        return fresh(case, dtype)


def built(case: Case, backend: str, dtype: str = "float32") -> Layer:
    """The layer of a case, with the same weights on every backend; made once: do not change it."""
    return _built(case.name, backend, dtype)


def fresh(case: Case, dtype: str = "float32") -> Layer:
    """A new layer of a case on the current backend, with the weights that `built` gives it."""
    layer = case.make(dtype)
    if case.rows != "error":
        data = batch(case, [3, 2])
        layer.backend.abstractly(lambda: call(layer, ragged(data, layer), states=data.states))
        layer.load_state_dict({path: _weights(path, array.shape) for path, array in layer.state_dict().items()})
    return layer


def _weights(path: str, shape: tuple[int, ...]) -> Host:
    # Numbers that float32 holds, so that every precision starts from the same ones.
    drawn = np.random.default_rng(zlib.crc32(path.encode())).normal(size=shape).astype(np.float32) * np.float32(0.375)
    return np.abs(drawn) + np.float32(0.5) if path.endswith("variance") else drawn


def ragged(data: Batch, layer: Layer, rows: RowPartition | None = None) -> list[Ragged]:
    """The batch as ragged values of the layer's backend."""
    rows = RowPartition.from_lengths(data.lengths) if rows is None else rows
    return [Ragged(layer.backend.asarray(steps), rows) for steps in data.packed()]


# ---- answers


def answers(result: Any) -> Answers:
    """For each output, what it says about each row; arrays on the host."""
    found = []
    for output in outputs(result):
        if isinstance(output, Ragged):
            host = output.numpy()
            found.append(list(host))
        else:
            found.append(list(backends.of(output).to_host(output)))
    return found


def in_a_batch(layer: Layer, data: Batch) -> Answers:
    """Answers for all rows at once, packed."""
    return answers(run(layer, ragged(data, layer), states=data.states))


def alone(case: Case, data: Batch) -> Answers:
    """The truth: NumPy, float64, each row alone, a dense array of its own length."""
    layer = built(case, "numpy", "float64")
    rows: list[Answers] = []
    for row in range(data.nrows):
        dense = [one[row][None] if case.reads == "ids" else one[row][None].astype(np.float64) for one in data.inputs]
        states = [state[row : row + 1].astype(np.float64) for state in data.states]
        rows.append(answers(call(layer, dense, states=states)))
    if not rows:
        return [[] for _ in answers(call(layer, ragged(batch(case, [1]), layer), states=batch(case, [1]).states))]
    return [[row[at][0] for row in rows] for at in range(len(rows[0]))]


def with_holes(case: Case, data: Batch, mask: npt.NDArray[np.bool_]) -> Answers:
    """The truth for rows with masked steps in the middle; `data` holds the live steps."""
    if case.holes == "skipped":
        return alone(case, data)
    places = [np.nonzero(row)[0] - np.nonzero(row)[0][:1] for row in mask]
    filled = []
    for one, nothing in zip(data.inputs, data.nothing, strict=True):
        rows = []
        for steps, at in zip(one, places, strict=True):
            fill = {"zeros": 0, "nothing": -np.inf, "kept": np.nan}[case.holes]
            whole = np.full((at[-1] + 1 if len(at) else 0, *nothing.shape[1:]), fill, nothing.dtype)
            whole[at] = steps
            rows.append(whole)
        filled.append(tuple(rows))
    found = alone(case, replace(data, inputs=tuple(filled)))
    if case.holes == "nothing":
        found = [[np.where(np.isneginf(row), 0, row) for row in output] for output in found]
    if case.holes == "kept":
        return [[row[~np.isnan(row).any(axis=tuple(range(1, row.ndim)))] for row in output] for output in found]
    if case.rows == "kept":
        return [[row[at] for row, at in zip(output, places, strict=True)] for output in found]
    return found


def assert_same(got: Answers, expected: Answers, *, what: str = "", **tolerance: float) -> None:
    """Fail with the output, the row and the difference, unless the answers are the same."""
    assert len(got) == len(expected), f"{what}: {len(got)} outputs, expected {len(expected)}"
    for at, (one, other) in enumerate(zip(got, expected, strict=True)):
        assert len(one) == len(other), f"{what}, output {at}: {len(one)} rows, expected {len(other)}"
        for row, (mine, truth) in enumerate(zip(one, other, strict=True)):
            where = f"{what}, output {at}, row {row}"
            assert mine.shape == truth.shape, f"{where}: shape {mine.shape}, expected {truth.shape}"
            np.testing.assert_allclose(mine, truth, err_msg=where, equal_nan=False, **tolerance)
