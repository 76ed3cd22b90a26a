"""Texts as data of a model that begins with a text layer, in every call and file; refused where no layer reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import layers
from padless.errors import DTypeError

TEXTS = ["good film", "a bad film", "good", "bad and long", "", "good good film"] * 4
LABELS = np.array([1, 0, 1, 0, 0, 1] * 4)


def models() -> dict[str, Any]:
    vectorize = layers.TextVectorization()
    vectorize.adapt(TEXTS)
    size = vectorize.vocabulary_size()
    rest = [layers.Embedding(size, 4), layers.GlobalAveragePooling1D(), layers.Dense(2, "softmax")]
    x = padless.Input(shape=(), dtype="string")
    y = vectorize(x)
    for layer in rest:
        y = layer(y)
    return {"sequential": padless.Sequential([vectorize, *rest]), "functional": padless.Model(x, y)}


@pytest.mark.parametrize("kind", ["sequential", "functional"])
def test_texts_go_through_a_model(kind: str, tmp_path: Path, backend: str) -> None:
    if backend == "jax":
        pytest.skip("texts cannot be compiled: test_on_jax_it_is_said_that_nothing_is_compiled")
    padless.utils.set_random_seed(0)
    model = models()[kind]
    model.compile(padless.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    if backend != "numpy":
        history = model.fit(TEXTS, LABELS, epochs=12, verbose=0, validation_data=(TEXTS, LABELS))
        assert history.history["val_accuracy"][-1] > 0.9
        generator = ((TEXTS[:4], LABELS[:4]) for _ in range(2))
        model.fit(generator, steps_per_epoch=2, verbose=0)
        model.train_on_batch(TEXTS, LABELS)
    expected = model.predict(TEXTS, verbose=0)
    assert expected.shape == (24, 2)
    for form in (np.array(TEXTS), np.array(TEXTS, object), [text.encode() for text in TEXTS]):
        np.testing.assert_allclose(model.predict(form, verbose=0, batch_size=5), expected, atol=1e-6)
    host = model.backend.to_host
    np.testing.assert_allclose(host(model(TEXTS)), expected, atol=1e-6)
    alone = np.concatenate([host(model([text])) for text in TEXTS])
    np.testing.assert_allclose(alone, expected, atol=1e-6)
    model.save(tmp_path / "model.safetensors")
    loaded = padless.load_model(tmp_path / "model.safetensors")
    np.testing.assert_allclose(loaded.predict(TEXTS, verbose=0), expected, atol=1e-6)


def test_texts_without_a_layer_that_reads_them_are_refused() -> None:
    model = padless.Sequential([layers.Embedding(5, 2), layers.GlobalAveragePooling1D(), layers.Dense(1)])
    model.compile(loss="mse")
    for call in (
        lambda: model.fit(TEXTS, LABELS, verbose=0),
        lambda: model.predict(TEXTS, verbose=0),
        lambda: model(TEXTS),
        lambda: layers.Dense(1)(TEXTS),
    ):
        with pytest.raises(DTypeError, match=r"expected numbers(.|\n)*TextVectorization"):
            call()


def test_on_jax_it_is_said_that_nothing_is_compiled() -> None:
    pytest.importorskip("jax", reason="needs JAX")
    before = padless.backend()
    padless.set_backend("jax")
    try:
        model = models()["sequential"]
        with pytest.warns(match="turn texts into ids first"):
            first = model.predict(TEXTS[:2], verbose=0)
        np.testing.assert_allclose(first, np.asarray(model(TEXTS[:2])), atol=1e-6)
    finally:
        padless.set_backend(before)
