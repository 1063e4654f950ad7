"""Fine-tuning that starts from a linear probe: what the head is before the first step, and that it lasts."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from helpers.tiny_recipes import TINY, TINY_DENSE
from helpers.training_runs import ALONE, job, killed_at, same_weights
from urbanpipe.catalog.catalog_file import Catalog
from urbanpipe.errors import RecipeError
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.learners.dense import DenseLearner
from urbanpipe.learners.features import encoded
from urbanpipe.learners.learner import LearnerContext
from urbanpipe.learners.logistic import fit_regression
from urbanpipe.learners.probe import MAX_SEGMENTS, FeatureEncoder, spread, start_from_probe
from urbanpipe.learners.segments import SegmentLearner
from urbanpipe.methods.dense import DenseConfig
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.models.classifier import SegmentClassifier
from urbanpipe.models.config import STRENGTHS
from urbanpipe.models.dense import DenseClassifier, PooledVideoHead
from urbanpipe.models.regression_head import RegressionHead
from urbanpipe.training import loop
from urbanpipe.training.fold_job import FoldJob
from urbanpipe.training.loop import train_model

SUPER_IMAGE = ("small-mobilenetv2", (*TINY, "model.head_start=probe", "name=probe"))
FRAME = (
    "small-frame",
    (
        "input.size=32",
        "input.every_seconds=0.3",
        "input.train_frames=2",
        "model.backbone=test_convnext",
        "model.options={}",
        "model.weights=random",
        "model.head_start=probe",
        "training.epochs=2",
        "training.workers=0",
        "name=probe",
    ),
)

DENSE = (
    "small-dense",
    (
        *TINY_DENSE,
        "input.head.layers=3",
        "input.head.heads=8",
        "input.head.kind=mean-max",
        "input.memory.warmup_epochs=0",
        "model.head_start=probe",
        "name=probe",
    ),
)


def begun(fold: FoldJob) -> LearnerContext:
    """Return a training that has not begun."""
    dataset = VideoDataset(fold.train, fold.recipe.view, None)
    state = loop._start(fold, ALONE, 4)
    return LearnerContext(
        fold.recipe, state, ALONE, lambda a, b: a.sum(), fold.targets(fold.train), dataset, fold.folder
    )


def test_at_most_eight_segments_of_a_video_are_used_from_its_begin_to_its_end() -> None:
    features = torch.arange(30.0)[:, None]
    assert spread(features)[:, 0].tolist() == [0, 4, 8, 12, 17, 21, 25, 29]
    assert len(spread(features)) == MAX_SEGMENTS
    assert spread(features[:3])[:, 0].tolist() == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("settings", [SUPER_IMAGE, FRAME], ids=["super-image", "frame"])
def test_the_head_starts_as_a_regression_on_the_features_of_the_backbone(
    settings: tuple[str, tuple[str, ...]], catalog: Catalog, tmp_path: Path
) -> None:
    context = begun(job(catalog, load_recipe(*settings), tmp_path))
    model, ema = context.state.model, context.state.ema
    assert isinstance(model, SegmentClassifier)
    backbone = {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}
    start_from_probe(context)
    assert all(torch.equal(tensor, backbone[name]) for name, tensor in model.backbone.state_dict().items())
    by_video = dict(encoded(FeatureEncoder(model), context.dataset, context.recipe, ALONE))
    rows = torch.cat([spread(by_video[index]) for index in range(len(context.dataset))])
    videos = [index for index in range(len(context.dataset)) for _ in spread(by_video[index])]
    targets = context.targets[videos] > 0
    with torch.no_grad():
        logits = model.head(rows).numpy()
    candidates = [fit_regression(rows.numpy(), targets, strength).logits(rows.numpy()) for strength in STRENGTHS]
    away = sorted(np.abs(each - logits).max() for each in candidates)
    assert away[0] < 0.1, "two fits that begin differently both end near the minimum"
    assert away[1] > 0.5
    assert ema
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), ema.module.state_dict().values(), strict=True)
    )


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stale", "exact"])
def test_the_head_over_clips_starts_as_a_regression_on_the_features_of_the_initial_encoder(
    mode: str, catalog: Catalog, tmp_path: Path
) -> None:
    context = begun(job(catalog, load_recipe(DENSE[0], [*DENSE[1], f"input.mode={mode}"]), tmp_path))
    model, ema = context.state.model, context.state.ema
    assert isinstance(model, DenseClassifier)
    assert ema
    encoder = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
    learner = DenseLearner(cast("DenseConfig", context.recipe.input), context)
    learner.begin_epoch()
    assert all(torch.equal(tensor, encoder[name]) for name, tensor in model.encoder.state_dict().items())
    assert isinstance(model.head, PooledVideoHead)
    head = model.head.pool
    assert isinstance(head, RegressionHead)
    rows = torch.stack([head.pool(learner.memory.read(index)) for index in range(len(context.dataset))]).numpy()
    with torch.no_grad():
        logits = torch.stack([head(learner.memory.read(index)) for index in range(len(rows))]).numpy()
    candidates = [fit_regression(rows, context.targets > 0, strength).logits(rows) for strength in STRENGTHS]
    assert min(np.abs(each - logits).max() for each in candidates) < 0.02
    assert np.ptp(logits, axis=0).max() > 0.1, "it has learned something"
    assert torch.equal(ema.module.head.pool.linear.weight, head.linear.weight)
    context.state.epoch = 1
    before = head.linear.weight.clone()
    with torch.no_grad():
        head.linear.weight += 1
    learner.begin_epoch()
    assert torch.equal(head.linear.weight, before + 1), "a later epoch does not fit it again"


@pytest.mark.slow
def test_a_resumed_training_does_not_start_from_the_probe_again(catalog: Catalog, tmp_path: Path) -> None:
    recipe = load_recipe(*SUPER_IMAGE)
    train_model(job(catalog, recipe, tmp_path / "whole"), ALONE)
    with killed_at(SegmentLearner, "learn", 6):
        train_model(job(catalog, recipe, tmp_path / "killed"), ALONE)
    train_model(job(catalog, recipe, tmp_path / "killed"), ALONE)
    assert same_weights(tmp_path / "whole", tmp_path / "killed")
    plain = Recipe.model_validate(recipe.model_dump() | {"model": recipe.model.model_dump() | {"head_start": "random"}})
    train_model(job(catalog, plain, tmp_path / "plain"), ALONE)
    assert not same_weights(tmp_path / "whole", tmp_path / "plain", 1e-4)


@pytest.mark.parametrize("name", ["small-bag", "small-dense", "frozen-mobilenetv2", "bag-imagenet-ml-decoder"])
def test_a_head_that_is_not_linear_cannot_start_from_a_probe(name: str) -> None:
    with pytest.raises(RecipeError, match=r"head_start.* has no effect on"):
        load_recipe(name, ["model.head_start=probe"])


def test_nor_can_ml_decoder() -> None:
    with pytest.raises(RecipeError, match="has no effect on ml-decoder"):
        load_recipe("small-mobilenetv2", ["model.head=ml-decoder", "model.head_start=probe"])
