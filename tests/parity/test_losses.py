"""Losses: Keras's numbers and gradients, weighted and not, and what Keras gets wrong."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from padless import losses
from padless.decoding import ctc_greedy
from padless.errors import ShapeError
from padless.ragged import Ragged
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
    ("BinaryFocalCrossentropy", {}, "binary"),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.4, "label_smoothing": 0.1}, "binary"),
    ("BinaryFocalCrossentropy", {"from_logits": True, "gamma": 3.0}, "binary logits"),
    ("CategoricalFocalCrossentropy", {}, "one-hot"),
    ("CategoricalFocalCrossentropy", {"alpha": [0.1, 0.2, 0.3, 0.4], "label_smoothing": 0.2}, "one-hot unnormalised"),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "gamma": 1.0}, "one-hot logits"),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.7}, "labels"),
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


def test_every_name_of_keras_is_found():
    from keras.src.losses import ALL_OBJECTS_DICT

    for name in set(ALL_OBJECTS_DICT) - {"Loss", "LossFunctionWrapper"}:
        assert isinstance(losses.get(name), losses.Loss)
    assert {name for name in dir(keras.losses) if name[0] != "_"} <= set(dir(losses))


def test_arguments_in_the_order_of_keras():
    for name in dir(keras.losses):
        theirs, ours = getattr(keras.losses, name), getattr(losses, name, None)
        if name in ("get", "deserialize", "serialize") or name[0] == "_":
            continue
        if isinstance(theirs, type):
            theirs, ours = theirs.__init__, ours.__init__
        wanted, got = (list(inspect.signature(function).parameters) for function in (theirs, ours))
        assert [a for a in got if a != "arguments"][: len(wanted)] == [a for a in wanted if a != "kwargs"], name


# ---- losses of a whole batch or row


OVERLAPS = [
    ("Dice", {}),
    ("Tversky", {}),
    ("Tversky", {"alpha": 0.2, "beta": 0.9}),
]


def shares(shape, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 2, shape).astype("float32"), random.uniform(0, 1, shape).astype("float32")


@pytest.mark.parametrize(("name", "arguments"), OVERLAPS)
@pytest.mark.parametrize("axis", [None, -1, 1, (1, 2), [0, 1], (0, 1, 2)], ids=str)
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", None])
def test_overlaps_as_keras(name, arguments, axis, reduction):
    y_true, y_pred = shares((3, 5, 4))
    options = {**arguments, "axis": axis, "reduction": reduction}
    found = []
    for module in (losses, keras.losses):
        predictions = torch.tensor(y_pred, requires_grad=True)
        value = getattr(module, name)(**options)(torch.tensor(y_true), predictions)
        value.sum().backward()
        found.append((value.detach().numpy(), predictions.grad.numpy()))
    assert found[0][0].shape == found[1][0].shape
    np.testing.assert_allclose(found[0][0], found[1][0], **VALUES)
    np.testing.assert_allclose(found[0][1], found[1][1], **GRADIENTS)


@pytest.mark.parametrize(("name", "arguments"), OVERLAPS)
@pytest.mark.parametrize("axis", [None, (1, 2), 1, -1, (0, 1)], ids=str)
def test_overlaps_leave_padding_out(name, arguments, axis):
    """On rows: Keras's number of each row alone, or of all steps as one row."""
    rows = [shares((n, 4), n) for n in (3, 0, 5, 1)]
    y_true, y_pred = (Ragged.from_list([row[k] for row in rows]) for k in (0, 1))
    ours = getattr(losses, name)(**arguments, axis=axis)(y_true, y_pred)
    theirs = getattr(keras.losses, name)(**arguments, axis=axis)
    full = [row for row in rows if len(row[0])]
    if axis is None or axis == (0, 1):
        full = [(y_true.values, y_pred.values)]
    wanted = [theirs(torch.tensor(a[None]), torch.tensor(b[None])).numpy() for a, b in full]
    if axis == -1:
        wanted = [np.average(wanted, weights=[len(row[0]) for row in full])]
    np.testing.assert_allclose(ours, np.mean(wanted), **VALUES)
    mask = y_true.rows.mask
    padded = np.full((4, 5, 4), np.nan, "float32")
    padded[mask] = y_pred.values
    again = getattr(losses, name)(**arguments, axis=axis)(y_true, Ragged.from_padded(padded, mask))
    np.testing.assert_allclose(again, ours, **VALUES)


def test_weights_of_overlaps():
    y_true, y_pred = shares((6, 4))
    halves = np.array([1, 1, 1, 0, 0, 0], "float32")
    weighed = losses.Dice()(y_true, y_pred, halves)
    np.testing.assert_allclose(weighed, losses.Dice()(y_true[:3], y_pred[:3]), **VALUES)
    rows = [Ragged.from_list([one[:2], one[2:]]) for one in (y_true, y_pred)]
    one = losses.Dice(axis=(1, 2))(*rows, [0.0, 3.0])
    np.testing.assert_allclose(one, losses.Dice(axis=(1, 2))(y_true[None, 2:], y_pred[None, 2:]), **VALUES)
    with pytest.raises(ShapeError, match="rows and steps together or steps alone"):
        losses.Dice(axis=0)(*rows)
    with pytest.raises(ShapeError, match="axis=3"):
        losses.Dice(axis=3)(y_true, y_pred)


@pytest.mark.parametrize(
    "arguments", [{}, {"gamma": 5.0, "margin": 0.2}, {"gamma": 2.0, "remove_diagonal": False}], ids=str
)
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("weighted", [False, True])
def test_circle_as_keras(arguments, reduction, weighted):
    random = np.random.default_rng(0)
    y_pred = random.normal(size=(8, 5)).astype("float32")
    y_pred /= np.linalg.norm(y_pred, axis=1, keepdims=True)
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    weights = {"sample_weight": torch.linspace(0.5, 2.0, 8)} if weighted else {}
    ours = with_gradient(losses.Circle(reduction=reduction, **arguments), labels, y_pred, **weights)
    theirs = with_gradient(keras.losses.Circle(reduction=reduction, **arguments), labels, y_pred, **weights)
    np.testing.assert_allclose(ours[0], theirs[0], **VALUES)
    np.testing.assert_allclose(ours[1], theirs[1], **GRADIENTS)
    rows = Ragged.from_list([y_pred[:3], y_pred[:0], y_pred[3:]])
    by_rows = losses.Circle(reduction=reduction, **arguments)([labels[:3], [], labels[3:]], rows)
    if not weighted:
        np.testing.assert_allclose(by_rows, theirs[0], **VALUES)


def test_circle_with_others_as_keras():
    random = np.random.default_rng(1)
    y_pred, others = (random.normal(size=(n, 3)).astype("float32") for n in (4, 6))
    arguments = (np.arange(4) % 2, y_pred, np.arange(6) % 3, others)
    wanted = keras.losses.circle(*map(torch.tensor, arguments), remove_diagonal=False, gamma=2, margin=0.3)
    np.testing.assert_allclose(losses.circle(*arguments, remove_diagonal=False, gamma=2, margin=0.3), wanted, **VALUES)


def test_a_sample_without_another_of_its_label_does_not_count():
    y_pred = np.eye(3, dtype="float32")
    assert float(losses.Circle()([0, 1, 2], y_pred)) == 0.0
    with pytest.raises(ShapeError, match="'circle': expected embeddings"):
        losses.Circle()([0, 1, 1], y_pred[:, :, None])


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", None])
def test_ctc_as_keras(reduction):
    random = np.random.default_rng(3)
    y_pred = random.normal(size=(3, 7, 5)).astype("float32")
    labels = np.array([[1, 2, 2, 4], [3, 0, 0, 0], [4, 4, 1, 0]])
    found = []
    for loss in (losses.CTC(reduction=reduction), keras.losses.CTC(reduction=reduction)):
        predictions = torch.tensor(y_pred, requires_grad=True)
        value = loss(torch.tensor(labels), predictions)
        value.sum().backward()
        found.append((value.detach().numpy(), predictions.grad.numpy()))
    np.testing.assert_allclose(found[0][0], found[1][0], **VALUES)
    np.testing.assert_allclose(found[0][1], found[1][1], **GRADIENTS)


def test_greedy_decoding_as_keras():
    scores = np.random.default_rng(4).normal(size=(3, 9, 4)).astype("float32")
    for merge in (True, False):
        theirs, negative = keras.ops.ctc_decode(
            torch.tensor(scores), torch.full((3,), 9), "greedy", merge_repeated=merge, mask_index=0
        )
        ours = ctc_greedy(scores, merge_repeated=merge)
        assert ours.ids == [[i for i in row if i >= 0] for row in theirs[0].tolist()]
        np.testing.assert_allclose(ours.scores, -negative[:, 0].numpy(), **VALUES)
