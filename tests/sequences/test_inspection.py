"""Inspection of data: what every format of file says of the same rows, and what it says of files that are wrong."""

from __future__ import annotations

import csv
import itertools
import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless.__main__ import main
from padless.callbacks import waiting
from padless.data import Inspection, inspect
from padless.data.histogram import Cost, Histogram, round_up
from padless.errors import ArgumentError, DataError, DTypeError, PadlessError
from padless.layers import TextVectorization
from padless.text.counting import count_tokens

TEXTS = ["The match was lost - in the last minute", "", "Goal", "Profits of the oil company rose; don't sell.", "né"]
ROWS = [[1, 2, 3], [], [4], [5, 6, 7, 8, 9], [1, 2]]
LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=6)


def histogram(lengths: list[int]) -> Histogram:
    return Histogram(zip(*(part.tolist() for part in np.unique(lengths, return_counts=True)), strict=True))


def padded(batches: list[list[int]]) -> Cost:
    costs = [(len(batch) * max(batch), len(batch) * max(batch) ** 2) for batch in batches]
    return Cost(*(float(sum(column)) for column in zip(*costs, strict=True)))


def cut(lengths: list[int], size: int) -> list[list[int]]:
    return [lengths[at : at + size] for at in range(0, len(lengths), size)]


# ---- numbers


@given(lengths=LENGTHS, size=st.integers(1, 8))
def test_shuffled_batches_cost_the_mean_over_all_orders(lengths: list[int], size: int) -> None:
    costs = [padded(cut(list(order), size)) for order in itertools.permutations(lengths)]
    np.testing.assert_allclose(histogram(lengths).in_batches(size), np.mean(costs, axis=0), rtol=1e-9, atol=1e-9)


@given(lengths=st.lists(st.integers(0, 40), min_size=1, max_size=60), size=st.integers(1, 20))
def test_other_costs_and_percentiles_are_those_of_the_rows(lengths: list[int], size: int) -> None:
    rows = histogram(lengths)
    assert rows.in_sorted_batches(size) == padded(cut(sorted(lengths), size))
    assert rows.in_one_array() == padded([lengths])
    assert rows.unpadded() == Cost(sum(lengths), sum(n * n for n in lengths))
    assert (rows.rows, rows.steps, rows.shortest, rows.longest) == (
        len(lengths), sum(lengths), min(lengths), max(lengths)
    )  # fmt: skip
    for share in (0, 5, 50, 95, 99, 100):
        assert math.isclose(rows.percentile(share), np.percentile(lengths, share), abs_tol=1e-9)


@given(lengths=st.lists(st.integers(0, 5000), min_size=1, max_size=60), most=st.integers(1, 50))
def test_bins_hold_every_row_once(lengths: list[int], most: int) -> None:
    bins = histogram(lengths).bins(most)
    assert sum(one.rows for one in bins) == len(lengths)
    assert len(bins) <= most + 4
    for one, after in itertools.pairwise(bins):
        assert one.high + 1 == after.low
    for one in bins:
        assert one.rows == sum(one.low <= n <= one.high for n in lengths)


@given(value=st.floats(1e-3, 1e12))
def test_a_rounded_number_is_not_smaller_and_little_larger(value: float) -> None:
    assert value <= round_up(value) <= max(1.1 * value, value + 1)


@given(lengths=st.lists(st.integers(0, 300), min_size=1, max_size=40), size=st.integers(1, 64))
def test_the_suggested_max_tokens_holds_every_row(lengths: list[int], size: int) -> None:
    found = inspect([[0] * n for n in lengths], batch_size=size)
    assert found.max_tokens >= max(*lengths, size * np.mean(lengths), 1)


# ---- words


@given(texts=st.lists(st.text(max_size=30).filter(lambda text: "\0" not in text), min_size=1, max_size=5))
def test_words_are_those_of_text_vectorization(texts: list[str]) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    vectorize = TextVectorization()
    vectorize.adapt([*texts, "a"])
    assert count_tokens(texts).tolist() == [len(row) for row in vectorize(texts).to_list()]
    assert count_tokens(texts, "char").tolist() == [len(text) for text in texts]


def test_bytes_and_halves_of_surrogate_pairs_are_counted() -> None:
    assert count_tokens([b"caf\xe9 noir", "\ud800 x"]).tolist() == [2, 2]
    with pytest.raises(ArgumentError, match='expected "word" or "char"'):
        inspect(TEXTS, tokens="words")  # type: ignore[arg-type]


# ---- forms of the same rows


def write(folder: Path, rows: list[Any], ending: str) -> Path:
    path = folder / f"data{ending}"
    if ending == ".parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"row": rows, "label": [0.5] * len(rows)}), path, row_group_size=2)
    elif ending == ".jsonl":
        path.write_text("".join(json.dumps({"row": row, "label": 1}) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t" if ending == ".tsv" else ",")
            cells = [json.dumps(row) if isinstance(row, list) else row for row in rows]
            writer.writerows([["row", "label"], *([cell, 1] for cell in cells)])
    return path


@pytest.mark.parametrize("rows", [TEXTS, ROWS], ids=["texts", "lists"])
@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".csv", ".tsv"])
def test_every_format_says_the_same(rows: list[Any], ending: str, tmp_path: Path) -> None:
    path = write(tmp_path, rows, ending)
    wanted = inspect(rows)
    for data in (path, str(path), tmp_path):
        found = inspect(data)
        assert dict(found._counts) == dict(wanted._counts)
        assert (found.unit, found.longest.row, found.first_empty and found.first_empty.row) == (
            wanted.unit, 3 if rows is ROWS else found.longest.row, 1
        )  # fmt: skip
    unit = "line 2" if ending == ".jsonl" else "row 1"
    assert str(found.first_empty) == f"row 1 (data{ending} {unit})"


def test_texts_are_files_of_a_folder_or_lines_of_a_file(tmp_path: Path) -> None:
    for number, text in enumerate(TEXTS):
        (tmp_path / f"class {number % 2}").mkdir(exist_ok=True)
        (tmp_path / f"class {number % 2}" / f"{number}.txt").write_text(text)
    (tmp_path / ".hidden.txt").write_text("not this one")
    found = inspect(tmp_path)
    assert dict(found._counts) == dict(inspect(TEXTS)._counts)
    assert found.longest.name == "class 0/0.txt"
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(TEXTS))
    assert dict(inspect(lines)._counts) == dict(inspect(TEXTS)._counts)
    assert inspect(lines).first_empty == (1, "lines.txt line 2")


def test_rows_at_hand(tmp_path: Path) -> None:
    wanted = dict(inspect(ROWS)._counts)
    for data in (padless.Ragged.from_list(ROWS), tuple(ROWS), [np.array(row, np.int32) for row in ROWS]):
        assert dict(inspect(data)._counts) == wanted
    found = inspect(["a b", None, ""])
    assert (found.null_rows, found.empty_rows, found.first_null) == (1, 2, (1, ""))
    copy = pickle.loads(pickle.dumps(found))
    assert repr(copy) == repr(found)


def test_nulls_are_counted_and_python_lists_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"x": null}\n\n{"x": [1, 2]}\n{"x": []}')
    found = inspect(tmp_path / "a.jsonl")
    assert (found.rows, found.null_rows, found.empty_rows, str(found.first_null)) == (3, 1, 2, "row 0 (a.jsonl line 1)")
    (tmp_path / "b.csv").write_text("x,y\n\"['a', 'b']\",1\n,2\n")
    assert (inspect(tmp_path / "b.csv").steps, inspect(tmp_path / "b.csv").null_rows) == (2, 1)
    (tmp_path / "c.jsonl").write_text("[1, 2, 3]\n[]\n")
    assert inspect(tmp_path / "c.jsonl").steps == 3


def test_a_cell_may_be_longer_than_csv_reads_by_default(tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text("text\n" + "word " * 60_000 + "\n")
    assert inspect(tmp_path / "long.csv").steps == 60_000


@pytest.mark.parametrize("kind", ["list", "large_list", "list_view", "fixed"])
def test_arrow_lists_of_all_kinds(kind: str, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    types = {"list": pa.list_(pa.int8()), "large_list": pa.large_list(pa.int8()), "fixed": pa.list_(pa.int8(), 2),
             "list_view": pa.list_(pa.int8())}  # fmt: skip
    pq.write_table(pa.table({"x": pa.array([[1, 2], None, [3, 4]], types[kind])}), tmp_path / "x.parquet")
    found = inspect(tmp_path / "x.parquet")
    assert (found.rows, found.steps, found.null_rows) == (3, 4, 1)


# ---- bad input


@pytest.mark.parametrize(
    ("name", "content", "column", "said"),
    [
        ("a.jsonl", '{"x": [1]}\n{"x": [1', None, ["a.jsonl line 2: expected JSON", "in the middle of this line"]),
        ("a.jsonl", '{"x": [1]}\n{x}\n{"x": []}\n', None, ["a.jsonl line 2: expected JSON", "one JSON value a line"]),
        ("a.jsonl", '{"x": [1]}\n{"x": 5}\n', None, ["line 2, column 'x': expected a list", "Got: a number: 5"]),
        ("a.jsonl", '{"x": [1]}\n{"y": 5}\n', None, ["line 2: expected column 'x'", "Known: y"]),
        ("a.jsonl", '{"x": [1]}\n7\n', None, ["line 2: expected an object", "Got: a number"]),
        ("a.jsonl", '{"text": "a", "title": "b"}\n', None, ["Got: several: text, title", "--column text"]),
        ("a.jsonl", '{"text": "a", "n": 1}\n', "txt", ["no column 'txt'", "did you mean 'text'? Known: n, text"]),
        ("a.jsonl", '{"text": "a", "n": 1}\n', "n", ["Got: n: a number", "name one of these: text"]),
        ("a.jsonl", "\n\n", None, ["expected at least one row"]),
        ("a.jsonl", "", None, ["expected at least one row"]),
        ("a.csv", "", None, ["expected at least one row"]),
        ("a.csv", "text,n\n", "text", ["Got: text: nothing in the first 100 rows"]),
        ("a.csv", 'text,n\nabc,1\n"abc', None, ["a.csv line 3: expected cells", "it ends inside of quotes"]),
        ("a.csv", "text,n\nabc,1\na,b,2\n", None, ["a.csv line 3: expected 2 cells", "Got: 3: a,b,2"]),
        ("a.csv", 'x,n\n"[1, 2]",1\n"[1, 2",1\n', None, ["a.csv row 1, column 'x': expected a list", "Got: [1, 2."]),
        ("a.csv", "x,n\n1,2\n", None, ["Got: x: numbers, n: numbers"]),
        ("a.parquet", "PAR1 and then", None, ["a.parquet: expected a whole Parquet file"]),
        ("a.gz", "x", None, ["expected Parquet, JSON lines, CSV or texts", "Got: .gz"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_leaves_with_two(
    name: str, content: str, column: str | None, said: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_text(content)
    with pytest.raises(PadlessError) as raised:
        inspect(tmp_path / name, column)
    assert main(["inspect", str(tmp_path / name), *(["--column", column] if column else [])]) == 2
    out, err = capsys.readouterr()
    for words in said:
        assert words in str(raised.value)
        assert words in err
    assert name in err
    assert not out


def test_a_damaged_row_group_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, [[number] * 50 for number in range(8)], ".parquet")
    content = bytearray(path.read_bytes())
    content[4:60] = b"\xff" * 56
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"data\.parquet, column 'row', row group 0: expected a whole Parquet file"):
        inspect(path)


def test_files_of_other_columns_or_formats_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,n\nabc,1\n")
    (tmp_path / "b.csv").write_text("txt,n\nabc,1\n")
    with pytest.raises(DataError, match=r"b\.csv: expected column 'text'"):
        inspect(tmp_path)
    (tmp_path / "c.jsonl").write_text("{}")
    with pytest.raises(ArgumentError, match=r"files of one format[^!]*\.csv \(2\), \.jsonl \(1\)"):
        inspect(tmp_path)
    with pytest.raises(ArgumentError, match=r"did you mean 'c\.jsonl'"):
        inspect(tmp_path / "c.json")
    with pytest.raises(ArgumentError, match="another folder"):
        inspect(tmp_path / "none" / "c.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArgumentError, match="Got: an empty folder"):
        inspect(tmp_path / "empty")


def test_arguments_that_are_wrong_are_named() -> None:
    for size in (0, -1, True, 2.5, []):
        with pytest.raises((ArgumentError, TypeError)):
            inspect(ROWS, batch_size=size)  # type: ignore[arg-type]
    for data in ([], np.zeros(3), [1, 2]):
        with pytest.raises((DataError, DTypeError)):
            inspect(data)
    with pytest.raises(DTypeError, match="row 1: expected a text"):
        inspect(["a", 5])


# ---- what is shown


def test_the_report_as_text_html_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "<b>.jsonl"
    path.write_text("".join(json.dumps({"x": row}) + "\n" for row in ROWS))
    found = inspect(path, batch_size=[2, 32])
    assert isinstance(found, Inspection)
    assert main(["inspect", str(path), "--batch-size", "2"]) == 0
    assert capsys.readouterr().out == f"{found!r}\n"
    for words in ("empty rows  1, first: row 1", "longest     5 in row 3", "shuffled, batches of 2 ", "max_tokens="):
        assert words in repr(found)
    assert "&lt;b&gt;" in found._repr_html_()
    assert "<b>" not in found._repr_html_()
    assert main(["inspect", str(path), "--batch-size", "2", "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers == json.loads(json.dumps(found.to_dict()))
    assert (numbers["rows"], numbers["steps"], numbers["attention_pairs"], numbers["median"]) == (5, 11, 39, 2)


@pytest.mark.parametrize("ending", [".png", ".svg"])
@pytest.mark.parametrize("rows", [ROWS, [[], []], [[1]]])
def test_a_picture_is_drawn(ending: str, rows: list[list[int]], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"picture{ending}"
    inspect(rows, batch_size=[2, 3]).plot(path)
    assert path.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml")
    with pytest.raises(ArgumentError, match="the name of a picture"):
        inspect(rows).plot(tmp_path / "picture.doc")


def test_usage_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "usage: python -m padless" in capsys.readouterr().out
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"padless {padless.__version__}\n"
    with pytest.raises(SystemExit) as left:
        main(["inspect", "x", "--colum", "y", "z"])
    assert left.value.code == 2


def test_a_bar_appears_on_stderr_when_reading_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    clock = itertools.count(step=3.0)
    monkeypatch.setattr("padless.callbacks.progress.time.perf_counter", lambda: next(clock))
    assert list(waiting("Reading", [1, 2, 3], True)) == [1, 2, 3]
    out, err = capsys.readouterr()
    assert not out
    assert "Reading" in err
    assert list(waiting("Reading", [1, 2], False)) == [1, 2]
    assert capsys.readouterr() == ("", "")
