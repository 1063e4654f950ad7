"""Every method by the same road: train, load, predict from the files, and find what the run itself had found."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.tiny_recipes import TINY, TINY_BAG, TINY_DENSE, TINY_FROZEN
from helpers.training_runs import ALONE, changed, finish, job, killed_at, launch, losses, metrics, same_weights
from urbanpipe.catalog.catalog_file import Catalog
from urbanpipe.catalog.folds import read_folds
from urbanpipe.contracts.predictions import read_predictions
from urbanpipe.contracts.run_folder import TRAINING_STATE
from urbanpipe.contracts.segment_scores import SegmentScores, read_segment_scores
from urbanpipe.decision.exclusive import EXCLUSIVE_THRESHOLD, apply_exclusive
from urbanpipe.ensembling.ensemble import ensemble
from urbanpipe.errors import VideoError
from urbanpipe.inference.members import load_models
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inference.predict import predict
from urbanpipe.inputs import new_videos
from urbanpipe.inputs.batches import Sample, batches_of
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.inputs.reading import SegmentInputs as Seen
from urbanpipe.inputs.reading import stream_segments
from urbanpipe.inputs.view import View
from urbanpipe.learners.dense import DenseLearner
from urbanpipe.methods.recipe import Recipe, load_recipe, write_recipe
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training import loop
from urbanpipe.training.crossval import CrossvalResult, crossval
from urbanpipe.training.evaluation_pass import predict_all
from urbanpipe.training.loop import train_model
from urbanpipe.training.options import FoldOptions, RunOptions
from urbanpipe.training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_plots_of_folds")]

TAXONOMY = default_taxonomy()
T = TypeVar("T")
SHORT = (
    "optimiser.learning_rate=1e-3",
    "optimiser.warmup_epochs=1",
    "training.epochs=2",
    "training.batch_size=4",
    "training.workers=0",
    "training.keep=best",
)
SMALL_FRAME = ("input.size=32", "input.every_seconds=0.3", "input.train_frames=2")
FRAME = (
    "small-frame",
    (*SHORT, *SMALL_FRAME, "model.backbone=test_convnext", "model.options={}", "model.weights=random"),
)
VIDEO = ("small-video", (*SHORT, "input.size=32", "input.frames=4"))
SUPER_IMAGE = ("small-mobilenetv2", TINY)
DENSE = ("small-dense", (*TINY_DENSE, "training.epochs=3"))
BAG = ("small-bag", TINY_BAG)
POOLED = ("input.head.layers=3", "input.head.heads=8")  # the defaults, as such a head has neither
DENSE_OF_FOUR = (DENSE[0], (*DENSE[1], "input.frames=4"))


def variant(base: tuple[str, tuple[str, ...]], *settings: str) -> tuple[str, tuple[str, ...]]:
    """A recipe with further settings."""
    return base[0], (*base[1], *settings)


VARIANTS = {
    "super-image": SUPER_IMAGE,
    "super-image-3-draws": variant(SUPER_IMAGE, "input.test_draws=3"),
    "super-image-flips-and-shuffles": variant(
        SUPER_IMAGE, 'input.test_flips=["horizontal", "vertical"]', "input.test_shuffles=2"
    ),
    "frame-mean": FRAME,
    "frame-max": variant(FRAME, "input.pooling=max"),
    "frame-median": variant(FRAME, "input.pooling=median"),
    "frame-mean-max": variant(FRAME, "input.pooling=mean-max", "model.head_start=probe"),
    "frame-lse": variant(FRAME, "input.pooling=lse", 'input.test_flips=["horizontal"]'),
    "frame-attention": variant(FRAME, "input.pooling=attention"),
    "video": VIDEO,
    "video-shuffled": variant(VIDEO, "input.shuffle=true"),
    "video-3-draws": variant(VIDEO, "input.test_draws=3", "input.sampling=sequence"),
    "dense-pool": DENSE,
    "dense-token": variant(DENSE, "input.head.kind=token"),
    "dense-mean-max": variant(DENSE, *POOLED, "input.head.kind=mean-max", "model.head_start=probe"),
    "dense-lse": variant(DENSE, *POOLED, "input.head.kind=lse"),
    "dense-attention": variant(DENSE, *POOLED, "input.head.kind=attention"),
    "dense-super-image": variant(DENSE_OF_FOUR, "input.encoder=super-image"),
    "bag-transmil": BAG,
    "bag-ml-decoder": variant(BAG, "input.head.kind=ml-decoder"),
    "bag-attention": variant(
        ("small-bag", tuple(s for s in TINY_BAG if "heads" not in s)), "input.head.kind=attention"
    ),
    "bag-regression": ("frozen-mobilenetv2", TINY_FROZEN),
    "bag-layers": ("frozen-mobilenetv2", (*TINY_FROZEN, "input.layers=2")),
    "dense-video": variant(DENSE_OF_FOUR, "input.encoder=video", "model.backbone=swin3d_nano"),
}


def recipe_of(name: str) -> Recipe:
    source, settings = VARIANTS[name]
    return load_recipe(source, [*settings, f"name={name}"])


def trained(name: str, archive: Path, out: Path, cache_gb: float) -> Path:
    source, settings = VARIANTS[name]
    return train(
        archive / "catalog.csv",
        source,
        out=out,
        folds=archive / "folds.csv",
        fold=0,
        overrides=[*settings, f"name={name}"],
        options=RunOptions(device="cpu", cache_gb=cache_gb),
    )


def fold_0_videos(archive: Path) -> list[Path]:
    folds = read_folds(archive / "folds.csv")
    return [archive / "videos" / name for name, fold in folds.items() if fold == 0]


def scores_of(path: Path, names: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return read_predictions(path, TAXONOMY).aligned(tuple(names), where=str(path))


def same_segments(found: SegmentScores, expected: SegmentScores, tolerance: float) -> None:
    assert set(found.names) == set(expected.names)
    for name in expected.names:
        (seconds, scores), (its_seconds, its_scores) = found.of(name), expected.of(name)
        assert len(scores) > 1
        np.testing.assert_allclose(seconds, its_seconds, atol=1e-5)
        np.testing.assert_allclose(scores, its_scores, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "cache_gb", "tolerance"),
    [
        *((name, 0, 1e-5) for name in VARIANTS),
        *((name, 0.1, 1e-2) for name in ("super-image", "frame-mean", "video", "dense-pool")),
    ],
)
def test_from_the_file_a_video_is_what_the_run_said_it_is(
    name: str, cache_gb: float, tolerance: float, archive: Path, tmp_path: Path
) -> None:
    run = trained(name, archive, tmp_path / "run", cache_gb)
    (member,) = load_models(run, torch.device("cpu")).members
    assert member.recipe == recipe_of(name)
    out, fold = tmp_path / "found.json", run / "fold0"
    found = predict(
        run, fold_0_videos(archive), out=out, workers=0, options=InferenceOptions(device="cpu", batch_size=3)
    )
    names = read_predictions(fold / "predictions.json", TAXONOMY).names
    assert set(found.predictions.names) == set(names)
    expected = scores_of(fold / "predictions.json", names)
    assert cache_gb or np.ptp(expected, axis=0).max() > 100 * tolerance, "the scores of the videos differ"
    np.testing.assert_allclose(scores_of(out, names), expected, atol=tolerance)
    many = name.startswith(("frame", "dense", "bag"))
    assert (fold / "segments.npz").exists() == out.with_suffix(".segments.npz").exists() == many
    if many:
        segments = [
            read_segment_scores(path, TAXONOMY) for path in (out.with_suffix(".segments.npz"), fold / "segments.npz")
        ]
        same_segments(segments[0], segments[1], tolerance)


def test_flips_average_what_is_said_of_the_mirrored_inputs(catalog: Catalog) -> None:
    plain = recipe_of("super-image")
    flipped = changed(plain, "input", test_flips=("horizontal", "vertical"))
    torch.manual_seed(0)
    network = plain.network(len(TAXONOMY))
    dataset = VideoDataset(catalog.labelled[:4], plain.view, None)
    (found,) = predict_all(flipped, [network], dataset, ALONE)
    for index, video in enumerate(found):
        image = torch.from_numpy(dataset[index, 0, 1].segments.images)  # type: ignore[union-attr]
        with torch.inference_mode():
            logits = torch.stack([network(image), network(image.flip(-1)), network(image.flip(-2))]).mean(0)
        np.testing.assert_allclose(video.scores, logits[0].double().sigmoid(), atol=1e-6)


@pytest.mark.parametrize("name", ["frame-mean", "video"])
def test_killed_and_started_again_ends_the_same(name: str, catalog: Catalog, tmp_path: Path) -> None:
    longer = changed(recipe_of(name), "training", epochs=3)
    train_model(job(catalog, longer, tmp_path / "whole"), ALONE)
    with killed_at(loop, "_epoch", 2):
        train_model(job(catalog, longer, tmp_path / "killed"), ALONE)
    assert (tmp_path / "killed" / TRAINING_STATE).exists()
    torch.manual_seed(99)
    train_model(job(catalog, longer, tmp_path / "killed"), ALONE)
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")
    assert same_weights(tmp_path / "whole", tmp_path / "killed")
    results = [tmp_path / folder / "predictions.json" for folder in ("whole", "killed")]
    assert results[0].read_text() == results[1].read_text()


MEMBERS = {
    "first": variant(SUPER_IMAGE, "training.epochs=1"),
    "second": variant(SUPER_IMAGE, "training.epochs=1", "model.backbone=test_byobnet"),  # the first's input
    "frames": variant(FRAME, "training.epochs=1"),
    "moments": variant(DENSE, "training.epochs=1", "input.memory.warmup_epochs=0", "input.memory.final_epochs=0"),
}


@pytest.fixture(scope="module")
def experiment(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> CrossvalResult:
    """Four recipes of three methods, cross-validated over two folds."""
    out, recipes = tmp_path_factory.mktemp("experiment"), tmp_path_factory.mktemp("recipes")
    for name, (source, settings) in MEMBERS.items():
        write_recipe(load_recipe(source, [*settings, f"name={name}"]), recipes / f"{name}.toml")
    files = [recipes / f"{name}.toml" for name in MEMBERS]
    return crossval(
        archive / "catalog.csv",
        files,
        out=out,
        split=FoldOptions(folds=archive / "folds.csv"),
        options=RunOptions(device="cpu", cache=out / "frames"),
    )


def test_what_a_cross_validation_of_each_method_leaves(experiment: CrossvalResult, archive: Path) -> None:
    labelled = set(read_folds(archive / "folds.csv"))
    for run in experiment.runs:
        assert set(read_predictions(run / "out_of_fold.json", TAXONOMY).names) == labelled
        many = run.name in ("frames", "moments")
        assert (run / "out_of_fold_segments.npz").exists() == many
        assert not many or set(read_segment_scores(run / "out_of_fold_segments.npz", TAXONOMY).names) == labelled
        assert (run / "pooling.csv").exists() == (run / "pooling.md").exists() == (run.name == "frames")
        assert not list(run.glob("fold*/memory*"))


def test_the_table_of_pools_says_of_the_recipes_own_pool_what_the_run_says(experiment: CrossvalResult) -> None:
    run = experiment.folder / "frames"
    pooled, whole = ((run / name).read_text(encoding="utf-8").splitlines() for name in ("pooling.csv", "table6.csv"))
    assert pooled[1].split(",")[:2] == ["mean", "mAP"]
    assert pooled[1].split(",")[2:6] == whole[1].split(",")[3:7], "mAP by fold, their mean and spread"


def test_methods_make_one_ensemble_that_reads_a_video_once_an_input(
    experiment: CrossvalResult, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = (0.1, 0.2, 0.3, 0.4)
    ensemble(experiment.runs, out=tmp_path / "all", weights=weights, exclusive_threshold=EXCLUSIVE_THRESHOLD)
    videos = fold_0_videos(archive)[:4]
    alone = [
        predict(run, videos, out=tmp_path / f"{run.name}.json", workers=0, options=InferenceOptions(device="cpu"))
        for run in experiment.runs
    ]
    read: list[Path] = []

    def counted(path: Path, view: View, most: int) -> Iterator[Seen]:
        read.append(path)
        return stream_segments(path, view, most)

    monkeypatch.setattr(new_videos, "stream_segments", counted)
    together = predict(
        tmp_path / "all", videos, out=tmp_path / "all.json", workers=0, options=InferenceOptions(device="cpu")
    )
    assert sorted(read) == sorted(3 * videos), "four members, three inputs"
    assert together.predictions.names == alone[0].predictions.names
    mean = sum(weight * one.predictions.scores for weight, one in zip(weights, alone, strict=True))
    expected = apply_exclusive(np.asarray(mean), TAXONOMY, EXCLUSIVE_THRESHOLD)
    np.testing.assert_allclose(together.predictions.scores, expected, atol=1e-6)
    assert not (tmp_path / "all.segments.npz").exists()


def test_an_unreadable_video_is_named_once_and_the_others_are_predicted(
    experiment: CrossvalResult, archive: Path, tmp_path: Path
) -> None:
    good, bad = fold_0_videos(archive)[:2], tmp_path / "bad.mp4"
    bad.write_bytes(good[0].read_bytes()[:2000])
    assert experiment.ensemble is not None
    found = predict(
        experiment.ensemble,
        [*good, bad],
        out=tmp_path / "found.json",
        workers=0,
        options=InferenceOptions(device="cpu"),
    )
    assert set(found.predictions.names) == {path.name for path in good}
    assert list(found.failures) == ["bad.mp4"]


@dataclass(frozen=True)
class InThreads(DistributedContext):
    """One of two processes of a run that are threads of this one, so that a test can look into both."""

    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=60))
    table: dict[int, Any] = field(default_factory=dict)

    def gather(self, value: T) -> list[T]:
        self.table[self.rank] = value
        self.meeting.wait()
        values = [self.table[rank] for rank in range(self.count)]
        self.meeting.wait()
        return values

    def average(self, tensors: Iterable[torch.Tensor]) -> None:
        """Each keeps its own gradients: no step is made."""


def learners(catalog: Catalog, folder: Path) -> list[DenseLearner]:
    """The learners of two processes before their first epoch with the encoder, whose weights are not the same."""
    first = InThreads(0, 2, torch.device("cpu"))
    recipe = changed(recipe_of("dense-pool"), "input.memory", warmup_epochs=0, final_epochs=0)
    found = []
    for processes in (first, replace(first, rank=1)):
        one = job(catalog, recipe, folder)
        state = loop._start(one, processes, 2)
        dataset = VideoDataset(one.train, recipe.view, None)
        learner = loop._learner(one, processes, state, dataset)
        assert isinstance(learner, DenseLearner)
        found.append(learner)
    return found


def at_once(*calls: Callable[[], object]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_two_processes_end_an_epoch_with_the_same_memory(catalog: Catalog, tmp_path: Path) -> None:
    """Each has what both wrote in the epoch, which begins with a refresh; of a video in both, the later feature."""
    both = learners(catalog, tmp_path)
    at_once(*(learner.begin_epoch for learner in both))
    one, two = (learner.memory for learner in both)
    filled = [one.read(video) for video in range(5)]
    assert all(torch.equal(filled[video], two.read(video)) for video in range(5))
    for step, videos in enumerate(([0, 1], [2, 1])):
        for learner, video in zip(both, videos, strict=True):
            learner._state.step = step
            rows = np.array([0, 1])
            learner.memory.write(video, rows, torch.full((2, 16), 10.0 * step + video), step)
    at_once(*(learner.end_epoch for learner in both))
    np.testing.assert_array_equal(one.stamps, two.stamps)
    for memory in (one, two):
        found = [memory.read(video)[:2].flatten().tolist() for video in range(3)]
        assert found == [[0.0] * 32, [11.0] * 32, [12.0] * 32]
        assert all(torch.equal(memory.read(video)[2:], filled[video][2:]) for video in range(3))
        assert all(torch.equal(memory.read(video), filled[video]) for video in (3, 4))


@pytest.mark.multiprocess
def test_two_processes_equal_one_with_twice_the_accumulation_for_the_dense_method(
    archive: Path, tmp_path: Path
) -> None:
    """Random numbers too: those of a batch follow from its place among the batches of all processes."""
    settings = (
        *TINY_DENSE,
        "input.mode=stale",
        "training.epochs=6",
        "training.batch_size=2",
        "optimiser.learning_rate=5e-3",
    )
    runs = [
        launch(1, archive, tmp_path / "one", "training.accumulation=2", recipe="small-dense", tiny=settings),
        launch(2, archive, tmp_path / "two", "training.accumulation=1", recipe="small-dense", tiny=settings),
    ]
    for run in runs:
        finish(run)
    one, two = tmp_path / "one" / "fold0", tmp_path / "two" / "fold0"
    assert losses(two) == pytest.approx(losses(one), rel=3e-5)
    assert [row["map"] for row in metrics(two)] == [row["map"] for row in metrics(one)]
    assert same_weights(one, two, tolerance=2e-5)


@given(lengths=st.lists(st.integers(1, 20), max_size=8), batch_size=st.integers(1, 9))
def test_no_batch_of_a_prediction_is_larger_than_asked(lengths: list[int], batch_size: int) -> None:
    """Videos come in parts of at most a batch, as `new_samples` gives them, and none of their segments is lost."""
    samples: list[Sample] = []
    for video, length in enumerate(lengths):
        for begin in range(0, length, batch_size):
            end = min(length, begin + batch_size)
            seen = Seen(
                np.zeros((end - begin, 1), np.uint8), np.arange(begin, end), np.ones(1, int), np.zeros((end - begin, 2))
            )
            samples.append(Sample(video, seen, whole=end == length))
        samples.append(Sample(100 + video, VideoError(Path("bad.mp4"), "bad")))
    batches = list(batches_of(samples, batch_size))
    assert all(len(batch.images) <= batch_size for batch in batches)
    found = [pair for batch in batches for pair in zip(batch.videos.tolist(), batch.rows.tolist(), strict=True)]
    assert found == [(video, row) for video, length in enumerate(lengths) for row in range(length)]
    assert [index for batch in batches for index, _ in batch.failures] == [100 + video for video in range(len(lengths))]
