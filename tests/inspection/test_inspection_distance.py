"""The on-screen distance: read where it is plain, and left empty where it is not."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from urbanpipe.errors import InspectionError
from urbanpipe.inspection.region import distance_region_of
from urbanpipe.inspection.screen_text.distance import Distance, DistanceReader, distance_in


@pytest.mark.parametrize(
    ("lines", "metres"),
    [
        ([("D:2.21M", 0.97)], 2.21),
        ([("12,40 m", 0.97)], 12.4),
        ([("DIST", 0.99), ("103 m", 0.9)], 103.0),
        ([("-0.35m", 0.97)], -0.35),
        ([], None),
        ([("D: --.- m", 0.97)], None),
        ([("2.21 m", 0.5)], None),
        ([("12.4 m 2021-07-19", 0.99)], None),
        ([("1.2.3", 0.99)], None),
        ([("12345678", 0.99)], None),
        ([("41.2 ft", 0.99)], 12.558),
        ([("12' 6\"", 0.99)], 3.81),
        ([("-12 ft 6 in", 0.99)], -3.81),
        ([("12,5米", 0.99)], 12.5),
        ([("00012.40m", 0.99)], 12.4),
        ([("41.2 yd", 0.99)], None),
        ([("12' 6\" 3", 0.99)], None),
        ([("12.5 %", 0.99)], None),
        ([("20°C", 0.99)], None),
        ([("2024", 0.99)], None),
        ([("DN300", 0.99)], None),
        ([("DN 300 mm", 0.99)], None),
        ([("DIST-12.5m", 0.99)], None),
        ([("1,234 m", 0.99)], None),
        ([("L 0.75", 0.99)], 0.75),
    ],
)
def test_one_sure_number_or_nothing(lines: list[tuple[str, float]], metres: float | None) -> None:
    found = distance_in(lines)
    assert (found.metres if found else None) == metres


@pytest.mark.parametrize(
    "text", ["", "0.1,0.2,0.3", "a,b,c,d", "0,0,0,1", "0.5,0,0.6,1", "-0.1,0,0.5,0.5", "nan,0,1,1"]
)
def test_a_region_outside_the_picture_is_refused(text: str) -> None:
    with pytest.raises(InspectionError, match="--distance-region"):
        distance_region_of(text)


def test_a_region() -> None:
    assert distance_region_of("0.6,0,0.4,0.1") == (0.6, 0.0, 0.4, 0.1)
    assert distance_region_of("Auto") == "auto"


def test_reading_needs_the_extra_and_reads_a_drawn_distance() -> None:
    pytest.importorskip("rapidocr_onnxruntime", reason="the extra `ocr` is not installed")
    reader = DistanceReader()
    picture = Image.new("RGB", (240, 48), (40, 38, 36))
    assert reader.read(np.asarray(picture)) is None
    ImageDraw.Draw(picture).text((20, 8), "D: 12.40 m", fill=(240, 240, 240), font_size=26)
    found = reader.read(np.asarray(picture))
    assert isinstance(found, Distance)
    assert found.metres == 12.4
