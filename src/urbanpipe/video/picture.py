"""From a decoded frame to an upright RGB array of the requested size."""

from fractions import Fraction

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame

from urbanpipe.video.index import FrameIndex
from urbanpipe.video.resizing import Pixels, resized


def to_rgb(frame: VideoFrame, index: FrameIndex, size: tuple[int, int] | None) -> Pixels:
    """Return the frame as displayed: RGB, upright, `size` = (width, height) or as large as the index says.

    Resizing is bilinear with antialiasing, within two grey levels of Pillow's `BILINEAR`. It follows the conversion to
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
