"""Is a video unlike all that the networks have learnt from? A distance in the space of a network's own features.

A Gaussian is fitted to the mean features of the training videos, with the covariance of probabilistic PCA (Tipping and
Bishop 1999, equations 7 and 8): some directions with their own variance, one variance for all others. The score is the
Mahalanobis distance (as in Lee et al., arXiv 1807.03888, for one class), the threshold a quantile of the scores of
videos that the network has not learnt from.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from urbanpipe.errors import BundleError
from urbanpipe.outputs import whole_file

FALSE_ALARMS = 0.01  # wanted share of sound videos that are called foreign
MOST_COMPONENTS = 32
LEAST_VIDEOS = 20  # to fit, and to find the threshold by
_LEAST_REST = 1e-4  # of the largest variance: directions in which nothing varied must not decide alone
_ARRAYS = ("mean", "components", "variances", "rest", "threshold")


@dataclass(frozen=True, eq=False)
class Foreign:
    """Where features of known videos lie.

    Attributes:
        mean: (d,) float64.
        components: (k, d), orthonormal directions.
        variances: (k,), along them.
        rest: variance along each other direction.
        threshold: score above which a video is foreign.
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    variances: NDArray[np.float64]
    rest: float
    threshold: float

    def score(self, feature: NDArray[np.float64]) -> float:
        """Distance of a video's mean feature (d,), 0 or more, around 1 for known videos.

        Raises:
            BundleError: the feature is of another network.
        """
        if feature.shape != self.mean.shape:
            raise BundleError(
                f"features of known videos are {len(self.mean)} wide, those of the network {len(feature)}"
            )
        away = feature - self.mean
        along = self.components @ away
        inside = (along**2 / self.variances).sum()
        outside = max(0.0, float(away @ away - along @ along)) / self.rest
        return float(np.sqrt((inside + outside) / len(away)))


def fit_foreign(known: NDArray[np.float64], unseen: NDArray[np.float64]) -> Foreign:
    """Fit to features of videos that the network has learnt from, and find the threshold on others of the same kind.

    Args:
        known: (n, d).
        unseen: (m, d). Of such videos one in m + 1 at most is expected above the threshold, and where m is 99 or more,
            FALSE_ALARMS of them at most.

    Raises:
        BundleError: fewer than LEAST_VIDEOS of either.
    """
    if min(len(known), len(unseen)) < LEAST_VIDEOS:
        raise BundleError(
            f"{len(known)} videos that a network has learnt from and {len(unseen)} that it has not are too few to say "
            f"which are foreign: want {LEAST_VIDEOS} of each; leave --data out"
        )
    mean = known.mean(axis=0)
    _, singular, rows = np.linalg.svd(known - mean, full_matrices=False)
    variances = singular**2 / (len(known) - 1)
    count = min(MOST_COMPONENTS, len(known) // 4, known.shape[1] - 1)
    rest = float(variances[count:].sum()) / (known.shape[1] - count)
    rest = max(rest, _LEAST_REST * float(variances[0]), np.finfo(float).tiny)
    kept = np.maximum(variances[:count], rest)
    plain = Foreign(mean, rows[:count], kept, rest, np.inf)
    scores = np.sort([plain.score(feature) for feature in unseen])
    rank = min(int(np.ceil((len(scores) + 1) * (1 - FALSE_ALARMS))), len(scores))
    return Foreign(mean, rows[:count], kept, rest, float(scores[rank - 1]))


def write_foreign(foreign: Foreign, path: Path) -> None:
    """Write a safetensors file.

    Raises:
        OutputError: it cannot be written.
    """
    values = (np.atleast_1d(np.asarray(getattr(foreign, name))) for name in _ARRAYS)
    arrays = {name: value.astype(np.float64) for name, value in zip(_ARRAYS, values, strict=True)}
    with whole_file(path, "wb") as file:
        file.write(save(arrays))


def read_foreign(path: Path) -> Foreign:
    """Read what `write_foreign` wrote.

    Raises:
        BundleError: it is damaged.
    """
    try:
        found = {name: array.astype(np.float64) for name, array in load_file(path).items()}
        mean, components, variances, rest, threshold = (found[name] for name in _ARRAYS)
        components = components.reshape(len(variances), len(mean))
        numbers = float(rest.item()), float(threshold.item())
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise BundleError(f"{path} is damaged: {error}") from error
    return Foreign(mean, components, variances, *numbers)
