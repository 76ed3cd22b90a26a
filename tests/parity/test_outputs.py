"""Several outputs: names, losses, metrics and trained weights of Keras, on unpadded data."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import padless
from padless import layers
from tests.tolerances import TRAINING

pytestmark = [
    pytest.mark.usefixtures("trainer"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Gradients do not exist:UserWarning"),
]

RNG = np.random.default_rng(7)
X = RNG.normal(size=(8, 5, 3)).astype("float32")
TAGS = RNG.integers(0, 4, (8, 5))
SIZE = RNG.normal(size=(8, 2)).astype("float32")
ROWS = RNG.uniform(0.5, 2, 8).astype("float32")


def both(container: Any) -> tuple[Any, Any]:
    """A tag for each step and two numbers for each row, in Keras and here, with the same weights."""
    made = []
    for kind, package in ((keras.layers, keras), (layers, padless)):
        x = package.Input((5, 3))
        h = kind.GRU(4, return_sequences=True)(x)
        tags = kind.Dense(4, activation="softmax", name="tags")(h)
        size = kind.Dense(2, name="size")(kind.GlobalAveragePooling1D()(h))
        made.append(package.Model(x, container(tags, size)))
    made[1].set_weights(made[0].get_weights())
    return made[0], made[1]


def in_list(tags: Any, size: Any) -> Any:
    return [tags, size]


def in_dict(tags: Any, size: Any) -> Any:
    return {"tagging": tags, "whole": size}


SCCE = "sparse_categorical_crossentropy"
CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "lists": (in_list, [TAGS, SIZE], {"loss": [SCCE, "mse"], "metrics": [["accuracy"], ["mae", "mse"]]}),
    "one metric each": (in_list, (TAGS, SIZE), {"loss": [SCCE, "mse"], "metrics": ["accuracy", "mae"]}),
    "names": (
        in_list,
        {"tags": TAGS, "size": SIZE},
        {
            "loss": {"size": "mae", "tags": SCCE},
            "loss_weights": {"tags": 0.25, "size": 3.0},
            "metrics": {"tags": ["accuracy"]},
            "weighted_metrics": {"size": ["mae", "mse"], "tags": ["accuracy"]},
        },
    ),
    "weights in a list": (in_list, [TAGS, SIZE], {"loss": [SCCE, "mse"], "loss_weights": [2.0, 0.5]}),
    "one loss for all": (in_list, [np.eye(4, dtype="float32")[TAGS], SIZE], {"loss": "mse"}),
    "a dict": (
        in_dict,
        {"tagging": TAGS, "whole": SIZE},
        {"loss": {"tagging": SCCE, "whole": "mse"}, "metrics": {"whole": ["mae"]}},
    ),
    "only one is trained": (in_dict, {"tagging": TAGS, "whole": SIZE}, {"loss": {"tagging": SCCE}}),
}


@pytest.mark.parametrize("name", CASES)
def test_as_keras(name: str) -> None:
    container, y, arguments = CASES[name]
    theirs, ours = both(container)
    theirs.compile(keras.optimizers.Adam(0.01), **arguments)
    ours.compile(padless.optimizers.Adam(0.01), **arguments)
    fitted = [m.fit(X, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history for m in (theirs, ours)]
    assert set(fitted[0]) == set(fitted[1])
    for key, want in fitted[0].items():
        np.testing.assert_allclose(fitted[1][key], want, err_msg=key, **TRAINING)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, **TRAINING)
    want = theirs.evaluate(X, y, verbose=0, return_dict=True)
    named = ours.evaluate(X, y, verbose=0, return_dict=True)
    assert set(named) == set(fitted[0])
    for key, value in want.items():
        np.testing.assert_allclose(named[key], value, err_msg=key, **TRAINING)
    # Keras sorts the metrics of a list; here they come in the order in which they were given.
    assert list(named) == ours.metrics_names
    if len(named) > 1:
        np.testing.assert_allclose(ours.evaluate(X, y, verbose=0), list(named.values()), **TRAINING)
    predicted = theirs.predict(X, verbose=0)
    pairs = predicted if isinstance(predicted, dict) else dict(enumerate(predicted))
    mine = ours.predict(X, verbose=0)
    for key, value in pairs.items():
        np.testing.assert_allclose(mine[key], value, **TRAINING)


def test_weights_of_rows_as_keras() -> None:
    """Keras's division: by the number of samples. It wants one weight array for each output."""
    theirs, ours = both(in_list)
    reduction = "sum_over_batch_size"
    for model, package in ((theirs, keras), (ours, padless)):
        loss = [package.losses.SparseCategoricalCrossentropy(), package.losses.MeanSquaredError(reduction=reduction)]
        model.compile("sgd", loss=loss, weighted_metrics=[[], ["mae"]])
    weight = [np.ones((8, 5), "float32"), ROWS]
    want = theirs.train_on_batch(X, [TAGS, SIZE], sample_weight=weight, return_dict=True)
    got = ours.train_on_batch(X, [TAGS, SIZE], sample_weight=weight, return_dict=True)
    assert set(got) == set(want)
    np.testing.assert_allclose([got[k] for k in want], [float(want[k]) for k in want], **TRAINING)
