"""The submission formats of the VideoPipe challenge: QV-Pipe (track 1) and CCTV-Pipe (track 2)."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from urbanpipe.errors import InspectionError
from urbanpipe.evaluation.moments import Moment, write_results
from urbanpipe.exports.records import InspectionRecord, RecordRows
from urbanpipe.outputs import whole_file
from urbanpipe.taxonomy import DefectClass, Taxonomy


def write_scores(inspected: Iterable[InspectionRecord], out: Path) -> tuple[tuple[Path, ...], int]:
    """Write track 1, and return the file and the number of scores.

    Scores are those before calibration, since calibration may create ties and only order counts.

    Raises:
        InspectionError: the inspections have different classes.
        OutputError: the file cannot be written.
    """
    first, number = next(iter(inspected)), 0
    with whole_file(out) as file:
        file.write("{")
        for one in inspected:
            check_alike(first, one)
            scores = [found.score for found in one.inspection.findings]
            file.write(("," if number else "") + f"\n{json.dumps(one.name, ensure_ascii=False)}: {json.dumps(scores)}")
            number += len(scores)
        file.write("\n}\n")
    return (out,), number


def write_moments(inspected: Iterable[InspectionRecord], rows: RecordRows, out: Path) -> tuple[Path, ...]:
    """Write track 2, every occurrence of a defect with the score at its peak, and return the file.

    Raises:
        InspectionError: the inspections have different classes.
        OutputError: the file cannot be written.
    """
    first = next(iter(inspected))
    write_results(_moments(first, rows), out, taxonomy_of(first))
    return (out,)


def _moments(first: InspectionRecord, rows: RecordRows) -> Iterator[tuple[str, list[Moment]]]:
    """Yield name and moments of each video; the first one says which classes there are."""
    taxonomy = taxonomy_of(first)
    for one, found in rows.by_video():
        check_alike(first, one)
        shown = [(taxonomy.index(row.finding.code), row.occurrence) for row in found]
        yield one.name, [Moment(label, place.seconds, place.score) for label, place in shown if place]


def check_alike(first: InspectionRecord, other: InspectionRecord) -> None:
    """Check that two inspections have the same classes.

    Raises:
        InspectionError: they have not.
    """
    codes, others = ([finding.code for finding in one.inspection.findings] for one in (first, other))
    if codes != others:
        raise InspectionError(f"{first.name} and {other.name} have different classes; export them separately")


def taxonomy_of(one: InspectionRecord) -> Taxonomy:
    """Return the classes of an inspection."""
    found = enumerate(one.inspection.findings)
    items = tuple(DefectClass(index, item.code, item.en, item.zh, item.kind) for index, item in found)
    return Taxonomy(one.inspection.bundle.taxonomy, items, one.inspection.exclusive)
