"""The pages of the review app: fixed HTML, scripts and styles, and their texts."""

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

import urbanpipe.report

_PAGES = Path(__file__).with_name("pages")
_REPORT = Path(urbanpipe.report.__file__).with_name("templates")
PAGES = ("queue", "video", "agreement", "login", "enter")
"""Pages that are served."""
STATIC = {path.name: path for path in _PAGES.glob("*") if path.suffix in (".js", ".css")} | {
    name: _REPORT / name for name in ("style.css", "dark.css")
}
"""Files that pages load, by name; colours and type are those of the reports."""


@lru_cache
def page(name: str) -> str:
    """Return one of `PAGES`."""
    frame = (_PAGES / "frame.html").read_text(encoding="utf-8")
    body = (_PAGES / f"{name}.html").read_text(encoding="utf-8")
    return frame.replace("{{ body }}", body).replace("{{ name }}", name)


@lru_cache
def texts() -> dict[str, Any]:
    """Return the texts by language and key."""
    return tomllib.loads(Path(__file__).with_name("texts.toml").read_text(encoding="utf-8"))
