"""A model as a program of arrays alone, traced by `torch.export` with sizes of any kind."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import optree
import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from padless.backends.torch.exporting import tracing
from padless.backends.torch.exporting.rows import ExportedRows
from padless.errors import ExportError, PadlessError, explain
from padless.layer import Layer, calling, carrying, substituted
from padless.model import Model
from padless.ragged import Ragged

Tensor = torch.Tensor

_LENGTHS = (3, 2, 4)
"""Of the rows that a program is traced with; no number of them stays in it."""


@dataclass
class Entrance:
    """One input of a model.

    Attributes:
        name: of it.
        features: shape of a step, or of a row where there are no rows.
        dtype: of the numbers.
        depth: 0 for an array (B, ...), 1 for rows, 2 for rows within rows.
        like: number of the input whose rows these are; None for rows of its own.
    """

    name: str
    features: tuple[int, ...]
    dtype: torch.dtype
    depth: int
    like: int | None = None


@dataclass
class Signature:
    """What a program takes and gives.

    Attributes:
        inputs: names of its inputs.
        outputs: names of its outputs, known once it was traced.
        dimensions: of each input, the names of its axes; a number for a fixed one.
    """

    inputs: list[str]
    dimensions: list[tuple[Any, ...]]
    outputs: list[str] = field(default_factory=list)


class Program(nn.Module):
    """A model in one of two layouts.

    Args:
        model: built, on torch.
        entrances: its inputs.
        layout: "packed" or "padded".
        structure: how the inputs stand in what the model takes, as optree has it.
    """

    def __init__(self, model: Model, entrances: list[Entrance], layout: str, structure: Any) -> None:
        super().__init__()
        self.model: Model
        # A model is no module: its arrays are handed to it.
        object.__setattr__(self, "model", model)
        self.entrances, self.layout, self.structure = entrances, layout, structure
        for path, (layer, name) in model.weight_slots().items():
            self.register_buffer(path, layer.__dict__[name].detach())
        self.signature = Signature([], [])
        for entrance in entrances:
            self._announce(entrance)

    def _announce(self, entrance: Entrance) -> None:
        """Note the arrays of an input in the signature."""
        name, alone, said = entrance.name, len(self.entrances) == 1, self.signature
        if not entrance.depth:
            said.inputs.append(name)
            said.dimensions.append(("rows", *entrance.features))
        elif self.layout == "padded":
            axes = ("rows", f"{name}_length", f"{name}_inner_length")[: 1 + entrance.depth]
            said.inputs.append(name)
            said.dimensions.append((*axes, *entrance.features))
            if entrance.like is None:
                said.inputs.append("mask" if alone else f"{name}_mask")
                said.dimensions.append(axes)
        else:
            said.inputs.append("values" if alone else name)
            said.dimensions.append((f"{name}_steps", *entrance.features))
            if entrance.like is None:
                said.inputs.append("row_splits" if alone else f"{name}_row_splits")
                said.dimensions.append(("rows_and_one",))
                if entrance.depth > 1:
                    said.inputs.append("inner_row_splits" if alone else f"{name}_inner_row_splits")
                    said.dimensions.append((f"{name}_inner_rows_and_one",))

    def examples(self) -> tuple[Tensor, ...]:
        """Arrays to trace the program with."""
        made: list[Tensor] = []
        for entrance in self.entrances:
            made += self._example(entrance)
        return tuple(made)

    def _example(self, entrance: Entrance) -> list[Tensor]:
        lengths = torch.tensor(_LENGTHS)

        def splits(lengths: Tensor) -> Tensor:
            return torch.cat([torch.zeros(1, dtype=torch.int64), torch.cumsum(lengths, 0)])

        def ones(*axes: int) -> Tensor:
            return torch.ones((*axes, *entrance.features), dtype=entrance.dtype)

        own = entrance.like is None
        if not entrance.depth:
            return [ones(len(lengths))]
        if self.layout == "padded":
            axes = (len(lengths), 5, 6)[: 1 + entrance.depth]
            return [ones(*axes), *([torch.ones(axes, dtype=torch.bool)] if own else [])]
        if entrance.depth == 1:
            return [ones(int(lengths.sum())), *([splits(lengths)] if own else [])]
        inner = torch.arange(2, 2 + int(lengths.sum()))
        return [ones(int(inner.sum())), *([splits(lengths), splits(inner)] if own else [])]

    # ---- the program

    def forward(self, *arrays: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs.

        Args:
            *arrays: as the signature says.

        Returns:
            Arrays, as the signature says after it.
        """
        model = self.model
        weights = dict(self.named_buffers())
        with tracing(), labelled(model), substituted(model, weights), carrying(model, {}), calling(losses=None):
            entered = optree.tree_unflatten(self.structure, self._entered(iter(arrays)))
            y = model.decide(model._run(entered))
        return self._left(y)

    def _entered(self, arrays: Iterator[Tensor]) -> list[Any]:
        made: list[Any] = []
        for entrance in self.entrances:
            values: Any = next(arrays)
            if not entrance.depth:
                made.append(values)
            elif entrance.like is not None:
                made.append(self._like(values, made[entrance.like]))
            elif self.layout == "padded":
                made.append(_of_padded(values, next(arrays)))
            else:
                splits = [next(arrays) for _ in range(entrance.depth)]
                for at in reversed(splits):
                    values = Ragged(values, ExportedRows.of(at, values.shape[0]))
                made.append(values)
        return made

    def _like(self, values: Tensor, other: Ragged) -> Ragged:
        """A value with the rows of another."""
        if self.layout == "padded":
            for rows in (other.rows, *([other.values.rows] if isinstance(other.values, Ragged) else [])):
                flat = values.reshape(values.shape[0] * values.shape[1], *values.shape[2:])
                values = flat[rows.array("padded_index")]
        return other.with_flat_values(values)

    def _left(self, y: Any) -> tuple[Tensor, ...]:
        """The arrays of an output, and their names in the signature."""
        arrays: dict[str, Any] = {}
        for name, part in _named(y, "output"):
            name = f"{name}_output" if name in self.signature.inputs else name
            if not isinstance(part, Ragged):
                arrays[name] = part
            elif self.layout == "padded":
                arrays[name], arrays[f"{name}_mask"] = part.to_padded(), _mask(part)
            else:
                arrays[f"{name}_values"] = part.flat_values
                arrays[f"{name}_row_splits"] = part.rows.array("row_splits")
                if isinstance(part.values, Ragged):
                    arrays[f"{name}_inner_row_splits"] = part.values.rows.array("row_splits")
        self.signature.outputs[:] = arrays
        # An output that is an input has no name of its own in a file.
        return tuple(array.clone() for array in arrays.values())


@contextmanager
def labelled(model: Model) -> Iterator[None]:
    """Within this context, what layers compute bears their names in the graph, for errors."""
    layers = list({id(layer): layer for _, layer in model.inner_layers()}.values())
    for layer in layers:
        layer.__dict__["_run"] = partial(_run_labelled, layer.place, layer._run)
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["_run"]


def _run_labelled(place: str, run: Any, *args: Any, **kwargs: Any) -> Any:
    with torch.fx.traceback.annotate({"layer": place}):
        return run(*args, **kwargs)


def _of_padded(values: Tensor, mask: Tensor) -> Ragged:
    """Rows of a padded array (B, T, ...); rows within rows of one with a mask (B, S, W)."""
    if mask.ndim == 2:
        return Ragged.from_padded(values, mask)
    # As in `Ragged.from_padded`: an inner row without steps is one where it stands between others.
    some = mask.any(dim=2).to(torch.int64)
    real = (torch.cumsum(some, 1) > 0) & (torch.cumsum(some.flip(1), 1).flip(1) > 0)
    outer = Ragged.from_padded(values, real)
    flat = mask.reshape(mask.shape[0] * mask.shape[1], mask.shape[2])
    return outer.with_values(Ragged.from_padded(outer.values, flat[outer.rows.array("padded_index")]))


def _named(y: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The values of an output by name."""
    if isinstance(y, dict):
        for key, part in y.items():
            yield from _named(part, str(key))
    elif isinstance(y, list | tuple):
        for at, part in enumerate(y):
            yield from _named(part, f"{name}_{at}")
    elif y is not None:
        yield name, y


def _mask(x: Ragged) -> Tensor:
    """(B, T) True where `to_padded` holds a live step; (B, S, W) of rows within rows."""
    if not isinstance(x.values, Ragged):
        mask: Any = x.rows.array("mask")
        return mask  # type: ignore[no-any-return]
    padded: Tensor = Ragged(_mask(x.values), x.rows).to_padded(value=False)
    return padded


def traced(program: Program) -> ExportedProgram:
    """Trace a program, with sizes of any kind.

    Args:
        program: the program.

    Returns:
        What `torch.export` makes of it.

    Raises:
        ExportError: when a layer cannot be traced; names it.
    """
    examples = program.examples()
    shapes = tuple(
        {axis: Dim.DYNAMIC for axis, size in enumerate(said) if isinstance(size, str)}
        for said in program.signature.dimensions
    )
    try:
        # Not in `forward`: that would be a part of the program.
        with _quietly(), torch.no_grad(), torch.fx.traceback.preserve_node_meta():
            return torch.export.export(
                program,
                examples,
                dynamic_shapes=(shapes,),
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
    except PadlessError as wrong:
        place = _place(wrong)
        if place is None or place in str(wrong):
            raise
        raise wrong.inside(place) from wrong
    except Exception as wrong:
        raise ExportError(
            explain(
                f"export: {_place(wrong) or program.model.place}",
                expected="a computation with arrays alone, whatever the lengths of rows are",
                got=_first_line(wrong),
                fix="leave the layer out, or write its call with self.backend and padless.ops",
            )
        ) from wrong


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what torch says of its own code while it traces, and with sizes of 0 and 1 like any other."""
    loud = logging.getLogger("torch.export")
    before = loud.level
    settings: Any = torch.fx.experimental._config
    with settings.patch(backed_size_oblivious=True), warnings.catch_warnings():
        # torch's own trees, written for an older version of themselves.
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
        loud.setLevel(logging.ERROR)
        try:
            yield
        finally:
            loud.setLevel(before)


def _place(wrong: BaseException) -> str | None:
    """The innermost layer that was being called."""
    place, trace = None, wrong.__traceback__
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        if isinstance(owner, Layer) and not isinstance(owner, Model):
            place = owner.place
        trace = trace.tb_next
    return place


def _first_line(wrong: BaseException) -> str:
    text = str(wrong).strip() or type(wrong).__name__
    return f"{type(wrong).__name__}: {text.splitlines()[0]}"
