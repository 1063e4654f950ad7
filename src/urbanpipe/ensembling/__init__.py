"""Combine models into one: weights over models, the rule for the exclusive class, thresholds, bundles."""
