"""Plots of cross-validations, which take longer than a small training, and which few tests look at."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from urbanpipe.evaluation import fold_report


@contextmanager
def without_plots_of_folds() -> Iterator[None]:
    """Leave out `table6.png` and `folds.png`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fold_report, "save", lambda *_: None)
        patch.setattr(fold_report, "plot_folds", lambda *_: None)
        yield
