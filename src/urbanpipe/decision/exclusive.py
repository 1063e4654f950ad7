"""The rule for the exclusive class: what is surely in order shows no defect."""

import numpy as np
from numpy.typing import NDArray

from urbanpipe.errors import RecipeError
from urbanpipe.taxonomy import Taxonomy

EXCLUSIVE_THRESHOLD = 0.9


def apply_exclusive(scores: NDArray[np.float64], taxonomy: Taxonomy, threshold: float | None) -> NDArray[np.float64]:
    """Where P(exclusive class) > threshold set it to 1 and all others to 0.

    The UrbanPipe report does so with QV-Pipe's normal class ZC and 0.9. The rule makes ties, which the tie order of
    average precision decides.

    Args:
        scores: (n, C) float in [0, 1]; left as they are.
        taxonomy: the C classes; without an exclusive one the rule changes nothing.
        threshold: in [0, 1]; None leaves the rule out.

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
