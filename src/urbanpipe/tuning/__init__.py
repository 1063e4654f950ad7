"""Finding the best model that a time budget allows: frozen baselines, fine-tuned networks and their combination."""

from urbanpipe.tuning.fitting import FitResult, fit
from urbanpipe.tuning.ladder import Step, ladder

__all__ = ["FitResult", "Step", "fit", "ladder"]
