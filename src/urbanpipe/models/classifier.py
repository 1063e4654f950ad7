"""An image classifier: normalisation, backbone, head. The super-image method is this network on super-images."""

from torch import Tensor, nn

from urbanpipe.models.backbone import Backbone, Normalise
from urbanpipe.models.config import ModelConfig
from urbanpipe.models.heads import LinearHead, MLDecoderHead


class ImageClassifier(nn.Module):
    """Logits of images.

    Args:
        config: backbone and head; weights are loaded separately (`models.weights`).
        image_size: width and height of the images.
        classes: number of classes.
    """

    def __init__(self, config: ModelConfig, image_size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.backbone = Backbone(config, image_size)
        self.normalise = Normalise(self.backbone.mean, self.backbone.std)
        self.on_tokens = config.head == "ml-decoder"
        self.head: nn.Module = (
            MLDecoderHead(self.backbone.token_width, classes, config)
            if self.on_tokens
            else LinearHead(self.backbone.pooled_width, classes, config.dropout)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, 3, height, width) with values 0 to 255, uint8 or float."""
        images = self.normalise(images)
        features = self.backbone.tokens(images) if self.on_tokens else self.backbone.pooled(images)
        return self.head(features)  # type: ignore[no-any-return]
