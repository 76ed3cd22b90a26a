"""What Keras 3.15.1 gets wrong, or loses, when sequences are padded: each found by measurement, each a test here.

The sections are those of the map of Keras's masking that padless was designed from: 1.1 core, 1.2 recurrent, 1.3
convolution, pooling and shape, 1.4 attention, 1.5 normalization, 1.6 merging, operators and models, 1.7 losses, metrics
and weights, 1.8 differences between backends. The protocol is the same: three sequences of 5, 8 and 4 steps, padded to
8 and to 15, right and left, with numbers and NaN in the padding; the truth is each sequence alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import padless
from padless import DataError, Input, Layer, MaskError, Model, PadlessError, Ragged, ShapeError, layers
from padless.layer import calling
from padless.utils import set_random_seed
from tests.conftest import BACKENDS
from tests.oracle import Answers, answers, assert_same
from tests.tolerances import VALUES

Host = npt.NDArray[Any]
Float = npt.NDArray[np.float32]

LENGTHS, LONGEST, WORDS = (5, 8, 4), 8, 12
NUMBERS = np.random.default_rng(0)
ROWS: list[Float] = [NUMBERS.normal(size=(n, 4)).astype(np.float32) for n in LENGTHS]
IDS: list[Host] = [NUMBERS.integers(1, WORDS, n) for n in LENGTHS]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    set_random_seed(1)


on_hosts = pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "jax"], indirect=True)
"""NumPy and torch. On JAX every layer passes the same properties, compiled: tests/properties."""
on_trainers = pytest.mark.parametrize("backend", [name for name in BACKENDS if name == "torch"], indirect=True)


# ---- the protocol


def padded(
    rows: Sequence[Host], length: int, *, left: bool = False, fill: float = 0.0
) -> tuple[Host, npt.NDArray[np.bool_]]:
    """An array of the rows, and its mask."""
    if rows[0].dtype.kind != "f" and np.isnan(fill):
        fill = -1
    array = np.full((len(rows), length, *rows[0].shape[1:]), fill, rows[0].dtype)
    mask = np.zeros((len(rows), length), np.bool_)
    for at, row in enumerate(rows):
        place = slice(length - len(row), length) if left else slice(0, len(row))
        array[at, place] = row
        mask[at, place] = True
    return array, mask


def forms(rows: Sequence[Host] = ROWS) -> Iterator[tuple[str, Ragged]]:
    """The rows as they come from padded arrays of all kinds."""
    longest = max(map(len, rows))
    for length in (longest, longest + 7):
        for left in (False, True):
            for fill in (0.0, 9.0, np.nan):
                side = "left" if left else "right"
                array, mask = padded(rows, length, left=left, fill=fill)
                yield f"{length} columns, {side}, {fill}", Ragged.from_padded(array, mask)


def alone(layer: Callable[[Any], Any], rows: Sequence[Host] = ROWS) -> Answers:
    """The truth: each row as an array of its own, without a mask."""
    each = [answers(layer(row[None])) for row in rows]
    return [[one[at][0] for one in each] for at in range(len(each[0]))]


def require_right(layer: Callable[[Any], Any], rows: Sequence[Host] = ROWS, truth: Answers | None = None) -> None:
    """The answer of each row is that of the row alone, however it was padded."""
    expected = alone(layer, rows) if truth is None else truth
    for name, x in forms(rows):
        assert_same(answers(layer(x)), expected, what=name, **VALUES)


def functional(body: Callable[[Any], Any], shape: tuple[int | None, ...] = (None, 4), dtype: str = "float32") -> Model:
    x = Input(shape=shape, dtype=dtype)
    return Model(x, body(x))


def require_right_on_ids(model: Any) -> None:
    """Likewise for ids, of which 0 is padding."""
    each = [answers(model(row[None])) for row in IDS]
    expected = [[one[at][0] for one in each] for at in range(len(each[0]))]
    for length in (LONGEST, LONGEST + 7):
        for left in (False, True):
            array, mask = padded(IDS, length, left=left)
            found = answers(model(array))
            cut = [[row[m] if len(row) == length else row for row, m in zip(one, mask, strict=True)] for one in found]
            assert_same(cut, expected, what=f"{length} columns, left={left}", **VALUES)


# ---- 1.1 core, activations, regularization


@on_hosts
def test_1_1_embedding_without_mask_zero_keeps_rows_that_came(backend: str) -> None:
    require_right(layers.Embedding(WORDS, 3), [row.astype(np.int64) for row in IDS])


@on_hosts
def test_1_1_embedding_takes_no_floats_for_ids(backend: str) -> None:
    with pytest.raises(PadlessError, match="whole numbers"):
        layers.Embedding(WORDS, 3, mask_zero=True)(np.array([[0.4, 1.0]], np.float32))


@on_hosts
def test_1_1_a_second_masking_keeps_what_the_first_masked(backend: str) -> None:
    x = np.ones((1, 5, 2), np.float32)
    x[0, 1], x[0, 3] = 7, 8
    y = layers.Masking(8.0)(layers.Masking(7.0)(x))
    assert y.rows.positions.tolist() == [0, 2, 4]


@on_hosts
def test_1_1_masking_finds_nan(backend: str) -> None:
    array, mask = padded(ROWS, LONGEST, fill=np.nan)
    assert (layers.Masking(np.nan)(array).rows.mask == mask).all()


@on_hosts
def test_1_1_masking_of_more_axes_masks_steps(backend: str) -> None:
    x = np.ones((2, 4, 3, 2), np.float32)
    x[1, 2:] = 0
    assert layers.Masking()(x).rows.row_lengths.tolist() == [4, 2]


@on_hosts
def test_1_1_einsum_dense_keeps_rows(backend: str) -> None:
    require_right(layers.EinsumDense("abc,cd->abd", output_shape=(None, 3), bias_axes="d"))


@on_hosts
@pytest.mark.parametrize("count", [1, 3], ids=["one row", "as many rows as classes"])
def test_1_1_softmax_masks_steps_and_never_classes(backend: str, count: int) -> None:
    """Three steps of three classes: Keras takes the mask of the steps for one of classes."""
    rows = [np.zeros((n, 3), np.float32) for n in (2, 1, 3)][:count]
    array, mask = padded(rows, 3)
    y = answers(layers.Softmax()(Ragged.from_padded(array, mask)))[0]
    for row, got in zip(rows, y, strict=True):
        np.testing.assert_allclose(got, np.full(row.shape, 1 / 3), **VALUES)


@on_hosts
def test_1_1_lambda_says_how_it_reads_rows(backend: str) -> None:
    x = Ragged.from_list(ROWS)
    with pytest.raises(MaskError, match="view"):
        layers.Lambda(lambda v: v * 2)(x)
    require_right(layers.Lambda(lambda v: v * 2, view="steps"))


@on_trainers
@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Dropout(0.5, seed=1),
        lambda: layers.SpatialDropout1D(0.5, seed=1),
        lambda: layers.GaussianNoise(0.5, seed=1),
        lambda: layers.GaussianDropout(0.5, seed=1),
        lambda: layers.AlphaDropout(0.5, seed=1),
    ],
    ids=["Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout"],
)
def test_1_1_noise_does_not_depend_on_padding(backend: str, make: Callable[[], Layer]) -> None:
    layer = make()
    found = []
    for _, x in forms():
        with padless.random.drawing(seed=1, step=2):
            found.append(answers(layer(x, training=True)))
    for other in found[1:]:
        assert_same(other, found[0], **VALUES)


@on_trainers
def test_1_1_penalties_of_outputs_count_live_steps(backend: str) -> None:
    model = functional(lambda x: layers.GlobalMaxPooling1D()(layers.Dense(4, activity_regularizer="l2")(x)))
    model.compile("sgd", "mse")
    y = np.zeros((3, 4), np.float32)
    found = []
    for length in (LONGEST, LONGEST + 7):
        array, mask = padded(ROWS, length)
        found.append(model.evaluate(Ragged.from_padded(array, mask), y, verbose=0))
    truth = model.evaluate(ROWS, y, verbose=0)
    np.testing.assert_allclose(found, [truth, truth], rtol=1e-5)


@on_hosts
@pytest.mark.parametrize("inner", [lambda: layers.Dense(3), lambda: layers.Conv1D(3, 3, padding="same")])
def test_1_1_spectral_normalization_keeps_rows_and_warns_of_nothing(backend: str, inner: Callable[[], Layer]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        require_right(layers.SpectralNormalization(inner()))


# ---- 1.2 recurrent

CELLS = [layers.LSTM, layers.GRU, layers.SimpleRNN]
each_cell = pytest.mark.parametrize("kind", CELLS, ids=lambda kind: kind.__name__)


@on_hosts
@each_cell
def test_1_2_stacked_layers_see_the_mask(backend: str, kind: Any) -> None:
    require_right(functional(lambda x: kind(4)(kind(4, return_sequences=True)(x))))


@on_trainers
def test_1_2_the_loss_of_a_tagger_does_not_depend_on_padding(backend: str) -> None:
    model = functional(
        lambda x: layers.Dense(1)(layers.LSTM(4, return_sequences=True)(layers.Embedding(WORDS, 4, mask_zero=True)(x))),
        (None,),
        "int32",
    )
    model.compile("sgd", "mse", metrics=["mae"])
    targets = [np.ones((n, 1), np.float32) for n in LENGTHS]
    expected = model.evaluate(IDS, targets, verbose=0)
    for length in (LONGEST, LONGEST + 7):
        x, y = padded(IDS, length)[0], padded(targets, length, fill=5)[0]
        np.testing.assert_allclose(model.evaluate(x, y, verbose=0), expected, rtol=1e-5)


@on_hosts
@each_cell
def test_1_2_initial_state_and_mask_are_used_together(backend: str, kind: Any) -> None:
    layer = kind(3, return_state=True)
    states = [NUMBERS.normal(size=(3, 3)).astype(np.float32) for _ in range(2 if kind is layers.LSTM else 1)]
    layer(ROWS[0][None])
    as_backend = [layer.backend.asarray(state) for state in states]
    each = [
        answers(layer(row[None], initial_state=[state[at : at + 1] for state in as_backend]))
        for at, row in enumerate(ROWS)
    ]
    truth = [[one[k][0] for one in each] for k in range(len(each[0]))]
    for name, x in forms():
        assert_same(answers(layer(x, initial_state=as_backend)), truth, what=name, **VALUES)


@on_hosts
def test_1_2_initial_state_of_zeros_changes_nothing(backend: str) -> None:
    layer = layers.Bidirectional(layers.LSTM(3, return_sequences=True))
    for name, x in forms():
        expected = answers(layer(x))
        zeros = [layer.backend.asarray(np.zeros((3, 3), np.float32)) for _ in range(4)]
        assert_same(answers(layer(x, initial_state=zeros)), expected, what=name, **VALUES)


@on_hosts
@each_cell
def test_1_2_going_backwards_keeps_values_and_rows_together(backend: str, kind: Any) -> None:
    layer = kind(3, go_backwards=True, return_sequences=True)
    require_right(functional(lambda x: layers.GlobalAveragePooling1D()(layer(x))))


@on_hosts
@pytest.mark.parametrize("backwards", [False, True])
def test_1_2_zero_output_for_mask_has_no_effect_on_the_last_output(backend: str, backwards: bool) -> None:
    require_right(layers.LSTM(3, zero_output_for_mask=True, go_backwards=backwards))


@on_hosts
def test_1_2_unrolling_changes_nothing(backend: str) -> None:
    for backwards in (False, True):
        require_right(layers.GRU(3, unroll=True, go_backwards=backwards, return_sequences=True))
    require_right(layers.Bidirectional(layers.LSTM(3, unroll=True, return_sequences=True)))


@on_hosts
def test_1_2_a_stateful_bidirectional_layer_returns_states(backend: str) -> None:
    layer = layers.Bidirectional(layers.LSTM(3, stateful=True, return_sequences=True, return_state=True))
    once, again = layer(Ragged.from_list(ROWS)), layer(Ragged.from_list(ROWS))
    assert len(once) == 5
    assert (answers(once)[1][0] != answers(again)[1][0]).any()


@padless.register
class TwiceAndState(Layer):
    """A cell whose output is not its first state, nor as wide."""

    view = "steps"

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.state_size, self.output_size = units, units, 2 * units

    def build(self, spec: Any) -> None:
        self.kernel = self.add_weight("kernel", (spec[-1], self.units))

    def call(self, x: Any, states: Any) -> Any:
        h = self.xp.tanh(x @ self.kernel + states[0])
        return self.xp.concat([2 * h, x[:, : self.units]], axis=-1), [h]


@on_hosts
@pytest.mark.parametrize("sequences", [False, True])
def test_1_2_the_output_of_a_cell_need_not_be_its_state(backend: str, sequences: bool) -> None:
    require_right(layers.RNN(TwiceAndState(2), return_sequences=sequences))


@on_hosts
def test_1_2_stacked_cells(backend: str) -> None:
    require_right(layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], return_sequences=True))


@on_hosts
@pytest.mark.parametrize("change", ["longer", "shorter", "features", "numbers"])
def test_1_2_a_mask_of_another_shape_is_an_error(backend: str, change: str) -> None:
    array, mask = padded(ROWS, LONGEST)
    wrong: Any = {
        "longer": np.pad(mask, ((0, 0), (0, 1))),
        "shorter": mask[:, 1:],
        "features": np.repeat(mask[..., None], 4, axis=-1),
        "numbers": mask.astype(np.float32),
    }[change]
    with pytest.raises(PadlessError, match="Fix:"):
        layers.LSTM(3)(array, mask=wrong)


@on_hosts
@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave"])
@pytest.mark.parametrize("sequences", [False, True])
def test_1_2_bidirectional_in_every_mode(backend: str, mode: str, sequences: bool) -> None:
    require_right(layers.Bidirectional(layers.LSTM(3, return_sequences=sequences), merge_mode=mode))


@on_hosts
def test_1_2_the_mask_made_inside_of_time_distributed_counts(backend: str) -> None:
    """Words padded from 5 to 11 columns."""
    inner, outer = layers.TimeDistributed(layers.Embedding(WORDS, 3, mask_zero=True)), layers.GRU(3)
    model = functional(lambda x: outer(layers.TimeDistributed(layers.GRU(3))(inner(x))), (None, None), "int32")
    documents = NUMBERS.integers(1, WORDS, (2, 3, 5))
    documents[0, 1, 3:] = 0
    documents[1, 2, 1:] = 0
    wider = np.pad(documents, ((0, 0), (0, 2), (0, 6)))
    assert_same(answers(model(wider)), answers(model(documents)), **VALUES)


@on_hosts
def test_1_2_sentences_within_documents_keep_their_rows(backend: str) -> None:
    sentence = functional(lambda x: layers.LSTM(3)(layers.Embedding(WORDS, 4, mask_zero=True)(x)), (None,), "int32")
    model = functional(lambda x: layers.GRU(3)(layers.TimeDistributed(sentence)(x)), (None, None), "int32")
    documents = [[[1, 2, 3], [4]], [[5, 6], [7, 8, 9, 10], [11]]]
    each = [np.stack([answers(sentence(np.array([s])))[0][0] for s in document]) for document in documents]
    truth = [[answers(model.layers[-1](one[None]))[0][0] for one in each]]
    assert_same(answers(model(documents)), truth, **VALUES)


@on_hosts
def test_1_2_a_mask_of_words_becomes_one_of_sentences(backend: str) -> None:
    """After TimeDistributed(GRU), Keras hands (B, S, W) on to a layer that reads (B, S)."""
    inner, outer = layers.TimeDistributed(layers.GRU(3)), layers.GRU(3)
    documents = NUMBERS.normal(size=(2, 3, 5, 4)).astype(np.float32)
    mask = np.ones((2, 3, 5), np.bool_)
    mask[0, 1, 2:], mask[1, 2] = False, False
    x = Ragged.from_padded(np.where(mask[..., None], documents, np.float32(np.nan)), mask)
    found = answers(outer(inner(x)))[0]
    for document, live, got in zip(documents, mask, found, strict=True):
        sentences = [
            answers(inner.layer(words[m][None]))[0][0] for words, m in zip(document, live, strict=True) if m.any()
        ]
        np.testing.assert_allclose(got, answers(outer(np.stack(sentences)[None]))[0][0], **VALUES)


@on_hosts
def test_1_2_convolutional_lstm(backend: str) -> None:
    rows = [NUMBERS.normal(size=(n, 6, 2)).astype(np.float32) for n in LENGTHS]
    require_right(layers.ConvLSTM1D(3, 3, padding="same", return_sequences=True), rows)


@on_trainers
@each_cell
def test_1_2_nan_in_the_padding_reaches_no_gradient(backend: str, kind: Any) -> None:
    model = functional(lambda x: layers.Dense(1)(kind(3)(x)))
    model.compile(padless.optimizers.SGD(0.1), "mse")
    start = model.get_weights()
    targets = np.ones((3, 1), np.float32)
    model.fit(ROWS, targets, batch_size=3, epochs=1, verbose=0)
    expected = model.get_weights()
    for name, x in forms():
        model.set_weights(start)
        model.fit(x, targets, batch_size=3, epochs=1, verbose=0, shuffle=False)
        for got, want in zip(model.get_weights(), expected, strict=True):
            np.testing.assert_allclose(got, want, err_msg=name, **VALUES)


@on_hosts
def test_1_2_no_masked_step_is_computed(backend: str) -> None:
    """Keras's loop runs over all columns."""
    seen: list[int] = []
    model = functional(lambda x: layers.LSTM(3)(layers.Dense(3)(x)))
    array, mask = padded(ROWS, 200)
    with calling(watch=lambda layer, x, y: seen.append(x.rows.nvals)):
        model(array, mask=mask)
    assert set(seen) == {sum(LENGTHS)}


# ---- 1.3 convolution, pooling, shape


@on_hosts
@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(
    "options", [{}, {"strides": 2}, {"dilation_rate": 2}, {"groups": 2}], ids=["plain", "strides", "dilation", "groups"]
)
def test_1_3_convolution(backend: str, padding: str, options: dict[str, Any]) -> None:
    require_right(layers.Conv1D(4, 3, padding=padding, **options))


@on_hosts
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_1_3_separable_depthwise_and_transposed_convolution(backend: str, padding: str, strides: int) -> None:
    require_right(layers.SeparableConv1D(3, 3, padding=padding, strides=strides))
    require_right(layers.DepthwiseConv1D(3, padding=padding, strides=strides))
    require_right(layers.Conv1DTranspose(3, 3, padding=padding, strides=strides))


@on_hosts
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_1_3_pooling_windows(backend: str, padding: str) -> None:
    require_right(layers.MaxPooling1D(3, 2, padding))
    require_right(layers.AveragePooling1D(3, 2, padding))


@on_hosts
def test_1_3_global_pooling_of_negative_numbers(backend: str) -> None:
    rows = [-np.abs(row) - 1 for row in ROWS]
    require_right(layers.GlobalMaxPooling1D(), rows)
    require_right(layers.GlobalAveragePooling1D(), rows)


@on_hosts
def test_1_3_a_row_that_is_all_masked_gives_zeros(backend: str) -> None:
    mask = np.array([[True, False], [False, False]])
    for pool in (layers.GlobalAveragePooling1D(), layers.GlobalMaxPooling1D()):
        x = np.where(mask[..., None], np.ones(3, np.float32), np.float32(np.nan))
        found = answers(pool(x, mask=mask))[0]
        np.testing.assert_array_equal(found, [[1, 1, 1], [0, 0, 0]])


@on_hosts
def test_1_3_adaptive_pooling(backend: str) -> None:
    require_right(layers.AdaptiveAveragePooling1D(3))
    require_right(layers.AdaptiveMaxPooling1D(3))


@on_hosts
def test_1_3_padding_cropping_and_repeating_act_at_the_real_ends(backend: str) -> None:
    for layer in (layers.ZeroPadding1D((1, 2)), layers.Cropping1D((1, 2)), layers.UpSampling1D(2)):
        require_right(layer)
    require_right(layers.Reshape((-1, 2, 2)))


@on_hosts
@pytest.mark.parametrize("make", [layers.Flatten, lambda: layers.Permute((2, 1))], ids=["Flatten", "Permute"])
def test_1_3_what_mixes_time_with_features_raises(backend: str, make: Callable[[], Layer]) -> None:
    with pytest.raises(MaskError, match="Fix:"):
        make()(Ragged.from_list(ROWS))


# ---- 1.4 attention

KEYS: list[Float] = [NUMBERS.normal(size=(n, 4)).astype(np.float32) for n in (3, 6, 2)]


def require_right_attention(layer: Any, **arguments: Any) -> None:
    each = [answers(layer([row[None], keys[None]], **arguments))[0][0] for row, keys in zip(ROWS, KEYS, strict=True)]
    for (name, x), (_, keys) in zip(forms(ROWS), forms(KEYS), strict=True):
        assert_same(answers(layer([x, keys], **arguments)), [each], what=name, **VALUES)


@on_hosts
@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Attention(),
        lambda: layers.AdditiveAttention(),
        lambda: layers.MultiHeadAttention(2, 3),
        lambda: layers.GroupedQueryAttention(3, 2, 1),
    ],
    ids=["Attention", "AdditiveAttention", "MultiHeadAttention", "GroupedQueryAttention"],
)
@pytest.mark.parametrize("causal", [False, True])
def test_1_4_attention_reads_live_keys_alone(backend: str, make: Callable[[], Layer], causal: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        require_right_attention(make(), **({"use_causal_mask": True} if causal else {}))


@on_hosts
def test_1_4_what_was_attended_with_still_has_its_rows(backend: str) -> None:
    x = Ragged.from_list(ROWS)
    attention = layers.MultiHeadAttention(2, 3)
    y = attention(x, x)
    assert isinstance(layers.Add()([x, y]), Ragged)
    require_right(lambda v: layers.Add()([v, attention(v, v)]))


class Blocks(Model):
    """Two residual blocks of attention and a mean, subclassed."""

    def __init__(self) -> None:
        super().__init__()
        self.attentions = [layers.MultiHeadAttention(2, 3) for _ in range(2)]
        self.normals = [layers.LayerNormalization() for _ in range(2)]
        self.pool = layers.GlobalAveragePooling1D()

    def call(self, x: Any) -> Any:
        for attention, normal in zip(self.attentions, self.normals, strict=True):
            x = normal(layers.Add()([x, attention(x, x)]))
        return self.pool(x)


@on_hosts
def test_1_4_an_encoder_functional_and_subclassed(backend: str) -> None:
    subclassed = Blocks()
    require_right(subclassed)
    made = functional(subclassed.call)
    require_right(made, truth=alone(subclassed))


@on_hosts
def test_1_4_two_decoders_attend_to_one_encoder(backend: str) -> None:
    encoder, first, second = layers.GRU(4, return_sequences=True), *(layers.MultiHeadAttention(2, 3) for _ in "ab")

    def decode(x: Any, keys: Any) -> Any:
        memory = encoder(keys)
        return second(first(x, memory), memory)

    each = [answers(decode(row[None], keys[None]))[0][0] for row, keys in zip(ROWS, KEYS, strict=True)]
    for (name, x), (_, keys) in zip(forms(ROWS), forms(KEYS), strict=True):
        assert_same(answers(decode(x, keys)), [each], what=name, **VALUES)


@on_hosts
@pytest.mark.parametrize("kind", ["Attention", "AdditiveAttention", "MultiHeadAttention"])
def test_1_4_nothing_to_attend_to_gives_numbers(backend: str, kind: str) -> None:
    queries, nothing = Ragged.from_list([ROWS[0], ROWS[1]]), Ragged.from_list([ROWS[2], ROWS[2][:0]])
    arguments = (2, 3) if kind == "MultiHeadAttention" else ()
    found = answers(getattr(layers, kind)(*arguments)([queries, nothing]))[0]
    assert all(np.isfinite(row).all() for row in found)
    if not arguments:
        assert not found[1].any(), "zeros, not the mean of the padding"


@on_hosts
def test_1_4_the_causal_mask_holds_beside_dropout_and_scores(backend: str) -> None:
    layer = layers.MultiHeadAttention(2, 3, dropout=0.3, seed=1)
    row = ROWS[1]
    changed = row.copy()
    changed[5:] += 3
    found = []
    for one in (row, changed):
        with padless.random.drawing(seed=1, step=2):
            x = one[None]
            y, scores = layer(x, x, use_causal_mask=True, return_attention_scores=True, training=True)
            found.append((answers(y)[0][0], answers(scores)[0][0]))
    np.testing.assert_allclose(found[0][0][:5], found[1][0][:5], **VALUES)
    assert not np.triu(found[0][1], 1).any()


# ---- 1.5 normalization


@on_hosts
def test_1_5_statistics_are_those_of_live_steps(backend: str) -> None:
    require_right(layers.GroupNormalization(2))
    require_right(layers.RMSNormalization())
    require_right(layers.LayerNormalization())
    with pytest.raises(MaskError, match="axis"):
        layers.LayerNormalization(axis=[1, 2])(Ragged.from_list(ROWS))


@on_trainers
def test_1_5_a_batch_without_steps_moves_no_average(backend: str) -> None:
    layer = layers.BatchNormalization(momentum=0.5)
    layer(ROWS[0][None], training=True)
    before = layer.get_weights()
    layer(np.ones((2, 3, 4), np.float32), mask=np.zeros((2, 3), np.bool_), training=True)
    for got, want in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, want)


# ---- 1.6 merging, operators, models


@on_hosts
@pytest.mark.parametrize("kind", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot"])
def test_1_6_a_value_without_rows_beside_one_with_rows_raises(backend: str, kind: str) -> None:
    layer = layers.Dot(1) if kind == "Dot" else getattr(layers, kind)()
    with pytest.raises(MaskError, match="Fix:"):
        layer([Ragged.from_list(ROWS), np.ones((3, LONGEST, 4), np.float32)])


@on_hosts
def test_1_6_values_of_different_rows_raise(backend: str) -> None:
    with pytest.raises(PadlessError, match="row"):
        layers.Add()([Ragged.from_list(ROWS), Ragged.from_list(KEYS)])


@on_hosts
def test_1_6_a_positional_embedding_added_keeps_rows(backend: str) -> None:
    position = layers.PositionEmbedding(32)
    recur = layers.GRU(3)
    require_right(functional(lambda x: recur(layers.Add()([x, position(x)]))))


@on_hosts
def test_1_6_concatenating_along_time_leaves_no_hole(backend: str) -> None:
    join, recur = layers.Concatenate(axis=1), layers.GRU(3)
    each = [answers(recur(np.concatenate([row, keys])[None]))[0][0] for row, keys in zip(ROWS, KEYS, strict=True)]
    for (name, x), (_, keys) in zip(forms(ROWS), forms(KEYS), strict=True):
        assert_same(answers(recur(join([x, keys]))), [each], what=name, **VALUES)


@on_hosts
def test_1_6_operators_and_ops_keep_rows(backend: str) -> None:
    ops, recur = padless.ops, layers.GRU(3)
    for change in (lambda x: x * 2, lambda x: x + x, lambda x: ops.relu(x), lambda x: x[..., 1:3]):
        require_right(lambda v, change=change: layers.GlobalMaxPooling1D()(change(v)))
        require_right(functional(lambda x, change=change: layers.GlobalMaxPooling1D()(change(x))))
    require_right(functional(lambda x: recur(ops.relu(x * 2 - x) + x)))


@on_hosts
def test_1_6_nested_models_keep_rows_and_warn_of_nothing(backend: str) -> None:
    inner = padless.Sequential([layers.LSTM(4, return_sequences=True), layers.Dense(3)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        require_right_on_ids(
            functional(lambda x: layers.GRU(3)(inner(layers.Embedding(WORDS, 4, mask_zero=True)(x))), (None,), "int32")
        )


@on_hosts
def test_1_6_predictions_come_back_without_padding(backend: str) -> None:
    model = functional(lambda x: layers.Dense(2)(layers.LSTM(3, return_sequences=True)(x)))
    found = model.predict(ROWS, verbose=0)
    assert [row.shape for row in found] == [(n, 2) for n in LENGTHS]
    array, mask = padded(ROWS, LONGEST + 7)
    assert not answers(model(array, mask=mask))[0][0][5:].any(), "zeros at masked steps"


# ---- 1.7 losses, metrics, weights


def scorer(loss: Any, units: int = 2, activation: str = "sigmoid", **arguments: Any) -> Model:
    model = functional(lambda x: layers.Dense(units, activation=activation)(x))
    model.compile("sgd", loss, **arguments)
    return model


def require_one_number(model: Model, targets: Sequence[Host]) -> None:
    """Losses and metrics of all forms, and of all sizes of batches, are those of the lists."""
    expected = model.evaluate(ROWS, list(targets), verbose=0)
    for length in (LONGEST, LONGEST + 7):
        for left in (False, True):
            x, mask = padded(ROWS, length, left=left, fill=9.0)
            y = padded(targets, length, left=left, fill=1)[0]
            found = model.evaluate(Ragged.from_padded(x, mask), y, verbose=0)
            np.testing.assert_allclose(found, expected, rtol=1e-5)
    for size in (1, 2):
        np.testing.assert_allclose(model.evaluate(ROWS, list(targets), batch_size=size, verbose=0), expected, rtol=1e-5)


BINARY = [NUMBERS.integers(0, 2, (n, 2)).astype(np.float32) for n in LENGTHS]


@on_trainers
@pytest.mark.parametrize(
    "loss", ["binary_crossentropy", "mse", "mae", "huber", "poisson", "cosine_similarity", "binary_focal_crossentropy"]
)
def test_1_7_losses_and_epochs_do_not_depend_on_padding_or_batching(backend: str, loss: str) -> None:
    require_one_number(scorer(loss), BINARY)


@on_trainers
@pytest.mark.parametrize("loss", ["dice", "tversky"])
def test_1_7_losses_over_whole_arrays_leave_padding_out(backend: str, loss: str) -> None:
    model = scorer(loss)
    expected = model.evaluate(ROWS, BINARY, verbose=0)
    for length in (LONGEST, LONGEST + 7):
        x, mask = padded(ROWS, length, fill=9.0)
        y = padded(BINARY, length, fill=1)[0]
        np.testing.assert_allclose(model.evaluate(Ragged.from_padded(x, mask), y, verbose=0), expected, rtol=1e-5)


@on_trainers
def test_1_7_a_function_that_gives_one_number_sees_live_steps_alone(backend: str) -> None:
    require_one_number(scorer(lambda true, predicted: ((true - predicted) ** 2).mean()), BINARY)


@on_trainers
def test_1_7_ctc_of_rows(backend: str) -> None:
    model = functional(lambda x: layers.Dense(5)(layers.LSTM(4, return_sequences=True)(x)))
    model.compile("sgd", padless.losses.CTC())
    labels = [np.array([1, 2]), np.array([3]), np.array([4, 1])]
    expected = model.evaluate(ROWS, labels, verbose=0)
    found = [model.evaluate(x, labels, verbose=0) for _, x in forms()]
    np.testing.assert_allclose(found, np.full(len(found), expected), rtol=1e-5)


@on_trainers
@pytest.mark.parametrize(
    "metric",
    ["AUC", "Precision", "Recall", "TrueNegatives", "RootMeanSquaredError", "BinaryAccuracy", "F1Score", "BinaryIoU"],
)
def test_1_7_metrics_count_live_steps(backend: str, metric: str) -> None:
    kind = getattr(padless.metrics, metric)
    made = kind(threshold=0.5, average="micro") if metric == "F1Score" else kind()
    require_one_number(scorer("mse", metrics=[made]), BINARY)


@on_trainers
def test_1_7_a_weight_for_each_row_is_never_one_for_each_step(backend: str) -> None:
    """Four rows of four steps: Keras weighs steps."""
    x, y = NUMBERS.normal(size=(4, 4, 4)).astype(np.float32), NUMBERS.normal(size=(4, 4, 2)).astype(np.float32)
    weights = np.array([1.0, 0.0, 3.0, 5.0], np.float32)
    model = scorer("mse", activation="linear")
    predicted = model.predict(x, verbose=0)
    each = ((predicted - y) ** 2).mean(axis=(1, 2))
    found = model.evaluate(x, y, sample_weight=weights, verbose=0)
    np.testing.assert_allclose(found, (each * weights).sum() / weights.sum(), rtol=1e-5)


@on_trainers
def test_1_7_a_class_weight_counts_for_each_step(backend: str) -> None:
    """Three rows of three steps: Keras takes a row of labels for one-hot."""
    x, y = NUMBERS.normal(size=(3, 3, 4)).astype(np.float32), NUMBERS.integers(0, 2, (3, 3))
    model = scorer("sparse_categorical_crossentropy", activation="softmax")
    start = model.get_weights()
    logged = model.fit(x, y, class_weight={0: 1.0, 1: 5.0}, batch_size=3, verbose=0).history["loss"][0]
    model.set_weights(start)
    chances = np.take_along_axis(model.predict(x, verbose=0), y[..., None], axis=-1)[..., 0]
    weights = np.where(y == 1, 5.0, 1.0)
    np.testing.assert_allclose(logged, (-np.log(chances) * weights).sum() / weights.sum(), rtol=1e-5)


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "numpy"], indirect=True)
def test_1_7_a_model_is_usable_after_an_error(backend: str) -> None:
    model = scorer("sparse_categorical_crossentropy", activation="softmax")
    labels = [np.zeros(n, np.int64) for n in LENGTHS]
    with pytest.raises(DataError):
        model.evaluate(ROWS, [row + 7 for row in labels], verbose=0)
    assert np.isfinite(model.evaluate(ROWS, labels, verbose=0))


# ---- 1.8 the same on every backend


@pytest.mark.usefixtures("backend")
def test_1_8_masked_steps_are_zeros_on_every_backend() -> None:
    layer = layers.LSTM(3, return_sequences=True)
    state = [np.ones((3, 3), np.float32)] * 2
    for left in (False, True):
        array, mask = padded(ROWS, LONGEST, left=left, fill=9.0)
        layer(array, mask=mask)
        y = layer(array, mask=mask, initial_state=[layer.backend.asarray(s) for s in state])
        assert not np.stack(answers(y)[0])[~mask].any()


@pytest.mark.usefixtures("backend")
def test_1_8_a_mask_longer_or_shorter_than_the_data_is_an_error_on_every_backend() -> None:
    array, mask = padded(ROWS, LONGEST)
    for wrong in (mask[:, :-1], np.pad(mask, ((0, 0), (0, 1)))):
        with pytest.raises((ShapeError, MaskError), match="Fix:"):
            layers.GRU(3)(array, mask=wrong)
