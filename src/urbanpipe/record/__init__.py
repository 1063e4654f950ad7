"""The record of inspections that a contractor hands in: a document for print, as HTML and PDF."""

from urbanpipe.record.report import report

__all__ = ["report"]
