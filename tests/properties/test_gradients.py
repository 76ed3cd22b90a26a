"""P1 for gradients: of weights and inputs, on every backend that trains.

The reference is the sum over the rows, each alone, in float64; central differences of the oracle hold it to the truth.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given

from padless import Layer, Ragged, RowPartition, backends
from padless.backends.base import Program
from padless.layer import calling, live_entries, substituted
from tests.calls import call, outputs
from tests.cases import Case, cases
from tests.compiled import compiled, fits
from tests.conftest import BACKENDS
from tests.oracle import Answers, Batch, alone, batch, built, ragged
from tests.strategies import Padding, examples, lengths, paddings, seeds
from tests.tolerances import GRADIENTS

Host = npt.NDArray[Any]
Gradients = dict[str, Host]
Mask = npt.NDArray[np.bool_]

READS_ROWS = cases("kept", "change", "end")
TRAINING_BACKENDS = [name for name in BACKENDS if backends.get(name).trains]
HAS_TORCH = "torch" in TRAINING_BACKENDS
on_backends = pytest.mark.parametrize("trained", TRAINING_BACKENDS)


def coefficients(expected: Answers, seed: int) -> Answers:
    """A number for every entry of the answers, tied to output, row and step."""
    return [
        [np.random.default_rng((seed, 7, at, row)).uniform(-1, 1, entry.shape) for row, entry in enumerate(output)]
        for at, output in enumerate(expected)
    ]


def loss_of(layer: Layer, result: Any, numbers: Answers) -> Any:
    """The sum of coefficient times answer, over all live steps."""
    total = 0
    for output, rows in zip(outputs(result), numbers, strict=True):
        values = output.values if isinstance(output, Ragged) else output
        if not len(rows):
            continue
        if isinstance(output, Ragged):
            factor = np.concatenate(rows)
        else:
            factor = np.stack(rows)
        total = total + layer.xp.sum(values * layer.backend.asarray(factor, layer.backend.dtype_name(values)))
    return total


def gradients(layer: Layer, data: Batch, numbers: Answers, mask: Mask | None = None) -> tuple[float, Gradients]:
    """The loss, and its gradients by weights, inputs ("@0", ...) and states ("#0", ...); by paths.

    Args:
        layer: the layer.
        data: its inputs.
        numbers: the coefficients of the loss.
        mask: puts the inputs into poisoned padded arrays; None for packed steps.
    """
    if layer.backend.name == "jax" and data.nrows:
        return compiled_gradients(layer, data, numbers, mask)
    steps = data.packed() if mask is None else data.padded(mask)
    fixed = {f"@{at}": layer.backend.asarray(array) for at, array in enumerate(steps)}
    moving = {} if data.nothing[0].dtype.kind == "i" else fixed
    states = {f"#{at}": layer.backend.asarray(state, layer.dtype) for at, state in enumerate(data.states)}
    weights = {path: owner.__dict__[name] for path, (owner, name) in layer.weight_slots().items() if owner.trains(name)}

    def function(given: dict[str, Any]) -> tuple[Any, Any]:
        arrays = [given.get(key, array) for key, array in fixed.items()]
        if mask is None:
            rows = RowPartition.from_lengths(data.lengths)
            inputs = [Ragged(array, rows) for array in arrays]
        else:
            inputs = [Ragged.from_padded(array, mask) for array in arrays]
        with substituted(layer, {path: given[path] for path in weights}):
            result = call(layer, inputs, states=[given[key] for key in states])
        # What is added is zero, and makes a loss without any term depend on something.
        return loss_of(layer, result, numbers) + sum(
            layer.xp.sum(layer.xp.reshape(array, (-1,))[:0]) for array in given.values()
        ), None

    (loss, _), found = layer.backend.value_and_grad(function, {**weights, **moving, **states})
    return float(layer.backend.to_host(loss)), {key: layer.backend.to_host(value) for key, value in found.items()}


def compiled_gradients(layer: Layer, data: Batch, numbers: Answers, mask: Mask | None) -> tuple[float, Gradients]:
    """The same from a compiled program, which gets rows that were packed on the host."""
    inputs = ragged(data, layer)
    if mask is not None:
        inputs = [Ragged.from_padded(array, mask) for array in data.padded(mask)]
    states = [np.asarray(state, layer.dtype) for state in data.states]
    tables = [factor_table(rows, layer.dtype) for rows in numbers]
    made, found, by_input = program_of(layer)({}, (inputs, states, tables), fits(data.nrows, inputs[0].rows.nvals))
    steps = [one.values if mask is None else one.to_padded() for one in by_input[0]]
    named = {f"@{at}": array for at, array in enumerate(steps)} | {f"#{at}": a for at, a in enumerate(by_input[1])}
    return float(found["loss"]), {key: np.asarray(array) for key, array in {**made, **named}.items()}


def factor_table(rows: list[Host], dtype: str) -> Host:
    """(B, 64, ...) the coefficients of an output: of the steps of each row, or of its one entry."""
    table = np.zeros((len(rows), 64, *np.atleast_1d(rows[0]).shape[1:]), dtype)
    for row, numbers in enumerate(rows):
        table[row, : len(np.atleast_1d(numbers))] = numbers
    return table


def weighed(layer: Layer, y: Any, table: Any, live: Any) -> Any:
    """The sum of coefficient times answer, over all live steps or rows."""
    xp = layer.xp
    if isinstance(y, Ragged):
        values, ids, ranks = y.values, *(layer.backend.index(y.rows, name) for name in ("value_rowids", "ranks"))
        factor = xp.take(xp.reshape(table, (-1, *table.shape[2:])), ids * 64 + xp.minimum(ranks, 63), axis=0)
    else:
        values, factor = y, xp.reshape(table[:, : y.shape[1] if y.ndim > 1 else 1], y.shape)
    marks = xp.reshape(live_entries(y, live), (-1, *(1 for _ in values.shape[1:])))
    return xp.sum(xp.where(marks, values * factor, xp.zeros_like(values)))


@functools.cache
def program_of(layer: Layer) -> Program:
    """Loss and gradients of a layer, compiled."""

    def function(arrays: dict[str, Any], numbers: Any, batch: Any, live: Any) -> Any:
        inputs, states, tables = batch
        of_inputs = {f"@{at}": one.values for at, one in enumerate(inputs)}
        moving = {} if layer.backend.dtype_name(inputs[0].values).startswith("int") else of_inputs
        of_states = {f"#{at}": state for at, state in enumerate(states)}
        trained = {path: arrays[path] for path, (owner, name) in layer.weight_slots().items() if owner.trains(name)}

        def loss(given: dict[str, Any]) -> tuple[Any, Any]:
            fed = [one.with_values(given.get(f"@{at}", one.values)) for at, one in enumerate(inputs)]
            with substituted(layer, {path: given[path] for path in trained}), calling(live=live):
                result = outputs(call(layer, fed, states=[given[key] for key in of_states]))
            parts = [weighed(layer, y, table, live) for y, table in zip(result, tables, strict=True)]
            return sum(parts[1:], start=parts[0]), None

        (value, _), found = layer.backend.value_and_grad(loss, {**trained, **moving, **of_states})
        by_input = [one.with_values(found[key]) for key, one in zip(moving, inputs, strict=False)]
        return {path: found[path] for path in trained}, {"loss": value}, (by_input, [found[key] for key in of_states])

    return compiled(function, layer)


def one_by_one(layer: Layer, data: Batch, numbers: Answers) -> tuple[float, Gradients]:
    """The sum of what each row gives alone; gradients of inputs end to end."""
    total, parts = 0.0, []
    for row in range(data.nrows):
        loss, found = gradients(layer, data.take([row]), [[output[row]] for output in numbers])
        total += loss
        parts.append(found)
    return total, {
        key: np.concatenate([part[key] for part in parts]) if key[0] in "@#" else sum(part[key] for part in parts)
        for key in parts[0]
    }


def assert_same_gradients(got: Gradients, expected: Gradients, what: str) -> None:
    assert got.keys() == expected.keys()
    for key, value in got.items():
        np.testing.assert_allclose(value, expected[key], err_msg=f"{what}: gradient of {key}", **GRADIENTS)


@on_backends
@pytest.mark.parametrize("case", READS_ROWS)
@examples(0.1)
@example(rows=[0, 3, 1, 0, 12, 7], seed=0)
@given(rows=lengths(giant=25, empty_batch=False), seed=seeds())
def test_in_a_batch_as_alone(trained: str, case: Case, rows: list[int], seed: int) -> None:
    data = batch(case, rows, seed)
    numbers = coefficients(alone(case, data), seed)
    # JAX, which compiles each layer once more for each dtype, is held to torch in float64.
    reference, dtypes = ("torch", ["float32"]) if trained == "jax" and HAS_TORCH else (trained, ["float64", "float32"])
    exact, expected = one_by_one(built(case, reference, "float64"), data, numbers)
    for dtype in dtypes:
        loss, found = gradients(built(case, trained, dtype), data, numbers)
        np.testing.assert_allclose(loss, exact, **GRADIENTS)
        assert_same_gradients(found, expected, dtype)


@on_backends
@pytest.mark.parametrize("case", READS_ROWS)
@examples(0.1)
@example(rows=[3, 0, 1], seed=0, padding=Padding("post", 20, 0))
@example(rows=[3, 0, 1], seed=0, padding=Padding("pre", 20, 0))
@given(rows=lengths(giant=25, empty_batch=False), seed=seeds(), padding=paddings())
def test_poisoned_padding(trained: str, case: Case, rows: list[int], seed: int, padding: Padding) -> None:
    layer, data = built(case, trained), batch(case, rows, seed)
    numbers = coefficients(alone(case, data), seed)
    _, expected = gradients(layer, data, numbers)
    mask = padding.mask(rows)
    _, found = gradients(layer, data, numbers, mask)
    for key in [key for key in found if key.startswith("@")]:
        assert not found[key][~mask].any(), f"{key}: a gradient at a masked step"
        found[key] = found[key][mask]
    assert_same_gradients(found, expected, padding.side)


@pytest.mark.parametrize("trained", [name for name in TRAINING_BACKENDS if name != "jax" or not HAS_TORCH])
@pytest.mark.parametrize("case", READS_ROWS)
def test_central_differences_of_the_oracle(trained: str, case: Case) -> None:
    data = batch(case, [3, 0, 5, 1])
    numbers = coefficients(alone(case, data), 0)
    _, found = gradients(built(case, trained, "float64"), data, numbers)
    oracle = built(case, "numpy", "float64")
    paths = [key for key in found if key[0] not in "@#"]
    rows = RowPartition.from_lengths(data.lengths)
    start: dict[str, Host] = {path: oracle.state_dict()[path] for path in paths}
    start |= {f"@{at}": steps for at, steps in enumerate(data.packed())}
    start |= {f"#{at}": state for at, state in enumerate(data.states)}

    def loss(moved: dict[str, Host]) -> float:
        inputs = [Ragged(array, rows) for key, array in moved.items() if key[0] == "@"]
        with substituted(oracle, {path: moved[path] for path in paths}):
            result = call(oracle, inputs, states=[array for key, array in moved.items() if key[0] == "#"])
        return float(loss_of(oracle, result, numbers))

    for key in found:
        direction = np.random.default_rng(1).normal(size=start[key].shape)
        step = 1e-5
        ahead, behind = (loss({**start, key: start[key] + sign * step * direction}) for sign in (1, -1))
        np.testing.assert_allclose(
            np.sum(found[key] * direction), (ahead - behind) / (2 * step), err_msg=key, **GRADIENTS
        )


@on_backends
@pytest.mark.parametrize("case", READS_ROWS)
def test_nothing_gives_zeros(trained: str, case: Case) -> None:
    """No rows, or only empty ones: gradients are numbers, and those of states alone if there are any."""
    for rows in ([], [0, 0]):
        data = batch(case, rows)
        loss, found = gradients(built(case, trained), data, coefficients(alone(case, data), 0))
        assert np.isfinite(loss)
        for key, value in found.items():
            assert np.isfinite(value).all(), key
