"""View models of an index of reports: a row per video, and the counts above them."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from urbanpipe.contracts.distinct_names import distinct_names, equal_contents
from urbanpipe.contracts.findings import Inspection, Remark, VideoFacts
from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.contracts.remarks import sentence
from urbanpipe.contracts.stored_inspection_data import read_stored_data
from urbanpipe.errors import InspectionError
from urbanpipe.report.inspection_data import DATA_TEXTS
from urbanpipe.report.verdict import proposed, verdict
from urbanpipe.report.wording import Wording, sureness, wording

REPORT = "report.html"
_DATA_COLUMNS = ("from_manhole", "to_manhole", "date")
ABOUT_BUNDLE = "untrained"
"""Key of the remark that is the same for all videos of a bundle; the index shows it once."""


@dataclass(frozen=True)
class Chip:
    """A finding in the index: link to it in the report, code, name and probability."""

    href: str
    code: str
    name: str
    probability: str


@dataclass(frozen=True)
class Row:
    """A video in the index.

    Attributes:
        name: name of the video, distinct from that of all others.
        video: the inspected file.
        folder: folder of the inspection.
        href: link to its report.
        verdict: the verdict where nothing was accepted; else empty.
        clear: whether the verdict is that nothing is wrong.
        unsure: whether nothing was found, but the exclusive class ("nothing wrong") is not likely either.
        accepted: accepted findings.
        review: findings to review, without the unlikely ones.
        remarks: kind, short text and sentence of each remark on the video.
        notes: sentences about the bundle.
        demonstration: whether the inspection was made with a demonstration bundle.
        calibrated: whether the probabilities are calibrated.
        data: inspection data; None if none was given.
    """

    name: str
    video: VideoFacts
    folder: Path
    href: str
    verdict: str
    clear: bool
    unsure: bool
    accepted: tuple[Chip, ...]
    review: tuple[Chip, ...]
    remarks: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]
    demonstration: bool
    calibrated: bool
    data: InspectionData | None = None

    @property
    def notable(self) -> bool:
        """Whether a person has something to look at in this video."""
        return bool(self.accepted or self.review or self.unsure or self.remarks)


def index_rows(
    folders: Sequence[Path], out: Path, t: Wording, failed: dict[str, str], read: Callable[[Path], Inspection]
) -> list[Row]:
    """Return a row per inspection; those that cannot be read are added to `failed`, with the reason."""
    rows = list(_rows(folders, out, t, failed, read))
    videos = [row.video for row in rows]
    names = distinct_names(videos, [row.folder for row in rows])
    rows = [replace(row, name=name) for row, name in zip(rows, names, strict=True)]
    for indices in equal_contents(video.digest for video in videos):
        for index in indices:
            others = ", ".join(names[other] for other in indices if other != index)
            remark = ("duplicate", t("duplicate"), t("duplicate_of", names=others))
            rows[index] = replace(rows[index], remarks=(*rows[index].remarks, remark))
    return rows


def data_columns(rows: Sequence[Row], language: str) -> list[tuple[str, str]]:
    """Return field and heading of the columns with inspection data: those that are known of any video."""
    t = wording(language, DATA_TEXTS)
    return [(field, t(field)) for field in _DATA_COLUMNS if any(row.data and getattr(row.data, field) for row in rows)]


def totals(rows: Sequence[Row], failed: int, t: Wording) -> list[str]:
    """Return the counts of videos; unlikely findings do not count."""
    accepted = sum(bool(row.accepted) for row in rows)
    review = sum(bool(row.review or row.unsure) and not row.accepted for row in rows)
    copies = sum(len(indices) - 1 for indices in equal_contents(row.video.digest for row in rows))
    return [
        t.count("total_videos", len(rows)),
        t.count("total_found", accepted),
        t.count("total_review", review),
        t.count("total_none", len(rows) - accepted - review),
        *([t.count("total_copies", copies)] if copies else []),
        *([t.count("total_failed", failed)] if failed else []),
    ]


def _rows(
    folders: Sequence[Path], out: Path, t: Wording, failed: dict[str, str], read: Callable[[Path], Inspection]
) -> Iterator[Row]:
    for folder in folders:
        try:
            inspection = read(folder)
        except InspectionError as error:
            failed[folder.name] = str(error)
            continue
        yield _row(inspection, folder, _href(folder, out), t)


def _row(inspection: Inspection, folder: Path, href: str, t: Wording) -> Row:
    chips = [
        Chip(f"{href}#f{place}", one.code, t.name(one), sureness(one.probability, inspection.bundle.calibrated))
        for place, one in enumerate(proposed(inspection), 1)
    ]
    accepted = sum(one.triage == "accept" for one in inspection.defects)
    outcome = verdict(inspection, t)
    return Row(
        name=inspection.video.name,
        video=inspection.video,
        folder=folder,
        href=href,
        verdict="" if accepted else outcome.text,
        clear=outcome.clear,
        unsure=outcome.unsure,
        accepted=tuple(chips[:accepted]),
        review=tuple(chips[accepted:]),
        remarks=tuple(_tag(one, t) for one in inspection.remarks if one.key != ABOUT_BUNDLE),
        notes=tuple(sentence(one, t.language) for one in inspection.remarks if one.key == ABOUT_BUNDLE),
        demonstration=inspection.bundle.demonstration,
        calibrated=inspection.bundle.calibrated,
        data=read_stored_data(folder),
    )


def _tag(remark: Remark, t: Wording) -> tuple[str, str, str]:
    return remark.kind, t(f"remark_{remark.kind}"), sentence(remark, t.language)


def _href(folder: Path, out: Path) -> str:
    try:
        relative = os.path.relpath(folder, out)
    except ValueError:  # another drive on Windows
        return f"{folder.resolve().as_uri()}/{REPORT}"
    url = quote(os.fsencode(relative.replace(os.sep, "/")), safe="/")
    return f"./{url}/{REPORT}"
