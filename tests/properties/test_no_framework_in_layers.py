"""Outside of backends/, nothing imports a framework."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import padless

SOURCE = Path(padless.__file__).parent
FRAMEWORKS = {"torch", "jax", "tensorflow", "numba", "triton", "keras"}
MAY = {
    # What is made of a value of a framework may import it, and models of Keras need Keras.
    *(("ragged.py", maker) for maker in ("from_nested", "from_tensorflow", "from_arrow", "from_awkward")),
    ("file.py", "_keras"),
}
FILES = sorted(path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] != "backends")


def is_for_types(node: ast.If) -> bool:
    """Whether this is `if TYPE_CHECKING:`."""
    return "TYPE_CHECKING" in ast.dump(node.test)


def imports(node: ast.AST, function: str = "") -> Iterator[tuple[str, str, int]]:
    """Package, function around it and line of every import that runs."""
    if isinstance(node, ast.Import):
        yield from ((alias.name.partition(".")[0], function, node.lineno) for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield (node.module or "").partition(".")[0], function, node.lineno
    elif isinstance(node, ast.Call) and "import_module" in ast.dump(node.func):
        names = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        yield from ((name.partition(".")[0], function, node.lineno) for name in names)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        function = node.name
    inside = node.orelse if isinstance(node, ast.If) and is_for_types(node) else ast.iter_child_nodes(node)
    for child in inside:
        yield from imports(child, function)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_framework(path: Path) -> None:
    found = [
        f"line {line} imports {package}"
        for package, function, line in imports(ast.parse(path.read_text()))
        if package in FRAMEWORKS and (path.name, function) not in MAY
        if path.parent.name != "auditing"  # a model of Keras is asked in Keras and what that runs on
    ]
    assert not found


@pytest.mark.parametrize("name", ["numpy", "base"])
def test_these_backends_need_no_framework(name: str) -> None:
    tree = ast.parse((SOURCE / "backends" / f"{name}.py").read_text())
    assert not {package for package, _, _ in imports(tree)} & FRAMEWORKS


def test_what_is_found_is_found() -> None:
    code = """
import os, torch.nn
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import jax
else:
    import numba
def late():
    from tensorflow import keras
    importlib.import_module("triton.language")
"""
    assert {(package, function) for package, function, _ in imports(ast.parse(code))} == {
        ("os", ""), ("torch", ""), ("typing", ""), ("numba", ""), ("tensorflow", "late"), ("triton", "late")
    }  # fmt: skip


def test_import_takes_no_framework_along() -> None:
    """In a process of its own: importing the layers loads none; a framework is loaded when it is first used."""
    code = "import sys, padless.layers, padless.losses; print(*sorted(set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not set(done.stdout.split()) & FRAMEWORKS
