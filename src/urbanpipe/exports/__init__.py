"""Export inspections in the formats that people and other tools read."""

from urbanpipe.exports.condition_report import condition
from urbanpipe.exports.export import FORMATS

__all__ = ["FORMATS", "condition"]
