"""Exports of inspections: the CJJ 181 table, PACP-shaped CSVs, and JSON for other tools."""

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urbanpipe.errors import InspectionError
from urbanpipe.evaluation.moments import Moment, write_results
from urbanpipe.exports.cjj181 import write_table
from urbanpipe.exports.columns import LANGUAGES, Language
from urbanpipe.exports.csv_safety import relative
from urbanpipe.exports.pacp import write_pacp
from urbanpipe.exports.records import InspectionRecord, RecordRow, read_inspected, rows_of
from urbanpipe.outputs import write_text
from urbanpipe.taxonomy import DefectClass, Taxonomy, load_taxonomy

FORMATS = ("cjj181", "pacp", "qvpipe", "cctvpipe", "jsonl")


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        files: in the order in which they were.
        videos: how many inspections were read.
        rows: occurrences of what is to be accepted or looked at, and findings without occurrences.
        demonstration: whether any inspection was made by a demonstration bundle.
    """

    files: tuple[Path, ...]
    videos: int
    rows: int
    demonstration: bool


def export(inspections: Path, out: Path, to: str, language: Language = "en", taxonomy: Path | None = None) -> Exported:
    """Write inspections in a form that people or other tools read. Nothing in it was seen by a person.

    Args:
        inspections: output folder of `inspect`, or the folder of one video in it.
        out: the file: `.xlsx` or `.csv` (cjj181), `.json` (qvpipe, cctvpipe), `.jsonl` (jsonl); a folder (pacp).
        to: one of `FORMATS`.
        language: of headings and words in the CJJ 181 table, `en` or `zh`.
        taxonomy: TOML table of your own classes, for their `pacp` crosswalk; by default the 17 of QV-Pipe.

    Raises:
        InspectionError: no inspections, a damaged one, an unknown format or suffix, inspections of different classes,
            or a table is there in which a person may have worked.
        TaxonomyError: `taxonomy` cannot be read.
        OutputError: `out` cannot be written.
    """
    out = Path(out)
    _check(out, to, language)
    classes = load_taxonomy(taxonomy)
    inspected = read_inspected(inspections)
    rows = list(rows_of(inspected, unlikely=to == "jsonl"))
    if to == "cjj181":
        files = write_table(inspected, rows, out, language)
    elif to == "pacp":
        files = write_pacp(inspected, rows, out, classes)
    elif to == "qvpipe":
        files = _write_scores(inspected, out)
    elif to == "cctvpipe":
        files = _write_moments(inspected, out)
    else:
        files = _write_lines(inspected, rows, out)
    demonstration = any(one.inspection.bundle.demonstration for one in inspected)
    return Exported(files, len(inspected), len(rows), demonstration)


def _check(out: Path, to: str, language: str) -> None:
    """Refuse what cannot be written before anything is read."""
    if to not in FORMATS:
        near = difflib.get_close_matches(to, FORMATS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InspectionError(f"unknown format {to!r}; expected one of {', '.join(FORMATS)}{hint}")
    if language not in LANGUAGES:
        raise InspectionError(f"language is {language!r}; expected {' or '.join(LANGUAGES)}")
    suffixes = {"qvpipe": ".json", "cctvpipe": ".json", "jsonl": ".jsonl"}
    if to in suffixes and out.suffix.lower() != suffixes[to]:
        raise InspectionError(f"{out}: {to} is written as {suffixes[to]}; give such an --out")


def _taxonomy_of(inspected: Sequence[InspectionRecord]) -> Taxonomy:
    """The classes of the inspections, which must be the same in all."""
    first = inspected[0]
    codes = [one.code for one in first.inspection.findings]
    for other in inspected:
        if [one.code for one in other.inspection.findings] != codes:
            raise InspectionError(
                f"{first.folder} and {other.folder} have different classes; export them one after the other"
            )
    items = tuple(DefectClass(i, one.code, one.en, one.zh, one.kind) for i, one in enumerate(first.inspection.findings))
    return Taxonomy(first.inspection.bundle.taxonomy, items, first.inspection.exclusive)


def _write_scores(inspected: Sequence[InspectionRecord], out: Path) -> tuple[Path, ...]:
    """VideoPipe track 1: the scores before calibration, as calibration may tie scores, and only their order counts."""
    _taxonomy_of(inspected)
    lines = (
        f"{json.dumps(one.name, ensure_ascii=False)}: {json.dumps([found.score for found in one.inspection.findings])}"
        for one in inspected
    )
    write_text(out, "{\n" + ",\n".join(lines) + "\n}\n")
    return (out,)


def _write_moments(inspected: Sequence[InspectionRecord], out: Path) -> tuple[Path, ...]:
    """VideoPipe track 2: every occurrence of a defect with the score at its peak."""
    taxonomy = _taxonomy_of(inspected)
    moments = {
        one.name: [
            Moment(taxonomy.index(finding.code), occurrence.seconds, occurrence.score)
            for finding in one.inspection.defects
            for occurrence in finding.occurrences
        ]
        for one in inspected
    }
    write_results(moments, out, taxonomy)
    return (out,)


def _write_lines(inspected: Sequence[InspectionRecord], rows: Sequence[RecordRow], out: Path) -> tuple[Path, ...]:
    """One JSON object a line: every row, and one without a code for each video that has none."""
    seen = {id(row.inspected) for row in rows}
    objects = [_line(row, out.parent) for row in rows]
    objects += [_facts(one) | {"code": None} for one in inspected if id(one) not in seen]
    write_text(out, "".join(json.dumps(one, ensure_ascii=False, allow_nan=False) + "\n" for one in objects))
    return (out,)


def _facts(one: InspectionRecord) -> dict[str, Any]:
    inspection = one.inspection
    return {
        "video": one.name,
        "path": inspection.video.path,
        "digest": inspection.video.digest,
        "reviewed": False,
        "bundle": inspection.bundle.digest,
        "demonstration": inspection.bundle.demonstration,
        "calibrated": inspection.bundle.calibrated,
        "remarks": [remark.text for remark in inspection.remarks],
    }


def _line(row: RecordRow, folder: Path) -> dict[str, Any]:
    finding, occurrence, frame, read = row.finding, row.occurrence, row.evidence, row.distance
    pictures = row.inspected.folder
    return _facts(row.inspected) | {
        "code": finding.code,
        "en": finding.en,
        "zh": finding.zh,
        "kind": finding.kind,
        "triage": finding.triage,
        "probability": finding.probability,
        "score": finding.score,
        "seconds": occurrence.seconds if occurrence else None,
        "begin_seconds": occurrence.begin_seconds if occurrence else None,
        "end_seconds": occurrence.end_seconds if occurrence else None,
        "occurrence_score": occurrence.score if occurrence else None,
        "distance_metres": read.distance_metres if read else None,
        "distance_text": read.distance_text if read else "",
        "picture": relative(pictures / frame.picture, folder) if frame else None,
        "heat": relative(pictures / frame.heat, folder) if frame and frame.heat else None,
    }
