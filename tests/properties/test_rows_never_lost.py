"""P2: every public layer keeps, changes or ends rows as its case says, or raises MaskError; on data and on symbols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from padless import DataError, Input, Layer, MaskError, Model, Ragged, backends, layers
from padless.spec import Symbol
from tests.calls import call, outputs
from tests.cases import Case, directly
from tests.oracle import answers, assert_same, batch, built, in_a_batch, ragged
from tests.strategies import Padding
from tests.tolerances import VALUES

LENGTHS = [3, 0, 12, 1]


@directly("kept", "change", "end", "drop")
def test_rows_are_what_the_case_says(backend: str, case: Case) -> None:
    layer, data = built(case, backend), batch(case, LENGTHS)
    x = ragged(data, layer)
    result = outputs(call(layer, x, states=data.states))
    # States come last, one entry per row whatever happens to rows.
    count = len(case.states) if getattr(layer, "return_state", False) else 0
    for state in result[len(result) - count :]:
        assert tuple(state.shape) == (len(LENGTHS), 3)
    for y in result[: len(result) - count]:
        if case.rows == "kept":
            assert isinstance(y, Ragged)
            assert y.rows.same_steps(x[0].rows)
            assert y.rows.came_padded == x[0].rows.came_padded
        elif case.rows == "change":
            assert isinstance(y, Ragged)
            assert case.length is not None
            assert y.rows.row_lengths.tolist() == [case.length(n) for n in LENGTHS]
        elif case.rows == "end":
            assert not isinstance(y, Ragged)
            assert y.shape[0] == len(LENGTHS)
        else:
            assert not isinstance(y, Ragged)
            assert tuple(y.shape[:2]) == (len(LENGTHS), max(LENGTHS))


@directly("kept")
def test_kept_rows_are_the_same_object(backend: str, case: Case) -> None:
    """What was made once for a batch, such as index arrays on a device, serves all layers."""
    layer, data = built(case, backend), batch(case, LENGTHS)
    x = ragged(data, layer)
    result = outputs(call(layer, x, states=data.states))
    assert all(y.rows is x[0].rows for y in result if isinstance(y, Ragged))


@directly("error")
def test_what_cannot_read_rows_raises(backend: str, case: Case) -> None:
    layer = case.make("float32")
    x = ragged(batch(case, LENGTHS), layer)[0]
    arguments = {}
    if case.name.endswith("Cell-alone"):
        arguments["states"] = layer.get_initial_state(x.rows.nvals)  # type: ignore[attr-defined]
    with pytest.raises(MaskError) as caught:
        layer(x, **arguments)
    text = str(caught.value)
    assert layer.name in text, "the error names the layer"
    assert type(layer).__name__ in text
    assert "Fix:" in text
    with pytest.raises(MaskError):
        layer(backends.current().asarray(np.ones((1, 2, *case.inputs[0]))), mask=np.array([[True, False]]), **arguments)


@pytest.mark.parametrize("make", [lambda: layers.Conv2D(3, 2), layers.MaxPooling2D], ids=["Conv2D", "MaxPooling2D"])
def test_that_rows_cannot_be_read_comes_before_other_errors(backend: str, make: Callable[[], Layer]) -> None:
    layer = make()
    with pytest.raises(MaskError, match=layer.name):
        layer(Ragged.from_list([np.ones((2, 4)), np.ones((1, 4))]))


@pytest.mark.parametrize("cell", [layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell])
def test_a_cell_that_was_built_cannot_read_rows_either(backend: str, cell: Any) -> None:
    layer = cell(3)
    layer(np.ones((2, 4), np.float32), layer.get_initial_state(2))
    x = Ragged.from_list([np.ones((2, 4), np.float32), np.ones((1, 4), np.float32)])
    with pytest.raises(MaskError, match=layer.name):
        layer(x, layer.get_initial_state(3))


@pytest.mark.parametrize("longest", range(9))
def test_padded_views_are_not_judged_by_equal_sizes(backend: str, longest: int) -> None:
    """Four features, and rows of four steps, or steps that a layer halves: what it does to rows is always the same."""

    class Total(Layer):
        def call(self, x: Any, mask: Any = None) -> Any:
            return self.xp.sum(x * mask[..., None], axis=1)

    class Halve(Layer):
        def call(self, x: Any, mask: Any = None) -> Any:
            return x[:, ::2]

    x = Ragged.from_list([np.ones((longest, 4), np.float32), np.ones((1, 4), np.float32)])
    assert tuple(Total()(x).shape) == (2, 4)
    if longest > 1:  # the steps of half a time axis are the mask's when there is but one
        with pytest.raises(MaskError, match='view = "ragged" and a new partition'):
            Halve()(x)


def test_padded_views_of_several_inputs(backend: str) -> None:
    class Difference(Layer):
        view = "padded"
        merges = True

        def call(self, x: Any, mask: Any = None) -> Any:
            return x[0] - x[1]

    x = Ragged.from_list([[3.0, 4.0], [], [5.0]])
    assert Difference()([x, x * 2]).to_list() == [[-3.0, -4.0], [], [-5.0]]


def test_several_outputs_of_a_layer_that_looks_at_steps(backend: str) -> None:
    class Pair(Layer):
        view = "steps"

        def call(self, x: Any) -> Any:
            return [x * 2, -x]

    x = Ragged.from_list([[1.0, 2.0], [], [3.0]])
    twice, minus = Pair()(x)
    assert isinstance(twice, Ragged)
    assert isinstance(minus, Ragged)
    assert (twice.to_list(), minus.to_list()) == ([[2.0, 4.0], [], [6.0]], [[-1.0, -2.0], [], [-3.0]])


def test_a_layer_that_looks_at_steps_must_return_them(backend: str) -> None:
    class Total(Layer):
        view = "steps"

        def call(self, x: Any) -> Any:
            return self.xp.sum(x, axis=0, keepdims=True)

    with pytest.raises(MaskError, match=r"to return as many steps as it got, 3[^$]*view = \"ragged\""):
        Total()(Ragged.from_list([[1.0, 2.0], [], [3.0]]))


@directly("error", where=lambda case: not case.name.endswith("Cell-alone"))
def test_what_cannot_read_rows_raises_after_it_was_built_without(backend: str, case: Case) -> None:
    layer = case.make("float32")
    layer(np.ones((2, 5, *case.inputs[0]), np.float32))
    with pytest.raises(MaskError):
        layer(ragged(batch(case, [5, 5]), layer)[0])


@directly("error", where=lambda case: not case.name.endswith("Cell-alone"))
def test_what_cannot_read_rows_says_so_when_the_model_is_made(backend: str, case: Case) -> None:
    layer = case.make("float32")
    with pytest.raises(MaskError, match=layer.name):
        layer(Input((None, *case.inputs[0]), ragged=True))


def symbols(case: Case) -> list[Symbol]:
    first = Input((None, *case.inputs[0]), dtype="int64" if case.reads == "ids" else "float32", ragged=True)
    return [first, *(Input((None, *features), like=first) for features in case.inputs[1:])]


def model_of(case: Case, backend: str) -> Model:
    """The layer of a case in a functional model, with the weights that `built` gives it."""
    layer = case.make("float32")
    x = symbols(case)
    model = Model(x if layer.merges else x[0], layer(x if layer.merges else x[0]))
    model.load_state_dict({f"layers/0/{path}": array for path, array in built(case, backend).state_dict().items()})
    return model


@directly("kept", "change", "end", "drop")
def test_symbols_say_the_same_as_data(backend: str, case: Case) -> None:
    layer = case.make("float32")
    x = symbols(case)
    made = outputs(layer(x if layer.merges else x[0]))
    data = batch(case, LENGTHS)
    got = outputs(call(layer, ragged(data, layer)))
    assert len(made) == len(got)
    for symbol, y in zip(made, got, strict=True):
        assert isinstance(symbol.standin, Ragged) == isinstance(y, Ragged)
        if case.rows != "drop":
            assert tuple(symbol.shape)[1:] == tuple(y.shape)[1:]
        assert symbol.dtype == layer.backend.dtype_name(y.values if isinstance(y, Ragged) else y)


@directly("kept", "change", "end", where=lambda case: not case.states)
def test_a_model_says_the_same_as_its_layer(backend: str, case: Case) -> None:
    model, data = model_of(case, backend), batch(case, LENGTHS)
    expected = in_a_batch(built(case, backend), data)
    mask = Padding("pre", 5, 0).mask(LENGTHS)
    padded = [Ragged.from_padded(model.backend.asarray(array), mask) for array in data.padded(mask)]
    for x in (ragged(data, model), padded):
        assert_same(answers(model(x if len(x) > 1 else x[0])), expected, **VALUES)


@directly(where=lambda case: len(case.inputs) > 1 and case.alike)
def test_merging_other_rows_is_an_error(backend: str, case: Case) -> None:
    layer = case.make("float32")
    one, other = ragged(batch(case, [2, 1]), layer), ragged(batch(case, [1, 2]), layer)
    with pytest.raises(DataError, match=r"\[2, 1\].*\[1, 2\].*row 0 has 2 steps on one side and 1"):
        layer([*one[:-1], other[-1]])
    for plain in (other[-1].values, other[-1].to_padded()):
        with pytest.raises(MaskError, match=layer.name):
            layer([*one[:-1], plain])
        with pytest.raises(MaskError, match=layer.name):
            layer([plain, *one[1:]])


def test_merging_other_holes_is_an_error(backend: str) -> None:
    x = np.ones((1, 3, 2), np.float32)
    one = Ragged.from_padded(x, np.array([[True, False, True]]))
    other = Ragged.from_padded(x, np.array([[True, True, False]]))
    with pytest.raises(DataError, match="row 0 has its masked steps at other places"):
        layers.Add()([one, other])
