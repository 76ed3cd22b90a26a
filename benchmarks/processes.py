"""Workers, seen from the orchestrator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peers import Task

ROOT = Path(__file__).resolve().parents[1]
VERBOSE = bool(os.environ.get("PADLESS_BENCH_VERBOSE"))


class Failed(Exception):
    """What a worker could not do."""


class Process:
    """A worker that has imported its library and built its model."""

    def __init__(self, task: Task) -> None:
        self.said = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if VERBOSE else self.said,
            text=True,
        )
        try:
            self.started = self.ask("start", **task.told())["started"]
        except Failed:
            self.close()
            raise

    def ask(self, order: str, **given: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps([order, given]) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.said.seek(0)
            last = self.said.read().strip().splitlines()[-1:]
            raise Failed(f"the process ended with {self.process.wait()}: {''.join(last)[:200]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.close()
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.said.close()
