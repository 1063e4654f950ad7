"""What a run was made by: versions, commit and machine, for people who compare runs or repeat one."""

import json
import os
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import torch

import urbanpipe

_PACKAGES = ("torch", "torchvision", "timm", "av", "numpy")


def environment() -> dict[str, object]:
    """Versions and machine."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "urbanpipe": urbanpipe.__version__,
        "commit": commit_of(Path(urbanpipe.__file__).parent),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "machine": {
            "platform": platform.platform(),
            "processor": processor(Path("/proc/cpuinfo")),
            "processors": os.cpu_count(),
            "gpu": gpu,
        },
    }


@lru_cache
def commit_of(package: Path) -> str | None:
    """The commit of a package's source, `-dirty` behind it where tracked files differ; None where it is not known.

    Args:
        package: its folder: of a checkout, or of an installation, which knows its commit if it came from a repository.
    """
    if (package / "__init__.py").is_file() and _git(package, "ls-files", "--error-unmatch", "__init__.py"):
        return _git(package, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    try:
        origin = json.loads(distribution("urbanpipe").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    commit = origin.get("vcs_info", {}).get("commit_id")
    return str(commit)[:12] if commit else None


def _git(folder: Path, *command: str) -> str | None:
    """What git says there; None where it fails or is not installed."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def processor(facts: Path) -> str | None:
    """The processor's name, from Linux's `/proc/cpuinfo` where there is one."""
    try:
        lines = facts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
