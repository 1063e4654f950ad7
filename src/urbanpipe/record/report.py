"""The verb `report`: the record of inspections that a contractor hands in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from urbanpipe.contracts.findings import FAILURES
from urbanpipe.contracts.inspection_sources import Source
from urbanpipe.contracts.name_matching import match_names, near_text
from urbanpipe.csv_cells import read_rows
from urbanpipe.errors import InspectionError, ReviewError
from urbanpipe.exports.columns import LANGUAGES, Language
from urbanpipe.exports.export import inspection_data_of
from urbanpipe.exports.records import InspectionRecord, read_inspected
from urbanpipe.exports.reviewed_rows import left_out, with_decisions
from urbanpipe.exports.rules import read_rules
from urbanpipe.outputs import write_text
from urbanpipe.record.document import MARK, record_html
from urbanpipe.record.pdf import weasyprint, write_pdf
from urbanpipe.record.segments import RecordSegment, record_segments
from urbanpipe.record.wording import TEXTS
from urbanpipe.report.wording import wording

SUFFIXES = (".html", ".pdf")
UNDECIDED = ("refuse", "mark")
MAX_VIDEOS = {".html": 1_000, ".pdf": 300}
MAX_FINDINGS = {".html": 10_000, ".pdf": 3_000}
"""What a browser opens, and what a PDF is made of in a few minutes and 2 GB of memory."""
_HEAD = 4096


@dataclass(frozen=True)
class Reported:
    """The result of `report`.

    Attributes:
        out: the document.
        segments: number of segments.
        findings: number of findings.
        undecided: number of findings that nobody decided about.
        failures: reasons of the inspections that could not be read, by folder.
        unmatched: names in the inspection data without a video.
        left_out: what was left out, and why.
        with_decisions: whether a store was given.
        demonstration: whether any inspection was made with a demonstration bundle.
    """

    out: Path
    segments: int
    findings: int
    undecided: int
    failures: dict[str, str]
    unmatched: tuple[str, ...]
    left_out: tuple[str, ...]
    with_decisions: bool
    demonstration: bool

    def lines(self) -> Iterator[str]:
        """Yield the lines that tell a person what was written."""
        segments = f"{self.segments} segment{'' if self.segments == 1 else 's'}"
        findings = f"{self.findings} finding{'' if self.findings == 1 else 's'}"
        state = "not reviewed" if not self.with_decisions else f"{self.undecided} not decided"
        if self.with_decisions and not self.undecided:
            state = "all decided"
        yield f"{segments}, {findings}, {state}" + (
            "; made by a demonstration model, not for real use" if self.demonstration else ""
        )
        yield from self.left_out
        yield from (f"not in the record: {reason}" for reason in self.failures.values())
        yield from (f"inspection data of a video that is not in the record: {name}" for name in self.unmatched)


def report(
    inspections: Path,
    *,
    out: Path,
    store: Path | None = None,
    inspection_data: Source | Sequence[Source] | None = None,
    videos: Sequence[str] = (),
    language: Language = "en",
    contractor: str = "",
    undecided: str = "refuse",
) -> Reported:
    """Write the record of inspections: a document for print with a cover, drawings, findings and condition figures.

    Args:
        inspections: output folder of `inspect`, or the folder of one video in it.
        out: `.html` or `.pdf`; an earlier record is replaced, and no other file.
        store: the decisions of `urbanpipe review`; without it all findings are proposals, and each page says so.
        inspection_data: CSV or XLSX, see `InspectionData`, a rule for paths, or several of them; what people entered in
            the review comes first.
        videos: names of the videos to include; default: all.
        language: `en` or `zh`.
        contractor: name on the cover and in the header of each page.
        undecided: with a store, what becomes of proposals that nobody decided about: `refuse` or `mark`.

    Raises:
        InspectionError: there are no inspections, no readable one, no such video, or `out` is another file or suffix.
        ReviewError: the store cannot be read, or has proposals that nobody decided about.
        OutputError: `out` cannot be written.
    """
    root, out = Path(inspections), Path(out)
    _check(out, language, undecided)
    failures: dict[str, str] = {}
    inspected = _selected(read_inspected(root, failures), videos)
    failures = {} if videos else failures
    suffix = out.suffix.lower()
    _refuse_more(root, len(inspected), MAX_VIDEOS[suffix], f"videos; a {suffix} record")
    if store:
        inspected = with_decisions(inspected, store)
    data, unmatched = inspection_data_of(inspected, inspection_data)
    rules = read_rules()
    segments = record_segments(inspected, data, rules, with_decisions=store is not None)
    findings = sum(len(one.rows) for one in segments)
    _refuse_more(root, findings, MAX_FINDINGS[suffix], f"findings; a {suffix} record")
    if store and undecided == "refuse":
        _refuse_undecided(segments)
    failed = failures | ({} if videos else _not_inspected(root))
    t = wording(language, TEXTS)
    html = record_html(segments, failed, root, rules, t=t, language=language, contractor=contractor.strip())
    _write(html, out)
    return Reported(
        out=out,
        segments=len(segments),
        findings=findings,
        undecided=sum(one.undecided for one in segments),
        failures=failures,
        unmatched=() if videos else unmatched,
        left_out=tuple(left_out(inspected)),
        with_decisions=store is not None,
        demonstration=any(one.demonstration for one in segments),
    )


def _write(html: str, out: Path) -> None:
    if out.suffix.lower() == ".pdf":
        write_pdf(html, out, MARK)
    else:
        write_text(out, html)


def _check(out: Path, language: str, undecided: str) -> None:
    """Check what can be checked before anything is read."""
    if out.suffix.lower() not in SUFFIXES:
        raise InspectionError(f"{out}: a record is .html or .pdf; give --out with one of these suffixes")
    if language not in LANGUAGES:
        raise InspectionError(f"language is {language!r}; expected {' or '.join(LANGUAGES)}")
    if undecided not in UNDECIDED:
        raise InspectionError(f"undecided is {undecided!r}; expected {' or '.join(UNDECIDED)}")
    if out.suffix.lower() == ".pdf":
        weasyprint()
    if out.is_file() and not _is_record(out):
        raise InspectionError(f"{out} exists and is not a record; give another --out, or delete it yourself")


def _refuse_more(root: Path, number: int, most: int, what: str) -> None:
    if number > most:
        raise InspectionError(f"{root} has {number:,} {what} may have {most:,}; select some with --video")


def _is_record(path: Path) -> bool:
    """Return whether a file is a record, which names its generator: near the begin in HTML, anywhere in PDF."""
    data = path.read_bytes()
    return MARK.encode() in (data[:_HEAD] if path.suffix.lower() == ".html" else data)


def _selected(inspected: list[InspectionRecord], videos: Sequence[str]) -> list[InspectionRecord]:
    if not videos:
        return inspected
    matches = match_names(videos, [one.name for one in inspected])
    for name, near in matches.near.items():
        raise InspectionError(f"no inspected video is called {name}{near_text(near)}")
    return [one for one in inspected if one.name in matches.matched.values()]


def _refuse_undecided(segments: Sequence[RecordSegment]) -> None:
    waiting = [one for one in segments if one.undecided]
    if waiting:
        number = sum(one.undecided for one in waiting)
        proposals = f"{number} proposal{'' if number == 1 else 's'}"
        where = f"the first in {waiting[0].name}" if len(waiting) > 1 else f"in {waiting[0].name}"
        raise ReviewError(
            f"nobody has decided about {proposals}, {where}; decide in `urbanpipe review`, or give --undecided mark"
        )


def _not_inspected(root: Path) -> dict[str, str]:
    """Return the videos that `inspect` could not read, and why."""
    try:
        return {row[0]: row[1] for row in read_rows(root / FAILURES, ["video", "reason"])}
    except (OSError, ValueError):
        return {}
