"""Contact sheets: sample frames of each class."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from urbanpipe.outputs import whole_path

ROWS, COLUMNS = 3, 4
THUMB_HEIGHT = 240


def write_contact_sheets(folder: Path, codes: Sequence[str], thumbs: Sequence[Mapping[str, NDArray[np.uint8]]]) -> None:
    """Write `<code>.png` for each class: up to twelve videos at the moment that shows it best.

    Args:
        folder: output folder.
        codes: the classes.
        thumbs: thumbnails of each video by code, (height, width, 3) uint8, all of one size.
    """
    for code in codes:
        shown = [pictures[code] for pictures in thumbs if code in pictures][: ROWS * COLUMNS]
        if not shown:
            continue
        height, width = shown[0].shape[:2]
        sheet = np.zeros((ROWS * height, COLUMNS * width, 3), np.uint8)
        for index, picture in enumerate(shown):
            row, column = divmod(index, COLUMNS)
            sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
        with whole_path(folder / f"{code}.png") as path:
            Image.fromarray(sheet).save(path, "PNG")
