"""Which videos there are, what is known of each: labels, scan, audit, groups and folds."""
