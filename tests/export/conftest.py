"""Models of these tests are made on torch, and torch reads its list of ONNX functions once for all of them."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.oracle import using


@pytest.fixture
def on_torch() -> Iterator[None]:
    """Within the test, layers are made for torch."""
    pytest.importorskip("torch")
    with using("torch"):
        yield


@pytest.fixture(scope="session", autouse=True)
def one_registry() -> Iterator[None]:
    """A third of a second for each export, otherwise."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from torch.onnx._internal.exporter import _registration

    own = _registration.ONNXRegistry.from_torchlib
    _registration.ONNXRegistry.from_torchlib = staticmethod(functools.cache(own))
    yield
    _registration.ONNXRegistry.from_torchlib = own


@pytest.fixture
def quickly(on_torch: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large files as torch translates them, in two thirds of the time: models go through its optimizer elsewhere."""
    if settings.get_current_profile_name() == "thorough" or len(request.getfixturevalue("group")) == 1:
        return
    from torch.onnx import ONNXProgram

    monkeypatch.setattr(ONNXProgram, "optimize", lambda program: None)
