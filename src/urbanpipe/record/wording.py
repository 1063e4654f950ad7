"""Short texts of records: stations, distances, grades, and names that fit their place."""

from pathlib import Path
from unicodedata import combining, east_asian_width

from urbanpipe.exports.records import RecordRow
from urbanpipe.report.wording import clock
from urbanpipe.review_store.decision import Status

TEXTS = Path(__file__).with_name("texts.toml")


def columns_of(text: str) -> int:
    """Return the width of a text in columns: wide characters, such as Chinese ones, take two.

    >>> columns_of("CK"), columns_of("管道")
    (2, 4)
    """
    return sum(0 if combining(mark) else 2 if east_asian_width(mark) in "WF" else 1 for mark in text)


def cut(text: str, columns: int) -> str:
    """Return a text that is at most so many columns wide, with an ellipsis in place of its middle.

    >>> cut("S12", 8), cut("2026-01-31 camera 2.mp4", 12)
    ('S12', '2026-01….mp4')
    """
    text = " ".join(text.split())
    if columns_of(text) <= columns:
        return text
    tail = text
    while columns_of(tail) > columns // 3:
        tail = tail[1:]
    head = text
    while columns_of(head) + columns_of(tail) > columns - 1:
        head = head[:-1]
    return f"{head}…{tail}"


def metres_text(metres: float | None) -> str:
    """Return a distance with its unit; empty if there is none."""
    return "" if metres is None else f"{metres:.2f} m"


def station_text(station: float, metric: bool) -> str:
    """Return a station of an axis.

    >>> station_text(12.5, True), station_text(75, False)
    ('12.5 m', '01:15')
    """
    return f"{round(station, 2):g} m" if metric else clock(station)


def grade_of(row: RecordRow) -> int | None:
    """Return the grade that a person gave to an accepted defect."""
    if row.review is None or row.review.decision.status is not Status.accepted:
        return None
    return row.review.decision.grade
