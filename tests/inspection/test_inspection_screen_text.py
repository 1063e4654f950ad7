"""On-screen text: proposals that a person checks, and the region of the distance, found or plainly not found."""

import csv
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from helpers.screen_material import Line, Script, ScriptedReader, grey, grey_video, lines_of
from urbanpipe.api import Inspector, ocr
from urbanpipe.archive.lazy_inspector import LazyInspector
from urbanpipe.cli.main import app
from urbanpipe.contracts.inspection_data import read_inspection_data
from urbanpipe.contracts.remarks import remark, sentence
from urbanpipe.errors import InspectionError
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inspection.region import distance_region_of, region_text
from urbanpipe.inspection.screen_text.counter import CounterSearch, find_counter
from urbanpipe.inspection.screen_text.distance import DistanceReader
from urbanpipe.inspection.screen_text.fields import Proposal, proposals_of
from urbanpipe.inspection.screen_text.frames import ReadFrame
from urbanpipe.inspection.screen_text.lengths import length_numbers
from urbanpipe.inspection.screen_text.places import text_places
from urbanpipe.inspection.screen_text.reader import OcrReader


def frames_of(script: Script, seconds: int = 10) -> list[ReadFrame]:
    reader = ScriptedReader(script)
    return [ReadFrame(float(second), grey(second), tuple(reader.read(grey(second)))) for second in range(seconds)]


def proposed(*texts: str) -> dict[str, str]:
    """The values that lines below each other give, each of them in one frame."""
    lines = lines_of([(text, 0.1, 0.1 * number) for number, text in enumerate(texts)])
    return {one.field: one.value for one in proposals_of([ReadFrame(20.0, grey(0), tuple(lines))])}


def searched(script: Script, seconds: int = 10) -> CounterSearch:
    frames = frames_of(script, seconds)
    places = text_places((frame.seconds, frame.lines) for frame in frames)
    return find_counter(frames, places, DistanceReader(ScriptedReader(script)))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("From MH 1-153", {"from_manhole": "1-153"}),
        ("FromMH1-153ToMH1-154", {"from_manhole": "1-153", "to_manhole": "1-154"}),
        ("MH: 1-153 to 1-154", {"from_manhole": "1-153", "to_manhole": "1-154"}),
        ("MH 1-153 to MH 1-154 Upstream", {"from_manhole": "1-153", "to_manhole": "1-154", "direction": "upstream"}),
        ("MH12->MH13", {"from_manhole": "12", "to_manhole": "13"}),
        ("Upstream MH: 12", {"from_manhole": "12"}),
        ("DN300", {"diameter_mm": "300"}),
        ("Dia 300 mm", {"diameter_mm": "300"}),
        ("Diameter: 24 in", {"diameter_mm": "609.6"}),
        ("MaterialPVCDN300", {"material": "PVC", "diameter_mm": "300"}),
        ("Date 2021-05-06", {"date": "2021-05-06"}),
        ("12/05/2021", {"date": ""}),
        ("31/05/2021", {"date": "2021-05-31"}),
        ("2021-05-0610:12:31", {"date": "2021-05-06", "time": "10:12"}),
        ("Time: 2:12 PM", {"time": "14:12"}),
        ("Time: 2.12 p.m.", {"time": "14:12"}),
        ("12:12AM", {"time": "00:12"}),
        ("时间：下午2:12", {"time": "14:12"}),
        ("Time: 00:00:20", {}),
        ("Time 00:20", {}),
        ("Datum: 5.6.21", {"date": ""}),
        ("Manhole: 1-12-21", {}),
        ("Street: High Street", {"street": "High Street"}),
        ("Operator J. Smith", {"operator": "J. Smith"}),
        ("Job No. 55", {"job": "55"}),
        ("Length 45,5 m", {"length_m": "45.5"}),
        ("Schacht von 12 bis 13", {"from_manhole": "12", "to_manhole": "13"}),
        ("Haltung: H 7 Straße: Hauptstraße 5", {"segment": "H 7", "street": "Hauptstraße 5"}),
        ("Auftraggeber: Stadt X", {"client": "Stadt X"}),
        ("Werkstoff: Beton Durchmesser: 400 mm", {"material": "Beton", "diameter_mm": "400"}),
        ("gegen Fließrichtung", {"direction": "upstream"}),
        ("Richtung: gegen FlieBrichtung", {"direction": "upstream"}),
        ("StraBe: Gartenweg", {"street": "Gartenweg"}),
        ("Client: JohnBrown", {"client": "JohnBrown"}),
        ("Durchmesser:6o0 mm", {"diameter_mm": "600"}),
        ("起始井号:W12 终止井号：W13", {"from_manhole": "W12", "to_manhole": "W13"}),
        ("材质：混凝土 管径：ＤＮ600", {"material": "混凝土", "diameter_mm": "600"}),
        ("起止井号：W12-W13管径：DN300", {"from_manhole": "W12", "to_manhole": "W13", "diameter_mm": "300"}),
        ("Manholes: 1-153-1-154", {"from_manhole": "1-153", "to_manhole": "1-154"}),
        ("Manholes: 1-153-4", {}),
        ("检测日期:2021年5月6日", {"date": "2021-05-06"}),
        ("检测方向:逆流", {"direction": "upstream"}),
        ("Улица Ленина 5", {}),
        ("12.40 m", {}),
        ("Dia 3 mm", {}),
        ("Downtown tour", {}),
        ("Client:", {}),
    ],
)
def test_fields_of_a_line(text: str, values: dict[str, str]) -> None:
    assert proposed(text) == values


def test_a_value_may_be_beside_its_word() -> None:
    frame = ReadFrame(1.0, grey(0), tuple(lines_of([("Client:", 0.1, 0.1), ("City", 0.5, 0.1), ("Other", 0.5, 0.3)])))
    (found,) = proposals_of([frame])
    assert found == Proposal("client", "City", "Client: City", 1.0, 0.95)


def test_the_value_that_most_frames_show_is_proposed_with_its_origin() -> None:
    def script(second: int) -> list[Line]:
        manhole = "1-I53" if second == 0 else "1-153"
        return [(f"From MH {manhole}", 0.1, 0.1), (f"10:1{2 + second // 5}:0{second}", 0.1, 0.9)]

    manhole, clock = proposals_of(frames_of(script))
    assert (manhole.value, manhole.text, manhole.seconds) == ("1-153", "From MH 1-153", 1.0)
    assert manhole.doubt == "also read as '1-I53'"
    assert (clock.field, clock.value, clock.doubt) == ("time", "10:12", "")


def test_a_length_that_changes_and_an_elapsed_time_are_not_proposed() -> None:
    assert proposals_of(frames_of(lambda s: [(f"Length: {s + 1}.5 m", 0.1, 0.1), (f"00:00:0{s}", 0.1, 0.9)])) == []


def test_uncertain_text_is_not_proposed() -> None:
    assert proposals_of([ReadFrame(0.0, grey(0), tuple(lines_of([("DN300", 0.1, 0.1)], score=0.6)))]) == []


def test_doubts_are_said() -> None:
    lines = lines_of([("From MH 1 To MH 2", 0.1, 0.1), ("Upstream", 0.1, 0.3), ("12/05/2021", 0.1, 0.5)])
    doubts = {one.field: one.doubt for one in proposals_of([ReadFrame(9.0, grey(0), tuple(lines))])}
    assert "may be 2021-12-05 or 2021-05-12" in doubts["date"]
    assert "other way round" in doubts["from_manhole"]
    assert doubts["direction"] == ""
    (short,) = proposals_of([ReadFrame(9.0, grey(0), tuple(lines_of([("Datum: 5.6.21", 0.1, 0.1)])))])
    assert "a year of two digits" in short.doubt


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("12.40 m", [12.4]),
        ("D: -0,35m", [-0.35]),
        ("41.2 ft", [12.55776]),
        ("12' 6\"", [3.81]),
        ("2021-05-06 10:12:31", []),
        ("06.05.21 10:12", []),
        ("DN300", []),
        ("300 mm", []),
        ("1.5 %", []),
        ("0.15 m/s", []),
        ("12.4 V", []),
        ("20.5°C", []),
        ("2024", []),
        ("1.2.3", []),
    ],
)
def test_numbers_that_may_be_lengths(text: str, metres: list[float]) -> None:
    assert [one.metres for one in length_numbers(text)] == pytest.approx(metres)


CLOCK = 0.1, 0.9
DISTANCE = 0.7, 0.9


@pytest.mark.parametrize(
    "counter",
    [
        lambda s: f"{1.2 * s:.2f} m",
        lambda s: f"Dist {max(0, s - 3) * 0.5:.1f}m",
        lambda s: f"-{9 - s}.25 m",
        lambda s: f"{s},50 m",
        lambda s: f"{s * 3}.5 ft",
        lambda s: f'{s} ft 6"',
        lambda s: f"{s if s < 6 else s - 6}.50 m",
    ],
    ids=["metres", "stands first", "negative", "decimal comma", "feet", "feet and inches", "reset"],
)
def test_the_counter_is_found_beside_a_clock_and_a_date(counter: "Script") -> None:
    def script(second: int) -> list[Line]:
        return [(f"2021-05-06 10:12:0{second}", *CLOCK), (str(counter(second)), *DISTANCE), ("DN300", 0.1, 0.1)]

    found = searched(script)
    assert found.region, found.reason
    left, top, width, height = found.region
    assert left < DISTANCE[0] < left + width
    assert left > CLOCK[0] + 0.02 * 19
    assert top < DISTANCE[1] < top + height <= 1
    assert distance_region_of(region_text(found.region)) == found.region


def test_the_counter_is_found_from_the_middle_of_the_video() -> None:
    found = searched(lambda s: [(f"{s}.20 m", *DISTANCE)] if s >= 5 else [])
    assert found.region


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (lambda s: [], "no text was read"),
        (lambda s: [(f"10:12:0{s}", *CLOCK)], "no number on the screen changes like a distance"),
        (lambda s: [(f"0{s + 1}.05.2021", *CLOCK)], "no number on the screen changes like a distance"),
        (lambda s: [("12.40 m", *DISTANCE)], "no number on the screen changes like a distance"),
        (lambda s: [(f"{s}.04", *DISTANCE)], "no number on the screen changes like a distance"),
        (lambda s: [(f"{(s * 7) % 5}.4 m", *DISTANCE)], "no number on the screen changes like a distance"),
        (lambda s: [(f"{s}.1 m", *CLOCK), (f"{3 * s}.5 m", *DISTANCE)], "two numbers change like a distance: "),
    ],
    ids=["no text", "clock", "date", "stands", "seconds", "noise", "two"],
)
def test_it_is_said_why_there_is_no_region(script: Script, reason: str) -> None:
    found = searched(script)
    assert found.region is None
    assert found.reason.startswith(reason)
    said = remark("other", "no_distance", reason=found.reason, reason_key=found.why, **found.values)
    assert found.reason in sentence(said, "en")
    translated = sentence(said, "zh")
    assert all(text in translated for text in found.values.values())
    assert not re.search("[a-z]{3}", translated)


def test_of_two_numbers_the_one_with_a_unit_and_word_is_the_counter() -> None:
    found = searched(lambda s: [(f"{3 * s}.5", *CLOCK), (f"Dist {s}.1 m", *DISTANCE)])
    assert found.place
    assert found.place.text.startswith("Dist")


def test_a_number_that_cannot_be_read_in_its_region_is_not_used() -> None:
    frames = frames_of(lambda s: [(f"{s}.1 m", *DISTANCE)])
    places = text_places((frame.seconds, frame.lines) for frame in frames)
    found = find_counter(frames, places, DistanceReader(ScriptedReader(lambda s: [])))
    assert found.region is None
    assert found.place
    assert "cannot be read reliably" in found.reason


def overlay(second: int) -> list[Line]:
    if second < 4:
        return [("Street: High Street", 0.1, 0.1), ("From MH 7", 0.1, 0.3)]
    return [(f"10:12:{second:02}", *CLOCK), (f"{second - 4}.50 m", *DISTANCE)]


class TestOcr:
    def test_proposals_are_used_once_they_are_checked(self, tmp_path: Path) -> None:
        video, out = grey_video(tmp_path / "a.mp4"), tmp_path / "data.csv"
        (tmp_path / "bad.mp4").write_text("no video")
        made = ocr([video, tmp_path / "bad.mp4"], out=out, previews=tmp_path / "p", reader=ScriptedReader(overlay))
        assert list(made.failures) == ["bad.mp4"]
        printed = [line for one in made.videos for line in one.lines()]
        assert any("distance: --distance-region 0." in line for line in printed)
        assert any("'From MH 7', first at 0.2 s" in line for line in printed)
        (row,) = csv.DictReader(out.read_text(encoding="utf-8").splitlines())
        assert (row["video"], row["street"], row["from_manhole"], row["checked"]) == ("a.mp4", "High Street", "7", "no")
        assert "street from 'Street: High Street' at 0.2 s (95%)" in row["ocr_text"]
        distance_region_of(row["distance_region"])
        (picture,) = (tmp_path / "p").iterdir()
        assert np.ptp(np.asarray(Image.open(picture))[..., 0]) > 100  # boxes on a grey frame
        with pytest.raises(InspectionError, match=r"line 2: nobody has checked what was read by OCR for a\.mp4"):
            read_inspection_data(out)
        out.write_text(out.read_text().replace(",no,", ",yes,").replace("High", "Low"))
        assert read_inspection_data(out)["a.mp4"].street == "Low Street"
        again = ocr([video], out=out, reader=ScriptedReader(lambda _: []))
        assert [list(one.lines()) for one in again.videos] == [["a.mp4: is in the table already"]]
        assert read_inspection_data(out)["a.mp4"].street == "Low Street"

    def test_the_command_counts_what_it_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("urbanpipe.inspection.screen_text.propose.OcrReader", lambda: ScriptedReader(lambda _: []))
        arguments = ["ocr", str(tmp_path), "--out", str(tmp_path / "data.csv")]
        grey_video(tmp_path / "a.mp4", 1)
        assert "1 of 1 videos read\n" in CliRunner().invoke(app, arguments).output
        grey_video(tmp_path / "b.mp4", 1)
        assert "1 of 2 videos read (1 before)\n" in CliRunner().invoke(app, arguments).output

    def test_a_row_without_values_needs_no_check(self, tmp_path: Path) -> None:
        made = ocr([grey_video(tmp_path / "a.mp4")], out=tmp_path / "data.csv", reader=ScriptedReader(lambda _: []))
        assert list(made.videos[0].lines()) == ["a.mp4: 0 proposals", "  distance: region not found: no text was read"]
        assert list(read_inspection_data(tmp_path / "data.csv")) == ["a.mp4"]

    def test_another_table_is_not_written_over(self, tmp_path: Path) -> None:
        (tmp_path / "data.csv").write_text("video,street\na.mp4,Mine\n")
        with pytest.raises(InspectionError, match="is not a table that `ocr` wrote; give another --out"):
            ocr([grey_video(tmp_path / "a.mp4", 1)], out=tmp_path / "data.csv", reader=ScriptedReader(overlay))

    def test_a_failure_of_the_recognition_costs_one_video(self, tmp_path: Path) -> None:
        def script(second: int) -> list[Line]:
            raise RuntimeError("no memory")

        made = ocr([grey_video(tmp_path / "a.mp4", 1)], out=tmp_path / "data.csv", reader=ScriptedReader(script))
        assert made.failures == {"a.mp4": "RuntimeError: no memory"}

    def test_without_the_extra_one_line_names_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
        result = CliRunner().invoke(app, ["ocr", str(tmp_path), "--out", str(tmp_path / "data.csv")])
        assert isinstance(result.exception, InspectionError)
        assert str(result.exception) == "reading on-screen text needs the extra: pip install 'urbanpipe[ocr]'"


@pytest.mark.slow
def test_inspect_finds_the_region_by_itself_or_says_that_it_cannot(
    frame_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = grey_video(tmp_path / "a.mp4")
    reader = ScriptedReader(overlay)
    monkeypatch.setattr("urbanpipe.inspection.screen_text.distance.OcrReader", lambda: reader)
    inspector = Inspector.load(frame_bundle, device="cpu", distance_region="auto")
    found = inspector.inspect(video).inspection
    assert found.distance_region
    assert found.distance_region_search
    lazy = LazyInspector(frame_bundle, InferenceOptions(), "auto")
    assert lazy.has_made(found, found.video.digest)
    named = LazyInspector(frame_bundle, InferenceOptions(), found.distance_region)
    assert not named.has_made(found, found.video.digest)
    reader.script = lambda _: []
    lost = inspector.inspect(video).inspection
    assert lost.distance_region is None
    assert "its region was not found: no text was read." in [one.text for one in lost.remarks][-1]


@pytest.mark.slow
def test_the_engine_of_the_extra_reads_a_drawn_screen() -> None:
    pytest.importorskip("rapidocr_onnxruntime", reason="the extra `ocr` is not installed")
    reader, frames = OcrReader(), []
    for second in range(3):
        picture = Image.new("RGB", (480, 360), (60, 55, 50))
        draw = ImageDraw.Draw(picture)
        draw.text((20, 20), "From MH 1-153", fill=(255, 255, 255), font_size=24)
        draw.text((20, 320), f"10:12:0{second}", fill=(255, 255, 255), font_size=24)
        draw.text((340, 320), f"{second * 2.35:.2f} m", fill=(255, 255, 255), font_size=24)
        pixels = np.array(picture)
        frames.append(ReadFrame(float(second), pixels, tuple(reader.read(pixels))))
    values = {one.field: one.value for one in proposals_of(frames)}
    assert values == {"from_manhole": "1-153", "time": "10:12"}
    places = text_places((frame.seconds, frame.lines) for frame in frames)
    found = find_counter(frames, places, DistanceReader(reader))
    assert found.region, found.reason
    assert 0.5 < found.region[0] < 340 / 480
