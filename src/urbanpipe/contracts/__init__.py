"""The files and types that packages exchange."""

from urbanpipe.contracts.findings import (
    Evidence,
    Finding,
    Inspection,
    Occurrence,
    Remark,
    Timeline,
    read_inspection,
    read_timeline,
    write_inspection,
)
from urbanpipe.contracts.predictions import Predictions, read_predictions, write_predictions
from urbanpipe.contracts.remarks import remark, sentence
from urbanpipe.contracts.segment_scores import SegmentScores, read_segment_scores, write_segment_scores

__all__ = [
    "Evidence",
    "Finding",
    "Inspection",
    "Occurrence",
    "Predictions",
    "Remark",
    "SegmentScores",
    "Timeline",
    "read_inspection",
    "read_predictions",
    "read_segment_scores",
    "read_timeline",
    "remark",
    "sentence",
    "write_inspection",
    "write_predictions",
    "write_segment_scores",
]
