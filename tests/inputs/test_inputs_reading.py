"""Segments by two ways, through the catalog and from the file: the same frames, the same times, in bounded memory."""

import os
import shutil
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from helpers.video_files import FORMS, FRAMES, HEIGHT, VARYING_TIMES, WIDTH, number_in, write
from urbanpipe.catalog.catalog_file import Video, read_catalog
from urbanpipe.catalog.scan import scan
from urbanpipe.errors import VideoError
from urbanpipe.inputs import reading
from urbanpipe.inputs.config import AugmentConfig, InputConfig
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.inputs.frame_timeline import FrameTimeline, SampleSeed, select
from urbanpipe.inputs.loading import unreadable
from urbanpipe.inputs.reading import CatalogReader, SegmentInputs, frame_timeline_of, stream_segments
from urbanpipe.inputs.view import Frames, View
from urbanpipe.methods.dense import DenseConfig
from urbanpipe.methods.frame import FrameConfig
from urbanpipe.methods.super_image import SuperImageConfig
from urbanpipe.methods.table import method_named
from urbanpipe.methods.video import VideoConfig
from urbanpipe.video import cache as cache_module
from urbanpipe.video.cache import FrameCache
from urbanpipe.video.decode import FrameIndex, index_frames, stream_frames
from urbanpipe.video.probe import digest

PLAIN = AugmentConfig(tile=(), tile_shuffle=False)
# Pictures of the size in which they were written, so that the number can be read.
VIEWS: dict[str, InputConfig] = {
    "super-image": SuperImageConfig(tile=HEIGHT, aspect="4:3", rows=2, columns=3),
    "super-image, three draws": SuperImageConfig(
        tile=HEIGHT, aspect="4:3", rows=2, columns=3, sampling="jittered", test_draws=3
    ),
    "frame": FrameConfig(size=HEIGHT, aspect="4:3", every_seconds=0.5),
    "video": VideoConfig(size=HEIGHT, aspect="4:3", frames=8),
    "video, three draws that overlap": VideoConfig(
        size=HEIGHT, aspect="4:3", frames=40, sampling="sequence", candidates=5, test_draws=3
    ),
    "dense": DenseConfig(size=HEIGHT, aspect="4:3", frames=8, stride=1),
    "dense, stride 3": DenseConfig(size=HEIGHT, aspect="4:3", frames=4, stride=3),
    "dense, tiles": DenseConfig(size=HEIGHT, aspect="4:3", frames=6, stride=1, encoder="super-image", rows=2),
}
EVEN = ("plain", "open groups", "TS", "AVI", "VP8")  # forms with a steady beat: sought and counted, shown out of order


def view_of(name: str) -> View:
    return method_named(VIEWS[name].method).view(VIEWS[name], PLAIN)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Video]:
    """Rows of a catalog by form."""
    folder = tmp_path_factory.mktemp("forms")
    paths = {}
    for number, form in enumerate((*EVEN, "varying rate")):
        (work := folder / "work" / str(number)).mkdir(parents=True)
        made = FORMS[form][0](work)
        (folder / "videos").mkdir(exist_ok=True)
        paths[form] = made.rename(folder / "videos" / f"{number}{made.suffix}")
    scan(folder / "videos", out=folder / "catalog.csv", workers=1)
    rows = {video.path.name: video for video in read_catalog(folder / "catalog.csv").ok}
    return {form: rows[path.name] for form, path in paths.items()}


def together(parts: list[SegmentInputs]) -> SegmentInputs:
    return SegmentInputs(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.real for part in parts]),
        np.concatenate([part.seconds for part in parts]),
    )


def read_inputs(reader: CatalogReader, video: Video) -> SegmentInputs:
    return reader.evaluation_sample(video, 0, len(reader.view.evaluation_sample(frame_timeline_of(video))))


def numbers_of(segment: Frames) -> list[int]:
    """The numbers burnt into the pictures of a segment: an image, a clip or tiles."""
    if segment.ndim == 4:
        return [number_in(frame) for frame in segment.transpose(1, 2, 3, 0)]
    rows, columns = segment.shape[1] // HEIGHT, segment.shape[2] // WIDTH
    image = segment.transpose(1, 2, 0).reshape(rows, HEIGHT, columns, WIDTH, 3)
    return [number_in(image[row, :, column]) for row in range(rows) for column in range(columns)]


@pytest.mark.slow
@pytest.mark.parametrize("form", [*EVEN, "varying rate"])
@pytest.mark.parametrize("name", VIEWS)
def test_a_file_gives_the_segments_that_the_catalog_gives(name: str, form: str, videos: dict[str, Video]) -> None:
    view, video = view_of(name), videos[form]
    expected = read_inputs(CatalogReader(view, None), video)
    selection = view.evaluation_sample(frame_timeline_of(video))
    assert [numbers_of(segment) for segment in expected.images] == selection.frames.tolist(), "the frames asked for"
    for most in (1, 3, 100):
        parts = list(stream_segments(video.path, view, most))
        assert all(1 <= len(part.rows) <= most for part in parts)
        found = together(parts)
        assert np.array_equal(found.images, expected.images)
        assert np.array_equal(found.rows, expected.rows)
        assert np.array_equal(found.real, expected.real)
        np.testing.assert_allclose(found.seconds, expected.seconds, atol=1e-5)


@pytest.mark.parametrize("name", ["dense", "video, three draws that overlap", "frame"])
def test_parts_of_a_video_are_those_of_the_whole(name: str, videos: dict[str, Video]) -> None:
    """Read part by part, as where a long video is spread over batches."""
    reader, video = CatalogReader(view_of(name), None), videos["plain"]
    whole = read_inputs(reader, video)
    cuts = [0, 1, 2, len(whole.rows)]
    found = together([reader.evaluation_sample(video, begin, end) for begin, end in pairwise(cuts)])
    assert np.array_equal(found.images, whole.images)
    assert np.array_equal(found.rows, whole.rows)
    assert np.array_equal(found.seconds, whole.seconds)


class Watched(FrameCache):
    """A cache that remembers which frames of an entry were asked for."""

    asked: list[tuple[list[int], list[int]]]

    def frames(self, path, digest, indices, size, on_damage="conceal", only=None):  # type: ignore[no-untyped-def]
        self.asked.append((np.asarray(indices).tolist(), np.asarray(indices)[only].tolist()))
        return super().frames(path, digest, indices, size=size, on_damage=on_damage, only=only)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(reading, "BLOCK", 10)
    watched = Watched(tmp_path / "cache", 10**9)
    watched.asked = []
    return watched


def alike(found: Frames, expected: Frames) -> None:
    """Within what JPEG changes: the same numbers, and pixels near in the mean."""
    assert found.shape == expected.shape
    assert [numbers_of(segment) for segment in found] == [numbers_of(segment) for segment in expected]
    assert np.abs(found.astype(float) - expected.astype(float)).mean() < 8


@pytest.mark.slow
@pytest.mark.parametrize("form", ["plain", "AVI"])
@pytest.mark.parametrize("name", VIEWS)
def test_through_the_cache_in_blocks_segments_are_the_same_but_for_jpeg(
    name: str, form: str, videos: dict[str, Video], cache: Watched
) -> None:
    view, video = view_of(name), videos[form]
    for again in range(2):
        found, expected = read_inputs(CatalogReader(view, cache), video), read_inputs(CatalogReader(view, None), video)
        alike(found.images, expected.images)
        assert np.array_equal(found.seconds, expected.seconds)
        seed = SampleSeed(0, again, 0)
        found, expected = (CatalogReader(view, one).training(video, seed) for one in (cache, None))
        alike(found.images, expected.images)
        assert np.array_equal(found.rows, expected.rows)


def test_what_can_only_be_decoded_from_its_start_is_decoded_once_for_all_blocks(
    videos: dict[str, Video], cache: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []

    def counted(*given: object) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        passes.append(1)
        return stream_frames(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(cache_module, "stream_frames", counted)
    monkeypatch.setattr(cache_module, "read_frames", None)
    reader, video = CatalogReader(view_of("dense"), cache), videos["AVI"]
    for clip in (9, 0, 4):
        alike(
            reader.evaluation_sample(video, clip, clip + 1).images,
            CatalogReader(view_of("dense"), None).evaluation_sample(video, clip, clip + 1).images,
        )
    assert len(passes) == 1
    assert len(list(cache.folder.glob("??/*.frames"))) == -(-FRAMES // 10)


def test_only_the_blocks_that_are_needed_are_read(videos: dict[str, Video], cache: Watched) -> None:
    view, video = view_of("dense"), videos["plain"]  # clips of 8 in blocks of 10
    reader = CatalogReader(view, cache)
    kept = view.cacheable_frames(frame_timeline_of(video))
    assert kept is not None
    blocks = [kept[start : start + 10].tolist() for start in range(0, FRAMES, 10)]
    reader.evaluation_sample(video, 3, 4)
    assert cache.asked == [(blocks[2], list(range(24, 30))), (blocks[3], [30, 31])]
    stored = list(cache.folder.glob("??/*.frames"))
    assert len(stored) == 2, "nothing but these blocks is decoded and stored"
    cache.asked.clear()
    reader.evaluation_sample(video, 9, 10)  # the last clip: three frames, the last of which is repeated
    assert cache.asked == [(blocks[7], [72, 73, 74])]
    cache.asked.clear()
    turn = reader.training(video, SampleSeed(0, 0, 0))
    wanted = np.unique(view.evaluation_sample(frame_timeline_of(video)).frames[turn.rows])
    assert [entry for entry, _ in cache.asked] == [block for block in blocks if set(block) & set(wanted.tolist())]
    assert [frame for _, frames in cache.asked for frame in frames] == wanted.tolist()


def test_an_entry_of_the_cache_needs_no_file(videos: dict[str, Video], cache: Watched, tmp_path: Path) -> None:
    """It is found by content; a video that has gone since it was scanned is still missed."""
    copy = tmp_path / "copy.mp4"
    shutil.copy2(videos["plain"].path, copy)
    video = replace(videos["plain"], path=copy)
    reader = CatalogReader(view_of("frame"), cache)
    first = read_inputs(reader, video)
    assert np.array_equal(read_inputs(reader, videos["plain"]).images, first.images)
    assert len(list(cache.folder.glob("??/*.frames"))) == 1
    copy.unlink()
    with pytest.raises(VideoError, match=r"copy\.mp4"):
        read_inputs(reader, video)


def test_a_draw_from_the_whole_video_goes_by_the_cache(videos: dict[str, Video], cache: Watched) -> None:
    config = VideoConfig(size=HEIGHT, aspect="4:3", frames=8, sampling="jittered", candidates=0)
    view, video = method_named(config.method).view(config, PLAIN), videos["plain"]
    found, expected = (CatalogReader(view, one).training(video, SampleSeed(0, 0, 0)).images for one in (cache, None))
    assert np.array_equal(found, expected)
    assert not cache.asked


def test_real_times_of_a_varying_rate_are_kept(videos: dict[str, Video]) -> None:
    path = videos["varying rate"].path
    times = np.array(VARYING_TIMES) / 100
    found = together(list(stream_segments(path, view_of("dense"), 100)))
    assert [numbers_of(segment)[0] for segment in found.images] == list(range(0, FRAMES, 8))
    np.testing.assert_allclose(found.seconds[:, 0], times[::8], atol=1e-6)
    np.testing.assert_allclose(found.seconds[:-1, 1], times[8::8], atol=1e-6)
    assert found.seconds[-1, 1] > times[-1]
    frames = together(list(stream_segments(path, view_of("frame"), 100)))
    shown = np.array([numbers_of(segment)[0] for segment in frames.images])
    due = np.unique(np.searchsorted(times, np.arange(0, times[-1] + 1e-9, 0.5) + 1e-6, side="right") - 1)
    assert shown.tolist() == due.tolist(), "what is on screen every half second"
    np.testing.assert_allclose(frames.seconds, np.stack([times[shown]] * 2, axis=1), atol=1e-6)


def test_the_times_of_a_varying_rate_count_in_a_run_too(videos: dict[str, Video]) -> None:
    times = np.array(VARYING_TIMES) / 100
    assert videos["varying rate"].uneven_seconds > 0.5
    np.testing.assert_allclose(frame_timeline_of(videos["varying rate"]).edges_seconds[:-1], times, atol=1e-6)
    assert videos["plain"].uneven_seconds < 1e-3
    assert frame_timeline_of(videos["plain"]).times_seconds is None
    with pytest.raises(VideoError, match="its catalog has no frame_count"):
        frame_timeline_of(replace(videos["plain"], frame_count=0))


def test_a_video_whose_times_cannot_be_read_is_left_out_and_not_the_job(
    videos: dict[str, Video], tmp_path: Path
) -> None:
    gone = replace(videos["varying rate"], path=tmp_path / "gone.mp4")
    empty = replace(videos["plain"], frame_count=0)
    dataset = VideoDataset([gone, videos["plain"], empty], view_of("frame"), None)
    found = {index: error and error.reason for index, error in unreadable(dataset, 0)}
    assert found == {0: "no such file", 1: None, 2: found[2]}
    assert "no frame_count" in (found[2] or "")


def test_only_videos_with_a_frame_that_is_not_in_the_cache_are_read_again(
    videos: dict[str, Video], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BLOCK", 8)
    path = Path(shutil.copy2(videos["plain"].path, tmp_path / "a.mp4"))
    both = [replace(videos["plain"], path=path), videos["open groups"]]
    dataset = VideoDataset(both, view_of("frame"), FrameCache(tmp_path / "cache", 10**8))
    asked = list[Path]()

    def frames(cache: FrameCache, path: Path, *given: object, **options: object) -> object:
        asked.append(path)
        return real(cache, path, *given, **options)  # type: ignore[arg-type]

    real = FrameCache.frames
    monkeypatch.setattr(FrameCache, "frames", frames)
    assert [*unreadable(dataset, 0)] == [(0, None), (1, None)]
    assert {*asked} == {path, both[1].path}
    asked.clear()
    assert [*unreadable(dataset, 0)] == [(0, None), (1, None)]
    assert asked == []
    next(iter((tmp_path / "cache").glob("??/*"))).unlink()
    assert sorted(unreadable(dataset, 0)) == [(0, None), (1, None)]
    assert len({*asked}) == 1
    path.unlink()
    assert "No such file" in str(dict(unreadable(dataset, 0))[0])
    empty = CatalogReader(view_of("frame"), FrameCache(tmp_path / "empty", 10**8))
    assert not empty.has_stored(both[0]), "no file is read to find nothing"

    def forbidden(path: Path) -> bool:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "exists", forbidden)
    assert not CatalogReader(view_of("frame"), dataset.cache).has_stored(both[1])


def test_a_video_that_was_replaced_is_missed_whatever_is_kept(videos: dict[str, Video], tmp_path: Path) -> None:
    path = Path(shutil.copy2(videos["plain"].path, tmp_path / "a.mp4"))
    video = replace(videos["plain"], path=path)
    assert len(read_inputs(CatalogReader(view_of("frame"), None), video).images)
    os.utime(path, ns=(1, 1))
    assert len(read_inputs(CatalogReader(view_of("frame"), None), video).images), "a copy has another time"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    for kept in (None, FrameCache(tmp_path / "cache", 10**8)):
        with pytest.raises(VideoError, match="changed since it was scanned"):
            read_inputs(CatalogReader(view_of("frame"), kept), video)


def test_a_copied_video_is_read_whole_once(
    videos: dict[str, Video], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(videos["plain"].path, tmp_path / "copied.mp4"))
    os.utime(path, ns=(5, 5))
    video = replace(videos["plain"], path=path)
    asked: list[Path] = []

    def watched(path: Path) -> str:
        asked.append(path)
        return digest(path)

    monkeypatch.setattr(reading, "digest", watched)
    cache = FrameCache(tmp_path / "cache", 10**8)
    for _ in range(3):
        read_inputs(CatalogReader(view_of("frame"), cache), video)
    reading._digest.cache_clear()  # as in another process
    read_inputs(CatalogReader(view_of("frame"), cache), video)
    assert asked == [path]


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    folder = tmp_path_factory.mktemp("long")
    return lambda frames: write(folder / f"{frames}.mp4", frames)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "bound"),
    [
        (DenseConfig(size=32, frames=8, stride=1), 8 + 1),
        (DenseConfig(size=32, frames=4, stride=4), 4 + 1),
        (FrameConfig(size=32, every_seconds=0.1), 2 + 1),
    ],
)
def test_a_long_video_is_streamed_in_bounded_memory(
    config: InputConfig, bound: int, long_video: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: set[int] = set()
    most_alive = [0]

    def counted(*given: object) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for number, picture in stream_frames(*given):  # type: ignore[arg-type]
            alive.add(number)
            weakref.finalize(picture, alive.discard, number)
            most_alive[0] = max(most_alive[0], len(alive))
            yield number, picture
            del picture

    monkeypatch.setattr(reading, "stream_frames", counted)
    for frames in (100, 500):
        view, segments = method_named(config.method).view(config, PLAIN), 0
        for part in stream_segments(long_video(frames), view, 4):
            assert len(part.images) <= 4
            segments += len(part.rows)
        assert segments == len(view.evaluation_sample(FrameTimeline(frames, frames / 25)))
        assert 0 < most_alive[0] <= bound + 1, f"{most_alive[0]} pictures at once, of {frames}"


@given(
    frame_count=st.integers(1, 60),
    segments=st.lists(st.lists(st.integers(0, 59), min_size=3, max_size=3), min_size=1, max_size=8),
    lost=st.sets(st.integers(0, 59)),
)
def test_whatever_the_segments_each_gets_its_frames_or_near_ones(
    frame_count: int, segments: list[list[int]], lost: set[int]
) -> None:
    """Overlapping segments in any order; a frame that does not come is one near it."""
    wanted = np.minimum(np.sort(np.array(segments), axis=1), frame_count - 1)
    index = replace(PLAIN_INDEX, times_seconds=np.arange(frame_count) / 25)

    def frames(path: Path, indices: ArrayLike, *rest: object) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for number in np.asarray(indices).tolist():
            if number not in lost:
                yield number, np.full((1, 1, 3), number, dtype=np.uint8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "stream_frames", frames)
        coming = sorted(set(wanted.ravel().tolist()) - lost)
        streamed = reading._streamed(index, select(wanted), (1, 1))
        if not coming:
            with pytest.raises(VideoError, match="no frame of it can be decoded"):
                next(streamed)
            return
        for segment, found in zip(wanted, streamed, strict=True):
            for number, picture in zip(segment.tolist(), found[:, 0, 0, 0].tolist(), strict=True):
                assert picture in coming
                assert number in lost or picture == number


NONE = np.zeros(0, dtype=np.int64)
PLAIN_INDEX = FrameIndex(Path("video.mp4"), np.zeros(1), 1.0, 1, 1, 0, False, "h264", True, NONE, NONE, NONE, NONE, "")


def damaged(source: Path, path: Path, share: float, how: str) -> Path:
    """A file cut at a share of its length, or with 400 bytes spoilt or zeroed there."""
    data = bytearray(source.read_bytes())
    at = int(len(data) * share)
    if how == "cut":
        data = data[:at]
    else:
        spoilt = np.random.default_rng(at).integers(0, 256, 400, dtype=np.uint8).tobytes()
        data[at : at + 400] = spoilt if how == "spoilt" else bytes(400)
    path.write_bytes(data)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cut", "spoilt", "zeroed"])
@pytest.mark.parametrize("form", ["plain", "AVI", "TS"])
def test_a_damaged_video_gives_all_its_segments_or_says_that_it_cannot(
    form: str, how: str, videos: dict[str, Video], tmp_path: Path
) -> None:
    source = videos[form].path
    outcomes = set()
    for share in (0.05, 0.3, 0.5, 0.7, 0.95):
        path = damaged(source, tmp_path / f"{share}{source.suffix}", share, how)
        for name in ("dense", "frame", "video, three draws that overlap"):
            view = view_of(name)
            try:
                found = together(list(stream_segments(path, view, 2)))
            except VideoError:
                outcomes.add("refused")
                continue
            index = index_frames(path)
            selection = view.evaluation_sample(
                FrameTimeline(index.frame_count, index.duration_seconds, index.times_seconds)
            )
            assert np.array_equal(found.rows, np.arange(len(selection)))
            assert np.array_equal(found.real, selection.real)
            assert np.all(np.diff(found.seconds, axis=0) >= 0)
            outcomes.add("read")
    assert "read" in outcomes or (form, how) == ("plain", "cut"), "an MP4 that is cut has lost its index"
