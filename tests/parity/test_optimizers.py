"""Optimizers and schedules: Keras's weights after 30 steps with gradients from 1e-8 to 10."""

from __future__ import annotations

import numpy as np
import pytest

from padless import backends, optimizers, schedules
from padless.errors import ArgumentError, NotThereYetError
from tests.tolerances import TRAINING, VALUES

torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")

STEPS = 30
CASES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-4}),
    ("Adam", {"weight_decay": 0.01}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.1, "amsgrad": True}),
    ("RMSprop", {}),
    ("RMSprop", {"rho": 0.8, "momentum": 0.5}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.9, "epsilon": 1e-5}),
    ("Adam", {"clipnorm": 0.5}),
    ("SGD", {"clipvalue": 0.1}),
    ("RMSprop", {"global_clipnorm": 0.5}),
]


def problem(scales=None):
    """Weights by path, and gradients of every step, whose sizes range over nine orders of magnitude."""
    random = np.random.default_rng(0)
    sizes = np.geomspace(1e-8, 10, 64) if scales is None else np.full(64, scales)
    weights = {"a/kernel": random.normal(size=(8, 8)), "a/bias": random.normal(size=64)}
    steps = [
        {
            "a/kernel": (random.normal(size=64) * sizes).reshape(8, 8),
            "a/bias": random.normal(size=64) * sizes[::-1] + sizes[::-1],
        }
        for _ in range(STEPS)
    ]
    cast = {path: w.astype("float32") for path, w in weights.items()}
    return cast, [{path: g.astype("float32") for path, g in step.items()} for step in steps]


def ours(optimizer, backend, weights, steps):
    made = backends.get(backend)
    arrays = {path: made.asarray(w) for path, w in weights.items()}
    for step in steps:
        arrays = optimizer.apply(made, arrays, {path: made.asarray(g) for path, g in step.items()})
    return {path: made.to_host(w) for path, w in arrays.items()}


def theirs(optimizer, weights, steps):
    variables = [keras.Variable(w, name=path.rsplit("/", 1)[-1]) for path, w in weights.items()]
    for step in steps:
        optimizer.apply([torch.tensor(g) for g in step.values()], variables)
    return {path: v.value.detach().numpy() for path, v in zip(weights, variables, strict=True)}


def close(ours, theirs, weights):
    """Equal as far as each weight's own move goes, so that large moves do not hide wrong small ones.

    A weight far larger than its moves is rounded at each step, by half a unit of its last place and twice with weight
    decay; tests that begin at 0 have no such allowance.
    """
    for path, start in weights.items():
        moved = np.abs(theirs[path] - start)
        rounding = STEPS * np.finfo("float32").eps * np.abs(start)
        apart = np.abs(ours[path] - theirs[path])
        wrong = apart > TRAINING["rtol"] * moved + rounding
        assert not wrong.any(), (path, ours[path][wrong][:3], theirs[path][wrong][:3], start[wrong][:3])
        assert (apart <= VALUES["rtol"] * moved.max() + rounding).all()


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_thirty_steps(name, arguments, backend):
    weights, steps = problem()
    arguments = {"learning_rate": 0.01, **arguments}
    found = ours(getattr(optimizers, name)(**arguments), backend, weights, steps)
    close(found, theirs(getattr(keras.optimizers, name)(**arguments), weights, steps), weights)


@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1.0, None])
@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_thirty_steps_from_zero(name, arguments, scale, backend):
    """Weights that begin at 0 show the moves themselves, to the last digit."""
    weights, steps = problem(scale)
    weights = {path: 0 * w for path, w in weights.items()}
    found = ours(getattr(optimizers, name)(**arguments), backend, weights, steps)
    close(found, theirs(getattr(keras.optimizers, name)(**arguments), weights, steps), weights)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_learning_rate_that_changes(name, backend):
    weights, steps = problem()
    arguments = {"initial_learning_rate": 0.05, "decay_steps": 7, "decay_rate": 0.3}
    more = {"momentum": 0.9} if name == "SGD" else {}
    mine = getattr(optimizers, name)(schedules.ExponentialDecay(**arguments), **more)
    other = getattr(keras.optimizers, name)(keras.optimizers.schedules.ExponentialDecay(**arguments), **more)
    close(ours(mine, backend, weights, steps), theirs(other, weights, steps), weights)


@pytest.mark.parametrize(("name", "more"), [("SGD", {"momentum": 0.9}), ("Adam", {})])
def test_learning_rate_that_is_set(name, more, backend):
    weights, steps = problem()
    mine, other = getattr(optimizers, name)(0.1, **more), getattr(keras.optimizers, name)(0.1, **more)
    variables = [keras.Variable(w) for w in weights.values()]
    found = weights
    for rate, part in ((0.1, steps[:10]), (0.001, steps[10:])):
        mine.learning_rate = other.learning_rate = rate
        assert mine.learning_rate == rate
        found = ours(mine, backend, found, part)
        for step in part:
            other.apply([torch.tensor(g) for g in step.values()], variables)
    wanted = {path: v.value.detach().numpy() for path, v in zip(weights, variables, strict=True)}
    close(found, wanted, weights)


def test_excluded_from_weight_decay(backend):
    weights, steps = problem()
    mine, other = optimizers.AdamW(weight_decay=0.5), keras.optimizers.AdamW(weight_decay=0.5)
    mine.exclude_from_weight_decay(var_names=["bias"])
    other.exclude_from_weight_decay(var_names=["bias"])
    close(ours(mine, backend, weights, steps), theirs(other, weights, steps), weights)
    assert mine.decays("a/kernel")
    mine.exclude_from_weight_decay(var_list=["a/kernel"])
    assert not mine.decays("a/kernel")
    assert mine.decays("a/bias")
    assert not optimizers.Adam().decays("a/kernel")


# ---- clipping


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize(
    "arguments", [{"clipnorm": 0.5}, {"clipvalue": 0.5}, {"global_clipnorm": 0.5}, {"clipnorm": 0}, {}]
)
def test_clipping(arguments, scale):
    _, steps = problem(scale)
    made = backends.get("numpy")
    clipped = optimizers.SGD(**arguments).clip(made.xp, steps[0])
    wanted = keras.optimizers.SGD(**arguments)._clip_gradients([torch.tensor(g) for g in steps[0].values()])
    for mine, other in zip(clipped.values(), wanted, strict=True):
        np.testing.assert_allclose(mine, other.numpy(), rtol=VALUES["rtol"])


@pytest.mark.parametrize("name", ["clipnorm", "global_clipnorm", "clipvalue"])
def test_clipping_nothing(name):
    clipped = optimizers.SGD(**{name: 1.0}).clip(np, {"w": np.zeros(3, "float32")})
    assert clipped["w"].tolist() == [0.0] * 3
    assert optimizers.SGD(**{name: 1.0}).clip(np, {}) == {}


def test_an_infinity_is_not_hidden():
    clipped = optimizers.SGD(global_clipnorm=1.0).clip(np, {"a": np.array([np.inf]), "b": np.ones(2)})
    assert np.isnan(clipped["a"]).all()
    assert np.isnan(clipped["b"]).all()


# ---- driver and state


def test_slots_and_iterations(backend):
    weights, steps = problem()
    optimizer = optimizers.Adam(amsgrad=True)
    ours(optimizer, backend, weights, steps[:3])
    assert optimizer.iterations == 3
    assert {name: set(slot) for name, slot in optimizer.slots.items()} == {
        name: set(weights) for name in ("momentum", "velocity", "velocity_hat")
    }


def test_a_weight_that_rests_keeps_its_slots(backend):
    """Frozen for a while: its momentum is still there when it is trained again."""
    weights, steps = problem()
    optimizer = optimizers.RMSprop(momentum=0.5)
    ours(optimizer, backend, weights, steps[:2])
    kept = backends.get(backend).to_host(optimizer.slots["momentum"]["a/bias"]).copy()
    ours(optimizer, backend, {"a/kernel": weights["a/kernel"]}, [{"a/kernel": steps[2]["a/kernel"]}])
    np.testing.assert_array_equal(backends.get(backend).to_host(optimizer.slots["momentum"]["a/bias"]), kept)


def test_given_weights_are_not_changed():
    weights, steps = problem()
    before = {path: w.copy() for path, w in weights.items()}
    ours(optimizers.AdamW(), "numpy", weights, steps[:2])
    for path, w in weights.items():
        np.testing.assert_array_equal(w, before[path])


def test_another_rule_is_not_taken_for_adam(backend):
    class Backwards(optimizers.Adam):
        def rule(self, xp, weight, gradient, slots, learning_rate, iteration):
            return weight + learning_rate * gradient, slots

    assert Backwards.kind == ""
    assert optimizers.AdamW.kind == "adamw"
    found = ours(Backwards(0.5), backend, {"w": np.ones(2, "float32")}, [{"w": np.ones(2, "float32")}])
    assert found["w"].tolist() == [1.5, 1.5]


# ---- arguments


def test_learning_rates():
    assert optimizers.SGD(lambda: 0.25).learning_rate == 0.25
    optimizer = optimizers.SGD(schedules.PiecewiseConstantDecay([1], [0.5, 0.25]))
    assert optimizer.learning_rate == 0.5
    optimizer.iterations = 2
    assert optimizer.learning_rate == 0.25
    with pytest.raises(ArgumentError, match="expected another schedule, since it follows one"):
        optimizer.learning_rate = 0.1
    optimizer.learning_rate = schedules.CosineDecay(0.125, 10)
    optimizer.iterations = 0
    assert optimizer.learning_rate == 0.125


@pytest.mark.parametrize(
    "arguments",
    [
        {"use_ema": True},
        {"ema_momentum": 0.9},
        {"ema_overwrite_frequency": 10},
        {"loss_scale_factor": 8.0},
        {"gradient_accumulation_steps": 4},
    ],
)
def test_not_there_yet(arguments):
    with pytest.raises(NotThereYetError, match=f"Adam, {next(iter(arguments))}: expected its default"):
        optimizers.Adam(**arguments)


def test_defaults_of_what_is_not_there_yet_may_be_written():
    optimizers.Adam(use_ema=False, ema_momentum=0.99, gradient_accumulation_steps=None, loss_scale_factor=None)


def test_wrong_arguments():
    with pytest.raises(ArgumentError, match=r"at most one of clipnorm, (.|\n)*Got: clipnorm and clipvalue"):
        optimizers.SGD(clipnorm=1.0, clipvalue=1.0)
    with pytest.raises(ArgumentError, match="momentum: expected a number from 0 to 1"):
        optimizers.SGD(momentum=1.5)
    with pytest.raises(ArgumentError, match=r"Adam: expected arguments of its own(.|\n)*Got: beta1"):
        optimizers.Adam(beta1=0.9)
    with pytest.raises(ArgumentError, match="AdamW, weight_decay: expected a number"):
        optimizers.AdamW(weight_decay=None)


def test_get():
    assert isinstance(optimizers.get("ADAM"), optimizers.Adam)
    assert isinstance(optimizers.get(optimizers.SGD), optimizers.SGD)
    with pytest.raises(ArgumentError, match="did you mean 'adam'"):
        optimizers.get("adan")
    with pytest.raises(NotThereYetError, match="'nadam', which Keras has and padless does not yet"):
        optimizers.get("nadam")
    with pytest.raises(NotThereYetError):
        optimizers.get("Lion")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own, on NumPy 2
@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_config(name, arguments):
    optimizer = getattr(optimizers, name)(0.5, **arguments)
    assert type(optimizer).from_config(optimizer.get_config()).get_config() == optimizer.get_config()
    other = getattr(keras.optimizers, name)(0.5, **arguments)
    read = optimizers.get(keras.optimizers.serialize(other))
    assert {**read.get_config(), "name": 0} == {**optimizer.get_config(), "name": 0}


def test_config_with_schedule():
    optimizer = optimizers.SGD(schedules.CosineDecay(0.5, 10))
    again = optimizers.SGD.from_config(optimizer.get_config())
    again.iterations = 5
    assert again.learning_rate == pytest.approx(0.25)


# ---- schedules

SCHEDULES = [
    ("ExponentialDecay", (0.1, 7, 0.5), {}),
    ("ExponentialDecay", (0.1, 7, 0.5), {"staircase": True}),
    ("InverseTimeDecay", (0.1, 7, 0.5), {}),
    ("InverseTimeDecay", (0.1, 7, 0.5), {"staircase": True}),
    ("PiecewiseConstantDecay", ([3, 10, 20], [1.0, 0.5, 0.25, 0.125]), {}),
    ("PolynomialDecay", (0.1, 12), {}),
    ("PolynomialDecay", (0.1, 12, 0.01), {"power": 2.0}),
    ("PolynomialDecay", (0.1, 12, 0.01), {"cycle": True}),
    ("CosineDecay", (0.1, 12), {}),
    ("CosineDecay", (0.1, 12), {"alpha": 0.1}),
    ("CosineDecay", (0.0, 12), {"warmup_target": 0.1, "warmup_steps": 5}),
    ("CosineDecayRestarts", (0.1, 7), {}),
    ("CosineDecayRestarts", (0.1, 7), {"t_mul": 1.0, "m_mul": 0.5}),
    ("CosineDecayRestarts", (0.1, 7), {"t_mul": 1.5, "m_mul": 0.9, "alpha": 0.1}),
]


@pytest.mark.parametrize(("name", "positional", "named"), SCHEDULES)
def test_schedules(name, positional, named):
    mine = getattr(schedules, name)(*positional, **named)
    other = getattr(keras.optimizers.schedules, name)(*positional, **named)
    for step in range(60):
        # In float32, Keras misses the start of some restarts by a rounding error; that is tested below.
        at_restart = name == "CosineDecayRestarts" and mine(step) - mine(max(step - 1, 0)) > 0.02
        if not at_restart:
            assert mine(step) == pytest.approx(float(other(step)), rel=1e-4, abs=1e-7), step
    assert isinstance(mine(3), float)
    assert mine.get_config() == other.get_config()
    assert schedules.get(keras.optimizers.schedules.serialize(other)).get_config() == mine.get_config()


@pytest.mark.parametrize(("t_mul", "starts"), [(1.0, range(0, 70, 7)), (2.0, [0, 7, 21, 49, 105, 217, 441])])
def test_restarts(t_mul, starts):
    schedule = schedules.CosineDecayRestarts(0.5, 7, t_mul=t_mul)
    assert [schedule(step) for step in starts] == pytest.approx([0.5] * len(starts))


def test_schedule_errors():
    with pytest.raises(ArgumentError, match="decay_steps: expected a number of steps above 0"):
        schedules.CosineDecay(0.1, 0)
    with pytest.raises(ArgumentError, match="2 boundaries and 2 values"):
        schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2])
    with pytest.raises(ArgumentError, match="did you mean 'cosine_decay'"):
        schedules.get("cosinedecay")
