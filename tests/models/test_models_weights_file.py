"""Files that are given as weights: what each is, and the way out."""

import argparse
import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from urbanpipe.errors import WeightsError
from urbanpipe.models.weights import read_state

STATE = {"stem.weight": torch.arange(6.0).reshape(2, 3), "norm.bias": torch.ones(3)}


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"x" * 100)
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))
    return buffer.getvalue()


def scripted() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "git-lfs pointer.*`git lfs pull`"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html>", "web page.*`resolve` instead of `blob`"),
        (b"<html><body>404</body></html>", "web page"),
        (b"\x1f\x8b\x08" + bytes(20), "archive; extract it"),
        (tarred(), "archive; extract it"),
        (zipped("model/weights.txt"), "archive; extract it"),
        (b"\x08\x08\x12\x07pytorch\x1a\x05" + bytes(20), "ONNX graph"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "HDF5"),
        (b'{"metadata": {}, "weight_map": {}}', "is JSON"),
        (b"not weights at all", "not a plain state dict, or is damaged|cannot read"),
        (saved(STATE)[:400], "cannot read|damaged"),
        (saved(nn.Linear(2, 2)), r"objects beside tensors \('torch.nn.modules.linear.Linear'\).*state_dict"),
        (saved({"epoch": 3}), "holds no named tensors"),
    ],
)
def test_what_is_not_a_state_dict_is_named(tmp_path: Path, content: bytes, message: str, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message) as error:
        read_state(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_torchscript_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(scripted())
    with pytest.raises(WeightsError, match="TorchScript program; save the state dict"):
        read_state(tmp_path / "w.pt")


@pytest.mark.parametrize("key", ["model", "state_dict", "model_ema", "state_dict_ema"])
def test_a_training_checkpoint_gives_its_weights(tmp_path: Path, key: str) -> None:
    extra = {"args": argparse.Namespace(lr=0.1, out=tmp_path), "best": np.float64(0.5), "epoch": 3, "optimizer": {}}
    torch.save({key: STATE, **extra}, tmp_path / "w.pth")
    state = read_state(tmp_path / "w.pth")
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize(("suffix", "write"), [(".pth", save_file), (".safetensors", torch.save)])
def test_the_content_decides_not_the_name(
    tmp_path: Path, suffix: str, write: Callable[[dict[str, Tensor], Path], None]
) -> None:
    write(STATE, tmp_path / f"w{suffix}")
    assert read_state(tmp_path / f"w{suffix}").keys() == STATE.keys()


@pytest.mark.parametrize(("value", "count"), [(torch.full((2, 3), torch.nan), 6), (torch.tensor([torch.inf, 1]), 1)])
def test_weights_with_nan_or_infinity_are_refused(tmp_path: Path, value: Tensor, count: int) -> None:
    save_file(STATE | {"stem.weight": value}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=rf"{count} of \d+ values are NaN or infinite, the first in stem.weight"):
        read_state(tmp_path / "w.safetensors")


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    (tmp_path / "w.pkl").write_bytes(pickle.dumps(Harmful()))
    torch.save({"model": STATE, "args": Harmful()}, tmp_path / "w.pth")
    for name in ("w.pkl", "w.pth"):
        with pytest.raises(WeightsError):
            read_state(tmp_path / name)
    assert not (tmp_path / "ran").exists()
