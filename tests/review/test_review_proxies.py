"""Proxies: frame i of a proxy is frame i of the video, at the player's time; made once, kept within a limit."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.troubled_decoder import troubled_decoders
from helpers.video_files import FORMS, FRAMES, VPX, number_in, shifted, write, x264
from urbanpipe.errors import OutputError, VideoError
from urbanpipe.review.media import encoding, proxies
from urbanpipe.review.media.encoding import H264, VP9, ProxyFormat, proxy_size
from urbanpipe.review.media.jobs import Report
from urbanpipe.review.media.player_times import frame_shown, seek_seconds, shown_from
from urbanpipe.review.media.proxies import ProxyCache
from urbanpipe.video.decode import index_frames, read_frames
from urbanpipe.video.index import FrameIndex

pytestmark = pytest.mark.multiprocess
LARGE = 2**30
LATER = range(500, 500 + 4 * FRAMES, 4)
EXTRA: dict[str, Callable[[Path], Path]] = {
    "later start": lambda to: write(to / "later.mp4", ticks=LATER),
    "later start, TS": lambda to: shifted(write(to / "plain.mp4"), to / "late.ts", 3600, "mpegts"),
    "turned": lambda to: write(to / "turned.mp4", clockwise=90),
}
NAMES = (
    *("B-pyramid", "edit list", "varying rate", "varying rate, MKV", "TS, joined", "AVI", "AVI, MPEG-4", "MPEG-PS"),
    *("raw H.264", "HEVC", "VP9", *EXTRA),
)


def _video(name: str, folder: Path) -> Path:
    return EXTRA[name](folder) if name in EXTRA else FORMS[name][0](folder)


def _numbers(path: Path) -> list[int]:
    index = index_frames(path)
    return [number_in(frame) for frame in read_frames(path, np.arange(index.frame_count), index=index)]


def _agrees(proxy: Path, index: FrameIndex) -> None:
    copy = index_frames(proxy)
    assert copy.frame_count == index.frame_count
    assert np.abs(copy.clock_seconds - shown_from(index)).max() < 1e-3
    assert abs(copy.duration_seconds - index.duration_seconds) < 2e-3
    every = np.arange(index.frame_count)
    assert [frame_shown(copy, seconds) for seconds in seek_seconds(index, every)] == every.tolist()
    assert np.diff(copy.clock_seconds[np.isin(copy.packet_of, copy.keyframes)]).max() <= 1.001


@pytest.mark.parametrize("name", NAMES)
def test_every_frame_is_shown_at_its_time(name: str, tmp_path: Path) -> None:
    video = _video(name, tmp_path)
    index = index_frames(video)
    proxy = ProxyCache(tmp_path / "proxies", LARGE, form=H264).proxy(video, "d1")
    _agrees(proxy, index)
    assert _numbers(proxy) == _numbers(video)
    if name not in {"TS, joined", "AVI"}:  # the clocks of their files run backwards
        every = np.arange(index.frame_count)
        np.testing.assert_allclose(seek_seconds(index, every), index.player_seconds(every), rtol=0, atol=1e-9)
        np.testing.assert_allclose(index_frames(proxy).player_seconds(every), index.player_seconds(every), atol=1e-3)


@pytest.mark.parametrize("name", ["varying rate", "later start", "AVI, MPEG-4"])
def test_without_an_encoder_of_h264_a_proxy_is_webm(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"libvpx-vp9"})
    video = _video(name, tmp_path)
    cache = ProxyCache(tmp_path / "proxies", LARGE)
    assert cache.form is VP9
    proxy = cache.proxy(video, "d1")
    assert proxy.suffix == ".webm"
    _agrees(proxy, index_frames(video))
    assert _numbers(proxy) == _numbers(video)


def test_the_index_comes_first_and_there_is_no_sound(tmp_path: Path) -> None:
    proxy = ProxyCache(tmp_path, LARGE, form=H264).proxy(write(tmp_path / "a.mp4"), "d1")
    data = proxy.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    with av.open(str(proxy)) as container:
        (stream,) = container.streams
        assert isinstance(stream, av.VideoStream)
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")


@pytest.mark.parametrize(
    ("size", "clockwise", "expected"),
    [((1280, 720), 0, (640, 360)), ((800, 416), 90, (416, 800)), ((194, 146), 0, (194, 146))],
)
def test_it_is_even_narrow_and_upright(
    size: tuple[int, int], clockwise: int, expected: tuple[int, int], tmp_path: Path
) -> None:
    video = write(tmp_path / "a.mp4", 3, size=size[::-1] if clockwise else size, clockwise=clockwise)
    index = index_frames(video)
    assert proxy_size(index) == expected
    with av.open(str(ProxyCache(tmp_path, LARGE).proxy(video, "d1"))) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == expected


@pytest.mark.parametrize("form", [H264, VP9], ids=["H.264", "VP9"])
def test_a_minute_takes_at_most_two_megabytes(form: ProxyFormat, tmp_path: Path) -> None:
    """Noise, which no encoder can compress, for ten seconds; for VP9, which then gives up, with less contrast."""
    noise = np.random.default_rng(0).integers(0, 256 if form is H264 else 100, (10, 240, 320, 3), dtype=np.uint8)
    video = tmp_path / "noise.avi"
    with av.open(str(video), "w") as out:
        stream = out.add_stream("mjpeg", rate=12, options={"strict": "-1", "qscale": "10"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(120):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(noise[number % 10], "rgb24")))
        out.mux(stream.encode())
    assert ProxyCache(tmp_path / "proxies", LARGE, form=form).proxy(video, "d1").stat().st_size < 2e6 / 6


def test_of_a_damaged_video_it_shows_what_can_be_decoded(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "a.mp4", options=x264(12, bframes=0)).read_bytes())
    data[len(data) // 3 : len(data) // 3 + 6000] = bytes(6000)
    video = tmp_path / "damaged.mp4"
    video.write_bytes(data)
    index = index_frames(video)
    copy = index_frames(ProxyCache(tmp_path / "proxies", LARGE).proxy(video, "d1"))
    assert FRAMES // 2 < copy.frame_count <= FRAMES
    away = np.abs(copy.clock_seconds[:, None] - shown_from(index)[None]).min(1)
    assert away.max() < 1e-3
    assert copy.clock_seconds[-1] == pytest.approx(shown_from(index)[-1], abs=1e-3)


def test_a_cut_video_has_a_proxy_up_to_the_cut(tmp_path: Path) -> None:
    data = write(tmp_path / "a.avi", codec="mpeg4", options={"g": "12", "b": "2M"}).read_bytes()
    video = tmp_path / "cut.avi"
    video.write_bytes(data[: len(data) // 2])
    _agrees(ProxyCache(tmp_path / "proxies", LARGE).proxy(video, "d1"), index_frames(video))


class _Slow:
    """Counts and holds the writers of proxies."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started: list[str] = []
        self.go = threading.Event()
        self._write = encoding.write_proxy
        monkeypatch.setattr(proxies, "write_proxy", self)

    def __call__(self, index: FrameIndex, to: Path, *, form: ProxyFormat, report: Report) -> object:
        self.started.append(index.path.name)
        report(0.25)
        while index.path.name.startswith("slow") and not self.go.wait(0.01):
            report(0.25)
        return self._write(index, to, form=form, report=report)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def test_callers_of_one_video_share_the_work_and_others_are_not_blocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fast = write(tmp_path / "slow.mp4", 5), write(tmp_path / "fast.mp4", 5)
    writer, cache = _Slow(monkeypatch), ProxyCache(tmp_path / "proxies", LARGE)
    assert cache.state("d1").status == "absent"
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(cache.proxy, slow, "d1") for _ in range(4)]
        _until(lambda: cache.state("d1").share == 0.25)
        assert cache.start(slow, "d1").status == "making"
        assert cache.proxy(fast, "d2").is_file()
        assert not any(one.done() for one in waiting)
        writer.go.set()
        assert len({one.result() for one in waiting}) == 1
    assert writer.started == ["slow.mp4", "fast.mp4"]
    assert (cache.state("d1").status, cache.state("d1").share) == ("ready", 1.0)
    assert ProxyCache(tmp_path / "proxies", LARGE).proxy(slow, "d1").is_file()
    assert len(writer.started) == 2


def test_the_least_recently_used_are_removed_and_open_ones_stay_readable(tmp_path: Path) -> None:
    videos = [write(tmp_path / f"{n}.mp4", 10, first=n) for n in range(3)]
    size = ProxyCache(tmp_path / "measure", LARGE).proxy(videos[0], "d0").stat().st_size
    cache = ProxyCache(tmp_path / "proxies", int(2.5 * size))
    made = [cache.proxy(video, f"d{n}") for n, video in enumerate(videos[:2])]
    for age, proxy in zip((50, 100), made, strict=True):
        os.utime(proxy, (time.time() - age,) * 2)
    with made[1].open("rb") as response:
        cache.proxy(videos[2], "d2")
        assert [cache.state(f"d{n}").status for n in range(3)] == ["ready", "absent", "ready"]
        if os.name == "posix":
            assert len(response.read()) > 1000
            assert not made[1].exists()
    tight = ProxyCache(tmp_path / "tight", 1)
    for n, video in enumerate(videos[:2]):
        assert tight.proxy(video, f"d{n}").is_file()
    assert len(list((tmp_path / "tight").iterdir())) == 1
    assert tight.proxy(videos[0], "d0").is_file()


def test_a_failure_is_remembered_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    cache = ProxyCache(tmp_path / "proxies", LARGE)
    with pytest.raises(VideoError, match="no such file"):  # not remembered: it may come back
        cache.start(tmp_path / "none.mp4", "d1")
    with pytest.raises(VideoError, match="not a video"):
        cache.proxy(text, "d1")
    assert cache.start(text, "d1").status == "failed"
    assert cache.state("d1").reason == f"{text}: not a video"
    monkeypatch.setattr(proxies, "Job", None)
    with pytest.raises(VideoError, match="not a video"):
        cache.proxy(text, "d1")


def test_a_proxy_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4", 5)
    folder = tmp_path / "proxies"
    folder.write_text("in the way")
    cache = ProxyCache(folder, LARGE)
    with pytest.raises(OutputError, match="proxies"):
        cache.proxy(video, "d1")
    assert cache.state("d1").status == "failed"
    folder.unlink()
    assert cache.proxy(video, "d1").is_file()


def test_a_video_that_crashes_the_decoder_costs_its_proxy_alone(tmp_path: Path) -> None:
    bad, good = write(tmp_path / "crash.mp4", 5), write(tmp_path / "good.mp4", 5)
    cache = ProxyCache(tmp_path / "proxies", LARGE)
    with troubled_decoders():
        with pytest.raises(VideoError, match="crashed the decoder"):
            cache.proxy(bad, "d1")
        assert cache.proxy(good, "d2").is_file()
    assert [one.name for one in cache.folder.iterdir()] == [cache.proxy(good, "d2").name]


def test_closing_cancels_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, cache = _Slow(monkeypatch), ProxyCache(tmp_path / "proxies", LARGE)
    video = write(tmp_path / "slow.mp4", 5)
    cache.start(video, "d1")
    _until(lambda: bool(writer.started))
    cache.close()
    assert cache.state("d1").status == "failed"
    assert list(cache.folder.iterdir()) == []
    writer.go.set()
    assert cache.proxy(video, "d1").is_file()


def test_the_end_of_the_process_cancels(tmp_path: Path) -> None:
    video = write(tmp_path / "long.mp4", 500, options={"preset": "ultrafast"}, size=(320, 240))
    program = (
        "import sys, time; from pathlib import Path; from urbanpipe.review.media.proxies import ProxyCache\n"
        f"cache = ProxyCache(Path({str(tmp_path / 'proxies')!r}), 2**30)\n"
        f"while cache.start(Path({str(video)!r}), 'd1').share == 0: time.sleep(.01)\n"
        "assert cache.state('d1').status == 'making'"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert list((tmp_path / "proxies").iterdir()) == []


def test_what_a_kill_left_is_removed(tmp_path: Path) -> None:
    old, new = tmp_path / ".d1-1.mp4.abc.mp4", tmp_path / ".d2-1.mp4.abc.mp4"
    for one in (old, new):
        one.write_bytes(b"part")
    os.utime(old, (time.time() - 7200,) * 2)
    ProxyCache(tmp_path, LARGE)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_digest_names_a_file_and_nothing_else(tmp_path: Path) -> None:
    cache = ProxyCache(tmp_path, LARGE)
    with pytest.raises(ValueError, match="letters and digits"):
        cache.state("../../etc/passwd")
    with pytest.raises(ValueError, match="at least 1"):
        ProxyCache(tmp_path, 0)


def test_a_proxy_of_vp9_needs_no_hidden_frames(tmp_path: Path) -> None:
    video = write(tmp_path / "a.webm", 20, codec="libvpx-vp9", options=VPX)
    assert index_frames(ProxyCache(tmp_path / "proxies", LARGE, form=VP9).proxy(video, "d1")).timed
