"""Video decoding: probe, exact frame access, frame sampling, frame cache."""

from urbanpipe.video.decode import FrameIndex, index_frames, read_frames, stream_frames

__all__ = ["FrameIndex", "index_frames", "read_frames", "stream_frames"]
