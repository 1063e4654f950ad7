"""Terms of inspection data (materials, shapes, weather) and their codes in the exchange formats."""

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

Kind = Literal["materials", "shapes", "weather"]
Format = Literal["isybau", "en13508"]


def term_of(text: str, kind: Kind) -> str:
    """Return the term that a person's text means; empty if there is none."""
    folded = text.strip().casefold()
    return next((term for term, row in _terms()[kind].items() if folded in (term, *row.get("names", ()))), "")


def code_of(term: str, kind: Kind, form: Format) -> str:
    """Return the code of a term in a format; empty if it has none."""
    return str(_terms()[kind].get(term, {}).get(form, ""))


def term_of_code(code: str, kind: Kind, form: Format) -> str:
    """Return the first term with a code; empty if there is none."""
    return next((term for term, row in _terms()[kind].items() if code and row.get(form) == code), "")


@lru_cache
def _terms() -> dict[str, dict[str, Any]]:
    return tomllib.loads(Path(__file__).with_name("terms.toml").read_text(encoding="utf-8"))
