"""Losses: Keras's numbers and gradients, weighted and not, and what Keras gets wrong."""

from __future__ import annotations

import numpy as np
import pytest

from padless import losses
from tests.tolerances import GRADIENTS, VALUES

torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")

N, D = 7, 4


def draw(kind: str, shape=(N, D)):
    """Targets and predictions of one kind."""
    random = np.random.default_rng(len(kind))
    numbers = random.normal(size=shape).astype("float32")
    probabilities = np.exp(numbers) / np.exp(numbers).sum(-1, keepdims=True)
    labels = random.integers(0, shape[-1], shape[:-1])
    one_hot = np.eye(shape[-1], dtype="float32")[labels]
    return {
        "real": (random.normal(size=shape).astype("float32"), numbers),
        "positive": (random.uniform(0.1, 3, shape).astype("float32"), random.uniform(0.1, 3, shape).astype("float32")),
        "distribution": (random.dirichlet(np.ones(shape[-1]), shape[:-1]).astype("float32"), probabilities),
        "signs": (random.choice([-1.0, 1.0], shape).astype("float32"), numbers),
        "binary": (random.integers(0, 2, shape).astype("float32"), random.uniform(0, 1, shape).astype("float32")),
        "binary logits": (random.integers(0, 2, shape).astype("float32"), 5 * numbers),
        "one-hot": (one_hot, probabilities),
        "one-hot unnormalised": (one_hot, 3 * probabilities),
        "one-hot logits": (one_hot, 5 * numbers),
        "labels": (labels, probabilities),
        "labels logits": (labels, 5 * numbers),
    }[kind]


CASES = [
    ("MeanSquaredError", {}, "real"),
    ("MeanAbsoluteError", {}, "real"),
    ("MeanAbsolutePercentageError", {}, "real"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("MeanSquaredLogarithmicError", {}, "real"),
    ("Huber", {}, "real"),
    ("Huber", {"delta": 0.3}, "real"),
    ("LogCosh", {}, "real"),
    ("Poisson", {}, "positive"),
    ("KLDivergence", {}, "distribution"),
    ("Hinge", {}, "signs"),
    ("Hinge", {}, "binary"),
    ("SquaredHinge", {}, "signs"),
    ("CategoricalHinge", {}, "one-hot"),
    ("CosineSimilarity", {}, "real"),
    ("BinaryCrossentropy", {}, "binary"),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}, "binary"),
    ("BinaryCrossentropy", {"from_logits": True}, "binary logits"),
    ("CategoricalCrossentropy", {}, "one-hot"),
    ("CategoricalCrossentropy", {}, "one-hot unnormalised"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2}, "one-hot"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one-hot logits"),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "one-hot logits"),
    ("SparseCategoricalCrossentropy", {}, "labels"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "labels logits"),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 1}, "labels logits"),
]
case = pytest.mark.parametrize(("name", "arguments", "kind"), CASES)


def with_gradient(loss, y_true, y_pred, **weights):
    predictions = torch.tensor(y_pred, requires_grad=True)
    value = loss(torch.tensor(y_true), predictions, **weights)
    (value if value.ndim == 0 else (value * torch.arange(1.0, 1 + len(value))).sum()).backward()
    return value.detach().numpy(), predictions.grad.numpy()


@case
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None])
@pytest.mark.parametrize("weighted", [False, True])
def test_as_keras(name, arguments, kind, reduction, weighted):
    y_true, y_pred = draw(kind)
    weights = {"sample_weight": torch.linspace(0.0, 2.0, N)} if weighted else {}
    ours = with_gradient(getattr(losses, name)(reduction=reduction, **arguments), y_true, y_pred, **weights)
    theirs = with_gradient(getattr(keras.losses, name)(reduction=reduction, **arguments), y_true, y_pred, **weights)
    if "ignore_class" in arguments and reduction is None:
        # Without a reduction, Keras multiplies by the mask only when there are weights; the losses are 0 there anyway.
        assert (ours[0][y_true == 1] == 0).all()
    np.testing.assert_allclose(ours[0], theirs[0], **VALUES)
    np.testing.assert_allclose(ours[1], theirs[1], **GRADIENTS)


@case
def test_more_axes(name, arguments, kind):
    """(B, H, W, D) predictions and one weight for each loss."""
    y_true, y_pred = draw(kind, (2, 3, 5, D))
    weight = np.random.default_rng(1).uniform(size=(2, 3, 5)).astype("float32")
    ours = getattr(losses, name)(**arguments)(y_true, y_pred, sample_weight=weight)
    theirs = getattr(keras.losses, name)(reduction="mean_with_sample_weight", **arguments)(
        torch.tensor(y_true), torch.tensor(y_pred), sample_weight=torch.tensor(weight)
    )
    np.testing.assert_allclose(ours, theirs.numpy(), **VALUES)


@case
def test_numpy_and_torch_agree(name, arguments, kind):
    y_true, y_pred = draw(kind)
    loss = getattr(losses, name)(**arguments, reduction="none")
    np.testing.assert_allclose(loss(y_true, y_pred), loss(torch.tensor(y_true), torch.tensor(y_pred)).numpy(), **VALUES)


@case
def test_gradients_by_differences(name, arguments, kind):
    y_true, y_pred = draw(kind)
    loss = getattr(losses, name)(**arguments)
    predictions = torch.tensor(y_pred, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: loss(torch.tensor(y_true), p), (predictions,), eps=1e-7, atol=1e-4)


@case
def test_functions_as_keras(name, arguments, kind):
    y_true, y_pred = draw(kind)
    theirs = getattr(keras.losses, {"Huber": "huber", "LogCosh": "log_cosh"}.get(name, losses.snake_case(name)))
    ours = getattr(losses, theirs.__name__)
    wanted = theirs(torch.tensor(y_true), torch.tensor(y_pred), **arguments).numpy()
    np.testing.assert_allclose(ours(y_true, y_pred, **arguments), wanted, **VALUES)


@case
def test_extremes_are_finite(name, arguments, kind):
    """Certain and wrong, on exact zeros and far out: a finite loss and a finite gradient."""
    y_true, y_pred = draw(kind)
    extreme = np.where(y_pred > np.median(y_pred), 1.0, 0.0).astype("float32")
    extreme[:, 0] = 1.0
    if "logits" in kind:
        extreme = 200.0 * (2 * extreme - 1)
    value, gradient = with_gradient(getattr(losses, name)(**arguments), y_true, extreme)
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("true_shape", "pred_shape"),
    [((N, 1), (N,)), ((N,), (N, 1)), ((N, 1), (N, 1)), ((2, 3, 1), (2, 3))],
    ids=str,
)
@pytest.mark.parametrize("name", ["MeanSquaredError", "BinaryCrossentropy", "Huber"])
def test_last_axis_of_1_as_keras(name, true_shape, pred_shape):
    random = np.random.default_rng(2)
    y_true = random.integers(0, 2, true_shape).astype("float32")
    y_pred = random.uniform(size=pred_shape).astype("float32")
    theirs = getattr(keras.losses, name)()(torch.tensor(y_true), torch.tensor(y_pred)).numpy()
    np.testing.assert_allclose(getattr(losses, name)()(y_true, y_pred), theirs, **VALUES)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}),
        ("CategoricalCrossentropy", {"label_smoothing": 0.1, "axis": 1}),
        ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 3}),
        ("Huber", {"reduction": "sum"}),
        ("MeanSquaredError", {"name": "mine"}),
    ],
)
def test_configs_of_keras_are_read(name, arguments):
    theirs = getattr(keras.losses, name)(**arguments)
    ours = losses.get(keras.losses.serialize(theirs))
    assert type(ours).__name__ == name
    assert theirs.get_config().items() <= ours.get_config().items()
    assert type(ours).from_config(ours.get_config()).get_config() == ours.get_config()


def test_every_name_of_keras_is_found_or_said_to_be_missing():
    from keras.src.losses import ALL_OBJECTS_DICT

    from padless.errors import NotThereYetError

    for name in set(ALL_OBJECTS_DICT) - {"Loss", "LossFunctionWrapper"}:
        try:
            assert isinstance(losses.get(name), losses.Loss)
        except NotThereYetError:
            assert name.lower().replace("_", "") in {
                *("binaryfocalcrossentropy", "categoricalfocalcrossentropy", "ctc", "dice", "tversky", "circle"),
                "categoricalgeneralizedcrossentropy",
            }
