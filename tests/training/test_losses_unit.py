"""Losses on rows, sums that add up, errors that say what to write instead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from padless import losses
from padless.errors import ArgumentError, DataError, RowError, ShapeError
from padless.ragged import Ragged
from tests.tolerances import VALUES

LABELS = [[0, 2], [], [1, 1, 0]]
SCORES = np.random.default_rng(0).normal(size=(5, 3))


def ragged(values, lengths=(2, 0, 3)):
    return Ragged.from_list(np.split(np.asarray(values), np.cumsum(lengths)[:-1]))


def test_rows_are_their_steps():
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    packed = loss(np.array([0, 2, 1, 1, 0]), SCORES)
    np.testing.assert_allclose(loss(LABELS, ragged(SCORES)), packed)
    np.testing.assert_allclose(loss(Ragged.from_list(LABELS), ragged(SCORES)), packed)


def test_one_weight_for_each_row():
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    by_step = loss(LABELS, ragged(SCORES), sample_weight=[[2.0, 2.0], [], [0.5, 0.5, 0.5]])
    np.testing.assert_allclose(loss(LABELS, ragged(SCORES), sample_weight=[2.0, 9.0, 0.5]), by_step)


@pytest.mark.parametrize("reduction", ["mean_with_sample_weight", "sum_over_batch_size", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_do_not_depend_on_the_batching(reduction, weighted):
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1, reduction=reduction)
    labels = np.array([0, 2, 1, 1, 0])
    weight = np.array([1.0, 0.5, 2.0, 0.0, 3.0]) if weighted else None
    whole = loss(labels, SCORES, weight)
    for cuts in ([1], [2, 4], [1, 2, 3, 4]):
        parts = [
            loss.sums(labels[i], SCORES[i], None if weight is None else weight[i]) for i in np.split(np.arange(5), cuts)
        ]
        total, count = np.sum(np.array(parts, np.float64), axis=0)
        np.testing.assert_allclose(total / count, whole, **VALUES)


def test_sum_counts_batches():
    loss = losses.MeanSquaredError(reduction="sum")
    total, count = loss.sums(np.zeros((4, 2)), np.ones((4, 2)))
    assert (float(total), float(count)) == (4.0, 1.0)


def test_no_reduction_cannot_train():
    loss = losses.MeanSquaredError(reduction=None)
    assert loss(np.zeros((4, 2)), np.ones((4, 2))).tolist() == [1.0] * 4
    with pytest.raises(ArgumentError, match="a reduction that gives one number, to train with"):
        loss.sums(np.zeros((4, 2)), np.ones((4, 2)))


@pytest.mark.parametrize("reduction", ["mean_with_sample_weight", "sum_over_batch_size", "sum"])
@pytest.mark.parametrize("weight", [None, np.zeros(0)])
def test_nothing_costs_nothing(reduction, weight):
    loss = losses.MeanSquaredError(reduction=reduction)
    assert float(loss(np.zeros((0, 2)), np.zeros((0, 2)), weight)) == 0.0
    assert float(loss(np.zeros((3, 2)), np.ones((3, 2)), np.zeros(3))) == 0.0


def test_ignored_samples_do_not_count_whatever_they_hold():
    """Keras divides by all samples where there are no weights; and NaN there would be NaN everywhere."""
    torch = pytest.importorskip("torch")
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    scores = torch.tensor(np.vstack([SCORES, [[np.nan, np.inf, 0.0]]]), requires_grad=True)
    value = loss(torch.tensor([0, 2, 1, 1, 0, -1]), scores)
    value.backward()
    np.testing.assert_allclose(value.detach(), loss(np.array([0, 2, 1, 1, 0]), SCORES))
    assert torch.isfinite(scores.grad).all()
    assert (scores.grad[-1] == 0).all()


@pytest.mark.parametrize("name", ["MeanSquaredError", "MeanAbsoluteError", "BinaryCrossentropy", "Huber", "Hinge"])
def test_single_numbers_are_samples(name):
    """(N,) targets and predictions: Keras reduces over the samples and cannot weight them."""
    loss = getattr(losses, name)(reduction="none")
    y_true, y_pred = np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.4, 0.9])
    assert loss(y_true, y_pred).shape == (3,)
    np.testing.assert_allclose(loss(y_true, y_pred), loss(y_true[:, None], y_pred[:, None]))


def test_a_step_is_a_sample_with_or_without_rows():
    """(B, T) targets beside (B, T, 1): one loss for each step, where Keras gives one for each row."""
    loss = losses.MeanSquaredError(reduction="none")
    y_true, y_pred = np.zeros((2, 3)), np.ones((2, 3, 1))
    assert loss(y_true, y_pred).shape == (2, 3)
    np.testing.assert_allclose(loss(y_true, y_pred, np.array([1.0, 2.0])), [[1, 1, 1], [2, 2, 2]])


@given(st.integers(1, 6), st.integers(1, 6), st.booleans())
def test_never_broadcasts_samples_against_samples(n, d, column):
    y_true = np.zeros((n, 1) if column else (n,))
    y_pred = np.ones((n, d))
    if d == 1:
        assert losses.MeanSquaredError(reduction="none")(y_true, y_pred).shape == (n,)
    else:
        with pytest.raises(ShapeError, match=rf"a last layer with 1 unit, or targets with {d} numbers each"):
            losses.MeanSquaredError()(y_true, y_pred)


def test_halves_are_summed_in_float32():
    y_pred = np.full((3000, 1), 0.1, np.float16)
    value = losses.MeanSquaredError()(np.zeros((3000, 1)), y_pred)
    assert value.dtype == np.float32
    assert float(value) == pytest.approx(float(np.float16(0.1)) ** 2, rel=1e-5)
    assert losses.MeanSquaredError()(np.zeros((3, 1)), np.ones((3, 1))).dtype == np.float64
    assert losses.MeanSquaredError(dtype="float32")(np.zeros((3, 1)), np.ones((3, 1))).dtype == np.float32


# ---- functions of the user


def test_plain_functions():
    loss = losses.get(lambda y_true, y_pred: abs(y_true - y_pred).sum(axis=-1))
    assert float(loss(np.zeros((2, 3)), np.ones((2, 3)))) == 3.0
    assert isinstance(losses.get(losses.mean_squared_error), losses.MeanSquaredError)


def test_a_function_that_gives_one_number_counts_by_its_samples():
    loss = losses.get(lambda y_true, y_pred: ((y_true - y_pred) ** 2).mean())
    total, count = loss.sums(np.zeros((4, 2)), np.full((4, 2), 3.0))
    assert (float(total), float(count)) == (36.0, 4.0)
    with pytest.raises(ShapeError, match="one loss for each sample, to be weighted"):
        loss(np.zeros((4, 2)), np.ones((4, 2)), np.ones(4))


def test_losses_that_keep_all_axes():
    loss = losses.get(lambda y_true, y_pred: (y_true - y_pred) ** 2)
    value = loss(np.zeros((2, 2)), np.array([[1.0, 2.0], [3.0, 4.0]]), sample_weight=[1.0, 3.0])
    assert float(value) == pytest.approx((1 + 4 + 27 + 48) / 8)


# ---- errors


def test_one_hot_labels_for_the_sparse_loss():
    with pytest.raises(ShapeError, match=r"expected one label .*shape \(5,\)(.|\n)*Fix: 'categorical_crossentropy'"):
        losses.SparseCategoricalCrossentropy()(np.eye(5), np.ones((5, 5)))


def test_labels_for_the_one_hot_loss():
    with pytest.raises(ShapeError, match="loss='sparse_categorical_crossentropy' for whole-number labels"):
        losses.CategoricalCrossentropy()(np.zeros(5, int), np.ones((5, 3)))


def test_wrong_number_of_classes():
    with pytest.raises(ShapeError, match=r"predictions, \(5, 3\)(.|\n)*Got: targets \(5, 4\)"):
        losses.CategoricalCrossentropy()(np.ones((5, 4)), np.ones((5, 3)))


def test_one_class():
    with pytest.raises(ShapeError, match="loss='binary_crossentropy' for one yes-or-no output"):
        losses.CategoricalCrossentropy()(np.ones((5, 1)), np.ones((5, 1)))


def test_no_axis_of_classes():
    with pytest.raises(ShapeError, match="one unit for each class"):
        losses.SparseCategoricalCrossentropy()(np.zeros(5), np.ones(5))


def test_labels_outside(backend):
    from padless import backends

    made = backends.get(backend)
    loss = losses.SparseCategoricalCrossentropy()
    with pytest.raises(DataError, match=r"labels from 0 to 2(.|\n)*Got: label 3 in row 1(.|\n)*at least 4 units"):
        loss(made.asarray([0, 3]), made.asarray(np.ones((2, 3))))
    with pytest.raises(DataError, match=r"Got: label -1 in row 0(.|\n)*ignore_class=-1"):
        loss(made.asarray([-1, 2]), made.asarray(np.ones((2, 3))))
    with pytest.raises(RowError, match=r"Got: label 7 in row 2, step 1"):
        loss([[0, 2], [], [1, 7, 0]], ragged(SCORES))


def test_weights_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"one weight for each loss, shape \(4,\)(.|\n)*Got: shape \(4, 2\)"):
        losses.MeanSquaredError()(np.ones((4, 2)), np.ones((4, 2)), np.ones((4, 2)))


def test_rows_that_differ():
    with pytest.raises(DataError):
        losses.SparseCategoricalCrossentropy()([[0], [1], [1, 1, 0]], ragged(SCORES))


def test_unknown_names():
    with pytest.raises(ArgumentError, match="did you mean 'mean_squared_error'"):
        losses.get("mean_square_error")
    with pytest.raises(ArgumentError, match="one of these names"):
        losses.get(3)
    with pytest.raises(ArgumentError, match="did you mean 'mean_with_sample_weight'"):
        losses.MeanSquaredError(reduction="mean_with_weight")


def test_crossentropy_is_told_by_the_shapes():
    def name(y_true, y_pred):
        return losses.get("crossentropy", y_true_shape=y_true, y_pred_shape=y_pred).name

    assert name((8,), (8, 1)) == "binary_crossentropy"
    assert name((8, None), (8, None, 5)) == "sparse_categorical_crossentropy"
    assert name((8, 1), (8, 5)) == "sparse_categorical_crossentropy"
    assert name((8, 5), (8, 5)) == "categorical_crossentropy"
    with pytest.raises(ArgumentError):
        losses.get("crossentropy")


def test_config_round_trip():
    for loss in (losses.SparseCategoricalCrossentropy(True, 3, "sum"), losses.Huber(2.0, dtype="float32")):
        assert type(loss).from_config(loss.get_config()).get_config() == loss.get_config()
    wrapped = losses.LossFunctionWrapper(losses.huber, delta=2.0)
    again = losses.LossFunctionWrapper.from_config(wrapped.get_config())
    assert float(again([[0.0]], [[1.0]])) == 0.5
    assert repr(losses.Huber(2.0)) == "Huber(name='huber_loss', reduction='mean_with_sample_weight', delta=2.0)"
