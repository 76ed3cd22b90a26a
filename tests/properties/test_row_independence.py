"""P1: the answer for a row is the answer for that row alone, whatever stands beside it in the batch."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.calls import call
from tests.cases import Case, cases, directly
from tests.oracle import alone, answers, assert_same, batch, built, in_a_batch, ragged
from tests.strategies import GIANT, examples, lengths, seeds
from tests.tolerances import VALUES

READS_ROWS = cases("kept", "change", "end")


@pytest.mark.parametrize("case", READS_ROWS)
@examples(0.2)
@example(rows=[], seed=0)
@example(rows=[0, 0], seed=0)
@example(rows=[0, 3, 1, 0, GIANT, 7], seed=0)
@given(rows=lengths(), seed=seeds())
def test_in_a_batch_as_alone(backend: str, case: Case, rows: list[int], seed: int) -> None:
    data = batch(case, rows, seed)
    assert_same(in_a_batch(built(case, backend), data), alone(case, data), **VALUES)


@pytest.mark.parametrize("case", READS_ROWS)
@examples(0.1)
@given(rows=lengths(), seed=seeds(), order=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(backend: str, case: Case, rows: list[int], seed: int, order: object) -> None:
    layer, data = built(case, backend), batch(case, rows, seed)
    permutation = list(range(len(rows)))
    order.shuffle(permutation)  # type: ignore[attr-defined]
    expected = [[output[row] for row in permutation] for output in in_a_batch(layer, data)]
    assert_same(in_a_batch(layer, data.take(permutation)), expected, **VALUES)


@pytest.mark.parametrize("case", READS_ROWS)
@examples(0.1)
@given(rows=lengths(), seed=seeds(), cut=st.integers(0, 6))
def test_split_and_joined(backend: str, case: Case, rows: list[int], seed: int, cut: int) -> None:
    layer, data = built(case, backend), batch(case, rows, seed)
    first = in_a_batch(layer, data.take(range(len(rows))[:cut]))
    rest = in_a_batch(layer, data.take(range(len(rows))[cut:]))
    joined = [[*one, *other] for one, other in zip(first, rest, strict=True)]
    assert_same(joined, in_a_batch(layer, data), **VALUES)


@pytest.mark.parametrize(
    "case",
    cases("kept", "change", "end", where=lambda case: case.reads == "floats" and case.name != "Masking-nan"),
)
def test_poison_in_one_row_stays_there(backend: str, case: Case) -> None:
    layer, data = built(case, backend), batch(case, [3, 0, 4, 2])
    expected = in_a_batch(layer, data)
    poisoned = batch(case, [3, 0, 4, 2])
    for one in poisoned.inputs:
        one[2][:] = np.nan
    got = in_a_batch(layer, poisoned)
    others = [0, 1, 3]
    assert_same([[o[r] for r in others] for o in got], [[o[r] for r in others] for o in expected], **VALUES)


@directly("error", where=lambda case: not case.name.endswith("Cell-alone"))
def test_dense_rows_are_independent_too(backend: str, case: Case) -> None:
    """Layers that refuse rows still treat every entry of a dense batch alone."""
    layer = case.make("float32")
    data = np.random.default_rng(0).uniform(-1, 1, (3, 6, *case.inputs[0])).astype(np.float32)
    whole = answers(layer(data))
    assert_same([[answers(layer(data[row : row + 1]))[0][0] for row in range(3)]], whole, **VALUES)


@pytest.mark.parametrize("case", READS_ROWS)
def test_dtype_is_kept(backend: str, case: Case) -> None:
    for dtype in ("float32", "float64"):
        layer = built(case, backend, dtype)
        data = batch(case, [2, 0, 3])
        x = ragged(data, layer)
        made = layer.backend.abstractly(functools.partial(call, layer, x, states=data.states))
        for output in answers(made):
            assert {row.dtype.name for row in output} == {dtype}


@pytest.mark.parametrize("case", cases(where=lambda case: bool(case.states)))
def test_initial_states_are_those_of_their_rows(backend: str, case: Case) -> None:
    layer, data = built(case, backend), batch(case, [0, 2, 3])
    found = in_a_batch(layer, data)
    if getattr(layer, "return_state", False):
        for output, state in zip(found[-len(case.states) :], data.states, strict=True):
            np.testing.assert_array_equal(output[0], state[0])
    moved = replace(data, states=tuple(state + np.float32([[0], [1], [0]]) for state in data.states))
    other = in_a_batch(layer, moved)
    for one, two in zip(found, other, strict=True):
        np.testing.assert_array_equal(one[2], two[2])
        assert (one[1] != two[1]).any(), "the state before the first step plays no part"
