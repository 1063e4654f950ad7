"""Bundles of an untrusted source, whose digests are valid: refused in one line, or loaded; nothing else."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch
from safetensors.numpy import load_file, save_file

from helpers.hostile_bundles import with_detector, with_digests
from helpers.platforms import needs_posix
from urbanpipe.errors import BundleError
from urbanpipe.inference.bundle import MANIFEST, OOD, read_bundle

CPU = torch.device("cpu")
RECIPE, WEIGHTS = "members/0-frame/recipe.toml", "members/0-frame/fold1.safetensors"
SEEDS = 25


@pytest.fixture
def hostile(frame_bundle: Path, tmp_path: Path) -> Path:
    return with_detector(frame_bundle, tmp_path / "bundle")


def refused(bundle: Path, message: str) -> None:
    with pytest.raises(BundleError, match=message) as error:
        read_bundle(bundle, device="cpu", runtime="torch")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("networks", [10**12, 0, -1])
def test_a_number_of_networks_is_bounded(hostile: Path, networks: int) -> None:
    text = (hostile / MANIFEST).read_text()
    (hostile / MANIFEST).write_text(text.replace("networks = 2", f"networks = {networks}"))
    refused(hostile, r"members\.0\.networks")


@pytest.mark.parametrize("name", [MANIFEST, RECIPE, "taxonomy.toml", "calibration.json"])
def test_nested_brackets_are_one_line(hostile: Path, name: str) -> None:
    (hostile / name).write_text(("" if name.endswith("json") else "a = ") + "[" * 100_000)
    if name != MANIFEST:
        with_digests(hostile, [name])
    refused(hostile, name if name != RECIPE else "recipe.toml")


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("name", ["scale", "threshold", "variances", "rest"])
def test_a_detector_of_bad_numbers_is_refused(hostile: Path, name: str, value: float) -> None:
    arrays = load_file(hostile / OOD)
    save_file(arrays | {name: np.full_like(arrays[name], value)}, hostile / OOD)
    with_digests(hostile, [OOD])
    refused(hostile, f"{OOD} is damaged: {name} must be positive")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(hostile: Path, value: float) -> None:
    arrays = load_file(hostile / WEIGHTS)
    name = max(arrays, key=lambda key: arrays[key].size)
    arrays[name].reshape(-1)[0] = value
    save_file(arrays, hostile / WEIGHTS)
    with_digests(hostile, [WEIGHTS])
    refused(hostile, r"fold1\.safetensors: 1 of \d+ values are NaN or infinite")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("model", "options", {"depths": [10**9] * 4}),
        ("model", "options", {"depths": [60000] * 4}),
        ("model", "options", {"dims": [60000] * 4}),
        ("model", "options", {"act_layer": True}),
        ("model", "options", {"checkpoint_path": "/etc/passwd"}),
        ("model", "options", "all"),
        ("model", "backbone", "hf-hub:someone/something"),
        ("model", "backbone", "local-dir:/etc"),
        ("model", "backbone", "convnext_xxlarge"),
        ("model", "backbone", 7),
        ("input", "size", 10**9),
        ("input", "aspect", "1000000000:1"),
        ("input", "aspect", "frame"),
        ("input", "every_seconds", 1e-300),
    ],
)
def test_a_recipe_that_asks_for_too_much_is_refused(hostile: Path, section: str, key: str, value: object) -> None:
    table = tomllib.loads((hostile / RECIPE).read_text())
    table[section][key] = value
    (hostile / RECIPE).write_text(tomli_w.dumps(table))
    with_digests(hostile, [RECIPE])
    refused(hostile, "is not a valid bundle")


@needs_posix
def test_a_link_out_of_the_bundle_is_refused(hostile: Path, tmp_path: Path) -> None:
    shutil.move(hostile / "taxonomy.toml", tmp_path / "taxonomy.toml")
    (hostile / "taxonomy.toml").symlink_to(tmp_path / "taxonomy.toml")
    refused(hostile, "lies outside the bundle")


@needs_posix
@pytest.mark.slow
@pytest.mark.multiprocess
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory limit needs Linux")
def test_a_bundle_with_any_value_changed_is_refused_in_one_line_or_loads(hostile: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "helpers.hostile_bundles", str(hostile), str(tmp_path), "0", str(SEEDS)]
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    assert result.stdout == "done\n", result.stdout + result.stderr[-2000:]
