"""Calibration, thresholds, triage, and localization settings, all chosen on out-of-fold scores."""

from urbanpipe.decision.calibration import Calibration, cross_calibrated, fit_calibration
from urbanpipe.decision.exclusive import apply_exclusive
from urbanpipe.decision.localization import MomentsConfig
from urbanpipe.decision.thresholds import f1_thresholds, recall_thresholds
from urbanpipe.decision.triage import Triage, choose_triage, nested_triage

__all__ = [
    "Calibration",
    "MomentsConfig",
    "Triage",
    "apply_exclusive",
    "choose_triage",
    "cross_calibrated",
    "f1_thresholds",
    "fit_calibration",
    "nested_triage",
    "recall_thresholds",
]
