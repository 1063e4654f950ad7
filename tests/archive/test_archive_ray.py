"""An archive that is run on a Ray cluster of this machine."""

import os
import subprocess
from pathlib import Path

import pytest

from helpers.archive_material import PYTHON, TESTS, make_clips, merged, stub_run
from urbanpipe.api import archive_plan

pytest.importorskip("ray", reason="the extra `ray` is not installed")


@pytest.mark.multiprocess
def test_actors_end_in_the_same_tables_although_one_is_killed_again_and_again(tmp_path: Path) -> None:
    videos = make_clips(tmp_path / "videos", 12)
    (videos / "kill.mp4").write_bytes(b"kill")
    archive = tmp_path / "archive"
    archive_plan([videos], archive, shards=3)
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])
    environment = os.environ | {"PYTHONPATH": paths, "RAY_USAGE_STATS_ENABLED": "0"}
    arguments = [PYTHON, "-m", "helpers.stub_inspector", str(archive), "0.05", "1", "0", "local"]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "'failed': 1" in done.stdout
    (videos / "kill.mp4").unlink()
    archive_plan([videos], tmp_path / "calm", shards=3)
    stub_run(tmp_path / "calm")
    names = [row["name"] for row in merged(archive)[0].to_pylist() if row["status"] == "ok"]
    assert sorted(names) == [f"clip{number:03d}.mp4" for number in range(12)]
    assert merged(archive)[1] == merged(tmp_path / "calm")[1]
