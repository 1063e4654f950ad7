"""What the results of an archive depend on besides its videos: the bundle, and the region of the distance."""

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from urbanpipe.archive_store.storage import Storage
from urbanpipe.errors import ArchiveError, MissingObjectError
from urbanpipe.inspection.region import DistanceRegion

SETTINGS = "settings.json"
RESULTS_VERSION = 1
"""Raised when `inspect` finds other things in the same video with the same bundle; all videos are inspected again."""


class ArchiveSettings(BaseModel):
    """What the first run of an archive has fixed for all others.

    Attributes:
        format: format of the file.
        bundle: name of the bundle.
        digest: digest of its manifest.
        demonstration: whether the bundle must not be relied on.
        distance_region: region in which the on-screen distance is read, or `auto`; None if it is not read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["urbanpipe archive settings 1"] = "urbanpipe archive settings 1"
    bundle: str
    digest: str
    demonstration: bool = False
    distance_region: DistanceRegion | None = None

    @property
    def results(self) -> str:
        """Name of the folder of results by these settings and this version of the package."""
        facts = f"{self.digest} {self.distance_region}"
        return f"results/{hashlib.blake2b(facts.encode(), digest_size=4).hexdigest()}-v{RESULTS_VERSION}"


def read_settings(storage: Storage) -> ArchiveSettings | None:
    """Return the settings of an archive; None before its first run.

    Raises:
        ArchiveError: they are damaged or of another version.
    """
    try:
        data, _ = storage.read(SETTINGS)
    except MissingObjectError:
        return None
    try:
        return ArchiveSettings.model_validate_json(data)
    except ValidationError:
        raise ArchiveError(
            f"{storage.location}/{SETTINGS} is damaged or of another version; plan again into another archive"
        ) from None


def settle(storage: Storage, settings: ArchiveSettings) -> ArchiveSettings:
    """Write the settings of the first run, or check that they are those of the archive.

    Raises:
        ArchiveError: the archive was begun with another bundle or region.
    """
    known = read_settings(storage)
    if known is None:
        storage.create(SETTINGS, settings.model_dump_json(indent=1).encode())
        known = read_settings(storage) or settings
    if known.digest != settings.digest:
        raise ArchiveError(
            f"{storage.location} holds results of the bundle {known.bundle} ({known.digest[:8]}), not of "
            f"{settings.bundle} ({settings.digest[:8]}); give the same bundle, or plan another archive"
        )
    if known.distance_region != settings.distance_region:
        raise ArchiveError(
            f"{storage.location} was begun with the distance region {known.distance_region}, "
            f"not {settings.distance_region}; give the same one, or plan another archive"
        )
    return known
