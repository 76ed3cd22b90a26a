"""Models with several outputs: rows and plain ones mixed, targets and weights in every form, errors that name them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Model, Ragged, layers
from padless.errors import ArgumentError, DataError, PadlessError
from padless.outputs import names_of
from tests.oracle import using
from tests.tolerances import VALUES

IDS = [[3, 1, 4], [1], [5, 9, 2, 6, 5], [7, 7]]
TAGS = [[0, 1, 2], [1], [0, 0, 1, 2, 2], [1, 0]]
TOPIC = np.array([0, 1, 1, 0])
SCCE = "sparse_categorical_crossentropy"

trains = pytest.mark.usefixtures("trainer")


def tagger_and_classifier(as_dict: bool = False) -> Model:
    padless.utils.set_random_seed(3)
    x = Input((None,), dtype="int32")
    h = layers.GRU(4, return_sequences=True)(layers.Embedding(10, 4, mask_zero=True)(x))
    tags = layers.Dense(3, activation="softmax", name="tags")(h)
    topic = layers.Dense(2, activation="softmax", name="topic")(layers.GlobalMaxPooling1D()(h))
    return Model(x, {"tags": tags, "topic": topic} if as_dict else [tags, topic])


class Own(Model):
    """Subclassed: what the outputs are called is known after the first batch."""

    def __init__(self, as_dict: bool) -> None:
        super().__init__()
        self.embed = layers.Embedding(10, 4, mask_zero=True)
        self.tags = layers.Dense(3, activation="softmax")
        self.pool = layers.GlobalMaxPooling1D()
        self.topic = layers.Dense(2, activation="softmax")
        self.as_dict = as_dict

    def call(self, x: Any) -> Any:
        h = self.embed(x)
        tags, topic = self.tags(h), self.topic(self.pool(h))
        return {"tags": tags, "topic": topic} if self.as_dict else (tags, topic)


@trains
def test_the_epoch_does_not_depend_on_the_batching() -> None:
    model = tagger_and_classifier()
    model.compile("sgd", loss=SCCE, loss_weights=[0.5, 2.0], metrics=["accuracy", "accuracy"])
    one, other = (model.evaluate(IDS, [TAGS, TOPIC], batch_size=size, verbose=0, return_dict=True) for size in (4, 1))
    assert list(one) == ["loss", "tags_loss", "topic_loss", "tags_accuracy", "topic_accuracy"]
    for key, value in one.items():
        np.testing.assert_allclose(other[key], value, **VALUES)
    np.testing.assert_allclose(one["loss"], 0.5 * one["tags_loss"] + 2.0 * one["topic_loss"], **VALUES)
    alone = tagger_and_classifier()
    tags, topic = alone.predict(IDS, verbose=0)
    steps = np.concatenate(tags)[np.arange(11), np.concatenate(TAGS)]
    np.testing.assert_allclose(one["tags_loss"], -np.log(steps).mean(), **VALUES)
    np.testing.assert_allclose(one["topic_loss"], -np.log(topic[np.arange(4), TOPIC]).mean(), **VALUES)


@trains
@pytest.mark.parametrize("as_dict", [False, True])
def test_targets_and_weights_in_every_form(as_dict: bool) -> None:
    mask = np.array(IDS, object)
    padded = np.zeros((4, 6), np.int64)
    target = np.full((4, 6), -9)
    for row, (ids, tags) in enumerate(zip(mask, TAGS, strict=True)):
        padded[row, : len(ids)], target[row, : len(ids)] = ids, tags
    forms = [
        (IDS, [TAGS, TOPIC]),
        (IDS, (Ragged.from_list(TAGS), TOPIC)),
        (IDS, {"topic": TOPIC, "tags": TAGS}),
        (padded, {"topic": TOPIC, "tags": target}),
        (Ragged.from_list(IDS), {"topic": TOPIC.tolist(), "tags": TAGS}),
    ]
    by_step = [[float(i) for i in row] for row in TAGS]
    weights = [np.arange(4.0), {"topic": np.arange(4.0)}, [by_step, np.arange(4.0)], {"tags": by_step}]
    compared = [(None, forms), *((weight, [forms[0], forms[3]]) for weight in weights)]
    for weight, some in compared:
        found = []
        for x, y in some:
            model = tagger_and_classifier(as_dict)
            model.compile("sgd", loss={"tags": SCCE, "topic": SCCE}, weighted_metrics={"tags": "accuracy"})
            history = model.fit(x, y, sample_weight=weight, epochs=2, batch_size=3, shuffle=False, verbose=0).history
            found.append([history[name] for name in sorted(history)])
        for other in found[1:]:
            np.testing.assert_allclose(other, found[0], **VALUES)


@trains
@pytest.mark.parametrize("as_dict", [False, True])
def test_subclassed_models(as_dict: bool) -> None:
    model = Own(as_dict)
    names = ["tags", "topic"] if as_dict else ["output_1", "output_2"]
    model.compile("adam", loss=dict.fromkeys(names, SCCE), metrics={names[1]: ["accuracy"]})
    y = dict(zip(names, (TAGS, TOPIC), strict=True))
    history = model.fit(IDS, y, epochs=2, verbose=0, validation_data=(IDS, y)).history
    wanted = {"loss", *(f"{name}_loss" for name in names), f"{names[1]}_accuracy"}
    assert set(history) == wanted | {f"val_{name}" for name in wanted}
    model.compile("adam", loss=[SCCE, SCCE])
    assert set(model.evaluate(IDS, [TAGS, TOPIC], verbose=0, return_dict=True)) == wanted - {f"{names[1]}_accuracy"}


@trains
def test_the_crossentropy_that_the_shapes_tell() -> None:
    found = []
    for loss in ("crossentropy", SCCE):
        model = tagger_and_classifier()
        model.compile("sgd", loss=loss, metrics=["ce", "accuracy"])
        found.append(model.fit(IDS, [TAGS, TOPIC], epochs=2, verbose=0, shuffle=False).history)
    for key, values in found[1].items():
        np.testing.assert_allclose(found[0][key], values, **VALUES)


def test_numpy_evaluates() -> None:
    with using("numpy"):
        model = tagger_and_classifier()
        model.compile("sgd", loss=SCCE, metrics=["accuracy", None])
        assert len(model.evaluate(IDS, [TAGS, TOPIC], verbose=0)) == 4


@trains
def test_an_output_without_a_loss_or_a_target() -> None:
    model = tagger_and_classifier()
    model.compile("sgd", loss=[SCCE, None], metrics={"topic": ["accuracy"]})
    before = [w.copy() for w in model.get_layer("topic").get_weights()]
    history = model.fit(IDS, [TAGS, TOPIC], verbose=0).history
    assert set(history) == {"loss", "topic_accuracy"}
    for now, then in zip(model.get_layer("topic").get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    model.compile("sgd", loss={"tags": SCCE})
    assert set(model.fit(IDS, [TAGS], verbose=0).history) == {"loss"}
    assert set(model.fit(IDS, {"tags": TAGS}, verbose=0).history) == {"loss"}


@trains
def test_batches_of_a_generator() -> None:
    model = tagger_and_classifier()
    model.compile("sgd", loss=SCCE)
    batches = [(IDS[:2], [TAGS[:2], TOPIC[:2]]), (IDS[2:], [TAGS[2:], TOPIC[2:]], [None, np.ones(2)])]
    assert set(model.fit(iter(batches), verbose=0).history) == {"loss", "tags_loss", "topic_loss"}
    assert len(model.train_on_batch(IDS, [TAGS, TOPIC])) == 3


@trains
def test_rows_that_are_held_out_and_compiling_ahead() -> None:
    model = tagger_and_classifier()
    model.compile("sgd", loss=SCCE)
    model.warmup(IDS, [TAGS, TOPIC], batch_size=2)
    y = {"tags": TAGS, "topic": TOPIC}
    history = model.fit(IDS, y, sample_weight={"topic": np.ones(4)}, validation_split=0.5, verbose=0).history
    assert {"loss", "val_tags_loss", "val_topic_loss"} <= set(history)


@trains
def test_files(tmp_path: Path) -> None:
    model = tagger_and_classifier()
    model.compile(
        "adam",
        loss={"tags": padless.losses.SparseCategoricalCrossentropy(), "topic": SCCE},
        loss_weights={"tags": 0.5, "topic": 1.0},
        metrics={"topic": ["accuracy", padless.metrics.SparseTopKCategoricalAccuracy(1)]},
    )
    model.fit(IDS, [TAGS, TOPIC], verbose=0)
    model.save(tmp_path / "m.safetensors")
    again = padless.load_model(tmp_path / "m.safetensors")
    want = model.evaluate(IDS, [TAGS, TOPIC], verbose=0, return_dict=True)
    assert again.evaluate(IDS, [TAGS, TOPIC], verbose=0, return_dict=True) == pytest.approx(want)


def test_names() -> None:
    assert tagger_and_classifier().output_names == ["tags", "topic"]
    x = Input((3,))
    dense = layers.Dense(2, name="twice")
    assert Model(x, [dense(x), dense(x)]).output_names == ["twice", "twice_1"]
    assert Model(x, {"a": dense(x)}).output_names == ["a"]
    with pytest.raises(ArgumentError, match="a flat list or dict"):
        names_of([(1, 2), 3])


def test_what_does_not_fit_the_outputs() -> None:
    model = tagger_and_classifier()
    outputs = r"one for each of the outputs \['tags', 'topic'\]"
    for arguments in (
        {"loss": {"tag": SCCE}},
        {"loss": [SCCE]},
        {"loss": SCCE, "loss_weights": 2.0},
        {"loss": SCCE, "loss_weights": [1.0, 2.0, 3.0]},
        {"loss": SCCE, "metrics": ["accuracy"]},
        {"loss": SCCE, "weighted_metrics": {"words": "accuracy"}},
    ):
        with pytest.raises(ArgumentError, match=rf"compile\({list(arguments)[-1]}=\.\.\.\): expected {outputs}"):
            model.compile("sgd", **arguments)
    with pytest.raises(ArgumentError, match="did you mean 'accuracy'"):
        model.compile("sgd", loss=SCCE, metrics={"tags": ["acuracy"]})


@trains
def test_errors_name_the_output() -> None:
    model = tagger_and_classifier()
    model.compile("sgd", loss=SCCE)
    wrong: list[tuple[Any, type[PadlessError], str]] = [
        ([TAGS, np.array([0, 1, 5, 0])], DataError, r"output 'topic', .*label 5|output 'topic'(.|\n)*label 5 in row 2"),
        ([[[0, 1, 2], [1], [0], [1, 0]], TOPIC], DataError, r"output 'tags', loss(.|\n)*row 2 has 5 steps"),
        ([TAGS], DataError, r"y, for a model with several outputs: expected one for each of \['tags', 'topic'\]"),
        ({"tags": TAGS}, DataError, r"Got: those of \['tags'\]"),
        ({"tags": TAGS, "topics": TOPIC}, DataError, r"Got: those of \['tags', 'topics'\]"),
        ([TAGS, TOPIC[:3]], DataError, r"3 in y\['topic'\]"),
        (TOPIC, DataError, "Got: a ndarray"),
    ]
    for y, kind, text in wrong:
        with pytest.raises(kind, match=text):
            model.fit(IDS, y, verbose=0)
    with pytest.raises(DataError, match="sample_weight, for a model with several outputs"):
        model.fit(IDS, [TAGS, TOPIC], sample_weight={"tag": np.ones(4)}, verbose=0)
    with pytest.raises(ArgumentError, match="class_weight: expected a model with one output"):
        model.fit(IDS, [TAGS, TOPIC], class_weight={0: 2.0}, verbose=0)
    with pytest.raises(ArgumentError, match="expected targets"):
        model.fit(IDS, verbose=0)
