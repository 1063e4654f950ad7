import copy
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers.ml_decoder import TransformerDecoderLayerOptimal

from urbanpipe.errors import RecipeError, WeightsError
from urbanpipe.methods.dense import DenseConfig
from urbanpipe.methods.recipe import shipped_recipes
from urbanpipe.models.backbone import Backbone, Normalise
from urbanpipe.models.classifier import image_classifier
from urbanpipe.models.config import ModelConfig
from urbanpipe.models.heads import MLDecoderHead
from urbanpipe.models.weights import load_weights, read_state
from urbanpipe.taxonomy import default_taxonomy

REPORT = [
    name
    for name, recipe in shipped_recipes().items()
    if name.startswith("super-image-") and recipe.description.startswith("Report")
]
SMALL = ("test_convnext", "test_resnet", "test_efficientnet", "test_vit", "test_nfnet", "mobilenetv3_small_050")


@pytest.mark.parametrize("head", ["linear", "ml-decoder"])
@pytest.mark.parametrize("name", SMALL)
def test_any_backbone_with_any_head_gives_logits_and_gradients(name: str, head: str) -> None:
    config = ModelConfig.model_validate({"backbone": name, "head": head, "decoder_width": 64, "decoder_hidden": 64})
    model = image_classifier(config, (96, 96), 17)
    images = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    logits = model(images)
    assert logits.shape == (2, 17)
    logits.sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    if head == "linear":
        assert not without
    else:  # only what comes after the feature map, in the backbone's own head
        assert all(name.startswith(("backbone.net.head.", "backbone.net.conv_head.")) for name in without)


@pytest.mark.slow
@pytest.mark.parametrize("name", REPORT)
def test_report_recipes_build_at_full_size(name: str) -> None:
    """On the meta device: shapes only, no memory. Swin has a fixed grid and must be built for 1344 px."""
    recipe = shipped_recipes()[name]
    side = 1152 if name.endswith("f6") else 1344
    assert recipe.input.image_size == (side, side)
    with torch.device("meta"):
        model = image_classifier(recipe.model, recipe.input.image_size, 17)
        assert model(torch.empty(1, 3, side, side)).shape == (1, 17)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(name for name in shipped_recipes() if name not in REPORT))
def test_other_recipes_build_at_full_size(name: str) -> None:
    """As above, for what a network sees of one segment: an image, or a clip."""
    recipe = shipped_recipes()[name]
    width, height = recipe.input.image_size
    clip = [] if recipe.input.clip_frames is None else [recipe.input.clip_frames]
    with torch.device("meta"):
        model = recipe.network(len(default_taxonomy()))
        images, real = torch.empty(1, 3, *clip, height, width), torch.full((1,), recipe.input.frames)
        seen = model.encode(images, real)
    widths = {"bag": model.backbone.pooled_width}
    if isinstance(recipe.input, DenseConfig):
        widths["dense"] = recipe.input.head.width
    assert seen.shape == (1, widths.get(recipe.input.method, 17))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "vit_tiny_patch16_224"])
def test_a_fixed_grid_is_built_for_the_size_of_the_recipe(name: str) -> None:
    model = image_classifier(ModelConfig(backbone=name), (192, 160), 3)
    assert model(torch.zeros(1, 3, 160, 192)).shape == (1, 3)


@pytest.mark.slow
def test_tokens_of_a_channels_last_map_are_in_rows() -> None:
    backbone = Backbone(ModelConfig(backbone="swin_tiny_patch4_window7_224"), (192, 160)).eval()
    images = torch.randn(1, 3, 160, 192)
    with torch.inference_mode():
        grid = backbone.net.forward_features(images)
        tokens = backbone.tokens(images)
    assert grid.shape[1:3] == (5, 6)
    assert torch.equal(tokens[0, 6], grid[0, 1, 0])


def test_ml_decoder_layer_equals_timm() -> None:
    config = ModelConfig(decoder_width=32, decoder_heads=4, decoder_hidden=48)
    ours = MLDecoderHead(20, 5, config).eval()
    theirs = TransformerDecoderLayerOptimal(d_model=32, nhead=4, dim_feedforward=48).eval()
    pairs = {
        "norm1": ours.norm_query,
        "norm2": ours.norm_attended,
        "norm3": ours.norm_output,
        "multihead_attn": ours.attention,
        "linear1": ours.hidden,
        "linear2": ours.output,
    }
    for name, module in pairs.items():
        getattr(theirs, name).load_state_dict(module.state_dict())
    queries, memory = torch.randn(2, 5, 32), torch.randn(2, 9, 32)
    expected = theirs(queries.transpose(0, 1), memory.transpose(0, 1)).transpose(0, 1)
    torch.testing.assert_close(ours.decode(queries, memory), expected)


def test_ml_decoder_classes_have_their_own_layer() -> None:
    head = MLDecoderHead(8, 4, ModelConfig(decoder_width=16, decoder_heads=2, decoder_hidden=16)).eval()
    tokens = torch.randn(3, 7, 8)
    before = head(tokens)
    with torch.no_grad():
        head.class_weight[2] = 0
        head.class_bias[2] = 5
    after = head(tokens)
    assert torch.all(after[:, 2] == 5)
    assert torch.equal(before[:, [0, 1, 3]], after[:, [0, 1, 3]])


def test_normalisation_is_the_backbones() -> None:
    backbone = Backbone(ModelConfig(backbone="test_vit"), (160, 160))
    white = Normalise(backbone.mean, backbone.std)(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8))
    expected = (1 - torch.tensor(backbone.mean)) / torch.tensor(backbone.std)
    torch.testing.assert_close(white[0, :, 0, 0], expected)


def test_checkpointing_does_not_change_gradients() -> None:
    model = image_classifier(ModelConfig(backbone="test_convnext"), (64, 64), 3)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    gradients = []
    for enable in (False, True):
        model.zero_grad()
        model.backbone.checkpoint_activations(enable)
        model(images).square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


@pytest.mark.slow
def test_checkpointing_counts_a_batch_once() -> None:
    networks = []
    for enable in (False, True):
        torch.manual_seed(0)
        model = image_classifier(ModelConfig(backbone="test_byobnet"), (64, 64), 3).train()
        model.backbone.checkpoint_activations(enable)
        trained = copy.deepcopy(model)  # as a EMA is made
        for _ in range(2):
            images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
            trained(images).square().sum().backward()
        networks.append(trained)
    plain, recomputed = (dict(network.named_buffers()) for network in networks)
    assert any(name.endswith("num_batches_tracked") and int(value) == 2 for name, value in plain.items())
    for name, value in plain.items():
        torch.testing.assert_close(recomputed[name], value)
    networks[1].eval()
    with torch.no_grad():
        torch.testing.assert_close(networks[1](images), networks[0].eval()(images))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ModelConfig(backbone="convnxt_base"), "is not a timm model; similar names: convnext_base"),
        (ModelConfig(backbone="convnext_base.nonsense"), "timm has no such tag; it has .*fb_in22k_ft_in1k"),
        (ModelConfig(backbone="test_convnext", options={"colour": 3}), "colour"),
    ],
)
def test_bad_backbones_are_named(config: ModelConfig, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Backbone(config, (64, 64))


def backbone_and_state() -> tuple[Backbone, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    source = timm.create_model("test_convnext", num_classes=10)
    return Backbone(ModelConfig(backbone="test_convnext"), (64, 64)), source.state_dict()


@pytest.mark.parametrize("form", ["safetensors", "torch", "wrapped", "prefixed"])
def test_weights_come_from_every_form_of_file(form: str, tmp_path: Path) -> None:
    backbone, state = backbone_and_state()
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file(state, path)
    elif form == "wrapped":
        torch.save({"epoch": 3, "state_dict_ema": state}, path)
    else:
        torch.save({f"module.{k}": v for k, v in state.items()} if form == "prefixed" else state, path)
    report = load_weights(backbone, "test_convnext", str(path))
    assert report.share == 1
    assert not report.missing
    assert torch.equal(backbone.net.stem[0].weight, state["stem.0.weight"])
    assert "100.0% of the values" in str(report)


def test_a_partial_file_is_reported_by_name(tmp_path: Path) -> None:
    backbone, state = backbone_and_state()
    state.pop("stem.0.bias")
    state["odd.thing"] = torch.zeros(2)
    torch.save(state, tmp_path / "w.pth")
    text = str(load_weights(backbone, "test_convnext", str(tmp_path / "w.pth")))
    assert "missing in the file: stem.0.bias" in text
    assert "not used: odd.thing" in text
    assert "head" not in text


def test_position_tables_are_resized(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "w.pth")
    backbone = Backbone(ModelConfig(backbone="test_vit"), (320, 320))
    assert load_weights(backbone, "test_vit", str(tmp_path / "w.pth")).share == 1


def test_other_networks_and_bad_files_are_refused(tmp_path: Path) -> None:
    backbone, _ = backbone_and_state()
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("not weights")
    (tmp_path / "half.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    torch.save({"model": object}, tmp_path / "code.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    for name, message in {
        "other.pth": "do not belong to ConvNeXt",
        "text.pth": "text.pth",
        "half.safetensors": "cannot read",
        "code.pth": "objects beside tensors",
        "list.pth": "holds no named tensors",
        "absent.pth": "no weights file",
    }.items():
        with pytest.raises(WeightsError, match=message):
            load_weights(backbone, "test_convnext", str(tmp_path / name))


def test_random_says_so_and_the_hub_without_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, _ = backbone_and_state()
    assert "RANDOM" in str(load_weights(backbone, "test_convnext", "random"))

    def offline(*args: object, **options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("urbanpipe.models.hub_files.get_hf_file_metadata", offline)
    with pytest.raises(WeightsError, match=r"it does not answer.*--set model.weights=FILE"):
        load_weights(backbone, "test_convnext", "hub")
    monkeypatch.setattr("urbanpipe.models.backbone.check_connection", lambda _: None)
    monkeypatch.setattr(timm, "create_model", offline)  # it broke off later
    with pytest.raises(WeightsError, match=r"no route to host.*--set model.weights=FILE"):
        load_weights(backbone, "test_convnext", "hub")


def test_real_weights_fit(shared: Path) -> None:
    state = read_state(shared / "data" / "weights" / "mobilenetv2_100.safetensors")
    assert "conv_stem.weight" in state
    config = ModelConfig(backbone="mobilenetv2_100", options={"pad_type": "same"})
    backbone = Backbone(config, (192, 192))
    report = load_weights(backbone, "mobilenetv2_100", str(shared / "data" / "weights" / "mobilenetv2_100.safetensors"))
    assert report.share == 1
