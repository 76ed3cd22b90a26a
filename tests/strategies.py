"""What Hypothesis draws: lengths with empty rows, ones and one giant; padding on any side; holes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from hypothesis import settings
from hypothesis import strategies as st

GIANT = 60


def examples(share: float) -> settings:
    """Settings for a property that needs only a share of the profile's examples, because it runs over a whole table."""
    return settings(max_examples=max(int(settings().max_examples * share), 2))


def lengths(
    *, most: int = 5, longest: int = 8, giant: int = GIANT, empty_batch: bool = True
) -> st.SearchStrategy[list[int]]:
    """Lengths of the rows of a batch: small ones, empty ones, ones, one giant among them, none at all."""
    plain = st.lists(st.integers(0, longest), min_size=1, max_size=most)
    with_giant = st.tuples(plain, st.integers(0, most)).map(
        lambda drawn: [*drawn[0][: drawn[1]], giant, *drawn[0][drawn[1] :]]
    )
    kinds = [
        plain,
        with_giant,
        st.lists(st.sampled_from([0, 1]), min_size=1, max_size=most),
        st.lists(st.just(0), min_size=1, max_size=most),
        st.just([0, 3, 1, 0, giant, 7]),
    ]
    return st.one_of(*kinds, st.just([])) if empty_batch else st.one_of(*kinds)


@st.composite
def masks(
    draw: st.DrawFn, *, holes: bool = True, most: int = 5, longest: int = 8, padding: int = 20
) -> npt.NDArray[np.bool_]:
    """A mask (B, T): rows with 0 to 20 masked steps on each side, and masked steps within when holes are wanted."""
    rows = draw(lengths(most=most, longest=longest, giant=25))
    before = [draw(st.integers(0, padding)) for _ in rows]
    after = draw(st.integers(0, padding))
    total = max((a + n for a, n in zip(before, rows, strict=True)), default=0) + after
    mask = np.zeros((len(rows), total), bool)
    for row, (start, count) in enumerate(zip(before, rows, strict=True)):
        mask[row, start : start + count] = True
    if holes and mask.any():
        numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        mask &= numbers.random(mask.shape) < draw(st.sampled_from([0.5, 0.8, 1.0]))
    return mask


@dataclass(frozen=True)
class Padding:
    """How a batch is put into a padded array.

    Attributes:
        side: "post", "pre", or "both": each row somewhere between.
        extra: columns more than the longest row.
        seed: of the places for "both".
    """

    side: str
    extra: int
    seed: int

    def mask(self, rows: list[int]) -> npt.NDArray[np.bool_]:
        """(B, T) True where a step is real."""
        total = max(rows, default=0) + self.extra
        room = total - np.array(rows, np.int64)
        draw = np.random.default_rng(self.seed).random(len(rows))
        starts = {"post": 0 * room, "pre": room, "both": (draw * (room + 1)).astype(np.int64)}[self.side]
        columns = np.arange(total)
        return (columns >= starts[:, None]) & (columns < (starts + np.array(rows, np.int64))[:, None])


def paddings(extra: int = 20) -> st.SearchStrategy[Padding]:
    """A side, and 0 to 20 columns more than the longest row needs."""
    return st.builds(
        Padding,
        st.sampled_from(["post", "pre", "both"]),
        st.one_of(st.sampled_from([0, 1, extra]), st.integers(0, extra)),
        st.integers(0, 2**32 - 1),
    )


def seeds() -> st.SearchStrategy[int]:
    """Seeds of the numbers in a batch; the numbers themselves need no shrinking."""
    return st.integers(0, 2**32 - 1)
