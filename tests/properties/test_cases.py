"""The table of cases is complete."""

from __future__ import annotations

import inspect

from padless import Layer, layers
from tests.cases import CASES, NO_CASE


def public_layers() -> dict[str, type[Layer]]:
    """The layer classes that padless.layers exports, under their own names."""
    found = {
        value.__name__: value for value in vars(layers).values() if inspect.isclass(value) and issubclass(value, Layer)
    }
    return {name: kind for name, kind in found.items() if not name.startswith("_")}


def test_every_public_layer_has_a_case() -> None:
    covered = {type(case.make("float32")).__name__ for case in CASES}
    missing = sorted(set(public_layers()) - covered - set(NO_CASE))
    assert not missing, f"add a line to tests/cases.py for {missing}"


def test_no_exception_outlives_its_reason() -> None:
    assert set(NO_CASE) <= set(public_layers())
    covered = {type(case.make("float32")).__name__ for case in CASES}
    assert not set(NO_CASE) & covered


def test_names_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
