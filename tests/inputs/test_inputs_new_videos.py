"""Names of videos without a catalog."""

import os
from pathlib import Path

import pytest

from urbanpipe.errors import CatalogError
from urbanpipe.inputs.new_videos import named_videos


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    for name in ("a/x.mp4", "b/x.mp4", "b/y.mp4", "c/a/x.mp4", "c/b/x.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["a/x.mp4", "b/y.mp4"], {"x.mp4": "a/x.mp4", "y.mp4": "b/y.mp4"}),
        (["a/x.mp4", "b/x.mp4"], {"a/x.mp4": "a/x.mp4", "b/x.mp4": "b/x.mp4"}),
        (["a", "b"], {"a/x.mp4": "a/x.mp4", "b/x.mp4": "b/x.mp4", "y.mp4": "b/y.mp4"}),
        (["a/x.mp4", "c"], {"x.mp4": "a/x.mp4", "a/x.mp4": "c/a/x.mp4", "b/x.mp4": "c/b/x.mp4"}),
        (["a/x.mp4", "a", "b/../a/x.mp4"], {"x.mp4": "a/x.mp4"}),
    ],
)
def test_equal_names_are_distinguished_by_their_folders(archive: Path, given: list[str], names: dict[str, str]) -> None:
    found = named_videos([archive / name for name in given])
    assert {name: path.resolve() for name, path in found.items()} == {
        name: archive.resolve() / path for name, path in names.items()
    }


def test_paths_that_are_alike_as_text_stay_two_videos(tmp_path: Path) -> None:
    paths = [tmp_path / os.fsdecode(name) for name in (b"\xff.mp4", b"\\xff.mp4")]
    for path in paths:
        path.touch()
    found = named_videos(paths)
    assert list(found.values()) == paths
    assert all(name.startswith("\\xff.mp4 (") for name in found)


def test_a_missing_video_is_named(archive: Path) -> None:
    with pytest.raises(CatalogError, match=r"z\.mp4 is missing"):
        named_videos([archive / "z.mp4"])
