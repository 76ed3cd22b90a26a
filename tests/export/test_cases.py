"""Every layer, exported as ONNX, gives in onnxruntime what `predict` gives, whatever the lengths of rows are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from padless import Input, Model
from tests.cases import CASES, Case
from tests.export.running import Session, arrays_of, assert_like, expected_of, padded_inputs, predicted, ragged_inputs
from tests.oracle import batch, fresh

pytest.importorskip("onnxruntime")

EXPORTED = [case for case in CASES if case.rows != "error"]
LENGTHS = ([5, 0, 3, 12], [1], [0, 0], [37, 2, 7], [0])
"""None of them are those that a program is traced with."""
TOGETHER = 12
"""Layers of one model, since much of the time of an export does not depend on the layer."""
IN_MODELS = {
    *("BatchNormalization", "Bidirectional", "Concatenate", "Conv1D", "Dense", "Embedding", "GRU", "LSTM"),
    *("GlobalAveragePooling1D", "GlobalMaxPooling1D", "LayerNormalization", "MaxPooling1D", "TimeDistributed"),
    *("TokenAndPositionEmbedding", "TransformerEncoder"),
    *("ConvLSTM2D", "ConvLSTM3D"),  # as ConvLSTM1D
}
"""Layers that the quick run leaves to test_models.py; `./run test --thorough` takes all cases, in both layouts."""
PADDED = ("Masking", "LSTM-sequences and state", "Cropping1D", "own-padded, keeps")
"""What stands for all in padded files in the quick run, with masked steps within rows: one of each way to read rows."""


def _kind(case: Case) -> tuple[Any, ...]:
    """Cases that can read the same inputs, in one model."""
    return case.inputs, case.reads, case.states, case.alike or case.name.endswith("along places")


def _groups(*, padded: bool = False) -> list[Any]:
    """Parameters for pytest: all cases; in the quick run one of each layer, and few of them padded."""
    chosen = EXPORTED
    if settings.get_current_profile_name() != "thorough":
        first = {case.name.partition("-")[0]: case for case in reversed(EXPORTED)}
        first = {name: case for name, case in first.items() if name not in IN_MODELS}
        chosen = [case for case in EXPORTED if (case.name in PADDED if padded else case in first.values())]
    ordered = sorted(chosen, key=lambda case: str(_kind(case)))
    found = []
    for _, alike in itertools.groupby(ordered, key=_kind):
        members = list(alike)
        groups = [members[at : at + TOGETHER] for at in range(0, len(members), TOGETHER)]
        found += [pytest.param(group, id="+".join(case.name for case in group)[:80]) for group in groups]
    return found


def model_of(group: Sequence[Case]) -> Model:
    """A model with the layers of several cases side by side, each an output or several of its name."""
    first, inputs = group[0], []
    alike = _kind(first)[-1]
    for at, features in enumerate(first.inputs):
        # Keys have the rows of values.
        other = inputs[0 if alike else 1] if at > (not alike) else None
        kind = "int64" if first.reads == "ids" else "float32"
        inputs.append(Input((None, *features), dtype=kind, name=f"x{at}", like=other))
    states = [Input((width,), name=f"state{at}") for at, width in enumerate(first.states)]
    made: dict[str, Any] = {}
    for number, case in enumerate(group):
        layer = fresh(case)
        y = layer(list(inputs) if layer.merges else inputs[0], **({"initial_state": list(states)} if states else {}))
        made |= {f"y{number}_{at}": part for at, part in enumerate(y if isinstance(y, list | tuple) else [y])}
    given = [*inputs, *states]
    return Model(given if len(given) > 1 else given[0], made)


@pytest.mark.parametrize("group", _groups())
def test_packed(group: Sequence[Case], quickly: None, tmp_path: Path) -> None:
    model, file = model_of(group), tmp_path / "model.onnx"
    model.export(file)
    run = Session(file)
    for lengths in LENGTHS:
        inputs = ragged_inputs(batch(group[0], lengths))
        arrays = arrays_of(model, inputs, "packed", run.inputs)
        assert_like(run(arrays), expected_of(predicted(model, inputs), "packed"), f"lengths {lengths}")


@pytest.mark.parametrize("group", _groups(padded=True))
def test_padded(group: Sequence[Case], quickly: None, tmp_path: Path) -> None:
    """Rows may begin anywhere, have masked steps within them, and stand in arrays of any length."""
    model, file = model_of(group), tmp_path / "model.onnx"
    model.export(file, layout="padded")
    run = Session(file)
    for nrows, length in ((4, 11), (1, 1), (2, 4), (1, 17)):
        mask = np.random.default_rng(length).random((nrows, length)) < 0.7
        mask[0, :2] = nrows < 4
        inputs = padded_inputs(batch(group[0], mask.sum(axis=1)), mask)
        arrays = arrays_of(model, inputs, "padded", run.inputs)
        assert_like(run(arrays), expected_of(predicted(model, inputs), "padded"), f"{nrows} rows in {length} columns")
