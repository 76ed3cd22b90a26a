"""Every module can be the first that is imported: none stands in a circle with another."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys

import pytest

import padless

# One process, forked for each module: NumPy is imported once.
EACH = """
import importlib, os, sys
import numpy, optree
wrong = []
for name in sys.argv[1:]:
    child = os.fork()
    if not child:
        try:
            importlib.import_module(name)
        except BaseException as error:
            print(name, type(error).__name__, error, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")
def test_every_module_can_be_imported_first() -> None:
    frameworks = ("padless.backends.jax", "padless.backends.torch", "padless.testing", "padless.__main__")
    names = [found.name for found in pkgutil.walk_packages(padless.__path__, "padless.")]
    names = [name for name in names if not name.startswith(frameworks)]
    assert len(names) > 60
    done = subprocess.run([sys.executable, "-c", EACH, *names], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout == ""
