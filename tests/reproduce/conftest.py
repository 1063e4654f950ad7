"""What the tests of tables share: plots of cross-validations, which take longer than a training, are left out."""

from collections.abc import Iterator

import pytest

from urbanpipe.evaluation import fold_report


@pytest.fixture(scope="module", autouse=True)
def _no_plots_of_folds() -> Iterator[None]:
    """Leave out `table6.png` and `folds.png`; other tests look at them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fold_report, "save", lambda *_: None)
        patch.setattr(fold_report, "plot_folds", lambda *_: None)
        yield
