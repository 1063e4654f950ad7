"""The maps themselves: against CAM, against networks of which the answer is known, and on every kind of layer."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, relu

from urbanpipe.errors import RunError
from urbanpipe.explain.grad_cam import grad_cam
from urbanpipe.models.backbone import Backbone
from urbanpipe.models.classifier import SegmentClassifier
from urbanpipe.models.config import ModelConfig
from urbanpipe.models.heads import LinearHead
from urbanpipe.models.layers import Layout, choose_layer, early_layers, layout_of, recorded
from urbanpipe.models.video import VideoBackbone


@pytest.mark.parametrize("space", [(5, 7), (3, 5, 7)], ids=["image", "clip"])
def test_of_a_linear_layer_over_the_mean_it_is_cam(space: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    activations = torch.randn(2, 6, *space, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(6, dtype=torch.float64)
    score = (activations.flatten(2).mean(-1) @ weights).sum()
    (gradients,) = torch.autograd.grad(score, activations)
    cam = relu(torch.einsum("nc...,c->n...", activations, weights))
    places = cam[0].numel()
    assert cam.any()
    assert not cam.all(), "what speaks against the class is cut off"
    torch.testing.assert_close(grad_cam(activations, gradients), cam / places)


def test_the_sum_of_the_map_before_it_is_cut_off_is_the_logit() -> None:
    torch.manual_seed(0)
    activations = torch.rand(1, 4, 3, 3, requires_grad=True)
    weights = torch.rand(4)
    score = (activations.mean((2, 3)) @ weights).sum()
    (gradients,) = torch.autograd.grad(score, activations)
    torch.testing.assert_close(grad_cam(activations, gradients).sum(), score.detach())


def test_recording_survives_a_change_in_place_and_leaves_the_result_alone() -> None:
    torch.manual_seed(0)
    first, after = nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(inplace=True), nn.Flatten())
    images = torch.randn(1, 3, 6, 6)
    expected = first(images)
    with recorded(first) as kept:
        found = after(first(images))
    torch.testing.assert_close(kept[0], expected)
    assert kept[0].min() < 0
    torch.testing.assert_close(found, relu(expected).flatten(1))
    (gradient,) = torch.autograd.grad(found.sum(), kept)
    assert torch.equal(gradient, (expected > 0).float())
    with torch.no_grad():
        first(images)
    assert len(kept) == 1, "the hook is gone after the block"


class Convolutions(nn.Module):
    """Looks for bright places of one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 4, stride=4, groups=3, bias=False)
        nn.init.ones_(self.stem.weight)
        self.act = nn.ReLU(inplace=True)

    def features(self, images: Tensor) -> Tensor:
        return self.act(self.stem(images)).mean((2, 3))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """A transformer of one block that classifies its class token, which attends to all places alike."""

    num_prefix_tokens = 1

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 4, stride=4, groups=3, bias=False)
        nn.init.ones_(self.stem.weight)
        self.norm1, self.values, self.block = nn.Dropout(0.0), nn.Linear(3, 3, bias=False), nn.Dropout(0.0)
        nn.init.eye_(self.values.weight)

    def features(self, images: Tensor) -> Tensor:
        places = self.stem(images).flatten(2).transpose(1, 2)
        tokens = self.norm1(torch.cat([torch.zeros(len(places), 1, 3), places], 1))
        attended = self.values(tokens).mean(1, keepdim=True).expand_as(tokens)
        return self.block(tokens + attended)[:, 0]  # type: ignore[no-any-return]


class Fixed(nn.Module):
    """A classifier whose class 0 is the first channel and class 1 the second, with the interface of the networks."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.net = net
        self.requires_grad_(False)

    def encode(self, images: Tensor, real: Tensor) -> Tensor:
        return self.backbone.net.features(images.float())[:, :2]  # type: ignore[no-any-return, operator, union-attr]

    def segment_logits(self, images: Tensor, real: Tensor) -> Tensor:
        return self.encode(images, real)


@pytest.mark.parametrize(("net", "layer"), [(Convolutions, "act"), (Attention, "values")])
def test_the_peak_is_in_the_only_region_that_matters(net: Callable[[], nn.Module], layer: str) -> None:
    network: Any = Fixed(net())
    images = torch.zeros(1, 3, 32, 48)
    images[0, 0, 8:16, 36:44] = 200.0  # what class 0 looks for
    images[0, 1, 20:28, 4:12] = 250.0  # brighter, but class 1 looks for it
    layout = layout_of(network.backbone.net, (32, 48))
    assert choose_layer(network, layout, torch.rand(1, 3, 32, 48) + 0.1, None) == layer
    for index, region in ((0, (slice(2, 4), slice(9, 11))), (1, (slice(5, 7), slice(1, 3)))):
        with recorded(network.backbone.net.get_submodule(layer)) as kept:
            score = network.encode(images, torch.ones(1))[0, index]
        (gradient,) = torch.autograd.grad(score, kept)
        activations, gradients = layout.maps(kept[0].detach()), layout.maps(gradient)
        assert activations is not None
        assert gradients is not None
        found = grad_cam(activations, gradients)[0]
        assert found.shape == (8, 12)
        expected = torch.zeros(8, 12)
        expected[region] = found.max()
        assert found.max() > 0
        torch.testing.assert_close(found, expected)


def test_a_class_token_s_last_layer_is_not_taken_and_is_refused() -> None:
    network: Any = Fixed(Attention())
    image, layout = torch.rand(1, 3, 32, 48), layout_of(network.backbone.net, (32, 48))
    with pytest.raises(RunError, match=r"the output \(1, 97, 3\) of layer 'block' is not a feature map"):
        choose_layer(network, layout, image, "block")


IMAGE = Layout((32, 48), extra_tokens=1)
CLIP = Layout((8, 32, 48), moments=4, extra_tokens=1)


@pytest.mark.parametrize(
    ("layout", "shape", "expected"),
    [
        (IMAGE, (2, 5, 4, 6), (2, 5, 4, 6)),  # channels first
        (IMAGE, (2, 4, 6, 5), (2, 5, 4, 6)),  # channels last
        (IMAGE, (2, 24, 5), (2, 5, 4, 6)),  # tokens
        (IMAGE, (2, 25, 5), (2, 5, 4, 6)),  # and a class token
        (IMAGE, (2, 5, 1, 1), None),  # pooled
        (IMAGE, (2, 5), None),
        (IMAGE, (2, 5, 64, 96), None),  # larger than the input
        (IMAGE, (2, 14, 5), None),  # 14 or 13 places make no grid of these proportions
        (CLIP, (2, 5, 4, 2, 3), (2, 5, 4, 2, 3)),
        (CLIP, (2, 4, 2, 3, 5), (2, 5, 4, 2, 3)),
        (CLIP, (2, 25, 5), (2, 5, 4, 2, 3)),
        (CLIP, (2, 5, 4, 6), None),
        (Layout((32, 32)), (2, 16, 16, 16), (2, 16, 16, 16)),
    ],
)
def test_layouts(layout: Layout, shape: tuple[int, ...], expected: tuple[int, ...] | None) -> None:
    found = layout.maps(torch.zeros(shape))
    assert (None if found is None else tuple(found.shape)) == expected


def test_where_shapes_do_not_tell_the_backbone_does() -> None:
    output = torch.rand(1, 4, 4, 4)
    assert torch.equal(Layout((32, 32)).maps(output), output)  # type: ignore[arg-type]
    last = Layout((32, 32), channels_last=True).maps(output)
    assert torch.equal(last, output.movedim(-1, 1))  # type: ignore[arg-type]


def test_tokens_go_row_by_row_after_the_class_token() -> None:
    tokens = torch.arange(25.0).reshape(1, 25, 1)
    found = IMAGE.maps(tokens)
    assert found is not None
    assert torch.equal(found[0, 0], torch.arange(1.0, 25.0).reshape(4, 6))
    in_time = CLIP.maps(tokens)
    assert in_time is not None
    assert in_time[0, 0, 1].tolist() == [[7, 8, 9], [10, 11, 12]]


def classifier(name: str, options: dict[str, Any], size: tuple[int, int], head: str = "linear") -> SegmentClassifier:
    torch.manual_seed(0)
    config = ModelConfig(backbone=name, options=options, head=head, decoder_width=16, decoder_heads=2)
    network = SegmentClassifier(config, Backbone(config, size), 3)
    network.eval().requires_grad_(False)
    return network


SWIN = {"embed_dim": 8, "depths": (1, 1), "num_heads": (2, 2), "window_size": 4}
VIT = {"embed_dim": 16, "depth": 3, "num_heads": 2}


def grid_of(network: SegmentClassifier, layout: Layout, layer: str, images: Tensor) -> tuple[int, ...]:
    with recorded(network.backbone.net.get_submodule(layer)) as kept:
        network.encode(images, torch.ones(1))
    maps = layout.maps(kept[0])
    assert maps is not None
    return tuple(maps.shape[2:])


@pytest.mark.parametrize(
    ("name", "options", "head", "layer", "grid"),
    [
        ("test_resnet", {}, "linear", "layer4", (7, 9)),
        ("test_convnext", {}, "linear", "stages", (7, 9)),
        ("test_efficientnet", {}, "linear", "bn2", (7, 9)),
        ("test_nfnet", {}, "linear", "final_act", (7, 9)),
        ("test_byobnet", {}, "linear", "stages", (7, 9)),
        ("mobilenetv3_small_050", {}, "linear", "blocks", (7, 9)),
        ("swin_tiny_patch4_window7_224", SWIN, "linear", "norm", (28, 36)),
        ("vit_tiny_patch16_224", VIT, "linear", "blocks.1", (14, 18)),
        ("vit_tiny_patch16_224", VIT, "ml-decoder", "norm", (14, 18)),
    ],
)
def test_the_layer_of_each_kind_of_backbone(
    name: str, options: dict[str, Any], head: str, layer: str, grid: tuple[int, int]
) -> None:
    """Inputs of 224 x 288 px, so that height and width cannot be mistaken for each other."""
    network = classifier(name, options, (288, 224), head)
    images = torch.randint(256, (1, 3, 224, 288), dtype=torch.uint8)
    layout = layout_of(network.backbone.net, (224, 288))
    assert choose_layer(network, layout, images, None) == layer
    assert grid_of(network, layout, layer, images) == grid


@pytest.mark.parametrize(
    ("name", "options", "layers"),
    [
        ("test_resnet", {}, ["act1", "layer1", "layer2"]),
        ("test_convnext", {}, ["stages.0", "stages.1"]),
        ("test_nfnet", {}, ["stem.conv3", "stages.0", "stages.1"]),
        ("mobilenetv3_small_050", {}, ["bn1", "blocks.0", "blocks.1"]),
        ("swin_tiny_patch4_window7_224", SWIN, ["layers.0", "layers.1"]),
        ("vit_tiny_patch16_224", VIT, ["blocks.0", "blocks.1"]),  # no map is fine
        ("hiera_tiny_224", {"embed_dim": 16, "stages": (1, 1, 1, 1)}, ["patch_embed.proj"]),  # only that one has a map
    ],
)
def test_the_early_layers_of_each_kind_of_backbone(name: str, options: dict[str, Any], layers: list[str]) -> None:
    network = classifier(name, options, (224, 224))
    image = torch.randint(256, (1, 3, 224, 224), dtype=torch.uint8)
    assert early_layers(network, layout_of(network.backbone.net, (224, 224)), image) == layers


@pytest.mark.parametrize(
    ("name", "size", "tiles", "layer", "grid"),
    [
        ("test_resnet", (64, 64), (1, 1), "layer2", (8, 8)),
        ("test_resnet", (64, 96), (1, 1), "layer2", (8, 12)),
        ("test_resnet", (192, 192), (3, 3), "layer2", (24, 24)),
        ("test_resnet", (128, 256), (2, 4), "layer2", (16, 32)),
        ("test_resnet", (96, 96), (1, 1), "layer3", (6, 6)),
        ("vit_tiny_patch16_224", (64, 96), (1, 1), "blocks.1", (4, 6)),  # no map is fine enough
    ],
)
def test_of_small_frames_a_finer_layer_is_taken(
    name: str, size: tuple[int, int], tiles: tuple[int, int], layer: str, grid: tuple[int, int]
) -> None:
    network = classifier(name, VIT if "vit" in name else {}, size[::-1])
    images = torch.randint(256, (1, 3, *size), dtype=torch.uint8)
    layout = layout_of(network.backbone.net, size)
    found = choose_layer(network, layout, images, None, tiles)
    assert (found, grid_of(network, layout, found, images)) == (layer, grid)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "layer", "grid"),
    [
        ("swin3d_nano", (4, 64, 96), "features.2.1", (2, 8, 12)),
        ("swin3d_nano", (4, 224, 256), "norm", (2, 7, 8)),
        ("mvit_v2_s", (4, 64, 96), "blocks.2", (2, 8, 12)),
    ],
)
def test_the_layer_of_video_networks(name: str, size: tuple[int, int, int], layer: str, grid: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    config = ModelConfig(backbone=name)
    network = SegmentClassifier(config, VideoBackbone(config, (size[2], size[1]), size[0]), 3)
    network.eval().requires_grad_(False)
    layout = layout_of(network.backbone.net, size)
    clip = torch.randint(256, (1, 3, *size), dtype=torch.uint8)
    assert early_layers(network, layout, clip) == (["features.1"] if "swin" in name else ["blocks.0", "blocks.1"])
    assert choose_layer(network, layout, clip, None) == layer
    assert grid_of(network, layout, layer, clip) == grid


def test_the_whole_way_through_a_timm_network_is_cam() -> None:
    """Swin ends in norm, mean, linear: its Grad-CAM is what the head's weights make of the norm's output."""
    network = classifier("swin_tiny_patch4_window7_224", SWIN, (128, 96))
    assert isinstance(network.head, LinearHead)
    images = torch.randint(256, (1, 3, 96, 128), dtype=torch.uint8)
    net: Any = network.backbone.net
    layout = layout_of(net, (96, 128))
    with recorded(net.norm) as kept:
        score = network.encode(images, torch.ones(1))[0, 1]
    (gradient,) = torch.autograd.grad(score, kept)
    found = grad_cam(layout.maps(kept[0].detach()), layout.maps(gradient))[0]  # type: ignore[arg-type]
    before = net.layers(net.patch_embed(network.normalise(images)))
    normed = layer_norm(before, before.shape[-1:], net.norm.weight, net.norm.bias)
    expected = relu(normed[0] @ network.head.linear.weight[1]) / (12 * 16)
    assert expected.any()
    torch.testing.assert_close(found, expected)


def test_a_layer_that_sees_windows_one_by_one_has_no_map_of_the_picture() -> None:
    options = {"embed_dim": 8, "depths": (2, 2), "num_heads": (2, 2), "window_size": 7}
    network = classifier("swin_tiny_patch4_window7_224", options, (112, 112))
    layout = layout_of(network.backbone.net, (112, 112))
    image = torch.randint(256, (1, 3, 112, 112), dtype=torch.uint8)
    with pytest.raises(RunError, match=r"\(16, 49, 8\) of layer 'layers.0.blocks.0.attn' is not a feature map"):
        choose_layer(network, layout, image, "layers.0.blocks.0.attn")
    assert choose_layer(network, layout, image, "layers.0.blocks.0") == "layers.0.blocks.0"


def test_tokens_in_an_order_of_their_own_are_not_taken_for_a_map() -> None:
    """Hiera's lie mask unit by mask unit."""
    network = classifier("hiera_tiny_224", {"embed_dim": 16, "stages": (1, 1, 1, 1)}, (224, 224))
    layout = layout_of(network.backbone.net, (224, 224))
    image = torch.randint(256, (1, 3, 224, 224), dtype=torch.uint8)
    with pytest.raises(RunError, match="is not a feature map"):
        choose_layer(network, layout, image, "blocks.1")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("layer5", "no layer 'layer5'; similar names: layer4"),
        ("zzzzzz", "no layer 'zzzzzz'; its first layers are conv1"),
        ("global_pool", r"the output \(1, \d+\) of layer 'global_pool' is not a feature map"),
    ],
)
def test_layers_that_cannot_be_taken(wanted: str, message: str) -> None:
    network = classifier("test_resnet", {}, (64, 64))
    layout = layout_of(network.backbone.net, (64, 64))
    with pytest.raises(RunError, match=message) as caught:
        choose_layer(network, layout, torch.zeros(1, 3, 64, 64, dtype=torch.uint8), wanted)
    assert "\n" not in str(caught.value)
