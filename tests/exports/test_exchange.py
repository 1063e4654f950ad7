"""Exports to ISYBAU XML and EN 13508-2 text: what they hold and refuse, and that the official schema accepts it."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from helpers.exchange_material import data_file
from helpers.inspection_material import made_inspection
from helpers.review_material import decide, finish
from helpers.second_isybau import read_pipes
from urbanpipe.cli.main import app
from urbanpipe.contracts.coded.model import Code, CodedFile, CodedInspection
from urbanpipe.contracts.coded.reading import read_coded
from urbanpipe.contracts.coded.times import timecode
from urbanpipe.contracts.findings import Occurrence
from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.errors import InspectionError
from urbanpipe.exports.exchange.en13508 import en13508_text
from urbanpipe.exports.exchange.isybau import isybau_xml
from urbanpipe.exports.exchange.text import ShortTexts, one_line
from urbanpipe.exports.exchange.writing import write_exchange
from urbanpipe.exports.export import Exported, export
from urbanpipe.exports.records import InspectionRecord, RecordRow
from urbanpipe.review_store.decision import Decision, Status
from urbanpipe.review_store.reviewed import Review
from urbanpipe.review_store.store import ReviewStore
from urbanpipe.taxonomy import default_taxonomy

EXAMPLES = int(os.environ.get("URBANPIPE_EXCHANGE_EXAMPLES", "100"))
NAMES = {"isybau": "i.xml", "en13508": "e.txt"}
ADDED = "+0123456789ab"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The output folder of `inspect` with two videos; one of four occurrences in each has no distance."""
    made_inspection(tmp_path / "out" / "d1_1")
    made_inspection(tmp_path / "out" / "d2", "d2.mp4")
    return tmp_path / "out"


def exported(out: Path, data: Path, to: str = "isybau", **options: Any) -> tuple[Exported, CodedFile]:
    """Export, and read back."""
    done = export(out, out=data.with_name(NAMES[to]), to=to, inspection_data=data, **options)
    return done, read_coded(done.files[0])


def valid(files: Sequence[Path], shared: Path) -> list[str]:
    """What xmllint says of the files that the official schema does not accept; skips where it is absent."""
    if shutil.which("xmllint") is None:
        pytest.skip("no xmllint (libxml2-utils)")
    schema = shared / "data/exchange/isybau_2013_02/1302-metadaten.xsd"
    command = ["xmllint", "--noout", "--schema", str(schema), *map(str, files)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = run.stderr.splitlines()
    assert sum(line.endswith(" validates") for line in lines) == len(files) or run.returncode
    return [line for line in lines if not line.endswith(" validates")]


@pytest.mark.parametrize("to", NAMES)
def test_both_formats_hold_the_same_inspections(to: str, out: Path, tmp_path: Path) -> None:
    known = {
        "diameter_mm": 300,
        "shape": "circular",
        "material": "Beton",
        "weather": "rain",
        "operator": "Änne",
        "job": 7,
    }
    data = data_file(tmp_path / "data.csv", "d1_1.mp4", "d2.mp4", **known)
    done, file = exported(out, data, to)
    assert (done.videos, done.rows, done.reviewed, file.notes) == (2, 6, 0, ())
    one = file.inspections[0]
    assert (one.name, one.direction, one.upstream, one.downstream) == ("S0", "downstream", "M0", "M1")
    assert (one.date, one.time, one.inspector, one.job, one.length_m) == ("2026-01-31", "09:00", "Änne", "7", 60.0)
    assert (one.height_mm, one.width_mm, one.shape, one.material) == (300, 300, "circular", "concrete")
    weather = "rain" if to == "isybau" else ""  # EN 13508-2 has no code for it that could be checked
    assert (one.weather, one.films, one.video_reference) == (weather, ("d1_1.mp4",), "d1_1")
    assert ("weather rain" in one.remark) == (to == "en13508")
    assert [(str(row.code), row.station) for row in one.observations] == [
        *(("BCD", 0.0), ("BAJ B", 12.4), ("BBF", 12.4), ("BBC", 12.4), ("BCE", 60.0)),
    ]
    assert [int(row.seconds or 0) for row in one.observations] == [0, 12, 28, 52, 60]
    assert (tmp_path / one.observations[1].photo).is_file()


@pytest.mark.parametrize(
    ("to", "lost"),
    [("isybau", ("shape egg", "material cast iron")), ("en13508", ("material masonry", "weather thaw"))],
)
def test_what_the_format_has_no_code_for_is_a_remark(to: str, lost: tuple[str, ...], out: Path, tmp_path: Path) -> None:
    given = {"shape": "circular", "material": "concrete", "weather": "dry"} | dict(text.split(" ", 1) for text in lost)
    _, file = exported(out, data_file(tmp_path / "data.csv", "d1_1.mp4", "d2.mp4", **given), to)
    for text in lost:
        assert text in file.inspections[0].remark
    assert "concrete" not in file.inspections[0].remark


@pytest.mark.parametrize("to", NAMES)
def test_proposals_say_so_and_what_is_open(to: str, out: Path, tmp_path: Path) -> None:
    done, file = exported(out, data_file(tmp_path / "data.csv", "d1_1.mp4", "d2.mp4"), to)
    rows = [row for row in file.inspections[0].observations if row.code.main not in ("BCD", "BCE")]
    assert all(row.is_undecided and "demonstration model" in row.remark for row in rows)
    assert not any(
        (row.code.char2, row.clock_from, row.quantification1, row.joint) != ("", None, "", None) for row in rows
    )
    assert rows[0].remark.endswith("CK displaced joint, confidence 0.97; open: quantification, clock position")
    assert "proposal by software, not reviewed" in file.inspections[0].remark
    assert "left out, as no distance is known: CK at 00:41.0" in file.inspections[0].remark
    assert "d1_1.mp4: left out, as no distance is known: CK at 00:41.0" in done.left_out
    assert (
        "open, for a person to complete: clock position (6), quantification (4), characterisation (4)" in done.left_out
    )
    text = done.files[0].read_text("iso-8859-1")
    assert to != "isybau" or "<Auftragsbezeichnung>Proposals by software, not reviewed<" in text


@pytest.mark.parametrize("to", NAMES)
def test_decisions_are_written_with_clock_and_continuous_defects(to: str, out: Path, tmp_path: Path) -> None:
    store = ReviewStore(out / "review.sqlite")
    first = out / "d1_1"
    decide(store, first, "CK@12500", status="accepted", grade=3, clock_from=9, clock_to=3, distance_m=20.5, note="wide")
    decide(store, first, "CK@41000", status="rejected")
    decide(store, first, "CJ@52250", status="accepted", distance_m=30, length_m=12.5, continuous=True)
    decide(store, first, "SL@28000", status="accepted", code="FZ", distance_m=1)
    decide(store, first, ADDED, "Ben", status="accepted", code="PL", distance_m=4)
    finish(store, first)
    data = data_file(tmp_path / "data.csv", "d1_1.mp4")
    done, file = exported(first, data, to, store=store.path)
    store.close()
    assert (done.rows, done.reviewed, done.incomplete) == (4, 4, False)
    rows = file.inspections[0].observations
    assert [(str(row.code), row.station, row.continuous, row.number) for row in rows[1:-1]] == [
        *(
            ("BDB", 1.0, "", 0),
            ("BDB", 4.0, "", 0),
            ("BAJ B", 20.5, "", 0),
            ("BBC", 30.0, "A", 1),
            ("BBC", 42.5, "B", 1),
        ),
    ]
    assert (rows[3].clock_from, rows[3].clock_to) == (9, 3)
    assert rows[3].remark.startswith("reviewed by Ana, ")
    assert rows[3].remark.endswith("CJJ 181 grade 3; wide; open: quantification")
    assert "EN 13508-2 has no code for this class" in rows[1].remark
    assert "open: code (BAB or BAC)" in rows[2].remark
    assert (rows[2].seconds, "reviewed by Ana" in file.inspections[0].remark) == (None, True)
    assert to != "isybau" or "<Auftragsbezeichnung>Inspections, reviewed by people<" in done.files[0].read_text()


def test_an_inspection_whose_data_does_not_suffice_is_named_and_the_others_go_on(out: Path, tmp_path: Path) -> None:
    for name in ("d3", "d4", "d5"):
        made_inspection(tmp_path / "out" / name, f"{name}.mp4")
    data = tmp_path / "data.csv"
    rows = ["d2.mp4,,,", "d3.mp4,S,upstream,12", "d4.mp4,S,upstream,1200", "d5.mp4,S,upstream,50"]
    data.write_text("\n".join(["video,segment,direction,length_m", *rows]))
    done, file = exported(out, data)
    assert [one.films for one in file.inspections] == [("d5.mp4",)]
    assert [line.split("; correct")[0] for line in done.left_out[:5]] == [
        "d1_1.mp4: not written; it has no inspection data; give segment, direction, length_m with --inspection-data or "
        "enter them in the review",
        "d2.mp4: not written; its inspection data lacks segment and direction and length",
        "d3.mp4: not written; left out, as no distance is known: CK at 00:41.0; left out, as beyond the segment of "
        "12 m: CK at 00:12.5, 12.4 m, SL at 00:28.0, 12.4 m, CJ at 00:52.3, 12.4 m",
        "d4.mp4: not written; its length is 1200 m, and the format ends at 999.99 m",
        "d5.mp4: left out, as no distance is known: CK at 00:41.0",
    ]
    with pytest.raises(InspectionError, match=r"no inspection can be written as isybau; d1_1\.mp4: not written"):
        export(out, out=tmp_path / "none.xml", to="isybau")
    assert not (tmp_path / "none.xml").exists()


def test_a_pipe_with_several_inspections_in_one_direction_and_orders_is_valid(
    out: Path, tmp_path: Path, shared: Path
) -> None:
    data = tmp_path / "data.csv"
    data.write_text("video,segment,direction,length_m,job\nd1_1.mp4,S,upstream,60,A\nd2.mp4,S,upstream,60,B\n")
    done, file = exported(out, data)
    assert [(one.name, one.job, one.films) for one in file.inspections] == [
        ("S", "A", ("d1_1.mp4",)),
        ("S", "B", ("d2.mp4",)),
    ]
    data.write_text("video,segment,direction,length_m,job\nd1_1.mp4,S,upstream,60,A\nd2.mp4,T,upstream,60,B\n")
    other = export(out, out=tmp_path / "other.xml", to="isybau", inspection_data=data)
    assert valid([*done.files, *other.files], shared) == []
    text = other.files[0].read_text("iso-8859-1").replace("<Station>0.00<", "<Station>0,00<")
    (tmp_path / "wrong.xml").write_text(text, "iso-8859-1")
    assert any("'0,00'" in line for line in valid([tmp_path / "wrong.xml"], shared))


def test_a_file_is_never_replaced_by_other_content(out: Path, tmp_path: Path) -> None:
    data = data_file(tmp_path / "data.csv", "d1_1.mp4")
    exported(out, data)
    with pytest.raises(InspectionError, match="may contain a person's work"):
        exported(out, data_file(data, "d2.mp4"))


def test_the_command_takes_a_date_and_ones_own_classes(out: Path, tmp_path: Path) -> None:
    data = data_file(tmp_path / "data.csv", "d1_1.mp4", date="")
    mine = tmp_path / "mine.toml"
    mine.write_text('[[classes]]\ncode = "CK"\ncrosswalk = { en13508 = "BAJ C" }\n')
    options = ["--inspection-data", str(data), "--taxonomy", str(mine), "--date", "2026-02-28"]
    run = ["export", str(out / "d1_1"), "--to", "en13508", "--out", str(tmp_path / "e.txt"), *options]
    result = CliRunner().invoke(app, run)
    assert result.exit_code == 3, result.output  # one defect has no distance
    assert "open, for a person to complete: " in result.output
    (one,) = read_coded(tmp_path / "e.txt").inspections
    assert (one.date, one.observations[1].code) == ("2026-02-28", Code("BAJ", "C"))
    refused = CliRunner().invoke(app, [*run[:3], "jsonl", "--out", "x.jsonl", "--date", "2026-02-28"])
    assert "a date has no effect on jsonl; it has one on isybau, en13508, wincan, pacp" in str(refused.exception)


def test_texts_are_shortened_by_a_rule_that_keeps_them_different() -> None:
    short = ShortTexts()
    names = [f"{'混凝土😀' * 10}{number}" for number in range(50)]
    made = [short.of(name, 30) for name in names]
    assert len(set(made)) == 50
    assert {len(name) for name in made} == {30}
    assert [short.of(name, 30) for name in names] == made
    assert next(short.lines()) == f"shortened to 30 characters: {names[0]!r} is {made[0]!r}"
    with pytest.raises(InspectionError, match="are the same in 30 characters"):
        short.of(made[0], 30)
    assert one_line("a\x00\u202eb\r\n\tc \ud800") == "ab c"


def as_text_says(one: CodedInspection) -> CodedInspection:
    """What the text holds of an inspection: whole seconds, joints that there are, no word for laterals or weather."""
    rows = [replace(row, seconds=row.seconds and float(int(row.seconds))) for row in one.observations]
    return replace(
        one, lateral=False, weather="", observations=tuple(replace(row, joint=row.joint or None) for row in rows)
    )


@pytest.mark.parametrize("to", NAMES)
@pytest.mark.parametrize(
    "sample", ["isybau_2013_02/sample_condition_data.xml", "en13508_2/example_13508_2.txt"], ids=["xml", "txt"]
)
def test_samples_come_back_as_they_were(sample: str, to: str, shared: Path, tmp_path: Path) -> None:
    given = read_coded(shared / "data/exchange" / sample).inspections
    path = tmp_path / NAMES[to]
    if to == "isybau":
        path.write_bytes(isybau_xml(given, title="sample", comment="sample", made=date(2026, 1, 31))[0])
        assert valid([path], shared) == []
    else:
        path.write_bytes(en13508_text(given)[0])
        given = tuple(map(as_text_says, given))
    back = read_coded(path).inspections
    assert sorted(map(repr, back)) == sorted(map(repr, given))


MARKS = st.sampled_from("aZ09 .-_/#\"',;äöüßÉ混凝土井管😀🛠\n\t\x00\x1f\x7f\u202e\u200d<>&'~")
TEXTS = st.one_of(st.text(MARKS, max_size=12), st.text(MARKS, min_size=40, max_size=60), st.text(max_size=8))


@st.composite
def data_of(draw: st.DrawFn, video: str) -> InspectionData:
    """Inspection data, sometimes with gaps."""
    values = {
        "segment": draw(TEXTS.filter(lambda text: one_line(text))),
        "direction": draw(st.sampled_from(["upstream", "downstream"])),
        "length_m": draw(st.floats(0.5, 999.99)),
        "diameter_mm": draw(st.none() | st.floats(100, 10_000)),
        "shape": draw(st.sampled_from(["", "circular", "egg", "oval", "rectangular", "mouth", "other"])),
        "material": draw(TEXTS | st.sampled_from(["concrete", "STZ", "clay"])),
        "weather": draw(TEXTS | st.sampled_from(["rain", "dry"])),
        "date": draw(st.just("") | st.dates().map(str)),
        "time": draw(st.just("") | st.times().map(lambda time: f"{time:%H:%M}")),
        **{key: draw(TEXTS) for key in ("street", "from_manhole", "to_manhole", "operator", "job", "client")},
    }
    return InspectionData(video=video, **values)


@st.composite
def rows_of(draw: st.DrawFn, record: InspectionRecord) -> list[RecordRow]:
    """Decisions and proposals with and without distance, time and clock."""
    codes = [code for code in default_taxonomy().codes if code != "ZC"]
    rows = []
    for _ in range(draw(st.integers(0, 5))):
        code = draw(st.sampled_from(codes))
        finding = next(item for item in record.inspection.findings if item.code == code)
        seconds = draw(st.none() | st.floats(0, 400_000))
        times = {} if seconds is None else {"seconds": seconds, "begin_seconds": seconds, "end_seconds": seconds}
        occurrence = Occurrence(score=0.5, **times) if times else None
        clock = draw(st.none() | st.integers(1, 12))
        decision = Decision(
            status=draw(st.sampled_from([Status.accepted, Status.unsure])),
            code=code,
            clock_from=clock,
            clock_to=clock and draw(st.none() | st.integers(1, 12)),
            distance_m=draw(st.none() | st.floats(0, 1000)),
            length_m=draw(st.none() | st.floats(0, 100)),
            continuous=draw(st.booleans()),
            grade=draw(st.none() | st.integers(1, 4)),
            note=draw(TEXTS),
        )
        rows.append(RecordRow(record, finding, occurrence, Review(decision, draw(TEXTS) or "x", "2026-01-31T00:00:00")))
    return rows


@pytest.mark.slow
def test_whatever_is_inspected_the_schema_accepts_it_and_two_readers_agree(shared: Path, tmp_path: Path) -> None:
    inspection = made_inspection(tmp_path / "made")
    files: list[Path] = []

    @settings(max_examples=EXAMPLES)
    @given(st.data())
    def write(draw: st.DataObject) -> None:
        records, rows, data = [], [], {}
        for number in range(draw.draw(st.integers(1, 3))):
            name = f"{draw.draw(TEXTS)}{number}.mp4".replace("/", "")
            facts = {"name": name, "frame_rate": draw.draw(st.floats(0.1, 240)), "duration_seconds": number * 1e5}
            video = inspection.video.model_copy(update=facts)
            records.append(InspectionRecord(name, tmp_path / "made", inspection.model_copy(update={"video": video})))
            data[name] = draw.draw(data_of(name))
            rows += draw.draw(rows_of(records[-1]))
        path = tmp_path / f"{len(files)}.xml"
        refused = ""
        try:
            write_exchange(records, rows, path, "isybau", data=data, taxonomy=default_taxonomy())
        except InspectionError as error:
            refused = str(error)
        if refused:
            assert "no inspection can be written" in refused
            return
        files.append(path)
        text = path.with_suffix(".txt")
        write_exchange(records, rows, text, "en13508", data=data, taxonomy=default_taxonomy())
        check(path, text)

    write()
    assert len(files) > EXAMPLES / 3
    assert valid(files, shared) == []


def check(path: Path, text: Path) -> None:
    """Compare a file with what a second reader finds in it, and with the text format."""
    found, second, other = read_coded(path).inspections, read_pipes(path), read_coded(text).inspections
    pipes = [(pipe.name, pipe.direction, [(row.station, row.code, row.remark) for row in pipe.rows]) for pipe in second]
    assert pipes == [(one.name, {"upstream": "U", "downstream": "O"}[one.direction], plain(one)) for one in found]
    for one, pipe in zip(found, second, strict=True):
        stations = [row.station for row in one.observations]
        assert (one.observations[0].code.main, one.observations[-1].code.main) == ("BCD", "BCE")
        assert stations == sorted(stations, key=lambda station: station or 0.0)
        for row, seen in zip(one.observations, pipe.rows, strict=True):
            rate = one.frame_rate
            assert seen.reference == (
                ("Parameter", "") if row.seconds is None else ("Timecode", timecode(row.seconds, rate))
            )
            assert seen.clock == tuple("" if hour is None else f"{hour:02d}" for hour in (row.clock_from, row.clock_to))
    assert sorted(map(plain, found)) == sorted(map(plain, other))


def plain(one: CodedInspection) -> list[tuple[str, tuple[str, ...], str]]:
    return [(f"{row.station:.2f}", tuple(row.code), row.remark) for row in one.observations]
