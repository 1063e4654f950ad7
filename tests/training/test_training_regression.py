"""The regression head of the bag method: what it pools, what it fits, and that nothing else trains it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch._subclasses import FakeTensorMode

from helpers.event_videos import EVENT
from helpers.tiny_recipes import TINY_FROZEN
from helpers.training_runs import ALONE, killed_at, metrics, same_weights
from urbanpipe.catalog.catalog_file import Catalog, Video
from urbanpipe.contracts.predictions import read_predictions
from urbanpipe.contracts.run_folder import WEIGHTS
from urbanpipe.errors import RecipeError, RunError
from urbanpipe.learners import logistic
from urbanpipe.learners.features import encoded
from urbanpipe.learners.logistic import fit_chosen, fit_regression
from urbanpipe.learners.regression import RegressionFitter, mean_loss
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.models.config import BagHeadConfig
from urbanpipe.models.regression_head import RegressionHead, pool_bag
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training.fold_job import FoldJob
from urbanpipe.training.loop import train_model


@pytest.fixture(scope="module")
def frozen() -> Recipe:
    return load_recipe("frozen-mobilenetv2", [*TINY_FROZEN, "name=frozen"])


def job(catalog: Catalog, recipe: Recipe, folder: Path) -> FoldJob:
    return FoldJob(recipe, default_taxonomy(), catalog.labelled[:14], catalog.labelled[14:], folder, None, "test")


def test_pooling_is_of_each_channel_over_the_frames() -> None:
    bag = torch.tensor([[1.0, -4.0], [3.0, -2.0], [8.0, 0.0], [0.0, -2.0], [8.0, -2.0]])
    pooled = pool_bag(bag, ("max", "mean", "top"))
    torch.testing.assert_close(pooled, torch.tensor([8.0, 0.0, 4.0, -2.0, 8.0, -1.0]))


@given(frames=st.integers(1, 9), seed=st.integers(0, 99))
def test_a_frame_alone_scores_as_a_video_of_that_frame(frames: int, seed: int) -> None:
    torch.manual_seed(seed)
    head = RegressionHead(4, 3, BagHeadConfig(kind="regression", pooling=("mean", "max", "top"))).double()
    torch.nn.init.normal_(head.linear.weight)
    bag = torch.randn(frames, 4).double()
    scores = head.frame_scores(bag, head(bag))
    assert scores.shape == (frames, 3)
    torch.testing.assert_close(scores, torch.stack([head(frame[None]).double().sigmoid() for frame in bag]))


def test_the_fit_has_the_gradient_zero_of_a_regularised_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 5)) * [1, 10, 0.1, 1, 0] + 3
    targets = np.column_stack([features[:, 1] > 4, rng.random(60) > 0.7])
    fitted = fit_regression(features, targets, strength=0.5)
    inputs = (features - features.mean(0)) / np.where(features.std(0) > 0, features.std(0), 1)
    residual = 1 / (1 + np.exp(-fitted.logits(features))) - targets
    np.testing.assert_allclose(fitted.weight + 0.5 * residual.T @ inputs, 0, atol=0.02)
    np.testing.assert_allclose(residual.sum(0), 0, atol=0.02)
    assert (fitted.weight[:, 4] == 0).all(), "a constant feature"


@pytest.mark.parametrize("strength", [0.001, 0.1])
def test_the_fit_is_that_of_scikit_learn_for_each_class(strength: float) -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(80, 120)) * rng.uniform(0.1, 9, 120) + 5
    targets = features[:, :3] > 5 + features[:, 3:6] - 5
    inputs = (features - features.mean(0)) / features.std(0)
    expected = [LogisticRegression(C=strength, max_iter=999).fit(inputs, of_class) for of_class in targets.T]
    fitted = fit_regression(features, targets, strength)
    logits = np.column_stack([model.decision_function(inputs) for model in expected])
    np.testing.assert_allclose(fitted.logits(features), logits, atol=0.02)
    begun = fit_regression(features, targets, strength, start=fit_regression(features, targets, 1.0))
    np.testing.assert_allclose(begun.logits(features), logits, atol=0.02)
    weight, bias = fitted.linear()
    np.testing.assert_allclose(features @ weight.T + bias, fitted.logits(features))


def test_a_class_that_no_or_every_video_shows_has_the_logit_of_its_frequency() -> None:
    targets = np.column_stack([np.zeros(9, bool), np.ones(9, bool), np.arange(9) > 4])
    fitted = fit_regression(np.arange(9.0)[:, None], targets, strength=1.0)
    np.testing.assert_allclose(fitted.logits(np.array([[-50.0], [7.0]]))[:, :2], np.log([[0.5 / 9.5, 9.5 / 0.5]] * 2))


def _of_groups(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[str]]:
    """Forty groups of four equal videos: five features that tell the class, 25 that only tell the group, wrong labels.

    A fifth of the groups has the wrong label, which a weak regularisation learns by heart.
    """
    classes = rng.random(40) > 0.5
    own = rng.normal(size=(40, 25))
    signal = np.column_stack([2 * classes + 0.3 * rng.normal(size=40) for _ in range(5)])
    labels = classes ^ (rng.random(40) < 0.2)
    groups = [str(number // 4) for number in range(160)]
    return np.column_stack([signal, own]).repeat(4, axis=0), labels.repeat(4)[:, None], groups


def test_the_strength_is_chosen_on_groups_that_the_fit_has_not_seen() -> None:
    features, targets, groups = _of_groups(np.random.default_rng(0))
    alone = [str(number) for number in range(len(groups))]
    assert fit_chosen(features, targets, alone, (1e-3, 100.0))[1] == 100.0, "copies are in both parts"
    assert fit_chosen(features, targets, groups, (1e-3, 100.0))[1] == 1e-3
    assert fit_chosen(features, targets, ["one"] * 160, (1e-4, 1e-3, 1.0))[1] == 1e-3, "nothing to compare"


def test_strengths_are_compared_until_one_is_not_better(monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets, groups = _of_groups(np.random.default_rng(0))
    fitted, begun, real = list[float](), list[bool](), logistic._fitted

    def fit(inputs: Any, targets: Any, weights: Any, strength: float, **options: Any) -> NDArray[np.float64]:
        fitted.append(strength)
        begun.append(options.get("first") is not None)
        return real(inputs, targets, weights, strength, **options)

    monkeypatch.setattr(logistic, "_fitted", fit)
    assert fit_chosen(features, targets, groups, (1e-3, 1.0, 100.0))[1] == 1e-3
    assert fitted == [1e-3] * 3 + [1.0] * 3 + [1e-3], "and the final fit"
    assert begun == [False] * 3 + [True] * 3 + [False], (
        "another fold's fit has learned from the rows that test this one"
    )


def test_the_loss_of_a_head_on_another_device() -> None:
    head, pooled = RegressionHead(4, 3, BagHeadConfig(kind="regression", pooling=("mean",))), torch.randn(700, 4)
    targets = (torch.rand(700, 3) > 0.5).float()
    torch.nn.init.normal_(head.linear.weight)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(head.of_pooled(pooled), targets)
    torch.testing.assert_close(mean_loss(head, pooled, targets), expected.detach())
    with FakeTensorMode(allow_non_fake_inputs=True):
        with torch.device("cuda"):
            of_gpu = RegressionHead(4, 3, BagHeadConfig(kind="regression", pooling=("mean",)))
        assert of_gpu.mean.is_cuda
        assert mean_loss(of_gpu, pooled, targets).device.type == "cpu"


@pytest.mark.slow
def test_features_that_are_no_numbers_are_named(
    catalog: Catalog, frozen: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any) -> Iterator[tuple[int, Tensor]]:
        yield from ((video, bag / (video != 3)) for video, bag in encoded(*given))

    monkeypatch.setattr("urbanpipe.learners.regression.encoded", broken)
    fold = job(catalog, frozen, tmp_path / "run")
    with pytest.raises(RunError, match=f"{fold.train[3].path}: its features are not finite numbers; set training.prec"):
        train_model(fold, ALONE)


def test_the_final_fit_is_that_of_the_chosen_strength_alone() -> None:
    features, targets, groups = _of_groups(np.random.default_rng(0))
    weights = np.random.default_rng(1).uniform(0.5, 2, targets.shape)
    chosen, strength = fit_chosen(features, targets, groups, (1e-3, 0.1, 100.0), weights=weights)
    alone = fit_regression(features, targets, strength, weights=weights)
    np.testing.assert_allclose(chosen.logits(features), alone.logits(features), atol=0.01)
    assert np.ptp(alone.logits(features)) > 0.5


@pytest.mark.slow
def test_one_moment_decides_the_whole_video(
    events: tuple[list[Video], dict[str, int]], tmp_path: Path, frozen: Recipe
) -> None:
    """Half of the videos of a minute have an event of a second, which their mean hides and their maximum does not."""
    videos, when = events
    recipe = frozen.model_copy(update={"name": "events"})
    fold = FoldJob(recipe, default_taxonomy(), videos[:20], videos[20:], tmp_path / "run", None, "test")
    train_model(fold, ALONE)
    scores = read_predictions(tmp_path / "run" / "predictions.json", default_taxonomy())
    has_event = np.array([name in when for name in scores.names])
    assert scores.scores[has_event, EVENT].min() > scores.scores[~has_event, EVENT].max()


@pytest.mark.slow
def test_the_head_is_the_fit_and_is_kept_through_an_interruption(
    catalog: Catalog, frozen: Recipe, tmp_path: Path
) -> None:
    train_model(job(catalog, frozen, tmp_path / "whole"), ALONE)
    with killed_at(RegressionFitter, "end_epoch", 1):
        train_model(job(catalog, frozen, tmp_path / "killed"), ALONE)
    train_model(job(catalog, frozen, tmp_path / "killed"), ALONE)
    assert same_weights(tmp_path / "whole", tmp_path / "killed")
    weights = load_file(tmp_path / "whole" / WEIGHTS)
    assert weights["head.linear.weight"].abs().max() > 0
    assert (weights["head.scale"] > 0).all()
    assert len(metrics(tmp_path / "whole")) == 1


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.epochs=2", "is fitted at once: give training.epochs = 1"),
        ("training.ema_decay=0.9", "is fitted at once"),
        ("input.head.width=64", "input.head: width has no effect on regression"),
        ("input.head.pooling=[]", "input.head.pooling"),
        ('input.head.pooling=["max","max"]', "name each once"),
        ("input.head.strengths=[0]", "input.head.strengths"),
        ("input.head.kind=transmil", "input.head: pooling has no effect on transmil"),
    ],
)
def test_settings_without_effect_are_refused(override: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said.replace("[", r"\[")):
        load_recipe("frozen-mobilenetv2", ['input.head.pooling=["mean"]', override])
