"""The record as HTML: a cover where there are several segments, and each segment on pages of its own."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from urbanpipe import __version__
from urbanpipe.contracts.remarks import sentence
from urbanpipe.exports.columns import Language
from urbanpipe.exports.rules import Rules
from urbanpipe.record.added_pictures import write_added_pictures
from urbanpipe.record.cover import Cover, cover_of
from urbanpipe.record.data_cells import Cell, data_cells
from urbanpipe.record.entries import Entry, entries_of, record_pictures
from urbanpipe.record.figures import Half, derivation
from urbanpipe.record.page_rules import page_rules
from urbanpipe.record.pipe_graph import Graph, graphs_of
from urbanpipe.record.segments import RecordSegment
from urbanpipe.report.page import document
from urbanpipe.report.pictures import Album, picture_album
from urbanpipe.report.wording import Wording, clock

MAX_LETTERS = 24_000_000
"""Maximum length in characters of all pictures of a record, so that it stays below 25 MB."""
MARK = "urbanpipe record"
"""Name of the generator in a record, by which an earlier one is recognised."""
_MAX_MISSING = 6
_TEMPLATE = Path(__file__).with_name("templates") / "record.html"


@dataclass(frozen=True)
class VideoLine:
    """A video of a segment: its name, duration, digest, and who reviewed it."""

    name: str
    duration: str
    digest: str
    review: str


@dataclass(frozen=True)
class Section:
    """The pages of a segment.

    Attributes:
        number: its number in the record, from 1.
        name: its name.
        cells: inspection data.
        differing: in which of it the videos differ, where no condition figures are due that would lack it.
        notices: what restricts all of its findings.
        graphs: drawings of the pipe.
        halves: condition figures of structure and function; empty without.
        condition_note: sentence about them.
        missing: what is missing for them.
        entries: its findings.
        none: sentence in place of findings.
        limits: what was not inspected, or only in part.
        videos: its videos.
    """

    number: int
    name: str
    cells: tuple[tuple[Cell, ...], ...]
    differing: tuple[str, ...]
    notices: tuple[str, ...]
    graphs: tuple[Graph, ...]
    halves: tuple[Half, ...]
    condition_note: str
    missing: tuple[str, ...]
    entries: tuple[Entry, ...]
    none: str
    limits: tuple[str, ...]
    videos: tuple[VideoLine, ...]


def record_html(
    segments: Sequence[RecordSegment],
    failures: Mapping[str, str],
    root: Path,
    rules: Rules,
    *,
    t: Wording,
    language: Language,
    contractor: str,
) -> str:
    """Return the record as HTML that loads nothing and runs nothing.

    Args:
        segments: the segments, in order.
        failures: reasons of the videos that could not be inspected, by name.
        root: folder of all inspections.
        rules: rules of the condition figures.
        t: texts.
        language: language of the record.
        contractor: who hands it in; empty if not given.
    """
    pictures = _pictures(segments, root)
    single = len(segments) == 1
    sections = [
        Section(
            number=number,
            name=one.name,
            cells=data_cells(one, t, contractor=contractor, whole=single),
            differing=() if one.with_decisions else _missing(one, t, language),
            notices=tuple(notices_of(one, t)),
            graphs=tuple(graphs_of(one, t)),
            halves=derivation(one.condition, rules, t) if one.condition else (),
            condition_note=_condition_note(one, rules, t),
            missing=_missing(one, t, language) if one.with_decisions else (),
            entries=tuple(entries_of(one, root, pictures, t, language)),
            none=t("no_findings" if one.with_decisions else "no_findings_proposed"),
            limits=tuple(_limits(one, t)),
            videos=tuple(_videos(one, t)),
        )
        for number, one in enumerate(segments, 1)
    ]
    style = _TEMPLATE.with_name("record.css").read_text(encoding="utf-8")
    cover: Cover | None = None if single else cover_of(segments, t, contractor=contractor)
    content = {
        "language": {"zh": "zh-CN"}.get(language, language),
        "mark": MARK,
        "cover": cover,
        "cover_notices": list(dict.fromkeys(line for one in sections for line in one.notices)),
        "sections": sections,
        "failures": list(failures.items()),
        "made": t("made", version=__version__),
    }
    rules_of_pages = page_rules(segments, [notices_of(one, t) for one in segments], t, contractor=contractor)
    return document(_TEMPLATE, style + rules_of_pages, t, content)


def _pictures(segments: Sequence[RecordSegment], root: Path) -> Album:
    """Return the pictures of proposals and, where there is room left, of defects that people added."""
    proposed = picture_album(record_pictures(segments, root), root, MAX_LETTERS)
    room = MAX_LETTERS - sum(map(len, proposed.uris.values()))
    with tempfile.TemporaryDirectory(prefix="urbanpipe-") as folder:
        added = picture_album(write_added_pictures(segments, Path(folder)), Path(folder), room)
    return Album(proposed.uris | added.uris, proposed.lost | added.lost)


def notices_of(segment: RecordSegment, t: Wording) -> list[str]:
    """Return what every page of a segment must say."""
    notices = []
    if not segment.with_decisions:
        notices.append(t("not_reviewed"))
    elif segment.undecided:
        notices.append(t("partly_reviewed"))
    elif not segment.reviewed:
        notices.append(t("not_reviewed_in_full"))
    if segment.demonstration:
        notices.append(t("demonstration", name=segment.demonstration))
    return notices


def _condition_note(segment: RecordSegment, rules: Rules, t: Wording) -> str:
    if segment.condition:
        reviewer = segment.condition.segment.reviewer
        return t("condition_by", standard=rules.name, reviewer=reviewer)
    return t("condition_missing" if segment.with_decisions else "condition_none")


def _missing(segment: RecordSegment, t: Wording, language: Language) -> tuple[str, ...]:
    cells, others = segment.missing[:_MAX_MISSING], len(segment.missing) - _MAX_MISSING
    shown = tuple(cell.text(language) for cell in cells)
    return (*shown, t.count("condition_more", others)) if others > 0 else shown


def _limits(segment: RecordSegment, t: Wording) -> list[str]:
    several = len(segment.videos) > 1
    lines = [
        (f"{one.name}{t('colon')}" if several else "") + sentence(remark, t.language)
        for one in segment.videos
        for remark in one.inspection.remarks
    ]
    return list(dict.fromkeys(lines))


def _videos(segment: RecordSegment, t: Wording) -> list[VideoLine]:
    lines = []
    for one in segment.videos:
        review = one.decisions.review if one.decisions else None
        text = t("reviewed_by", who=review.who, date=review.at[:10]) if review else t("not_in_full")
        video = one.inspection.video
        lines.append(VideoLine(one.name, clock(video.duration_seconds), video.digest, text))
    return lines
