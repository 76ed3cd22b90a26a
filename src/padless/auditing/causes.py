"""From the layer whose numbers differ back to the one where the mask was lost."""

from __future__ import annotations

from padless.auditing.comparing import has_steps
from padless.auditing.reasons import Observed
from padless.auditing.trace import Call, Operand, Trace

_MERGES = ("Merge", "Concatenate", "Dot", "Operation")


def cause_of(trace: Trace, key: str, columns: int) -> tuple[Observed, str]:
    """Find why a layer reads padding.

    Args:
        trace: a run of a batch.
        key: of the call in which numbers first differ.
        columns: of the batch.

    Returns:
        What was observed, and the key of the call in which.
    """
    call = trace.calls[key]
    lost = _lost(trace, call, columns, set())
    if lost is not None:
        return lost
    if call.mask_came:
        return Observed.READS, key
    inner = next((one.key for one in trace.leaves() if _makes_mask_within(one)), None)
    return (Observed.NEVER, key) if inner is None else (Observed.INNER, inner)


def loss_cause(trace: Trace, columns: int) -> tuple[Observed, str]:
    """Find why a loss counts padded steps although no prediction differs.

    Args:
        trace: a run of a batch.
        columns: of the batch.

    Returns:
        What was observed, and the key of the call in which.
    """
    for source, value in zip(trace.sources, trace.outputs, strict=True):
        call = trace.calls.get(source)
        if (call is not None and call.masked) or not has_steps(value, columns):
            continue
        if not any(other.masked for other in trace.calls.values()):
            return Observed.NEVER, source
        outer = Call("", "", "", None, [Operand(value, source)])
        found = _lost(trace, outer, columns, set())
        return (Observed.LOSS, found[1] if found is not None else source)
    for call in trace.leaves():
        if getattr(call.layer, "activity_regularizer", None) is not None:
            return Observed.PENALTY, call.key
    return Observed.LOSS_ITSELF, trace.sources[0]


def _lost(trace: Trace, call: Call, columns: int, seen: set[str]) -> tuple[Observed, str] | None:
    """Where the mask was lost of any value that goes into a call without one; None where no mask was lost."""
    for operand in call.operands:
        # The layer may have been told of the mask by an argument, as functional graphs do.
        told = call.given_mask and len(call.operands) == 1
        if operand.masked or told or not has_steps(operand.value, columns):
            continue
        if not operand.source and any(other.masked for other in trace.calls.values()):
            return Observed.CODE, call.within
        found = _lost_before(trace, operand, columns, seen)
        if found is not None:
            return found
    return None


def _lost_before(trace: Trace, operand: Operand, columns: int, seen: set[str]) -> tuple[Observed, str] | None:
    maker = trace.calls.get(operand.source)
    if maker is None or maker.key in seen:
        return None
    seen.add(maker.key)
    if maker.masked:
        taker = next((call for call in trace.leaves() if _strips(call, maker.key)), None)
        return (Observed.STRIPS, taker.key) if taker is not None else (Observed.CODE, maker.key)
    before = _lost(trace, maker, columns, seen)
    if before is not None or not maker.mask_came:
        return before
    kinds = {kind.__name__ for kind in type(maker.layer).__mro__}
    bare = [one for one in maker.operands if not one.masked and one.source]
    is_layer = "Layer" in kinds
    if bare and len(maker.operands) > 1 and is_layer and kinds & set(_MERGES):
        return Observed.OPERAND, maker.key
    return Observed.DROPS, maker.key


def _makes_mask_within(call: Call) -> bool:
    """Whether a layer wraps one that would make a mask, were it called as Keras calls layers."""
    inner = getattr(call.layer, "layer", None)
    return bool(getattr(inner, "mask_zero", False)) and not call.masked


def _strips(call: Call, source: str) -> bool:
    return any(one.source == source and one.masked and not one.kept for one in call.operands)
