"""The bag method: a backbone that does not move, a store that is what it sees, and a head that finds one frame."""

import copy
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from helpers.event_videos import EVENT, RATE
from helpers.tiny_recipes import TINY_BAG
from helpers.training_runs import ALONE, changed, finish, killed_at, launch, losses, metrics, same_weights
from urbanpipe.catalog.catalog_file import Catalog, Video
from urbanpipe.contracts.predictions import read_predictions
from urbanpipe.contracts.run_folder import TRAINING_STATE, WEIGHTS
from urbanpipe.contracts.segment_scores import read_segment_scores
from urbanpipe.errors import VideoError, WeightsError
from urbanpipe.inference.scoring import predict_batches
from urbanpipe.inference.torch_runtime import TorchRuntime
from urbanpipe.inputs.batches import collate
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.inputs.new_videos import new_samples
from urbanpipe.inputs.reading import SegmentInputs
from urbanpipe.inspection.moments import moments
from urbanpipe.learners import bag as bag_module
from urbanpipe.learners.bag import BagLearner
from urbanpipe.learners.features import FeatureStore, encoded
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.models import device
from urbanpipe.models.bag import BagClassifier
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.models.network import Network
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training import loop
from urbanpipe.training.evaluation_pass import predict_all
from urbanpipe.training.fold_job import FoldJob
from urbanpipe.training.loop import train_model
from urbanpipe.training.options import RunOptions
from urbanpipe.training.train import train
from urbanpipe.video import cache as cache_module
from urbanpipe.video.cache import FrameCache


@pytest.fixture(scope="module")
def bag() -> Recipe:
    return load_recipe("small-bag", [*TINY_BAG, "name=bag"])


def job(catalog: Catalog, recipe: Recipe, folder: Path) -> FoldJob:
    return FoldJob(recipe, default_taxonomy(), catalog.labelled[:8], catalog.labelled[14:], folder, None, "test")


def learner_of(one: FoldJob) -> BagLearner:
    """A learner in its first epoch."""
    dataset = VideoDataset(one.train, one.recipe.view, None)
    learner = loop._learner(one, ALONE, loop._start(one, ALONE, 2), dataset)
    assert isinstance(learner, BagLearner)
    learner.begin_epoch()
    return learner


@pytest.mark.slow
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
    assert "raw_map" in metrics(tmp_path)[-1], "the head has a EMA"
    assert losses(tmp_path)[-1] < losses(tmp_path)[0]


def test_the_store_holds_what_the_backbone_sees_of_every_frame(catalog: Catalog, bag: Recipe, tmp_path: Path) -> None:
    learner = learner_of(job(catalog, bag, tmp_path))
    dataset = learner._dataset
    assert not learner.reads()
    for video in range(len(dataset)):
        segments = dataset[(video, 0, dataset.segment_count(video))].segments
        assert isinstance(segments, SegmentInputs)
        fresh = learner._model.eval().encode(torch.from_numpy(segments.images), torch.from_numpy(segments.real))
        assert len(fresh) > 1
        torch.testing.assert_close(learner.store.read(video), fresh, rtol=2e-3, atol=1e-4)
        assert fresh.std(0).max() > 2e-3, "the frames differ"


@pytest.mark.slow
@pytest.mark.parametrize("call", [2, 5], ids=["first epoch", "third epoch"])
@pytest.mark.parametrize("kind", ["transmil", "ml-decoder"])
def test_killed_and_started_again_it_ends_the_same(
    catalog: Catalog, bag: Recipe, tmp_path: Path, call: int, kind: str
) -> None:
    recipe = changed(bag, "input.head", kind=kind)
    train_model(job(catalog, recipe, tmp_path / "whole"), ALONE)
    with killed_at(BagLearner, "learn", call):
        train_model(job(catalog, recipe, tmp_path / "killed"), ALONE)
    assert (tmp_path / "killed" / TRAINING_STATE).exists() == (call == 5)
    torch.manual_seed(99)
    train_model(job(catalog, recipe, tmp_path / "killed"), ALONE)
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")
    assert same_weights(tmp_path / "whole", tmp_path / "killed")
    assert not list((tmp_path / "killed").glob("memory*")), "the store goes when the model is done"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "said"), [("none", ""), ("delete", "is missing"), ("cut", "is truncated"), ("spoil", "is damaged")]
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

    def watched(*given: object) -> object:
        filled.append(1)
        return encoded(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(bag_module, "encoded", watched)
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
    assert (f"{said}; encoding them again" in capsys.readouterr().err) == (harm != "none")
    assert (tmp_path / "done.json").exists()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Frames of each batch that a network encodes."""
    found, encode = list[int](), BagClassifier.encode

    def watched(self: BagClassifier, images: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        found.append(len(images))
        return encode(self, images, real)

    monkeypatch.setattr(BagClassifier, "encode", watched)
    return found


def kept(catalog: Catalog, recipe: Recipe, folder: Path) -> FoldJob:
    return replace(job(catalog, recipe, folder), cache=FrameCache(folder.parent / "cache", 10**8))


def frames_of(one: FoldJob) -> int:
    dataset = VideoDataset([*one.train, *one.valid], one.recipe.view, None)
    return sum(dataset.segment_count(index) for index in range(len(dataset)))


@pytest.mark.slow
def test_features_are_kept_for_other_folds_and_heads(
    catalog: Catalog, bag: Recipe, tmp_path: Path, seen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(3)
    save_file(timm.create_model("test_resnet", num_classes=0).state_dict(), tmp_path / "one.safetensors")
    save_file(timm.create_model("test_resnet", num_classes=0).state_dict(), tmp_path / "other.safetensors")
    recipe = changed(changed(bag, "model", weights=str(tmp_path / "one.safetensors")), "training", ema_decay=0.9)
    first = kept(catalog, recipe, tmp_path / "first")
    train_model(first, ALONE)
    assert sum(seen) == frames_of(first), "each frame once, whatever epochs and averages"
    seen.clear()
    train_model(kept(catalog, recipe, tmp_path / "again"), ALONE)
    train_model(kept(catalog, changed(recipe, "input.head", kind="ml-decoder"), tmp_path / "other-head"), ALONE)
    fold = kept(catalog, recipe, tmp_path / "other-fold")
    train_model(replace(fold, train=[*first.valid, *first.train[:4]], valid=first.train[4:]), ALONE)
    assert not seen
    assert losses(tmp_path / "again") == losses(tmp_path / "first")
    assert same_weights(tmp_path / "again", tmp_path / "first")
    assert read_predictions(tmp_path / "again" / "predictions.json", default_taxonomy()).scores == pytest.approx(
        read_predictions(tmp_path / "first" / "predictions.json", default_taxonomy()).scores, abs=0
    )
    monkeypatch.setattr(device, "is_native", lambda *_: True)
    for number, another in enumerate(
        (
            changed(recipe, "model", weights=str(tmp_path / "other.safetensors")),
            changed(recipe, "input", size=48),
            changed(recipe, "training", precision="bf16"),
        )
    ):
        seen.clear()
        train_model(kept(catalog, another, tmp_path / f"another{number}"), ALONE)
        assert sum(seen) == frames_of(first), "features of another network, size or precision"


@pytest.mark.parametrize("shared", [True, False], ids=["one cache", "a cache each"])
def test_processes_share_the_videos_whatever_is_kept(
    catalog: Catalog, bag: Recipe, tmp_path: Path, shared: bool
) -> None:
    videos, view = catalog.labelled[:7], bag.view
    network = bag.network(len(catalog.taxonomy)).eval()
    assert isinstance(network, BagClassifier)

    def of_rank(rank: int, count: int, folder: str) -> dict[int, torch.Tensor]:
        dataset = VideoDataset(videos, view, FrameCache(tmp_path / folder, 10**8))
        return dict(encoded(network, dataset, bag, DistributedContext(rank, count, torch.device("cpu"))))

    of_rank(1, 4, "cache0")  # some are there already
    parts = [of_rank(rank, 3, "cache0" if shared else f"cache{rank}") for rank in range(3)]
    assert [sorted(part) for part in parts] == [[0, 3, 6], [1, 4], [2, 5]]
    alone = of_rank(0, 1, "other")
    for part in parts:
        assert all(torch.allclose(features, alone[video], atol=1e-5) for video, features in part.items())


def test_videos_without_a_digest_are_not_taken_for_each_other(
    catalog: Catalog, bag: Recipe, tmp_path: Path, seen: list[int]
) -> None:
    first = catalog.labelled[0]
    other = next(video for video in catalog.labelled[1:] if video.frame_count != first.frame_count)
    videos = [replace(video, digest="", frame_count=8, duration_seconds=1.0) for video in (first, other)]
    dataset = VideoDataset(videos, bag.view, FrameCache(tmp_path / "cache", 10**8))
    network = learner_of(job(catalog, bag, tmp_path / "one"))._model
    found = dict(encoded(network, dataset, bag, ALONE))
    assert not torch.allclose(found[0], found[1])
    seen.clear()
    assert torch.equal(dict(encoded(network, dataset, bag, ALONE))[1], found[1])
    assert seen


def test_what_the_cache_keeps_is_of_its_version(
    catalog: Catalog, bag: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_by = FrameCache(tmp_path, 10**6)
    kept_by.write(b"key", b"content")
    assert kept_by.read(b"key") == b"content"
    assert kept_by.read(b"other") is None
    monkeypatch.setattr(cache_module, "VERSION", b"upframes9")
    assert kept_by.read(b"key") is None


def test_the_mean_over_processes_leaves_a_frozen_backbone_alone(catalog: Catalog, bag: Recipe, tmp_path: Path) -> None:
    averaged: list[int] = []

    class Three(DistributedContext):
        def average(self, tensors: Iterable[torch.Tensor]) -> None:
            averaged.append(len([*tensors]))

    state = loop._start(job(catalog, changed(bag, "training", ema_decay=0.9), tmp_path), ALONE, 2)
    statistics = [*state.model.backbone.buffers()]
    assert statistics
    state.model.train()
    loop._average_buffers(state, Three(0, 3, torch.device("cpu")))
    assert averaged == [0, 0]
    nn.Module.train(state.model)
    loop._average_buffers(state, Three(0, 3, torch.device("cpu")))
    assert averaged[2:] == [len(statistics)] * 2, "of a backbone that learns, and not what is constant"


def test_kept_features_that_are_damaged_are_made_again(
    catalog: Catalog, bag: Recipe, tmp_path: Path, seen: list[int]
) -> None:
    one = kept(catalog, bag, tmp_path / "one")
    learner = learner_of(one)
    learner._dataset = VideoDataset(one.train, bag.view, one.cache)
    before = dict(encoded(learner._model, learner._dataset, bag, ALONE))
    store = FeatureStore(learner._dataset, learner._model, bag, torch.device("cpu"))
    assert one.cache is not None
    entry = max((tmp_path / "cache").glob("??/*.frames"), key=lambda path: path.stat().st_mtime_ns)
    entry.write_bytes(entry.read_bytes()[:-20])
    assert [store.read(video) is None for video in range(len(one.train))].count(True) == 1
    seen.clear()
    after = dict(encoded(learner._model, learner._dataset, bag, ALONE))
    assert len(seen) >= 1
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[video], after[video], atol=1e-5) for video in before)


def test_kept_features_of_a_video_that_changed_are_not_taken(catalog: Catalog, bag: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "copy.mp4"
    shutil.copy2(catalog.labelled[0].path, path)
    video = replace(catalog.labelled[0], path=path)
    dataset = VideoDataset([video], bag.view, FrameCache(tmp_path / "cache", 10**8))
    network = learner_of(job(catalog, bag, tmp_path / "one"))._model
    assert len([*encoded(network, dataset, bag, ALONE)]) == 1
    shutil.copy2(catalog.labelled[1].path, path)
    with pytest.raises(VideoError, match="changed since it was scanned"):
        [*encoded(network, dataset, bag, ALONE)]


def test_networks_with_backbones_of_their_own_see_for_themselves(catalog: Catalog, bag: Recipe, tmp_path: Path) -> None:
    torch.manual_seed(5)
    one, other = bag.network(len(catalog.taxonomy)), bag.network(len(catalog.taxonomy))
    same = copy.deepcopy(one)
    cached, plain = (
        VideoDataset(catalog.labelled[:3], bag.view, cache) for cache in (FrameCache(tmp_path / "cache", 10**8), None)
    )
    together = predict_all(bag, [one, other, same], cached, ALONE)
    alone = [predict_all(bag, [network], cached, ALONE)[0] for network in (one, other, same)]
    for mine, its in zip(together, alone, strict=True):
        assert [video.scores.tolist() for video in mine] == [video.scores.tolist() for video in its]
    assert together[0][0].scores.tolist() != together[1][0].scores.tolist()
    assert together[0][0].scores.tolist() == together[2][0].scores.tolist()
    (uncached,) = predict_all(bag, [one], plain, ALONE)
    for with_cache, without in zip(together[0], uncached, strict=True):
        assert with_cache.scores == pytest.approx(without.scores, abs=0.02)  # frames of the cache are JPEGs
        assert with_cache.seconds.tolist() == without.seconds.tolist()


def test_new_videos_are_encoded_once_for_networks_of_one_frozen_backbone(
    catalog: Catalog, bag: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, same, other = (bag.network(len(default_taxonomy())) for _ in range(3))
    same.backbone.load_state_dict(one.backbone.state_dict())
    paths = [video.path for video in catalog.labelled[:2]]

    def said(*networks: Network) -> list[list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]]:
        samples = new_samples(paths, bag.view, 4)
        runtimes = [TorchRuntime(network, bag, torch.device("cpu")) for network in networks]
        predictions = predict_batches(runtimes, (collate([sample]) for sample in samples))
        return [[each.scores for each in found] for _, found in predictions if not isinstance(found, VideoError)]

    alone = [said(network) for network in (one, other, same)]
    calls: list[nn.Module] = []
    real = BagClassifier.encode

    def counted(network: BagClassifier, images: torch.Tensor, lasting: torch.Tensor) -> torch.Tensor:
        calls.append(network)
        return real(network, images, lasting)

    monkeypatch.setattr(BagClassifier, "encode", counted)
    together = said(one, other, same)
    assert same not in calls
    assert {one, other} <= {*calls}
    for network, expected in enumerate(alone):
        for video, scores in enumerate(expected):
            assert np.array_equal(together[video][network], scores[0])


def test_a_video_that_vanishes_is_named(catalog: Catalog, bag: Recipe, tmp_path: Path) -> None:
    learner = learner_of(job(catalog, bag, tmp_path))
    video = catalog.labelled[2]
    learner._filled, learner._dataset.videos = (
        False,
        [*catalog.labelled[:2], replace(video, path=tmp_path / "gone.mp4")],
    )
    with pytest.raises(VideoError, match=r"gone\.mp4"):
        learner.begin_epoch()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["transmil", "ml-decoder"])
def test_one_frame_in_sixty_is_learned_from_the_label_of_its_video(
    events: tuple[list[Video], dict[str, int]], bag: Recipe, tmp_path: Path, kind: str
) -> None:
    videos, when = events
    recipe = changed(changed(bag, "input.head", kind=kind, width=32, dropout=0.0), "input", every_seconds=1.0)
    recipe = changed(
        changed(recipe, "model", backbone="test_convnext"), "training", epochs=30, validate_every=30, seed=1
    )
    recipe = changed(changed(recipe, "optimiser", learning_rate=3e-3, warmup_epochs=5), "loss", name="bce")
    train_model(FoldJob(recipe, default_taxonomy(), videos[:22], videos[22:], tmp_path, None, "event"), ALONE)
    assert float(metrics(tmp_path)[-1]["map_defects"]) > 0.95, losses(tmp_path)
    segments = read_segment_scores(tmp_path / "segments.npz", default_taxonomy())
    videos_say = read_predictions(tmp_path / "predictions.json", default_taxonomy())
    for name, scores in zip(videos_say.names, videos_say.scores, strict=True):
        seconds, of_frames = segments.of(name)
        assert seconds[:, 0].tolist() == list(range(60))
        np.testing.assert_allclose(of_frames.max(axis=0), scores, atol=1e-6)
        assert (scores[EVENT] > 0.5) == (name in when)
        if name in when:
            assert abs(seconds[of_frames[:, EVENT].argmax(), 0] - when[name] / RATE) <= 1, "where the head looked"
    found = moments(
        tmp_path / "segments.npz",
        out=tmp_path / "moments.json",
        overrides=["weigh_by_video=false", "min_score=0.5", "smooth_seconds=0"],
    )
    assert {name for name, of_video in found.moments.items() if any(m.label == EVENT for m in of_video)} == {
        name for name in videos_say.names if name in when
    }


@pytest.mark.multiprocess
def test_two_processes_equal_one_with_twice_the_accumulation(archive: Path, tmp_path: Path) -> None:
    settings = (*TINY_BAG, "training.batch_size=2", "input.head.dropout=0.2")
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


@pytest.mark.slow
@pytest.mark.parametrize(("method", "backbone"), [("simclr", "resnet50"), ("mae", "vit_base_patch16_224")])
def test_without_their_file_the_reports_rows_say_how_it_is_made(
    archive: Path, tmp_path: Path, method: str, backbone: str
) -> None:
    with pytest.raises(WeightsError) as caught:
        train(
            archive / "catalog.csv",
            f"bag-{method}-transmil",
            out=tmp_path / "run",
            options=RunOptions(device="cpu", cache_gb=0),
        )
    said = str(caught.value)
    assert f"`urbanpipe pretrain CATALOG --method {method} --backbone {backbone} --out DIR`" in said
    assert "--set model.weights=DIR/weights.safetensors" in said
    assert "\n" not in said
    assert not (tmp_path / "run" / "recipe.toml").exists(), "nothing was begun"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["transmil", "ml-decoder"])
def test_mixed_precision_trains_close_to_full(
    catalog: Catalog, bag: Recipe, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "is_native", lambda *_: True)
    recipe = changed(changed(bag, "input.head", kind=kind, dropout=0.0), "training", epochs=2)
    train_model(job(catalog, recipe, tmp_path / "fp32"), ALONE)
    train_model(job(catalog, changed(recipe, "training", precision="bf16"), tmp_path / "bf16"), ALONE)
    assert losses(tmp_path / "bf16") != losses(tmp_path / "fp32"), "mixed precision was not entered"
    assert losses(tmp_path / "bf16") == pytest.approx(losses(tmp_path / "fp32"), rel=0.1)


@pytest.mark.slow
def test_bags_of_one_frame_train(catalog: Catalog, bag: Recipe, tmp_path: Path) -> None:
    train_model(job(catalog, changed(bag, "input", every_seconds=60.0), tmp_path), ALONE)
    assert np.isfinite(losses(tmp_path)).all()
    segments = read_segment_scores(tmp_path / "segments.npz", default_taxonomy())
    assert np.diff(segments.starts).tolist() == [1] * 6
