"""Remarks on a video, which a person must know before they trust its findings."""

from collections.abc import Iterator, Sequence
from typing import Literal

from urbanpipe.contracts.findings import Remark
from urbanpipe.contracts.remarks import remark
from urbanpipe.inference.ood import OODDetector
from urbanpipe.inspection.screen_text.counter import CounterSearch
from urbanpipe.inspection.video_pass import VideoPassResult

SHORT_SECONDS = 1.0


DARK_SHARE = 0.5  # share of dark frames above which the video gets a remark


def remarks_on(
    observed: VideoPassResult, ood: OODDetector | None, untrained: Sequence[str], counter: CounterSearch
) -> Iterator[Remark]:
    """Yield the remarks on a video.

    Args:
        observed: result of the streaming pass.
        ood: detector of out-of-distribution videos; None if there is none.
        untrained: codes of classes without training examples.
        counter: the region of the on-screen distance, or why it was not found.
    """
    index = observed.index
    if untrained:
        yield remark("other", "untrained", classes=", ".join(untrained))
    if ood and (score := ood.score(observed.features)) > ood.threshold:
        yield remark(
            "out_of_distribution", "out_of_distribution", distance=f"{score:.2f}", limit=f"{ood.threshold:.2f}"
        )
    if observed.dark > DARK_SHARE:
        yield remark("dark", "dark", share=f"{observed.dark:.0%}")
    if index.duration_seconds < SHORT_SECONDS:
        yield remark("short", "short", seconds=f"{index.duration_seconds:.2f}")
    if len(observed.sizes) > 1:
        yield remark("size", "size", sizes=", ".join(f"{width}x{height}" for width, height in observed.sizes))
    if observed.damaged and not index.damage:
        yield remark("damaged", "corrupt", share=f"{max(observed.damaged, 0.001):.1%}")
    if index.damage:
        kind: Literal["cut", "damaged"] = "cut" if index.damage.startswith("truncated") else "damaged"
        yield remark(kind, kind, damage=index.damage)
    if counter.why:
        yield remark("other", "no_distance", reason=counter.reason, reason_key=counter.why, **counter.values)
    if index.notes:
        yield remark("other", "notes", notes="; ".join(index.notes))
