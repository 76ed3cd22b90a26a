"""A row is computed as if alone in batches that are large enough for fast kernels; elsewhere batches are small."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import padless
from padless import layers
from padless.ragged import Ragged
from padless.rows import RowPartition
from tests.tolerances import GRADIENTS, VALUES

torch = pytest.importorskip("torch")

FEATURES = 64
ROWS = RowPartition.from_lengths([0, 1, 37, 900, 1, 0, 5, 300, 2, 250, 0])
# Small enough that sums of some hundred of them round to within the tolerances.
STEPS = np.random.default_rng(0).normal(size=(ROWS.nvals, FEATURES)).astype(np.float32) * np.float32(0.3)

LAYERS: dict[str, Callable[[], Any]] = {
    "LSTM": lambda: layers.Bidirectional(layers.LSTM(64, return_sequences=True)),
    "LSTM, last state": lambda: layers.Bidirectional(layers.LSTM(33)),
    "GRU": lambda: layers.Bidirectional(layers.GRU(65, return_sequences=True)),
    "GRU, reset before": lambda: layers.GRU(48, return_sequences=True, reset_after=False, go_backwards=True),
    "SimpleRNN": lambda: layers.SimpleRNN(64, return_sequences=True),
    **{
        f"Conv1D, {padding}, stride {stride}, dilation {dilation}": (
            lambda padding=padding, stride=stride, dilation=dilation: layers.Conv1D(
                64, 5, strides=stride, dilation_rate=dilation, padding=padding, activation="relu"
            )
        )
        for padding in ("same", "causal", "valid")
        for stride, dilation in ((1, 1), (3, 1), (1, 2))
    },
    "Conv1D, odd sizes": lambda: layers.Conv1D(37, 3, padding="same"),
    "Conv1D, groups": lambda: layers.Conv1D(64, 3, padding="same", groups=4),
    "SeparableConv1D": lambda: layers.SeparableConv1D(64, 5, padding="same"),
    "DepthwiseConv1D": lambda: layers.DepthwiseConv1D(5, padding="same", depth_multiplier=2),
    "MultiHeadAttention": lambda: layers.MultiHeadAttention(4, 17),
    "GroupedQueryAttention": lambda: layers.GroupedQueryAttention(16, 4, 2),
    "Dense": lambda: layers.Dense(96, activation="relu"),
    "Dense, odd sizes": lambda: layers.Dense(71, activation="gelu"),
    "LayerNormalization": lambda: layers.LayerNormalization(),
    "GlobalMaxPooling1D": lambda: layers.GlobalMaxPooling1D(),
    "GlobalAveragePooling1D": lambda: layers.GlobalAveragePooling1D(),
    "MaxPooling1D": lambda: layers.MaxPooling1D(2),
    "MaxPooling1D, same": lambda: layers.MaxPooling1D(3, strides=1, padding="same"),
}


@pytest.fixture(autouse=True, params=[1, 2])
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    padless.utils.set_random_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def computed(layer: Any, steps: Any, rows: RowPartition) -> tuple[Any, RowPartition, Any]:
    """Output, its rows, and the gradient of a sum of it in which every place of a row counts otherwise."""
    leaf = torch.from_numpy(steps).requires_grad_()
    x = Ragged(leaf, rows)
    if isinstance(layer, layers.MultiHeadAttention | layers.GroupedQueryAttention):
        y = layer(x, x, use_causal_mask=True)
    else:
        y = layer(x)
    values, made = (y.values, y.rows) if isinstance(y, Ragged) else (y, RowPartition.uniform(rows.nrows, 1))
    weights = np.sin(np.array(made.positions)[:, None] * 1.3 + np.arange(values.shape[1]) * 0.7)
    by_x = torch.zeros_like(leaf)
    if values.requires_grad:  # as wherever there are steps
        (by_x,) = torch.autograd.grad((values * torch.from_numpy(weights).float()).sum(), leaf)
    return values.detach().numpy(), made, by_x.numpy()


@pytest.mark.parametrize("name", LAYERS)
def test_a_row_is_as_if_alone(name: str) -> None:
    layer = LAYERS[name]()
    y, made, by_x = computed(layer, STEPS, ROWS)
    for row, (first, last) in enumerate(zip(ROWS.row_splits[:-1], ROWS.row_splits[1:], strict=True)):
        own, _, by_own = computed(layer, STEPS[first:last], RowPartition.from_lengths([last - first]))
        here = y[made.row_splits[row] : made.row_splits[row + 1]]
        np.testing.assert_allclose(here, own, **VALUES)
        np.testing.assert_allclose(by_x[first:last], by_own, **GRADIENTS)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", LAYERS)
def test_poison_stays_in_its_row(name: str, bad: float) -> None:
    layer = LAYERS[name]()
    y, made, by_x = computed(layer, STEPS, ROWS)
    for row in (1, 3, 9):
        steps = STEPS.copy()
        steps[ROWS.value_rowids == row] = bad
        poisoned, _, by_poisoned = computed(layer, steps, ROWS)
        others = made.value_rowids != row
        np.testing.assert_array_equal(poisoned[others], y[others])
        others = ROWS.value_rowids != row
        np.testing.assert_array_equal(by_poisoned[others], by_x[others])
