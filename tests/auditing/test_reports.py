"""What an audit is written on: text, a page, JSON, the command line; and files, also hostile ones."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import padless
from padless import DataError
from padless.__main__ import main
from tests.auditing.keras_models import LOSSES, embedded, encoder, model, rows, then

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*mask.*:UserWarning"),
]

EVIL = '<script>alert("x")</script>[red]&'


class Page(HTMLParser):
    """Tags and texts of a page; fails where tags do not fit."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag not in ("meta", "rect", "polyline", "polygon"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def report() -> padless.auditing.AuditReport:
    return padless.audit(encoder())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "encoder.keras"
    encoder().save(path)
    return path


def test_the_page_is_whole_and_stands_alone(report: padless.auditing.AuditReport, tmp_path: Path) -> None:
    report.to_html(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert not {"src", "href"} & set(page.attributes)
    assert not [name for name in page.attributes if name.startswith("on")]
    said = " ".join("".join(page.texts).split())
    assert report.verdict in said
    for expected in ("attention_1 (MultiHeadAttention)", "The same model in padless", "In Keras:"):
        assert expected in said


def test_the_place_of_the_loss_is_red_in_the_picture(report: padless.auditing.AuditReport) -> None:
    marks = {box.key: box.mark for box in report.drawing.boxes if box.mark is not None}
    assert marks["attention_1"].color == "#c62828"
    assert "takes the mask off" in marks["attention_1"].note
    assert "numbers differ from here" in marks["attention_2"].note
    assert "#c62828" in report.picture.svg()
    masked = {(arrow.source, arrow.target) for arrow in report.drawing.arrows if arrow.rows}
    assert ("embedded", "attention_1") in masked
    assert ("norm_1a", "wide_1") not in masked


def test_names_of_layers_are_no_html() -> None:
    made = model(
        lambda x: layers.GRU(2, name=EVIL.replace("/", ":"))(layers.EinsumDense("abc,cd->abd", (None, 3))(embedded(x))),
        name=EVIL.replace("/", ":"),
    )
    report = padless.audit(made, compare=False)
    page = Page(report._repr_html_())
    assert "script" not in page.tags
    assert EVIL.replace("/", ":") in "".join(page.texts)


def test_rich_takes_names_for_names(report: padless.auditing.AuditReport, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert Console().is_terminal
    report.print()
    text = " ".join(out.getvalue().split())
    assert "DIFFERS" in text
    assert "attention_1 (MultiHeadAttention)" in text


def test_everything_is_json(report: padless.auditing.AuditReport) -> None:
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["ok"] is False
    assert found["findings"][0]["layer"] == "attention_1"
    assert found["findings"][0]["reason"] == "attention_strips_mask"
    assert found["padless"]["ok"] is True
    assert any(list(probe["differences"].values()) == ["NaN"] for probe in found["probes"])


# ---- the command


def test_the_command_says_by_its_status_what_it_found(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", str(saved), "--html", str(tmp_path / "a.html"), "--no-compare"]) == 1
    assert "Padding changes this model's answers" in capsys.readouterr().out
    assert (tmp_path / "a.html").exists()
    clean = tmp_path / "clean.keras"
    then(lambda: layers.LSTM(4))().save(clean)
    assert main(["audit", str(clean), "--json", "--no-compare"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert main(["audit", str(tmp_path / "none.keras")]) == 2
    assert "none.keras" in capsys.readouterr().err


def test_a_file_of_padless_is_audited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = padless.Sequential([padless.Input((None, 3)), padless.layers.LSTM(4)])
    made.save(tmp_path / "model.padless")
    assert main(["audit", str(tmp_path / "model.padless")]) == 0
    assert "padless " in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["parquet", "npz", "npy"])
def test_rows_come_from_files(saved: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.table({"ids": [row.tolist() for row in rows()], "label": list(range(5))}), path)
    elif kind == "npz":
        np.savez(path, words=keras.utils.pad_sequences(rows(), padding="post"))
    else:
        np.save(path, keras.utils.pad_sequences(rows(), padding="pre"))
    assert main(["audit", str(saved), "--data", str(path), "--no-compare"]) == 1
    assert "5 rows of the data given, of 2, 5, 8, 11, 14 steps" in capsys.readouterr().out


def test_broken_data_are_named(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, words=np.array([[1, 2], [3]], dtype=object))  # needs Python objects
    assert main(["audit", str(saved), "--data", str(path)]) == 2
    path.write_bytes(path.read_bytes()[:40])
    assert main(["audit", str(saved), "--data", str(path)]) == 2
    assert main(["audit", str(saved), "--data", str(tmp_path / "rows.txt")]) == 2
    told = capsys.readouterr().err
    assert "without Python objects" in told
    assert ".parquet, .npz" in told


# ---- hostile files


def changed(saved: Path, path: Path, change: Callable[[Any], Any]) -> Path:
    """A copy of a file with another config."""
    with zipfile.ZipFile(saved) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    files["config.json"] = json.dumps(change(config)).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def with_layer(module: str, kind: str, **config: Any) -> Callable[[Any], Any]:
    def change(whole: Any) -> Any:
        whole["config"]["layers"][1].update(module=module, class_name=kind, registered_name=None)
        whole["config"]["layers"][1]["config"].update(config)
        return whole

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (with_layer("os", "system", command="touch hacked"), "'system'"),
        (with_layer("keras.layers", "Lambda"), "code: 'Lambda'"),
        (with_layer("keras.utils", "get_file", origin="file:///etc/passwd"), "code: 'get_file'"),
        (with_layer("keras.src.utils.file_utils", "extract_archive"), "'extract_archive'"),
        (with_layer("keras.layers", "TorchModuleWrapper"), "code: 'TorchModuleWrapper'"),
        (with_layer("keras.layers", "Embedding", initializer={"module": "builtins", "class_name": "eval"}), "'eval'"),
        (lambda config: [config], "a model in config.json"),
        (lambda config: {**config, "config": None}, "Keras can load"),
    ],
)  # fmt: skip
def test_nothing_in_a_file_is_executed(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=text):
        padless.audit(changed(saved, tmp_path / "evil.keras", change), compare=False)
    assert [path.name for path in tmp_path.iterdir()] == ["evil.keras"]


def test_a_class_that_the_caller_made_known_may_be_in_a_file(tmp_path: Path) -> None:
    LOSSES["places counted from the left"].make().save(tmp_path / "places.keras")
    report = padless.audit(tmp_path / "places.keras", compare=False)
    assert {one.reason for one in report.findings if one.grave} == {"places_from_the_left"}


def test_two_threads_at_once() -> None:
    made = [encoder(), then(lambda: layers.LSTM(4))()]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda one: padless.audit(one, compare=False), made))
    assert [report.ok for report in reports] == [False, True]
    assert reports[0].findings[0].layer == "attention_1"


def test_how_it_was_compiled_is_left_out_where_that_is_code(saved: Path, tmp_path: Path) -> None:
    def change(config: Any) -> Any:
        config["compile_config"] = {"optimizer": "sgd", "loss": {"module": "os", "class_name": "system"}}
        return config

    report = padless.audit(changed(saved, tmp_path / "a.keras", change), compare=False)
    assert "not compiled" in report.of("loss").question  # type: ignore[union-attr]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_ends_early_is_refused(saved: Path, tmp_path: Path, share: float) -> None:
    data = saved.read_bytes()
    path = tmp_path / "short.keras"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DataError, match="zip archive"):
        padless.audit(path)


def test_old_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(tmp_path / "model.h5")]) == 2
    assert "model.save('model.keras')" in capsys.readouterr().err


def test_a_live_model_may_hold_code() -> None:
    assert not padless.audit(LOSSES["Lambda"].make(), compare=False).ok


def test_progress_is_said_when_it_takes_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("padless.auditing.running._QUIET", 0.0)
    padless.audit(then(lambda: layers.LSTM(2))(), compare=False, verbose=True)
    assert "audit: each row alone" in capsys.readouterr().err
    padless.audit(then(lambda: layers.LSTM(2))(), compare=False)
    assert capsys.readouterr().err == ""
