"""Workers that share an archive: leases, two writers, and workers that are killed."""

import os
import random
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.archive_material import PYTHON, TESTS, make_clips, merged, stub_run
from helpers.stub_inspector import StubInspector
from urbanpipe.api import archive_plan, archive_status
from urbanpipe.archive.shards.inspecting import VideoWork
from urbanpipe.archive.shards.leases import Lease, Leases, lease_name, new_worker
from urbanpipe.archive.shards.shard_run import ShardPlan, run_shard
from urbanpipe.archive_store.folder_storage import FolderStorage
from urbanpipe.archive_store.manifest import read_manifest
from urbanpipe.errors import LeaseLostError

PLAN = ShardPlan("results/test")


def stub_work() -> VideoWork:
    return VideoWork(StubInspector())


def planned(tmp_path: Path, clips: int) -> Path:
    archive_plan([make_clips(tmp_path / "videos", clips)], tmp_path / "archive", shards=1)
    return tmp_path / "archive"


def test_a_lease_is_held_by_one_worker_and_given_back(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    one, other = Leases(storage, new_worker()), Leases(storage, new_worker())
    with one.taken(3) as lease, other.taken(3) as refused:
        assert lease is not None
        assert refused is None
        lease.check()
    with other.taken(3) as lease:
        assert lease is not None


def test_a_lease_without_heartbeat_is_taken_over_after_its_time(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    away = replace(new_worker(), machine="another machine", video="ab", deaths={"ab": 1})
    storage.create(lease_name(0), away.encoded())
    leases = Leases(storage, new_worker(), seconds=0.2)
    with leases.taken(0) as lease:
        assert lease is None
    time.sleep(0.21)
    with leases.taken(0) as lease:
        assert lease is not None
        assert lease.deaths == {"ab": 2}


def test_a_lease_with_heartbeat_is_not_taken_over(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    away = replace(new_worker(), machine="another machine")
    storage.create(lease_name(0), away.encoded())
    lease = Lease(storage, lease_name(0), away, 0.2)
    leases = Leases(storage, new_worker(), seconds=0.2)
    with lease.renewed():
        for _ in range(8):
            with leases.taken(0) as taken:
                assert taken is None
            time.sleep(0.05)


def test_the_lease_of_an_ended_process_of_this_machine_is_taken_over_at_once(tmp_path: Path) -> None:
    process = subprocess.Popen([PYTHON, "-c", ""])
    process.wait()
    storage = FolderStorage(tmp_path)
    storage.create(lease_name(0), replace(new_worker(), pid=process.pid).encoded())
    with Leases(storage, new_worker()).taken(0) as lease:
        assert lease is not None


def test_a_damaged_lease_is_taken_over_after_its_time(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    storage.create(lease_name(0), b"{")
    leases = Leases(storage, new_worker(), seconds=0.05)
    with leases.taken(0) as lease:
        assert lease is None
    time.sleep(0.06)
    with leases.taken(0) as lease:
        assert lease is not None


def test_a_worker_that_was_taken_over_writes_nothing(tmp_path: Path) -> None:
    archive = planned(tmp_path, 4)
    storage = FolderStorage(archive)
    videos = read_manifest(storage).of_shard(0)
    with Leases(storage, new_worker()).taken(0) as lease:
        assert lease is not None
        outcomes = run_shard(storage, PLAN, shard=0, videos=videos, lease=lease, work=stub_work)
        next(outcomes)
        storage.write(lease_name(0), new_worker().encoded())  # by another worker
        with pytest.raises(LeaseLostError, match="taken it over"):
            list(outcomes)
    assert not [*archive.rglob("*.videos.parquet")]
    assert (archive / lease_name(0)).exists()  # it is the other's


def test_of_two_writers_of_a_part_one_succeeds(tmp_path: Path) -> None:
    archive = planned(tmp_path, 4)
    storage = FolderStorage(archive)
    videos = read_manifest(storage).of_shard(0)
    barrier = threading.Barrier(2)
    ends: list[str] = []

    def write() -> None:
        lease = Lease(storage, lease_name(0), new_worker(), 60)
        lease.check = barrier.wait  # type: ignore[method-assign, assignment]
        try:
            made = list(run_shard(storage, PLAN, shard=0, videos=videos, lease=lease, work=stub_work))
            ends.append(f"{len(made)} written")
        except LeaseLostError as error:
            ends.append(str(error))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends, reverse=True) == [
        "another worker has written its results meanwhile; those made here are dropped",
        "4 written",
    ]
    assert len([*archive.rglob("*.videos.parquet")]) == 1
    assert len([*archive.rglob("*.pack")]) == 1  # the files of the other are removed


def test_what_is_finished_is_written_when_a_run_is_stopped(tmp_path: Path) -> None:
    archive = planned(tmp_path, 6)
    storage = FolderStorage(archive)
    videos = read_manifest(storage).of_shard(0)
    with Leases(storage, new_worker()).taken(0) as lease:
        assert lease is not None
        outcomes = run_shard(storage, PLAN, shard=0, videos=videos, lease=lease, work=stub_work)
        next(outcomes), next(outcomes)
        outcomes.close()
        rest = run_shard(storage, PLAN, shard=0, videos=videos, lease=lease, work=stub_work)
        assert len([*rest]) == 4


@pytest.mark.multiprocess
def test_killed_runs_end_in_the_same_tables(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 60), tmp_path / "archive"
    for path in (archive, tmp_path / "calm"):
        archive_plan([videos], path, shards=6)
    stub_run(tmp_path / "calm")
    chance = random.Random(5)
    for _ in range(2):
        process = started_run(archive, seconds=0.02, workers=1)
        wait_for_part(archive, process)
        time.sleep(chance.uniform(0, 0.4))
        process.kill()
        process.wait()
    for path in archive.rglob("*-*.pack"):  # as if a worker had been killed before the last file of a part
        path.with_name("00001-" + "0" * 12 + ".evidence.pack").write_bytes(b"left over")
    stub_run(archive)
    assert merged(archive) == merged(tmp_path / "calm")


@pytest.mark.multiprocess
def test_two_workers_and_one_killed_outright_end_in_the_same_tables(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 60), tmp_path / "archive"
    for path in (archive, tmp_path / "calm"):
        archive_plan([videos], path, shards=12)
    stub_run(tmp_path / "calm")
    killed, other = (started_run(archive, seconds=0.03, workers=1) for _ in range(2))
    wait_for_part(archive, killed)
    killed.kill()
    killed.wait()
    assert other.wait(60) == 0
    assert archive_status(archive).open == 0
    assert merged(archive) == merged(tmp_path / "calm")


@pytest.mark.multiprocess
def test_a_video_that_kills_its_worker_ends_as_failed(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 6), tmp_path / "archive"
    (videos / "kill.mp4").write_bytes(b"kill")
    archive_plan([videos], archive, shards=2)
    process = started_run(archive, seconds=0.05, workers=2, retries=0)
    assert process.wait(60) == 0
    videos_table, _ = merged(archive)
    rows = {row["uri"].rpartition("/")[2]: row for row in videos_table.to_pylist()}
    assert rows.pop("kill.mp4")["kind"] == "died"
    assert {row["status"] for row in rows.values()} == {"ok"}


@pytest.mark.multiprocess
def test_sigterm_ends_workers_with_their_results_written(tmp_path: Path) -> None:
    archive = planned(tmp_path, 40)
    process = started_run(archive, seconds=0.3, workers=2)  # slow enough not to end before the signal
    deadline = time.monotonic() + 30
    while not [*archive.rglob("leases/*.json")] and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    children = process_children(process.pid)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    while any(alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    found = archive_status(archive)
    assert 0 < found.statuses["ok"] < 40
    assert found.shards_running == 0


def started_run(archive: Path, seconds: float, workers: int, retries: int = 2) -> "subprocess.Popen[bytes]":
    arguments = [PYTHON, "-m", "helpers.stub_inspector", archive, seconds, workers, retries]
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])
    return subprocess.Popen([str(argument) for argument in arguments], env=os.environ | {"PYTHONPATH": paths})


def wait_for_part(archive: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the process has completed another part, or has ended."""
    before = len([*archive.rglob("*.videos.parquet")])
    while len([*archive.rglob("*.videos.parquet")]) == before and process.poll() is None:
        time.sleep(0.01)


def process_children(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def alive(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
