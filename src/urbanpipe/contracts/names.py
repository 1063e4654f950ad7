"""Names of videos in files and tables."""

import hashlib
from collections.abc import Sequence
from unicodedata import normalize

_NAMED = 3


def canonical_name(name: str) -> str:
    """Return a video's name in Unicode normal form C, as file systems and label files may disagree about accents."""
    return normalize("NFC", name)


def short_hash(name: str) -> str:
    """Return eight hexadecimal digits that distinguish a name from others."""
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=4).hexdigest()


def shortened(names: Sequence[str]) -> str:
    """Return `3 videos: a.mp4, b.mp4, c.mp4`, with an ellipsis after the first few names."""
    shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"{len(names)} video{'s' if len(names) != 1 else ''}: {shown}"
