"""Names of inspected videos in lists and tables."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from urbanpipe.contracts.distinct_names import distinct_names, equal_contents
from urbanpipe.contracts.findings import VideoFacts


def video(path: str, digest: str = "") -> VideoFacts:
    return VideoFacts(
        name=path.rpartition("/")[2],
        path=path,
        relative="",
        digest=digest or path,
        duration_seconds=1,
        frame_count=1,
        width=1,
        height=1,
        frame_rate=1,
    )


PARTS = st.lists(st.sampled_from(["a", "b", "管", "e\u0301", "\u00e9"]), min_size=1, max_size=4)


@given(paths=st.lists(PARTS.map(lambda parts: "/" + "/".join(parts) + ".mp4"), max_size=8))
def test_names_are_distinct_and_end_with_the_file_name(paths: list[str]) -> None:
    folders = [Path(f"out/{number}") for number in range(len(paths))]
    names = distinct_names([video(path) for path in paths], folders)
    assert len(set(names)) == len(names)
    for name, path, folder in zip(names, paths, folders, strict=True):
        file_name = video(path).name
        assert name.endswith((file_name, file_name.replace("e\u0301", "\u00e9"), f"[{folder.name}]"))


def test_only_equal_names_get_folders() -> None:
    paths = ["/v/2024/a/x.mp4", "/v/2025/a/x.mp4", "/v/y.mp4"]
    assert distinct_names([video(path) for path in paths], [Path(path) for path in paths]) == [
        "2024/a/x.mp4",
        "2025/a/x.mp4",
        "y.mp4",
    ]


def test_equal_contents_are_grouped() -> None:
    assert equal_contents(["1", "2", "1", "3"]) == [[0, 2]]
