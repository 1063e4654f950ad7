"""Optical character recognition of pictures."""

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from urbanpipe.errors import InspectionError
from urbanpipe.inspection.region import Region
from urbanpipe.video.resizing import Pixels

SMALLEST, MAX_SCALE = 800, 3.0
"""Longer side in pixels to which smaller pictures are enlarged, and how many times at most."""


@dataclass(frozen=True)
class TextLine:
    """A line of text in a picture.

    Attributes:
        text: the text as read; spaces may be missing.
        score: confidence of the recognition, from 0 to 1.
        box: left, top, width and height, as shares of the picture.
    """

    text: str
    score: float
    box: Region


class TextReader(Protocol):
    """Reads the lines of text in a picture."""

    def read(self, picture: Pixels) -> list[TextLine]:
        """Return the lines in a picture, uint8 (h, w, 3) RGB, in no particular order."""


class OcrReader:
    """Reads text with the engine of the extra `ocr`, whose models come with it: English, German and Chinese.

    Raises:
        InspectionError: the extra is not installed.
    """

    def __init__(self) -> None:
        try:
            from rapidocr_onnxruntime import RapidOCR
        except ImportError:
            raise InspectionError("reading on-screen text needs the extra: pip install 'urbanpipe[ocr]'") from None
        # Spinning threads of the runtime slow each other down on a shared machine.
        self._engine: Any = RapidOCR(intra_op_num_threads=1, det_limit_type="max")

    def read(self, picture: Pixels) -> list[TextLine]:
        """Return the lines in a picture, uint8 (h, w, 3) RGB."""
        height, width = picture.shape[:2]
        enlarged = min(MAX_SCALE, max(1.0, SMALLEST / max(height, width)))
        size = (round(width * enlarged), round(height * enlarged))
        shown = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
        height, width = shown.shape[:2]
        lines, _ = self._engine(np.ascontiguousarray(shown[..., ::-1]), use_cls=False)
        return [TextLine(str(text), float(score), _box(corners, width, height)) for corners, text, score in lines or ()]


def _box(corners: Any, width: int, height: int) -> Region:
    """Return the upright box around four corners in pixels, inside the picture."""
    points = np.asarray(corners, dtype=np.float64) / (width, height)
    left, top = points.min(axis=0).clip(0, 1).tolist()
    right, bottom = points.max(axis=0).clip(0, 1).tolist()
    return left, top, right - left, bottom - top
