"""The arithmetic of the benchmarks, and one short measurement."""

from __future__ import annotations

import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from benchmarks import targets
from benchmarks.data import WASTES, Data, slope
from benchmarks.dealing import deal, thinned, waste
from benchmarks.models import SPECS
from benchmarks.orchestrator import Result
from benchmarks.peers import CONTESTANTS, row_losses
from benchmarks.tables import Table, spread


def test_a_deal_has_the_same_rows_in_both_orders():
    lengths = np.random.default_rng(0).integers(1, 1_000, 1_000)
    dealt = deal(lengths, 8, 10)
    assert sorted(chain(*dealt.random)) == sorted(chain(*dealt.bucketed))
    assert waste(lengths, dealt.bucketed) < waste(lengths, dealt.random)
    assert all(batch in dealt.random for batch in thinned(lengths, dealt.random, 3))


@pytest.mark.parametrize("wanted", WASTES)
def test_the_slope_has_the_same_steps_at_every_waste(wanted):
    made = slope(wanted, batches=1)
    assert made.lengths.sum() == 16_384
    assert waste(made.lengths, [list(range(len(made.lengths)))]) == pytest.approx(wanted, abs=0.02)
    assert (made.lengths**2).sum() == pytest.approx(16_384 * 512, rel=0.05)


def test_padded_rows_and_their_losses():
    made = Data(np.arange(1, 6), np.array([0, 2, 5]), np.array([0, 1, 1, 0, 1]), 10, 2)
    x, y = made.padded([1, 0])
    np.testing.assert_array_equal(x, [[3, 4, 5], [1, 2, 0]])
    np.testing.assert_array_equal(y, [[1, 0, 1], [0, 1, 0]])
    sure = np.array([[[0.5, 0.5]] * 3, [[1.0, 1e-9], [0.25, 0.75], [0.0, 0.0]]])
    np.testing.assert_allclose(row_losses(made, [1, 0], list(sure)), [np.log(2), -np.log(0.75) / 2])


def test_targets_compare_with_the_fastest_peer():
    def result(name, speed):
        return Result(CONTESTANTS[name], "bag", "bag", speeds=[speed])

    results = [result("padless random", 10), result("Keras jax padded", 2), result("Keras torch bucketed", 4)]
    line = targets.ANY_KERAS.line(results)
    assert line == ["best Keras", "Keras torch bucketed", "2.50", "", "3", "10", "missed"]
    assert targets.ANY_KERAS.line(results[:1]) is None


def test_tables_and_operations():
    assert spread([3, 1, 2], ".0f") == "2 (1 to 3)"
    assert Table("t", ["a", "b"], [["1", "22"]]).text() == "### t\n\n| a | b  |\n| --- | --- |\n| 1 | 22 |\n"
    assert SPECS["bilstm64"].flops(1) == 3 * 2 * 2 * 4 * 64 * (128 + 64)  # both ways, four gates, and twice back


def test_a_short_measurement():
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "--quick", "--no-log", "--threads", "1", "--turns", "1"),
            *("--seconds", "0.01", "--workloads", "vowels", "--contestants", "padless random", "PyTorch packed"),
            *("--questions", "speed"),
        ],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith(("| padless r", "| PyTorch pac"))]
    assert len(rows) == 2
    assert all("the same" in row[-2] for row in rows), done.stdout
