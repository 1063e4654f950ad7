"""The pretrained networks beyond the report: their pooled features, sizes and recipes."""

import re
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor

from urbanpipe.errors import RecipeError, WeightsError
from urbanpipe.methods.recipe import Recipe, load_recipe, shipped_recipes
from urbanpipe.models.backbone import Backbone
from urbanpipe.models.config import ModelConfig
from urbanpipe.models.weights import load_weights

FAMILIES = ("dinov2", "dinov3", "siglip2", "eva02", "convnextv2", "hiera")
RECIPES = {name: recipe for name, recipe in shipped_recipes().items() if name.endswith(FAMILIES)}
PAGE = Path(__file__).parents[2] / "docs" / "methods.md"
TABLE = re.findall(r"^\| `(frozen-\w+)` \| `([\w.]+)` \| (\d+) \| (\d+) \| (\S+) \|$", PAGE.read_text(), re.MULTILINE)

VIT: dict[str, int | list[int]] = {"embed_dim": 32, "depth": 1, "num_heads": 2}
TINY: dict[str, dict[str, int | list[int]]] = {  # a block or a few of each network
    "vit_base_patch14_reg4_dinov2": VIT,
    "vit_base_patch16_dinov3": VIT,
    "vit_base_patch16_siglip_256": VIT,
    "eva02_base_patch14_448": VIT,
    "convnextv2_base": {"dims": [8, 8, 16, 32], "depths": [1, 1, 1, 1]},
    "hiera_base_224": {"embed_dim": 8, "num_heads": 1, "stages": [1, 1, 1, 1]},
    "hiera_small_abswin_256": {"embed_dim": 8, "num_heads": 1, "stages": [1, 1, 1, 1]},
}


def tiny(name: str, side: int) -> Backbone:
    torch.manual_seed(0)
    backbone = Backbone(ModelConfig.model_validate({"backbone": name, "options": TINY[name]}), (side, side))
    with torch.no_grad():
        for parameter in backbone.parameters():  # some start at zero or one, which would hide a missing norm
            parameter.add_(0.3 * torch.randn_like(parameter))
    return backbone.eval()


def expected_pooling(backbone: Backbone, tokens: Tensor, name: str) -> Tensor:
    """Pool tokens as the network was pretrained, by its paper."""
    net = backbone.net
    if "dinov2" in name:
        return tokens[:, 0]
    if "siglip" in name:
        return net.attn_pool(tokens)  # type: ignore[no-any-return]
    if "dinov3" in name:
        return tokens[:, 5:].mean(1)
    return (net.fc_norm(tokens[:, 1:].mean(1)) if "eva02" in name else net.head.norm(tokens.mean(1))).detach()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", [name for name in TINY if "convnext" not in name])
def test_features_are_pooled_as_in_pretraining(name: str) -> None:
    backbone, images = tiny(name, 224), torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        pooled, tokens = backbone.pooled(images), backbone.tokens(images)
        assert pooled.shape == (2, backbone.pooled_width)
        assert tokens.shape[2] == backbone.token_width
        torch.testing.assert_close(pooled, expected_pooling(backbone, tokens, name))


def test_features_of_convnext_v2_are_the_normed_mean_of_its_map() -> None:
    backbone, images = tiny("convnextv2_base", 64), torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        pooled, tokens = backbone.pooled(images), backbone.tokens(images)
        assert tokens.shape == (2, 4, 32)
        torch.testing.assert_close(pooled, backbone.net.head.norm(tokens.mean(1)[:, :, None, None]).flatten(1))


@pytest.mark.parametrize("name", ["hiera_base_224", "hiera_small_abswin_256"])
def test_tokens_of_hiera_are_in_rows(name: str) -> None:
    backbone, images = tiny(name, 224), torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        last = backbone.net.forward_intermediates(images, intermediates_only=True)[-1]
        torch.testing.assert_close(backbone.tokens(images), last.flatten(2).transpose(1, 2))


@pytest.mark.parametrize(("name", "step"), [(name, 32 if "hiera" in name else 14) for name in TINY if "16" not in name])
def test_an_input_that_patches_do_not_fill_is_refused(name: str, step: int) -> None:
    if name.startswith("convnext"):
        assert tiny(name, 225).pooled(torch.randn(1, 3, 225, 225)).isfinite().all(), "it has no patches"
        return
    with pytest.raises(RecipeError, match=rf"must be multiples of {step} px, and are 225 x 225; change input\.size"):
        tiny(name, 225)


@pytest.mark.parametrize("name", [name for name in TINY if name != "hiera_base_224"])
def test_weights_of_the_native_size_fit_another_size(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    native = timm.get_pretrained_cfg(name).input_size[1]
    published = tiny(name, native).net.state_dict()
    monkeypatch.setattr(Backbone, "fetch", lambda *_: dict(published))
    backbone = tiny(name, 224 if native != 224 else 256)
    report = load_weights(backbone, name, "hub")
    assert (report.share, report.missing, report.unused, report.mismatched) == (1.0, (), (), ())


def test_hiera_with_a_position_table_takes_weights_at_its_own_size_only(monkeypatch: pytest.MonkeyPatch) -> None:
    published = tiny("hiera_base_224", 224).net.state_dict()
    monkeypatch.setattr(Backbone, "fetch", lambda *_: dict(published))
    assert load_weights(tiny("hiera_base_224", 224), "hiera_base_224", "hub").share == 1
    with pytest.raises(WeightsError, match="give the input the size that the network was pretrained on"):
        load_weights(tiny("hiera_base_224", 256), "hiera_base_224", "hub")


def test_there_is_a_frozen_and_a_super_image_recipe_of_each_with_pretrained_weights() -> None:
    assert set(RECIPES) == {f"{method}-{family}" for method in ("frozen", "super-image") for family in FAMILIES}
    for recipe in RECIPES.values():
        assert recipe.model.weights == "hub"
        assert recipe.model.backbone in timm.list_pretrained()
        assert recipe.training.precision == "auto"


def test_the_documented_sizes_are_those_of_pretraining() -> None:
    assert {recipe for recipe, *_ in TABLE} == {name for name in RECIPES if name.startswith("frozen-")}
    for recipe, backbone, size, _, licence in TABLE:
        assert backbone in timm.list_pretrained(), recipe
        published = timm.get_pretrained_cfg(backbone)
        assert (published.input_size[1], published.license) == (int(size), licence)


def test_every_frozen_recipe_is_in_its_table() -> None:
    documented = {(recipe, backbone, int(size)) for recipe, backbone, size, *_ in TABLE}
    for name, recipe in RECIPES.items():
        if name.startswith("frozen-"):
            assert (name, recipe.model.backbone, recipe.input.image_size[0]) in documented


@pytest.mark.slow
@pytest.mark.parametrize("layers", [0, 4])
@pytest.mark.parametrize(("name", "backbone", "size", "millions"), [row[:4] for row in TABLE])
def test_the_documented_networks_build(name: str, backbone: str, size: str, millions: str, layers: int) -> None:
    recipe: Recipe = load_recipe(name, [f"model.backbone={backbone}", f"input.size={size}", f"input.layers={layers}"])
    with torch.device("meta"):
        network = recipe.network(17)
        seen = network.encode(torch.empty(1, 3, int(size), int(size)), torch.full((1,), 1))
    assert seen.shape == (1, network.backbone.pooled_width)
    values = sum(parameter.numel() for parameter in network.backbone.parameters())
    assert round(values / 1e6) == int(millions)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backbone"), [row[:2] for row in TABLE])
def test_the_documented_networks_build_for_super_images(name: str, backbone: str) -> None:
    recipe = load_recipe(name.replace("frozen-", "super-image-"), [f"model.backbone={backbone}"])
    width, height = recipe.input.image_size
    with torch.device("meta"):
        network = recipe.network(17)
        seen = network.encode(torch.empty(1, 3, height, width), torch.full((1,), recipe.input.frames))
    assert seen.shape == (1, 17)
