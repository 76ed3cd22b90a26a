"""P1: padding changes no answer, on whatever side it stands, whatever it holds; you get back the form you gave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given

from padless import Ragged, RowPartition, backends
from tests.calls import call, outputs
from tests.cases import Case, cases, directly
from tests.compiled import entered, run, run_padded
from tests.oracle import Answers, Batch, alone, answers, assert_same, batch, built, in_a_batch, ragged, with_holes
from tests.strategies import Padding, examples, lengths, masks, paddings, seeds
from tests.tolerances import VALUES

Mask = npt.NDArray[np.bool_]

READS_ROWS = cases("kept", "change", "end")
EXACT = {"rtol": 0, "atol": 0}


def live_steps(case: Case, result: object, packed: object, mask: Mask) -> Answers:
    """What padded outputs say about each row; fails when live steps stand at another place, or others are not zeros.

    Args:
        case: the layer.
        result: what the call on padded arrays gave.
        packed: what the same call gave on rows that came from them, which says where steps are.
        mask: of the padded arrays.
    """
    found: Answers = []
    for output, rows in zip(outputs(result), outputs(packed), strict=True):
        assert not isinstance(output, Ragged), "a padded array came, so padded arrays must go"
        host = backends.of(output).to_host(output)
        if not isinstance(rows, Ragged):
            found.append(list(host))
            continue
        assert host.shape[:2] == rows.mask.shape
        assert not host[~rows.mask].any(), "masked steps of the output are not zeros"
        if case.length is None:
            np.testing.assert_array_equal(rows.mask, mask)
        else:
            assert_in_place(case.length, rows.mask, mask)
        found.append([row[at] for row, at in zip(host, rows.mask, strict=True)])
    return found


def assert_in_place(length: Callable[[int], int], after: Mask, before: Mask) -> None:
    """Padded output has the layer's length, and a row that stood at an edge still does."""
    counts = [length(n) for n in before.sum(axis=1).tolist()]
    assert after.shape[1] == max([length(before.shape[1]), *counts])
    for row, count in enumerate(counts):
        if count and before[row, -1:].any():
            assert after[row, after.shape[1] - count :].all()
        elif count and before[row, :1].any():
            assert after[row, :count].all()


@pytest.mark.parametrize("case", READS_ROWS)
@examples(0.4)
@example(rows=[0, 2], seed=0, padding=Padding("post", 0, 0))
@example(rows=[4, 0, 1], seed=0, padding=Padding("post", 20, 0))
@example(rows=[4, 0, 1], seed=0, padding=Padding("pre", 20, 0))
@given(rows=lengths(giant=25), seed=seeds(), padding=paddings())
def test_poisoned_padding(backend: str, case: Case, rows: list[int], seed: int, padding: Padding) -> None:
    layer, data = built(case, backend), batch(case, rows, seed)
    mask = padding.mask(rows)
    arrays = data.padded(mask)
    padded = run_padded(layer, arrays, mask, states=data.states)
    packed = run(layer, entered(layer, arrays, mask), states=data.states)
    assert_same(live_steps(case, padded, packed, mask), alone(case, data), what=padding.side, **VALUES)


@pytest.mark.parametrize("case", READS_ROWS)
def test_padding_changes_no_bit(backend: str, case: Case) -> None:
    rows = [3, 0, 5, 1, 5]
    layer, data = built(case, backend), batch(case, rows)
    expected = in_a_batch(layer, data)
    for padding in (Padding("post", 0, 0), Padding("post", 7, 0), Padding("pre", 20, 0), Padding("both", 9, 1)):
        mask = padding.mask(rows)
        got = run(layer, entered(layer, data.padded(mask), mask), states=data.states)
        assert_same(answers(got), expected, what=padding.side, **EXACT)


@pytest.mark.parametrize("case", READS_ROWS)
@examples(0.4)
@given(mask=masks(), seed=seeds())
def test_holes(backend: str, case: Case, mask: Mask, seed: int) -> None:
    layer, data = built(case, backend), batch(case, mask.sum(axis=1).tolist(), seed)
    rows = RowPartition.from_mask(mask)
    got = run(layer, ragged(data, layer, rows), states=data.states)
    assert_same(answers(got), expected_with_holes(case, data, mask), **VALUES)
    padded = run_padded(layer, data.padded(mask), mask, states=data.states)
    for one, other in zip(outputs(padded), outputs(got), strict=True):
        truth = other.to_padded() if isinstance(other, Ragged) else other
        np.testing.assert_array_equal(*(backends.of(a).to_host(a) for a in (one, truth)))
        if isinstance(other, Ragged) and case.rows == "kept":
            np.testing.assert_array_equal(other.mask, mask)


def expected_with_holes(case: Case, data: Batch, mask: Mask) -> Answers:
    """The truth with holes; a model of several layers reads them as each of its layers does."""
    if case.name.startswith(("Sequential", "own-attention to other rows")):
        # No single reading is right for all layers inside: the same model, each row alone.
        layer = built(case, "numpy", "float64")
        found: list[Answers] = []
        for row, live in enumerate(mask):
            one = data.take([row])
            places = np.nonzero(live)[0]
            rows = RowPartition([0, len(places)], positions=places - places[:1])
            found.append(answers(call(layer, ragged(one, layer, rows))))
        return [[row[0][0] for row in found]]
    return with_holes(case, data, mask)


@directly("kept", "change", "end")
def test_lists_come_back_as_lists(backend: str, case: Case) -> None:
    layer, data = built(case, backend), batch(case, [2, 0, 12])
    packed = outputs(call(layer, ragged(data, layer), states=data.states))
    result: Any = call(layer, [list(one) for one in data.inputs], states=data.states)
    for output, rows in zip([result] if len(packed) == 1 else result, packed, strict=True):
        assert isinstance(output, list) == isinstance(rows, Ragged)
        for got, expected in zip(output, rows, strict=True):
            np.testing.assert_array_equal(layer.backend.to_host(got), layer.backend.to_host(expected))


@directly("kept", "change", "end", where=lambda case: len(case.inputs) == 1 and not case.states)
def test_a_dense_array_is_rows_of_one_length(backend: str, case: Case) -> None:
    layer, data = built(case, backend), batch(case, [11, 11])
    dense = layer(layer.backend.asarray(np.stack(data.inputs[0])))
    assert_same(answers(dense), in_a_batch(layer, data), **VALUES)


@directly("kept", "change", "end", where=lambda case: case.name.startswith(("Masking", "Embedding-mask_zero")))
@examples(0.5)
@given(mask=masks(), seed=seeds())
def test_masks_that_layers_find(backend: str, case: Case, mask: Mask, seed: int) -> None:
    layer, data = built(case, backend), batch(case, mask.sum(axis=1).tolist(), seed)
    steps = data.packed()[0]
    nothing = np.nan if case.name == "Masking-nan" else 0
    array = np.full((*mask.shape, *steps.shape[1:]), nothing, steps.dtype)
    array[mask] = steps
    got = layer(layer.backend.asarray(array))
    assert isinstance(got, Ragged), "only rows can carry the mask on"
    np.testing.assert_array_equal(got.mask, mask)
    assert_same(answers(got), alone(case, data), **VALUES)
    earlier = mask & (np.random.default_rng(seed).random(mask.shape) < 0.7)
    both = layer(Ragged.from_padded(layer.backend.asarray(array), earlier | ~mask))
    np.testing.assert_array_equal(both.mask, earlier)


@pytest.mark.parametrize("case", cases("kept", "change", "end", where=lambda case: case.reads == "floats"))
@pytest.mark.parametrize("value", [0.0, 1e30, -1e30, np.inf, np.nan])
def test_what_padding_holds(backend: str, case: Case, value: float) -> None:
    rows = [3, 1]
    layer, data = built(case, backend), batch(case, rows)
    mask = Padding("post", 2, 0).mask(rows)
    arrays = [np.nan_to_num(array, nan=value, posinf=value, neginf=value) for array in data.padded(mask)]
    got = run(layer, entered(layer, arrays, mask), states=data.states)
    assert_same(answers(got), in_a_batch(layer, data), **EXACT)


@given(rows=lengths(), padding=paddings())
def test_the_paddings_drawn_here_are_paddings(rows: list[int], padding: Padding) -> None:
    mask = padding.mask(rows)
    assert mask.sum(axis=1).tolist() == rows
    partition = RowPartition.from_mask(mask)
    assert not partition.has_holes
    if padding.side == "post":
        assert partition.starts.tolist() == [0] * len(rows)
