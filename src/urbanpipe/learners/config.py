"""Settings of learning; importable without torch."""

from typing import Literal, Protocol

from pydantic import Field

from urbanpipe.inputs.config import AugmentConfig, InputConfig
from urbanpipe.models.config import ModelConfig
from urbanpipe.settings import Section


class OptimiserConfig(Section):
    """AdamW and its rates.

    Attributes:
        learning_rate: highest learning rate, of the head.
        backbone_lr_scale: the backbone's rate as a share of the head's.
        layer_decay: further factor a layer of the backbone, from the last to the first; 1 is none.
        weight_decay: on weights; never on biases and norms.
        schedule: `onecycle` (cosine up and down, and momentum against it) or `cosine` (linear up, cosine down).
        warmup_epochs: epochs until the highest rate; at most nine tenths of all epochs, however large.
        clip_norm: largest gradient norm; 0 is no clipping.
        fused: torch's fused AdamW, on a GPU.
    """

    learning_rate: float = Field(1e-3, gt=0, allow_inf_nan=False)
    backbone_lr_scale: float = Field(1.0, ge=0, le=1)
    layer_decay: float = Field(1.0, gt=0, le=1)
    weight_decay: float = Field(0.02, ge=0, allow_inf_nan=False)
    schedule: Literal["onecycle", "cosine"] = "onecycle"
    warmup_epochs: float = Field(9.0, ge=0)
    clip_norm: float = Field(1.0, ge=0)
    fused: bool = True


class LossConfig(Section):
    """The loss.

    Attributes:
        name: `asymmetric` (arXiv 2009.14119), `bce` or `focal` (arXiv 1708.02002).
        gamma_negative, gamma_positive, clip: of the asymmetric loss.
        gamma: of the focal loss.
        class_weights: weigh positives by the square root of negatives over positives of their class (`bce`, `focal`).
    """

    name: Literal["asymmetric", "bce", "focal"] = "asymmetric"
    gamma_negative: float = Field(4.0, ge=0)
    gamma_positive: float = Field(1.0, ge=0)
    clip: float = Field(0.05, ge=0, lt=1)
    gamma: float = Field(2.0, ge=0)
    class_weights: bool = False


class TrainingConfig(Section):
    """How long, how much at once, at what precision.

    Attributes:
        epochs: passes over the training videos.
        batch_size: videos at once in a process.
        accumulation: batches a step and process; a step sees batch_size * accumulation * processes videos.
        precision: `fp32`, `bf16` or `fp16` (mixed).
        checkpointing: recompute activations in the backward pass, for memory.
        channels_last: memory layout, faster for most convolutional networks.
        compile: torch.compile the network.
        ema_decay: of the EMA of weights, reached by a warm-up; 0 is none.
        keep: `best` epoch by validation mAP, or `last`.
        validate_every: validate after every so many epochs, and after the last; `best` is one of these.
        workers: loading processes a training process; -1 takes what the machine has, at most 8.
        seed: of initial weights, order and augmentation.
    """

    epochs: int = Field(30, ge=1)
    batch_size: int = Field(4, ge=1)
    accumulation: int = Field(8, ge=1)
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    checkpointing: bool = False
    channels_last: bool = True
    compile: bool = False
    ema_decay: float = Field(0.998, ge=0, lt=1)
    keep: Literal["best", "last"] = "best"
    validate_every: int = Field(1, ge=1)
    workers: int = Field(-1, ge=-1)
    seed: int = Field(0, ge=0)


class MemoryConfig(Section):
    """The feature memory of the dense method, and the phases of its training.

    Attributes:
        keep_stale: p, the probability with which a feature from the memory takes part in a step.
        max_stored: in the mode `stale` at most so many features from the memory take part for a video, drawn at
            random, which bounds memory for videos of many minutes.
        write: what a step writes back: the `fresh` features, or those of the EMA's encoder (`ema`).
        refresh_epochs: the whole memory is encoded anew every so many epochs; 0 never does.
        warmup_epochs: first epochs, in which the head alone learns, on the memory as it was filled.
        final_epochs: last epochs, in which the head alone learns, on features of the EMA's encoder.
        auxiliary: weight of the loss on the pooled logits of the fresh clips alone.
    """

    keep_stale: float = Field(0.5, ge=0, le=1)
    max_stored: int = Field(1024, ge=1)
    write: Literal["fresh", "ema"] = "fresh"
    refresh_epochs: int = Field(3, ge=0)
    warmup_epochs: int = Field(1, ge=0)
    final_epochs: int = Field(2, ge=0)
    auxiliary: float = Field(0.2, ge=0, allow_inf_nan=False)


class RecipeSettings(Protocol):
    """The parts of a recipe, as methods and learners read them."""

    @property
    def name(self) -> str:
        """Name of the recipe."""

    @property
    def input(self) -> InputConfig:
        """What the network sees."""

    @property
    def augment(self) -> AugmentConfig:
        """What is done to training inputs."""

    @property
    def model(self) -> ModelConfig:
        """Backbone, head and first weights."""

    @property
    def optimiser(self) -> OptimiserConfig:
        """AdamW and its schedule."""

    @property
    def loss(self) -> LossConfig:
        """The loss."""

    @property
    def training(self) -> TrainingConfig:
        """How long, how much at once, at what precision."""
