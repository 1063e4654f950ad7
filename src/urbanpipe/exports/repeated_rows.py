"""Find defects that are graded in two rows: a place that is listed twice, or a copied row.

A camera that stands still proposes one joint several times. Graded twice, it would count twice in the figures.
"""

from bisect import bisect
from decimal import Decimal

from urbanpipe.exports.cell_texts import CellError, CellPlace, RowOf, WrongCell
from urbanpipe.exports.condition import Defect
from urbanpipe.exports.sheets import SheetRow

SAME_PLACE_METRES = Decimal("0.1")
"""Rows of one code that are closer than this are the same place; distances on the screen have this precision."""


class RepeatedRows:
    """The graded rows so far, by segment and code, and by video, code and time."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], list[tuple[Decimal, int, CellPlace]]] = {}
        self._proposals: dict[tuple[str, str, str], CellPlace] = {}

    def add(self, row: SheetRow, defect: Defect) -> None:
        """Add a row.

        Raises:
            CellError: an earlier row has the same code at the same distance of the same segment, or is for the
                same class at the same time of the same video.
        """
        here = row["time"].where
        places = self._places.setdefault((row["segment"].text(), defect.code), [])
        place = (defect.start, len(places), here)
        index = bisect(places, place)
        near = [other for start, _, other in places[max(index - 1, 0) : index + 1] if _is_same(start, defect.start)]
        places.insert(index, place)
        video, time = (str(row[key].value or "").strip() for key in ("video", "time"))
        copied = self._proposals.setdefault((video, defect.code, time), here)
        if near:
            values = {"code": defect.code, "metres": defect.start, "other": RowOf(near[0])}
            raise CellError(WrongCell(row["distance"].where, "same_place", values))
        if video and time and copied != here:
            of_video = {"code": defect.code, "time": time, "video": video, "other": RowOf(copied)}
            raise CellError(WrongCell(here, "same_time", of_video))


def _is_same(start: Decimal, other: Decimal) -> bool:
    return abs(start - other) < SAME_PLACE_METRES
