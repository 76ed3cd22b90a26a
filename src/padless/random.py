"""Random numbers without hidden state: every draw is a function of a seed and of what it is for."""

from __future__ import annotations

import contextlib
import contextvars
import random as _python_random
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

_START = 0
_seed = int(np.random.SeedSequence().generate_state(1)[0])
_drawn = 0


def set_random_seed(seed: int) -> None:
    """Make everything that follows repeatable: weights, shuffling, dropout. Python's and NumPy's own too.

    Args:
        seed: a whole number from 0 to 2**32 - 1.

    Example:
        >>> import padless
        >>> padless.utils.set_random_seed(1)
    """
    global _seed, _drawn
    _seed, _drawn = int(seed), 0
    _python_random.seed(seed)
    np.random.seed(seed)


def get_state() -> dict[str, Any]:
    """Where all random numbers stand that `set_random_seed` fixes, and those of torch where it is in use.

    Returns:
        Numbers, lists and NumPy arrays, for `set_state`.
    """
    version, words, gauss = _python_random.getstate()
    name, keys, place, has_gauss, cached = np.random.get_state()
    state = {
        "padless": [_seed, _drawn],
        "python": [version, np.array(words, np.uint32), gauss],
        "numpy": [name, np.array(keys), int(place), int(has_gauss), float(cached)],
    }
    if "torch" in sys.modules:
        state["torch"] = sys.modules["torch"].get_rng_state().numpy().copy()
    return state


def set_state(state: dict[str, Any]) -> None:
    """Go on from where random numbers stood.

    Args:
        state: as `get_state` gave it.
    """
    global _seed, _drawn
    _seed, _drawn = (int(number) for number in state["padless"])
    version, words, gauss = state["python"]
    _python_random.setstate((version, tuple(int(word) for word in words), gauss))
    np.random.set_state(tuple(state["numpy"]))
    if "torch" in state and "torch" in sys.modules:
        torch = sys.modules["torch"]
        torch.set_rng_state(torch.from_numpy(np.array(state["torch"])))


def next_seed() -> int:
    """A new seed; the same ones in the same order after `set_random_seed`.

    Returns:
        A whole number from 0 to 2**32 - 1.
    """
    global _drawn
    seed = coming_seed()
    _drawn += 1
    return seed


def coming_seed() -> int:
    """What `next_seed` will give; nothing is drawn.

    Returns:
        A whole number from 0 to 2**32 - 1.
    """
    return int(np.random.SeedSequence((_seed, _drawn + 1)).generate_state(1)[0])


@dataclass(frozen=True)
class Draw:
    """What a random number in a layer depends on: the run's seed and the training step."""

    seed: int
    step: int


_current: contextvars.ContextVar[Draw | None] = contextvars.ContextVar("padless_draw", default=None)


@contextlib.contextmanager
def drawing(seed: int, step: int) -> Iterator[None]:
    """Within this context, layers draw for this seed and step.

    Args:
        seed: of the run.
        step: of the training.
    """
    token = _current.set(Draw(seed, step))
    try:
        yield
    finally:
        _current.reset(token)


@contextlib.contextmanager
def repeatable() -> Iterator[None]:
    """Within this context, what is drawn depends on the layer alone; in training it does so anyway."""
    if _current.get() is not None:
        yield
        return
    with drawing(next_seed(), 0):
        yield


def key(path: str) -> tuple[int, ...]:
    """The seed of a draw made by the layer at `path`; a new one each time outside of training.

    Args:
        path: of the layer in its model.

    Returns:
        Whole numbers, for `Backend.random_uniform`.
    """
    draw = _current.get()
    if draw is None:
        return (next_seed(),)
    return (draw.seed, draw.step, zlib.crc32(path.encode()))
