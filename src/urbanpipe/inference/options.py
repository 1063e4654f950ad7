"""Options that the verbs of inference share."""

from dataclasses import dataclass
from typing import Literal

GraphRuntimeName = Literal["onnx", "openvino"]
RuntimeName = Literal["auto", "torch", "onnx", "openvino"]


@dataclass(frozen=True, kw_only=True)
class InferenceOptions:
    """Device, batch size and runtime of inference.

    Attributes:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        batch_size: segments (super-images, frames, clips) per batch.
        runtime: what runs the networks, see `inference.choose_runtime`.
        decoders: processes that decode a video for one process with networks; of inspections.
    """

    device: str = "auto"
    batch_size: int = 8
    runtime: RuntimeName = "auto"
    decoders: int = 1
