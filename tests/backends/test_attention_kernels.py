"""Attention of every backend against the default, which takes one row after the other; and what else JAX promises."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from padless import backends
from padless.backends.base import Backend
from padless.rows import RowPartition
from tests import strategies
from tests.tolerances import GRADIENTS, VALUES

Host = npt.NDArray[Any]

FAST = [name for name in ("torch", "jax") if importlib.util.find_spec(name)]
on_fast = pytest.mark.parametrize("name", FAST)
needs_jax = pytest.mark.skipif("jax" not in FAST, reason="JAX is not installed")
H, K, V = 2, 3, 4


class Filled(RowPartition):
    """Rows of which the last only fill the batch up."""

    spare = 0

    @property
    def live_rows(self) -> int:
        return self.nrows - self.spare


def filled(lengths: list[int], spare: int) -> RowPartition:
    rows = Filled.from_lengths(lengths)
    rows.spare = spare  # type: ignore[attr-defined]
    return rows


def drawn(rows: RowPartition, value_rows: RowPartition, dtype: str = "float64", seed: int = 0) -> dict[str, Host]:
    numbers = np.random.default_rng(seed)
    shapes = {"q": (rows.nvals, H, K), "k": (value_rows.nvals, H, K), "v": (value_rows.nvals, H, V)}
    return {name: numbers.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def results(
    name: str,
    arrays: dict[str, Host],
    rows: RowPartition,
    value_rows: RowPartition,
    by_y: Host | None = None,
    *,
    default: bool = False,
    **options: Any,
) -> dict[str, Host]:
    """The answer, "y", and the gradients of its sum, weighted by `by_y`, by the arrays."""
    backend = backends.get(name)
    function = super(type(backend), backend).attention if default else backend.attention
    if by_y is None:
        by_y = np.random.default_rng(1).normal(size=(rows.nvals, H, V))

    def loss(given: dict[str, Any]) -> tuple[Any, Any]:
        y = function(given["q"], given["k"], given["v"], rows, value_rows, scale=0.7, **options)
        return (y * backend.asarray(by_y, backend.dtype_name(y))).sum(), y

    # As a whole: operation by operation, JAX would compile each of them for every shape that is drawn.
    trained = backend.compile(lambda given: backend.value_and_grad(loss, given))
    (_, y), gradients = trained({key: backend.asarray(array) for key, array in arrays.items()})
    return {"y": backend.to_host(y)} | {key: backend.to_host(array) for key, array in gradients.items()}


def assert_same(got: dict[str, Host], expected: dict[str, Host]) -> None:
    for key, array in got.items():
        assert array.dtype == expected[key].dtype
        np.testing.assert_allclose(array, expected[key], err_msg=key, **GRADIENTS)


# ---- against the default


pairs = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=6)


@on_fast
@strategies.examples(0.3)
@example(lengths=[(70, 70), (0, 3), (5, 0), (130, 300), (0, 0), (64, 128)], causal=False, dtype="float64", seed=0)
@example(lengths=[(70, 70), (0, 3), (5, 0), (130, 300), (300, 130), (1, 1)], causal=True, dtype="float32", seed=0)
@given(lengths=pairs, causal=st.booleans(), dtype=st.sampled_from(["float32", "float64"]), seed=strategies.seeds())
def test_it_equals_the_default_on_torch(
    name: str, lengths: list[tuple[int, int]], causal: bool, dtype: str, seed: int
) -> None:
    rows, value_rows = (RowPartition.from_lengths(np.array(side)) for side in zip(*lengths, strict=True))
    arrays = drawn(rows, value_rows, dtype, seed)
    expected = results("torch", arrays, rows, value_rows, default=True, causal=causal)
    assert_same(results(name, arrays, rows, value_rows, causal=causal), expected)


@pytest.mark.parametrize("causal", [False, True])
def test_rows_of_about_one_length_share_calls_on_torch(causal: bool) -> None:
    numbers = np.random.default_rng(0)
    rows, value_rows = (RowPartition.from_lengths(numbers.integers(0, 40, 100)) for _ in range(2))
    arrays = drawn(rows, value_rows)
    expected = results("torch", arrays, rows, value_rows, default=True, causal=causal)
    assert_same(results("torch", arrays, rows, value_rows, causal=causal), expected)


@on_fast
@pytest.mark.parametrize("causal", [False, True])
def test_central_differences(name: str, causal: bool) -> None:
    rows, value_rows = RowPartition.from_lengths([3, 0, 2, 20]), RowPartition.from_lengths([2, 1, 0, 19])
    arrays, by_y = drawn(rows, value_rows), np.random.default_rng(1).normal(size=(rows.nvals, H, V))
    found = results(name, arrays, rows, value_rows, by_y, causal=causal)
    numpy = backends.get("numpy")

    def loss(moved: dict[str, Host]) -> float:
        y = numpy.attention(moved["q"], moved["k"], moved["v"], rows, value_rows, scale=0.7, causal=causal)
        return float((y * by_y).sum())

    for key, array in arrays.items():
        direction = np.random.default_rng(2).normal(size=array.shape)
        ahead, behind = (loss({**arrays, key: array + sign * 1e-5 * direction}) for sign in (1, -1))
        np.testing.assert_allclose((found[key] * direction).sum(), (ahead - behind) / 2e-5, err_msg=key, **GRADIENTS)


@on_fast
def test_large_scores_stay_numbers(name: str) -> None:
    rows = RowPartition.from_lengths([3, 40])
    arrays = drawn(rows, rows, "float32")
    arrays |= {"q": 30 * arrays["q"], "k": 30 * arrays["k"]}
    got, expected = results(name, arrays, rows, rows), results("torch", arrays, rows, rows, default=True)
    np.testing.assert_allclose(got["y"], expected["y"], **GRADIENTS)
    assert all(np.isfinite(array).all() for array in got.values())


@on_fast
@pytest.mark.parametrize("causal", [False, True])
def test_poison_in_one_row_stays_there(name: str, causal: bool) -> None:
    rows, value_rows = RowPartition.from_lengths([5, 17, 4]), RowPartition.from_lengths([3, 18, 4])
    arrays = drawn(rows, value_rows)
    expected = results(name, arrays, rows, value_rows, causal=causal)
    for key, partition in (("q", rows), ("k", value_rows), ("v", value_rows)):
        poisoned = {**arrays, key: np.where((partition.value_rowids == 1)[:, None, None], np.nan, arrays[key])}
        got = results(name, poisoned, rows, value_rows, causal=causal)
        assert np.isnan(got["y"][rows.value_rowids == 1]).any()
        for one, of in (("y", rows), ("q", rows), ("k", value_rows), ("v", value_rows)):
            others = of.value_rowids != 1
            np.testing.assert_allclose(got[one][others], expected[one][others], err_msg=f"{key}, {one}", **GRADIENTS)


# ---- dropout


@pytest.mark.parametrize("name", ["numpy", *FAST])
def test_dropout_drops_a_share_of_the_probabilities(name: str) -> None:
    backend, rows = backends.get(name), RowPartition.from_lengths([40, 0, 150])
    arrays = drawn(rows, rows)
    # Values that tell the keys apart: the output is the row of probabilities.
    v = np.repeat(np.eye(150)[rows.ranks][:, None], H, axis=1)
    given = [backend.asarray(x) for x in (arrays["q"], arrays["k"], v)]
    whole, dropped, again, other = (
        backend.to_host(backend.attention(*given, rows, rows, scale=0.7, dropout=rate, seed=seed))
        for rate, seed in ((0.0, ()), (0.25, (1, 2)), (0.25, (1, 2)), (0.25, (1, 3)))
    )
    np.testing.assert_array_equal(dropped, again)
    assert (dropped != other).any()
    seen = whole > 0
    kept = dropped > 0
    np.testing.assert_allclose(dropped[kept], whole[kept] / 0.75, **VALUES)
    assert abs(kept[seen].mean() - 0.75) < 0.01
    for axis in (0, 1, 2):  # neither queries nor heads nor keys share what is drawn
        spread = np.where(seen, kept, np.nan)
        a, b = np.moveaxis(spread, axis, 0)[:-1], np.moveaxis(spread, axis, 0)[1:]
        both = ~np.isnan(a) & ~np.isnan(b)
        assert abs(np.corrcoef(a[both], b[both])[0, 1]) < 0.05


@pytest.mark.parametrize("name", ["numpy", *FAST])
def test_what_is_dropped_does_not_depend_on_rows_behind(name: str) -> None:
    backend, found = backends.get(name), []
    for lengths in ([4, 9], [4, 9, 200], [4, 9, 0, 3]):
        rows = RowPartition.from_lengths(lengths)
        first = RowPartition.from_lengths([4, 9])
        arrays, fixed = drawn(rows, rows, seed=1), drawn(first, first)
        for key, array in fixed.items():
            arrays[key][: first.nvals] = array
        given = [backend.asarray(x) for x in arrays.values()]
        y = backend.attention(*given, rows, rows, scale=0.7, dropout=0.5, seed=(3,))
        found.append(backend.to_host(y)[: first.nvals])
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], **VALUES)


# ---- JAX: rows that fill a batch up, and one compiled function for all batches of a size


@needs_jax
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("causal", [False, True])
def test_rows_that_fill_a_batch_up_are_skipped(causal: bool, dropout: float) -> None:
    lengths, value_lengths = [5, 0, 30, 20], [4, 3, 33, 7]
    rows, value_rows = RowPartition.from_lengths(lengths), RowPartition.from_lengths(value_lengths)
    more, more_values = filled([*lengths, 7, 0, 2], 3), filled([*value_lengths, 2, 4, 11], 3)
    arrays, by_y = drawn(rows, value_rows), np.random.default_rng(1).normal(size=(rows.nvals, H, V))
    expected = results("jax", arrays, rows, value_rows, by_y, causal=causal, dropout=dropout, seed=(1,))
    sizes = {"q": more.nvals, "k": more_values.nvals, "v": more_values.nvals, "y": more.nvals}
    poisoned = {key: np.full((sizes[key], *array.shape[1:]), np.nan) for key, array in arrays.items()}
    for key, array in arrays.items():
        poisoned[key][: len(array)] = array
    by_more = np.concatenate([by_y, np.full((more.nvals - rows.nvals, H, V), np.nan)])
    got = results("jax", poisoned, more, more_values, by_more, causal=causal, dropout=dropout, seed=(1,))
    for key, array in got.items():
        np.testing.assert_allclose(array[: len(expected[key])], expected[key], err_msg=key, **GRADIENTS)
        assert not array[len(expected[key]) :].any(), f"{key}: something at steps that only fill up"


@needs_jax
def test_one_function_serves_all_batches_of_a_size() -> None:
    import jax

    backend: Any = backends.get("jax")

    class Named:
        """A partition of which only the sizes are known."""

        nrows, nvals = 3, 60

        def __init__(self, arrays: Any) -> None:
            self.arrays = arrays

        def moved(self, key: Any, make: Any) -> Any:
            return self.arrays[key]

    def loss(given: dict[str, Any], arrays: Any) -> Any:
        rows: Any = Named(arrays)
        return (backend.attention(given["q"], given["k"], given["v"], rows, rows, scale=0.7) ** 2).sum()

    step = jax.jit(jax.grad(loss))
    for lengths in ([20, 20, 20], [0, 59, 1], [60, 0, 0], [3, 40, 17]):
        rows = RowPartition.from_lengths(lengths)
        arrays = drawn(rows, rows)
        given = {key: backend.asarray(array) for key, array in arrays.items()}
        got = step(given, {("jax", "plan", "bounds"): backend.plan(rows, "bounds")})
        y = Backend.attention(backends.get("numpy"), *arrays.values(), rows, rows, scale=0.7)
        expected = results("torch", arrays, rows, rows, 2 * y, default=True)
        for key, array in got.items():
            np.testing.assert_allclose(backend.to_host(array), expected[key], err_msg=key, **GRADIENTS)
    assert step._cache_size() == 1
