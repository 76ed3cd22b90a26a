"""Masks of pairs, scores, windows, the other kinds of attention: forms, rows of other lengths, models, errors."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import padless
from padless import Input, Layer, Model, Ragged, backends, layers
from padless.errors import ArgumentError, DataError, NotThereYetError, ShapeError
from padless.random import drawing
from tests.tolerances import VALUES

Host = npt.NDArray[Any]

D = 4
LENGTHS, OTHERS = [3, 0, 5, 2], [4, 2, 1, 0]


def rows_of(lengths: list[int], seed: int = 0, width: int = D) -> list[Host]:
    return [
        np.random.default_rng((seed, at)).normal(size=(n, width)).astype(np.float32) for at, n in enumerate(lengths)
    ]


def masks_of(lengths: list[int], others: list[int], heads: int = 0) -> list[Host]:
    numbers, more = np.random.default_rng(4), (heads,) if heads else ()
    return [numbers.random((*more, n, m)) < 0.5 for n, m in zip(lengths, others, strict=True)]


def host(x: Any) -> Host:
    return backends.of(x).to_host(x)


def padded(rows: list[Host], total: int, fill: float = np.nan) -> tuple[Host, Host]:
    """Left-padded, with the mask."""
    live = np.arange(total) >= total - np.array([len(row) for row in rows])[:, None]
    array = np.full((len(rows), total, *rows[0].shape[1:]), fill, np.float32)
    array[live] = np.concatenate(rows)
    return array, live


HEADED = [lambda: layers.MultiHeadAttention(2, 3), lambda: layers.GroupedQueryAttention(3, 2, 1)]
KINDS: list[tuple[str, Any, Any]] = [
    ("Attention", layers.Attention, lambda layer, x, z, **o: layer([x, z], **o)),
    ("concat", lambda: layers.Attention(score_mode="concat"), lambda layer, x, z, **o: layer([x, z], **o)),
    ("Additive", layers.AdditiveAttention, lambda layer, x, z, **o: layer([x, z], **o)),
    ("MultiHead", HEADED[0], lambda layer, x, z, **o: layer(x, z, **o)),
    ("GroupedQuery", HEADED[1], lambda layer, x, z, **o: layer(x, z, **o)),
]
kinds = pytest.mark.parametrize(("make", "call"), [kind[1:] for kind in KINDS], ids=[kind[0] for kind in KINDS])


# ---- scores


@kinds
def test_scores_are_those_of_each_row_alone(backend: str, make: Any, call: Any) -> None:
    layer, query, value = make(), rows_of(LENGTHS), rows_of(OTHERS, 1)
    y, scores = call(layer, Ragged.from_list(query), Ragged.from_list(value), return_attention_scores=True)
    plain = call(layer, Ragged.from_list(query), Ragged.from_list(value))
    np.testing.assert_allclose(host(y.values), host(plain.values), **VALUES)
    assert isinstance(scores, Ragged)
    for row, (n, m) in enumerate(zip(LENGTHS, OTHERS, strict=True)):
        assert tuple(scores[row].shape)[-2:] == (n, m)
        one, alone = call(layer, query[row][None], value[row][None], return_attention_scores=True)
        np.testing.assert_allclose(host(y[row]), host(one)[0], **VALUES)
        np.testing.assert_allclose(host(scores[row]), host(alone)[0], **VALUES)
        if m:
            np.testing.assert_allclose(host(scores[row]).sum(-1), 1, **VALUES)


@kinds
def test_scores_have_the_form_of_the_input(backend: str, make: Any, call: Any) -> None:
    layer, query, value = make(), rows_of(LENGTHS), rows_of(OTHERS, 1)
    expected = call(layer, Ragged.from_list(query), Ragged.from_list(value), return_attention_scores=True)[1]
    listed = call(layer, query, value, return_attention_scores=True)[1]
    assert isinstance(listed, list)
    for mine, right in zip(listed, expected, strict=True):
        np.testing.assert_array_equal(host(mine), host(right))
    (x, live), (z, seen) = padded(query, 9), padded(value, 6)
    masks = {"mask": [live, seen]} if isinstance(layer, layers.Attention) else {"query_mask": live, "value_mask": seen}
    wide = host(call(layer, x, z, return_attention_scores=True, **masks)[1])
    assert wide.shape[-2:] == (9, 6)
    for row, right in enumerate(expected):
        picked = wide[row][..., live[row], :][..., seen[row]]
        np.testing.assert_allclose(picked, host(right), **VALUES)
        assert not wide[row][..., ~live[row], :].any()
        assert not wide[row][..., ~seen[row]].any()


def test_pairs_are_a_value_like_others(backend: str) -> None:
    mask = Ragged.from_pairs(masks_of(LENGTHS, OTHERS, 2))
    assert mask.values.shape == (3 * 4 + 5, 2)
    assert [row.shape for row in mask] == [(2, 3, 4), (2, 0, 2), (2, 5, 1), (2, 2, 0)]
    assert mask.to_padded().shape == (4, 2, 5, 4)
    picked = mask[[2, 0]]
    np.testing.assert_array_equal(picked[1], mask[0])
    assert (~mask).to_list() == [(~row).tolist() for row in mask]
    again = pickle.loads(pickle.dumps(mask))
    assert again.to_list() == mask.to_list()
    assert Ragged.from_pairs([]).to_list() == []
    with pytest.raises(DataError, match=r"row 1 of shape \(3,\)"):
        Ragged.from_pairs([np.ones((2, 3)), np.ones(3)])
    with pytest.raises(ArgumentError, match="neither side nor length"):
        mask.to_padded(side="pre")


# ---- masks


@pytest.mark.parametrize("make", HEADED, ids=["MultiHead", "GroupedQuery"])
@pytest.mark.parametrize("heads", [0, 2])
def test_a_mask_of_pairs_in_every_form(backend: str, make: Any, heads: int) -> None:
    layer, query, value = make(), rows_of(LENGTHS), rows_of(OTHERS, 1)
    rows = masks_of(LENGTHS, OTHERS, heads)
    x, z = Ragged.from_list(query), Ragged.from_list(value)
    pairs = Ragged.from_pairs(rows)
    y, scores = layer(x, z, attention_mask=pairs, return_attention_scores=True)
    for share, seen in zip(scores, rows, strict=True):
        assert not host(share)[np.broadcast_to(~seen, share.shape)].any()
        some = np.broadcast_to(seen.any(-1), share.shape[:-1])
        np.testing.assert_allclose(host(share).sum(-1), some, **VALUES)
    for same in (rows, [row.astype(int).tolist() for row in rows[:1]] + rows[1:], pairs * 1, host(pairs.to_padded())):
        np.testing.assert_allclose(host(layer(x, z, attention_mask=same).values), host(y.values), **VALUES)
    (left, live), (right, seen) = padded(query, 9), padded(value, 6)
    wide = np.ones((4, *(heads,) * bool(heads), 9, 6), bool)
    for row, own in enumerate(rows):
        wide[row][..., 9 - LENGTHS[row] :, 6 - OTHERS[row] :] = own
    got = host(layer(left, right, query_mask=live, value_mask=seen, attention_mask=wide))
    np.testing.assert_allclose(got[live], host(y.values), **VALUES)


def test_a_mask_that_all_rows_share(backend: str) -> None:
    layer, x = layers.MultiHeadAttention(2, 3), np.stack(rows_of([5, 5]))
    seen = np.tri(5, dtype=bool)
    expected = host(layer(x, x, use_causal_mask=True))
    for mask in (seen, seen[None], seen[None, None]):
        np.testing.assert_allclose(host(layer(x, x, attention_mask=mask)), expected, **VALUES)


@pytest.mark.parametrize("make", HEADED, ids=["MultiHead", "GroupedQuery"])
def test_wrong_masks(backend: str, make: Any) -> None:
    layer, x, z = make(), Ragged.from_list(rows_of(LENGTHS)), Ragged.from_list(rows_of(OTHERS, 1))
    right = masks_of(LENGTHS, OTHERS)
    wrong: list[tuple[Any, type[Exception], str]] = [
        (np.ones((4, 5), bool), ShapeError, r"\(B, T, S\) = \(4, 5, 4\)"),
        (np.ones((4, 4, 5), bool), ShapeError, r"Got: shape \(4, 4, 5\)"),
        (np.ones((3, 5, 4), bool), ShapeError, r"shape \(3, 5, 4\)"),
        (np.ones((4, 3, 5, 4), bool), ShapeError, r"\(4, 2, 5, 4\)"),
        (np.ones(5, bool), ShapeError, r"shape \(5,\)"),
        (right[:3], DataError, r"pairs of \[3, 0, 5, 2\] x \[4, 2, 1, 0\] steps"),
        ([np.ones((4, 3), bool), *right[1:]], DataError, r"pairs of \[4, 0, 5, 2\] x \[3, 2, 1, 0\]"),
        ([np.ones(3, bool), *right[1:]], DataError, "row 0 of shape"),
        (masks_of(LENGTHS, OTHERS, 3), ShapeError, "one for each of 2 heads"),
        (x.with_values(x.values[:, 0] > 0), DataError, "rows of steps, not of pairs"),
    ]
    for mask, error, text in wrong:
        with pytest.raises(error, match=text) as caught:
            layer(x, z, attention_mask=mask)
        assert "attention_mask" in str(caught.value)
        assert layer.name in str(caught.value)
        assert "Fix:" in str(caught.value)


def test_other_errors(backend: str) -> None:
    x, z = Ragged.from_list(rows_of(LENGTHS)), Ragged.from_list(rows_of(OTHERS, 1))
    with pytest.raises(TypeError, match="key_dim"):
        layers.MultiHeadAttention(2)  # type: ignore[call-arg]
    with pytest.raises(ArgumentError, match="a divisor of the 4 heads"):
        layers.GroupedQueryAttention(3, 4, 3)
    with pytest.raises(ArgumentError, match="score_mode"):
        layers.Attention(score_mode="product")
    with pytest.raises(ArgumentError, match="attention_axes"):
        layers.MultiHeadAttention(2, 3, attention_axes=2)(x, z)
    for kind in (layers.Attention, layers.AdditiveAttention):
        layer = kind()
        calls: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
            (x, {}, ArgumentError, r"\[query, value\]"),
            ([x], {}, ArgumentError, "1 inputs"),
            ([x, z], {"mask": [None]}, ArgumentError, "1 masks"),
            ([x, Ragged.from_list(rows_of([1]))], {}, DataError, "4 rows against 1"),
            ([x, z, x], {}, DataError, "row 0 has 4 steps on one side and 3"),
            ([x, z, Ragged.from_list(rows_of(OTHERS, 1, 3))], {}, ShapeError, "4 features"),
        ]
        for inputs, options, error, text in calls:
            with pytest.raises(error, match=text) as caught:
                layer(inputs, **options)
            assert layer.name in str(caught.value)
    more = Ragged.from_list([np.ones((n, 2, D), np.float32) for n in LENGTHS])
    for options in ({"attention_mask": np.ones((5, 5), bool)}, {"return_attention_scores": True}):
        with pytest.raises(NotThereYetError, match="attention_axes=1"):
            layers.MultiHeadAttention(2, 3)(more, more, **options)
    with pytest.raises(DataError, match="row 0 has 3 steps on one side and 4"):
        layers.MultiHeadAttention(2, 3, attention_axes=2)(
            more, Ragged.from_list([np.ones((n, 2, D), np.float32) for n in OTHERS])
        )


# ---- in models


def test_one_encoder_and_two_decoders(backend: str) -> None:
    """What is attended to can be attended to again, and used apart."""
    x, one, two = Input((None, D)), Input((None, D)), Input((None, D))
    memory = layers.TransformerEncoder(8, 2)(x)
    first = layers.TransformerDecoder(8, 2)(one, memory)
    second = layers.TransformerDecoder(8, 2)(layers.TransformerDecoder(8, 2)(two, memory), memory)
    again = layers.Add()([memory, x])
    model = Model([x, one, two], [first, second, again])
    lengths = [LENGTHS, OTHERS, [1, 6, 0, 2]]
    data = [rows_of(n, at) for at, n in enumerate(lengths)]
    found = model([Ragged.from_list(rows) for rows in data])
    for y, n in zip(found, [lengths[1], lengths[2], lengths[0]], strict=True):
        assert y.rows.row_lengths.tolist() == n
    for row in (0, 2):
        alone = model([Ragged.from_list(rows[row : row + 1]) for rows in data])
        for y, mine in zip(found, alone, strict=True):
            np.testing.assert_allclose(host(y[row]), host(mine[0]), **VALUES)


def test_scores_and_masks_in_a_functional_model(backend: str) -> None:
    x, z = Input((None, D)), Input((None, D))
    y, scores = layers.MultiHeadAttention(2, 3)(x, z, return_attention_scores=True)
    y = layers.MultiHeadAttention(2, 3)(y, z, attention_mask=scores)
    model = Model([x, z], [y, scores])
    query, value = rows_of(LENGTHS), rows_of(OTHERS, 1)
    y, scores = model.predict([query, value], verbose=0)
    assert [np.asarray(row).shape for row in scores] == [(2, n, m) for n, m in zip(LENGTHS, OTHERS, strict=True)]
    for row in (0, 2):
        mine, share = model([Ragged.from_list(query[row : row + 1]), Ragged.from_list(value[row : row + 1])])
        np.testing.assert_allclose(np.asarray(y[row]), host(mine[0]), **VALUES)
        np.testing.assert_allclose(np.asarray(scores[row]), host(share[0]), **VALUES)


class GuidedAttention(Layer):
    """Attends to another sequence, through a mask that comes with the data; gives scores, too."""

    view = "ragged"
    merges = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attend = layers.MultiHeadAttention(2, 3)
        self.out = layers.Dense(1)

    def call(self, x: Any) -> Any:
        y, scores = self.attend(x[0], x[1], attention_mask=x[2], return_attention_scores=True)
        return self.out(y), scores


def test_masks_and_scores_inside_of_compiled_functions(backend: str) -> None:
    """Numbers of pairs are sizes of a compiled function; the same answers come out for batches that share them."""
    from padless.layer import calling, substituted
    from tests.compiled import compiled

    layer, numbers = GuidedAttention(), np.random.default_rng(0)

    def function(arrays: dict[str, Any], given: Any, batch: Any, live: Any) -> Any:
        with substituted(layer, arrays), calling(live=live):
            return {}, {}, layer(list(batch))

    program = None
    for _ in range(3):
        lengths, others = numbers.integers(0, 6, 4).tolist(), numbers.integers(0, 6, 4).tolist()
        query, value, seen = rows_of(lengths), rows_of(others, 1), masks_of(lengths, others)
        x = [Ragged.from_list(query), Ragged.from_list(value), Ragged.from_pairs(seen)]
        moved = [one.with_values(layer.backend.asarray(one.values)) for one in x]
        expected = layer(moved)
        program = program or compiled(function, layer)
        y, scores = program({}, x if backend == "jax" else moved)[2]
        for mine, right in zip((*y, *scores), (*expected[0], *expected[1]), strict=True):
            np.testing.assert_allclose(host(mine), host(right), **VALUES)
    assert program is not None
    assert program.compilations <= (2 if backend == "jax" else 0)


def test_rows_beside_arrays_inside_of_compiled_functions() -> None:
    """Pairs of rows with the steps of an array, either way round; a mask that is an array; a mask of other pairs."""
    pytest.importorskip("jax")
    from padless.layer import calling, substituted
    from tests.compiled import compiled

    before = padless.backend()
    padless.set_backend("jax")
    try:
        layer = layers.MultiHeadAttention(2, 3)

        def function(arrays: dict[str, Any], given: Any, batch: Any, live: Any) -> Any:
            x, z, mask = batch
            options = {"attention_mask": mask} if z is None else {"return_attention_scores": True}
            with substituted(layer, arrays), calling(live=live):
                y = layer(x, x if z is None else z, **options)
            sound = layer.backend.assumed()
            return {}, {} if sound is None else {"sound": sound}, y if z is None else list(y)

        x, dense = Ragged.from_list(rows_of([2, 0, 5])), np.stack(rows_of([4, 4, 4], 1))
        mask = np.random.default_rng(0).random((3, 5, 5)) < 0.5
        layer(x, x)
        for batch in ([x, dense, None], [dense, x, None], [x, None, mask]):
            program = compiled(function, layer)
            got, expected = program({}, batch)[2], function({}, {}, batch, None)[2]
            assert program.compilations == 1
            pairs = [(got, expected)] if isinstance(got, Ragged) else zip(got, expected, strict=True)
            for mine, right in pairs:
                mine, right = (one.values if isinstance(one, Ragged) else one for one in (mine, right))
                np.testing.assert_allclose(host(mine), host(right), **VALUES)
        program = compiled(function, layer)
        x = Ragged.from_list(rows_of([2, 0, 4]))
        for shapes in ([(4, 4), (0, 0), (2, 2)], [(1, 4), (0, 0), (4, 4)]):
            with pytest.raises(DataError, match=r"Got: pairs of \[[41], 0, "):
                program({}, [x, None, Ragged.from_pairs([np.ones(shape, bool) for shape in shapes])])
    finally:
        padless.set_backend(before)


def test_scores_can_be_trained_on() -> None:
    """A loss of scores reaches the weights."""
    pytest.importorskip("torch")
    before = padless.backend()
    padless.set_backend("torch")
    try:
        x, z = Input((None, D)), Input((None, D))
        model = Model([x, z], layers.MultiHeadAttention(1, 8)(x, z, return_attention_scores=True)[1])
        model.compile(padless.optimizers.Adam(0.05), "mse")
        query, value = rows_of([3, 5, 2, 4] * 4), rows_of([4, 2, 1, 3] * 4, 1)
        wanted = Ragged.from_pairs(
            [np.eye(len(q), len(v), dtype=np.float32)[None] for q, v in zip(query, value, strict=True)]
        )
        first = model.evaluate([query, value], wanted, verbose=0)
        model.fit([query, value], wanted, batch_size=8, epochs=10, verbose=0)
        assert np.all(np.asarray(model.evaluate([query, value], wanted, verbose=0)) < first)
    finally:
        padless.set_backend(before)


# ---- dropout, windows


@kinds
def test_dropout_depends_neither_on_padding_nor_on_scores(backend: str, make: Any, call: Any) -> None:
    layer, value = make(), rows_of([9, 6, 40, 0])
    layer.dropout = 0.5
    query = rows_of([30, 0, 5, 3])
    found = []
    (x, live), (z, seen) = padded(query, 33), padded(value, 45)
    masks = {"mask": [live, seen]} if isinstance(layer, layers.Attention) else {"query_mask": live, "value_mask": seen}
    with drawing(seed=1, step=2):
        packed = call(layer, Ragged.from_list(query), Ragged.from_list(value), training=True)
        found.append(host(packed.values))
        found.append(host(call(layer, x, z, training=True, **masks))[live])
        scored = call(
            layer, Ragged.from_list(query), Ragged.from_list(value), training=True, return_attention_scores=True
        )
        found.append(host(scored[0].values))
        fewer = call(layer, Ragged.from_list(query[:1]), Ragged.from_list(value[:1]), training=True)
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], **VALUES)
    np.testing.assert_allclose(host(fewer.values), found[0][:30], **VALUES)
    plain = call(layer, Ragged.from_list(query), Ragged.from_list(value))
    assert (host(plain.values) != found[0]).any()


@pytest.mark.parametrize("make", [layers.MultiHeadAttention, layers.GroupedQueryAttention])
def test_a_window_reaches_so_far_in_each_row(backend: str, make: Any) -> None:
    layer = make(3, 2, sliding_window=3) if make is layers.MultiHeadAttention else make(3, 2, 1, sliding_window=3)
    x = Ragged.from_list(rows_of([8, 2, 0]))
    for causal in (False, True):
        shares = [host(row) for row in layer(x, x, return_attention_scores=True, use_causal_mask=causal)[1]]
        for share in shares:
            ahead = np.arange(share.shape[2]) - np.arange(share.shape[1])[:, None]
            seen = (np.abs(ahead) < 3) & ((ahead <= 0) | (not causal))
            np.testing.assert_array_equal(share > 0, np.broadcast_to(seen, share.shape))
