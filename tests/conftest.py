"""What all tests share: one thread, Keras on torch, Hypothesis profiles, the backend fixture."""

from __future__ import annotations

import atexit
import ctypes
import importlib.util
import itertools
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before NumPy and torch are imported: later they no longer look. Two workers of two threads each wait for each other.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["KERAS_BACKEND"] = "torch"
# JAX compiles each operation for each shape, and each layer as a whole: in a third of the time without what makes that
# fast afterwards.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
os.environ["XLA_FLAGS"] = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true --xla_cpu_multi_thread_eigen=false "
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)
os.environ["JAX_PLATFORMS"] = "cpu"
# What was compiled once serves both workers, and the many tests that are alike: 1 ms in place of 5 to 1,000. The folder
# is of this run alone; whoever names one keeps it between runs.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="padless-tests-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

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


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Draw the same weights in each run, too; one seed for a file, as its tests may share some."""
    if settings.get_current_profile_name() == "thorough":
        return
    import padless

    seed = zlib.crc32(item.path.name.encode())
    padless.utils.set_random_seed(seed)
    if _HAS_TORCH:
        torch.manual_seed(seed)


_ended = itertools.count(1)
_MOST_BYTES = 3 * 2**30


def pytest_runtest_teardown() -> None:
    """Let go of what JAX compiled before memory runs out: 3 MB for each function, and the C library keeps them."""
    if next(_ended) % 50 or "jax" not in sys.modules:
        return
    used = Path("/proc/self/statm")
    if used.exists() and int(used.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > _MOST_BYTES:
        sys.modules["jax"].clear_caches()
        getattr(ctypes.CDLL(None), "malloc_trim", bool)(0)


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
