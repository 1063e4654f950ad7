"""Whether browsers play a video as it is, decided from how it is stored.

What is accepted here plays in Chromium and Firefox of Debian. Other browsers, and these with further codecs installed,
play more; if in doubt, the answer is no, and a proxy is shown (`proxies.py`).
"""

from dataclasses import dataclass
from pathlib import Path

from urbanpipe.video.isolated import stream_facts
from urbanpipe.video.stream_facts import StreamFacts

CODECS_OF = {"mp4": ("h264",), "webm": ("vp8", "vp9", "av1")}
H264_TAGS = frozenset({"avc1", "avc3"})
PIXEL_FORMATS = frozenset({"yuv420p", "yuvj420p"})  # 8 bits, 4:2:0
PROFILES = {
    "h264": frozenset({"Baseline", "Constrained Baseline", "Main", "High", "Progressive High", "Constrained High"}),
    "vp8": frozenset({"", "0", "1", "2", "3"}),
    "vp9": frozenset({"Profile 0"}),
    "av1": frozenset({"Main"}),
}


@dataclass(frozen=True)
class Playable:
    """Whether browsers play a video as it is.

    Attributes:
        plays: the answer.
        reason: why not; "" if it plays.
    """

    plays: bool
    reason: str = ""

    def __bool__(self) -> bool:
        """Return the answer."""
        return self.plays


def plays_in_browser(path: Path) -> Playable:
    """Return whether browsers play a video as it is, from its headers.

    H.264 in MP4 or QuickTime, and VP8, VP9 or AV1 in WebM, with 8 bits and 4:2:0, are played. Matroska files count as
    WebM if they say that they are.

    Raises:
        VideoError: the file is missing, empty or not a video, or has only audio.
    """
    reason = _reason(stream_facts(path))
    return Playable(not reason, reason)


def _reason(facts: StreamFacts) -> str:
    codecs = CODECS_OF.get(facts.container)
    if codecs is None:
        return f"browsers do not play {facts.container} files"
    if facts.codec not in codecs:
        return f"browsers do not play {facts.codec} in {facts.container}"
    if facts.codec == "h264" and facts.tag not in H264_TAGS:
        return f"browsers may not know h264 by the name {facts.tag!r}"
    if facts.pixel_format not in PIXEL_FORMATS:
        return f"browsers may not show pixels of the format {facts.pixel_format or 'unknown'}"
    if facts.profile not in PROFILES[facts.codec]:
        return f"browsers may not play {facts.codec} of the profile {facts.profile or 'unknown'}"
    return "it has several video streams" if facts.stream_count > 1 else ""
