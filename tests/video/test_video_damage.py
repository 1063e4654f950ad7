"""Frames of damaged files are exact, or the damage is reported; nothing is silently wrong and nothing crashes."""

import logging
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.platforms import needs_posix
from helpers.video_files import FRAMES, HEIGHT, MPEG, VPX, WIDTH, Rgb, full_decode, number_in, write, x264
from urbanpipe.errors import VideoError
from urbanpipe.video.decode import index_frames, read_frames, stream_decoded, stream_frames
from urbanpipe.video.probe import probe

FAST_START = {"movflags": "faststart"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("sound")

    @cache
    def make(name: str) -> Path:
        container = {"mp4": FAST_START, "frag.mp4": FRAGMENTS}.get(name)
        form = "h264" if name == "h264" else None
        return write(folder / f"video.{name}", options=x264(25), container=container, form=form)

    return make


@cache
def truth(path: Path) -> list[Rgb]:
    return full_decode(path)


def exact_or_refused(path: Path, clean: list[Rgb]) -> tuple[list[int], int]:
    """The numbers burnt into the frames that are given, each checked to the pixel; and how many are refused."""
    index = index_frames(path)
    given, refused = [], 0
    for asked in range(index.frame_count):
        try:
            frame = read_frames(path, [asked], index=index)[0]
        except VideoError:
            refused += 1
            continue
        number = number_in(frame)
        np.testing.assert_array_equal(frame, clean[number])
        given.append(number)
    assert given == sorted(set(given))
    return given, refused


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mp4", "frag.mp4", "mkv", "avi", "ts", "h264"])
def test_a_truncated_file_is_right_up_to_the_cut(name: str, sound: Callable[[str], Path], tmp_path: Path) -> None:
    source = sound(name)
    data = source.read_bytes()
    path = tmp_path / f"cut.{name}"
    path.write_bytes(data[: int(len(data) * 0.6)])
    given, refused = exact_or_refused(path, truth(source))
    assert refused == 0
    assert given[:20] == list(range(20))
    assert 0.4 * FRAMES < len(given) < 0.8 * FRAMES
    assert given[-1] - len(given) < 5  # of pictures that are shown ahead of a lost one, some may be missing
    info = probe(path)
    assert info.frame_count == len(given)
    assert info.duration_seconds < 0.8 * FRAMES / 25
    if name not in {"ts", "h264"}:  # these do not say how long they are
        assert info.damage == f"truncated: {path.stat().st_size} of {_declared(name, data)} bytes present"
    with pytest.raises(VideoError, match="no frame 74; it has frames 0 to"):
        read_frames(path, [74], index=index_frames(path))


def _declared(name: str, data: bytes) -> int:
    """What a reader of the cut file can know: in a fragmented MP4 the end of the box that is cut, else all."""
    if name != "frag.mp4":
        return len(data)
    at = 0
    while at < len(data) * 0.6:
        at += int.from_bytes(data[at : at + 4], "big")
    return at


def _begin_of_packet(path: Path, number: int) -> int:
    with av.open(str(path)) as container:
        begins = [packet.pos for packet in container.demux(video=0)]
    begin = begins[number]
    assert begin is not None
    return begin


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mp4", "frag.mp4", "mkv", "avi", "ts", "h264"])
@pytest.mark.parametrize("seed", [1, 2])
def test_corrupt_bytes_in_the_middle(
    name: str, seed: int, sound: Callable[[str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = sound(name)
    data = np.frombuffer(source.read_bytes(), dtype=np.uint8).copy()
    middle = _begin_of_packet(source, 30) + 8
    data[middle : middle + 2000] = np.random.default_rng(seed).integers(0, 256, 2000)
    path = tmp_path / f"corrupt.{name}"
    path.write_bytes(data.tobytes())
    given, refused = exact_or_refused(path, truth(source))
    assert given[:15] == list(range(15))
    assert len(given) + refused <= FRAMES
    assert len(given) < FRAMES
    assert probe(path, thorough=True).damage.startswith("corrupt")
    frame_count = index_frames(path).frame_count
    with caplog.at_level(logging.WARNING, "urbanpipe"):
        frames = read_frames(path, np.arange(frame_count), (48, 36), on_damage="conceal")
        streamed = list(stream_frames(path, on_damage="conceal"))
    assert frames.shape == (frame_count, 36, 48, 3)
    assert len(streamed) <= frame_count
    warnings = [record for record in caplog.records if str(path) in record.getMessage()]
    assert bool(warnings) == (refused > 0)


@pytest.mark.slow
def test_a_file_of_which_a_part_was_never_copied(sound: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("mp4", "frag.mp4", "mkv", "avi"):
        data = bytearray(sound(name).read_bytes())
        data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
        path = tmp_path / f"zeros.{name}"
        path.write_bytes(data)
        given, refused = exact_or_refused(path, truth(sound(name)))
        assert given[:20] == list(range(20))
        assert refused <= 1
        assert len(given) < FRAMES
        assert probe(path).damage


def test_a_frame_that_cannot_be_had_at_all(sound: Callable[[str], Path], tmp_path: Path) -> None:
    data = bytearray(sound("mp4").read_bytes())
    start = data.index(b"mdat") + 4
    data[start + 2000 :] = np.random.default_rng(0).integers(0, 256, len(data) - start - 2000, dtype=np.uint8).tobytes()
    path = tmp_path / "noise.mp4"
    path.write_bytes(data)
    with pytest.raises(VideoError, match=r"frame 60 (is damaged|cannot be decoded)"):
        read_frames(path, [60])
    frames = read_frames(path, [60, 61], on_damage="conceal")
    assert frames.shape == (2, HEIGHT, WIDTH, 3)


@pytest.mark.slow
def test_lost_transport_packets(sound: Callable[[str], Path], tmp_path: Path) -> None:
    data = sound("ts").read_bytes()
    parts = [data[at : at + 188] for at in range(0, len(data), 188)]
    starts = [n for n, part in enumerate(parts) if part[1] & 0x40 and (part[1] & 0x1F) << 8 | part[2] == 0x100]
    path = tmp_path / "lost.ts"
    for first, last in [(starts[30], starts[31]), (starts[40], starts[42]), (starts[60] + 1, starts[60] + 2)]:
        path.write_bytes(b"".join(parts[:first] + parts[last:]))
        given, refused = exact_or_refused(path, truth(sound("ts")))
        assert refused > 0
        assert given[:20] == list(range(20))
        assert "corrupt" in probe(path).damage


def test_padding_behind_the_last_frame_is_no_damage(sound: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("mkv", "avi", "ts", "mp4"):
        path = tmp_path / f"padded.{name}"
        path.write_bytes(sound(name).read_bytes() + bytes(2048))
        info = probe(path)
        assert (info.frame_count, info.damage) == (FRAMES, ""), name
        assert number_in(read_frames(path, [FRAMES - 1])[0]) == FRAMES - 1


CUT: dict[str, Callable[[Path], Path]] = {
    "mov": lambda to: write(to / "a.mov", container=FAST_START),
    "webm": lambda to: write(to / "a.webm", codec="libvpx-vp9", options=VPX),
    "live webm": lambda to: write(to / "live.webm", codec="libvpx", options=VPX, container={"live": "1"}),
    "ts": lambda to: write(to / "a.ts"),
    "mpg": lambda to: write(to / "a.mpg", codec="mpeg2video", options=MPEG),
    "wmv": lambda to: write(to / "a.wmv", codec="wmv2", options={"g": "12"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CUT)
def test_a_cut_file_of_every_container_is_damaged(name: str, tmp_path: Path) -> None:
    source = CUT[name](tmp_path)
    assert (probe(source).damage, probe(source).notes) == ("", "")
    data = source.read_bytes()
    for share in np.random.default_rng(0).uniform(0.3, 0.99, 5):
        path = tmp_path / f"cut{source.suffix}"
        path.write_bytes(data[: int(len(data) * share)])
        assert probe(path).damage.startswith("truncated"), share


def test_fragments_without_their_end(tmp_path: Path) -> None:
    data = write(tmp_path / "whole.mp4", container=FRAGMENTS).read_bytes()
    assert probe(tmp_path / "whole.mp4").notes == ""
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: data.rindex(b"moof") - 4])
    assert "may have been interrupted" in probe(path).notes
    path.write_bytes(data[: data.rindex(b"mdat") - 4])
    assert probe(path).damage == "truncated: the last fragment has no pictures"


def test_a_wrong_length_in_a_header_hides_no_frame(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "whole.mkv").read_bytes())
    at = data.find(bytes.fromhex("18538067"))
    for byte in range(at + 5, at + 12):
        path = tmp_path / "wrong.mkv"
        changed = data.copy()
        changed[byte] ^= 0x80
        path.write_bytes(changed)
        assert probe(path).frame_count == FRAMES
        assert number_in(read_frames(path, [FRAMES - 1])[0]) == FRAMES - 1
    changed = data.copy()
    changed[at + 5] ^= 0x80
    path.write_bytes(changed)
    assert probe(path).damage.startswith("corrupt: the header declares")


def test_a_packet_of_an_unknown_stream(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "whole.ts").read_bytes())
    starts = [at for at in range(0, len(data), 188) if data[at + 1] & 0x5F == 0x41 and data[at + 2] == 0]
    data[starts[len(starts) // 2] + 1] ^= 0x10
    path = tmp_path / "stream.ts"
    path.write_bytes(data)
    index = index_frames(path)
    assert index.frame_count >= FRAMES - 1
    assert index.damage.startswith("corrupt")
    assert len(list(stream_frames(path, index=index, on_damage="conceal"))) == index.frame_count


@needs_posix
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match="not a regular file"):
        probe(tmp_path / "pipe.mp4")


def test_any_failure_of_a_reader_names_the_file(sound: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> object:
        raise IndexError("list index out of range")

    path = sound("mp4")
    index = index_frames(path)
    monkeypatch.setattr("urbanpipe.video.decode.decode_packets", fail)
    for read in (
        lambda: read_frames(path, [1], index=index),
        lambda: list(stream_frames(path, index=index)),
        lambda: list(stream_decoded(index, [1])),
    ):
        with pytest.raises(VideoError, match=r"cannot be read .*list index") as caught:
            read()
        assert str(caught.value).startswith(str(path))
        assert isinstance(caught.value.__cause__, IndexError)
