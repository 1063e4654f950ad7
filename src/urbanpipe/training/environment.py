"""The environment of a run (versions, commit and machine), for comparing and reproducing runs."""

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
    """Return versions, commit and machine."""
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
    """Return the commit of a package's source, with the suffix `-dirty` if tracked files differ; None if unknown.

    Args:
        package: folder of the package, in a checkout or an installation. An installation has a commit if it was
            installed from a repository.
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
    """Return the output of a git command; None if it fails or git is not installed."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def processor(facts: Path) -> str | None:
    """Return the name of the processor, from Linux's `/proc/cpuinfo` where it exists."""
    try:
        lines = facts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
