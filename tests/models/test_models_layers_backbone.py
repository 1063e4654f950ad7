"""Frozen features of several layers: what they are, and that they are never taken for other features."""

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.tiny_recipes import TINY_FROZEN
from urbanpipe.errors import RecipeError
from urbanpipe.learners.features import encoder_digest
from urbanpipe.methods.recipe import load_recipe, shipped_recipes
from urbanpipe.models.bag import BagClassifier
from urbanpipe.models.config import BagHeadConfig, ModelConfig
from urbanpipe.models.layers_backbone import LayersBackbone, feature_map_count

NETWORKS = {"test_efficientnet": 64, "test_resnet": 64, "test_convnext": 64, "test_vit": 160}


def backbone_of(name: str, layers: int) -> LayersBackbone:
    torch.manual_seed(0)
    size = NETWORKS[name]
    made = LayersBackbone(ModelConfig(backbone=name), (size, size), layers)
    assert made.net.training, "made like another backbone"
    return made.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_features_are_mean_and_deviation_of_each_map(name: str) -> None:
    backbone, images = backbone_of(name, 2), torch.randn(3, 3, NETWORKS[name], NETWORKS[name])
    with torch.inference_mode():
        found, maps = backbone.pooled(images), [each.flatten(2).numpy() for each in backbone._maps(images)]
    assert len(maps) == 2
    assert all(each.shape[0] == 3 and each.shape[2] > 1 for each in maps)
    expected = np.concatenate([*(each.mean(2) for each in maps), *(each.std(2) for each in maps)], axis=1)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert found.shape == (3, backbone.pooled_width)


def test_the_maps_of_an_efficientnet_are_those_of_its_last_blocks() -> None:
    backbone, images, kept = backbone_of("test_efficientnet", 3), torch.randn(1, 3, 64, 64), dict[int, Tensor]()
    blocks = list(backbone.net.blocks)
    for number, block in enumerate(blocks):
        block.register_forward_hook(lambda _, __, out, number=number: kept.__setitem__(number, out))
    with torch.inference_mode():
        maps = backbone._maps(images)
    assert [each.shape for each in maps] == [kept[number].shape for number in range(len(blocks) - 3, len(blocks))]
    assert all(torch.equal(each, kept[len(blocks) - 3 + place]) for place, each in enumerate(maps))


def test_a_map_that_is_the_same_everywhere_has_no_deviation_and_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = backbone_of("test_resnet", 1)
    constant = torch.ones(1, backbone.pooled_width // 2, 2, 2, requires_grad=True)
    monkeypatch.setattr(backbone, "_maps", lambda images: [constant])
    found = backbone.pooled(torch.zeros(1))
    mean, deviation = found.chunk(2, dim=1)
    assert (mean == 1).all()
    assert deviation.abs().max() < 1e-5
    (gradient,) = torch.autograd.grad(found.sum(), constant)
    assert gradient.isfinite().all()


def test_half_precision_does_not_lose_the_deviation() -> None:
    """With a mean far from 0, squares in bf16 would cancel."""
    backbone = backbone_of("test_resnet", 1)
    maps = 100 + torch.randn(1, backbone.pooled_width // 2, 8, 8)
    halves = maps.to(torch.bfloat16)
    backbone._maps = lambda images: [halves]  # type: ignore[method-assign]
    found = backbone.pooled(torch.zeros(1))
    assert found.dtype == torch.float32
    expected = halves.float().flatten(2).std(2, correction=0)
    torch.testing.assert_close(found[:, found.shape[1] // 2 :], expected)


def test_more_layers_than_there_are_name_their_number() -> None:
    with pytest.raises(RecipeError, match=r"input.layers = 40: .*1 to 4"):
        backbone_of("test_convnext", 40)


def test_the_number_of_feature_maps_is_known_without_weights() -> None:
    counts = {name: feature_map_count(name) for name in NETWORKS}
    assert counts["test_convnext"] == 4
    assert all(counts.values())
    for name, count in counts.items():
        assert backbone_of(name, count).pooled_width > backbone_of(name, 1).pooled_width


def test_features_of_other_layers_have_another_digest_and_are_not_shared() -> None:
    recipes = [load_recipe("frozen-mobilenetv2", [*TINY_FROZEN, f"input.layers={layers}"]) for layers in (0, 1, 2)]
    networks = []
    for recipe in recipes:
        torch.manual_seed(0)
        networks.append(recipe.network(3))
    states = [network.backbone.state_dict() for network in networks]
    assert all(torch.equal(states[0][key], other[key]) for other in states[1:] for key in states[0])
    cpu = torch.device("cpu")
    digests = {encoder_digest(network, recipe, cpu) for network, recipe in zip(networks, recipes, strict=True)}
    assert len(digests) == 3
    assert not networks[0].shares_encoder(networks[1])
    assert not networks[1].shares_encoder(networks[2])
    other = recipes[2].network(3)
    assert not networks[2].shares_encoder(other), "its random weights differ"
    other.backbone.load_state_dict(states[2])
    assert networks[2].shares_encoder(other)
    assert recipes[0].input.pixels() == recipes[2].input.pixels(), "the frames are the same"


def test_the_head_takes_the_width_of_the_layers() -> None:
    backbone = backbone_of("test_resnet", 2)
    network = BagClassifier(backbone, BagHeadConfig(kind="regression", pooling=("mean", "max")), 3)
    images = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8)
    encoded = network.encode(images, torch.ones(5))
    assert encoded.shape == (5, backbone.pooled_width)
    assert network.head.linear.in_features == 2 * backbone.pooled_width  # type: ignore[union-attr]


def test_the_layers_of_every_shipped_frozen_recipe_exist() -> None:
    for name in shipped_recipes():
        if name.startswith("frozen-"):
            recipe = load_recipe(name)
            assert feature_map_count(recipe.model.backbone) >= 4, name


def test_a_network_of_clips_has_no_layers_for_images() -> None:
    recipe = load_recipe(
        "frozen-mobilenetv2",
        ["model.backbone=swin3d_nano", "model.options={}", "model.weights=random", "input.layers=2"],
    )
    with pytest.raises(RecipeError, match="'swin3d_nano': this input needs an image network"):
        recipe.network(3)
