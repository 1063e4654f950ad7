"""Reading in a decoder process: the same pixels, and whatever happens there costs one video."""

import logging
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from helpers.platforms import needs_posix
from helpers.troubled_decoder import TROUBLES, troubled_decoders
from helpers.video_files import FORMS, FRAMES, write
from urbanpipe.errors import VideoError
from urbanpipe.video import decode, isolated, read_ahead
from urbanpipe.video.decoder_messages import packed, unpacked
from urbanpipe.video.decoder_worker import reason_of


@pytest.fixture
def troubled() -> Iterator[None]:
    with troubled_decoders():
        yield


@pytest.mark.multiprocess
def test_pixels_are_those_of_the_decoder(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    index = isolated.index_frames(path)
    expected = decode.index_frames(path)
    np.testing.assert_array_equal(index.times_seconds, expected.times_seconds)
    assert (index.path, index.width, index.timed) == (path, expected.width, expected.timed)
    wanted = [40, 3, 3, FRAMES - 1]
    for size in (None, (50, 40)):
        pixels = decode.read_frames(path, wanted, size)
        np.testing.assert_array_equal(isolated.read_frames(path, wanted, size), pixels)
        np.testing.assert_array_equal(isolated.read_frames(path, wanted, size, index), pixels)
        for (number, picture), (same, frame) in zip(
            isolated.stream_frames(path, wanted, size, index), decode.stream_frames(path, wanted, size), strict=True
        ):
            assert number == same
            np.testing.assert_array_equal(picture, frame)
    assert isolated.read_frames(path, []).shape[0] == 0


@pytest.mark.multiprocess
@pytest.mark.usefixtures("troubled")
@pytest.mark.parametrize("name", TROUBLES)
def test_trouble_costs_one_video(name: str, tmp_path: Path) -> None:
    sound = write(tmp_path / "sound.mp4")
    index = isolated.index_frames(sound)
    for trouble in (name, f"late-{name}"):
        bad = sound.rename(tmp_path / trouble)
        with pytest.raises(VideoError, match=re.escape(TROUBLES[name])):
            isolated.read_frames(bad, [1, 20, 40])
        with pytest.raises(VideoError, match=re.escape(TROUBLES[name])):
            list(isolated.stream_frames(bad, [1, 20, 40]))
        bad.rename(sound)
        assert isolated.read_frames(sound, [5], index=index).shape[0] == 1


@pytest.mark.multiprocess
def test_relative_paths_follow_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, frames in (("one", 5), ("two", 9)):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "a.mp4", frames=frames)
        monkeypatch.chdir(tmp_path / folder)
        index = isolated.index_frames(Path("a.mp4"))
        assert (index.path, index.frame_count) == (Path("a.mp4"), frames)
        assert len(isolated.read_frames(Path("a.mp4"), np.arange(frames), None, index)) == frames
        with pytest.raises(VideoError, match=r"^a.mp4: no frame 99"):
            isolated.read_frames(Path("a.mp4"), [99])


@pytest.mark.multiprocess
@pytest.mark.usefixtures("troubled")
def test_a_video_does_not_pay_for_the_one_before(tmp_path: Path) -> None:
    poison, sound = write(tmp_path / "poison.mp4"), write(tmp_path / "sound.mp4")
    index = isolated.index_frames(sound)
    for read in (isolated.index_frames, isolated.probe, lambda path: isolated.read_frames(path, [5], None, index)):
        isolated.index_frames(poison)
        read(sound)


@pytest.mark.multiprocess
def test_streams_may_be_left_or_read_side_by_side(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.mp4"), write(tmp_path / "b.mp4")
    numbers = np.arange(FRAMES)
    left = isolated.stream_frames(first, numbers)
    assert next(left)[0] == 0
    both = zip(isolated.stream_frames(first, numbers), isolated.stream_frames(second, numbers), strict=True)
    assert all(one[0] == other[0] == number for number, (one, other) in enumerate(both))
    del left
    assert next(isolated.stream_frames(first, [7]))[0] == 7


@pytest.mark.slow
@pytest.mark.multiprocess
@pytest.mark.parametrize("name", FORMS)
def test_several_decoders_give_the_pictures_of_one(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "PART_PICTURES", 4)
    index = isolated.index_frames(FORMS[name][0](tmp_path))
    wanted = np.arange(1, index.frame_count, 3)
    expected = list(isolated.stream_pictures(index, wanted))
    found = list(isolated.stream_pictures(index, wanted, decoders=3))
    assert [picture.number for picture in found] == wanted.tolist()
    for one, other in zip(found, expected, strict=True):
        assert (one.number, one.damaged, one.frame_size) == (other.number, other.damaged, other.frame_size)
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_a_video_is_parted_at_keyframes_only_where_that_is_exact(tmp_path: Path) -> None:
    index = decode.index_frames(write(tmp_path / "a.mp4", frames=120))
    wanted = np.arange(0, 120, 2)
    parts = isolated._parts(index, wanted)
    assert [len(part) for part in parts] == [24, 24, 12]
    np.testing.assert_array_equal(np.concatenate(parts), wanted)
    assert all(index.start_of[part[0]] != index.start_of[part[0] - 2] for part in parts[1:])
    for doubtful in (replace(index, timed=False), replace(index, damage="truncated")):
        assert len(isolated._parts(doubtful, wanted)) == 1


@pytest.mark.multiprocess
def test_several_decoders_end_with_their_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "PART_PICTURES", 4)
    monkeypatch.setattr(read_ahead, "AHEAD_PICTURES", 1)  # a thread waits for its reader before its part ends
    index = isolated.index_frames(write(tmp_path / "a.mp4"))
    earlier = set(threading.enumerate())
    pictures = isolated.stream_pictures(index, np.arange(FRAMES), decoders=3)
    assert next(pictures).number == 0
    started = {thread for thread in threading.enumerate() if thread.name == "read-ahead"} - earlier
    assert len(started) == 3
    pictures.close()  # type: ignore[attr-defined]
    for thread in started:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in started)


@needs_posix
@pytest.mark.multiprocess
def test_a_forked_process_reads_with_a_decoder_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    script = (
        "import os, sys; from pathlib import Path; from urbanpipe.video.isolated import read_frames\n"
        "path = Path(sys.argv[1]); before = read_frames(path, [3]); child = os.fork()\n"
        "same = (read_frames(path, [3]) == before).all()\n"
        "if not child: os._exit(0 if same else 1)\n"
        "sys.exit(os.waitpid(child, 0)[1] or not same)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=120).returncode == 0


@pytest.mark.multiprocess
def test_a_decoder_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    script = (
        "import os, sys; from pathlib import Path; from urbanpipe.video import isolated\n"
        "isolated.read_frames(Path(sys.argv[1]), [3])\n"
        "(process,) = isolated.shared_decoders._idle; print(process._process.pid, flush=True); os._exit(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False, stdout=subprocess.PIPE, timeout=120)
    waited = subprocess.run(["timeout", "20", "tail", "-f", "/dev/null", f"--pid={int(done.stdout)}"], check=False)
    assert waited.returncode == 0, "the decoder still runs"


@pytest.mark.multiprocess
def test_warnings_of_the_decoder_are_logged_here(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(data)
    with caplog.at_level("WARNING", "urbanpipe"):
        logging.getLogger("urbanpipe").addHandler(caplog.handler)
        try:
            isolated.read_frames(path, np.arange(FRAMES), None, None, "conceal")
        finally:
            logging.getLogger("urbanpipe").removeHandler(caplog.handler)
    assert any("corrupt data" in record.getMessage() for record in caplog.records)


@needs_posix
def test_special_files_are_refused_without_opening(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path, reason in (
        (tmp_path / "pipe.mp4", "a named pipe, not a video"),
        (Path(os.devnull), "a device, not a video"),
        (tmp_path, "a folder, not a video"),
        (tmp_path / "no.mp4", "no such file"),
    ):
        for read in (isolated.index_frames, isolated.digest, isolated.probe):
            with pytest.raises(VideoError, match=reason):
                read(path)
        with pytest.raises(VideoError, match=reason):
            isolated.read_frames(path, [0])


def test_answers_hold_plain_values_only() -> None:
    values = {"times": np.arange(3.0), "path": Path("a"), "tick": Fraction(1, 25), "rate": np.float64(2)}
    assert str(unpacked(packed(values))) == str(values)
    for value in (os.system, subprocess.Popen, isolated.digest, np.load):
        with pytest.raises(pickle.UnpicklingError, match="is not part of an answer"):
            unpacked(packed(value))


def test_paths_are_where_python_3_13_has_them() -> None:
    assert unpacked(f"cpathlib._local\n{type(Path()).__name__}\n(Va.mp4\ntR.".encode()) == Path("a.mp4")
    with pytest.raises(pickle.UnpicklingError, match="is not part of an answer"):
        unpacked(b"cpathlib._local\nPurePath\n(Va.mp4\ntR.")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (VideoError("a", "no\nframes"), "no frames"),
        (MemoryError(), "reading it needs more than 6 GiB of memory"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (KeyError("x"), "reading it failed: KeyError: 'x'"),
    ],
)
def test_every_error_has_a_reason_on_one_line(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason
