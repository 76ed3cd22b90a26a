"""Training: what padding, batching and forms must not change, and what Keras's users expect of fit."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Ragged, Sequential, layers
from padless.callbacks import Callback, EarlyStopping, LambdaCallback
from padless.optimizers import SGD, Adam
from padless.utils import pad_sequences, set_random_seed
from tests.tolerances import TRAINING, VALUES

RNG = np.random.default_rng(7)
IDS = [RNG.integers(1, 20, size=n).tolist() for n in RNG.integers(1, 12, size=40)]
CLASSES = np.array([sum(row) % 3 for row in IDS])
TAGS = [[i % 3 for i in row] for row in IDS]


pytestmark = pytest.mark.usefixtures("trainer")


def classifier() -> Sequential:
    set_random_seed(3)
    model = Sequential(
        [
            layers.Embedding(20, 6, mask_zero=True),
            layers.Conv1D(6, 3, padding="same", activation="relu"),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.GlobalMaxPooling1D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer=Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def tagger() -> Sequential:
    set_random_seed(3)
    model = Sequential(
        [layers.Embedding(20, 6, mask_zero=True), layers.LSTM(4, return_sequences=True), layers.Dense(3)]
    )
    loss = padless.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=Adam(0.01), loss=loss, metrics=["accuracy"])
    return model


def trained(model: Sequential, x: Any, y: Any, **kwargs: Any) -> dict[str, list[float]]:
    set_random_seed(5)  # weights are drawn when a model is built, so models of one shape start alike
    return model.fit(x, y, **{"epochs": 3, "batch_size": 8, "verbose": 0, **kwargs}).history


def test_it_learns() -> None:
    history = trained(classifier(), IDS, CLASSES, epochs=40)
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert history["accuracy"][-1] > 0.9


@pytest.mark.parametrize("form", ["ragged", "post", "pre", "longer"])
def test_every_form_trains_to_the_same_weights(form: str) -> None:
    x: Any = {
        "ragged": lambda: Ragged.from_list(IDS),
        "post": lambda: pad_sequences(IDS, padding="post"),
        "pre": lambda: pad_sequences(IDS),
        "longer": lambda: pad_sequences(IDS, maxlen=30),
    }[form]()
    one, other = classifier(), classifier()
    want, got = trained(one, IDS, CLASSES), trained(other, x, CLASSES)
    np.testing.assert_allclose(got["loss"], want["loss"], **TRAINING)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, **TRAINING)


@pytest.mark.parametrize("form", ["ragged", "padded", "pre"])
def test_targets_per_step_in_every_form(form: str) -> None:
    x, y = {
        "ragged": (Ragged.from_list(IDS), Ragged.from_list(TAGS)),
        "padded": (pad_sequences(IDS, padding="post"), pad_sequences(TAGS, padding="post")),
        "pre": (pad_sequences(IDS), pad_sequences(TAGS, value=1)),
    }[form]
    np.testing.assert_allclose(trained(tagger(), x, y)["loss"], trained(tagger(), IDS, TAGS)["loss"], **TRAINING)


def test_epoch_numbers_do_not_depend_on_the_batching() -> None:
    model = tagger()
    model.predict(IDS[:2])
    numbers = [model.evaluate(IDS, TAGS, batch_size=n, verbose=0) for n in (1, 3, 40)]
    for other in numbers[1:]:
        np.testing.assert_allclose(other, numbers[0], **VALUES)


def test_the_same_seed_gives_the_same_run_bit_for_bit() -> None:
    def run() -> tuple[dict[str, list[float]], list[Any]]:
        set_random_seed(11)
        model = Sequential(
            [layers.Embedding(20, 6, mask_zero=True), layers.Dropout(0.3), layers.GRU(4), layers.Dense(1)]
        )
        model.compile(optimizer="adam", loss="mse")
        return trained(model, IDS, CLASSES.astype("float32")), model.get_weights()

    (first, weights), (second, again) = run(), run()
    assert first == second
    for a, b in zip(weights, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_sample_weights_of_zero_are_rows_left_out() -> None:
    keep = np.arange(40) % 2 == 0
    one, other = tagger(), tagger()
    weights = keep.astype("float32")
    other.set_weights(one.get_weights() if one.predict(IDS[:1]) and other.predict(IDS[:1]) else [])
    for model in (one, other):
        model.optimizer = SGD(0.1)
    one.train_on_batch(IDS, TAGS, sample_weight=weights)
    kept = [i for i in range(40) if keep[i]]
    other.train_on_batch([IDS[i] for i in kept], [TAGS[i] for i in kept])
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, **TRAINING)


def test_weights_per_step_and_class_weights_agree() -> None:
    table = {0: 1.0, 1: 3.0, 2: 0.5}
    per_step = [[table[tag] for tag in row] for row in TAGS]
    padded = pad_sequences(per_step, padding="post", dtype="float32")
    losses = [
        trained(tagger(), IDS, TAGS, class_weight=table)["loss"],
        trained(tagger(), IDS, TAGS, sample_weight=per_step)["loss"],
        trained(
            tagger(), pad_sequences(IDS, padding="post"), pad_sequences(TAGS, padding="post"), sample_weight=padded
        )["loss"],
        trained(tagger(), pad_sequences(IDS, padding="post"), pad_sequences(TAGS, padding="post"), class_weight=table)[
            "loss"
        ],
    ]
    for other in losses[1:]:
        np.testing.assert_allclose(other, losses[0], **TRAINING)


def test_row_weights_are_never_taken_for_step_weights_when_there_are_as_many_rows_as_steps() -> None:
    x = np.ones((4, 4), np.int64)
    model = tagger()
    weights = np.array([1.0, 0.0, 0.0, 0.0], "float32")
    y = np.array([[0] * 4, [1] * 4, [1] * 4, [1] * 4])
    model.predict(x)
    only_first = model.test_on_batch(x[:1], y[:1])
    model.reset_metrics()
    assert model.test_on_batch(x, y, sample_weight=weights)[0] == pytest.approx(only_first[0], rel=1e-5)


def test_validation_split_data_frequency_and_history() -> None:
    history = trained(classifier(), IDS, CLASSES, validation_split=0.25)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert len(history["val_loss"]) == 3
    again = classifier()
    history = trained(again, IDS, CLASSES, validation_data=(IDS[:10], CLASSES[:10]), validation_freq=2)
    assert len(history["val_loss"]) == 1
    np.testing.assert_allclose(
        history["val_loss"][-1] * 0 + again.evaluate(IDS[:10], CLASSES[:10], verbose=0, return_dict=True)["accuracy"],
        np.mean(again.predict(IDS[:10]).argmax(-1) == CLASSES[:10]),
        **VALUES,
    )


def test_hooks_are_called_as_in_keras() -> None:
    seen: list[str] = []

    class Spy(Callback):
        pass

    for hook in padless.callbacks.HOOKS:
        setattr(Spy, hook, lambda self, *args, _hook=hook: seen.append(_hook))
    trained(classifier(), IDS[:16], CLASSES[:16], epochs=1, callbacks=[Spy()], validation_data=(IDS[:8], CLASSES[:8]))
    batch = ["on_train_batch_begin", "on_train_batch_end"]
    assert seen == [
        "on_train_begin", "on_epoch_begin", *batch, *batch,
        "on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end",
        "on_epoch_end", "on_train_end",
    ]  # fmt: skip


def test_early_stopping_restores_the_best_weights() -> None:
    model = classifier()
    stop = EarlyStopping(monitor="loss", patience=1, min_delta=10.0, restore_best_weights=True)
    history = trained(model, IDS, CLASSES, epochs=9, callbacks=[stop])
    assert len(history["loss"]) == 2


def test_ctrl_c_ends_after_the_batch_and_keeps_history_and_weights(capsys: pytest.CaptureFixture[str]) -> None:
    model = classifier()

    def press(epoch: int, logs: Any) -> None:
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    history = trained(model, IDS, CLASSES, epochs=50, callbacks=[LambdaCallback(on_epoch_begin=press)])
    assert len(history["loss"]) == 2
    assert signal.getsignal(signal.SIGINT) is before
    assert "Ctrl-C" in capsys.readouterr().err
    assert np.isfinite(model.evaluate(IDS, CLASSES, verbose=0)).all()


def test_generators_and_other_sources_of_batches() -> None:
    batches = [(IDS[at : at + 8], CLASSES[at : at + 8]) for at in range(0, 40, 8)]

    class Loader:
        def __len__(self) -> int:
            return len(batches)

        def __iter__(self) -> Any:
            return iter(batches)

    def forever() -> Any:
        while True:
            yield from batches

    want = trained(classifier(), IDS, CLASSES, shuffle=False)["loss"]
    for source, steps in ((Loader(), None), (forever(), 5)):
        got = trained(classifier(), source, None, batch_size=None, steps_per_epoch=steps)["loss"]
        np.testing.assert_allclose(got, want, **TRAINING)


def test_single_batches_and_evaluate_forms() -> None:
    model = classifier()
    loss, accuracy = model.train_on_batch(IDS, CLASSES)
    assert loss > 0
    assert 0 <= accuracy <= 1
    assert set(model.test_on_batch(IDS, CLASSES, return_dict=True)) == {"loss", "accuracy"}
    np.testing.assert_array_equal(model.predict_on_batch(IDS), model.predict(IDS, batch_size=40))
    assert set(model.evaluate(IDS, CLASSES, verbose=0, return_dict=True)) == {"loss", "accuracy"}


def test_a_second_fit_goes_on() -> None:
    model = classifier()
    first = trained(model, IDS, CLASSES)["loss"]
    second = trained(model, IDS, CLASSES)["loss"]
    assert second[-1] < first[0]
    assert model.optimizer is not None
    assert model.optimizer.iterations == 2 * 3 * 5


def test_regularizers_and_constraints_take_part() -> None:
    set_random_seed(1)
    model = Sequential(
        [Input((3,)), layers.Dense(2, kernel_regularizer="l2", kernel_constraint="non_neg", bias_regularizer="l1")]
    )
    model.compile(optimizer=SGD(0.1), loss="mse")
    x = np.ones((4, 3), "float32")
    kernel = model.get_weights()[0]
    plain = np.mean((model.predict(x) - 1) ** 2)
    loss = model.train_on_batch(x, np.ones((4, 2), "float32"))
    assert loss == pytest.approx(plain + 0.01 * (kernel**2).sum(), rel=1e-5)
    assert (model.get_weights()[0] >= 0).all()


def test_verbose_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    trained(classifier(), IDS, CLASSES, epochs=2, verbose="auto")
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Epoch 1/2 - ")
    assert "steps/s - loss: " in lines[0]
    assert "\r" not in lines[0]
    trained(classifier(), IDS, CLASSES, epochs=1, verbose=0)
    assert capsys.readouterr().out == ""


def test_batch_normalization_and_dropout_see_live_steps_only() -> None:
    def model() -> Sequential:
        set_random_seed(5)
        made = Sequential(
            [
                layers.Embedding(20, 6, mask_zero=True),
                layers.BatchNormalization(),
                layers.Dropout(0.2),
                layers.LSTM(3),
                layers.Dense(1),
            ]
        )
        made.compile(optimizer="sgd", loss="mse")
        return made

    one, other = model(), model()
    y = CLASSES.astype("float32")
    want, got = trained(one, IDS, y), trained(other, pad_sequences(IDS, maxlen=25), y)
    np.testing.assert_allclose(got["loss"], want["loss"], **TRAINING)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, **TRAINING)
