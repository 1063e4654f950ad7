"""The files of a bundle in a repository, and their checksums.

Besides the files of the bundle, a repository has README.md, the model card for the Hub, and SHA256SUMS, in the format
of the command `sha256sum`.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from urbanpipe.errors import HubError
from urbanpipe.inference.bundle import (
    CALIBRATION,
    CARD,
    DIAGRAM,
    MANIFEST,
    METRICS,
    OOD,
    TAXONOMY,
    Manifest,
    graph_files,
    member_files,
)

SUMS = "SHA256SUMS"
README = "README.md"
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([!-~]{1,300})")


def bundle_files(manifest: Manifest) -> tuple[str, ...]:
    """Return the paths of all files of a bundle, its manifest first.

    Raises:
        HubError: the manifest names a file that bundles do not have. Nothing but recipes, weights, graphs and figures
            is ever sent or fetched.
    """
    known = {TAXONOMY, CALIBRATION, METRICS, CARD, DIAGRAM, OOD}
    known |= {name for member in manifest.members for name in member_files(member)}
    known |= {name for member in manifest.members for files in graph_files(member) for name in files}
    if unknown := sorted(set(manifest.files) - known):
        raise HubError(f"{MANIFEST} names {unknown[0]!r}, which is not a file of a bundle")
    return MANIFEST, *manifest.files


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def format_sums(folder: Path, names: Iterable[str]) -> str:
    """Return the content of SHA256SUMS for files of a folder."""
    return "".join(f"{sha256(folder / name)}  {name}\n" for name in names)


def parse_sums(text: str) -> dict[str, str]:
    """Return the SHA-256 of every file that SHA256SUMS lists.

    Raises:
        HubError: a line is not a checksum and a path.
    """
    sums = {}
    for number, line in enumerate(text.splitlines(), 1):
        if (match := _LINE.fullmatch(line)) is None:
            raise HubError(f"line {number} of {SUMS} is {line[:80]!r}; expected a SHA-256 and a path")
        sums[match[2]] = match[1]
    return sums
