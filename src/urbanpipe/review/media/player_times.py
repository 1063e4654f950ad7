"""When a player shows each frame of a video, or of its proxy: one clock for both.

This is the clock of the file (`FrameIndex.player_seconds`). Where that clock runs backwards or stands still, as in
joined recordings, no player can show it; the frames then follow each other by their own times.
"""

from dataclasses import replace

import numpy as np

from urbanpipe.video.index import SLACK_SECONDS, FrameIndex, Numbers, Times

MAX_PAUSE_SECONDS = 4 * 3600.0  # an MP4 in ticks of 1/90000 s counts up to 13 hours in one step


def shown_from(index: FrameIndex) -> Times:
    """Return when each frame appears on the player's clock, in seconds, shape (frames,), ascending."""
    clock = index.clock_seconds - min(0.0, float(index.clock_seconds.min()))
    steps = np.diff(clock)
    if (steps > 0).all() and steps.max(initial=0.0) <= MAX_PAUSE_SECONDS:
        return clock
    times: Times = index.times_seconds + clock[0]
    return times


def seek_seconds(index: FrameIndex, frames: Numbers) -> Times:
    """Return where a player must seek to show frames, in seconds, same shape.

    This is `FrameIndex.player_seconds` wherever the clock of the file can be played.
    """
    return replace(index, clock_seconds=shown_from(index)).player_seconds(frames)


def frame_shown(index: FrameIndex, player_seconds: float) -> int:
    """Return the number of the frame that a player shows at a time on its clock, in seconds.

    Before the first frame, and after the last, that is the first and the last.
    """
    before = np.searchsorted(shown_from(index), player_seconds + SLACK_SECONDS, side="right")
    return max(int(before) - 1, 0)
