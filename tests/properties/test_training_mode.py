"""P1 while training: padding changes no draw of a dropout and no statistic."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given

from padless import Layer, Ragged, layers, random
from tests.cases import Case, cases
from tests.compiled import entered, run_training
from tests.oracle import Answers, Batch, answers, assert_same, batch, built, ragged
from tests.strategies import Padding, examples, lengths, paddings, seeds
from tests.tolerances import VALUES

EXACT = {"rtol": 0, "atol": 0}
State = dict[str, npt.NDArray[Any]]


def trained(layer: Layer, data: Batch, inputs: list[Any]) -> tuple[Answers, State]:
    """Answers and new states of a training step, which leaves the layer as it was."""
    result, assigned = run_training(layer, inputs, states=data.states)
    return answers(result), {path: layer.backend.to_host(array) for path, array in assigned.items()}


@pytest.mark.parametrize("case", cases("kept", "change", "end"))
@examples(0.1)
@example(rows=[3, 0, 1], seed=0, padding=Padding("post", 20, 0))
@example(rows=[3, 0, 1], seed=0, padding=Padding("pre", 20, 0))
@example(rows=[0, 0], seed=0, padding=Padding("pre", 3, 0))
@given(rows=lengths(giant=25), seed=seeds(), padding=paddings())
def test_poisoned_padding(backend: str, case: Case, rows: list[int], seed: int, padding: Padding) -> None:
    layer = built(case, backend)
    data, mask = batch(case, rows, seed), padding.mask(rows)
    expected, states = trained(layer, data, ragged(data, layer))
    got, moved = trained(layer, data, entered(layer, data.padded(mask), mask))
    # The same packed steps give the same bits; a layer that reads padded arrays sums over more zeros.
    assert_same(got, expected, **(VALUES if case.name.startswith("own-padded") else EXACT))
    assert moved.keys() == states.keys()
    for path, array in moved.items():
        assert np.isfinite(array).all()
        np.testing.assert_array_equal(array, states[path])


@examples(0.5)
@given(rows=lengths(), seed=seeds())
def test_batch_statistics_are_those_of_the_live_steps(backend: str, rows: list[int], seed: int) -> None:
    layer = layers.BatchNormalization(momentum=0.75, epsilon=0.01)
    case = Case("", lambda dtype: layer, "kept")
    layer(ragged(batch(case, [1]), layer)[0])
    data = batch(case, rows, seed)
    found, states = trained(layer, data, ragged(data, layer))
    steps = data.packed()[0].astype(np.float64)
    if not len(steps):
        before = layer.state_dict()
        for path, array in states.items():
            np.testing.assert_array_equal(array, before[path], err_msg="a batch without any step changes nothing")
        return
    mean, variance = steps.mean(axis=0), steps.var(axis=0)
    np.testing.assert_allclose(states["moving_mean"], 0.25 * mean, **VALUES)
    np.testing.assert_allclose(states["moving_variance"], 0.75 + 0.25 * variance, **VALUES)
    truth = (steps - mean) / np.sqrt(variance + 0.01)
    np.testing.assert_allclose(np.concatenate(found[0]), truth, **VALUES)


def test_dropout_draws_for_live_steps(backend: str) -> None:
    layer = layers.Dropout(0.5)
    case = Case("", lambda dtype: layer, "kept", inputs=((50,),))
    data = batch(case, [4, 0, 9])
    found, _ = trained(layer, data, ragged(data, layer))
    for got, given_row in zip(found[0], data.inputs[0], strict=True):
        dropped = got == 0
        np.testing.assert_allclose(got[~dropped], 2 * given_row[~dropped], **VALUES)
        if len(got):
            assert 0.3 < dropped.mean() < 0.7


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU, layers.SimpleRNN])
def test_recurrent_dropout_is_the_same_at_all_steps_of_a_row(backend: str, kind: Any) -> None:
    layer = kind(3, dropout=0.5, return_sequences=True, go_backwards=False)
    case = Case("", lambda dtype: layer, "kept", inputs=((8,),))
    layer(ragged(batch(case, [1]), layer)[0])
    layer.load_state_dict(
        {path: np.eye(*a.shape[-2:]) * 0.1 if a.ndim == 2 else a * 0 for path, a in layer.state_dict().items()}
    )
    numbers = np.random.default_rng(0).normal(size=(1, 8)).astype(np.float32)
    x = Ragged.from_list([np.repeat(numbers, 4, axis=0), np.repeat(numbers, 2, axis=0)])
    with random.drawing(seed=1, step=1):
        one = layer(x, training=True)
    with random.drawing(seed=1, step=1):
        longer = layer(Ragged.from_list([np.repeat(numbers, 4, axis=0), np.repeat(numbers, 7, axis=0)]), training=True)
    np.testing.assert_array_equal(layer.backend.to_host(longer[1][:2]), layer.backend.to_host(one[1]))
