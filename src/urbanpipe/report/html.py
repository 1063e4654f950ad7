"""Write the report of an inspected video and the index of a folder of reports, as HTML without network or server."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from urllib.parse import quote

from markupsafe import escape

from urbanpipe.contracts.findings import Inspection, Timeline, read_inspection, read_timeline
from urbanpipe.contracts.remarks import sentence
from urbanpipe.contracts.stored_inspection_data import read_stored_data
from urbanpipe.errors import InspectionError
from urbanpipe.outputs import remove_quietly, write_text
from urbanpipe.report.index_rows import REPORT, Row, data_columns, index_rows, totals
from urbanpipe.report.inspection_data import known_fields
from urbanpipe.report.page import page
from urbanpipe.report.pictures import Album, album
from urbanpipe.report.timeline import HEIGHT, WIDTH, span_seconds, ticks
from urbanpipe.report.verdict import exclusive_finding, proposed, verdict
from urbanpipe.report.views import Builder, Item
from urbanpipe.report.wording import Wording, sureness, visible, wording

INDEX = "index.html"
_NAMED = 3  # classes in the title of those that are not proposed
_MARK = '<nav class="pages"'  # marks the pages of an index that has several
PAGE_VIDEOS = 1000  # keeps a page of an archive small enough to open and to filter instantly
_LANGUAGE_TAGS = {"zh": "zh-CN"}
_HEAD = 4096  # characters of a page up to its title and more


def write_report(inspection: Inspection, folder: Path, language: str = "en", name: str = "") -> Path:
    """Write `report.html` into the inspection's folder.

    Pictures, style and script are embedded; the video is linked by its relative path. A missing or damaged picture is
    replaced by a note. Inspection data is shown if the folder holds it.

    Args:
        inspection: the inspection.
        folder: the folder that contains its pictures.
        language: `en` or `zh`.
        name: name of the video on the page; default: its file name.

    Raises:
        InspectionError: there are no texts in that language.
        OutputError: the report cannot be written.
    """
    path = Path(folder) / REPORT
    if inspection.timed and inspection.timeline is None:
        inspection = inspection.model_copy(update={"timeline": _timeline(path.parent)})
    content = _report(inspection, path.parent, t := wording(language))
    write_text(path, page("report.html", "report.js", t, {**content, "name": name or inspection.video.name}))
    return path


def report_language(folder: Path, name: str) -> str | None:
    """Return the language of a report that shows another name of the video; None if it shows `name`.

    A report that cannot be read counts as one that shows `name`.
    """
    try:
        with (Path(folder) / REPORT).open(encoding="utf-8", errors="replace") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    language = next((key for key, tag in _LANGUAGE_TAGS.items() if f'<html lang="{tag}">' in head), "en")
    title = escape(wording(language)("title", name=visible(name)))
    return language if "<title>" in head and f"<title>{title}</title>" not in head else None


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
    rows = index_rows(folders, Path(out), t, failed, read)
    path = Path(out) / INDEX
    parts = [rows[begin : begin + PAGE_VIDEOS] for begin in range(0, len(rows), PAGE_VIDEOS)] or [rows]
    leaves = [Leaf(number, part) for number, part in enumerate(parts, 1)]
    content = {
        "language": _LANGUAGE_TAGS.get(language, language),
        "columns": data_columns(rows, language),
        "leaves": leaves,
        "failures": list(failed.items()),
        "demonstration": any(row.demonstration for row in rows),
        "calibrated": all(row.calibrated for row in rows),
        "notes": list(dict.fromkeys(note for row in rows for note in row.notes)),
        "totals": totals(rows, len(failed), t),
    }
    for leaf in reversed(leaves):  # the first page links to the others, so it is written last
        text = page("index.html", "index.js", t, {**content, "leaf": leaf, "rows": leaf.rows})
        write_text(path.with_name(leaf.name), text)
    _remove_pages_after(leaves[-1], path.parent)
    return path


@dataclass(frozen=True)
class Weak:
    """A class that is not proposed, and its view if the bound on missed defects keeps it for review."""

    code: str
    name: str
    probability: str
    item: Item | None


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
            remove_quietly(path)


def _report(inspection: Inspection, folder: Path, t: Wording) -> dict[str, object]:
    pictures = album(inspection, folder)
    span = span_seconds(inspection)
    builder = Builder(inspection, folder, pictures, t, span)
    items = [builder.item(place, finding) for place, finding in enumerate(inspection.defects, 1)]
    return {
        "language": _LANGUAGE_TAGS.get(t.language, t.language),
        "data": list(known_fields(data, t.language)) if (data := read_stored_data(folder)) else [],
        "inspection": inspection,
        "video": inspection.video,
        "bundle": inspection.bundle,
        "source": video_url(inspection.video.relative),
        "verdict": verdict(inspection, t),
        "exclusive": exclusive_finding(inspection),
        "remarks": _remarks(inspection, t),
        "found": [item for item in items if item.triage == "accept"],
        "review": [item for item in items if item.triage == "review" and not item.unlikely],
        "items": [item for item in items if not item.unlikely],
        "weak": (weak := _weak(inspection, items, t)),
        "weak_title": _weak_title(weak, t),
        "kept": [one.item for one in weak if one.item],
        "timed": any(item.moments for item in items),
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


def _remarks(inspection: Inspection, t: Wording) -> list[tuple[str, str, str]]:
    """Return kind, sentence and language of each remark, the gravest first."""
    ranked = sorted(inspection.remarks, key=lambda one: one.kind != "out_of_distribution")
    texts = [(one, sentence(one, t.language)) for one in ranked]
    return [(one.kind, text, "en" if text == one.text else t.language) for one, text in texts]


def _weak(inspection: Inspection, items: Sequence[Item], t: Wording) -> list[Weak]:
    """Return all classes that are not proposed and that the networks were trained on, most probable first."""
    hidden = {inspection.exclusive, *(one.code for one in proposed(inspection)), *_untrained(inspection)}
    ranked = sorted((one for one in inspection.findings if one.code not in hidden), key=lambda one: -one.probability)
    kept = {item.code: item for item in items if item.unlikely}
    calibrated = inspection.bundle.calibrated
    return [Weak(one.code, t.name(one), sureness(one.probability, calibrated), kept.get(one.code)) for one in ranked]


def _weak_title(weak: Sequence[Weak], t: Wording) -> str:
    """Return one line with the most probable of the classes that are not proposed."""
    named = t("weak_join").join(f"{one.code} {one.probability}" for one in weak[:_NAMED])
    others = len(weak) - _NAMED
    return t("weak", classes=named) + (t.count("weak_more", others) if others > 0 else "")


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
