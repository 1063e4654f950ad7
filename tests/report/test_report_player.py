"""The picture that the player of a report shows at a jump is the picture of the card."""

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from helpers.inspection_material import made_inspection
from helpers.video_files import (
    FRAGMENTS,
    FRAMES,
    HEIGHT,
    VARYING_TIMES,
    VPX,
    WIDTH,
    cut_without_encoding,
    number_in,
    picture,
    write,
    x264,
)
from urbanpipe.contracts.findings import Evidence, Inspection, Occurrence
from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.exports.pacp import write_pacp
from urbanpipe.exports.records import InspectionRecord, RecordRow
from urbanpipe.inspection.player_clock import on_player_clock, player_anchors
from urbanpipe.report.html import write_report
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.video.decode import index_frames, read_frames

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SHOWN = (1, 7, 30, FRAMES - 2)
LATER = range(500, 500 + 4 * FRAMES, 4)


def _streams(path: Path, rate: Fraction, shown: int = 0, count: int = 1) -> Path:
    """Video streams of one size in one file, of which `shown` is the default; the others count from 1000 on."""
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("libx264", rate=rate, options=x264(12)) for _ in range(count)]
        for number, stream in enumerate(streams):
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.disposition = Disposition.default if number == shown else Disposition(0)
        for number in range(FRAMES):
            for which, stream in enumerate(streams):
                burnt = number + (0 if which == shown else 1000)
                frame = av.VideoFrame.from_ndarray(picture(burnt), format="rgb24")
                frame.pts, frame.time_base = number, 1 / rate
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode())
    return path


def _cut(to: Path) -> Path:
    whole = write(to / "whole.mp4", FRAMES + 33, options=x264(25, b_adapt=0, bframes=3))
    return cut_without_encoding(whole, to / "cut.mp4", 33)


VIDEOS: dict[str, Callable[[Path], Path]] = {
    "plain": lambda to: write(to / "plain.mp4"),
    "later start": lambda to: write(to / "later.mp4", ticks=LATER),
    "later start, MKV": lambda to: write(to / "later.mkv", ticks=LATER),
    "later start, WebM": lambda to: write(to / "later.webm", codec="libvpx", options=VPX, ticks=LATER),
    "varying rate": lambda to: write(to / "varying.mp4", ticks=VARYING_TIMES),
    "29.97 frames per second": lambda to: _streams(to / "ntsc.mp4", Fraction(30_000, 1001)),
    "fragmented": lambda to: write(to / "frag.mp4", options=x264(12, bframes=0), container=FRAGMENTS),
    "edit list": _cut,
    "second stream is the default": lambda to: _streams(to / "two.mp4", Fraction(25), shown=1, count=2),
}


def _inspection(video: Path, folder: Path) -> Inspection:
    """An inspection with one finding, which the frames `SHOWN` support."""
    index = index_frames(video)
    made = made_inspection(folder, name=video.name, duration=index.duration_seconds)
    finding = next(one for one in made.findings if one.code == "SL")
    occurrences = []
    for frame in SHOWN:
        name, at = f"frame-{frame}.jpg", round(float(index.times_seconds[frame]), 3)
        Image.fromarray(read_frames(video, [frame], index=index)[0]).save(folder / name)
        evidence = Evidence(seconds=at, frame=frame, score=0.9, picture=name)
        occurrence = Occurrence(seconds=at, begin_seconds=at, end_seconds=at, score=0.9, evidence=(evidence,))
        occurrences.append(occurrence)
    finding = finding.model_copy(update={"triage": "accept", "occurrences": tuple(occurrences)})
    facts = made.video.model_copy(update={"player_anchors": player_anchors(index)})
    return made.model_copy(update={"video": facts, "findings": (on_player_clock(finding, index),)})


def _alone(page: "Page") -> None:
    """Leave nothing on the page but the video, at its own size and without controls."""
    page.evaluate(
        "() => { const video = document.querySelector('video'); video.controls = false; video.pause();"
        " const sides = `width:${video.videoWidth}px;height:${video.videoHeight}px`;"
        " video.style.cssText = `position:fixed;left:0;top:0;max-height:none;z-index:99;${sides}`; }"
    )


def _number_shown(page: "Page") -> int:
    shot = Image.open(io.BytesIO(page.screenshot(clip={"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT})))
    return number_in(np.asarray(shot.convert("RGB")))


def _number_after_jump(page: "Page", seconds: float) -> int:
    """Jump to a time at which another frame is shown than now; return the number of that frame."""
    before = _number_shown(page)
    page.evaluate(
        "at => new Promise(done => { const video = document.querySelector('video');"
        " video.onseeked = done; video.currentTime = at; })",
        seconds,
    )
    for _ in range(100):  # the picture follows when the browser has time to paint it
        if (shown := _number_shown(page)) != before:
            return shown
        page.wait_for_timeout(50)
    return before


@pytest.mark.parametrize("name", VIDEOS)
def test_a_jump_shows_the_picture_of_the_card(name: str, browser: "Browser", tmp_path: Path) -> None:
    video = VIDEOS[name](tmp_path)
    burnt = [number_in(frame) for frame in read_frames(video, SHOWN)]
    inspection = _inspection(video, tmp_path / "inspection")
    path = write_report(inspection, tmp_path / "inspection")
    page = browser.new_page(bypass_csp=True)
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelector('video').readyState > 1")
    places = page.eval_on_selector_all(".card a.view", "stops => stops.map(stop => Number(stop.dataset.at))")
    assert len(places) == len(SHOWN)
    first = inspection.video.player_anchors[0][1]
    page.locator(".card a.view").first.click()
    page.wait_for_function("document.querySelector('video').currentTime > 0")
    assert page.evaluate("document.querySelector('video').currentTime") >= first
    _alone(page)
    _number_after_jump(page, places[-1])  # away from where it played
    assert [_number_after_jump(page, at) for at in places] == burnt
    page.close()


def test_pacp_times_are_those_of_the_player(tmp_path: Path) -> None:
    video = write(tmp_path / "later.mp4", ticks=LATER)
    record = InspectionRecord("later.mp4", tmp_path, _inspection(video, tmp_path / "inspection"))
    finding = record.inspection.findings[0]
    rows = [RecordRow(record, finding, occurrence) for occurrence in finding.occurrences]
    data = {record.name: InspectionData(video=record.name, date="2026-01-31")}
    write_pacp([record], rows, tmp_path / "out", default_taxonomy(), data)
    lines = (tmp_path / "out" / "PACP_Conditions.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [line.rsplit(",", 1)[1] for line in lines] == ["00:00:05", "00:00:05", "00:00:06", "00:00:07"]
