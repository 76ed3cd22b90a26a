"""Which row of a layered picture each node stands in, and in which order: Sugiyama's first steps."""

from __future__ import annotations

import itertools
from bisect import bisect_right, insort
from collections.abc import Hashable, Sequence
from statistics import fmean

from padless.errors import ArgumentError, explain

Key = Hashable
Links = dict[Key, list[Key]]


def ranks(keys: Sequence[Key], arrows: Sequence[tuple[Key, Key]], first: set[Key], last: set[Key]) -> dict[Key, int]:
    """Give each node a row below all that it comes from, and what comes from nothing one close to where it goes.

    Args:
        keys: of the nodes.
        arrows: (source, target).
        first: nodes of the first row, whatever they lead to.
        last: nodes of the last row.

    Returns:
        Numbers from 0.

    Raises:
        ArgumentError: when arrows go around in a circle.
    """
    after: Links = {key: [] for key in keys}
    missing = dict.fromkeys(keys, 0)
    for source, target in arrows:
        after[source].append(target)
        missing[target] += 1
    sources = [key for key in keys if not missing[key]]
    order, found = list(sources), dict.fromkeys(keys, 0)
    for key in order:
        for target in after[key]:
            found[target] = max(found[target], found[key] + 1)
            missing[target] -= 1
            if not missing[target]:
                order.append(target)
    if len(order) < len(keys):
        circle = next(key for key in keys if missing[key])
        fix = "arrows of a graph that ends"
        raise ArgumentError(explain("a drawing", expected="no circles", got=f"one through {circle!r}", fix=fix))
    for key in sources:
        if key not in first and after[key]:
            found[key] = min(found[target] for target in after[key]) - 1
    bottom = max(found.values(), default=0)
    return {key: bottom if key in last else found[key] for key in keys}


def ordered(rows: list[list[Key]], arrows: Sequence[tuple[Key, Key]], sweeps: int = 12) -> list[list[Key]]:
    """Order the nodes of each row so that few arrows cross.

    Args:
        rows: nodes by row, in an order to begin with.
        arrows: each from one row to the next.
        sweeps: how often to go down and up.

    Returns:
        The rows in the best order that was found.
    """
    above: Links = {key: [] for row in rows for key in row}
    below: Links = {key: [] for row in rows for key in row}
    for source, target in arrows:
        below[source].append(target)
        above[target].append(source)
    best = rows = [list(row) for row in rows]
    fewest = crossings(rows, below)
    for sweep in range(sweeps):
        if not fewest:
            break
        rows = [list(row) for row in rows]
        downwards = sweep % 2 == 0
        links = above if downwards else below
        for at in range(1, len(rows)) if downwards else range(len(rows) - 2, -1, -1):
            _sort(rows[at], rows[at - 1 if downwards else at + 1], links)
        _swap(rows, above, below)
        count = crossings(rows, below)
        if count < fewest:
            best, fewest = rows, count
    return best


def _sort(row: list[Key], fixed: list[Key], links: Links) -> None:
    """By the mean place of the neighbours in a row that is fixed; what has none stays where it is."""
    place = {key: at for at, key in enumerate(fixed)}
    means = {key: fmean(place[one] for one in links[key]) for key in row if links[key]}
    moved = iter(sorted(means, key=lambda key: means[key]))
    row[:] = [next(moved) if key in means else key for key in row]


def _swap(rows: list[list[Key]], above: Links, below: Links) -> None:
    """Swap neighbours as long as this takes crossings away."""
    places = [{key: at for at, key in enumerate(row)} for row in rows]
    for at, row in enumerate(rows):
        sides = [(above, places[at - 1])] if at else []
        sides += [(below, places[at + 1])] if at + 1 < len(rows) else []
        for _ in range(len(row)):
            changed = False
            for left in range(len(row) - 1):
                one, other = row[left], row[left + 1]
                gain = sum(_between(links, place, one, other) - _between(links, place, other, one)
                           for links, place in sides)  # fmt: skip
                if gain > 0:
                    row[left], row[left + 1] = other, one
                    changed = True
            if not changed:
                break
        places[at] = {key: place for place, key in enumerate(row)}


def _between(links: Links, place: dict[Key, int], left: Key, right: Key) -> int:
    """Crossings of the arrows of two neighbours."""
    others = sorted(place[key] for key in links[right])
    return sum(bisect_right(others, place[key] - 1) for key in links[left])


def crossings(rows: list[list[Key]], below: Links) -> int:
    """How many arrows cross.

    Args:
        rows: nodes by row, in order.
        below: where arrows lead, by node.

    Returns:
        The count.
    """
    count = 0
    for row, under in itertools.pairwise(rows):
        place = {key: at for at, key in enumerate(under)}
        seen: list[int] = []
        for key in row:
            ends = [place[target] for target in below[key]]
            count += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return count
