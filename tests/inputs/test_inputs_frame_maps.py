"""From maps of segments to maps of frames."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from urbanpipe.inputs.frame_maps import cut, of_frames, over_frames
from urbanpipe.inputs.tiles import tile_box
from urbanpipe.methods.dense import DenseConfig
from urbanpipe.methods.frame import FrameConfig
from urbanpipe.methods.super_image import SuperImageConfig
from urbanpipe.methods.video import VideoConfig

RNG = np.random.default_rng(0)


def test_each_tile_gets_the_part_of_the_map_that_lies_over_it() -> None:
    rows, columns, tile = 2, 3, (4, 5)  # width, height of a tile, in places of the map
    image_map = RNG.random((rows * tile[1], columns * tile[0]), np.float32)
    parts = cut(image_map, rows, columns)
    assert parts.shape == (6, 5, 4)
    for position, part in enumerate(parts):
        left, top, right, bottom = tile_box(position, columns, tile)
        np.testing.assert_array_equal(part, image_map[top:bottom, left:right])


@pytest.mark.parametrize("places", [4, 5, 7])
def test_heat_stays_in_its_tile_where_places_and_tiles_do_not_fit(places: int) -> None:
    for position in range(9):
        row, column = divmod(position, 3)
        image_map = np.zeros((places, places), np.float32)
        image_map[int((row + 0.5) * places / 3), int((column + 0.5) * places / 3)] = 1.0
        parts = cut(image_map, 3, 3)
        assert parts.shape == (9, 2 + (places == 7), 2 + (places == 7))
        assert int(parts.max((1, 2)).argmax()) == position


def test_heat_in_time_is_interpolated_between_the_steps() -> None:
    clip_map = np.broadcast_to(np.array([0.0, 1.0], np.float32).reshape(2, 1, 1), (2, 3, 2))
    found = over_frames(clip_map, 8)
    assert found.shape == (8, 3, 2)
    assert found[:, 0, 0].tolist() == [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]


def test_frames_of_each_method() -> None:
    frames = {
        "super-image": of_frames(RNG.random((1, 6, 6), np.float32), SuperImageConfig(rows=2, columns=3)),
        "frame": of_frames(RNG.random((1, 6, 6), np.float32), FrameConfig()),
        "video": of_frames(RNG.random((1, 4, 6, 6), np.float32), VideoConfig(frames=8)),
        "pool": of_frames(RNG.random((8, 6, 6), np.float32), DenseConfig(frames=8)),
        "tiles": of_frames(RNG.random((1, 6, 12), np.float32), DenseConfig(frames=8, encoder="super-image", rows=2)),
        "clips": of_frames(RNG.random((1, 4, 6, 6), np.float32), DenseConfig(frames=8, encoder="video")),
    }
    assert {name: tuple(maps.shape) for name, maps in frames.items()} == {
        "super-image": (6, 3, 2),
        "frame": (1, 6, 6),
        "video": (8, 6, 6),
        "pool": (8, 6, 6),
        "tiles": (8, 3, 3),
        "clips": (8, 6, 6),
    }


@pytest.mark.parametrize(("size", "wanted"), [((5, 7), (6, 9)), ((4, 4), (4, 6)), ((3, 11), (4, 12))])
def test_maps_that_tiles_do_not_divide_are_resized_like_torch(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    image_map, (rows, columns) = RNG.random(size, np.float32), (2, 3)
    expected = interpolate(torch.from_numpy(image_map)[None, None], wanted, mode="bilinear", align_corners=False)[0, 0]
    whole = cut(image_map, rows, columns).reshape(rows, columns, wanted[0] // rows, wanted[1] // columns)
    np.testing.assert_allclose(whole.transpose(0, 2, 1, 3).reshape(wanted), expected.numpy(), atol=1e-6)
