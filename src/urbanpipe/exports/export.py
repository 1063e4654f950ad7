"""The verb `export`: tables, exchange formats of sewer inspection, and JSON for other tools and for training."""

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from urbanpipe.contracts.distinct_names import equal_contents
from urbanpipe.contracts.inspection_data import InspectionData, joined
from urbanpipe.contracts.inspection_sources import Source, read_sources
from urbanpipe.errors import InspectionError, ReviewError
from urbanpipe.evaluation.moments import Moment, write_results
from urbanpipe.exports.cjj181 import write_table
from urbanpipe.exports.columns import LANGUAGES, Language
from urbanpipe.exports.exchange.writing import write_exchange
from urbanpipe.exports.json_lines import write_lines
from urbanpipe.exports.pacp import write_pacp
from urbanpipe.exports.records import InspectionRecord, RecordRow, read_inspected, rows_of
from urbanpipe.exports.reviewed_rows import left_out, reviewed_rows, with_decisions
from urbanpipe.exports.training_labels import reviewed_videos, write_moment_labels, write_video_labels
from urbanpipe.outputs import write_text
from urbanpipe.taxonomy import DefectClass, Taxonomy, load_taxonomy

FORMATS = ("cjj181", "isybau", "en13508", "pacp", "qvpipe", "cctvpipe", "jsonl", "labels", "moments")
FOR_TRAINING = ("labels", "moments")
"""Formats that hold only what people decided."""
WITH_DATA = ("cjj181", "isybau", "en13508", "pacp")
"""Formats that hold inspection data."""
DATED = ("isybau", "en13508", "pacp")
"""Formats that hold the date of the inspection."""
_SUFFIXES = {"isybau": ".xml", "en13508": ".txt", "jsonl": ".jsonl"}  # of formats that are one file but no .json


@dataclass(frozen=True)
class Exported:
    """The result of `export`.

    Attributes:
        files: written files, in the order of writing.
        videos: number of inspections that were read.
        rows: number of rows written; for `qvpipe` the number of scores.
        what: what the rows are: `proposals`, or `scores`.
        duplicates: names of videos with equal contents, in groups.
        unmatched: names in the inspection data without a video, with those that are near.
        reviewed: number of rows that a person decided about.
        incomplete: whether an inspection or a defect was left out that the format cannot hold as it is.
        left_out: what was left out and why, and what a person has to complete.
        demonstration: whether any inspection was made with a demonstration bundle.
    """

    files: tuple[Path, ...]
    videos: int
    rows: int
    what: str
    duplicates: tuple[tuple[str, ...], ...]
    unmatched: tuple[str, ...]
    demonstration: bool
    reviewed: int = 0
    incomplete: bool = False
    left_out: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the lines that tell a person what was written."""
        videos = f"{self.videos} video{'' if self.videos == 1 else 's'}"
        warning = "; made by a demonstration model, not for real use" if self.demonstration else ""
        what = self.what.removesuffix("s") if self.rows == 1 else self.what
        checked = f"{self.reviewed} of them reviewed" if self.reviewed else "not reviewed"
        if self.rows and self.reviewed == self.rows:
            checked = "all reviewed"
        yield f"{videos}, {self.rows} {what}, {checked}{warning}"
        yield from self.left_out
        yield from (f"the same content: {', '.join(names)}" for names in self.duplicates)
        yield from (f"inspection data of a video that was not inspected: {name}" for name in self.unmatched)


def export(  # noqa: PLR0913
    inspections: Path,
    *,
    out: Path,
    to: str,
    store: Path | None = None,
    language: Language = "en",
    taxonomy: Path | None = None,
    inspection_data: Source | Sequence[Source] | None = None,
    date: str | None = None,
    unlikely: bool = False,
) -> Exported:
    """Write inspections in a format that people or other tools read.

    Args:
        inspections: output folder of `inspect`, or the folder of one video in it.
        out: the file: `.xlsx` or `.csv` (cjj181), `.xml` (isybau), `.txt` (en13508), `.json` (qvpipe, cctvpipe,
            labels, moments), `.jsonl` (jsonl); a folder (pacp).
        to: one of `FORMATS`.
        store: the decisions of `urbanpipe review`. Rows then are as people decided, and say who reviewed them and when;
            without it nothing was reviewed. `labels` and `moments` need it: they hold the videos that were reviewed in
            full, without the control share and without videos of which a class is unsure.
        language: language of headings and words in the CJJ 181 table, `en` or `zh`.
        taxonomy: TOML file of your own classes, for their crosswalks `pacp` and `en13508`; default: the 17 QV-Pipe
            classes.
        inspection_data: CSV or XLSX with the column `video` and the fields of `InspectionData`, a rule for paths, or
            several of them; it names the segments of the CJJ 181 table and gives their length and diameter, and fills
            the exchange formats, which need it. What people entered in the review comes first.
        date: date of the inspections whose data has none, such as 2026-01-31, for `DATED`.
        unlikely: whether to add, marked as such, the unlikely findings that are kept for review only because of the
            bound on missed defects. `qvpipe` holds the scores of all classes in any case.

    Raises:
        InspectionError: there are no inspections, one is damaged, the format or suffix is unknown, the inspections have
            different classes, no video can be used for training, or a table exists in which a person may have worked.
        ReviewError: the store cannot be read, or has no effect on the format.
        TaxonomyError: `taxonomy` cannot be read.
        OutputError: `out` cannot be written.
    """
    out = Path(out)
    _check(out, to, language, with_store=store is not None)
    if inspection_data and to not in WITH_DATA:
        raise InspectionError(f"inspection data has no effect on {to}; it has one on {', '.join(WITH_DATA)}")
    if date and to not in DATED:
        raise InspectionError(f"a date has no effect on {to}; it has one on {', '.join(DATED)}")
    classes = load_taxonomy(taxonomy)
    inspected = read_inspected(inspections)
    if store:
        inspected = with_decisions(inspected, store)
    data, unmatched = inspection_data_of(inspected, inspection_data)
    data = _dated(inspected, data, date) if date else data
    written = _write(inspected, out, to, ExportOptions(language, classes, data, unlikely, with_store=store is not None))
    return replace(written, unmatched=unmatched)


@dataclass(frozen=True)
class ExportOptions:
    """What an export holds beside the inspections: see `export`."""

    language: Language
    classes: Taxonomy
    data: dict[str, InspectionData]
    unlikely: bool
    with_store: bool


def _write(inspected: Sequence[InspectionRecord], out: Path, to: str, options: ExportOptions) -> Exported:
    done = Exported(
        (),
        len(inspected),
        rows=0,
        what="defects" if options.with_store else "proposals",
        duplicates=_duplicates(inspected),
        unmatched=(),
        demonstration=any(one.inspection.bundle.demonstration for one in inspected),
    )
    if to in FOR_TRAINING:
        return _write_training(inspected, out, to, done)
    if to == "qvpipe":
        number = sum(len(one.inspection.findings) for one in inspected)
        return replace(done, files=_write_scores(inspected, out), rows=number, what="scores")
    shown = reviewed_rows(inspected, unlikely=options.unlikely) if options.with_store else None
    rows = list(shown or rows_of(inspected, unlikely=options.unlikely))
    if to in ("cctvpipe", *DATED):
        rows = [row for row in rows if row.finding.code != row.inspected.inspection.exclusive]
    if to in ("isybau", "en13508", "pacp"):
        return _write_records(inspected, rows, out, to, options=options, done=done)
    if to == "cjj181":
        files = write_table(inspected, rows, out, options.language, options.data)
    elif to == "cctvpipe":
        rows = [row for row in rows if row.occurrence]
        files = _write_moments(inspected, rows, out)
    else:
        files = write_lines(inspected, rows, out)
    reviewed = sum(row.review is not None for row in rows)
    return replace(done, files=files, rows=len(rows), reviewed=reviewed, left_out=tuple(left_out(inspected)))


def _write_records(
    inspected: Sequence[InspectionRecord],
    rows: Sequence[RecordRow],
    out: Path,
    to: str,
    *,
    options: ExportOptions,
    done: Exported,
) -> Exported:
    """Write a format that holds some of the inspections and names the others."""
    if to == "pacp":
        written = write_pacp(inspected, rows, out, options.classes, options.data)
    else:
        form: Literal["isybau", "en13508"] = "isybau" if to == "isybau" else "en13508"
        written = write_exchange(inspected, rows, out, form, data=options.data, taxonomy=options.classes)
    left = (*left_out(inspected), *written.lines)
    done = replace(done, files=written.files, incomplete=written.incomplete, left_out=left)
    return replace(done, rows=written.rows, reviewed=written.reviewed)


def _write_training(inspected: Sequence[InspectionRecord], out: Path, to: str, done: Exported) -> Exported:
    found = reviewed_videos(inspected)
    if to == "labels":
        number = write_video_labels(found.usable, out, _taxonomy_of(found.usable))
    else:
        number = write_moment_labels(found.usable, out)
    return replace(
        done,
        files=(out,),
        videos=len(found.usable),
        rows=number,
        what="labels",
        reviewed=number,
        left_out=tuple(found.lines()),
        demonstration=False,  # the labels are those of people, whatever model proposed them
    )


def inspection_data_of(
    inspected: Sequence[InspectionRecord], sources: Source | Sequence[Source] | None
) -> tuple[dict[str, InspectionData], tuple[str, ...]]:
    """Return inspection data by the name of the inspected video, and the names in the file without one.

    Args:
        inspected: the inspections; what people entered in the review comes first.
        sources: files of inspection data and rules for paths, see `read_sources`; None if there are none.

    Raises:
        InspectionError: a source cannot be read, or fits no video.
    """
    paths = {one.name: one.inspection.video.path for one in inspected}
    data, unmatched = read_sources(sources, paths) if sources else ({}, ())
    for one in inspected:
        entered = one.decisions.data(one.name) if one.decisions else None
        if entered:
            data[one.name] = joined(data.get(one.name), entered)
    return data, unmatched


def _dated(
    inspected: Sequence[InspectionRecord], data: dict[str, InspectionData], day: str
) -> dict[str, InspectionData]:
    """Return the data with a date for the inspections that have none.

    Raises:
        InspectionError: it is not a date.
    """
    try:
        dated = {one.name: InspectionData(video=one.name, date=day) for one in inspected}
    except ValidationError as error:
        raise InspectionError(f"--date: {day!r} is not a date; expected year-month-day, such as 2026-01-31") from error
    return {name: joined(dated[name], data[name]) if name in data else dated[name] for name in dated}


def _duplicates(inspected: Sequence[InspectionRecord]) -> tuple[tuple[str, ...], ...]:
    groups = equal_contents([one.inspection.video for one in inspected])
    return tuple(tuple(inspected[index].name for index in indices) for indices in groups)


def _check(out: Path, to: str, language: str, with_store: bool) -> None:
    """Check format, language and suffix before anything is read."""
    if to not in FORMATS:
        near = difflib.get_close_matches(to, FORMATS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InspectionError(f"unknown format {to!r}; expected one of {', '.join(FORMATS)}{hint}")
    if to in FOR_TRAINING and not with_store:
        raise ReviewError(f"{to} are what people decided; give the --store of `urbanpipe review`")
    if to == "qvpipe" and with_store:
        raise ReviewError("a store has no effect on qvpipe, which holds the scores of all classes; leave --store out")
    if language not in LANGUAGES:
        raise InspectionError(f"language is {language!r}; expected {' or '.join(LANGUAGES)}")
    suffix = _SUFFIXES.get(to, ".json")
    if to not in ("cjj181", "pacp") and out.suffix.lower() != suffix:
        raise InspectionError(f"{out}: {to} is written as {suffix}; give --out with this suffix")


def _taxonomy_of(inspected: Sequence[InspectionRecord]) -> Taxonomy:
    """Return the classes of the inspections, which must all be the same."""
    first = inspected[0]
    codes = [one.code for one in first.inspection.findings]
    for other in inspected:
        if [one.code for one in other.inspection.findings] != codes:
            raise InspectionError(f"{first.folder} and {other.folder} have different classes; export them separately")
    items = tuple(DefectClass(i, one.code, one.en, one.zh, one.kind) for i, one in enumerate(first.inspection.findings))
    return Taxonomy(first.inspection.bundle.taxonomy, items, first.inspection.exclusive)


def _write_scores(inspected: Sequence[InspectionRecord], out: Path) -> tuple[Path, ...]:
    """Write VideoPipe track 1: scores before calibration, since calibration may create ties and only order counts."""
    _taxonomy_of(inspected)
    lines = (
        f"{json.dumps(one.name, ensure_ascii=False)}: {json.dumps([found.score for found in one.inspection.findings])}"
        for one in inspected
    )
    write_text(out, "{\n" + ",\n".join(lines) + "\n}\n")
    return (out,)


def _write_moments(inspected: Sequence[InspectionRecord], rows: Sequence[RecordRow], out: Path) -> tuple[Path, ...]:
    """Write VideoPipe track 2: every occurrence of a defect with the score at its peak."""
    taxonomy = _taxonomy_of(inspected)
    moments: dict[str, list[Moment]] = {one.name: [] for one in inspected}
    for row in rows:
        if row.occurrence:
            found = Moment(taxonomy.index(row.finding.code), row.occurrence.seconds, row.occurrence.score)
            moments[row.inspected.name].append(found)
    write_results(moments, out, taxonomy)
    return (out,)
