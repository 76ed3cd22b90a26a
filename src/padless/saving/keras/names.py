"""Where Keras and padless name things differently, and what only one of them has."""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import Any

from padless.operation import TABLE

KINDS = (
    "initializers", "regularizers", "constraints", "losses", "metrics", "schedules", "optimizers", "layers",
)  # fmt: skip
"""Modules of Keras and padless that hold classes; a module's path in a file has the name of one of them."""

PUBLIC = {"schedules": "keras.optimizers.schedules"}
"""Keras's modules that are not called "keras." and a name of `KINDS`."""

CLASSES = {"GroupedQueryAttention": "GroupQueryAttention"}
"""Names of classes in Keras's files, by name here."""

OURS_ALONE = frozenset(
    ("CRF", "PositionEmbedding", "RotaryEmbedding", "SinePositionEncoding", "SpanF1", "Spread", "TimeSlice",
     "TokenAndPositionEmbedding", "TransformerDecoder", "TransformerEncoder", "Unmask")
)  # fmt: skip
"""Classes that Keras does not have."""

ARGUMENTS_OURS_ALONE: dict[str, dict[str, Any]] = {
    "Conv1DTranspose": {"groups": 1},
    "Conv2DTranspose": {"groups": 1},
    "Conv3DTranspose": {"groups": 1},
    "SpatialDropout1D": {"data_format": None, "noise_shape": None},
    "SpatialDropout2D": {"noise_shape": None},
    "SpatialDropout3D": {"noise_shape": None},
    "Adam": {"lazy_embeddings": False},
    "AdamW": {"lazy_embeddings": False},
    "CTC": {"zero_infinity": False},
}
"""Arguments that Keras does not have, with the value that means what Keras does; by class."""

NOT_IN_KERAS = {
    ("SeparableConv1D", "padding"): ("causal",),
    ("DepthwiseConv1D", "padding"): ("causal",),
}
"""Values that Keras refuses, by class and argument."""

MEANINGLESS: dict[str, tuple[Any, ...]] = {
    "quantization_config": (None,),
    "lora_rank": (None,),
    "lora_alpha": (None,),
    "gptq_unpacked_column_size": (None,),
    "autocast": (True, None),
    "implementation": (0, 1, 2),
    "time_major": (False,),
    "sparse": (False,),
    "synchronized": (False,),
    "initial": (None,),
    "rms_scaling": (False,),
    "vocabulary_dtype": (None, "int64", "string"),
    "is_legacy_optimizer": (False,),
    "jit_compile": (True, False, "auto"),
    "decay": (0.0,),
}
"""Keys of Keras's configs that padless has no argument for, with the values that change no answer."""

MASKED = {
    **dict.fromkeys(
        ("BatchNormalization", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRU",
         "GlobalAveragePooling1D", "LSTM", "RNN", "SimpleRNN", "TimeDistributed"),
        "mask",
    ),
    **dict.fromkeys(("Attention", "AdditiveAttention"), "list"),
    **dict.fromkeys(("MultiHeadAttention", "GroupQueryAttention"), "each"),
}  # fmt: skip
"""How Keras's layers are given masks: one, a list of them, or one for each input; by class."""

MASKS = frozenset(("mask", "query_mask", "value_mask", "key_mask"))
"""Arguments of calls that are masks of the inputs."""

BESIDES = "padless"
"""Key of what an object in a file has beside what Keras reads: arguments that Keras does not have."""

# ---- functions


def camel_case(name: str) -> str:
    """Name of the class that Keras has for a function.

    Args:
        name: of the function.

    Returns:
        Name of the class.

    Example:
        >>> camel_case("count_nonzero"), camel_case("log1p")
        ('CountNonzero', 'Log1p')
    """
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


_MODULES = {
    "nn": ("celu", "elu", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu", "log_sigmoid",
           "log_softmax", "moments", "normalize", "one_hot", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink",
           "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "squareplus", "tanh_shrink"),
    "math": ("erf", "logsumexp", "rsqrt", "top_k", "segment_sum", "segment_max"),
    "core": ("cast", "stop_gradient", "unstack"),
    "linalg": ("norm",),
}  # fmt: skip
"""Keras's modules, by function; the others are in "numpy"."""

_IN_CALLS = {"full_like": ("fill_value",), "take": ("indices",), "take_along_axis": ("indices",), "get_item": ("key",)}
_IN_CALLS |= {"pad": ("constant_values",), "segment_sum": ("segment_ids",), "segment_max": ("segment_ids",)}
"""Arguments that Keras's nodes have in their calls, beside the values themselves."""

_VALUES = ("x", "x1", "x2", "xs", "y", "condition", "variable", "operands", "data")


def module_of_function(name: str) -> str:
    """Keras's module with the class for a function.

    Args:
        name: of the function.

    Returns:
        The path.
    """
    found = next((module for module, names in _MODULES.items() if name in names), "numpy")
    return f"keras.src.ops.{found}"


@functools.cache
def functions() -> dict[str, str]:
    """Names of the functions of `padless.ops` that Keras has, by name of Keras's class."""
    importlib.import_module("padless.ops")  # which fills the table
    shared = [name for name, entry in TABLE.items() if entry.kind != "rows"]
    return {camel_case(name): name for name in shared if name != "abs"}


def parameters(function: str) -> dict[str, inspect.Parameter]:
    """The parameters of a function of `padless.ops`.

    Args:
        function: its name.

    Returns:
        Parameters by name.
    """
    compute: Any = TABLE[function].compute
    # Those of the table are partial functions, with what computes in third place.
    return dict(inspect.signature(compute.args[2] if isinstance(compute, functools.partial) else compute).parameters)


def stands_in_call(function: str, parameter: str) -> bool:
    """Whether Keras has an argument of a function in the call, not in the config.

    Args:
        function: its name.
        parameter: of the argument.

    Returns:
        The answer.
    """
    return parameter in _VALUES or parameter in _IN_CALLS.get(function, ())


def accepted(kind: type) -> set[str] | None:
    """Names of the arguments that make an object of a class.

    Args:
        kind: the class.

    Returns:
        The names; None where a class takes what its base classes do not name.
    """
    found: set[str] = set()
    for one in kind.__mro__:
        if "__init__" not in one.__dict__ or one is object:
            continue
        taken = inspect.signature(one.__dict__["__init__"]).parameters.values()
        found |= {p.name for p in taken if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} - {"self"}
        rest = next((p for p in taken if p.kind is p.VAR_KEYWORD), None)
        if rest is None:
            return found
        if "Unpack" in str(rest.annotation):
            return None
    return found
