"""An archive in a folder: plan, run, status, merge, query and report."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.archive_material import make_clips, merged, statuses, stub_run
from helpers.platforms import is_root
from helpers.stub_inspector import StubInspector, StubSource
from urbanpipe.api import archive_merge, archive_plan, archive_query, archive_report, archive_status
from urbanpipe.archive.shards.workers import share_of
from urbanpipe.archive_store.manifest import shard_of
from urbanpipe.archive_store.storage import MANIFEST
from urbanpipe.contracts.findings import read_inspection, read_timeline
from urbanpipe.contracts.stored_inspection_data import read_stored_data
from urbanpipe.errors import ArchiveError, OutputError
from urbanpipe.inspection.placing import placed
from urbanpipe.report.html import write_report


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of 30 clips in two folders, run and merged, in which no test may change a file."""
    folder = tmp_path_factory.mktemp("archive")
    make_clips(folder / "videos" / "contract7", 20)
    make_clips(folder / "videos" / "contract8", 10)
    (folder / "videos" / "notes.txt").write_text("no video")
    archive_plan([folder / "videos"], folder / "archive", shards=4)
    stub_run(folder / "archive")
    archive_merge(folder / "archive")
    return folder / "archive"


def test_equal_names_in_two_folders_are_two_videos(done: Path) -> None:
    rows = archive_query(done, "SELECT count(*), count(DISTINCT id), count(DISTINCT name) FROM videos").rows
    assert rows == [(30, 30, 20)]


def test_the_plan_counts_new_changed_and_earlier_videos(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 5), tmp_path / "archive"
    first = archive_plan([videos], archive, shards=3)
    assert (first.videos, first.shards, first.added, first.changed, first.kept) == (5, 3, 5, 0, 0)
    (videos / "clip000.mp4").write_bytes(b"longer than before")
    (videos / "clip001.mp4").unlink()
    make_clips(videos, 2, first=5)
    again = archive_plan([videos, videos / "clip002.mp4"], archive)
    assert (again.videos, again.shards, again.added, again.changed, again.kept) == (7, 3, 2, 1, 1)


def test_shards_are_ranges_of_ids_of_about_equal_size(done: Path) -> None:
    table = pq.read_table(done / MANIFEST)
    assert table["shard"].to_pylist() == sorted(table["shard"].to_pylist())
    assert table["id"].to_pylist() == sorted(table["id"].to_pylist())
    sizes = [sum(shard_of(f"{number * 2**54:016x}", 5) == shard for number in range(1024)) for shard in range(5)]
    assert max(sizes) - min(sizes) <= 1


def test_another_number_of_shards_is_refused(done: Path) -> None:
    with pytest.raises(ArchiveError, match="has 4 shards, not 5"):
        archive_plan([done.parent / "videos"], done, shards=5)


@pytest.mark.parametrize(("text", "reason"), [("absent", "is missing"), ("videos/notes.txt.d", "is missing")])
def test_a_source_that_is_missing_is_named(done: Path, text: str, reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason):
        archive_plan([done.parent / text], done)


def test_a_rerun_inspects_nothing_and_one_new_video_costs_one(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 12), tmp_path / "archive"
    archive_plan([videos], archive, shards=3)
    assert stub_run(archive).statuses == {"ok": 12}
    rerun = stub_run(archive)
    assert (rerun.before, rerun.statuses) == (12, {})
    make_clips(videos, 1, first=12)
    archive_plan([videos], archive)
    assert stub_run(archive).statuses == {"ok": 1}
    assert merged(archive)[0].num_rows == 13


def test_a_changed_video_is_inspected_again_and_the_newest_result_counts(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 4), tmp_path / "archive"
    archive_plan([videos], archive, shards=2)
    stub_run(archive)
    before = merged(archive)[0].to_pylist()
    (videos / "clip002.mp4").write_bytes(b"another clip")
    archive_plan([videos], archive)
    assert archive_status(archive).open == 1
    assert stub_run(archive).statuses == {"ok": 1}
    after = merged(archive)[0].to_pylist()
    changed = [new["name"] for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ["clip002.mp4"]


def test_every_video_ends_in_a_row(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 5), tmp_path / "archive"
    for name in ("damaged", "bug", "network"):
        (videos / f"{name}.mp4").write_bytes(name.encode())
    archive_plan([videos], archive, shards=2)
    (videos / "clip000.mp4").unlink()
    (videos / "clip001.mp4").write_bytes(b"changed")
    made = stub_run(archive)
    assert made.statuses == {"ok": 4, "damaged": 1, "failed": 1, "missing": 1, "refused": 1}
    assert {name: status for name, status in statuses(archive).items() if status != "ok"} == {
        "damaged.mp4": "damaged",
        "bug.mp4": "failed",
        "clip000.mp4": "missing",
        "clip001.mp4": "refused",
    }
    rows = archive_query(archive, "SELECT stage, kind, message FROM videos WHERE status = 'failed'").rows
    assert rows == [("inspect", "ZeroDivisionError", "a bug")]
    (message,) = archive_query(archive, "SELECT message FROM videos WHERE status = 'refused'").rows[0]
    assert "plan` again" in str(message)


def test_again_tries_what_may_succeed_by_now(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 3), tmp_path / "archive"
    (videos / "damaged.mp4").write_bytes(b"damaged")
    archive_plan([videos], archive, shards=1)
    held = videos / "clip001.mp4"
    held.rename(tmp_path / "away")
    assert stub_run(archive).statuses == {"ok": 2, "missing": 1, "damaged": 1}
    (tmp_path / "away").rename(held)
    assert stub_run(archive).statuses == {}
    assert stub_run(archive, again=True).statuses == {"ok": 1}
    assert set(statuses(archive).values()) == {"ok", "damaged"}


def test_videos_that_all_fail_alike_stop_the_run(tmp_path: Path) -> None:
    videos, archive = tmp_path / "videos", tmp_path / "archive"
    videos.mkdir()
    for number in range(25):
        (videos / f"{number}.mp4").write_bytes(b"bug %d" % number)
    archive_plan([videos], archive, shards=1)
    with pytest.raises(ArchiveError, match="the last 20 videos failed alike"):
        stub_run(archive, retries=0)
    assert archive_status(archive).open == 25


def test_a_part_is_four_objects_and_the_budget_holds(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 20), tmp_path / "archive"
    archive_plan([videos], archive, shards=1)
    stub_run(archive)
    kinds = sorted(path.name.split(".", 1)[1] for path in (archive / "results").rglob("*") if path.is_file())
    assert kinds == ["evidence.pack", "findings.parquet", "timelines.arrow", "videos.parquet"]
    assert not [*(archive / "leases").iterdir()]


def test_shares_of_machines_are_disjoint_and_complete(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 20), tmp_path / "archive"
    archive_plan([videos], archive, shards=7)
    counts = [stub_run(archive, shard=share_of(f"{number}/3")).statuses["ok"] for number in range(3)]
    assert sum(counts) == 20
    assert min(counts) > 0
    assert merged(archive)[0].num_rows == 20


@pytest.mark.parametrize("text", ["3/3", "1", "a/b", "-1/2", "0/0"])
def test_a_share_that_is_none_is_refused(done: Path, text: str) -> None:
    with pytest.raises(ArchiveError, match="such as 0/4"):
        stub_run(done, shard=share_of(text))


def test_another_bundle_is_refused(done: Path) -> None:
    with pytest.raises(ArchiveError, match="plan another archive"):
        stub_run(done, StubSource(digest="e" * 32))


def test_an_unfinished_archive_is_not_merged_but_can_be_queried(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 8), tmp_path / "archive"
    archive_plan([videos], archive, shards=4)
    with pytest.raises(ArchiveError, match="no results yet"):
        archive_merge(archive)
    stub_run(archive, shard=(0, 2))
    with pytest.raises(ArchiveError, match=r"of the 8 videos of .* have no result yet; run"):
        archive_merge(archive)
    found = archive_query(archive, "SELECT count(*) FROM videos JOIN findings USING (id) WHERE code = 'SL'")
    assert not found.merged
    assert found.rows == [(archive_status(archive).statuses["ok"],)]


def test_a_query_after_more_runs_does_not_read_the_old_merge(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 3), tmp_path / "archive"
    archive_plan([videos], archive, shards=1)
    stub_run(archive)
    archive_merge(archive)
    assert archive_query(archive, "SELECT count(*) FROM videos").merged
    make_clips(videos, 1, first=3)
    archive_plan([videos], archive)
    stub_run(archive)
    assert archive_query(archive, "SELECT count(*) FROM videos").rows == [(4,)]


def test_two_results_of_one_version_are_named(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 2), tmp_path / "archive"
    archive_plan([videos], archive, shards=1)
    stub_run(archive)
    (first,) = (archive / "results").rglob("00001.videos.parquet")
    first.with_name("00002.videos.parquet").write_bytes(first.read_bytes())
    with pytest.raises(ArchiveError, match="two results in the same version of 2 videos"):
        archive_merge(archive)


def earlier_version(manifest: Path) -> bytes:
    """A manifest whose format is that of an earlier version."""
    facts = {b"urbanpipe.format": b"urbanpipe archive manifest 0", b"urbanpipe.shards": b"4"}
    sink = pa.BufferOutputStream()
    pq.write_table(pq.read_table(manifest).replace_schema_metadata(facts), sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data


@pytest.mark.parametrize("content", [b"PAR1 cut", b"", b"\x89PNG", "old", "a table of something else"])
def test_an_old_or_foreign_manifest_is_refused(tmp_path: Path, content: bytes | str, done: Path) -> None:
    if content == "old":
        content = earlier_version(done / MANIFEST)
    elif isinstance(content, str):
        content = (done / "merged" / "videos.parquet").read_bytes()
    path = tmp_path / MANIFEST
    path.write_bytes(content)
    calls: list[Callable[[Path], object]] = [
        stub_run,
        archive_status,
        lambda archive: archive_plan([done.parent / "videos"], archive),
    ]
    for call in calls:
        with pytest.raises(ArchiveError, match=r"is damaged|has the format"):
            call(tmp_path)


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 2), tmp_path / "archive"
    archive_plan([videos], archive, shards=1)
    stub_run(archive)
    (path,) = (archive / "results").rglob("*.videos.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArchiveError, match=r"videos\.parquet is damaged"):
        archive_status(archive)


def test_results_are_counted_by_status(done: Path) -> None:
    found = archive_status(done)
    assert (found.videos, found.open, found.shards_done, found.statuses) == (30, 0, 4, {"ok": 30})
    assert json.loads(json.dumps(found.as_json()))["statuses"] == {"ok": 30}
    assert "30 videos: 30 ok, 0 open" in list(found.lines())


def test_a_query_finds_the_worst_of_a_contract(done: Path) -> None:
    sql = "SELECT uri, probability FROM findings WHERE code = 'SL' AND probability > .6 AND uri LIKE '%/contract7/%'"
    rows = archive_query(done, f"{sql} ORDER BY probability DESC").rows
    expected = []
    for path in (done.parent / "videos" / "contract7").iterdir():
        probability = StubInspector().inspect(path).inspection.findings[0].probability
        expected += [(str(path), probability)] if probability > 0.6 else []
    assert sorted(rows) == sorted(expected)
    assert len(rows) > 2
    assert [row[1] for row in rows] == sorted((row[1] for row in rows), reverse=True)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT * FROM '{secret}'", "the query failed"),
        ("SELECT * FROM read_text('{secret}')", "the query failed"),
        ("COPY videos TO '{secret}'", "one SELECT"),
        ("DROP VIEW videos", "one SELECT"),
        ("SET enable_external_access = true", "one SELECT"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("", "one SELECT"),
        ("SELECT nothing FROM videos", "the query failed"),
        ("SELEC", "the query failed"),
    ],
)
def test_sql_reads_the_tables_alone(done: Path, tmp_path: Path, sql: str, reason: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    with pytest.raises(ArchiveError, match=reason) as caught:
        archive_query(done, sql.format(secret=secret))
    assert "\n" not in str(caught.value)
    assert secret.read_text() == "a,b\n1,2\n"


def test_a_report_is_the_folder_that_inspect_writes(done: Path, tmp_path: Path) -> None:
    video = done.parent / "videos" / "contract7" / "clip003.mp4"
    made = archive_report(done, "contract7/clip003.mp4", out=tmp_path / "rebuilt")
    assert made.uri == str(video)
    inspected = StubInspector().inspect(video)
    direct = tmp_path / "written"
    direct.mkdir()
    for name, data in inspected.pictures.items():
        (direct / name).write_bytes(data)
    write_report(placed(inspected.inspection, video, direct), direct)
    files = {path.name: path.read_bytes() for path in direct.iterdir()}
    assert {path.name: path.read_bytes() for path in made.report.parent.iterdir()} == files
    assert {"findings.json", "timeline.json", "report.html"} < files.keys()
    assert read_inspection(made.report.parent).video.name == "clip003.mp4"
    assert read_timeline(made.report.parent) == inspected.inspection.timeline


def test_a_report_shows_the_inspection_data_of_its_video(done: Path, tmp_path: Path) -> None:
    rows = [f"contract{number}/clip003.mp4,Street {number}" for number in (7, 8)]
    (tmp_path / "data.csv").write_text("\n".join(["video,street", *rows, "other.mp4,Street 9"]) + "\n")
    sources = (tmp_path / "data.csv", "{job}/clip*")
    made = archive_report(done, "contract7/clip003.mp4", out=tmp_path / "out", inspection_data=sources)
    assert made.data is not None
    assert (made.data.street, made.data.job) == ("Street 7", "contract7")
    page = made.report.read_text(encoding="utf-8")
    assert "Street 7" in page
    assert "Street 8" not in page
    assert read_stored_data(tmp_path / "out") == made.data
    other = archive_report(done, "contract8/clip003.mp4", out=tmp_path / "out")
    assert "Street 7" not in other.report.read_text(encoding="utf-8"), "it is of another video"


@pytest.mark.parametrize(("name", "reason"), [("clip003.mp4", "may be 2 videos"), ("absent.mp4", "has no video")])
def test_a_report_of_an_unclear_video_is_refused(done: Path, tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason):
        archive_report(done, name, out=tmp_path)


def test_a_full_disk_ends_the_run_with_a_line_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    archive = tmp_path / "archive"
    archive_plan([make_clips(tmp_path / "videos", 3)], archive, shards=1)
    stub_run(archive, shard=(1, 2))  # settings are written, and nothing else
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="the disk is full"):
            stub_run(archive)
    assert not [*archive.rglob("*.videos.parquet")]
    stub_run(archive)
    assert merged(archive)[0].num_rows == 3


@pytest.mark.skipif(os.name == "nt" or is_root, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(Exception, match="cannot write"):
        archive_plan([make_clips(tmp_path / "videos", 1)], closed / "archive")
