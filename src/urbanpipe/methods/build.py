"""Build the network of a recipe."""

from urbanpipe.errors import RecipeError
from urbanpipe.inputs.config import BagConfig, DenseConfig, FrameConfig, VideoConfig
from urbanpipe.methods.recipe import Recipe
from urbanpipe.models.backbone import Backbone
from urbanpipe.models.bag import BagClassifier
from urbanpipe.models.classifier import SegmentClassifier
from urbanpipe.models.dense import DenseClassifier
from urbanpipe.models.network import Network
from urbanpipe.models.video import VideoBackbone, is_video_backbone
from urbanpipe.taxonomy import Taxonomy


def build_model(recipe: Recipe, taxonomy: Taxonomy) -> Network:
    """The network of the recipe's method with random weights, on the CPU.

    Raises:
        RecipeError: the backbone is not known, or is not of the kind that the method needs.
    """
    config, classes = recipe.input, len(taxonomy)
    of_clips = isinstance(config, VideoConfig) or (isinstance(config, DenseConfig) and config.encoder == "video")
    if is_video_backbone(recipe.model.backbone) != of_clips:
        wanted = "a network of clips" if of_clips else "an image network"
        raise RecipeError(f"model.backbone = {recipe.model.backbone!r}: this input needs {wanted}")
    backbone = (
        VideoBackbone(recipe.model, config.frame_size, config.frames)
        if of_clips
        else Backbone(recipe.model, config.image_size)
    )
    if isinstance(config, DenseConfig):
        return DenseClassifier(backbone, recipe.dense, classes)
    if isinstance(config, BagConfig):
        assert isinstance(backbone, Backbone)
        return BagClassifier(backbone, recipe.bag, classes)
    return SegmentClassifier(
        recipe.model, backbone, classes, config.pooling if isinstance(config, FrameConfig) else "mean"
    )
