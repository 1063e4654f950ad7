r"""Paths and addresses as people, other programs and other systems write them, read by one rule.

- `s3://bucket/key` is an address: a scheme has two letters or more.
- `D:\videos`, `D:/videos` and `\\server\share` are paths, whatever the system; `D:` is never a scheme.
- `file:///data/a.mp4`, `file:///D:/a.mp4` and `file://server/share/a.mp4` are the paths that they name.
- A backslash separates folders where no file has it in its name.
"""

import os
import re
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from urllib.parse import unquote

from urbanpipe.platform_support import IS_WINDOWS

_SCHEME = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_FILE = re.compile(r"file:([/\\]+)(?=(localhost[/\\]|[a-z]:[/\\])?)", re.IGNORECASE)
_WINDOWS = re.compile(r"[a-z]:[/\\]|\\\\[^\\]", re.IGNORECASE)


def is_address(location: str) -> bool:
    r"""Return whether a location is an address such as `s3://bucket/key`, not a path.

    >>> is_address("s3://bucket/key"), is_address(r"C:\videos"), is_address("C://videos"), is_address("file:///a")
    (True, False, False, False)
    """
    return bool(_SCHEME.match(location))


def plain_path(text: str) -> str:
    r"""Return the path that a `file:` address names; other text is returned as it is.

    >>> plain_path("file:///data/a%20b.mp4"), plain_path("file:///D:/a.mp4"), plain_path("file://nas/share/a.mp4")
    ('/data/a b.mp4', 'D:/a.mp4', '//nas/share/a.mp4')
    """
    found = _FILE.match(text)
    if not found:
        return text
    rest, before = unquote(text[found.end() :]), (found[2] or "").lower()
    if before.startswith("localhost"):
        return rest[len("localhost") :]
    if before:
        return rest
    return f"//{rest}" if len(found[1]) == 2 else f"/{rest}"


def local_path(location: str | Path, folder: Path | None = None) -> Path:
    """Return the path on this machine that a location means.

    Args:
        location: a path in the form of any system, or a `file:` address.
        folder: where a relative path starts; None leaves it relative.
    """
    text = plain_path(str(location))
    path = Path(text) if folder is None else folder / text
    if IS_WINDOWS or not ("\\" in text or is_windows_path(text)) or os.path.lexists(path):
        return path
    text = text.replace("\\", "/")
    return Path(text) if folder is None or is_windows_path(text) else folder / text


def is_windows_path(location: str) -> bool:
    r"""Return whether a location has a drive letter or begins with `\\server`."""
    return bool(_WINDOWS.match(location))


def pure_path(location: str) -> PurePath:
    r"""Return a path of whichever system, for its parts; the machine need not have such paths.

    >>> str(pure_path(r"D:\videos\a.mp4").parent), str(pure_path("/data/a.mp4").parent)
    ('D:\\videos', '/data')
    """
    return PureWindowsPath(location) if IS_WINDOWS or is_windows_path(location) else PurePosixPath(location)


def folder_of(location: str) -> str:
    """Return the folder of a path, or the prefix of an address, as text."""
    return location.rpartition("/")[0] if is_address(location) else str(pure_path(location).parent)
