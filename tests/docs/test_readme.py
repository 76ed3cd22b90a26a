"""Every Python block of README.md runs, in order, in one namespace, the way a reader would type it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[2] / "README.md"


def python_blocks(text: str) -> list[tuple[int, str]]:
    """The line before each Python block, and its code."""
    found = re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, block.start(1)), block.group(1)) for block in found]


def test_every_python_block_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(README.read_text(encoding="utf-8"))
    assert len(blocks) >= 3
    names: dict[str, Any] = {"__name__": "__readme__"}
    for line, code in blocks:
        # Empty lines in front, so that a traceback names the line of README.md.
        exec(compile("\n" * line + code, str(README), "exec"), names)
