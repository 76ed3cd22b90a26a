"""CRF: a head for tagging that scores which tags follow each other."""

from __future__ import annotations

from typing import Any

from padless import activations, chains, constraints, initializers, losses, regularizers
from padless.errors import ArgumentError, ShapeError, explain
from padless.layer import Array, Layer
from padless.layers.arguments import positive, require_features, require_rank
from padless.ragged import Ragged
from padless.spec import Spec

_MODES = ("viterbi", "marginal")


class CRF(Layer):
    """Score every tag at every step and every tag after every other: a linear-chain conditional random field.

    What it computes are potentials, one matrix for each step. `losses.CRF` (the layer's `loss`) takes the probability
    of the true tags from them; `predict` and metrics get tags: those of the best path of the whole row, not the best
    of each step. `model.compile("adam", loss=crf.loss, metrics=["accuracy"])`, or `loss="crf"`.

    Args:
        units: number of tags.
        chain_initializer: of the scores of a tag after another.
        chain_regularizer: adds a penalty on them to the loss.
        chain_constraint: applied to them after each update.
        use_boundary: whether the first and the last tag of a row have scores of their own.
        boundary_initializer: of these.
        boundary_regularizer: adds a penalty on these to the loss.
        boundary_constraint: applied to these after each update.
        use_kernel: whether a matrix and a bias make the scores of the tags at each step of the features; without them
            the input holds these scores.
        kernel_initializer: of the matrix.
        kernel_regularizer: adds a penalty on the matrix to the loss.
        kernel_constraint: applied to the matrix after each update.
        use_bias: whether to add a bias.
        bias_initializer: of the bias.
        bias_regularizer: adds a penalty on the bias to the loss.
        bias_constraint: applied to the bias after each update.
        activation: of the scores that the matrix makes; None for none.
        test_mode: what `predict` gives: "viterbi" tags (N,), or "marginal" the probability of each tag (N, units).
        **kwargs: name, dtype, trainable.

    Shapes:
        rows (B, None, D) to potentials (B, None, units, units); see `padless.chains`. Weights: kernel (D, units), bias
        (units,), chain_kernel (units, units): from the row's tag to the column's, left_boundary and right_boundary
        (units,).

    Raises:
        ArgumentError: when units is not a whole number above 0, or test_mode is another word.
        ShapeError: when the input has no features, or without a kernel others than units.

    Example:
        >>> import numpy as np, padless
        >>> crf = CRF(3)
        >>> model = padless.Sequential([padless.layers.Embedding(9, 4), crf])
        >>> model.compile("adam", loss=crf.loss, metrics=["accuracy"])
        >>> history = model.fit([[1, 2], [3]], [[0, 2], [1]], verbose=0)
        >>> [len(tags) for tags in model.predict([[1, 2], [3]])]
        [2, 1]

    Source: Lafferty, McCallum and Pereira 2001; arguments of TensorFlow Addons' CRF, test_mode and names of the weights
    of keras-contrib's. The last three weights are pytorch-crf's transitions, start_transitions and end_transitions.
    """

    view = "ragged"
    reads = "floats"
    sums = True

    def __init__(
        self,
        units: int,
        chain_initializer: Any = "orthogonal",
        chain_regularizer: Any = None,
        chain_constraint: Any = None,
        use_boundary: bool = True,
        boundary_initializer: Any = "zeros",
        boundary_regularizer: Any = None,
        boundary_constraint: Any = None,
        use_kernel: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        use_bias: bool = True,
        bias_initializer: Any = "zeros",
        bias_regularizer: Any = None,
        bias_constraint: Any = None,
        activation: Any = None,
        *,
        test_mode: str = "viterbi",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = positive(self.place, "units", units)
        self.use_boundary = use_boundary
        self.use_kernel = use_kernel
        self.use_bias = use_bias
        self.activation = activations.get(activation)
        if test_mode not in _MODES:
            raise ArgumentError(
                explain(
                    f"{self.place}, test_mode",
                    expected=f"one of {_MODES}",
                    got=repr(test_mode),
                    fix='test_mode="viterbi"',
                )
            )
        self.test_mode = test_mode
        self.initializers = {
            "kernel": initializers.get(kernel_initializer),
            "bias": initializers.get(bias_initializer),
            "chain": initializers.get(chain_initializer),
            "boundary": initializers.get(boundary_initializer),
        }
        self.regularizers = {
            "kernel": regularizers.get(kernel_regularizer),
            "bias": regularizers.get(bias_regularizer),
            "chain": regularizers.get(chain_regularizer),
            "boundary": regularizers.get(boundary_regularizer),
        }
        self.constraints = {
            "kernel": constraints.get(kernel_constraint),
            "bias": constraints.get(bias_constraint),
            "chain": constraints.get(chain_constraint),
            "boundary": constraints.get(boundary_constraint),
        }

    @property
    def loss(self) -> losses.CRF:
        """The loss to train with; it finds all it needs in what the layer computes."""
        return losses.CRF()

    def build(self, spec: Spec) -> None:
        """Make the weights.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 3)
        if not self.use_kernel and spec.features != self.units:
            raise ShapeError(
                explain(
                    self.place,
                    expected=f"{self.units} features, a score for each tag, since use_kernel=False",
                    got=f"{spec.features}",
                    fix=f"layers.Dense({self.units}) before it, or use_kernel=True",
                )
            )

        def weight(name: str, kind: str, *shape: int) -> Array:
            return self.add_weight(
                name,
                shape,
                self.initializers[kind],
                regularizer=self.regularizers[kind],
                constraint=self.constraints[kind],
            )

        if self.use_kernel:
            self.kernel = weight("kernel", "kernel", spec.features, self.units)
            if self.use_bias:
                self.bias = weight("bias", "bias", self.units)
        self.chain_kernel = weight("chain_kernel", "chain", self.units, self.units)
        if self.use_boundary:
            self.left_boundary = weight("left_boundary", "boundary", self.units)
            self.right_boundary = weight("right_boundary", "boundary", self.units)

    def call(self, x: Ragged) -> Ragged:
        """Compute the potentials.

        Args:
            x: (B, None, D).

        Returns:
            (B, None, units, units).
        """
        xp, index = self.xp, self.backend.index
        scores = x.values
        if self.use_kernel:
            require_features(self.place, scores, self.kernel.shape[0])
            scores = scores @ self.kernel
            scores = self.activation(scores + self.bias if self.use_bias else scores)
        ranks = index(x.rows, "ranks")
        chain, first = self.chain_kernel[None], (ranks == 0)[:, None]
        if self.use_boundary:
            zero = xp.zeros_like(self.left_boundary[None])
            lengths = xp.take(index(x.rows, "row_lengths"), index(x.rows, "value_rowids"), axis=0)
            scores = scores + xp.where(first, self.left_boundary[None], zero)
            scores = scores + xp.where((ranks == lengths - 1)[:, None], self.right_boundary[None], zero)
        after = xp.where(first[:, :, None], xp.zeros_like(chain), chain)
        return x.with_values(after + scores[:, None, :])

    def decide(self, y: Any) -> Any:
        """Find the best path of each row, or with test_mode="marginal" the probability of each tag.

        Args:
            y: potentials, as `call` gave them: a Ragged, or an array (B, T, units, units) without padding.

        Returns:
            Ids (B, None) or probabilities (B, None, units), in the form of y.
        """
        decoded = chains.viterbi if self.test_mode == "viterbi" else chains.marginals
        return decoded(y) if isinstance(y, Ragged) else decoded(Ragged.from_padded(y)).to_padded()
