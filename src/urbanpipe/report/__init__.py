"""HTML reports of inspected videos, and indexes of them."""

from urbanpipe.report.html import write_index, write_report

__all__ = ["write_index", "write_report"]
