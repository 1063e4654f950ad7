"""Detection of out-of-distribution videos by their distance in the space of a network's own early features.

The features of a video are the mean and the standard deviation over positions of the channels of the network's stem and
first stages, averaged over its segments: light, colours and textures. Style transfer uses the same statistics for style
(Huang and Belongie, arXiv 1703.06868). The detector describes each channel by the mean in units of the standard
deviation, and by the logarithm of the standard deviation, and fits a Gaussian to training videos, with the covariance
of Ledoit and Wolf (2004, "A well-conditioned estimator for large-dimensional covariance matrices"). The score is the
Mahalanobis distance, as in Lee et al. (arXiv 1807.03888) for one class. The threshold is a quantile of the scores of
videos that neither the network nor the Gaussian was fitted to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from urbanpipe.errors import BundleError
from urbanpipe.outputs import whole_file

FALSE_ALARMS = 0.01  # target share of in-distribution videos above the threshold
MIN_VIDEOS = 20  # for the fit, and for the threshold
_FLAT = 0.1  # added to standard deviations, so that flat channels cannot determine the distance alone
_MIN_SCALE = 0.1  # of the median scale, for values that hardly differ between training videos
_MIN_REST = 1e-4  # variance in units of `scale`, for training videos without noise
_ARRAYS = ("mean", "scale", "components", "variances", "rest", "threshold")


@dataclass(frozen=True, eq=False)
class OODDetector:
    """Detects videos that are unlike the training videos.

    The values of a video are described in `_described`; d is twice the number of channels.

    Attributes:
        mean: mean of the values of training videos, (d,) float64.
        scale: their standard deviation, (d,).
        components: orthonormal directions of the values in units of `scale`, (k, d).
        variances: variances along the components, (k,).
        rest: variance along every other direction, (1,).
        threshold: score above which a video is out of distribution.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    components: NDArray[np.float64]
    variances: NDArray[np.float64]
    rest: NDArray[np.float64]
    threshold: float = np.inf

    def score(self, features: NDArray[np.float64]) -> float:
        """Return the Mahalanobis distance of a video, divided by the root of d; around 1 for training videos.

        Args:
            features: mean and standard deviation of each channel, (2, channels).

        Raises:
            BundleError: the features belong to another network.
        """
        values = _described(features[None])[0]
        if values.shape != self.mean.shape:
            raise BundleError(f"the features have {len(values)} values, but the bundle's detector {len(self.mean)}")
        away = (values - self.mean) / self.scale
        along = self.components @ away
        inside = (along**2 / self.variances).sum()
        outside = max(0.0, float(away @ away - along @ along)) / self.rest.item()
        return float(np.sqrt((inside + outside) / len(away)))


def fit_ood_detector(known: NDArray[np.float64], unseen: NDArray[np.float64]) -> OODDetector:
    """Fit a detector to features of training videos, and set the threshold on other videos of the same kind.

    Args:
        known: mean and standard deviation of each channel of training videos, (n, 2, channels).
        unseen: the same of other videos, (m, 2, channels). At most one in m + 1 of such videos is expected above the
            threshold, and at most FALSE_ALARMS of them if m is 99 or more.

    Raises:
        BundleError: there are fewer than MIN_VIDEOS of either.
    """
    n, m = len(known), len(unseen)
    if min(n, m) < MIN_VIDEOS:
        raise BundleError(
            f"{n} videos that a network was trained on and {m} others are too few to detect out-of-distribution "
            f"videos: {MIN_VIDEOS} of each are needed; omit --data"
        )
    unlimited = _fitted(_described(known))
    return replace(unlimited, threshold=_few_exceed([unlimited.score(video) for video in unseen]))


def _described(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the Gaussian is fitted to, (n, 2 channels): contrast-normalised means, and log deviations.

    Exposure scales both statistics of a channel, so that their ratio varies less between sound videos than the mean.

    Args:
        features: mean and standard deviation of each channel, (n, 2, channels).
    """
    mean, deviation = features[:, 0], features[:, 1] + _FLAT
    return np.concatenate([mean / deviation, np.log(deviation)], axis=1)


def _fitted(values: NDArray[np.float64]) -> OODDetector:
    """Fit the Gaussian to values (n, d), without a threshold.

    The covariance, in units of `scale`, is (1 - a) S + a v I, where S is the empirical covariance, v the mean of its
    diagonal and a the shrinkage by Ledoit and Wolf. Beyond the rank of S, all directions have the variance a v.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage  # slow to import, and not needed to inspect

    mean, scale = values.mean(axis=0), values.std(axis=0)
    scale = np.maximum(scale, max(_MIN_SCALE * float(np.median(scale)), np.finfo(float).tiny))
    units = (values - mean) / scale
    shrinkage = float(ledoit_wolf_shrinkage(units, assume_centered=True))
    _, singular, rows = np.linalg.svd(units, full_matrices=False)
    rest = max(shrinkage * float((units**2).mean()), _MIN_REST)
    variances = (1 - shrinkage) * singular**2 / len(units) + rest
    return OODDetector(mean, scale, rows, variances, np.array([rest]))


def _few_exceed(values: Sequence[float]) -> float:
    """Return the value that a share FALSE_ALARMS of new values is expected to exceed; the maximum of few values."""
    rank = min(int(np.ceil((len(values) + 1) * (1 - FALSE_ALARMS))), len(values))
    return float(np.sort(values)[rank - 1])


def write_ood_detector(ood: OODDetector, path: Path) -> None:
    """Write a detector as a safetensors file.

    Raises:
        OutputError: the file cannot be written.
    """
    with whole_file(path, "wb") as file:
        file.write(save({name: np.ascontiguousarray(np.atleast_1d(getattr(ood, name))) for name in _ARRAYS}))


def read_ood_detector(path: Path) -> OODDetector:
    """Read a file of `write_ood_detector`.

    Raises:
        BundleError: the file is damaged, or of an earlier version.
    """
    try:
        arrays = {name: array.astype(np.float64) for name, array in load_file(path).items()}
        if "scales" not in arrays:
            return _checked_detector(arrays)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise BundleError(f"{path} is damaged: {error}") from error
    raise BundleError(f"{path} is of an earlier version; make the bundle again with `urbanpipe bundle`")


def _checked_detector(arrays: Mapping[str, NDArray[np.float64]]) -> OODDetector:
    for name in _ARRAYS:
        _check(name, arrays[name])
    d, k = len(arrays["mean"]), len(arrays["variances"])
    shapes = ((d,), (d,), (k, d), (k,), (1,), (1,))
    if any(arrays[name].shape != shape for name, shape in zip(_ARRAYS, shapes, strict=True)):
        raise ValueError("the arrays do not fit each other")
    mean, scale, components, variances, rest, threshold = (arrays[name] for name in _ARRAYS)
    return OODDetector(mean, scale, components, variances, rest, float(threshold.item()))


def _check(name: str, array: NDArray[np.float64]) -> None:
    """Refuse an array with numbers or dimensions that a detector cannot have."""
    is_positive, dimensions = name not in ("mean", "components"), 2 if name == "components" else 1
    is_valid = np.isfinite(array) & ((array > 0) | (not is_positive))
    if array.ndim != dimensions or not array.size or not is_valid.all():
        kind = "positive" if is_positive else "finite"
        raise ValueError(f"{name} must be {kind} numbers in {dimensions} dimensions")
