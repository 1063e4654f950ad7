"""Reads coded inspections in either exchange format, recognised by its content."""

import re
from pathlib import Path
from typing import Literal

from urbanpipe.contracts.coded.en13508 import read_en13508
from urbanpipe.contracts.coded.isybau import read_isybau
from urbanpipe.contracts.coded.model import CodedFile

_HEAD = 256
_SECTION = re.compile(r"#A\d=|#B\d\d=", re.ASCII)


def coded_format(path: Path) -> Literal["isybau", "en13508"] | None:
    """Return the exchange format that a file begins like, or None; a file that cannot be read has none."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", errors="ignore").lstrip()
    return "isybau" if text.startswith("<") else "en13508" if _SECTION.match(text) else None


def read_coded(path: Path) -> CodedFile:
    """Read the coded inspections of an ISYBAU XML file, or else of a text file of EN 13508-2.

    Raises:
        LabelError: the file cannot be read, or is in neither format.
    """
    return read_isybau(path) if coded_format(path) == "isybau" else read_en13508(path)
