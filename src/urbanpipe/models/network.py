"""The interface of the networks of all methods."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from urbanpipe.models.backbone import Backbone
from urbanpipe.models.video import VideoBackbone


class Network(nn.Module):
    """A network that encodes the segments of a video and aggregates them.

    Attributes:
        frozen_encoder: whether `encode` is never trained, so that its features can be stored and shared.
        backbone: backbone for images or clips.
    """

    frozen_encoder: ClassVar[bool] = False
    backbone: Backbone | VideoBackbone

    @abstractmethod
    def encode(self, images: Tensor, real: Tensor) -> Tensor:
        """Return the values of each segment that `aggregate` needs, (segments, values).

        Args:
            images: (segments, 3, height, width) or (segments, 3, frames, height, width), 0 to 255, uint8 or float.
            real: number of frames of each segment that are not padding, (segments,).
        """

    @abstractmethod
    def aggregate(self, encoded: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (classes,) of a video and (segments, classes) of its segments, float64.

        Args:
            encoded: output of `encode` for all segments of the video, (segments, values).
            seconds: begin and end of each segment, (segments, 2).
        """

    @abstractmethod
    def segment_logits(self, images: Tensor, real: Tensor) -> Tensor:
        """Return the logits (segments, classes) of each segment alone, with gradient; arguments as for `encode`."""

    def shares_encoder(self, other: "Network") -> bool:
        """Return whether both networks have the same encoding: a frozen backbone with the same weights."""
        if not (self.frozen_encoder and other.frozen_encoder) or self.backbone.layers != other.backbone.layers:
            return False
        first, second = self.backbone.state_dict(), other.backbone.state_dict()
        return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
