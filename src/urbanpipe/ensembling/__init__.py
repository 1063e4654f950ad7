"""Combine models into one: weights over models, the rule for the exclusive class, thresholds, bundles."""

from urbanpipe.ensembling.bundling import Bundled, BundleLabel, TriageTargets, bundle
from urbanpipe.ensembling.ensemble import Ensemble

__all__ = ["BundleLabel", "Bundled", "Ensemble", "TriageTargets", "bundle"]
