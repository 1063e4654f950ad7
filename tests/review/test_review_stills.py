"""Stills: the exact frame, by number and by time, from several threads."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.video_files import FORMS, FRAMES, HEIGHT, VARYING_TIMES, WIDTH, number_in, write, x264
from urbanpipe.errors import VideoError
from urbanpipe.review.media import indices
from urbanpipe.review.media import stills as stills_module
from urbanpipe.review.media.indices import IndexCache
from urbanpipe.review.media.proxies import ProxyCache
from urbanpipe.review.media.stills import Stills
from urbanpipe.video.decode import index_frames, read_frames
from urbanpipe.video.index import FrameIndex

pytestmark = pytest.mark.multiprocess


def _shown(jpeg: bytes) -> Image.Image:
    return Image.open(io.BytesIO(jpeg), formats=["JPEG"])


def _number(jpeg: bytes) -> int:
    return number_in(np.asarray(_shown(jpeg)))


@pytest.mark.parametrize("name", ["edit list", "open groups", "varying rate", "AVI, MPEG-4", "TS, joined"])
def test_a_still_is_the_frame_of_the_exact_reader(name: str, tmp_path: Path) -> None:
    video, stills = FORMS[name][0](tmp_path), Stills(quality=95)
    wanted = [0, 41, 7, FRAMES - 1]
    for number, exact in zip(wanted, read_frames(video, wanted), strict=True):
        shown = np.asarray(_shown(stills.frame(video, number)))
        assert shown.shape == exact.shape
        assert np.abs(shown.mean(2) - exact.mean(2)).mean() < 3  # JPEG keeps less of the colours
        assert number_in(shown) == number_in(exact)


def test_frames_by_time_and_their_times(tmp_path: Path) -> None:
    video, stills = write(tmp_path / "a.mp4", ticks=VARYING_TIMES), Stills()
    assert stills.count(video) == FRAMES
    np.testing.assert_allclose(stills.times(video), np.array(VARYING_TIMES) / 100, atol=1e-6)
    for number in (0, 20, FRAMES - 2):
        between = (VARYING_TIMES[number] + VARYING_TIMES[number + 1]) / 200
        assert _number(stills.frame_at(video, between)) == number
    with pytest.raises(VideoError, match=r"no frame at 1e\+06 s; it lasts"):
        stills.frame_at(video, 1e6)
    with pytest.raises(VideoError, match=f"no frame {FRAMES}; it has frames 0 to {FRAMES - 1}"):
        stills.frame(video, FRAMES)
    with pytest.raises(VideoError, match="no frame -1"):
        stills.frame(video, -1)


@pytest.mark.parametrize("clockwise", [0, 90])
def test_the_longest_side_can_be_limited(clockwise: int, tmp_path: Path) -> None:
    video, stills = write(tmp_path / "a.mp4", 3, clockwise=clockwise), Stills()
    assert _shown(stills.frame(video, 1)).size == (WIDTH, HEIGHT)
    assert _shown(stills.frame(video, 1, max_width=96)).size == (96, 72)
    assert _shown(stills.frame(video, 1, max_width=5000)).size == (WIDTH, HEIGHT)
    with pytest.raises(ValueError, match="max_width is 0"):
        stills.frame(video, 1, max_width=0)


def test_a_damaged_video_has_a_still_for_every_frame(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "a.mp4", options=x264(12, bframes=0)).read_bytes())
    data[len(data) // 3 : len(data) // 3 + 6000] = bytes(6000)
    video = tmp_path / "damaged.mp4"
    video.write_bytes(data)
    stills = Stills()
    assert all(_shown(stills.frame(video, number)).size == (WIDTH, HEIGHT) for number in range(15, 40, 3))


def test_threads_get_their_own_frames(tmp_path: Path) -> None:
    videos = [write(tmp_path / f"{n}.mp4", first=100 * n) for n in range(2)]
    stills = Stills()
    wanted = [(n % 2, 7 * n % FRAMES) for n in range(24)]
    with ThreadPoolExecutor(6) as pool:
        numbers = pool.map(lambda one: _number(stills.frame(videos[one[0]], one[1])), wanted)
    assert list(numbers) == [100 * video + frame for video, frame in wanted]


class _Counted:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: list[str] = []
        monkeypatch.setattr(indices, "index_frames", self)

    def __call__(self, path: Path) -> FrameIndex:
        self.paths.append(path.name)
        return index_frames(path)


def test_an_index_is_made_once_and_kept_while_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = [write(tmp_path / f"{n}.mp4", 3) for n in range(3)]
    counted, kept = _Counted(monkeypatch), IndexCache(max_videos=2)
    with ThreadPoolExecutor(4) as pool:
        assert len({id(one) for one in pool.map(kept.index, [videos[0]] * 8)}) == 1
    for n in (1, 0, 2, 0, 1):
        kept.index(videos[n])
    assert counted.paths == ["0.mp4", "1.mp4", "2.mp4", "1.mp4"]
    write(videos[1], 5)
    assert kept.index(videos[1]).frame_count == 5


def test_an_index_can_be_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video, kept, go = write(tmp_path / "a.mp4", 3), IndexCache(), threading.Event()

    def slow(path: Path) -> FrameIndex:
        go.wait(20)
        return index_frames(path)

    monkeypatch.setattr(indices, "index_frames", slow)
    assert not kept.prepare(video)
    go.set()
    assert kept.index(video).frame_count == 3
    assert kept.prepare(video)


def test_a_file_that_could_not_be_read_is_tried_again(tmp_path: Path) -> None:
    video, stills = tmp_path / "a.mp4", Stills()
    with pytest.raises(VideoError, match="no such file"):
        stills.frame(video, 0)
    video.write_bytes(b"text")
    with pytest.raises(VideoError, match="not a video"):
        stills.frame(video, 0)
    write(video, 3)
    assert stills.count(video) == 3


@pytest.mark.parametrize(("name", "from_proxy"), [("AVI, MPEG-4", True), ("TS, joined", True), ("plain", False)])
def test_where_frames_must_be_counted_the_proxy_gives_them(
    name: str, from_proxy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stills_module, "NEAR_FRAMES", 20)
    video, stills = FORMS[name][0](tmp_path), Stills()
    proxy = ProxyCache(tmp_path / "proxies", 2**30).proxy(video, "d1")
    assert stills.is_quick(video, 20)
    assert stills.is_quick(video, 21) == (not from_proxy)
    for number in (5, 40, FRAMES - 1):
        exact, quick = stills.frame(video, number), stills.frame(video, number, proxy=proxy)
        assert _number(quick) == _number(exact)
        assert (quick != exact) == (from_proxy and number > 20)
        assert _shown(quick).size == _shown(exact).size
