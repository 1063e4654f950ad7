"""Pictures of a standing camera show one view; those of a moving one do not."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from urbanpipe.inspection.same_view import SIZE, details, same_view, view_correlation


def wall(seed: int) -> NDArray[np.float64]:
    """A tube with the texture of a place: dark in the middle, as at every place of a pipe."""
    y, x = np.mgrid[-1:1:480j, -1.33:1.33:640j]
    tube = 60 + 120 * np.clip(np.hypot(x, y), 0, 1)
    texture = gaussian_filter(np.random.default_rng(seed).normal(0, 1, tube.shape), 8)
    place: NDArray[np.float64] = tube + 25 * texture / texture.std()
    return place


def jpeg(picture: NDArray[np.float64], text: str = "", noise: int | None = None) -> bytes:
    if noise is not None:
        picture = picture + np.random.default_rng(noise).normal(0, 6, picture.shape)
    image = Image.fromarray(picture.clip(0, 255).astype(np.uint8)).convert("RGB")
    ImageDraw.Draw(image).text((20, 400), text, fill=(255, 255, 255), font_size=60)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


@pytest.mark.parametrize("seed", range(5))
def test_noise_text_brightness_and_a_small_shift_do_not_change_the_view(seed: int) -> None:
    place = wall(seed)
    one = jpeg(place, "12:00:01  D 4.00M", noise=1)
    assert same_view(one, jpeg(place * 0.8 + 10, "12:00:31  D 4.00M", noise=2))
    assert same_view(one, jpeg(np.roll(place, (16, -24), axis=(0, 1)), noise=3))


@pytest.mark.parametrize("seed", range(5))
def test_two_places_of_a_pipe_are_two_views_though_their_text_is_the_same(seed: int) -> None:
    text = "SEWER 12 DN400 2020-02-02"
    assert not same_view(jpeg(wall(seed), text), jpeg(wall(seed + 100), text))


def test_a_view_turned_aside_is_another_one() -> None:
    place = wall(0)
    assert not same_view(jpeg(place), jpeg(np.roll(place, 200, axis=1)))


def test_pictures_that_show_nothing_are_no_view() -> None:
    dark = details(np.full(SIZE[::-1], 3.0))
    assert view_correlation(dark, dark) == 0.0
    assert not same_view(jpeg(np.zeros((480, 640))), jpeg(np.zeros((480, 640))))
