"""From maps of segments to maps of frames, and what is drawn of them."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from urbanpipe.explain.explain import likely
from urbanpipe.explain.heat import Heat, cut, of_frames, over_frames, scaled
from urbanpipe.explain.picture import MAX_TILES, Title, blended, picture, shown
from urbanpipe.inputs.tiles import tile_box
from urbanpipe.methods.dense import DenseConfig
from urbanpipe.methods.frame import FrameConfig
from urbanpipe.methods.super_image import SuperImageConfig
from urbanpipe.methods.video import VideoConfig
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


def test_each_tile_gets_the_part_of_the_map_that_lies_over_it() -> None:
    rows, columns, tile = 2, 3, (4, 5)  # width, height of a tile, in places of the map
    image_map = torch.rand(rows * tile[1], columns * tile[0])
    parts = cut(image_map, rows, columns)
    assert parts.shape == (6, 5, 4)
    for position, part in enumerate(parts):
        left, top, right, bottom = tile_box(position, columns, tile)
        assert torch.equal(part, image_map[top:bottom, left:right])


@pytest.mark.parametrize("places", [4, 5, 7])
def test_heat_stays_in_its_tile_where_places_and_tiles_do_not_fit(places: int) -> None:
    for position in range(9):
        row, column = divmod(position, 3)
        image_map = torch.zeros(places, places)
        image_map[int((row + 0.5) * places / 3), int((column + 0.5) * places / 3)] = 1.0
        parts = cut(image_map, 3, 3)
        assert parts.shape == (9, 2 + (places == 7), 2 + (places == 7))
        assert int(parts.amax((1, 2)).argmax()) == position


def test_heat_in_time_is_interpolated_between_the_steps() -> None:
    clip_map = torch.tensor([0.0, 1.0]).view(2, 1, 1).expand(2, 3, 2)
    found = over_frames(clip_map, 8)
    assert found.shape == (8, 3, 2)
    torch.testing.assert_close(found[:, 0, 0], torch.tensor([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]))


def test_frames_of_each_method() -> None:
    frames = {
        "super-image": of_frames(torch.rand(1, 6, 6), SuperImageConfig(rows=2, columns=3)),
        "frame": of_frames(torch.rand(1, 6, 6), FrameConfig()),
        "video": of_frames(torch.rand(1, 4, 6, 6), VideoConfig(frames=8)),
        "pool": of_frames(torch.rand(8, 6, 6), DenseConfig(frames=8)),
        "tiles": of_frames(torch.rand(1, 6, 12), DenseConfig(frames=8, encoder="super-image", rows=2)),
        "clips": of_frames(torch.rand(1, 4, 6, 6), DenseConfig(frames=8, encoder="video")),
    }
    assert {name: tuple(maps.shape) for name, maps in frames.items()} == {
        "super-image": (6, 3, 2),
        "frame": (1, 6, 6),
        "video": (8, 6, 6),
        "pool": (8, 6, 6),
        "tiles": (8, 3, 3),
        "clips": (8, 6, 6),
    }


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
