"""`archive report`: the folder of one inspection, as `inspect` writes it, from the parts of an archive."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from pydantic import ValidationError

from urbanpipe.archive_store.object_storage import open_storage
from urbanpipe.archive_store.parts import PACK, PartSummary, read_timeline_row, read_videos
from urbanpipe.archive_store.results import CurrentResults, current_results
from urbanpipe.archive_store.storage import Storage, is_bucket
from urbanpipe.contracts.findings import Inspection, Timeline, write_inspection
from urbanpipe.contracts.names import shortened
from urbanpipe.errors import ArchiveError
from urbanpipe.inspection.placing import placed
from urbanpipe.outputs import output_folder, whole_file
from urbanpipe.report.html import write_report

Row = dict[str, Any]


@dataclass(frozen=True)
class VideoReport:
    """The outcome of `archive report`.

    Attributes:
        uri: the video.
        report: the page.
        inspection: the inspection.
    """

    uri: str
    report: Path
    inspection: Inspection


def archive_report(archive: str | Path, video: str, *, out: Path, language: str = "en") -> VideoReport:
    """Write findings.json, timeline.json, pictures and report.html of a video to a folder.

    Args:
        archive: folder or prefix of the archive.
        video: id, path or address of the video, or the end of it from a slash on.
        out: the folder.
        language: language of the report: `en` or `zh`.

    Raises:
        ArchiveError: there is no such video, several, or it could not be inspected.
        StorageError: the archive cannot be read.
        OutputError: the folder cannot be written.
    """
    storage = open_storage(str(archive))
    found = current_results(storage)
    identifier, uri = _chosen(found, video)
    part = found.part_of.get(identifier)
    if part is None:
        raise ArchiveError(f"{uri} has no result yet; run `urbanpipe archive run {archive}`")
    row = _row(storage, part, identifier)
    if row["status"] != "ok":
        raise ArchiveError(f"{uri} could not be inspected ({row['status']}): {row['message']}")
    inspection = _inspection(storage, part, row)
    out = output_folder(Path(out))
    _write_pictures(storage, part, row, out)
    if is_bucket(uri):
        write_inspection(inspection, out)
    else:
        inspection = placed(inspection, Path(uri), out)
    return VideoReport(uri, write_report(inspection, out, language), inspection)


def _chosen(found: CurrentResults, video: str) -> tuple[str, str]:
    """Return the id and the uri of the video that is meant."""
    table = found.manifest.table
    local = video if is_bucket(video) else Path(video).absolute().as_posix()
    for mask in (
        pc.equal(table["id"], video),
        pc.or_(pc.equal(table["uri"], video), pc.equal(table["uri"], local)),
        pc.ends_with(table["uri"], "/" + video.lstrip("/")),
    ):
        rows = table.filter(mask)
        if rows.num_rows == 1:
            return rows["id"][0].as_py(), rows["uri"][0].as_py()
        if rows.num_rows > 1:
            raise ArchiveError(f"{video} may be {shortened(rows['uri'].to_pylist())}; give more of the path")
    raise ArchiveError(f"the archive has no video {video}; give its id, its path, or the end of it")


def _row(storage: Storage, part: PartSummary, identifier: str) -> Row:
    table = read_videos(storage, part)
    row: Row = table.filter(pc.equal(table["id"], identifier)).to_pylist()[0]
    return row


def _inspection(storage: Storage, part: PartSummary, row: Row) -> Inspection:
    """Return the inspection of a row, with its timeline.

    Raises:
        ArchiveError: it is damaged, or of another version.
    """
    try:
        inspection = Inspection.model_validate_json(row["inspection"])
        if not inspection.timed:
            return inspection
        scores = read_timeline_row(storage, part, row["id"])
        timeline = Timeline.model_validate({name: scores[name] for name in Timeline.model_fields} if scores else None)
    except ValidationError:
        raise ArchiveError(f"the inspection of {row['uri']} in part {part.name} is damaged") from None
    return inspection.model_copy(update={"timeline": timeline})


def _write_pictures(storage: Storage, part: PartSummary, row: Row, out: Path) -> None:
    pictures = row["pictures"]
    if not pictures:
        return
    start = pictures[0]["offset"]
    data = storage.read_range(part.file(PACK), start, sum(picture["length"] for picture in pictures))
    for picture in pictures:
        begin = picture["offset"] - start
        with whole_file(out / picture["name"], "wb") as file:
            file.write(data[begin : begin + picture["length"]])
