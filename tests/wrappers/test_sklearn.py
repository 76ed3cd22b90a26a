"""Estimators of scikit-learn: its own checks on tables, and on real sequences what it does with lists and Ragged."""

from __future__ import annotations

import csv
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Model, Ragged, Sequential, layers
from padless.demo import load_articles
from padless.errors import ArgumentError, DataError, ShapeError
from padless.utils import pad_sequences

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from padless.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

DATA = Path(__file__).parents[1] / "data"
FIRST = {"random_state": 0, "fit_kwargs": {"epochs": 2, "batch_size": 16}}


@pytest.fixture(autouse=True)
def torch_backend() -> Any:
    before = padless.backend()
    padless.set_backend("torch")
    yield
    padless.set_backend(before)


@cache
def articles() -> tuple[list[str], list[str]]:
    """96 articles, as many of each class as chance gives."""
    texts, classes, names = load_articles()
    chosen = np.random.default_rng(0).permutation(len(texts))[:96]
    return [texts[at][:600] for at in chosen], [names[classes[at]] for at in chosen]


@cache
def words() -> list[list[int]]:
    tokenizer = padless.text.Tokenizer(num_words=300)
    tokenizer.fit_on_texts(articles()[0])
    return tokenizer.texts_to_sequences(articles()[0])


@cache
def peptides() -> tuple[list[str], list[int]]:
    with (DATA / "peptides.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row and not row[0].startswith("#")][1:]
    return [row[0] for row in rows], [int(row[1]) for row in rows]


def classify(X: Any, y: Any, units: int = 8) -> Any:
    model = Sequential(
        [
            layers.Embedding(300, units, mask_zero=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(y.shape[1], activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy")
    return model


def sparse(X: Any, y: Any, units: int = 8) -> Any:
    model = classify(X, y, units)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


# ---- scikit-learn's own checks, on tables


def dense(X: Any, y: Any, loss: str, activation: str | None = None) -> Any:
    x = Input((X.shape[1],))
    outputs = y.shape[1] if y.ndim > 1 else 1
    model = Model(x, layers.Dense(outputs, activation=activation)(layers.Dense(10, activation="relu")(x)))
    model.compile("rmsprop", loss)
    return model


RAW = "as in Keras, decision_function gives what the model gives: a column for each class, also of two"
EXPECTED = {
    "SKLearnClassifier": {
        "check_classifiers_one_label_sample_weights": "one class alone cannot be learned, as in Keras",
        "check_classifiers_classes": RAW,
        "check_classifiers_train": RAW,
        "check_decision_proba_consistency": RAW,
    },
    "SKLearnRegressor": {"check_regressor_multioutput": "predictions are float32, as models compute them"},
    "SKLearnTransformer": {},
}
KNOWN = {"loss": "mse"}
TABLES = [
    SKLearnClassifier(
        dense,
        model_kwargs={"loss": "categorical_crossentropy", "activation": "softmax"},
        fit_kwargs={"epochs": 5},
        random_state=0,
    ),
    SKLearnRegressor(dense, model_kwargs=KNOWN, random_state=0),
    SKLearnTransformer(dense, model_kwargs=KNOWN, random_state=0),
]


@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks provoke them
@parametrize_with_checks(TABLES, expected_failed_checks=lambda estimator: EXPECTED[type(estimator).__name__])
def test_what_scikit_learn_asks_of_estimators(estimator: Any, check: Any) -> None:
    check(estimator)


# ---- sequences


@pytest.mark.parametrize("make", [classify, sparse])
@pytest.mark.parametrize("form", ["lists", "arrays", "Ragged", "padded", "Arrow"])
def test_cross_validation_is_what_one_gets_by_hand(make: Any, form: str) -> None:
    x, y = words(), np.array(articles()[1])
    splits = list(StratifiedKFold(3).split(np.zeros(len(y)), y))
    expected = []
    for train, test in splits:
        padless.utils.set_random_seed(0)
        codes = np.unique(y, return_inverse=True)[1]
        target = codes if make is sparse else np.eye(5, dtype=np.float32)[codes]
        model = make(None, np.eye(5, dtype=np.float32)[codes])
        model.predict([x[train[0]]], verbose=0)
        model.fit([x[at] for at in train], target[train], epochs=2, batch_size=16, verbose=0)
        found = model.predict([x[at] for at in test], verbose=0).argmax(-1)
        expected.append(np.mean(found == codes[test]))
    given: Any = x
    if form == "arrays":
        given = [np.array(row) for row in x]
    elif form == "Ragged":
        given = Ragged.from_list(x)
    elif form == "padded":
        given = pad_sequences(x)
    elif form == "Arrow":
        given = pytest.importorskip("pyarrow").array(x)
    scores = cross_val_score(SKLearnClassifier(make, **FIRST), given, y, cv=3)
    np.testing.assert_allclose(scores, expected, atol=1e-12)


def test_a_model_is_made_anew_for_each_fit() -> None:
    x, y = words(), articles()[1]
    model = sparse(x, np.zeros((1, 5)))
    estimator = SKLearnClassifier(model, **FIRST)
    by_instance, by_function = (
        one.fit(x, y).predict_proba(x) for one in (estimator, SKLearnClassifier(sparse, **FIRST))
    )
    np.testing.assert_allclose(by_instance, by_function, atol=1e-6)
    assert not model.built
    assert estimator.model_ is not model
    assert estimator.epoch_ == 2
    assert list(estimator.history_.history) == ["loss"]


def test_grid_search_over_arguments_of_model_and_fit() -> None:
    x, y = words(), articles()[1]
    search = GridSearchCV(
        SKLearnClassifier(sparse, **FIRST), {"model_kwargs__units": [2, 8], "fit_kwargs__epochs": [1, 2]}, cv=2
    )
    search.fit(x, y)
    assert set(search.best_params_) == {"model_kwargs__units", "fit_kwargs__epochs"}
    assert search.best_estimator_.fit_kwargs["batch_size"] == 16
    units = search.best_params_["model_kwargs__units"]
    assert search.best_estimator_.model_.layers[0].output_dim == units
    assert FIRST["fit_kwargs"] == {"epochs": 2, "batch_size": 16}


def test_processes_of_joblib() -> None:
    x, y = words(), articles()[1]
    estimator = SKLearnClassifier(sparse(x, np.zeros((1, 5))), **FIRST)
    alone, beside = (cross_val_score(estimator, x, y, cv=2, n_jobs=jobs) for jobs in (1, 2))
    np.testing.assert_array_equal(alone, beside)


@pytest.mark.parametrize("make", ["layer", "tokenizer"])
def test_a_pipeline_from_texts_learns_its_words_from_each_fold(make: str) -> None:
    texts, y = articles()
    learns = layers.TextVectorization(300) if make == "layer" else padless.text.Tokenizer(num_words=300)
    pipeline = make_pipeline(SKLearnTransformer(learns), SKLearnClassifier(sparse, **FIRST))
    scores = cross_val_score(pipeline, texts, y, cv=2)
    assert scores.shape == (2,)
    pipeline.fit(texts[:10], y[:10])
    first = pipeline[0].model_
    known = first.get_vocabulary() if make == "layer" else list(first.word_index)
    assert {"the"} < set(known)
    assert not (learns.get_vocabulary()[2:] if make == "layer" else getattr(learns, "word_index", {}))
    again = pickle.loads(pickle.dumps(pipeline))
    assert again.predict(texts[:10]).tolist() == pipeline.predict(texts[:10]).tolist()


def test_a_trained_model_as_frozen_features() -> None:
    x, y = words(), np.array(articles()[1])
    trained = SKLearnClassifier(sparse, **FIRST).fit(x, y).model_
    features = Sequential(trained.layers[:-1])
    features.compile("adam", "mse")
    features.predict(x[:1], verbose=0)
    pipeline = make_pipeline(FrozenEstimator(SKLearnTransformer(features)), LogisticRegression())
    pipeline.fit(x, y)
    expected = LogisticRegression().fit(features.predict(x, verbose=0), y)
    np.testing.assert_allclose(pipeline.predict_proba(x), expected.predict_proba(features.predict(x, verbose=0)))


def test_copies() -> None:
    x, y = words(), articles()[1]
    estimator = SKLearnClassifier(sparse, **FIRST).fit(x, y)
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(again.predict_proba(x), estimator.predict_proba(x))
    fresh = clone(estimator)
    assert fresh.get_params() == estimator.get_params()
    with pytest.raises(NotFittedError):
        fresh.predict(x)


def test_a_warm_start_goes_on() -> None:
    x, y = words(), articles()[1]
    one, other = (SKLearnClassifier(sparse, warm_start=warm, **FIRST).fit(x, y) for warm in (True, False))
    first = one.model_
    before = one.history_.history["loss"][-1]
    assert one.fit(x, y).model_ is first
    assert one.history_.history["loss"][0] < before
    assert other.fit(x, y).history_.history["loss"][0] > before


def test_random_state_leaves_what_else_is_drawn_alone() -> None:
    x, y = words(), articles()[1]
    drawn = []
    for fits in (0, 1):
        padless.utils.set_random_seed(5)
        for _ in range(fits):
            SKLearnClassifier(sparse, **FIRST).fit(x[:20], y[:20])
        layer = layers.Dense(3)
        layer(np.ones((1, 2), np.float32))
        drawn.append(np.asarray(layer.kernel.detach()))
    np.testing.assert_array_equal(*drawn)


# ---- kinds of labels


def one_output(X: Any, y: Any, logits: bool = False) -> Any:
    model = Sequential(
        [
            layers.Embedding(300, 8),
            layers.GlobalMaxPooling1D(),
            layers.Dense(1, activation=None if logits else "sigmoid"),
        ]
    )
    model.compile("adam", padless.losses.BinaryCrossentropy(from_logits=logits))
    return model


@pytest.mark.parametrize("logits", [False, True])
def test_one_sigmoid_output(logits: bool) -> None:
    strings, labels = peptides()
    x = [[ord(letter) - 64 for letter in string] for string in strings[:60] + strings[-60:]]
    y = np.where(np.array(labels[:60] + labels[-60:]), "antimicrobial", "other")
    estimator = SKLearnClassifier(one_output, model_kwargs={"logits": logits}, **FIRST).fit(x, y)
    shares = estimator.predict_proba(x)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert (shares >= 0).all()
    assert estimator.predict(x).tolist() == estimator.classes_[(shares[:, 1] > 0.5).astype(int)].tolist()
    assert estimator.score(x, y) == np.mean(estimator.predict(x) == y)


def test_any_number_of_labels_for_a_row() -> None:
    x = words()
    y = np.stack([[int(3 in row) for row in x], [int(7 in row) for row in x]], axis=1)

    def several(X: Any, y: Any) -> Any:
        model = Sequential(
            [layers.Embedding(300, 8), layers.GlobalMaxPooling1D(), layers.Dense(y.shape[1], activation="sigmoid")]
        )
        model.compile("adam", "binary_crossentropy")
        return model

    estimator = SKLearnClassifier(several, **FIRST).fit(x, y)
    assert estimator.predict(x).shape == y.shape
    assert 0 <= estimator.score(x, y) <= 1


def tagged() -> tuple[list[list[int]], list[list[str]]]:
    lines = (DATA / "turkish_web.conllu").read_text(encoding="utf-8").splitlines()
    x: list[list[int]] = [[]]
    y: list[list[str]] = [[]]
    for line in lines:
        cells = line.split("\t")
        if len(cells) > 3 and cells[0].isdigit():
            x[-1].append(sum(map(ord, cells[1])) % 300)
            y[-1].append(cells[3])
        elif not line and x[-1]:
            x.append([])
            y.append([])
    return x[:60], y[:60]


@pytest.mark.parametrize("form", [list, Ragged.from_list])
def test_labels_of_steps(form: Any) -> None:
    x, y = tagged()

    def tag(X: Any, y: Any) -> Any:
        model = Sequential([layers.Embedding(300, 8), layers.Dense(y.shape[-1], activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    estimator = SKLearnClassifier(tag, **FIRST).fit(form(x), y)
    found = estimator.predict(form(x))
    assert [len(row) for row in found] == [len(row) for row in y]
    flat = [a == b for row, other in zip(found, y, strict=True) for a, b in zip(row, other, strict=True)]
    assert estimator.score(form(x), y) == pytest.approx(np.mean(flat))
    assert cross_val_score(estimator, form(x), y, cv=KFold(2)).shape == (2,)
    assert [row.shape for row in estimator.predict_proba(form(x))] == [(len(r), len(estimator.classes_)) for r in y]


def test_weights_of_classes_go_by_labels() -> None:
    x, y = words(), np.array(articles()[1])
    counts = dict(zip(*np.unique(y, return_counts=True), strict=True))
    by_hand = {label: len(y) / (5 * n) for label, n in counts.items()}
    made = [
        SKLearnClassifier(sparse, **FIRST).fit(x, y, class_weight=weights).predict_proba(x)
        for weights in ("balanced", by_hand, None)
    ]
    np.testing.assert_allclose(made[0], made[1], atol=1e-6)
    assert not np.allclose(made[0], made[2], atol=1e-6)


def test_held_out_labels_are_read_as_well() -> None:
    x, y = words(), articles()[1]
    for make in (sparse, classify):
        estimator = SKLearnClassifier(make, **FIRST).fit(x[:60], y[:60], validation_data=(x[60:], y[60:]))
        assert set(estimator.history_.history) == {"loss", "val_loss"}


# ---- regression


def estimate(X: Any, y: Any) -> Any:
    model = Sequential([layers.Embedding(300, 8), layers.GlobalMaxPooling1D(), layers.Dense(y.shape[1])])
    model.compile("adam", "mse")
    return model


def test_regression_of_rows() -> None:
    x = words()
    lengths = np.array([len(set(row)) for row in x], np.float32)
    estimator = SKLearnRegressor(estimate, **FIRST)
    assert cross_val_predict(estimator, x, lengths, cv=2).shape == lengths.shape
    two = np.stack([lengths, -lengths], axis=1)
    assert estimator.fit(x, two).predict(x).shape == two.shape
    assert estimator.score(x, two) <= 1


def test_regression_of_steps() -> None:
    x = [np.random.default_rng(at).normal(size=(at + 1, 3)).astype("float32") for at in range(20)]
    y = [row.sum(axis=1) for row in x]

    def each(X: Any, y: Any) -> Any:
        model = Sequential([layers.Dense(1)])
        model.compile(padless.optimizers.SGD(0.1), "mse")
        return model

    estimator = SKLearnRegressor(each, random_state=0, fit_kwargs={"epochs": 60}).fit(x, y)
    assert isinstance(estimator.predict(x), Ragged)
    assert estimator.score(x, y) > 0.9


def test_padding_changes_no_prediction() -> None:
    x, y = words(), articles()[1]
    estimator = SKLearnClassifier(sparse, **FIRST).fit(pad_sequences(x), y)
    longer = pad_sequences(x, maxlen=2 * max(map(len, x)), padding="post")
    np.testing.assert_allclose(estimator.predict_proba(longer), estimator.predict_proba(x), atol=1e-6)


# ---- errors


def test_errors() -> None:
    x, y = words(), articles()[1]
    with pytest.raises(ArgumentError, match=r"a function that returns a model"):
        SKLearnClassifier(lambda X, y: None).fit(x, y)
    with pytest.raises(ArgumentError, match=r"a compiled model with a loss"):
        SKLearnClassifier(Sequential([layers.Dense(1)])).fit(x, y)
    with pytest.raises(DataError, match=r"two classes for one output"):
        SKLearnClassifier(one_output).fit(x, y)
    with pytest.raises(ShapeError, match=r"one label for each step"):
        SKLearnClassifier(sparse).fit([[1, 2], [3]], [["a"], ["b"]])
    with pytest.raises(ValueError, match=r"only one class"):
        SKLearnClassifier(sparse).fit(x, ["tech"] * len(x))
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples"):
        SKLearnClassifier(sparse).fit(x, y[:5])
    estimator = SKLearnClassifier(sparse, **FIRST)
    with pytest.raises(DataError, match=r"labels that were there in fit"):
        estimator.fit(x, y, validation_data=(x[:2], ["tech", "weather"]))
