from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import swin_transformer

from urbanpipe.errors import RecipeError, WeightsError
from urbanpipe.methods.recipe import load_recipe
from urbanpipe.models.config import ModelConfig
from urbanpipe.models.video import VideoBackbone, is_video_backbone
from urbanpipe.models.video_weights import fetch
from urbanpipe.models.weights import load_weights
from urbanpipe.taxonomy import default_taxonomy

NANO_IMAGE: dict[str, Any] = {"embed_dim": 24, "depths": [1, 2, 2, 1], "num_heads": [2, 2, 4, 4]}


def build(name: str, frames: int = 8, size: tuple[int, int] = (64, 64), **options: Any) -> VideoBackbone:
    torch.manual_seed(0)
    config: Any = {"backbone": name, "options": options}
    return VideoBackbone(ModelConfig.model_construct(**config), size, frames)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "frames", "size", "positions", "width"),
    [
        ("swin3d_nano", 8, (64, 64), 4 * 2 * 2, 192),
        ("swin3d_nano", 5, (70, 46), 3 * 2 * 3, 192),  # nothing divides: torchvision pads
        ("swin3d_t", 4, (32, 32), 2 * 1 * 1, 768),
        ("mvit_v2_s", 4, (64, 32), 1 + 2 * 1 * 2, 768),
    ],
)
def test_every_family_gives_tokens_pooled_features_and_gradients(
    name: str, frames: int, size: tuple[int, int], positions: int, width: int
) -> None:
    backbone = build(name, frames, size)
    clips = torch.randn(2, 3, frames, size[1], size[0])
    torch.autograd.backward(backbone.pooled(clips).square().sum())
    assert not [name for name, parameter in backbone.named_parameters() if parameter.grad is None]
    backbone.eval()
    with torch.inference_mode():
        tokens, pooled = backbone.tokens(clips), backbone.pooled(clips)
        torch.testing.assert_close(pooled, backbone.net(clips))  # torchvision's own forward
    assert tokens.shape == (2, positions, backbone.token_width)
    assert pooled.shape == (2, backbone.pooled_width) == (2, width)


@pytest.mark.parametrize("name", ["swin3d_t", "swin3d_s", "swin3d_b", "mvit_v2_s"])
def test_the_networks_are_torchvisions(name: str) -> None:
    with torch.device("meta"):
        ours = VideoBackbone(ModelConfig(backbone=name), (224, 224), 16)
        theirs = getattr(torchvision.models.video, name)()
    weights = torchvision.models.get_model_weights(name).DEFAULT
    assert (ours.mean, ours.std) == (tuple(weights.transforms().mean), tuple(weights.transforms().std))
    theirs.head = nn.Identity()
    assert str(ours.net) == str(theirs)
    shapes = [{key: value.shape for key, value in net.state_dict().items()} for net in (ours.net, theirs)]
    assert shapes[0] == shapes[1]


def test_options_and_drop_path_reach_the_network() -> None:
    backbone = VideoBackbone(ModelConfig(backbone="swin3d_nano", drop_path=0.3, options={"dropout": 0.2}), (64, 64), 8)
    assert backbone.net.features[-1][-1].stochastic_depth.p == 0.3
    assert backbone.net.pos_drop.p == 0.2


@pytest.mark.slow
@pytest.mark.parametrize(("name", "frames"), [("swin3d_nano", 8), ("mvit_v2_s", 2)])
def test_checkpointing_recomputes_in_training_and_does_not_change_gradients(name: str, frames: int) -> None:
    backbone, calls = build(name, frames, (32, 32)), []
    block = backbone.net.features[0][0] if name == "swin3d_nano" else backbone.net.blocks[0]
    block.norm1.register_forward_hook(lambda *_: calls.append(1))
    clips, gradients = torch.randn(2, 3, frames, 32, 32), []
    for enable in (False, True):
        torch.manual_seed(1)  # the same paths are dropped
        backbone.zero_grad()
        backbone.checkpoint_activations(enable)
        torch.autograd.backward(backbone.pooled(clips).square().sum())
        gradients.append([p.grad.clone() for p in backbone.parameters() if p.grad is not None])
    assert len(calls) == 1 + 2
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)
    torch.autograd.backward(backbone.eval().pooled(clips).sum())
    assert len(calls) == 4


def test_names_of_video_backbones() -> None:
    assert is_video_backbone("swin3d_b.KINETICS400_V1")
    assert not is_video_backbone("swin_tiny_patch4_window7_224")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("swin3d_q", {}, "is not a video backbone; similar names: swin3d_"),
        ("resnet50", {}, "is not a video backbone; the video backbones are swin3d_nano, swin3d_t"),
        ("swin3d_b.nonsense", {}, "no such weights; it has KINETICS400_V1, KINETICS400_IMAGENET22K_V1"),
        ("swin3d_nano.KINETICS400_V1", {}, "no such weights; it has none"),
        ("swin3d_nano", {"colour": 3}, "colour"),
        ("swin3d_nano", {"window_size": [4, 4]}, r"swin3d_nano.*window_size"),
        ("mvit_v2_s", {"temporal_size": 3}, "temporal_size"),
    ],
)
def test_bad_names_and_options_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build(name, **options)


@pytest.mark.parametrize(("frames", "size"), [(5, (64, 64)), (4, (66, 64)), (4, (64, 16)), (0, (64, 64))])
def test_mvit_says_which_sizes_it_takes(frames: int, size: tuple[int, int]) -> None:
    expected = f"even number of frames.*the input is {frames} frames of {size[0]} x {size[1]} px"
    with pytest.raises(RecipeError, match=expected):
        build("mvit_v2_s", frames, size)


def authors_tensors(net: Any, last_norm: str) -> Iterator[tuple[str, nn.Module]]:
    """Module names of the Video Swin authors (mmaction/models/backbones/swin_transformer.py), with our modules."""
    yield "patch_embed.proj", net.patch_embed.proj
    yield "patch_embed.norm", net.patch_embed.norm
    for stage in range(4):
        for index, block in enumerate(net.features[2 * stage]):
            name = f"layers.{stage}.blocks.{index}"
            yield f"{name}.norm1", block.norm1
            yield f"{name}.attn", block.attn
            yield f"{name}.attn.qkv", block.attn.qkv
            yield f"{name}.attn.proj", block.attn.proj
            yield f"{name}.norm2", block.norm2
            yield f"{name}.mlp.fc1", block.mlp[0]
            yield f"{name}.mlp.fc2", block.mlp[3]
        if stage < 3:
            yield f"layers.{stage}.downsample.norm", net.features[2 * stage + 1].norm
            yield f"layers.{stage}.downsample.reduction", net.features[2 * stage + 1].reduction
    yield last_norm, net.norm


def authors_file(backbone: VideoBackbone, last_norm: str, path: Path) -> dict[str, Tensor]:
    """A file as theirs, of random values; what it holds, by their names without the prefix."""
    torch.manual_seed(5)
    state = {
        f"{name}.{key}": torch.randn(value.shape) if value.is_floating_point() else value.clone()
        for name, module in authors_tensors(backbone.net, last_norm)
        for key, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    }
    head = {"cls_head.fc_cls.weight": torch.zeros(600, 8), "cls_head.fc_cls.bias": torch.zeros(600)}
    torch.save({"meta": {"epoch": 30}, "state_dict": {f"backbone.{k}": v for k, v in state.items()} | head}, path)
    return state


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "last_norm"),
    [("swin3d_nano", "norm"), ("swin3d_nano", "norm3"), ("swin3d_t", "norm")],  # norm3 in files of mmaction2
)
def test_every_tensor_of_the_authors_files_arrives(name: str, last_norm: str, tmp_path: Path) -> None:
    backbone = build(name)
    state = authors_file(backbone, last_norm, tmp_path / "swin.pth")
    report = load_weights(backbone, name, str(tmp_path / "swin.pth"))
    assert (report.share, report.missing, report.unused, report.mismatched) == (1, (), (), ())
    assert report.matched == report.total == len(list(backbone.parameters()))
    for module_name, module in authors_tensors(backbone.net, last_norm):
        for key, value in module.named_parameters(recurse=False):
            assert torch.equal(value, state[f"{module_name}.{key}"])


def test_position_biases_of_another_window_are_resized(tmp_path: Path) -> None:
    """Something-Something v2 has windows of (16, 7, 7), ours here (8, 7, 7)."""
    wide, ours = build("swin3d_nano", window_size=[16, 7, 7]), build("swin3d_nano", window_size=[8, 7, 7])
    table = wide.net.features[0][0].attn.relative_position_bias_table.data
    grid = torch.randn(13, 13, 2)
    table.copy_((grid + torch.linspace(-1, 1, 31).view(31, 1, 1, 1) ** 3).reshape(-1, 2))
    torch.save(wide.net.state_dict(), tmp_path / "wide.pth")
    assert load_weights(ours, "swin3d_nano", str(tmp_path / "wide.pth")).share == 1
    resized = ours.net.features[0][0].attn.relative_position_bias_table.data.view(15, 13, 13, 2)
    torch.testing.assert_close(resized[7], grid)  # no offset stays no offset
    torch.testing.assert_close(resized[4] - grid, grid - resized[10])  # earlier and later stay apart
    assert torch.all(resized[1:] > resized[:-1])


def test_a_window_of_another_width_is_told_by_the_index_and_else_reported(tmp_path: Path) -> None:
    wide = build("swin3d_nano", window_size=[4, 6, 6])
    state = wide.net.state_dict()
    torch.save(state, tmp_path / "with.pth")
    torch.save({k: v for k, v in state.items() if not k.endswith("index")}, tmp_path / "without.pth")
    assert load_weights(build("swin3d_nano"), "swin3d_nano", str(tmp_path / "with.pth")).share == 1
    report = load_weights(build("swin3d_nano"), "swin3d_nano", str(tmp_path / "without.pth"))
    assert len(report.mismatched) == 6
    assert "relative_position_bias_table (847, 2) != (343, 2)" in str(report)
    assert report.share < 1


def image_swin(layout: str) -> tuple[nn.Module, dict[str, Tensor]]:
    """An image Swin with the nano's settings, and its state in the layout of one publisher."""
    torch.manual_seed(3)
    if layout == "torchvision":
        net = swin_transformer.SwinTransformer(patch_size=[4, 4], window_size=[4, 4], **NANO_IMAGE)
        net.head = nn.Identity()
        return net, net.state_dict()
    net = timm.models.swin_transformer.SwinTransformer(img_size=128, window_size=4, num_classes=0, **NANO_IMAGE)
    state = net.state_dict()
    if layout == "microsoft":
        for stage in (1, 2, 3):
            for key in ("norm.weight", "norm.bias", "reduction.weight"):
                state[f"layers.{stage - 1}.downsample.{key}"] = state.pop(f"layers.{stage}.downsample.{key}")
        state["layers.1.blocks.1.attn_mask"] = torch.zeros(16, 16, 16)
        state["layers.1.blocks.1.attn.relative_position_index"] = torch.zeros(16, 16, dtype=torch.long)
    return net, state | {"head.weight": torch.zeros(1000, 192)}


@pytest.mark.parametrize("frames", [8, 16])
@pytest.mark.parametrize("layout", ["torchvision", "timm", "microsoft"])
def test_an_inflated_image_swin_sees_a_still_clip_as_the_image(layout: str, frames: int, tmp_path: Path) -> None:
    """With 16 frames windows shift in time too. 128 px: every map is a multiple of the window, so none is padded."""
    net, state = image_swin(layout)
    torch.save({"model": state}, tmp_path / "image.pth")
    backbone = build("swin3d_nano")
    report = load_weights(backbone, "swin3d_nano", str(tmp_path / "image.pth"))
    assert (report.share, report.unused) == (1, ())
    images = torch.randn(2, 3, 128, 128)
    clips = images.unsqueeze(2).expand(-1, -1, frames, -1, -1)
    with torch.inference_mode():
        expected = net.eval()(images)
        torch.testing.assert_close(backbone.eval().pooled(clips), expected, atol=1e-4, rtol=1e-4)


def test_image_biases_of_another_window_are_resized_and_the_same_at_every_moment() -> None:
    net = timm.models.swin_transformer.SwinTransformer(img_size=56, window_size=7, num_classes=0, **NANO_IMAGE)
    backbone = build("swin3d_nano")
    backbone.net.load_state_dict(backbone.adapt(net.state_dict(), "file"), strict=False)
    table = backbone.net.features[0][0].attn.relative_position_bias_table.data.view(7, 7, 7, 2)
    torch.testing.assert_close(table, table[:1].expand_as(table))
    torch.testing.assert_close(table[0, 3, 3], net.layers[0].blocks[0].attn.relative_position_bias_table[84].data)


def test_an_inflated_patch_embedding_equals_the_image_one() -> None:
    net, state = image_swin("torchvision")
    backbone = build("swin3d_nano")
    adapted = backbone.adapt(state, "file")
    embed: Any = backbone.net.patch_embed
    embed.load_state_dict({k.removeprefix("patch_embed."): v for k, v in adapted.items() if k.startswith("patch_e")})
    images = torch.randn(1, 3, 32, 32)
    expected = net.get_submodule("features.0")(images)
    torch.testing.assert_close(embed(images.unsqueeze(2).expand(-1, -1, 4, -1, -1))[:, 1], expected)


@pytest.mark.slow
def test_mvit_tables_are_resized_as_mvit_itself_does() -> None:
    large = build("mvit_v2_s", 8, (64, 64)).eval()  # its tables start from random values
    small = build("mvit_v2_s", 4, (32, 32)).eval()
    small.net.load_state_dict(small.adapt(large.net.state_dict(), "file"))
    large.net.pos_encoding.temporal_size, large.net.pos_encoding.spatial_size = 2, (8, 8)
    clips = torch.randn(1, 3, 4, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(small.tokens(clips), large.tokens(clips))


def test_other_networks_are_refused(tmp_path: Path) -> None:
    others = {
        "resnet.pth": timm.create_model("test_resnet"),
        "swin_v2.pth": timm.models.swin_transformer_v2.SwinTransformerV2(img_size=64, window_size=4, **NANO_IMAGE),
        "narrow.pth": swin_transformer.SwinTransformer([4, 4], 12, [1, 2, 2, 1], [1, 1, 2, 2], [4, 4]),
    }
    for file, net in others.items():
        torch.save(net.state_dict(), tmp_path / file)
        with pytest.raises(WeightsError, match=r"do not belong to Swin|of a Swin v2; SwinTransformer3d takes"):
            load_weights(build("swin3d_nano"), "swin3d_nano", str(tmp_path / file))


def test_hub_weights_are_torchvisions_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    source, urls = build("swin3d_nano"), []
    source.net.norm.weight.data.normal_()

    def download(url: str, *args: object, **options: object) -> dict[str, Tensor]:
        urls.append(url.rpartition("/")[2].split("-")[0])
        assert options["check_hash"]
        assert options["weights_only"]
        state: dict[str, Tensor] = source.net.state_dict()
        return state | {"head.weight": torch.zeros(400, 192)}

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", download)
    for name in ("swin3d_t", "swin3d_s", "swin3d_b", "swin3d_b.KINETICS400_V1", "mvit_v2_s"):
        fetch(name)
    assert urls == ["swin3d_t", "swin3d_s", "swin3d_b_22k", "swin3d_b_1k", "mvit_v2_s"]
    backbone = build("swin3d_nano")
    report = load_weights(backbone, "swin3d_t", "hub")
    assert (report.share, report.unused) == (1, ())
    assert torch.equal(backbone.net.norm.weight, source.net.norm.weight)


def test_the_hub_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = build("swin3d_nano")
    with pytest.raises(WeightsError, match=r"no pretrained weights of swin3d_nano: set model.weights"):
        load_weights(backbone, "swin3d_nano", "hub")

    def offline(*args: object, **options: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", offline)
    with pytest.raises(WeightsError, match=r"no route to host.*--set model.weights=FILE"):
        load_weights(backbone, "swin3d_b", "hub")


def test_a_dense_runs_encoder_is_first_weights_for_a_video_network(tmp_path: Path) -> None:
    size = ("input.size=32", "input.frames=4", "model.backbone=swin3d_nano", "model.options={}", "model.weights=random")
    dense = load_recipe("small-dense", [*size, "input.encoder=video", "input.head.width=16", "input.head.heads=2"])
    trained = dense.network(len(default_taxonomy()))
    save_file(trained.state_dict(), tmp_path / "weights.safetensors")
    other = load_recipe("small-video", size).network(len(default_taxonomy()))
    found = load_weights(other.backbone, "swin3d_nano", str(tmp_path / "weights.safetensors"))
    assert (found.matched, found.share) == (found.total, 1)
