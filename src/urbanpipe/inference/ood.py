"""Is a video unlike all that the networks have trained on? Distances in the space of a network's own features.

Two features of a video are looked at, each the mean over its segments: mean and standard deviation of the channels of the
first layer (what light, colours and textures are like), and what the head is given (what the network takes it for).
Each has a Gaussian, fitted to the training videos, with the covariance of probabilistic PCA (Tipping and Bishop 1999,
equations 7 and 8): some directions with their own variance, one variance for all others. The score is the larger of the
two Mahalanobis distances (as in Lee et al., arXiv 1807.03888, for one class), each in units of what few known videos
exceed; the threshold is a quantile of the scores of videos that the network has not trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from urbanpipe.errors import BundleError
from urbanpipe.outputs import whole_file

FALSE_ALARMS = 0.01  # wanted share of sound videos that are called foreign
MAX_COMPONENTS = 32
MIN_VIDEOS = 20  # to fit, and to find the threshold by
_MIN_REST = 1e-4  # of the largest variance: directions in which nothing varied must not decide alone
_ARRAYS = ("mean", "components", "variances", "rest")

Features = Sequence[NDArray[np.float64]]
"""A feature of a video (d,), or of many (n, d), for each part that is looked at."""


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Where a feature of known videos lies.

    Attributes:
        mean: (d,) float64.
        components: (k, d), orthonormal directions.
        variances: (k,), along them.
        rest: (1,), variance along each other direction.
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    variances: NDArray[np.float64]
    rest: NDArray[np.float64]

    def distance(self, feature: NDArray[np.float64]) -> float:
        """Mahalanobis distance of a feature (d,) over the root of d; around 1 for known videos.

        Raises:
            BundleError: the feature is of another network.
        """
        if feature.shape != self.mean.shape:
            raise BundleError(f"a feature is {len(feature)} wide, the bundle's known videos have {len(self.mean)}")
        away = feature - self.mean
        along = self.components @ away
        inside = (along**2 / self.variances).sum()
        outside = max(0.0, float(away @ away - along @ along)) / self.rest.item()
        return float(np.sqrt((inside + outside) / len(away)))


@dataclass(frozen=True, eq=False)
class OODDetector:
    """Tells videos that are unlike the known ones.

    Attributes:
        parts: a Gaussian for each feature.
        scales: (parts,), the distance that few known videos exceed.
        threshold: score above which a video is ood.
    """

    parts: tuple[Gaussian, ...]
    scales: NDArray[np.float64]
    threshold: float

    def score(self, features: Features) -> float:
        """The larger distance of a video's features, in units of its scale: 0 or more, below 1 for most known videos.

        Raises:
            BundleError: the features are of another network.
        """
        pairs = zip(self.parts, features, self.scales, strict=True)
        return max(part.distance(feature) / float(scale) for part, feature, scale in pairs)


def fit_ood_detector(known: Features, unseen: Features) -> OODDetector:
    """Fit to features of videos that the network has trained on, and find the threshold on others of the same kind.

    Args:
        known: (n, d) for each part.
        unseen: (m, d). Of such videos one in m + 1 at most is expected above the threshold, and where m is 99 or more,
            FALSE_ALARMS of them at most.

    Raises:
        BundleError: fewer than MIN_VIDEOS of either.
    """
    n, m = len(known[0]), len(unseen[0])
    if min(n, m) < MIN_VIDEOS:
        raise BundleError(
            f"{n} videos that a network has trained on and {m} that it has not are too few to say "
            f"which are ood: want {MIN_VIDEOS} of each; leave --data out"
        )
    parts = tuple(map(_fitted, known))
    # Of the known videos: were scales and threshold of the same ones, each part would have its own chance of an alarm.
    scales = [_few_exceed([part.distance(one) for one in each]) for part, each in zip(parts, known, strict=True)]
    plain = OODDetector(parts, np.maximum(scales, np.finfo(float).tiny), np.inf)
    scores = [plain.score(features) for features in zip(*unseen, strict=True)]
    return OODDetector(parts, plain.scales, _few_exceed(scores))


def _fitted(features: NDArray[np.float64]) -> Gaussian:
    mean = features.mean(axis=0)
    _, singular, rows = np.linalg.svd(features - mean, full_matrices=False)
    variances = singular**2 / (len(features) - 1)
    count = min(MAX_COMPONENTS, len(features) // 4, features.shape[1] - 1)
    rest = float(variances[count:].sum()) / (features.shape[1] - count)
    rest = max(rest, _MIN_REST * float(variances[0]), np.finfo(float).tiny)
    return Gaussian(mean, rows[:count], np.maximum(variances[:count], rest), np.array([rest]))


def _few_exceed(values: Sequence[float]) -> float:
    """What FALSE_ALARMS of new values of the kind are expected to exceed, or, of few, none of these does."""
    rank = min(int(np.ceil((len(values) + 1) * (1 - FALSE_ALARMS))), len(values))
    return float(np.sort(values)[rank - 1])


def write_ood_detector(ood: OODDetector, path: Path) -> None:
    """Write a safetensors file.

    Raises:
        OutputError: it cannot be written.
    """
    arrays = {f"{number}.{name}": getattr(part, name) for number, part in enumerate(ood.parts) for name in _ARRAYS}
    arrays |= {"scales": ood.scales, "threshold": np.array([ood.threshold])}
    with whole_file(path, "wb") as file:
        file.write(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def read_ood_detector(path: Path) -> OODDetector:
    """Read what `write_ood_detector` wrote.

    Raises:
        BundleError: it is damaged.
    """
    try:
        found = {name: array.astype(np.float64) for name, array in load_file(path).items()}
        count = len(found["scales"])
        parts = tuple(Gaussian(*(found[f"{number}.{name}"] for name in _ARRAYS)) for number in range(count))
        for part in parts:
            part.components.reshape(len(part.variances), len(part.mean))
            part.distance(part.mean)
        return OODDetector(parts, found["scales"], float(found["threshold"].item()))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise BundleError(f"{path} is damaged: {error}") from error
