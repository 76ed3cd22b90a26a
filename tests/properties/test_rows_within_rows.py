"""P1 for rows within rows: the answer for a document is that of each of its sentences through the inner layers alone,
then of the outer layers alone, whatever stands beside it and however it is padded at both levels."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from padless import Layer, Ragged, RowPartition, Sequential, backends, layers, random
from padless.backends.base import Program
from padless.layer import calling, live_entries, substituted
from tests.compiled import compiled
from tests.conftest import BACKENDS
from tests.oracle import using
from tests.strategies import examples, seeds
from tests.tolerances import GRADIENTS, VALUES

Host = npt.NDArray[Any]
Answers = list[Host]
"""For each document its entry, or its sentences."""
Documents = list[list[int]]
"""The number of words of each sentence of each document."""


@dataclass(frozen=True)
class Kind:
    """A model of documents.

    Attributes:
        inner: layers that read sentences.
        outer: layers that read what these make of each sentence.
        features: of a word; ids where there are none.
        whole: whether the inner layers are one model, or each is distributed by itself.
        direct: places of inner layers that see one word at a time, and are not distributed at all.
    """

    inner: Callable[[str], list[Layer]]
    outer: Callable[[str], list[Layer]]
    features: tuple[int, ...] = ()
    whole: bool = True
    direct: tuple[int, ...] = ()

    def model(self, dtype: str) -> tuple[Sequential, list[Layer], list[Layer]]:
        """The model, its inner layers and its outer layers."""
        inner, outer = self.inner(dtype), self.outer(dtype)
        if self.whole:
            distributed: list[Layer] = [layers.TimeDistributed(Sequential(inner))]
        else:
            distributed = [
                layer if at in self.direct else layers.TimeDistributed(layer) for at, layer in enumerate(inner)
            ]
        return Sequential([*distributed, *outer]), inner, outer


def _masked(d: str) -> list[Layer]:
    return [
        layers.Embedding(10, 3, mask_zero=True, dtype=d),
        layers.GRU(4, return_sequences=True, dtype=d),
        layers.Conv1D(3, 2, padding="same", dtype=d),
        layers.BatchNormalization(momentum=0.5, dtype=d),
        layers.GlobalMaxPooling1D(dtype=d),
    ]


def _encoder(d: str) -> list[Layer]:
    return [
        layers.Embedding(10, 3, mask_zero=True, dtype=d),
        layers.Bidirectional(layers.LSTM(2, dtype=d), dtype=d),
        layers.Dropout(0.5, dtype=d),
    ]


def _vectors(d: str) -> list[Layer]:
    return [
        layers.Masking(0.0, dtype=d),
        layers.Dense(3, activation="tanh", dtype=d),
        layers.GlobalAveragePooling1D(dtype=d),
    ]


def _gru(d: str) -> list[Layer]:
    return [layers.GRU(2, dtype=d), layers.Dense(2, dtype=d)]


def _tagger(d: str) -> list[Layer]:
    return [layers.BatchNormalization(momentum=0.5, dtype=d), layers.LSTM(2, return_sequences=True, dtype=d)]


KINDS = {
    "encoder": Kind(_encoder, _gru),
    "tags of sentences": Kind(_masked, _tagger),
    "layer by layer": Kind(_masked, _gru, whole=False, direct=(3,)),
    "vectors": Kind(_vectors, _gru, features=(4,)),
}
kinds = pytest.mark.parametrize("kind", KINDS)
TRAINING = [name for name in BACKENDS if backends.get(name).trains]


@pytest.fixture(params=[name for name in BACKENDS if name != "jax"])
def plain(request: pytest.FixtureRequest) -> Iterator[str]:
    """What is called directly: JAX would compile every operation for every shape."""
    with using(request.param):
        yield request.param


# ---- models and data


@functools.cache
def built(kind: str, backend: str, dtype: str = "float32") -> tuple[Sequential, list[Layer], list[Layer]]:
    with using(backend):
        model, inner, outer = KINDS[kind].model(dtype)
        model.backend.abstractly(lambda: model(moved(numbers(kind, [[2, 1], [3]], 0), model)))
        model.load_state_dict({path: _weights(path, array.shape) for path, array in model.state_dict().items()})
    return model, inner, outer


def _weights(path: str, shape: tuple[int, ...]) -> Host:
    drawn = np.random.default_rng(zlib.crc32(path.encode())).normal(size=shape).astype(np.float32) * np.float32(0.375)
    return np.abs(drawn) + np.float32(0.5) if path.endswith("variance") else drawn


def numbers(kind: str, documents: Documents, seed: int) -> Ragged:
    """Words of documents, on the host; those of a sentence depend on the seed and its place alone."""
    features = KINDS[kind].features
    words: list[Host] = [np.zeros((0, *features), np.float32 if features else np.int64)]
    for at, document in enumerate(documents):
        for place, count in enumerate(document):
            drawn = np.random.default_rng((seed, at, place))
            made = drawn.uniform(0.1, 1, (count, *features)).astype(np.float32) if features else None
            words.append(drawn.integers(1, 10, count) if made is None else made)
    inner = RowPartition.from_lengths(np.array([n for document in documents for n in document], np.int64))
    outer = RowPartition.from_lengths(np.array([len(document) for document in documents], np.int64))
    return Ragged(Ragged(np.concatenate(words), inner), outer)


def moved(x: Ragged, model: Layer) -> Ragged:
    return x.with_flat_values(model.backend.asarray(x.flat_values))


def documents(*, empty_batch: bool = True) -> st.SearchStrategy[Documents]:
    """Documents with none to four sentences of none to four words, and one long sentence."""
    plain = st.lists(st.lists(st.integers(0, 4), max_size=4), min_size=0 if empty_batch else 1, max_size=4)
    return st.one_of(plain, plain.map(lambda drawn: [*drawn, [1, 20, 0, 2]]))


# ---- answers


@functools.cache
def _forward(layer: Layer) -> Program:
    def function(arrays: dict[str, Any], numbers: Any, batch: Any, live: Any) -> Any:
        with substituted(layer, arrays), calling(live=live):
            return {}, {}, layer._run(batch)

    return compiled(function, layer)


def answers(model: Layer, x: Ragged) -> Answers:
    """What the model says, compiled where the backend compiles."""
    if model.backend.name == "jax":
        program = _forward(model)
        result = program({}, x, (8, 128) if len(x) <= 8 and len(x.flat_values) < 128 else None)[2]
        assert program.compilations
    else:
        result = model(moved(x, model))
    return list(result.numpy() if isinstance(result, Ragged) else model.backend.to_host(result))


def through(layer_list: list[Layer], x: Any) -> Any:
    """A dense batch of one row through layers, one after the other."""
    with calling():
        for layer in layer_list:
            x = layer._run(x)
    return next(iter(x)) if isinstance(x, Ragged) else x[0]


def alone(kind: str, x: Ragged) -> Answers:
    """The truth: NumPy, float64, each sentence alone through the inner layers, each document through the outer ones."""
    _, inner, outer = built(kind, "numpy", "float64")
    widths = through(inner, np.ones((1, 1, *x.flat_values.shape[1:]), x.dtype)).shape
    found = []
    for document in x:
        sentences = [through(inner, np.asarray(words)[None]) for words in document]
        found.append(through(outer, np.stack([*sentences, np.zeros(widths)])[None, : len(sentences)]))
    return found


def assert_same(got: Answers, expected: Answers, **tolerance: float) -> None:
    assert len(got) == len(expected)
    for at, (one, other) in enumerate(zip(got, expected, strict=True)):
        assert one.shape == other.shape, f"document {at}"
        np.testing.assert_allclose(one, other, err_msg=f"document {at}", **tolerance)


@kinds
@examples(0.3)
@example(drawn=[], seed=0)
@example(drawn=[[]], seed=0)
@example(drawn=[[0]], seed=0)
@example(drawn=[[], [2, 0, 3], [0], [1], [4, 60]], seed=0)
@given(drawn=documents(), seed=seeds())
def test_as_each_sentence_and_each_document_alone(backend: str, kind: str, drawn: Documents, seed: int) -> None:
    x = numbers(kind, drawn, seed)
    assert_same(answers(built(kind, backend)[0], x), alone(kind, x), **VALUES)


@kinds
@examples(0.1)
@given(drawn=documents(), seed=seeds(), cut=st.integers(0, 4), order=st.randoms(use_true_random=False))
def test_order_and_splitting_do_not_matter(
    backend: str, kind: str, drawn: Documents, seed: int, cut: int, order: Any
) -> None:
    model, x = built(kind, backend)[0], numbers(kind, drawn, seed)
    expected = answers(model, x)
    permutation = list(range(len(x)))
    order.shuffle(permutation)
    assert_same(answers(model, x[permutation]), [expected[at] for at in permutation], **VALUES)
    assert_same([*answers(model, x[:cut]), *answers(model, x[cut:])], expected, **VALUES)


# ---- padding at both levels


def padded(x: Ragged, sentences: int, words: int, sides: tuple[str, str], poison: float) -> tuple[Host, Host]:
    """(B, S, W, ...) with so many more of both, and the mask; sentences and words at sides of their own."""
    inner = x.values.to_padded(poison, sides[1], x.values.rows.max_row_length + words)
    live = x.values.with_values(np.ones(len(x.flat_values), bool)).to_padded(0, sides[1], inner.shape[1])
    length = x.rows.max_row_length + sentences
    array, mask = (x.with_values(part).to_padded(fill, sides[0], length) for part, fill in ((inner, poison), (live, 0)))
    return array, mask


@kinds
@examples(0.2)
@example(drawn=[[2, 3, 1], [], [1]], seed=0, more=(7, 5), sides=("pre", "post"))
@example(drawn=[[2, 0, 1], [3]], seed=0, more=(0, 0), sides=("post", "pre"))
@given(
    drawn=documents(empty_batch=False),
    seed=seeds(),
    more=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    sides=st.tuples(st.sampled_from(["pre", "post"]), st.sampled_from(["pre", "post"])),
)
def test_poisoned_padding(
    backend: str, kind: str, drawn: Documents, seed: int, more: tuple[int, int], sides: tuple[str, str]
) -> None:
    model = built(kind, backend)[0]
    x = numbers(kind, drawn, seed)
    array, mask = padded(x, *more, sides, np.nan if KINDS[kind].features else 10**6)
    if not mask.size:
        return
    entered = Ragged.from_padded(array, mask)
    np.testing.assert_array_equal(entered.mask, mask)
    # An array cannot say of a sentence without words, at either end, that it is one.
    expected = alone(kind, numbers_of(entered))
    got = answers(model, entered)
    assert_same(got, expected, **VALUES)
    assert_same(answers(model, numbers_of(entered)), got, rtol=0, atol=0)


def numbers_of(x: Ragged) -> Ragged:
    """The same steps without any memory of an array."""
    inner = RowPartition.from_lengths(x.values.rows.row_lengths)
    return Ragged(Ragged(x.flat_values, inner), RowPartition.from_lengths(x.rows.row_lengths))


@pytest.mark.parametrize("kind", ["encoder", "layer by layer", "vectors"])
@examples(0.3)
@example(drawn=[[2, 0, 1], [], [3], [0]], seed=0, more=(3, 2))
@given(drawn=documents(), seed=seeds(), more=st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_padding_that_a_layer_inside_finds(
    plain: str, kind: str, drawn: Documents, seed: int, more: tuple[int, int]
) -> None:
    model, x = built(kind, plain)[0], numbers(kind, drawn, seed)
    array, mask = padded(x, *more, ("post", "post"), 0)
    entered = Ragged.from_padded(array, mask) if mask.size else x
    expected = alone(kind, numbers_of(entered))
    assert_same(list(model.backend.to_host(model(model.backend.asarray(array)))), expected, **VALUES)
    if len(x):
        assert_same(list(model.predict(array)), expected, **VALUES)
        assert_same(list(model.predict(x)), alone(kind, x), **VALUES)
        if any(drawn):
            assert_same(list(model.predict(x.to_list())), alone(kind, x), **VALUES)


# ---- gradients


def weighed(layer: Layer, y: Any, table: Any, live: Any) -> Any:
    """The sum of coefficient times answer; coefficients are (B, 8, ...), of each document or each sentence."""
    xp = layer.xp
    if isinstance(y, Ragged):
        values, ids, ranks = y.values, *(layer.backend.index(y.rows, name) for name in ("value_rowids", "ranks"))
        factor = xp.take(xp.reshape(table, (-1, *table.shape[2:])), ids * 8 + xp.minimum(ranks, ranks * 0 + 7), axis=0)
    else:
        values, factor = y, table[:, 0]
    product = values * factor
    if live is not None:
        marks = xp.reshape(live_entries(y, live), (-1, *(1 for _ in values.shape[1:])))
        product = xp.where(marks, product, xp.zeros_like(product))
    return xp.sum(product)


@functools.cache
def _gradients(layer: Layer) -> Any:
    def function(arrays: dict[str, Any], numbers: Any, batch: Any, live: Any) -> Any:
        x, table = batch
        trained = {path: arrays[path] for path, (owner, name) in layer.weight_slots().items() if owner.trains(name)}
        inputs = {} if layer.backend.dtype_name(x.flat_values).startswith("int") else {"@": x.flat_values}

        def loss(given: dict[str, Any]) -> tuple[Any, None]:
            fed = x.with_flat_values(given.get("@", x.flat_values))
            with substituted(layer, {path: given[path] for path in trained}), calling(live=live):
                nothing = sum(layer.xp.sum(array[:0]) for array in given.values())
                return weighed(layer, layer._run(fed), table, live) + nothing, None

        _, found = layer.backend.value_and_grad(loss, {**trained, **inputs})
        by_input = x.with_flat_values(found.pop("@")) if inputs else None
        return found, {}, by_input

    if layer.backend.name == "jax":
        return compiled(function, layer)
    arrays = {path: owner.__dict__[name] for path, (owner, name) in layer.weight_slots().items()}
    return lambda _, batch, room: function(arrays, {}, batch, None)


def gradients(layer: Layer, x: Ragged, table: Host) -> dict[str, Host]:
    dtype = "float64" if x.flat_values.dtype == np.float32 and layer.get_weights()[0].dtype == np.float64 else None
    factors = table.astype(layer.get_weights()[0].dtype)
    fed = x.with_flat_values(x.flat_values.astype(dtype or x.flat_values.dtype))
    if layer.backend.name != "jax":
        fed, factors = moved(fed, layer), layer.backend.asarray(factors)
    found, _, by_input = _gradients(layer)({}, (fed, factors), None)
    made = {path: np.asarray(layer.backend.to_host(array)) for path, array in found.items()}
    if by_input is not None:
        made["@"] = np.asarray(by_input.numpy().flat_values)
    return made


@pytest.mark.parametrize("trained", TRAINING)
@kinds
@examples(0.1)
@example(drawn=[[], [2, 0, 3], [0], [1, 4]], seed=0)
@given(drawn=documents(empty_batch=False), seed=seeds())
def test_gradients_are_the_sum_of_those_of_each_document_alone(
    trained: str, kind: str, drawn: Documents, seed: int
) -> None:
    x = numbers(kind, drawn, seed)
    width = built(kind, "numpy", "float64")[0].layers[-1]
    table = np.random.default_rng(seed).uniform(-1, 1, (len(x), 8, getattr(width, "units", 2)))
    reference = built(kind, "torch" if "torch" in TRAINING else trained, "float64")[0]
    parts = [gradients(reference, x[[at]], table[[at]]) for at in range(len(x))]
    found = gradients(built(kind, trained)[0], x, table)
    assert found.keys() == parts[0].keys()
    for key, value in found.items():
        each = [part[key] for part in parts]
        truth = np.concatenate(each) if key == "@" else np.sum(each, axis=0)
        np.testing.assert_allclose(value, truth, err_msg=key, **GRADIENTS)


# ---- while training


@examples(0.2)
@given(drawn=documents(empty_batch=False), seed=seeds())
def test_statistics_are_those_of_live_words_and_sentences(plain: str, drawn: Documents, seed: int) -> None:
    model = built("tags of sentences", plain)[0]
    x = numbers("tags of sentences", drawn, seed)
    array, mask = padded(x, 3, 2, ("pre", "post"), 10**6)
    found = []
    for fed in (numbers_of(Ragged.from_padded(array, mask)), Ragged.from_padded(array, mask)):
        with random.drawing(seed=1, step=2), substituted(model, {}) as assigned:
            model(moved(fed, model), training=True)
        found.append({path: model.backend.to_host(array) for path, array in assigned.items()})
    assert found[0].keys() == found[1].keys()
    for path, array in found[0].items():
        assert np.isfinite(array).all()
        np.testing.assert_array_equal(array, found[1][path])
