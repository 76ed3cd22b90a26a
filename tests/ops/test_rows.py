"""What would mix rows raises and says what to write; forms, dtypes, holes, segments, reshape."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import padless
from padless import DataError, Input, MaskError, Model, Ragged, backends, layers, ops
from padless.errors import ArgumentError, NotThereYetError, ShapeError
from padless.layers import Dense
from tests.tolerances import VALUES


def ragged(lengths: list[int], width: tuple[int, ...] = (3,), seed: int = 0) -> Ragged:
    values = np.random.default_rng(seed).normal(size=(sum(lengths), *width)).astype(np.float32)
    return Ragged.from_lengths(backends.current().asarray(values), lengths)


def host(x: Any) -> np.ndarray[Any, Any]:
    return np.asarray(backends.of(x).to_host(x))


REDUCTIONS = "sum mean max min prod any all logsumexp var std norm argmax argmin count_nonzero".split()


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [None, 0, -3, (0, 2)])
def test_reductions_over_rows_raise(name: str, axis: Any) -> None:
    if isinstance(axis, tuple) and name.startswith("arg"):
        pytest.skip("takes one axis")
    with pytest.raises(MaskError, match=r"ops\.\w+: expected axes after the batch.*\n.*\n.*axis=1\) for one result"):
        getattr(ops, name)(ragged([2, 0, 1]), axis=axis)


def test_reductions_over_rows_raise_on_symbols() -> None:
    with pytest.raises(MaskError, match=r"axis=1\) for one result per row"):
        ops.sum(Input((None, 3), ragged=True))
    # Nor vectors of a batch: what a row gives must not depend on the others.
    vector = Input((3,))
    for attempt in (
        lambda: ops.mean(vector),
        lambda: ops.sum(vector, 0),
        lambda: ops.max(vector, axis=(0, 1)),
        lambda: ops.argmax(vector, axis=-2),
        lambda: ops.norm(vector, 2),
        lambda: ops.moments(vector, axes=[0]),
    ):
        with pytest.raises(MaskError, match="rows must not touch each other"):
            attempt()
    assert tuple(ops.norm(vector, 2, -1).shape) == tuple(ops.mean(vector, axis=1).shape) == (None,)
    assert tuple((vector * np.float32(2) + np.array(1))[:, np.int64(1)].shape) == (None,)


MIXING: list[tuple[str, Callable[[Ragged], Any]]] = [
    ("softmax", lambda x: ops.softmax(x, axis=0)),
    ("softmax", lambda x: ops.softmax(x, axis=None)),
    ("cumsum", lambda x: ops.cumsum(x)),
    ("cumsum", lambda x: ops.cumsum(x, axis=0)),
    ("flip", lambda x: ops.flip(x)),
    ("flip", lambda x: ops.flip(x, axis=0)),
    ("roll", lambda x: ops.roll(x, 1, axis=1)),
    ("repeat", lambda x: ops.repeat(x, 2, axis=1)),
    ("expand_dims", lambda x: ops.expand_dims(x, 1)),
    ("expand_dims", lambda x: ops.expand_dims(x, 0)),
    ("squeeze", lambda x: ops.squeeze(x, 1)),
    ("stack", lambda x: ops.stack([x, x], axis=0)),
    ("stack", lambda x: ops.stack([x, x], axis=1)),
    ("stack", lambda x: ops.stack([x, np.ones((2, 3))], axis=2)),
    ("concatenate", lambda x: ops.concatenate([x, x], axis=0)),
    ("concatenate", lambda x: ops.concatenate([x, np.ones((2, 3), np.float32)], axis=-1)),
    ("split", lambda x: ops.split(x, 2, axis=1)),
    ("unstack", lambda x: ops.unstack(x, axis=0)),
    ("take", lambda x: ops.take(x, [0], axis=1)),
    ("take", lambda x: ops.take(x, [0])),
    ("transpose", lambda x: ops.transpose(x)),
    ("transpose", lambda x: ops.transpose(x, (1, 0, 2))),
    ("moveaxis", lambda x: ops.moveaxis(x, 1, 2)),
    ("swapaxes", lambda x: ops.swapaxes(x, 1, 2)),
    ("sort", lambda x: ops.sort(x, axis=1)),
    ("argsort", lambda x: ops.argsort(x, axis=0)),
    ("pad", lambda x: ops.pad(x, 1)),
    ("reshape", lambda x: ops.reshape(x, (-1, 3))),
    ("reshape", lambda x: ops.reshape(x, (-1, None, 2))),
    ("reshape", lambda x: ops.reshape(x, (2, 3, 3))),
    ("matmul", lambda x: x @ x),
    ("matmul", lambda x: ops.matmul(np.ones((2, 3)), x)),
    ("einsum", lambda x: ops.einsum("btd,bsd->bts", x, x)),
    ("einsum", lambda x: ops.einsum("btd->td", x)),
    ("einsum", lambda x: ops.einsum("btd->bdt", x)),
    ("einsum", lambda x: ops.einsum("btd,td->btd", x, np.ones((2, 3)))),
    ("einsum", lambda x: ops.einsum("btd,ctd->bc", x, x)),
    ("tensordot", lambda x: ops.tensordot(np.ones((2, 3)), x, 1)),
    ("segment_sum", lambda x: ops.segment_sum(x, [0, 0, 1])),
    ("take_along_axis", lambda x: ops.take_along_axis(x, np.zeros((2, 3), int), axis=2)),
]


@pytest.mark.parametrize(("name", "attempt"), MIXING, ids=[f"{at}-{name}" for at, (name, _) in enumerate(MIXING)])
def test_what_would_mix_rows_raises(name: str, attempt: Callable[[Ragged], Any]) -> None:
    with pytest.raises(MaskError, match=r"(?s)(ops\.\w+|operator @).*Fix: "):
        attempt(ragged([2, 1]))


BATCH: list[Callable[[Any], Any]] = [
    *(
        lambda v, f=f: getattr(ops, f)(v, axis=0)
        for f in "softmax log_softmax cumsum normalize sort argsort flip".split()
    ),
    *(lambda v, f=f: getattr(ops, f)(v) for f in "cumprod flip transpose unstack".split()),
    lambda v: ops.softmax(v, axis=(0, 1)),
    lambda v: ops.roll(v, 1),
    lambda v: ops.roll(v, 1, axis=-2),
    lambda v: ops.take(v, [0], axis=0),
    lambda v: ops.take_along_axis(v, ops.cast(v, "int32"), axis=0),
    lambda v: ops.get_item(v, 0),
    lambda v: ops.concatenate([v, v], axis=0),
    lambda v: ops.stack([v, v]),
    lambda v: ops.split(v, 3),
    lambda v: ops.repeat(v, 2, axis=0),
    lambda v: ops.expand_dims(v, 0),
    lambda v: ops.one_hot(v, 3, axis=-3),
    lambda v: ops.swapaxes(v, 0, 1),
    lambda v: ops.moveaxis(v, 0, -1),
    lambda v: ops.pad(v, 1),
    lambda v: ops.reshape(v, (-1,)),
    lambda v: ops.reshape(v, (3, 3)),
    lambda v: ops.matmul(v, v),
    lambda v: v @ v,
    lambda v: ops.dot(v, v),
    lambda v: ops.tensordot(v, np.ones((3, 2), np.float32), axes=[[0], [0]]),
    lambda v: ops.tensordot(v, v, axes=[[1], [1]]),
    lambda v: ops.einsum("bd,be->de", v, v),
    lambda v: ops.einsum("bd,ce->bcde", v, v),
    lambda v: ops.einsum("bd->db", v),
    lambda v: ops.segment_sum(v, [0, 0, 1], 2),
    lambda v: padless.activations.softmax(v, axis=0),
    lambda v: v * ops.sum(v, axis=1),  # (B, D) beside (B,): one batch beside the features of another
]


@pytest.mark.parametrize("attempt", BATCH, ids=map(str, range(len(BATCH))))
def test_no_function_of_symbols_mixes_the_batch(attempt: Callable[[Any], Any]) -> None:
    """Rows that have ended are an array (B, D), whose entries must not touch each other either."""
    for v in (Input((3,)), ops.max(Input((None, 3)), axis=1)):
        with pytest.raises(MaskError):
            attempt(v)


def test_vectors_beside_rows_are_no_features() -> None:
    x = Input((None, 3))  # as many features as a stand-in has rows
    with pytest.raises(MaskError, match=r"ops.multiply: .*\n.*rows\) and Symbol.*\n.*padless.spread"):
        x * ops.sum(x, axis=(1, 2))


def test_functions_of_symbols_that_leave_the_batch_alone(backend: str) -> None:
    v = Input((2, 3))
    made = [
        ops.transpose(v, (0, 2, 1)),
        ops.reshape(v, (-1, 6)),
        ops.reshape(v, (-1, 3, 2)),
        ops.expand_dims(v, -1),
        ops.stack([v, v], axis=1),
        ops.pad(v, ((0, 0), (1, 0), (0, 2))),
        ops.squeeze(v[:, :1]),
        ops.matmul(v, ops.swapaxes(v, 1, 2)),
        ops.tensordot(v, np.ones((3, 2), np.float32), axes=1),
        ops.einsum("...d,de->...e", v, np.ones((3, 2), np.float32)),
        ops.einsum("btd,bsd->bts", v, v),
        ops.softmax(v, axis=(1, 2)),
        v * ops.expand_dims(ops.sum(v, axis=-1), -1),
    ]
    x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    model = Model(v, made)
    for all_rows, alone in zip(model(x), model(x[3:4]), strict=True):
        np.testing.assert_allclose(host(all_rows)[3:4], host(alone), **VALUES)


def test_the_first_value_of_a_function_of_symbols_by_name() -> None:
    x = Input((None, 3))
    model = Model(x, [ops.relu(x=x), ops.sum(x=x, axis=1), ops.add(x2=x, x1=1)])
    first, second, third = model(Ragged.from_list([[[-1.0, 2.0, 3.0]]]))
    with pytest.raises(ArgumentError, match=r"ops.relu: expected x.*\n.*'y'"):
        ops.relu(y=x)
    assert (first.to_list(), second.tolist(), third.to_list()) == ([[[0, 2, 3]]], [[-1, 2, 3]], [[[0, 3, 4]]])


def test_pairs_of_steps_are_not_reduced_as_if_they_were_steps() -> None:
    """As padded arrays they are (B, T, S), so that axis 1 or -1 would mean something else."""
    x = Ragged.from_pairs([np.ones((2, 3)), np.ones((1, 2))])
    for attempt in (
        lambda: ops.softmax(x, axis=-1),
        lambda: ops.sum(x, axis=1),
        lambda: ops.cumsum(x, axis=1),
        lambda: x[:, 0],
        lambda: x[..., 0],
        lambda: x[:, 1:],
    ):
        with pytest.raises(MaskError, match="pairs of steps"):
            attempt()
    assert (ops.relu(x - 0.5) + 1)[1:].to_list() == [[[1.5, 1.5]]]


def test_steps_are_no_pairs_however_many_they_are() -> None:
    steps = Ragged.from_lengths(np.ones(5), [3, 2])
    pairs = Ragged.from_pairs([np.ones((1, 3)), np.ones((1, 2))])
    for attempt in (lambda: steps + pairs, lambda: pairs + steps):
        with pytest.raises(DataError, match="steps against pairs of steps"):
            attempt()


def test_a_matrix_that_does_not_fit_names_both_sides(backend: str) -> None:
    with pytest.raises(ShapeError, match=r"operator @: expected 3 rows .*\n.*\(5, 2\) on the right of Ragged\(shape="):
        ragged([2, 1]) @ np.ones((5, 2), np.float32)


@pytest.mark.parametrize("name", ["add", "maximum", "where", "concatenate", "stack", "einsum"])
def test_other_rows_are_an_error_that_shows_the_first(name: str) -> None:
    one, other = ragged([2, 1]), ragged([1, 2])
    calls: dict[str, Callable[[], Any]] = {
        "where": lambda: ops.where(one > 0, one, other),
        "concatenate": lambda: ops.concatenate([one, other], axis=-1),
        "stack": lambda: ops.stack([one, other], axis=-1),
        "einsum": lambda: ops.einsum("btd,btd->bt", one, other),
    }
    with pytest.raises(DataError, match="row 0 has 2 steps on one side and 1 on the other"):
        calls.get(name, lambda: getattr(ops, name)(one, other))()


def test_arrays_beside_rows_need_an_entry_for_each_feature() -> None:
    x = ragged([2, 1])
    made = ops.maximum(x, np.zeros(3, np.float32))
    np.testing.assert_array_equal(host(made.values), np.maximum(host(x.values), 0))
    assert ops.clip(x, -1, np.ones(3)).rows is x.rows
    for array in (np.zeros((2, 3)), np.zeros((3, 3)), np.zeros(2)):
        with pytest.raises(MaskError, match=r"padless\.spread"):
            ops.maximum(x, array)


def test_wrong_axes_and_shapes_say_so() -> None:
    x = ragged([2, 1], (4,))
    with pytest.raises(ShapeError, match=r"ops\.sum: axis: expected an axis of \(2, None, 4\)"):
        ops.sum(x, axis=3)
    with pytest.raises(ArgumentError, match="a number, or several"):
        ops.sum(x, axis="time")
    with pytest.raises(ShapeError, match="4 entries can be cut into"):
        ops.split(x, 3, axis=-1)
    with pytest.raises(ShapeError, match="axes of size 1"):
        ops.squeeze(x, -1)
    with pytest.raises(ShapeError, match="3 letters for the axes"):
        ops.einsum("bt->bt", x)
    with pytest.raises(ArgumentError, match="2 values for"):
        ops.einsum("btd,de->bte", x)
    with pytest.raises(ShapeError, match="a shape of 6 entries"):
        ops.reshape(np.ones((2, 3)), (4, -1))
    with pytest.raises(NotThereYetError, match=r"ops\.norm: ord"):
        ops.norm(np.ones((2, 2)), ord="nuc")
    with pytest.raises(ShapeError, match="one segment for each entry"):
        ops.segment_sum(np.ones((3, 2)), [0, 1])


def test_reshape_of_features_on_rows_arrays_and_symbols(backend: str) -> None:
    x = ragged([2, 0, 1], (6,))
    for shape in ((-1, None, 2, 3), (None, None, 2, -1), (3, -1, 3, 2), (-1, None, 6)):
        made = ops.reshape(x, shape)
        assert made.rows is x.rows
        assert made.shape[2:] == tuple(6 // 2 if n == -1 else n for n in shape[2:])
    dense = backends.current().asarray(np.arange(24, dtype=np.float32).reshape(2, 2, 6))
    assert tuple(ops.reshape(dense, (-1, None, 2, 3)).shape) == (2, 2, 2, 3)
    assert tuple(ops.reshape(dense, (2, -1)).shape) == (2, 12)
    symbol = Input((None, 6))
    model = Model(symbol, ops.reshape(symbol, (-1, ops.shape(symbol)[1], 2, 3)))
    assert model(x).shape == (3, None, 2, 3)
    assert tuple(model(dense).shape) == (2, 2, 2, 3)


def test_a_graph_of_functions_reads_rows_and_arrays_alike(backend: str) -> None:
    """The same model on rows, and on a dense array of rows of one length."""
    x = Input((None, 4))
    centred = ops.tanh(x * 2 + 1)
    size = ops.norm(centred, axis=(1, 2), keepdims=True)[:, 0]
    y = ops.concatenate([ops.max(centred, axis=1), centred[:, -1], size], -1)
    model = Model(x, y)
    dense = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
    expected = host(model(list(dense)))
    np.testing.assert_allclose(host(model(dense)), expected, **VALUES)
    assert expected.shape == (2, 9)


def test_holes_are_skipped(backend: str) -> None:
    mask = np.array([[True, False, True, True], [False, True, True, False]])
    dense = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    dense[~mask] = np.nan
    x = Ragged.from_padded(backends.current().asarray(dense), mask)
    for function in (ops.cumsum, ops.softmax, ops.flip):
        made = function(x, axis=1)
        assert made.rows is x.rows
        for row in range(2):
            alone = function(dense[row][mask[row]][None].astype(np.float64), axis=1)[0]
            np.testing.assert_allclose(host(made[row]), alone, **VALUES)
    places = ops.argmax(x, axis=1)
    for row in range(2):
        np.testing.assert_array_equal(host(places)[row], dense[row][mask[row]].argmax(axis=0))


def test_a_row_with_nan_or_infinity_changes_no_other() -> None:
    padless_rows = [np.array([1.0, 2.0]), np.array([np.nan, np.inf]), np.array([3.0, 4.0])]
    x = Ragged.from_list([row[:, None].astype(np.float32) for row in padless_rows])
    for function in (ops.cumsum, ops.cumprod, ops.softmax):
        made = function(x, axis=1)
        for row in (0, 2):
            np.testing.assert_array_equal(made[row], function(x[[row]], axis=1).values)
    for function in (ops.sum, ops.logsumexp, ops.var, ops.argmax, ops.norm):
        made = function(x, axis=1)
        np.testing.assert_array_equal(made[[0, 2]], function(x[[0, 2]], axis=1))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ops.std(x, axis=1),
        lambda x: ops.norm(x, axis=1),
        lambda x: ops.norm(x, axis=-1),
        lambda x: ops.norm(x, 3, axis=-1),
        lambda x: ops.normalize(x, axis=-1),
        lambda x: ops.normalize(x, axis=1),
        lambda x: layers.Dot((2, 1), normalize=True)([x, x.values[:2]]),
    ],
)
def test_gradients_of_rows_of_one_step_and_of_zeros_are_numbers(trainer: str, function: Callable[[Any], Any]) -> None:
    b = backends.current()
    rows = Ragged.from_lengths(np.zeros(4), [1, 3]).rows

    def loss(weights: dict[str, Any]) -> tuple[Any, None]:
        y = function(Ragged(weights["x"], rows))
        return b.xp.sum(y.values if isinstance(y, Ragged) else y), None

    start = np.array([[1, 2, 3], [4, 5, 6], [0, 0, 0], [7, 8, 9]], np.float32)
    for x in (start, np.zeros_like(start)):
        gradient = b.value_and_grad(loss, {"x": b.asarray(x)})[1]["x"]
        assert np.isfinite(host(gradient)).all()


def test_no_rows_and_rows_without_steps(backend: str) -> None:
    for lengths in ([], [0, 0]):
        x = ragged(lengths)
        for name in ("sum", "mean", "max", "min", "logsumexp", "var", "norm", "argmax"):
            y = host(getattr(ops, name)(x, axis=1))
            assert y.shape == (len(lengths), 3)
            assert not y.any()
        for made in (ops.cumsum(x, axis=1), ops.softmax(x, axis=1), ops.exp(x), ops.reshape(x, (-1, None, 3, 1))):
            assert made.rows is x.rows
        assert host(x[:, -1]).shape == (len(lengths), 3)


def test_segments_of_an_array(backend: str) -> None:
    data = backends.current().asarray(np.array([[1.0, -2], [3, -4], [5, -6], [7, -8]], np.float32))
    ids = np.array([2, 0, 2, -1])
    sums = host(ops.segment_sum(data, ids, num_segments=4))
    np.testing.assert_array_equal(sums, [[3, -4], [0, 0], [6, -8], [0, 0]])
    largest = host(ops.segment_max(data, ids))
    np.testing.assert_array_equal(largest, [[3, -4], [-np.inf, -np.inf], [5, -2]])
    assert host(ops.segment_sum(data, [0, 0, 1, 1])).shape == (2, 2)


def test_segments_inside_of_a_compiled_function() -> None:
    jax = pytest.importorskip("jax")
    data, ids = np.arange(8, dtype=np.float32).reshape(4, 2), np.array([2, 0, 2, 1], np.int32)
    for function in (ops.segment_sum, ops.segment_max):
        made = jax.jit(lambda d, i, f=function: f(d, i, num_segments=3))(data, ids)
        np.testing.assert_array_equal(made, function(data, ids, num_segments=3))


def test_numbers_take_the_dtype_beside_them(backend: str) -> None:
    asarray = backends.current().asarray
    for kind in ("float32", "float64", "float16"):
        x = asarray(np.ones((2, 3)), kind)
        for y in (
            ops.add(x, 1),
            ops.multiply(2.5, x),
            ops.maximum(x, 0),
            ops.where(x > 0, x, 0.0),
            ops.clip(x, 0, 1.5),
        ):
            assert ops.dtype(y) == kind
    whole = asarray(np.arange(3), "int32")
    assert ops.dtype(ops.add(whole, 1)) == "int32"
    assert ops.dtype(ops.add(whole, 0.5)) == "float32"
    assert ops.dtype(ops.exp(whole)) == "float32"
    assert ops.dtype(ops.mean(whole)) == "float32"
    assert ops.dtype(ops.divide(whole, 2)) == "float32"
    assert ops.dtype(ops.where(whole > 1, 1.0, 0.0)) == "float32"
    assert ops.dtype(ops.sum(whole > 1)) == "int32"


def test_shape_and_kind() -> None:
    padless.set_backend("torch")
    import torch

    x = Ragged.from_list([[1.0, 2.0], [3.0]])
    assert (ops.shape(x), ops.ndim(x), ops.dtype(x)) == ((2, None), 2, "float32")
    assert ops.shape([[1, 2]]) == (1, 2)
    moved = ops.convert_to_tensor(x)
    assert isinstance(moved.values, torch.Tensor)
    assert isinstance(ops.convert_to_numpy(moved).values, np.ndarray)
    assert ops.is_tensor(ops.convert_to_tensor([1, 2], dtype="float32"))
    assert ops.dtype(ops.arange(3)) == "int32"
    assert ops.dtype(ops.zeros((2, 3))) == ops.dtype(ops.linspace(0, 1, 3)) == "float32"
    assert ops.arange(1, 7, 2).tolist() == [1, 3, 5]
    assert ops.eye(2).tolist() == [[1, 0], [0, 1]]
    assert ops.full((2,), 3, dtype="int64").tolist() == [3, 3]
    assert ops.ones(2).tolist() == [1, 1]


def test_a_table_read_at_the_ids_of_rows(backend: str) -> None:
    table = backends.current().asarray(np.arange(12, dtype=np.float32).reshape(4, 3))
    ids = Ragged.from_list([[1, 3], [0]])
    made = ops.take(table, ids, axis=0)
    assert made.rows is ids.rows
    np.testing.assert_array_equal(host(made.values), np.arange(12).reshape(4, 3)[[1, 3, 0]])


# ---- operators on symbols


def test_operators_on_symbols_as_on_rows(backend: str) -> None:
    a = Input((None, 3), name="a", ragged=True)
    b = Input((None, 3), name="b", like=a)
    kernel = np.arange(6, dtype=np.float32).reshape(3, 2)
    per_feature = np.array([1.0, 2.0, 3.0], np.float32)

    def everything(x: Any, y: Any) -> list[Any]:
        return [
            x + y, 1 + x, x - y, 2 - x, x * y, 3 * x, x / y, 1 / x, x // y, 2 // x, x % y, 5 % x, x**y, 2**x,
            x @ kernel, -x, abs(x - 1), x < y, x <= 0.5, x > y, x >= 0.5, x != y, (x > 0.2) & (y > 0.5),
            (x > 0.2) | (y > 0.5), (x > 0.2) ^ (y > 0.5), ~(x > 0.5), x + per_feature, per_feature - x,
            x[..., 1:3], x[..., 0], x[:, :, None, 1], x[:, -1], x[:, 0, 1:], x[:, ::-1], x[..., [2, 0]],
        ]  # fmt: skip

    model = Model([a, b], everything(a, b))
    x, y = abs(ragged([2, 0, 3])) + 0.5, abs(ragged([2, 0, 3], seed=1)) + 0.5
    if backend == "jax":
        x, y = abs(ragged([2, 1])) + 0.5, abs(ragged([2, 1], seed=1)) + 0.5
    expected = everything(x, y)
    again = type(model).from_config(model.get_config())
    for one in (model, again):
        for got, want in zip(one([x, y]), expected, strict=True):
            assert isinstance(got, Ragged) == isinstance(want, Ragged)
            got, want = (v.values if isinstance(v, Ragged) else v for v in (got, want))
            np.testing.assert_allclose(host(got).astype(float), host(want).astype(float), **VALUES)
            assert ops.dtype(got) == ops.dtype(want)


def test_symbols_are_compared_by_which_they_are() -> None:
    a, b = Input((None, 3)), Input((None, 3))
    assert a == a
    assert not a == b
    assert len({a, b, a}) == 2
    model = Model([a, b], ops.equal(a, a * 1))
    x = ragged([2, 1])
    assert host(model([x, x]).values).all()


def test_what_cannot_stand_beside_a_symbol_says_so() -> None:
    x = Input((None, 3))
    with pytest.raises(padless.PadlessError, match=r"operator \+ with a str"):
        x + "a"
    with pytest.raises(ArgumentError, match=r"another Input\(shape=\(None, D\), like=x\)"):
        x + ragged([2, 1])
    with pytest.raises(MaskError, match=r"an entry for each feature"):
        x + np.ones((5, 3))
    assert Model(x, x[:, 1:])([np.eye(3), np.eye(3)[:1]])[0].shape == (2, 3)
    with pytest.raises(MaskError, match=r"a slice of every row"):
        x[:, 1]
    with pytest.raises(MaskError, match=r"all rows of the batch"):
        x[0]
    with pytest.raises(padless.PadlessError, match="iteration"):
        list(x)


def test_tensors_beside_symbols_become_constants() -> None:
    torch = pytest.importorskip("torch")
    padless.set_backend("torch")
    x = Input((None, 3))
    model = Model(x, [torch.ones(3) - x, x * torch.full((3,), 2.0, dtype=torch.float64), torch.ones(3) / x])
    data = abs(ragged([2, 1])) + 0.5
    first, second, third = model(data)
    torch.testing.assert_close(first.values, 1 - data.values)
    torch.testing.assert_close(second.values, data.values * 2)
    torch.testing.assert_close(third.values, 1 / data.values)


def test_row_functions_of_symbols(backend: str) -> None:
    x = Input((None, 3))
    model = Model(x, x - padless.spread(padless.row_mean(x), x))
    data = ragged([2, 0, 3])
    expected = data - padless.spread(padless.row_mean(data), data)
    np.testing.assert_allclose(host(model(data).values), host(expected.values), **VALUES)


def test_rows_behind_rows_of_symbols() -> None:
    x = Input((None, 3))
    model = Model(x, [padless.row_concat([x[:, 1:], x]), ops.concatenate([x[:, 1:], x], axis=1)])
    data = ragged([2, 0, 3])
    for one in (model, type(model).from_config(model.get_config())):
        for made in one(data):
            assert made.to_list() == [row[1:] + row for row in data.to_list()]
    with pytest.raises(MaskError, match=r"ops\.concatenate"):
        ops.concatenate([data, np.ones((3, 2, 3), np.float32)], axis=1)


def test_layers_and_functions_in_one_graph_are_trained(trainer: str) -> None:
    x = Input((None, 3))
    h = ops.relu(Dense(4)(x)) * np.array([0.5, 1, 1.5, 2]) + 1
    weights = ops.softmax(Dense(1)(h), axis=1)
    pooled = ops.sum(weights * h, axis=1) + h[:, -1] - ops.einsum("btd,btd->bd", h, h)
    steps = h - padless.spread(pooled, h)
    y = Dense(1)(layers.Concatenate()([ops.mean(steps, axis=1), ops.max(ops.cumsum(h, axis=1), axis=1)]))
    model = Model(x, y)
    model.compile("adam", "mse")
    rows = [np.random.default_rng(at).normal(size=(at + 1, 3)).astype(np.float32) for at in range(6)]
    before = model.get_weights()
    model.fit(rows, np.arange(6, dtype=np.float32), epochs=1, verbose=0)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    together = model.predict(rows, batch_size=4)
    for at, row in enumerate(rows):
        np.testing.assert_allclose(together[at], model.predict([row])[0], **VALUES)


def test_the_names_of_operations_are_those_of_functions() -> None:
    x = Input((None, 3))
    model = Model(x, layers.Activation("relu")(ops.exp(x) + 1))
    names = [re.sub(r"_\d+$", "", layer.name) for layer in model.layers]
    assert names == ["exp", "add", "activation"]


# ---- activations


@pytest.mark.parametrize("name", ["relu", "gelu", "softmax", "sparsemax", "mish", "exponential", "glu", "squareplus"])
def test_activations_of_rows_and_symbols(backend: str, name: str) -> None:
    function = getattr(padless.activations, name)
    x = ragged([2, 0, 1], (4,))
    made = function(x)
    assert made.rows is x.rows
    np.testing.assert_allclose(host(made.values), host(function(x.values)), **VALUES)
    symbol = Input((None, 4))
    model = Model(symbol, function(symbol))
    for one in (model, type(model).from_config(model.get_config())):
        np.testing.assert_allclose(host(one(x).values), host(made.values), **VALUES)
    assert model.layers[0].name.startswith(name)


def test_activations_along_an_axis_of_rows() -> None:
    x = ragged([2, 1], (2, 4))
    softmax = padless.activations.softmax
    for axis in (2, -1, (2, 3)):
        own = tuple(at - 1 for at in axis) if isinstance(axis, tuple) else {2: 1, -1: -1}[axis]
        np.testing.assert_allclose(host(softmax(x, axis).values), host(softmax(x.values, own)), **VALUES)
    for axis in (0, 1, -3):
        with pytest.raises(MaskError, match=r"activations\.softmax"):
            softmax(x, axis)
    with pytest.raises(MaskError):
        softmax(ragged([2, 1], ()))
    leaky = padless.activations.relu(x, negative_slope=0.5)
    np.testing.assert_allclose(host(leaky.values), host(padless.activations.relu(x.values, 0.5)), **VALUES)


@pytest.mark.parametrize("other", [None, object(), {}, "a"])
def test_what_is_no_number_beside_rows_is_named(other: Any) -> None:
    with pytest.raises(MaskError, match=rf"operator ==: .*\n.*a {type(other).__name__} beside Ragged"):
        ragged([2, 1]) == other  # noqa: B015


def test_more_places_than_there_are_features() -> None:
    with pytest.raises(ShapeError, match=r"ops.top_k: k.*\n.*5"):
        ops.top_k(ragged([2, 1]), 5)


def test_a_mask_for_each_value_of_a_merge() -> None:
    x = np.ones((2, 2, 1), np.float32)
    with pytest.raises(ArgumentError, match=r"a mask for each of 2 values.*\n.*1 masks"):
        layers.Add()([x, x], mask=[np.ones((2, 2), bool)])
