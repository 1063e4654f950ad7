"""`archive report`: the folder of one inspection, as `inspect` writes it, from the parts of an archive."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from urbanpipe.archive_store.object_storage import open_storage
from urbanpipe.archive_store.part_reading import inspection_of, pictures_of, rows_of, timeline_of
from urbanpipe.archive_store.results import CurrentResults, current_results
from urbanpipe.archive_store.storage import is_bucket
from urbanpipe.contracts.findings import Inspection, write_inspection
from urbanpipe.contracts.names import shortened
from urbanpipe.errors import ArchiveError
from urbanpipe.inspection.placing import placed
from urbanpipe.locations import is_windows_path, local_path, plain_path, pure_path
from urbanpipe.outputs import output_folder, whole_file
from urbanpipe.report.html import write_report


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
    row = rows_of(storage, part, {identifier})[0]
    if row["status"] != "ok":
        raise ArchiveError(f"{uri} could not be inspected ({row['status']}): {row['message']}")
    inspection = inspection_of(row)
    if inspection.timed:
        inspection = inspection.model_copy(update={"timeline": timeline_of(storage, part, row)})
    out = output_folder(Path(out))
    for name, data in pictures_of(storage, part, row).items():
        with whole_file(out / name, "wb") as file:
            file.write(data)
    if is_bucket(uri):
        write_inspection(inspection, out)
    else:
        inspection = placed(inspection, Path(uri), out)
    return VideoReport(uri, write_report(inspection, out, language), inspection)


def _written_local(video: str) -> str:
    """Return a path as the manifest has it: absolute, with forward slashes, of whichever system."""
    text = plain_path(video)
    return pure_path(text).as_posix() if is_windows_path(text) else local_path(text).absolute().as_posix()


def _chosen(found: CurrentResults, video: str) -> tuple[str, str]:
    """Return the id and the uri of the video that is meant."""
    table = found.manifest.table
    local = video if is_bucket(video) else _written_local(video)
    for mask in (
        pc.equal(table["id"], video),
        pc.or_(pc.equal(table["uri"], video), pc.equal(table["uri"], local)),
        pc.ends_with(table["uri"], "/" + plain_path(video).replace("\\", "/").lstrip("/")),
    ):
        rows = table.filter(mask)
        if rows.num_rows == 1:
            return rows["id"][0].as_py(), rows["uri"][0].as_py()
        if rows.num_rows > 1:
            raise ArchiveError(f"{video} may be {shortened(rows['uri'].to_pylist())}; give more of the path")
    raise ArchiveError(f"the archive has no video {video}; give its id, its path, or the end of it")
