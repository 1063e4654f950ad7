"""Single frames near moments and far from them, as examples for the regression of a bag."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.inputs.frame_timeline import Seconds
from urbanpipe.learners.moment_targets import MomentTargets
from urbanpipe.video.sampling import uniform

MAX_OTHERS = 16  # frames per video that are near no moment


MomentFrames = tuple[Tensor, NDArray[np.bool_], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class MomentRows:
    """Frames of videos that have moments.

    Attributes:
        frames: features of the frames, (rows, width).
        targets: (rows, classes) bool.
        weights: weight of each target, (rows, classes) float64: 0 where it is unknown or its class has no moments in
            the video. All positives of a class in a video weigh 1 together, and so do all its negatives.
        videos: (rows,) int64, index of the video of each row.
        suffices: (classes,) bool, whether every video that shows a class has moments of it.
    """

    frames: Tensor
    targets: NDArray[np.bool_]
    weights: NDArray[np.float64]
    videos: NDArray[np.int64]
    suffices: NDArray[np.bool_]


def moment_rows(frames: Mapping[int, MomentFrames], moments: MomentTargets) -> MomentRows | None:
    """Return the rows of all videos with moments; None without any.

    Args:
        frames: what `moment_frames` returns for each video that has moments, by its index.
        moments: the targets of frames.
    """
    if not frames:
        return None
    videos = sorted(frames)
    features, targets, weights = zip(*(frames[video] for video in videos), strict=True)
    return MomentRows(
        torch.cat(features),
        np.concatenate(targets),
        np.concatenate(weights),
        np.repeat(videos, [len(part) for part in features]),
        moments.complete.numpy(),
    )


def moment_frames(bag: Tensor, seconds: Seconds, moments: MomentTargets, video: int) -> MomentFrames:
    """Return the frames of a video near moments, and at most `MAX_OTHERS` others, as in `MomentRows`.

    Args:
        bag: features of the video's frames, (frames, width).
        seconds: begin and end of each of these frames, (frames, 2).
        moments: the targets of frames.
        video: index of the video.

    Returns:
        Features (rows, width), targets (rows, classes) bool, and weights (rows, classes).
    """
    is_near = moments.near(video, seconds).any(dim=1).numpy()
    others = np.flatnonzero(~is_near)
    if len(others) > MAX_OTHERS:
        others = others[uniform(len(others), MAX_OTHERS)]
    rows = np.sort(np.concatenate([np.flatnonzero(is_near), others]))
    targets, known = (part.numpy() for part in moments.of(video, seconds[rows]))
    counted = known & moments.timed[video].numpy()
    wanted = targets > 0
    sizes = np.where(wanted, (wanted & counted).sum(0), (~wanted & counted).sum(0))
    return bag[torch.from_numpy(rows)], wanted, np.where(counted, 1 / np.maximum(sizes, 1), 0.0)
