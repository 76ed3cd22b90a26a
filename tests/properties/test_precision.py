"""P1 under every policy: 16 bits round, and padding or other rows change nothing beside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import padless
from padless import Ragged, backends, mixed_precision
from padless.layer import substituted
from tests.calls import call, outputs
from tests.cases import CASES, DIRECTLY, Case, cases
from tests.compiled import entered, run
from tests.conftest import ALL_DIRECTLY, BACKENDS
from tests.oracle import Answers, alone, answers, assert_same, batch, built, in_a_batch, ragged
from tests.strategies import Padding
from tests.tolerances import HALVES

MIXED = ("mixed_bfloat16", "mixed_float16")
PURE = ("bfloat16", "float16")
ROWS = [0, 3, 1, 0, 12, 7]
EXACT = {"rtol": 0, "atol": 0}


def _pairs(policies: tuple[str, ...], on: tuple[str, ...] = BACKENDS) -> pytest.MarkDecorator:
    """All layers on torch and NumPy; on JAX, which compiles each one, those that stand for all."""
    found = [
        pytest.param(backend, case, policy, id=f"{backend}-{policy}-{case.name}")
        for backend in on
        for policy in policies
        for case in CASES
        if case.rows in ("kept", "change", "end")
        if backend == "torch" or policy in MIXED
        if backend != "jax" or ALL_DIRECTLY or (case.name in DIRECTLY and policy == "mixed_bfloat16")
    ]
    return pytest.mark.parametrize(("backend", "case", "policy"), found, indirect=["backend"])


def _rounded(found: Answers, kind: str) -> Answers:
    """What is beyond float16 is infinite there."""
    with np.errstate(over="ignore"):
        return found if kind == "bfloat16" else [[row.astype(np.float16) for row in output] for output in found]


def _half(policy: str) -> str:
    return policy.removeprefix("mixed_")


@_pairs((*MIXED, *PURE))
def test_in_a_batch_as_alone_in_float64(backend: str, case: Case, policy: str) -> None:
    layer, data = built(case, backend, policy), batch(case, ROWS)
    with np.errstate(over="ignore"):
        found = in_a_batch(layer, data)
    kind = _half(policy)  # NumPy has no such numbers: it computes a mixed policy in float32
    assert_same(_rounded(found, kind), _rounded(alone(case, data), kind), **HALVES[kind])


@_pairs(MIXED)
def test_padding_changes_no_bit(backend: str, case: Case, policy: str) -> None:
    layer, data = built(case, backend, policy), batch(case, ROWS)
    mask = Padding("pre", 5, 0).mask(ROWS)
    with np.errstate(over="ignore"):
        padded = answers(run(layer, entered(layer, data.padded(mask), mask), states=data.states))
        assert_same(padded, in_a_batch(layer, data), **EXACT)


@_pairs(MIXED, tuple(name for name in BACKENDS if name == "torch"))
def test_dtypes_of_outputs_weights_and_gradients(backend: str, case: Case, policy: str) -> None:
    layer, data = built(case, backend, policy), batch(case, ROWS)
    owner, before = layer.backend, layer.state_dict()
    weights = {path: one.__dict__[name] for path, (one, name) in layer.weight_slots().items() if one.trains(name)}

    def loss(given: dict[str, Any]) -> tuple[Any, Any]:
        with substituted(layer, given):
            result = call(layer, ragged(data, layer), states=data.states)
        arrays = [y.values if isinstance(y, Ragged) else y for y in outputs(result)]
        floats = [owner.wide(y) for y in arrays if owner.dtype_name(y) != "int64"]
        nothing = sum(layer.xp.sum(layer.xp.reshape(a, (-1,))[:0]) for a in given.values())
        return sum(layer.xp.sum(y) for y in floats) + nothing, result

    if weights:
        (_, result), gradients = owner.value_and_grad(loss, weights)
        assert {path: owner.dtype_name(g) for path, g in gradients.items()} == dict.fromkeys(weights, "float32")
        finite = [bool(layer.xp.all(layer.xp.isfinite(g))) for g in gradients.values()]
        assert all(finite), dict(zip(gradients, finite, strict=True))
    else:
        result = call(layer, ragged(data, layer), states=data.states)
    after = layer.state_dict()
    assert all(after[path].dtype == np.float32 for path in after)
    assert all(np.array_equal(after[path], before[path]) for path in before)
    for y in outputs(result):
        kind = owner.dtype_name(y.values if isinstance(y, Ragged) else y)
        # A layer that moves numbers, or a model's own arithmetic, has no say about their dtype.
        own = type(layer).__module__.startswith("padless.layers")
        assert kind == _half(policy) or kind in ("int64", "bool") or not own, kind


@pytest.mark.parametrize("case", cases())
def test_config_carries_the_policy(case: Case) -> None:
    layer = case.make("mixed_bfloat16")
    if isinstance(layer, padless.Model):
        return
    assert layer.get_config()["dtype"]["config"] == {"name": "mixed_bfloat16"}
    again = type(layer).from_config(layer.get_config())
    assert again.dtype_policy == layer.dtype_policy == mixed_precision.DTypePolicy("mixed_bfloat16")
    inner = [one.dtype_policy.name for _, one in again.inner_layers()]
    assert inner == [one.dtype_policy.name for _, one in layer.inner_layers()]


LONG = 20_000


@pytest.mark.parametrize("policy", MIXED)
def test_a_long_row_of_ones_is_one_on_average(backend: str, policy: str) -> None:
    with mixed(policy):
        mean = padless.layers.GlobalAveragePooling1D()
    values = mean.backend.asarray(np.ones((LONG + 3, 2), np.float32))
    x = Ragged.from_list([np.ones((LONG, 2), np.float32), np.ones((3, 2), np.float32)])
    x = x.with_values(values)
    np.testing.assert_array_equal(_host(mean(x)), np.ones((2, 2)))
    if backend == "numpy":
        return
    kind = _half(policy)
    half = x.with_values(mean.backend.cast(values, kind))
    expected = np.float32(LONG) if kind == "float16" else np.float32(19968)  # the nearest that bfloat16 has
    for total in (padless.row_sum(half), padless.ops.sum(half, axis=1)):
        assert mean.backend.dtype_name(total) == kind
        np.testing.assert_array_equal(_host(total)[:, 0], [expected, 3])
    # The sum is beyond what float16 holds, the mean is not.
    tens = x.with_values(mean.backend.cast(10 * values, kind))
    for average in (padless.row_mean(tens), padless.ops.mean(tens, axis=1), mean(tens)):
        np.testing.assert_array_equal(_host(average), np.full((2, 2), 10))


@pytest.mark.parametrize("policy", MIXED)
def test_statistics_of_a_long_row(trainer: str, policy: str) -> None:
    """Attention to 3,000 steps, a cumulative sum and a recurrent state that counts."""
    with mixed(policy):
        attend = padless.layers.Attention()
        count = padless.layers.SimpleRNN(
            1, activation="linear", kernel_initializer="ones", recurrent_initializer="ones", use_bias=False
        )
    many = 3_000
    x = Ragged.from_list([np.ones((many, 1), np.float32)])
    x = x.with_values(attend.backend.asarray(np.ones((many, 1), np.float32)))
    np.testing.assert_allclose(_host(attend([x, x]).values), 1, **HALVES[_half(policy)])
    np.testing.assert_allclose(_host(count(x)), [[many]], **HALVES[_half(policy)])
    half = x.with_values(attend.backend.cast(x.values, _half(policy)))
    np.testing.assert_allclose(_host(padless.ops.cumsum(half, axis=1).values)[-1], [many], **HALVES[_half(policy)])


def _host(x: Any) -> Any:
    return backends.of(x).to_host(x).astype(np.float64)


class mixed:
    """Within this context, layers are made with a policy."""

    def __init__(self, policy: str) -> None:
        self.policy = policy

    def __enter__(self) -> None:
        self.before = mixed_precision.global_policy()
        mixed_precision.set_global_policy(self.policy)

    def __exit__(self, *_: object) -> None:
        mixed_precision.set_global_policy(self.before)
