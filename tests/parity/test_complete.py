"""Every public name of Keras is here, or stands in a list that says why not."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import pytest

import padless

IMAGES = "works on images, not on sequences"
LATER = "prepares data; not there yet"
OTHERS = "wraps models of other frameworks"

ABSENT: dict[str, dict[str, str]] = {
    "layers": {
        **dict.fromkeys(
            (
                "AugMix",
                "AutoContrast",
                "CenterCrop",
                "ContrastLimitedAdaptiveHistogramEqualization",
                "CutMix",
                "Equalization",
                "MaxNumBoundingBoxes",
                "MixUp",
                "RandAugment",
                "RandomBrightness",
                "RandomColorDegeneration",
                "RandomColorJitter",
                "RandomContrast",
                "RandomCrop",
                "RandomElasticTransform",
                "RandomErasing",
                "RandomFlip",
                "RandomGaussianBlur",
                "RandomGrayscale",
                "RandomHue",
                "RandomInvert",
                "RandomPerspective",
                "RandomPosterization",
                "RandomRotation",
                "RandomSaturation",
                "RandomSharpness",
                "RandomShear",
                "RandomTranslation",
                "RandomZoom",
                "Resizing",
                "Solarization",
            ),
            IMAGES,
        ),
        **dict.fromkeys(
            (
                "MelSpectrogram",
                "Pipeline",
                "STFTSpectrogram",
            ),
            LATER,
        ),
        **dict.fromkeys(("FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"), OTHERS),
    },
    "losses": {},
    "metrics": {},
    "initializers": {},
    "constraints": {},
    "regularizers": {},
    "activations": {},
}


@pytest.mark.parametrize("module", sorted(ABSENT))
def test_every_name_of_keras_is_there(module: str) -> None:
    theirs, ours = getattr(keras, module), getattr(padless, module)
    names = {name for name, value in vars(theirs).items() if not name.startswith("_") and not inspect.ismodule(value)}
    missing = sorted(name for name in names if not hasattr(ours, name))
    assert missing == sorted(ABSENT[module])


def _arguments(kind: Any) -> dict[str, inspect.Parameter]:
    return {
        name: parameter
        for name, parameter in inspect.signature(kind.__init__).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) and name != "self"
    }


def _classes() -> list[Any]:
    found = []
    for module in ("layers", "losses", "metrics", "initializers", "constraints", "regularizers"):
        for name, kind in sorted(vars(getattr(keras, module)).items()):
            if inspect.isclass(kind) and kind.__name__ == name and hasattr(getattr(padless, module), name):
                found.append(pytest.param(module, name, id=f"{module}.{name}"))
    return found


OTHER_ARGUMENTS = {
    "layers.InputLayer": "Input itself, a function",
    "layers.Layer": "autocast belongs to policies of precision, which are not there yet",
    "metrics.Metric": "the name comes first, as in all metrics of Keras but its base class",
}
"""Classes whose arguments differ on purpose, and why."""


@pytest.mark.parametrize(("module", "name"), _classes())
def test_every_argument_of_keras_is_there(module: str, name: str) -> None:
    if f"{module}.{name}" in OTHER_ARGUMENTS:
        return
    theirs, ours = (_arguments(getattr(getattr(library, module), name)) for library in (keras, padless))
    takes_more = any(
        parameter.kind is parameter.VAR_KEYWORD
        for parameter in inspect.signature(getattr(getattr(padless, module), name).__init__).parameters.values()
    )
    by_layer = {"name", "dtype", "trainable", "activity_regularizer", "quantization_config", "lora_rank", "lora_alpha"}
    by_layer |= {"gptq_unpacked_column_size"}  # refused by name, as the others of quantization
    missing = set(theirs) - set(ours) - (by_layer if takes_more else set())
    assert not missing
    by_position = {name for name, parameter in ours.items() if parameter.kind is not parameter.KEYWORD_ONLY}
    common = [argument for argument in theirs if argument in by_position]
    assert [argument for argument in ours if argument in common] == common, "another order"
