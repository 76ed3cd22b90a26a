"""The examples of all docstrings run, as a reader would type them."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator

import pytest

import padless

NEEDS = {"torch": "padless.backends.torch", "jax": "padless.backends.jax"}


def modules() -> Iterator[str]:
    for module in pkgutil.walk_packages(padless.__path__, "padless."):
        if all(importlib.util.find_spec(needed) or not module.name.startswith(of) for needed, of in NEEDS.items()):
            yield module.name


@pytest.fixture(autouse=True)
def same_backend_after() -> Iterator[None]:
    before = padless.backend()
    yield
    padless.set_backend(before)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's predict on torch
@pytest.mark.parametrize("name", list(modules()))
def test_the_examples_of_a_module_run(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert not result.failed, "see what it printed"
