"""The report's tables on anybody's data: its rows, what is trained for them, and what each is worth."""

from urbanpipe.reproduce.options import AblationPlan, ReportOptions

__all__ = ["AblationPlan", "ReportOptions"]
