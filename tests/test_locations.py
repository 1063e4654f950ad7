import os
from pathlib import Path

import pytest

from urbanpipe.archive.shards.sources import listed_videos
from urbanpipe.archive.shards.video_report import _written_local
from urbanpipe.archive_store.folder_storage import FolderStorage
from urbanpipe.archive_store.object_storage import open_storage
from urbanpipe.archive_store.open_source import is_archive
from urbanpipe.catalog.catalog_file import read_catalog
from urbanpipe.catalog.files import find_videos, match_labels
from urbanpipe.errors import StorageError
from urbanpipe.inputs.new_videos import named_videos
from urbanpipe.locations import folder_of, is_address, local_path, plain_path, pure_path

RELATIVES = {"2024/a.mp4": "2024/a.mp4", "2025/a.mp4": "2025/a.mp4", "b 1.mp4": "b 1.mp4"}


@pytest.mark.parametrize(
    "text",
    [
        r"D:\videos\2024\a.mp4",
        "D:/videos/2024/a.mp4",
        r"\\nas\share\videos\2024\a.mp4",
        "//nas/share/2024/a.mp4",
        "file:///D:/videos/2024/a.mp4",
        "file:///videos/2024/a.mp4",
        "file://nas/share/2024/a.mp4",
        r"2024\a.mp4",
    ],
)
def test_labels_name_videos_by_paths_of_any_system(text: str) -> None:
    assert match_labels([text], RELATIVES, "labels.csv").names == {"2024/a.mp4": text}


def test_labels_name_videos_by_quoted_addresses() -> None:
    text = "file:///D:/videos/b%201.mp4"
    assert match_labels([text], RELATIVES, "labels.csv").names == {"b 1.mp4": text}


@pytest.mark.parametrize("text", [r"C:\videos", "C:/videos", "c://videos", r"\\nas\videos", "file:///videos", "a:b"])
def test_a_drive_is_no_scheme(text: str) -> None:
    assert not is_address(text)
    assert not is_archive(text)
    assert isinstance(open_storage(text), FolderStorage)


@pytest.mark.parametrize("text", ["ftp://host/videos", "http://host/videos"])
def test_other_addresses_are_refused_in_one_line(text: str) -> None:
    assert is_address(text)
    with pytest.raises(StorageError, match=f"{text} is neither a folder nor an address that begins with s3://"):
        open_storage(text)


def test_a_file_address_is_its_path(tmp_path: Path) -> None:
    video = tmp_path / "a b.mp4"
    video.touch()
    for given in (video.as_uri(), str(Path(video.as_uri()))):  # the second is what an option of the type Path makes
        assert named_videos([given]) == {"a b.mp4": video}  # type: ignore[list-item]
    assert [found.uri for found in listed_videos(tmp_path.as_uri())] == [video.as_posix()]
    assert list(find_videos(Path(tmp_path.as_uri())).paths) == ["a b.mp4"]
    assert open_storage(tmp_path.as_uri()).location == str(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="there, these are paths of this system")
def test_paths_of_windows_in_a_catalog(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    (tmp_path / r"b\c.mp4").touch()
    paths = [r"videos\a.mp4", r"b\c.mp4", r"D:\videos\d.mp4", (tmp_path / "videos" / "a.mp4").as_uri()]
    rows = "".join(f"{number}.mp4,{path},ok,,g\n" for number, path in enumerate(paths))
    (tmp_path / "catalog.csv").write_text(f"name,path,status,labels,group\n{rows}", encoding="utf-8")
    found = [video.path for video in read_catalog(tmp_path / "catalog.csv").videos]
    assert found == [
        tmp_path / "videos/a.mp4",
        tmp_path / r"b\c.mp4",
        Path("D:/videos/d.mp4"),
        tmp_path / "videos/a.mp4",
    ]


def test_the_folder_of_a_path_of_any_system() -> None:
    assert folder_of(r"D:\videos\a.mp4") == r"D:\videos"
    assert folder_of(r"\\nas\share\videos\a.mp4") == r"\\nas\share\videos"
    assert folder_of("s3://bucket/videos/a.mp4") == "s3://bucket/videos"
    assert pure_path(r"D:\videos\a.mp4").name == "a.mp4"


def test_a_video_of_an_archive_is_asked_for_by_a_path_of_any_system(tmp_path: Path) -> None:
    assert _written_local(r"D:\videos\a.mp4") == _written_local("file:///D:/videos/a.mp4") == "D:/videos/a.mp4"
    assert _written_local(r"\\nas\share\a.mp4") == "//nas/share/a.mp4"
    assert _written_local((tmp_path / "a b.mp4").as_uri()) == (tmp_path / "a b.mp4").as_posix()


def test_local_file_addresses() -> None:
    assert plain_path("file://localhost/data/a.mp4") == "/data/a.mp4"
    assert plain_path("file:///C:/a%23b.mp4") == "C:/a#b.mp4"
    assert plain_path("files/a.mp4") == "files/a.mp4"
    assert local_path("a.mp4", Path("videos")) == Path("videos/a.mp4")
