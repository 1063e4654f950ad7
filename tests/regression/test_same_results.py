"""What the methods and the demonstration bundle predict stays the same, whatever is moved or renamed.

`same_results.json` has the values of the version before the packages were laid out in layers, and the times of
occurrences since the best time is that of the main picture.
They are of 12 and 3 simulated videos; another encoder or processor may move them a little, a mistake moves them far.
"""

import json
from pathlib import Path

import pytest

from urbanpipe.api import Inspector, crossval, folds, scan, simulate
from urbanpipe.contracts import Predictions, read_predictions
from urbanpipe.simulate.options import ClassMix, VideoOptions
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training import FoldOptions, RunOptions

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_plots_of_folds")]

EXPECTED = json.loads(Path(__file__).with_name("same_results.json").read_text(encoding="utf-8"))
COMMON = [
    "optimiser.learning_rate=1e-4",
    "optimiser.warmup_epochs=1",
    "training.epochs=2",
    "training.precision=fp32",
    "training.workers=0",
    "training.batch_size=4",
    "training.accumulation=1",
    "training.keep=last",
    "model.weights=random",
]
TINY = ["input.size=32", "model.backbone=test_convnext", "model.options={}"]
METHODS = {
    "super-image": ("small-mobilenetv2", ["input.tile=32", "input.rows=2", "input.columns=2", *TINY[1:]]),
    "frame": ("small-frame", [*TINY, "input.every_seconds=0.5"]),
    "video": ("small-video", ["input.size=32", "input.frames=4"]),
    "bag": (
        "small-bag",
        [*TINY, "input.every_seconds=0.5", "input.head.width=16", "input.head.heads=2", "training.ema_decay=0"],
    ),
    "dense": (
        "small-dense",
        [
            *TINY,
            "input.frames=4",
            "input.head.width=16",
            "input.head.heads=2",
            "input.memory.warmup_epochs=0",
            "input.memory.final_epochs=0",
        ],
    ),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalog and folds of 12 videos, and 3 new videos."""
    folder = tmp_path_factory.mktemp("data")
    form = VideoOptions(size=(96, 80), fps=8, seconds=(1.0, 2.0))
    simulate(folder / "train", videos=12, seed=3, video=form, mix=ClassMix(balance=1.0), workers=1)
    simulate(
        folder / "new", videos=3, seed=9, video=VideoOptions(size=(160, 120), fps=8, seconds=(3.0, 4.0)), workers=1
    )
    labels = folder / "train" / "labels.json"
    scan(folder / "train" / "videos", out=folder / "catalog.csv", labels=labels, workers=1)
    folds(folder / "catalog.csv", out=folder / "folds.csv", folds=2)
    return folder


@pytest.mark.parametrize("method", METHODS)
def test_out_of_fold_predictions_of_two_epochs(method: str, data: Path, tmp_path: Path) -> None:
    recipe, overrides = METHODS[method]
    done = crossval(
        data / "catalog.csv",
        [recipe],
        out=tmp_path,
        overrides=[*COMMON, *overrides, f"name={method}"],
        split=FoldOptions(folds=data / "folds.csv"),
        options=RunOptions(device="cpu", cache=data / "frames"),
    )
    found: Predictions = read_predictions(done.runs[0] / "out_of_fold.json", default_taxonomy())
    for name, scores in EXPECTED["crossval"][method].items():
        assert found.scores[found.names.index(name)] == pytest.approx(scores, abs=1e-4), name


def test_the_demonstration_bundle(data: Path) -> None:
    inspector = Inspector.load(None, "cpu")
    for name, expected in EXPECTED["inspect"].items():
        findings = inspector.inspect(data / "new" / "videos" / name).inspection.findings
        assert [one.code for one in findings] == [*expected]
        for finding, (probability, score, seconds) in zip(findings, expected.values(), strict=True):
            assert (finding.probability, finding.score) == pytest.approx((probability, score), abs=1e-4), finding.code
            assert [one.seconds for one in finding.occurrences] == pytest.approx(seconds, abs=1e-4), finding.code
