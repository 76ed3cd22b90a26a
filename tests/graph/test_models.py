"""Sequential, functional and subclassed models: the same answers, the form that came in, rows never lost."""

from __future__ import annotations

import copy
import pickle
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, MaskError, Model, Ragged, Sequential, layers
from padless.errors import ArgumentError, DataError, DTypeError, NotBuiltError, ShapeError
from tests.tolerances import VALUES

IDS = [[3, 1, 4], [1], [5, 9, 2, 6, 5]]


def host(x: Any) -> np.ndarray[Any, Any]:
    return np.asarray(padless.backends.of(x).to_host(x))


def tagger() -> Sequential:
    return Sequential(
        [
            layers.Embedding(10, 4, mask_zero=True),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.Dense(2, activation="softmax"),
        ]
    )


def padded(rows: list[list[int]], length: int, *, left: bool = False) -> np.ndarray[Any, Any]:
    out = np.zeros((len(rows), length), np.int64)
    for at, row in enumerate(rows):
        out[at, length - len(row) if left else 0 : length if left else len(row)] = row
    return out


@pytest.mark.usefixtures("backend")
def test_the_form_that_goes_in_comes_out() -> None:
    model = tagger()
    as_list = model(IDS)
    assert isinstance(as_list, list)
    assert [tuple(row.shape) for row in as_list] == [(3, 2), (1, 2), (5, 2)]
    as_ragged = model(Ragged.from_list(IDS))
    assert isinstance(as_ragged, Ragged)
    assert as_ragged.shape == (3, None, 2)
    as_padded = model(padded(IDS, 8, left=True))
    assert tuple(as_padded.shape) == (3, 8, 2)
    answers = host(as_padded)
    for at, row in enumerate(as_list):
        np.testing.assert_allclose(answers[at, 8 - len(IDS[at]) :], host(row), **VALUES)
        assert not answers[at, : 8 - len(IDS[at])].any()


@pytest.mark.usefixtures("backend")
def test_predict_gives_back_the_form_in_the_order_given() -> None:
    model = tagger()
    whole = [host(row) for row in model(IDS)]
    for batch_size in (1, 2, 32):
        for got, want in zip(model.predict(IDS, batch_size=batch_size), whole, strict=True):
            np.testing.assert_allclose(got, want, **VALUES)
    assert model.predict(padded(IDS, 7)).shape == (3, 7, 2)
    ragged = model.predict(Ragged.from_list(IDS), batch_size=2)
    assert isinstance(ragged, Ragged)
    np.testing.assert_allclose(ragged.values, np.concatenate(whole), **VALUES)


@pytest.mark.usefixtures("backend")
def test_functional_and_subclassed_and_sequential_agree() -> None:
    embed, recur, head = layers.Embedding(10, 4, mask_zero=True), layers.LSTM(3, return_sequences=True), layers.Dense(2)

    class Mine(Model):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.recur, self.head = embed, recur, head

        def call(self, x: Any) -> Any:
            h = self.embed(x)
            return self.head(self.recur(h) + self.recur(h))

    x = Input(shape=(None,), dtype="int32")
    h = embed(x)
    functional = Model(x, head(layers.Add()([recur(h), recur(h)])))
    one, other = Mine()(IDS), functional(IDS)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(host(a), host(b), **VALUES)
    assert functional.count_params() == 10 * 4 + 4 * 12 + 3 * 12 + 12 + 3 * 2 + 2


@pytest.mark.usefixtures("backend")
def test_a_residual_graph_keeps_rows_and_concatenate_joins_features() -> None:
    x = Input(shape=(None, 4))
    h = layers.Conv1D(4, 3, padding="same")(x)
    y = layers.Concatenate()([x, layers.Add()([x, h])])
    model = Model(x, y)
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(n, 4)).astype("float32") for n in (3, 1, 5)]
    together = model(rows)
    for row, got in zip(rows, together, strict=True):
        np.testing.assert_allclose(host(got), host(model([row])[0]), **VALUES)
        assert got.shape == (len(row), 8)


def test_operators_on_symbols_add() -> None:
    x = Input(shape=(None, 4))
    model = Model(x, layers.Dense(4)(x) + x)
    assert model([[[1.0, 2.0, 3.0, 4.0]]])[0].shape == (1, 4)


def test_several_inputs_by_list_tuple_and_name() -> None:
    a, b = Input(shape=(None, 2), name="a"), Input(shape=(3,), name="b")
    pooled = layers.GlobalMaxPooling1D()(a)
    model = Model([a, b], layers.Dense(1)(layers.Concatenate()([pooled, b])))
    rows = [np.ones((2, 2), "float32"), np.zeros((4, 2), "float32")]
    vectors = np.ones((2, 3), "float32")
    first = host(model([Ragged.from_list(rows), vectors]))
    np.testing.assert_allclose(first, host(model({"a": rows, "b": vectors})), **VALUES)
    np.testing.assert_allclose(first, model.predict((rows, vectors)), **VALUES)


def test_like_promises_the_same_rows_and_is_checked() -> None:
    a = Input(shape=(None, 2), name="words")
    b = Input(shape=(None, 2), name="marks", like=a)
    model = Model([a, b], layers.Add()([a, b]))
    one, two = np.ones((2, 2), "float32"), np.ones((3, 2), "float32")
    assert model((Ragged.from_list([one]), Ragged.from_list([one]))).shape == (1, None, 2)
    with pytest.raises(DataError, match="row 0 has 3 steps"):
        model((Ragged.from_list([one]), Ragged.from_list([two])))


@pytest.mark.usefixtures("backend")
def test_a_layer_without_a_view_raises_with_its_place_and_the_ways_to_go_on() -> None:
    class Blind(padless.Layer):
        def call(self, x: Any) -> Any:
            return x

    model = Sequential([layers.Embedding(10, 4, mask_zero=True), Blind(name="blind")])
    with pytest.raises(MaskError, match=r"(?s)layer 'blind' \(Blind, layers/1 of 'sequential.*view = .*pool.*Unmask"):
        model(padded(IDS, 6))
    nested = Sequential([model])
    with pytest.raises(MaskError, match="blind"):
        nested.predict(padded(IDS, 6))
    x = Input(shape=(None,), dtype="int32")
    with pytest.raises(MaskError, match="blind2"):
        Blind(name="blind2")(layers.Embedding(10, 4, mask_zero=True)(x))


def test_flatten_over_time_raises_and_fixed_features_flatten() -> None:
    with pytest.raises(MaskError, match="Flatten"):
        Sequential([layers.Embedding(10, 4, mask_zero=True), layers.Flatten()])(padded(IDS, 6))
    dense = Sequential([Input((3, 4)), layers.Flatten(), layers.Dense(2)])
    assert dense(np.ones((2, 3, 4), "float32")).shape == (2, 2)


@pytest.mark.usefixtures("backend")
def test_keras_words_for_a_view() -> None:
    class Old(padless.Layer):
        def call(self, x: Any, mask: Any = None) -> Any:
            assert mask is not None
            return x * 2

    class Flagged(padless.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.supports_masking = True

        def call(self, x: Any) -> Any:
            return x + 1

    x = [np.ones((2, 3), "float32"), np.ones((1, 3), "float32")]
    doubled = Old()(x)
    assert [row.shape for row in doubled] == [(2, 3), (1, 3)]
    assert float(host(doubled[1]).max()) == 2.0
    assert [row.shape for row in Flagged()(x)] == [(2, 3), (1, 3)]


@pytest.mark.usefixtures("backend")
def test_a_padded_view_is_never_guessed_from_equal_sizes() -> None:
    class Pool(padless.Layer):
        def call(self, x: Any, mask: Any) -> Any:
            return self.xp.sum(x, axis=1)

    class PerStep(padless.Layer):
        def call(self, x: Any, mask: Any) -> Any:
            return self.xp.sum(x, axis=2)

    pool, per_step = Pool(), PerStep()
    for lengths in ([3, 1], [2, 2], [5, 4]):  # features and steps are both 3 in the first
        x = [np.ones((n, 3), "float32") for n in lengths]
        assert host(pool(x)).shape == (2, 3)
        assert [len(row) for row in per_step(x)] == lengths


@pytest.mark.usefixtures("backend")
def test_a_mask_that_a_layer_computes_is_the_mask_of_its_output() -> None:
    class Lookup(padless.Layer):
        def build(self, input_shape: Any) -> None:
            self.table = self.add_weight(shape=(10, 4), initializer="random_normal")

        def call(self, inputs: Any) -> Any:
            flat = self.xp.take(self.table, self.xp.reshape(inputs, (-1,)), axis=0)
            return self.xp.reshape(flat, (*inputs.shape, 4))

        def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
            return inputs != 0

    class Halves(padless.Layer):
        def call(self, inputs: Any) -> Any:
            half = inputs.shape[1] // 2
            return [inputs[:, :half], inputs[:, half:]]

        def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
            half = inputs.shape[1] // 2
            return None if mask is None else [mask[:, :half], mask[:, half:]]

    model = Sequential([Lookup(), layers.LSTM(3)])
    np.testing.assert_allclose(host(model(padded(IDS, 6))), host(model(padded(IDS, 13, left=True))), **VALUES)
    x = Ragged.from_padded(np.ones((2, 6, 1), "float32"), np.arange(6) < np.array([[4], [6]]))
    first, second = Halves()(x)
    assert first.rows.row_lengths.tolist() == [3, 3]
    assert second.rows.row_lengths.tolist() == [1, 3]


def test_a_layer_of_layers_written_for_keras() -> None:
    class Mine(padless.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = layers.Embedding(10, 4, mask_zero=True)
            self.lstm = layers.LSTM(3)

        def call(self, inputs: Any) -> Any:
            x = self.embedding(inputs)
            mask = self.embedding.compute_mask(inputs)
            return self.lstm(x, mask=mask)

    mine = Mine()
    short, long = host(mine(padded(IDS, 5))), host(mine(padded(IDS, 11)))
    np.testing.assert_allclose(short, long, **VALUES)
    assert set(mine.weight_slots()) == {
        "embedding/embeddings",
        "lstm/cell/kernel",
        "lstm/cell/recurrent_kernel",
        "lstm/cell/bias",
    }


def test_a_mask_maker_alone_gives_a_ragged_since_an_array_could_not_carry_the_mask() -> None:
    made = layers.Embedding(10, 4, mask_zero=True)(padded(IDS, 6))
    assert isinstance(made, Ragged)
    assert made.rows.row_lengths.tolist() == [3, 1, 5]
    assert tuple(made.to_padded().shape) == (3, 6, 4)
    assert host(layers.LSTM(2)(made)).shape == (3, 2)


def test_weights_by_path_and_in_keras_order() -> None:
    model = tagger()
    model(IDS)
    paths = list(model.weight_slots())
    assert paths[0] == "layers/0/embeddings"
    assert "layers/1/forward_layer/cell/recurrent_kernel" in paths
    before = model.get_weights()
    other = tagger()
    other(IDS)
    other.set_weights(before)
    for a, b in zip(model.predict(IDS), other.predict(IDS), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ShapeError, match="set_weights"):
        other.set_weights(before[:-1])


def test_a_bare_tensor_as_attribute_is_refused() -> None:
    padless.set_backend("torch")

    class Holder(padless.Layer):
        def build(self, spec: Any) -> None:
            self.loose = self.backend.asarray(np.ones(3))

    with pytest.raises(ArgumentError, match="add_weight"):
        Holder()(np.ones((1, 2), "float32"))


def test_trainable_reaches_inside() -> None:
    model = tagger()
    model(IDS)
    assert len(model.trainable_weights) == 9
    model.layers[1].trainable = False
    assert len(model.trainable_weights) == 3
    assert len(model.non_trainable_weights) == 6


@pytest.mark.usefixtures("backend")
def test_copies_pickles_and_threads() -> None:
    model = tagger()
    want = model.predict(IDS)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        for a, b in zip(other.predict(IDS), want, strict=True):
            np.testing.assert_array_equal(a, b)
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(model.predict(IDS))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 2
    for got in answers:
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, **VALUES)


def test_summary_says_where_rows_enter_are_kept_change_and_end() -> None:
    model = Sequential(
        [
            Input((None,), dtype="int32"),
            layers.Embedding(10, 4, mask_zero=True),
            layers.Conv1D(6, 3, padding="valid"),
            layers.Dense(5),
            layers.GlobalMaxPooling1D(),
            layers.Dense(2),
        ]
    )
    said: list[str] = []
    model.summary(print_fn=said.append, line_length=100)
    text = said[0]
    lines = [line.split() for line in text.splitlines()]
    assert "if given" in text
    for start, word in (("embedding", "enter"), ("conv1d", "change"), ("dense", "kept"), ("global_max", "end")):
        assert any(line and line[0].startswith(start) and word in line for line in lines), (start, text)
    assert f"{model.count_params():,}" in text
    assert f"({model.count_params() * 4 / 1024:.2f} KiB)" in text
    with pytest.raises(NotBuiltError, match="never saw data"):
        tagger().summary()


def test_summary_of_a_model_without_input_after_its_first_call() -> None:
    model = tagger()
    model(padded(IDS, 6))
    said: list[str] = []
    model.summary(print_fn=said.append, line_length=100)
    assert "(None, None, 2)" in said[0] or "(None, 6, 2)" in said[0]


def test_build_with_a_shape_makes_the_weights() -> None:
    model = Sequential([layers.LSTM(3), layers.Dense(1)])
    model.build((None, None, 4))
    assert model.count_params() == 4 * 12 + 3 * 12 + 12 + 3 + 1


def test_sequential_add_pop_and_wrong_things() -> None:
    model = Sequential([Input((None, 4))])
    model.add(layers.LSTM(3))
    model.add(layers.Dense(1))
    assert model.pop().name.startswith("dense")
    assert model([[[1.0, 2.0, 3.0, 4.0]]]).shape == (1, 3)
    with pytest.raises(DTypeError, match="parentheses"):
        Sequential([layers.Dense])
    with pytest.raises(ArgumentError, match="Input at the start"):
        model.add(Input((None, 4)))


def test_input_shapes_are_checked_with_names() -> None:
    model = Sequential([Input((None, 4), name="steps"), layers.LSTM(3)], name="m")
    with pytest.raises(ShapeError, match="'steps' of 'm'"):
        model([[[1.0, 2.0]]])
    with pytest.raises(ShapeError, match=r"Input\(shape=\(4,\)\)"):
        Input(4)
    promised = Sequential([Input((None, 4), ragged=True), layers.LSTM(3)])
    with pytest.raises(ShapeError, match="rows"):
        promised(np.ones((2, 3, 4), "float32"))


def test_a_mask_beside_a_padded_array_works_on_every_call() -> None:
    x = np.ones((2, 4, 3), "float32")
    mask = np.array([[True, True, False, False], [True] * 4])
    x[0, 2:] = np.nan
    y = layers.Dense(2)(x, mask=mask)
    assert tuple(y.shape) == (2, 4, 2)
    assert np.isfinite(host(y)).all()
    with pytest.raises(ShapeError, match="mask"):
        layers.Dense(2)(x, mask=mask[:, :3])
    with pytest.raises(ShapeError, match="bool"):
        layers.Dense(2)(x, mask=mask.astype("float32"))


@pytest.mark.parametrize("name", ["Dense", "LSTM", "Conv1D"])
def test_unknown_and_missing_arguments_say_so(name: str) -> None:
    kind = getattr(layers, name)
    arguments = (3, 2) if name == "Conv1D" else (3,)
    with pytest.raises(ArgumentError, match="did you mean 'activation'"):
        kind(*arguments, activaton="relu")
    with pytest.raises(ArgumentError, match="not there yet"):
        kind(*arguments, quantization_config="int8")


def test_values_that_nothing_reads_any_more_are_let_go(backend: str) -> None:
    made: list[Any] = []
    alive: list[list[bool]] = []

    class Noting(layers.Layer):
        view = "steps"

        def call(self, x: Any) -> Any:
            alive.append([each() is not None for each in made])
            y = x + 1.0
            made.append(weakref.ref(y))
            return y

    x = Input((None, 2))
    first = Noting()(x)
    second = Noting()(first)
    third = Noting()(second)
    both = layers.Add()([first, third])
    model = Model(x, [Noting()(both), second])
    made.clear()
    alive.clear()
    given = Ragged.from_list([np.ones((3, 2), np.float32), np.ones((1, 2), np.float32)])
    y, also = copy.deepcopy(model)(given)
    # When the last one runs, only what is an output is left.
    assert alive == [[], [True], [True, True], [False, True, False]]
    np.testing.assert_allclose(model.backend.to_host(y.values), 7.0)
    np.testing.assert_allclose(model.backend.to_host(also.values), 3.0)


def test_layers_in_private_attributes_belong_to_the_model() -> None:
    class Tagger(padless.Model):
        def __init__(self) -> None:
            super().__init__()
            self._embed = layers.Embedding(10, 4)
            self._stack = [layers.Dense(3), layers.Dense(2)]

        def call(self, x: Any) -> Any:
            x = self._embed(x)
            for layer in self._stack:
                x = layer(x)
            return x

    model = Tagger()
    model([[1, 2], [3]])
    assert sorted(model.state_dict()) == [
        "_embed/embeddings",
        *(f"_stack/{at}/{name}" for at in (0, 1) for name in ("bias", "kernel")),
    ]
    assert model.layers == [model._embed, *model._stack]
    assert len(model.trainable_weights) == 5
