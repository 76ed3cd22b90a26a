"""The container of a `.keras` file: a zip of a few files with fixed names, or a folder of them."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from padless.errors import DataError, NotThereYetError, PadlessError, explain
from padless.saving.atomic import replacing

NAMES = ("metadata.json", "config.json", "model.weights.h5", "model.weights.npz")
"""What may stand in the container."""

_MOST_EXPANSION = 100
"""How many times as large as in the archive a compressed file may be. Weights do not shrink to a hundredth."""
_ALWAYS_ALLOWED = 2**20
_MOST_JSON = 2**28
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError,
           OverflowError, OSError)  # fmt: skip
"""What reading a broken zip archive raises."""


def write_archive(path: Any, files: dict[str, bytes]) -> None:
    """Write a `.keras` file, whole or not at all.

    Args:
        path: of the file.
        files: contents by name.
    """
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            # With the same date each time, so that one model gives one file.
            archive.writestr(zipfile.ZipInfo(name), data)


def read_archive(path: Any) -> dict[str, bytes]:
    """Read a `.keras` file, or a folder that was saved with `zipped=False`.

    Args:
        path: of the file or folder.

    Returns:
        Contents by name; the names are among `NAMES`.

    Raises:
        DataError: when it is no such file, or a hostile one: with other names, with files that are links, encrypted,
            double, cut off, or that unpack to far more than they take.
        NotThereYetError: when layers saved files of their own into it.
        OSError: when it cannot be opened.
    """
    where = f"file {path}"
    if Path(path).is_dir():
        return _read_folder(Path(path), where)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            with zipfile.ZipFile(file) as archive:
                return _read_zip(archive, size, where)
        except PadlessError:
            raise
        except _BROKEN as wrong:
            got = str(wrong) or "one that is cut off"
            raise _refused(where, "a .keras file: a zip archive", got) from None


def _read_zip(archive: zipfile.ZipFile, size: int, where: str) -> dict[str, bytes]:
    entries = archive.infolist()
    _check_names([entry.filename for entry in entries], where)
    for entry in entries:
        _check_entry(entry, where)
    taken = sum(entry.compress_size for entry in entries)
    if taken > size:
        raise _refused(where, f"files within its {size:,} bytes", f"some of {taken:,}, cut off or over one another")
    return {entry.filename: _contents(archive, entry, where) for entry in entries}


def _refused(where: str, expected: str, got: str) -> DataError:
    return DataError(explain(where, expected=expected, got=got, fix="a file that model.save(path) wrote"))


def _check_names(names: list[str], where: str) -> None:
    if any(name.startswith("assets/") and ".." not in name for name in names):
        raise NotThereYetError(
            explain(
                where,
                expected="a model whose layers keep no files of their own",
                got=next(name for name in names if name.startswith("assets/")),
                fix="give such layers their vocabulary as an argument, where the model is made, and save it again",
            )
        )
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise _refused(where, f"files named {', '.join(NAMES)}", f"one named {unknown[0][:80]!r}")
    double = [name for name, count in Counter(names).items() if count > 1]
    if double:
        raise _refused(where, "each file once", f"{double[0]!r} several times")


def _check_entry(entry: zipfile.ZipInfo, where: str) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise _refused(where, "plain files", f"{entry.filename!r}, which is a link or another special file")
    if entry.flag_bits & 0x1:
        raise _refused(where, "files that are not encrypted", f"{entry.filename!r}, which is")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused(where, "files that are stored or deflated", f"{entry.filename!r}, compressed in another way")
    stored = entry.compress_type == zipfile.ZIP_STORED
    most = entry.compress_size if stored else max(_ALWAYS_ALLOWED, _MOST_EXPANSION * entry.compress_size)
    if entry.file_size > most or (entry.filename.endswith(".json") and entry.file_size > _MOST_JSON):
        got = f"{entry.filename!r}: {entry.compress_size:,} bytes that unpack to {entry.file_size:,}"
        raise _refused(where, "files of a size that fits what they take", got)


def _contents(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, where: str) -> bytes:
    with archive.open(entry) as file:
        data = file.read(entry.file_size + 1)
    if len(data) != entry.file_size:
        raise _refused(where, f"{entry.filename!r} of {entry.file_size:,} bytes", f"{len(data):,}")
    return data


def _read_folder(folder: Path, where: str) -> dict[str, bytes]:
    names = sorted(os.listdir(folder))
    if "assets" in names and not any(files for _, _, files in os.walk(folder / "assets")):
        names.remove("assets")  # Keras makes it in any case
    _check_names([f"{name}/" if name == "assets" else name for name in names], where)
    files = {}
    for name in names:
        if not stat.S_ISREG(os.lstat(folder / name).st_mode):
            raise _refused(where, "plain files", f"{name!r}, which is a link or another special file")
        if name.endswith(".json") and os.lstat(folder / name).st_size > _MOST_JSON:
            raise _refused(where, f"a file of less than {_MOST_JSON:,} bytes", repr(name))
        files[name] = (folder / name).read_bytes()
    return files
