"""Files of exported programs, whole or not at all."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optree
import torch
from torch.export import ExportedProgram

from padless.backends.torch.exporting.program import Entrance, Program, Signature, traced
from padless.errors import ExportError, NotThereYetError, explain
from padless.graph import symbols_in
from padless.layer import Layer
from padless.model import Functional, Model, Sequential
from padless.ragged import Ragged
from padless.saving.atomic import replacing

_MOST_BYTES = 2**31 - 2**20
"""Of a file of ONNX."""


def write(model: Model, filepath: Any, format: str, layout: str) -> str:
    """Write a file.

    Args:
        model: built, on torch.
        filepath: of the file.
        format: "onnx" or "torch".
        layout: "packed" or "padded".

    Returns:
        What the file takes and gives, in words.

    Raises:
        ExportError: when something cannot be exported; there is no file then.
    """
    entrances, structure = entrances_of(model)
    program = Program(model, entrances, layout, structure)
    exported = traced(program)
    data = _torch_bytes(exported) if format == "torch" else _onnx_bytes(exported, program)
    with replacing(filepath) as file:
        file.write(data)
    said = program.signature
    return f"({', '.join(said.inputs)}) -> ({', '.join(said.outputs)})"


# ---- what a model takes


def entrances_of(model: Model) -> tuple[list[Entrance], Any]:
    """The inputs of a model.

    Args:
        model: built.

    Returns:
        The inputs, and how they stand in what the model takes, as optree has it.
    """
    standins = model._standins()
    if standins is None:
        fix = "call the model once, or give it an Input"
        raise ExportError(explain(f"export of {model.name!r}", expected="known inputs", got="none", fix=fix))
    leaves, structure = optree.tree_flatten(standins, is_leaf=lambda x: isinstance(x, Ragged))
    symbols = model.inputs if isinstance(model, Functional) else [getattr(model, "_input", None)] * len(leaves)
    names = [symbol.name if symbol is not None else "input" for symbol in symbols]
    if len(set(names)) < len(names):
        names = [f"{name}_{at}" for at, name in enumerate(names)]
    made = []
    for at, (leaf, symbol) in enumerate(zip(leaves, symbols, strict=True)):
        flat = leaf.flat_values if isinstance(leaf, Ragged) else leaf
        dtype = flat.dtype if torch.is_tensor(flat) else None
        if dtype is None:
            fix = "export the part behind TextVectorization or the lookup, which takes ids"
            what = f"export of {model.name!r}: input {names[at]!r}"
            raise NotThereYetError(explain(what, expected="numbers", got="texts", fix=fix))
        if dtype.is_floating_point and _reads_ids(model, symbol):
            dtype = torch.int64
        depth = leaf.ragged_rank if isinstance(leaf, Ragged) else 0
        like = None if symbol is None or symbol.like is None else _place_of(symbol.like, symbols)
        made.append(Entrance(names[at], tuple(int(n) for n in flat.shape[1:]), dtype, depth, like))
    return made, structure


def _place_of(symbol: Any, symbols: list[Any]) -> int | None:
    return next((at for at, one in enumerate(symbols) if one is symbol), None)


def _reads_ids(layer: Layer, symbol: Any) -> bool:
    """Whether what comes in here is read as ids."""
    if isinstance(layer, Sequential):
        return bool(layer.layers) and _reads_ids(layer.layers[0], None)
    if isinstance(layer, Functional):
        wanted = symbol if symbol is not None else layer.inputs[0]
        readers = [node.layer for node in layer._nodes if any(one is wanted for one in symbols_in(node.arguments))]
        return any(_reads_ids(reader, None) for reader in readers)
    inner = layer.__dict__.get("layer")
    if isinstance(inner, Layer):
        return _reads_ids(inner, None)
    return layer.reads == "ids" or any(
        child.reads == "ids" for _, child in layer.children() if type(layer).__module__.startswith("padless.")
    )


# ---- the two kinds of files


def _torch_bytes(exported: ExportedProgram) -> bytes:
    made = io.BytesIO()
    torch.export.save(exported, made)
    return made.getvalue()


def _onnx_bytes(exported: ExportedProgram, program: Program) -> bytes:
    said, place = program.signature, program.model.place
    try:
        with _quietly():
            made: Any = torch.onnx.export(
                exported,
                dynamo=True,
                verbose=False,
                input_names=said.inputs,
                output_names=said.outputs,
                external_data=False,
            )
    except Exception as wrong:
        raise ExportError(
            explain(
                f"export of {_origin(wrong) or place} as ONNX",
                expected="operations that ONNX has",
                got=f"{type(wrong).__name__}: {_reason(wrong)}",
                fix="model.export('model.pt2', format='torch')",
            )
        ) from wrong
    proto = made.model_proto
    _name_axes(proto.graph, said)
    proto.producer_name = "padless"
    size = proto.ByteSize()
    if size > _MOST_BYTES:
        fix = "model.export('model.pt2', format='torch')"
        raise NotThereYetError(
            explain(f"export of {place} as ONNX", expected="at most 2 GiB", got=f"{size} bytes", fix=fix)
        )
    data: bytes = proto.SerializeToString()
    return data


def _origin(wrong: BaseException | None) -> str | None:
    """The layer that computes what could not be written; it is known by the node at which the exporter stopped."""
    found = None
    while wrong is not None:
        trace = wrong.__traceback__
        while trace is not None:
            node = trace.tb_frame.f_locals.get("node")
            found = node if isinstance(node, torch.fx.Node) else found
            trace = trace.tb_next
        wrong = wrong.__cause__
    place: str | None = None if found is None else found.meta.get("custom", {}).get("layer")
    return place


def _reason(wrong: BaseException) -> str:
    """The innermost reason, in one line."""
    while wrong.__cause__ is not None:
        wrong = wrong.__cause__
    text = str(wrong).strip()
    return text.splitlines()[0] if text else type(wrong).__name__


def _name_axes(graph: Any, said: Signature) -> None:
    """Give the axes of inputs their names in the place of those of torch; outputs share some of them."""
    names: dict[str, str] = {}
    for value, axes in zip(graph.input, said.dimensions, strict=True):
        for axis, name in zip(value.type.tensor_type.shape.dim, axes, strict=True):
            if axis.dim_param:
                names.setdefault(axis.dim_param, str(name))
                axis.dim_param = names[axis.dim_param]
    for value in graph.output:
        for at, axis in enumerate(value.type.tensor_type.shape.dim):
            if axis.dim_param:
                axis.dim_param = names.get(axis.dim_param, f"{value.name}_{at}")
    # What is known of values between is in torch's names.
    del graph.value_info[:]


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporter says of packages that it looks for, and of its own code."""
    # The second says of empty lists, which torch itself hands it, that they may be of anything.
    names = ("torch.onnx._internal.exporter._registration", "onnx_ir._convenience")
    loud = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        # torch's own trees, written for an older version of themselves.
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
        try:
            for name in loud:
                logging.getLogger(name).setLevel(logging.ERROR)
            yield
        finally:
            for name, level in loud.items():
                logging.getLogger(name).setLevel(level)
