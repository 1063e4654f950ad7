"""Checks of Python, of the libraries that urbanpipe needs, and of its extras."""

import platform
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from urbanpipe.maintenance.check import Check, Status

OLDEST_PYTHON = (3, 11)
LIBRARIES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "timm": "timm",
    "PyAV": "av",
    "numpy": "numpy",
    "scipy": "scipy",
    "scikit-learn": "sklearn",
    "OpenCV": "cv2",
    "Pillow": "PIL",
    "pydantic": "pydantic",
    "matplotlib": "matplotlib",
}
"""Module by name of a library that is imported to see whether it works: those with compiled parts, and timm."""
_OF_TRAINING = {"torch", "torchvision", "timm"}
_REQUIREMENT = re.compile(r"^([\w.-]+)\s*(?:\[([^\]]*)\])?[^;]*;.*extra == ['\"]([\w-]+)['\"]")
_FOR_DEVELOPERS = {"bench", "dev", "docs"}


def python_check() -> Check:
    """Check the version of Python."""
    text = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < OLDEST_PYTHON:
        return Check("Python", "broken", text, f"install Python {'.'.join(map(str, OLDEST_PYTHON))} or later")
    return Check("Python", "ok", text)


def library_checks(load: Callable[[str], Any] = import_module) -> Iterator[Check]:
    """Import each library and yield its version, or why it cannot be used; what only training needs is not broken.

    Args:
        load: imports a module by name.
    """
    for name, module in LIBRARIES.items():
        worst: Status = "note" if module in _OF_TRAINING else "broken"
        try:
            loaded = load(module)
        except ModuleNotFoundError as error:
            if error.name == module in _OF_TRAINING:
                continue  # a line about the extra says so
            command = "pip install 'urbanpipe[train]'" if module in _OF_TRAINING else "pip install urbanpipe"
            yield Check(name, worst, f"the module {error.name} is not installed", f"run `{command}`")
        except Exception as error:  # compiled libraries fail in many ways: wrong machine, wrong version of another
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            yield Check(name, worst, f"cannot be imported: {reason}", f"reinstall {name} with pip")
        else:
            yield Check(name, "ok", str(getattr(loaded, "__version__", "unknown version")))
            if module == "av":
                yield Check("FFmpeg", "ok", _ffmpeg(loaded))


def extra_checks(requirements: list[str] | None = None) -> Iterator[Check]:
    """Yield which extras are installed, and the command for each other one.

    Args:
        requirements: requirements of urbanpipe's metadata; default: those that are installed.
    """
    try:
        known = requires("urbanpipe") or [] if requirements is None else requirements
    except PackageNotFoundError:
        yield Check("extras", "note", "urbanpipe is not installed as a package", "run `pip install urbanpipe`")
        return
    packages = _packages(known)
    for extra in sorted(packages.keys() - _FOR_DEVELOPERS):
        absent = sorted(package for package in packages[extra] if not _installed(package))
        if absent:
            command = f"run `pip install 'urbanpipe[{extra}]'` if you need it"
            yield Check(f"extra {extra}", "missing", f"without {', '.join(absent)}", command)
        else:
            yield Check(f"extra {extra}", "ok", "installed")


def _packages(requirements: Iterable[str]) -> dict[str, set[str]]:
    """Return the packages of every extra, with those of the extras that it contains."""
    packages: dict[str, set[str]] = defaultdict(set)
    contained: dict[str, set[str]] = defaultdict(set)
    for requirement in requirements:
        if match := _REQUIREMENT.match(requirement):
            package, extras, extra = match[1], match[2] or "", match[3]
            if package == "urbanpipe":
                contained[extra] |= {name.strip() for name in extras.split(",")}
            else:
                packages[extra].add(package)

    def of(extra: str) -> set[str]:
        return packages[extra].union(*map(of, contained[extra]))

    return {extra: of(extra) for extra in (packages | contained)}


def _ffmpeg(av: Any) -> str:
    versions = sorted(getattr(av, "library_versions", {}).items())
    return ", ".join(f"{name} {'.'.join(map(str, numbers))}" for name, numbers in versions) or "unknown version"


def _installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False
