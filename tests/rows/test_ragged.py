"""Ragged: in and out, operators, and never dense by accident."""

from __future__ import annotations

import copy
import operator
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import optree
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless import DataError, MaskError, Ragged, RowPartition, ShapeError, backends
from padless.errors import ArgumentError
from tests.strategies import lengths, masks, seeds

Mask = npt.NDArray[np.bool_]

WIDTHS = st.sampled_from([(), (1,), (3,), (2, 2)])


def ragged(given_lengths: list[int], width: tuple[int, ...] = (), seed: int = 0) -> Ragged:
    """A ragged value of the current backend."""
    values = np.random.default_rng(seed).normal(size=(sum(given_lengths), *width)).astype(np.float32)
    return Ragged.from_lengths(backends.current().asarray(values), given_lengths)


def host(x: Any) -> npt.NDArray[Any]:
    return backends.of(x).to_host(x)


def rows_of(x: Ragged) -> list[npt.NDArray[Any]]:
    return [host(row) for row in x]


def same(one: Ragged, other: Ragged) -> bool:
    return one.rows.same_steps(other.rows) and bool((host(one.values) == host(other.values)).all())


# ---- in and out


@given(given_lengths=lengths(), width=WIDTHS, seed=seeds())
def test_list_and_back(backend: str, given_lengths: list[int], width: tuple[int, ...], seed: int) -> None:
    x = ragged(given_lengths, width, seed)
    assert len(x) == len(given_lengths)
    assert x.shape == (len(given_lengths), None, *width)
    assert x.ndim == 2 + len(width)
    assert [len(row) for row in x.to_list()] == given_lengths
    if given_lengths:  # nothing says what no rows are made of
        again = Ragged.from_list(rows_of(x))
        assert same(again, x)
        assert again.values.dtype == np.float32
        assert again.to_list() == x.to_list()
        assert same(Ragged.from_list(list(x)), x), "arrays of a framework stay there"
        assert backends.of(Ragged.from_list(list(x)).values).name == backend


@given(st.lists(st.lists(st.integers(-9, 9), max_size=5), min_size=1, max_size=5))
def test_lists_of_whole_numbers(rows: list[list[int]]) -> None:
    x = Ragged.from_list(rows)
    assert x.values.dtype == np.int64
    assert x.to_list() == rows


def test_lists_of_floats_are_float32() -> None:
    assert Ragged.from_list([[1.5], [2.0, 3.0]]).values.dtype == np.float32
    assert Ragged.from_list([[[1.5, 2.0]], []]).values.dtype == np.float32
    assert Ragged.from_list([[1, 2]], dtype="float32").values.dtype == np.float32
    assert Ragged.from_list([np.zeros(2), np.zeros(1)]).values.dtype == np.float64, "arrays stay as they are"


@given(mask=masks(), width=WIDTHS, value=st.sampled_from([0, -1, 7]))
def test_padded_and_back(backend: str, mask: Mask, width: tuple[int, ...], value: int) -> None:
    x = np.random.default_rng(0).normal(size=(*mask.shape, *width)).astype(np.float32)
    poisoned = np.where(mask.reshape(*mask.shape, *(1 for _ in width)), x, np.nan).astype(np.float32)
    entered = Ragged.from_padded(backends.current().asarray(poisoned), mask)
    assert backends.of(entered.values).name == backend
    for row, live, steps in zip(x, mask, rows_of(entered), strict=True):
        np.testing.assert_array_equal(steps, row[live])
    expected = np.where(mask.reshape(*mask.shape, *(1 for _ in width)), x, np.float32(value))
    np.testing.assert_array_equal(host(entered.to_padded(value)), expected)
    np.testing.assert_array_equal(entered.mask, mask)


@given(mask=masks(holes=False), extra=st.integers(0, 3))
def test_padded_to_another_side_and_length(backend: str, mask: Mask, extra: int) -> None:
    x = np.random.default_rng(0).normal(size=mask.shape).astype(np.float32)
    entered = Ragged.from_padded(backends.current().asarray(x), mask)
    total = entered.rows.max_row_length + extra
    for side in ("pre", "post"):
        padded = host(entered.to_padded(side=side, length=total))
        assert padded.shape == (len(mask), total)
        for row, live, made in zip(x, mask, padded, strict=True):
            steps, padding = row[live], np.zeros(total - live.sum(), np.float32)
            np.testing.assert_array_equal(made, np.concatenate([padding, steps] if side == "pre" else [steps, padding]))
        assert host(entered.to_padded(side=side)).shape == mask.shape, "without length: that of the array"


def test_padded_with_holes_to_another_side() -> None:
    x = Ragged.from_padded(
        np.array([[0, 7, 0, 8, 0], [1, 2, 3, 0, 0]]), np.array([[0, 1, 0, 1, 0], [1, 1, 1, 0, 0]], bool)
    )
    assert x.to_padded(side="pre", length=4).tolist() == [[0, 7, 0, 8], [0, 1, 2, 3]]
    assert x.to_padded(side="post", length=3).tolist() == [[7, 0, 8], [1, 2, 3]]
    assert x.to_list() == [[7, 8], [1, 2, 3]]


def test_padded_without_a_mask_is_all_real() -> None:
    x = Ragged.from_padded(np.zeros((2, 3, 4)))
    assert x.rows.row_lengths.tolist() == [3, 3]
    assert x.rows.is_uniform


def test_padded_errors() -> None:
    x = Ragged.from_list([[1, 2], [3]])
    with pytest.raises(ArgumentError, match="'post' or 'pre'"):
        x.to_padded(side="left")
    with pytest.raises(ShapeError, match=r"rows of at most 1 steps[^$]*row 0 with 2 steps[^$]*length=2"):
        x.to_padded(length=1)
    with pytest.raises(ShapeError, match=r"an array \(B, T\)"):
        Ragged.from_padded(np.zeros(3))
    with pytest.raises(ShapeError, match=r"shape \(2, 3\)[^$]*shape \(2, 2\)"):
        Ragged.from_padded(np.zeros((2, 3)), np.ones((2, 2), bool))
    with pytest.raises(ShapeError, match="dtype float64"):
        Ragged.from_padded(np.zeros((2, 3)), np.ones((2, 3)))


@given(given_lengths=lengths(), width=WIDTHS)
def test_splits_and_lengths(backend: str, given_lengths: list[int], width: tuple[int, ...]) -> None:
    x = ragged(given_lengths, width)
    again = Ragged.from_row_splits(x.values, x.rows.row_splits)
    assert same(again, x)
    assert again.values is x.values or backend == "torch"
    assert same(Ragged.from_lengths(x.values, backends.current().asarray(np.array(given_lengths, np.int64))), x)


def test_values_of_another_count() -> None:
    with pytest.raises(ShapeError, match=r"values with 3 steps as first axis[^$]*ndarray of shape \(2,\)"):
        Ragged.from_lengths(np.zeros(2), [1, 2])
    with pytest.raises(ShapeError, match="values with 1 steps"):
        Ragged(np.float32(1), RowPartition([0, 1]))
    with pytest.raises(ShapeError):
        Ragged.from_list([[1], [2]]).with_values(np.zeros(3))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("abc", "a list of sequences"),
        (5, "a list of sequences"),
        ([1, 2, 3], "row 0 is int"),
        ([[1, 2], 3], "row 1 is int"),
        ([["a", "b"], ["c"]], "Tokenizer"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], r"row 1 has steps of shape \(4,\), the rows before \(3,\)"),
        ([[1, None]], "rows of numbers"),
    ],
)
def test_lists_that_are_no_sequences(rows: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Ragged.from_list(rows)


@given(given_lengths=lengths())
def test_nested_tensors(given_lengths: list[int]) -> None:
    torch = pytest.importorskip("torch")
    if not given_lengths:
        return  # torch makes no nested tensor of nothing
    parts = [torch.randn(n, 3) for n in given_lengths]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nested = torch.nested.nested_tensor(parts, layout=torch.jagged)
        x = Ragged.from_nested(nested)
    assert x.rows.row_lengths.tolist() == given_lengths
    for row, part in zip(x, parts, strict=True):
        np.testing.assert_array_equal(host(row), part.numpy())


def test_awkward() -> None:
    ak = pytest.importorskip("awkward")
    assert Ragged.from_awkward(ak.Array([[1, 2], [], [3]])).to_list() == [[1, 2], [], [3]]


def test_tensorflow() -> None:
    tf = pytest.importorskip("tensorflow")
    assert Ragged.from_tensorflow(tf.ragged.constant([[1, 2], [], [3]])).to_list() == [[1, 2], [], [3]]


def test_to_a_device(backend: str) -> None:
    x = ragged([2, 0, 1])
    moved = x.to("cpu")
    assert same(moved, x)
    assert moved.rows is x.rows
    assert isinstance(x.numpy().values, np.ndarray)


# ---- rows


@given(given_lengths=lengths(), width=WIDTHS)
def test_one_row(backend: str, given_lengths: list[int], width: tuple[int, ...]) -> None:
    x = ragged(given_lengths, width)
    steps = host(x.values)
    for row, (first, count) in enumerate(zip(x.rows.row_splits[:-1].tolist(), given_lengths, strict=True)):
        for at in (row, row - len(given_lengths), np.int64(row)):
            np.testing.assert_array_equal(host(x[at]), steps[first : first + count])


@given(
    given_lengths=lengths(),
    cut=st.builds(slice, *[st.none() | st.integers(-4, 4)] * 2, st.sampled_from([None, 1, 2, -1, -2])),
)
def test_slices(backend: str, given_lengths: list[int], cut: slice) -> None:
    x = ragged(given_lengths)
    assert x[cut].to_list() == x.to_list()[cut]


def test_chosen_rows(backend: str) -> None:
    x = ragged([2, 0, 3])
    rows = x.to_list()
    assert x[[2, 0, 2]].to_list() == [rows[2], rows[0], rows[2]]
    assert x[np.array([-1])].to_list() == [rows[2]]
    assert x[np.array([True, False, True])].to_list() == [rows[0], rows[2]]
    assert x[[]].to_list() == []


def test_chosen_rows_keep_holes_and_places() -> None:
    x = Ragged.from_padded(np.arange(8).reshape(2, 4), np.array([[0, 1, 0, 1], [1, 1, 0, 0]], bool))
    assert x[[1, 0]].to_padded().tolist() == [[4, 5, 0, 0], [0, 1, 0, 3]]


def test_rows_that_are_not_there() -> None:
    x = Ragged.from_list([[1], [2]])
    for row in (2, -3):
        with pytest.raises(IndexError, match="a row from 0 to 1"):
            x[row]
    with pytest.raises(IndexError):
        x[[5]]
    with pytest.raises(MaskError, match=r"rows only[^$]*2 indices[^$]*x.values\[:, i\]"):
        x[0, 1]


@pytest.mark.parametrize("chosen", [np.array([True]), np.array([True, False, True])])
def test_bools_of_another_count(chosen: Mask) -> None:
    with pytest.raises((IndexError, ShapeError)):
        Ragged.from_list([[1], [2]])[chosen]


# ---- operators

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
WHOLE = [operator.floordiv, operator.mod]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


@pytest.mark.parametrize("function", [*ARITHMETIC, *WHOLE, *COMPARISONS], ids=lambda f: f.__name__)
def test_operators(backend: str, function: Callable[[Any, Any], Any]) -> None:
    x = abs(ragged([2, 0, 3])) + 1
    y = abs(ragged([2, 0, 3], seed=1)) + 1
    for left, right in ((x, y), (x, x), (x, 2), (x, 2.5), (x, np.float32(2))):
        made = function(left, right)
        assert isinstance(made, Ragged)
        assert made.rows is x.rows
        expected = function(host(left.values), host(right.values) if isinstance(right, Ragged) else right)
        np.testing.assert_allclose(host(made.values), expected, rtol=1e-6)
    numbers = (2, 2.5) if function is operator.mod else (2, 2.5, np.float32(2))
    if function is not operator.mod:
        for number in numbers:
            made = function(number, x)
            assert isinstance(made, Ragged)
            np.testing.assert_allclose(host(made.values), function(number, host(x.values)), rtol=1e-6)


def test_operators_with_an_array_that_holds_one_number(backend: str) -> None:
    x = ragged([2, 0, 1])
    two = backends.current().asarray(np.array(2, np.float32))
    for made in (x + two, two + x, x * two, two * x):
        assert made.rows is x.rows
    np.testing.assert_allclose(host((two - x).values), 2 - host(x.values))
    np.testing.assert_allclose(host((x - two).values), host(x.values) - 2)


@pytest.mark.parametrize(
    "function", [operator.truediv, operator.pow, operator.lt, operator.eq], ids=lambda f: f.__name__
)
def test_one_number_on_the_left_of_other_operators(backend: str, function: Callable[[Any, Any], Any]) -> None:
    x = abs(ragged([2, 0, 1])) + 1
    two = backends.current().asarray(np.array(2, np.float32))
    made = function(two, x)
    assert isinstance(made, Ragged)
    np.testing.assert_allclose(host(made.values), function(np.float32(2), host(x.values)), rtol=1e-6)


def test_unary_and_logical(backend: str) -> None:
    x = ragged([2, 0, 3])
    np.testing.assert_array_equal(host((-x).values), -host(x.values))
    np.testing.assert_array_equal(host(abs(x).values), abs(host(x.values)))
    low, high = x < 0.5, x > -0.5
    np.testing.assert_array_equal(host((low & high).values), host(low.values) & host(high.values))
    np.testing.assert_array_equal(host((low | high).values), host(low.values) | host(high.values))
    np.testing.assert_array_equal(host((~low).values), ~host(low.values))


def test_matrix(backend: str) -> None:
    x = ragged([2, 0, 3], (4,))
    kernel = backends.current().asarray(np.ones((4, 2), np.float32))
    np.testing.assert_allclose(host((x @ kernel).values), host(x.values) @ np.ones((4, 2)), rtol=1e-5)
    with pytest.raises(MaskError, match=r"a \(D, E\) matrix on the right"):
        x @ x


def test_equal_splits_are_the_same_rows(backend: str) -> None:
    made = ragged([2, 1]) + ragged([2, 1])
    assert made.rows.row_lengths.tolist() == [2, 1]


@pytest.mark.parametrize("function", [*ARITHMETIC, *COMPARISONS, operator.and_], ids=lambda f: f.__name__)
def test_other_rows_are_an_error_that_names_both(backend: str, function: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(DataError, match=r"lengths \[2, 1\].*lengths \[1, 2\].*row 0 has 2 steps on one side and 1"):
        function(ragged([2, 1]), ragged([1, 2]))


def test_an_array_beside_rows_is_an_error(backend: str) -> None:
    x = ragged([2, 1], (3,))
    asarray = backends.current().asarray
    for other in (asarray(np.ones(2)), asarray(np.ones((2, 3))), asarray(np.ones((3, 3))), [1.0, 2.0, 3.0]):
        with pytest.raises(MaskError, match=r"padless\.spread"):
            x + other
        with pytest.raises(MaskError):
            other + x


@pytest.mark.parametrize("function", [*ARITHMETIC, operator.lt], ids=lambda f: f.__name__)
def test_an_array_with_an_entry_for_each_feature(backend: str, function: Callable[[Any, Any], Any]) -> None:
    x = abs(ragged([2, 0, 1], (2, 3)))
    asarray = backends.current().asarray
    for shape in ((3,), (2, 3), (2, 1), (1, 1, 3), (1, 1, 2, 3)):
        other = np.random.default_rng(0).uniform(0.5, 1, shape).astype(np.float32)
        for array in (other, asarray(other)):
            made = function(x, array)
            assert made.rows is x.rows
            features = other.reshape(other.shape[-2:])
            np.testing.assert_allclose(host(made.values), function(host(x.values), features), rtol=1e-6)
    made = np.ones(3) - x  # the host's float64 takes the precision of the values
    assert made.values.dtype == x.values.dtype or backend == "numpy"


def test_an_array_with_an_entry_for_each_number_is_refused(backend: str) -> None:
    x = ragged([2, 1])  # (B, None): an array of one axis would lie along time
    for count in (2, 3):
        with pytest.raises(MaskError, match=r"an entry for each feature"):
            x + np.ones(count)


def test_indices_that_keep_the_rows(backend: str) -> None:
    x = ragged([2, 0, 3], (4,))
    values = host(x.values)
    for item in (
        (..., 1),
        (..., slice(1, 3)),
        (slice(None), slice(None), slice(None, None, -1)),
        (slice(None), slice(None), [0, 2]),
        (..., None),
        (..., slice(0, 2), None),
        ...,
        (slice(None), slice(None)),
    ):
        made = x[item]
        assert made.rows is x.rows
        own = item if isinstance(item, tuple) else (item,)
        own = own if own[:1] == (...,) else own[1:]
        np.testing.assert_array_equal(host(made.values), values[own])
    np.testing.assert_array_equal(host(x[:, -1]), np.stack([values[1], 0 * values[0], values[4]]))
    np.testing.assert_array_equal(host(x[:, 0, 1:3]), np.stack([values[0], 0 * values[0], values[2]])[:, 1:3])
    assert x[:, ::-1].to_list() == [row[::-1] for row in x.to_list()]
    assert x[1:, :, 0].to_list() == [[], [row[0] for row in x.to_list()[2]]]
    assert x[:, 1:].to_list() == [row[1:] for row in x.to_list()]
    assert x[:, :-1, 0].to_list() == [[step[0] for step in row[:-1]] for row in x.to_list()]
    for item in ((slice(None), 1), (slice(None), slice(None, None, -2)), (0, 1), (None, 0), (slice(None), None, 0)):
        with pytest.raises(MaskError, match=r"Ragged\["):
            x[item]
    with pytest.raises(ShapeError, match="at most 3 indices"):
        x[..., 0, 0, 0, 0]


def test_steps_of_other_features_are_never_taken_for_features(backend: str) -> None:
    wide, narrow = ragged([2, 1], (3,)), ragged([2, 1])  # three steps, three features
    for one, other in ((wide, narrow), (narrow, wide)):
        with pytest.raises(ShapeError):
            one + other
    made = wide * ragged([2, 1], (1,), seed=1)
    assert made.shape == (2, None, 3)


# ---- never dense by accident


def test_numpy_never_makes_it_dense(backend: str) -> None:
    x = ragged([2, 1], (3,))
    attempts: list[Callable[[], Any]] = [
        lambda: np.asarray(x),
        lambda: np.array(x),
        lambda: np.exp(x),
        lambda: np.add.reduce(x),
        lambda: np.sum(x),
        lambda: np.mean(x),
        lambda: np.concatenate([x, x]),
        lambda: np.stack([x, x]),
        lambda: np.where(x, 1, 2),
        lambda: np.matmul(np.ones((2, 3)), x),
        lambda: np.ones((2, 3)) * x,
        lambda: np.add(x, 1, out=np.zeros((3, 3), np.float32)),
    ]
    for attempt in attempts:
        with pytest.raises(MaskError):
            attempt()
    with pytest.raises((MaskError, TypeError, ValueError)):
        np.zeros(3)[0] = x


def test_torch_never_makes_it_dense() -> None:
    torch = pytest.importorskip("torch")
    x = Ragged.from_lengths(torch.ones(3, 3), [2, 1])
    attempts: list[Callable[[], Any]] = [
        lambda: torch.exp(x),
        lambda: torch.sum(x),
        lambda: torch.cat([x, x]),
        lambda: torch.stack([x, x]),
        lambda: torch.nn.functional.relu(x),
        lambda: torch.nn.Linear(3, 2)(x),
        lambda: torch.ones(2, 3) + x,
        lambda: torch.add(x, x, alpha=2),
        lambda: torch.matmul(torch.ones(3, 3), x),
    ]
    for attempt in attempts:
        with pytest.raises(MaskError, match=r"x\.values|padless\.spread"):
            attempt()
    for attempt in (lambda: torch.tensor(x), lambda: torch.as_tensor(x)):
        with pytest.raises((MaskError, TypeError, ValueError, RuntimeError)):
            attempt()


def test_jax_never_makes_it_dense() -> None:
    jnp = pytest.importorskip("jax.numpy")
    x = Ragged.from_lengths(jnp.ones((3, 3)), [2, 1])
    attempts: list[Callable[[], Any]] = [
        lambda: jnp.exp(x),
        lambda: jnp.sum(x),
        lambda: jnp.concatenate([x, x]),
        lambda: jnp.stack([x, x]),
        lambda: jnp.ones((3, 3)) @ x,
        lambda: jnp.where(x, 1, 2),
        lambda: jnp.add(x, 1),
    ]
    for attempt in attempts:
        with pytest.raises(TypeError, match="Ragged"):
            attempt()
    for attempt in (lambda: jnp.asarray(x), lambda: jnp.ones((2, 3)) + x, lambda: jnp.zeros(3).at[0].set(x)):
        with pytest.raises(MaskError):
            attempt()


def test_no_truth_no_hash_no_number() -> None:
    x = Ragged.from_list([[1.0]])
    with pytest.raises(MaskError, match=r"one truth value[^$]*len\(x\) > 0"):
        bool(x)
    with pytest.raises(MaskError):
        assert x == 1.0
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)
    with pytest.raises(TypeError):
        float(x)  # type: ignore[arg-type]


# ---- the rest


@given(mask=masks())
def test_pickle_and_copy(backend: str, mask: Mask) -> None:
    x = Ragged.from_padded(backends.current().asarray(np.random.default_rng(0).normal(size=mask.shape)), mask)
    for again in (pickle.loads(pickle.dumps(x)), copy.copy(x), copy.deepcopy(x)):
        assert same(again, x)
        np.testing.assert_array_equal(again.mask, mask)


def test_repr(backend: str) -> None:
    assert repr(ragged([2, 0, 1], (4,))) == "Ragged(shape=(3, None, 4), float32, lengths=[2, 0, 1])"
    assert repr(ragged([])) == "Ragged(shape=(0, None), float32, lengths=[])"
    assert len(repr(ragged([1] * 1000))) < 120
    holes = Ragged.from_padded(np.zeros((1, 3)), np.array([[True, False, True]]))
    assert repr(holes) == "Ragged(shape=(1, None), float64, lengths=[2], holes)"


def test_trees_reach_the_values(backend: str) -> None:
    x = ragged([2, 0, 1])
    made = optree.tree_map(lambda values: values + 1, {"x": x}, namespace="padless")
    assert isinstance(made["x"], Ragged)
    assert made["x"].rows is x.rows
    np.testing.assert_allclose(host(made["x"].values), host(x.values) + 1)


def test_nothing_at_all(backend: str) -> None:
    for x in (
        Ragged.from_list([]),
        Ragged.from_list([[], []]),
        ragged([]),
        ragged([0, 0], (3,)),
        Ragged.from_padded(np.zeros((2, 0, 3))),
    ):
        assert x.to_list() == [[]] * len(x)
        assert tuple(x.to_padded().shape)[:2] == (len(x), 0)
        assert (x + x).to_list() == x.to_list()
        assert (x * 2).to_list() == x.to_list()
        assert x[:1].to_list() == x.to_list()[:1]
        assert [len(row) for row in x] == [0] * len(x)
        assert "Ragged(" in repr(x)
        assert pickle.loads(pickle.dumps(x)).rows.same_steps(x.rows)


def test_empty_rows_have_the_features_of_the_others() -> None:
    assert Ragged.from_list([np.zeros((0, 3)), np.zeros((0, 3))]).shape == (2, None, 3)
    assert Ragged.from_list([[], np.ones((1, 3))]).shape == (2, None, 3)
    assert Ragged.from_list([[], [[1.0, 2.0]]]).shape == (2, None, 2)


# ---- questions to rows


@given(given_lengths=lengths(), width=WIDTHS, seed=seeds())
def test_row_operations(backend: str, given_lengths: list[int], width: tuple[int, ...], seed: int) -> None:
    x = ragged(given_lengths, width, seed)
    nothing = np.zeros(width, np.float32)
    questions: list[tuple[Callable[[Ragged], Any], Callable[[npt.NDArray[Any]], Any]]] = [
        (padless.row_sum, lambda row: row.sum(axis=0)),
        (padless.row_mean, lambda row: row.mean(axis=0)),
        (padless.row_max, lambda row: row.max(axis=0)),
        (padless.row_first, lambda row: row[0]),
        (padless.row_last, lambda row: row[-1]),
    ]
    for question, answer in questions:
        got = host(question(x))
        assert got.shape == (len(given_lengths), *width)
        assert got.dtype == np.float32
        for entry, row in zip(got, rows_of(x), strict=True):
            np.testing.assert_allclose(entry, answer(row) if len(row) else nothing, rtol=1e-5, atol=1e-6)
    for made, row in zip(rows_of(padless.row_reverse(x)), rows_of(x), strict=True):
        np.testing.assert_array_equal(made, row[::-1])
    entries = np.random.default_rng(seed).normal(size=(len(given_lengths), 2)).astype(np.float32)
    for made, entry, count in zip(rows_of(padless.spread(entries, x)), entries, given_lengths, strict=True):
        np.testing.assert_array_equal(made, np.tile(entry, (count, 1)))


def test_row_operations_see_no_poison(backend: str) -> None:
    poisoned = backends.current().asarray(np.array([[np.nan, 1, np.nan], [np.nan] * 3, [2, np.nan, 4]], np.float32))
    x = Ragged.from_padded(poisoned, np.array([[0, 1, 0], [0, 0, 0], [1, 0, 1]], bool))
    assert host(padless.row_sum(x)).tolist() == [1, 0, 6]
    assert host(padless.row_mean(x)).tolist() == [1, 0, 3]
    assert host(padless.row_max(x)).tolist() == [1, 0, 4]
    assert host(padless.row_first(x)).tolist() == [1, 0, 2]
    assert host(padless.row_last(x)).tolist() == [1, 0, 4]


def test_nan_in_a_live_step_stays_in_its_row(backend: str) -> None:
    x = Ragged.from_lengths(backends.current().asarray(np.array([np.nan, 1, 2], np.float32)), [1, 0, 2])
    for question, expected in ((padless.row_sum, 3), (padless.row_mean, 1.5), (padless.row_max, 2)):
        got = host(question(x))
        assert np.isnan(got[0])
        assert got[1:].tolist() == [0, expected]


def test_spread_of_another_count(backend: str) -> None:
    with pytest.raises(ShapeError, match=r"one entry for each of 2 rows[^$]*shape \(3,\)"):
        padless.spread(np.ones(3), ragged([2, 1]))
