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
from urbanpipe.cli.main import RESUMABLE, VERBS, interrupted


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
