"""Targets of segments: the labels of their video, and where moments are known, whether the segment is near one."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.catalog.catalog_file import Video
from urbanpipe.learners.losses import Loss

FAR = 4.0  # a segment is a negative if it is more than this many windows away from every moment of the class
_NO_LOSS = -30.0  # a logit at which every loss of a negative is zero


class MomentTargets:
    """The targets of the segments of a training set.

    A class of a video that has moments is 1 in segments within `window_seconds` of one, 0 in those more than `FAR`
    windows away from all, and unknown in between, where the defect may be coming into view. Every other class has the
    label of the video.

    Args:
        videos: the training set.
        labels: labels of the videos, (videos, classes), 0 or 1.
        window_seconds: largest distance of a positive segment to a moment; 0 ignores moments.

    Attributes:
        timed: whether a class has moments in a video, (videos, classes) bool.
        complete: whether every video that shows a class has moments of it, and at least one does, (classes,) bool.
    """

    def __init__(self, videos: Sequence[Video], labels: NDArray[np.float32], window_seconds: float) -> None:
        self._labels, self._window_seconds = torch.from_numpy(labels), window_seconds
        self._moments: list[dict[int, Tensor]] = [
            {
                label: torch.tensor([seconds for other, seconds in video.moments if other == label])
                for label in {label for label, _ in video.moments}
            }
            for video in videos
        ]
        self.timed = torch.zeros(labels.shape, dtype=torch.bool)
        if window_seconds:
            for video, moments in enumerate(self._moments):
                self.timed[video, list(moments)] = True
        self.complete = self.timed.any(dim=0) & (self.timed | (self._labels == 0)).all(dim=0)

    def near(self, video: int, seconds: NDArray[np.float64], windows: float = 1.0) -> Tensor:
        """Return whether segments are at most `windows` windows away from a moment.

        Args:
            video: index of the video.
            seconds: begin and end of each segment, (segments, 2).
            windows: distance in units of `window_seconds`; touching segments have the distance 0.

        Returns:
            (segments, classes) bool; False for classes without moments.
        """
        begin, end = torch.from_numpy(seconds).float().unsqueeze(2).unbind(1)
        near = torch.zeros(len(seconds), self._labels.shape[1], dtype=torch.bool)
        if self._window_seconds:
            for label, moments in self._moments[video].items():
                away = torch.maximum(begin - moments, moments - end).clamp(min=0)
                near[:, label] = (away <= windows * self._window_seconds + 1e-3).any(dim=1)
        return near

    def of(self, video: int, seconds: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Return the targets of segments of a video, and which of them are known.

        Args:
            video: index of the video.
            seconds: begin and end of each segment, (segments, 2).

        Returns:
            Targets (segments, classes), float32, 0 or 1, and (segments, classes) bool.
        """
        timed, near = self.timed[video], self.near(video, seconds)
        targets = torch.where(timed, near.float(), self._labels[video])
        return targets, ~timed | near | ~self.near(video, seconds, FAR)

    def of_segments(self, videos: NDArray[np.int64], seconds: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Return targets and known ones as `of` does, of segments of several videos.

        Args:
            videos: video of each segment, (segments,).
            seconds: begin and end of each segment, (segments, 2).
        """
        targets, known = self._labels[videos], torch.ones(len(videos), self._labels.shape[1], dtype=torch.bool)
        for video in np.unique(videos).tolist():
            if bool(self.timed[video].any()):
                targets[videos == video], known[videos == video] = self.of(video, seconds[videos == video])
        return targets, known


def loss_of_known(loss: Loss, logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Return the loss of the known targets; unknown ones add nothing and get no gradient.

    Args:
        loss: function of (logits, targets).
        logits: (segments, classes).
        targets: (segments, classes), 0 or 1.
        known: (segments, classes) bool.
    """
    return loss(logits.masked_fill(~known, _NO_LOSS), targets.masked_fill(~known, 0.0))
