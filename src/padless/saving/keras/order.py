"""The order in which Keras has the layers of a graph, and their weights in its files; masks count as layers."""

from __future__ import annotations

from typing import Any

from padless.saving.keras.graph_reading import Ref, tensors

Config = dict[str, Any]


def keras_order(entries: dict[str, Config], ends: list[Ref]) -> list[str]:
    """The names of the layers of a functional model: those farther from the outputs first, then as these lead to them.

    Args:
        entries: layers by name, with their calls.
        ends: the calls that give the outputs.

    Returns:
        The names.
    """
    parents = {
        (name, at): tensors([call["args"], [call["kwargs"][key] for key in sorted(call["kwargs"])]])
        for name, entry in entries.items()
        for at, call in enumerate(entry["inbound_nodes"])
    }
    calls, met = _walk(parents, ends)
    depths: dict[Ref, int] = {}
    farthest: dict[str, int] = {}
    for call in reversed(calls):
        depth = max(depths.get(call, 0), farthest.get(call[0], 0))
        farthest[call[0]] = depth
        for parent in parents.get(call, []):
            depths[parent] = max(depths.get(parent, 0), depth + 1)
    reached = sorted(met, key=lambda name: (-farthest[name], met[name]))
    return [*reached, *(name for name in entries if name not in met)]


def _walk(parents: dict[Ref, list[Ref]], ends: list[Ref]) -> tuple[list[Ref], dict[str, int]]:
    """The calls, each after those it reads; and when each layer was met first."""
    calls: list[Ref] = []
    seen: set[Ref] = set()
    met: dict[str, int] = {}
    waiting = [(end, False) for end in reversed(ends)]
    while waiting:
        call, done = waiting.pop()
        if done:
            calls.append(call)
        elif call not in seen:
            seen.add(call)
            met.setdefault(call[0], len(met))
            waiting.append((call, True))
            waiting.extend((parent, False) for parent in reversed(parents.get(call, [])))
    return calls, met
