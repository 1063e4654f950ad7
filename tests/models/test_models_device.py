"""The precision that a device computes in, whatever the recipe says."""

import json
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from helpers.tiny_recipes import TINY_FROZEN
from helpers.training_runs import ALONE, changed, job, losses
from urbanpipe.catalog.catalog_file import Catalog
from urbanpipe.contracts.run_folder import TRAINING_STATE
from urbanpipe.learners.features import encoder_digest
from urbanpipe.learners.state import State
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.models import device
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training.loop import _start, train_model
from urbanpipe.training.run import begin_run, is_begun

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_checks() -> Iterator[None]:
    device.is_native.cache_clear()
    device._log_fallback.cache_clear()
    device._log_choice.cache_clear()
    yield
    device.is_native.cache_clear()


def with_flags(monkeypatch: pytest.MonkeyPatch, machine: str, *present: str) -> None:
    """Pretend to be a machine with these capabilities only."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_amx_fp16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in present, raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(present, True), raising=False)


@pytest.mark.parametrize(
    ("flags", "bf16", "fp16"),
    [
        ((), "fp32", "fp32"),
        (("_is_avx512_bf16_supported",), "bf16", "fp32"),
        (("_is_amx_tile_supported",), "bf16", "fp32"),
        (("_is_amx_tile_supported", "_is_amx_fp16_supported"), "bf16", "fp16"),
        (("avx512_fp16",), "fp32", "fp16"),
    ],
)
def test_a_cpu_computes_in_what_it_has_instructions_for(
    monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], bf16: str, fp16: str
) -> None:
    with_flags(monkeypatch, "x86_64", *flags)
    assert device.usable_precision(CPU, "bf16") == bf16
    assert device.usable_precision(CPU, "fp16") == fp16
    assert device.usable_precision(CPU, "fp32") == "fp32"
    assert device.grad_scaler(CPU, "fp16").is_enabled() == (fp16 == "fp16")
    with device.autocast(CPU, "bf16"):
        assert torch.is_autocast_enabled("cpu") == (bf16 == "bf16")


def test_a_torch_without_these_flags_counts_as_a_cpu_without_the_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_amx_fp16_supported", "get_capabilities"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert [device.usable_precision(CPU, name) for name in ("bf16", "fp16")] == ["fp32", "fp32"]


@pytest.mark.parametrize("answer", [True, False])
def test_an_arm_cpu_is_asked_for_its_own_instructions(monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    with_flags(monkeypatch, "aarch64", "_is_avx512_bf16_supported")
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: answer, raising=False)
    assert device.usable_precision(CPU, "bf16") == ("bf16" if answer else "fp32")


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_that_emulates_bf16_computes_in_fp32(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    gpu = torch.device("cuda", 0)
    assert device.usable_precision(gpu, "bf16") == ("bf16" if native else "fp32")
    assert device.usable_precision(gpu, "fp16") == "fp16"


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ((), "fp32"),
        (("_is_avx512_bf16_supported",), "bf16"),
        (("_is_amx_tile_supported",), "bf16"),
        (("_is_amx_fp16_supported", "avx512_fp16"), "fp32"),
    ],
)
def test_auto_is_bf16_on_a_cpu_that_has_it_and_never_fp16(
    monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], precision: str
) -> None:
    with_flags(monkeypatch, "x86_64", *flags)
    assert device.usable_precision(CPU, "auto") == precision
    with device.autocast(CPU, "auto"):
        assert torch.is_autocast_enabled("cpu") == (precision == "bf16")
    assert not device.grad_scaler(CPU, "auto").is_enabled()


@pytest.mark.parametrize(
    ("capability", "precision"),
    [((6, 1), "fp32"), ((7, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")],
)
def test_auto_follows_the_capability_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: capability >= (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert device.usable_precision(torch.device("cuda", 0), "auto") == precision


def test_the_precision_that_auto_chooses_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_flags(monkeypatch, "x86_64", "_is_amx_tile_supported")
    for _ in range(3):
        with device.autocast(CPU, "auto"):
            pass
    assert capsys.readouterr().err == "precision auto: computing in bf16 on this CPU\n"


def test_features_are_stored_by_the_precision_that_computed_them(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("frozen-mobilenetv2", [*TINY_FROZEN, "training.precision=auto"])
    network = recipe.network(3)

    def digest(precision: str, native: bool) -> bytes:
        monkeypatch.setattr(device, "is_native", lambda *_: native)
        return encoder_digest(network, changed(recipe, "training", precision=precision), CPU)

    assert digest("auto", native=True) == digest("bf16", native=True)
    assert digest("auto", native=False) == digest("fp32", native=False) == digest("bf16", native=False)
    assert digest("auto", native=True) != digest("auto", native=False)


def test_the_fallback_is_logged_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with_flags(monkeypatch, "x86_64")
    for _ in range(3):
        with device.autocast(CPU, "bf16"):
            pass
    assert capsys.readouterr().err == "this CPU has no bf16 instructions: computing in fp32, which is faster here\n"


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_a_run_keeps_its_recipe_and_records_what_ran(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny: Recipe, precision: str
) -> None:
    with_flags(monkeypatch, "x86_64")
    recipe = changed(tiny, "training", precision=precision)
    begin_run(tmp_path, recipe, default_taxonomy(), videos=[], folds={}, left_out={}, device=CPU)
    assert json.loads((tmp_path / "environment.json").read_text())["precision"] == "fp32"
    assert load_recipe(tmp_path / "recipe.toml").training.precision == precision
    device.is_native.cache_clear()
    with_flags(monkeypatch, "x86_64", "_is_avx512_bf16_supported")
    assert is_begun(tmp_path, recipe, default_taxonomy(), videos=[], folds={}), "it resumes where bf16 is native"


def test_a_bf16_recipe_trains_as_fp32_where_bf16_is_emulated(
    monkeypatch: pytest.MonkeyPatch, catalog: Catalog, tiny: Recipe, tmp_path: Path
) -> None:
    with_flags(monkeypatch, "x86_64")
    for name in ("fp32", "bf16"):
        train_model(job(catalog, changed(tiny, "training", precision=name, epochs=1), tmp_path / name), ALONE)
    assert losses(tmp_path / "bf16") == losses(tmp_path / "fp32")


@pytest.mark.parametrize("native_first", [True, False])
def test_a_state_resumes_on_a_machine_with_another_precision(
    monkeypatch: pytest.MonkeyPatch, catalog: Catalog, tiny: Recipe, tmp_path: Path, native_first: bool
) -> None:
    def begun(native: bool) -> State:
        monkeypatch.setattr(device, "is_native", lambda *_: native)
        return _start(job(catalog, changed(tiny, "training", precision="fp16"), tmp_path), ALONE, 3)

    begun(native_first).save(tmp_path / TRAINING_STATE, [{"epoch": 1}], ALONE)
    resumed = begun(not native_first)
    assert resumed.load(tmp_path / TRAINING_STATE, ALONE) == [{"epoch": 1}]
    assert resumed.scaler.is_enabled() != native_first
