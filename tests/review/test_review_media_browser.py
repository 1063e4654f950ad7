"""A browser plays the proxy of a video that it does not play, and shows the frame of the still at its time."""

import base64
import io
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from helpers.video_files import FORMS, FRAMES, number_in, shifted, write
from urbanpipe.review.media.encoding import H264, VP9, ProxyFormat
from urbanpipe.review.media.indices import IndexCache
from urbanpipe.review.media.playable import plays_in_browser
from urbanpipe.review.media.player_times import seek_seconds
from urbanpipe.review.media.proxies import ProxyCache
from urbanpipe.review.media.stills import Stills

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WANTED = (1, 37, 12, FRAMES - 1)
VIDEOS: dict[str, tuple[Callable[[Path], Path], ProxyFormat]] = {
    "AVI, MPEG-4": (FORMS["AVI, MPEG-4"][0], H264),
    "MPEG-PS": (FORMS["MPEG-PS"][0], H264),
    "MPEG-PS as WebM": (FORMS["MPEG-PS"][0], VP9),
    "varying rate, MKV": (FORMS["varying rate, MKV"][0], H264),
    "TS, joined": (FORMS["TS, joined"][0], H264),
    "later start, TS": (lambda to: shifted(write(to / "a.mp4"), to / "late.ts", 7, "mpegts"), H264),
}
PAGE = b"<!DOCTYPE html><title>video</title><video muted preload=auto></video>"
LOAD = """source => new Promise((done, failed) => {
  const video = document.querySelector("video");
  video.onloadeddata = () => done([video.videoWidth, video.videoHeight, video.duration]);
  video.onerror = () => failed(video.error.message);
  video.src = source; })"""
SHOW = """at => new Promise(done => {
  const video = document.querySelector("video"), canvas = document.createElement("canvas");
  const draw = () => { canvas.width = video.videoWidth; canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0); done(canvas.toDataURL("image/png")); };
  video.onseeked = () => setTimeout(draw, 50);
  video.currentTime = at; })"""
PLAY = """() => new Promise(done => {
  const video = document.querySelector("video");
  video.ontimeupdate = () => { if (video.currentTime > video.seekable.start(0) + .3) done(video.currentTime); };
  video.play(); })"""


class _Files(BaseHTTPRequestHandler):
    """Serves a page, and files of a folder in the ranges asked for."""

    folder: Path
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/":
            self._send(200, PAGE, "text/html")
            return
        path = self.folder / Path(self.path).name
        data, kind = path.read_bytes(), "video/webm" if path.suffix == ".webm" else "video/mp4"
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            self._send(200, data, kind)
            return
        first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
        self._send(206, data[first : last + 1], kind, f"bytes {first}-{last}/{len(data)}")

    def _send(self, status: int, data: bytes, kind: str, where: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Accept-Ranges", "bytes")
        if where:
            self.send_header("Content-Range", where)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Say nothing."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    handler = type("Files", (_Files,), {"folder": tmp_path / "proxies"})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _shown(page: "Page", seconds: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    encoded = base64.b64decode(page.evaluate(SHOW, seconds).partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


@pytest.mark.parametrize("name", VIDEOS)
def test_a_proxy_plays_and_shows_the_frame_of_the_still(
    name: str, browser: "Browser", address: str, tmp_path: Path
) -> None:
    make, form = VIDEOS[name]
    video, indices = make(tmp_path), IndexCache()
    assert not plays_in_browser(video)
    stills, index = Stills(indices), indices.index(video)
    proxy = ProxyCache(tmp_path / "proxies", 2**30, indices=indices, form=form).proxy(video, "d1")
    page = browser.new_page()
    page.goto(address)
    width, height, duration = page.evaluate(LOAD, f"{address}/{proxy.name}")
    assert (width, height) == (index.width, index.height)
    assert duration > index.duration_seconds - 0.01
    for frame, seconds in zip(WANTED, seek_seconds(index, np.array(WANTED)).tolist(), strict=True):
        exact = np.asarray(Image.open(io.BytesIO(stills.frame(video, frame))))
        shown = _shown(page, seconds)
        assert number_in(shown) == number_in(exact)
        assert np.abs(shown.mean(2) - exact.mean(2)).mean() < 12
    page.evaluate("() => { document.querySelector('video').currentTime = 0; }")
    assert page.evaluate(PLAY) > 0.3
    page.close()
