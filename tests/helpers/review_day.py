"""A day's folder of videos with findings, as an inspector gets it: all kinds of files, names and troubles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from PIL import Image

from helpers.video_files import BITS, BLOCK, MPEG, PYRAMID, X265, Rgb, full_decode, picture, write
from urbanpipe.contracts.findings import BundleFacts, Evidence, Finding, Inspection, Occurrence, Timeline, VideoFacts
from urbanpipe.errors import VideoError
from urbanpipe.inspection.placing import placed
from urbanpipe.inspection.player_clock import on_player_clock, player_anchors
from urbanpipe.outputs import write_csv
from urbanpipe.simulate.generator import simulate
from urbanpipe.simulate.options import VideoOptions
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.video.isolated import digest, index_frames, read_frames

SIZE = (320, 240)
RATE = 8
VARYING = "afternoon/DN300.mp4"
B_FRAMES = "morning/DN300.mp4"
NEEDS_PROXY = "AVI 管道 #1 → 100%.avi"
EMPTY_VIDEO = "HEVC # 50% 雨水 →.mp4"
"""The video in which nothing is proposed."""
SHOWN = (("CK", 0.97, (0.1, 0.6)), ("CJ", 0.91, (0.3,)), ("SL", 0.44, (0.45, 0.9)), ("AJ", 0.3, (0.75,)))
"""Codes, probabilities and moments, as shares of the duration, of the proposals of each other video."""
PROPOSALS = sum(len(moments) for _, _, moments in SHOWN)
_VFR_TICKS = [0, *np.cumsum(np.random.default_rng(3).integers(4, 22, 23)).tolist()]


@dataclass(frozen=True)
class Day:
    """A folder of videos and the output folder of their inspections.

    Attributes:
        videos: the folder of videos.
        out: what `inspect` would have written about them.
        folders: folder of the inspection by the path of the video in `videos`.
        failed: files that cannot be inspected.
    """

    videos: Path
    out: Path
    folders: dict[str, str]
    failed: tuple[str, ...]


def made_day(root: Path) -> Day:
    """Write the videos of a day, 14 files, and findings about those that are readable."""
    videos, out = root / "videos", root / "out"
    videos.mkdir(parents=True)
    names = list(_write_videos(videos, root / "simulated"))
    broken = _write_broken(videos)
    folders = {name: f"v{number:02d}" for number, name in enumerate(names)}
    for name, folder in folders.items():
        inspected(videos / name, out / folder, () if name == EMPTY_VIDEO else SHOWN)
    reasons = [(name, _reason(videos / name)) for name in broken]
    write_csv(out / "failures.csv", ["video", "reason"], reasons)
    return Day(videos, out, folders, tuple(broken))


def inspected(video: Path, folder: Path, shown: Sequence[tuple[str, float, Sequence[float]]] = SHOWN) -> Inspection:
    """Write findings about a video without networks: its real facts and frames, and proposals at the given moments."""
    folder.mkdir(parents=True, exist_ok=True)
    index = index_frames(video)
    taxonomy = default_taxonomy()
    wanted = {code: (probability, [share * index.duration_seconds for share in at]) for code, probability, at in shown}
    times = np.linspace(0.0, index.duration_seconds, 24)
    scores = np.full((len(times), len(taxonomy)), 0.02)
    for code, (probability, moments) in wanted.items():
        for moment in moments:
            scores[:, taxonomy.index(code)] += 0.9 * probability * np.exp(-(((times - moment) / 0.2) ** 2))
    numbers = sorted({int(index.frame_at(np.array(at))) for _, moments in wanted.values() for at in moments})
    frames = dict(zip(numbers, read_frames(video, numbers, index=index) if numbers else [], strict=True))
    for number, pixels in frames.items():
        Image.fromarray(pixels).save(folder / f"frame-{number}.jpg", quality=90)
    _heat(folder / "class00.heat.png")

    def occurrence(at: float, probability: float) -> Occurrence:
        number = int(index.frame_at(np.array(at)))
        seconds = float(index.times_seconds[number])
        evidence = Evidence(
            seconds=seconds,
            frame=number,
            score=probability,
            picture=f"frame-{number}.jpg",
            heat="class00.heat.png",
            hottest=(0.7, 0.35),
            distance_text="12.40 m",
            distance_metres=12.4,
        )
        begin, end = max(0.0, seconds - 0.2), min(index.duration_seconds, seconds + 0.2)
        return Occurrence(
            seconds=seconds, begin_seconds=begin, end_seconds=end, score=0.9 * probability, evidence=(evidence,)
        )

    findings = []
    for item in taxonomy.classes:
        probability, moments = wanted.get(item.code, (0.02, []))
        finding = Finding(
            code=item.code,
            en=item.en,
            zh=item.zh,
            kind=item.kind,
            probability=probability,
            score=probability,
            triage="accept" if probability > 0.9 else "review" if moments else "reject",
            occurrences=tuple(occurrence(at, probability) for at in moments),
        )
        findings.append(on_player_clock(finding, index))
    inspection = Inspection(
        video=VideoFacts(
            name=video.name,
            path=str(video),
            relative="",
            digest=digest(video),
            duration_seconds=index.duration_seconds,
            frame_count=index.frame_count,
            width=index.width,
            height=index.height,
            frame_rate=index.frame_count / index.duration_seconds,
            player_anchors=player_anchors(index),
        ),
        bundle=BundleFacts(
            name="demonstration",
            digest="1" * 64,
            taxonomy=taxonomy.name,
            demonstration=True,
            calibrated=True,
            miss_bound=0.05,
        ),
        exclusive=taxonomy.exclusive,
        findings=tuple(findings),
        timed=True,
        timeline=Timeline(
            seconds=tuple(times.tolist()),
            codes=taxonomy.codes,
            scores=tuple(tuple(row) for row in scores.clip(0, 1).round(4).tolist()),
        ),
        made_at="2026-01-02T03:04:05+00:00",
    )
    return placed(inspection, video, folder)


def _heat(path: Path) -> None:
    y, x = np.mgrid[0:24, 0:32]
    strength = np.exp(-(((x - 22) / 5.0) ** 2 + ((y - 8) / 5.0) ** 2))
    pixels = np.zeros((24, 32, 4), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 3] = 255, (160 * (1 - strength)), 200 * strength
    Image.fromarray(pixels).resize((160, 120), Image.Resampling.BILINEAR).save(path)


def _write_videos(videos: Path, simulated: Path) -> Iterator[str]:
    """Yield the names of the readable videos."""
    short = VideoOptions(size=SIZE, fps=RATE, seconds=(2.0, 2.5))
    simulate(simulated / "qv", videos=4, seed=5, workers=1, video=short)
    cctv = VideoOptions(size=SIZE, fps=RATE, seconds=(3.0, 3.5), kind="cctv")
    simulate(simulated / "cctv", videos=1, seed=6, workers=1, video=cctv)
    made = sorted((simulated / "qv" / "videos").glob("*.mp4"))
    for path in [*made, *(simulated / "cctv" / "videos").glob("*.mp4")]:
        name = f"{'cctv' if 'cctv' in path.parts else 'qv'} {path.name}"
        path.rename(videos / name)
        yield name
    sources = sorted(videos.glob("qv*.mp4"))
    again: list[tuple[str, str, dict[str, str]]] = [
        (NEEDS_PROXY, "mpeg4", MPEG),
        (EMPTY_VIDEO, "libx265", X265),
        ("WMV → 检查井 (2).wmv", "wmv2", {"b": "2M"}),
        ("MPEG-2 %20 下游.mpg", "mpeg2video", MPEG),
    ]
    for source, (name, codec, options) in zip(sources, again, strict=True):
        _encoded_again(source, videos / name, codec, options)
        yield name
    for name in (B_FRAMES, VARYING):
        (videos / name).parent.mkdir()
    write(videos / B_FRAMES, 50, options=PYRAMID, size=SIZE)
    write(videos / VARYING, len(_VFR_TICKS), ticks=_VFR_TICKS, size=SIZE, first=100)
    yield from (B_FRAMES, VARYING)


def _encoded_again(source: Path, path: Path, codec: str, options: dict[str, str]) -> None:
    """Encode a video in another way; each frame carries its number, as the frames of `write` do."""
    with av.open(str(path), "w") as out:
        stream = cast("VideoStream", out.add_stream(codec, rate=25, options=options))
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number, pixels in enumerate(full_decode(source) * 2):
            stamped: Rgb = pixels.copy()
            stamped[: 2 * BLOCK, : BITS * BLOCK] = picture(number, *SIZE)[: 2 * BLOCK, : BITS * BLOCK]
            frame = av.VideoFrame.from_ndarray(stamped, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def _write_broken(videos: Path) -> list[str]:
    whole = next(iter(sorted(videos.glob("qv*.mp4")))).read_bytes()
    (videos / "cut → 半.mp4").write_bytes(whole[: len(whole) // 2])
    (videos / "empty.mp4").write_bytes(b"")
    (videos / "notes.mp4").write_text("The crew saw a displaced joint at 12 m.\n")
    return ["cut → 半.mp4", "empty.mp4", "notes.mp4"]


def _reason(path: Path) -> str:
    try:
        index_frames(path)
    except VideoError as error:
        return error.reason
    raise AssertionError(f"{path} can be read")
