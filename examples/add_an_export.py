"""Add an export: subtitles (WebVTT) that show findings while a video plays in VLC, mpv or a browser.

Set INSPECTED to the output folder of `inspect`; without one the script simulates two videos and inspects them with the
demonstration bundle, in less than a minute. docs/adding-a-method.md says how to make it a format of `urbanpipe export`.
"""

# %% The input of every export: inspections with unique names, and a row per occurrence
from collections.abc import Iterable
from pathlib import Path

from urbanpipe.api import inspect, simulate
from urbanpipe.exports.records import RecordRow, opened_records, rows_of
from urbanpipe.outputs import write_text
from urbanpipe.simulate.options import ClassMix, VideoOptions

INSPECTED = Path("inspected")
OUT = Path("subtitles")
MIN_SECONDS = 1.0
"""Shortest time for which a subtitle is shown."""


# %% The format
def subtitles(rows: Iterable[RecordRow]) -> str:
    """Return findings as WebVTT; those without a time are left out."""
    cues = ["WEBVTT\n"]
    for row in rows:
        if row.occurrence is not None:
            begin = row.occurrence.begin_seconds
            end = max(row.occurrence.end_seconds, begin + MIN_SECONDS)
            mark = "" if row.finding.triage == "accept" else "?"
            text = f"{row.finding.code} {row.finding.en}{mark} {row.finding.probability:.0%}"
            cues.append(f"{clock(begin)} --> {clock(end)}\n{text}\n")
    return "\n".join(cues)


def clock(seconds: float) -> str:
    """Return a time as HH:MM:SS.mmm."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{milliseconds:03}"


# %% Inspect simulated videos, where you have no findings
if not INSPECTED.exists():
    mix = ClassMix(classes=["CJ", "CK"], balance=1.0)
    simulate(Path("few"), videos=2, mix=mix, video=VideoOptions(size=(320, 240), fps=12, seconds=(3, 5)), workers=1)
    inspect([Path("few/videos")], out=INSPECTED)

# %% A file for each video; a player finds it where it lies beside the video under the same name
OUT.mkdir(exist_ok=True)
with opened_records(INSPECTED) as inspected:
    for record in inspected:
        path = OUT / f"{Path(record.name).stem}.vtt"
        write_text(path, subtitles(rows_of([record], unlikely=False)))
        print(path)
