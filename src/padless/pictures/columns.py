"""Where in its row each node of a layered picture stands, so that long arrows run straight.

Source: Brandes and Köpf, Fast and simple horizontal coordinate assignment (2002); compaction by longest ways, as dagre.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from statistics import median

from padless.pictures.ranks import Key, Links

Width = Callable[[Key], float]
_GAP = 26.0


def columns(rows: list[list[Key]], above: Links, below: Links, width: Width, bends: set[Key]) -> dict[Key, float]:
    """Give each node the middle of its place.

    Args:
        rows: nodes by row, in order.
        above: the nodes of the row before that lead to a node.
        below: the nodes of the next row that it leads to.
        width: of a node.
        bends: the nodes that are only places where a long arrow passes.

    Returns:
        Middles. Neighbours are at least a gap apart.
    """
    crossed = _crossed(rows, above, bends)
    found: list[dict[Key, float]] = []
    for links, down in ((above, True), (below, False)):
        for leftmost in (True, False):
            turned = [row if leftmost else row[::-1] for row in (rows if down else rows[::-1])]
            places = _compact(turned, _aligned(turned, links, crossed), width)
            found.append(places if leftmost else {key: -x for key, x in places.items()})
    spans = [_span(places, width) for places in found]
    low, high = min(spans, key=lambda span: span[1] - span[0])
    shifts = [low - span[0] if at % 2 == 0 else high - span[1] for at, span in enumerate(spans)]
    # Each of the four keeps order and distances, and so does the mean of the two in the middle.
    return {
        key: median(places[key] + shift for places, shift in zip(found, shifts, strict=True))
        for row in rows
        for key in row
    }


def _span(places: dict[Key, float], width: Width) -> tuple[float, float]:
    left = min((x - width(key) / 2 for key, x in places.items()), default=0)
    return left, max((x + width(key) / 2 for key, x in places.items()), default=0)


def _crossed(rows: list[list[Key]], above: Links, bends: set[Key]) -> set[tuple[Key, Key]]:
    """Arrows that cross a long one: the long one stays straight."""
    found: set[tuple[Key, Key]] = set()
    for upper, lower in itertools.pairwise(rows):
        place = {key: at for at, key in enumerate(upper)}
        long = [(place[one], at) for at, key in enumerate(lower) if key in bends for one in above[key] if one in bends]
        for at, key in enumerate(lower):
            for one in above[key]:
                if key in bends and one in bends:
                    continue
                if any((place[one] - start) * (at - end) < 0 for start, end in long):
                    found.add((one, key))
                    found.add((key, one))
    return found


def _aligned(rows: list[list[Key]], links: Links, crossed: set[tuple[Key, Key]]) -> dict[Key, Key]:
    """For each node the first one of the column that it stands in."""
    root = {key: key for row in rows for key in row}
    next_in = dict(root)
    for before, row in itertools.pairwise(rows):
        place = {key: at for at, key in enumerate(before)}
        last = -1
        for key in row:
            near = sorted((one for one in links[key]), key=lambda one: place[one])
            for one in near[(len(near) - 1) // 2 : len(near) // 2 + 1]:
                if next_in[key] == key and last < place[one] and (one, key) not in crossed:
                    next_in[one] = key
                    root[key] = root[one]
                    next_in[key] = root[key]
                    last = place[one]
    return root


def _compact(rows: list[list[Key]], root: dict[Key, Key], width: Width) -> dict[Key, float]:
    """Put columns as far to the left as they can be, then back to the right as far as nothing moves for it."""
    room: dict[Key, dict[Key, float]] = {key: {} for key in root.values()}
    waits = dict.fromkeys(room, 0)
    for row in rows:
        for one, other in itertools.pairwise(row):
            apart = (width(one) + width(other)) / 2 + _GAP
            after = room[root[one]]
            waits[root[other]] += root[other] not in after
            after[root[other]] = max(after.get(root[other], 0.0), apart)
    order = [key for key, count in waits.items() if not count]
    places = dict.fromkeys(room, 0.0)
    for key in order:
        for other, apart in room[key].items():
            places[other] = max(places[other], places[key] + apart)
            waits[other] -= 1
            if not waits[other]:
                order.append(other)
    for key in reversed(order):
        if room[key]:
            places[key] = max(places[key], min(places[other] - apart for other, apart in room[key].items()))
    return {key: places[first] for key, first in root.items()}
