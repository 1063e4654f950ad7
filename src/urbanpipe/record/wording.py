"""Short texts of records: stations, distances and grades."""

from pathlib import Path

from urbanpipe.exports.records import RecordRow
from urbanpipe.report.wording import clock
from urbanpipe.review_store.decision import Status

TEXTS = Path(__file__).with_name("texts.toml")


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
