"""SimCLR: two views of a frame should be closer to each other than to views of other frames."""

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from torch import Tensor, nn

from urbanpipe.models.backbone import Backbone, Normalise
from urbanpipe.pretraining.config import SimCLRConfig


class SimCLR(nn.Module):
    """SimCLR (Chen et al., arXiv 2002.05709): any backbone, a two-layer projection head, the NT-Xent loss.

    Args:
        backbone: image backbone.
        config: temperature and output width of the projection head.
    """

    def __init__(self, backbone: Backbone, config: SimCLRConfig) -> None:
        super().__init__()
        width = backbone.pooled_width
        self.backbone = backbone
        self.normalise = Normalise(backbone.mean, backbone.std)
        self.project = SimCLRProjectionHead(width, width, config.projection)
        self.nt_xent = NTXentLoss(config.temperature)

    def forward(self, views: Tensor) -> Tensor:
        """Return the loss of a batch of views (frames, 2, 3, size, size) in the range 0 to 255.

        All other frames of the batch are negatives.
        """
        images = self.normalise(views.flatten(0, 1))
        projected = self.project(self.backbone.pooled(images)).unflatten(0, (-1, 2)).float()
        with torch.autocast(views.device.type, enabled=False):
            return self.nt_xent(projected[:, 0], projected[:, 1])  # type: ignore[no-any-return]
