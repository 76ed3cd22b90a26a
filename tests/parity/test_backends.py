"""Every layer trains alike on torch and on JAX: ten steps from the same weights, on the same batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from padless import backends, optimizers
from tests.cases import Case, cases
from tests.oracle import batch, built, using
from tests.properties.test_gradients import gradients
from tests.tolerances import TRAINING

pytest.importorskip("jax")
pytest.importorskip("torch")

pytestmark = pytest.mark.compiles

STEPS, LENGTHS = 10, [3, 0, 7, 1, 5]


def trained(case: Case, backend: str) -> dict[str, Any]:
    """The weights of a layer after ten steps with momentum, weight decay and clipping."""
    layer, host = built(case, backend), backends.get("numpy")
    before = layer.state_dict()
    with using("numpy"):
        # Not Adam: where a gradient is 0 but for rounding, as that of a key's bias is, it makes steps of the rounding.
        optimizer = optimizers.SGD(0.05, momentum=0.9, weight_decay=0.1, clipnorm=1.0)
    for step in range(STEPS):
        _, found = gradients(layer, batch(case, LENGTHS, step), step)
        now = layer.state_dict()
        weights = {path: now[path] for path in found if path[0] not in "@#"}
        moved = optimizer.apply(host, weights, {path: found[path] for path in weights})
        layer.load_state_dict({**now, **moved})
    after = layer.state_dict()
    layer.load_state_dict(before)  # the layer is that of all tests, which compiled it
    return after


@pytest.mark.parametrize("case", cases("kept", "change", "end"))
def test_ten_steps(case: Case) -> None:
    if not built(case, "numpy").weights:
        pytest.skip("nothing to train")
    torchs, jaxs = trained(case, "torch"), trained(case, "jax")
    assert torchs.keys() == jaxs.keys()
    for path, array in torchs.items():
        np.testing.assert_allclose(jaxs[path], array, err_msg=path, **TRAINING)
