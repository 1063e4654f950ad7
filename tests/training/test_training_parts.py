import errno
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data._utils import pin_memory as torch_pin

from urbanpipe.errors import OutputError, RunError
from urbanpipe.inputs.batches import Batch, Sample
from urbanpipe.inputs.loading import _collate_shared, evaluation_batches, training_batches
from urbanpipe.inputs.reading import SegmentInputs
from urbanpipe.learners.config import LossConfig, OptimiserConfig
from urbanpipe.learners.feature_memory import FeatureMemory
from urbanpipe.learners.losses import make_loss, positive_weights, weighted_bce
from urbanpipe.learners.state import State
from urbanpipe.models.classifier import SegmentClassifier, image_classifier
from urbanpipe.models.config import DenseHeadConfig, ModelConfig
from urbanpipe.models.dense import VideoHead
from urbanpipe.models.device import processors_left
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.training.log import peak_memory_mib
from urbanpipe.training.optimiser import cosine_factor, make_optimiser, make_schedule, parameter_groups, step_scaled


@given(
    videos=st.integers(1, 60),
    batch_size=st.integers(1, 5),
    accumulation=st.integers(1, 3),
    processes=st.integers(1, 4),
    epoch=st.integers(0, 3),
)
def test_processes_share_the_videos_of_one_processs_steps(
    videos: int, batch_size: int, accumulation: int, processes: int, epoch: int
) -> None:
    alone = training_batches(
        videos, batch_size, accumulation=accumulation * processes, processes=1, rank=0, seed=7, epoch=epoch
    )
    together = [
        training_batches(
            videos, batch_size, accumulation=accumulation, processes=processes, rank=r, seed=7, epoch=epoch
        )
        for r in range(processes)
    ]
    steps = len(alone) // (accumulation * processes)
    for step in range(steps):
        one = [key for batch in alone[step * accumulation * processes :][: accumulation * processes] for key in batch]
        many = [key for mine in together for batch in mine[step * accumulation :][:accumulation] for key in batch]
        assert Counter(one) == Counter(many)
    seen = Counter(index for batch in alone for _, index in batch)
    assert sum(seen.values()) == steps * batch_size * accumulation * processes
    assert max(seen.values()) == 1 or steps == 1


def test_epochs_have_their_own_order() -> None:
    orders = [training_batches(30, 30, accumulation=1, processes=1, rank=0, seed=0, epoch=epoch)[0] for epoch in (0, 1)]
    assert [index for _, index in orders[0]] != [index for _, index in orders[1]]


@given(
    segments=st.lists(st.integers(1, 9), min_size=1, max_size=20),
    batch_size=st.integers(1, 7),
    processes=st.integers(1, 4),
)
def test_evaluation_sees_every_segment_once_in_order(segments: list[int], batch_size: int, processes: int) -> None:
    seen: dict[int, list[int]] = {}
    for rank in range(processes):
        for batch in evaluation_batches(segments, batch_size, processes, rank):
            assert sum(end - begin for _, begin, end in batch) <= batch_size
            for index, begin, end in batch:
                assert index % processes == rank
                seen.setdefault(index, []).extend(range(begin, end))
    assert seen == {index: list(range(count)) for index, count in enumerate(segments)}


def test_asymmetric_loss_by_hand() -> None:
    logits, targets = torch.tensor([[0.3, -1.2]]), torch.tensor([[1.0, 0.0]])
    p = torch.sigmoid(logits)[0]
    shifted = max(float(p[1]) - 0.05, 0.0)
    expected = -(1 - p[0]) * torch.log(p[0]) - shifted**4 * np.log(1 - shifted)
    loss = make_loss(LossConfig(), targets)(logits, targets)
    torch.testing.assert_close(loss, expected)


def test_bce_and_focal_against_torch() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(5, 3), (torch.rand(5, 3) > 0.5).float()
    expected = functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / 5
    torch.testing.assert_close(make_loss(LossConfig(name="bce"), targets)(logits, targets), expected)
    p = logits.sigmoid()
    wrong = torch.where(targets > 0, 1 - p, p)
    focal = (wrong**2 * -(1 - wrong).log()).sum() / 5
    torch.testing.assert_close(make_loss(LossConfig(name="focal"), targets)(logits, targets), focal)


def test_class_weights_favour_the_rare_and_are_bounded() -> None:
    targets = torch.zeros(1000, 4)
    targets[:500, 0] = 1
    targets[:100, 1] = 1
    targets[:1, 2] = 1
    assert positive_weights(targets).tolist() == [1.0, 3.0, 10.0, 1.0]
    logits = torch.zeros(1000, 4)
    weighted = make_loss(LossConfig(name="bce", class_weights=True), targets)(logits, targets)
    assert weighted > make_loss(LossConfig(name="bce"), targets)(logits, targets)
    torch.testing.assert_close(weighted, weighted_bce(logits, targets, positive_weights(targets)))


def model() -> SegmentClassifier:
    return image_classifier(ModelConfig(backbone="test_convnext"), (32, 32), 3)


@pytest.mark.parametrize("decay", [0.3, 0.0])
def test_no_decay_on_norms_and_biases_and_less_rate_in_the_backbone(decay: float) -> None:
    config = OptimiserConfig(learning_rate=0.1, backbone_lr_scale=0.5, layer_decay=0.5, weight_decay=decay)
    net = model()
    groups = parameter_groups(net, config)
    names = {id(p): name for name, p in net.named_parameters()}
    by_name = {names[id(p)]: group for group in groups for p in group["params"]}
    assert by_name.keys() == set(names.values()), "every parameter is in a group"
    for name, group in by_name.items():
        vector = dict(net.named_parameters())[name].ndim <= 1
        assert group["weight_decay"] == (0 if vector else decay)
        assert group["lr"] <= (0.1 if name.startswith("head") else 0.05)
    assert by_name["head.linear.weight"]["lr"] == 0.1
    assert by_name["backbone.net.stem.0.weight"]["lr"] < by_name["backbone.net.stages.3.blocks.0.mlp.fc1.weight"]["lr"]


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
def test_the_rate_peaks_at_the_end_of_the_warm_up_and_ends_near_zero(schedule: str) -> None:
    config = OptimiserConfig.model_validate({"learning_rate": 0.1, "warmup_epochs": 3, "schedule": schedule})
    optimiser = make_optimiser(model(), config, on_gpu=False)
    steps = make_schedule(optimiser, config, epochs=10, steps_per_epoch=20)
    rates = []
    for _ in range(200):
        rates.append(optimiser.param_groups[-1]["lr"])
        optimiser.step()
        steps.step() if len(rates) < 200 else None
    assert max(rates) == pytest.approx(0.1, rel=0.02)
    assert abs(int(np.argmax(rates)) - 60) <= 2
    assert rates[0] < 0.02
    assert rates[-1] < 0.001


def test_cosine_without_warm_up_starts_at_the_top() -> None:
    assert cosine_factor(0, 0, 10) == 1
    assert cosine_factor(10, 0, 10) == pytest.approx(0)


@pytest.mark.parametrize(
    ("processors", "loading", "threads"), [(2, 1, 2), (4, 3, 3), (16, 8, 12), (1, 1, 1), (3, 7, 1)]
)
def test_a_processor_is_left_to_every_two_loading_processes(
    monkeypatch: pytest.MonkeyPatch, processors: int, loading: int, threads: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(processors)
    try:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        with processors_left(torch.device("cpu"), loading):
            assert torch.get_num_threads() == threads
        monkeypatch.setenv("OMP_NUM_THREADS", str(processors))
        with processors_left(torch.device("cpu"), loading):
            assert torch.get_num_threads() == processors
        assert torch.get_num_threads() == processors
    finally:
        torch.set_num_threads(before)


def test_a_batch_is_pinned_whole_for_copies_to_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.Tensor] = []

    def pin(self: torch.Tensor, *_: object) -> torch.Tensor:
        pinned.append(self)
        return self

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    segments = SegmentInputs(np.zeros((2, 3, 4, 4), np.uint8), np.arange(2), np.ones(2, int), np.zeros((2, 2)))
    images, batch = torch_pin.pin_memory(_collate_shared([Sample(3, segments)]))  # type: ignore[no-untyped-call]
    assert isinstance(batch, Batch)
    assert batch.samples == [3]
    assert any(tensor is images for tensor in pinned)
    assert images.shape == (2, 3, 4, 4)


def test_a_state_of_another_version_is_named(tmp_path: Path) -> None:
    state = State(model(), None, *_optimised())
    torch.save({"processes": 1, "model": {}}, tmp_path / "last.pt")
    with pytest.raises(RunError, match="saved by another version; delete it"):
        state.load(tmp_path / "last.pt", DistributedContext(0, 1, torch.device("cpu")))


def _optimised() -> tuple[AdamW, LRScheduler, torch.amp.GradScaler]:
    optimiser = make_optimiser(model(), OptimiserConfig(), on_gpu=False)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return optimiser, make_schedule(optimiser, OptimiserConfig(), 2, 5), scaler


def test_no_room_for_a_memory_is_said_before_it_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hole in a mapped file that the disk cannot fill would end the process without a word."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutputError, match="the disk is full"):
        FeatureMemory(tmp_path / "m", [2, 3], 4, "one")


def test_evaluating_a_long_video_needs_no_memory_for_clips_squared() -> None:
    head = VideoHead(DenseHeadConfig(width=16, layers=1, heads=4), 3).eval()
    clips = 6000
    before = peak_memory_mib(torch.device("cpu"))
    with torch.inference_mode():
        head(torch.randn(clips, 16), torch.arange(clips) / 10)
    squared_mib = 4 * clips * clips * 4 / 2**20
    assert peak_memory_mib(torch.device("cpu")) - before < squared_mib / 3


def test_a_step_that_the_scaler_skips_moves_neither_weights_nor_schedule() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimiser = torch.optim.AdamW([weight], lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.5**step)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    for gradient, rate in ((float("inf"), 0.1), (1.0, 0.05)):
        scaler.scale((weight * gradient).sum()).backward()  # type: ignore[no-untyped-call]
        step_scaled(scaler, optimiser, schedule)
        assert optimiser.param_groups[0]["lr"] == pytest.approx(rate)
        assert bool((weight == 1).all()) == (gradient != 1.0)
