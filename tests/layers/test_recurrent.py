"""Recurrent layers on rows: each row alone, holes, empty rows, states, cells of one's own, dropout, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import padless
from padless import Ragged, layers
from padless.errors import ArgumentError, ShapeError
from padless.layer import Layer, substituted
from padless.random import drawing
from tests.tolerances import GRADIENTS, VALUES

D, H = 3, 4
LENGTHS = [3, 0, 1, 5]


class Leaky(Layer):
    """A cell whose output is not its first state, and wider than it."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.state_size = [units, 1]

    def build(self, spec: Any) -> None:
        self.kernel = self.add_weight("kernel", (spec[-1], self.units))

    def call(self, x: Any, states: Any) -> Any:
        h, count = states
        h = 0.5 * h + x @ self.kernel
        return self.xp.concat([2 * h, h * h], axis=-1), [h, count + 1]


class Sums:
    """A cell that is no layer: the running sum."""

    state_size = D

    def call(self, x: Any, states: Any) -> Any:
        return x + states[0], [x + states[0]]


MAKERS = {
    "lstm": lambda **a: layers.LSTM(H, **a),
    "gru": lambda **a: layers.GRU(H, **a),
    "gru_before": lambda **a: layers.GRU(H, reset_after=False, **a),
    "simple": lambda **a: layers.SimpleRNN(H, **a),
    "relu": lambda **a: layers.LSTM(H, activation="relu", **a),
    "own_cell": lambda **a: layers.RNN(Leaky(H), **a),
    "no_layer": lambda **a: layers.RNN(Sums(), **a),
    "backwards": lambda **a: layers.LSTM(H, go_backwards=True, **a),
    "own_cell_backwards": lambda **a: layers.RNN(Leaky(H), go_backwards=True, **a),
    "both": lambda **a: layers.Bidirectional(layers.LSTM(H, **a)),
    "both_gru_sum": lambda **a: layers.Bidirectional(layers.GRU(H, **a), merge_mode="sum"),
    "both_own_cell": lambda **a: layers.Bidirectional(layers.RNN(Leaky(H), **a), merge_mode="mul"),
    "both_lists": lambda **a: layers.Bidirectional(layers.SimpleRNN(H, **a), merge_mode=None),
}
every_layer = pytest.mark.parametrize("name", MAKERS)


def host(x: Any) -> np.ndarray[Any, Any]:
    return padless.backends.of(x).to_host(x)


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def sequences(lengths: list[int] = LENGTHS) -> list[np.ndarray[Any, Any]]:
    return [draw(n, D, seed=at) for at, n in enumerate(lengths)]


def parts(y: Any) -> list[Any]:
    return list(y) if isinstance(y, list | tuple) else [y]


def row_of(part: Any, at: int) -> np.ndarray[Any, Any]:
    if isinstance(part, Ragged):
        a, b = part.rows.row_splits[at : at + 2]
        return host(part.values)[a:b]
    return host(part)[at]


def by_rows(y: Any, nrows: int = len(LENGTHS)) -> list[list[np.ndarray[Any, Any]]]:
    return [[row_of(part, at) for part in parts(y)] for at in range(nrows)]


def assert_same_rows(a: list[list[Any]], b: list[list[Any]]) -> None:
    assert len(a) == len(b)
    for mine, other in zip(a, b, strict=True):
        assert len(mine) == len(other)
        for part, wanted in zip(mine, other, strict=True):
            np.testing.assert_allclose(part, wanted, **VALUES)


def padded(rows: list[np.ndarray[Any, Any]], side: str, length: int) -> tuple[np.ndarray[Any, Any], Any]:
    x = np.full((len(rows), length, D), np.nan, np.float32)
    mask = np.zeros((len(rows), length), bool)
    for at, row in enumerate(rows):
        here = slice(0, len(row)) if side == "post" else slice(length - len(row), length)
        x[at, here] = row
        mask[at, here] = True
    return x, mask


@every_layer
@pytest.mark.parametrize("returns", [{}, {"return_sequences": True}, {"return_sequences": True, "return_state": True}])
def test_a_row_gives_the_same_alone_in_a_batch_and_padded(backend: str, name: str, returns: dict[str, bool]) -> None:
    layer, rows = MAKERS[name](**returns), sequences()
    in_batch = by_rows(layer(Ragged.from_list(rows)))
    alone = [by_rows(layer(Ragged.from_list([row])), 1)[0] for row in rows]
    assert_same_rows(in_batch, alone)
    for side in ("post", "pre"):
        for length in (5, 9):
            x, mask = padded(rows, side, length)
            ragged = layer(Ragged.from_padded(x, mask))
            assert_same_rows(by_rows(ragged), alone)
            dense = parts(layer(x, mask=mask))
            for got, part in zip(dense, parts(ragged), strict=True):
                wanted = part.to_padded() if isinstance(part, Ragged) else part
                assert tuple(got.shape) == tuple(wanted.shape)
                np.testing.assert_array_equal(host(got), host(wanted))
                if isinstance(part, Ragged):
                    assert tuple(got.shape[:2]) == (4, length)
                    assert not host(got)[~mask].any()


@every_layer
def test_padding_reaches_no_gradient(name: str) -> None:
    torch = pytest.importorskip("torch")
    layer, rows = MAKERS[name](return_sequences=True), sequences()

    def gradients(x: Any, **arguments: Any) -> list[Any]:
        tensors = [host(part) for part in parts(layer(x, **arguments))]
        leaves = {
            path: owner.__dict__[key].detach().clone().requires_grad_()
            for path, (owner, key) in layer.weight_slots().items()
        }
        x = torch.from_numpy(x).requires_grad_()
        with substituted(layer, leaves):
            total = sum((part.sin()).sum() for part in parts(layer(x, **arguments)))
        assert all(np.isfinite(t).all() for t in tensors)
        return [g.numpy() for g in torch.autograd.grad(total, [*leaves.values(), x])]

    x, mask = padded(rows, "pre", 7)
    padding = gradients(x, mask=mask)
    assert not padding[-1][~mask].any()
    alone = [gradients(row[None]) for row in rows if len(row)]
    for at, whole in enumerate(padding[:-1]):
        np.testing.assert_allclose(whole, sum(each[at] for each in alone), **GRADIENTS)
    full = [row for row in range(len(rows)) if LENGTHS[row]]
    for row, each in zip(full, alone, strict=True):
        np.testing.assert_allclose(padding[-1][row][mask[row]], each[-1][0], **GRADIENTS)


@every_layer
def test_holes_are_skipped_and_stay_where_they_are(backend: str, name: str) -> None:
    x, mask = draw(2, 6, D), np.array([[1, 0, 1, 1, 0, 0], [0, 1, 1, 0, 0, 1]], bool)
    x[~mask] = np.nan
    layer = MAKERS[name](return_sequences=True, return_state=True)
    holes = layer(x, mask=mask)
    closed = layer(np.stack([row[live] for row, live in zip(x, mask, strict=True)]))
    for got, wanted in zip(parts(holes), parts(closed), strict=True):
        if wanted.ndim == 3:
            np.testing.assert_allclose(host(got)[mask].reshape(wanted.shape), host(wanted), **VALUES)
            assert not host(got)[~mask].any()
        else:
            np.testing.assert_allclose(host(got), host(wanted), **VALUES)


@pytest.mark.parametrize("name", ["lstm", "gru", "gru_before", "simple", "backwards"])
def test_an_empty_row_keeps_the_initial_state(backend: str, name: str) -> None:
    layer = MAKERS[name](return_state=True)
    count = len(layer.state_size)
    start = [draw(4, H, seed=40 + k) for k in range(count)]
    output, *states = layer(Ragged.from_list(sequences()), initial_state=start)
    np.testing.assert_array_equal(host(output)[1], start[0][1])
    for state, first in zip(states, start, strict=True):
        np.testing.assert_array_equal(host(state)[1], first[1])
    output, *states = layer(Ragged.from_list([np.zeros((0, D), np.float32)] * 4), initial_state=start)
    np.testing.assert_array_equal(host(output), start[0])


@every_layer
def test_nothing_but_empty_rows_and_no_rows_at_all(backend: str, name: str) -> None:
    layer = MAKERS[name](return_sequences=True)
    layer(Ragged.from_list(sequences()))
    for nrows in (0, 2):
        x = Ragged(layer.backend.asarray(np.zeros((0, D), np.float32)), padless.RowPartition([0] * (nrows + 1)))
        for part in parts(layer(x)):
            assert part.rows.nrows == nrows
            assert part.values.shape[0] == 0


@pytest.mark.parametrize("name", ["lstm", "gru", "gru_before", "simple", "backwards"])
def test_initial_state_beside_rows_is_that_of_each_row(backend: str, name: str) -> None:
    layer, rows = MAKERS[name](return_sequences=True, return_state=True), sequences()
    start = [draw(4, H, seed=40 + k) for k in range(len(layer.state_size))]
    whole = by_rows(layer(Ragged.from_list(rows), initial_state=start))
    alone = [
        by_rows(layer(Ragged.from_list([row]), initial_state=[s[at : at + 1] for s in start]), 1)[0]
        for at, row in enumerate(rows)
    ]
    assert_same_rows(whole, alone)
    x, mask = padded(rows, "pre", 8)
    assert_same_rows(by_rows(layer(Ragged.from_padded(x, mask), initial_state=start)), alone)


@pytest.mark.parametrize("name", ["lstm", "gru", "simple", "own_cell"])
def test_the_state_after_a_part_continues_the_whole(backend: str, name: str) -> None:
    layer, rows = MAKERS[name](return_state=True), sequences([4, 2, 6])
    _, *half = layer(Ragged.from_list([row[:2] for row in rows]))
    two_parts = layer(Ragged.from_list([row[2:] for row in rows]), initial_state=half)
    for got, wanted in zip(two_parts[1:], layer(Ragged.from_list(rows))[1:], strict=True):
        np.testing.assert_allclose(host(got), host(wanted), **VALUES)


def test_going_backwards_gives_each_rows_last_step_first(backend: str) -> None:
    forwards, backwards = layers.GRU(H, return_sequences=True), layers.GRU(H, return_sequences=True, go_backwards=True)
    rows = sequences()
    reversed_rows = forwards(Ragged.from_list([row[::-1].copy() for row in rows]))
    backwards(Ragged.from_list(rows))
    backwards.set_weights(forwards.get_weights())
    assert_same_rows(by_rows(backwards(Ragged.from_list(rows))), by_rows(reversed_rows))


def test_the_way_back_stands_at_its_own_steps(backend: str) -> None:
    layer, rows = layers.Bidirectional(layers.RNN(Sums(), return_sequences=True)), sequences()
    for got, row in zip(by_rows(layer(Ragged.from_list(rows))), rows, strict=True):
        wanted = np.concatenate([np.cumsum(row, axis=0), np.cumsum(row[::-1], axis=0)[::-1]], axis=1)
        np.testing.assert_allclose(got[0], wanted, **VALUES)


def test_a_list_comes_back_as_a_list(backend: str) -> None:
    output, h = layers.GRU(H, return_sequences=True, return_state=True)([[[1.0] * D], []])
    assert isinstance(output, list)
    assert [len(row) for row in output] == [1, 0]
    assert tuple(h.shape) == (2, H)


def test_a_cell_of_ones_own_whose_output_is_not_its_state(backend: str) -> None:
    layer, rows = layers.RNN(Leaky(H), return_sequences=True, return_state=True), sequences()
    output, h, count = layer(Ragged.from_list(rows))
    assert output.shape == (4, None, 2 * H)
    np.testing.assert_array_equal(host(count)[:, 0], LENGTHS)
    kernel = layer.get_weights()[0]
    for at, row in enumerate(rows):
        state, outputs = np.zeros(H, np.float32), []
        for x in row:
            state = 0.5 * state + x @ kernel
            outputs.append(np.concatenate([2 * state, state * state]))
        np.testing.assert_allclose(row_of(output, at), np.reshape(outputs, (-1, 2 * H)), **VALUES)
        np.testing.assert_allclose(host(h)[at], state, **VALUES)
    assert list(layer.weight_slots()) == ["cell/kernel"]


@pytest.mark.parametrize("go_backwards", [False, True])
def test_the_last_output_is_that_of_the_step_read_last(backend: str, go_backwards: bool) -> None:
    layer = layers.RNN(Sums(), go_backwards=go_backwards)
    np.testing.assert_allclose(
        host(layer(Ragged.from_list(sequences()))), [r.sum(axis=0) for r in sequences()], **VALUES
    )


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_the_cell_step_by_step_is_the_layer(backend: str, kind: str) -> None:
    layer = getattr(layers, kind)(H, return_sequences=True)
    x = draw(2, 5, D)
    whole = host(layer(x))
    states = layer.get_initial_state(2)
    for t in range(5):
        y, states = layer.cell(x[:, t], states)
        np.testing.assert_allclose(host(y), whole[:, t], **VALUES)


@pytest.mark.parametrize("changed", ["call", "step", "project"])
def test_what_a_subclass_of_a_cell_changes_is_what_runs(backend: str, changed: str) -> None:
    class Doubled(layers.LSTMCell):
        def call(self, x: Any, states: Any) -> Any:
            return super().call(2 * x if changed == "call" else x, states)

    class Stepped(layers.LSTMCell):
        def step(self, z: Any, state: Any, *constants: Any) -> Any:
            return super().step(z + 1, state, *constants)

    class Projected(layers.LSTMCell):
        def project(self, x: Any) -> Any:
            return super().project(x) + 1

    cell = {"call": Doubled, "step": Stepped, "project": Projected}[changed](H)
    layer, plain = layers.RNN(cell), layers.LSTM(H)
    x = Ragged.from_list(sequences())
    layer(x)
    plain(x)
    weights = layer.get_weights()
    plain.set_weights([weights[0] * 2, *weights[1:]] if changed == "call" else [*weights[:2], weights[2] + 1])
    np.testing.assert_allclose(host(layer(x)), host(plain(x)), **VALUES)


# ---- Bidirectional


def test_both_directions_are_copies_with_weights_of_their_own(backend: str) -> None:
    for template in (layers.LSTM(H, name="tagger"), layers.RNN(Leaky(H), name="tagger")):
        layer = layers.Bidirectional(template)
        layer(Ragged.from_list(sequences()))
        assert layer.forward_layer is not template
        assert not template.built
        assert layer.forward_layer.cell is not layer.backward_layer.cell
        assert [layer.forward_layer.name, layer.backward_layer.name] == ["forward_tagger", "backward_tagger"]
        assert [layer.forward_layer.go_backwards, layer.backward_layer.go_backwards] == [False, True]
        paths = [path.split("/")[0] for path in layer.weight_slots()]
        assert paths == ["forward_layer"] * (len(paths) // 2) + ["backward_layer"] * (len(paths) // 2)


def test_a_subclass_without_the_usual_arguments_works_in_both_directions(backend: str) -> None:
    class Tagger(layers.GRU):
        def __init__(self) -> None:
            super().__init__(H, return_sequences=True)

    layer = layers.Bidirectional(Tagger())
    assert layer(Ragged.from_list(sequences())).shape == (4, None, 2 * H)
    assert layer.backward_layer.go_backwards


def test_both_directions_give_each_step_its_own_output_whatever_class_they_have(backend: str) -> None:
    class Named(layers.LSTM):
        def call(self, x: Any, initial_state: Any = None) -> Any:
            return super().call(x, initial_state)

    x = Ragged.from_list(sequences())
    both = layers.Bidirectional(layers.LSTM(H, return_sequences=True))
    y = both(x)
    own = layers.Bidirectional(Named(H, return_sequences=True))
    own(x)
    own.set_weights(both.get_weights())
    np.testing.assert_allclose(host(own(x).values), host(y.values), **VALUES)
    # Called alone, the layer inside gives the last step first, as ever.
    back = padless.row_reverse(both.backward_layer(x))
    np.testing.assert_allclose(host(back.values), host(y.values)[:, H:], **VALUES)


def test_frozen_stays_frozen() -> None:
    template = layers.LSTM(H)
    template.trainable = False
    layer = layers.Bidirectional(template)
    layer(Ragged.from_list(sequences()))
    assert layer.trainable_weights == []
    assert len(layer.weights) == 6


def test_first_weights(backend: str) -> None:
    first = layers.Bidirectional(layers.GRU(H))
    x = Ragged.from_list(sequences())
    wanted = first(x)
    again = layers.Bidirectional(layers.GRU(H), weights=first.get_weights())
    np.testing.assert_array_equal(host(again(x)), host(wanted))


def test_a_bidirectional_model_has_a_config(backend: str) -> None:
    layer = layers.Bidirectional(layers.LSTM(H, return_sequences=True, dropout=0.1), merge_mode="ave")
    x = Ragged.from_list(sequences())
    wanted = layer(x)
    again = layers.Bidirectional.from_config(layer.get_config())
    again(x)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(host(again(x).values), host(wanted.values))
    assert again.forward_layer.name == layer.forward_layer.name
    assert again.forward_layer.cell.dropout == 0.1


# ---- dropout


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("share", ["dropout", "recurrent_dropout"])
def test_dropout_drops_in_training_only(backend: str, kind: str, share: str) -> None:
    layer = getattr(layers, kind)(H, **{share: 0.5})
    x = Ragged.from_list(sequences())
    quiet = host(layer(x))
    np.testing.assert_array_equal(host(layer(x)), quiet)
    assert np.abs(host(layer(x, training=True)) - quiet).max() > 1e-3
    with drawing(7, 1):
        first, same = host(layer(x, training=True)), host(layer(x, training=True))
    with drawing(7, 2):
        next_step = host(layer(x, training=True))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - next_step).max() > 1e-3


def test_input_dropout_is_one_mask_for_all_steps_of_a_row(backend: str) -> None:
    layer = layers.RNN(layers.SimpleRNNCell(D, activation=None, dropout=0.5), return_sequences=True)
    ones = Ragged.from_list([np.ones((n, D), np.float32) for n in (6, 4)])
    layer(ones)
    layer.set_weights([np.eye(D), np.zeros((D, D)), np.zeros(D)])
    with drawing(3, 0):
        y = layer(ones, training=True)
    for at in range(2):
        row = row_of(y, at)
        assert set(np.unique(row)) <= {0.0, 2.0}
        assert (row == row[0]).all()
    with drawing(3, 0):
        x, mask = padded([np.ones((n, D), np.float32) for n in (6, 4)], "pre", 9)
        again = layer(x, mask=mask, training=True)
    np.testing.assert_array_equal(host(again)[mask], host(y.values))


def test_recurrent_dropout_multiplies_the_state_with_one_mask_per_row(backend: str) -> None:
    layer = layers.RNN(layers.SimpleRNNCell(D, activation=None, recurrent_dropout=0.5), return_sequences=True)
    x = Ragged.from_list([np.ones((3, D), np.float32)] * 5)
    layer(x)
    layer.set_weights([np.eye(D), np.eye(D), np.zeros(D)])
    y = host(layer(x, training=True).values).reshape(5, 3, D)
    assert (y[:, 0] == 1).all()
    assert set(np.unique(y[:, 1])) == {1.0, 3.0}
    np.testing.assert_array_equal(y[:, 2], np.where(y[:, 1] == 1, 1.0, 7.0))


@pytest.mark.parametrize("reset_after", [False, True])
def test_recurrent_dropout_of_a_gru_leaves_the_state_that_is_carried_on(backend: str, reset_after: bool) -> None:
    layer = layers.RNN(layers.GRUCell(H, recurrent_dropout=0.5, reset_after=reset_after))
    x = Ragged.from_list([np.zeros((3, D), np.float32)] * 5)
    layer(x)
    kernel, recurrent, bias = layer.get_weights()
    bias[..., :H] = 20  # the update gate is open: all of the state goes on, and nothing new comes
    layer.set_weights([kernel, recurrent * 0, bias])
    start = draw(5, H)
    np.testing.assert_allclose(host(layer(x, initial_state=start, training=True)), start, **VALUES)


# ---- models


@every_layer
def test_in_a_functional_model(backend: str, name: str) -> None:
    x = padless.Input((None, D))
    y = MAKERS[name](return_sequences=True)(x)
    model = padless.Model(x, y)
    rows = sequences()
    got = model(Ragged.from_list(rows))
    padding, mask = padded(rows, "post", 5)
    padding[~mask] = 0
    for part in parts(got):
        assert part.rows.row_lengths.tolist() == LENGTHS
    assert len(parts(model(padding))) == len(parts(got))


def test_encoder_and_decoder(backend: str) -> None:
    source, target = padless.Input((None, D)), padless.Input((None, 2))
    _, h, c = layers.LSTM(H, return_state=True)(source)
    decoded = layers.LSTM(H, return_sequences=True)(target, initial_state=[h, c])
    model = padless.Model([source, target], decoded)
    rows, targets = sequences(), [draw(n, 2, seed=9 + n) for n in (2, 4, 0, 1)]
    whole = by_rows(model([Ragged.from_list(rows), Ragged.from_list(targets)]))
    for at in range(4):
        alone = model([Ragged.from_list(rows[at : at + 1]), Ragged.from_list(targets[at : at + 1])])
        np.testing.assert_allclose(whole[at][0], row_of(alone, 0), **VALUES)


def test_encoder_and_decoder_that_read_both_ways(backend: str) -> None:
    source, target = padless.Input((None, D)), padless.Input((None, 2))
    _, *states = layers.Bidirectional(layers.LSTM(H, return_state=True))(source)
    assert len(states) == 4
    decoded = layers.Bidirectional(layers.LSTM(H, return_sequences=True))(target, initial_state=states)
    model = padless.Model([source, target], decoded)
    rows, targets = sequences(), [draw(n, 2, seed=9 + n) for n in (2, 4, 0, 1)]
    x, mask = padded(rows, "pre", 7)
    whole = by_rows(model([Ragged.from_list(rows), Ragged.from_list(targets)]))
    assert_same_rows(by_rows(model([Ragged.from_padded(x, mask), Ragged.from_list(targets)])), whole)
    for at in range(4):
        alone = model([Ragged.from_list(rows[at : at + 1]), Ragged.from_list(targets[at : at + 1])])
        np.testing.assert_allclose(whole[at][0], row_of(alone, 0), **VALUES)
    forward = model.layers[1].forward_layer
    flat = [draw(4, H, seed=at) for at in range(4)]
    given = model.layers[1](Ragged.from_list(targets), initial_state=flat)
    forth = forward(Ragged.from_list(targets), initial_state=tuple(flat[:2]))
    np.testing.assert_array_equal(host(given.values)[:, :H], host(forth.values))


# ---- errors


@pytest.mark.parametrize("make", [layers.LSTM, layers.GRU, layers.SimpleRNN, layers.GRUCell])
@pytest.mark.parametrize("units", [0, -1, 2.5, None])
def test_units(make: Any, units: Any) -> None:
    with pytest.raises(ArgumentError, match="units: expected a whole number above 0"):
        make(units)


@pytest.mark.parametrize("share", ["dropout", "recurrent_dropout"])
def test_shares(share: str) -> None:
    with pytest.raises(ArgumentError, match=f"{share}: expected a share"):
        layers.LSTM(H, **{share: 1.0})


def test_accepted_without_effect(backend: str) -> None:
    x = Ragged.from_list(sequences())
    layer = layers.LSTM(H, unroll=True, use_cudnn=False, implementation=1, zero_output_for_mask=True)
    plain = layers.LSTM(H)
    plain(x)
    layer(x)
    layer.set_weights(plain.get_weights())
    np.testing.assert_array_equal(host(layer(x)), host(plain(x)))


def test_unknown_argument() -> None:
    with pytest.raises(ArgumentError, match="return_sequences"):
        layers.LSTM(H, return_sequence=True)


def test_wrong_rank(backend: str) -> None:
    with pytest.raises(ShapeError, match=r"sequences with features at each step, \(B, T, D\)"):
        layers.LSTM(H)(draw(2, 5))
    with pytest.raises(ShapeError, match="Embedding"):
        layers.LSTM(H)([[1, 2], [3]])
    with pytest.raises(ShapeError, match=r"'lstm_cell'.*a vector at each step"):
        layers.LSTM(H)(draw(2, 5, 3, 2))
    layer = layers.LSTM(H)
    layer(draw(2, 5, D))
    with pytest.raises(ShapeError, match=r"steps of shape \(3,\), as in the first call"):
        layer(draw(2, 5, D + 1))


def test_initial_state_of_another_shape(backend: str) -> None:
    x = draw(2, 5, D)
    for states in ([draw(2, H)], draw(2, H), [draw(2, H), draw(3, H)], [draw(2, H), draw(2, H + 1)]):
        with pytest.raises(ShapeError, match=r"2 array\(s\) of shape \(2, 4\), \(2, 4\)"):
            layers.LSTM(H)(x, initial_state=states)
    assert tuple(layers.GRU(H)(x, initial_state=draw(2, H)).shape) == (2, H)
    with pytest.raises(ShapeError, match="as many of the backward layer's"):
        layers.Bidirectional(layers.GRU(H))(x, initial_state=[draw(2, H)])


def test_initial_state_of_another_size_names_the_place_in_the_model(backend: str) -> None:
    source, target = padless.Input((None, D)), padless.Input((None, 2))
    state = layers.GRU(H)(source)
    for name, decoder in (
        ("layers/1 of", layers.GRU(H, name="decoder")),
        ("layers/1/forward_layer of", layers.Bidirectional(layers.GRU(H, name="decoder"))),
    ):
        both = isinstance(decoder, layers.Bidirectional)
        model = padless.Model([source, target], decoder(target, initial_state=[state, state] if both else state))
        with pytest.raises(
            ShapeError, match=rf"initial_state of layer '\w*decoder' [^$]*{name}[^$]*\(3, 4\)[^$]*\(4, 4\)"
        ):
            model([Ragged.from_list(sequences()), Ragged.from_list([draw(1, 2)] * 3)])
    with pytest.raises(ShapeError, match=r"initial_state of layer 'decoder'[^$]*1 array\(s\) of shape \(None, 5\)"):
        layers.GRU(5, name="decoder")(target, initial_state=state)


def test_bidirectional_arguments() -> None:
    with pytest.raises(ArgumentError, match="'concat', 'sum', 'mul', 'ave' or None"):
        layers.Bidirectional(layers.GRU(H), merge_mode="add")
    with pytest.raises(ArgumentError, match="expected a recurrent layer"):
        layers.Bidirectional(layers.GRUCell(H))
    with pytest.raises(ArgumentError, match="go_backwards False in both"):
        layers.Bidirectional(layers.GRU(H), backward_layer=layers.GRU(H))
    with pytest.raises(ArgumentError, match="return_state False and True"):
        layers.Bidirectional(layers.GRU(H), backward_layer=layers.GRU(H, go_backwards=True, return_state=True))


def test_a_cell_without_state_size() -> None:
    with pytest.raises(ArgumentError, match="a cell with `call` and `state_size`"):
        layers.RNN(Layer())
