"""Arrow columns as rows and back: every kind of list, slices and chunks; without a copy; nulls are errors."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from padless import Ragged
from padless.data.arrow import values_of
from padless.errors import DataError, DTypeError, MaskError
from tests.strategies import lengths

pa = pytest.importorskip("pyarrow")
pc = pytest.importorskip("pyarrow.compute")

NUMBERS = [np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)]
NUMBERS += [np.dtype(f"f{size}") for size in (2, 4, 8)]
DTYPES = st.sampled_from([*NUMBERS, np.dtype(bool)])
WIDTHS = st.sampled_from([(), (3,), (2, 2), (1,)])
SIZED = ("list", "large_list", "list_view", "large_list_view")
SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int, count: int, dtype: np.dtype[Any], width: tuple[int, ...] = ()) -> np.ndarray[Any, Any]:
    numbers = np.random.default_rng(seed).integers(0, 120, (count, *width))
    return numbers % 2 == 1 if dtype == np.bool_ else numbers.astype(dtype)


def steps_column(values: np.ndarray[Any, Any]) -> Any:
    made = pa.array(values.reshape(-1))
    for size in values.shape[:0:-1]:
        made = pa.FixedSizeListArray.from_arrays(made, size)
    return made


def in_lists(steps: Any, splits: np.ndarray[Any, Any], kind: str) -> Any:
    """The steps as a column of lists of some kind."""
    if "view" not in kind:
        maker = pa.LargeListArray if kind.startswith("large") else pa.ListArray
        return maker.from_arrays(pa.array(splits, pa.int64() if kind.startswith("large") else pa.int32()), steps)
    offset = pa.int64() if kind.startswith("large") else pa.int32()
    maker = pa.LargeListViewArray if kind.startswith("large") else pa.ListViewArray
    return maker.from_arrays(pa.array(splits[:-1], offset), pa.array(np.diff(splits), offset), steps)


def cut(column: Any, seed: int) -> tuple[Any, list[int]]:
    """A random slice of a column in random chunks, and the rows that it has."""
    numbers = np.random.default_rng(seed)
    start, stop = sorted(numbers.integers(0, len(column) + 1, 2).tolist())
    places = sorted({start, stop, *numbers.integers(start, stop + 1, numbers.integers(0, 3)).tolist()})
    chunks = [column[a:b] for a, b in pairwise(places)]
    return (pa.chunked_array(chunks, column.type) if numbers.random() < 0.8 else column[start:stop]), [
        *range(start, stop)
    ]


@given(sizes=lengths(), kind=st.sampled_from(SIZED), dtype=DTYPES, width=WIDTHS, seed=SEEDS, gap=st.integers(0, 2))
def test_what_comes_out_is_what_went_in(
    sizes: list[int], kind: str, dtype: np.dtype[Any], width: tuple[int, ...], seed: int, gap: int
) -> None:
    """Every kind of list of every dtype: values, order and dtype; steps before the first row belong to nobody."""
    splits = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64) + gap
    values = drawn(seed, int(splits[-1]), dtype, width)
    column, rows = cut(in_lists(steps_column(values), splits, kind), seed)
    x = Ragged.from_arrow(column)
    assert x.values.dtype == dtype
    assert x.values.shape[1:] == width
    assert len(x) == len(rows)
    for row, found in zip(rows, x, strict=True):
        np.testing.assert_array_equal(found, values[splits[row] : splits[row + 1]])
    back = x.to_arrow()
    again = Ragged.from_arrow(back)
    assert again.values.dtype == dtype
    assert again.rows.row_lengths.tolist() == x.rows.row_lengths.tolist()
    np.testing.assert_array_equal(again.values, x.values)
    if width == ():
        assert back.to_pylist() == column.to_pylist()


@given(count=st.integers(0, 5), length=st.integers(0, 4), dtype=DTYPES, width=WIDTHS, seed=SEEDS)
def test_lists_of_a_fixed_size(
    count: int, length: int, dtype: np.dtype[Any], width: tuple[int, ...], seed: int
) -> None:
    values = drawn(seed, count, dtype, (length, *width))
    steps = steps_column(values.reshape(count * length, *width))
    whole = (
        pa.FixedSizeListArray.from_arrays(steps, length) if length else pa.array([[]] * count, pa.list_(steps.type, 0))
    )
    column, rows = cut(whole, seed)
    np.testing.assert_array_equal(values_of(column), values[rows])
    assert values_of(column).dtype == dtype
    x = Ragged.from_arrow(column)
    assert x.rows.row_lengths.tolist() == [length] * len(rows)
    assert x.values.dtype == dtype


@given(sizes=lengths(most=4), outer=st.sampled_from(SIZED), inner=st.sampled_from(SIZED), seed=SEEDS)
def test_rows_within_rows(sizes: list[int], outer: str, inner: str, seed: int) -> None:
    numbers = np.random.default_rng(seed)
    outer_splits = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    inner_splits = np.concatenate([[0], np.cumsum(numbers.integers(0, 3, outer_splits[-1]))]).astype(np.int64)
    words = in_lists(pa.array(drawn(seed, int(inner_splits[-1]), np.dtype("i4"))), inner_splits, inner)
    column, _ = cut(in_lists(words, outer_splits, outer), seed)
    x = Ragged.from_arrow(column)
    assert x.ragged_rank == 2
    assert x.flat_values.dtype == np.int32
    assert x.to_list() == column.to_pylist()
    assert x.to_arrow().to_pylist() == column.to_pylist()


def address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


@pytest.mark.parametrize("kind", SIZED)
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("width", [(), (3,)], ids=str)
def test_nothing_is_copied(kind: str, dtype: np.dtype[Any], width: tuple[int, ...]) -> None:
    values = drawn(0, 6, dtype, width)
    column = in_lists(steps_column(values), np.array([0, 2, 2, 6]), kind)
    for given_column in (column, pa.chunked_array([column])):
        assert address(Ragged.from_arrow(given_column).values) == address(values)
    later = Ragged.from_arrow(column[2:])
    assert address(later.values) == address(values[2:]), "a slice begins in the middle of the buffer"
    assert not later.values.flags.writeable, "the memory is Arrow's"
    assert address(Ragged.from_arrow(later.to_arrow()).values) == address(values[2:]), "nor on the way back"


def test_nothing_is_copied_of_fixed_sizes_and_of_rows_within_rows() -> None:
    values = drawn(0, 12, np.dtype("f4"))
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(values), 3)
    assert address(values_of(fixed)) == address(values)
    assert address(values_of(fixed[1:])) == address(values[3:])
    words = in_lists(pa.array(values), np.array([0, 5, 12]), "list")
    x = Ragged.from_arrow(in_lists(words, np.array([0, 1, 2]), "large_list"))
    assert address(x.flat_values) == address(values)
    assert address(Ragged.from_arrow(x.to_arrow()).flat_values) == address(values)


def test_the_memory_lives_as_long_as_the_rows() -> None:
    x = Ragged.from_arrow(pa.array([[1, 2], [3]] * 10_000))
    pa.array([[7] * 50] * 1_000)
    assert x.values[:3].tolist() == [1, 2, 3]
    assert int(x.values.sum()) == 60_000


def test_views_that_lie_in_any_order_or_over_each_other() -> None:
    steps = pa.array([1, 2, 3, 4])
    column = pa.ListViewArray.from_arrays(pa.array([2, 0, 1], pa.int32()), pa.array([2, 0, 2], pa.int32()), steps)
    assert column.to_pylist() == [[3, 4], [], [2, 3]]
    assert Ragged.from_arrow(column).to_list() == [[3, 4], [], [2, 3]]
    assert Ragged.from_arrow(column[1:]).to_list() == [[], [2, 3]]


def test_dictionaries_runs_and_extension_types() -> None:
    words = pa.array(["a", "b", "a"])
    assert values_of(words.dictionary_encode()).tolist() == ["a", "b", "a"]
    assert values_of(pc.run_end_encode(pa.array([4, 4, 5]))).tolist() == [4, 4, 5]
    numbers = pa.array([7, 9, 7]).dictionary_encode()
    assert Ragged.from_arrow(pa.ListArray.from_arrays([0, 1, 3], numbers)).to_list() == [[7], [9, 7]]
    bools = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0], pa.int8()))
    assert values_of(bools).tolist() == [True, False]
    images = np.arange(12.0).reshape(2, 3, 2)
    for tensors in (images, images.transpose(0, 2, 1)):
        np.testing.assert_array_equal(values_of(pa.FixedShapeTensorArray.from_numpy_ndarray(tensors)), tensors)
    assert values_of(pa.array(["{}"], pa.json_())).tolist() == ["{}"]


def test_arrays_of_datasets() -> None:
    datasets = pytest.importorskip("datasets")
    frames = [[[1.0, 2.0], [3.0, 4.0]], [], [[5.0, 6.0]]]
    features = datasets.Features({"frames": datasets.Array2D((None, 2), "float32")})
    column = datasets.Dataset.from_dict({"frames": frames}, features).with_format("arrow")[1:]["frames"]
    x = Ragged.from_arrow(column)
    assert x.shape == (2, None, 2)
    assert x.to_list() == frames[1:]
    features = datasets.Features({"image": datasets.Array2D((1, 2), "int64")})
    column = datasets.Dataset.from_dict({"image": [[[1, 2]], [[3, 4]]]}, features).with_format("arrow")[:]["image"]
    assert values_of(column).tolist() == [[[1, 2]], [[3, 4]]]


def test_texts() -> None:
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        column = pa.array(["zero", "höhe", ""], kind)
        assert values_of(column[1:]).tolist() == ["höhe", ""]
        rows = pa.ListArray.from_arrays([0, 2, 3], column)
        assert Ragged.from_arrow(rows).to_list() == [["zero", "höhe"], [""]]
        assert Ragged.from_arrow(rows).to_arrow().to_pylist() == [["zero", "höhe"], [""]]
    assert values_of(pa.array([b"a"])).tolist() == [b"a"]


def test_columns_without_rows_and_rows_without_steps() -> None:
    assert Ragged.from_arrow(pa.array([], pa.list_(pa.float32()))).values.dtype == np.float32
    assert Ragged.from_arrow(pa.chunked_array([], pa.list_(pa.int8()))).to_list() == []
    unknown = Ragged.from_arrow(pa.array([[], []]))
    assert unknown.to_list() == [[], []]
    assert unknown.values.dtype == np.int64, "as of Ragged.from_list([[], []])"
    assert values_of(pa.array([], pa.int16())).dtype == np.int16


@pytest.mark.parametrize(
    ("rows", "row", "what"),
    [
        ([[1], None], 1, "1 null among 2 of type list"),
        ([[1], [2], [3, None, None]], 2, "2 null among 5 of type int64"),
        ([[[1], []], [], [[2], None]], 2, "1 null among 4 of type list"),
        ([[["a"]], [["b", "c"], [None]]], 1, "1 null among 4 of type string"),
        ([1, 2, None], 2, "1 null among 3 of type int64"),
        ([None, None], 0, "2 null among 2 of type null"),
        ([["a"], [None]], 1, "of type string"),
    ],
)
def test_nulls_are_named_by_column_and_row(rows: list[Any], row: int, what: str) -> None:
    column = pa.array(rows)
    with pytest.raises(DataError, match=rf"(?s)column 'ids': expected no nulls.*{what}.*in row {row}\b"):
        values_of(column, "column 'ids'")
    full = pa.array([], column.type)
    before = pa.array([column[0]] * 3, column.type) if column[0].is_valid else full
    with pytest.raises(DataError, match=rf"in row {row + len(before) + 10}\b"):
        values_of(pa.chunked_array([full, before, column]), "ids", first_row=10)


def test_nulls_behind_dictionaries_and_in_fixed_sizes() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["a", None]))
    with pytest.raises(DataError, match="in row 1"):
        values_of(column)
    with pytest.raises(DataError, match="in row 1"):
        values_of(pa.array([[1, 2], [3, None]], pa.list_(pa.int64(), 2)))
    with pytest.raises(DataError, match="in row 1"):
        values_of(pa.array([[1, 2], None], pa.list_(pa.int64(), 2)))
    with pytest.raises(DataError, match="in row 2"):
        values_of(pc.run_end_encode(pa.array([4, 4, None])))
    sliced = pa.array([None, [1], [2, 3]])[1:]
    assert Ragged.from_arrow(sliced).to_list() == [[1], [2, 3]], "nulls outside of the slice are nobody's"


@pytest.mark.parametrize(
    ("column", "fix"),
    [
        (pa.array([1], pa.timestamp("s")), r"cast\(pa.int64"),
        (pa.array([[1]], pa.list_(pa.date32())), r"cast\(pa.int64"),
        (pa.array([[1]], pa.list_(pa.decimal128(5, 2))), r"cast\(pa.float64"),
        (pa.array([{"a": 1}]), "a column for each field"),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8())), "a column for each field"),
    ],
    ids=["timestamp", "date", "decimal", "struct", "map"],
)
def test_what_is_no_number_says_what_to_write(column: Any, fix: str) -> None:
    with pytest.raises(DTypeError, match=rf"(?s)column 'when'.*numbers, bools, texts.*in row 0.*{fix}"):
        values_of(column, "column 'when'")


def test_a_column_that_is_no_list() -> None:
    with pytest.raises(DataError, match=r"(?s)from_arrow: expected a column of lists.*int64"):
        Ragged.from_arrow(pa.array([1, 2]))


def test_pairs_are_no_lists() -> None:
    with pytest.raises(MaskError, match="to_arrow"):
        Ragged.from_pairs([[[True]]]).to_arrow()


def test_two_threads_read_one_column() -> None:
    column = pa.chunked_array([[[1, 2], [], [3]]] * 50)
    found: list[Any] = []
    readers = [threading.Thread(target=lambda: found.append(Ragged.from_arrow(column).to_list())) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert found == [column.to_pylist()] * 4
