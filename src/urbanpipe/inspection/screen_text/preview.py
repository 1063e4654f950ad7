"""A picture of the places of text on a frame, with their numbers."""

import io

import numpy as np
from PIL import Image, ImageDraw

from urbanpipe.inspection.region import Region
from urbanpipe.inspection.screen_text.screen import Screen

_PLACE, _COUNTER = (255, 200, 0), (0, 255, 120)


def preview(screen: Screen) -> bytes | None:
    """Return a PNG of a frame with the boxes of its text, numbered as in `Screen.places`; None without a frame.

    The region of the distance is green. Only text that this frame shows has a box.
    """
    if screen.frame is None:
        return None
    picture = Image.fromarray(np.ascontiguousarray(screen.frame.picture))
    draw = ImageDraw.Draw(picture)
    for number, place in enumerate(screen.places, 1):
        shown = [one.line.box for one in place.readings if one.seconds == screen.frame.seconds]
        if shown:
            _draw(draw, shown[0], picture.size, _PLACE, str(number))
    if screen.counter.region:
        _draw(draw, screen.counter.region, picture.size, _COUNTER)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _draw(
    draw: ImageDraw.ImageDraw, box: Region, size: tuple[int, int], colour: tuple[int, int, int], label: str = ""
) -> None:
    left, top, width, height = box
    x, y = left * size[0], top * size[1]
    draw.rectangle((x, y, x + width * size[0], y + height * size[1]), outline=colour, width=2)
    if label:
        font_size = max(12, size[1] // 36)
        corner = (x + 2, max(0, y - font_size - 3))
        draw.rectangle(draw.textbbox(corner, label, font_size=font_size), fill=(0, 0, 0))
        draw.text(corner, label, fill=colour, font_size=font_size)
