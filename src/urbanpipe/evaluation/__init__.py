"""Evaluate predictions: average precision in the official tie order, intervals, fold tables."""

from urbanpipe.evaluation.average_precision import score
from urbanpipe.evaluation.evaluate import evaluate_moments
from urbanpipe.evaluation.evaluation_set import EvaluationSet, leave_one_fold_out
from urbanpipe.evaluation.intervals import bootstrap, compare
from urbanpipe.evaluation.runs import OutOfFold, read_out_of_fold
from urbanpipe.evaluation.tables import FoldTable, fold_table

__all__ = [
    "EvaluationSet",
    "FoldTable",
    "OutOfFold",
    "bootstrap",
    "compare",
    "evaluate_moments",
    "fold_table",
    "leave_one_fold_out",
    "read_out_of_fold",
    "score",
]
