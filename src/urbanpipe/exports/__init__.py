"""Export inspections in the formats that people and other tools read."""

from urbanpipe.exports.condition_report import condition
from urbanpipe.exports.formats import FORMATS

__all__ = ["FORMATS", "condition"]
