"""Options that the verbs of inference share."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class InferenceOptions:
    """Device and batch size of inference.

    Attributes:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        batch_size: segments (super-images, frames, clips) per batch.
    """

    device: str = "auto"
    batch_size: int = 8
