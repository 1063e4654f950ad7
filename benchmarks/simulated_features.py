"""Features that are drawn at random for real labels: real frequencies and combinations of classes, but no videos."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from probe_features import VideoSet

from urbanpipe.catalog.files import video_groups
from urbanpipe.catalog.labels import label_matrix, read_labels
from urbanpipe.taxonomy import default_taxonomy

WIDTH, POOL, TEST, OF_CLASS = 96, 1000, 2000, 40


def drawn_sets(labels: Path, seed: int) -> tuple[VideoSet, list[VideoSet]]:
    """Return a pool of 1,000 videos of a label file, 2,000 others, and of the rest about equally many of each class.

    The feature of a video is the sum of a vector per class that it shows, longer or shorter per video, one per group,
    and noise. Vectors of some classes are longer, so these are easier.
    """
    rng, given = np.random.default_rng(seed), read_labels(labels)
    names = np.array(sorted(given))
    targets = label_matrix(names.tolist(), given, len(default_taxonomy()))
    of_name = video_groups({name: name for name in names.tolist()}, {})
    groups = np.array([of_name[name] for name in names])
    digests = np.array([hashlib.blake2b(name.encode(), digest_size=16).hexdigest() for name in names])
    videos = VideoSet(names, groups, digests, _features(targets, groups, rng), targets)
    order = rng.permutation(len(names))
    rest = order[POOL + TEST :]
    even = np.concatenate([rest[targets[rest, column]][:OF_CLASS] for column in range(targets.shape[1])])
    parts = order[:POOL], order[POOL : POOL + TEST], np.unique(even)
    pool, *tests = (videos.subset(np.isin(np.arange(len(names)), rows)) for rows in parts)
    return pool, tests


def _features(targets: NDArray[np.bool_], groups: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.float32]:
    count, classes = targets.shape
    _, group = np.unique(groups, return_inverse=True)
    of_class = rng.normal(size=(classes, WIDTH)) * rng.uniform(0.25, 0.6, (classes, 1))
    of_group = 0.7 * rng.normal(size=(group.max() + 1, WIDTH))
    noise = 0.7 * rng.normal(size=(count, WIDTH))
    return np.asarray((targets * rng.lognormal(0, 0.5, targets.shape)) @ of_class + of_group[group] + noise, np.float32)
