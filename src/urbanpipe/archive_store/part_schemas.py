"""Columns of the tables of an archive: those of parts, and those of the merged tables."""

import pyarrow as pa

_EVIDENCE = pa.struct(
    [
        ("seconds", pa.float64()),
        ("frame", pa.int64()),
        ("score", pa.float64()),
        ("player_seconds", pa.float64()),
        ("distance_text", pa.string()),
        ("distance_metres", pa.float64()),
        ("picture", pa.string()),
        ("heat", pa.string()),
    ]
)
_OCCURRENCE = pa.struct(
    [
        ("seconds", pa.float64()),
        ("begin_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("player_seconds", pa.float64()),
        ("score", pa.float64()),
        ("evidence", pa.list_(_EVIDENCE)),
    ]
)
_PICTURE = pa.struct([("name", pa.string()), ("offset", pa.int64()), ("length", pa.int64())])

MERGED_VIDEOS = pa.schema(
    [
        ("id", pa.string()),
        ("uri", pa.string()),
        ("size", pa.int64()),
        ("etag", pa.string()),
        ("version", pa.string()),
        ("status", pa.string()),
        ("stage", pa.string()),
        ("kind", pa.string()),
        ("message", pa.string()),
        ("name", pa.string()),
        ("digest", pa.string()),
        ("duration_seconds", pa.float64()),
        ("frame_count", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("frame_rate", pa.float64()),
        ("accepted", pa.list_(pa.string())),
        ("to_review", pa.list_(pa.string())),
        ("remarks", pa.list_(pa.string())),
    ]
)
"""One row per video, the same after any course of the runs."""

RUN_COLUMNS = [
    pa.field("part", pa.string()),
    pa.field("attempts", pa.int32()),
    pa.field("seconds", pa.float64()),
    pa.field("host", pa.string()),
]
"""What depends on the course of the runs."""

PART_VIDEOS = pa.schema(
    [
        *MERGED_VIDEOS,
        *RUN_COLUMNS,
        pa.field("pictures", pa.list_(_PICTURE)),  # where each is in the pack
        pa.field("inspection", pa.string()),  # JSON as in findings.json
    ]
)

MERGED_FINDINGS = pa.schema(
    [
        ("id", pa.string()),
        ("uri", pa.string()),
        ("position", pa.int32()),
        ("code", pa.string()),
        ("en", pa.string()),
        ("kind", pa.string()),
        ("probability", pa.float64()),
        ("score", pa.float64()),
        ("triage", pa.string()),
        ("occurrences", pa.list_(_OCCURRENCE)),
    ]
)
"""One row per class of each video that was inspected, `position` in the order of the taxonomy."""

PART_FINDINGS = pa.schema([*MERGED_FINDINGS, pa.field("part", pa.string())])

TIMELINES = pa.schema(
    [
        ("id", pa.string()),
        ("codes", pa.list_(pa.string())),
        ("seconds", pa.list_(pa.float64())),
        ("scores", pa.list_(pa.list_(pa.float64()))),
    ]
)
"""One row per video with scores over time, as in timeline.json."""
