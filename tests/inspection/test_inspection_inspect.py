"""The verb inspect: folders of results, and going on where it was."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from typer.testing import CliRunner

from helpers.finished_runs import finished_run
from helpers.noisy_videos import noisy_video
from helpers.platforms import needs_posix
from urbanpipe.archive import examined as examining
from urbanpipe.archive.inspect import inspect
from urbanpipe.archive.inspection_folders import LOCKS
from urbanpipe.archive.lazy_inspector import LazyInspector
from urbanpipe.archive.pages import PageOptions
from urbanpipe.archive.results import InspectedVideo, Inspections
from urbanpipe.cli.main import app
from urbanpipe.contracts import findings
from urbanpipe.contracts.file_names import folder_name
from urbanpipe.contracts.findings import TIMELINE, read_inspection, read_timeline
from urbanpipe.ensembling.bundle_options import BundleLabel
from urbanpipe.ensembling.bundling import bundle
from urbanpipe.errors import CatalogError, InspectionError, VideoError
from urbanpipe.inspection import inspector as inspector_module
from urbanpipe.inspection import placing
from urbanpipe.inspection.inspector import Inspector
from urbanpipe.video import isolated
from urbanpipe.video.probe import digest


def write_namesakes(folder: Path) -> None:
    """Write two different videos, d1/cam.mp4 and d2/cam.mp4."""
    for number in (1, 2):
        (folder / f"d{number}").mkdir()
        noisy_video(folder / f"d{number}" / "cam.mp4", np.random.default_rng(number), colour=False)


class TestInspect:
    def test_a_folder_gets_reports_and_goes_on_where_it_was(
        self, frame_bundle: Path, video: Path, tmp_path: Path
    ) -> None:
        source = tmp_path / "in"
        source.mkdir()
        for name in ("a.mp4", "b c<d>.mp4"):
            shutil.copy(video, source / name)
        (source / "broken.mp4").write_bytes(b"no video at all")
        out = source / "results"
        first = inspect([source], out=out, bundle=frame_bundle)
        assert [one.name for one in first.videos] == ["a.mp4", "b c<d>.mp4", "broken.mp4"]
        assert list(first.failures) == ["broken.mp4"]
        assert "broken.mp4" in (out / "failures.csv").read_text()
        assert all((one.folder / "report.html").is_file() for one in first.videos if not one.failure)
        assert "broken.mp4" in first.index.read_text()
        stamps = {path: path.stat().st_mtime_ns for path in out.glob("*/*.jpg")}
        (first.videos[1].folder / "findings.json").write_text("{")
        again = inspect([source], out=out, bundle=frame_bundle)
        assert [one.reused for one in again.videos] == [True, False, False]
        assert all(
            path.stat().st_mtime_ns == at for path, at in stamps.items() if path.parent == first.videos[0].folder
        )

    @pytest.mark.slow
    def test_a_moved_video_is_found_again_by_the_report(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        (tmp_path / "one").mkdir()
        (tmp_path / "two").mkdir()
        first = Path(shutil.copy(video, tmp_path / "one" / "a.mp4"))
        inspect([first], out=tmp_path / "out", bundle=frame_bundle)
        second = first.rename(tmp_path / "two" / "a.mp4")
        (again,) = inspect([second], out=tmp_path / "out", bundle=frame_bundle).videos
        assert again.reused
        assert read_inspection(again.folder).video.relative == "../../two/a.mp4"

    @needs_posix
    @pytest.mark.slow
    def test_a_name_that_is_no_text_is_inspected_too(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        odd = tmp_path / os.fsdecode(b"b\xff.mp4")
        shutil.copy(video, odd)
        (found,) = inspect([odd], out=tmp_path / "out", bundle=frame_bundle).videos
        assert found.inspection.video.name == "b\\xff.mp4"
        assert found.inspection.video.relative == ""
        assert inspect([odd], out=tmp_path / "out", bundle=frame_bundle).videos[0].reused

    @pytest.mark.slow
    def test_videos_of_one_name_from_two_folders_do_not_replace_each_other(
        self, frame_bundle: Path, video: Path, tmp_path: Path
    ) -> None:
        write_namesakes(tmp_path)
        found = [
            inspect([tmp_path / f"d{n}"], out=tmp_path / "out", bundle=frame_bundle).videos[0] for n in (1, 2, 1, 2)
        ]
        assert len({one.folder for one in found}) == 2
        assert [one.reused for one in found] == [False, False, True, True]
        assert {one.inspection.video.path for one in found} == {str(p) for p in tmp_path.glob("d*/cam.mp4")}

    @pytest.mark.slow
    def test_files_of_one_name_show_their_folders_everywhere(self, frame_bundle: Path, tmp_path: Path) -> None:
        write_namesakes(tmp_path)
        out, paths = tmp_path / "out", [tmp_path / f"d{number}" / "cam.mp4" for number in (1, 2)]

        def titles(made: Inspections) -> list[str]:
            pages = [(one.folder / "report.html").read_text(encoding="utf-8") for one in made.videos]
            return [page.partition("<h1><bdi>")[2].partition("</bdi>")[0] for page in pages]

        first = inspect(paths[:1], out=out, bundle=frame_bundle, pages=PageOptions(language="zh"))
        assert titles(first) == ["cam.mp4"]
        second = inspect(paths[1:], out=out, bundle=frame_bundle)
        assert titles(first) + titles(second) == ["d1/cam.mp4", "d2/cam.mp4"]
        assert "检测报告" in (first.videos[0].folder / "report.html").read_text(encoding="utf-8")
        both = inspect(paths, out=out, bundle=frame_bundle)
        assert [(one.name, one.reused) for one in both.videos] == [("d1/cam.mp4", True), ("d2/cam.mp4", True)]
        assert titles(both) == ["d1/cam.mp4", "d2/cam.mp4"]
        assert {one.inspection.video.path for one in both.videos} == set(map(str, paths))

    @pytest.mark.slow
    def test_videos_that_cannot_be_read_now_lose_nothing(
        self, frame_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A share that is away while a job goes on, and a namesake on one that is away."""
        write_namesakes(tmp_path)
        out = tmp_path / "out"
        (first,) = inspect([tmp_path / "d1"], out=out, bundle=frame_bundle).videos
        before = {path.name: path.read_bytes() for path in first.folder.iterdir()}

        def away(path: Path) -> str:
            raise VideoError(path, "Input/output error")

        monkeypatch.setattr(isolated, "check_regular", away)
        monkeypatch.setattr(examining, "check_regular", away)
        for number in (1, 2):
            found = inspect([tmp_path / f"d{number}"], out=out, bundle=frame_bundle)
            assert found.failures == {"cam.mp4": "Input/output error"}
            assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before
        monkeypatch.undo()
        monkeypatch.setattr(Inspector, "inspect", lambda _self, path, digest, index: away(path))
        monkeypatch.setattr(LazyInspector, "has_made", lambda *_: False)  # as with another region for the distance
        assert inspect([tmp_path / "d1"], out=out, bundle=frame_bundle).failures
        assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before

    @pytest.mark.slow
    def test_an_archived_video_keeps_its_inspection_beside_a_new_one_of_its_name(
        self, frame_bundle: Path, tmp_path: Path
    ) -> None:
        write_namesakes(tmp_path)
        (first,) = inspect([tmp_path / "d1"], out=tmp_path / "out", bundle=frame_bundle).videos
        digest = first.inspection.video.digest
        (tmp_path / "d1" / "cam.mp4").unlink()
        (second,) = inspect([tmp_path / "d2"], out=tmp_path / "out", bundle=frame_bundle).videos
        assert second.folder != first.folder
        assert first.inspection.video.digest == digest

    @pytest.mark.slow
    def test_a_video_keeps_its_inspection_when_its_name_becomes_one_of_several(
        self, frame_bundle: Path, tmp_path: Path
    ) -> None:
        for number in (1, 2):
            (tmp_path / "archive" / f"d{number}").mkdir(parents=True)
        noisy_video(tmp_path / "archive" / "d1" / "cam.mp4", np.random.default_rng(1), colour=False)
        (first,) = inspect([tmp_path / "archive"], out=tmp_path / "out", bundle=frame_bundle).videos
        noisy_video(tmp_path / "archive" / "d2" / "cam.mp4", np.random.default_rng(2), colour=False)
        both = inspect([tmp_path / "archive"], out=tmp_path / "out", bundle=frame_bundle).videos
        assert [(one.name, one.reused) for one in both] == [("d1/cam.mp4", True), ("d2/cam.mp4", False)]
        assert both[0].folder == first.folder
        page = (tmp_path / "out" / "index.html").read_text()
        assert all(f"<bdi>{one.name}</bdi>" in page for one in both), "the index has other names"
        assert len(list((tmp_path / "out").glob("*/findings.json"))) == 2

    @pytest.mark.slow
    def test_a_video_that_is_replaced_leaves_nothing_of_the_old_one(
        self, frame_bundle: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also where the call is killed between the pictures and the findings, and where the new file is no video."""
        path, out = tmp_path / "a.mp4", tmp_path / "out"
        shutil.copy(video, path)
        folder = inspect([path], out=out, bundle=frame_bundle).videos[0].folder
        old = {one.name for one in folder.glob("*.jpg")}
        assert old
        (folder / "mine.jpg").write_bytes(b"a person's")
        noisy_video(path, np.random.default_rng(0), colour=True)
        monkeypatch.setattr(placing, "write_inspection", lambda *_: sys.exit(137))
        with pytest.raises(SystemExit):
            inspect([path], out=out, bundle=frame_bundle)
        monkeypatch.undo()
        assert not (folder / "findings.json").exists()
        assert not (folder / "report.html").exists()
        (again,) = inspect([path], out=out, bundle=frame_bundle).videos
        shown = {e.picture for f in again.inspection.findings for s in f.occurrences for e in s.evidence}
        assert {one.name for one in folder.glob("*.jpg")} == shown | {"mine.jpg"}
        path.write_bytes(b"no video")
        assert inspect([path], out=out, bundle=frame_bundle).failures
        assert [one.name for one in folder.iterdir()] == ["mine.jpg"]

    @pytest.mark.slow
    def test_a_lost_picture_is_made_again(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        (first,) = inspect([video], out=tmp_path / "out", bundle=frame_bundle).videos
        next(iter(first.folder.glob("*.jpg"))).unlink()
        assert not inspect([video], out=tmp_path / "out", bundle=frame_bundle).videos[0].reused

    @pytest.mark.slow
    def test_failures_of_earlier_calls_are_kept(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        (tmp_path / "bad.mp4").write_bytes(b"x")
        inspect([tmp_path / "bad.mp4"], out=tmp_path / "out", bundle=frame_bundle)
        made = inspect([video], out=tmp_path / "out", bundle=frame_bundle)
        assert not made.failures
        assert "bad.mp4" in (tmp_path / "out" / "failures.csv").read_text()
        assert "bad.mp4" in made.index.read_text()

    @pytest.mark.slow
    def test_a_video_that_another_process_inspects_comes_last(
        self, frame_bundle: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other, out, names = Path(shutil.copy(video, tmp_path / "other.mp4")), tmp_path / "out", list[str]()
        (locks := out / LOCKS).mkdir(parents=True)
        held = FileLock(locks / f"{folder_name(video.name)}.lock", thread_local=False)
        held.acquire()

        def note(done: InspectedVideo) -> None:
            names.append(done.name)
            held.release()

        made = inspect([video, other], out=out, bundle=frame_bundle, on_video=note)
        assert names == ["other.mp4", video.name]
        assert not made.failures
        assert read_inspection(out / folder_name(video.name)).video.name == video.name

    @pytest.mark.slow
    def test_two_processes_with_files_of_one_name_keep_both(
        self, frame_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_namesakes(tmp_path)
        out = tmp_path / "out"

        def meanwhile(path: Path) -> None:
            monkeypatch.undo()
            inspect([tmp_path / "d2"], out=out, bundle=frame_bundle)

        monkeypatch.setattr(examining, "check_regular", meanwhile)
        made = inspect([tmp_path / "d1"], out=out, bundle=frame_bundle)
        assert made.videos[0].inspection.video.path == str(tmp_path / "d1" / "cam.mp4")
        found = {read_inspection(path.parent).video.path for path in out.glob("*/findings.json")}
        assert found == {str(tmp_path / f"d{number}" / "cam.mp4") for number in (1, 2)}
        assert made.index.read_text().count("report.html") >= 2

    @pytest.mark.slow
    def test_of_two_processes_with_different_bundles_the_second_is_refused(
        self, frame_bundle: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = bundle(finished_run(tmp_path / "run", "bag"), out=tmp_path / "first", label=BundleLabel(name="first"))
        other, out = Path(shutil.copy(video, tmp_path / "other.mp4")), tmp_path / "out"

        def meanwhile(inspector: Inspector, path: Path, **known: Any) -> inspector_module.Inspected:
            monkeypatch.undo()
            inspect([other], out=out, bundle=first.folder)
            return inspector.inspect(path, **known)

        monkeypatch.setattr(Inspector, "inspect", meanwhile)
        with pytest.raises(InspectionError, match=r"holds inspections by another bundle \(first, "):
            inspect([video], out=out, bundle=frame_bundle)
        (only,) = out.glob("*/findings.json")
        assert read_inspection(only.parent).bundle.name == "first"

    @pytest.mark.slow
    def test_a_video_is_hashed_with_its_index_and_its_findings_are_parsed_once(
        self, frame_bundle: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hashed, parsed = list[Path](), list[str]()
        read_json = findings._read_json

        def hashing(path: Path) -> str:
            hashed.append(path)
            return digest(path)

        def parsing(path: Path) -> object:
            table = read_json(path)
            parsed.append(path.name)
            return table

        monkeypatch.setattr(isolated, "file_digest", hashing)
        monkeypatch.setattr(findings, "_read_json", parsing)
        arguments = ["inspect", str(video), "--out", str(tmp_path / "out"), "--bundle", str(frame_bundle)]
        for expected in ([], [findings.FINDINGS]):  # the first call has nothing to read
            hashed.clear()
            parsed.clear()
            assert CliRunner().invoke(app, arguments).exit_code == 0
            assert not hashed
            assert [name for name in parsed if name != TIMELINE] == expected

    def test_findings_of_an_earlier_version_are_named(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        (made,) = inspect([video], out=tmp_path / "out", bundle=frame_bundle).videos
        path = made.folder / "findings.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"format": "urbanpipe inspection 1"}))
        with pytest.raises(InspectionError, match=r"has the format .urbanpipe inspection 1..*make it again with"):
            read_inspection(made.folder)

    @pytest.mark.slow
    def test_a_lost_timeline_is_made_again(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        (first,) = inspect([video], out=tmp_path / "out", bundle=frame_bundle).videos
        (first.folder / TIMELINE).unlink()
        assert not inspect([video], out=tmp_path / "out", bundle=frame_bundle).videos[0].reused
        assert read_timeline(first.folder).seconds

    @pytest.mark.slow
    def test_another_bundles_folder_is_refused(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        inspect([video], out=tmp_path / "out", bundle=frame_bundle)
        other = bundle(
            finished_run(tmp_path / "run", "bag"), out=tmp_path / "other", label=BundleLabel(name="other")
        ).folder
        with pytest.raises(InspectionError, match="holds inspections by another bundle"):
            inspect([video], out=tmp_path / "out", bundle=other)

    def test_mistakes_are_said_before_the_work(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        with pytest.raises(InspectionError, match="xx"):
            inspect([video], out=tmp_path / "out", bundle=frame_bundle, pages=PageOptions(language="xx"))
        with pytest.raises(CatalogError, match="missing"):
            inspect([tmp_path / "no.mp4"], out=tmp_path / "out", bundle=frame_bundle)
        with pytest.raises(CatalogError, match="which is for results"):
            inspect([video], out=video.parent, bundle=frame_bundle)
        with pytest.raises(VideoError, match="no such file"):
            Inspector.load(frame_bundle).inspect(tmp_path / "no.mp4")

    @pytest.mark.slow
    def test_the_command_prints_findings_and_tells_bad_videos_by_its_status(
        self, frame_bundle: Path, video: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "bad.mp4").write_bytes(b"")
        arguments = ["inspect", str(video), str(tmp_path / "bad.mp4"), "--out", str(tmp_path / "o")]
        result = CliRunner().invoke(app, [*arguments, "--bundle", str(frame_bundle)])
        assert result.exit_code == 3, result.output
        assert "pipe.mp4: " in result.output
        assert "bad.mp4: cannot be inspected" in result.output
        assert "demonstration" in result.output


@pytest.mark.parametrize("name", ["a.mp4", "d1-2_3.mp4", "站点_1.mp4"])
def test_plain_names_are_folders(name: str) -> None:
    assert folder_name(name) == name


def test_names_that_break_paths_or_are_alike_get_folders_of_their_own() -> None:
    names = ["a/b.mp4", "a_b.mp4", "A_B.mp4", "..", "<i>.mp4", "x" * 300, 'q"?.mp4', "./a.mp4", "a.mp4", "b\\xff.mp4"]
    folders = [folder_name(name) for name in names]
    assert len({folder.casefold() for folder in folders}) == len(names)
    for folder in folders:
        assert not set('/\\<>:"|?*') & set(folder)
        assert folder.strip(".")
        assert len(folder) < 100
