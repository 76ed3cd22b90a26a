"""Cells: stacks of them, states of any shape and number, what they may take and must return."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Layer, MaskError, Model, Ragged, Sequential, layers
from padless.errors import ArgumentError, ShapeError
from padless.random import drawing
from tests.cases import OwnCell, OwnMatrixCell
from tests.tolerances import VALUES

D, H = 3, 4
LENGTHS = [3, 0, 1, 5]


def host(x: Any) -> np.ndarray[Any, Any]:
    return padless.backends.of(x).to_host(x)


def rows(width: int = D) -> Ragged:
    numbers = np.random.default_rng(0)
    return Ragged.from_list([numbers.normal(size=(n, width)).astype(np.float32) for n in LENGTHS])


class Plain:
    """A cell that is no layer and has no weights: a running sum and the number of steps."""

    state_size = (D, 1)

    def call(self, x: Any, states: Any) -> Any:
        total, count = states
        return (x + total) / (count + 1), [x + total, count + 1]


class Broken:
    """Returns what it is told to."""

    state_size = D

    def __init__(self, returns: Any) -> None:
        self.returns = returns

    def call(self, x: Any, states: Any) -> Any:
        return self.returns(x, states[0])


# ---- stacks


@pytest.mark.parametrize("go_backwards", [False, True])
def test_a_stack_is_layers_one_after_the_other(backend: str, go_backwards: bool) -> None:
    cells = [layers.LSTMCell(H), layers.GRUCell(5), layers.SimpleRNNCell(2)]
    stack = layers.RNN(cells, return_sequences=True, return_state=True, go_backwards=go_backwards)
    apart: list[Any] = [layers.LSTM(H), layers.GRU(5), layers.SimpleRNN(2)]
    x = rows()
    got, *states = stack(x)
    assert got.shape == (4, None, 2)
    y = padless.row_reverse(x) if go_backwards else x
    for at, layer in enumerate(apart):
        layer.return_sequences = layer.return_state = True
        layer(y)
        layer.set_weights(stack.cell.cells[at].get_weights())
        y, *own = layer(y)
        assert len(states[at]) == len(own)
        for one, other in zip(states[at], own, strict=True):
            np.testing.assert_allclose(host(one), host(other), **VALUES)
    np.testing.assert_allclose(host(got.values), host(y.values), **VALUES)
    last = layers.RNN(stack.cell, go_backwards=go_backwards)(x)
    np.testing.assert_array_equal(host(last), host(states[-1][0]))


def test_a_stack_step_by_step_is_the_layer(backend: str) -> None:
    layer = layers.RNN([layers.LSTMCell(H), OwnCell(2), layers.GRUCell(3)], return_sequences=True)
    x = np.random.default_rng(1).normal(size=(2, 4, D)).astype(np.float32)
    whole = host(layer(x))
    states = layer.get_initial_state(2)
    for t in range(4):
        y, states = layer.cell(x[:, t], states)
        np.testing.assert_allclose(host(y), whole[:, t], **VALUES)
    assert isinstance(states[0], list)
    assert tuple(states[1].shape) == (2, 2), "a cell that names one width has one array, as in Keras"


def test_a_stack_whose_call_was_changed_is_what_runs(backend: str) -> None:
    class Twice(layers.StackedRNNCells):
        def call(self, x: Any, states: Any) -> Any:
            y, states = super().call(x, states)
            return 2 * y, states

    layer, plain = layers.RNN(Twice([layers.GRUCell(H)])), layers.RNN([layers.GRUCell(H)])
    x = Ragged.from_list([np.ones((2, D), np.float32), np.ones((4, D), np.float32)])
    plain(x)
    layer(x)
    layer.set_weights(plain.get_weights())
    np.testing.assert_allclose(host(layer(x)), 2 * host(plain(x)), **VALUES)


def test_weights_stand_cell_by_cell(backend: str) -> None:
    layer = layers.RNN([layers.LSTMCell(H), layers.GRUCell(2)])
    layer(rows())
    names = ("kernel", "recurrent_kernel", "bias")
    assert list(layer.weight_slots()) == [f"cell/cells/{at}/{name}" for at in (0, 1) for name in names]
    assert [w.shape for w in layer.get_weights()[3:]] == [(H, 6), (2, 6), (2, 6)]


def test_states_of_a_stack_in_lists_or_end_to_end(backend: str) -> None:
    layer, x = layers.RNN([layers.LSTMCell(H), layers.GRUCell(2)], return_state=True), rows()
    _, (h, c), (last,) = layer(x)
    nested = layer(x, initial_state=[[h, c], [last]])
    flat = layer(x, initial_state=[h, c, last])
    np.testing.assert_array_equal(host(nested[0]), host(flat[0]))
    with pytest.raises(ShapeError, match=r"3 array\(s\) of shape \(4, 4\), \(4, 4\), \(4, 2\)[^$]*2 of shape"):
        layer(x, initial_state=[h, c])


def test_states_of_a_stack_go_from_an_encoder_to_a_decoder(backend: str) -> None:
    def cells() -> list[Layer]:
        return [layers.LSTMCell(H), layers.GRUCell(2)]

    source, target = Input((None, D)), Input((None, 2))
    _, *states = layers.RNN(cells(), return_state=True)(source)
    assert [len(part) for part in states] == [2, 1]
    decoded = layers.RNN(cells(), return_sequences=True)(target, initial_state=states)
    model = Model([source, target], decoded)
    encoder, decoder = model.layers
    targets = Ragged.from_list([np.ones((n, 2), np.float32) for n in (1, 2, 0, 3)])
    expected = decoder(targets, initial_state=encoder(rows())[1:])
    np.testing.assert_allclose(host(model([rows(), targets]).values), host(expected.values), **VALUES)
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(host(again([rows(), targets]).values), host(expected.values), **VALUES)


def test_both_directions_of_a_stack(backend: str) -> None:
    template = layers.RNN([layers.LSTMCell(H), OwnMatrixCell(2)], return_sequences=True, return_state=True)
    layer, x = layers.Bidirectional(template, merge_mode=None), rows()
    forth, back, *states = layer(x)
    assert (forth.shape, back.shape) == ((4, None, 4), (4, None, 4))
    assert [len(part) for part in states] == [2, 2, 2, 2]
    assert not template.built
    assert layer.forward_layer.cell.cells[0] is not layer.backward_layer.cell.cells[0]
    mask = np.arange(7) >= 7 - x.rows.row_lengths[:, None]
    padded = layer(np.where(mask[..., None], host(x.to_padded(length=7, side="pre")), np.nan), mask=mask)
    np.testing.assert_allclose(host(padded[1])[mask], host(back.values), **VALUES)
    again = layer(x, initial_state=states)
    np.testing.assert_array_equal(host(again[0].values), host(layer(x, initial_state=states)[0].values))
    assert np.abs(host(again[0].values) - host(forth.values)).max() > 1e-4


def test_dropout_of_a_stack_is_one_mask_for_each_row_and_cell(backend: str) -> None:
    cells = [layers.SimpleRNNCell(D, activation=None, dropout=0.5) for _ in range(2)]
    layer = layers.RNN(cells, return_sequences=True)
    ones = Ragged.from_list([np.ones((n, D), np.float32) for n in (6, 2, 4)])
    model = Sequential([layer])
    model(ones)
    layer.set_weights([np.eye(D), np.zeros((D, D)), np.zeros(D)] * 2)
    with drawing(3, 0):
        y = model(ones, training=True)
    steps = [host(y[row]) for row in range(3)]
    assert set(np.unique(np.concatenate(steps))) <= {0.0, 2.0, 4.0}
    assert all((row == row[0]).all() for row in steps)
    assert any((row[0] == 4).any() for row in steps), "each cell has a mask of its own"
    with drawing(3, 0):
        longer = model(Ragged.from_list([np.ones((n, D), np.float32) for n in (9, 5, 4)]), training=True)
    for row in range(3):
        np.testing.assert_array_equal(host(longer[row])[0], steps[row][0])


def test_a_cell_that_another_steps_drops_the_same_at_all_steps(backend: str) -> None:
    class Around(Layer):
        """A cell with a cell in it, called step by step."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = layers.SimpleRNNCell(D, activation=None, dropout=0.5)
            self.state_size = D

        def build(self, spec: Any) -> None:
            self.inner.build(spec)

        def call(self, x: Any, states: Any) -> Any:
            return self.inner(x, states)

    model = Sequential([layers.RNN(Around(), return_sequences=True)])
    x = Ragged.from_list([np.ones((n, D), np.float32) for n in (6, 2, 0, 4)])
    model(x)
    model.set_weights([np.eye(D), np.zeros((D, D)), np.zeros(D)])
    with drawing(3, 0):
        y = model(x, training=True)
    for row in (0, 1, 3):
        steps = host(y[row])
        assert (steps == steps[0]).all()
        assert set(np.unique(steps)) <= {0.0, 2.0}
    with drawing(3, 0):
        mask = np.arange(9) >= 9 - x.rows.row_lengths[:, None]
        padded = model(np.where(mask, 1, np.nan).astype(np.float32)[..., None].repeat(D, -1), mask=mask, training=True)
    np.testing.assert_array_equal(host(padded)[mask], host(y.values))


# ---- cells of one's own


def test_a_cell_that_is_no_layer_with_two_states(backend: str) -> None:
    output, total, count = layers.RNN(Plain(), return_state=True)(rows())
    for row, steps in enumerate(rows()):
        np.testing.assert_allclose(host(total)[row], host(steps).sum(axis=0), atol=1e-6)
        if len(steps):
            np.testing.assert_allclose(host(output)[row], host(steps).mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(host(count)[:, 0], LENGTHS)
    assert not host(output)[1].any(), "no step, no output"


def test_states_with_more_axes(backend: str) -> None:
    layer = layers.RNN(OwnMatrixCell(H), return_state=True)
    output, h, matrix = layer(rows())
    assert (tuple(output.shape), tuple(h.shape), tuple(matrix.shape)) == ((4, 2 * H), (4, H), (4, 2, H))
    start = host(layer.cell.start)
    np.testing.assert_array_equal(host(matrix)[1], start)
    again = layer(rows(), initial_state=[h, matrix])
    assert np.abs(host(again[2]) - host(matrix)).max() > 1e-4
    with pytest.raises(ShapeError, match=r"2 array\(s\) of shape \(4, 4\), \(4, 2, 4\)"):
        layer(rows(), initial_state=[h, h])


@pytest.mark.parametrize("kind", ["tuple", "int", "alone"])
def test_states_as_a_cell_likes_to_give_them(backend: str, kind: str) -> None:
    class Own(Layer):
        state_size = D

        def get_initial_state(self, batch_size: int) -> Any:
            if kind == "int":
                return [np.ones((batch_size, D), np.int32)]
            start = np.ones((batch_size, D))
            return start if kind == "alone" else (start,)

        def call(self, x: Any, states: Any) -> Any:
            new = states[0] + 1
            return x, (new if kind == "alone" else (new,))

    output, state = layers.RNN(Own(), return_state=True)(rows())
    np.testing.assert_array_equal(host(state), 1 + np.array(LENGTHS)[:, None] * np.ones(D))
    assert host(state).dtype == (np.int32 if kind == "int" else np.float32)
    np.testing.assert_array_equal(host(output)[0], host(rows()[0])[-1])


def test_a_cell_without_states(backend: str) -> None:
    class Stateless(Layer):
        state_size: tuple[int, ...] = ()

        def call(self, x: Any, states: Any) -> Any:
            return 2 * x, []

    y = layers.RNN(Stateless(), return_sequences=True, stateful=True)(rows())
    np.testing.assert_array_equal(host(y.values), 2 * host(rows().values))


@pytest.mark.parametrize("base", [object, Layer])
def test_cells_that_take_training_are_told(backend: str, base: type) -> None:
    class Told(base):  # type: ignore[misc]
        state_size = D

        def call(self, x: Any, states: Any, training: bool = False) -> Any:
            return x + (1 if training else 0), states

    for layer in (layers.RNN(Told()), layers.RNN([Told()]), layers.Bidirectional(layers.RNN(Told()), merge_mode="ave")):
        quiet = host(layer(rows()))
        expected = quiet + (np.array(LENGTHS) > 0)[:, None]
        np.testing.assert_allclose(host(layer(rows(), training=True)), expected, **VALUES)


def test_arguments_of_the_cell_can_be_read_at_the_layer() -> None:
    layer = layers.LSTM(H, dropout=0.25, unit_forget_bias=False, seed=3)
    assert (layer.units, layer.dropout, layer.unit_forget_bias, layer.seed) == (H, 0.25, False, 3)
    assert layers.GRU(H, reset_after=False).reset_after is False
    assert not hasattr(layer, "reset_after")
    assert not hasattr(layers.RNN(layers.GRUCell(H)), "units")


# ---- errors


def in_a_model(layer: Layer) -> Sequential:
    return Sequential([layers.Masking(), layer])


@pytest.mark.parametrize(
    ("returns", "got"),
    [
        (lambda x, h: x, r"an array of shape \(3, 3\)"),
        (lambda x, h: (x, [h], h), "a tuple of 3"),
        (lambda x, h: None, "a NoneType"),
        (lambda x, h: (x, None), "none"),
        (lambda x, h: (x, []), "none"),
        (lambda x, h: (x, [h, h]), r"\(3, 3\), \(3, 3\)"),
        (lambda x, h: (x, [h[:, :1]]), r"\(3, 1\)"),
        (lambda x, h: (x, [h[:1]]), r"\(1, 3\)"),
        (lambda x, h: (x.sum(), [h]), r"an array of shape \(\)"),
        (lambda x, h: (x[:1], [h]), r"an array of shape \(1, 3\)"),
        (lambda x, h: (1.0, [h]), "a float"),
    ],
)
def test_what_a_cell_returns(backend: str, returns: Any, got: str) -> None:
    x = Ragged.from_list([np.ones((n, D), np.float32) for n in (2, 2, 2)])
    for make in (lambda: layers.RNN(Broken(returns)), lambda: layers.RNN([Broken(returns)], return_sequences=True)):
        with pytest.raises(ShapeError, match=f"the cell Broken of layer [^$]*Got: {got}[^$]*return y, ") as caught:
            in_a_model(make())(x)
        assert "layers/1" in str(caught.value), "the place in the model"


def test_a_wrong_initial_state_of_the_cells_own(backend: str) -> None:
    class Own(Layer):
        state_size = D

        def get_initial_state(self, batch_size: int) -> Any:
            return [self.xp.zeros((1, D), dtype=self.xp.float32)]

        def call(self, x: Any, states: Any) -> Any:
            return x, states

    with pytest.raises(ShapeError, match=r"get_initial_state of layer [^$]*layers/1[^$]*each of 4 rows[^$]*\(1, 3\)"):
        in_a_model(layers.RNN(Own()))(rows())


@pytest.mark.parametrize("cell", [None, 3, Layer(), [], [layers.GRUCell(2), Layer()]])
def test_what_is_no_cell(cell: Any) -> None:
    with pytest.raises(ArgumentError, match=r"a cell with `call` and `state_size`|a list of cells"):
        layers.RNN(cell)


@pytest.mark.parametrize("size", ["three", 2.5, -1, [3, None, "x"], (True,)])
def test_what_is_no_state_size(size: Any) -> None:
    cell = Plain()
    cell.state_size = size
    with pytest.raises(ArgumentError, match="state_size: expected the width of the state"):
        layers.RNN(cell)


def test_the_second_of_two_cells_is_named() -> None:
    with pytest.raises(ArgumentError, match=r"cells\[1\]: expected a cell with `call` and `state_size`"):
        layers.StackedRNNCells([layers.GRUCell(2), "lstm"])


MASKS = {
    "a step more": (lambda m: np.pad(m, ((0, 0), (0, 1))), r"the shape \(4, 5\)"),
    "a step less": (lambda m: m[:, 1:], r"the shape \(4, 5\)"),
    "an axis more": (lambda m: m[..., None], r"the shape \(4, 5\)|\(B, T\)"),
    "one axis": (lambda m: m[0], r"the shape \(4, 5\)|\(B, T\)|each of 9 steps"),
    "numbers": (lambda m: m.astype(np.int32), "bool"),
    "floats": (lambda m: m.astype(np.float32), "bool"),
}


@pytest.mark.parametrize("wrong", MASKS)
@pytest.mark.parametrize("make", [lambda: layers.LSTM(H), lambda: layers.Bidirectional(layers.RNN([OwnCell(H)]))])
def test_masks_of_the_wrong_shape(backend: str, wrong: str, make: Any) -> None:
    x = rows()
    mask, padded = x.rows.mask, x.to_padded()
    change, expected = MASKS[wrong]
    for given, words in ((padded, expected), (x, expected.replace("the shape", "a mask of shape"))):
        layer = make()
        with pytest.raises((ShapeError, MaskError), match=words) as caught:
            layer(given, mask=change(mask))
        assert layer.name in str(caught.value)
        assert not layer.built, "before any arithmetic"
