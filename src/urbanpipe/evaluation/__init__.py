"""How good predictions are: average precision in the official order, intervals, fold tables."""
