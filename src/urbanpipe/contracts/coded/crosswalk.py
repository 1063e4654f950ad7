"""The crosswalk between classes and codes of EN 13508-2, in both directions."""

import re
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from urbanpipe.contracts.coded.model import REMARK, Code, Observation
from urbanpipe.errors import TaxonomyError
from urbanpipe.taxonomy import Taxonomy

_CODE = re.compile(r"[A-Z0-9]{1,10}( [A-Z0-9]{1,10}){0,2}", re.ASCII)


class ClassCodes(NamedTuple):
    """The codes of a class.

    Attributes:
        written: code that an export writes; a general remark where the class does not say which code it is.
        reads: codes that are read as the class, each with all codes that begin with it.
        open: what a person has to add to the written code.
    """

    written: Code
    reads: tuple[Code, ...]
    open: tuple[str, ...]

    def __str__(self) -> str:
        codes = [self.written] if self.written.main != REMARK else self.reads
        return "/".join(map(str, codes))


def codes_of(class_code: str, taxonomy: Taxonomy) -> ClassCodes:
    """Return the codes of a class: those of its own crosswalk in the taxonomy, or else of `en13508.toml`.

    Of a crosswalk with alternatives, such as `BAB/BAC`, the part that all share is written.

    Raises:
        TaxonomyError: the crosswalk of the class is not a list of codes.
    """
    walk = next((item.crosswalk for item in taxonomy.classes if item.code == class_code), {})
    if "en13508" in walk:
        reads = tuple(_parsed(part, class_code) for part in walk["en13508"].split("/"))
        written = _shared(reads)
        missing = "code" if written.main == REMARK else "" if written.char1 else "characterisation"
        return ClassCodes(written, reads, tuple(filter(None, [missing, "quantification"])))
    row = _table()["classes"].get(class_code, {"code": "", "reads": [], "open": ["code"]})
    written = _parsed(row["code"], class_code) if row["code"] else Code(REMARK)
    return ClassCodes(written, tuple(_parsed(code, class_code) for code in row["reads"]), tuple(row["open"]))


class ReadCodes:
    """The classes of codes that others wrote."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        defects = [taxonomy.classes[index] for index in taxonomy.defects]
        self._written = {item.code: codes_of(item.code, taxonomy).written for item in defects}
        self._classes: dict[Code, set[str]] = {}
        for item in defects:
            for code in codes_of(item.code, taxonomy).reads:
                self._classes.setdefault(code, set()).add(item.code)
        self.without_code = [item.code for item in defects if not codes_of(item.code, taxonomy).reads]
        """Classes that no code is read as."""

    def class_of(self, code: Code) -> str | None:
        """Return the class of the longest known beginning of a code; None if there is none, or several share it."""
        for known in (code, code._replace(char2=""), Code(code.main)):
            if classes := self._classes.get(known):
                return next(iter(classes)) if len(classes) == 1 else None
        return None

    def class_of_observation(self, row: Observation) -> str | None:
        """Return the class of an observation; None if its code has none.

        A code that an export wrote and that several classes share is that of the class in the remark.
        """
        if (known := self.class_of(row.code)) is None and self._written.get(row.exported_class) == row.code:
            return row.exported_class
        return known

    def is_neutral(self, row: Observation) -> bool:
        """Return whether an observation is no defect (a node, a repair, the water level and the like) and no class."""
        return row.code.main in _table()["neutral"] and self.class_of_observation(row) is None


def _shared(codes: Sequence[Code]) -> Code:
    """Return the part that all codes share, a general remark if they share nothing."""
    first = codes[0]
    for known in (first, first._replace(char2=""), Code(first.main)):
        parts = tuple(filter(None, known))
        if all(code[: len(parts)] == parts for code in codes):
            return known
    return Code(REMARK)


def _parsed(text: str, class_code: str) -> Code:
    text = " ".join(text.upper().split())
    if not _CODE.fullmatch(text):
        raise TaxonomyError(
            f"class {class_code}: the crosswalk en13508 has {text[:60]!r}; write codes such as BAJ B, with / between"
        )
    return Code(*text.split())


@lru_cache
def _table() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("en13508.toml").read_text(encoding="utf-8"))
