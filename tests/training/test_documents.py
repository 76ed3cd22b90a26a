"""Training on documents of sentences of words: forms, sizes of batches, targets at each level, compiled steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import padless
from padless import DataError, Input, Model, Ragged, Sequential, layers
from padless.batching import EmptyRowsWarning, Table
from padless.errors import RowError
from tests.conftest import BACKENDS
from tests.tolerances import TRAINING, VALUES

Documents = list[list[list[int]]]


def draw(count: int, seed: int = 0) -> Documents:
    """Documents of one to five sentences of one to seven words; ids from 1 to 19."""
    rng = np.random.default_rng(seed)
    return [[rng.integers(1, 20, rng.integers(1, 8)).tolist() for _ in range(rng.integers(1, 6))] for _ in range(count)]


def encoder(**arguments: Any) -> Sequential:
    return Sequential(
        [
            layers.Embedding(20, 4, mask_zero=True),
            layers.Conv1D(4, 2, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=0.5),
            layers.LSTM(3, **arguments),
        ]
    )


def of_documents() -> Model:
    x = Input((None, None), dtype="int32")
    y = layers.GRU(3)(layers.TimeDistributed(encoder())(x))
    return compiled(Model(x, layers.Dense(2, activation="softmax")(y)))


def of_sentences() -> Model:
    x = Input((None, None), dtype="int32")
    y = layers.GRU(3, return_sequences=True)(layers.TimeDistributed(encoder())(x))
    return compiled(Model(x, layers.Dense(2, activation="softmax")(y)))


def of_words() -> Model:
    x = Input((None, None), dtype="int32")
    y = layers.TimeDistributed(encoder(return_sequences=True))(x)
    return compiled(Model(x, layers.Dense(2, activation="softmax")(y)))


def compiled(model: Model) -> Model:
    shapes = {path: array.shape for path, array in model.state_dict().items()}
    numbers = np.random.default_rng(1)
    model.load_state_dict({path: np.abs(numbers.normal(0.2, 0.3, shape)) for path, shape in shapes.items()})
    model.compile(padless.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(make: Callable[[], Model], x: Any, y: Any, **arguments: Any) -> tuple[list[float], dict[str, Any]]:
    padless.utils.set_random_seed(1)
    model = make()
    history = model.fit(x, y, **{"batch_size": 8, "epochs": 2, "verbose": 0, "shuffle": False, **arguments})
    return history.history["loss"], model.state_dict()


def assert_same(one: Any, other: Any) -> None:
    np.testing.assert_allclose(one[0], other[0], **TRAINING)
    for path, array in one[1].items():
        np.testing.assert_allclose(array, other[1][path], err_msg=path, **TRAINING)


@pytest.fixture(params=[name for name in BACKENDS if name == "torch"])
def torch(request: pytest.FixtureRequest) -> Iterator[str]:
    yield from using(request.param)


@pytest.fixture(params=[name for name in BACKENDS if name != "jax"])
def plain(request: pytest.FixtureRequest) -> Iterator[str]:
    """Backends that compile nothing; what JAX compiles is in one test below."""
    yield from using(request.param)


def using(name: str) -> Iterator[str]:
    before = padless.backend()
    padless.set_backend(name)
    yield name
    padless.set_backend(before)


DOCUMENTS = draw(20)
TOPICS = np.array([sum(map(len, d)) % 2 for d in DOCUMENTS])
BY_SENTENCE = [[len(s) % 2 for s in d] for d in DOCUMENTS]
BY_WORD = [[[w % 2 for w in s] for s in d] for d in DOCUMENTS]


def test_forms_of_documents_train_alike(torch: str) -> None:
    expected = train(of_documents, DOCUMENTS, TOPICS)
    x = Ragged.from_list(DOCUMENTS)
    assert_same(train(of_documents, x, TOPICS), expected)
    assert_same(train(of_documents, x.to_padded(), TOPICS), expected)
    assert_same(train(of_documents, x.to_padded(side="pre", length=(9, 12)), TOPICS), expected)
    batches = [(DOCUMENTS[at : at + 8], TOPICS[at : at + 8]) for at in range(0, 20, 8)]
    assert_same(_from(batches), expected)


def _from(batches: Any) -> Any:
    """A source of batches that are ready, each epoch anew."""

    class Source:
        def __iter__(self) -> Any:
            return iter(batches)

        def __len__(self) -> int:
            return len(batches)

    return train(of_documents, Source(), None, batch_size=None)


def test_targets_of_sentences_and_of_words(torch: str) -> None:
    x = Ragged.from_list(DOCUMENTS)
    expected = train(of_sentences, DOCUMENTS, BY_SENTENCE)
    padded_targets = Ragged.from_list(BY_SENTENCE).to_padded(value=7)
    assert_same(train(of_sentences, x.to_padded(), padded_targets), expected)
    expected = train(of_words, DOCUMENTS, BY_WORD)
    assert_same(train(of_words, x.to_padded(), Ragged.from_list(BY_WORD).to_padded(value=7)), expected)
    assert_same(train(of_words, x, Ragged.from_list(BY_WORD)), expected)


def test_evaluate_and_predict(plain: str) -> None:
    for make, y in ((of_documents, TOPICS), (of_sentences, BY_SENTENCE), (of_words, BY_WORD)):
        model = make()
        expected = model.evaluate(DOCUMENTS, y, batch_size=20, verbose=0)
        np.testing.assert_allclose(model.evaluate(DOCUMENTS, y, batch_size=3, verbose=0), expected, **VALUES)
        np.testing.assert_allclose(model.evaluate(DOCUMENTS, y, max_tokens=60, verbose=0), expected, **VALUES)
        found = model.predict(DOCUMENTS, batch_size=7)
        flat = [np.concatenate(part) if isinstance(part, list) else part for part in found]
        scores = flat if make is of_documents else [row for part in flat for row in part]
        labels = y if make is of_documents else [n for d in y for s in d for n in (s if isinstance(s, list) else [s])]
        right = np.mean([np.argmax(row) == label for row, label in zip(scores, labels, strict=True)])
        assert expected[1] == pytest.approx(right)
        padded = model.predict(Ragged.from_list(DOCUMENTS).to_padded(), batch_size=7)
        assert padded.shape[0] == 20
        assert padded.ndim == {of_documents: 2, of_sentences: 3, of_words: 4}[make]
        one = np.concatenate([np.asarray(a).reshape(-1) for a in flat])
        np.testing.assert_allclose(np.sort(padded[padded != 0]), np.sort(one), **VALUES)


def test_jax_compiles_steps_and_trains_like_torch(torch: str) -> None:
    pytest.importorskip("jax")
    padded = Ragged.from_list(BY_WORD).to_padded()
    for make, x, y in (
        (of_sentences, DOCUMENTS, BY_SENTENCE),
        (of_words, Ragged.from_list(DOCUMENTS).to_padded(), padded),
    ):
        found = []
        for name in (torch, "jax"):
            padless.set_backend(name)
            model = make()
            history = model.fit(x, y, batch_size=20, epochs=2, verbose=0, shuffle=False)
            scores = model.predict(x, batch_size=20)
            flat = scores if isinstance(scores, np.ndarray) else np.concatenate(scores)
            found.append((history.history["loss"], {**model.state_dict(), "scores": flat}))
        program = model._programs["_training_step"][1]
        assert program._compiles  # type: ignore[attr-defined]
        assert program.compilations == 1
        assert_same(*found)


def test_jax_compiles_ahead_what_training_needs() -> None:
    pytest.importorskip("jax")
    for _ in using("jax"):
        model = of_documents()
        model.warmup(DOCUMENTS, TOPICS, max_tokens=160, epochs=1, verbose=0)
        count = model._programs["_training_step"][1].compilations
        model.fit(DOCUMENTS, TOPICS, max_tokens=160, epochs=1, verbose=0)
        assert model._programs["_training_step"][1].compilations == count <= 3


def test_a_function_of_weights(trainer: str) -> None:
    model = of_sentences()
    params, apply = model.as_function()
    batch = apply.batch(DOCUMENTS[:5], BY_SENTENCE[:5])
    got, expected = batch.cut(apply(params, batch)), model.predict(DOCUMENTS[:5])
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, **VALUES)
    assert batch.live_of(batch.y).shape == batch.y.values.shape


# ---- sizes, weights, wrong data


def test_max_tokens_counts_words() -> None:
    x = Ragged.from_list(DOCUMENTS)
    words = np.array([sum(map(len, document)) for document in DOCUMENTS])
    table = Table(x, max_tokens=int(words.max()))
    found = [batch.rows for batch in table.batches(table.planner.plan(seed=0)) if batch.rows is not None]
    assert all(words[rows].sum() <= words.max() for rows in found)
    assert sorted(np.concatenate(found).tolist()) == list(range(20))
    batch = table.batch(np.array([3, 1]))
    assert (batch.nrows, batch.nsteps) == (2, words[[3, 1]].sum())
    with pytest.raises(DataError, match=f"with {words.max()} steps"):
        Table(x, max_tokens=int(words.max()) - 1)
    model = of_documents()
    assert len(model._source(x.to_padded(), None, None, max_tokens=100)) == len(Table(x, max_tokens=100))


def test_documents_without_words_are_told_of(torch: str) -> None:
    model = of_documents()
    with pytest.warns(EmptyRowsWarning, match="2 of 22 rows of x have no steps; the first is row 20"):
        model.fit([*DOCUMENTS, [], [[]]], [*TOPICS, 0, 1], verbose=0)


def test_weights_of_documents_of_sentences_and_of_words(torch: str) -> None:
    by_document = np.where(TOPICS == 1, 2.0, 1.0).astype(np.float32)
    per_sentence = [[float(w)] * len(d) for w, d in zip(by_document, DOCUMENTS, strict=True)]
    per_word = [[[float(w)] * len(s) for s in d] for w, d in zip(by_document, DOCUMENTS, strict=True)]
    for make, y, forms in (
        (of_documents, TOPICS, [by_document]),
        (of_sentences, BY_SENTENCE, [by_document, per_sentence]),
        (of_words, BY_WORD, [by_document, per_sentence, per_word]),
    ):
        found = [train(make, DOCUMENTS, y, sample_weight=form) for form in forms]
        for other in found[1:]:
            assert_same(other, found[0])
    classes = {0: 1.0, 1: 3.0}
    by_class = [[[classes[w] for w in s] for s in d] for d in BY_WORD]
    assert_same(
        train(of_words, DOCUMENTS, BY_WORD, class_weight=classes),
        train(of_words, DOCUMENTS, BY_WORD, sample_weight=by_class),
    )
    twice = [[[2 * classes[w] for w in s] for s in d] for d in BY_WORD]
    assert_same(
        train(of_words, DOCUMENTS, BY_WORD, class_weight=classes, sample_weight=np.full(20, 2.0)),
        train(of_words, DOCUMENTS, BY_WORD, sample_weight=twice),
    )


def test_targets_that_do_not_fit(torch: str) -> None:
    wrong = [list(d) for d in BY_SENTENCE]
    wrong[11] = [*wrong[11], 1]
    with pytest.raises(RowError, match="row 11 has"):
        of_sentences().fit(DOCUMENTS, wrong, verbose=0, batch_size=4)
    words = [[list(s) for s in d] for d in BY_WORD]
    words[9][1] = [*words[9][1], 1]
    with pytest.raises(RowError, match="row 9, step 1 has"):
        of_words().fit(DOCUMENTS, words, verbose=0, batch_size=4)
    with pytest.raises(DataError, match="one entry for each step of RowPartition"):
        of_sentences().fit(DOCUMENTS, BY_WORD, verbose=0)
    with pytest.raises(DataError, match="it has no rows"):
        of_documents().fit(DOCUMENTS, BY_WORD, verbose=0)
    words = [[list(s) for s in d] for d in BY_WORD]
    words[9][1][0] = 5
    with pytest.raises(RowError, match="row 9, step 1, place 0 in it"):
        of_words().fit(DOCUMENTS, words, verbose=0, batch_size=4)


def test_validation_data_and_split(torch: str) -> None:
    model = of_documents()
    history = model.fit(DOCUMENTS, TOPICS, validation_split=0.25, epochs=1, verbose=0, shuffle=False)
    other = of_documents()
    again = other.fit(
        DOCUMENTS[:15], TOPICS[:15], validation_data=(DOCUMENTS[15:], TOPICS[15:]), epochs=1, verbose=0, shuffle=False
    )
    for name, values in history.history.items():
        assert values == pytest.approx(again.history[name])


def test_several_inputs(backend: str) -> None:
    """Words, a vector for each sentence, and one for the document, whatever comes first."""
    rng = np.random.default_rng(0)
    vectors = [rng.normal(size=(len(d), 2)).astype(np.float32) for d in DOCUMENTS]
    facts = rng.normal(size=(20, 3)).astype(np.float32)
    words = Input((None, None), dtype="int32", name="words")
    others = Input((None, 2), like=words, name="vectors")
    fixed = Input((3,), name="facts")
    y = layers.Concatenate()([layers.TimeDistributed(encoder())(words), others])
    y = layers.Concatenate()([layers.GRU(3)(y), fixed])
    y = layers.Dense(2, activation="softmax")(y)
    one = Model([words, others, fixed], y)
    other = Model({"facts": fixed, "vectors": others, "words": words}, y)
    expected = one.predict([DOCUMENTS, vectors, facts])
    assert expected.shape == (20, 2)
    named = {"vectors": vectors, "facts": facts, "words": DOCUMENTS}
    for found in (other.predict(named), other.predict(named, max_tokens=200)):
        np.testing.assert_allclose(found, expected, **VALUES)
    if backend == "jax":
        assert other._programs["_prediction"][1]._compiles
    with pytest.raises(RowError, match="row 3 has"):
        one.predict([DOCUMENTS, [v[:-1] if at == 3 else v for at, v in enumerate(vectors)], facts])


def test_sentences_as_arrays_that_are_padded(backend: str) -> None:
    model = of_documents()
    arrays = [document.to_padded(length=9) for document in Ragged.from_list(DOCUMENTS)]
    assert {array.shape[1] for array in arrays} == {9}
    np.testing.assert_allclose(model.predict(arrays), model.predict(DOCUMENTS), **VALUES)
    sequential = Sequential([layers.TimeDistributed(encoder()), layers.GRU(3)])
    np.testing.assert_allclose(sequential.predict(arrays), sequential.predict(DOCUMENTS), **VALUES)
