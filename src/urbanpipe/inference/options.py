"""Options that the verbs of inference share."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class InferenceOptions:
    """Where a network computes, and how much at once.

    Attributes:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        batch_size: segments (super-images, frames, clips) at once.
    """

    device: str = "auto"
    batch_size: int = 8
