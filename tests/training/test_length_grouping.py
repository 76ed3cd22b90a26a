"""Rows of like lengths in one batch: the same numbers, another order of the work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import padless
from padless import Ragged, layers
from padless.batching import Table
from padless.errors import ArgumentError

LENGTHS = np.random.default_rng(0).integers(0, 40, 101).tolist()
ROWS = [np.full((n, 2), at, np.float32) / 101 for at, n in enumerate(LENGTHS)]
TARGETS = np.arange(101, dtype=np.float32)


def dealt(table: Table, seed: int | None = None, epoch: int = 0) -> list[list[int]]:
    batches = table.batches(table.planner.plan(epoch, seed))
    return [batch.rows.tolist() for batch in batches if batch.rows is not None]


@pytest.mark.parametrize("size", [{"batch_size": 8}, {"max_tokens": 120}])
@pytest.mark.parametrize("seed", [None, 3])
def test_every_row_is_dealt_once_among_rows_of_like_lengths(size: dict[str, int], seed: int | None) -> None:
    grouped, plain = Table(ROWS, TARGETS, **size, length_grouping=4), Table(ROWS, TARGETS, **size)
    batches = dealt(grouped, seed)
    assert sorted(row for rows in batches for row in rows) == list(range(101))
    if "max_tokens" in size:
        assert all(sum(max(LENGTHS[row], 1) for row in rows) <= 120 for rows in batches)
    else:
        assert sorted(map(len, batches)) == [5] + [8] * 12

    def padded(batches: list[list[int]]) -> int:
        return sum(len(rows) * max(LENGTHS[row] for row in rows) for rows in batches)

    assert padded(batches) < (0.85 if "max_tokens" in size else 0.75) * padded(dealt(plain, seed))


def test_the_seed_says_all() -> None:
    table = Table(ROWS, TARGETS, batch_size=8, length_grouping=4)
    assert dealt(table, 1) == dealt(table, 1) != dealt(table, 2)
    # A window after the other, each sorted.
    for rows in dealt(table)[:4]:
        assert max(rows) < 32


def model(**more: Any) -> Any:
    padless.utils.set_random_seed(1)
    made = padless.Sequential([layers.SimpleRNN(3, **more), layers.Dense(1)])
    made.compile("adam", "mse")
    return made


def test_targets_and_weights_follow_their_rows(trainer: str) -> None:
    rows = [row for row in ROWS if len(row)][:40]
    sums = np.array([row.sum() for row in rows], np.float32)
    losses = []
    for grouping in (None, 3):
        trained = model()
        history = trained.fit(
            rows, sums, sample_weight=sums / sums.mean(), epochs=1, batch_size=40, verbose=0, length_grouping=grouping
        )
        losses.append(history.history["loss"][0])
    # One batch of all rows: whatever their order, the loss is the same if what belongs together stays together.
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_evaluate_and_predict_answer_as_without(backend: str) -> None:
    made = model()
    plain = made.predict(ROWS, batch_size=8, verbose=0)
    np.testing.assert_allclose(made.predict(ROWS, batch_size=8, verbose=0, length_grouping=4), plain, atol=1e-5)
    np.testing.assert_allclose(made.predict(ROWS, max_tokens=100, verbose=0, length_grouping=4), plain, atol=1e-5)
    plain = made.evaluate(ROWS, TARGETS, batch_size=8, verbose=0)
    np.testing.assert_allclose(
        made.evaluate(ROWS, TARGETS, batch_size=8, verbose=0, length_grouping=4), plain, rtol=1e-5
    )
    steps = padless.Sequential([layers.SimpleRNN(3, return_sequences=True)])
    plain, grouped = (steps.predict(ROWS, batch_size=8, verbose=0, length_grouping=g) for g in (None, 4))
    assert len(plain) == len(grouped) == 101
    for one, other in zip(plain, grouped, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert isinstance(steps.predict(Ragged.from_list(ROWS), verbose=0, length_grouping=4), Ragged)


@pytest.mark.parametrize("size", [{"batch_size": 8}, {"max_tokens": 120}])
def test_a_few_batches_are_of_the_same_rows_as_without(backend: str, size: dict[str, int]) -> None:
    plain, grouped = (Table(ROWS, TARGETS, **size, steps=3, length_grouping=each) for each in (0, 2))
    assert len(plain) == len(dealt(plain)) == 3
    assert len(grouped) == len(dealt(grouped))
    read = [row for rows in dealt(plain) for row in rows]
    assert sorted(row for rows in dealt(grouped) for row in rows) == read == list(range(len(read)))
    made = model()
    predicted = [made.predict(ROWS, **size, steps=3, verbose=0, length_grouping=each) for each in (None, 2)]
    np.testing.assert_allclose(predicted[1], predicted[0], atol=1e-5)
    sources = [{"x": ROWS, "y": TARGETS, **size, "steps": 3, "verbose": 0, "length_grouping": g} for g in (None, 2)]
    losses = [made.evaluate(**source) for source in sources]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_an_epoch_of_some_steps_goes_on_through_grouped_batches() -> None:
    table = Table(ROWS, TARGETS, batch_size=8, steps=5, length_grouping=4)
    table.planner.goes_on = True
    everything = dealt(Table(ROWS, TARGETS, batch_size=8, length_grouping=4))
    assert [rows for epoch in range(3) for rows in dealt(table, None, epoch)] == [*everything, *everything[:2]]


@pytest.mark.parametrize(
    ("how", "text"),
    [
        (lambda m: m.fit(ROWS, TARGETS, length_grouping=0.5, verbose=0), "a number of batches, from 1 on"),
        (lambda m: m.fit(iter([(ROWS, TARGETS)]), length_grouping=2, verbose=0), "a source of ready batches"),
        (lambda m: m.predict(np.ones((4, 3, 2), np.float32), length_grouping=2), "rows of unequal length"),
        (lambda m: model(stateful=True).predict(ROWS, length_grouping=2), "length_grouping=2"),
        (lambda m: model(stateful=True).fit(ROWS, TARGETS, shuffle=False, length_grouping=2), "length_grouping=2"),
    ],
)
def test_refusals(how: Any, text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        how(model())
