"""Read what `urbanpipe inspect` has found: as typed objects, and as a table of pandas.

Set INSPECTED to the output folder of `inspect`; without one the script simulates two videos and inspects them with the
demonstration bundle, in less than a minute. The table needs pandas.
"""

# %% Findings
from pathlib import Path

from urbanpipe.api import export, inspect, simulate
from urbanpipe.contracts import read_inspection, read_timeline
from urbanpipe.contracts.findings import FINDINGS
from urbanpipe.simulate.options import ClassMix, VideoOptions

try:
    import pandas as pd
except ModuleNotFoundError:
    raise SystemExit("this example needs pandas; run `pip install pandas`") from None

INSPECTED = Path("inspected")

# %% Inspect simulated videos, where you have no findings
if not INSPECTED.exists():
    mix = ClassMix(classes=["CJ", "CK"], balance=1.0)
    simulate(Path("few"), videos=2, mix=mix, video=VideoOptions(size=(320, 240), fps=12, seconds=(3, 5)), workers=1)
    inspect([Path("few/videos")], out=INSPECTED)

# %% One video as objects: findings.json is checked as it is read
folder = min(path.parent for path in INSPECTED.glob(f"*/{FINDINGS}"))
inspection = read_inspection(folder)
print(inspection.video.name, f"{inspection.video.duration_seconds:.1f} s")
for finding in inspection.findings:
    if finding.triage == "reject":
        continue
    times = [f"{occurrence.seconds:.1f} s" for occurrence in finding.occurrences]
    print(f"  {finding.triage} {finding.code} {finding.en}: {finding.probability:.0%}", *times)

# %% Its scores over time, (segments, classes)
timeline = read_timeline(folder)
if timeline is not None:
    print(f"  {len(timeline.seconds)} segments x {len(timeline.codes)} classes")

# %% All videos as a table: one row per occurrence of a finding
done = export(INSPECTED, out=INSPECTED / "findings.jsonl", to="jsonl")
table = pd.read_json(done.files[0], lines=True)  # Arrow: pyarrow.json.read_json(done.files[0])
print(f"{len(table)} rows with {', '.join(table.columns[:12])}, ...")

# %% Likely findings, the most probable first
likely = table[table["probability"] > 0.1].sort_values("probability", ascending=False)
print(likely[["video", "code", "seconds", "probability"]].to_string(index=False))

# %% Videos per class
per_class = likely.groupby("code").agg(videos=("video", "nunique"), highest=("probability", "max"))
print(per_class)
