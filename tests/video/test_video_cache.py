"""The frame cache gives the same pixels always, keeps its bound, and survives kills, damage and full disks."""

import errno
import logging
import multiprocessing
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from helpers.cache_reader import read_many
from helpers.platforms import is_root, needs_posix
from helpers.video_files import FRAMES, number_in, write
from urbanpipe.errors import VideoError
from urbanpipe.video.cache import FrameCache, _locked, _unpack
from urbanpipe.video.decode import read_frames
from urbanpipe.video.probe import digest
from urbanpipe.video.sampling import uniform

SIZE = (192, 144)
PLENTY = 10**8


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = write(tmp_path_factory.mktemp("video") / "video.mp4")
    return path, digest(path)


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The frames that were decoded, call by call."""
    calls: list[list[int]] = []

    def counting(path: Path, indices: np.ndarray, size: tuple[int, int], on_damage: object = "raise") -> np.ndarray:
        calls.append(indices.tolist())
        return read_frames(path, indices, size)

    monkeypatch.setattr("urbanpipe.video.cache.read_frames", counting)
    return calls


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("??/*.frames"))


def stored_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("??/*"))


def test_second_reading_is_the_same_and_decodes_nothing(
    video: tuple[Path, str], tmp_path: Path, decodings: list[list[int]]
) -> None:
    cache = FrameCache(tmp_path / "cache", PLENTY)
    wanted = np.array([40, 3, 3, 74])
    first = cache.frames(*video, wanted, SIZE)
    assert [number_in(frame) for frame in first] == [40, 3, 3, 74]
    np.testing.assert_array_equal(cache.frames(*video, wanted, SIZE), first)
    np.testing.assert_array_equal(FrameCache(tmp_path / "cache", PLENTY).frames(*video, wanted, SIZE), first)
    assert len(decodings) == 1
    exact = read_frames(video[0], wanted, SIZE)
    assert 0 < np.abs(first.astype(int) - exact).mean() < 12  # JPEG, on the first reading too
    assert first.shape == exact.shape
    assert len(entries(tmp_path / "cache")) == 1


@pytest.mark.slow
def test_the_content_decides_not_the_name(video: tuple[Path, str], tmp_path: Path, decodings: list[list[int]]) -> None:
    cache = FrameCache(tmp_path, PLENTY)
    first = cache.frames(*video, uniform(FRAMES, 9), SIZE)
    np.testing.assert_array_equal(cache.frames(Path("moved away"), video[1], uniform(FRAMES, 9), size=SIZE), first)
    cache.frames(*video, uniform(FRAMES, 8), SIZE)
    cache.frames(*video, uniform(FRAMES, 9), (96, 72))
    cache.frames(*video, uniform(FRAMES, 9)[::-1], SIZE)
    cache.frames(video[0], "0" * 32, uniform(FRAMES, 9), size=SIZE)
    FrameCache(tmp_path, PLENTY, quality=70).frames(*video, uniform(FRAMES, 9), SIZE)
    assert len(decodings) == len(entries(tmp_path)) == 6


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "zeros", "header"])
def test_a_damaged_entry_is_made_again(
    harm: str, video: tuple[Path, str], tmp_path: Path, decodings: list[list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    cache = FrameCache(tmp_path, PLENTY)
    first = cache.frames(*video, [1, 50], SIZE)
    (entry,) = entries(tmp_path)
    data = entry.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    header = bytearray(data)
    header[9] ^= 0x80
    harmed = {
        "flip": bytes(flipped),
        "cut": data[:-7],
        "empty": b"",
        "zeros": bytes(len(data)),
        "header": bytes(header),
    }
    entry.write_bytes(harmed[harm])
    with caplog.at_level(logging.WARNING, "urbanpipe"):
        np.testing.assert_array_equal(cache.frames(*video, [1, 50], SIZE), first)
    assert "damaged cache entry" in caplog.text
    assert entry.read_bytes() == data
    np.testing.assert_array_equal(cache.frames(*video, [1, 50], SIZE), first)
    assert len(decodings) == 2


def test_the_bound_holds_and_the_least_recently_read_go(
    video: tuple[Path, str], tmp_path: Path, decodings: list[list[int]]
) -> None:
    FrameCache(tmp_path / "one", PLENTY).frames(*video, [0], SIZE)
    one = stored_bytes(tmp_path / "one")
    bound = int(one * 6.5)
    cache = FrameCache(tmp_path / "cache", bound)
    favourite = cache.frames(*video, [0], SIZE)
    (kept,) = entries(tmp_path / "cache")
    for number in range(1, 30):
        cache.frames(*video, [number], SIZE)
        assert stored_bytes(tmp_path / "cache") <= bound
        time.sleep(0.01)  # the clock of file times ticks every few milliseconds
        np.testing.assert_array_equal(cache.frames(*video, [0], SIZE), favourite)
        assert kept.exists()
    assert len(entries(tmp_path / "cache")) >= 3
    assert len(decodings) == 1 + 30
    cache.frames(*video, [29], SIZE)
    assert len(decodings) == 1 + 30
    cache.frames(*video, [1], SIZE)
    assert len(decodings) == 1 + 31


def test_an_entry_beyond_the_bound_is_not_stored(video: tuple[Path, str], tmp_path: Path) -> None:
    cache = FrameCache(tmp_path, 100)
    assert cache.frames(*video, [5], SIZE).shape == (1, 144, 192, 3)
    assert stored_bytes(tmp_path) == 0


def test_a_lost_or_wrong_ledger_is_counted_anew(video: tuple[Path, str], tmp_path: Path) -> None:
    cache = FrameCache(tmp_path, PLENTY)
    cache.frames(*video, [0], SIZE)
    one = stored_bytes(tmp_path)
    tight = FrameCache(tmp_path, int(one * 3.5))
    for number, text in enumerate(["", "12", "x\n", "99999999999999\n"], 1):
        (tmp_path / "total_bytes").write_text(text)
        for again in range(4):
            tight.frames(*video, [number * 10 + again], SIZE)
            assert stored_bytes(tmp_path) <= int(one * 3.5)
    (tmp_path / "total_bytes").unlink()
    tight.frames(*video, [70], SIZE)
    assert stored_bytes(tmp_path) <= int(one * 3.5)


def test_a_cache_that_cannot_be_written_decodes_after_one_warning(
    video: tuple[Path, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = FrameCache(tmp_path / "file" / "cache", PLENTY)
    with caplog.at_level(logging.WARNING, "urbanpipe"):
        first = cache.frames(*video, [1, 2], SIZE)
        np.testing.assert_array_equal(cache.frames(*video, [1, 2], SIZE), first)
        cache.frames(*video, [3], SIZE)
    assert len(caplog.records) == 1
    np.testing.assert_array_equal(FrameCache(tmp_path / "good", PLENTY).frames(*video, [1, 2], SIZE), first)


def test_a_full_disk(
    video: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = FrameCache(tmp_path, PLENTY)
    kept = cache.frames(*video, [1], SIZE)
    write_bytes = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        write_bytes(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with caplog.at_level(logging.WARNING, "urbanpipe"):
        assert cache.frames(*video, [2], SIZE).shape == cache.frames(*video, [3], SIZE).shape
    assert [record.getMessage() for record in caplog.records] == [
        f"frame cache {tmp_path} cannot be written (the disk is full): decoding instead"
    ]
    monkeypatch.undo()
    assert list(tmp_path.glob("??/*.part")) == []
    np.testing.assert_array_equal(cache.frames(*video, [1], SIZE), kept)
    assert len(entries(tmp_path)) == 1


@needs_posix
@pytest.mark.skipif(is_root, reason="root may write into a read-only folder")
def test_a_read_only_cache_is_read(video: tuple[Path, str], tmp_path: Path, decodings: list[list[int]]) -> None:
    first = FrameCache(tmp_path, PLENTY).frames(*video, [1], SIZE)
    folders = [tmp_path, *tmp_path.glob("??")]
    for folder in folders:
        folder.chmod(0o500)
    cache = FrameCache(tmp_path, PLENTY)
    np.testing.assert_array_equal(cache.frames(*video, [1], SIZE), first)
    cache.frames(*video, [2], SIZE)
    for folder in folders:
        folder.chmod(0o700)
    assert len(decodings) == 2


@pytest.mark.multiprocess
def test_several_processes_share_a_folder(video: tuple[Path, str], tmp_path: Path) -> None:
    FrameCache(tmp_path / "one", PLENTY).frames(*video, [0], SIZE)
    bound = int(stored_bytes(tmp_path / "one") * 5.5)
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(read_many, tmp_path / "cache", video, bound, seed) for seed in range(3)]
        while not all(job.done() for job in jobs):
            with _locked(tmp_path / "cache"):  # or files come and go while they are summed up
                assert stored_bytes(tmp_path / "cache") <= bound
            time.sleep(0.005)
        for job in jobs:
            assert all(wanted == got for wanted, got in job.result())
    assert 0 < stored_bytes(tmp_path / "cache") <= bound


WRITE_UNTIL_KILLED = """
import sys
from pathlib import Path
from urbanpipe.video.cache import FrameCache, _pack
cache = FrameCache(Path(sys.argv[1]), int(sys.argv[2]))
for number in range(10**9):
    entry = cache.folder / f"{number % 100:02d}" / f"{number:030d}.frames"
    cache._store(entry, _pack([bytes([number % 256]) * 200_000]))
    if number == 20:
        print("writing", flush=True)
"""


@needs_posix
@pytest.mark.multiprocess
def test_a_kill_at_any_moment_leaves_whole_entries_within_the_bound(video: tuple[Path, str], tmp_path: Path) -> None:
    bound = 4_000_000
    for delay in (0.0, 0.011, 0.017, 0.029):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE_UNTIL_KILLED, str(tmp_path), str(bound)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert stored_bytes(tmp_path) <= bound
        assert len(entries(tmp_path)) > 5
        assert all(_unpack(entry.read_bytes()) is not None for entry in entries(tmp_path))
    cache = FrameCache(tmp_path, bound)
    for number in range(12):
        cache.frames(*video, np.arange(number, number + 20), (448, 336))
        assert stored_bytes(tmp_path) <= bound
    assert list(tmp_path.glob("??/*.part")) == []


def test_workers_get_a_copy(video: tuple[Path, str], tmp_path: Path) -> None:
    cache = pickle.loads(pickle.dumps(FrameCache(tmp_path, PLENTY, quality=80)))
    assert (cache.folder, cache.max_bytes, cache.quality) == (tmp_path, PLENTY, 80)


def test_bad_arguments_and_bad_videos(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_bytes is 0"):
        FrameCache(tmp_path, 0)
    with pytest.raises(ValueError, match="quality is 101"):
        FrameCache(tmp_path, 1, 101)
    with pytest.raises(VideoError, match="no such file"):
        FrameCache(tmp_path, PLENTY).frames(tmp_path / "absent.mp4", "0" * 32, [1], size=SIZE)
    assert entries(tmp_path) == []
