"""Finding the best model that a time budget allows: frozen baselines, fine-tuned networks and their combination."""

from urbanpipe.tuning.fitting import FitResult, fit
from urbanpipe.tuning.steps import Candidate, Step, candidates, frozen_steps

__all__ = ["Candidate", "FitResult", "Step", "candidates", "fit", "frozen_steps"]
