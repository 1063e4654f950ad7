"""Inspections, timelines and pictures of single videos, from the parts of an archive."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from urbanpipe.archive_store.parts import PACK, PartSummary, read_timeline_row, read_videos
from urbanpipe.archive_store.storage import Storage
from urbanpipe.contracts.findings import Inspection, Timeline
from urbanpipe.errors import ArchiveError, MissingObjectError

Row = Mapping[str, Any]
_FILE_NAME = re.compile(r"[^./\\][^/\\]*")
_COLUMNS = ("id", "uri", "status", "message", "part", "pictures", "inspection")


def rows_of(storage: Storage, part: PartSummary, ids: Collection[str]) -> list[Row]:
    """Return the rows of some videos of a part.

    Raises:
        ArchiveError: the part is damaged.
    """
    table = read_videos(storage, part, _COLUMNS)
    rows: list[Row] = table.filter(pc.is_in(table["id"], pa.array(sorted(ids), pa.string()))).to_pylist()
    return rows


def inspection_of(row: Row) -> Inspection:
    """Return the inspection of a row, without its timeline.

    Raises:
        ArchiveError: it is damaged, or of another version.
    """
    try:
        return Inspection.model_validate_json(row["inspection"] or "")
    except ValidationError:
        raise ArchiveError(f"the inspection of {row['uri']} in part {row['part']} is damaged") from None


def timeline_of(storage: Storage, part: PartSummary, row: Row) -> Timeline:
    """Return the scores over time of a row.

    Raises:
        ArchiveError: there are none, or they are damaged.
    """
    try:
        scores = read_timeline_row(storage, part, row["id"])
        return Timeline.model_validate({name: scores[name] for name in Timeline.model_fields} if scores else None)
    except (ValidationError, MissingObjectError, pa.ArrowException):
        raise ArchiveError(f"the inspection of {row['uri']} in part {row['part']} is damaged") from None


def pictures_of(storage: Storage, part: PartSummary, row: Row) -> dict[str, bytes]:
    """Return the pictures of a row by name, which lie one after the other in the pack.

    Raises:
        ArchiveError: the pack is missing or too short, or a name leads out of a folder.
    """
    places = row["pictures"] or []
    if not places:
        return {}
    if not all(_FILE_NAME.fullmatch(place["name"]) for place in places):
        raise ArchiveError(f"the inspection of {row['uri']} in part {row['part']} is damaged")
    start, length = places[0]["offset"], sum(place["length"] for place in places)
    data = storage.read_range(part.file(PACK), start, length)
    if len(data) < length:
        name = f"{storage.location}/{part.file(PACK)}"
        raise ArchiveError(f"{name} is damaged: it ends before the pictures of {row['uri']}")
    return {
        place["name"]: data[place["offset"] - start : place["offset"] - start + place["length"]] for place in places
    }
