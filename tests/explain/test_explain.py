"""`explain` from files to files: every method, and what it finds in time and place."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers.explain_runs import BLUE_SECONDS, METHODS, RED_SECONDS, TAXONOMY, make_run, make_video, recipe_of
from urbanpipe.contracts.predictions import read_predictions
from urbanpipe.contracts.segment_scores import read_segment_scores
from urbanpipe.explain import explain as room
from urbanpipe.explain.explain import class_maps, explain
from urbanpipe.explain.network import Explained
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inference.predict import predict
from urbanpipe.inputs.frame_timeline import FrameTimeline
from urbanpipe.models.classifier import SegmentClassifier
from urbanpipe.video import decode
from urbanpipe.video.decode import index_frames


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("event") / "event.mp4")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run") / "r", recipe_of("frame"))


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_each_method_end_to_end(name: str, video: Path, tmp_path: Path) -> None:
    recipe = recipe_of(name)
    run = make_run(tmp_path / "run", recipe)
    made = explain(
        run,
        video,
        out=tmp_path / "out",
        classes=["CJ", "AJ", "CJ"],
        top=3,
        options=InferenceOptions(device="cpu", batch_size=2),
    )
    assert [TAXONOMY.codes[heat.index] for heat in made.found] == ["CJ", "AJ"]
    predict(run, [video], out=tmp_path / "p.json", workers=0, options=InferenceOptions(device="cpu"))
    expected = read_predictions(tmp_path / "p.json", TAXONOMY).scores[0]
    np.testing.assert_allclose(made.scores, expected, atol=1e-6)

    index = index_frames(video)
    selection = recipe.view.evaluation_sample(
        FrameTimeline(index.frame_count, index.duration_seconds, index.times_seconds)
    )
    about = json.loads((tmp_path / "out" / f"{video.stem}.json").read_text())
    assert about["probabilities"]["AJ"] == pytest.approx(expected[TAXONOMY.index("AJ")], abs=1e-5)
    for heat, written, data, drawn in zip(made.found, about["classes"], made.data, made.pictures, strict=True):
        used = np.unique(heat.segments)
        assert len(used) == min(3, len(selection))
        wanted = np.concatenate([selection.frames[row, : selection.real[row]] for row in used])
        assert heat.frames.tolist() == sorted(wanted.tolist()), "the frames of the explained segments, in order of time"
        np.testing.assert_allclose(heat.seconds, index.times_seconds[heat.frames])
        assert heat.raw_maximum > 0
        assert heat.maps.min() >= 0
        assert heat.maps.max() == 1.0
        assert min(heat.maps.shape[1:]) >= 7
        kept = np.load(data)
        np.testing.assert_array_equal(kept["maps"], heat.maps)
        assert kept["maps"].dtype == np.float32
        np.testing.assert_array_equal(kept["peak"], heat.peaks)
        assert kept["frames"].tolist() == [frame["frame"] for frame in written["frames"]]
        hottest = written["hottest"]
        assert hottest["peak"]["height"] == 1.0
        assert hottest["seconds"] == pytest.approx(heat.seconds[heat.hottest], abs=1e-3)
        assert sum(frame["share_of_heat"] for frame in written["frames"]) == pytest.approx(1, abs=0.01)
        assert drawn.read_bytes().startswith(b"\x89PNG")
    if recipe.input.many_segments:
        _, scores = read_segment_scores(tmp_path / "p.segments.npz", TAXONOMY).of(video.name)
        for heat in made.found:
            chosen = np.isin(np.arange(len(scores)), heat.segments)
            assert scores[chosen, heat.index].min() >= scores[~chosen, heat.index].max(initial=0.0) - 1e-6
            np.testing.assert_allclose(heat.segment_scores, scores[heat.segments, heat.index], atol=1e-6)


class Bright(nn.Module):
    """Class 0 looks for red and class 1 for blue, in images and in clips; with the interface of the networks."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Module()
        net = nn.Module()
        net.stem, net.stem3 = (
            nn.Conv2d(3, 3, 4, 4, groups=3, bias=False),
            nn.Conv3d(3, 3, (1, 4, 4), (1, 4, 4), groups=3),
        )
        for parameter in net.parameters():
            nn.init.ones_(parameter)
        self.backbone.net = net
        self.requires_grad_(False)

    def encode(self, images: Tensor, real: Tensor) -> Tensor:
        stem: Any = self.backbone.net.stem if images.ndim == 4 else self.backbone.net.stem3  # type: ignore[union-attr]
        means = stem(images.float()).relu().flatten(2).mean(-1)[:, [0, 2]]
        return torch.cat([means, torch.zeros(len(images), len(TAXONOMY) - 2)], 1) / 1e4

    def segment_logits(self, images: Tensor, real: Tensor) -> Tensor:
        return self.encode(images, real)

    def aggregate(self, seen: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        return seen.double().sigmoid().mean(0), seen.double().sigmoid()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("super-image", ("input.rows=3", "input.columns=4")),
        ("super-image", ("input.rows=3", "input.columns=4", "input.aspect=2:1", 'input.test_flips=["horizontal"]')),
        ("frame", ()),
        ("video", ("input.frames=16", 'input.test_flips=["vertical"]')),
        ("dense-super-image", ("input.frames=6",)),
    ],
)
def test_the_hottest_point_is_where_and_when_the_class_is(
    name: str, settings: tuple[str, ...], video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Explained(recipe_of(name, *settings), TAXONOMY, Bright(), None, ())  # type: ignore[arg-type]
    monkeypatch.setattr(room, "load_explained", lambda *given: loaded)
    first, second = TAXONOMY.codes[:2]
    made = explain(
        tmp_path, video, out=tmp_path / "out", classes=[first, second], top=4, options=InferenceOptions(device="cpu")
    )
    for heat, begin, box in zip(
        made.found, (RED_SECONDS, BLUE_SECONDS), ((0.75, 0.12, 0.95, 0.4), (0.05, 0.6, 0.27, 0.9)), strict=True
    ):
        assert heat.hottest is not None
        assert begin <= heat.seconds[heat.hottest] < begin + 0.5
        x, y = heat.peaks[heat.hottest]
        assert box[0] < x < box[2]
        assert box[1] < y < box[3]
        outside = (heat.seconds < begin) | (heat.seconds >= begin + 0.5)
        assert heat.heights[outside].max(initial=0.0) < 0.6, "grey is less than colour"


def test_only_the_best_segments_are_read_again_one_by_one(
    video: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    reads: list[int] = []

    def counted(loaded: Any, layer: str, layout: Any, images: Tensor, **rest: Any) -> Tensor:
        sizes.append(len(images))
        return class_maps(loaded, layer, layout, images=images, **rest)

    def read(path: Path, frames: Any, *rest: Any) -> Any:
        reads.append(len(frames))
        return original(path, frames, *rest)

    original = decode.read_frames
    monkeypatch.setattr(room, "class_maps", counted)
    monkeypatch.setattr(room, "read_frames", read)
    made = explain(run, video, out=tmp_path, classes=["CJ"], top=4, options=InferenceOptions(device="cpu"))
    assert sizes == [1, 1, 1, 1]
    assert reads == [1, 1, 1, 1]
    assert len(made.found[0].frames) == 4


def test_nothing_that_speaks_for_a_class_is_said_so(video: Path, tmp_path: Path) -> None:
    def against(network: SegmentClassifier) -> None:
        """Features behind a ReLU, and a class that only counts them down."""
        linear: Any = network.head.linear
        with torch.no_grad():
            linear.weight[1] = -1.0

    recipe = recipe_of("frame", "input.size=64", "model.backbone=test_resnet")
    made = explain(
        make_run(tmp_path / "run", recipe, change=against),
        video,
        out=tmp_path / "out",
        classes=["CJ"],
        options=InferenceOptions(device="cpu"),
    )
    (heat,) = made.found
    assert heat.raw_maximum == 0
    assert not heat.maps.any()
    about = json.loads(made.summary.read_text())["classes"][0]
    assert about["raw_maximum"] == 0
    assert about["hottest"] is None
    assert {frame["peak"] for frame in about["frames"]} == {None}
    assert made.pictures[0].exists()
    assert "no evidence for it in the frames" in next(made.lines())


@pytest.mark.slow
def test_unasked_the_likely_classes_are_explained(video: Path, tmp_path: Path) -> None:
    def sure(network: SegmentClassifier) -> None:
        linear: Any = network.head.linear
        with torch.no_grad():
            linear.bias[:] = -3.0
            linear.bias[4], linear.bias[2] = 2.0, 1.0

    made = explain(
        make_run(tmp_path / "r", recipe_of("frame"), change=sure),
        video,
        out=tmp_path / "o",
        options=InferenceOptions(device="cpu"),
    )
    assert [heat.index for heat in made.found] == [4, 2]
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == sorted(
        [f"{video.stem}.json"]
        + [f"{video.stem}.{TAXONOMY.codes[index]}.{kind}" for index in (4, 2) for kind in ("npz", "png")]
    )
