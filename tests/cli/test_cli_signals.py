"""Signals and outputs of the command line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.heeded_signals import heed_signals
from helpers.platforms import needs_posix
from helpers.tiny_recipes import TINY
from urbanpipe.cli.main import RESUMABLE, VERBS, interrupted
from urbanpipe.methods.recipe import load_recipe, write_recipe


@needs_posix
@pytest.mark.multiprocess
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_termination_ends_like_an_interrupt(name: str, tmp_path: Path) -> None:
    number = signal.Signals[name]
    command = [sys.executable, "-m", "urbanpipe.cli.main", "simulate", str(tmp_path / "s"), "--videos", "400"]
    with subprocess.Popen(
        [*command, "--workers", "1"], stderr=subprocess.PIPE, text=True, preexec_fn=heed_signals
    ) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("s/videos/*.mp4")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "finished work is kept" in errors
    assert "Traceback" not in errors


@needs_posix
@pytest.mark.slow
@pytest.mark.multiprocess
def test_a_signal_to_all_processes_ends_a_training_though_it_ends_the_loading_processes_too(
    archive: Path, tmp_path: Path
) -> None:
    """A service manager and a closed terminal signal every process; torch raises an error where a loader ends."""
    settings = [*TINY, "name=tiny", "training.epochs=500", "training.workers=2"]
    write_recipe(load_recipe("small-mobilenetv2", settings), tmp_path / "tiny.toml")
    command = [sys.executable, "-m", "urbanpipe.cli.main", "train", str(archive / "catalog.csv"), "--device", "cpu"]
    arguments = ["--recipe", str(tmp_path / "tiny.toml"), "--cache-gb", "0", "--out", str(tmp_path / "run")]
    errors = tmp_path / "errors.txt"
    with (
        errors.open("w") as stream,
        subprocess.Popen(
            [*command, *arguments], stdout=stream, stderr=stream, start_new_session=True, preexec_fn=heed_signals
        ) as process,
    ):
        deadline = time.monotonic() + 120
        while "epoch 1/500: loss" not in errors.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    assert errors.read_text().endswith("interrupted; finished work is kept, rerun the same command to resume\n")


def test_only_verbs_that_resume_say_so() -> None:
    assert set(VERBS) >= RESUMABLE
    assert "finished work is kept" in interrupted(["urbanpipe", "predict", "run", "evaluate"])
    for verb in set(VERBS) - RESUMABLE:
        restarts = "interrupted; rerun the same command to start again"
        stops = "stopped; everything that was saved is kept"
        assert interrupted(["urbanpipe", verb, "x"]) == (stops if verb == "review" else restarts)


@needs_posix
@pytest.mark.multiprocess
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_name_that_the_output_cannot_show_is_escaped(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "井.mp4").write_bytes(b"no video")
    (tmp_path / os.fsdecode(b"b\xff.mp4")).write_bytes(b"no video")
    out = tmp_path / "管.csv"
    done = subprocess.run(
        [sys.executable, "-m", "urbanpipe.cli.main", "scan", str(tmp_path), "--out", str(out)],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode in {0, 3}
    shown = "管" if encoding == "utf-8" else "\\u7ba1"
    assert shown in done.stdout.decode(encoding)
