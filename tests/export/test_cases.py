"""Every layer, exported as ONNX, gives in onnxruntime what `predict` gives, whatever the lengths of rows are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from padless import Input, Model
from tests.cases import CASES, Case
from tests.export.running import arrays_of, assert_like, expected_of, Session, predicted, ragged_inputs
from tests.oracle import batch, fresh

pytest.importorskip("onnxruntime")

NOT_EXPORTED: dict[str, str] = {
    "SpectralNormalization-Embedding": "no model can begin with it: predict asks it for a mask that it does not make",
}
"""Cases of layers that read rows and cannot be exported, and why."""

EXPORTED = [case for case in CASES if case.rows != "error" and case.name not in NOT_EXPORTED]
LENGTHS = ([5, 0, 3, 12], [1], [0, 0], [37, 2, 7], [0])
"""None of them are those that a program is traced with."""
TOGETHER = 12
"""Layers of one model, since most of the time of an export does not depend on the layer."""


def _kind(case: Case) -> tuple[Any, ...]:
    """Cases that can read the same inputs, in one model."""
    return case.inputs, case.reads, case.states, case.alike


def _groups() -> Iterator[Any]:
    ordered = sorted(EXPORTED, key=lambda case: str(_kind(case)))
    for _, alike in itertools.groupby(ordered, key=_kind):
        members = list(alike)
        for first in range(0, len(members), TOGETHER):
            group = members[first : first + TOGETHER]
            yield pytest.param(group, id=f"{group[0].name} to {group[-1].name}" if len(group) > 1 else group[0].name)


def model_of(group: Sequence[Case]) -> Model:
    """A model with the layers of several cases side by side, each an output or several of its name."""
    first, inputs = group[0], []
    for at, features in enumerate(first.inputs):
        # Keys have the rows of values.
        other = inputs[0 if first.alike or "along" in first.name else 1] if at > (not first.alike) else None
        kind = "int64" if first.reads == "ids" else "float32"
        inputs.append(Input((None, *features), dtype=kind, name=f"x{at}", like=other))
    states = [Input((width,), name=f"state{at}") for at, width in enumerate(first.states)]
    made: dict[str, Any] = {}
    for number, case in enumerate(group):
        layer = fresh(case)
        y = layer(
            list(inputs) if layer.merges else inputs[0], **({"initial_state": list(states)} if states else {})
        )
        made |= {f"y{number}_{at}": part for at, part in enumerate(y if isinstance(y, list | tuple) else [y])}
    given = [*inputs, *states]
    return Model(given if len(given) > 1 else given[0], made)


@pytest.mark.parametrize("group", list(_groups()))
def test_packed(group: Sequence[Case], on_torch: None, tmp_path: Path) -> None:
    model, file = model_of(group), tmp_path / "model.onnx"
    model.export(file)
    run = Session(file)
    for lengths in LENGTHS:
        inputs = ragged_inputs(batch(group[0], lengths))
        arrays = arrays_of(model, inputs, "packed", run.inputs)
        assert_like(run(arrays), expected_of(predicted(model, inputs), "packed"), f"lengths {lengths}")
