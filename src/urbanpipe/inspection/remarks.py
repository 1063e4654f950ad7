"""What must be known of a video before what was found in it is trusted, in the languages of reports."""

import tomllib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from urbanpipe.inspection.findings import Remark

if TYPE_CHECKING:  # they bring torch, which reports do without
    from urbanpipe.inspection.foreign import Foreign
    from urbanpipe.inspection.watching import Watched

SHORT_SECONDS = 1.0
DARK_SHARE = 0.5  # of the frames that must be dark for the video to be called so
_TEXTS = Path(__file__).with_suffix(".toml")


def remarks_on(watched: "Watched", foreign: "Foreign | None", unlearnt: Sequence[str]) -> Iterator[Remark]:
    """The remarks on a video.

    Args:
        watched: what was seen of it.
        foreign: tells videos that are unlike those that the networks have learnt from.
        unlearnt: codes of classes that the networks have had no example of.
    """
    index = watched.index
    if unlearnt:
        yield _remark("other", "unlearnt", classes=", ".join(unlearnt))
    if foreign and (score := foreign.score(watched.features)) > foreign.threshold:
        yield _remark("foreign", "foreign", distance=f"{score:.2f}", limit=f"{foreign.threshold:.2f}")
    if watched.dark > DARK_SHARE:
        yield _remark("dark", "dark", share=f"{watched.dark:.0%}")
    if index.duration_seconds < SHORT_SECONDS:
        yield _remark("short", "short", seconds=f"{index.duration_seconds:.2f}")
    if len(watched.sizes) > 1:
        yield _remark("size", "size", sizes=", ".join(f"{width}x{height}" for width, height in watched.sizes))
    if watched.damaged and not index.damage:
        yield _remark("damaged", "corrupt", share=f"{max(watched.damaged, 0.001):.1%}")
    if index.damage:
        kind: Literal["cut", "damaged"] = "cut" if index.damage.startswith("truncated") else "damaged"
        yield _remark(kind, kind, damage=index.damage)


def sentence(remark: Remark, language: str) -> str:
    """The remark in a language; English where the language, or the remark, has no other."""
    text = _texts().get(language, {}).get(remark.key)
    if text is None or language == "en":
        return remark.text
    try:
        return text.format(**remark.values)
    except KeyError:  # a file from elsewhere
        return remark.text


@lru_cache
def _texts() -> dict[str, dict[str, str]]:
    return tomllib.loads(_TEXTS.read_text(encoding="utf-8"))


def _remark(
    kind: Literal["foreign", "dark", "short", "damaged", "cut", "size", "other"], key: str, **values: str
) -> Remark:
    return Remark(kind=kind, text=_texts()["en"][key].format(**values), key=key, values=values)
