"""What JAX alone has: the staircase, separated rows, compiled steps, random numbers that spare slots leave alone."""

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
from padless.lengths import Window
from padless.rows import RowPartition
from tests import strategies
from tests.backends.test_recurrent_kernels import KINDS, Formula, arrays, run
from tests.tolerances import GRADIENTS, VALUES

jax = pytest.importorskip("jax")
torch = pytest.importorskip("torch")

from jax.test_util import check_grads  # noqa: E402

from padless.backends.jax import PLANS, recurrent  # noqa: E402
from padless.backends.jax.shapes import FAR  # noqa: E402


@pytest.fixture
def backend() -> Any:
    return backends.get("jax")


# ---- shapes


class Filled(RowPartition):
    """A partition of which the last two rows fill the batch up."""

    @property
    def live_rows(self) -> int:
        return max(self.nrows - 2, 0)


@given(strategies.lengths(most=12), st.booleans(), st.sampled_from([RowPartition, Filled]))
def test_a_staircase_holds_every_live_step_once(lengths: list[int], reverse: bool, kind: type[RowPartition]) -> None:
    rows = kind.from_lengths(lengths)
    if not rows.nvals:
        return
    plan = recurrent.staircase(rows, reverse)
    live = int(rows.row_splits[rows.live_rows])
    assert sorted(plan["steps"][plan["steps"] < FAR]) == list(range(live))
    np.testing.assert_array_equal(plan["steps"][plan["slots"][:live]], np.arange(live))
    assert (plan["slots"][live:] == FAR).all()
    assert (plan["after"][live:] == FAR).all()
    alive = np.diff(plan["firsts"])
    for row in range(rows.nrows):
        steps = np.arange(rows.row_splits[row], rows.row_splits[row + 1])[:: -1 if reverse else 1]
        place = plan["places"][row]
        if row >= rows.live_rows:
            assert place == FAR
            continue
        assert plan["rows"][place] == row
        slots = plan["firsts"][: len(steps)] + place
        np.testing.assert_array_equal(plan["steps"][slots], steps)
        assert (alive[: len(steps)] > place).all()
        np.testing.assert_array_equal(plan["after"][steps], [*slots[1:], rows.nvals + place][: len(steps)])


@given(strategies.lengths(most=40))
def test_every_time_step_is_in_a_loop_that_is_wide_enough(lengths: list[int]) -> None:
    rows = RowPartition.from_lengths(lengths)
    if not rows.nvals:
        return
    plan, sizes = recurrent.staircase(rows, False), recurrent.widths(rows.nrows)
    assert len(plan["turns"]) == len(sizes) + 1
    assert (plan["turns"][0], plan["turns"][-1]) == (0, rows.max_row_length)
    assert (np.diff(plan["turns"]) >= 0).all()
    for width, first, last in zip(sizes, plan["turns"], plan["turns"][1:], strict=False):
        assert (np.diff(plan["firsts"])[first:last] <= width).all()


def test_the_slots_of_news_articles_are_nearly_all_live() -> None:
    # Lengths like those of BBC news: log-normal, mean 390, longest above 4,000.
    lengths = np.random.default_rng(0).lognormal(5.8, 0.55, 2240).astype(int).clip(50, 4500)
    for batch in (32, 256):
        live = []
        for at in range(0, len(lengths) - batch + 1, batch):
            rows = RowPartition.from_lengths(lengths[at : at + batch])
            turns = np.diff(recurrent.staircase(rows, False)["turns"])
            live.append(rows.nvals / (turns * recurrent.widths(batch)).sum())
        assert np.mean(live) > 0.72


@pytest.mark.parametrize("name", sorted(PLANS))
def test_plans_of_as_many_rows_and_steps_have_the_same_shapes(name: str) -> None:
    table = [(Window(n, *rest),) for n in (1, 3, 4) for rest in ((1, 1, "same"), (2, 1, "same"), (1, 3, "causal"))]
    arguments = {"bounds": [()], "staircase": [(False,), (True,)], "separated": table}[name]
    for given_ in arguments:
        shapes = set()
        for kind in (RowPartition, Filled):
            for lengths in ([10, 0, 40, 4], [54, 0, 0, 0], [0, 2, 2, 50], [14, 14, 14, 12]):
                plan = PLANS[name](kind.from_lengths(lengths), *given_)
                # What windows there are depends on the rows, with a stride; all else does not.
                apart = ("windows",) if name == "separated" and given_[0].stride > 1 else ()
                shapes.add(tuple((key, a.shape) for key, a in plan.items() if key not in apart))
        assert len(shapes) == 1


# ---- recurrent layers


@pytest.mark.parametrize("kind", KINDS)
@strategies.examples(0.2)
@given(lengths=strategies.lengths(), seed=strategies.seeds(), bias=st.booleans(), reverse=st.booleans())
def test_a_staircase_equals_the_scan_of_torch(
    kind: str, lengths: list[int], seed: int, bias: bool, reverse: bool
) -> None:
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


@pytest.mark.parametrize("lengths", [[0, 0, 200], [0, 0, 0], [1]])
@pytest.mark.parametrize("kind", KINDS)
def test_one_long_row_and_none_at_all(kind: str, lengths: list[int], backend: Any) -> None:
    rows = RowPartition.from_lengths(lengths)
    given_ = arrays(kind, rows.nrows, rows.nvals, True, "float64", 5)
    fast = run(backend, kind, rows, given_, False, fast=True)
    slow = run(backends.get("torch"), kind, rows, given_, False, fast=False)
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_allclose(one, other, **GRADIENTS)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_fill_a_batch_up_are_not_there(
    kind: str, kernels: bool, reverse: bool, monkeypatch: pytest.MonkeyPatch, backend: Any
) -> None:
    if not kernels:
        monkeypatch.setattr(recurrent, "kernel_for", lambda cell: None)
    few, all_rows = RowPartition.from_lengths([2, 0, 4]), Filled.from_lengths([2, 0, 4, 0, 9])
    given_ = arrays(kind, 5, 15, True, "float64", 6)
    given_["x"][6:], given_["h"][3:] = np.nan, np.nan
    poison = {"y": np.zeros((15, 4)), "h": np.zeros((5, 4))}
    poison["y"][6:] = poison["h"][3:] = np.nan

    def results(rows: RowPartition) -> Any:
        def loss(a: dict[str, Any]) -> Any:
            cell = Formula(kind, {name: a[name] for name in a if name.endswith(("kernel", "bias"))})
            y, final = backend.recur(
                cell, a["x"], rows, tuple(a[name] for name in ("h", "c") if name in a), reverse=reverse
            )
            value = (y * y * (1 + poison["y"][: rows.nvals])).sum()
            return value + sum((s * s * (1 + poison["h"][: rows.nrows])).sum() for s in final), (y, final)

        own = {name: a[: {"x": rows.nvals, "h": rows.nrows, "c": rows.nrows}.get(name)] for name, a in given_.items()}
        (_, seen), gradients = backend.value_and_grad(loss, {name: backend.asarray(a) for name, a in own.items()})
        return seen, gradients

    ((y, final), by), ((y_few, final_few), by_few) = results(all_rows), results(few)
    np.testing.assert_array_equal(y[6:], np.zeros((9, 4)))
    np.testing.assert_allclose(y[:6], y_few, **VALUES)
    for one, other, name in zip(final, final_few, ("h", "c"), strict=False):
        np.testing.assert_allclose(one[:3], other, **VALUES)
        np.testing.assert_array_equal(one[3:], backend.asarray(given_[name])[3:])
    for name, gradient in by.items():
        size = len(by_few[name])
        np.testing.assert_allclose(gradient[:size], by_few[name], **GRADIENTS)
        np.testing.assert_array_equal(gradient[size:], np.zeros_like(gradient[size:]))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_cell_with_constants_and_whole_numbers_in_its_state(reverse: bool, backend: Any) -> None:
    """Attention-like: a constant for each row, weights read from around, a count of steps beside the state."""
    rows = RowPartition.from_lengths([3, 0, 9, 1, 9])
    draw = np.random.default_rng(7)
    given_ = {"x": draw.normal(size=(rows.nvals, 3)), "h": draw.normal(size=(5, 4)), "k": draw.normal(size=(5, 4))}
    given_ |= {"w": draw.normal(size=(3, 4)), "u": draw.normal(size=(4, 4)) * 0.5}

    def results(one: Any, scan: Any) -> Any:
        def loss(a: dict[str, Any]) -> Any:
            def step(x: Any, state: Any, constant: Any, marks: Any) -> Any:
                h, seen = state
                factor = one.cast(seen + marks, "float64")
                h = one.xp.tanh(x @ a["w"] + (h @ a["u"]) * constant) / one.xp.reshape(factor, (-1, 1))
                return h @ a["u"], (h, seen + 1)

            counts = (one.asarray(np.zeros(5, "int32")), one.asarray(np.arange(1, 6, dtype="int32")))
            y, final = scan(step, a["x"], rows, (a["h"], counts[0]), reverse=reverse, constants=(a["k"], counts[1]))
            return (y * y).sum() + (final[0] ** 3).sum(), (y, *final)

        (_, seen), gradients = one.value_and_grad(loss, {name: one.asarray(a) for name, a in given_.items()})
        return [one.to_host(v) for v in (*seen, *gradients.values())]

    torch_ = backends.get("torch")
    fast = results(backend, backend.scan)
    slow = results(torch_, lambda *args, **options: Backend.scan(torch_, *args, **options))
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_allclose(one, other, **GRADIENTS)
    np.testing.assert_array_equal(fast[2], rows.row_lengths)


@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_training_step_serves_all_batches_of_as_many_rows_and_steps(kind: str, backend: Any) -> None:
    given_ = {name: backend.asarray(a) for name, a in arrays(kind, 6, 30, True, "float32", 0).items()}
    given_["filter"] = backend.asarray(np.random.default_rng(1).normal(size=(3, 4, 2)).astype("float32"))

    def loss(a: dict[str, Any], rows: RowPartition) -> Any:
        cell = Formula(kind, {name: a[name] for name in a if name.endswith(("kernel", "bias"))})
        state = tuple(a[name] for name in ("h", "c") if name in a)
        y, final = backend.recur(cell, a["x"], rows, state, reverse=True)
        y, made = backend.convolve(y, rows, a["filter"], padding="same")
        return (y * y).sum() + sum((s * s).sum() for s in (*final, backend.segment_max(y, made)))

    class Named(RowPartition):
        """A partition of which only the numbers of rows and steps are known."""

        def __init__(self, arrays: Any) -> None:
            super().__init__([0, 0, 0, 0, 0, 0, 30])
            self.arrays = arrays

        def moved(self, key: Any, make: Any) -> Any:
            return self.arrays[key] if key in self.arrays else make()

    step = jax.jit(lambda a, given: jax.grad(lambda a: loss(a, Named(given)))(a))
    for lengths in ([5] * 6, [0, 0, 0, 0, 0, 30], [30, 0, 0, 0, 0, 0], [1, 2, 3, 4, 9, 11]):
        rows = RowPartition.from_lengths(lengths)
        expected = jax.grad(lambda a, rows=rows: loss(a, rows))(given_)
        keys = [k for k in rows._moved if k[0] == "jax" and k[1] in ("plan", "index")]
        got = step(given_, {key: rows._moved[key] for key in keys})
        for name, one in got.items():
            np.testing.assert_allclose(one, expected[name], **GRADIENTS)
    assert step._cache_size() == 1


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

    step = jax.jit(compiled)
    for lengths in ([4, 3, 2], [5, 4, 0], [4, 1, 4], [0, 0, 9]):
        rows = RowPartition.from_lengths(lengths)
        keys: dict[Any, Any] = {("jax", "plan", "staircase", False): backend.plan(rows, "staircase", False)}
        keys["jax", "index", "value_rowids"] = backend.index(rows, "value_rowids")
        state = tuple(backend.asarray(given_[name]) for name in ("h", "c"))
        got = step(backend.asarray(given_["x"]), keys, state)
        y, final = backend.recur(cell, backend.asarray(given_["x"]), rows, state)
        expected = (y, final, y, backend.segment_sum(y, rows), backend.segment_max(y, rows))
        for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(one, other, **VALUES)
    assert step._cache_size() == 1


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
