"""The queue: the videos of the index that match a filter, in an order."""

import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from urbanpipe.review.indexed_video import searchable
from urbanpipe.review.video_index import VideoIndex
from urbanpipe.settings import Section

PAGE_VIDEOS = 60
_STATUS = """CASE WHEN v.error != '' THEN 'unreadable' WHEN r.reviewed THEN 'reviewed'
  WHEN r.decided > 0 THEN 'in_review' ELSE 'open' END"""


class Order(StrEnum):
    """Order of the queue."""

    severity = "severity"
    date = "date"
    name = "name"
    code = "code"
    uncertainty = "uncertainty"
    learning = "learning"


_Keys = tuple[tuple[str, bool], ...]
_ORDERS: dict[Order, _Keys] = {  # columns, and whether they descend; names are distinct, so that every order is total
    Order.severity: (("v.severity", True), ("v.name", False)),
    Order.date: (("v.date", False), ("v.name", False)),
    Order.name: (("v.name COLLATE NOCASE", False), ("v.name", False)),
    Order.code: (("(v.top_code = '')", False), ("v.top_code", False), ("v.top", True), ("v.name", False)),
    Order.uncertainty: (("v.uncertainty", True), ("v.name", False)),
    Order.learning: (("v.learning", False),),
}


class Filter(Section):
    """What the queue shows.

    Attributes:
        order: order of the videos.
        status: `open`, `in_review`, `reviewed`, `unreadable`, `todo` (open or in review), or empty for all.
        search: words that must all occur in the name, the folder, or the proposed codes.
        code: only videos in which this class is proposed.
        min_probability: only videos with a proposal (of `code`, if given) of at least this probability.
    """

    order: Order = Order.severity
    status: Literal["", "open", "in_review", "reviewed", "unreadable", "todo"] = ""
    search: str = Field(default="", max_length=200)
    code: str = Field(default="", max_length=64)
    min_probability: float = Field(default=0.0, ge=0, le=1)


@dataclass(frozen=True)
class Page:
    """A page of the queue.

    Attributes:
        videos: its rows.
        total: number of videos that match the filter.
        counts: number of videos that match all of the filter but its status, by status.
        seconds_left: total duration of those that are not reviewed.
    """

    videos: list[dict[str, Any]]
    total: int
    counts: dict[str, int]
    seconds_left: float


def queue_page(index: VideoIndex, wanted: Filter, *, offset: int = 0, limit: int = PAGE_VIDEOS) -> Page:
    """Return the videos from position `offset` on."""
    where, values = _where(wanted)
    connection = index.connection
    counts = {
        row["status"]: (row["number"], row["seconds"])
        for row in connection.execute(
            f"SELECT {_STATUS} AS status, count(*) AS number, sum(v.duration_seconds) AS seconds FROM videos v "
            f"LEFT JOIN store.reviews r ON r.video = v.digest WHERE {where} GROUP BY 1",
            values,
        )
    }
    shown = {status: one for status, one in counts.items() if _is_shown(status, wanted.status)}
    rows = connection.execute(
        f"SELECT v.*, coalesce(r.decided, 0) AS decided, {_STATUS} AS status FROM videos v "
        f"LEFT JOIN store.reviews r ON r.video = v.digest WHERE {where} AND {_status(wanted.status)} "
        f"ORDER BY {_sorted_by(_ORDERS[wanted.order])} LIMIT ? OFFSET ?",
        [*values, limit, offset],
    )
    return Page(
        videos=[_shown(connection, row) for row in rows],
        total=sum(number for number, _ in shown.values()),
        counts={status: number for status, (number, _) in counts.items()},
        seconds_left=sum(seconds for status, (_, seconds) in counts.items() if status in ("open", "in_review")),
    )


def neighbours(index: VideoIndex, wanted: Filter, folder: str) -> tuple[str | None, str | None]:
    """Return the previous video and the next one that is not reviewed, in the order of the queue.

    After the last video the search for an open one goes on at the first.

    Args:
        index: the index.
        wanted: filter and order; its status is not used.
        folder: folder of the current video.

    Returns:
        Folders; None where there is none.
    """
    keys = _ORDERS[wanted.order]
    columns = ", ".join(column for column, _ in keys)
    at = index.connection.execute(f"SELECT {columns} FROM videos v WHERE folder = ?", (folder,)).fetchone()
    if at is None:
        return None, None
    back = tuple((column, not descends) for column, descends in keys)
    where, values = _where(wanted)
    is_open = f"({where}) AND v.folder != ? AND {_status('todo')}"
    following = _first(index, f"{is_open} AND {_beyond(keys)}", [*values, folder, *_repeated(at)], keys)
    previous = _first(index, f"({where}) AND v.error = '' AND {_beyond(back)}", [*values, *_repeated(at)], back)
    return previous, following or _first(index, is_open, [*values, folder], keys)


def _first(index: VideoIndex, where: str, values: list[object], keys: _Keys) -> str | None:
    row = index.connection.execute(
        f"SELECT v.folder FROM videos v LEFT JOIN store.reviews r ON r.video = v.digest WHERE {where} "
        f"ORDER BY {_sorted_by(keys)} LIMIT 1",
        values,
    ).fetchone()
    return row[0] if row else None


def _beyond(keys: _Keys) -> str:
    """Return the condition that a row comes after another one, whose columns `_repeated` gives."""
    signs = [(column, "<" if descends else ">") for column, descends in keys]
    cases = [
        " AND ".join([*(f"{column} = ?" for column, _ in signs[:place]), f"{column} {sign} ?"])
        for place, (column, sign) in enumerate(signs)
    ]
    column, sign = signs[0]  # the first condition lets SQLite begin within an index
    return f"({column} {sign}= ? AND ({' OR '.join(f'({case})' for case in cases)}))"


def _repeated(row: sqlite3.Row) -> list[object]:
    return [row[0]] + [value for place in range(len(row)) for value in tuple(row)[: place + 1]]


def _sorted_by(keys: _Keys) -> str:
    return ", ".join(f"{column} DESC" if descends else column for column, descends in keys)


def _where(wanted: Filter) -> tuple[str, list[object]]:
    parts, values = ["1"], list[object]()
    for word in searchable(wanted.search).split():
        escaped = word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        parts.append(r"v.text LIKE ? ESCAPE '\'")
        values.append(f"%{escaped}%")
    if wanted.code:
        parts.append(
            "EXISTS (SELECT 1 FROM proposals p WHERE p.folder = v.folder AND p.code = ? AND p.probability >= ?)"
        )
        values += [wanted.code, wanted.min_probability]
    elif wanted.min_probability > 0:
        parts.append("v.top >= ?")
        values.append(wanted.min_probability)
    return " AND ".join(parts), values


def _status(status: str) -> str:
    if not status:
        return "1"
    names = [name for name in ("open", "in_review", "reviewed", "unreadable") if _is_shown(name, status)]
    return f"{_STATUS} IN ({', '.join(repr(name) for name in names) or 'NULL'})"


def _is_shown(status: str, wanted: str) -> bool:
    return wanted in ("", status) or (wanted == "todo" and status in ("open", "in_review"))


def _shown(connection: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    names = (
        "folder",
        "name",
        "place",
        "duration_seconds",
        "date",
        "status",
        "decided",
        "error",
        "picture",
        "proposals",
    )
    rows = connection.execute(
        "SELECT code, probability FROM proposals WHERE folder = ? ORDER BY probability DESC", (row["folder"],)
    )
    classes = [{"code": code, "probability": probability} for code, probability in rows]
    return {name: row[name] for name in names} | {"control": bool(row["control"]), "classes": classes}


def queue_folders(index: VideoIndex, wanted: Filter) -> list[str]:
    """Return the folders of all videos that match the filter and are not reviewed, in the order of their names."""
    where, values = _where(wanted)
    rows = index.connection.execute(
        f"SELECT v.folder FROM videos v LEFT JOIN store.reviews r ON r.video = v.digest "
        f"WHERE ({where}) AND {_status(wanted.status)} AND {_status('todo')} ORDER BY v.name",
        values,
    )
    return [row[0] for row in rows]
