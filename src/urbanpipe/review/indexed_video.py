"""A row of the index of videos, from the findings of its inspection."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from urbanpipe.contracts.findings import Inspection
from urbanpipe.contracts.names import canonical_name
from urbanpipe.errors import InspectionError
from urbanpipe.exports.rules import read_rules
from urbanpipe.locations import folder_of
from urbanpipe.report.verdict import proposed
from urbanpipe.review_store.control_share import is_control


@dataclass(frozen=True)
class IndexedVideo:
    """A row of the index.

    Attributes:
        folder: key of the inspection: the name of its folder.
        version: changes whenever the findings change.
        digest: digest of the video; empty if its findings cannot be read.
        name: name of the video, distinct from all others.
        path: path of the video at the time of the inspection.
        place: folder of the video.
        duration_seconds: duration of the video.
        made_at: time of the inspection.
        date: time at which the video was last changed when it was indexed, ISO 8601; empty if it is missing.
        proposals: code and probability of each proposed class, without the unlikely ones.
        severity: expected score of the worst proposal: probability times the highest score that CJJ 181 gives the
            class.
        probabilities: of all classes but the one that means "nothing wrong".
        picture: file of a picture in the inspection's folder; empty if there is none.
        error: why the findings cannot be read; empty if they can.
    """

    folder: str
    version: str
    digest: str = ""
    name: str = ""
    path: str = ""
    place: str = ""
    duration_seconds: float = 0.0
    made_at: str = ""
    date: str = ""
    proposals: tuple[tuple[str, float], ...] = ()
    severity: float = 0.0
    probabilities: tuple[float, ...] = ()
    picture: str = ""
    error: str = ""


def searchable(text: str) -> str:
    """Return text as it is searched: in Unicode normal form C, without case.

    >>> searchable("Straße") == searchable("STRASSE")
    True
    """
    return canonical_name(text).casefold()


def indexed_video(name: str, version: str, inspection: Inspection | InspectionError) -> IndexedVideo:
    """Return the row of an inspection; one with an error if its findings cannot be read."""
    if isinstance(inspection, InspectionError):
        return IndexedVideo(name, version, name=name, path=name, error=str(inspection))
    video = inspection.video
    shown = proposed(inspection)
    return IndexedVideo(
        folder=name,
        version=version,
        digest=video.digest,
        name=video.name,
        path=video.path,
        place=folder_of(video.path),
        duration_seconds=video.duration_seconds,
        made_at=inspection.made_at,
        date=_date(Path(video.path)),
        proposals=tuple((one.code, one.probability) for one in shown),
        severity=max((one.probability * _worst_score(one.code) for one in shown), default=0.0),
        probabilities=tuple(one.probability for one in inspection.findings if one.code != inspection.exclusive),
        picture=_picture(inspection),
    )


def columns_of(video: IndexedVideo) -> Iterator[object]:
    """Yield the values of the columns of the table of videos, in their order."""
    code, top = max(video.proposals, key=lambda one: one[1], default=("", 0.0))
    yield from (video.folder, video.version, video.digest, video.name, video.path, video.place)
    codes = " ".join(code for code, _ in video.proposals)
    yield from (searchable(f"{video.path} {codes} "), video.duration_seconds, video.made_at, video.date)
    yield from (len(video.proposals), top, code, video.severity, video.picture)
    yield from (int(bool(video.digest) and is_control(video.digest)), video.error, 0, 0.0)


def _picture(inspection: Inspection) -> str:
    """Return the best picture of the most probable defect that has one."""
    findings = [*inspection.defects, *inspection.findings]
    occurrences = [max(one.occurrences, key=lambda moment: moment.score) for one in findings if one.occurrences]
    return next((one.evidence[0].picture for one in occurrences if one.evidence), "")


def _date(path: Path) -> str:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime).astimezone().isoformat(timespec="seconds")
    except (OSError, ValueError, OverflowError):
        return ""


@lru_cache
def _worst_scores() -> dict[str, float]:
    return {one.code: float(max(one.scores)) for one in read_rules().classes if one.scores}


def _worst_score(code: str) -> float:
    """Return the highest score that CJJ 181 gives a class; 5, its middle, for a class that it does not score."""
    return _worst_scores().get(code, 5.0)
