"""A digest from the bytes that a reader takes, in whatever order, and an index that does not depend on it."""

import hashlib
import os
from dataclasses import fields, replace
from pathlib import Path
from unittest.mock import Mock

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.video_files import FORMS, write, x264
from urbanpipe.video import hashed_file
from urbanpipe.video.decode import index_frames, stream_decoded
from urbanpipe.video.hashed_file import HashedFile, RememberedStart
from urbanpipe.video.probe import digest

CONTENT = np.random.default_rng(5).bytes(5000)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "a.bin"
    path.write_bytes(CONTENT)
    return path


@given(steps=st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 2000)), max_size=8))
def test_any_order_of_reading_gives_the_bytes_and_the_digest(path: Path, steps: list[tuple[int, int]]) -> None:
    file = HashedFile(path)
    for at, size in steps:
        assert file.seek(at) == file.tell() == at
        assert file.read(size) == CONTENT[at : at + size]
    assert file.digest() == hashlib.blake2b(CONTENT, digest_size=16).hexdigest()
    file.close()


def test_positions_are_those_of_a_file(path: Path) -> None:
    file = HashedFile(path)
    assert file.seek(-10, os.SEEK_END) == 4990
    assert file.seek(-90, os.SEEK_CUR) == 4900
    with pytest.raises(OSError, match="Invalid argument"):
        file.seek(-1)
    file.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_an_index_is_the_same_with_and_without_a_digest(name: str, tmp_path: Path) -> None:
    path = FORMS[name][0](tmp_path)
    plain, hashed = index_frames(path), index_frames(path, hashed=True)
    assert (plain.digest, hashed.digest) == ("", digest(path))
    for field in fields(plain):
        np.testing.assert_array_equal(getattr(replace(hashed, digest=""), field.name), getattr(plain, field.name))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of bytes that were read from disk through the files of this package."""
    read, read_file = list[int](), RememberedStart._read_file

    def counting(file: RememberedStart, at: int, size: int) -> bytes:
        data = read_file(file, at, size)
        read.append(len(data))
        return data

    monkeypatch.setattr(RememberedStart, "_read_file", counting)
    return read


@pytest.mark.parametrize("name", ["plain", "fragmented", "MKV", "AVI, MPEG-4", "raw H.264"])
def test_index_and_digest_cost_little_more_than_one_reading(name: str, tmp_path: Path, read: list[int]) -> None:
    path = FORMS[name][0](tmp_path)
    index_frames(path, hashed=True)
    size = path.stat().st_size
    assert size <= sum(read) < 1.1 * size + 4 * 32_768  # FFmpeg looks at both ends in blocks of 32 KiB


def test_the_end_of_a_small_ts_file_is_read_once(tmp_path: Path, read: list[int]) -> None:
    path = write(tmp_path / "a.ts", frames=50, options=x264(12, qp=4), size=(384, 288))
    index_frames(path, hashed=True)
    assert path.stat().st_size <= sum(read) < path.stat().st_size + 400_000  # 250,000 bytes more to find its duration


def test_mpeg_ps_is_read_once_for_its_index_and_once_for_its_pictures(tmp_path: Path, read: list[int]) -> None:
    path = FORMS["MPEG-PS"][0](tmp_path)
    index, size = index_frames(path, hashed=True), path.stat().st_size
    assert sum(read) == size
    read.clear()
    assert len(list(stream_decoded(index, [3, index.frame_count - 1]))) == 2
    assert sum(read) <= size


def test_the_start_of_a_file_is_remembered_within_bounds(
    path: Path, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashed_file, "START_BYTES", 1000)
    file = RememberedStart(path)
    parts = [file.read(600) for _ in range(8)]
    assert b"".join(parts) == CONTENT[:4800]
    file.seek(500)
    assert file.read(300) + file.read(700) == CONTENT[500:1500]
    assert read == [600] * 8 + [300], "the first 1,200 bytes come from memory"
    file.close()


def test_a_video_that_is_decoded_from_its_start_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = FORMS["MPEG-PS"][0](tmp_path)
    index = index_frames(path)
    assert not index.timed
    opened = Mock(side_effect=av.open)
    monkeypatch.setattr(av, "open", opened)
    assert len(list(stream_decoded(index, [3, 40]))) == 2
    assert opened.call_count == 1
