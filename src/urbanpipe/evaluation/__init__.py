"""Evaluate predictions: average precision in the official tie order, intervals, fold tables."""
