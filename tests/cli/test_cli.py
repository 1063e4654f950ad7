"""The command line as a user meets it: in processes of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.heeded_signals import heed_signals
from helpers.platforms import needs_posix
from helpers.started_processes import StartedProcess
from helpers.tiny_recipes import TINY
from urbanpipe import api
from urbanpipe.cli.main import VERBS, app, main

SETS = [part for setting in (*TINY, "model.backbone=test_resnet", "training.epochs=1") for part in ("--set", setting)]


def urbanpipe(*arguments: object, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    process = StartedProcess("urbanpipe.cli.main", arguments, cwd=cwd)
    printed, errors = process.communicate(timeout=300)
    return subprocess.CompletedProcess([*map(str, arguments)], process.returncode or 0, printed, errors)


@pytest.mark.multiprocess
def test_the_whole_chain_by_its_commands(archive: Path, tmp_path: Path) -> None:
    steps: list[tuple[object, ...]] = [
        ("scan", archive / "videos", "--labels", archive / "labels.json", "--out", "catalog.csv"),
        ("audit", "catalog.csv"),
        ("folds", "catalog.csv", "--folds", 2, "--out", "folds.csv"),
        ("crossval", "catalog.csv", "--folds", "folds.csv", "-r", "small-mobilenetv2", "--out", "experiment", *SETS),
        ("ensemble", "experiment/small-mobilenetv2", "--out", "mine"),
        ("predict", "mine", archive / "videos", "--out", "p.json", "--workers", 0),
        ("evaluate", "--labels", archive / "labels.json", "--predictions", "p.json"),
    ]
    for step in steps:
        done = (
            urbanpipe(*step, "--cache", "frames", cwd=tmp_path)
            if step[0] == "crossval"
            else urbanpipe(*step, cwd=tmp_path)
        )
        assert done.returncode == 0, f"{step}: {done.stderr}"
        assert "Traceback" not in done.stderr
    scores = json.loads(
        urbanpipe(
            "evaluate", "--labels", archive / "labels.json", "--predictions", "p.json", "--json", cwd=tmp_path
        ).stdout
    )
    assert 0 <= scores["map_all"] <= 1


@pytest.mark.multiprocess
def test_a_bad_video_makes_exit_status_3(archive: Path, tmp_path: Path) -> None:
    run = urbanpipe("train", archive / "catalog.csv", "-r", "small-mobilenetv2", "--out", tmp_path / "run", *SETS)
    assert run.returncode == 0, run.stderr
    (tmp_path / "bad.mp4").write_text("no video")
    done = urbanpipe(
        "predict", tmp_path / "run", archive / "videos", tmp_path / "bad.mp4", "--out", tmp_path / "p.json"
    )
    assert done.returncode == 3, done.stderr
    assert "1 left out" in done.stdout
    assert "videos/s" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("scan", "{empty}", "--out", "{empty}/c.csv"), "no videos in"),
        (("scan", "{empty}/absent", "--out", "{empty}/c.csv"), "is missing"),
        (("crossval", "{empty}/absent.csv", "-r", "small-mobilenetv2", "--out", "{empty}/s"), "absent.csv"),
        (
            ("crossval", "{archive}/catalog.csv", "-r", "small-mobilnet", "--out", "{empty}/s"),
            "did you mean small-mobilenet",
        ),
        (("predict", "{empty}", "{archive}/videos", "--out", "{empty}/p.json"), "neither a run nor an ensemble"),
        (("recipes", "nothing"), "no recipe 'nothing'"),
        (("bundle", "push", "{empty}", "owner/name"), "is not a bundle"),
        (("bundle", "pull", "alone", "--out", "{empty}/b"), "OWNER/NAME"),
        pytest.param(
            ("train", "{archive}/catalog.csv", "-r", "small-mobilenetv2", "--out", "/proc/x"),
            "cannot write",
            marks=needs_posix,
        ),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: tuple[str, ...],
    message: str,
    archive: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = (argument.format(empty=tmp_path, archive=archive) for argument in arguments)
    monkeypatch.setattr(sys, "argv", ["urbanpipe", *given])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert_one_line(capsys.readouterr().err, message)


def test_a_folder_may_have_the_name_of_a_verb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "push").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["urbanpipe", "bundle", "push", "--out", "bundle"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit):
        main()
    assert_one_line(capsys.readouterr().err, "push is neither a run nor an ensemble")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cache", "clear", "--kind", "weights"), "'--kind': 'weights' is not one of 'frames', 'features'."),
        (("bundle", "run", "--out", "b", "--runtime", "tf"), "'--runtime': 'tf' is not one of 'onnx', 'openvino'."),
    ],
)
def test_a_wrong_choice_is_told_without_the_words_of_the_library(arguments: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert f"Invalid value for {message}" in done.stderr


@pytest.mark.multiprocess
def test_a_mistake_in_a_process_of_its_own_is_one_line_and_status_2(archive: Path, tmp_path: Path) -> None:
    """Libraries that the verb imports print nothing either."""
    arguments = ["crossval", str(archive / "catalog.csv"), "-r", "small-mobilnet", "--out", str(tmp_path / "s")]
    command = [sys.executable, "-m", "urbanpipe.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 2
    assert_one_line(done.stderr, "did you mean small-mobilenet")


def assert_one_line(errors: str, message: str) -> None:
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert errors.startswith("urbanpipe: ")


@needs_posix
@pytest.mark.multiprocess
def test_an_interrupt_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "urbanpipe.cli.main", "simulate", str(tmp_path / "s"), "--videos", "400"]
    with subprocess.Popen(
        [*command, "--workers", "1"], stderr=subprocess.PIPE, text=True, preexec_fn=heed_signals
    ) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("s/videos/*.mp4")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; finished work is kept, rerun the same command to resume" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_and_is_a_function(verb: str) -> None:
    result = CliRunner().invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    assert callable(getattr(api, verb))
    assert verb in api.__all__


def test_no_verb_imports_torch_to_explain_itself() -> None:
    script = "import sys; from urbanpipe.cli import main; sys.exit('torch' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.slow
def test_reports_and_exports_do_without_torch() -> None:
    script = "import sys, urbanpipe.exports.export, urbanpipe.report.html; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.multiprocess
def test_the_reader_of_the_output_may_go_away(archive: Path) -> None:
    command = f"{sys.executable} -m urbanpipe.cli.main audit {archive / 'catalog.csv'} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env=dict(os.environ))
    assert "Traceback" not in done.stderr


def test_an_unknown_name_in_the_api_is_named() -> None:
    with pytest.raises(AttributeError, match="has no 'scam'"):
        _ = api.scam
