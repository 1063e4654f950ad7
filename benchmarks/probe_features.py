"""Pooled features of a folder of labelled videos by a frozen backbone, made once and then read from a file.

Frames and their features are kept in the folder `cache` beside the file, so that an interrupted run goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.catalog_file import Video
from urbanpipe.catalog.labels import label_matrix
from urbanpipe.catalog.scan import scan
from urbanpipe.inputs.dataset import VideoDataset, frame_cache
from urbanpipe.learners.features import encoded
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.models.bag import BagClassifier
from urbanpipe.models.device import place
from urbanpipe.models.distributed import join_distributed
from urbanpipe.models.weights import load_weights
from urbanpipe.taxonomy import default_taxonomy

RECIPE = "frozen-mobilenetv2"
_CACHE_GB = 20.0
_CLASSES = len(default_taxonomy())


@dataclass(frozen=True, eq=False)
class VideoSet:
    """Labelled videos with their features; n videos.

    Attributes:
        names: (n,) names of the videos.
        groups: (n,) group of each video.
        digests: (n,) hash of each video's content, a hex string.
        features: (n, d) float32, mean and maximum over the frames of a video, one after the other.
        targets: (n, classes) bool.
    """

    names: NDArray[np.str_]
    groups: NDArray[np.str_]
    digests: NDArray[np.str_]
    features: NDArray[np.float32]
    targets: NDArray[np.bool_]

    def subset(self, rows: NDArray[np.bool_]) -> "VideoSet":
        """The videos of a mask (n,)."""
        return VideoSet(*(values[rows] for values in vars(self).values()))


def video_set(folder: Path, weights: str, store: Path) -> VideoSet:
    """Return the videos of `folder`, which holds `videos/` and `labels.json`, from `store` if it exists.

    Args:
        folder: the folder.
        weights: ImageNet weights of the backbone, a file or `hub`.
        store: NPZ file of the features; made if it is missing. Delete it if videos or weights change.
    """
    if not store.exists():
        store.parent.mkdir(parents=True, exist_ok=True)
        catalog = scan(folder / "videos", out=store.with_suffix(".csv"), labels=folder / "labels.json")
        videos = list(catalog.labelled)
        labels = {video.name: video.labels or () for video in videos}
        made = VideoSet(
            np.array([video.name for video in videos]),
            np.array([video.group for video in videos]),
            np.array([video.digest for video in videos]),
            _pooled(videos, load_recipe(RECIPE, [f"model.weights={weights}"]), store.parent / "cache"),
            label_matrix([video.name for video in videos], labels, _CLASSES),
        )
        np.savez(store, allow_pickle=False, **vars(made))
    with np.load(store) as arrays:
        return VideoSet(**arrays)


def _pooled(videos: Sequence[Video], recipe: Recipe, cache: Path) -> NDArray[np.float32]:
    distributed = join_distributed()
    network = recipe.network(_CLASSES)
    assert isinstance(network, BagClassifier), "the recipe is a bag"
    load_weights(network.backbone, recipe.model.backbone, recipe.model.weights)
    place(network.eval(), recipe.training.channels_last, distributed.device)
    dataset = VideoDataset(videos, recipe.view, frame_cache(cache, _CACHE_GB))
    bags = dict(encoded(network, dataset, recipe, distributed))
    pooled = [np.concatenate([bags[row].mean(0).numpy(), bags[row].amax(0).numpy()]) for row in range(len(videos))]
    return np.stack(pooled)
