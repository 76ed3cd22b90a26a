"""What all tests share: one thread, Keras on torch, Hypothesis profiles, the backend fixture."""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before NumPy and torch are imported: later they no longer look. Two workers of two threads each wait for each other.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["KERAS_BACKEND"] = "torch"
# JAX compiles each operation for each shape, 33 ms a time, 23 without what makes it fast afterwards.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
os.environ["XLA_FLAGS"] = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true --xla_cpu_multi_thread_eigen=false"
)
os.environ["JAX_PLATFORMS"] = "cpu"

_HAS_TORCH = importlib.util.find_spec("torch") is not None
if _HAS_TORCH:
    import torch

    torch.set_num_threads(1)

_HAS_JAX = importlib.util.find_spec("jax") is not None
BACKENDS = ("numpy", *(("torch",) if _HAS_TORCH else ()), *(("jax",) if _HAS_JAX else ()))
ALL_DIRECTLY = "PADLESS_TEST_JAX" in os.environ
"""Whether layers that JAX is given directly, without being compiled as a whole, are all layers; see tests/cases.py."""

# No deadlines: the first call of a kernel compiles it. The fast profile tries the same examples each time, so that a
# red run is red again; the thorough one looks for new ones.
_common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}
settings.register_profile("fast", max_examples=25, derandomize=True, **_common)
settings.register_profile("thorough", max_examples=500, print_blob=True, **_common)
settings.load_profile("fast")


_ended = itertools.count(1)


def pytest_runtest_teardown() -> None:
    """Let go of what JAX compiled before Linux runs out of places for it: each function takes several of 65,530."""
    if next(_ended) % 50 or "jax" not in sys.modules:
        return
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 30_000:
        sys.modules["jax"].clear_caches()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of a layer on JAX go to one worker, which compiles it once for all of them."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        parameters = {} if callspec is None else callspec.params
        on_jax = any(isinstance(value, str) and value == "jax" for value in parameters.values())
        if "case" in parameters and (on_jax or "compiles" in item.keywords):
            item.add_marker(pytest.mark.xdist_group(parameters["case"].name))


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once per installed backend; gives its name."""
    yield from _using(request.param)


@pytest.fixture(params=[name for name in BACKENDS if name != "numpy"])
def trainer(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once per installed backend that trains; gives its name."""
    yield from _using(request.param)


def _using(name: str) -> Iterator[str]:
    import padless

    before = padless.backend()
    padless.set_backend(name)
    yield name
    padless.set_backend(before)
