"""`archive report`: the folder of one inspection, as `inspect` writes it, from the parts of an archive."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from urbanpipe.archive_store.object_storage import open_storage
from urbanpipe.archive_store.part_reading import inspection_of, pictures_of, rows_of, timeline_of
from urbanpipe.archive_store.results import CurrentResults, current_results
from urbanpipe.archive_store.storage import is_bucket
from urbanpipe.contracts.distinct_names import distinct_file_names
from urbanpipe.contracts.findings import Inspection, write_inspection
from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.contracts.inspection_sources import Source, read_sources
from urbanpipe.contracts.names import shortened
from urbanpipe.contracts.stored_inspection_data import store_data
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
        data: inspection data of the video; None if none was given.
    """

    uri: str
    report: Path
    inspection: Inspection
    data: InspectionData | None = None


def archive_report(
    archive: str | Path,
    video: str,
    *,
    out: Path,
    language: str = "en",
    inspection_data: Source | Sequence[Source] | None = None,
) -> VideoReport:
    """Write findings.json, timeline.json, pictures and report.html of a video to a folder.

    Inspection data that the folder holds of an earlier call, which may be of another video, is replaced or removed.

    Args:
        archive: folder or prefix of the archive.
        video: id, path or address of the video, or the end of it from a slash on.
        out: the folder.
        language: language of the report: `en` or `zh`.
        inspection_data: CSV or XLSX, see `InspectionData`, a rule for paths, or several of them; it is stored with the
            findings. Names in it are matched with all inspected videos of the archive, as `report` does.

    Raises:
        ArchiveError: there is no such video, several, or it could not be inspected.
        InspectionError: a source cannot be read, or fits no video.
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
    known = _data_of(found, uri, inspection_data) if inspection_data else None
    out = output_folder(Path(out))
    for name, data in pictures_of(storage, part, row).items():
        with whole_file(out / name, "wb") as file:
            file.write(data)
    store_data(out, known)
    if is_bucket(uri):
        write_inspection(inspection, out)
    else:
        inspection = placed(inspection, Path(uri), out)
    return VideoReport(uri, write_report(inspection, out, language), inspection, known)


def _data_of(found: CurrentResults, uri: str, sources: Source | Sequence[Source]) -> InspectionData | None:
    """Return the inspection data of a video; None if no source has any."""
    rows = zip(found.manifest.table["id"].to_pylist(), found.manifest.table["uri"].to_pylist(), strict=True)
    usable = {identifier for identifier, result in found.result_of.items() if result.status == "ok"}
    inspected = sorted(path for identifier, path in rows if identifier in usable)
    names = distinct_file_names([(path.rpartition("/")[2], path) for path in inspected], inspected)
    data, _ = read_sources(sources, dict(zip(names, inspected, strict=True)))
    return data.get(names[inspected.index(uri)])


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
