"""Check that an sdist and a wheel hold what git tracks in src/urbanpipe, and nothing else that matters.

python tools/check_distribution.py dist
"""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from email.parser import Parser
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
MEDIA = {".avi", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"}
WHEEL_LIMIT_MB = 12.0


def tracked() -> set[str]:
    """Return the files of the package, relative to src."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "src/urbanpipe"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return {name.removeprefix("src/") for name in listed.stdout.split("\0") if name}


def one(folder: Path, pattern: str) -> Path:
    """Return the only file that fits a pattern."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        sys.exit(f"{folder} has {len(found)} files {pattern}; expected one, so empty it and build again")
    return found[0]


def mistakes(wheel: Path, sdist: Path) -> Iterable[str]:
    """Yield a line for everything that is wrong."""
    wanted = tracked()
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(info).decode())
    packed = {name for name in names if ".dist-info/" not in name}
    yield from (f"the wheel lacks {name}" for name in sorted(wanted - packed))
    yield from (f"the wheel holds {name}, which git does not track" for name in sorted(packed - wanted))
    if not any(name.endswith("/LICENSE") for name in names):
        yield "the wheel lacks LICENSE"
    if metadata["Requires-Python"] != ">=3.11":
        yield f"the wheel requires Python {metadata['Requires-Python']!r}; expected '>=3.11'"
    if (size := wheel.stat().st_size / 1e6) > WHEEL_LIMIT_MB:
        yield f"the wheel has {size:.1f} MB; at most {WHEEL_LIMIT_MB:.0f} MB are expected"
    with tarfile.open(sdist) as archive:
        files = {member.name.partition("/")[2] for member in archive if member.isfile()}
    yield from (f"the sdist lacks src/{name}" for name in sorted(wanted) if f"src/{name}" not in files)
    yield from (f"the sdist lacks {name}" for name in ("LICENSE", "README.md", "pyproject.toml") if name not in files)
    yield from (f"{name} is a video" for name in sorted(names | files) if PurePosixPath(name).suffix in MEDIA)


def main(folder: Path) -> None:
    """Print what is wrong, or what was checked."""
    wheel, sdist = one(folder, "*.whl"), one(folder, "*.tar.gz")
    if found := list(mistakes(wheel, sdist)):
        sys.exit("\n".join(found))
    for file in (wheel, sdist):
        print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB, contents as tracked by git")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
