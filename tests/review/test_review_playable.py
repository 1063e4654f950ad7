"""Which videos browsers play as they are."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import av
import pytest

from helpers.video_files import FORMS, VPX, write, x264
from urbanpipe.errors import VideoError
from urbanpipe.review.media.playable import plays_in_browser
from urbanpipe.video.stream_facts import stream_facts

pytestmark = pytest.mark.multiprocess
PLAYED = ("plain", "B-pyramid", "fragmented", "edit list", "varying rate", "VP9")
NOT_PLAYED = {
    "MKV": "browsers do not play matroska files",
    "TS": "browsers do not play mpegts files",
    "AVI": "browsers do not play avi files",
    "MPEG-PS": "browsers do not play mpeg files",
    "raw H.264": "browsers do not play h264 files",
    "HEVC": "browsers do not play hevc in mp4",
}
MADE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "QuickTime": (lambda to: _encoded(to / "a.mov", "libx264", "yuv420p"), ""),
    "baseline": (lambda to: _encoded(to / "a.mp4", "libx264", "yuv420p", profile="baseline"), ""),
    "full range": (lambda to: _encoded(to / "a.mp4", "libx264", "yuvj420p"), ""),
    "VP8": (lambda to: _encoded(to / "a.webm", "libvpx", "yuv420p"), ""),
    "VP9 in MKV": (lambda to: _encoded(to / "a.mkv", "libvpx-vp9", "yuv420p"), "matroska"),
    "VP9 in MP4": (lambda to: _encoded(to / "a.mp4", "libvpx-vp9", "yuv420p"), "vp9 in mp4"),
    "10 bits": (lambda to: _encoded(to / "a.mp4", "libx264", "yuv420p10le"), "yuv420p10le"),
    "4:4:4": (lambda to: _encoded(to / "a.mp4", "libx264", "yuv444p"), "yuv444p"),
    "4:2:2": (lambda to: _encoded(to / "a.mp4", "libx264", "yuv422p"), "yuv422p"),
    "MPEG-4 part 2": (lambda to: _encoded(to / "a.mp4", "mpeg4", "yuv420p"), "mpeg4 in mp4"),
    "motion JPEG": (lambda to: _encoded(to / "a.mov", "mjpeg", "yuvj420p"), "mjpeg in mp4"),
    "WMV": (lambda to: _encoded(to / "a.wmv", "wmv2", "yuv420p"), "browsers do not play asf files"),
    "FLV": (lambda to: _encoded(to / "a.flv", "libx264", "yuv420p"), "browsers do not play flv files"),
    "AV1": (lambda to: _encoded(to / "a.webm", "libsvtav1", "yuv420p"), ""),
}


def _encoded(path: Path, codec: str, pixel_format: str, profile: str = "") -> Path:
    if codec not in av.codecs_available:
        pytest.skip(f"no {codec} in this PyAV")
    options = {"libvpx-vp9": VPX, "libvpx": VPX, "libx264": x264(12)}.get(codec, {})
    with av.open(str(path), "w") as out:
        options |= {"profile": profile} if profile else {}
        stream = cast("av.VideoStream", out.add_stream(codec, rate=25, options=options))
        stream.width, stream.height, stream.pix_fmt = 128, 96, pixel_format
        for number in range(3):
            frame = av.VideoFrame(128, 96, pixel_format)
            for plane in frame.planes:
                plane.update(bytes([40 * number]) * plane.buffer_size)
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


@pytest.mark.parametrize("name", PLAYED)
def test_what_browsers_play(name: str, tmp_path: Path) -> None:
    answer = plays_in_browser(FORMS[name][0](tmp_path))
    assert answer
    assert (answer.plays, answer.reason) == (True, "")


@pytest.mark.parametrize("name", NOT_PLAYED)
def test_what_needs_a_proxy(name: str, tmp_path: Path) -> None:
    answer = plays_in_browser(FORMS[name][0](tmp_path))
    assert not answer
    assert answer.reason == NOT_PLAYED[name]


@pytest.mark.parametrize("name", MADE)
def test_codec_profile_and_pixels_decide(name: str, tmp_path: Path) -> None:
    make, reason = MADE[name]
    answer = plays_in_browser(make(tmp_path))
    assert answer.plays == (not reason), answer.reason
    assert reason in answer.reason


def test_several_video_streams_need_a_proxy(tmp_path: Path) -> None:
    path = tmp_path / "two.mp4"
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("libx264", rate=25, options=x264(12)) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for stream in streams:
            out.mux([*stream.encode(av.VideoFrame(128, 96, "yuv420p")), *stream.encode()])
    assert plays_in_browser(path).reason == "it has several video streams"


@pytest.mark.parametrize("content", [b"", b"text", bytes(5000), b"\x1aE\xdf\xa3" + bytes(100)])
def test_files_that_are_no_videos_raise_one_kind_of_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    path.write_bytes(content)
    with pytest.raises(VideoError):
        plays_in_browser(path)
    with pytest.raises(VideoError, match="no such file"):
        plays_in_browser(tmp_path / "none.mp4")


def test_facts_are_those_of_the_headers(tmp_path: Path) -> None:
    facts = stream_facts(write(tmp_path / "a.mp4", 3))
    assert (facts.container, facts.codec, facts.tag, facts.pixel_format) == ("mp4", "h264", "avc1", "yuv420p")
    assert stream_facts(write(tmp_path / "a.webm", 3, codec="libvpx", options=VPX)).container == "webm"


@pytest.mark.slow
def test_the_media_need_neither_torch_nor_fastapi(tmp_path: Path) -> None:
    """Stills smaller than the video, and a proxy, with both libraries out of reach."""
    video = write(tmp_path / "a.mp4", 5)
    program = (
        "import sys; sys.modules.update(torch=None, torchvision=None, fastapi=None)\n"
        "from pathlib import Path\n"
        "from urbanpipe.review.media import indices, playable, player_times, proxies, stills\n"
        f"video = Path({str(video)!r})\n"
        "assert playable.plays_in_browser(video)\n"
        "assert stills.Stills().frame(video, 3, max_width=50)[:2] == bytes([255, 216])\n"
        f"assert proxies.ProxyCache(Path({str(tmp_path / 'p')!r}), 10**9).proxy(video, 'd1').is_file()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
