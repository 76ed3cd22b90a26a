"""check_layer passes every layer of padless, and finds what is wrong with broken ones."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from padless import Layer, MaskError, PadlessError, Ragged, layers, row_mean
from padless.testing import PromiseError, check_layer
from tests.cases import Case, directly
from tests.conftest import BACKENDS
from tests.oracle import fresh, using

not_on_jax = pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "jax"], indirect=True)
"""For what asks nothing of a backend, and would be compiled operation by operation there."""

CHECKED = ("Dense", "Embedding-mask_zero", "Add", "Conv1D-valid, stride", "GlobalAveragePooling1D", "own-padded, keeps")
"""Cases that it is shown on JAX with: compiled, all layers go through the same properties."""


@directly("kept", "change", "end", on_jax=CHECKED)
def test_every_layer_passes(backend: str, case: Case) -> None:
    layer = fresh(case)
    before = layer.state_dict()
    check_layer(layer, case.inputs, ids=10 if case.reads == "ids" else None)
    assert all((before[path] == array).all() for path, array in layer.state_dict().items()), "no weight changes"


@directly("error", where=lambda case: not case.name.endswith("Cell-alone"))
def test_what_does_not_read_rows_says_so_itself(backend: str, case: Case) -> None:
    with pytest.raises(MaskError):
        check_layer(case.make("float32"), case.inputs)


@not_on_jax
def test_it_takes_about_a_second(backend: str) -> None:
    start = time.process_time()
    check_layer(layers.Bidirectional(layers.LSTM(32, return_sequences=True)), 64)
    assert time.process_time() - start < 2


@not_on_jax
def test_what_may_be_said_of_features(backend: str) -> None:
    check_layer(layers.Dense(2), 3)
    check_layer(layers.Dense(2), (3,))
    check_layer(layers.Dense(2), (5, 3))
    check_layer(layers.Activation("tanh"), ())
    check_layer(layers.Add(), 3)
    check_layer(layers.Concatenate(), [(3,), (2,)])
    check_layer(layers.Dense(2, dtype="float64"), lengths=[1, 2])


class Broken(Layer):
    """Layers that each break one promise."""


class MeanOfAllSteps(Broken):
    view = "steps"

    def call(self, x: Any) -> Any:
        return x - self.xp.mean(x, axis=0)


class LooksAtNeighbour(Broken):
    view = "steps"

    def call(self, x: Any) -> Any:
        return self.xp.concat([x[:1] * 0, x[:-1]])


class MeanWithPadding(Broken):
    def call(self, x: Any, mask: Any = None) -> Any:
        return self.xp.mean(x, axis=1)


class SumWithPadding(Broken):
    def call(self, x: Any, mask: Any = None) -> Any:
        return self.xp.sum(self.xp.exp(x), axis=1)


class LastColumn(Broken):
    def call(self, x: Any, mask: Any = None) -> Any:
        return x[:, -1] if x.shape[1] else self.xp.sum(x, axis=1)


class SumOfWhatPaddingHolds(Broken):
    """Right only as long as padding holds zeros."""

    def call(self, x: Any, mask: Any = None) -> Any:
        return self.xp.sum(x, axis=1)


class CountsFromTheEdge(Broken):
    view = "ragged"

    def call(self, x: Ragged) -> Any:
        starts = self.backend.asarray(x.rows.starts[x.rows.value_rowids].astype(np.float32))
        return x.with_values(x.values + starts[:, None])


class DependsOnTheLongest(Broken):
    view = "ragged"

    def call(self, x: Ragged) -> Any:
        return x.with_values(x.values / max(x.rows.max_row_length, 1))


class DependsOnThePlace(Broken):
    view = "ragged"

    def call(self, x: Ragged) -> Any:
        first = np.arange(x.rows.nrows) == 0
        factor = np.where(first[x.rows.value_rowids], 1.0, 2.0).astype(np.float32)
        return x.with_values(x.values * self.backend.asarray(factor)[:, None])


class MultipliesByZero(Broken):
    """Takes each row's sum out of a product with a mask: NaN in one row reaches all."""

    view = "ragged"

    def call(self, x: Ragged) -> Any:
        mine = (x.rows.value_rowids[None, :] == np.arange(x.rows.nrows)[:, None]).astype(np.float32)
        return self.backend.asarray(mine) @ x.values


class NanForNothing(Broken):
    view = "ragged"

    def call(self, x: Ragged) -> Any:
        counts = self.backend.asarray(x.rows.row_lengths.astype(np.float32))
        with np.errstate(invalid="ignore"):
            return self.backend.segment_sum(x.values, x.rows) / counts[:, None]


class LosesTheMask(Broken):
    view = "ragged"

    def call(self, x: Ragged) -> Any:
        return x.to_padded()


class LosesTheRows(Broken):
    view = "ragged"

    def call(self, x: Ragged) -> Any:
        return x.values


class DrawsNumbers(Broken):
    view = "steps"

    def call(self, x: Any) -> Any:
        return x + self.backend.asarray(np.random.default_rng().normal(size=x.shape).astype(np.float32))


BROKEN: list[tuple[type[Layer], str, str, tuple[int, ...]]] = [
    (MeanOfAllSteps, "P1", "the same for a row in a batch and alone", (1, 1)),
    (LooksAtNeighbour, "P1", "row 2", (1, 1)),
    (MeanWithPadding, "P1", r"row", (0,)),
    (SumWithPadding, "P1", r"row", (0, 1)),
    (LastColumn, "P1", r"row", (1, 2)),
    (SumOfWhatPaddingHolds, "P1", "holds 0 and that holds 100[^$]*difference of [0-9]+", (0,)),
    (CountsFromTheEdge, "P1", "padded on the left", (1,)),
    (DependsOnTheLongest, "P1", "in a batch and alone", (1, 2)),
    (DependsOnThePlace, "P1", "row 2", (0, 1)),
    (MultipliesByZero, "P1", "whatever row 3 holds[^$]*NaN", (0, 1)),
    (NanForNothing, "P1", r"row 1 \(an empty one\)", (0,)),
    (LosesTheMask, "P2", r"shape \(5, 7, 4\) for the batch and \(1, 3, 4\) for row 0 alone", (0, 1)),
    (LosesTheRows, "P2", "13 entries for 5 rows", (0,)),
    (DrawsNumbers, "P1", "the same in two calls", (1,)),
]
"""A layer, the promise that it breaks, what the error says, and the lengths of the smallest example."""

QUICK = (MeanOfAllSteps, LosesTheMask)
"""Those that stand for all on JAX, which compiles every operation for each of the small batches that are tried."""


@pytest.mark.filterwarnings("ignore:.*(empty slice|invalid value|divide).*:RuntimeWarning")
@pytest.mark.parametrize(
    ("backend", "kind", "promise", "message", "smallest"),
    [
        pytest.param(backend, *row, id=f"{backend}-{row[0].__name__}")
        for backend in BACKENDS
        for row in BROKEN
        if backend != "jax" or row[0] in QUICK
    ],
    indirect=["backend"],
)
def test_broken_layers_are_found(
    backend: str, kind: type[Layer], promise: str, message: str, smallest: tuple[int, ...]
) -> None:
    with pytest.raises(PromiseError, match=message) as caught:
        check_layer(kind())
    assert caught.value.promise == promise
    assert caught.value.lengths == smallest
    assert f"lengths={smallest!r}" in str(caught.value)
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value, PadlessError)
    assert kind.__name__ in str(caught.value)
    assert {"P1": "padding never changes an answer", "P2": "a mask is never lost"}[promise] in str(caught.value)
    assert "Fix:" in str(caught.value)


def test_what_holds_is_reported() -> None:
    with using("numpy"):
        report = check_layer(layers.LSTM(2, name="encoder"))
    assert "the same for each row alone" in report.properties
    assert str(report).startswith("layer 'encoder' (LSTM) keeps its promises:\n  one entry")


def test_a_layer_that_only_fails_in_a_large_batch() -> None:
    """The smallest example is then the batch itself."""

    class CountsRows(Layer):
        view = "ragged"

        def call(self, x: Ragged) -> Any:
            return x.with_values(x.values * (2 if x.rows.nrows > 3 else 1))

    with using("numpy"), pytest.raises(PromiseError, match="a row in a batch and alone") as caught:
        check_layer(CountsRows())
    assert caught.value.lengths == (3, 0, 1, 7, 2)


def test_wrong_gradients_are_found() -> None:
    torch = pytest.importorskip("torch")

    class RightAnswerWrongGradient(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return gradients[0] * gradients[0].shape[0]

    class Scaled(Layer):
        view = "steps"

        def call(self, x: Any) -> Any:
            return RightAnswerWrongGradient.apply(x)

    class Root(Layer):
        """Right for an empty row, but its gradient is 0 times infinity."""

        view = "ragged"

        def build(self, spec: Any) -> None:
            self.scale = self.add_weight("scale", (spec.features,), "ones")

        def call(self, x: Ragged) -> Any:
            return self.xp.sqrt(row_mean(x * x) * self.scale**2)

    with using("torch"):
        with pytest.raises(PromiseError, match="gradients of input 0 that are the sum of those of each row alone"):
            check_layer(Scaled())
        with pytest.raises(PromiseError, match=r"gradients of weight 'scale'[^$]*a difference of NaN"):
            check_layer(Root())
