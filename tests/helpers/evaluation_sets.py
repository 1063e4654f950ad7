"""Sets of made-up labelled videos."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from urbanpipe.evaluation.evaluation_set import EvaluationSet
from urbanpipe.taxonomy import Taxonomy


def labelled(targets: Any, folds: Any, taxonomy: Taxonomy, groups: Sequence[str] | None = None) -> EvaluationSet:
    """Return videos with these targets (n, C) and folds (n,); without groups each is independent."""
    names = tuple(f"v{row}" for row in range(len(targets)))
    return EvaluationSet(taxonomy, names, np.asarray(targets), np.asarray(folds, np.int64), tuple(groups or names))
