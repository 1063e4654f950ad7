"""The base class of a method: everything that the rest of the package needs from it."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from urbanpipe.inputs.config import AugmentConfig, InputConfig
from urbanpipe.inputs.view import View
from urbanpipe.learners.config import RecipeSettings
from urbanpipe.models.config import ModelConfig

if TYPE_CHECKING:
    from urbanpipe.learners.learner import Fitter, Learner, LearnerContext
    from urbanpipe.models.backbone import Backbone
    from urbanpipe.models.network import Network
    from urbanpipe.models.video import VideoBackbone

C = TypeVar("C", bound=InputConfig)


class Method(ABC, Generic[C]):
    """A way to learn from videos: its config, its view of a video, its network and its learner.

    Methods import torch only inside functions, so that recipes can be read where torch is not installed.
    The layout of heat maps follows from the config: `tile_grid`, `clip_frames` and `backbone_frames`.

    Attributes:
        config_type: type of the `[input]` section of its recipes; the default of the field `method` is the method's
            name.
    """

    config_type: ClassVar[type[InputConfig]]

    @classmethod
    def name(cls) -> str:
        """Return the name of the method in recipes."""
        return str(cls.config_type.model_fields["method"].default)

    @abstractmethod
    def view(self, config: C, augment: AugmentConfig) -> View:
        """Return the view that turns a video into inputs."""

    def network(self, config: C, model: ModelConfig, classes: int) -> "Network":
        """Return the network with random weights, on the CPU; by default a classifier averaged over segments.

        Raises:
            RecipeError: the backbone is unknown, or not of the kind that the method needs.
        """
        from urbanpipe.models.classifier import SegmentClassifier

        return SegmentClassifier(model, self.backbone(config, model), classes)

    def learner(self, config: C, context: "LearnerContext") -> "Learner | Fitter":
        """Return the learner that turns batches into gradients; by default each segment has its video's labels."""
        del config
        from urbanpipe.learners.segments import SegmentLearner

        return SegmentLearner(context)

    def check(self, config: C, recipe: RecipeSettings) -> None:
        """Refuse settings without effect on this method.

        Raises:
            ValueError: a setting has no effect; the message names it and the alternative.
        """

    @staticmethod
    def backbone(config: InputConfig, model: ModelConfig) -> "Backbone | VideoBackbone":
        """Return the backbone for the method's images or clips.

        Raises:
            RecipeError: the backbone is unknown, or not of the kind that the method needs.
        """
        from urbanpipe.models.make_backbone import make_backbone

        return make_backbone(model, config.image_size, config.backbone_frames)
