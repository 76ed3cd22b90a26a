"""Positions: what tells attention in which order the steps of a row come. All count from a row's first live step."""

from __future__ import annotations

from typing import Any

import numpy as np

from padless import backends, initializers
from padless.errors import NotThereYetError, RowError, ShapeError, explain
from padless.layer import Array, Layer
from padless.layers.arguments import positive, require_rank
from padless.layers.embedding import Embedding
from padless.ragged import Ragged
from padless.rows import require_same_steps
from padless.spec import Spec


class _Positions(Layer):
    """What the layers of this file share: the place of each step, counted from its row's first live step."""

    view = "ragged"
    sums = True

    def _places(self, x: Ragged, start_index: Any, positions: Any) -> Array:
        """(N,) whole numbers.

        Args:
            x: the steps.
            start_index: of the first step of each row: a number, or (B,).
            positions: Ragged with the rows of x, or (T,) or (B, T) as long as x is when padded; None to count.
        """
        backend, xp = self.backend, self.xp
        if positions is not None:
            return self._given(x, positions)
        places = backend.index(x.rows, "positions")
        if isinstance(start_index, int | np.integer):
            return places + int(start_index) if start_index else places
        start = backend.asarray(start_index)
        if start.ndim == 0:
            return places + start
        if start.ndim != 1 or start.shape[0] != x.rows.nrows:
            raise ShapeError(
                explain(
                    f"{self.place}: start_index",
                    expected=f"a number, or one for each of {x.rows.nrows} rows",
                    got=f"shape {tuple(start.shape)}",
                    fix="start_index=0",
                )
            )
        return places + xp.take(start, backend.index(x.rows, "value_rowids"), axis=0)

    def _given(self, x: Ragged, positions: Any) -> Array:
        backend, xp, rows = self.backend, self.xp, x.rows
        if isinstance(positions, Ragged):
            require_same_steps(f"{self.place}: positions", rows, positions.rows)
            given = positions.values
            return given if backend.is_array(given) else backend.asarray(given)
        array = backend.asarray(
            positions if backend.is_array(positions) else backends.of(positions).to_host(np.asarray(positions))
        )
        shape = (rows.nrows, rows.padded_length)
        if tuple(array.shape) not in (shape, shape[1:]):
            raise ShapeError(
                explain(
                    f"{self.place}: positions",
                    expected=f"an array (T,) or (B, T) = {shape}, or a Ragged with the rows of the input",
                    got=f"shape {tuple(array.shape)}",
                    fix="leave positions out: rows know where their steps stand",
                )
            )
        flat = xp.reshape(xp.broadcast_to(array, shape), (-1,))
        return xp.take(flat, backend.index(rows, "padded_index"), axis=0)

    def _angles(self, places: Array, frequencies: np.ndarray[Any, Any]) -> Array:
        """(N, F) place times frequency."""
        backend, xp = self.backend, self.xp
        known = backend.asarray(frequencies, self.call_dtype)
        return xp.expand_dims(backend.cast(places, self.call_dtype), axis=-1) * xp.expand_dims(known, axis=0)


class RotaryEmbedding(_Positions):
    """Turn pairs of features by an angle that grows with the place of the step.

    Feature i of the first half and feature i of the second make a pair, which turns by place / w^(2 i / D). The product
    of a query and a key that were both turned depends on how far apart they are, not on where they are.

    Args:
        max_wavelength: w.
        scaling_factor: what places are divided by.
        sequence_axis: 1, time.
        feature_axis: -1, the last.
        **kwargs: name, dtype.

    Call arguments: `layer(x, start_index=0, positions=None)`: the place of the first step of each row, a number or
        (B,); or the places themselves, a Ragged with the rows of x, or an array (T,) or (B, T).

    Shapes:
        (B, None, D) or (B, None, H, D), D even, to the same.

    Raises:
        ShapeError: when D is odd, or start_index or positions have another shape.
        NotThereYetError: for other axes.

    Example:
        >>> import numpy as np
        >>> x = np.ones((1, 3, 2), "float32")
        >>> np.round(np.asarray(RotaryEmbedding()(x), float), 2).tolist()
        [[[1.0, 1.0], [-0.3, 1.38], [-1.33, 0.49]]]

    Source: Su and others 2021, RoFormer; arguments and halves as in keras_hub.layers.RotaryEmbedding.
    """

    reads = "floats"

    def __init__(
        self,
        max_wavelength: float = 10000,
        scaling_factor: float = 1.0,
        sequence_axis: int = 1,
        feature_axis: int = -1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_wavelength = max_wavelength
        self.scaling_factor = scaling_factor
        for name, value, wanted in (("sequence_axis", sequence_axis, 1), ("feature_axis", feature_axis, -1)):
            if value != wanted:
                raise NotThereYetError(
                    explain(f"{self.place}: {name}", expected=f"{wanted}", got=repr(value), fix=f"{name}={wanted}")
                )

    def build(self, spec: Spec) -> None:
        """Look at the shape; there are no weights.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 3, least=True)
        if spec.features % 2:
            raise ShapeError(
                explain(
                    self.place,
                    expected="an even number of features, which turn in pairs",
                    got=f"{spec.features}",
                    fix="layers.Dense to an even number first",
                )
            )

    def call(self, x: Ragged, start_index: Any = 0, positions: Any = None) -> Ragged:
        """Turn.

        Args:
            x: (B, None, ..., D).
            start_index: of the first step of each row.
            positions: of each step, in place of that.

        Returns:
            The same shape.
        """
        xp, width = self.xp, x.values.shape[-1]
        frequencies = self.max_wavelength ** (-np.arange(0, width, 2) / width) / self.scaling_factor
        angles = self._angles(self._places(x, start_index, positions), frequencies)
        between = x.values.ndim - 2
        angles = xp.reshape(angles, (angles.shape[0], *(1,) * between, width // 2))
        cosine, sine = xp.cos(angles), xp.sin(angles)
        first, second = x.values[..., : width // 2], x.values[..., width // 2 :]
        return x.with_values(xp.concat([first * cosine - second * sine, second * cosine + first * sine], axis=-1))


class SinePositionEncoding(_Positions):
    """Give each step the sines and cosines of its place, to be added to the input.

    Even features d are sin(place / w^(d / D)), each odd one the cosine of the same angle as the feature before it.

    Args:
        max_wavelength: w.
        **kwargs: name, dtype.

    Call arguments: as of `RotaryEmbedding`.

    Shapes:
        (B, None, D) to the same; what is in the input does not matter.

    Raises:
        ShapeError: when steps are not vectors, or start_index or positions have another shape.

    Example:
        >>> import numpy as np
        >>> np.round(np.asarray(SinePositionEncoding()(np.zeros((1, 2, 2), "float32")), float), 2).tolist()
        [[[0.0, 1.0], [0.84, 0.54]]]

    Source: Vaswani and others 2017, section 3.5; arguments as in keras_hub.layers.SinePositionEncoding.
    """

    reads = "floats"

    def __init__(self, max_wavelength: float = 10000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_wavelength = max_wavelength

    def build(self, spec: Spec) -> None:
        """Look at the shape; there are no weights.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 3)

    def call(self, x: Ragged, start_index: Any = 0, positions: Any = None) -> Ragged:
        """Encode.

        Args:
            x: (B, None, D).
            start_index: of the first step of each row.
            positions: of each step, in place of that.

        Returns:
            (B, None, D).
        """
        xp, width = self.xp, x.values.shape[-1]
        features = np.arange(width)
        frequencies = (1 / self.max_wavelength) ** (2 * (features // 2) / width)
        angles = self._angles(self._places(x, start_index, positions), frequencies)
        return x.with_values(xp.where(self.backend.asarray(features % 2 == 0), xp.sin(angles), xp.cos(angles)))


class PositionEmbedding(_Positions):
    """Give each step a learned vector for its place, to be added to the input.

    Args:
        sequence_length: L, the longest row that can come.
        initializer: of the table.
        **kwargs: name, dtype, trainable.

    Call arguments: as of `RotaryEmbedding`.

    Shapes:
        (B, None, D) to the same; what is in the input does not matter. Weights: embeddings (L, D).

    Raises:
        ArgumentError: when sequence_length is not above 0.
        RowError: when a row reaches beyond L places; it names the row.
        ShapeError: when steps are not vectors, or start_index or positions have another shape.

    Example:
        >>> import numpy as np
        >>> PositionEmbedding(10)(np.zeros((2, 3, 4), "float32")).shape[-1]
        4

    Source: Devlin and others 2019, BERT; arguments as in keras_hub.layers.PositionEmbedding.
    """

    reads = "floats"

    def __init__(self, sequence_length: int, initializer: Any = "glorot_uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sequence_length = positive(self.place, "sequence_length", sequence_length)
        self.initializer = initializers.get(initializer)

    def build(self, spec: Spec) -> None:
        """Make the table.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 3)
        self.embeddings = self.add_weight("embeddings", (self.sequence_length, spec.features), self.initializer)

    def call(self, x: Ragged, start_index: Any = 0, positions: Any = None) -> Ragged:
        """Look the places up.

        Args:
            x: (B, None, D).
            start_index: of the first step of each row.
            positions: of each step, in place of that.

        Returns:
            (B, None, D).
        """
        places = self._places(x, start_index, positions)
        self._require_known(x, places)
        xp = self.xp
        # Steps that only fill a batch up may lie anywhere.
        places = xp.clip(places, min=0, max=self.sequence_length - 1)
        return x.with_values(xp.take(self.embeddings, places, axis=0))

    def _require_known(self, x: Ragged, places: Array) -> None:
        backend = self.backend
        if backend.is_traced(places):
            known, live = (places >= 0) & (places < self.sequence_length), self.live(x)
            backend.assume(known if live is None else known | ~live)
            return
        bounds = backend.bounds(places)
        if self.tracing or bounds is None or (bounds[0] >= 0 and bounds[1] < self.sequence_length):
            return
        host = backend.to_host(places)
        first = int(np.argwhere((host < 0) | (host >= self.sequence_length))[0, 0])
        row = int(x.rows.value_rowids[first])
        raise RowError(
            explain(
                self.place,
                expected=f"places 0 to {self.sequence_length - 1}",
                got=f"place {int(host[first])} in row {row}",
                fix=f"sequence_length={int(host.max()) + 1}, or shorter rows",
            ),
            row,
        )


class TokenAndPositionEmbedding(Layer):
    """Turn ids into learned vectors, and add a learned vector for the place of each.

    Args:
        vocabulary_size: number of ids.
        sequence_length: L, the longest row that can come.
        embedding_dim: D, size of a vector.
        tie_weights: True: there is one table, for ids in and out.
        embeddings_initializer: of both tables.
        mask_zero: whether steps with id 0 are masked; places are counted from a row's first other id.
        **kwargs: name, dtype, trainable.

    Call arguments: as of `RotaryEmbedding`.

    Shapes:
        ids (B, None) to (B, None, D). Weights: token_embedding/embeddings (vocabulary_size, D),
        position_embedding/embeddings (L, D).

    Raises:
        ArgumentError: when a size is not above 0.
        DataError: when an id is outside the table, or a row reaches beyond L places.
        NotThereYetError: for `tie_weights=False`.

    Example:
        >>> TokenAndPositionEmbedding(100, 20, 8)([[3, 5, 7], [2]])[0].shape[-1]
        8

    Source: arguments as in keras_hub.layers.TokenAndPositionEmbedding.
    """

    view = "ragged"
    reads = "ids"

    def __init__(
        self,
        vocabulary_size: int,
        sequence_length: int,
        embedding_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        mask_zero: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not tie_weights:
            raise NotThereYetError(
                explain(
                    f"{self.place}: tie_weights",
                    expected="True",
                    got="False: a second table for ids that go out, which is not there yet",
                    fix="layers.Dense(vocabulary_size) for what goes out",
                )
            )
        options: dict[str, Any] = {"dtype": self.dtype_policy, "trainable": self.trainable}
        self.token_embedding = Embedding(
            vocabulary_size,
            embedding_dim,
            embeddings_initializer,
            mask_zero=mask_zero,
            name="token_embedding",
            **options,
        )
        self.position_embedding = PositionEmbedding(
            sequence_length, embeddings_initializer, name="position_embedding", **options
        )
        self.makes_mask = mask_zero

    def build(self, spec: Spec) -> None:
        """Make both tables.

        Args:
            spec: of the ids.
        """
        require_rank(self.place, spec, 2, fix="ids (B, T)")
        self.token_embedding._build_with(spec)
        self.position_embedding._build_with(Spec((None, None, self.token_embedding.output_dim), self.dtype))

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Say which ids are real; as of `Embedding`."""
        return self.token_embedding.compute_mask(x, mask)

    def call(self, x: Ragged, start_index: Any = 0, positions: Any = None) -> Ragged:
        """Look ids and places up.

        Args:
            x: (B, None) ids.
            start_index: of the first step of each row.
            positions: of each step, in place of that.

        Returns:
            (B, None, D).
        """
        tokens: Ragged = self.token_embedding(x)
        places: Ragged = self.position_embedding(tokens, start_index=start_index, positions=positions)
        made: Ragged = tokens + places
        return made
