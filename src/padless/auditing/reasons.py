"""Why padding changes an answer: one table, by what was observed and in what class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from padless.auditing.trace import Call


class Observed(StrEnum):
    """What a probe saw a layer do.

    A mask came and the layer read padding all the same; a mask came, and none went out; the layer took the mask off
    what went into it; of several values that it joined one had no mask; nothing before it made a mask; it mixes rows;
    it is no layer but code; rows padded left get another answer although nothing else does; the mask did not get to
    the loss; the loss alone changes; only in training.
    """

    READS = "reads"
    DROPS = "drops"
    STRIPS = "strips"
    OPERAND = "operand"
    NEVER = "never"
    MIXES = "mixes"
    CODE = "code"
    INNER = "inner"
    SIDE = "side"
    NAN = "nan"
    LOSS = "loss"
    LOSS_ITSELF = "loss itself"
    PENALTY = "penalty"


NOTES = {
    Observed.READS: "reads padding",
    Observed.DROPS: "the mask is lost here",
    Observed.STRIPS: "takes the mask off what goes in",
    Observed.OPERAND: "the mask is lost here",
    Observed.NEVER: "reads padding: no mask was made",
    Observed.MIXES: "mixes rows",
    Observed.INNER: "the mask in it is lost",
    Observed.CODE: "the mask is lost before it, in code",
    Observed.SIDE: "depends on the side of the padding",
    Observed.NAN: "lets NaN through",
    Observed.LOSS: "the mask is lost here",
    Observed.LOSS_ITSELF: "its loss counts padding",
    Observed.PENALTY: "its penalty counts padding",
}
"""What a picture says of each."""


@dataclass(frozen=True)
class Reason:
    """A line of the table.

    Attributes:
        name: what it is called in JSON.
        observed: what was seen.
        kinds: classes, or their bases, in which; () for any.
        text: what happens, as the end of a sentence that begins with the layer.
        fix: what to do in Keras.
        when: a further condition.
    """

    name: str
    observed: Observed
    kinds: tuple[str, ...]
    text: str
    fix: str
    when: Callable[[Call], bool] = lambda call: True


_CONVOLUTIONS = ("BaseConv", "BaseSeparableConv", "BaseDepthwiseConv", "BaseConvTranspose")
_GLOBAL = ("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling2D")
_WINDOWS = ("BasePooling", "BaseAdaptivePooling")
_RNN = ("RNN", "Bidirectional")
_NORMALIZATIONS = ("GroupNormalization", "LayerNormalization", "BatchNormalization")
_OPERATORS = ("Operation",)
_RESHAPING = ("Flatten", "Reshape", "Permute", "Cropping1D", "ZeroPadding1D", "UpSampling1D", "RepeatVector")


def _of(layer: Any, name: str, default: Any = None) -> Any:
    """An attribute of a layer, or of the one that it wraps."""
    inner = getattr(layer, "forward_layer", layer)
    return getattr(inner, name, default)


TABLE = (
    # ---- a mask came, and padding is read all the same
    Reason("convolution_reads_padding", Observed.READS, _CONVOLUTIONS,
           "has no rule for masks: its windows reach across the end of a row and read the padded steps beside it",
           "no convolution of Keras reads a mask; set masked steps to 0 before it, and only with strides of 1"),
    Reason("maximum_over_padding", Observed.READS, ("GlobalMaxPooling1D",),
           "has no rule for masks: the maximum is taken over padded steps, too",
           "before it, put a very small number at masked steps"),
    Reason("pooling_over_padding", Observed.READS, (*_GLOBAL, *_WINDOWS),
           "has no rule for masks: padded steps are pooled with real ones",
           "there is no masked pooling in windows in Keras; pool rows alone"),
    Reason("flatten_padding", Observed.READS, ("Flatten", "Reshape", "Permute"),
           "lays padded steps beside real ones as if they were features",
           "pool over steps first (GlobalAveragePooling1D reads the mask)"),
    Reason("initial_state_hides_mask", Observed.READS, _RNN,
           "was called with an initial state: Keras fills `mask` in only for a call with one tensor, so the mask "
           "on the input is not used and padded steps move the state",
           "pass it yourself: layer(x, initial_state=state, mask=mask)",
           lambda call: len(call.operands) > 1),
    Reason("reversed_steps_unreversed_mask", Observed.READS, _RNN,
           "returns its steps in reverse, padding first, with a mask that is not reversed",
           "Bidirectional, or reverse what comes out yourself, row by row",
           lambda call: bool(_of(call.layer, "go_backwards")) and bool(_of(call.layer, "return_sequences"))),
    Reason("zero_output_for_mask", Observed.READS, _RNN,
           "has zero_output_for_mask=True, by which a row that ends in padding gives zeros as its last output",
           "zero_output_for_mask=False where return_sequences is False",
           lambda call: bool(_of(call.layer, "zero_output_for_mask")) and not _of(call.layer, "return_sequences")),
    Reason("cell_output_is_not_state", Observed.READS, _RNN,
           "has a cell whose output is not its first state: on some of Keras's backends the loop takes one for the "
           "other",
           "run it on torch or TensorFlow, or make the output the first state",
           lambda call: type(_of(call.layer, "cell")).__module__.split(".")[0] != "keras"),
    Reason("inner_mask_not_made", Observed.INNER, (),
           "calls the layer in it without Keras's own bookkeeping, so that a mask made in there is lost",
           "make the mask of the inner steps yourself and pass it"),
    Reason("statistics_over_padding", Observed.READS, _NORMALIZATIONS,
           "takes its mean and variance over padded steps, too",
           "normalize over features alone: LayerNormalization(axis=-1)"),
    Reason("softmax_masks_classes", Observed.READS, ("Softmax",),
           "takes the mask of steps for one of classes", 'Activation("softmax")'),
    Reason("dot_over_padding", Observed.READS, ("Dot",), "sums over padded steps", "set masked steps to 0 before it"),
    Reason("lambda_reads_padding", Observed.READS, ("Lambda",),
           "runs a function that sees padded steps and no mask", "a layer with `mask` among the arguments of `call`"),
    Reason("operation_reads_padding", Observed.READS, _OPERATORS,
           "takes padded steps together with real ones: operations know nothing of masks",
           "use the mask in it, such as ops.where(mask[..., None], x, 0)",
           lambda call: not _is_layer(call)),
    Reason("layer_reads_padding", Observed.READS, (),
           "was told of the mask, or could have been, and reads padded steps all the same",
           "read `mask` in `call`"),
    # ---- a mask came, and none went out
    Reason("convolution_drops_mask", Observed.DROPS, _CONVOLUTIONS,
           "has no rule for masks: what comes out has none, and every layer after it reads padding",
           "work out the mask of its output yourself and pass it to the layers after it"),
    Reason("pooling_drops_mask", Observed.DROPS, (*_GLOBAL, *_WINDOWS),
           "has no rule for masks: what comes out has none, and every layer after it reads padding",
           "work out the mask of its output yourself and pass it to the layers after it"),
    Reason("shape_drops_mask", Observed.DROPS, _RESHAPING,
           "drops the mask", "pass the mask to the layers after it yourself"),
    Reason("recurrent_drops_mask", Observed.DROPS, (*_RNN, "TimeDistributed"),
           "used the mask and gives none on", "another version of Keras, or pass the mask yourself"),
    Reason("embedding_drops_mask", Observed.DROPS, ("Embedding",),
           "drops the mask that comes with ids, since mask_zero is False", "mask_zero=True"),
    Reason("lambda_drops_mask", Observed.DROPS, ("Lambda",), "drops the mask, as no `mask` was given to it",
           "Lambda(function, mask=lambda x, mask: mask)"),
    Reason("dot_drops_mask", Observed.DROPS, ("Dot",), "gives no mask on", "pass the mask yourself"),
    Reason("operation_drops_mask", Observed.DROPS, _OPERATORS,
           "is an operation, not a layer: its result is a new tensor, and the mask stays behind on the old one",
           "a layer with supports_masking = True in its place (Add, Rescaling, ...)",
           lambda call: not _is_layer(call)),
    Reason("no_supports_masking", Observed.DROPS, (),
           "has no `supports_masking`: Keras takes the mask off what comes out (with a warning, once)",
           "layer.supports_masking = True, if it never mixes steps",
           lambda call: not getattr(call.layer, "supports_masking", False)),
    Reason("mask_computed_away", Observed.DROPS, (), "gives no mask on: its `compute_mask` returns none for this call",
           "a `compute_mask` that hands the mask on"),
    # ---- the rest
    Reason("attention_strips_mask", Observed.STRIPS, (),
           "takes the mask off its own inputs while it runs and puts it back on its output alone; whatever else "
           "uses those inputs, such as a residual connection, reads padding",
           "keep the mask from before the call, and pass it to the layers that use the inputs again"),
    Reason("one_operand_without_mask", Observed.OPERAND, (),
           "joins a value that has a mask with one that has none: the result has none, without a warning",
           "give the other value the same mask, or add what has none inside of a layer with supports_masking = True"),
    Reason("no_mask_made", Observed.NEVER, (),
           "reads padded steps as data: nothing before it makes a mask",
           "Embedding(mask_zero=True), or Masking() after the input"),
    Reason("normalization_mixes_rows", Observed.MIXES, ("BatchNormalization",),
           "takes its statistics over the batch", "call it with training=False"),
    Reason("mixes_rows", Observed.MIXES, (), "mixes rows: the answer for one depends on which others are in the batch",
           "sums over each row, in place of sums over the first axis"),
    Reason("code_reads_padding", Observed.CODE, (),
           "has code in `call` between its layers in which the mask is lost or padding is read",
           "layers in place of operators, or the mask used by hand"),
    Reason("nan_gets_through", Observed.NAN, (),
           "leaves masked steps out by a multiplication with 0: NaN or infinity in one of them gets through",
           "no NaN in padding"),
    Reason("causal_left", Observed.SIDE, _CONVOLUTIONS,
           "has no rule for masks: the first real steps of a row read the padding on their left",
           'pad on the right: pad_sequences(..., padding="post")'),
    Reason("places_from_the_left", Observed.SIDE, (),
           "gives a row another answer when its padding is on the left: it counts places from the first column, padded "
           "or not", 'pad on the right: pad_sequences(..., padding="post")'),
    Reason("loss_counts_padding", Observed.LOSS, (),
           "is where the mask is lost that the loss needs: padded steps count in it as real ones do",
           "sample_weight with 0 at padded steps"),
    Reason("loss_reduces_steps", Observed.LOSS_ITSELF, (),
           "hands its mask to the loss, which counts padded steps all the same: it does not read the mask, or reduces "
           "over steps by itself",
           "sample_weight with 0 at padded steps, or a loss that gives one number for each step"),
    Reason("penalty_counts_padding", Observed.PENALTY, (),
           "has an activity_regularizer, which sums over padded steps, too", "a penalty of weights instead"),
)  # fmt: skip


def reason_for(observed: Observed, call: Call | None) -> Reason:
    """Look up why.

    Args:
        observed: what was seen.
        call: where; None for the model's own code.

    Returns:
        The first line that fits.
    """
    names = {kind.__name__ for kind in type(call.layer).__mro__} if call is not None else set()
    for reason in TABLE:
        fits = not reason.kinds or bool(names & set(reason.kinds))
        if reason.observed is observed and fits and (call is None or reason.when(call)):
            return reason
    raise AssertionError(observed)


def _is_layer(call: Call) -> bool:
    return any(kind.__name__ == "Layer" for kind in type(call.layer).__mro__)
