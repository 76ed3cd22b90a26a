"""Random numbers of one fit that are repeatable, without touching those of the program around it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from padless import random


@contextlib.contextmanager
def seeded(random_state: Any) -> Iterator[None]:
    """Within this context, weights, shuffling and dropout depend on `random_state` alone.

    Args:
        random_state: a whole number, a NumPy RandomState, which is drawn from, or None: nothing changes then.
    """
    if random_state is None:
        yield
        return
    whole = isinstance(random_state, int | np.integer)  # then it is what `set_random_seed` takes
    seed = random_state if whole else check_random_state(random_state).randint(np.iinfo(np.int32).max)
    before = random.get_state()
    random.set_random_seed(int(seed))
    try:
        yield
    finally:
        random.set_state(before)
