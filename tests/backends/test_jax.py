"""What JAX alone has: lanes, separated rows, compiled steps, random numbers that spare slots leave alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless import backends, optimizers
from padless.backends.base import Backend
from padless.errors import BackendError
from padless.rows import RowPartition
from tests import strategies
from tests.backends.test_recurrent_kernels import KINDS, Formula, arrays, run
from tests.tolerances import GRADIENTS, VALUES

jax = pytest.importorskip("jax")
torch = pytest.importorskip("torch")

from jax.test_util import check_grads  # noqa: E402

from padless.backends.jax import PLANS, recurrent  # noqa: E402
from padless.backends.jax.shapes import FAR, bucket  # noqa: E402


@pytest.fixture
def backend() -> Any:
    return backends.get("jax")


# ---- shapes


@given(st.integers(0, 10**6), st.sampled_from([4, 8]))
def test_a_bucket_wastes_little_and_there_are_few(size: int, parts: int) -> None:
    assert size <= bucket(size, parts) <= max(size * (1 + 1 / parts), size)
    assert bucket(bucket(size, parts), parts) == bucket(size, parts)
    assert bucket(size, parts) <= bucket(size + 1, parts)


def test_sizes_of_all_batches_are_few() -> None:
    assert len({bucket(n) for n in range(1024, 16385)}) == 4 * 8 + 1


@given(strategies.lengths(most=12), st.booleans())
def test_lanes_hold_every_row_in_one_piece(lengths: list[int], reverse: bool) -> None:
    rows = RowPartition.from_lengths(lengths)
    if not rows.nvals:
        return
    plan = recurrent.lanes(rows, reverse)
    count = plan["starts"].shape[1]
    assert sorted(plan["owned"][plan["owned"] < FAR]) == list(range(rows.nvals))
    for row, (first, last) in enumerate(zip(plan["firsts"], plan["lasts"], strict=True)):
        steps = np.arange(rows.row_splits[row], rows.row_splits[row + 1])
        if not len(steps):
            assert first == last == FAR
            continue
        slots = np.arange(first, last + 1, count)
        np.testing.assert_array_equal(plan["owned"][slots], steps[::-1] if reverse else steps)
        np.testing.assert_array_equal(plan["slots"][plan["owned"][slots]], slots)
        assert (plan["rows"].reshape(-1)[slots] == row).all()
        assert plan["starts"].reshape(-1)[slots].tolist() == [True] + [False] * (len(steps) - 1)
    idle = plan["owned"] == FAR
    assert plan["starts"].reshape(-1)[idle].all()
    assert set(plan["rows"].reshape(-1)[idle]) <= {rows.value_rowids[plan["steps"][idle][0]]} if idle.any() else True


def test_lanes_of_news_articles_are_nearly_full_and_of_few_shapes() -> None:
    # Lengths like those of BBC news: log-normal, mean 390, longest above 4,000.
    lengths = np.random.default_rng(0).lognormal(5.8, 0.55, 2240).astype(int).clip(50, 4500)
    shapes, live = set(), []
    for at in range(0, len(lengths), 32):
        rows = RowPartition.from_lengths(lengths[at : at + 32])
        shapes.add(recurrent.lane_shape(rows))
        live.append(rows.nvals / np.prod(recurrent.lane_shape(rows)))
    assert np.mean(live) > 0.87
    assert len(shapes) <= 14


@pytest.mark.parametrize("name", sorted(PLANS))
def test_plans_say_which_of_their_arrays_grow_with_a_batch(name: str) -> None:
    arguments: dict[str, Any] = {"lanes": (False,), "separated": (3, 2, 1, "valid"), "bounds": ()}
    rows = RowPartition.from_lengths([9, 0, 40, 3])
    planner, outputs = PLANS[name], rows.window_rows(3, 2).nvals
    plan = planner.make(rows, *arguments[name])
    sizes = {**dict.fromkeys(planner.per_step, rows.nvals), **dict.fromkeys(planner.per_row, rows.nrows)}
    sizes |= dict.fromkeys(planner.per_output, outputs)
    assert {key: len(plan[key]) for key in sizes} == sizes


# ---- recurrent layers


@pytest.mark.parametrize("kind", KINDS)
@strategies.examples(0.2)
@given(lengths=strategies.lengths(), seed=strategies.seeds(), bias=st.booleans(), reverse=st.booleans())
def test_lanes_equal_the_scan_of_torch(kind: str, lengths: list[int], seed: int, bias: bool, reverse: bool) -> None:
    rows = RowPartition.from_lengths(lengths)
    given_ = arrays(kind, rows.nrows, rows.nvals, bias, "float64", seed)
    fast = run(backends.get("jax"), kind, rows, given_, reverse, fast=True)
    slow = run(backends.get("torch"), kind, rows, given_, reverse, fast=False)
    for one, other in zip(fast, slow, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, **GRADIENTS)


@pytest.mark.parametrize("kind", KINDS)
def test_any_cell_equals_the_kernel_for_it(kind: str, monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    rows = RowPartition.from_lengths([3, 0, 7, 7, 1])
    given_ = arrays(kind, rows.nrows, rows.nvals, True, "float64", 3)
    fast = run(backend, kind, rows, given_, True, fast=True)
    monkeypatch.setattr(recurrent, "kernel_for", lambda cell: None)
    slow = run(backend, kind, rows, given_, True, fast=True)
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_allclose(one, other, **GRADIENTS)


@pytest.mark.parametrize("kind", ["lstm", "gru", "simple_rnn"])
def test_gradients_are_those_of_finite_differences(kind: str, backend: Any) -> None:
    rows = RowPartition.from_lengths([2, 0, 3, 1])
    given_ = arrays(kind, rows.nrows, rows.nvals, True, "float64", 1)

    def function(a: dict[str, Any]) -> Any:
        cell = Formula(kind, {name: a[name] for name in a if name.endswith(("kernel", "bias"))})
        y, final = backend.recur(cell, a["x"], rows, tuple(a[name] for name in ("h", "c") if name in a))
        return sum((v * v).sum() for v in (y, *final))

    inputs = {name: backend.asarray(a) for name, a in given_.items()}
    with jax.enable_x64(True):
        check_grads(function, (inputs,), order=1, modes=["rev"], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_poison_in_one_row_stays_there(kind: str, kernels: bool, monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    if not kernels:
        monkeypatch.setattr(recurrent, "kernel_for", lambda cell: None)
    rows = RowPartition.from_lengths([2, 4, 3])
    given_ = arrays(kind, rows.nrows, rows.nvals, True, "float32", 4)
    given_["x"][2] = np.nan
    y = run(backend, kind, rows, given_, False, fast=True)[0]
    assert np.isnan(y[2:6]).all()
    assert np.isfinite(y[:2]).all()
    assert np.isfinite(y[6:]).all()


def test_idle_slots_compute_nothing_that_is_not_finite(backend: Any) -> None:
    # A cell that is fine on data, and infinite after many steps or on zeros.
    def step(x: Any, state: Any) -> Any:
        h = state[0] * 3.0 / x
        return h, (h,)

    rows = RowPartition.from_lengths([40, 35, 3])

    def loss(a: dict[str, Any]) -> Any:
        y, _ = backend.scan(lambda x, s: step(x * a["w"], s), a["x"], rows, (a["h"],))
        return backend.xp.sum(y), None

    inputs = {"x": np.full((rows.nvals, 2), 3.0), "h": np.ones((3, 2)), "w": np.ones(2)}
    _, gradients = backend.value_and_grad(loss, {k: backend.asarray(v, "float32") for k, v in inputs.items()})
    assert all(np.isfinite(backend.to_host(g)).all() for g in gradients.values())


def test_a_cell_is_compiled_once_and_reads_its_weights_anew(backend: Any) -> None:
    rows, x, h = RowPartition.from_lengths([3, 2]), backend.asarray(np.ones((5, 2), "float32")), np.zeros((2, 2))
    results = []
    recurrent._compiled.clear()
    for value in (1.0, 2.0, 3.0):
        weight = backend.asarray(np.full(2, value, "float32"))

        def step(x: Any, state: Any, weight: Any = weight) -> Any:
            return state[0] + weight * x, (state[0] + weight * x,)

        results.append(float(backend.scan(step, x, rows, (backend.asarray(h, "float32"),))[1][0][0, 0]))
    assert results == [3, 6, 9]
    assert len(recurrent._compiled) == 1


def test_recurrent_layers_work_in_a_compiled_step_that_gets_the_rows_as_arrays(backend: Any) -> None:
    """A partition of which only the sizes are known while the step is compiled."""
    given_ = arrays("lstm", 3, 9, True, "float32", 0)
    cell = Formula("lstm", {n: backend.asarray(a) for n, a in given_.items() if n.endswith(("kernel", "bias"))})

    class Named:
        nrows, nvals, has_holes = 3, 9, False

        def __init__(self, arrays: Any) -> None:
            self.arrays = arrays

        def moved(self, key: Any, make: Any) -> Any:
            return self.arrays[key]

    def compiled(x: Any, arrays: Any, state: Any) -> Any:
        rows: Any = Named(arrays)
        y, final = backend.recur(cell, x, rows, state)
        scanned, _ = Backend.recur(backend, cell, x, rows, state)
        sums = backend.segment_sum(y, rows)
        return y, final, scanned, sums, backend.segment_max(y, rows)

    step, shapes = jax.jit(compiled), set()
    for lengths in ([4, 3, 2], [5, 4, 0], [4, 1, 4]):
        rows = RowPartition.from_lengths(lengths)
        keys = {("jax", "plan", "lanes", False): backend.plan(rows, "lanes", False)}
        keys["jax", "index", "value_rowids"] = backend.index(rows, "value_rowids")
        shapes.add(tuple(sorted((k, v.shape) for k, v in backend.plan(rows, "lanes", False).items())))
        state = tuple(backend.asarray(given_[name]) for name in ("h", "c"))
        got = step(backend.asarray(given_["x"]), keys, state)
        y, final = backend.recur(cell, backend.asarray(given_["x"]), rows, state)
        expected = (y, final, y, backend.segment_sum(y, rows), backend.segment_max(y, rows))
        for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(one, other, **VALUES)
    assert step._cache_size() == len(shapes)


# ---- numbers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_spare_slots_change_no_random_number(dtype: str, backend: Any) -> None:
    few = backend.random_uniform((5, 6, 7), (9, 3), dtype)
    more = backend.random_uniform((5, 6, 7), (16, 3), dtype)
    np.testing.assert_array_equal(few, more[:9])

    @jax.jit
    def draw(seed: Any, step: Any) -> Any:
        return backend.random_uniform((seed, step, 7), (16, 3), dtype)

    np.testing.assert_array_equal(draw(np.uint32(5), np.uint32(6)), more)


def test_random_numbers_pass_for_random(backend: Any) -> None:
    x = np.asarray(backend.random_uniform((1, 2, 3), (1000, 256), "float32"))
    counts = np.histogram(x, 64, (0, 1))[0]
    assert ((counts - x.size / 64) ** 2 / (x.size / 64)).sum() < 120  # chi squared with 63 degrees: above 104 in 0.1 %
    other = np.asarray(backend.random_uniform((1, 2, 4), (1000, 256), "float32"))
    for one, two in ((x[1:], x[:-1]), (x[:, 1:], x[:, :-1]), (x, other), (x[:, 16:], x[:, :-16])):
        assert abs(np.corrcoef(one.reshape(-1), two.reshape(-1))[0, 1]) < 0.01


def test_a_dtype_that_was_asked_for_is_kept(backend: Any) -> None:
    for dtype in ("float64", "int64", "uint64", "float16", "bfloat16"):
        assert backend.dtype_name(backend.asarray([1, 2], dtype)) == dtype
        assert backend.dtype_name(backend.xp.zeros(3, dtype=dtype) + 1) == dtype
    assert backend.dtype_name(backend.xp.zeros(3)) == "float32"
    assert backend.dtype_name(backend.index(RowPartition([0, 2]), "value_rowids")) == "int32"


def test_reading_numbers_in_a_compiled_step_says_what_to_do(backend: Any) -> None:
    with pytest.raises(BackendError, match="no numbers yet"):
        jax.jit(backend.to_host)(np.ones(2))
    assert jax.jit(lambda x: x if backend.bounds(x) is None else 0 * x)(np.ones(2)).tolist() == [1, 1]


def test_arrays_of_jax_are_known_from_the_start() -> None:
    assert backends.of(jax.numpy.ones(2)).name == "jax"


# ---- training


def test_a_rule_that_wants_plain_numbers_is_not_compiled(backend: Any) -> None:
    import math

    class Halving(optimizers.Optimizer):
        def rule(self, xp: Any, weight: Any, gradient: Any, slots: Any, learning_rate: float, iteration: int) -> Any:
            return weight - learning_rate / math.sqrt(iteration + 1) * gradient, {}

    optimizer, weights = Halving(1.0), {"w": backend.asarray(np.zeros(1, "float32"))}
    for _ in range(4):
        weights = optimizer.apply(backend, weights, {"w": backend.asarray(np.ones(1, "float32"))})
    np.testing.assert_allclose(weights["w"], -(1 + 2**-0.5 + 3**-0.5 + 0.5), **VALUES)


def test_settings_of_an_optimizer_may_change(backend: Any) -> None:
    optimizer, weights = optimizers.SGD(1.0, momentum=0.5), {"w": backend.asarray(np.zeros(1, "float32"))}
    one = {"w": backend.asarray(np.ones(1, "float32"))}
    seen = []
    for momentum, rate in ((0.5, 1.0), (0.5, 2.0), (0.0, 1.0)):
        optimizer.momentum, optimizer.learning_rate = momentum, rate
        weights = optimizer.apply(backend, weights, one)
        seen.append(float(weights["w"][0]))
    assert seen == [-1.0, -3.5, -4.5]


def test_the_user_may_keep_arrays_of_weights(backend: Any) -> None:
    padless.set_backend("jax")
    try:
        model = padless.Sequential([padless.layers.Dense(1)])
        model.compile("adam", "mse")
        x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
        model.train_on_batch(x, y)
        before = model.weights
        model.train_on_batch(x, y)
        assert not np.array_equal(before[0], model.weights[0])
    finally:
        padless.set_backend("torch")
