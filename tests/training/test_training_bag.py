"""The bag method: a backbone that does not move, a store that is what it sees, and a head that finds one frame."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from event_videos import EVENT, RATE, make_events
from safetensors.torch import load_file, save_file
from test_training_loop import ALONE, changed, finish, killed_at, launch, losses, metrics, same_weights

from urbanpipe.catalog.table import Catalog, Video
from urbanpipe.errors import VideoError, WeightsError
from urbanpipe.evaluation.pieces import read_pieces
from urbanpipe.evaluation.predictions import read_predictions
from urbanpipe.inputs.reading import PieceInputs
from urbanpipe.inputs.view import make_view
from urbanpipe.inspection.moments import moments
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training import bag as bag_module
from urbanpipe.training import loop
from urbanpipe.training.bag import BagLearner
from urbanpipe.training.data import VideoDataset
from urbanpipe.training.filling import fill
from urbanpipe.training.job import TRAINING_STATE, WEIGHTS, Job
from urbanpipe.training.loop import train_model
from urbanpipe.training.recipe import Recipe, load_recipe
from urbanpipe.training.train import train

TINY_BAG = (
    "input.size=32",
    "input.every_seconds=0.3",
    "model.backbone=test_resnet",
    "model.options={}",
    "bag.width=16",
    "bag.heads=2",
    "optimiser.rate=3e-3",
    "optimiser.warmup_epochs=1",
    "training.epochs=4",
    "training.batch_size=4",
    "training.workers=0",
    "training.validate_every=2",
)


@pytest.fixture(scope="module")
def bag() -> Recipe:
    return load_recipe("small-bag", [*TINY_BAG, "name=bag"])


def job(catalog: Catalog, recipe: Recipe, folder: Path) -> Job:
    return Job(recipe, default_taxonomy(), catalog.labelled[:8], catalog.labelled[14:], folder, None, "test")


def learner_of(one: Job) -> BagLearner:
    """A learner in its first epoch."""
    dataset = VideoDataset(one.train, make_view(one.recipe.input, one.recipe.augment), None)
    learner = loop._learner(one, ALONE, loop._start(one, ALONE, 2), dataset)
    assert isinstance(learner, BagLearner)
    learner.begin_epoch()
    return learner


def test_neither_weights_nor_statistics_of_the_backbone_change_in_training(
    catalog: Catalog, bag: Recipe, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    first = timm.create_model("test_resnet", num_classes=0).state_dict()
    save_file(first, tmp_path / "first.safetensors")
    moving = changed(bag, "training", ema_decay=0.9)
    train_model(job(catalog, changed(moving, "model", weights=str(tmp_path / "first.safetensors")), tmp_path), ALONE)
    trained = load_file(tmp_path / WEIGHTS)
    assert any("running_mean" in key for key in first)
    assert all(torch.equal(trained[f"backbone.net.{key}"], value) for key, value in first.items())
    assert "raw_map" in metrics(tmp_path)[-1], "the head has a moving average"
    assert losses(tmp_path)[-1] < losses(tmp_path)[0]


def test_the_store_holds_what_the_backbone_sees_of_every_frame(catalog: Catalog, bag: Recipe, tmp_path: Path) -> None:
    learner = learner_of(job(catalog, bag, tmp_path))
    dataset = learner._dataset
    assert not learner.reads()
    for video in range(len(dataset)):
        pieces = dataset[(video, 0, dataset.piece_count(video))].pieces
        assert isinstance(pieces, PieceInputs)
        fresh = learner._model.eval().see(pieces.images, torch.from_numpy(pieces.real))
        assert len(fresh) > 1
        torch.testing.assert_close(learner.store.read(video), fresh, rtol=2e-3, atol=1e-4)
        assert fresh.std(0).max() > 2e-3, "the frames are told apart"


@pytest.mark.parametrize("call", [2, 5], ids=["first epoch", "third epoch"])
@pytest.mark.parametrize("kind", ["transmil", "ml-decoder"])
def test_killed_and_started_again_it_ends_the_same(
    catalog: Catalog, bag: Recipe, tmp_path: Path, call: int, kind: str
) -> None:
    recipe = changed(bag, "bag", kind=kind)
    train_model(job(catalog, recipe, tmp_path / "whole"), ALONE)
    with killed_at(BagLearner, "learn", call):
        train_model(job(catalog, recipe, tmp_path / "killed"), ALONE)
    assert (tmp_path / "killed" / TRAINING_STATE).exists() == (call == 5)
    torch.manual_seed(99)
    train_model(job(catalog, recipe, tmp_path / "killed"), ALONE)
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")
    assert same_weights(tmp_path / "whole", tmp_path / "killed")
    assert not list((tmp_path / "killed").glob("memory*")), "the store goes when the model is done"


@pytest.mark.parametrize(
    ("harm", "said"), [("none", ""), ("delete", "is gone"), ("cut", "was cut short"), ("spoil", "is damaged")]
)
def test_frames_are_encoded_once_unless_the_copy_is_lost(
    catalog: Catalog,
    bag: Recipe,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    harm: str,
    said: str,
) -> None:
    filled: list[int] = []

    def watched(*given: object) -> None:
        filled.append(1)
        fill(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(bag_module, "fill", watched)
    with killed_at(loop, "_epoch", 3):
        train_model(job(catalog, bag, tmp_path), ALONE)
    copy = tmp_path / "memory.copy"
    content = copy.read_bytes()
    if harm == "delete":
        copy.unlink()
    elif harm != "none":
        copy.write_bytes(content[:-10] if harm == "cut" else b"x" * len(content))
    assert len(filled) == 1
    train_model(job(catalog, bag, tmp_path), ALONE)
    assert len(filled) == (1 if harm == "none" else 2)
    assert (f"{said}; they are made again" in capsys.readouterr().err) == (harm != "none")
    assert (tmp_path / "done.json").exists()


def test_a_video_that_vanishes_is_named(catalog: Catalog, bag: Recipe, tmp_path: Path) -> None:
    learner = learner_of(job(catalog, bag, tmp_path))
    video = catalog.labelled[2]
    learner._filled, learner._dataset.videos = (
        False,
        [*catalog.labelled[:2], replace(video, path=tmp_path / "gone.mp4")],
    )
    with pytest.raises(VideoError, match=r"gone\.mp4"):
        learner.begin_epoch()


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Video], dict[str, int]]:
    return make_events(tmp_path_factory.mktemp("events"), 36)


@pytest.mark.parametrize("kind", ["transmil", "ml-decoder"])
def test_one_frame_in_sixty_is_learned_from_the_label_of_its_video(
    events: tuple[list[Video], dict[str, int]], bag: Recipe, tmp_path: Path, kind: str
) -> None:
    videos, when = events
    recipe = changed(changed(bag, "bag", kind=kind, width=32, dropout=0.0), "input", every_seconds=1.0)
    recipe = changed(
        changed(recipe, "model", backbone="test_convnext"), "training", epochs=30, validate_every=30, seed=1
    )
    recipe = changed(changed(recipe, "optimiser", rate=3e-3, warmup_epochs=5), "loss", name="bce")
    train_model(Job(recipe, default_taxonomy(), videos[:22], videos[22:], tmp_path, None, "event"), ALONE)
    assert float(metrics(tmp_path)[-1]["map_defects"]) > 0.95, losses(tmp_path)
    pieces = read_pieces(tmp_path / "pieces.npz", default_taxonomy())
    videos_say = read_predictions(tmp_path / "predictions.json", default_taxonomy())
    for name, scores in zip(videos_say.names, videos_say.scores, strict=True):
        seconds, of_frames = pieces.of(name)
        assert seconds[:, 0].tolist() == list(range(60))
        np.testing.assert_allclose(of_frames.max(axis=0), scores, atol=1e-6)
        assert (scores[EVENT] > 0.5) == (name in when)
        if name in when:
            assert abs(seconds[of_frames[:, EVENT].argmax(), 0] - when[name] / RATE) <= 1, "where the head looked"
    found = moments(
        tmp_path / "pieces.npz",
        tmp_path / "moments.json",
        overrides=["weigh_by_video=false", "least=0.5", "smooth_seconds=0"],
    )
    assert {name for name, of_video in found.moments.items() if any(m.label == EVENT for m in of_video)} == {
        name for name in videos_say.names if name in when
    }


def test_two_processes_equal_one_with_twice_the_accumulation(archive: Path, tmp_path: Path) -> None:
    settings = (*TINY_BAG, "training.batch_size=2", "bag.dropout=0.2")
    runs = [
        launch(1, archive, tmp_path / "one", "training.accumulation=2", recipe="small-bag", tiny=settings),
        launch(2, archive, tmp_path / "two", "training.accumulation=1", recipe="small-bag", tiny=settings),
    ]
    for run in runs:
        finish(run)
    one, two = tmp_path / "one" / "fold0", tmp_path / "two" / "fold0"
    assert losses(two) == pytest.approx(losses(one), rel=3e-5)
    assert same_weights(one, two, tolerance=2e-5)
    assert not list((tmp_path / "two").glob("fold0/memory*"))


@pytest.mark.parametrize(("method", "backbone"), [("simclr", "resnet50"), ("mae", "vit_base_patch16_224")])
def test_without_their_file_the_reports_rows_say_how_it_is_made(
    archive: Path, tmp_path: Path, method: str, backbone: str
) -> None:
    with pytest.raises(WeightsError) as caught:
        train(archive / "catalog.csv", f"bag-{method}-transmil", tmp_path / "run", device="cpu", cache_gb=0)
    said = str(caught.value)
    assert f"`urbanpipe pretrain CATALOG --method {method} --backbone {backbone} --out DIR`" in said
    assert "--set model.weights=DIR/weights.safetensors" in said
    assert "\n" not in said
    assert not (tmp_path / "run" / "recipe.toml").exists(), "nothing was begun"


@pytest.mark.parametrize("kind", ["transmil", "ml-decoder"])
def test_mixed_precision_trains_close_to_full(catalog: Catalog, bag: Recipe, tmp_path: Path, kind: str) -> None:
    recipe = changed(changed(bag, "bag", kind=kind, dropout=0.0), "training", epochs=2)
    train_model(job(catalog, recipe, tmp_path / "fp32"), ALONE)
    train_model(job(catalog, changed(recipe, "training", precision="bf16"), tmp_path / "bf16"), ALONE)
    assert losses(tmp_path / "bf16") != losses(tmp_path / "fp32"), "mixed precision was not entered"
    assert losses(tmp_path / "bf16") == pytest.approx(losses(tmp_path / "fp32"), rel=0.1)


def test_bags_of_one_frame_train(catalog: Catalog, bag: Recipe, tmp_path: Path) -> None:
    train_model(job(catalog, changed(bag, "input", every_seconds=60.0), tmp_path), ALONE)
    assert np.isfinite(losses(tmp_path)).all()
    pieces = read_pieces(tmp_path / "pieces.npz", default_taxonomy())
    assert np.diff(pieces.starts).tolist() == [1] * 6
