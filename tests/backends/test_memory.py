"""What a training step freed stays with the process, where that was not forbidden."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

PROGRAM = """
import torch
from padless.backends.torch import memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

kept, size = memory.keep(), 200 << 20
before = resident()
torch.ones(size // 4)
print(kept, resident() - before > 0.9 * size)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads what Linux tells of a process")
@pytest.mark.parametrize("setting", ["1", "0"])
def test_memory_is_kept_unless_forbidden(setting: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PADLESS_KEEP_MEMORY": setting, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, stays = run.stdout.split()
    assert kept == stays
    assert setting == "1" or kept == "False"
