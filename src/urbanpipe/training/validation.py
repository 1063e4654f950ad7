"""Validation of a model during training, and storage of its best weights."""

import math
import time
from collections.abc import Sequence

import numpy as np
from safetensors.torch import save as serialise

from urbanpipe.contracts.predictions import Predictions, write_predictions
from urbanpipe.contracts.run_folder import SEGMENTS, WEIGHTS
from urbanpipe.contracts.segment_scores import write_segment_scores
from urbanpipe.errors import RunError
from urbanpipe.evaluation.average_precision import score
from urbanpipe.inference.prediction import VideoPrediction, segment_scores_of
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.learners.state import EpochMetrics, State
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.outputs import whole_file
from urbanpipe.training.evaluation_pass import predict_all
from urbanpipe.training.fold_job import FoldJob


def validate(job: FoldJob, distributed: DistributedContext, state: State, dataset: VideoDataset) -> EpochMetrics:
    """Evaluate the weights and their EMA on the validation videos, and keep the best; return the metrics."""
    if not job.valid:
        return {}
    started = time.perf_counter()
    targets = job.targets(job.valid) > 0
    row: EpochMetrics = {}
    networks = {"": state.final} | ({"raw_": state.model} if state.ema else {})
    for name, predictions in zip(
        networks, predict_all(job.recipe, [*networks.values()], dataset, distributed), strict=True
    ):
        scores = np.stack([video.scores for video in predictions])
        if not np.isfinite(scores).all():
            raise RunError(
                f"{job.name}: scores became NaN or infinite in epoch {state.epoch + 1}; lower optimiser.learning_rate"
            )
        result = score(scores, targets, job.taxonomy, empty="skip")
        row |= {f"{name}map": result.map_all, f"{name}map_defects": result.map_defects}
        mean_ap = result.map_all if math.isfinite(result.map_all) else 0.0  # without positives all epochs are equal
        if name == "" and (mean_ap > state.best or job.recipe.training.keep == "last"):
            state.best, state.best_epoch = mean_ap, state.epoch + 1
            if distributed.is_main:
                keep(job, state, predictions)
    return row | {"valid_seconds": time.perf_counter() - started}


def keep(job: FoldJob, state: State, predictions: Sequence[VideoPrediction]) -> None:
    """Write the current weights (the EMA if there is one) and their predictions for the validation videos."""
    tensors = {key: value.contiguous().cpu() for key, value in state.final.state_dict().items()}
    with whole_file(job.folder / WEIGHTS, "wb") as file:
        file.write(serialise(tensors))
    if not predictions:
        return
    names = tuple(video.name for video in job.valid)
    scores = np.stack([video.scores for video in predictions])
    write_predictions(Predictions(names, scores), job.folder / "predictions.json", job.taxonomy)
    if job.recipe.input.many_segments:
        write_segment_scores(segment_scores_of(names, predictions), job.folder / SEGMENTS, job.taxonomy)
