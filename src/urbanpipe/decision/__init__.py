"""Calibration, thresholds, triage, and localization settings, all chosen on out-of-fold scores."""
