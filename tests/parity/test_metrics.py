"""Metrics: Keras's numbers over several batches, weighted and not; states that add up whatever the batching."""

from __future__ import annotations

import numpy as np
import pytest

from padless import backends, losses, metrics
from padless.errors import ArgumentError, DataError, ShapeError
from padless.ragged import Ragged
from tests.tolerances import VALUES

torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")

N, C = 60, 6


def draw(kind: str):
    random = np.random.default_rng(3)
    scores = random.normal(size=(N, C)).astype("float32")
    probabilities = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    labels = random.integers(0, C, N)
    one_hot = np.eye(C, dtype="float32")[labels]
    binary = random.integers(0, 2, (N, 1)).astype("float32")
    likely = np.clip(0.6 * random.uniform(size=(N, 1)) + 0.4 * binary, 0, 1).astype("float32")
    many = random.integers(0, 2, (N, C)).astype("float32")
    return {
        "ids": (labels[:, None], random.integers(0, C, (N, 1))),
        "real": (random.normal(size=(N, C)).astype("float32"), scores),
        "positive": (
            random.uniform(0.1, 3, (N, C)).astype("float32"),
            random.uniform(0.1, 3, (N, C)).astype("float32"),
        ),
        "distribution": (random.dirichlet(np.ones(C), N).astype("float32"), probabilities),
        "one-hot": (one_hot, probabilities),
        "labels": (labels, probabilities),
        "labels logits": (labels, 5 * scores),
        "sorted ids": (labels[:, None], np.argsort(-scores, axis=-1).astype("float32")),
        "binary": (binary, likely),
        "binary logits": (binary, (4 * likely - 2).astype("float32")),
        "many": (many, random.uniform(size=(N, C)).astype("float32")),
    }[kind]


CASES = [
    ("Accuracy", {}, "ids"),
    ("BinaryAccuracy", {}, "binary"),
    ("BinaryAccuracy", {"threshold": 0.7}, "many"),
    ("CategoricalAccuracy", {}, "one-hot"),
    ("SparseCategoricalAccuracy", {}, "labels"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one-hot"),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, "labels"),
    ("SparseTopKCategoricalAccuracy", {"k": 3, "from_sorted_ids": True}, "sorted ids"),
    ("MeanSquaredError", {}, "real"),
    ("RootMeanSquaredError", {}, "real"),
    ("MeanAbsoluteError", {}, "real"),
    ("MeanAbsolutePercentageError", {}, "real"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("LogCoshError", {}, "real"),
    ("CosineSimilarity", {}, "real"),
    ("Poisson", {}, "positive"),
    ("KLDivergence", {}, "distribution"),
    ("Hinge", {}, "many"),
    ("SquaredHinge", {}, "many"),
    ("CategoricalHinge", {}, "one-hot"),
    ("BinaryCrossentropy", {}, "binary"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "binary logits"),
    ("CategoricalCrossentropy", {}, "one-hot"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "one-hot"),
    ("SparseCategoricalCrossentropy", {}, "labels"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "labels logits"),
    *(
        (name, arguments, "binary")
        for name in ("Precision", "Recall", "TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives")
        for arguments in ({}, {"thresholds": 0.7}, {"thresholds": [0.2, 0.55, 0.9]}, {"thresholds": [0.25, 0.5, 0.75]})
    ),
    *(
        (name, arguments, "many")
        for name in ("Precision", "Recall")
        for arguments in ({}, {"top_k": 2}, {"class_id": 1}, {"class_id": 1, "top_k": 3}, {"thresholds": [0.3, 0.6]})
    ),
    *(
        ("AUC", {"curve": curve, "summation_method": summation}, "binary")
        for curve in ("ROC", "PR", "PRGAIN")
        for summation in ("interpolation", "majoring", "minoring")
    ),
    ("AUC", {"num_thresholds": 7}, "binary"),
    ("AUC", {"thresholds": [0.1, 0.45, 0.8]}, "binary"),
    ("AUC", {"thresholds": [0.25, 0.5, 0.75], "curve": "PR"}, "binary"),
    ("AUC", {"from_logits": True}, "binary logits"),
    ("AUC", {}, "many"),
    ("AUC", {"multi_label": True}, "many"),
    ("AUC", {"multi_label": True, "num_labels": C, "curve": "PR"}, "many"),
    ("AUC", {"multi_label": True, "label_weights": [1.0, 2.0, 0.0, 1.0, 0.5, 3.0]}, "many"),
    ("AUC", {"label_weights": [1.0, 2.0, 0.0, 1.0, 0.5, 3.0]}, "many"),
    *(
        (name, {given: value, **more}, kind)
        for name, given in (
            ("SensitivityAtSpecificity", "specificity"),
            ("SpecificityAtSensitivity", "sensitivity"),
            ("PrecisionAtRecall", "recall"),
            ("RecallAtPrecision", "precision"),
        )
        for value, more, kind in (
            (0.6, {}, "binary"),
            (0.7, {"num_thresholds": 5, "class_id": 2}, "many"),
            (0.3, {"num_thresholds": 1}, "many"),
        )
    ),
    *(("FBetaScore", {"average": kind, "beta": 2.0}, "one-hot") for kind in (None, "micro", "macro", "weighted")),
    ("FBetaScore", {"threshold": 0.6, "average": "weighted"}, "many"),
    ("F1Score", {}, "one-hot"),
    ("F1Score", {"average": "macro", "threshold": 0.3}, "many"),
    *(
        ("R2Score", {"class_aggregation": kind}, "real")
        for kind in (None, "uniform_average", "variance_weighted_average")
    ),
    ("PearsonCorrelation", {}, "real"),
    ("ConcordanceCorrelation", {}, "real"),
    # Told no dtype, Keras cuts weights to whole numbers.
    ("IoU", {"num_classes": C, "target_class_ids": [0, 2], "dtype": "float32"}, "ids"),
    ("MeanIoU", {"num_classes": C, "dtype": "float32", "ignore_class": 1}, "ids"),
    ("MeanIoU", {"num_classes": C, "dtype": "float32", "sparse_y_pred": False}, "labels"),
    ("MeanIoU", {"num_classes": C - 2, "dtype": "float32"}, "ids"),
    ("BinaryIoU", {"dtype": "float32"}, "binary"),
    ("BinaryIoU", {"dtype": "float32", "target_class_ids": [1], "threshold": 0.3}, "binary"),
    ("OneHotIoU", {"num_classes": C, "target_class_ids": [1, 4], "dtype": "float32"}, "one-hot"),
    ("OneHotMeanIoU", {"num_classes": C, "dtype": "float32", "ignore_class": 0}, "one-hot"),
]
case = pytest.mark.parametrize(("name", "arguments", "kind"), CASES)
CUTS = [20, 25]


def weights_for(weighted):
    return np.linspace(0.0, 2.0, N).astype("float32") if weighted else None


def batches(cuts, *arrays):
    for index in np.split(np.arange(N), cuts):
        yield tuple(None if a is None else a[index] for a in arrays)


@case
@pytest.mark.parametrize("weighted", [False, True])
def test_as_keras(name, arguments, kind, weighted, backend):
    made = backends.get(backend)
    mine, other = getattr(metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
    for y_true, y_pred, weight in batches(CUTS, *draw(kind), weights_for(weighted)):
        own_weight = None if weight is None else made.asarray(weight)
        mine.update_state(made.asarray(y_true), made.asarray(y_pred), own_weight)
        their_weight = None if weight is None else torch.tensor(weight)
        other.update_state(torch.tensor(y_true), torch.tensor(y_pred), sample_weight=their_weight)
    np.testing.assert_allclose(mine.result(), other.result().numpy(), **VALUES)
    assert isinstance(mine.result(), float) == (other.result().ndim == 0)


@case
@pytest.mark.parametrize("weighted", [False, True])
def test_batching_does_not_matter(name, arguments, kind, weighted):
    whole, parts = getattr(metrics, name)(**arguments), getattr(metrics, name)(**arguments)
    whole.update_state(*draw(kind), weights_for(weighted))
    for batch in batches([1, 1, 2, 30], *draw(kind), weights_for(weighted)):
        parts.update_state(*batch)
    np.testing.assert_allclose(parts.result(), whole.result(), rtol=1e-6)
    two = [getattr(metrics, name)(**arguments) for _ in range(2)]
    for metric, batch in zip(two, batches([17], *draw(kind), weights_for(weighted)), strict=True):
        metric.update_state(*batch)
    two[0].merge(two[1].state)
    np.testing.assert_allclose(two[0].result(), whole.result(), rtol=1e-6)


@case
def test_only_live_steps_count(name, arguments, kind):
    """Rows padded left, right and with NaN give the number of the packed steps."""
    y_true, y_pred = draw(kind)
    packed = getattr(metrics, name)(**arguments)
    packed.update_state(y_true, y_pred)
    mask = np.zeros((10, 14), bool)
    mask[:4, :8], mask[4:, 10:] = True, True
    mask[4:7, :2] = True
    mask[9, 3] = mask[8, 3] = True
    mask = mask & (np.cumsum(mask).reshape(mask.shape) <= N)
    assert mask.sum() == N
    padded = np.full((10, 14, *y_pred.shape[1:]), np.nan, "float32")
    padded[mask] = y_pred
    targets = np.full((10, 14, *y_true.shape[1:]), -7, y_true.dtype)
    targets[mask] = y_true
    rows = getattr(metrics, name)(**arguments)
    rows.update_state(targets, Ragged.from_padded(padded, mask))
    np.testing.assert_allclose(rows.result(), packed.result(), rtol=1e-6)


@case
def test_no_steps_and_reset(name, arguments, kind):
    metric = getattr(metrics, name)(**arguments)
    assert np.isfinite(metric.result()).all()
    y_true, y_pred = draw(kind)
    metric.update_state(y_true[:0], y_pred[:0])
    assert np.isfinite(metric.result()).all()
    metric.update_state(y_true, y_pred)
    full = metric.result()
    metric.update_state(y_true, y_pred, np.zeros(N))
    np.testing.assert_allclose(metric.result(), full)
    metric.reset_state()
    np.testing.assert_allclose(metric(y_true, y_pred), full)


@case
def test_configs_of_keras_are_read(name, arguments, kind):
    mine, other = getattr(metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
    assert type(mine).from_config(mine.get_config()).get_config() == mine.get_config()
    if "label_weights" in arguments:
        return  # Keras's own config of these cannot be written
    read = metrics.get(keras.metrics.serialize(other))
    y_true, y_pred = draw(kind)
    if name != "CategoricalCrossentropy" or not arguments:
        np.testing.assert_allclose(read(y_true, y_pred), mine(y_true, y_pred))


@case
def test_state_is_pure_and_on_the_backend(name, arguments, kind):
    y_true, y_pred = (torch.tensor(a) for a in draw(kind))
    metric = getattr(metrics, name)(**arguments)
    state = metric.batch_state(y_true, y_pred, None)
    assert not metric.state
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    metric.merge(state)
    assert all(value.dtype == np.float64 for value in metric.state.values())


# ---- means and sums


@pytest.mark.parametrize("name", ["Mean", "Sum"])
@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 0.5]])
def test_mean_and_sum_as_keras(name, weight):
    mine, other = getattr(metrics, name)(), getattr(keras.metrics, name)()
    for values in ([1.0, 2.0, 4.0], [3.0, -1.0, 0.0]):
        mine.update_state(values, sample_weight=weight)
        other.update_state(torch.tensor(values), sample_weight=None if weight is None else torch.tensor(weight))
    assert mine.result() == pytest.approx(float(other.result()))


@pytest.mark.parametrize("name", ["Mean", "Sum"])
def test_values_with_more_axes_as_keras(name):
    values = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    weight = np.array([1.0, 2.0, 0.5], "float32")
    for w in (None, weight, np.outer(weight, [1, 2, 3, 4]).astype("float32")):
        mine, other = getattr(metrics, name)(), getattr(keras.metrics, name)()
        wanted = other(torch.tensor(values), sample_weight=None if w is None else torch.tensor(w))
        assert mine(values, sample_weight=w) == pytest.approx(float(wanted), rel=1e-5)


def test_mean_of_numbers_and_rows():
    mean = metrics.Mean()
    mean.update_state(2.0)
    mean.update_state(5.0, sample_weight=3.0)
    assert mean.result() == pytest.approx(17 / 4)
    mean.reset_state()
    mean.update_state(Ragged.from_list([[1.0, 2.0], [], [6.0]]), sample_weight=[1.0, 5.0, 2.0])
    assert mean.result() == pytest.approx(15 / 4)


def test_small_steps_are_not_lost():
    """In float32, adding 1 to 2**24 does nothing."""
    mean = metrics.Mean()
    mean.merge({"total": np.float32(2**24), "count": np.float32(2**24)})
    for _ in range(4):
        mean.update_state([0.0])
    assert mean.of("count") == 2**24 + 4


# ---- functions and losses as metrics


def test_functions():
    metric = metrics.get(lambda y_true, y_pred: (y_true - y_pred) ** 2)
    assert metric([[0.0], [0.0]], [[1.0], [2.0]]) == 2.5
    assert metrics.get(keras_like_mean)([[0.0], [0.0]], [[1.0], [2.0]]) == 1.5
    assert metrics.get(keras_like_mean).name == "keras_like_mean"


def keras_like_mean(y_true, y_pred):
    return abs(y_true - y_pred).mean()


def test_a_function_that_gives_one_number_counts_by_its_samples():
    metric = metrics.MeanMetricWrapper(keras_like_mean)
    metric.update_state(np.zeros((1, 1)), np.full((1, 1), 4.0))
    metric.update_state(np.zeros((3, 1)), np.zeros((3, 1)))
    assert metric.result() == 1.0
    with pytest.raises(ShapeError, match="one number for each sample, to be weighted"):
        metric.update_state(np.zeros((3, 1)), np.zeros((3, 1)), np.ones(3))


def test_losses():
    metric = metrics.get(losses.Huber(delta=2.0))
    assert (metric.name, metric([[0.0]], [[1.0]])) == ("huber_loss", 0.5)
    assert metrics.get(losses.MeanSquaredError)([[0.0]], [[2.0]]) == 4.0


def test_ignored_class_does_not_count():
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=0)
    assert metric([1, 0], [[0.5, 0.5], [0.9, 0.1]]) == pytest.approx(np.log(2))


# ---- names


@pytest.mark.parametrize(
    ("y_true", "y_pred"), [((8, 1), (8, 1)), ((8,), (8, 1)), ((8,), (8, 5)), ((8, 1), (8, 5)), ((8, 5), (8, 5)),
                           ((8, 3), (8, 3, 5)), ((8, 3, 5), (8, 3, 5))], ids=str
)  # fmt: skip
@pytest.mark.parametrize("name", ["accuracy", "acc"])
def test_accuracy_is_told_by_the_shapes_as_keras_does(name, y_true, y_pred):
    from keras.src.trainers.compile_utils import get_metric

    theirs = get_metric(name, np.zeros(y_true), np.zeros(y_pred))
    mine = metrics.get(name, y_true_shape=y_true, y_pred_shape=y_pred)
    assert (type(mine).__name__, mine.name) == (type(theirs).__name__, theirs.name)
    assert isinstance(mine, metrics.resolve_accuracy(y_true, y_pred))
    crossentropy = metrics.get("ce", y_true_shape=y_true, y_pred_shape=y_pred)
    assert type(crossentropy).__name__.startswith(type(mine).__name__.removesuffix("Accuracy"))
    assert isinstance(crossentropy, metrics.resolve_crossentropy(y_true, y_pred))


def test_accuracy_is_told_by_the_loss_where_there_are_no_shapes():
    assert isinstance(metrics.get("acc", loss=losses.BinaryCrossentropy()), metrics.BinaryAccuracy)
    assert isinstance(metrics.get("accuracy"), metrics.Accuracy)
    with pytest.raises(ArgumentError, match="shapes of targets and predictions, or a loss"):
        metrics.get("acc")


def test_single_numbers_are_binary():
    """(N,) predictions: Keras takes N for the number of classes."""
    assert metrics.resolve_accuracy((8,), (8,)) is metrics.BinaryAccuracy
    assert metrics.BinaryAccuracy()([1, 0, 1], [0.9, 0.2, 0.4]) == pytest.approx(2 / 3)


def test_names():
    assert metrics.get("mse").name == "mse"
    assert metrics.get("AUC").name == "AUC"
    assert metrics.get({"class_name": "Precision", "config": {"top_k": 2}}).top_k == 2
    metrics.check_name("acc")
    metrics.check_name("true_positives")
    with pytest.raises(ArgumentError, match="did you mean 'precision'"):
        metrics.check_name("presicion")
    assert metrics.get("fbeta_score").name == "fbeta_score"


def test_every_name_of_keras_is_found():
    from keras.src.metrics import ALL_OBJECTS_DICT

    for name in set(ALL_OBJECTS_DICT) - {"Metric", "metric", "MeanMetricWrapper", "mean_metric_wrapper"}:
        kind = metrics._KNOWN[name]
        assert issubclass(kind, metrics.Metric)
    assert {name for name in dir(keras.metrics) if name[0] != "_"} <= set(dir(metrics))


def test_arguments_in_the_order_of_keras():
    import inspect

    for name in dir(keras.metrics):
        theirs, mine = getattr(keras.metrics, name), getattr(metrics, name, None)
        if isinstance(theirs, type) and name != "Metric":
            wanted = list(inspect.signature(theirs.__init__).parameters)
            got = list(inspect.signature(mine.__init__).parameters)
            assert got[: len(wanted)] == wanted or "arguments" in got, name


def test_the_adjusted_score_as_keras():
    """As in Keras, the numbers of all outputs count as samples."""
    y_true, y_pred = draw("real")
    for arguments in ({"num_regressors": 3}, {"num_regressors": 400}, {"num_regressors": 2, "class_aggregation": None}):
        wanted = keras.metrics.R2Score(**arguments)
        if arguments["num_regressors"] == 400:
            with pytest.warns(UserWarning, match="Falling back"):
                wanted = wanted(torch.tensor(y_true), torch.tensor(y_pred))
        else:
            wanted = wanted(torch.tensor(y_true), torch.tensor(y_pred))
        np.testing.assert_allclose(metrics.R2Score(**arguments)(y_true, y_pred), wanted.numpy(), **VALUES)


def test_what_does_not_vary_has_no_correlation():
    assert metrics.PearsonCorrelation()([[1.0, 1.0]], [[0.0, 2.0]]) == 0.0
    assert metrics.R2Score()([[1.0], [1.0]], [[0.0], [2.0]]) == 0.0


# ---- errors


def test_errors():
    with pytest.raises(ArgumentError, match="Precision, thresholds: expected numbers from 0 to 1"):
        metrics.Precision(thresholds=[0.5, 1.5])
    with pytest.raises(ArgumentError, match="AUC, curve: expected a known name"):
        metrics.AUC(curve="RCO")
    with pytest.raises(ArgumentError, match="AUC, num_thresholds: expected at least 2"):
        metrics.AUC(num_thresholds=1)
    with pytest.raises(ArgumentError, match="AUC, num_labels: expected multi_label=True"):
        metrics.AUC(num_labels=3)
    with pytest.raises(ShapeError, match=r"predictions \(N, 3\), since multi_label=True"):
        metrics.AUC(multi_label=True, num_labels=3).update_state(np.ones((2, 4)), np.ones((2, 4)))
    with pytest.raises(ShapeError, match="class_id: expected predictions"):
        metrics.Recall(class_id=4).update_state(np.ones((2, 4)), np.ones((2, 4)))
    with pytest.raises(ShapeError, match=r"'categorical_accuracy': expected targets of the shape"):
        metrics.CategoricalAccuracy().update_state(np.ones(2), np.ones((2, 4)))
    with pytest.raises(ShapeError, match=r"Fix: 'categorical_accuracy' for one-hot labels"):
        metrics.SparseCategoricalAccuracy().update_state(np.eye(4), np.eye(4))
    for make, text in (
        (lambda: metrics.PrecisionAtRecall(1.5), "PrecisionAtRecall, recall: expected a number from 0 to 1"),
        (lambda: metrics.RecallAtPrecision(0.5, num_thresholds=0), "num_thresholds: expected a whole number from 1"),
        (lambda: metrics.FBetaScore(average="mean"), "FBetaScore, average: expected one of"),
        (lambda: metrics.F1Score(threshold=1.5), "F1Score, threshold: expected None, or a number above 0"),
        (lambda: metrics.R2Score("sum"), "R2Score, class_aggregation: expected one of"),
        (lambda: metrics.IoU(3, [3]), r"IoU, target_class_ids: expected numbers from 0 to 2"),
    ):
        with pytest.raises(ArgumentError, match=text):
            make()
    with pytest.raises(ShapeError, match=r"'f1_score': expected predictions \(N, C\)"):
        metrics.F1Score().update_state(np.ones(4), np.ones(4))
    with pytest.raises(ShapeError, match=r"one label for each prediction(.|\n)*sparse_y_true=False"):
        metrics.MeanIoU(3).update_state(np.ones((4, 3)), np.ones(4))
    with pytest.raises(DataError):
        metrics.SparseCategoricalAccuracy().update_state([[1], [2]], Ragged.from_list([[[0.1, 0.9]] * 2, [[1.0, 0.0]]]))


def test_config_of_a_loss_as_metric():
    metric = metrics.LossMetric(losses.Huber(delta=2.0), name="mine")
    again = metrics.LossMetric.from_config(metric.get_config())
    assert (again.name, again.loss.get_config()) == ("mine", metric.loss.get_config())
