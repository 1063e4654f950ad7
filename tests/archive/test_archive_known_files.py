"""A known video is not read again, and nothing that changed is taken for known."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.platforms import needs_posix
from helpers.video_files import write, x264
from urbanpipe.archive import known_files
from urbanpipe.archive.examined import examined
from urbanpipe.archive.inspect import inspect
from urbanpipe.archive.known_files import CHANGED, SOURCE, Reading, read_known, write_known
from urbanpipe.archive.pages import PageOptions
from urbanpipe.archive.results import Inspections
from urbanpipe.errors import InspectionError, VideoError
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inspection.inspector import Inspector
from urbanpipe.video import isolated
from urbanpipe.video.decoders import shared_decoders
from urbanpipe.video.probe import digest

CPU = InferenceOptions(device="cpu")
LONG_AGO = time.time_ns() - 10**12


def aged(path: Path, modified_ns: int = LONG_AGO) -> Path:
    os.utime(path, ns=(modified_ns, modified_ns))
    return path


@pytest.fixture
def video(source: Path, tmp_path: Path) -> Path:
    return aged(Path(shutil.copy(source, tmp_path / "pipe.mp4")))


@pytest.fixture
def folder(video: Path, tmp_path: Path) -> Path:
    """The folder of an inspection, in which the video is known."""
    folder = tmp_path / "out"
    folder.mkdir()
    write_known(folder, examined(video, None, verify=False).known)
    return folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ways in which files are read."""
    ways = list[str]()
    ask = shared_decoders.ask

    def hashing(path: Path) -> str:
        ways.append("digest")
        return digest(path)

    def asking(name: str, *arguments: object, **others: object) -> Iterator[object]:
        ways.append(name)
        return ask(name, *arguments, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(isolated, "file_digest", hashing)
    monkeypatch.setattr(shared_decoders, "ask", asking)
    return ways


@pytest.mark.multiprocess
class TestExamined:
    def test_a_new_file_is_indexed_and_hashed_in_one_reading(self, video: Path, read: list[str]) -> None:
        result = examined(video, None, verify=False)
        assert read == ["index"]
        assert result.index is not None
        assert result.known.digest == digest(video)

    def test_a_known_file_is_not_read(self, video: Path, folder: Path, read: list[str]) -> None:
        result = examined(video, folder, verify=False)
        assert (read, result.is_new) == ([], False)
        assert result.known.digest == digest(video)

    def test_verify_reads_it(self, video: Path, folder: Path, read: list[str]) -> None:
        assert examined(video, folder, verify=True).is_new
        assert read == ["digest"]

    @pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b'{"digest": 1}', None])
    def test_a_damaged_or_lost_record_costs_one_reading(
        self, damage: bytes | None, video: Path, folder: Path, read: list[str]
    ) -> None:
        (folder / SOURCE).unlink() if damage is None else (folder / SOURCE).write_bytes(damage)
        assert examined(video, folder, verify=False).is_new
        assert read == ["digest"]

    def test_a_changed_time_or_inode_is_read(self, video: Path, folder: Path, read: list[str]) -> None:
        aged(video, LONG_AGO + 1)
        assert examined(video, folder, verify=False).is_new
        aged(Path(shutil.copy(video, video.with_name("copy.mp4"))), LONG_AGO).replace(video)
        assert examined(video, folder, verify=False).is_new
        assert read == ["digest", "digest"]

    def test_another_size_is_another_content(self, video: Path, folder: Path, read: list[str]) -> None:
        with video.open("ab") as file:
            file.write(bytes(8))
        aged(video)
        result = examined(video, folder, verify=False)
        assert (read, result.index is not None) == (["index"], True)

    def test_a_file_modified_just_before_it_was_read_is_read_again(
        self, video: Path, folder: Path, read: list[str]
    ) -> None:
        aged(video, time.time_ns())
        write_known(folder, examined(video, folder, verify=False).known)
        content = bytearray(video.read_bytes())
        modified_ns = video.stat().st_mtime_ns
        content[-1] ^= 1  # the same size at what may be the same moment
        video.write_bytes(content)
        aged(video, modified_ns)
        read.clear()
        assert examined(video, folder, verify=False).known.digest == digest(video)
        assert read == ["digest"]

    def test_a_file_that_changes_while_it_is_read_is_refused(
        self, video: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def meanwhile(path: Path, **_: object) -> None:
            aged(path, LONG_AGO + 1)
            raise VideoError(path, "of the index")

        monkeypatch.setattr("urbanpipe.archive.examined.index_frames", meanwhile)
        with pytest.raises(VideoError, match=CHANGED):
            examined(video, None, verify=False)


def test_the_steps_of_times_are_shorter_than_what_counts_as_unsure(video: Path) -> None:
    reading = Reading(video)
    for modified_ns, is_sure in ((reading.read_ns - 3 * 10**9, True), (reading.read_ns - 10**9, False)):
        state = reading.state.model_copy(update={"modified_ns": modified_ns})
        assert reading.known("0").model_copy(update={"state": state}).is_sure is is_sure


@pytest.fixture(scope="module")
def day(source: Path, frame_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two inspected videos, `in`, and their inspections, `out`."""
    folder = tmp_path_factory.mktemp("day")
    (folder / "in").mkdir()
    for name in ("a.mp4", "b.mp4"):
        aged(Path(shutil.copy(source, folder / "in" / name)))
    assert not inspect([folder / "in"], out=folder / "out", bundle=frame_bundle, options=CPU).failures
    return folder


def again(day: Path, bundle: Path, verify: bool = False) -> Inspections:
    return inspect([day / "in"], out=day / "out", bundle=bundle, options=CPU, verify=verify)


@pytest.mark.multiprocess
class TestInspect:
    def test_a_rerun_reads_no_video_and_writes_no_inspection(
        self, day: Path, frame_bundle: Path, read: list[str]
    ) -> None:
        before = {path: path.stat().st_mtime_ns for path in day.glob("out/*/*")}
        assert again(day, frame_bundle).summary == "2 of 2 inspected (2 before)"
        assert not read
        assert before == {path: path.stat().st_mtime_ns for path in day.glob("out/*/*")}

    def test_verify_hashes_all_and_inspects_none(self, day: Path, frame_bundle: Path, read: list[str]) -> None:
        assert again(day, frame_bundle, verify=True).summary == "2 of 2 inspected (2 before)"
        assert read == ["digest", "digest"]

    @pytest.mark.slow
    def test_verify_finds_a_change_that_kept_size_time_and_number(
        self, source: Path, frame_bundle: Path, tmp_path: Path
    ) -> None:
        path = aged(Path(shutil.copy(source, tmp_path / "a.mp4")))
        inspect([path], out=tmp_path / "out", bundle=frame_bundle, options=CPU)
        content = path.read_bytes()
        path.write_bytes(content.replace(b"Lavf", b"lavf"))
        aged(path)
        assert path.read_bytes() != content
        assert inspect([path], out=tmp_path / "out", bundle=frame_bundle, options=CPU).videos[0].reused
        made = inspect([path], out=tmp_path / "out", bundle=frame_bundle, options=CPU, verify=True).videos[0]
        assert (made.reused, made.inspection.video.digest) == (False, digest(path))

    def test_another_language_and_a_lost_report_are_written(self, day: Path, frame_bundle: Path) -> None:
        report = next(day.glob("out/a.mp4*/report.html"))
        report.unlink()
        again(day, frame_bundle)
        assert report.is_file()
        inspect([day / "in"], out=day / "out", bundle=frame_bundle, options=CPU, pages=PageOptions(language="zh"))
        assert "zh-CN" in report.read_text(encoding="utf-8")
        again(day, frame_bundle)
        assert "zh-CN" not in report.read_text(encoding="utf-8")

    def test_pages_show_inspection_data_and_a_change_of_it_reads_no_video(
        self, day: Path, frame_bundle: Path, tmp_path: Path, read: list[str]
    ) -> None:
        data = tmp_path / "data.csv"

        def shown(rows: str, language: str = "en") -> tuple[str, str, str]:
            data.write_text("video,from_manhole,to_manhole,direction,date\n" + rows, encoding="utf-8")
            pages = PageOptions(language=language, inspection_data=data)
            made = inspect([day / "in"], out=day / "out", bundle=frame_bundle, options=CPU, pages=pages)
            assert made.unmatched == (("z.mp4",) if "z.mp4" in rows else ())
            reports = [(one.folder / "report.html").read_text(encoding="utf-8") for one in made.videos]
            return reports[0], reports[1], made.index.read_text(encoding="utf-8")

        first, second, index = shown("a.mp4,K9,K<12>,upstream,2026-01-31\nz.mp4,K1,K2,,\n")
        assert "<dt>To manhole</dt><dd><bdi>K&lt;12&gt;</bdi></dd>" in first
        assert "<dd><bdi>against the flow</bdi></dd>" in first
        assert "To manhole" not in second
        assert 'data-heading="To manhole"><bdi>K&lt;12&gt;</bdi></td>' in index
        stamp = (day / "out" / "b.mp4" / "report.html").stat().st_mtime_ns
        first, _, index = shown("a.mp4,K9,K13,,\n")
        assert "K13" in first
        assert "2026-01-31" not in first + index
        assert stamp == (day / "out" / "b.mp4" / "report.html").stat().st_mtime_ns
        first, _, index = shown("a.mp4,K9,K13,upstream,\n", "zh")
        assert "<dt>终止井</dt><dd><bdi>K13</bdi></dd>" in first
        assert "<bdi>逆流</bdi>" in first
        assert '<th scope="col">终止井</th>' in index
        again(day, frame_bundle)
        assert "K13" in (day / "out" / "a.mp4" / "report.html").read_text(encoding="utf-8")
        assert not read
        first, second, index = shown("b.mp4,K1,,,\n")
        assert "K13" not in first + index
        assert "K1<" in second

    def test_inspection_data_of_no_video_is_refused_before_the_work(
        self, day: Path, frame_bundle: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "data.csv").write_text("video,street\nz.mp4,Long Street\n")
        pages = PageOptions(inspection_data=tmp_path / "data.csv")
        with pytest.raises(InspectionError, match=r"none of its names has an inspected video, the first is z\.mp4"):
            inspect([day / "in"], out=tmp_path / "out", bundle=frame_bundle, options=CPU, pages=pages)
        assert not (tmp_path / "out").exists()

    @pytest.mark.slow
    def test_a_video_that_changes_while_it_is_inspected_is_not_stored(
        self, source: Path, frame_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = aged(Path(shutil.copy(source, tmp_path / "a.mp4")))
        inspected = Inspector.inspect

        def meanwhile(inspector: Inspector, video: Path, **known: object) -> object:
            result = inspected(inspector, video, **known)  # type: ignore[arg-type]
            with video.open("ab") as file:
                file.write(b"more")
            return result

        monkeypatch.setattr(Inspector, "inspect", meanwhile)
        made = inspect([path], out=tmp_path / "out", bundle=frame_bundle, options=CPU)
        assert made.failures == {"a.mp4": CHANGED}
        assert not list(tmp_path.glob("out/*/findings.json"))

    @pytest.mark.slow
    def test_a_moved_video_is_read_once_and_then_known(
        self, source: Path, frame_bundle: Path, tmp_path: Path, read: list[str]
    ) -> None:
        path = aged(Path(shutil.copy(source, tmp_path / "a.mp4")))
        inspect([path], out=tmp_path / "out", bundle=frame_bundle, options=CPU)
        moved = path.rename(tmp_path / "b.mp4")
        for expected in (["index"], []):
            read.clear()
            (made,) = inspect([moved], out=tmp_path / "out", bundle=frame_bundle, options=CPU).videos
            assert made.reused
            assert read == expected

    def test_a_rerun_needs_no_torch(self, day: Path, frame_bundle: Path) -> None:
        script = (
            "import sys; from pathlib import Path; sys.modules['torch'] = None\n"
            "from urbanpipe.archive.inspect import inspect\n"
            "made = inspect([Path(sys.argv[1])], out=Path(sys.argv[2]), bundle=Path(sys.argv[3]))\n"
            "assert made.summary == '2 of 2 inspected (2 before)', made.summary"
        )
        subprocess.run([sys.executable, "-c", script, day / "in", day / "out", frame_bundle], check=True, timeout=60)

    @needs_posix
    @pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system does not count bytes read")
    def test_a_first_inspection_reads_a_video_at_most_twice(
        self, day: Path, frame_bundle: Path, tmp_path: Path
    ) -> None:
        path = aged(write(tmp_path / "a.mp4", options=x264(12, qp=4), size=(384, 288)))
        isolated.read_frames(day / "in" / "a.mp4", [0])  # starts a decoder process
        before = bytes_read()
        made = inspect([path], out=tmp_path / "out", bundle=frame_bundle, options=CPU)
        assert not made.failures
        assert 1.5 < (bytes_read() - before) / path.stat().st_size < 2.1
        before = bytes_read()
        inspect([path], out=tmp_path / "out", bundle=frame_bundle, options=CPU)
        assert bytes_read() == before


def bytes_read() -> int:
    """Return how many bytes the idle decoder processes have read; the process itself reads none of a video."""
    processes = [decoder._process for decoder in shared_decoders._idle]
    files = [Path(f"/proc/{process.pid}/io") for process in processes if process]
    return sum(int(file.read_text().split()[1]) for file in files)


def test_a_record_survives_writing(video: Path, tmp_path: Path) -> None:
    known = Reading(video).known("0" * 32)
    write_known(tmp_path, known)
    assert read_known(tmp_path) == known
    assert known_files.read_known(tmp_path / "nowhere") is None
