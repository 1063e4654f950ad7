"""The verb `report`: the record of inspections that a contractor hands in."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from urbanpipe.archive_store.open_source import is_archive
from urbanpipe.contracts.inspection_sources import Source
from urbanpipe.errors import InspectionError, ReviewError
from urbanpipe.exports.columns import LANGUAGES, Language
from urbanpipe.exports.records import opened_records
from urbanpipe.exports.reviewed_rows import left_out
from urbanpipe.exports.rules import read_rules
from urbanpipe.outputs import write_text
from urbanpipe.record.document import MARK, record_html
from urbanpipe.record.pdf import weasyprint, write_pdf
from urbanpipe.record.segments import RecordSegment, record_segments
from urbanpipe.record.selection import Selection, chosen_inspections, refuse_more
from urbanpipe.record.wording import record_wording

SUFFIXES = (".html", ".pdf")
UNDECIDED = ("refuse", "mark")
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
    inspections: str | Path,
    *,
    out: Path,
    store: Path | None = None,
    inspection_data: Source | Sequence[Source] | None = None,
    select: Selection | None = None,
    language: Language = "en",
    contractor: str = "",
    undecided: str = "refuse",
) -> Reported:
    """Write the record of inspections: a document for print with a cover, drawings, findings and condition figures.

    Args:
        inspections: output folder of `inspect`, or the folder of one video in it; or an archive.
        out: `.html` or `.pdf`; an earlier record is replaced, and no other file.
        store: the decisions of `urbanpipe review`; without it all findings are proposals, and each page says so.
        inspection_data: CSV or XLSX, see `InspectionData`, a rule for paths, or several of them; what people entered in
            the review comes first.
        select: which inspections to include; default: all.
        language: `en` or `zh`.
        contractor: name on the cover and in the header of each page.
        undecided: with a store, what becomes of proposals that nobody decided about: `refuse` or `mark`.

    Raises:
        InspectionError: there are no inspections, no readable one, none of the video or day, or `out` is another file
            or suffix.
        ReviewError: the store cannot be read, or has proposals that nobody decided about.
        OutputError: `out` cannot be written.
    """
    out, select = Path(out), select or Selection()
    _check(out, language, undecided)
    failures: dict[str, str] = {}
    with (
        tempfile.TemporaryDirectory(prefix="urbanpipe-") as copied,
        opened_records(inspections, store=store, pictures=Path(copied), failures=failures) as opened,
    ):
        root = Path(copied) if is_archive(inspections) else Path(inspections)
        chosen = chosen_inspections(opened, select, inspections, sources=inspection_data, suffix=out.suffix.lower())
        segments = record_segments(
            chosen.inspected, chosen.data, read_rules(), with_decisions=store is not None, language=language
        )
        _check_findings(segments, inspections, out, refuse_undecided=store is not None and undecided == "refuse")
        failed = {} if select.is_some else failures | opened.not_inspected()
        t = record_wording(language)
        html = record_html(segments, failed, root, read_rules(), t=t, language=language, contractor=contractor.strip())
        _write(html, out)
        notes = () if select.videos else tuple(opened.notes())
    done = _reported(out, segments, with_decisions=store is not None, left_out=(*notes, *left_out(chosen.inspected)))
    return done if select.videos else replace(done, failures=failures, unmatched=chosen.unmatched)


def _reported(
    out: Path, segments: Sequence[RecordSegment], *, with_decisions: bool, left_out: tuple[str, ...]
) -> Reported:
    return Reported(
        out=out,
        segments=len(segments),
        findings=sum(len(one.rows) for one in segments),
        undecided=sum(one.undecided for one in segments),
        failures={},
        unmatched=(),
        left_out=left_out,
        with_decisions=with_decisions,
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


def _is_record(path: Path) -> bool:
    """Return whether a file is a record, which names its generator: near the begin in HTML, anywhere in PDF."""
    data = path.read_bytes()
    return MARK.encode() in (data[:_HEAD] if path.suffix.lower() == ".html" else data)


def _check_findings(segments: Sequence[RecordSegment], root: str | Path, out: Path, *, refuse_undecided: bool) -> None:
    findings = sum(len(one.rows) for one in segments)
    suffix = out.suffix.lower()
    refuse_more(root, findings, MAX_FINDINGS[suffix], "findings", suffix)
    if refuse_undecided:
        _refuse_undecided(segments)


def _refuse_undecided(segments: Sequence[RecordSegment]) -> None:
    waiting = [one for one in segments if one.undecided]
    if waiting:
        number = sum(one.undecided for one in waiting)
        proposals = f"{number} proposal{'' if number == 1 else 's'}"
        where = f"the first in {waiting[0].name}" if len(waiting) > 1 else f"in {waiting[0].name}"
        raise ReviewError(
            f"nobody has decided about {proposals}, {where}; decide in `urbanpipe review`, or give --undecided mark"
        )
