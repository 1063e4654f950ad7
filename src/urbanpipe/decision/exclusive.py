"""The rule for the exclusive class: a video that is confidently normal shows no defect."""

import numpy as np
from numpy.typing import NDArray

from urbanpipe.errors import RecipeError
from urbanpipe.taxonomy import Taxonomy

EXCLUSIVE_THRESHOLD = 0.9


def apply_exclusive(scores: NDArray[np.float64], taxonomy: Taxonomy, threshold: float | None) -> NDArray[np.float64]:
    """Set the exclusive class to 1 and all other classes to 0 where P(exclusive class) > threshold.

    The UrbanPipe report applies this rule to QV-Pipe's normal class ZC with a threshold of 0.9. The rule produces
    ties, which are ranked by the tie order of average precision.

    Args:
        scores: (n, C) float in [0, 1]; not modified.
        taxonomy: the C classes; without an exclusive class the rule changes nothing.
        threshold: in [0, 1]; None disables the rule.

    Returns:
        (n, C) float.

    Raises:
        RecipeError: the threshold is outside [0, 1].
    """
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        raise RecipeError(f"the exclusive threshold is {threshold}; it must be in [0, 1], or off")
    result = scores.copy()
    if threshold is not None and taxonomy.exclusive is not None:
        index = taxonomy.index(taxonomy.exclusive)
        sure = scores[:, index] > threshold
        result[sure] = 0.0
        result[sure, index] = 1.0
    return result
