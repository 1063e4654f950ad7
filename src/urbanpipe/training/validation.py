"""Judging a model in training by videos that it does not learn from, and keeping the weights that count."""

import math
import time
from collections.abc import Sequence

import numpy as np
from safetensors.torch import save as serialise

from urbanpipe.contracts.predictions import Predictions, write_predictions
from urbanpipe.contracts.run_folder import PIECES, WEIGHTS
from urbanpipe.contracts.segment_scores import write_pieces
from urbanpipe.errors import RunError
from urbanpipe.evaluation.average_precision import score
from urbanpipe.inference.prediction import Judged, pieces_of
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.learners.state import Row, State
from urbanpipe.models.distributed import Processes
from urbanpipe.outputs import whole_file
from urbanpipe.training.evaluation_pass import judge_all
from urbanpipe.training.job import Job


def validate(job: Job, processes: Processes, state: State, dataset: VideoDataset) -> Row:
    """Judge the weights, and their moving average beside them; keep the best."""
    if not job.valid:
        return {}
    started = time.perf_counter()
    targets = job.targets(job.valid) > 0
    row: Row = {}
    networks = {"": state.final} | ({"raw_": state.model} if state.ema else {})
    for name, judged_videos in zip(
        networks, judge_all(job.recipe, [*networks.values()], dataset, processes), strict=True
    ):
        scores = np.stack([video.scores for video in judged_videos])
        if not np.isfinite(scores).all():
            raise RunError(f"{job.name}: scores are not numbers in epoch {state.epoch + 1}; lower optimiser.rate")
        found = score(scores, targets, job.taxonomy, empty="skip")
        row |= {f"{name}map": found.map_all, f"{name}map_defects": found.map_defects}
        judged = found.map_all if math.isfinite(found.map_all) else 0.0  # no positives at all: any epoch is as good
        if name == "" and (judged > state.best or job.recipe.training.keep == "last"):
            state.best, state.best_epoch = judged, state.epoch + 1
            if processes.is_main:
                keep(job, state, judged_videos)
    return row | {"valid_seconds": time.perf_counter() - started}


def keep(job: Job, state: State, judged: Sequence[Judged]) -> None:
    """Write the weights that count, and what they say of the validation videos."""
    tensors = {key: value.contiguous().cpu() for key, value in state.final.state_dict().items()}
    with whole_file(job.folder / WEIGHTS, "wb") as file:
        file.write(serialise(tensors))
    if not judged:
        return
    names = tuple(video.name for video in job.valid)
    scores = np.stack([video.scores for video in judged])
    write_predictions(Predictions(names, scores), job.folder / "predictions.json", job.taxonomy)
    if job.recipe.input.many_pieces:
        write_pieces(pieces_of(names, judged), job.folder / PIECES, job.taxonomy)
