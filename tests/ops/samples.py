"""What the functions of padless.ops are tried with: one table, over which the tests of this folder run."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from padless import ops
from padless.operation import TABLE

Host = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sample:
    """One way of calling a function.

    Attributes:
        function: its name.
        steps: for each value with rows, the shape of a step.
        options: arguments after the values.
        kind: of the numbers.
        low: the smallest of them.
        high: the largest.
        listed: whether the values are given as one list.
        ends: whether rows end in one entry per row.
        empty: what an empty row gives where rows end.
    """

    function: str
    steps: tuple[tuple[int, ...], ...] = ((4,),)
    options: dict[str, Any] = field(default_factory=dict)
    kind: Literal["float", "int", "bool"] = "float"
    low: float = 0.1
    high: float = 0.9
    listed: bool = False
    ends: bool = False
    empty: float = 0

    @property
    def name(self) -> str:
        """For the test."""
        said = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.function}({said})" if said else self.function

    def draw(self, at: int, row: int, count: int) -> Host:
        """The numbers of a row of a value."""
        drawn = np.random.default_rng((at, row)).uniform(self.low, self.high, (count, *self.steps[at]))
        if self.kind == "int":
            return np.floor(drawn).astype(np.int32)
        return drawn > (self.low + self.high) / 2 if self.kind == "bool" else drawn.astype(np.float32)

    def call(self, values: Sequence[Any], module: Any = ops) -> Any:
        """Call the function, of padless or of Keras."""
        function = getattr(module, self.function)
        given = [list(values)] if self.listed else values
        if self.function == "get_item":
            return function(*given, self.options["key"])
        if self.function == "einsum":
            return function(self.options["subscripts"], *given)
        return function(*given, **self.options)


def _elementwise() -> list[Sample]:
    options: dict[str, dict[str, Any]] = {
        "bitwise_and": {"kind": "int", "high": 9},
        "bitwise_or": {"kind": "int", "high": 9},
        "bitwise_xor": {"kind": "int", "high": 9},
        "bitwise_not": {"kind": "int", "high": 9},
        "logical_and": {"kind": "bool"},
        "logical_or": {"kind": "bool"},
        "logical_xor": {"kind": "bool"},
        "logical_not": {"kind": "bool"},
        "sqrt": {},
        "rsqrt": {},
        "power": {},
        "reciprocal": {},
        "cast": {"options": {"dtype": "int32"}, "high": 9},
        "full_like": {"options": {"fill_value": 3.0}},
        "clip": {"options": {"x_min": -0.5, "x_max": 0.5}, "low": -1},
        "divide": {},
        "floor_divide": {"low": 1, "high": 9},
    }
    made = []
    for name, entry in TABLE.items():
        if entry.kind != "each":
            continue
        own = dict(options.get(name, {"low": -0.9} if not name.startswith("log") else {}))
        if name.startswith("logical"):
            own = {"kind": "bool"}
        if name == "arccosh":
            own = {"low": 1.1, "high": 3}
        if name == "log_sigmoid":
            own = {"low": -3}
        given = own.get("options", {})
        parameters = inspect.signature(getattr(ops, name)).parameters.values()
        count = sum(p.default is p.empty and p.name not in given for p in parameters)
        made.append(Sample(name, ((4,),) * count, **own))
    return [
        *made,
        Sample("round", options={"decimals": 1}, low=-3, high=3),
        Sample("gelu", options={"approximate": False}, low=-3, high=3),
        Sample("zeros_like", options={"dtype": "int32"}),
        Sample("mod", ((4,), (4,)), low=-5, high=5),
        Sample("add", ((4,), (1,))),
        Sample("divide", ((4,), (4,)), kind="int", low=1, high=9),
        Sample("exp", kind="int", low=-2, high=3),
    ]


def _reductions() -> list[Sample]:
    made: list[Sample] = []
    for name in ("sum", "mean", "max", "min", "prod", "any", "all", "logsumexp", "var", "std", "norm"):
        own: dict[str, Any] = {"kind": "bool"} if name in ("any", "all") else {"low": -2, "high": 2}
        empty = {"prod": 1, "all": 1}.get(name, 0)
        made += [
            Sample(name, options={"axis": -1}, **own),
            Sample(name, options={"axis": 2, "keepdims": True}, **own),
            Sample(name, ((2, 3),), options={"axis": (2, 3)}, **own),
            Sample(name, options={"axis": 1}, ends=True, empty=empty, **own),
            Sample(name, options={"axis": 1, "keepdims": True}, ends=True, empty=empty, **own),
        ]
        if name not in ("prod",):
            made.append(Sample(name, ((2, 3),), options={"axis": (1, 3)}, ends=True, empty=empty, **own))
    for name in ("argmax", "argmin"):
        made += [
            Sample(name, options={"axis": -1}, low=-2),
            Sample(name, options={"axis": 1}, ends=True, low=-2),
            Sample(name, options={"axis": 1, "keepdims": True}, ends=True, low=-2),
            Sample(name, options={"axis": 1}, kind="int", high=3, ends=True),
        ]
    return [
        *made,
        Sample("sum", kind="int", high=9, options={"axis": 1}, ends=True),
        Sample("min", kind="int", low=-9, high=9, options={"axis": 1}, ends=True),
        Sample("max", kind="int", low=-9, high=9, options={"axis": 1}, ends=True),
        Sample("norm", options={"axis": 1, "ord": 1}, ends=True, low=-1),
        Sample("norm", options={"axis": -1, "ord": float("inf")}, low=-1),
        Sample("norm", options={"axis": -1, "ord": 3}, low=-1),
        Sample("count_nonzero", kind="bool", options={"axis": 1}, ends=True),
        Sample("moments", options={"axes": [2]}),
        Sample("moments", options={"axes": [1]}, ends=True),
        Sample("cumsum", options={"axis": 1}),
        Sample("cumsum", options={"axis": -1}),
        Sample("cumprod", options={"axis": 1}),
        Sample("cumprod", options={"axis": 2}),
        Sample("softmax", options={"axis": 1}, low=-3, high=3),
        Sample("softmax", low=-3, high=3),
        Sample("softmax", ((2, 3),), options={"axis": (1, 2)}, low=-3, high=3),
        Sample("log_softmax", options={"axis": 1}, low=-3, high=3),
        Sample("log_softmax", ((2, 3),), options={"axis": 2}),
        Sample("normalize", options={"axis": -1}, low=-1),
        Sample("normalize", options={"axis": 1}, low=-1),
    ]


def _shapes() -> list[Sample]:
    return [
        Sample("expand_dims", options={"axis": -1}),
        Sample("expand_dims", options={"axis": 2}),
        Sample("squeeze", ((1, 4),), options={"axis": 2}),
        Sample("transpose", ((2, 3),), options={"axes": (0, 1, 3, 2)}),
        Sample("moveaxis", ((2, 3, 4),), options={"source": 2, "destination": -1}),
        Sample("swapaxes", ((2, 3),), options={"axis1": -1, "axis2": 2}),
        Sample("concatenate", ((4,), (2,)), options={"axis": -1}, listed=True),
        Sample("concatenate", ((2, 4), (3, 4)), options={"axis": 2}, listed=True),
        Sample("stack", ((4,), (4,)), options={"axis": 2}, listed=True),
        Sample("stack", ((4,), (4,)), options={"axis": -1}, listed=True),
        Sample("split", ((6,),), options={"indices_or_sections": 3, "axis": -1}),
        Sample("split", ((6,),), options={"indices_or_sections": [1, 4], "axis": 2}),
        Sample("unstack", ((3, 2),), options={"axis": 2}),
        Sample("flip", options={"axis": 1}),
        Sample("flip", options={"axis": -1}),
        Sample("roll", options={"shift": 1, "axis": -1}),
        Sample("repeat", options={"repeats": 2, "axis": -1}),
        Sample("pad", options={"pad_width": ((0, 0), (0, 0), (1, 2))}),
        Sample("take", options={"indices": [2, 0, -1], "axis": -1}),
        Sample("take_along_axis", ((4,), (4,)), options={"axis": -1}, kind="int", low=0, high=4),
        Sample("one_hot", ((),), options={"num_classes": 5}, kind="int", low=0, high=5),
        Sample("one_hot", ((2,),), options={"num_classes": 5, "axis": 2}, kind="int", low=0, high=5),
        Sample("sort", options={"axis": -1}),
        Sample("argsort", options={"axis": -1}),
        Sample("top_k", options={"k": 2}),
        Sample("get_item", options={"key": (..., slice(1, 3))}),
        Sample("get_item", ((2, 3),), options={"key": (slice(None), slice(None), 1)}),
        Sample("get_item", options={"key": (slice(None), slice(None), None)}),
    ]


def _products() -> list[Sample]:
    return [
        Sample("matmul", ((2, 3), (3, 4))),
        Sample("matmul", options={"x2": np.arange(8, dtype=np.float32).reshape(4, 2)}),
        Sample("matmul", options={"x2": np.arange(4, dtype=np.float32)}),
        Sample("dot", options={"x2": np.arange(8, dtype=np.float32).reshape(4, 2)}),
        Sample("tensordot", ((2, 3),), options={"x2": np.arange(12, dtype=np.float32).reshape(2, 3, 2)}),
        Sample("einsum", ((4,), (4,)), options={"subscripts": "btd,btd->bt"}),
        Sample("einsum", ((4,), (2,)), options={"subscripts": "btd,bte->btde"}),
        Sample("einsum", ((4,), (2,)), options={"subscripts": "btd,bte->bde"}, ends=True),
        Sample("einsum", ((2, 3), (3,)), options={"subscripts": "btkd,btd->btk"}),
    ]


SAMPLES: list[Sample] = [*_elementwise(), *_reductions(), *_shapes(), *_products()]

APART = {
    "reshape": "the shape of rows has None in it",
    "segment_sum": "of arrays alone",
    "segment_max": "of arrays alone",
    **dict.fromkeys(
        ("row_sum", "row_mean", "row_max", "row_first", "row_last", "row_reverse", "row_concat", "row_slice", "spread"),
        "tests/rows",
    ),
}
"""Functions that are tried elsewhere, and why."""
