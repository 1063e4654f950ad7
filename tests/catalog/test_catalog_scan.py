import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import pytest

from helpers.catalog_material import write_sound, write_video
from helpers.platforms import needs_posix
from urbanpipe.catalog.catalog_file import Catalog, read_catalog, write_catalog
from urbanpipe.catalog.scan import scan, scan_report
from urbanpipe.errors import CatalogError, LabelError, OutputError
from urbanpipe.video import decoder_process


def labels_of(folder: Path, labels: dict[str, str]) -> Path:
    path = folder / "labels.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("video", "labels"), *labels.items()])
    return path


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    return tmp_path / "videos"


@pytest.fixture
def probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of the files that are probed, by processes that `hang*` and `crash*` files harm."""
    monkeypatch.setattr(decoder_process, "WORKER", "helpers.troubled_decoder")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    monkeypatch.setenv("PROBED", str(tmp_path / "probed.log"))
    return tmp_path / "probed.log"


def test_good_videos_of_all_kinds_and_names(tmp_path: Path, videos: Path) -> None:
    write_video(videos / "d1_1.mp4", frames=6, size=(64, 48), rate=10)
    write_video(videos / "deep" / "er" / "two words.MP4", level=1)
    write_video(videos / "管道 检测.avi", level=2)
    write_video(videos / ".hidden.mp4")
    write_video(videos / ".hidden" / "x.mp4")
    (videos / "notes.txt").write_text("x")
    (videos / "README").write_text("x")
    labels = labels_of(tmp_path, {"d1_1.mp4": "CJ QF", "two words.MP4": "-", "管道 检测.avi": "ZC"})
    report = scan_report(videos, tmp_path / "catalog.csv", labels, workers=2)
    found = {video.name: video for video in report.catalog.videos}
    assert list(found) == ["d1_1.mp4", "two words.MP4", "管道 检测.avi"]
    assert {video.status for video in found.values()} == {"ok"}
    first = found["d1_1.mp4"]
    assert (first.frame_count, first.width, first.height, first.codec) == (6, 64, 48, "mpeg4")
    assert first.frame_rate == pytest.approx(10)
    assert first.duration_seconds == pytest.approx(0.6)
    assert first.size_bytes == (videos / "d1_1.mp4").stat().st_size
    assert (first.group, first.labels, found["two words.MP4"].labels) == ("d1", (1, 14), ())
    assert report.left_out == {".txt": 1, "no extension": 1}
    assert read_catalog(tmp_path / "catalog.csv") == report.catalog
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@needs_posix
@pytest.mark.slow
def test_bad_files_are_rows_with_their_reason(tmp_path: Path, videos: Path) -> None:
    good = write_video(videos / "good.mp4", frames=40)
    (videos / "empty.mp4").write_bytes(b"")
    (videos / "text.mp4").write_text("this is not a video")
    (videos / "cut.mp4").write_bytes(good.read_bytes()[:200])
    write_sound(videos / "sound.mp4")
    (videos / "broken link.mp4").symlink_to(videos / "nowhere.mp4")
    os.mkfifo(videos / "pipe.mp4")
    (videos / "folder.mp4").mkdir()
    catalog = scan(videos, out=tmp_path / "catalog.csv", workers=2)
    reasons = {video.name: video.status for video in catalog.videos}
    assert [name for name, reason in reasons.items() if reason == "ok"] == ["good.mp4"]
    assert len(reasons) == 7
    assert "empty" in reasons["empty.mp4"]
    assert "sound" in reasons["sound.mp4"] or "audio" in reasons["sound.mp4"]
    assert "link" in reasons["broken link.mp4"]
    assert reasons["pipe.mp4"] == "not a regular file"
    assert all(reason and "\n" not in reason for reason in reasons.values())


@pytest.mark.slow
def test_one_video_alone(tmp_path: Path, videos: Path) -> None:
    write_video(videos / "only.mp4")
    assert [video.status for video in scan(videos, out=tmp_path / "c.csv").videos] == ["ok"]


@pytest.mark.slow
def test_unreadable_file(tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(videos / "closed.mp4")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert scan(videos, out=tmp_path / "c.csv").videos[0].status == "cannot be opened: no permission to read it"
    monkeypatch.undo()
    assert scan(videos, out=tmp_path / "c.csv").videos[0].status == "ok", "permission is asked for again"


@needs_posix
@pytest.mark.multiprocess
def test_a_hang_or_a_crash_costs_only_its_own_video(
    tmp_path: Path, videos: Path, probed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_process, "ANSWER_SECONDS", 2.0)
    for number, name in enumerate(["a.mp4", "chatty.mp4", "crash.mp4", "hang.mp4", "z.mp4"]):
        write_video(videos / name, level=number)
    catalog = scan(videos, out=tmp_path / "c.csv", workers=2)
    reasons = {video.name: video.status for video in catalog.videos}
    assert reasons.pop("crash.mp4") == "reading it crashed the decoder (SIGSEGV)"
    assert reasons.pop("hang.mp4") == "reading it took more than 2 s"
    assert set(reasons.values()) == {"ok"}


def test_a_reason_does_not_outlive_the_content(tmp_path: Path, videos: Path) -> None:
    whole = write_video(videos / "a.mp4").read_bytes()
    (videos / "a.mp4").write_bytes(bytes(len(whole)))
    os.utime(videos / "a.mp4", ns=(1, 10**18))
    assert scan(videos, out=tmp_path / "c.csv", workers=1).videos[0].status == "not a video"
    (videos / "a.mp4").write_bytes(whole)
    os.utime(videos / "a.mp4", ns=(1, 10**18))
    assert scan(videos, out=tmp_path / "c.csv", workers=1).videos[0].status == "ok"


@pytest.mark.slow
def test_a_second_scan_reads_only_what_changed(tmp_path: Path, videos: Path, probed: Path) -> None:
    out = tmp_path / "c.csv"
    for number, name in enumerate(["a.mp4", "b.mp4", "c.mp4"]):
        write_video(videos / name, level=number)
    (videos / "bad.mp4").write_text("x")
    first = scan(videos, out=out, workers=1)
    write_video(videos / "b.mp4", frames=9)
    write_video(videos / "d.mp4", level=7)
    (videos / "c.mp4").unlink()
    probed.unlink()
    report = scan_report(videos, out, workers=1)
    assert probed.read_text(encoding="utf-8").split() == ["b.mp4", "d.mp4"]
    assert report.reused == 2
    names = {video.name: video for video in report.catalog.videos}
    assert list(names) == ["a.mp4", "b.mp4", "bad.mp4", "d.mp4"]
    assert names["a.mp4"] == first.videos[0]
    assert names["b.mp4"].frame_count == 9


@pytest.mark.slow
def test_labels_and_own_columns_survive_a_scan_without_labels(tmp_path: Path, videos: Path) -> None:
    out = tmp_path / "c.csv"
    write_video(videos / "a.mp4")
    scan(videos, out=out, labels=labels_of(tmp_path, {"a.mp4": "CJ"}))
    rows = list(csv.reader(out.read_text().splitlines()))
    out.write_text("\n".join(",".join([*row, extra]) for row, extra in zip(rows, ["site", "north"], strict=True)))
    write_video(videos / "b.mp4", level=3)
    found = scan(videos, out=out).videos
    assert [(video.labels, dict(video.extra)) for video in found] == [((1,), {"site": "north"}), (None, {})]
    assert read_catalog(out).videos[1].extra == {"site": ""}


@pytest.mark.slow
def test_labels_and_own_columns_of_moved_videos_are_kept_and_what_is_lost_is_told(tmp_path: Path, videos: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    for number, name in enumerate(("a.mp4", "b.mp4")):
        write_video(before / name, frames=5 + number)
    out = tmp_path / "catalog.csv"
    scan(before, out=out, workers=1)
    rows = read_catalog(out)
    marked = [replace(video, labels=(1,), extra={"site": video.name}) for video in rows.videos]
    gone = replace(marked[0], name="gone.mp4", path=before / "gone.mp4", digest="0")
    write_catalog(Catalog((*marked, gone), rows.taxonomy), out)
    before.rename(after)
    (after / "a.mp4").rename(after / "renamed.mp4")
    write_video(after / "a.mp4", frames=9)  # a name given again, to another recording
    report = scan_report(after, out, workers=1)
    found = {video.name: (video.labels, video.extra.get("site")) for video in report.catalog.videos}
    assert found == {"renamed.mp4": ((1,), "a.mp4"), "b.mp4": ((1,), "b.mp4"), "a.mp4": (None, None)}
    assert report.lost == ["gone.mp4"]


@needs_posix
@pytest.mark.multiprocess
def test_an_interrupted_scan_goes_on(tmp_path: Path, videos: Path, probed: Path) -> None:
    out = tmp_path / "c.csv"
    for number, name in enumerate(["a.mp4", "b.mp4", "hang.mp4", "z.mp4"]):
        write_video(videos / name, level=number)
    script = (
        "import sys; from pathlib import Path; from urbanpipe.video import decoder_process; "
        "decoder_process.WORKER = 'helpers.troubled_decoder'; "
        "from urbanpipe.catalog.scan import scan; scan(Path(sys.argv[1]), out=Path(sys.argv[2]), workers=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(videos), str(out)], start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not (probed.exists() and "hang.mp4" in probed.read_text(encoding="utf-8")):
            assert process.poll() is None, "the scan ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not out.exists()
    progress = tmp_path / ".c.csv.progress"
    with progress.open("a") as file:
        file.write('["half a li')
    probed.unlink()
    (videos / "hang.mp4").rename(videos / "well.mp4")
    report = scan_report(videos, out, workers=1)
    assert report.reused == 2
    assert probed.read_text(encoding="utf-8").split() == ["well.mp4", "z.mp4"]
    assert [video.status for video in report.catalog.videos] == ["ok"] * 4
    assert not progress.exists()


@pytest.mark.slow
def test_names_that_recur_in_folders(tmp_path: Path, videos: Path) -> None:
    for number, name in enumerate(["1_1.mp4", "north/1_1.mp4", "north/1_2.mp4", "south/1_1.mp4", "south/x.mp4"]):
        write_video(videos / name, level=number)
    labels = {"north/1_1.mp4": "CJ", "south/1_1.mp4": "CK", "./1_1.mp4": "ZC", "x.mp4": "SL", "north\\1_2.mp4": "TL"}
    found = scan(videos, out=tmp_path / "c.csv", labels=labels_of(tmp_path, labels)).videos
    assert [(video.name, video.group, video.labels) for video in found] == [
        ("./1_1.mp4", "1", (0,)),
        ("north/1_1.mp4", "north/1", (1,)),
        ("1_2.mp4", "north/1", (16,)),
        ("south/1_1.mp4", "south/1", (2,)),
        ("x.mp4", "x", (13,)),
    ]
    with pytest.raises(LabelError, match=r"'1_1\.mp4' may be .*1_1\.mp4 and north/1_1\.mp4 and 1 more"):
        scan(videos, out=tmp_path / "c.csv", labels=labels_of(tmp_path, {"1_1.mp4": "CJ"}))
    with pytest.raises(LabelError, match=r"'x\.mp4' and 'south/x\.mp4' are the same file"):
        scan(videos, out=tmp_path / "c.csv", labels=labels_of(tmp_path, {"x.mp4": "CJ", "south/x.mp4": "CJ"}))


@pytest.mark.slow
def test_copies_share_a_group(tmp_path: Path, videos: Path) -> None:
    write_video(videos / "d1_1.mp4", level=1)
    write_video(videos / "d2_1.mp4", level=2)
    write_video(videos / "e.mp4", level=3)
    (videos / "copy.mp4").write_bytes((videos / "d2_1.mp4").read_bytes())
    (videos / "d1_2.mp4").write_bytes((videos / "d2_1.mp4").read_bytes())
    found = {video.name: video.group for video in scan(videos, out=tmp_path / "c.csv").videos}
    assert len({found[name] for name in ("d1_1.mp4", "d1_2.mp4", "d2_1.mp4", "copy.mp4")}) == 1
    assert found["e.mp4"] == "e"


@pytest.mark.slow
def test_accents_may_be_encoded_differently(tmp_path: Path, videos: Path) -> None:
    decomposed, composed = normalize("NFD", "café.mp4"), normalize("NFC", "café.mp4")
    write_video(videos / decomposed)
    found = scan(videos, out=tmp_path / "c.csv", labels=labels_of(tmp_path, {composed: "CJ"})).videos
    assert [(video.name, video.labels, video.path.exists()) for video in found] == [(composed, (1,), True)]
    assert read_catalog(tmp_path / "c.csv").videos[0].path.exists()
    write_video(videos / composed)
    with pytest.raises(CatalogError, match="same name except for the encoding of accents"):
        scan(videos, out=tmp_path / "c.csv")


@needs_posix
def test_a_name_that_is_not_text(tmp_path: Path, videos: Path) -> None:
    write_video(videos / "a.mp4")
    try:
        (videos / os.fsdecode(b"b\xff.mp4")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes only names that are text")
    found = scan(videos, out=tmp_path / "c.csv").videos
    assert [(video.name, video.status) for video in found] == [
        ("a.mp4", "ok"),
        ("b\\xff.mp4", "its name is not valid text; rename it"),
    ]
    assert read_catalog(tmp_path / "c.csv").videos[1].name == "b\\xff.mp4"


@needs_posix
def test_linked_folders_are_followed_once(tmp_path: Path, videos: Path) -> None:
    write_video(tmp_path / "elsewhere" / "a.mp4")
    videos.mkdir()
    (videos / "link").symlink_to(tmp_path / "elsewhere")
    (videos / "loop").symlink_to(videos)
    found = scan(videos, out=tmp_path / "c.csv").videos
    assert [video.name for video in found] == ["a.mp4"]


@pytest.mark.slow
def test_what_does_not_match_is_listed(tmp_path: Path, videos: Path) -> None:
    write_video(videos / "a.mp4", level=1)
    write_video(videos / "b.mp4", level=2)
    report = scan_report(videos, tmp_path / "c.csv", labels_of(tmp_path, {"a.mp4": "CJ", "gone, lost.mp4": "CK"}))
    assert (report.without_file, report.without_labels) == (["gone, lost.mp4"], ["b.mp4"])
    assert (tmp_path / "c-unmatched.csv").read_text() == (
        'video,problem,near\n"gone, lost.mp4",label without a file,\nb.mp4,file without a label,\n'
    )


def test_folders_that_cannot_be_scanned(tmp_path: Path, videos: Path) -> None:
    out = tmp_path / "c.csv"
    with pytest.raises(CatalogError, match="missing; give the folder"):
        scan(videos, out=out)
    videos.mkdir()
    with pytest.raises(CatalogError, match=r"no videos in .*videos$"):
        scan(videos, out=out)
    (videos / "a.txt").write_text("x")
    with pytest.raises(CatalogError, match="of its 1 files none has"):
        scan(videos, out=out)
    with pytest.raises(CatalogError, match="is a file"):
        scan(videos / "a.txt", out=out)
    assert not out.exists()


def test_outputs_that_cannot_be_written(tmp_path: Path, videos: Path) -> None:
    write_video(videos / "a.mp4")
    with pytest.raises(OutputError, match="is a folder"):
        scan(videos, out=tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        scan(videos, out=tmp_path / "file" / "c.csv")
    (tmp_path / ".c.csv.progress").mkdir()
    with pytest.raises(OutputError, match=r"\.c\.csv\.progress"):
        scan(videos, out=tmp_path / "c.csv")
    with pytest.raises(CatalogError, match="not a catalog"):
        scan(videos, out=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "x", "what is not a catalog is not overwritten"
