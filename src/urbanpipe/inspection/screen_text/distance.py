"""Reading of the on-screen distance from a region of the picture."""

import re
from dataclasses import dataclass

from urbanpipe.contracts.quantities import METRES_PER_FOOT
from urbanpipe.inspection.screen_text.lengths import feet_and_inches
from urbanpipe.inspection.screen_text.reader import OcrReader, TextReader
from urbanpipe.video.resizing import Pixels

SURE = 0.8  # minimum confidence of recognised text
_NUMBERS = re.compile(r"\d[\d.,]*")
# A distance: at the start or after a space or colon; with a unit, or with decimals that are not thousands.
_DISTANCE = re.compile(
    r"(?:^|[\s:=])(?P<number>[-+]?0*\d{1,4}(?:[.,]\d{1,2}|\.\d{3})?)(?P<unit>\s*(?:m|米|ft|feet))?\s*$", re.IGNORECASE
)


@dataclass(frozen=True)
class Distance:
    """A distance that was read: the original text, and its value in metres."""

    text: str
    metres: float


class DistanceReader:
    """Reads distances by optical character recognition.

    Args:
        reader: what reads text; None takes that of the extra `ocr`.

    Raises:
        InspectionError: the extra is not installed.
    """

    def __init__(self, reader: TextReader | None = None) -> None:
        self.reader = reader or OcrReader()

    def read(self, region: Pixels) -> Distance | None:
        """Read the distance in a region of a frame, uint8 (h, w, 3) RGB; None if it cannot be read reliably.

        The region must contain exactly one number, because it is unknown which of several is the distance.
        """
        return distance_in([(line.text, line.score) for line in self.reader.read(region)])


def distance_in(lines: list[tuple[str, float]]) -> Distance | None:
    """Return the distance in lines of text with their confidence; None if it is missing, ambiguous or uncertain.

    The number must come last, in metres or feet. Another unit, or a whole number without unit, is ambiguous.
    """
    if not lines or min(score for _, score in lines) < SURE:
        return None
    text = " ".join(text.strip() for text, _ in lines)
    if (metres := feet_and_inches(text)) is not None:
        return Distance(text, metres)
    match = _DISTANCE.search(text)
    if len(_NUMBERS.findall(text)) != 1 or match is None:
        return None
    number, unit = float(match["number"].replace(",", ".")), (match["unit"] or "").strip().lower()
    if not unit and not {".", ","} & set(match["number"]):
        return None
    return Distance(text, round(number * METRES_PER_FOOT, 3) if unit in {"ft", "feet"} else number)
