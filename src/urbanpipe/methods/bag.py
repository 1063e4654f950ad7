"""All frames at an interval as one bag of features of a frozen backbone: the report's weakly supervised baselines."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from urbanpipe.inputs.config import AugmentConfig, IntervalConfig
from urbanpipe.inputs.interval_frames import AllFrames
from urbanpipe.learners.config import RecipeSettings
from urbanpipe.methods.method import Method
from urbanpipe.models.config import BagHeadConfig, ModelConfig

if TYPE_CHECKING:
    from urbanpipe.learners.learner import Fitter, Learner, LearnerContext
    from urbanpipe.models.network import Network

_DECODER = ("decoder_width", "decoder_heads", "decoder_hidden", "decoder_dropout")


class BagConfig(IntervalConfig):
    """All frames at an interval as one bag.

    Training uses the same frames without augmentation, so that each is encoded once.

    Attributes:
        layers: number of the backbone's last feature maps that describe a frame, each by its mean and standard
            deviation over the positions (arXiv 2201.03529); 0 uses the pooled features of pretraining.
        head: aggregates the features of the frames.
    """

    not_pixels: ClassVar[frozenset[str]] = frozenset({"head", "layers", "method", "moment_seconds"})
    frozen_backbone: ClassVar[bool] = True
    method: Literal["bag"] = "bag"
    size: int = Field(224, ge=16, le=2048)
    layers: int = Field(0, ge=0, le=100)
    head: BagHeadConfig = BagHeadConfig()

    @property
    def train_segments(self) -> int:
        """Approximate number of a video's frames that are encoded at once."""
        return 4

    @property
    def smaller(self) -> str:
        """The settings to change when memory is short."""
        return f"input.size smaller (now {self.size}) or input.every_seconds larger (now {self.every_seconds:g})"


class BagMethod(Method[BagConfig]):
    """A frozen backbone encodes every frame once; only the head over a video's frames is trained."""

    config_type = BagConfig

    def view(self, config: BagConfig, augment: AugmentConfig) -> AllFrames:
        """Return the view of all frames, without augmentation."""
        del augment
        return AllFrames(config)

    def network(self, config: BagConfig, model: ModelConfig, classes: int) -> "Network":
        """Return a frozen backbone with the head of `config`."""
        from urbanpipe.models.backbone import Backbone
        from urbanpipe.models.bag import BagClassifier
        from urbanpipe.models.make_backbone import make_backbone

        backbone = make_backbone(model, config.image_size, config.backbone_frames, config.layers)
        assert isinstance(backbone, Backbone), "frames are images"
        return BagClassifier(backbone, config.head, classes)

    def learner(self, config: BagConfig, context: "LearnerContext") -> "Learner | Fitter":
        """Return what trains or fits the head on features that are encoded once."""
        if config.head.kind == "regression":
            from urbanpipe.learners.regression import RegressionFitter

            return RegressionFitter(config.head, context)
        from urbanpipe.learners.bag import BagLearner

        return BagLearner(context)

    def check(self, config: BagConfig, recipe: RecipeSettings) -> None:
        """Refuse settings of a trainable backbone and of augmentation; for a regression those of a training."""
        model, optimiser, training = recipe.model, recipe.optimiser, recipe.training
        without_effect = {
            "model.head": model.head != "linear",
            "model.head_start": model.head_start != "random",
            "model.dropout": model.dropout,
            "model.drop_path": model.drop_path,
            "optimiser.backbone_lr_scale": optimiser.backbone_lr_scale < 1,
            "optimiser.layer_decay": optimiser.layer_decay < 1,
            "training.compile": training.compile,
            "training.checkpointing": training.checkpointing,
            **{f"model.{key}": getattr(model, key) != getattr(ModelConfig(), key) for key in _DECODER},
            "the section augment": recipe.augment != AugmentConfig(),
        }
        if given := [name for name, is_given in without_effect.items() if is_given]:
            raise ValueError(
                f"{given[0]} has no effect on the bag method: its backbone is frozen, its head is [input.head]"
            )
        if config.head.kind == "regression" and (training.epochs > 1 or training.ema_decay):
            raise ValueError(
                'input.head.kind = "regression" is fitted at once: give training.epochs = 1 and training.ema_decay = 0'
            )
