"""Names of files and folders that are made from the names of videos, classes and other text.

They are the same on all systems and valid on each of them, so that results can be copied from one to another.
"""

import re
from unicodedata import normalize

from urbanpipe.contracts.names import short_hash

MAX_BYTES = 200
"""Of a name in UTF-8; file systems allow 255, or 255 UTF-16 units, and an ending and hashes may follow."""
_MAX_FOLDER_CHARACTERS = 80
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE)


def file_name(text: str) -> str:
    """Return text as the name of a file or folder, unchanged if every system allows it.

    Characters that Windows does not allow become `_`; so do a dot at the beginning and dots and spaces at the end. The
    name of a device of Windows gets a `_` in front, and a long text is cut. A text that this changes is followed by a
    short hash of it, so that different texts have different names.

    >>> file_name("Main St. 7"), file_name("a:b"), file_name("con.mp4")
    ('Main St. 7', 'a_b-78d6dbab', '_con.mp4-292528a2')
    """
    plain = _FORBIDDEN.sub("_", text)
    plain = re.sub(r"^\.|[. ]+$", "_", plain) or "_"
    plain = _short(without_device(plain))
    return plain if plain == text else f"{plain}-{short_hash(text)}"


def folder_name(name: str) -> str:
    """Return the folder name for a video: letters and digits of any language, `.`, `-` and `_`.

    If this changes the name, or another spelling of it would be the same file on some systems (capitals, accents), a
    short hash of the name is appended.

    >>> folder_name("pipe_7.mp4"), folder_name("Pipe 7.mp4")
    ('pipe_7.mp4', 'Pipe_7.mp4-d8717704')
    """
    plain = re.sub(r"[^\w.-]+", "_", name).strip("._")[:_MAX_FOLDER_CHARACTERS]
    plain = _short(without_device(plain))
    return plain if plain == name and _has_one_spelling(name) else f"{plain}-{short_hash(name)}"


def without_device(name: str) -> str:
    """Return a name with `_` in front if Windows reserves it for a device, whatever ending it has."""
    return f"_{name}" if _DEVICE.match(name) else name


def _short(name: str) -> str:
    data = name.encode(errors="replace")
    return name if len(data) <= MAX_BYTES else data[:MAX_BYTES].decode(errors="ignore")


def _has_one_spelling(name: str) -> bool:
    """Return whether a name is lower case and composed, as file systems that ignore either compare names."""
    return name == name.casefold() == name.upper().casefold() == normalize("NFC", name)
