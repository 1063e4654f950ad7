"""Short texts of records: stations, distances and grades."""

from functools import lru_cache
from pathlib import Path

from urbanpipe.exports.records import RecordRow
from urbanpipe.report.inspection_data import DATA_TEXTS
from urbanpipe.report.wording import Wording, clock, wording
from urbanpipe.review_store.decision import Status

TEXTS = Path(__file__).with_name("texts.toml")


@lru_cache
def record_wording(language: str) -> Wording:
    """Return the texts of records and of inspection data.

    Raises:
        InspectionError: there are no texts in that language.
    """
    return Wording(language, wording(language, DATA_TEXTS).texts | wording(language, TEXTS).texts)


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
