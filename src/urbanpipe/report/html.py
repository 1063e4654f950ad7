"""Write the report of an inspected video and the index of a folder of reports, as HTML without network or server."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from urllib.parse import quote

from urbanpipe.contracts.findings import Finding, Inspection, Timeline, read_inspection, read_timeline
from urbanpipe.contracts.remarks import sentence
from urbanpipe.errors import InspectionError
from urbanpipe.outputs import write_text
from urbanpipe.report.page import page
from urbanpipe.report.pictures import Album, album
from urbanpipe.report.timeline import HEIGHT, WIDTH, span_seconds, ticks
from urbanpipe.report.views import Builder
from urbanpipe.report.wording import Wording, sureness, wording

REPORT, INDEX = "report.html", "index.html"
_MARK = '<nav class="pages"'  # marks the pages of an index that has several
PAGE_VIDEOS = 1000  # keeps a page of an archive small enough to open and to filter instantly
_LANGUAGE_TAGS = {"zh": "zh-CN"}


def write_report(inspection: Inspection, folder: Path, language: str = "en") -> Path:
    """Write `report.html` into the inspection's folder.

    Pictures, style and script are embedded; the video is linked by its relative path. A missing or damaged picture is
    replaced by a note.

    Args:
        inspection: the inspection.
        folder: the folder that contains its pictures.
        language: `en` or `zh`.

    Raises:
        InspectionError: there are no texts in that language.
        OutputError: the report cannot be written.
    """
    path = Path(folder) / REPORT
    if inspection.timed and inspection.timeline is None:
        inspection = inspection.model_copy(update={"timeline": _timeline(path.parent)})
    write_text(path, page("report.html", "report.js", t := wording(language), _report(inspection, path.parent, t)))
    return path


def _timeline(folder: Path) -> Timeline | None:
    """Return the timeline of an inspection; None if it cannot be read, in which case the report has no curves."""
    try:
        return read_timeline(folder)
    except InspectionError:
        return None


def write_index(
    folders: Sequence[Path],
    out: Path,
    language: str = "en",
    failures: Mapping[str, str] | None = None,
    read: Callable[[Path], Inspection] = read_inspection,
) -> Path:
    """Write `index.html`: one row per inspection, with a link to its report.

    After `PAGE_VIDEOS` rows it continues in `index-2.html` and so on; pages of an earlier, longer index are removed. An
    inspection that cannot be read is listed as a failure under the name of its folder. Failures are on the first page.

    Args:
        folders: folders of the inspections, in the order of the list.
        out: folder to write to.
        language: `en` or `zh`.
        failures: reasons of the videos that could not be inspected, by name.
        read: function that reads the inspection in a folder.

    Raises:
        InspectionError: there are no texts in that language.
        OutputError: the index cannot be written.
    """
    t = wording(language)
    failed = dict(failures or {})
    rows = list(_rows(folders, Path(out), t, failed, read))
    path = Path(out) / INDEX
    parts = [rows[begin : begin + PAGE_VIDEOS] for begin in range(0, len(rows), PAGE_VIDEOS)] or [rows]
    leaves = [Leaf(number, part) for number, part in enumerate(parts, 1)]
    content = {
        "language": _LANGUAGE_TAGS.get(language, language),
        "leaves": leaves,
        "failures": list(failed.items()),
        "demonstration": any(row.demonstration for row in rows),
        "calibrated": all(row.calibrated for row in rows),
        "totals": _totals(rows, len(failed), t),
    }
    for leaf in reversed(leaves):  # the first page links to the others, so it is written last
        text = page("index.html", "index.js", t, {**content, "leaf": leaf, "rows": leaf.rows})
        write_text(path.with_name(leaf.name), text)
    _remove_pages_after(leaves[-1], path.parent)
    return path


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
        name: name of the video.
        href: link to its report.
        duration: duration in seconds.
        found: accepted findings.
        review: findings to review.
        unlikely: text with the number of unlikely findings to review; may be empty.
        unsure: whether nothing was found, but the exclusive class ("nothing wrong") was not accepted either.
        remarks: kind, short text and sentence of each remark.
        demonstration: whether the inspection was made with a demonstration bundle.
        calibrated: whether the probabilities are calibrated.
    """

    name: str
    href: str
    duration: float
    found: tuple[Chip, ...]
    review: tuple[Chip, ...]
    unlikely: str
    unsure: bool
    remarks: tuple[tuple[str, str, str], ...]
    demonstration: bool
    calibrated: bool


@dataclass(frozen=True)
class Leaf:
    """A page of the index: its number from 1, and its videos."""

    number: int
    rows: Sequence[Row]

    @property
    def name(self) -> str:
        """Name of its file."""
        return INDEX if self.number == 1 else f"index-{self.number}.html"

    @property
    def videos(self) -> str:
        """Names of its first and last videos."""
        return f"{self.rows[0].name} – {self.rows[-1].name}" if self.rows else ""


def _remove_pages_after(last: Leaf, out: Path) -> None:
    """Remove the pages left over from an index with more videos, and no other files."""
    with suppress(OSError):  # raised after the last page
        for number in count(last.number + 1):
            path = out / Leaf(number, ()).name
            if _MARK not in path.read_text(encoding="utf-8", errors="replace"):
                return
            path.unlink()


def _report(inspection: Inspection, folder: Path, t: Wording) -> dict[str, object]:
    pictures = album(inspection, folder)
    span = span_seconds(inspection)
    builder = Builder(inspection, folder, pictures, t, span)
    items = [builder.item(place, finding) for place, finding in enumerate(inspection.defects, 1)]
    return {
        "language": _LANGUAGE_TAGS.get(t.language, t.language),
        "inspection": inspection,
        "video": inspection.video,
        "bundle": inspection.bundle,
        "source": video_url(inspection.video.relative),
        "verdict": _verdict(inspection, t),
        "unsure": _is_unsure(inspection),
        "exclusive": _exclusive(inspection),
        "remarks": [
            (one.kind, text := sentence(one, t.language), "en" if text == one.text else t.language)
            for one in sorted(inspection.remarks, key=lambda one: one.kind != "out_of_distribution")
        ],
        "found": [item for item in items if item.triage == "accept"],
        "review": [item for item in items if item.triage == "review" and not item.unlikely],
        "unlikely": [item for item in items if item.unlikely],
        "likely": [item for item in items if not item.unlikely],
        "items": items,
        "timed": any(item.moments for item in items),
        "others": _others(inspection),
        "span": span,
        "ticks": ticks(span),
        "box": f"0 0 {WIDTH} {HEIGHT}",
        "lost": _lost(pictures, t),
        "made_at": _made_at(inspection.made_at),
    }


def video_url(relative: str) -> str:
    """Return a relative path as a relative URL, whatever the file name; empty if there is no path.

    >>> video_url("../a b#?%.mp4"), video_url("javascript:x.mp4")
    ('../a%20b%23%3F%25.mp4', './javascript%3Ax.mp4')
    """
    url = quote(relative, safe="/", errors="replace")
    return url if not url or url.startswith(("../", "./")) else f"./{url}"


def _exclusive(inspection: Inspection) -> Finding | None:
    return next((one for one in inspection.findings if one.code == inspection.exclusive), None)


def _is_unsure(inspection: Inspection) -> bool:
    """Return whether nothing was found, but the exclusive class ("nothing wrong") was not accepted either."""
    normal = _exclusive(inspection)
    return not inspection.defects and normal is not None and normal.triage != "accept"


def _verdict(inspection: Inspection, t: Wording) -> str:
    found = sum(one.triage == "accept" for one in inspection.defects)
    unlikely = sum(one.unlikely for one in inspection.defects)
    review = len(inspection.defects) - found - unlikely
    if not inspection.defects:
        return t("verdict_unsure" if _is_unsure(inspection) else "verdict_none")
    if not found and not review:
        return t.count("verdict_unlikely", unlikely)
    if not found:
        return t.count("verdict_only", review)
    return t("verdict_join").join(
        [t.count("verdict_found", found), *([t.count("verdict_review", review)] if review else [])]
    )


def _others(inspection: Inspection) -> list[Finding]:
    """Return the rejected classes that the networks were trained on, most probable first."""
    shown = {inspection.exclusive, *(one.code for one in inspection.defects), *_untrained(inspection)}
    return sorted((one for one in inspection.findings if one.code not in shown), key=lambda one: -one.probability)


def _untrained(inspection: Inspection) -> set[str]:
    """Return the codes of classes without training examples, to which the bound on missed defects does not apply."""
    told = [remark.values.get("classes", "") for remark in inspection.remarks if remark.key == "untrained"]
    return {code for classes in told for code in classes.split(", ") if code}


def _lost(pictures: Album, t: Wording) -> list[str]:
    counts = {why: sum(one == why for one in pictures.lost.values()) for why in ("missing", "damaged", "left_out")}
    return [t.count(f"note_{why}", number) for why, number in counts.items() if number]


def _made_at(text: str) -> str:
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return text


def _rows(
    folders: Sequence[Path], out: Path, t: Wording, failed: dict[str, str], read: Callable[[Path], Inspection]
) -> Iterator[Row]:
    for folder in folders:
        try:
            inspection = read(folder)
        except InspectionError as error:
            failed[folder.name] = str(error)
            continue
        href = _href(folder, out)
        chips = [
            Chip(f"{href}#f{place}", one.code, t.name(one), sureness(one.probability, inspection.bundle.calibrated))
            for place, one in enumerate(inspection.defects, 1)
        ]
        accepted = sum(one.triage == "accept" for one in inspection.defects)
        unlikely = sum(one.unlikely for one in inspection.defects)
        yield Row(
            name=inspection.video.name,
            href=href,
            duration=inspection.video.duration_seconds,
            found=tuple(chips[:accepted]),
            review=tuple(chips[accepted : len(chips) - unlikely]),
            unlikely=t.count("unlikely", unlikely) if unlikely else "",
            unsure=_is_unsure(inspection),
            remarks=tuple((one.kind, t(f"remark_{one.kind}"), sentence(one, t.language)) for one in inspection.remarks),
            demonstration=inspection.bundle.demonstration,
            calibrated=inspection.bundle.calibrated,
        )


def _href(folder: Path, out: Path) -> str:
    try:
        relative = os.path.relpath(folder, out)
    except ValueError:  # another drive on Windows
        return f"{folder.resolve().as_uri()}/{REPORT}"
    url = quote(os.fsencode(relative.replace(os.sep, "/")), safe="/")
    return f"./{url}/{REPORT}"


def _totals(rows: Sequence[Row], failed: int, t: Wording) -> list[str]:
    found = sum(bool(row.found) for row in rows)
    review = sum(bool(row.review or row.unlikely or row.unsure) and not row.found for row in rows)
    return [
        t.count("total_videos", len(rows)),
        t.count("total_found", found),
        t.count("total_review", review),
        t.count("total_none", len(rows) - found - review),
        *([t.count("total_failed", failed)] if failed else []),
    ]
