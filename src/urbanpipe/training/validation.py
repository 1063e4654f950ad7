"""Judging a model in training by videos that it does not learn from, and keeping the weights that count."""

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
    """Judge the weights, and their EMA beside them; keep the best."""
    if not job.valid:
        return {}
    started = time.perf_counter()
    targets = job.targets(job.valid) > 0
    row: EpochMetrics = {}
    networks = {"": state.final} | ({"raw_": state.model} if state.ema else {})
    for name, judged_videos in zip(
        networks, predict_all(job.recipe, [*networks.values()], dataset, distributed), strict=True
    ):
        scores = np.stack([video.scores for video in judged_videos])
        if not np.isfinite(scores).all():
            raise RunError(
                f"{job.name}: scores are not numbers in epoch {state.epoch + 1}; lower optimiser.learning_rate"
            )
        found = score(scores, targets, job.taxonomy, empty="skip")
        row |= {f"{name}map": found.map_all, f"{name}map_defects": found.map_defects}
        judged = found.map_all if math.isfinite(found.map_all) else 0.0  # no positives at all: any epoch is as good
        if name == "" and (judged > state.best or job.recipe.training.keep == "last"):
            state.best, state.best_epoch = judged, state.epoch + 1
            if distributed.is_main:
                keep(job, state, judged_videos)
    return row | {"valid_seconds": time.perf_counter() - started}


def keep(job: FoldJob, state: State, judged: Sequence[VideoPrediction]) -> None:
    """Write the weights that count, and what they say of the validation videos."""
    tensors = {key: value.contiguous().cpu() for key, value in state.final.state_dict().items()}
    with whole_file(job.folder / WEIGHTS, "wb") as file:
        file.write(serialise(tensors))
    if not judged:
        return
    names = tuple(video.name for video in job.valid)
    scores = np.stack([video.scores for video in judged])
    write_predictions(Predictions(names, scores), job.folder / "predictions.json", job.taxonomy)
    if job.recipe.input.many_segments:
        write_segment_scores(segment_scores_of(names, judged), job.folder / SEGMENTS, job.taxonomy)
