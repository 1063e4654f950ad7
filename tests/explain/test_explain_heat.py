"""From maps of segments to maps of frames, and what is drawn of them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from urbanpipe.explain.explain import likely
from urbanpipe.explain.heat import Heat, scaled
from urbanpipe.explain.picture import MAX_TILES, Title, blended, picture, shown
from urbanpipe.taxonomy import DefectClass, Taxonomy


def heat_of(maps: NDArray[np.float32], segments: list[int] | None = None) -> Heat:
    count = len(maps)
    numbers = np.array(segments or [0] * count)
    made, highest = scaled(maps)
    return Heat(1, 0.7, np.arange(count) * 5, np.arange(count) / 5, numbers, np.full(count, 0.7), made, highest)


def one_hot(count: int, place: int, row: int, column: int) -> NDArray[np.float32]:
    maps = np.zeros((count, 4, 8), np.float32)
    maps[place, row, column] = 3.0
    return maps


def test_all_frames_have_one_scale_and_their_points_are_relative() -> None:
    raw = one_hot(3, 1, 2, 6)
    raw[2, 0, 0] = 1.5
    heat = heat_of(raw)
    assert heat.raw_maximum == 3.0
    assert heat.heights.tolist() == [0, 1, 0.5]
    assert heat.hottest == 1
    assert heat.peaks[1].tolist() == [6.5 / 8, 2.5 / 4]
    assert heat.peaks[2].tolist() == [0.5 / 8, 0.5 / 4]
    assert np.isnan(heat.peaks[0]).all()
    assert heat.shares == pytest.approx([0, 2 / 3, 1 / 3])


def test_nothing_found_stays_nothing() -> None:
    heat = heat_of(np.zeros((2, 4, 8), np.float32))
    assert heat.raw_maximum == 0.0
    assert heat.hottest is None
    assert not heat.maps.any()
    assert not heat.shares.any()
    assert np.isnan(heat.peaks).all()


def test_the_likely_classes() -> None:
    assert likely(np.array([0.2, 0.5, 0.9])) == [2, 1]
    assert likely(np.array([0.2, 0.4, 0.3])) == [1]


def test_what_has_a_tile() -> None:
    assert shown(heat_of(np.zeros((9, 4, 8), np.float32)), whole=False).tolist() == [*range(9)]
    many = heat_of(np.ones((25, 4, 8), np.float32))
    assert len(shown(many, whole=True)) == 25
    assert shown(many, whole=False)[0] == 0
    assert len(shown(many, whole=False)) == MAX_TILES
    clips = heat_of(one_hot(9 * 8, 13, 0, 0), segments=[number // 8 for number in range(72)])
    chosen = shown(clips, whole=False)
    assert len(chosen) == 9
    assert (chosen // 8).tolist() == [*range(9)], "one of each clip, in order"
    assert chosen[1] == 13, "its hottest"


def test_the_blend_colours_the_hot_and_leaves_the_cold() -> None:
    pixels = np.full((40, 80, 3), 100, np.uint8)
    drawn = blended(pixels, one_hot(1, 0, 2, 6)[0] / 3)
    assert (drawn[:10, :30] == 100).all()
    red, green, blue = drawn[25, 65].astype(int)
    assert red > 100
    assert red > max(green, blue) + 30, "the hottest is red"


def test_a_picture_is_drawn_whatever_the_names(recwarn: pytest.WarningsRecorder) -> None:
    classes = (DefectClass(0, "OK", "normal"), DefectClass(1, "裂", "裂缝"), DefectClass(2, "A$_B", "50 $ and _"))
    taxonomy = Taxonomy("mine", classes)
    heat, pixels = heat_of(one_hot(5, 1, 2, 6)), np.zeros((5, 30, 40, 3), np.uint8)
    figure = picture(heat, np.arange(5), pixels, Title("$管_1\n\u202e.mp4", taxonomy, np.array([0.1, 0.7, 0.2]), "r"))
    figure.canvas.draw()
    texts = [text.get_text() for text in figure.texts]
    assert texts == ["class 1: 0.70", "$?_1\\n\\u202e.mp4, r"]
    labels = [axes.get_xlabel() for axes in figure.axes[:5]]
    assert labels == [f"{n / 5:.2f} s, frame {5 * n}, heat {float(n == 1):.2f}" for n in range(5)], "in order of time"
    assert not recwarn
    nothing = heat_of(np.zeros((1, 4, 8), np.float32))
    figure = picture(nothing, np.arange(1), pixels[:1], Title("v" * 200, taxonomy, np.array([0.1, 0.7, 0.2]), "r"))
    below = figure.texts[1].get_text()
    assert below.startswith("these frames show no evidence for the class; vvv")
    assert below.endswith("v...")
    assert not figure.axes[0].lines, "no ring where nothing is hottest"
