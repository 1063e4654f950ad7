"""What goes wrong around an archive: credentials, buckets, throttling, full disks, other bundles, and long videos."""

import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from helpers.archive_material import make_clips, merged, statuses, stub_run
from helpers.scripted_s3 import KEY, NO_BUCKET, REFUSED, SECRET, THROTTLED, ScriptedS3, scripted_s3
from helpers.stub_inspector import StubInspector, StubSource
from urbanpipe.api import archive_plan, archive_query, archive_status
from urbanpipe.archive.shards import inspecting
from urbanpipe.archive.shards.inspecting import InspectedVideo, VideoInspector
from urbanpipe.archive.shards.run import ArchiveRun
from urbanpipe.archive_store import extra, object_storage
from urbanpipe.archive_store.archive_settings import ArchiveSettings, settle
from urbanpipe.archive_store.folder_storage import FolderStorage
from urbanpipe.cli.main import app
from urbanpipe.errors import ArchiveError, OutputError, StorageError


@dataclass(frozen=True)
class CallingSource(StubSource):
    """Gives workers stub inspectors that call a function with each video first."""

    call: Callable[[Path], object] = field(default=lambda _: None)

    def load(self) -> VideoInspector:
        return _Calling(self.call)


@dataclass
class _Calling:
    call: Callable[[Path], object]

    def inspect(self, video: Path) -> InspectedVideo:
        self.call(video)
        return StubInspector().inspect(video)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedS3]:
    """A service with three videos in a bucket."""
    monkeypatch.setattr(object_storage, "RETRIES", 0)
    inspecting._opened.cache_clear()  # it holds stores of services of other tests
    with scripted_s3(monkeypatch) as service:
        service.objects.update({f"videos/clip{number}.mp4": b"clip %d" % number for number in range(3)})
        yield service
    inspecting._opened.cache_clear()


@pytest.mark.parametrize("given", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", None])
def test_missing_credentials_are_one_line(given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "RETRIES", 0)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")  # as if this were no machine of Amazon's
    if given is not None:
        monkeypatch.setenv(given, SECRET)
    with pytest.raises(StorageError, match="there are no credentials; set AWS_ACCESS_KEY_ID") as caught:
        archive_status("s3://archives/x")
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_refused_credentials_leave_no_secret_in_messages_and_logs(
    s3: ScriptedS3, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    log = tmp_path / "log.txt"
    archive_plan(["s3://videos"], tmp_path / "archive", shards=1)
    s3.fail(REFUSED)
    plan = ["archive", "plan", "s3://videos", "--archive", "s3://archives/x", "--log-file", str(log)]
    done = CliRunner().invoke(app, plan)
    assert "the credentials are refused" in str(done.exception)
    assert "\n" not in str(done.exception)
    assert stub_run(tmp_path / "archive", retries=1).statuses == {"failed": 3}
    message = archive_query(tmp_path / "archive", "SELECT message FROM videos").rows[0][0]
    written = "".join(
        [str(done.exception), done.output, log.read_text(), caplog.text, *capfd.readouterr(), str(message)]
    )
    assert "the credentials are refused" in str(message)
    assert KEY not in written
    assert SECRET not in written


def test_a_bucket_of_videos_that_vanishes_costs_rows_and_comes_back(s3: ScriptedS3, tmp_path: Path) -> None:
    archive_plan(["s3://videos"], tmp_path / "archive", shards=1)
    s3.fail(NO_BUCKET)
    assert stub_run(tmp_path / "archive").statuses == {"failed": 3}
    stage, kind, message = archive_query(tmp_path / "archive", "SELECT stage, kind, message FROM videos").rows[0]
    assert (stage, kind) == ("read", "StorageError")
    assert str(message).endswith("there is no such bucket")
    s3.errors = 0
    assert stub_run(tmp_path / "archive", again=True).statuses == {"ok": 3}


def test_a_bucket_that_vanishes_stops_the_run_before_all_its_videos_have_failed(s3: ScriptedS3, tmp_path: Path) -> None:
    s3.objects.update({f"videos/more{number}.mp4": b"clip" for number in range(22)})
    archive_plan(["s3://videos"], tmp_path / "archive", shards=1)
    s3.fail(NO_BUCKET)
    with pytest.raises(ArchiveError, match=r"20 videos failed alike \(cannot use the video: there is no such bucket\)"):
        stub_run(tmp_path / "archive", retries=0)
    assert archive_status(tmp_path / "archive").open == 25


def test_an_archive_that_vanishes_during_its_run_is_one_line(s3: ScriptedS3) -> None:
    def vanish(video: Path) -> None:
        if video.name == "clip2.mp4":
            s3.fail(NO_BUCKET)

    archive_plan(["s3://videos"], "s3://archives/a", shards=1)
    with pytest.raises(StorageError, match="there is no such bucket") as caught:
        stub_run("s3://archives/a", CallingSource(call=vanish))
    assert "\n" not in str(caught.value)
    s3.errors = 0
    assert stub_run("s3://archives/a", lease_seconds=0.1).statuses == {"ok": 3}


def test_throttling_that_ends_is_waited_for(s3: ScriptedS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "RETRIES", 2)
    s3.fail(THROTTLED, times=2)
    assert archive_plan(["s3://videos"], tmp_path / "archive", shards=1).videos == 3
    s3.fail(THROTTLED, times=2)
    assert stub_run(tmp_path / "archive").statuses == {"ok": 3}
    assert s3.errors == 0


def test_throttling_that_does_not_end_is_one_line(s3: ScriptedS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "RETRIES", 1)
    s3.fail(THROTTLED)
    with pytest.raises(StorageError, match="still throttling") as caught:
        archive_status("s3://archives/x")
    assert "\n" not in str(caught.value)


def test_a_video_that_does_not_fit_on_the_disk_is_refused_and_the_others_are_inspected(
    s3: ScriptedS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.objects["videos/long.mp4"] = b"clip" * 1000
    archive_plan(["s3://videos"], tmp_path / "archive", shards=1)
    free = inspecting._FREE_BYTES + 1000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert stub_run(tmp_path / "archive").statuses == {"ok": 3, "refused": 1}
    assert statuses(tmp_path / "archive")["long.mp4"] == "refused"


def test_a_video_that_changes_while_it_is_inspected_is_refused(tmp_path: Path) -> None:
    archive_plan([make_clips(tmp_path / "videos", 3)], tmp_path / "archive", shards=1)
    change = CallingSource(call=lambda video: video.name == "clip001.mp4" and video.write_bytes(b"another clip"))
    assert stub_run(tmp_path / "archive", change).statuses == {"ok": 2, "refused": 1}
    assert statuses(tmp_path / "archive")["clip001.mp4"] == "refused"


def test_of_two_workers_that_begin_with_different_bundles_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, barrier = FolderStorage(tmp_path), threading.Barrier(2)
    create = FolderStorage.create
    monkeypatch.setattr(FolderStorage, "create", lambda *given: (barrier.wait(), create(*given))[1])
    bundles = [ArchiveSettings(bundle=name, digest=name * 32) for name in "ab"]
    ends = in_threads(*[lambda settings=settings: settle(storage, settings) for settings in bundles])
    errors = [end for end in ends if isinstance(end, Exception)]
    assert len(errors) == 1
    assert isinstance(errors[0], ArchiveError)
    assert "give the same bundle, or plan another archive" in str(errors[0])


def test_a_worker_whose_bundle_differs_inspects_nothing(tmp_path: Path) -> None:
    digests = iter(["d" * 32, "e" * 32])  # of this machine, and of the machine of the worker

    class Differs(StubSource):
        def settings(self) -> ArchiveSettings:
            return ArchiveSettings(bundle="stub", digest=next(digests))

    archive_plan([make_clips(tmp_path / "videos", 3)], tmp_path / "archive", shards=1)
    with pytest.raises(ArchiveError, match=r"the bundle of a worker on .* is not that of .*; give all machines"):
        stub_run(tmp_path / "archive", Differs())
    assert archive_status(tmp_path / "archive").open == 3


@pytest.mark.parametrize("verb", [("run",), ("status",), ("merge",), ("query", "SELECT 1")])
def test_a_worker_without_the_extra_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...]
) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda name: None if name == "obstore" else name)
    done = CliRunner().invoke(app, ["archive", verb[0], str(tmp_path), *verb[1:]])
    assert str(done.exception) == "`archive` needs the package obstore; run `pip install 'urbanpipe[archive]'`"


def test_a_full_disk_of_one_worker_leaves_its_videos_to_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, written = set[int](), os.fsync

    def synced(handle: int) -> None:
        if threading.get_ident() in full:
            raise OSError(errno.ENOSPC, "No space left on device")
        written(handle)

    monkeypatch.setattr(os, "fsync", synced)
    archive = tmp_path / "archive"
    archive_plan([make_clips(tmp_path / "videos", 12)], archive, shards=4)
    one, other = in_threads(
        lambda: stub_run(archive, CallingSource(call=lambda _: full.add(threading.get_ident()))),
        lambda: stub_run(archive, CallingSource(call=lambda _: waited(lambda: full))),
    )
    assert isinstance(one, OutputError)
    assert "the disk is full" in str(one)
    assert isinstance(other, ArchiveRun)
    assert set(statuses(archive).values()) == {"ok"}
    assert merged(archive)[0].num_rows == 12


@pytest.mark.slow
def test_a_long_video_among_clips_keeps_its_lease_while_others_do_the_rest(tmp_path: Path) -> None:
    """The inspection of the long video takes longer than a lease lasts."""
    archive, lease_seconds = tmp_path / "archive", 0.8
    archive_plan([make_clips(tmp_path / "videos", 12)], archive, shards=4)
    done, long = list[str](), "clip005.mp4"

    def inspect(video: Path) -> None:
        done.append(video.name)
        if video.name == long:
            waited(lambda: len(done) > 6)
            time.sleep(1.5 * lease_seconds)

    runs = in_threads(*[lambda: stub_run(archive, CallingSource(call=inspect), lease_seconds=lease_seconds)] * 2)
    assert not any(run.lost for run in runs if isinstance(run, ArchiveRun))
    assert sorted(done) == sorted(set(done))
    assert len(done) == merged(archive)[0].num_rows == 12


def in_threads(*calls: Callable[[], object]) -> list[object]:
    """What functions return or raise that run at the same time."""
    ends: list[object] = [None] * len(calls)

    def run(number: int) -> None:
        try:
            ends[number] = calls[number]()
        except Exception as error:
            ends[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


def waited(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
