"""What the tests of tables share: plots of cross-validations are left out."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _no_plots_of_folds(no_plots_of_folds: None) -> None:
    """Leave out `table6.png` and `folds.png`; other tests look at them."""
