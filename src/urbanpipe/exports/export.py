"""The verb `export`: tables, exchange formats of sewer inspection, and JSON for other tools and for training."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.contracts.inspection_sources import Source
from urbanpipe.errors import InspectionError, ReviewError
from urbanpipe.exports.cjj181 import write_table
from urbanpipe.exports.columns import Language
from urbanpipe.exports.exchange.writing import Exchange, write_exchange
from urbanpipe.exports.formats import DATED, FOR_TRAINING, WITH_DATA, check_format
from urbanpipe.exports.json_lines import write_lines
from urbanpipe.exports.options import ExportOptions
from urbanpipe.exports.pacp import write_pacp
from urbanpipe.exports.record_data import dated, inspection_data_of
from urbanpipe.exports.records import (
    InspectionRecord,
    InspectionRecords,
    RecordRow,
    RecordRows,
    opened_records,
    rows_of,
)
from urbanpipe.exports.reviewed_rows import is_undecided, left_out, reviewed_rows
from urbanpipe.exports.training_labels import reviewed_videos, write_moment_labels, write_video_labels
from urbanpipe.exports.videopipe import check_alike, taxonomy_of, write_moments, write_scores
from urbanpipe.taxonomy import Taxonomy, load_taxonomy


@dataclass(frozen=True)
class Exported:
    """The result of `export`.

    Attributes:
        files: written files, in the order of writing.
        videos: number of inspections that were read.
        rows: number of rows written; for `qvpipe` the number of scores.
        what: what the rows are: `proposals`; with decisions `defects`, or `rows` where some say that a video is normal;
            `scores` or `labels`.
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


def export(
    inspections: str | Path,
    *,
    out: Path,
    to: str,
    store: Path | None = None,
    language: Language = "en",
    inspection_data: Source | Sequence[Source] | None = None,
    options: ExportOptions | None = None,
) -> Exported:
    """Write inspections in a format that people or other tools read.

    Inspections are read one at a time, several times over, and rows are written as they are read. Only workbooks,
    ISYBAU, EN 13508-2, WinCan, labels and moments are held in memory as a whole.

    Args:
        inspections: output folder of `inspect`, or the folder of one video in it; or an archive: its folder or an
            address such as `s3://bucket/prefix`.
        out: the file: `.xlsx` or `.csv` (cjj181), `.xml` (isybau), `.txt` (en13508), `.db3` (wincan), `.json`
            (qvpipe, cctvpipe, labels, moments), `.jsonl` (jsonl); a folder (pacp).
        to: one of `urbanpipe.exports.FORMATS`.
        store: the decisions of `urbanpipe review`. Rows then are as people decided, and say who reviewed them and when;
            without it nothing was reviewed. `labels` and `moments` need it: they hold the videos that were reviewed in
            full, without the control share and without videos of which a class is unsure.
        language: language of headings and words in the CJJ 181 table, `en` or `zh`.
        inspection_data: CSV or XLSX with the column `video` and the fields of `InspectionData`, a rule for paths, or
            several of them; it names the segments of the CJJ 181 table and gives their length and diameter, and fills
            the exchange formats, which need it. What people entered in the review comes first.
        options: classes of your own, a date, unlikely findings, pictures.

    Raises:
        InspectionError: there are no inspections, one is damaged, the format or suffix is unknown, the inspections have
            different classes, no video can be used for training, or a table exists in which a person may have worked.
        ArchiveError: an archive was never run, is damaged, or cannot be read.
        ReviewError: the store cannot be read, or has no effect on the format.
        TaxonomyError: the file of your own classes cannot be read.
        OutputError: `out` cannot be written.
    """
    out = Path(out)
    check_format(out, to, language, with_store=store is not None)
    if inspection_data and to not in WITH_DATA:
        raise InspectionError(f"inspection data has no effect on {to}; it has one on {', '.join(WITH_DATA)}")
    options = options or ExportOptions()
    if options.date and to not in DATED:
        raise InspectionError(f"a date has no effect on {to}; it has one on {', '.join(DATED)}")
    refuse = options.undecided == "refuse"
    if refuse and store is None:
        raise ReviewError("without decisions everything is undecided; give --store, or leave --undecided out")
    classes = load_taxonomy(options.taxonomy)
    folder = out / "pictures" if to == "pacp" else out.with_name(f"{out.stem}-pictures")
    with opened_records(inspections, store=store, pictures=folder if options.pictures else None) as inspected:
        data, unmatched = inspection_data_of(inspected, inspection_data) if to in WITH_DATA else ({}, ())
        data = dated(inspected.paths, data, options.date) if options.date else data
        written = _write(inspected, out, to, _Contents(language, classes, data, options.unlikely, refuse))
        left = (*inspected.notes(), *written.left_out)
        return replace(written, unmatched=unmatched, left_out=left)


@dataclass(frozen=True)
class _Contents:
    """What an export holds beside the inspections."""

    language: Language
    classes: Taxonomy
    data: dict[str, InspectionData]
    unlikely: bool
    refuse_undecided: bool


def _write(inspected: InspectionRecords, out: Path, to: str, contents: _Contents) -> Exported:
    done = Exported(
        (),
        len(inspected),
        rows=0,
        what="defects" if inspected.with_decisions else "proposals",
        duplicates=inspected.duplicates(),
        unmatched=(),
        demonstration=inspected.demonstration,
    )
    if to in FOR_TRAINING:
        return _write_training(inspected, out, to, done)
    if to == "qvpipe":
        files, number = write_scores(inspected, out)
        return replace(done, files=files, rows=number, what="scores")
    rows = RecordRows(inspected, lambda one: _rows(one, to, contents.unlikely))
    if contents.refuse_undecided and (number := sum(map(is_undecided, rows))):
        what = f"{number} proposal{'' if number == 1 else 's'}"
        raise ReviewError(f"nobody has decided about {what}; decide in `urbanpipe review`, or give --undecided mark")
    if to in DATED:
        return _write_records(inspected, rows, out, to, contents=contents, done=done)
    wrong: tuple[str, ...] = ()
    if to == "cjj181":
        files, wrong = write_table(inspected, rows, out, contents.language, contents.data)
    elif to == "cctvpipe":
        files = write_moments(inspected, rows, out)
    else:
        files = write_lines(inspected, rows, out)
    left = (*_left_out(inspected), *wrong)
    what = "rows" if rows.normal and inspected.with_decisions else done.what
    return replace(done, files=files, rows=rows.count, what=what, reviewed=rows.reviewed, left_out=left)


def _rows(one: InspectionRecord, to: str, unlikely: bool) -> Iterator[RecordRow]:
    """Yield the rows of an inspection that a format holds."""
    made = reviewed_rows if one.decisions is not None else rows_of
    for row in made([one], unlikely=unlikely):
        is_defect = row.finding.code != one.inspection.exclusive
        if (is_defect or to not in ("cctvpipe", *DATED)) and (row.occurrence or to != "cctvpipe"):
            yield row


def _left_out(inspected: InspectionRecords) -> Iterator[str]:
    return left_out(inspected if inspected.with_decisions else ())


def _write_records(
    inspected: InspectionRecords,
    rows: RecordRows,
    out: Path,
    to: str,
    *,
    contents: _Contents,
    done: Exported,
) -> Exported:
    """Write a format that holds some of the inspections and names the others."""
    if to == "pacp":
        written = write_pacp(inspected, rows, out, contents.classes, contents.data)
    else:
        form = cast("Exchange", to)  # `check_format` has let no other pass
        written = write_exchange(inspected, rows, out, form, data=contents.data, taxonomy=contents.classes)
    left = (*_left_out(inspected), *written.lines)
    done = replace(done, files=written.files, incomplete=written.incomplete, left_out=left)
    return replace(done, rows=written.rows, reviewed=written.reviewed)


def _write_training(inspected: Iterable[InspectionRecord], out: Path, to: str, done: Exported) -> Exported:
    found = reviewed_videos(inspected)
    if to == "labels":
        for one in found.usable:
            check_alike(found.usable[0], one)
        number = write_video_labels(found.usable, out, taxonomy_of(found.usable[0]))
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
