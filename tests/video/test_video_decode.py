"""A frame asked for is the frame of a full decode, in every form that a video comes in."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.video_files import (
    FORMS,
    FRAMES,
    HEIGHT,
    VARYING_TIMES,
    WIDTH,
    Rgb,
    full_decode,
    number_in,
    picture,
    write,
    x264,
)
from urbanpipe.errors import VideoError
from urbanpipe.video import decode
from urbanpipe.video.decode import index_frames, read_frames, read_frames_at, stream_frames
from urbanpipe.video.frames import NumberedPacket, decode_packets

FIRST = {"edit list": 33}


@pytest.fixture(scope="session")
def form(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[str, Path]:
    name: str = request.param
    return name, FORMS[name][0](tmp_path_factory.mktemp("form"))


every_form = pytest.mark.parametrize("form", FORMS, indirect=True, scope="session")


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("plain") / "a: video, ü 管道 %d.mp4")


@cache
def truth(path: Path) -> list[Rgb]:
    return full_decode(path)


@every_form
def test_index_has_the_frames_of_a_full_decode(form: tuple[str, Path]) -> None:
    name, path = form
    index = index_frames(path)
    assert index.frame_count == len(truth(path)) == FRAMES
    assert index.timed == FORMS[name][1]
    assert (index.width, index.height, index.rotation, index.damage) == (WIDTH, HEIGHT, 0, "")
    assert index.times_seconds[0] == 0
    assert (np.diff(index.times_seconds) > 0).all()
    expected = np.array(VARYING_TIMES) / 100 if "varying" in name else np.arange(FRAMES) / 25
    np.testing.assert_allclose(index.times_seconds, expected, atol=1.1e-3)
    if "varying" not in name:
        assert index.duration_seconds == pytest.approx(FRAMES / 25, abs=2e-3)


@every_form
@pytest.mark.parametrize("indexed", [True, False], ids=["index given", "no index"])
def test_frames_in_any_order_are_those_of_a_full_decode(form: tuple[str, Path], indexed: bool) -> None:
    name, path = form
    wanted = np.random.default_rng(0).permutation(FRAMES)[:28]
    wanted[-1] = wanted[0]
    frames = read_frames(path, wanted, index=index_frames(path) if indexed else None)
    assert frames.shape == (28, HEIGHT, WIDTH, 3)
    assert [number_in(frame) for frame in frames] == (wanted + FIRST.get(name, 0)).tolist()
    for frame, number in zip(frames, wanted, strict=True):
        np.testing.assert_array_equal(frame, truth(path)[number])


@every_form
def test_each_frame_alone_is_that_of_a_full_decode(form: tuple[str, Path]) -> None:
    path = form[1]
    index = index_frames(path)
    for number in [*range(0, FRAMES, 7), FRAMES - 1]:
        np.testing.assert_array_equal(read_frames(path, [number], index=index)[0], truth(path)[number])


@every_form
def test_streams_are_those_of_a_full_decode(form: tuple[str, Path]) -> None:
    path = form[1]
    for number, (streamed, frame) in enumerate(stream_frames(path)):
        assert number == streamed
        np.testing.assert_array_equal(frame, truth(path)[number])
    assert number == FRAMES - 1
    every_third = list(stream_frames(path, np.arange(FRAMES)[::-3]))
    assert [streamed for streamed, _ in every_third] == list(range((FRAMES - 1) % 3, FRAMES, 3))
    for streamed, frame in every_third:
        np.testing.assert_array_equal(frame, truth(path)[streamed])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=st.lists(st.integers(0, FRAMES - 1), max_size=12))
def test_any_choice_of_frames(plain: Path, wanted: list[int]) -> None:
    frames = read_frames(plain, np.array(wanted, dtype=np.int64))
    assert [number_in(frame) for frame in frames] == wanted


def test_frame_on_screen_at_a_time(tmp_path: Path) -> None:
    path = write(tmp_path / "varying.mp4", ticks=VARYING_TIMES)
    index = index_frames(path)
    at = np.array([VARYING_TIMES[5] / 100, VARYING_TIMES[6] / 100 - 0.001, 0, VARYING_TIMES[-1] / 100])
    assert [number_in(frame) for frame in read_frames_at(path, at)] == [5, 5, 0, FRAMES - 1]
    for seconds in (-0.1, index.duration_seconds + 0.1, float("nan")):
        with pytest.raises(VideoError, match="no frame at"):
            read_frames_at(path, [seconds])


def test_a_frame_that_is_not_there(plain: Path, tmp_path: Path) -> None:
    for number in (-1, FRAMES):
        with pytest.raises(VideoError, match=f"no frame {number}; it has frames 0 to {FRAMES - 1}"):
            read_frames(plain, [3, number])
    raw = write(tmp_path / "raw.h264", 20, form="h264")
    with pytest.raises(VideoError, match="frame 20 cannot be decoded"):
        read_frames(raw, [3, 20])
    with pytest.raises(ValueError, match="whole numbers"):
        read_frames(plain, [1.5])
    with pytest.raises(ValueError, match="width and height must be at least 1"):
        read_frames(plain, [1], (0, 10))


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The packets that the decoder is given."""
    numbers: list[int] = []

    def counting(
        stream: object, numbered: Iterable[NumberedPacket], keep: set[int], lost: Iterable[int]
    ) -> Iterator[object]:
        def counted() -> Iterator[NumberedPacket]:
            for number, packet in numbered:
                numbers.append(number)
                yield number, packet

        yield from decode_packets(stream, counted(), keep, lost)  # type: ignore[arg-type]

    monkeypatch.setattr(decode, "decode_packets", counting)
    return numbers


@pytest.mark.parametrize("name", ["plain", "MKV", "TS", "fragmented", "open groups"])
def test_only_the_needed_groups_are_decoded(name: str, tmp_path: Path, fed: list[int]) -> None:
    path = FORMS[name][0](tmp_path)
    read_frames(path, [30, 62])
    assert len(fed) == len(set(fed)) <= 2 * 13
    assert min(fed) >= 12


@pytest.mark.parametrize("name", ["intra refresh", "intra refresh, MKV", "intra refresh, TS"])
def test_false_keyframes_cost_one_pass_from_the_start_at_most(name: str, tmp_path: Path, fed: list[int]) -> None:
    path = FORMS[name][0](tmp_path)
    frames = read_frames(path, np.arange(5, FRAMES, 5))
    assert [number_in(frame) for frame in frames] == list(range(5, FRAMES, 5))
    assert len(fed) <= 2 * FRAMES


def test_an_index_that_promises_too_much_is_survived(plain: Path) -> None:
    index = index_frames(plain)
    lying = replace(index, keyframes=np.arange(FRAMES, dtype=np.int64))
    frames = read_frames(plain, [40, 41, 70], index=lying)
    assert [number_in(frame) for frame in frames] == [40, 41, 70]


@pytest.mark.parametrize("clockwise", [90, 180, 270])
def test_rotation_is_honoured(clockwise: int, tmp_path: Path) -> None:
    path = write(tmp_path / "turned.mp4", 15, clockwise=clockwise)
    index = index_frames(path)
    assert (index.width, index.height, index.rotation) == (WIDTH, HEIGHT, clockwise)
    frames = read_frames(path, [3, 14])
    assert [number_in(frame) for frame in frames] == [3, 14]
    turned_back = np.rot90(frames[0], k=clockwise // 90)
    np.testing.assert_array_equal(turned_back, truth(path)[3])
    assert read_frames(path, [3], (50, 40)).shape == (1, 40, 50, 3)


def bwdif_pass(path: Path) -> list[Rgb]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = Graph()
        source = graph.add_buffer(template=stream, time_base=stream.time_base)
        bwdif = graph.add("bwdif", "mode=send_frame:deint=interlaced")
        graph.link_nodes(source, bwdif, graph.add("buffersink")).configure()
        count = 0
        for frame in container.decode(stream):
            graph.vpush(frame)
            count += 1
        graph.vpush(None)
        return [np.asarray(graph.vpull().to_ndarray(format="rgb24"), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_interlaced_frames_are_deinterlaced_as_in_a_full_pass(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"interlaced{suffix}", 30, options=x264(12, interlaced=1, tff=1))
    assert index_frames(path).interlaced
    expected = bwdif_pass(path)
    assert any((one != other).any() for one, other in zip(expected, truth(path), strict=True))
    for frame, wanted in zip(read_frames(path, np.arange(30)), expected, strict=True):
        np.testing.assert_array_equal(frame, wanted)
    for number in (0, 1, 11, 12, 13, 29):
        np.testing.assert_array_equal(read_frames(path, [number])[0], expected[number])
    for number, frame in stream_frames(path, [0, 7, 8, 29]):
        np.testing.assert_array_equal(frame, expected[number])


def test_recording_that_turns_interlaced(tmp_path: Path) -> None:
    progressive = write(tmp_path / "one.h264", 20, options=x264(10), form="h264")
    interlaced = write(tmp_path / "two.h264", 20, options=x264(10, interlaced=1, tff=1), form="h264", first=20)
    path = tmp_path / "joined.h264"
    path.write_bytes(progressive.read_bytes() + interlaced.read_bytes())
    assert not index_frames(path).interlaced
    wanted = [5, 19, 25, 26, 39]
    assert [number_in(frame) for frame in read_frames(path, wanted)] == wanted
    expected = bwdif_pass(path)
    for number, frame in stream_frames(path):
        np.testing.assert_array_equal(frame, expected[number])
    assert number == 39


@pytest.mark.parametrize("size", [(96, 72), (112, 112), (64, 100), (300, 200)])
def test_resizing_is_pillows_bilinear(plain: Path, size: tuple[int, int]) -> None:
    small = read_frames(plain, [20], size)[0]
    assert small.flags.c_contiguous
    expected = np.asarray(Image.fromarray(truth(plain)[20]).resize(size, Image.Resampling.BILINEAR))
    assert np.abs(small.astype(int) - expected).max() <= 1


def test_colours_survive(plain: Path) -> None:
    frame = read_frames(plain, [0])[0]
    assert np.abs(frame.astype(int) - picture(0)).mean() < 12


def test_a_size_that_changes_on_the_way(tmp_path: Path) -> None:
    one = write(tmp_path / "one.h264", 10, options=x264(5), form="h264")
    two = write(tmp_path / "two.h264", 10, options=x264(5), form="h264", first=10, size=(256, 192))
    path = tmp_path / "joined.h264"
    path.write_bytes(one.read_bytes() + two.read_bytes())
    frames = read_frames(path, [9, 10])
    assert frames.shape == (2, HEIGHT, WIDTH, 3)
    assert number_in(frames[0]) == 9


def test_sound_beside_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as out:
        sound = out.add_stream("aac", rate=16000, layout="mono")
        stream = out.add_stream("libx264", rate=25, options=x264(12))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(30):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
            noise = av.AudioFrame.from_ndarray(np.zeros((1, 640), dtype=np.float32), format="fltp", layout="mono")
            noise.sample_rate, noise.pts = 16000, number * 640
            out.mux(sound.encode(noise))
        out.mux(stream.encode())
        out.mux(sound.encode())
    assert index_frames(path).frame_count == 30
    assert [number_in(frame) for frame in read_frames(path, [29, 4])] == [29, 4]
