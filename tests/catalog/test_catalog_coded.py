"""Coded inspections as labels: ISYBAU XML and EN 13508-2 text."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helpers.catalog_material import write_video
from helpers.inspection_material import made_inspection
from helpers.review_material import decide, finish
from urbanpipe.catalog.catalog_file import read_catalog, read_source
from urbanpipe.catalog.labels import LabelFile, read_label_file
from urbanpipe.catalog.moment_cells import LabelMoment
from urbanpipe.cli.main import app
from urbanpipe.contracts.coded.model import PROPOSAL, Code, CodedInspection, Observation
from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.errors import LabelError
from urbanpipe.exports.exchange.en13508 import en13508_text
from urbanpipe.exports.exchange.isybau import isybau_xml
from urbanpipe.exports.export import export
from urbanpipe.review_store.store import ReviewStore
from urbanpipe.taxonomy import default_taxonomy, load_taxonomy

CLASSES = default_taxonomy()
ZC, SG, SL, PL, AJ = (CLASSES.index(code) for code in ("ZC", "SG", "SL", "PL", "AJ"))


def inspection(name: str, film: str, *codes: str, begin: float = 0.0) -> CodedInspection:
    """An inspection whose observations are a second apart, between its nodes."""
    rows = [Observation(Code(*code.split()), i / 4, begin + i) for i, code in enumerate(("BCD", *codes, "BCE"))]
    films = (film,) if film else ()
    return CodedInspection(name, direction="upstream", films=films, frame_rate=10, observations=tuple(rows))


INSPECTIONS = (
    inspection("S1", "a.mp4", "BBA C", "BBF B", "BBA A"),
    inspection("S2", "b.mp4", "BAO", "BDD A"),
    inspection("S3", "c.mp4", "BDB", "AED B"),
    inspection("S4", "d.mp4", "BAC A"),
    inspection("S5", "d.mp4", "BCA A A", begin=10.0),
    inspection("S6", "", "BAC A"),
)


def written(path: Path, inspections: Sequence[CodedInspection]) -> Path:
    if path.suffix == ".xml":
        path.write_bytes(isybau_xml(inspections, title="t", comment="c", made=date(2026, 1, 31))[0])
    else:
        path.write_bytes(en13508_text(inspections)[0])
    return path


@pytest.mark.parametrize("name", ["a.xml", "a.txt"])
def test_codes_become_classes_and_times_moments(name: str, tmp_path: Path) -> None:
    file = read_label_file(written(tmp_path / name, INSPECTIONS))
    assert file.labels == {"a.mp4": (SG, SL), "b.mp4": (), "c.mp4": (ZC,), "d.mp4": (PL, AJ)}
    assert file.moments == {
        "a.mp4": (LabelMoment(SG, 1.0), LabelMoment(SL, 2.0), LabelMoment(SG, 3.0)),
        "d.mp4": (LabelMoment(PL, 1.0), LabelMoment(AJ, 11.0)),
    }
    assert file.unlabelled == ()
    assert file.notes == (
        "inspections without one film, not used: 1: S6",
        "codes that are none of the classes: BAO (1)",
        "classes that no code says, and that are therefore in no label: FZ CQ QF",
    )


def test_other_codings_and_proposals_of_software_are_no_labels(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", INSPECTIONS)
    text = path.read_text().replace("EN 13508-2:2003+A1:2011", "NEN 3399", 1)
    path.write_text(text)
    file = read_label_file(path)
    assert list(file.labels) == ["b.mp4", "c.mp4", "d.mp4"]
    assert file.notes[0] == "inspections in another coding system than EN 13508-2, not used: 1"
    one = INSPECTIONS[0]
    proposed = replace(one, observations=(*one.observations, replace(one.observations[1], remark=f"{PROPOSAL}; x")))
    file = read_label_file(written(path, (proposed, INSPECTIONS[2])))
    assert (file.labels, file.unlabelled, file.moments) == ({"c.mp4": (ZC,)}, ("a.mp4",), {})
    assert "films whose export was not reviewed in full or lacks defects, not labelled: 1" in file.notes
    with pytest.raises(
        LabelError, match="holds only exports that were not reviewed in full or lack defects; complete them"
    ):
        read_label_file(written(path, (proposed,)))


def test_an_export_of_proposals_is_no_label_file(tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / "d1")
    known = InspectionData(video="d1_1.mp4", segment="S", direction="upstream", length_m=60)
    data = tmp_path / "data.csv"
    data.write_text(f"video,segment,direction,length_m\n{known.video},S,upstream,60\n")
    export(tmp_path / "out", out=tmp_path / "i.xml", to="isybau", inspection_data=data)
    with pytest.raises(LabelError, match="holds only exports that were not reviewed in full"):
        read_label_file(tmp_path / "i.xml")


@pytest.mark.parametrize("name", ["i.xml", "e.txt"])
def test_exported_decisions_come_back_as_labels_whatever_their_code(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made_inspection(out / "d1")
    store = ReviewStore(tmp_path / "review.sqlite")
    codes = [code for code in CLASSES.codes if code != "ZC"]
    for number, code in enumerate(codes):
        decide(store, out / "d1", f"+{number:012x}", status="accepted", code=code, distance_m=number, seconds=number)
    for key in ("CK@12500", "CK@41000", "SL@28000", "CJ@52250"):
        decide(store, out / "d1", key, status="rejected")
    finish(store, out / "d1")
    data = tmp_path / "data.csv"
    data.write_text("video,segment,direction,length_m\nd1_1.mp4,S,upstream,60\n")
    form = "isybau" if name == "i.xml" else "en13508"
    export(out, out=tmp_path / name, to=form, store=store.path, inspection_data=data)
    file = read_label_file(tmp_path / name)
    assert file.labels == {"d1_1.mp4": CLASSES.defects}
    assert len(file.moments["d1_1.mp4"]) == 16
    changes: tuple[dict[str, Any], ...] = ({"status": "unsure"}, {"status": "accepted", "distance_m": None})
    for number, change in enumerate(changes):
        decide(store, out / "d1", "+000000000000", **change)
        path = tmp_path / f"{number}{name}"
        export(out, out=path, to=form, store=store.path, inspection_data=data)
        with pytest.raises(LabelError, match="only exports that were not reviewed in full or lack defects"):
            read_label_file(path)
    store.close()


def test_a_file_without_films_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="none of its 1 inspections of pipes has EN 13508-2 codes and a film"):
        read_label_file(written(tmp_path / "a.xml", INSPECTIONS[-1:]))


def test_a_users_classes_are_read_by_their_own_codes(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    rows = ('code = "WET"\ncrosswalk = { en13508 = "BBF/BDD" }', 'code = "ROOT"\ncrosswalk = { en13508 = "BBA C" }')
    mine.write_text("".join(f"[[classes]]\n{row}\n" for row in rows))
    file: LabelFile = read_label_file(written(tmp_path / "a.xml", INSPECTIONS), load_taxonomy(mine))
    assert file.labels == {"a.mp4": (0, 1), "b.mp4": (0,), "c.mp4": (), "d.mp4": ()}
    assert "codes that are none of the classes: BBA A (1), BAO (1), BAC A (1), BCA A A (1)" in file.notes


@pytest.mark.slow
def test_scan_reads_them_and_says_what_it_did_not_use(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "B", "c")):
        write_video(tmp_path / "videos" / f"{name}.mp4", frames=35, level=number)
    labels = written(tmp_path / "inspections.xml", INSPECTIONS[:2])
    out = tmp_path / "catalog.csv"
    run = ["scan", str(tmp_path / "videos"), "--out", str(out), "--labels", str(labels), "--workers", "1"]
    result = CliRunner().invoke(app, run)
    assert result.exit_code == 0, result.output
    assert "labels: codes that are none of the classes: BAO (1)" in result.output
    rows = {video.name: (video.labels, len(video.moments)) for video in read_catalog(out).videos}
    assert rows == {"a.mp4": ((SG, SL), 3), "B.mp4": ((), 0), "c.mp4": (None, 0)}
    assert read_source(labels).labels == {"a.mp4": (SG, SL), "b.mp4": ()}
