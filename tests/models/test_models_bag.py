"""The bag method's network: what its heads see, and that its backbone learns nothing."""

import math
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from urbanpipe.learners.config import OptimiserConfig
from urbanpipe.methods.recipe import load_recipe, shipped_recipes
from urbanpipe.models.backbone import Backbone
from urbanpipe.models.bag import PPEG, AttentionLayer, BagClassifier, DecoderHead, TransMILHead
from urbanpipe.models.config import BagHeadConfig, ModelConfig
from urbanpipe.models.pooling_heads import AttentionHead, LogSumExpHead, MultiQueryHead, PoolingHead
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training.optimiser import make_optimiser

Kind = Literal["transmil", "ml-decoder"]
KINDS: tuple[Kind, ...] = ("transmil", "ml-decoder")
FEATURES, CLASSES = 24, 3


def classifier(kind: Kind, backbone: str = "test_resnet") -> BagClassifier:
    torch.manual_seed(0)
    config = BagHeadConfig(kind=kind, width=32, heads=4, dropout=0.0)
    return BagClassifier(Backbone(ModelConfig(backbone=backbone), (32, 32)), config, CLASSES)


def head_of(kind: Kind, features: int = FEATURES, classes: int = CLASSES) -> BagClassifier:
    """A classifier whose backbone is never asked: it takes bags of `features`."""
    model = classifier(kind)
    head = type(model.head)
    model.head = head(features, classes, BagHeadConfig(kind=kind, width=32, heads=4, dropout=0.0))
    return model


def bag_with(event: int | None, frames: int) -> Tensor:
    """Noise, and in the frame `event` a shift of the first features."""
    bag = 0.3 * torch.randn(frames, FEATURES)
    if event is not None:
        bag[event, :4] += 3.0
    return bag


def taught(kind: Kind, steps: int = 150) -> BagClassifier:
    """A head that has learned that class 1 is the event: bags of 12 to 24 frames, half of them with one."""
    model = head_of(kind).train()
    optimiser = torch.optim.AdamW(model.head.parameters(), lr=2e-3)
    torch.manual_seed(1)
    for step in range(steps):
        bags, targets = [], torch.zeros(8, CLASSES)
        for number in range(8):
            frames = 12 + (step * 8 + number) % 13
            bags.append(bag_with(int(torch.randint(frames, ())) if number % 2 else None, frames))
            targets[number, 1] = number % 2
        loss = functional.binary_cross_entropy_with_logits(torch.stack([model(bag) for bag in bags]), targets)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_one_instance_among_twenty_is_found_and_pointed_at(kind: Kind) -> None:
    model = taught(kind)
    torch.manual_seed(7)
    hits, apart = 0, []
    with torch.inference_mode():
        for event in range(20):
            video, frames = model.aggregate(bag_with(event, 20), torch.zeros(20, 2))
            without, _ = model.aggregate(bag_with(None, 20), torch.zeros(20, 2))
            hits += int(frames[:, 1].argmax()) == event
            apart.append(float(video[1] - without[1]))
    assert min(apart) > 0.5, "bags with the event score higher than those without"
    assert hits >= 18, "the frame of highest score is the event's"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frames", [1, 2, 3, 16, 17, 300])
def test_a_bag_of_any_size_gives_scores_of_which_the_highest_is_the_videos(kind: Kind, frames: int) -> None:
    model = head_of(kind).eval()
    with torch.inference_mode():
        video, scores = model.aggregate(torch.randn(frames, FEATURES), torch.zeros(frames, 2))
        assert isinstance(model.head, TransMILHead | DecoderHead)
        attention = model.head.attention(torch.randn(frames, FEATURES))
    assert video.shape == (CLASSES,)
    assert scores.shape == (frames, CLASSES)
    torch.testing.assert_close(scores.amax(0), video)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (attention >= 0).all()
    assert (attention.sum(0) < 1 + 1e-5).all()


POOLING_HEADS = pytest.mark.parametrize("head", ["lse", "attention", "multi-query"], indirect=True)


@pytest.fixture
def head(request: pytest.FixtureRequest) -> PoolingHead:
    """The pooling head of this kind."""
    heads: dict[str, PoolingHead] = {
        "lse": LogSumExpHead(FEATURES, CLASSES, BagHeadConfig(kind="lse")),
        "attention": AttentionHead(FEATURES, CLASSES, BagHeadConfig(kind="attention", width=16)),
        "multi-query": MultiQueryHead(FEATURES, CLASSES, BagHeadConfig(kind="multi-query", width=16, heads=4)),
    }
    return heads[request.param]


@POOLING_HEADS
def test_a_frame_alone_has_the_score_of_a_bag_of_that_frame(head: PoolingHead) -> None:
    bag = torch.randn(7, FEATURES)
    with torch.inference_mode():
        scores = head.eval().frame_scores(bag, head(bag))
        alone = torch.stack([head(frame[None]).sigmoid() for frame in bag])
        again = head(bag.flip(0))
    torch.testing.assert_close(scores.float(), alone)
    torch.testing.assert_close(again, head(bag), msg="the order of frames does not matter")


@pytest.mark.slow
@POOLING_HEADS
def test_pooling_heads_learn_from_the_bag_which_frame_decides(head: PoolingHead) -> None:
    optimiser = torch.optim.AdamW(head.train().parameters(), lr=3e-3)
    torch.manual_seed(1)
    for step in range(200):
        events = [int(torch.randint(12, ())) if number % 2 else None for number in range(8)]
        targets = torch.zeros(8, CLASSES)
        targets[:, 1] = torch.tensor([float(event is not None) for event in events])
        logits = torch.stack([head(bag_with(event, 12 + step % 9)) for event in events])
        optimiser.zero_grad()
        functional.binary_cross_entropy_with_logits(logits, targets).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.inference_mode():
        bags = [bag_with(event, 20) for event in range(20)]
        found = [int(head.eval().frame_scores(bag, head(bag))[:, 1].argmax()) for bag in bags]
        having = torch.stack([head(bag)[1] for bag in bags])
        without = torch.stack([head(bag_with(None, 20))[1] for _ in range(20)])
    assert found == list(range(20))
    assert (having[:, None] > without).float().mean() > 0.95  # the area under the ROC curve


def test_each_query_pools_its_own_channels() -> None:
    head = MultiQueryHead(2, 2, BagHeadConfig(kind="multi-query", width=8, heads=2, dropout=0.0))
    bag = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    with torch.no_grad():
        head.queries[:] = 100.0 * bag  # the first query attends to the first frame, the second one to the other
        values = head.value(bag)
        found = head(bag)
        wanted = head.linear(torch.cat([values[0, :4], values[1, 4:]]))
    torch.testing.assert_close(head.attention(bag), torch.eye(2))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_log_sum_exp_lies_between_mean_and_maximum_of_the_frames() -> None:
    head = LogSumExpHead(2, 2, BagHeadConfig(kind="lse", dropout=0.0))
    torch.nn.init.eye_(head.linear.weight)
    logits = head(torch.tensor([[0.0, 1.0], [6.0, 1.0]]))
    torch.testing.assert_close(logits, torch.tensor([math.log((1 + math.exp(6)) / 2), 1.0]))


def test_the_ml_decoder_head_does_not_mind_the_order_of_frames_and_transmil_does() -> None:
    bag, order = torch.randn(17, FEATURES), torch.randperm(17)
    for kind in KINDS:
        model = head_of(kind).eval()
        with torch.inference_mode():
            (video, frames), (again, moved) = (model.aggregate(each, torch.zeros(17, 2)) for each in (bag, bag[order]))
        if kind == "ml-decoder":
            torch.testing.assert_close(again, video)
            torch.testing.assert_close(moved, frames[order])
        else:
            assert not torch.allclose(again, video, atol=1e-4), "PPEG tells one order from another"


def test_attention_is_exact_and_its_first_row_is_what_is_shown() -> None:
    torch.manual_seed(0)
    layer, x = AttentionLayer(16, 4, 0.0), torch.randn(9, 16)
    q, k, v = layer.to_qkv(layer.norm(x)).chunk(3, dim=1)
    heads = [slice(4 * number, 4 * number + 4) for number in range(4)]
    weights = [torch.softmax(q[:, part] @ k[:, part].T / 2, dim=1) for part in heads]
    attended = torch.cat([weight @ v[:, part] for weight, part in zip(weights, heads, strict=True)], dim=1)
    torch.testing.assert_close(layer(x), x + layer.out(attended))
    torch.testing.assert_close(layer.attention_of_first(x), sum(weights, torch.zeros(9, 9))[0] / 4)


def test_ppeg_is_the_papers() -> None:
    """Identity and three depthwise convolutions over the squared-up frames; the class token passes by."""
    torch.manual_seed(0)
    ppeg, x = PPEG(8), torch.randn(1 + 25, 8)
    found = ppeg(x, 5)
    assert torch.equal(found[0], x[0])
    square = x[1:].reshape(5, 5, 8).permute(2, 0, 1)[None]
    expected = square.clone()
    for convolution, size in zip(ppeg.convolutions, (7, 5, 3), strict=True):
        assert convolution.weight.shape == (8, 1, size, size)
        expected += functional.conv2d(square, convolution.weight, convolution.bias, padding=size // 2, groups=8)  # type: ignore[arg-type]
    torch.testing.assert_close(found[1:].reshape(5, 5, 8).permute(2, 0, 1)[None], expected)


def test_a_square_is_filled_with_the_first_frames_which_gain_nothing_by_it() -> None:
    head = TransMILHead(FEATURES, CLASSES, BagHeadConfig(width=32, heads=4)).eval()
    bag = torch.randn(7, FEATURES)
    with torch.inference_mode():
        stages = head._stages(bag)
        assert [len(tokens) for tokens in stages] == [1 + 9] * 3
        assert torch.equal(stages[0][8:], stages[0][1:3])
        each = [layer.attention_of_first(x) for layer, x in zip(head.layers, stages, strict=False)]  # type: ignore[operator]
        weights = torch.stack(each).mean(0)
        torch.testing.assert_close(head.attention(bag)[:2, 0], (weights[1:3] + weights[8:]) / 2)
        torch.testing.assert_close(head.attention(bag)[2:, 0], weights[3:8])


def test_frames_that_fill_the_square_are_not_looked_at_more_than_others() -> None:
    """Seventeen frames on a square of 25: eight stand there twice."""
    ratios = []
    for seed in range(20):
        torch.manual_seed(seed)
        head = TransMILHead(FEATURES, CLASSES, BagHeadConfig(width=32, heads=4)).eval()
        with torch.inference_mode():
            attention = head.attention(torch.randn(17, FEATURES))[:, 0]
        ratios.append(float(attention[:8].mean() / attention[8:].mean()))
    assert 0.9 < sum(ratios) / len(ratios) < 1.1


@pytest.mark.parametrize("kind", KINDS)
def test_the_backbone_has_no_gradients_no_place_in_the_optimiser_and_never_trains(kind: Kind) -> None:
    model = classifier(kind).train()
    assert model.head.training
    assert not any(module.training for module in model.backbone.modules())
    optimised = {
        id(p) for group in make_optimiser(model, OptimiserConfig(), False).param_groups for p in group["params"]
    }
    assert not optimised & {id(p) for p in model.backbone.parameters()}
    assert optimised == {id(p) for p in model.head.parameters()}
    before = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    images = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    seen = model.encode(images, torch.ones(6))
    model(seen).sum().backward()
    assert all(p.grad is None for p in model.backbone.parameters())
    assert all(p.grad is not None for p in model.head.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.backbone.state_dict().items())
    torch.testing.assert_close(seen, model.backbone.pooled(model.normalise(images)))


def test_the_reports_bag_rows_are_the_reports() -> None:
    rows = {name: recipe for name, recipe in shipped_recipes().items() if name.startswith("bag-")}
    assert {
        (recipe.model.weights, recipe.model.backbone.split(".")[0], recipe.input.model_dump()["head"]["kind"])
        for recipe in rows.values()
    } == {
        (weights, backbone, kind)
        for weights, backbone in (("simclr", "resnet50"), ("mae", "vit_base_patch16_224"), ("hub", "resnet50"))
        for kind in KINDS
    }
    for recipe in rows.values():
        assert recipe.input.many_segments


def test_a_transformer_gives_the_mean_of_its_patches_in_the_mae_recipes() -> None:
    recipe = load_recipe("bag-mae-transmil", ["model.backbone=test_vit", "input.size=160"])
    model = recipe.network(len(default_taxonomy())).eval()
    assert isinstance(model, BagClassifier)
    images = torch.randint(0, 256, (2, 3, 160, 160), dtype=torch.uint8)
    tokens = model.backbone.tokens(model.normalise(images))
    torch.testing.assert_close(model.encode(images, torch.ones(2)), tokens[:, 1:].mean(1))
