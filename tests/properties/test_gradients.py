"""P1 for gradients: of weights and inputs, on every backend that trains.

The reference is the sum over the rows, each alone, in float64; central differences of the oracle hold it to the truth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given

from padless import Layer, Ragged, RowPartition, backends
from padless.layer import substituted
from tests.calls import call
from tests.cases import DIRECTLY, Case, cases
from tests.compiled import entered, run_program, weighed_sum
from tests.conftest import BACKENDS
from tests.oracle import Batch, batch, built, ragged
from tests.strategies import Padding, examples, lengths, paddings, seeds
from tests.tolerances import GRADIENTS

Host = npt.NDArray[Any]
Gradients = dict[str, Host]
Mask = npt.NDArray[np.bool_]

READS_ROWS = cases("kept", "change", "end")
TRAINING_BACKENDS = [name for name in BACKENDS if backends.get(name).trains]
HAS_TORCH = "torch" in TRAINING_BACKENDS
on_backends = pytest.mark.parametrize("trained", TRAINING_BACKENDS)


def gradients(
    layer: Layer, data: Batch, seed: int, mask: Mask | None = None, *, directly: bool = False
) -> tuple[float, Gradients]:
    """A weighed sum of the answers, and its gradients by weights, inputs ("@0", ...) and states ("#0", ...); by paths.

    Args:
        layer: the layer.
        data: its inputs.
        seed: of what the answers are weighed with.
        mask: puts the inputs into poisoned padded arrays; None for packed steps.
        directly: without being compiled as a whole, on any backend.
    """
    if layer.backend.compiles and not directly:
        inputs = ragged(data, layer) if mask is None else entered(layer, data.padded(mask), mask)
        made = run_program(layer, inputs, data.states, names=data.names, seed=seed)
        steps = [one.values if mask is None else one.to_padded() for one in made.by_inputs]
        by_input = {f"@{at}": array for at, array in enumerate(steps)}
        by_state = {f"#{at}": array for at, array in enumerate(made.by_states)}
        return made.loss, {key: np.asarray(a) for key, a in {**made.by_weights, **by_input, **by_state}.items()}
    arrays = data.packed() if mask is None else data.padded(mask)
    fixed = {f"@{at}": layer.backend.asarray(array) for at, array in enumerate(arrays)}
    moving = {} if data.nothing[0].dtype.kind == "i" else fixed
    states = {f"#{at}": layer.backend.asarray(state, layer.dtype) for at, state in enumerate(data.states)}
    weights = {path: owner.__dict__[name] for path, (owner, name) in layer.weight_slots().items() if owner.trains(name)}

    def function(given: dict[str, Any]) -> tuple[Any, Any]:
        steps = [given.get(key, array) for key, array in fixed.items()]
        rows = RowPartition.from_lengths(data.lengths)
        inputs = [Ragged(a, rows) if mask is None else Ragged.from_padded(a, mask) for a in steps]
        with substituted(layer, {path: given[path] for path in weights}):
            result = call(layer, inputs, states=[given[key] for key in states])
        # What is added is zero, and makes a loss without any term depend on something.
        nothing = sum(layer.xp.sum(layer.xp.reshape(array, (-1,))[:0]) for array in given.values())
        return weighed(layer, result, data, seed) + nothing, None

    (loss, _), found = layer.backend.value_and_grad(function, {**weights, **moving, **states})
    return float(layer.backend.to_host(loss)), {key: layer.backend.to_host(value) for key, value in found.items()}


def weighed(layer: Layer, result: Any, data: Batch, seed: int) -> Any:
    """The loss, outside of a program."""
    return weighed_sum(layer, result, layer.backend.asarray(np.array(data.names, np.int64)), seed % 257)


def one_by_one(layer: Layer, data: Batch, seed: int) -> tuple[float, Gradients]:
    """The sum of what each row gives alone; gradients of inputs end to end."""
    total, parts = 0.0, []
    for row in range(data.nrows):
        loss, found = gradients(layer, data.take([row]), seed)
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
    # JAX, which compiles each layer once more for each dtype, is held to torch in float64.
    reference, dtypes = ("torch", ["float32"]) if trained == "jax" and HAS_TORCH else (trained, ["float64", "float32"])
    exact, expected = one_by_one(built(case, reference, "float64"), data, seed)
    for dtype in dtypes:
        loss, found = gradients(built(case, trained, dtype), data, seed)
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
    _, expected = gradients(layer, data, seed)
    mask = padding.mask(rows)
    _, found = gradients(layer, data, seed, mask)
    for key in [key for key in found if key.startswith("@")]:
        assert not found[key][~mask].any(), f"{key}: a gradient at a masked step"
        found[key] = found[key][mask]
    assert_same_gradients(found, expected, padding.side)


@pytest.mark.parametrize("trained", [name for name in TRAINING_BACKENDS if name != "jax" or not HAS_TORCH])
@pytest.mark.parametrize("case", READS_ROWS)
def test_central_differences_of_the_oracle(trained: str, case: Case) -> None:
    data = batch(case, [3, 0, 5, 1])
    _, found = gradients(built(case, trained, "float64"), data, 0)
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
        return float(weighed(oracle, result, data, 0))

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
        # JAX's own answer to arrays without an entry, which compiled layers never see, is asked of a few.
        for directly in {trained != "jax", trained != "jax" or case.name in DIRECTLY}:
            loss, found = gradients(built(case, trained), batch(case, rows), 0, directly=directly)
            assert np.isfinite(loss)
            for key, value in found.items():
                assert np.isfinite(value).all(), key
