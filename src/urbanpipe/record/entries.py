"""View models of findings: a picture, and what is known about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from urbanpipe.exports.cjj181 import clock_text, is_off, source_words
from urbanpipe.exports.columns import Language, word
from urbanpipe.exports.records import RecordRow
from urbanpipe.exports.reviewed_rows import is_undecided
from urbanpipe.record.added_pictures import added_name
from urbanpipe.record.segments import RecordSegment
from urbanpipe.record.wording import grade_of, metres_text
from urbanpipe.report.pictures import Album
from urbanpipe.report.wording import Wording, clock, sureness

Fact = tuple[str, str]


@dataclass(frozen=True)
class Entry:
    """A finding of a record.

    Attributes:
        number: its number in the segment.
        code: code of its class.
        name: name of its class.
        kind: kind of its class.
        grade: grade as text; empty if it is not graded.
        facts: names and values of what is known.
        picture: data URI; None if there is none.
        caption: text below the picture, or in place of it.
        undecided: whether nobody decided about it, unlike about others.
    """

    number: int
    code: str
    name: str
    kind: str
    grade: str
    facts: tuple[Fact, ...]
    picture: str | None
    caption: str
    undecided: bool


def picture_name(row: RecordRow, root: Path) -> str | None:
    """Return the path of the picture of a finding, relative to the folder of all inspections; None without one."""
    if row.picture is None or row.evidence is None:  # one in an archive is copied to its folder here
        return None
    return f"{row.inspected.folder.relative_to(root).as_posix()}/{row.evidence.picture}"


def entries_of(segment: RecordSegment, root: Path, pictures: Album, t: Wording, language: Language) -> list[Entry]:
    """Return the entries of a segment, in the order of its findings."""
    several = len(segment.videos) > 1
    return [
        _entry(number, row, _picture(row, root, pictures, t), _facts(row, several, t, language), t)
        for number, row in enumerate(segment.rows, 1)
    ]


def _entry(number: int, row: RecordRow, picture: tuple[str | None, str], facts: Iterator[Fact], t: Wording) -> Entry:
    return Entry(
        number=number,
        code=row.finding.code,
        name=t.name(row.finding),
        kind=word(row.finding.kind, "zh" if t.language == "zh" else "en"),
        grade=str(grade_of(row) or ""),
        facts=tuple(facts),
        picture=picture[0],
        caption=picture[1],
        undecided=row.inspected.decisions is not None and is_undecided(row),
    )


def _facts(row: RecordRow, several: bool, t: Wording, language: Language) -> Iterator[Fact]:
    decision = row.review.decision if row.review else None
    yield t("distance"), metres_text(row.metres) or t("not_given")
    yield t("in_video"), clock(row.occurrence.seconds, tenths=True) if row.occurrence else t("no_time")
    if several:
        yield t("video"), row.inspected.name
    if decision and (position := clock_text(decision)):
        yield t("clock"), position
    if decision and (decision.length_m or decision.continuous):
        yield t("extent"), metres_text(decision.length_m) or t("continuous")
    if row.review is None:
        inspection = row.inspected.inspection
        key = "confidence_is" if inspection.bundle.calibrated else "score_is"
        value = sureness(row.finding.probability, inspection.bundle.calibrated)
        yield t("confidence"), t(key, value=value)
    if decision and decision.note:
        yield t("note"), decision.note
    words = source_words(row, language)
    yield t("decided"), "; ".join(words if row.review else words[:1])  # the page says that a model is a demonstration


def _picture(row: RecordRow, root: Path, pictures: Album, t: Wording) -> tuple[str | None, str]:
    name = picture_name(row, root)
    if name is None or row.evidence is None:
        added = pictures.uris.get(added_name(row) or "")
        return added, "" if added else t("picture_none")
    if name in pictures.uris:
        shown = clock(row.evidence.seconds, tenths=True)
        return pictures.uris[name], t("picture_at", time=shown) if is_off(row.evidence, row) else ""
    return None, t(f"picture_{pictures.lost.get(name, 'missing')}")


def record_pictures(segments: Sequence[RecordSegment], root: Path) -> list[str]:
    """Return the paths of all pictures of a record, relative to the folder of all inspections."""
    names = [picture_name(row, root) for segment in segments for row in segment.rows]
    return [name for name in names if name]
