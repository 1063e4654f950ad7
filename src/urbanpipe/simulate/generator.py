"""`simulate`: make labelled videos."""

import math
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing import get_context, parent_process
from pathlib import Path

import av

from urbanpipe.errors import OutputError, TaxonomyError, UrbanpipeError
from urbanpipe.outputs import output_folder, whole_path, write_json
from urbanpipe.progress import track
from urbanpipe.simulate.defects import DRAW
from urbanpipe.simulate.plan import VideoPlan, plan_videos
from urbanpipe.simulate.render import Renderer, frame_count
from urbanpipe.simulate.truth import Placed, build_scene
from urbanpipe.taxonomy import default_taxonomy

SIMULATED_CLASSES = ("ZC", *DRAW)
SMALLEST_SIDE = 64
# With its look-ahead x264 gives another file where a buffer lies elsewhere in memory; without, always the same file.
_ENCODER = {"preset": "veryfast", "crf": "26", "threads": "1", "x264-params": "mbtree=0:rc-lookahead=0"}


@dataclass(frozen=True)
class SimulatedSet:
    """What `simulate` made, and where.

    Attributes:
        videos: folder of the videos.
        labels: QV-Pipe label file.
        moments: CCTV-Pipe moment file.
        counts: videos that show each class, by code.
    """

    videos: Path
    labels: Path
    moments: Path
    counts: dict[str, int]


@dataclass(frozen=True)
class _Job:
    """What a worker needs to make a video."""

    folder: Path
    seed: int
    size: tuple[int, int]
    fps: Fraction


def simulate(
    out: Path,
    videos: int,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    size: tuple[int, int] = (320, 240),
    fps: float = 12.5,
    seconds: tuple[float, float] = (3, 8),
    workers: int | None = None,
    contact_sheets: bool = False,
) -> SimulatedSet:
    """Make synthetic inspection videos with labels and moments.

    Writes `out/videos/<site>_<n>.mp4`, `out/moments.json` (CCTV-Pipe form) and, last, `out/labels.json` (QV-Pipe form).
    The same arguments give the same labels and, before encoding, the same pixels, whatever the number of workers. A
    larger size shows the same scenes.

    Args:
        out: folder to write to; its `videos` folder must hold no other videos.
        videos: how many.
        seed: not negative; another seed gives other videos.
        classes: codes of the classes wanted, by default all that can be drawn (`SIMULATED_CLASSES`).
        size: width and height in pixels, even, at least 64.
        fps: frames a second.
        seconds: shortest and longest duration.
        workers: processes, by default one a core.
        contact_sheets: also write `out/contact_sheets/<code>.png`, frames of each class at its moments.

    Raises:
        TaxonomyError: a class is unknown, or cannot be drawn.
        OutputError: `out` cannot be written to, or holds other videos.
        UrbanpipeError: another argument is out of range.
    """
    _check(videos, seed, size, fps, seconds, workers)
    codes = _chosen(classes)
    defects = [code for code in codes if code in DRAW]
    plans = plan_videos(videos, seed, defects, len(defects) < len(codes), seconds)
    out = Path(out)
    job = _Job(out / "videos", seed, size, Fraction(fps).limit_denominator(1001))
    _clear(out, {plan.name for plan in plans})
    placed = _make_all(job, plans, workers)
    if contact_sheets:
        from urbanpipe.simulate.contact import write_contact_sheets

        write_contact_sheets(out / "contact_sheets", plans, seed, codes, size)
    return _write_truth(out, plans, placed, codes, job.fps)


def _check(
    videos: int, seed: int, size: tuple[int, int], fps: float, seconds: tuple[float, float], workers: int | None
) -> None:
    width, height = size
    if videos < 1:
        raise UrbanpipeError(f"videos is {videos}; at least 1 is needed")
    if seed < 0:
        raise UrbanpipeError(f"seed is {seed}; it must not be negative")
    if min(size) < SMALLEST_SIDE or width % 2 or height % 2:
        raise UrbanpipeError(
            f"size is {width}x{height}; both sides must be even and at least {SMALLEST_SIDE}, as 320x240"
        )
    if not (math.isfinite(fps) and 1 <= fps <= 240):
        raise UrbanpipeError(f"fps is {fps:g}; it must be 1 to 240")
    if not (0 < seconds[0] <= seconds[1] < math.inf):
        raise UrbanpipeError(f"seconds is {seconds[0]:g}:{seconds[1]:g}; give shortest:longest, above 0, as 3:8")
    if workers is not None and workers < 1:
        raise UrbanpipeError(f"workers is {workers}; at least 1 is needed")


def _chosen(classes: Sequence[str] | None) -> list[str]:
    """The codes wanted, in the order of the taxonomy."""
    taxonomy = default_taxonomy()
    wanted = {taxonomy.codes[taxonomy.index(code)] for code in (SIMULATED_CLASSES if classes is None else classes)}
    if missing := sorted(wanted - set(SIMULATED_CLASSES)):
        raise TaxonomyError(
            f"cannot draw {' '.join(missing)} yet; classes that can be drawn: {' '.join(SIMULATED_CLASSES)}"
        )
    if not wanted:
        raise TaxonomyError(f"classes is empty; choose from {' '.join(SIMULATED_CLASSES)}")
    return [code for code in taxonomy.codes if code in wanted]


def _clear(out: Path, names: set[str]) -> None:
    """Make `out` ready: truth of an earlier run goes first, so that it never stands beside videos of this one."""
    output_folder(out)
    folder = output_folder(out / "videos")
    for path in folder.glob(".*.mp4"):  # what a killed run was writing
        if f"{path.name[1:].split('.')[0]}.mp4" in names:
            path.unlink()
    if others := sorted(path.name for path in folder.iterdir() if path.name not in names and path.name[0] != "."):
        raise OutputError(f"{folder} holds other files ({others[0]}, {len(others)} in all); choose an empty folder")
    for name in ("labels.json", "moments.json"):
        (out / name).unlink(missing_ok=True)


def _make_all(job: _Job, plans: Sequence[VideoPlan], workers: int | None) -> dict[str, list[Placed]]:
    """Make every video; gives the placed defects by name."""
    count = min(workers or os.cpu_count() or 1, len(plans))
    done = _one_by_one(job, plans) if count == 1 else _in_parallel(job, plans, count)
    return dict(track(done, len(plans), "simulate"))


def _one_by_one(job: _Job, plans: Sequence[VideoPlan]) -> Iterator[tuple[str, list[Placed]]]:
    for plan in plans:
        yield plan.name, make_video(job, plan)


def _in_parallel(job: _Job, plans: Sequence[VideoPlan], count: int) -> Iterator[tuple[str, list[Placed]]]:
    context = get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_leave_with_parent) as pool:
        futures = {pool.submit(make_video, job, plan): plan.name for plan in plans}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _leave_with_parent() -> None:
    """End this worker when the process that started it is killed; waiting for work, it would not notice."""

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def make_video(job: _Job, plan: VideoPlan) -> list[Placed]:
    """Render and encode one video; gives its defects."""
    scene, placed = build_scene(plan, job.seed)
    renderer = Renderer(scene, job.size, noise_seed=plan.site * 8 + plan.number)
    with whole_path(job.folder / plan.name) as path, av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=job.fps, options=_ENCODER)
        stream.width, stream.height = job.size
        stream.pix_fmt = "yuv420p"
        for frame in renderer.frames(float(job.fps)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return placed


def _write_truth(
    out: Path, plans: Sequence[VideoPlan], placed: dict[str, list[Placed]], codes: Sequence[str], fps: Fraction
) -> SimulatedSet:
    taxonomy = default_taxonomy()
    labels = {plan.name: sorted(taxonomy.index(code) for code in plan.labels or ("ZC",)) for plan in plans}
    database = {
        Path(plan.name).stem: {
            "subset": "training",
            "duration": round(float(frame_count(plan.duration_seconds, float(fps)) / fps), 3),
            "fps": float(fps),
            "file_name": plan.name,
            "annotations": [{"label": item.code, "moment": round(item.moment, 2)} for item in placed[plan.name]],
        }
        for plan in plans
    }
    write_json(out / "moments.json", {"database": database})
    write_json(out / "labels.json", labels)
    shown = [index for indices in labels.values() for index in indices]
    counts = {code: shown.count(taxonomy.index(code)) for code in codes}
    return SimulatedSet(out / "videos", out / "labels.json", out / "moments.json", counts)
