from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urbanpipe.contracts.name_matching import folded, folded_twins, match_names


@pytest.mark.parametrize(
    ("written", "video"),
    [
        ("a.mp4 ", "a.mp4"),
        ("\u00a0a.mp4\u200b", "a.mp4"),
        ("B.MP4", "b.mp4"),
        ("b.mp4", "B.MP4"),
        ("V/a.mp4", "a.mp4"),
        ("./a.mp4", "a.mp4"),
        (r"D:\x\a.mp4", "a.mp4"),
        (r"D:\x\north\a.mp4", "north/a.mp4"),
        (r"\\server\share\videos\a.mp4", "a.mp4"),
        ("a.mp4", "deep/er/a.mp4"),
        ("a", "a.mp4"),
        ("A", "north/a.avi"),
        ("a.mp4", "a"),
        ("v1.2", "v1.2.mp4"),
        ("caf\u00e9.mp4", "cafe\u0301.mp4"),
        ("ａ１．ＭＰ４", "a1.mp4"),
        ("two  words.mp4", "two words.mp4"),
        ("STRASSE.mp4", "straße.mp4"),
        ("12-Mar.mp4", "3-12.mp4"),
        ("12-Mar", "3-12.mp4"),
        ("3-Dec", "3-12.mp4"),
        ("3月12日", "3-12.mp4"),
        ("3/12/2024", "2024-3-12.mp4"),
        ("2024/3/12", "2024-3-12.mp4"),
        ("12/03/2024", "2024-03-12.mp4"),
        ("2026-03-12", "3-12.mp4"),
        ("12-Mar-24", "2024.3.12.mp4"),
        ("7", "0007.mp4"),
        ("1.00E+05", "1e5.mp4"),
    ],
)
def test_names_of_one_video_match(written: str, video: str) -> None:
    found = match_names([written], [video, "zz.mp4", "yy/xx.mp4"])
    assert found.matched == {written: video}
    assert found.near == {}
    assert found.differing == {written: video}


@pytest.mark.parametrize(
    ("written", "videos", "near"),
    [
        (["a.mp4"], ["north/a.mp4", "south/a.mp4"], {"a.mp4": ("north/a.mp4", "south/a.mp4")}),
        (["west/a.mp4"], ["north/a.mp4"], {"west/a.mp4": ("north/a.mp4",)}),
        (["A.mp4", " a.mp4"], ["a.mp4"], {"A.mp4": ("a.mp4",), " a.mp4": ("a.mp4",)}),
        (["12-Mar"], ["3-12.mp4", "12-3.mp4"], {"12-Mar": ("12-3.mp4", "3-12.mp4")}),
        (["a"], ["a.mp4", "a.avi"], {"a": ("a.avi", "a.mp4")}),
        (["a.avi"], ["a.mp4"], {"a.avi": ()}),
        (["clip_12.mp4"], ["clip_13.mp4"], {"clip_12.mp4": ("clip_13.mp4",)}),
        (["3-12"], ["12-3.mp4"], {"3-12": ()}),
        (["9-Mar"], ["march.mp4"], {"9-Mar": ()}),
        (["7.mp4"], ["0007.mp4"], {"7.mp4": ()}),
    ],
)
def test_what_is_not_one_to_one_is_near(
    written: list[str], videos: list[str], near: dict[str, tuple[str, ...]]
) -> None:
    found = match_names(written, videos)
    assert found.matched == {}
    for name in written:
        assert found.near[name] == near[name] or not near[name], "a hint by letters alone is allowed"


def test_an_exact_name_is_not_taken_by_another() -> None:
    found = match_names(["A.mp4", "a.mp4", "a"], ["a.mp4"])
    assert found.matched == {"a.mp4": "a.mp4"}
    assert found.near == {"A.mp4": ("a.mp4",), "a": ("a.mp4",)}
    both = match_names(["A.mp4", "a.mp4"], ["a.mp4", "A.mp4"])
    assert both.matched == {"A.mp4": "A.mp4", "a.mp4": "a.mp4"}


LETTERS = st.characters(blacklist_categories=["Cs", "Cc"])
NAMES = st.text(LETTERS, min_size=1, max_size=12)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@given(st.lists(PATHS, max_size=8), st.lists(PATHS, max_size=8))
def test_no_video_is_matched_twice(written: list[str], videos: list[str]) -> None:
    found = match_names(written, videos)
    assert set(found.matched) | set(found.near) == set(written)
    assert not set(found.matched) & set(found.near)
    assert len(set(found.matched.values())) == len(found.matched)
    assert set(found.matched.values()) <= set(videos)
    assert all(found.matched[name] == name for name in set(written) & set(videos))


ACCIDENTS = [
    lambda name: f"  {name}\u200b ",
    lambda name: normalize("NFD", name),
    lambda name: "D:\\some where\\" + name.replace("/", "\\"),
    lambda name: f"\\\\server\\x\\{name}",
    lambda name: name.removesuffix(".mp4"),
    str.upper,
    str.swapcase,
]


def keeps_its_case(name: str) -> bool:
    """Whether other cases of a name fold to the same; that of a dotless i does not."""
    return len({folded(f"x{text}x") for text in (name, name.upper(), name.swapcase())}) == 1


@given(st.lists(NAMES.filter(keeps_its_case), min_size=1, max_size=8), st.data())
def test_accidents_are_undone_where_names_stay_distinct(stems: list[str], data: st.DataObject) -> None:
    videos = [f"{number}x{stem.replace('/', '').replace(chr(92), '')}.mp4" for number, stem in enumerate(stems)]
    written = {data.draw(st.sampled_from(ACCIDENTS))(video): video for video in videos}
    assert match_names(written, videos).matched == written


def test_twins() -> None:
    assert folded_twins(["a.mp4", "b.mp4", "A.mp4 "]) == ("a.mp4", "A.mp4 ")
    assert folded_twins(["a.mp4", "x/a.mp4", "a.avi"]) is None


@pytest.mark.slow
def test_many_unmatched_names_take_no_time() -> None:
    found = match_names([f"x{number}.mp4" for number in range(5_000)], [f"y{number}.mp4" for number in range(5_000)])
    assert found.matched == {}
    assert len(found.near) == 5_000
