"""What the pages of a call of `inspect` show beside the findings: their language, and inspection data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from urbanpipe import __version__
from urbanpipe.catalog.catalog_file import printable
from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.contracts.inspection_sources import Source, read_sources
from urbanpipe.contracts.names import short_hash
from urbanpipe.contracts.stored_inspection_data import read_stored_data, store_data


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """What reports and their index show beside the findings.

    Attributes:
        language: `en` or `zh`.
        inspection_data: CSV or XLSX, see `InspectionData`, a rule for paths, or several of them; it is stored with the
            findings. None keeps what an earlier call stored.
    """

    language: str = "en"
    inspection_data: Source | Sequence[Source] | None = None


@dataclass(frozen=True)
class Pages:
    """What the pages of a call show.

    Attributes:
        language: `en` or `zh`.
        data: inspection data by the name of the video; None if none was given, which keeps what is stored.
        unmatched: names in the inspection data without a video.
    """

    language: str
    data: Mapping[str, InspectionData] | None = None
    unmatched: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: PageOptions, paths: Mapping[str, Path]) -> Self:
        """Return the pages of a call.

        Args:
            options: language and sources.
            paths: the videos by name.

        Raises:
            InspectionError: a source cannot be read, or fits no video.
        """
        if not options.inspection_data:
            return cls(options.language)
        videos = {name: printable(str(paths[name].resolve())) for name in paths}
        return cls(options.language, *read_sources(options.inspection_data, videos))

    def store_data(self, folder: Path, name: str) -> None:
        """Store the inspection data of a video with its findings, if any was given in this call.

        Raises:
            OutputError: the folder cannot be written.
        """
        if self.data is not None:
            store_data(folder, self.data.get(name))

    def made_of(self, folder: Path, name: str) -> str:
        """Return what determines the report in a folder beside the findings."""
        stored = read_stored_data(folder)
        mark = f" {short_hash(stored.model_dump_json())}" if stored else ""
        return f"{self.language} {__version__} {name}{mark}"
