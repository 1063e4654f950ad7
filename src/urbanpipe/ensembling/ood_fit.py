"""Watching a run's own videos, to tell later which are unlike them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from urbanpipe.catalog.catalog_file import Video, read_catalog
from urbanpipe.catalog.folds import read_folds
from urbanpipe.contracts.names import shortened
from urbanpipe.errors import BundleError
from urbanpipe.evaluation.runs import OutOfFold
from urbanpipe.inference.members import Member, Models, Trained, load_models
from urbanpipe.inference.ood import Features, OODDetector, fit_ood_detector
from urbanpipe.inspection.video_pass import VideoPass, looking_member
from urbanpipe.progress import track

MAX_VIDEOS = 300  # that are observed, of those trained on and of those held out each


def fit_ood_detector_of(trained: Trained, seen: OutOfFold, data: Path, device: torch.device) -> OODDetector:
    """Watch videos that the looking network has trained on, and videos that it has not.

    Args:
        trained: the networks.
        seen: their out-of-fold predictions.
        data: catalog of those videos.
        device: for the network.

    Raises:
        BundleError: the catalog lacks some of them, or they are too few.
        VideoError: one cannot be read any more.
    """
    models = load_models(trained.folder, device)
    member = looking_member(models.members)
    run = trained.runs[member][0]
    fold = min(set(read_folds(run / "folds.csv").values()))
    one = Models(models.taxonomy, (_first_network(models, member),), None)
    by_name = {video.name: video for video in read_catalog(data, seen.taxonomy, labels=False).ok}
    if lacking := [name for name in seen.names if name not in by_name]:
        raise BundleError(f"{data} lacks {shortened(lacking)}, which {run} has trained on; give its catalog")
    held = seen.folds == fold
    video_pass = VideoPass(one)
    known, unseen = (
        _features(video_pass, [by_name[seen.names[row]] for row in _some(np.flatnonzero(part))], label)
        for part, label in ((~held, "what was learned"), (held, "what was held out"))
    )
    return fit_ood_detector(known, unseen)


def _first_network(models: Models, number: int) -> Member:
    member = models.members[number]
    return replace(member, runtimes=member.runtimes[:1], weight=1.0)


def _some(rows: NDArray[np.intp]) -> list[int]:
    """At most MAX_VIDEOS of them, the same each time."""
    drawn = np.random.default_rng(0).permutation(rows)[:MAX_VIDEOS]
    return sorted(drawn.tolist())


def _features(video_pass: VideoPass, videos: list[Video], label: str) -> Features:
    """Each feature of all videos, (videos, d)."""
    each = [video_pass.watch(video.path).features for video in track(videos, len(videos), label)]
    return [np.stack(part) for part in zip(*each, strict=True)]
