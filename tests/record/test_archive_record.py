"""The record of an archive: the same as of the folder of inspections."""

from pathlib import Path

from helpers.archive_material import stub_run
from helpers.inspection_material import made_inspection
from helpers.stub_inspector import StubInspected, StubInspector, StubSource
from urbanpipe.api import archive_plan, archive_report
from urbanpipe.archive.shards.inspecting import InspectedVideo
from urbanpipe.record.report import report
from urbanpipe.record.selection import Selection


class DrawnInspector(StubInspector):
    """Finds in every file what `made_inspection` draws."""

    def inspect(self, video: Path) -> InspectedVideo:
        found = super().inspect(video).inspection
        folder = video.parent.parent / "drawn" / video.stem
        drawn = made_inspection(folder, video.name, video=found.video, timeline=None)
        return StubInspected(drawn, {path.name: path.read_bytes() for path in folder.glob("*.*g")})


class DrawnSource(StubSource):
    def load(self) -> DrawnInspector:
        return DrawnInspector()


def test_a_record_of_an_archive_is_that_of_its_folders(tmp_path: Path) -> None:
    videos, archive = tmp_path / "videos", tmp_path / "archive"
    videos.mkdir()
    for name in ("a", "b", "c"):
        (videos / f"{name}.mp4").write_bytes(name.encode())
    (videos / "broken.mp4").write_bytes(b"damaged")
    archive_plan([videos], archive, shards=1)
    stub_run(archive, DrawnSource())
    for name in ("a", "b"):
        archive_report(archive, f"{name}.mp4", out=tmp_path / "inspected" / name)
    report(tmp_path / "inspected", out=tmp_path / "folders.html")
    done = report(archive, out=tmp_path / "archive.html", select=Selection(videos=["a.mp4", "b.mp4"]))
    text = (tmp_path / "archive.html").read_text()
    assert text == (tmp_path / "folders.html").read_text()
    assert text.count("data:image/jpeg") >= 8
    assert (done.segments, done.findings) == (2, 8)
    whole = report(archive, out=tmp_path / "archive.html")
    assert whole.segments == 3
    assert whole.left_out[0] == "left out, damaged: 1 video: broken.mp4"
    assert "damaged: no video stream" in (tmp_path / "archive.html").read_text()
