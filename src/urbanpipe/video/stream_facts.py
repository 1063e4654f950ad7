"""Facts about how a video is stored, from its headers: what a player needs to know before it tries."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from urbanpipe.video.container import open_video, reading

HEAD_BYTES = 4096
EBML, DOC_TYPE = bytes.fromhex("1a45dfa3"), bytes.fromhex("4282")  # https://www.rfc-editor.org/rfc/rfc8794


@dataclass(frozen=True)
class StreamFacts:
    """How the video stream of a file is stored.

    Attributes:
        container: "mp4" (also QuickTime), "webm", "matroska", or FFmpeg's first name of the format.
        codec: FFmpeg's name of the codec (not of its decoder), such as "h264".
        tag: four characters by which the container names the codec, such as "avc1"; may be empty.
        profile: FFmpeg's name of the codec's profile, such as "High"; "" if unknown.
        pixel_format: FFmpeg's name, such as "yuv420p"; "" if unknown.
        stream_count: number of video streams, without cover pictures.
    """

    container: str
    codec: str
    tag: str
    profile: str
    pixel_format: str
    stream_count: int


def stream_facts(path: Path) -> StreamFacts:
    """Return how a video is stored, without decoding it.

    Raises:
        VideoError: the file is missing, empty or not a video, or has only audio.
    """
    path = Path(path)
    with reading(path), open_video(path) as video:
        context = video.stream.codec_context
        return StreamFacts(
            container=_container(path, video.container.format.name),
            codec=context.codec.canonical_name,
            tag=_tag(context.codec_tag),
            profile=context.profile or "",
            pixel_format=context.pix_fmt or "",
            stream_count=1 + len(video.others),
        )


def _tag(tag: object) -> str:
    text = tag.decode("latin-1") if isinstance(tag, bytes) else str(tag)
    return text if text.isprintable() else ""


def _container(path: Path, names: str) -> str:
    every = names.split(",")
    if "mp4" in every:
        return "mp4"
    if "matroska" in every:
        return "webm" if _doc_type(path) == "webm" else "matroska"
    return every[0]


def _doc_type(path: Path) -> str:
    """Return the type that a Matroska file says it is; "" if it does not say so where it should."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    at = head.find(DOC_TYPE)
    if not head.startswith(EBML) or at < 0 or at + 3 > len(head):
        return ""
    length = head[at + 2] & 0x7F
    with suppress(UnicodeDecodeError):
        return head[at + 3 : at + 3 + length].rstrip(b"\0").decode("ascii")
    return ""
