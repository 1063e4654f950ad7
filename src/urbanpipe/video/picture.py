"""From a decoded frame to an upright RGB array of the requested size."""

from fractions import Fraction

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

from urbanpipe.video.index import FrameIndex

Pixels = NDArray[np.uint8]


def to_rgb(frame: VideoFrame, index: FrameIndex, size: tuple[int, int] | None) -> Pixels:
    """Return the frame as displayed: RGB, upright, `size` = (width, height) or as large as the index says.

    Resizing is bilinear with antialiasing, within one grey level of Pillow's `BILINEAR`. It follows the conversion to
    RGB, because that is as fast as swscale's own scaling straight from YUV and closer to the exact filter
    (benchmarks/decoding.md).

    Returns:
        uint8, shape (height, width, 3), contiguous.
    """
    return resized(upright(frame, index), size or (index.width, index.height))


def upright(frame: VideoFrame, index: FrameIndex) -> Pixels:
    """Return the frame as RGB, upright, as large as it was decoded; uint8, shape (height, width, 3)."""
    rgb = np.asarray(frame.to_ndarray(format="rgb24", threads=1), dtype=np.uint8)
    return np.rot90(rgb, k=-index.rotation // 90) if index.rotation else rgb


def check_size(size: tuple[int, int] | None) -> None:
    """Check a size to resize to.

    Raises:
        ValueError: the width or height is below one.
    """
    if size is not None and min(size) < 1:
        raise ValueError(f"size is {size}; width and height must be at least 1")


def resized(rgb: Pixels, size: tuple[int, int]) -> Pixels:
    """Return the picture at `size` = (width, height); uint8, contiguous.

    torch is used where it is installed, as it takes a fifth of Pillow's time; they differ by one grey level at most.
    """
    check_size(size)
    width, height = size
    if rgb.shape[:2] == (height, width):
        return np.ascontiguousarray(rgb)
    try:
        import torch
        from torch.nn.functional import interpolate
    except ImportError:
        return np.array(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR))
    # Add the batch axis before the permutation: only then does torch see channels-last strides, which are fast.
    planes = torch.from_numpy(np.ascontiguousarray(rgb))[None].permute(0, 3, 1, 2)
    small = interpolate(planes, size=(height, width), mode="bilinear", antialias=True, align_corners=False)
    return np.ascontiguousarray(small.permute(0, 2, 3, 1)[0].numpy())


def deinterlaced(previous: VideoFrame | None, frame: VideoFrame, following: VideoFrame | None) -> VideoFrame:
    """Return the frame with both fields at one moment (bwdif), computed from its neighbours.

    A progressive frame is returned unchanged. bwdif uses one frame on either side and no more, so the result is the
    same as in a pass over the whole video.
    """
    if not frame.interlaced_frame:
        return frame
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 25)
    )
    filter_ = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
    graph.link_nodes(source, filter_, graph.add("buffersink")).configure()
    shown = [neighbour for neighbour in (previous, frame, following) if neighbour is not None]
    for neighbour in shown:
        graph.vpush(neighbour)
    graph.vpush(None)
    results = [graph.vpull() for _ in range(2 if previous is not None else 1)]
    return results[-1]
