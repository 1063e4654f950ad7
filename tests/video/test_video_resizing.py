import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from urbanpipe.video.resizing import Pixels, resized, resized_by_swscale, resized_by_torch

SIDES = st.integers(1, 300)


@given(old=st.tuples(SIDES, SIDES), new=st.tuples(SIDES, SIDES), seed=st.integers(0, 99))
@example(old=(300, 300), new=(1, 1), seed=0)
@example(old=(299, 2), new=(2, 299), seed=1)
def test_it_resizes_as_pillow_does(old: tuple[int, int], new: tuple[int, int], seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (*old[::-1], 3), dtype=np.uint8)
    wanted = np.asarray(Image.fromarray(rgb).resize(new, Image.Resampling.BILINEAR)).astype(int)
    for resize in (resized_by_swscale, resized_by_torch):
        found = resize(rgb, new)
        assert found.shape == wanted.shape
        assert found.dtype == np.uint8
        assert found.flags.c_contiguous
        assert np.abs(found - wanted).max() <= 2, resize.__name__


def test_a_turned_picture_is_resized_too() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    turned: Pixels = np.rot90(rgb)
    np.testing.assert_array_equal(resized_by_swscale(turned, (20, 30)), resized_by_swscale(turned.copy(), (20, 30)))


@pytest.mark.parametrize("size", [(0, 4), (4, -1)])
def test_a_size_below_one_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="width and height must be at least 1"):
        resized(np.zeros((8, 8, 3), np.uint8), size)


def test_torch_is_not_loaded_for_it() -> None:
    lines = (
        "import sys, numpy",
        "from urbanpipe.video.resizing import resized",
        "resized(numpy.zeros((40, 40, 3), 'u1'), (20, 20))",
        "sys.exit('torch' in sys.modules)",
    )
    code = "\n".join(lines)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
