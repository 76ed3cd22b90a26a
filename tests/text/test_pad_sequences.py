"""pad_sequences: results on every form of row, and the text of every error."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import deque
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless.preprocessing.sequence
import padless.utils
from padless.errors import ArgumentError, DataError, DTypeError, PadlessError, ShapeError
from padless.text import pad_sequences
from padless.text.padding import first_lost

ROWS = [[1], [2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({}, [[0, 0, 1], [0, 2, 3], [4, 5, 6]]),
        ({"padding": "post"}, [[1, 0, 0], [2, 3, 0], [4, 5, 6]]),
        ({"maxlen": 2}, [[0, 1], [2, 3], [5, 6]]),
        ({"maxlen": 2, "truncating": "post"}, [[0, 1], [2, 3], [4, 5]]),
        ({"maxlen": 4, "value": -1, "padding": "post"}, [[1, -1, -1, -1], [2, 3, -1, -1], [4, 5, 6, -1]]),
        ({"maxlen": 0}, [[], [], []]),
        ({"maxlen": np.int64(1)}, [[1], [3], [6]]),
    ],
)
@pytest.mark.parametrize("form", [list, tuple, np.array, np.int16, "int32", "float64", "object", "torch"])
def test_the_form_of_the_rows_does_not_matter(arguments: dict[str, Any], wanted: list[list[int]], form: Any) -> None:
    if form == "torch":
        form = pytest.importorskip("torch", reason="rows as torch tensors need torch").tensor
    elif isinstance(form, str):
        form = np.dtype(form).type if form != "object" else lambda row: np.array(row, object)
    result = pad_sequences([form(row) for row in ROWS], **arguments)
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, np.array(wanted, np.int32))


def test_all_the_rows_in_one_array_and_mixed_forms() -> None:
    np.testing.assert_array_equal(pad_sequences(np.array([[1, 2], [3, 4]]), maxlen=3), [[0, 1, 2], [0, 3, 4]])
    mixed = [[1, 2], (3,), np.array([4, 5, 6]), np.array([7.0]), range(2)]
    np.testing.assert_array_equal(pad_sequences(mixed), [[0, 1, 2], [0, 0, 3], [4, 5, 6], [0, 0, 7], [0, 0, 1]])


@pytest.mark.parametrize("empty", [[], (), np.array([]), np.zeros((0, 5), np.int32), ""])
def test_empty_rows_become_padding(empty: Any) -> None:
    np.testing.assert_array_equal(pad_sequences([empty, np.array([1, 2]), empty]), [[0, 0], [1, 2], [0, 0]])
    assert pad_sequences([empty, empty]).shape == (2, 0)
    assert pad_sequences([empty], maxlen=3, value=7).tolist() == [[7, 7, 7]]


def test_no_rows() -> None:
    assert pad_sequences([], maxlen=3).shape == (0, 3)


@pytest.mark.parametrize("form", [np.array, list])
def test_rows_of_vectors_and_matrices(form: Any) -> None:
    result = pad_sequences([form([[1, 2]]), form([[3, 4], [5, 6]])], dtype="float32", value=9, padding="post")
    np.testing.assert_array_equal(result, np.array([[[1, 2], [9, 9]], [[3, 4], [5, 6]]], np.float32))
    assert pad_sequences([form(np.ones((2, 3, 4)).tolist()), []], maxlen=5).shape == (2, 5, 3, 4)


def test_a_value_per_feature() -> None:
    rows = [np.array([[1, 2]]), np.array([[3, 4], [5, 6]])]
    assert pad_sequences(rows, value=[7, 8]).tolist() == [[[7, 8], [1, 2]], [[3, 4], [5, 6]]]


def test_strings() -> None:
    rows = [["a", "bcd"], ["e"]]
    assert pad_sequences(rows, dtype=object, value="pad").tolist() == [["a", "bcd"], ["pad", "e"]]
    assert pad_sequences(rows, dtype="object", value="pad").tolist() == [["a", "bcd"], ["pad", "e"]]
    assert pad_sequences(rows, dtype="<U3", value="pad").tolist() == [["a", "bcd"], ["pad", "e"]]
    assert pad_sequences([[b"a"], []], dtype="S3", value="pad").tolist() == [[b"a"], [b"pad"]]
    assert pad_sequences([["1"], ["2.5", "3"]], dtype="float32").tolist() == [[0.0, 1.0], [2.5, 3.0]]


def test_negative_zero_and_objects_as_padding() -> None:
    assert np.signbit(pad_sequences([[1.0], [2.0, 3.0]], dtype="float32", value=-0.0)[0, 0])
    assert type(pad_sequences([[1], [2, 3]], dtype=object)[0, 0]) is float
    assert pad_sequences([[1], [2, 3]], dtype=None).dtype == np.float64
    assert pad_sequences([[1], [2, 3]], dtype=None, value=0).dtype == np.asarray(0).dtype


def test_bool_means_not_zero() -> None:
    assert pad_sequences([[7, 0, 0.5]], maxlen=4, dtype="bool").tolist() == [[False, True, False, True]]


def test_the_rows_that_came_in_stay_as_they_are() -> None:
    rows = [np.arange(5), np.arange(3)]
    pad_sequences(rows, maxlen=2)
    assert [len(row) for row in rows] == [5, 3]


def test_objects_that_hold_one_number_each_keep_their_axes() -> None:
    torch = pytest.importorskip("torch", reason="rows of torch tensors need torch")
    assert pad_sequences([[torch.tensor([3]), torch.tensor([4])]]).shape == (1, 2, 1)
    assert pad_sequences([[torch.tensor(3), torch.tensor(4)]]).tolist() == [[3, 4]]


LOST: list[tuple[list[Any], str, str]] = [
    ([[0.9, 1.7]], "int32", "0.9"),
    ([np.array([1.0, 1.7])], "int32", "1.7"),
    ([np.array([1.0, 2.0], np.float32), np.array([np.nan], np.float32)], "int32", "nan"),
    ([[1, float("inf")]], "int64", "inf"),
    ([[float("nan")]], "uint8", "nan"),
    ([[1, 3_000_000_000]], "int32", "3000000000"),
    ([np.array([1]), np.array([2**31])], "int32", "2147483648"),
    ([np.array([1]), np.array([-(2**31) - 1])], "int32", "-2147483649"),
    ([np.array([1, -1])], "uint8", "-1"),
    ([(300,)], "uint8", "300"),
    ([np.array([2.0**63])], "int64", "9.2"),
    ([np.array([2.0**64])], "uint64", "1.8"),
    ([np.array([2**64 - 1], np.uint64)], "int64", "18446744073709551615"),
    ([np.array([1 + 2j])], "float32", r"\(1\+2j\)"),
    ([np.array([1, 0.9], object)], "int32", "0.9"),
    ([[Fraction(1, 2)]], "int32", "Fraction"),
    ([[2**70]], "int64", "1180591620717411303424"),
    ([np.array([[0.5]])], "int32", "0.5"),
    ([["abcd"]], "<U3", "abcd"),
    ([["abcd"]], "S3", "abcd"),
]


@pytest.mark.parametrize(("rows", "dtype", "shown"), LOST)
def test_what_the_cast_would_change_is_an_error(rows: list[Any], dtype: str, shown: str) -> None:
    with pytest.raises(DataError, match=shown):
        pad_sequences([rows[0][:0], *rows], dtype=dtype, value="" if dtype[-2] in "US" else 0)


def test_the_error_names_the_row_and_the_fix() -> None:
    with pytest.raises(DataError, match=r'row 2(?s:.*)0\.9(?s:.*)dtype="float32"'):
        pad_sequences([[1], [2], [0.9]])
    with pytest.raises(DataError, match=r'row 1(?s:.*)dtype="int64"'):
        pad_sequences([np.array([1]), np.array([2**40])])
    with pytest.raises(DataError, match=r"row 0(?s:.*)dtype=object"):
        pad_sequences([["abcd"]], dtype="<U3", value="")


def test_values_in_the_part_that_is_cut_off_do_not_matter() -> None:
    assert pad_sequences([[0.5, 1]], maxlen=1).tolist() == [[1]]
    assert pad_sequences([np.array([2**40, 1])], maxlen=1).tolist() == [[1]]


@pytest.mark.parametrize("value", [0.7, float("nan"), 2**31, 2**70, Fraction(1, 2)])
def test_a_padding_value_that_would_change_is_an_error(value: Any) -> None:
    with pytest.raises(DataError, match=r"value=\.\.\."):
        pad_sequences([[1]], maxlen=2, value=value)


ERRORS: list[tuple[dict[str, Any], type[PadlessError], str]] = [
    ({"sequences": []}, ArgumentError, "no rows and maxlen=None(?s:.*)give maxlen="),
    ({"sequences": (row for row in ROWS)}, ArgumentError, r"must be iterable(?s:.*)list\(sequences\)"),
    ({"sequences": 5}, ArgumentError, "int"),
    ({"sequences": np.array(5)}, DTypeError, r"\[row\]"),
    ({"sequences": [1, 2]}, DataError, "list of iterables(?s:.*)int 1 at position 0"),
    ({"sequences": [[1], iter([2])]}, DataError, "at position 1"),
    ({"sequences": np.array([1, 2])}, DataError, "list of iterables"),
    ({"maxlen": 2.0}, DTypeError, r"int\(maxlen\)"),
    ({"maxlen": "2"}, DTypeError, "str '2'"),
    ({"maxlen": -1}, ArgumentError, "-1"),
    ({"padding": "left"}, ArgumentError, "'left', which is not understood"),
    ({"truncating": "pots"}, ArgumentError, "did you mean 'post'"),
    ({"truncating": None}, ArgumentError, "None"),
    ({"value": "pad"}, ArgumentError, "dtype=object"),
    ({"value": None}, DTypeError, "NoneType"),
    ({"value": [1, 2]}, ArgumentError, r"shape \(2,\)"),
    ({"value": "x", "dtype": None}, ArgumentError, "dtype is None"),
    ({"value": 0.0, "dtype": "<U1", "sequences": [["a"]]}, DataError, "0.0"),
    ({"dtype": "words"}, DTypeError, "words"),
    ({"sequences": ["abc"]}, DataError, "Tokenizer|numbers first"),
    ({"sequences": ["abc"], "dtype": object}, DTypeError, "Tokenizer"),
    ({"sequences": ["123"]}, DTypeError, "Tokenizer"),
    ({"sequences": [["abc"]]}, DataError, "invalid literal"),
    ({"sequences": [[None]]}, DTypeError, "NoneType"),
    ({"sequences": [{1: 2}]}, DTypeError, r"list\(row\)"),
    ({"sequences": [{1, 2}]}, DTypeError, r"list\(row\)"),
    ({"sequences": [deque([1, 2])], "maxlen": 1}, DTypeError, r"list\(row\)"),
    ({"sequences": [[[1, 2]], [3]]}, ShapeError, r"row 1(?s:.*)\(2,\)"),
    ({"sequences": [np.ones((2, 2), int), np.ones((2, 3), int)]}, ShapeError, "row 1"),
    ({"sequences": [np.ones(2, int), np.ones((1, 1), int)]}, ShapeError, "row 1"),
    ({"sequences": [np.ones(2, int), np.ones((2, 2), int)]}, ShapeError, "row 1"),
    ({"sequences": [[[1, 2], [3]]]}, DataError, "same shape"),
]


@pytest.mark.parametrize(("arguments", "kind", "text"), ERRORS)
def test_errors(arguments: dict[str, Any], kind: type[PadlessError], text: str) -> None:
    with pytest.raises(kind, match=text) as caught:
        pad_sequences(**{"sequences": ROWS, **arguments})
    assert re.search(r"expected (?s:.*)Got: (?s:.*)Fix: ", str(caught.value))


def test_tensors_that_numpy_cannot_read() -> None:
    torch = pytest.importorskip("torch", reason="rows as torch tensors need torch")
    with pytest.raises(DataError, match=r"detach\(\)"):
        pad_sequences([torch.ones(2, requires_grad=True)])
    with pytest.raises(DTypeError, match=r"row\.float\(\)"):
        pad_sequences([torch.ones(2, dtype=torch.bfloat16)])
    with pytest.raises(DTypeError, match="dtype"):
        pad_sequences([[1]], dtype=torch.int32)  # type: ignore[arg-type]


numbers = st.one_of(
    st.integers(-(2**65), 2**65),
    st.floats(width=32),
    st.sampled_from([0.0, -0.0, 127.0, 128.0, -129.0, 2.0**31, 2.0**31 - 1, 2**31 - 1, -(2**31), 2**63, 2**64 - 1]),
)


@given(number=numbers, dtype=st.sampled_from(["int8", "uint8", "int32", "int64", "uint64"]))
def test_first_lost_is_exact(number: float, dtype: str) -> None:
    """Python's integers know no limit, so they can judge."""
    values = np.asarray([number])
    if values.dtype == object:
        return
    info = np.iinfo(dtype)
    whole = np.isfinite(number) and number == int(number)
    assert (first_lost(values, np.dtype(dtype)) is None) == bool(whole and info.min <= int(number) <= info.max)


def test_keras_import_paths() -> None:
    assert padless.utils.pad_sequences is pad_sequences
    assert padless.preprocessing.sequence.pad_sequences is pad_sequences


def test_to_categorical() -> None:
    np.testing.assert_array_equal(padless.utils.to_categorical([1, 0], 3), [[0, 1, 0], [1, 0, 0]])
    assert padless.utils.to_categorical(np.zeros((2, 5, 1)), 4).shape == (2, 5, 4)
    assert padless.utils.to_categorical(2).tolist() == [0, 0, 1]
    for labels, classes, text in [([0.5], 3, "0.5"), ([3], 3, "label 3"), ([-1], 3, "label -1"), (["a"], 3, "'a'")]:
        with pytest.raises(DataError, match=text):
            padless.utils.to_categorical(labels, classes)
    with pytest.raises(ArgumentError, match="num_classes"):
        padless.utils.to_categorical([])
    with pytest.raises(AttributeError, match="nothing_like_it"):
        padless.utils.nothing_like_it  # noqa: B018


def test_importing_the_text_part_imports_no_framework() -> None:
    program = (
        "import sys, padless.text, padless.utils, padless.preprocessing.text;"
        "print([name for name in ('torch', 'jax', 'keras', 'tensorflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
