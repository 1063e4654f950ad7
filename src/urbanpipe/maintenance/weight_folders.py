"""Where downloaded weights are; other programs use the same folders."""

import os
from pathlib import Path

from urbanpipe.user_folders import cache_home


def weight_folders() -> list[tuple[Path, str]]:
    """Return the folders with a pattern of the files in them: timm's in the hub's cache, and torchvision's.

    They are those of `huggingface_hub` and `torch.hub` with their environment variables, which need not be importable.
    """
    cache = cache_home()
    hub = _variable("HF_HUB_CACHE") or _below(_variable("HF_HOME") or _below(cache, "huggingface"), "hub")
    torch = _below(_variable("TORCH_HOME") or _below(cache, "torch"), "hub/checkpoints")
    found = (hub, "models--timm--*/blobs/*"), (torch, "*.pth")
    return [(folder, pattern) for folder, pattern in found if folder is not None]


def _variable(name: str) -> Path | None:
    return Path(value).expanduser() if (value := os.environ.get(name)) else None


def _below(folder: Path | None, name: str) -> Path | None:
    return folder and folder / name
