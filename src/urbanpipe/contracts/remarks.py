"""Texts of remarks on a video, in the languages of reports."""

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from urbanpipe.contracts.findings import Remark

_TEXTS = Path(__file__).with_suffix(".toml")


def sentence(remark: Remark, language: str) -> str:
    """Return the text of a remark in a language; English where there is no translation."""
    text = _texts().get(language, {}).get(remark.key)
    if text is None or language == "en":
        return remark.text
    try:
        values = remark.values
        if "reason_key" in values:
            values = values | {"reason": reason_text(values["reason_key"], values, language)}
        return text.format(**values)
    except KeyError:  # a file written by other software may lack values
        return remark.text


def reason_text(key: str, values: Mapping[str, str], language: str = "en") -> str:
    """Return a reason within a remark: the text `reason_{key}` of `remarks.toml`.

    Raises:
        KeyError: there is no such text, or it lacks a value.
    """
    return _texts()[language][f"reason_{key}"].format(**values)


@lru_cache
def _texts() -> dict[str, dict[str, str]]:
    return tomllib.loads(_TEXTS.read_text(encoding="utf-8"))


def remark(
    kind: Literal["out_of_distribution", "dark", "short", "damaged", "cut", "size", "other"], key: str, **values: str
) -> Remark:
    """Return the remark `key` of `remarks.toml`, its English text filled with `values`."""
    return Remark(kind=kind, text=_texts()["en"][key].format(**values), key=key, values=values)
