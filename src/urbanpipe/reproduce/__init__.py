"""The tables of the report on your own data: rows, the models to train for them, and their comparison."""

from urbanpipe.reproduce.options import AblationPlan, ReportOptions

__all__ = ["AblationPlan", "ReportOptions"]
