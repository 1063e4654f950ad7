"""The exception tree, on one page.

Everything that a user can cause and can fix is an `UrbanpipeError`. Its message is one line that says what is wrong,
where, and what would be right. The command line prints that line and exits with status 2; anything else is a bug and
keeps its traceback.
"""

from collections.abc import Sequence
from typing import Literal, Protocol


class UrbanpipeError(Exception):
    """An error that a user can fix; the message is one line."""


class ConfigError(UrbanpipeError):
    """A file of default options that is missing, or has an unknown verb, option or value."""


class TaxonomyError(UrbanpipeError):
    """A taxonomy file that does not describe a list of classes."""


class LabelError(UrbanpipeError):
    """A label file that cannot be read, or names classes or videos that do not exist."""


class CatalogError(UrbanpipeError):
    """A catalog that cannot be read, or a folder without videos."""


class FoldError(UrbanpipeError):
    """Folds that cannot be made from this data, or do not fit it."""


class VideoError(UrbanpipeError):
    """A video that cannot be read.

    Attributes:
        path: the file.
        reason: why, without the path; this is the `status` that a catalog shows.
    """

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type["VideoError"], tuple[object, str]]:
        """Pickle both arguments: errors cross process borders."""
        return type(self), (self.path, self.reason)


class RecipeError(UrbanpipeError):
    """A recipe with an unknown key, a value out of range, or settings that contradict each other."""


class WeightsError(UrbanpipeError):
    """Pretrained weights that are missing, unreadable, or belong to another model."""


class RunError(UrbanpipeError):
    """A run folder that is missing, incomplete, in use, or belongs to other data or another recipe."""


class BusyError(RunError):
    """A folder or file in which another process is working."""


class DivergedError(RunError):
    """A training run whose loss became NaN or infinite."""


class PredictionError(UrbanpipeError):
    """A prediction file with missing, unknown, short, NaN or out-of-range entries."""


class BundleError(UrbanpipeError):
    """A bundle that is missing, damaged, or of another taxonomy."""


class HubError(UrbanpipeError):
    """A repository of the Hugging Face Hub that cannot be reached, read or written, or has no valid bundle."""


class InspectionError(UrbanpipeError):
    """An inspection's folder that is missing or damaged, or an export that its findings do not allow."""


class Mistake(Protocol):
    """A cell that a person must correct; `str` words it in English."""

    def text(self, language: Literal["en", "zh"]) -> str:
        """Return one line: where it is, what is there, and what would be right."""
        ...


class TableError(InspectionError):
    """A table with cells that a person must correct; the message gives the first and the number of the others.

    Attributes:
        mistakes: the mistakes, which can be worded in any language of the documents.
    """

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        others = len(mistakes) - 1
        more = f" (and {others} more {'mistake' if others == 1 else 'mistakes'})" if others else ""
        super().__init__(f"{mistakes[0]}{more}")
        self.mistakes = tuple(mistakes)

    def __reduce__(self) -> tuple[type["TableError"], tuple[tuple[Mistake, ...]]]:
        """Pickle the mistakes: errors cross process borders."""
        return type(self), (self.mistakes,)


class ArchiveError(UrbanpipeError):
    """An archive that is missing, incomplete, of another version or bundle, or in use."""


class StorageError(ArchiveError):
    """A folder or bucket that cannot be read or written: wrong credentials, no such bucket, no network."""


class MissingObjectError(StorageError):
    """A file or object that does not exist, in a storage that can be read."""


class LeaseLostError(ArchiveError):
    """A shard that another worker has taken over; only its unfinished work here is dropped."""


class OutputError(UrbanpipeError):
    """A result that could not be written: read-only folder, full disk. An existing file is left unchanged."""


class OutOfMemoryError(UrbanpipeError):
    """The accelerator or the machine has too little memory for the recipe."""


class LoadingError(UrbanpipeError):
    """A process that loads videos was ended by the system, most often for lack of memory."""


class ReviewError(UrbanpipeError):
    """A review store that cannot be used, or a decision that it refuses."""


class StaleError(ReviewError):
    """A decision about something that was changed since it was last read; nothing was stored.

    Attributes:
        action: the action that could not be undone; None for a new decision.
    """

    action: int | None = None


class ClosedError(ReviewError):
    """A decision about a video that was reviewed in full, by a person who may not open it again."""
