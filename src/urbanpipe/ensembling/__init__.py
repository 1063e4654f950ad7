"""Several models made into one: weights over models, the rule for the exclusive class, thresholds."""
