"""The backbone of a recipe, for images or clips."""

from urbanpipe.errors import RecipeError
from urbanpipe.models.backbone import Backbone
from urbanpipe.models.config import ModelConfig
from urbanpipe.models.layers_backbone import LayersBackbone
from urbanpipe.models.video import VideoBackbone, is_video_backbone


def make_backbone(
    model: ModelConfig, image_size: tuple[int, int], frames: int | None, layers: int = 0
) -> Backbone | VideoBackbone:
    """Return a backbone with random weights.

    Args:
        model: name and options of the backbone.
        image_size: width and height of the inputs in pixels.
        frames: frames per input; None for images.
        layers: number of last feature maps that features of images describe; 0 for those of pretraining.

    Raises:
        RecipeError: the backbone is unknown, not of the required kind, or has fewer feature maps.
    """
    if is_video_backbone(model.backbone) != (frames is not None):
        wanted = "an image network" if frames is None else "a network of clips"
        raise RecipeError(f"model.backbone = {model.backbone!r}: this input needs {wanted}")
    if frames is not None:
        return VideoBackbone(model, image_size, frames)
    return LayersBackbone(model, image_size, layers) if layers else Backbone(model, image_size)
