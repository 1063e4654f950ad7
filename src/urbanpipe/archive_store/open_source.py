"""Opens the inspections at a path or an address: an output folder of `inspect`, or an archive."""

from pathlib import Path

from urbanpipe.archive_store.extra import check_extra
from urbanpipe.archive_store.storage import MANIFEST
from urbanpipe.contracts.inspections import FolderInspections, InspectionSource
from urbanpipe.locations import is_address, local_path


def open_inspections(location: str | Path) -> InspectionSource:
    """Return the inspections at a location.

    Args:
        location: output folder of `inspect`, one video's folder in it, or an archive: its folder or an address such as
            `s3://bucket/prefix`.

    Raises:
        InspectionError: there are no inspections.
        ArchiveError: the archive was never run, a part of it is damaged, or the extra `archive` is not installed.
        StorageError: the archive cannot be read.
    """
    if not is_archive(location):
        return FolderInspections(local_path(location))
    check_extra()
    from urbanpipe.archive_store.archive_source import ArchiveInspections
    from urbanpipe.archive_store.object_storage import open_storage

    return ArchiveInspections(open_storage(str(location)))


def is_archive(location: str | Path) -> bool:
    """Return whether a location is an archive: an address, or a folder with a manifest."""
    return is_address(str(location)) or (local_path(location) / MANIFEST).is_file()
