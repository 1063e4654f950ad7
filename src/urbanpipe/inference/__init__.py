"""Inference with trained networks, shared by training, `predict`, `inspect` and `explain`."""

from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inference.prediction import VideoPrediction
from urbanpipe.inference.runtime import Encoded, Runtime
from urbanpipe.inference.scoring import predict_batches

__all__ = ["Encoded", "InferenceOptions", "Runtime", "VideoPrediction", "predict_batches"]
