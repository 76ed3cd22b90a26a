"""Thousands of damaged files: each loads, or raises an error of padless and changes nothing.

`./run test --thorough tests/saving/test_fuzz.py` tries twenty times as many, others each time.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import settings

import padless
from tests.conftest import BACKENDS
from tests.saving.fuzzing import TARGETS, Target, attempt

_FAST = 250


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files(name: str) -> None:
    if "torch" not in BACKENDS:
        return  # NumPy does not train
    before = padless.backend()
    padless.set_backend("torch")
    thorough = settings.get_current_profile_name() == "thorough"
    first = random.randrange(10**9) if thorough else 0
    outcomes: Counter[str] = Counter()
    try:
        target = Target(name)
        for seed in range(first, first + _FAST * (20 if thorough else 1)):
            try:
                outcomes[attempt(target, seed)] += 1
            except BaseException as wrong:
                wrong.add_note(f"attempt(Target({name!r}), {seed})")
                raise
    finally:
        padless.set_backend(before)
    assert outcomes["loaded"], "some damage does no harm"
    assert outcomes["DataError"] > outcomes.total() / 4
