"""Windows along rows, pooling of rows, images: against plain loops, each row alone, any padding, holes, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless import Ragged, Sequential, layers
from padless.errors import ArgumentError, MaskError, NotThereYetError, ShapeError
from padless.layer import substituted
from tests.strategies import examples, masks, seeds
from tests.tolerances import GRADIENTS, VALUES

D = 4
LENGTHS = [3, 0, 1, 9, 2]
Host = np.ndarray[Any, Any]

WINDOWS: dict[str, Any] = {
    "conv_valid": lambda: layers.Conv1D(4, 3, activation="tanh", bias_initializer="ones"),
    "conv_same": lambda: layers.Conv1D(4, 3, padding="same"),
    "conv_same_even": lambda: layers.Conv1D(4, 4, padding="same"),
    "conv_causal": lambda: layers.Conv1D(4, 3, padding="causal"),
    "conv_stride": lambda: layers.Conv1D(4, 3, strides=2, padding="same"),
    "conv_causal_stride": lambda: layers.Conv1D(4, 2, strides=3, padding="causal"),
    "conv_dilation": lambda: layers.Conv1D(4, 3, dilation_rate=2, padding="same"),
    "conv_groups": lambda: layers.Conv1D(4, 3, groups=2, padding="same"),
    "max_valid": lambda: layers.MaxPooling1D(2),
    "max_same": lambda: layers.MaxPooling1D(3, 2, padding="same"),
    "average_valid": lambda: layers.AveragePooling1D(2, 1),
    "average_same": lambda: layers.AveragePooling1D(4, 2, padding="same"),
}
GLOBAL: dict[str, Any] = {
    "global_max": lambda: layers.GlobalMaxPooling1D(),
    "global_average": lambda: layers.GlobalAveragePooling1D(),
}
ALL = WINDOWS | GLOBAL
every_layer = pytest.mark.parametrize("name", ALL)


def host(x: Any) -> Host:
    return padless.backends.of(x).to_host(x)


def draw(*shape: int, seed: int = 0) -> Host:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def packed(lengths: list[int]) -> Ragged:
    return Ragged.from_lengths(draw(sum(lengths), D), lengths)


def windows_of(x: Host, live: Host, layer: Any) -> Iterator[list[int | None]]:
    """For each window along one row (T, D): the place under each tap that is inside the row, None outside."""
    pooling = hasattr(layer, "pool_size")
    size, stride = (layer.pool_size, layer.strides) if pooling else (layer.kernel_size[0], layer.strides[0])
    gap = 1 if pooling else layer.dilation_rate[0]
    if not live.any():
        return
    length, span = len(x), (size - 1) * gap + 1
    count = max((length - span) // stride + 1, 0) if layer.padding == "valid" else -(-length // stride)
    before = {"valid": 0, "causal": span - 1, "same": max((count - 1) * stride + span - length, 0) // 2}[layer.padding]
    for window in range(count):
        places = [window * stride + tap * gap - before for tap in range(size)]
        yield [place if 0 <= place < length else None for place in places]


def one_row(x: Host, live: Host, layer: Any) -> Host:
    """What the layer must give for one row from its first to its last live step, by loops: (windows, D)."""
    found = []
    for taps in windows_of(x, live, layer):
        inside = [place for place in taps if place is not None]
        seen = [x[place] for place in inside if live[place]]
        if isinstance(layer, layers.MaxPooling1D):
            found.append(np.max(seen, axis=0) if seen else np.zeros(D))
        elif isinstance(layer, layers.AveragePooling1D):
            found.append(np.sum(seen, axis=0) / len(inside) if seen else np.zeros(D))
        else:
            kernel, bias = layer.get_weights()
            blind = np.zeros(D, np.float32)
            steps = [blind if place is None or not live[place] else x[place] for place in taps]
            each, width = layer.filters // layer.groups, D // layer.groups
            parts = [
                sum(
                    step[g * width : (g + 1) * width] @ kernel[k, :, g * each : (g + 1) * each]
                    for k, step in enumerate(steps)
                )
                for g in range(layer.groups)
            ]
            found.append(host(layer.activation(np.concatenate(parts) + bias)))
    return np.array(found).reshape(-1, D)


def trimmed(x: Host, live: Host) -> tuple[Host, Host]:
    """From the first to the last live step."""
    places = np.nonzero(live)[0]
    span = slice(places[0], places[-1] + 1) if len(places) else slice(0)
    return x[span], live[span]


# ---- windows


@pytest.mark.parametrize("name", WINDOWS)
@given(mask=masks(padding=6), seed=seeds())
@examples(0.6)
def test_windows_see_one_row_and_its_holes(name: str, mask: Host, seed: int) -> None:
    x = draw(*mask.shape, D, seed=seed)
    layer = WINDOWS[name]()
    poisoned = np.where(mask[..., None], x, np.nan)
    y = layer(Ragged.from_padded(poisoned, mask))
    # Where every step has its own window, a masked step has none.
    own = y.rows.has_holes
    for row, (steps, live) in enumerate(zip(x, mask, strict=True)):
        steps, live = trimmed(steps, live)
        wanted = one_row(steps, live, layer)
        np.testing.assert_allclose(host(y[row]), wanted[live] if own else wanted, rtol=1e-4, atol=1e-5)


@every_layer
def test_a_row_alone_is_the_row_in_a_batch(name: str, backend: str) -> None:
    layer, x = ALL[name](), packed(LENGTHS)
    together = layer(x)
    for at in range(len(LENGTHS)):
        np.testing.assert_allclose(host(layer(x[at : at + 1])[0]), host(together[at]), **VALUES)


@every_layer
def test_sides_of_padding_and_poison_change_nothing(name: str, backend: str) -> None:
    layer, x = ALL[name](), packed(LENGTHS)
    rows = [host(row) for row in layer(x)]
    for side in ("pre", "post"):
        for length in (9, 13):
            mask = ~np.isnan(x.to_padded(np.nan, side, length)).any(-1)
            y = layer(x.to_padded(np.nan, side, length), mask=mask)
            if name in GLOBAL:
                np.testing.assert_allclose(host(y), np.stack(rows), **VALUES)
                continue
            for row, wanted in zip(host(y), rows, strict=True):
                at = slice(0, len(wanted)) if side == "post" else slice(len(row) - len(wanted), None)
                np.testing.assert_allclose(row[at], wanted, **VALUES)
                assert abs(row).sum() == pytest.approx(abs(wanted).sum(), rel=1e-4)


@every_layer
def test_backends_agree(name: str) -> None:
    pytest.importorskip("torch")
    layer, x = ALL[name](), packed(LENGTHS)
    y = layer(x)
    before = padless.backend()
    try:
        padless.set_backend("numpy")
        plain = ALL[name]()
        plain(x)
        plain.set_weights(layer.get_weights())
        wanted = plain(x)
    finally:
        padless.set_backend(before)
    values, right = (y, wanted) if name in GLOBAL else (y.values, wanted.values)
    np.testing.assert_allclose(host(values), right, **VALUES)


@every_layer
def test_gradients_of_a_batch_are_those_of_its_rows(name: str) -> None:
    layer = ALL[name]()
    x = Ragged.from_padded(draw(3, 8, D), np.array([[1] * 8, [0] * 8, [0, 1, 0, 0, 0, 1, 1, 0]], bool))
    layer(x)
    backend = layer.backend

    def gradients(value: Ragged) -> dict[str, Any]:
        def loss(arrays: dict[str, Any]) -> Any:
            with substituted(layer, {path: arrays[path] for path in arrays if path != "x"}):
                y = layer(value.with_values(arrays["x"]))
            return ((y if name in GLOBAL else y.values) ** 3).sum(), None

        leaves = {path: getattr(layer, path) for path in layer.weight_slots()} | {"x": backend.asarray(value.values)}
        return {path: backend.to_host(g) for path, g in backend.value_and_grad(loss, leaves)[1].items()}

    together, alone = gradients(x), [gradients(x[at : at + 1]) for at in range(3)]
    np.testing.assert_allclose(together.pop("x"), np.concatenate([g.pop("x") for g in alone]), **GRADIENTS)
    for path, gradient in together.items():
        np.testing.assert_allclose(gradient, sum(g[path] for g in alone), **GRADIENTS)


@every_layer
def test_no_rows_and_no_steps(name: str, backend: str) -> None:
    layer = ALL[name]()
    layer(packed(LENGTHS))
    for lengths in ([], [0], [0, 0]):
        y = layer(packed(lengths))
        if name in GLOBAL:
            np.testing.assert_array_equal(host(y), np.zeros((len(lengths), D)))
        else:
            assert y.rows.row_lengths.tolist() == lengths
    dense = layer(np.zeros((2, 0, D), np.float32))
    assert dense.shape == ((2, D) if name in GLOBAL else (2, 0, D))


def test_windows_of_holes_give_zero_and_no_gradient() -> None:
    mask = np.array([[True, False, False, False, False, True]])
    x = Ragged.from_padded(-1 - abs(draw(1, 6, D)), mask)
    layer = layers.MaxPooling1D(2)
    backend = layer.backend

    def loss(arrays: dict[str, Any]) -> Any:
        y = layer(x.with_values(arrays["x"]))
        return y.values.sum(), y

    (_, y), gradients = backend.value_and_grad(loss, {"x": backend.asarray(x.values)})
    np.testing.assert_array_equal(host(y.values), [x.values[0], np.zeros(D), x.values[1]])
    np.testing.assert_array_equal(host(gradients["x"]), np.ones((2, D)))


def test_averages_leave_out_what_lies_outside_the_row(backend: str) -> None:
    x = Ragged.from_list([np.arange(1.0, 11.0)[:, None], np.array([[5.0]])])
    uneven = layers.AveragePooling1D(3, 2, padding="same")(x)
    assert [row[0] for row in uneven.to_list()[0]] == [2.0, 4.0, 6.0, 8.0, 9.5]
    assert uneven.to_list()[1] == [[5.0]]
    one = Ragged(x.values[:10], x[:1].rows)  # and what is kept with the rows for one layer serves no other
    assert layers.AveragePooling1D(3, 1)(one).to_list()[0][0] == [2.0]
    assert layers.AveragePooling1D(3, 1, "same")(one).to_list()[0][0] == [1.5]
    before_too = layers.AveragePooling1D(4, 3, padding="same")(x).to_list()[0]
    assert [row[0] for row in before_too] == [2.0, 4.5, 7.5, 9.5]


@given(data=st.data())
@examples(0.6)
def test_any_numbers_of_steps_stay_in_step_with_the_padded_length(data: st.DataObject) -> None:
    size, stride = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    padding = data.draw(st.sampled_from(["valid", "same"]))
    mask = data.draw(masks(padding=4, holes=False))
    for make in (layers.MaxPooling1D, layers.AveragePooling1D):
        y = make(size, stride, padding)(Ragged.from_padded(draw(*mask.shape, D), mask))
        n = np.array([*mask.sum(1), mask.shape[1]])
        right = np.maximum((n - size) // stride + 1, 0) if padding == "valid" else -(-n // stride)
        np.testing.assert_array_equal(y.rows.row_lengths, right[:-1])
        assert y.to_padded().shape[:2] == (len(mask), right[-1])


# ---- whole rows


def test_global_pooling_reads_live_steps_only(backend: str) -> None:
    x = -1 - abs(draw(3, 5, D))
    mask = np.array([[1, 1, 0, 0, 0], [0] * 5, [0, 1, 0, 1, 0]], bool)
    poisoned = np.where(mask[..., None], x, np.nan)
    largest, mean = layers.GlobalMaxPooling1D(), layers.GlobalAveragePooling1D(keepdims=True)
    np.testing.assert_array_equal(
        host(largest(poisoned, mask=mask)), [x[0, :2].max(0), np.zeros(D), x[2, [1, 3]].max(0)]
    )
    wanted = np.array([x[0, :2].mean(0), np.zeros(D), x[2, [1, 3]].mean(0)])
    np.testing.assert_allclose(host(mean(poisoned, mask=mask)), wanted[:, None], **VALUES)
    np.testing.assert_allclose(host(mean(x)), x.mean(1, keepdims=True), **VALUES)


# ---- images


def test_images_of_fixed_size(backend: str) -> None:
    x = draw(2, 7, 8, D)
    y = layers.Conv2D(5, (3, 2), padding="same", strides=(2, 1))(x)
    assert y.shape == (2, 4, 8, 5)
    pooled = host(layers.MaxPooling2D((2, 3), padding="valid")(x))
    np.testing.assert_array_equal(pooled[:, 1, 1], x[:, 2:4, 3:6].max((1, 2)))
    assert host(layers.MaxPooling2D(3, 2, "same")(x - 100)).max() < 0
    assert layers.MaxPooling2D()(x[:0]).shape == (0, 3, 4, D)


def test_images_have_no_rows() -> None:
    x = Ragged.from_lengths(draw(5, 4, D), [3, 2])
    for layer in (layers.Conv2D(2, 3), layers.MaxPooling2D()):
        with pytest.raises(MaskError, match="expected an input of fixed size"):
            layer(x)


# ---- Flatten


def test_flatten_needs_rows_of_one_length(backend: str) -> None:
    assert layers.Flatten()(draw(2, 3, 4)).shape == (2, 12)
    assert layers.Flatten()(draw(2)).shape == (2, 1)
    assert layers.Flatten()(draw(0, 3, 4)).shape == (0, 12)
    with pytest.raises(MaskError, match=r"pool the rows first(.|\n)*maxlen=100"):
        layers.Flatten()(packed(LENGTHS))
    model = Sequential([layers.Embedding(9, 2, mask_zero=True), layers.Flatten(name="flat"), layers.Dense(1)])
    with pytest.raises(MaskError, match=r"'flat' \(Flatten, layers/1 of 'sequential"):
        model(np.array([[1, 0], [2, 3]]))


# ---- errors


@pytest.mark.parametrize(
    "make",
    [lambda **a: layers.Conv1D(4, **{"kernel_size": 2} | a), lambda **a: layers.Conv2D(4, **{"kernel_size": 2} | a)],
)
def test_convolutions_check_their_arguments(make: Any) -> None:
    for wrong, text in [
        ({"kernel_size": 0}, "kernel_size: expected a whole number above 0"),
        ({"kernel_size": (1, 2, 3)}, "kernel_size: expected"),
        ({"strides": 0}, "strides"),
        ({"dilation_rate": -1}, "dilation_rate"),
        ({"padding": "full"}, "one of 'valid', 'same'"),
        ({"groups": 3}, "groups: expected a divisor of the 4 filters"),
        ({"strides": 2, "dilation_rate": 2}, "not both"),
        ({"data_format": "last"}, "'channels_last', 'channels_first'"),
    ]:
        with pytest.raises(ArgumentError, match=text):
            make(**wrong)
    for later in ({"quantization_config": 1}, {"lora_rank": 2}):
        with pytest.raises(NotThereYetError):
            make(**later)
    assert make(padding="SAME", data_format="channels_last").padding == "same"


def test_layers_say_which_shape_is_wrong() -> None:
    with pytest.raises(ArgumentError, match="filters"):
        layers.Conv1D(0, 2)
    with pytest.raises(ArgumentError, match="one of 'valid', 'same'"):
        layers.Conv2D(2, 2, padding="causal")
    with pytest.raises(ArgumentError, match="divisor of the 3 features"):
        layers.Conv1D(4, 2, groups=2)(draw(2, 5, 3))
    layer = layers.Conv1D(4, 2)
    layer(draw(2, 5, 3))
    with pytest.raises(ShapeError, match="expected 3 features"):
        layer(packed([2]))
    for layer in (layers.Conv1D(4, 2), layers.MaxPooling1D(), layers.GlobalMaxPooling1D()):
        with pytest.raises(ShapeError, match="3 axes"):
            layer(Ragged.from_list([[1.0, 2.0], [3.0]]))
        with pytest.raises(ShapeError, match="3 axes"):
            layer(draw(4, 3))
    with pytest.raises(ShapeError, match="return_sequences=True"):
        layers.GlobalAveragePooling1D()(draw(4, 3))
    with pytest.raises(ShapeError, match="3 x 3 places"):
        layers.Conv2D(2, 3)(draw(1, 2, 5, 1))
    with pytest.raises(ShapeError, match="at least 2 places"):
        layers.MaxPooling2D()(draw(1, 1, 5, 1))
    with pytest.raises(ShapeError, match="4 axes"):
        layers.Conv2D(2, 3)(draw(1, 2, 5))


def test_poolings_check_their_arguments() -> None:
    for make in (layers.MaxPooling1D, layers.AveragePooling1D, layers.MaxPooling2D):
        for wrong in ({"pool_size": 0}, {"pool_size": 2, "strides": 0}, {"pool_size": 2, "padding": "causal"}):
            with pytest.raises(ArgumentError, match=list(wrong)[-1]):
                make(**wrong)
    with pytest.raises(TypeError, match="pool_size"):
        layers.AveragePooling1D()


@pytest.mark.parametrize("name", ALL)
def test_a_config_makes_the_same_layer(name: str) -> None:
    import json

    layer = ALL[name]()
    again = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    assert again.get_config() == layer.get_config()
    x = packed(LENGTHS)
    layer(x), again(x)
    again.set_weights(layer.get_weights())
    for mine, right in zip(again(x), layer(x), strict=True):
        np.testing.assert_array_equal(host(mine), host(right))
