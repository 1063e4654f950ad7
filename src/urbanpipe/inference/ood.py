"""Detection of out-of-distribution videos by distances in the space of a network's own features.

The detector uses two features of a video, each averaged over its segments: mean and standard deviation of the channels
of the first layer (light, colours and textures), and the input of the head (the content, as the network encodes it).
Each has a Gaussian, fitted to the training videos, with the covariance of probabilistic PCA (Tipping and Bishop 1999,
equations 7 and 8): some directions with their own variance, one variance for all others. The score is the larger of the
two Mahalanobis distances (as in Lee et al., arXiv 1807.03888, for one class), each divided by a distance that few
training videos exceed. The threshold is a quantile of the scores of videos that the network was not trained on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from urbanpipe.errors import BundleError
from urbanpipe.outputs import whole_file

FALSE_ALARMS = 0.01  # target share of in-distribution videos above the threshold
MAX_COMPONENTS = 32
MIN_VIDEOS = 20  # for the fit, and for the threshold
_MIN_REST = 1e-4  # share of the largest variance: constant directions must not determine the distance alone
_ARRAYS = ("mean", "components", "variances", "rest")

Features = Sequence[NDArray[np.float64]]
"""A feature of a video (d,), or of many videos (n, d), for each part."""


@dataclass(frozen=True, eq=False)
class Gaussian:
    """The distribution of a feature of training videos.

    Attributes:
        mean: (d,) float64.
        components: (k, d), orthonormal directions.
        variances: (k,), variances along the components.
        rest: (1,), variance along every other direction.
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    variances: NDArray[np.float64]
    rest: NDArray[np.float64]

    def distance(self, feature: NDArray[np.float64]) -> float:
        """Return the Mahalanobis distance of a feature (d,), divided by the root of d; around 1 for training videos.

        Raises:
            BundleError: the feature belongs to another network.
        """
        if feature.shape != self.mean.shape:
            raise BundleError(f"the feature has {len(feature)} values, but the bundle's detector {len(self.mean)}")
        away = feature - self.mean
        along = self.components @ away
        inside = (along**2 / self.variances).sum()
        outside = max(0.0, float(away @ away - along @ along)) / self.rest.item()
        return float(np.sqrt((inside + outside) / len(away)))


@dataclass(frozen=True, eq=False)
class OODDetector:
    """Detects videos that are unlike the training videos.

    Attributes:
        parts: a Gaussian for each feature.
        scales: (parts,), the distance that few training videos exceed.
        threshold: score above which a video is out of distribution.
    """

    parts: tuple[Gaussian, ...]
    scales: NDArray[np.float64]
    threshold: float

    def score(self, features: Features) -> float:
        """Return the largest distance of a video's features, divided by its scale.

        The score is non-negative, and below 1 for most training videos.

        Raises:
            BundleError: the features belong to another network.
        """
        if len(features) != len(self.parts):
            raise BundleError(f"the network has {len(features)} features, but the bundle's detector {len(self.parts)}")
        pairs = zip(self.parts, features, self.scales, strict=True)
        return max(part.distance(feature) / float(scale) for part, feature, scale in pairs)


def fit_ood_detector(known: Features, unseen: Features) -> OODDetector:
    """Fit a detector to features of training videos, and set the threshold on other videos of the same kind.

    Args:
        known: features of training videos, (n, d) for each part.
        unseen: features of other videos, (m, d) for each part. At most one in m + 1 of such videos is expected above
            the threshold, and at most FALSE_ALARMS of them if m is 99 or more.

    Raises:
        BundleError: there are fewer than MIN_VIDEOS of either.
    """
    n, m = len(known[0]), len(unseen[0])
    if min(n, m) < MIN_VIDEOS:
        raise BundleError(
            f"{n} videos that a network was trained on and {m} others are too few to detect out-of-distribution "
            f"videos: {MIN_VIDEOS} of each are needed; omit --data"
        )
    parts = tuple(map(_fitted, known))
    # From the training videos: with scales and threshold from the same videos, each part could raise false alarms.
    scales = [_few_exceed([part.distance(row) for row in rows]) for part, rows in zip(parts, known, strict=True)]
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
    """Return the value that a share FALSE_ALARMS of new values is expected to exceed; the maximum of few values."""
    rank = min(int(np.ceil((len(values) + 1) * (1 - FALSE_ALARMS))), len(values))
    return float(np.sort(values)[rank - 1])


def write_ood_detector(ood: OODDetector, path: Path) -> None:
    """Write a detector as a safetensors file.

    Raises:
        OutputError: the file cannot be written.
    """
    arrays = {f"{number}.{name}": getattr(part, name) for number, part in enumerate(ood.parts) for name in _ARRAYS}
    arrays |= {"scales": ood.scales, "threshold": np.array([ood.threshold])}
    with whole_file(path, "wb") as file:
        file.write(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def read_ood_detector(path: Path) -> OODDetector:
    """Read a file of `write_ood_detector`.

    Raises:
        BundleError: the file is damaged.
    """
    try:
        arrays = {name: array.astype(np.float64) for name, array in load_file(path).items()}
        scales = _checked("scales", arrays["scales"], 1, is_positive=True)
        parts = tuple(_part(arrays, number) for number in range(len(scales)))
        threshold = _checked("threshold", arrays["threshold"].reshape(1), 1, is_positive=True)
        return OODDetector(parts, scales, float(threshold.item()))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise BundleError(f"{path} is damaged: {error}") from error


def _part(arrays: Mapping[str, NDArray[np.float64]], number: int) -> Gaussian:
    mean, components, variances, rest = (arrays[f"{number}.{name}"] for name in _ARRAYS)
    _checked(f"{number}.mean", mean, 1)
    _checked(f"{number}.components", components, 2)
    _checked(f"{number}.variances", variances, 1, is_positive=True)
    _checked(f"{number}.rest", rest, 1, is_positive=True)
    if components.shape != (len(variances), len(mean)) or len(rest) != 1:
        raise ValueError(f"the arrays of part {number} do not fit each other")
    return Gaussian(mean, components, variances, rest)


def _checked(
    name: str, array: NDArray[np.float64], dimensions: int, *, is_positive: bool = False
) -> NDArray[np.float64]:
    is_valid = np.isfinite(array) & ((array > 0) | (not is_positive))
    if array.ndim != dimensions or not array.size or not is_valid.all():
        kind = "positive" if is_positive else "finite"
        raise ValueError(f"{name} must be {kind} numbers in {dimensions} dimensions")
    return array
