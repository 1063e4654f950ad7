"""Decide what a person must know of a video before they trust the findings."""

from collections.abc import Iterator, Sequence
from typing import Literal

from urbanpipe.contracts.findings import Remark
from urbanpipe.contracts.remarks import remark
from urbanpipe.inference.ood import Foreign
from urbanpipe.inspection.video_pass import Watched

SHORT_SECONDS = 1.0


DARK_SHARE = 0.5  # of the frames that must be dark for the video to be called so


def remarks_on(watched: Watched, foreign: Foreign | None, unlearnt: Sequence[str]) -> Iterator[Remark]:
    """The remarks on a video.

    Args:
        watched: what was seen of it.
        foreign: tells videos that are unlike those that the networks have learnt from.
        unlearnt: codes of classes that the networks have had no example of.
    """
    index = watched.index
    if unlearnt:
        yield remark("other", "unlearnt", classes=", ".join(unlearnt))
    if foreign and (score := foreign.score(watched.features)) > foreign.threshold:
        yield remark("foreign", "foreign", distance=f"{score:.2f}", limit=f"{foreign.threshold:.2f}")
    if watched.dark > DARK_SHARE:
        yield remark("dark", "dark", share=f"{watched.dark:.0%}")
    if index.duration_seconds < SHORT_SECONDS:
        yield remark("short", "short", seconds=f"{index.duration_seconds:.2f}")
    if len(watched.sizes) > 1:
        yield remark("size", "size", sizes=", ".join(f"{width}x{height}" for width, height in watched.sizes))
    if watched.damaged and not index.damage:
        yield remark("damaged", "corrupt", share=f"{max(watched.damaged, 0.001):.1%}")
    if index.damage:
        kind: Literal["cut", "damaged"] = "cut" if index.damage.startswith("truncated") else "damaged"
        yield remark(kind, kind, damage=index.damage)
