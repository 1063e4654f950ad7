"""What a probe says of good files, and the plain reasons it gives for those that are none."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from helpers.video_files import FRAMES, HEIGHT, WIDTH, write, x264
from urbanpipe.errors import VideoError
from urbanpipe.video.packet_scan import TIMED_CODECS, _header
from urbanpipe.video.probe import digest, probe


def test_facts_of_a_video(tmp_path: Path) -> None:
    path = write(tmp_path / "video.mp4")
    info = probe(path)
    assert (info.frame_count, info.width, info.height, info.codec) == (FRAMES, WIDTH, HEIGHT, "h264")
    assert info.duration_seconds == pytest.approx(FRAMES / 25)
    assert info.frame_rate == pytest.approx(25)
    assert info.size_bytes == path.stat().st_size
    assert info.bit_rate == pytest.approx(path.stat().st_size * 8 / (FRAMES / 25))
    assert (info.rotation, info.interlaced, info.damage) == (0, False, "")
    assert info.digest == hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest() == digest(path)
    assert pickle.loads(pickle.dumps(info)) == info
    assert probe(path, thorough=True) == info


def test_a_moved_copy_is_the_same_video(tmp_path: Path) -> None:
    path = write(tmp_path / "video.mp4", 5)
    copy = tmp_path / "other name.avi"
    copy.write_bytes(path.read_bytes())
    assert probe(copy) == probe(path)


def test_rotation_interlacing_and_mean_rate(tmp_path: Path) -> None:
    turned = probe(write(tmp_path / "turned.mp4", 5, clockwise=90))
    assert (turned.rotation, turned.width, turned.height) == (90, WIDTH, HEIGHT)
    assert probe(write(tmp_path / "interlaced.mp4", 5, options=x264(12, interlaced=1))).interlaced
    uneven = probe(write(tmp_path / "uneven.mp4", 4, ticks=[0, 10, 100, 190]))
    assert uneven.duration_seconds > 1.9
    assert uneven.frame_rate == pytest.approx(4 / uneven.duration_seconds)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_metadata_that_is_not_utf8_does_no_harm(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"titled{suffix}"
    with av.open(str(write(tmp_path / "plain.mp4", 5))) as given, av.open(str(path), "w") as out:
        out.metadata["title"] = "Hauptstraße"
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    data = path.read_bytes()
    assert "ß".encode() in data
    path.write_bytes(data.replace("ß".encode(), b"\xdf\xdf"))
    assert probe(path).frame_count == 5


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    info = probe(write(tmp_path / "one.mp4", 1))
    assert info.frame_count == 1
    assert info.duration_seconds == pytest.approx(1 / 25, abs=0.01)


def _sound(path: Path) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000, layout="mono")
        noise = av.AudioFrame.from_ndarray(np.zeros((1, 16000), dtype=np.float32), format="fltp", layout="mono")
        noise.sample_rate, noise.pts = 16000, 0
        out.mux(stream.encode(noise))
        out.mux(stream.encode())
    return path


def _without_table(path: Path) -> Path:
    data = write(path).read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    return path


def _bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _no_frames(path: Path) -> Path:
    """A file that has all but its frames: a fragmented MP4, cut before the first fragment."""
    data = write(path, container={"movflags": "frag_keyframe+empty_moov"}).read_bytes()
    return _bytes(path, data[: data.index(b"moof") - 4])


def _first_kilobytes(path: Path) -> Path:
    data = write(path).read_bytes()
    return _bytes(path, data[: len(data) // 2])


def _undecodable(path: Path) -> Path:
    data = write(path, 10, container={"movflags": "faststart"}).read_bytes()
    start = data.index(b"mdat") + 4
    noise = np.random.default_rng(0).integers(0, 256, len(data) - start, dtype=np.uint8).tobytes()
    return _bytes(path, data[:start] + noise)


def _picture(path: Path) -> Path:
    Image.new("RGB", (64, 48)).save(path)
    return path


BAD: dict[str, Callable[[Path], Path]] = {
    "no such file": lambda to: to / "absent.mp4",
    "a folder, not a video": lambda to: to,
    "the file is empty": lambda to: _bytes(to / "empty.mp4", b""),
    "not a video": lambda to: _bytes(to / "noise.mp4", np.random.default_rng(0).bytes(5000)),
    r"not a video \(": lambda to: _bytes(to / "notes.txt", b"Schacht 12, Haltung 4\n" * 200),
    "not a video .*": lambda to: _picture(to / "still.png"),
    "no video stream, only audio": lambda to: _sound(to / "sound.m4a"),
    "no frames": lambda to: _no_frames(to / "header.mp4"),
    "truncated: the file ends before its table of contents": lambda to: _first_kilobytes(to / "half.mp4"),
    "not a video: the MP4 has no table of contents": lambda to: _without_table(to / "no_table.mp4"),
    "no frame of it can be decoded": lambda to: _undecodable(to / "garbage.mp4"),
}


@pytest.mark.parametrize("reason", BAD)
def test_reasons(reason: str, tmp_path: Path) -> None:
    path = BAD[reason](tmp_path)
    with pytest.raises(VideoError, match=reason) as caught:
        probe(path)
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    assert "\n" not in caught.value.reason


def test_a_playlist_does_not_lead_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "secret.ts", 5)
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n"
    path = _bytes(tmp_path / "list.m3u8", playlist.encode())
    with pytest.raises(VideoError, match="not a video"):
        probe(path)


@pytest.mark.skipif("libsvtav1" not in av.codecs_available, reason="needs an AV1 encoder")
def test_a_codec_is_named_apart_from_its_decoder(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "video.mp4"), "w") as container:
        stream = container.add_stream("libsvtav1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode())
    with av.open(str(tmp_path / "video.mp4")) as container:
        stream = container.streams.video[0]
        assert _header(container, stream).codec == "av1" in TIMED_CODECS
