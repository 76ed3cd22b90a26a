"""The library of C kernels: compiled, loaded, refused, exact."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from padless import native
from padless.native import build

NEEDS_COMPILER = pytest.mark.skipif(build.compiler() is None, reason="compiling needs a C compiler")
HOOK = Path(__file__).parents[2] / "src" / "padless" / "native"


@NEEDS_COMPILER
def test_where_there_is_a_compiler_the_installation_has_kernels() -> None:
    assert native.available() or os.environ.get("PADLESS_NATIVE") == "0"


@NEEDS_COMPILER
def test_compiling_anew_gives_one_whole_file(tmp_path: Path) -> None:
    made = build.compile_to(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [build.LIBRARY]
    assert build.fingerprint().encode() in made.read_bytes()


@NEEDS_COMPILER
def test_a_compiler_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / build.LIBRARY).write_bytes(b"old")
    monkeypatch.setenv("CC", "false")
    with pytest.raises(subprocess.CalledProcessError):
        build.compile_to(tmp_path)
    assert (tmp_path / build.LIBRARY).read_bytes() == b"old"


def test_without_a_compiler_the_build_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    assert build.requirements()[0].startswith("ziglang")
    monkeypatch.setenv("PADLESS_NATIVE", "0")
    assert build.requirements() == []


def _elsewhere(folder: Path, **environment: str) -> str:
    """What a copy of the package at another place says in a new process."""
    code = "from padless import native; print(native.available())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip() + done.stderr


@pytest.mark.skipif(not native.available(), reason="needs the library")
def test_it_is_left_alone_when_told_so_or_of_other_sources_or_broken(tmp_path: Path) -> None:
    shutil.copytree(HOOK.parent, tmp_path / "padless")
    copied = tmp_path / "padless" / "native"
    assert _elsewhere(tmp_path) == "True"
    assert _elsewhere(tmp_path, PADLESS_NATIVE="0") == "False"
    with (copied / "functions.c").open("a") as file:
        file.write("/* changed */\n")
    said = _elsewhere(tmp_path)
    assert said.startswith("False")
    assert "not made of the sources" in said
    (copied / build.LIBRARY).write_bytes(b"no library")
    assert "cannot be loaded" in _elsewhere(tmp_path)
    (copied / build.LIBRARY).unlink()
    assert _elsewhere(tmp_path) == "False"


EXACT = {
    "exp2": (np.exp2, 1.2e-38),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 2e-7),  # a gate multiplies: what it lets pass of nothing is nothing
    "tanh": (np.tanh, 1.2e-38),
}


@pytest.mark.skipif(not native.available(), reason="needs the library")
@pytest.mark.parametrize("name", EXACT)
def test_functions_are_exact_to_some_ulps(name: str) -> None:
    kernel = native.find(name, "pn")
    assert kernel is not None
    rng = np.random.default_rng(0)
    ends = [0.0, -0.0, 1e-30, -1e-30, 88.7, -87.3, 100, -100, 1e30, -1e30, np.inf, -np.inf, np.nan]
    x = np.concatenate([rng.uniform(-90, 88.7, 20_001), rng.normal(0, 1, 20_000), rng.normal(0, 1e-3, 9_999), ends])
    x = x.astype(np.float32)
    if name == "exp2":
        x = x[~(x > 0)]  # a softmax takes the largest score off first
    got = x.copy()
    assert kernel(got.ctypes.data, got.size) == 0
    exact, atol = EXACT[name]
    with np.errstate(over="ignore"):
        want = exact(x.astype(np.float64))
    # Below 2^-126 the numbers lose digits, and nothing that padless computes needs them.
    want = np.where((want > 0) & (want < 1.2e-38), 0, want)
    with np.errstate(over="ignore"):
        expected = want.astype(np.float32)
    close = np.isclose(got, expected, rtol=4e-7, atol=atol, equal_nan=True)
    assert close.all(), (x[~close][:5], got[~close][:5], expected[~close][:5])
