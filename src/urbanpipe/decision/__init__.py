"""Calibration, thresholds, triage and localization settings, chosen on out-of-fold scores."""
