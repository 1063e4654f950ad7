"""A method that only this file knows works with the verbs; `docs/adding-a-method.md` shows its code."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import Tensor

from urbanpipe.api import bundle, crossval, explain, inspect, predict, train
from urbanpipe.catalog import read_folds
from urbanpipe.contracts import read_inspection, read_segment_scores
from urbanpipe.errors import RecipeError
from urbanpipe.inference import InferenceOptions
from urbanpipe.inputs import AugmentConfig, Frames, FrameTimeline, IntervalConfig, SampleSeed, Selection
from urbanpipe.inputs.batches import Batch
from urbanpipe.learners.config import RecipeSettings
from urbanpipe.learners.learner import LearnerContext
from urbanpipe.learners.segments import SegmentLearner
from urbanpipe.methods import Method, load_recipe, table
from urbanpipe.models import ModelConfig
from urbanpipe.models.classifier import SegmentClassifier
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training import CrossvalResult, FoldOptions
from urbanpipe.video import sampling
from urbanpipe.video.sampling import Indices

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_plots_of_folds")]

TAXONOMY = default_taxonomy()
OPTIONS = InferenceOptions(device="cpu", batch_size=2)
PAIRS_SEEN = "pairs_seen.txt"


class DifferenceConfig(IntervalConfig):
    """Pairs of frames at an interval; the network sees their absolute difference, in which only what moves shows.

    Attributes:
        gap_frames: from the first frame of a pair to the second.
        train_pairs: pairs of a video in an epoch.
        loss_scale: factor of the loss.
    """

    not_pixels: ClassVar[frozenset[str]] = frozenset({"train_pairs", "loss_scale"})
    method: Literal["difference"] = "difference"
    size: int = Field(224, ge=16, le=1024)
    gap_frames: int = Field(2, ge=1, le=64)
    train_pairs: int = Field(4, ge=1, le=256)
    loss_scale: float = Field(1.0, gt=0)

    @property
    def frames(self) -> int:
        return 2

    @property
    def train_segments(self) -> int:
        return self.train_pairs

    @property
    def smaller(self) -> str:
        return f"input.train_pairs (now {self.train_pairs}) or input.size smaller (now {self.size})"


class FramePairs:
    """View of a video as pairs of frames."""

    def __init__(self, config: DifferenceConfig) -> None:
        self.config, self.frame_size = config, config.frame_size

    def cacheable_frames(self, timeline: FrameTimeline) -> Indices:
        return np.unique(self.evaluation_sample(timeline).frames)

    def training_sample(self, timeline: FrameTimeline, seed: SampleSeed) -> Selection:
        pairs = self.evaluation_sample(timeline)
        return pairs[sampling.jittered(len(pairs), self.config.train_pairs, seed.rng)]

    def evaluation_sample(self, timeline: FrameTimeline) -> Selection:
        first = sampling.interval(timeline.edges_seconds[:-1], self.config.every_seconds)
        second = np.minimum(first + self.config.gap_frames, timeline.frame_count - 1)
        rows = np.arange(len(first))
        return Selection(rows, np.stack([first, second], axis=1), np.full_like(rows, 2))

    def training_input(self, frames: Frames) -> Frames:
        return self.evaluation_input(frames)

    def evaluation_input(self, frames: Frames) -> Frames:
        first, second = frames.astype(np.int16)
        image: Frames = np.abs(first - second).astype(np.uint8).transpose(2, 0, 1)
        return image


class DifferenceClassifier(SegmentClassifier):
    """Classifier of differences; the more moves in a pair, the more it counts for its video."""

    def encode(self, images: Tensor, real: Tensor) -> Tensor:
        motion = images.float().mean((1, 2, 3))
        return torch.cat([self(images).float(), motion[:, None]], dim=1)

    def aggregate(self, encoded: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        pairs, weights = encoded[:, :-1].double().sigmoid(), 1 + encoded[:, -1].double()
        return weights @ pairs / weights.sum(), pairs

    def segment_logits(self, images: Tensor, real: Tensor) -> Tensor:
        logits: Tensor = self(images)
        return logits


class DifferenceLearner(SegmentLearner):
    """Learner that scales the loss, and notes how many pairs it has seen."""

    def __init__(self, config: DifferenceConfig, context: LearnerContext) -> None:
        def scaled_loss(logits: Tensor, targets: Tensor) -> Tensor:
            return config.loss_scale * context.loss(logits, targets)

        super().__init__(replace(context, loss=scaled_loss))
        self._note, self._pairs = context.folder / PAIRS_SEEN, 0

    def learn(self, batch: Batch, last: bool) -> Tensor:
        self._pairs += len(batch.rows)
        return super().learn(batch, last)

    def end_epoch(self) -> None:
        self._note.write_text(str(self._pairs))


class DifferenceMethod(Method[DifferenceConfig]):
    """Differences of frames, each with the labels of its video."""

    config_type = DifferenceConfig

    def view(self, config: DifferenceConfig, augment: AugmentConfig) -> FramePairs:
        return FramePairs(config)

    def network(self, config: DifferenceConfig, model: ModelConfig, classes: int) -> DifferenceClassifier:
        return DifferenceClassifier(model, self.backbone(config, model), classes)

    def learner(self, config: DifferenceConfig, context: LearnerContext) -> DifferenceLearner:
        return DifferenceLearner(config, context)

    def check(self, config: DifferenceConfig, recipe: RecipeSettings) -> None:
        if recipe.augment != AugmentConfig():
            raise ValueError("the section augment has no effect on the difference method")


RECIPE = """
name = "small-difference"

[input]
method = "difference"
size = 32
every_seconds = 0.3
gap_frames = 2
train_pairs = 3

[model]
backbone = "test_resnet"
weights = "random"

[training]
epochs = 1
batch_size = 10
accumulation = 1
precision = "fp32"
ema_decay = 0
keep = "last"
workers = 0
"""


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    table.register(DifferenceMethod())
    yield
    del table.METHODS["difference"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "small-difference.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def result(archive: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> CrossvalResult:
    split = FoldOptions(folds=archive / "folds.csv")
    return crossval(archive / "catalog.csv", [recipe], out=tmp_path_factory.mktemp("experiment"), split=split)


def test_a_cross_validation_predicts_every_video(result: CrossvalResult, archive: Path) -> None:
    run, videos = result.runs[0], set(read_folds(archive / "folds.csv"))
    scores = json.loads((run / "out_of_fold.json").read_text())
    assert set(scores) == set(read_segment_scores(run / "out_of_fold_segments.npz", TAXONOMY).names) == videos
    assert np.shape([*scores.values()]) == (len(videos), len(TAXONOMY))
    assert np.isfinite([*scores.values()]).all()
    assert 'method = "difference"' in (run / "recipe.toml").read_text()
    assert load_recipe(run / "recipe.toml").input == DifferenceConfig(size=32, every_seconds=0.3, train_pairs=3)


def test_its_own_learner_trains_it(result: CrossvalResult, archive: Path, recipe: Path, tmp_path: Path) -> None:
    folds, scaled = archive / "folds.csv", ["input.loss_scale=3"]
    run = train(archive / "catalog.csv", recipe, out=tmp_path / "run", folds=folds, fold=0, overrides=scaled)
    assert (run / "fold0" / PAIRS_SEEN).read_text() == "30", "one batch of ten videos, three pairs each"
    assert loss_of(run / "fold0") == pytest.approx(3 * loss_of(result.runs[0] / "fold0"), rel=1e-4)


def loss_of(fold: Path) -> float:
    with (fold / "metrics.csv").open(newline="") as file:
        return float(next(csv.DictReader(file))["loss"])


def test_it_predicts_and_explains_a_video(result: CrossvalResult, archive: Path, tmp_path: Path) -> None:
    run, video = result.runs[0], min((archive / "videos").iterdir())
    scores = predict(run, [video], out=tmp_path / "p.json", workers=0, options=OPTIONS).predictions.scores
    assert scores.shape == (1, len(TAXONOMY))
    assert ((scores > 0) & (scores < 1)).all()
    segments = read_segment_scores(tmp_path / "p.segments.npz", TAXONOMY)
    assert np.ptp(segments.scores, axis=0).max() > 0
    asked = ["ZC", "CJ", "ZW", "AJ"]
    found = explain(run, video, out=tmp_path / "heat", classes=asked, top=2, options=OPTIONS)
    assert any(heat.raw_maximum > 0 for heat in found.found)
    for heat, drawn, data in zip(found.found, found.pictures, found.data, strict=True):
        assert drawn.stat().st_size > 1000
        with np.load(data) as stored:
            assert len(stored["maps"]) == len(stored["frames"]) == 4
            assert np.isfinite(stored["maps"]).all()
            assert stored["maps"].max() == (heat.raw_maximum > 0)


def test_a_bundle_of_it_inspects_a_video(result: CrossvalResult, archive: Path, tmp_path: Path) -> None:
    made = bundle(result.runs[0], out=tmp_path / "bundle")
    assert [member.networks for member in made.manifest.members] == [2]
    video = min((archive / "videos").iterdir())
    (done,) = inspect([video], out=tmp_path / "inspected", bundle=made.folder, options=OPTIONS).videos
    inspection = read_inspection(done.folder)
    assert [finding.code for finding in inspection.findings] == list(TAXONOMY.codes)
    assert inspection.timed
    occurrences = [one for finding in inspection.findings for one in finding.occurrences]
    assert occurrences
    for one in occurrences:
        assert one.begin_seconds <= one.seconds <= one.end_seconds
        assert all((done.folder / shown.picture).is_file() for shown in one.evidence)
    assert any(shown.heat for one in occurrences for shown in one.evidence)


def test_its_settings_are_checked(recipe: Path) -> None:
    with pytest.raises(RecipeError, match=r"unknown key input.gap_frame; did you mean input.gap_frames\?"):
        load_recipe(recipe, ["input.gap_frame=3"])
    with pytest.raises(RecipeError, match=r"input.gap_frames = 0: "):
        load_recipe(recipe, ["input.gap_frames=0"])
    with pytest.raises(RecipeError, match="the section augment has no effect on the difference method"):
        load_recipe(recipe, ["augment.tile_shuffle=false"])


def test_a_method_of_another_package_is_found_by_its_entry_point(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(group: str, name: str) -> list[EntryPoint]:
        known = EntryPoint("difference", f"{__name__}:DifferenceMethod", table.ENTRY_POINTS)
        return [known] if (group, name) == (known.group, known.name) else []

    monkeypatch.delitem(table.METHODS, "difference")
    with pytest.raises(RecipeError, match=r"input\.method = 'difference': the methods are"):
        load_recipe(recipe)
    monkeypatch.setattr(table, "entry_points", found)
    assert isinstance(load_recipe(recipe).input, DifferenceConfig)
