"""One entry never ends a batch: what a video, its name or its folder does costs that video alone."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from helpers.explain_runs import make_run, recipe_of
from helpers.noisy_videos import noisy_video
from helpers.platforms import needs_posix
from helpers.started_processes import StartedProcess
from helpers.troubled_decoder import TROUBLES, troubled_decoders
from urbanpipe import locks
from urbanpipe.archive.inspect import inspect
from urbanpipe.archive.inspection_folders import LOCKS, InspectionFolders
from urbanpipe.cli.main import app
from urbanpipe.contracts.file_names import folder_name
from urbanpipe.contracts.findings import FINDINGS, read_inspection
from urbanpipe.errors import VideoError
from urbanpipe.explain.explain import explain
from urbanpipe.inference import predict as module
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inference.predict import predict
from urbanpipe.inference.scoring import predict_batches
from urbanpipe.inspection.inspector import Inspected, Inspector

CPU = InferenceOptions(device="cpu")


@pytest.fixture
def source(video: Path, tmp_path: Path) -> Path:
    """A folder of videos, some of which make trouble."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.mp4", *TROUBLES, "late-crash.mp4", "z.mp4"):
        shutil.copy(video, folder / name)
    os.mkfifo(folder / "pipe.mp4")
    return folder


EXPECTED = {
    **TROUBLES,
    "late-crash.mp4": TROUBLES["crash.mp4"],
    "pipe.mp4": "a named pipe, not a video",
}


@pytest.mark.multiprocess
def test_inspect_names_what_makes_trouble(frame_bundle: Path, source: Path, tmp_path: Path) -> None:
    with troubled_decoders():
        made = inspect([source], out=tmp_path / "out", bundle=frame_bundle, options=CPU)
    assert made.failures == EXPECTED
    assert made.summary == f"2 of 7 inspected, 5 could not be read: {tmp_path / 'out' / 'failures.csv'}"
    again = inspect([source], out=tmp_path / "out", bundle=frame_bundle, options=CPU)
    assert list(again.failures) == ["pipe.mp4"]
    assert again.summary.startswith("6 of 7 inspected (2 before), 1 could not be read: ")


@pytest.mark.multiprocess
@pytest.mark.parametrize("workers", [0, 2])
def test_predict_names_what_makes_trouble(workers: int, source: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", recipe_of("frame"))
    with troubled_decoders():
        done = predict(run, [source], out=tmp_path / "p.json", workers=workers, options=CPU)
    assert done.failures == EXPECTED
    assert done.predictions.names == ("a.mp4", "z.mp4")


@pytest.mark.multiprocess
def test_explain_names_what_makes_trouble(source: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", recipe_of("frame"))
    for name, reason in EXPECTED.items():
        with troubled_decoders(), pytest.raises(VideoError) as raised:
            explain(run, source / name, out=tmp_path / "out", options=CPU)
        assert raised.value.reason == reason


@pytest.mark.slow
def test_a_bug_costs_one_video_and_is_shown(
    frame_bundle: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = Inspector.inspect

    def inspecting(inspector: Inspector, path: Path, **known: Any) -> Inspected:
        if path.name == "a.mp4":
            raise TypeError("a bug")
        return original(inspector, path, **known)

    monkeypatch.setattr(Inspector, "inspect", inspecting)
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(video, tmp_path / name)
    made = inspect([tmp_path], out=tmp_path / "out", bundle=frame_bundle, options=CPU)
    assert made.failures == {"a.mp4": "inspecting it failed: TypeError: a bug"}
    assert "Traceback" in capsys.readouterr().err


@needs_posix
@pytest.mark.multiprocess
def test_a_rerun_skips_once_what_the_last_run_died_on(frame_bundle: Path, video: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(video, tmp_path / name)
    first = StartedProcess("helpers.killed_inspection", [tmp_path, tmp_path / "out", frame_bundle])
    first.communicate(timeout=120)
    assert first.returncode == -signal.SIGKILL
    second = inspect([tmp_path], out=tmp_path / "out", bundle=frame_bundle, options=CPU)
    assert list(second.failures) == ["a.mp4"]
    assert second.failures["a.mp4"].endswith("run the same command once more to try it again")
    third = inspect([tmp_path], out=tmp_path / "out", bundle=frame_bundle, options=CPU)
    assert not third.failures
    assert [one.reused for one in third.videos] == [False, True]


@needs_posix
@pytest.mark.multiprocess
def test_a_termination_leaves_an_index(frame_bundle: Path, video: Path, tmp_path: Path) -> None:
    for number in range(60):
        os.link(video, tmp_path / f"{number:02}.mp4") if number else shutil.copy(video, tmp_path / "00.mp4")
    arguments = ["inspect", str(tmp_path), "--out", str(tmp_path / "out"), "--bundle", str(frame_bundle)]
    process = StartedProcess("urbanpipe.cli.main", arguments)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(f"out/*/{FINDINGS}")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 143
    assert "finished work is kept" in errors
    assert "00.mp4" in (tmp_path / "out" / "index.html").read_text()
    assert not list((tmp_path / "out" / LOCKS).glob("*.started"))


@pytest.mark.slow
def test_known_videos_need_no_network(
    frame_bundle: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspect([video], out=tmp_path / "out", bundle=frame_bundle, options=CPU)
    monkeypatch.setattr(Inspector, "load", lambda *_: pytest.fail("the networks were loaded"))
    made = inspect([video], out=tmp_path / "out", bundle=frame_bundle, options=CPU)
    assert made.summary == "1 of 1 inspected (1 before)"
    script = (
        "import sys; from pathlib import Path; from urbanpipe.archive.inspect import inspect\n"
        "inspect([Path(sys.argv[1])], out=Path(sys.argv[2]), bundle=Path(sys.argv[3]))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(video), str(tmp_path / "out"), str(frame_bundle)], check=True)


@needs_posix
@pytest.mark.slow
def test_odd_names_have_folders_of_their_own(frame_bundle: Path, video: Path, tmp_path: Path) -> None:
    names = [
        b"\xf0\xa0\x80\xa1" * 61 + b" x.mp4",
        b"b\xff.mp4",
        b"b\xfe.mp4",
        rb"b\xff.mp4",
        b"B.mp4",
        b"b.mp4",
        b"line\nbreak.mp4",
    ]
    (tmp_path / "in").mkdir()
    for name in names:
        shutil.copy(video, tmp_path / "in" / os.fsdecode(name))
    given = [tmp_path / "in" / os.fsdecode(name) for name in names]
    for reused in (False, True):
        made = inspect(given, out=tmp_path / "out", bundle=frame_bundle, options=CPU)
        assert not made.failures
        assert len({one.name for one in made.videos}) == len(names)
        assert len({one.folder.name.casefold() for one in made.videos}) == len(names)
        assert {one.reused for one in made.videos} == {reused}


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=250))
def test_no_name_is_too_long_for_a_folder(name: str) -> None:
    assert 0 < len(f"{folder_name(name)}-12345678.started".encode()) <= 255


@pytest.mark.slow
def test_damaged_inspections_are_made_again(frame_bundle: Path, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    inspect([video], out=out, bundle=frame_bundle, options=CPU)
    (tmp_path / "b").mkdir()
    noisy_video(tmp_path / "b" / "other.mp4", np.random.default_rng(1), colour=False)
    (folder,) = (path.parent for path in out.glob(f"*/{FINDINGS}"))
    inspect([tmp_path / "b"], out=out, bundle=frame_bundle, options=CPU)
    sound = json.loads((folder / FINDINGS).read_text())

    def edited(*keys: str, value: Any) -> Callable[[], None]:
        def write() -> None:
            table = json.loads(json.dumps(sound))
            inner = table
            for key in keys[:-1]:
                inner = inner[key]
            inner[keys[-1]] = value
            (folder / FINDINGS).write_text(json.dumps(table))

        return write

    def written(path: Path, content: bytes) -> Callable[[], None]:
        def write() -> None:
            path.write_bytes(content)

        return write

    for damage in (
        edited("bundle", "digest", value="0" * 64),
        edited("video", "path", value="a\0b"),
        edited("video", "path", value="x" * 5000),
        edited("video", "digest", value=""),
        edited("findings", value=[]),
        written(folder / FINDINGS, b"[" * 100_000),
        written(folder / FINDINGS, b"\xff\xfe"),
        written(out / "failures.csv", b"video,reason\n\0,\n" + b"x" * 200_000),
    ):
        damage()
        made = inspect([video, tmp_path / "b"], out=out, bundle=frame_bundle, options=CPU)
        assert not made.failures
        assert [read_inspection(one.folder).video.name for one in made.videos] == [video.name, "other.mp4"]


@pytest.mark.slow
def test_a_file_or_folder_in_the_way_costs_one_video(frame_bundle: Path, video: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        shutil.copy(video, tmp_path / name)
    out = tmp_path / "out"
    (out / "b.mp4" / FINDINGS).mkdir(parents=True)
    (out / "a.mp4").write_text("a file")
    given = [tmp_path / name for name in ("a.mp4", "b.mp4", "c.mp4")]
    made = inspect(given, out=out, bundle=frame_bundle, options=CPU)
    assert list(made.failures) == ["a.mp4", "b.mp4"]
    assert "cannot write" in made.failures["a.mp4"]
    assert "findings.json" in made.failures["b.mp4"]
    assert made.index.exists()


@pytest.mark.slow
def test_without_a_lock_service_work_goes_on(
    frame_bundle: Path,
    video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    locks._warn_once.cache_clear()
    monkeypatch.setattr("fcntl.flock", no_locks)
    assert not inspect([video], out=tmp_path / "out", bundle=frame_bundle, options=CPU).failures
    assert capsys.readouterr().err.count("has no file locks") == 1


@given(data=st.data())
@settings(max_examples=40)
def test_two_files_never_have_one_folder(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever their names and contents, also once some were inspected, and on a file system that ignores case."""
    out = tmp_path_factory.mktemp("out")
    letters = st.text(st.sampled_from("aAbB. _-é井ßẞ"), min_size=1, max_size=6)
    names = data.draw(st.lists(letters.filter(lambda name: name.strip(".")), unique=True, min_size=2, max_size=6))
    folders = InspectionFolders(out, "0", "bundle")
    chosen = [folders.of(f"{name}.mp4", out / "in" / f"{name}.mp4", "same") for name in names]
    assert len({folder.name.casefold() for folder in chosen}) == len(names)


@pytest.mark.slow
def test_the_command_shows_every_name_in_any_encoding(frame_bundle: Path, video: Path, tmp_path: Path) -> None:
    shutil.copy(video, tmp_path / "井.mp4")
    arguments = ["inspect", str(tmp_path / "井.mp4"), "--out", str(tmp_path / "out"), "--bundle", str(frame_bundle)]
    process = StartedProcess("urbanpipe.cli.main", arguments, env={"PYTHONIOENCODING": "ascii"})
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert printed.startswith("\\u4e95.mp4: ")
    assert CliRunner().invoke(app, arguments).exit_code == 0


@pytest.mark.slow
def test_an_interrupted_predict_goes_on(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", recipe_of("frame"))
    (tmp_path / "in").mkdir()
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        shutil.copy(video, tmp_path / "in" / name)
    whole = predict(run, [tmp_path / "in"], out=tmp_path / "whole.json", workers=0, options=CPU)
    predicted = list[int]()

    def counted(runtimes: Any, batches: Any) -> Any:
        for index, result in predict_batches(runtimes, batches):
            predicted.append(index)
            yield index, result
            if len(predicted) == 2 and not (tmp_path / ".p.parts" / "damaged").exists():
                sys.exit(130)

    monkeypatch.setattr(module, "predict_batches", counted)
    with pytest.raises(SystemExit):
        predict(run, [tmp_path / "in"], out=tmp_path / "p.json", workers=0, options=CPU)
    assert not (tmp_path / "p.json").exists()
    (kept, _) = (tmp_path / ".p.parts").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])  # damaged: predicted again
    (tmp_path / ".p.parts" / "damaged").touch()
    predicted.clear()
    done = predict(run, [tmp_path / "in"], out=tmp_path / "p.json", workers=0, options=CPU)
    assert len(predicted) == 2
    assert (tmp_path / "p.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert (tmp_path / "p.segments.npz").exists() == (tmp_path / "whole.segments.npz").exists()
    np.testing.assert_array_equal(done.predictions.scores, whole.predictions.scores)
    assert not (tmp_path / ".p.parts").exists()
