"""Read files of weights by their content, and say of other files what they are and what to give instead."""

import argparse
import pathlib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.dtypes import Float32DType, Float64DType, Int64DType
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from urbanpipe.errors import WeightsError

_HEAD_BYTES = 512
_ARCHIVES = (b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"\xfd7zXZ", b"BZh", b"\x28\xb5\x2f\xfd", b"Rar!")
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<head")
_TAR_MARK = slice(257, 262)
_STATE_DICT = "give a safetensors file or a torch state dict"

# Inert objects in the checkpoints of common training scripts; unpickling them runs no code of the file.
_INERT: tuple[Any, ...] = (
    *(argparse.Namespace, pathlib.PosixPath, pathlib.PurePosixPath),
    *(np.dtype, Float32DType, Float64DType, Int64DType, np.float64(0).__reduce__()[0]),
)

_KINDS: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (lambda head: not head, "is empty; download it again"),
    (
        lambda head: head.startswith(b"version https://git-lfs"),
        "is a git-lfs pointer, not the weights; run `git lfs pull` in its repository, or download the file itself",
    ),
    (
        lambda head: head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_MARKUP),
        "is a web page, not the weights; download the file itself (on Hugging Face, `resolve` instead of `blob`)",
    ),
    (
        lambda head: head.startswith(_ARCHIVES) or head[_TAR_MARK] == b"ustar",
        "is an archive; extract it and give the file of weights in it",
    ),
    (lambda head: head[:1] == b"\x08" and head[2:3] in b"\x12\x1a\x32\x3a\x42", f"is an ONNX graph; {_STATE_DICT}"),
    (lambda head: head.startswith(b"\x89HDF"), f"is a Keras or HDF5 file; {_STATE_DICT}"),
    (lambda head: head.startswith(b"GGUF"), f"is a GGUF file of a language model; {_STATE_DICT}"),
    (lambda head: head[4:8] == b"TFL3", f"is a TensorFlow Lite model; {_STATE_DICT}"),
    (lambda head: head.lstrip().startswith((b"{", b"[")), f"is JSON, not the weights; {_STATE_DICT}"),
)


def read_content(path: Path) -> Any:
    """Return the content of a safetensors file or a torch checkpoint; code in the file is never executed.

    The content decides how the file is read, whatever its name.

    Raises:
        WeightsError: the file is something else, is damaged, or holds objects that only code can restore.
    """
    try:
        head = _checked_head(path)
        if head[8:9] == b"{":
            return load_file(path)
        with torch.serialization.safe_globals(list(_INERT)), path.open("rb") as file:  # a name would choose the reader
            return torch.load(file, "cpu", weights_only=True)
    except WeightsError:
        raise
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise WeightsError(f"cannot read {path} as weights: {reason}; download or copy it again") from error
    except Exception as error:  # pickle raises any type for damage and for objects that are not loaded
        raise WeightsError(f"{path} {_not_loaded(path)}") from error


def check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights with NaN or infinite values; attention masks may be infinite.

    Raises:
        WeightsError: the message gives the number of such values.
    """
    bad = {key: int((~value.isfinite()).sum()) for key, value in state.items() if "mask" not in key}
    if names := [key for key, count in bad.items() if count]:
        total = sum(value.numel() for value in state.values())
        raise WeightsError(
            f"{path}: {sum(bad.values())} of {total} values are NaN or infinite, the first in {names[0][:100]}; the "
            "training that wrote it diverged, or the file is damaged: give another file"
        )


def _checked_head(path: Path) -> bytes:
    """Return the first bytes of what may be weights."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if kind := _kind(path, head):
        raise WeightsError(f"{path} {kind}")
    return head


def _kind(path: Path, head: bytes) -> str:
    """Return what a file is, and the way out; empty for what may be weights."""
    if not zipfile.is_zipfile(path) or not head.startswith(b"PK"):
        return next((text for is_kind, text in _KINDS if is_kind(head)), "")
    with zipfile.ZipFile(path) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
    if any(name.startswith("code/") for name in names):
        return "is a TorchScript program; save the state dict of the model that it was made of"
    return "" if "data.pkl" in names else "is an archive; extract it and give the file of weights in it"


def _not_loaded(path: Path) -> str:
    """Return why torch refused a checkpoint: the objects in it, or damage."""
    advice = "where you trust the file, save only its state dict: torch.save(model.state_dict(), FILE)"
    try:
        with path.open("rb") as file:
            names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    except Exception:  # the reason for the refusal is damage, of any type
        names = []
    if names:
        return f"holds objects beside tensors ({', '.join(map(ascii, names[:3]))}), which are not loaded; {advice}"
    return f"is not a plain state dict, or is damaged; {_STATE_DICT}"
