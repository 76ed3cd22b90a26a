"""The same model in every way of building one gives the same numbers; what it is made of may be shared and nested."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import DataError, Input, MaskError, Model, Ragged, Sequential, layers, load_model, ops
from padless.errors import ArgumentError, ShapeError
from tests.tolerances import VALUES

IDS = [[3, 1, 4], [1], [5, 9, 2, 6, 5]]


def host(x: Any) -> np.ndarray[Any, Any]:
    return np.asarray(padless.backends.of(x).to_host(x))


def rows(*counts: int, width: int = 4, seed: int = 0) -> list[Any]:
    numbers = np.random.default_rng(seed)
    return [numbers.normal(size=(count, width)).astype(np.float32) for count in counts]


def assert_same(got: Any, want: Any) -> None:
    if isinstance(want, dict):
        assert list(got) == list(want)
        got, want = list(got.values()), list(want.values())
    if isinstance(want, list | tuple):
        assert len(got) == len(want)
        for one, other in zip(got, want, strict=True):
            assert_same(one, other)
        return
    if isinstance(want, Ragged):
        assert isinstance(got, Ragged)
        assert got.rows.same_steps(want.rows)
        got, want = got.values, want.values
    np.testing.assert_allclose(host(got), host(want), **VALUES)


def saved(model: Model, path: Path) -> Model:
    model.save(path / "model.safetensors")
    return load_model(path / "model.safetensors")


# ---- one tagger, five ways


def parts() -> list[padless.Layer]:
    return [
        layers.Embedding(10, 4, mask_zero=True),
        layers.Bidirectional(layers.GRU(3, return_sequences=True)),
        layers.Dense(5, activation="relu"),
        layers.Dense(2),
    ]


def sequential() -> Model:
    return Sequential(parts())


def functional() -> Model:
    x = y = Input((None,), dtype="int32")
    for layer in parts():
        y = layer(y)
    return Model(x, y)


@padless.register
class OwnTagger(Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.embed, self.recur, self.hidden, self.head = parts()

    def call(self, x: Any) -> Any:
        return self.head(self.hidden(self.recur(self.embed(x))))


def mixed() -> Model:
    first, second, third, fourth = parts()
    x = Input((None,), dtype="int32")
    return Model(x, Sequential([third, fourth])(second(first(x))))


def nested() -> Model:
    inner = Sequential(parts()[:2])
    x = Input((None,), dtype="int32")
    return Sequential([Model(x, inner(x)), Sequential([layers.Dense(5, activation="relu")]), layers.Dense(2)])


@padless.register
class OwnBlock(padless.Layer):
    """A layer of layers, as in Keras: it hands the value on, and its layers read the rows."""

    view = "ragged"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _, self.recur, self.hidden, self.head = parts()

    def call(self, x: Any) -> Any:
        return self.head(ops.relu(self.hidden(self.recur(x))))


def with_a_block() -> Model:
    return Sequential([layers.Embedding(10, 4, mask_zero=True), OwnBlock()])


WAYS = [sequential, functional, OwnTagger, mixed, nested, with_a_block]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_gives_the_same_numbers(backend: str, way: Callable[[], Model], tmp_path: Path) -> None:
    first, other = sequential(), way()
    first(IDS)
    other(IDS)
    other.set_weights(first.get_weights())
    padded = np.zeros((3, 7), np.int64)
    for at, row in enumerate(IDS):
        padded[at, 7 - len(row) :] = row
    inputs: list[Any] = [IDS, Ragged.from_list(IDS), padded]
    if backend == "jax":
        inputs = inputs[:1]
    for x in inputs:
        assert_same(other(x), first(x))
    assert_same(saved(other, tmp_path)(IDS), first(IDS))
    assert other.count_params() == first.count_params()


def test_layers_and_models_called_twice_share_their_weights(backend: str, tmp_path: Path) -> None:
    encoder = Sequential([Input((None, 4)), layers.LSTM(3), layers.Dense(2)])
    head = layers.Dense(1)
    a, b = Input((None, 4), name="a"), Input((None, 4), name="b")
    model = Model([a, b], head(encoder(a) - encoder(b)))
    assert model.count_params() == encoder.count_params() + 3
    one, two = rows(3, 1), rows(2, 5, seed=1)
    want = host(encoder(one)) - host(encoder(two))
    got = model([Ragged.from_list(one), Ragged.from_list(two)])
    np.testing.assert_allclose(host(got), host(head(want)), **VALUES)
    assert_same(saved(model, tmp_path)([Ragged.from_list(one), Ragged.from_list(two)]), got)


def test_inputs_and_outputs_in_lists_and_dicts(backend: str, tmp_path: Path) -> None:
    words = Input((None, 4), name="words")
    marks = Input((None, 2), name="marks", like=words)
    extra = Input((3,), name="extra")
    h = layers.Dense(4)(layers.Concatenate()([words, marks]))
    pooled = layers.GlobalAveragePooling1D()(h)
    tags, label = layers.Dense(2)(h), layers.Dense(1)(layers.Concatenate()([pooled, extra]))
    inputs: dict[str, Any] = {"words": words, "marks": marks, "extra": extra}
    named = Model(inputs, {"z": tags, "label": label, "both": [pooled, h]})
    one, two = rows(3, 1), rows(3, 1, width=2, seed=1)
    data = {"words": one, "marks": two, "extra": np.ones((2, 3), np.float32)}
    got = named(data)
    assert list(got) == ["z", "label", "both"]
    listed = Model([words, marks, extra], [tags, label, pooled, h])
    again = listed([Ragged.from_list(one), Ragged.from_list(two), data["extra"]])
    assert_same([list(got["z"]), got["label"], got["both"][0]], [list(again[0]), again[1], again[2]])
    # As a layer of another model, by name and in order.
    outer = Model(inputs, named(inputs))
    assert_same(outer(data), got)
    loaded = saved(outer, tmp_path)
    assert_same(loaded(data), got)
    with pytest.raises(DataError, match=r"'marks' of 'functional.*, like 'words'[^$]*row 0 has 2 steps"):
        loaded({**data, "marks": rows(2, 2, width=2)})


@padless.register
class OwnPair(Model):
    """Two inputs, in a list or by name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoder, self.head = layers.LSTM(3), layers.Dense(2)

    def call(self, x: Any) -> Any:
        one, two = (x["one"], x["two"]) if isinstance(x, dict) else x
        return {"answer": self.head(self.encoder(one) * two)}


@pytest.mark.parametrize("by_name", [False, True])
def test_a_subclassed_model_of_several_inputs(backend: str, by_name: bool, tmp_path: Path) -> None:
    model = OwnPair()
    one, two = Ragged.from_list(rows(3, 1)), np.ones((2, 3), np.float32)
    data: Any = {"one": one, "two": two} if by_name else (one, two)
    got = model(data)
    assert_same(saved(model, tmp_path)(data), got)
    a, b = Input((None, 4)), Input((3,))
    outer = Model([a, b], model({"one": a, "two": b} if by_name else [a, b])["answer"] + 1)
    np.testing.assert_allclose(host(outer([one, two])), host(got["answer"]) + 1, **VALUES)
    model.summary(print_fn=lambda text: None)


def test_training_said_in_a_call_stays_so(backend: str, tmp_path: Path) -> None:
    x = Input((None, 4))
    noisy = Sequential([layers.Dropout(0.9)])
    model = Model(x, [noisy(x, training=False), noisy(x)])
    value = Ragged.from_list([np.ones((50, 4), np.float32)])
    for one in (model, saved(model, tmp_path)):
        frozen, free = one(value, training=True)
        assert host(frozen.values).all()
        assert not host(free.values).all()


@padless.register
class OwnPositions(padless.Layer):
    """A learned vector for each place in a row, as Keras's examples write it."""

    view = "steps"

    def call(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize("form", ["list", "padded"])
def test_positions_added_to_a_masked_sequence_keep_the_rows(backend: str, form: str) -> None:
    """Ids of places beside ids of words, both embedded and added: the mask of the words stays in force."""
    ids = Input((None,), dtype="int32", ragged=True)
    places = Input((None,), dtype="int32", like=ids)
    h = layers.Embedding(10, 4)(ids) + layers.Embedding(8, 4)(places)
    model = Model([ids, places], layers.LSTM(3)(h))
    x, at = IDS, [list(range(len(row))) for row in IDS]
    answers = host(model([Ragged.from_list(x), Ragged.from_list(at)]))
    for row in range(3):
        alone = model([Ragged.from_list(x[row : row + 1]), Ragged.from_list(at[row : row + 1])])
        np.testing.assert_allclose(answers[row : row + 1], host(alone), **VALUES)


# ---- errors that name both values


def test_rows_that_differ_are_named_when_the_model_is_made() -> None:
    x = Input((None, 4), name="steps", ragged=True)
    shorter = layers.Conv1D(4, 2, name="window")(x)
    kept = layers.Dense(4, name="kept")(shorter)
    with pytest.raises(DataError, match=r"(?s)'plus'.*of input 'steps', the second those of layer 'window' \(Conv1D"):
        layers.Add(name="plus")([x, kept])
    with pytest.raises(DataError, match=r"those of layer 'window' \(Conv1D\), the second those of input 'steps'"):
        kept * x
    with pytest.raises(DataError, match=r"those of layer 'window'"):
        ops.concatenate([kept, x], axis=-1)


@pytest.mark.parametrize("how", ["layer", "operator"])
def test_rows_that_differ_are_named_when_data_come(how: str) -> None:
    a, b = Input((None, 4), name="words"), Input((None, 4), name="marks")
    h = layers.Dense(4, name="dense_of_marks")(b)
    y = layers.Add(name="plus")([a, h]) if how == "layer" else a + h
    model = Model([a, b], layers.Dense(2)(y), name="m")
    one, two = Ragged.from_list(rows(2, 1)), Ragged.from_list(rows(1, 2))
    with pytest.raises(
        DataError,
        match=r"(?s)lengths \[2, 1\].*lengths \[1, 2\].*row 0 has 2 steps.*those of input 'words', the second those of "
        r"input 'marks'.*Fix: ",
    ):
        model([one, two])
    masked = Model([a, b], layers.Add()([layers.Masking(name="mask")(a), b]), name="n")
    with pytest.raises(DataError, match=r"of layer 'mask' \(Masking, layers/0 of 'n'\), the second those of input"):
        masked([Ragged.from_list([0 * row for row in rows(2, 1)]), one])
    outer = Sequential([layers.Identity(), layers.Dense(4)])
    nested = Model([a, b], model([outer(a), b]))
    with pytest.raises(DataError, match=r"those of input 'words', the second those of input 'marks'"):
        nested([one, two])


def test_an_array_beside_rows_in_a_model_names_the_layer() -> None:
    x = Input((None, 4))
    with pytest.raises(MaskError, match=r"(?s)'plus' \(Add\).*padless\.spread"):
        layers.Add(name="plus")([x, layers.GlobalMaxPooling1D()(x)])
    with pytest.raises(MaskError, match=r"(?s)operator \+|ops\.add.*padless\.spread"):
        x + layers.GlobalMaxPooling1D()(x)
    y = x + layers.Spread()([layers.GlobalMaxPooling1D()(x), x])
    assert Model(x, y)(rows(2, 1))[0].shape == (2, 4)


def test_other_rows_inside_of_a_compiled_step_say_so() -> None:
    jax = pytest.importorskip("jax")
    assert jax is not None
    before = padless.backend()
    padless.set_backend("jax")
    try:
        a, b = Input((None, 4), name="a"), Input((None, 4), name="b")
        model = Model([a, b], layers.LSTM(2)(layers.Add()([a, b])))
        model.compile("sgd", "mse")
        data = (Ragged.from_list(rows(2, 1)), Ragged.from_list(rows(1, 2)))
        with pytest.raises(padless.PadlessError, match=r"row \d has"):
            model.fit(data, np.zeros((2, 2), np.float32), verbose=0)
    finally:
        padless.set_backend(before)


def test_an_input_that_was_forgotten_is_named() -> None:
    a, b = Input((None, 4), name="a"), Input((None, 4), name="b")
    with pytest.raises(ArgumentError, match=r"outputs that need Symbol\('b'"):
        Model(a, a + b)


@pytest.mark.usefixtures("backend")
def test_graphs_of_functions_are_copied_and_pickled() -> None:
    import copy
    import pickle

    x = Input((None, 4))
    model = Model(x, ops.relu(layers.Dense(3)(x) * 2 - 1)[..., ::2])
    data = Ragged.from_list(rows(3, 1))
    want = model(data)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_same(other(data), want)


def test_names_in_ops_are_free_for_functions_of_the_user(tmp_path: Path) -> None:
    def mean(x: Any) -> Any:
        return x * 0

    padless.register(mean)
    model = Sequential([Input((None, 4)), layers.Lambda(mean, view="steps"), layers.Lambda(ops.exp, view="steps")])
    assert not host(ops.max(saved(model, tmp_path)(Ragged.from_list(rows(2, 1))) - 1, axis=1)).any()


def test_an_input_like_one_that_the_model_does_not_have() -> None:
    one = Input((None, 3))
    model = Model(other := Input((None, 3), like=one), layers.Dense(2)(other))
    assert model(rows(2, 1, width=3))[0].shape == (2, 2)


def shared_with_a_nested_model() -> Model:
    x = Input((None, 4))
    shared = layers.Dense(4)
    inner = Sequential([shared, layers.LSTM(4)])
    return Model(x, [inner(x), shared(x), layers.TimeDistributed(shared)(x)])


def sequential_with_a_shared_layer() -> Model:
    shared = layers.Dense(4)
    return Sequential([Input((None, 4)), shared, layers.TimeDistributed(shared), Sequential([shared])])


@pytest.mark.parametrize("way", [shared_with_a_nested_model, sequential_with_a_shared_layer])
def test_layers_shared_with_models_inside_are_one_layer_in_files(way: Callable[[], Model], tmp_path: Path) -> None:
    model = way()
    x = rows(3, 0, 2)
    for again in (saved(model, tmp_path), type(model).from_config(model.get_config())):
        again.set_weights([array + 1 for array in model.get_weights()])
        assert again.count_params() == model.count_params()
        assert set(again.state_dict()) == set(model.state_dict())
        again.set_weights(model.get_weights())
        assert_same(again(x), model(x))


def test_threads_that_call_a_model_for_the_first_time_build_it_once(trainer: str) -> None:
    for way in ("call", "predict"):
        model = Sequential([layers.Dense(8), layers.LSTM(4), layers.Dense(2)])
        start = threading.Barrier(4)
        x = Ragged.from_list(rows(3, 1))

        def answer(_: int, model: Any = model, way: str = way, start: Any = start, x: Any = x) -> Any:
            start.wait()
            return host(model(x) if way == "call" else model.predict(x, verbose=0))

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(answer, range(4)))
        for one in answers:
            np.testing.assert_allclose(one, host(model(x)), **VALUES)


def test_a_model_of_the_config_of_a_functional_one() -> None:
    model = shared_with_a_nested_model()
    again = Model.from_config(model.get_config())
    assert isinstance(again, Model)
    again.set_weights(model.get_weights())
    assert_same(again(rows(2, 1)), model(rows(2, 1)))


def test_data_before_symbols_are_named() -> None:
    state = Input((3,))
    with pytest.raises(ArgumentError, match=r"layer 'lstm.*symbols beside symbols.*\n.*\(2, 3, 4\)"):
        layers.LSTM(3)(np.ones((2, 3, 4), np.float32), initial_state=[state, state])
    with pytest.raises(ArgumentError, match=r"layer 'concatenate.*symbols beside symbols.*\n.*\(3, 1, 3\)"):
        layers.Concatenate(axis=1)([Input((None, 3)), np.ones((3, 1, 3), np.float32)])


def test_a_mask_for_each_input(backend: str) -> None:
    one, other = Input((None, 4), name="one"), Input((None, 4), name="other")
    y = [layers.LSTM(3)(one), layers.GRU(3)(other)]
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    first, second = np.array([[1, 0, 0], [1, 1, 1]], bool), np.array([[1, 1, 1], [0, 1, 0]], bool)
    want = Model([one, other], y)([Ragged.from_padded(x, first), Ragged.from_padded(x, second)])
    assert_same(Model([one, other], y)([x, x], mask=[first, second]), want)
    by_name = Model({"one": one, "other": other}, y)
    assert_same(by_name({"one": x, "other": x}, mask={"one": first, "other": second}), want)
    alone = Model([one, other], y)([x, x], mask=[first, None])
    assert_same(alone[0], want[0])
    assert_same(alone[1], by_name({"one": x, "other": x})[1])


def test_a_mask_for_attention_of_rows_within_rows_is_named() -> None:
    x, mask = Input((None, 4)), Input((None, None), dtype="bool")
    with pytest.raises(MaskError, match=r"attention_mask: expected an entry for each pair.*\n.*rows within rows"):
        layers.MultiHeadAttention(2, 4)(x, x, attention_mask=mask)


# ---- what is no graph


class TakesTwo(padless.Layer):
    def call(self, x: Any) -> Any:
        return x[0] - x[1]


def test_a_list_of_symbols_for_a_layer_that_takes_one() -> None:
    x, h = Input((None, 3), name="x"), Input((4,), name="h")
    with pytest.raises(ArgumentError, match=r"layer 'gru' [^$]*a list of 2[^$]*initial_state=\[h, c\]"):
        layers.GRU(4, name="gru")([x, h])
    with pytest.raises(ArgumentError, match=r"layer 'dense' [^$]*a dict of 1"):
        layers.Dense(4, name="dense")({"x": h})
    with pytest.raises(ArgumentError, match=r"\(TakesTwo\)[^$]*merges = True in a class of your own"):
        TakesTwo()([h, h])


def test_an_input_of_a_size_below_zero() -> None:
    with pytest.raises(ShapeError, match=r"Input\(shape=\(-1, 3\)\)[^$]*None for an axis that varies"):
        Input((-1, 3))


def test_states_of_another_width_do_not_speak_of_rows_that_nobody_gave() -> None:
    states = [Input((4,)), Input((5,))]
    with pytest.raises(ShapeError, match=r"\(None, 4\), \(None, 4\)[^$]*\(None, 4\), \(None, 5\)"):
        layers.LSTM(4)(Input((None, 3)), initial_state=states)


def test_the_form_of_an_answer_is_that_of_the_input_with_rows() -> None:
    about, steps = Input((2,), name="about"), Input((None, 4), name="steps")
    model = Model({"about": about, "steps": steps}, layers.Concatenate()([steps, layers.Spread()([about, steps])]))
    sequences, vectors = rows(3, 1, 5), np.ones((3, 2), np.float32)
    for form, kind in ((sequences, list), (Ragged.from_list(sequences), Ragged)):
        given = {"about": vectors, "steps": form}
        for answer in (model(given), model.predict(given, verbose=0), model.predict_on_batch(given)):
            assert isinstance(answer, kind)
            assert [len(row) for row in answer] == [3, 1, 5]
        in_a_list = Model([about, steps], model({"about": about, "steps": steps}))
        assert isinstance(in_a_list.predict([vectors, form], verbose=0), kind)


def test_a_model_goes_on_where_another_ends(tmp_path: Path) -> None:
    steps = Input((None, 4))
    base = Model(steps, layers.GRU(3, return_sequences=True)(steps))
    head = layers.Dense(2)
    longer = Model(base.input, head(base.output))
    assert_same(longer(rows(3, 1)), head(base(rows(3, 1))))
    assert longer.layers[0] is base.layers[0]
    assert_same(saved(longer, tmp_path)(rows(3, 1)), longer(rows(3, 1)))
