"""Environments in which little is as usual: names, numbers, processors, proxies, home folders and locks."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from helpers.tiny_recipes import TINY
from urbanpipe import api, locks
from urbanpipe.inference import InferenceOptions
from urbanpipe.training.options import FoldOptions, RunOptions

HOSTILE = {
    "HOME": "/proc/nothing",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "PYTHONIOENCODING": "ascii",
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "ATEN_CPU_CAPABILITY": "default",
}
MAIN = "from urbanpipe.cli.main import main; main()"
TORCH = f"import torch; assert torch.backends.cpu.get_cpu_capability() == 'DEFAULT'; {MAIN}"
SEVERAL = """
import json, locale, sys
locale.setlocale(locale.LC_ALL, "")
number, commands = json.loads(sys.argv[1])
assert f"{1.5:n}" == number
from urbanpipe.cli.main import app
for command in commands:
    app(command, standalone_mode=False)
"""
CHAIN = (
    ["scan", "videos", "--labels", "labels.json", "--out", "catalog.csv", "--workers", "1"],
    ["audit", "catalog.csv"],
    ["inspect", "videos", "--bundle", "bundle", "--out", "inspected", "--device", "cpu"],
    ["export", "inspected", "--to", "cjj181", "--out", "table.csv"],
    ["export", "inspected", "--to", "jsonl", "--out", "findings.jsonl"],
    ["report", "inspected", "--out", "record.html", "--inspection-data", "data.csv"],
)
WRITTEN = (
    "catalog.csv",
    "inspected/*/findings.json",
    "inspected/*/report.html",
    "table.csv",
    "findings.jsonl",
    "record.html",
)


def run(code: str, arguments: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Run a program in a folder, without this machine's locale, and return what it prints."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "LC_", "LANG"))}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**plain, **environment},
        cwd=folder,
        timeout=300,
    )
    assert done.returncode in (0, 3), done.stderr
    return done.stdout


def without_times(path: Path) -> str:
    """Return a file without dates and times: it was made in another second, maybe another minute or on another day."""
    return re.sub(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d\+00:00| UTC))?", "", path.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.multiprocess
def test_names_keep_their_characters(tmp_path: Path) -> None:
    """The locale is plain ASCII, and yet a video of another name is found under it."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "井é.mp4").write_bytes(b"no video")
    printed = run(MAIN, ["scan", "videos", "--out", "catalog.csv", "--json"], tmp_path, HOSTILE)
    assert printed.isascii()
    assert [*json.loads(printed)["unreadable"]] == ["井é.mp4"]
    assert "井é.mp4" in (tmp_path / "catalog.csv").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.multiprocess
def test_a_processor_without_vector_instructions_finds_the_same(
    archive: Path, frame_bundle: Path, tmp_path: Path
) -> None:
    video = min((archive / "videos").iterdir())
    shutil.copy(video, tmp_path / "井é.mp4")
    arguments = ["inspect", "井é.mp4", "--bundle", str(frame_bundle), "--runtime", "torch", "--out", "out", "--json"]
    (found,) = json.loads(run(TORCH, arguments, tmp_path, HOSTILE))["videos"]
    assert (found["name"], found["status"]) == ("井é.mp4", "ok")
    options = InferenceOptions(device="cpu", runtime="torch")
    (usual,) = api.inspect([video], out=tmp_path / "usual", bundle=frame_bundle, options=options).videos
    here, there = (_probabilities(folder) for folder in (usual.folder, tmp_path / found["folder"]))
    assert here
    assert there == pytest.approx(here, abs=1e-4)


def _probabilities(folder: Path) -> dict[str, float]:
    read = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    return {finding["code"]: finding["probability"] for finding in read["findings"]}


@pytest.fixture(scope="module")
def comma_locale(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a locale with decimal commas, which is made for the test."""
    if shutil.which("localedef") is None:
        pytest.skip("no localedef, which makes a locale with decimal commas")
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not (folder / "de_DE.UTF-8").is_dir():
        pytest.skip(f"localedef makes no locale with decimal commas: {done.stderr.strip()}")
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.UTF-8"}


@pytest.mark.slow
@pytest.mark.multiprocess
def test_numbers_have_decimal_points_where_the_locale_has_commas(
    archive: Path, frame_bundle: Path, comma_locale: dict[str, str], tmp_path: Path
) -> None:
    """What is written and printed is the same in a process that uses the locale for numbers, but for the time."""
    (tmp_path / "videos").mkdir()
    for video in sorted((archive / "videos").iterdir())[:2]:
        shutil.copy(video, tmp_path / "videos")
    labels = {video.name: ["CJ"] for video in (tmp_path / "videos").iterdir()}
    (tmp_path / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    rows = [f"{name},K{row},downstream,40.5" for row, name in enumerate(labels)]
    (tmp_path / "data.csv").write_text("\n".join(["video,segment,direction,length_m", *rows]), encoding="utf-8")
    shutil.copytree(frame_bundle, tmp_path / "bundle")
    results = []
    for number, environment in (("1.5", {"LC_ALL": "C.UTF-8"}), ("1,5", comma_locale)):
        printed = run(SEVERAL, [json.dumps([number, CHAIN])], tmp_path, environment)
        files = sorted(path for pattern in WRITTEN for path in tmp_path.glob(pattern))
        assert len(files) == 8
        results.append({"": printed} | {f"{path.relative_to(tmp_path)}": without_times(path) for path in files})
        for path in (tmp_path / "inspected", *files):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    plain, comma = results
    for name, text in plain.items():
        assert comma[name] == text, name
    assert "40.5" in plain["record.html"]


@pytest.mark.slow
@pytest.mark.usefixtures("no_plots_of_folds")
@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError("no flock here")])
def test_a_home_folder_on_a_share_without_locks(
    error: Exception,
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The frame cache and the run folder work, also when they are used again; one line says what to avoid."""

    def no_locks(*_: object) -> None:
        raise error

    locks._warn_once.cache_clear()
    monkeypatch.setattr("fcntl.flock", no_locks)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tables = []
    for out in ("first", "first", "second"):
        api.crossval(
            archive / "catalog.csv",
            ["small-mobilenetv2"],
            out=tmp_path / out,
            overrides=[*TINY, "model.weights=random", "training.epochs=1"],
            split=FoldOptions(folds=2),
            options=RunOptions(device="cpu"),
        )
        tables.append((tmp_path / out / "small-mobilenetv2" / "table6.csv").read_text(encoding="utf-8"))
    assert tables[0] == tables[1] == tables[2]
    assert {entry.kind for entry in api.cache_show() if entry.entries} >= {"frames"}
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "file locks" in line)
    assert "do not run two processes with the same folder" in line
