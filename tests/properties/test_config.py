"""A layer made again from its config, through JSON and through a file, gives the same answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import padless
from padless import Layer, Ragged
from padless.saving import deserialize, serialize
from tests.calls import call
from tests.cases import Case, cases, directly
from tests.oracle import Batch, answers, assert_same, batch, built, in_a_batch, ragged
from tests.properties.test_rows_never_lost import model_of

EXACT = {"rtol": 0, "atol": 0}
READS_ROWS = cases("kept", "change", "end")


def same_answers(again: Layer, layer: Layer, data: Batch) -> None:
    again.backend.abstractly(lambda: call(again, ragged(data, again), states=data.states))  # builds it
    again.load_state_dict(layer.state_dict())
    assert_same(in_a_batch(again, data), in_a_batch(layer, data), **EXACT)


@directly("kept", "change", "end")
def test_from_config(backend: str, case: Case) -> None:
    layer, data = built(case, backend), batch(case, [3, 0, 12])
    again = type(layer).from_config(layer.get_config())
    assert type(again) is type(layer)
    assert again.name == layer.name
    same_answers(again, layer, data)


@directly("kept", "change", "end")
def test_json(backend: str, case: Case) -> None:
    layer, data = built(case, backend), batch(case, [3, 0, 12])
    written = json.dumps(serialize(layer))
    again = deserialize(json.loads(written))
    assert json.dumps(serialize(again)) == written, "a config says the same when it is read and written again"
    same_answers(again, layer, data)


@pytest.mark.parametrize("case", cases())
def test_config_before_it_is_built(case: Case) -> None:
    written = json.dumps(serialize(case.make("float64")))
    again = deserialize(json.loads(written))
    assert json.dumps(serialize(again)) == written
    assert again.dtype == case.make("float64").dtype


@directly("kept", "change", "end", where=lambda case: not case.states)
def test_file(backend: str, case: Case, tmp_path: Path) -> None:
    model = model_of(case, backend)
    model.save(tmp_path / "model.safetensors")
    again = padless.load_model(tmp_path / "model.safetensors")
    data = batch(case, [3, 0, 12])
    x: list[Ragged] = ragged(data, model)
    given = x if len(x) > 1 else x[0]
    assert_same(answers(again(given)), answers(model(given)), **EXACT)
