"""Settings of optimiser, loss and training loop; importable without torch."""

from typing import Literal, Protocol

from pydantic import Field

from urbanpipe.inputs.config import AugmentConfig, InputConfig
from urbanpipe.models.config import ModelConfig
from urbanpipe.settings import Section


class OptimiserConfig(Section):
    """AdamW and its learning rates.

    Attributes:
        learning_rate: peak learning rate of the head.
        backbone_lr_scale: learning rate of the backbone as a share of the head's.
        layer_decay: further factor per layer of the backbone, from the last to the first; 1 disables it.
        weight_decay: decay of weights; biases and norms have none.
        schedule: `onecycle` (cosine up and down, with momentum in the opposite direction) or `cosine` (linear up,
            cosine down).
        warmup_epochs: epochs until the peak learning rate, limited to nine tenths of all epochs.
        clip_norm: largest gradient norm; 0 disables clipping.
        fused: whether to use torch's fused AdamW on a GPU.
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
    """The loss function.

    Attributes:
        name: `asymmetric` (arXiv 2009.14119), `bce` or `focal` (arXiv 1708.02002).
        gamma_negative: focusing exponent of negatives in the asymmetric loss.
        gamma_positive: focusing exponent of positives in the asymmetric loss.
        clip: probability margin of negatives in the asymmetric loss.
        gamma: focusing exponent of the focal loss.
        class_weights: whether to weight positives by the square root of negatives over positives of their class (`bce`
            and `focal` only).
    """

    name: Literal["asymmetric", "bce", "focal"] = "asymmetric"
    gamma_negative: float = Field(4.0, ge=0)
    gamma_positive: float = Field(1.0, ge=0)
    clip: float = Field(0.05, ge=0, lt=1)
    gamma: float = Field(2.0, ge=0)
    class_weights: bool = False


class TrainingConfig(Section):
    """Epochs, batch size, precision and other settings of the training loop.

    Attributes:
        epochs: passes over the training videos.
        batch_size: videos per batch and process.
        accumulation: batches per step and process; a step uses batch_size * accumulation * processes videos.
        precision: `fp32`, mixed precision with `bf16` or `fp16`, or `auto`, the fastest that the device computes
            natively: bf16, else fp16 on a GPU with tensor cores, else fp32. Where the device lacks the instructions for
            bf16 or fp16, fp32 is used.
        checkpointing: whether to recompute activations in the backward pass to save memory.
        channels_last: whether to use the channels-last memory layout, which is faster for most convolutional networks.
        compile: whether to compile the network with torch.compile.
        ema_decay: decay of the EMA of the weights, reached after a warm-up; 0 disables the EMA.
        keep: which weights to keep: those of the `best` epoch by validation mAP, or of the `last`.
        validate_every: number of epochs between validations; the last epoch is always validated, and `best` is chosen
            among the validated epochs.
        workers: loading processes per training process; -1 uses the available processors, at most 8.
        seed: random seed of initial weights, order and augmentation.
    """

    epochs: int = Field(30, ge=1)
    batch_size: int = Field(4, ge=1)
    accumulation: int = Field(8, ge=1)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
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
        keep_stale: probability with which a stored feature is used in a step.
        max_stored: in the mode `stale`, upper bound on the stored features per video and step, sampled at random, which
            bounds memory for videos of many minutes.
        write: which features a step writes back: `fresh` ones, or those of the EMA's encoder (`ema`).
        refresh_epochs: number of epochs between two encodings of the whole memory; 0 disables refreshing.
        warmup_epochs: first epochs, which train only the head, on the initial memory.
        final_epochs: last epochs, which train only the head, on features of the EMA's encoder.
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
    """The parts of a recipe that methods and learners read."""

    @property
    def name(self) -> str:
        """Name of the recipe."""

    @property
    def input(self) -> InputConfig:
        """How videos become network inputs."""

    @property
    def augment(self) -> AugmentConfig:
        """Augmentation of training inputs."""

    @property
    def model(self) -> ModelConfig:
        """Backbone, head and initial weights."""

    @property
    def optimiser(self) -> OptimiserConfig:
        """AdamW and its schedule."""

    @property
    def loss(self) -> LossConfig:
        """Loss function."""

    @property
    def training(self) -> TrainingConfig:
        """Settings of the training loop."""
