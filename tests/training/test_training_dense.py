"""The dense method: right gradients, an honest memory, and what nine frames cannot see."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from helpers.event_videos import EVENT, RATE, SETTINGS
from helpers.tiny_recipes import TINY_DENSE
from helpers.training_runs import ALONE, changed, killed_at, losses, metrics, same_weights
from urbanpipe.catalog.catalog_file import Catalog, Video
from urbanpipe.contracts.run_folder import TRAINING_STATE
from urbanpipe.contracts.segment_scores import read_segment_scores
from urbanpipe.errors import RunError
from urbanpipe.inputs.batches import Batch, collate
from urbanpipe.inputs.clip_schedule import visited, visits
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.inputs.frame_timeline import FrameTimeline, SampleSeed
from urbanpipe.learners.dense import DenseLearner
from urbanpipe.learners.feature_memory import FeatureMemory
from urbanpipe.methods.dense import DenseConfig
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.methods.table import method_named
from urbanpipe.models.dense import DenseClassifier
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training import loop
from urbanpipe.training.fold_job import FoldJob
from urbanpipe.training.loop import train_model
from urbanpipe.training.validation import validate
from urbanpipe.video.cache import FrameCache


@pytest.fixture(scope="module")
def dense() -> Recipe:
    return load_recipe("small-dense", [*TINY_DENSE, "name=dense"])


def job(catalog: Catalog, recipe: Recipe, folder: Path) -> FoldJob:
    return FoldJob(recipe, default_taxonomy(), catalog.labelled[:8], catalog.labelled[14:], folder, None, "test")


def learner_of(catalog: Catalog, recipe: Recipe, folder: Path) -> DenseLearner:
    """A learner with a filled memory, in its first epoch with the encoder."""
    one = job(catalog, changed(recipe, "input.memory", warmup_epochs=0), folder)
    view = one.recipe.view
    dataset = VideoDataset(one.train, view, None, one.recipe.training.seed)
    state = loop._start(one, ALONE, 2)
    learner = loop._learner(one, ALONE, state, dataset)
    assert isinstance(learner, DenseLearner)
    learner.begin_epoch()
    state.model.train()
    return learner


def batch_of(learner: DenseLearner, videos: Sequence[int], epoch: int = 0) -> Batch:
    return collate([learner._dataset[(epoch, index)] for index in videos])


def gradients(model: torch.nn.Module) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def plain_gradients(learner: DenseLearner, batch: Batch) -> dict[str, Tensor]:
    """Back-propagation through all clips of a batch of one video, written out."""
    model, (video,) = learner._model, batch.samples
    logits, clips = model(
        model.encode(torch.from_numpy(batch.images), torch.from_numpy(batch.real)), learner._seconds[video]
    )
    targets = learner._targets[[video]]
    loss = learner._loss(logits.unsqueeze(0), targets)
    pooled = clips.exp().mean(0).log().unsqueeze(0)
    (loss + learner._input.memory.auxiliary * learner._loss(pooled, targets)).backward()  # type: ignore[no-untyped-call]
    return gradients(model)


@pytest.mark.parametrize("encoder", ["pool", "super-image"])
@pytest.mark.parametrize("mode", ["stale", "exact-sampled", "exact"])
def test_with_every_clip_fresh_the_gradient_is_that_of_plain_back_propagation(
    catalog: Catalog, dense: Recipe, tmp_path: Path, mode: str, encoder: str
) -> None:
    recipe = changed(changed(dense, "input", mode=mode, fraction=1.0, encoder=encoder), "input.head", dropout=0.0)
    learner = learner_of(catalog, changed(recipe, "input.memory", keep_stale=1.0), tmp_path)
    batch = batch_of(learner, [3])
    learner.learn(batch, last=True)
    found, expected = gradients(learner._model), plain_gradients(learner, batch)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("mode", ["exact-sampled", "exact"])
def test_the_gradient_is_that_of_plain_back_propagation_with_random_depth_too(
    catalog: Catalog, dense: Recipe, tmp_path: Path, mode: str
) -> None:
    """What a clip's feature was computed with is what its gradient goes through."""
    recipe = changed(changed(dense, "input", mode=mode, fraction=1.0, encoder="video"), "input.head", dropout=0.0)
    recipe = changed(recipe, "model", backbone="swin3d_nano", drop_path=0.3)
    learner = learner_of(catalog, recipe, tmp_path)
    batch = batch_of(learner, [3])
    assert len(batch.rows) <= 16, "encoded at once, so that both draw the same"
    torch.manual_seed(5)
    learner.learn(batch, last=True)
    found = gradients(learner._model)
    torch.manual_seed(5)
    for name, gradient in plain_gradients(learner, batch).items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5)


def test_sampled_exact_gradients_of_the_head_are_those_of_all_clips(
    catalog: Catalog, dense: Recipe, tmp_path: Path
) -> None:
    """The encoder learns from some clips; the head sees all of them as they are now."""
    plain = changed(changed(dense, "input.head", dropout=0.0), "input.memory", auxiliary=0.0)
    found = []
    for mode in ("exact-sampled", "exact"):
        learner = learner_of(catalog, changed(plain, "input", mode=mode, fraction=0.3), tmp_path / mode)
        learner.learn(batch_of(learner, [3, 1]), last=True)
        found.append(gradients(learner._model))
    sampled, exact = found
    for name, gradient in exact.items():
        if not name.startswith("encoder."):
            torch.testing.assert_close(sampled[name], gradient, rtol=1e-3, atol=1e-6)
    weight = "encoder.project.0.weight"
    assert not torch.allclose(sampled[weight], exact[weight], rtol=1e-2)


def test_only_the_sampled_slots_change_in_a_step(catalog: Catalog, dense: Recipe, tmp_path: Path) -> None:
    learner = learner_of(catalog, dense, tmp_path)
    memory, batch = learner.memory, batch_of(learner, [2, 5])
    assert 0 < len(batch.rows) < sum(len(learner._seconds[video]) for video in (2, 5))
    before = [memory.read(video) for video in range(8)]
    learner._state.step = 7
    learner.learn(batch, last=True)
    stamped = np.flatnonzero(memory.stamps == 7)
    assert stamped.tolist() == sorted((memory._starts[batch.videos] + batch.rows).tolist())
    for video in range(8):
        changed_rows = np.flatnonzero((memory.read(video) != before[video]).any(dim=1)).tolist()
        assert set(changed_rows) <= set(batch.rows[batch.videos == video].tolist())


@pytest.mark.parametrize("write", ["fresh", "ema"])
def test_what_is_written_back_is_of_the_encoder_that_was_asked_for(
    catalog: Catalog, dense: Recipe, tmp_path: Path, write: str
) -> None:
    learner = learner_of(catalog, changed(dense, "input.memory", write=write), tmp_path)
    assert learner._state.ema is not None
    with torch.no_grad():
        for parameter in learner._state.ema.module.encoder.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    batch = batch_of(learner, [4])
    networks = {"fresh": learner._model, "ema": learner._state.ema.module}
    with torch.no_grad():
        features = {
            name: network.encode(torch.from_numpy(batch.images), torch.from_numpy(batch.real))
            for name, network in networks.items()
        }
    learner.learn(batch, last=True)
    written = learner.memory.read(4)[batch.rows]
    for name, expected in features.items():
        assert torch.allclose(written, expected, rtol=1e-2, atol=1e-2) == (name == write)


@given(
    clips=st.integers(1, 60),
    fraction=st.floats(0.05, 1.0),
    most=st.integers(0, 12),
    first=st.integers(0, 30),
    seed=st.integers(0, 9),
)
def test_every_clip_is_visited_whichever_the_first_epoch(
    clips: int, fraction: float, most: int, first: int, seed: int
) -> None:
    epochs = visits(clips, fraction, most)
    seen = [visited(clips, fraction, most, SampleSeed(seed, first + turn, 3)) for turn in range(epochs)]
    assert all(len(turn) >= 1 for turn in seen)
    if most:
        assert max(map(len, seen)) <= most
    else:
        assert epochs == int(np.ceil(1 / fraction))
    together = np.concatenate(seen)
    assert set(together.tolist()) == set(range(clips))
    assert len(together) == max(clips, epochs)


def test_the_clips_of_a_step_are_bounded_whatever_the_length(dense: Recipe) -> None:
    view = method_named("dense").view(DenseConfig(frames=2, stride=1, size=32, max_clips=5), dense.augment)
    for minutes in (0.5, 30):
        timeline = FrameTimeline(int(minutes * 60 * 25), minutes * 60)
        assert len(view.training_sample(timeline, SampleSeed(0, 0, 0))) <= 5
        assert view.evaluation_sample(timeline).frames.max() == timeline.frame_count - 1, "to the last frame"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stale", "exact-sampled", "exact"])
def test_killed_and_started_again_it_ends_the_same(catalog: Catalog, dense: Recipe, tmp_path: Path, mode: str) -> None:
    recipe = changed(dense, "input", mode=mode)
    train_model(job(catalog, recipe, tmp_path / "whole"), ALONE)
    with killed_at(DenseLearner, "learn", 6):  # in the middle of an epoch, after it has written
        train_model(job(catalog, recipe, tmp_path / "killed"), ALONE)
    assert (tmp_path / "killed" / TRAINING_STATE).exists()
    train_model(job(catalog, recipe, tmp_path / "killed"), ALONE)
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")
    assert same_weights(tmp_path / "whole", tmp_path / "killed")
    assert not list((tmp_path / "killed").glob("memory*")), "the memory goes when the model is done"


@pytest.mark.slow
@pytest.mark.parametrize(("harm", "said"), [("delete", "is missing"), ("cut", "is truncated"), ("spoil", "is damaged")])
def test_a_lost_memory_is_built_again(
    catalog: Catalog,
    dense: Recipe,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    harm: str,
    said: str,
) -> None:
    with killed_at(loop, "_epoch", 3):
        train_model(job(catalog, dense, tmp_path), ALONE)
    copy = tmp_path / "memory.epoch00002"
    content = copy.read_bytes()
    copy.unlink()
    if harm != "delete":
        copy.write_bytes(content[:-10] if harm == "cut" else b"x" * len(content))
    train_model(job(catalog, dense, tmp_path), ALONE)
    assert f"{said}; encoding it again" in capsys.readouterr().err
    assert (tmp_path / "done.json").exists()


def test_a_memory_of_other_data_or_encoder_is_refused(tmp_path: Path) -> None:
    FeatureMemory(tmp_path / "a", [2, 3], 8, "one").save_copy(tmp_path / "copy")
    with pytest.raises(RunError, match="another data set, encoder or precision"):
        FeatureMemory(tmp_path / "b", [2, 3], 8, "other").load_copy(tmp_path / "copy")
    with pytest.raises(RunError, match="another data set, encoder or precision"):
        FeatureMemory(tmp_path / "b", [2, 4], 8, "one").load_copy(tmp_path / "copy")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e6])
def test_features_that_are_no_numbers_are_refused_and_nothing_is_written(tmp_path: Path, bad: float) -> None:
    memory = FeatureMemory(tmp_path / "m", [2, 3], 4, "one")
    memory.write(1, np.array([0, 2]), torch.ones(2, 4), 3)
    features = torch.zeros(2, 4)
    features[1, 2] = bad
    with pytest.raises(RunError, match=r"not finite numbers at step 5; lower optimiser\.learning_rate"):
        memory.write(1, np.array([0, 1]), features, 5)
    assert memory.read(1).tolist() == [[1.0] * 4, [0.0] * 4, [1.0] * 4]
    assert memory.stamps.tolist() == [-1, -1, 3, -1, 3]


def test_videos_of_unequal_lengths_in_a_batch_do_not_touch_each_other(
    catalog: Catalog, dense: Recipe, tmp_path: Path
) -> None:
    """The gradient of a batch is the mean of those of its videos alone."""
    recipe = changed(changed(dense, "input.head", dropout=0.0), "input.memory", keep_stale=1.0)
    learner = learner_of(catalog, recipe, tmp_path)
    counts = [len(seconds) for seconds in learner._seconds]
    short, long = int(np.argmin(counts)), int(np.argmax(counts))
    assert counts[short] < counts[long]
    before = [learner.memory.read(video) for video in (short, long)]
    found = []
    for videos in ([short, long], [short], [long]):
        for video, features in zip((short, long), before, strict=True):
            learner.memory.write(video, np.arange(len(features)), features, 0)
        learner.learn(batch_of(learner, videos), last=True)
        found.append(gradients(learner._model))
    together, *alone = found
    for name, gradient in together.items():
        mean = (alone[0][name] + alone[1][name]) / 2
        torch.testing.assert_close(gradient, mean, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", ["queries", "token"])
def test_a_clips_logits_are_its_own_and_the_videos_need_not_be_in_order(dense: Recipe, kind: str) -> None:
    torch.manual_seed(0)
    model = changed(dense, "input.head", kind=kind).network(len(default_taxonomy())).eval()
    features, middles = torch.randn(7, 16), torch.rand(7) * 60
    video, clips = model(features, middles)
    order = torch.randperm(7)
    again, moved = model(features[order], middles[order])
    torch.testing.assert_close(again, video, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(moved, clips[order])
    assert not torch.allclose(model(features, middles.flip(0))[0], video), "time tells"


def test_the_padding_of_a_last_clip_is_left_out_of_the_pool(dense: Recipe) -> None:
    for pooling in ("mean", "max"):
        recipe = changed(changed(dense, "input.head", pooling=pooling), "input", frames=4)
        model = recipe.network(len(default_taxonomy())).eval()
        assert isinstance(model, DenseClassifier)
        clip = torch.randint(0, 256, (1, 3, 4, 32, 32), dtype=torch.uint8)
        other = clip.clone()
        other[:, :, 2:] = 0
        assert torch.allclose(model.encode(clip, torch.tensor([2])), model.encode(other, torch.tensor([2])), atol=1e-5)
        assert not torch.allclose(model.encode(clip, torch.tensor([4])), model.encode(other, torch.tensor([4])))


@pytest.mark.slow
def test_validation_never_reads_the_memory(
    catalog: Catalog, dense: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FeatureMemory.read
    validations: list[int] = []

    def watched(self: FeatureMemory, video: int) -> Tensor:
        assert not validations, "the memory was read in a validation"
        return real(self, video)

    def validating(*args: object) -> object:
        validations.append(1)
        row = validate(*args)  # type: ignore[arg-type]
        validations.clear()
        return row

    monkeypatch.setattr(FeatureMemory, "read", watched)
    monkeypatch.setattr(loop, "validate", validating)
    train_model(job(catalog, dense, tmp_path), ALONE)
    segments = read_segment_scores(tmp_path / "segments.npz", default_taxonomy())
    assert segments.names == tuple(video.name for video in catalog.labelled[14:])
    grid = [-(-video.frame_count // 2) for video in catalog.labelled[14:]]
    assert np.diff(segments.starts).tolist() == grid, "every clip is evaluated"


@pytest.mark.slow
def test_videos_shorter_than_a_clip_train_and_are_evaluated(catalog: Catalog, dense: Recipe, tmp_path: Path) -> None:
    long = changed(dense, "input", frames=16, stride=4)
    train_model(job(catalog, long, tmp_path), ALONE)
    assert np.isfinite([float(row["map"]) for row in metrics(tmp_path)]).all()


@pytest.mark.slow
def test_an_event_of_a_second_in_a_minute_is_found_that_nine_frames_miss(
    events: tuple[list[Video], dict[str, int]], tmp_path: Path
) -> None:
    videos, when = events
    # Where one clip decides, a step that leaves it out teaches the wrong thing: no stale feature is dropped.
    recipe = load_recipe(
        "small-dense",
        [
            *SETTINGS,
            "input.memory.keep_stale=1",
            "input.memory.auxiliary=0",
            "training.epochs=9",
            "training.validate_every=9",
            "name=event",
        ],
    )
    cache = FrameCache(tmp_path / "cache", 10**8)
    split = FoldJob(recipe, default_taxonomy(), videos[:22], videos[22:], tmp_path, cache, "event")
    train_model(split, ALONE)
    segments = read_segment_scores(tmp_path / "segments.npz", default_taxonomy())
    assert float(metrics(tmp_path)[-1]["map_defects"]) > 0.95, [row["map_defects"] for row in metrics(tmp_path)]
    found = [name for name in segments.names if name in when]
    hits = 0
    for name in found:
        seconds, scores = segments.of(name)
        hits += bool(abs(seconds[scores[:, EVENT].argmax()].mean() - (when[name] + 1) / RATE) <= 1.5)
    assert hits >= 0.7 * len(found), "the clip that says so is where the event was"


@pytest.mark.slow
def test_one_video_may_come_twice_in_a_batch(catalog: Catalog, dense: Recipe, tmp_path: Path) -> None:
    few = replace(job(catalog, dense, tmp_path), train=catalog.labelled[:3])
    train_model(few, ALONE)
    assert np.isfinite(losses(tmp_path)).all()
