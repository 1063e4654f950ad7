"""Fit the out-of-distribution detector of a bundle on the videos of its run."""

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from urbanpipe.catalog.catalog_file import Video, read_catalog
from urbanpipe.catalog.folds import read_folds
from urbanpipe.contracts.names import shortened
from urbanpipe.errors import BundleError, VideoError
from urbanpipe.evaluation.runs import OutOfFold
from urbanpipe.inference.members import Member, Trained, evidence_member, load_models
from urbanpipe.inference.observed_features import observed_features
from urbanpipe.inference.ood import MIN_VIDEOS, OODDetector, fit_ood_detector
from urbanpipe.progress import track

log = logging.getLogger(__name__)

MAX_VIDEOS = 300  # used of the videos trained on, and as many of those held out


def fit_ood_detector_of(trained: Trained, seen: OutOfFold, data: Path, device: torch.device) -> OODDetector | None:
    """Fit a detector on videos that one network was trained on, with a threshold from videos that it was not.

    Videos that can no longer be read are named in the log and left out. With too few videos there is no detector, and
    a warning.

    Args:
        trained: the networks.
        seen: their out-of-fold predictions.
        data: catalog of those videos.
        device: device for the network.

    Raises:
        BundleError: the catalog lacks some of the videos, or none can be read.
    """
    models = load_models(trained.folder, device)
    member = evidence_member(models.members)
    run = trained.runs[member][0]
    fold = min(set(read_folds(run / "folds.csv").values()))
    chosen = models.members[member]
    by_name = videos_by_name(data, seen)
    held = seen.folds == fold
    if (fewest := min(np.count_nonzero(held), np.count_nonzero(~held))) < MIN_VIDEOS:
        log.warning("no detection of non-pipe videos: a fold has %d videos, and %d are needed", fewest, MIN_VIDEOS)
        return None
    known, unseen = (
        _features(chosen, [by_name[seen.names[row]] for row in _some(np.flatnonzero(part))], label)
        for part, label in ((~held, "training videos"), (held, "held-out videos"))
    )
    return fit_ood_detector(known, unseen)


def videos_by_name(data: Path, seen: OutOfFold) -> dict[str, Video]:
    """Return the videos of a catalog by name.

    Raises:
        BundleError: it lacks videos that have out-of-fold predictions.
    """
    by_name = {video.name: video for video in read_catalog(data, seen.taxonomy, labels=False).ok}
    if lacking := [name for name in seen.names if name not in by_name]:
        raise BundleError(
            f"{data} lacks {shortened(lacking)}, which {seen.run} was trained on; give the catalog of that run"
        )
    return by_name


def _some(rows: NDArray[np.intp]) -> list[int]:
    """Draw at most `MAX_VIDEOS` rows, always the same ones."""
    drawn = np.random.default_rng(0).permutation(rows)[:MAX_VIDEOS]
    return sorted(drawn.tolist())


def _features(member: Member, videos: list[Video], label: str) -> NDArray[np.float64]:
    """Return the features of the readable videos, (videos, 2, channels), by the first network of a member."""
    runtime, view = member.runtimes[0], member.recipe.view
    each = []
    for video in track(videos, len(videos), label):
        try:
            each.append(observed_features(video.path, runtime, view))
        except VideoError as error:
            log.warning("left out of the out-of-distribution detector: %s: %s", video.name, error.reason)
    if not each:
        raise BundleError(f"none of the {len(videos)} {label} can be read; omit --data, or give their catalog")
    return np.stack(each)
