"""Inspection data that all formats with inspection data accept."""

import csv
from pathlib import Path
from typing import Any

FIELDS = ("video", "segment", "from_manhole", "to_manhole", "direction", "length_m", "date", "time")


def data_file(path: Path, *videos: str, **changes: Any) -> Path:
    """Write inspection data of videos: one segment each, downstream, 60 m; `changes` hold for all of them."""
    rows = []
    for i, name in enumerate(videos):
        values = (name, f"S{i}", f"M{i}", f"M{i + 1}", "downstream", 60, "2026-01-31", f"09:{i:02d}")
        rows.append(dict(zip(FIELDS, values, strict=True)) | changes)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path
