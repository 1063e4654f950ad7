"""`simulate`: generate labelled videos."""

import json
import math
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from fractions import Fraction
from multiprocessing import get_context, parent_process
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from urbanpipe.errors import OutputError, UrbanpipeError
from urbanpipe.outputs import output_folder, remove, remove_quietly, whole_path, write_json, write_text
from urbanpipe.progress import track
from urbanpipe.simulate.compose import Placed, compose
from urbanpipe.simulate.contact import THUMB_HEIGHT, write_contact_sheets
from urbanpipe.simulate.options import ClassMix, Kind, VideoOptions
from urbanpipe.simulate.plan import NORMAL, VideoPlan, met_again, plan_videos
from urbanpipe.simulate.render import Renderer
from urbanpipe.simulate.truth import frame_count
from urbanpipe.taxonomy import default_taxonomy

SMALLEST_SIDE = 64
# With look-ahead, the output of x264 depends on memory addresses; without, it is reproducible.
_ENCODER = {"preset": "veryfast", "threads": "1", "x264-params": "mbtree=0:rc-lookahead=0"}
_QUALITY = (20, 34)
"""Range of the x264 rate factor, drawn per video: recorders differ, and bit rate must not reveal rough walls."""


_TRUTH = ("labels.json", "moments.json", "truth.jsonl")
_GRADES = {"FS": 3, "AJ": 3, "CR": 3, "FZ": 3, "TL": 2}
"""Classes with fewer than four grades in CJJ 181-2012."""


@dataclass(frozen=True)
class SimulatedSet:
    """Output of `simulate`.

    Attributes:
        videos: folder of the videos.
        labels: QV-Pipe label file.
        moments: CCTV-Pipe moment file.
        truth: JSON lines, one per video and defect: class, grade, intervals in view, boxes, clock position, distance.
        counts: number of videos that show each class, by code.
        missed_share: share of the videos with defects in which a defect shows in none of nine uniform frames; NaN if no
            video has a defect.
    """

    videos: Path
    labels: Path
    moments: Path
    truth: Path
    counts: dict[str, int]
    missed_share: float


@dataclass(frozen=True)
class _Job:
    """Settings that a worker needs to render a video."""

    folder: Path
    seed: int
    kind: Kind
    size: tuple[int, int]
    fps: Fraction
    thumbs: bool


@dataclass(frozen=True)
class Made:
    """Ground truth and thumbnails of a rendered video.

    Attributes:
        placed: defects of the video.
        radius_m: radius of the pipe, metres.
        thumbs: thumbnail of each defect at its moment, by code; of a normal video, under `NORMAL`.
    """

    placed: tuple[Placed, ...]
    radius_m: float
    thumbs: dict[str, NDArray[np.uint8]]


def simulate(
    out: Path,
    *,
    videos: int,
    seed: int = 0,
    video: VideoOptions = VideoOptions(),
    mix: ClassMix = ClassMix(),
    workers: int | None = None,
    contact_sheets: bool = False,
) -> SimulatedSet:
    """Generate synthetic inspection videos with known ground truth.

    Writes `out/videos/<site>_<n>.mp4`, `out/moments.json` (CCTV-Pipe form), `out/truth.jsonl` and, last,
    `out/labels.json` (QV-Pipe form). The same arguments give the same labels and, before encoding, the same pixels,
    for any number of workers. A larger size of the same aspect ratio shows the same scenes.

    Args:
        out: output folder; its `videos` folder must not hold other files.
        videos: number of videos.
        seed: seed, >= 0; different seeds give different videos.
        video: format of the videos.
        mix: classes that the videos show.
        workers: number of processes; default: one per CPU core.
        contact_sheets: also write `out/contact_sheets/<code>.png`, sample frames of each class at its moments.

    Raises:
        TaxonomyError: a class is unknown.
        OutputError: `out` cannot be written to, or holds other videos.
        UrbanpipeError: another argument is out of range.
    """
    seconds = video.seconds or ((5, 40) if video.kind == "qv" else (120, 240))
    _check(videos, seed, replace(video, seconds=seconds), mix, workers)
    codes = _chosen(mix.classes)
    brief = mix.brief if video.kind == "qv" else 0.0
    plans = plan_videos(videos, seed, codes, seconds=seconds, brief=brief, balance=mix.balance)
    plans = met_again(plans, seed) if video.kind == "cctv" else plans
    out = Path(out)
    fps = Fraction(video.fps).limit_denominator(1001)
    job = _Job(out / "videos", seed, video.kind, video.size, fps, contact_sheets)
    _clear(out, {plan.name for plan in plans})
    made = _make_all(job, plans, workers)
    if contact_sheets:
        write_contact_sheets(out / "contact_sheets", codes, [made[plan.name].thumbs for plan in plans])
    return _write_truth(out, plans, made, codes, job.fps)


def _check(videos: int, seed: int, video: VideoOptions, mix: ClassMix, workers: int | None) -> None:
    (width, height), fps, seconds = video.size, video.fps, video.seconds
    assert seconds is not None, "the caller has filled it in"
    if videos < 1:
        raise UrbanpipeError(f"videos is {videos}; at least 1 is needed")
    if seed < 0:
        raise UrbanpipeError(f"seed is {seed}; it must not be negative")
    if min(video.size) < SMALLEST_SIDE or width % 2 or height % 2:
        raise UrbanpipeError(
            f"size is {width}x{height}; both sides must be even and at least {SMALLEST_SIDE}, such as 320x240"
        )
    if not (math.isfinite(fps) and 1 <= fps <= 240):
        raise UrbanpipeError(f"fps is {fps:g}; it must be 1 to 240")
    if not (0 < seconds[0] <= seconds[1] < math.inf):
        raise UrbanpipeError(f"seconds is {seconds[0]:g}:{seconds[1]:g}; give shortest:longest, above 0, such as 3:8")
    if workers is not None and workers < 1:
        raise UrbanpipeError(f"workers is {workers}; at least 1 is needed")
    if video.kind not in ("qv", "cctv"):
        raise UrbanpipeError(f"kind is {video.kind!r}; it must be qv or cctv")
    for name, share in (("brief", mix.brief), ("balance", mix.balance)):
        if not 0 <= share <= 1:
            raise UrbanpipeError(f"{name} is {share:g}; it must be 0 to 1")


def _chosen(classes: Sequence[str] | None) -> list[str]:
    """Return the selected codes, in the order of the taxonomy."""
    taxonomy = default_taxonomy()
    wanted = {taxonomy.codes[taxonomy.index(code)] for code in (taxonomy.codes if classes is None else classes)}
    if not wanted:
        raise UrbanpipeError(f"classes is empty; choose from {' '.join(taxonomy.codes)}")
    return [code for code in taxonomy.codes if code in wanted]


def _clear(out: Path, names: set[str]) -> None:
    """Prepare `out`.

    Ground truth of an earlier run is removed first, so that it never stands beside videos of this run.
    """
    output_folder(out)
    folder = output_folder(out / "videos")
    for path in folder.glob(".*.mp4"):  # incomplete file of a killed run
        if f"{path.name[1:].split('.')[0]}.mp4" in names:
            remove_quietly(path)
    if others := sorted(path.name for path in folder.iterdir() if path.name not in names and path.name[0] != "."):
        raise OutputError(f"{folder} holds other files ({others[0]}, {len(others)} in all); choose an empty folder")
    for name in _TRUTH:
        remove(out / name)


def _make_all(job: _Job, plans: Sequence[VideoPlan], workers: int | None) -> dict[str, Made]:
    """Render every video; return what is known of each by name."""
    count = min(workers or os.cpu_count() or 1, len(plans))
    done = _one_by_one(job, plans) if count == 1 else _in_parallel(job, plans, count)
    return dict(track(done, len(plans), "simulate"))


def _one_by_one(job: _Job, plans: Sequence[VideoPlan]) -> Iterator[tuple[str, Made]]:
    for plan in plans:
        yield plan.name, make_video(job, plan)


def _in_parallel(job: _Job, plans: Sequence[VideoPlan], count: int) -> Iterator[tuple[str, Made]]:
    context = get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin) as pool:
        try:
            futures = {pool.submit(make_video, job, plan): plan.name for plan in plans}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise UrbanpipeError(
                "a process that renders videos was ended by the system, most often for lack of memory; "
                "give fewer --workers"
            ) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _begin() -> None:
    cv2.setNumThreads(1)  # the processes provide the parallelism
    _leave_with_parent()


def _leave_with_parent() -> None:
    """End this worker when its parent process is killed; while waiting for work, it would not notice."""

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _encoder(seed: int, plan: VideoPlan) -> dict[str, str]:
    """Return the x264 options of one video."""
    rng = np.random.default_rng((seed, 7, plan.site, plan.number))
    return _ENCODER | {"crf": str(rng.integers(*_QUALITY, endpoint=True))}


def make_video(job: _Job, plan: VideoPlan) -> Made:
    """Render and encode one video."""
    composed = compose(plan, job.seed, job.kind, float(job.fps), job.size[0] / job.size[1])
    renderer = Renderer(composed.scene, job.size, noise_seed=plan.site * 64 + plan.number, caster=composed.caster)
    with whole_path(job.folder / plan.name) as path, av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=job.fps, options=_encoder(job.seed, plan))
        stream.width, stream.height = job.size
        stream.pix_fmt = "yuv420p"
        for frame in renderer.frames(float(job.fps)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    moments = {item.code: item.seen.moment for item in composed.placed} or {NORMAL: plan.duration_seconds / 2}
    thumbs = {code: _thumb(renderer.frame(moment)) for code, moment in moments.items()} if job.thumbs else {}
    return Made(composed.placed, composed.scene.look.diameter_mm / 2000, thumbs)


def _thumb(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    small: NDArray[np.uint8] = cv2.resize(
        frame, (round(THUMB_HEIGHT * width / height), THUMB_HEIGHT), interpolation=cv2.INTER_AREA
    )
    return small


def _write_truth(
    out: Path, plans: Sequence[VideoPlan], made: Mapping[str, Made], codes: Sequence[str], fps: Fraction
) -> SimulatedSet:
    taxonomy = default_taxonomy()
    shown = {plan.name: {item.code for item in made[plan.name].placed} or {NORMAL} for plan in plans}
    labels = {name: sorted(taxonomy.index(code) for code in found) for name, found in shown.items()}
    database = {
        Path(plan.name).stem: {
            "subset": "training",
            "duration": round(float(frame_count(plan.duration_seconds, float(fps)) / fps), 3),
            "fps": float(fps),
            "file_name": plan.name,
            "annotations": [
                {"label": item.code, "moment": round(item.seen.moment, 2)} for item in made[plan.name].placed
            ],
        }
        for plan in plans
    }
    lines = [
        json.dumps(_line(plan.name, item, made[plan.name].radius_m))
        for plan in plans
        for item in made[plan.name].placed
    ]
    write_json(out / "moments.json", {"database": database})
    write_text(out / "truth.jsonl", "".join(f"{line}\n" for line in lines))
    write_json(out / "labels.json", labels)
    counts = {code: sum(code in found for found in shown.values()) for code in codes}
    defective = [made[plan.name].placed for plan in plans if made[plan.name].placed]
    missed = sum(any(item.seen.missed for item in placed) for placed in defective)
    share = missed / len(defective) if defective else math.nan
    return SimulatedSet(out / "videos", out / "labels.json", out / "moments.json", out / "truth.jsonl", counts, share)


def _line(name: str, item: Placed, radius_m: float) -> dict[str, object]:
    """Return a line of truth.jsonl."""
    grades = _GRADES.get(item.code, 4)
    boxes = [
        [round(float(time), 2), *(round(side, 4) for side in box)]
        for time, box, shown in zip(item.seen.times, item.seen.boxes, item.seen.in_view, strict=True)
        if box is not None and shown
    ]
    return {
        "video": name,
        "class": item.code,
        "grade": min(grades, 1 + int(item.severity * grades)),
        "intervals": [[round(start, 2), round(stop, 2)] for start, stop in item.seen.intervals()],
        "moment": round(item.seen.moment, 2),
        "boxes": boxes,
        "clock": round(item.clock / (2 * math.pi) * 12, 1),
        "distance_m": round(item.s * radius_m, 2),
        "missed_by_nine_uniform_frames": item.seen.missed,
    }
