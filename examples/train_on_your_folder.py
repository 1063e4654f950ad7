"""Train on a folder of videos and a label file, and inspect videos with the result.

Set VIDEOS and LABELS to yours; without them the script simulates 60 videos. It needs the extra `weights`, and takes
minutes on two CPU cores. With so few videos the scores mean little: the script shows the steps.
"""

# %% Your videos and labels
from pathlib import Path

from urbanpipe.api import audit, bundle, crossval, folds, inspect, scan, simulate
from urbanpipe.inference import InferenceOptions
from urbanpipe.simulate.options import ClassMix, VideoOptions
from urbanpipe.training import FoldOptions

VIDEOS = Path("practice/videos")
LABELS = Path("practice/labels.json")
OUT = Path("trained")
EPOCHS = 6
SETTINGS = [
    "model.backbone=tf_efficientnet_lite0",
    "model.options={}",
    "model.weights=package",  # ImageNet weights of the extra `weights`
    "training.workers=0",  # no loading processes: a script in cells has no `if __name__ == "__main__"`
]

# %% Simulated videos, where you have none
if not VIDEOS.exists():
    simulate(
        VIDEOS.parent,
        videos=60,
        mix=ClassMix(classes=["ZC", "CJ", "PL", "SG"], balance=1.0),
        video=VideoOptions(size=(320, 240), fps=12, seconds=(3, 5)),
        workers=1,
    )

# %% Read every video, and look at the labels before you train
catalog = scan(VIDEOS, out=OUT / "catalog.csv", labels=LABELS, workers=1)
facts = audit(OUT / "catalog.csv")
for defect, count in zip(facts.taxonomy.classes, facts.counts, strict=True):
    if count:
        print(f"{defect.code} {defect.en}: {count} videos")

# %% Folds that keep the segments of one inspection together
folds(OUT / "catalog.csv", out=OUT / "folds.csv", folds=2)

# %% Train: each video is predicted by the network that was not trained on it
result = crossval(
    OUT / "catalog.csv",
    ["small-frame"],
    out=OUT / "experiment",
    overrides=[*SETTINGS, f"training.epochs={EPOCHS}"],
    split=FoldOptions(folds=OUT / "folds.csv"),
)
print((result.runs[0] / "table6.md").read_text(encoding="utf-8"))

# %% A bundle has the networks, calibrated probabilities and thresholds
made = bundle(result.runs[0], out=OUT / "bundle", data=OUT / "catalog.csv")

# %% Inspect; here the same videos, for lack of others
some = sorted(VIDEOS.iterdir())[:2]
inspected = inspect(some, out=OUT / "inspected", bundle=made.folder, options=InferenceOptions(device="auto"))
print(f"open {inspected.index}")
