"""What meets in training: weights of classes and of steps, forms of targets and losses, errors in the middle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import padless
from padless import Sequential, layers, losses
from padless.callbacks import Callback
from padless.errors import ArgumentError, DataError, NotThereYetError, RowError
from padless.utils import pad_sequences
from tests.tolerances import VALUES

pytestmark = pytest.mark.usefixtures("trainer")

IDS = [[1, 2, 3], [4], [5, 6, 7, 1], [2, 3], [8, 1, 2, 3, 4]]
TAGS = [[i % 3 for i in row] for row in IDS]
CLASSES = np.array([0, 1, 2, 0, 1])
TABLE = {0: 2.0, 1: 0.5, 2: 3.0}
STEP_WEIGHTS = [[1.0 + step for step in range(len(row))] for row in IDS]
DOCUMENTS = [[[1, 2], [3]], [[4, 5, 6]], [[7], [8, 1], [2]]]


def alike(model: Any, x: Any = IDS) -> Any:
    """The model with weights that depend on its shapes alone."""
    model.predict(x, verbose=0)
    model.set_weights([np.sin(np.arange(w.size, dtype="float32")).reshape(w.shape) for w in model.get_weights()])
    return model


def tagger(loss: Any = "sparse_categorical_crossentropy", **compiled: Any) -> Sequential:
    model = Sequential([layers.Embedding(9, 4), layers.Dense(3, activation="softmax")])
    model.compile("sgd", loss=loss, **compiled)
    return model


def classifier(loss: Any) -> Sequential:
    model = Sequential([layers.Embedding(9, 4), layers.GlobalAveragePooling1D(), layers.Dense(3, activation="softmax")])
    model.compile("sgd", loss=loss)
    return model


def padded(rows: Any, dtype: str = "float32") -> Any:
    return pad_sequences(rows, padding="post", dtype=dtype)


@pytest.mark.parametrize("y", [TAGS, padded(TAGS, "int64")], ids=["lists", "padded"])
@pytest.mark.parametrize(
    ("weight", "per_step"),
    [
        (STEP_WEIGHTS, STEP_WEIGHTS),
        (padded(STEP_WEIGHTS), STEP_WEIGHTS),
        (np.arange(5.0), [[float(at)] * len(row) for at, row in enumerate(IDS)]),
        (np.arange(5.0)[:, None], [[float(at)] * len(row) for at, row in enumerate(IDS)]),
    ],
    ids=["lists", "padded", "rows", "column"],
)
def test_class_weights_multiply_weights_of_any_form(y: Any, weight: Any, per_step: Any) -> None:
    product = [
        [TABLE[tag] * w for tag, w in zip(tags, row, strict=True)] for tags, row in zip(TAGS, per_step, strict=True)
    ]
    want = alike(tagger()).train_on_batch(IDS, TAGS, sample_weight=product)
    got = alike(tagger()).train_on_batch(IDS, y, sample_weight=weight, class_weight=TABLE)
    np.testing.assert_allclose(got, want, **VALUES)


def test_class_weights_multiply_weights_of_sentences() -> None:
    def model() -> Sequential:
        made = Sequential([layers.Embedding(9, 4), layers.Dense(3, activation="softmax")])
        made.compile("sgd", loss="sparse_categorical_crossentropy")
        return alike(made, DOCUMENTS)  # type: ignore[no-any-return]

    y = [[[i % 3 for i in sentence] for sentence in document] for document in DOCUMENTS]
    of_sentences = [[1.0, 2.0], [3.0], [0.0, 1.0, 2.0]]
    product = [
        [[TABLE[i] * w for i in sentence] for sentence, w in zip(tags, weights, strict=True)]
        for tags, weights in zip(y, of_sentences, strict=True)
    ]
    want = model().train_on_batch(DOCUMENTS, y, sample_weight=product)
    got = model().train_on_batch(DOCUMENTS, y, sample_weight=of_sentences, class_weight=TABLE)
    np.testing.assert_allclose(got, want, **VALUES)


@pytest.mark.parametrize(
    "loss",
    [
        "categorical_crossentropy",
        ["categorical_crossentropy"],
        [losses.CategoricalFocalCrossentropy()],
        "kl_divergence",
        "dice",
    ],
    ids=str,
)
def test_class_weights_of_one_hot_targets_are_those_of_their_classes(loss: Any) -> None:
    by_class = np.array([TABLE[label] for label in CLASSES])
    want = alike(classifier(loss)).train_on_batch(IDS, np.eye(3)[CLASSES], sample_weight=by_class)
    got = alike(classifier(loss)).train_on_batch(IDS, np.eye(3)[CLASSES], class_weight=TABLE)
    np.testing.assert_allclose(got, want, **VALUES)
    one_hot = [np.eye(3)[tags] for tags in TAGS]
    want = alike(tagger(loss)).train_on_batch(IDS, one_hot, sample_weight=[[TABLE[t] for t in tags] for tags in TAGS])
    got = alike(tagger(loss)).train_on_batch(IDS, one_hot, class_weight=TABLE)
    np.testing.assert_allclose(got, want, **VALUES)


def test_class_weights_beside_a_loss_of_whole_rows_raise() -> None:
    model = Sequential([layers.Embedding(9, 4), layers.CRF(3)])
    model.compile("sgd", loss="crf")
    with pytest.raises(ArgumentError, match=r"(?s)class_weight.*'crf'.*sample_weight"):
        model.fit(IDS, TAGS, class_weight=TABLE, verbose=0)


class Rows(Callback):
    """Counts batches and rows."""

    def __init__(self) -> None:
        super().__init__()
        self.trained: list[int] = []
        self.tested: list[int] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.trained.append(self.model.last_batch_steps)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.tested.append(self.model.last_batch_steps)


def test_steps_of_an_epoch_count_for_data_at_hand_too() -> None:
    told = Rows()
    model = tagger()
    model.fit(
        *(IDS, TAGS),
        batch_size=1,
        epochs=3,
        steps_per_epoch=2,
        shuffle=False,
        validation_data=(IDS, TAGS),
        validation_steps=1,
        callbacks=[told],
        verbose=0,
    )
    # Each epoch goes on where the last one ended; validation is on the same rows each time.
    assert told.trained == [3, 1, 4, 2, 5, 3]
    assert told.tested == [3] * 3
    assert len(model.predict(IDS, batch_size=2, steps=2, verbose=0)) == 4
    first = model.evaluate(IDS[:2], TAGS[:2], verbose=0)
    assert model.evaluate(IDS, TAGS, batch_size=2, steps=1, verbose=0) == pytest.approx(first, rel=1e-6)


def test_steps_and_batch_size_of_rows_held_out() -> None:
    told = Rows()
    tagger().fit(
        *(IDS, TAGS),
        batch_size=3,
        steps_per_epoch=1,
        validation_split=0.4,
        validation_batch_size=1,
        shuffle=False,
        callbacks=[told],
        verbose=0,
    )
    assert told.trained == [8]
    assert told.tested == [2, 5]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_a_model_goes_on_after_an_error_in_the_middle(optimizer: str) -> None:
    model = tagger(metrics=["accuracy"])
    model.compile(optimizer, loss="sparse_categorical_crossentropy")
    alike(model)
    wrong = [*TAGS[:4], [0, 1, 2, 7, 0]]
    for run in (
        lambda: model.fit(IDS, wrong, batch_size=2, shuffle=False, verbose=0),
        lambda: model.train_on_batch(IDS, wrong),
        lambda: model.evaluate(IDS, wrong, verbose=0),
    ):
        with pytest.raises(RowError, match="row 4, step 3"):
            run()
    before = model.evaluate(IDS, TAGS, verbose=0)
    model.fit(IDS, TAGS, epochs=3, verbose=0)
    assert model.evaluate(IDS, TAGS, verbose=0) < before


def test_a_generator_is_no_single_batch() -> None:
    model = tagger()
    for call in (model.train_on_batch, model.test_on_batch, model.predict_on_batch):
        with pytest.raises(DataError, match=r"(?s)a single batch.*generator.*next"):
            call((IDS, TAGS) for _ in range(2))


def test_outputs_of_a_dict_keep_their_order() -> None:
    class Both(padless.Model):
        def __init__(self) -> None:
            super().__init__()
            self.ids = layers.Embedding(9, 4)
            self.tags, self.a_number = layers.Dense(3, activation="softmax"), layers.Dense(1)

        def call(self, x: Any) -> Any:
            h = self.ids(x)
            return {"tags": self.tags(h), "a": self.a_number(layers.GlobalMaxPooling1D()(h))}

    model = Both()
    model.compile("sgd", loss={"tags": "sparse_categorical_crossentropy", "a": "mse"})
    model.train_on_batch(IDS, {"tags": TAGS, "a": np.ones(5)})
    assert model.metrics_names == ["loss", "tags_loss", "a_loss"]
    model.train_on_batch(IDS, [TAGS, np.ones(5)])


def _counting(kind: Callable[..., Any]) -> Any:
    class Counting(kind):  # type: ignore[misc]
        def call(self, x: Any, states: Any) -> Any:
            y, new = super().call(x, states)
            self.add_loss(self.xp.sum(y * y))
            return y, new

    return Counting


def test_a_cell_that_adds_to_the_loss_counts_or_says_that_it_cannot(trainer: str) -> None:
    x = [np.ones((len(row), 2), "float32") for row in IDS]
    model = Sequential([layers.RNN(_counting(layers.SimpleRNNCell)(2), return_sequences=True)])
    model.compile("sgd", loss="mse")
    y = [np.zeros((len(row), 2), "float32") for row in IDS]
    if trainer == "jax":
        with pytest.raises(NotThereYetError, match=r"(?s)cell.*add_loss.*one loop.*a layer after it"):
            model.train_on_batch(x, y)
        return
    alike(model, x)
    steps = np.concatenate(model.predict(x, verbose=0))
    loss = model.evaluate(x, y, verbose=0)
    assert loss == pytest.approx((steps**2).mean() + (steps**2).sum(), rel=1e-5)


def _crf_tagger(nested: bool, loss: Any = "crf") -> Sequential:
    crf = layers.CRF(3)
    model = Sequential([layers.Embedding(9, 4), layers.TimeDistributed(crf) if nested else crf])
    model.compile("sgd", loss=loss, metrics=["accuracy"])
    return model


def test_a_loss_of_whole_rows_counts_each_of_the_rows_within_rows() -> None:
    """Sentences of documents: the loss, the tags and the training of the same sentences alone."""
    y = [[[i % 3 for i in sentence] for sentence in document] for document in DOCUMENTS]
    sentences, tags = [s for document in DOCUMENTS for s in document], [t for document in y for t in document]
    alone, within = alike(_crf_tagger(False), sentences), alike(_crf_tagger(True), DOCUMENTS)
    found = [t for document in within.predict(DOCUMENTS, batch_size=2, verbose=0) for t in document]
    for got, want in zip(found, alone.predict(sentences, verbose=0), strict=True):
        np.testing.assert_array_equal(got, want)
    weights = [1.0, 1.0, 2.0, 3.0, 3.0, 3.0]
    for of_documents, of_sentences in ((None, None), ([1.0, 2.0, 3.0], weights), ([[1, 1], [2], [3, 3, 3]], weights)):
        want = alone.evaluate(sentences, tags, sample_weight=of_sentences, verbose=0)
        for size in (1, 2, 3):
            got = within.evaluate(DOCUMENTS, y, batch_size=size, sample_weight=of_documents, verbose=0)
            np.testing.assert_allclose(got, want, **VALUES)
    np.testing.assert_allclose(within.train_on_batch(DOCUMENTS, y), alone.train_on_batch(sentences, tags), **VALUES)
    for one, other in zip(within.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, **VALUES)
    y[2][1][0] = 9
    with pytest.raises(RowError, match="label 9 in row 2, step 1"):
        within.evaluate(DOCUMENTS, y, batch_size=2, verbose=0)


def test_ctc_of_rows_within_rows() -> None:
    labels = [[[1], [2]], [[1, 2]], [[3], [1], [2]]]
    alone = Sequential([layers.Embedding(9, 4), layers.Dense(5)])
    alone.compile("sgd", loss="ctc")
    sentences = [s for document in DOCUMENTS for s in document]
    want = alike(alone, sentences).evaluate(sentences, [one for each in labels for one in each], verbose=0)
    within = Sequential([layers.Embedding(9, 4), layers.Dense(5)])
    within.compile("sgd", loss="ctc")
    assert alike(within, DOCUMENTS).evaluate(DOCUMENTS, labels, batch_size=2, verbose=0) == pytest.approx(
        want, rel=1e-5
    )


def test_a_head_decides_inside_of_a_model_of_several_outputs() -> None:
    x = padless.Input((None,), dtype="int32")
    h = layers.Embedding(9, 4)(x)
    inner = padless.Model(x, [layers.Dense(1)(layers.GlobalMaxPooling1D()(h)), layers.CRF(3)(h)])
    again = padless.Input((None,), dtype="int32")
    number, tags = inner(again)
    model = padless.Model(again, {"tags": tags, "number": number})
    model.compile("sgd", loss={"tags": "crf", "number": "mse"}, metrics={"tags": ["accuracy"]})
    assert (
        0
        <= model.evaluate(IDS, {"tags": TAGS, "number": np.ones(5)}, verbose=0, return_dict=True)["tags_accuracy"]
        <= 1
    )
    want = inner.predict(IDS, verbose=0)[1]
    for one, other in zip(model.predict(IDS, verbose=0)["tags"], want, strict=True):
        assert one.shape == (len(one),)
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("lists", ["labels", "weights"])
def test_class_weights_of_lists_beside_padded_arrays(trainer: str, left: bool, lists: str) -> None:
    """Padded on either side, and longer than the longest row."""
    lengths, total = (3, 1, 4), 7
    rng = np.random.default_rng(0)
    ids, labels = ([rng.integers(low, high, n) for n in lengths] for low, high in ((1, 9), (0, 2)))
    weights = [rng.uniform(0.5, 2, n).astype(np.float32) for n in lengths]

    def padded(rows: list[Any]) -> Any:
        made = np.zeros((len(rows), total), rows[0].dtype)
        for at, row in enumerate(rows):
            made[at, total - len(row) if left else 0 :][: len(row)] = row
        return made

    model = padless.Sequential([layers.Embedding(9, 4, mask_zero=True), layers.Dense(2, activation="softmax")])
    model.compile(padless.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    options: dict[str, Any] = {"class_weight": {0: 1.0, 1: 5.0}, "verbose": 0, "shuffle": False}
    expected = model.fit(ids, labels, sample_weight=weights, **options).history["loss"]
    y, w = (labels, padded(weights)) if lists == "labels" else (padded(labels), weights)
    found = model.fit(padded(ids), y, sample_weight=w, **options).history["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
