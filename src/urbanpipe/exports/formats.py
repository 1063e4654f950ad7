"""The formats of `export`: their names, what they hold, and their suffixes."""

import difflib
from pathlib import Path

from urbanpipe.errors import InspectionError, ReviewError
from urbanpipe.exports.columns import LANGUAGES

FORMATS = ("cjj181", "isybau", "en13508", "wincan", "pacp", "qvpipe", "cctvpipe", "jsonl", "labels", "moments")
FOR_TRAINING = ("labels", "moments")
"""Formats that hold only what people decided."""
WITH_DATA = ("cjj181", "isybau", "en13508", "wincan", "pacp")
"""Formats that hold inspection data."""
DATED = ("isybau", "en13508", "wincan", "pacp")
"""Formats that hold the date of the inspection."""
# Of formats that are one file but no .json.
_SUFFIXES = {
    "isybau": ".xml",
    "en13508": ".txt",
    "wincan": ".db3",
    "jsonl": ".jsonl",
}


def check_format(out: Path, to: str, language: str, *, with_store: bool) -> None:
    """Check format, language and suffix before anything is read.

    Args:
        out: the file or folder to write.
        to: the format.
        language: language of the CJJ 181 table.
        with_store: whether decisions are given.

    Raises:
        InspectionError: the format, the language or the suffix is unknown.
        ReviewError: the format needs decisions, or they have no effect on it.
    """
    if to not in FORMATS:
        near = difflib.get_close_matches(to, FORMATS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InspectionError(f"unknown format {to!r}; expected one of {', '.join(FORMATS)}{hint}")
    if to in FOR_TRAINING and not with_store:
        raise ReviewError(f"{to} are what people decided; give the --store of `urbanpipe review`")
    if to == "qvpipe" and with_store:
        raise ReviewError("a store has no effect on qvpipe, which holds the scores of all classes; leave --store out")
    if language not in LANGUAGES:
        raise InspectionError(f"language is {language!r}; expected {' or '.join(LANGUAGES)}")
    suffix = _SUFFIXES.get(to, ".json")
    if to not in ("cjj181", "pacp") and out.suffix.lower() != suffix:
        raise InspectionError(f"{out}: {to} is written as {suffix}; give --out with this suffix")
