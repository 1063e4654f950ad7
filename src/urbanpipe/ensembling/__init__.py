"""Combine models into one: weights over models, the rule for the exclusive class, thresholds, bundles."""

from urbanpipe.ensembling.bundle_options import BundleLabel, NetworkStorage, TriageTargets
from urbanpipe.ensembling.bundling import Bundled, bundle
from urbanpipe.ensembling.ensemble import Ensemble

__all__ = ["BundleLabel", "Bundled", "Ensemble", "NetworkStorage", "TriageTargets", "bundle"]
