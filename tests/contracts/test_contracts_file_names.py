import re
from pathlib import PurePosixPath, PureWindowsPath
from unicodedata import normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from urbanpipe.archive_store.inspected_videos import key_of
from urbanpipe.contracts.file_names import MAX_BYTES, file_name, folder_name
from urbanpipe.errors import RecipeError
from urbanpipe.methods.recipe import load_recipe

DEVICES = ["con", "PRN.mp4", "aux.tar.gz", "nul", "com1.mp4", "LPT9", "com¹.mp4", "con .mp4", "CONIN$"]
ENDING_BYTES = len("-12345678-12345678.started")

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
TRICKY = st.text(st.sampled_from('aAıIßſéÉ. ~:*?"<>|/\\\x00\t_-1管'), min_size=1, max_size=6)
NAMES = TEXTS | TRICKY | st.sampled_from([*DEVICES, *map(str.upper, DEVICES), ".", "..", "x" * 300, "管" * 150])


def assert_portable(name: str) -> None:
    assert not set('<>:"/\\|?*') & set(name)
    assert min(name) >= " "
    assert name[-1] not in ". "
    assert name[0] != "."
    assert not re.match(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\.|$)", name, re.IGNORECASE)
    assert len(name.encode()) + ENDING_BYTES <= 255
    assert len(name.encode("utf-16-le")) // 2 + ENDING_BYTES <= 255
    assert PureWindowsPath(name).parts == PurePosixPath(name).parts == (name,)


@given(NAMES)
@example("con.")
@example("a:b")
def test_every_system_allows_the_names(text: str) -> None:
    assert_portable(file_name(text))
    assert_portable(folder_name(text))
    assert_portable(key_of(f"s3://bucket/{text}.mp4", "00c0ffee00c0ffee"))


@given(NAMES, NAMES)
@example("A.mp4", "a.mp4")
@example("\u00e9", "e\u0301")
@example("가", "\u1100\u1161")
@example("con", "_con")
@example("a.", "a_")
@example("ı.mp4", "i.mp4")
def test_different_videos_have_different_folders_where_case_and_accents_do_not_count(one: str, other: str) -> None:
    if one != other:
        folders = [normalize("NFC", normalize("NFC", folder_name(name)).casefold()) for name in (one, other)]
        assert folders[0] != folders[1]
        assert file_name(one) != file_name(other)


@pytest.mark.parametrize(
    "name", ["Main St. 7.mp4", "Q_1.CJ.png", "管道 1.mp4", "a" * MAX_BYTES, "console.mp4", "com10"]
)
def test_names_that_every_system_allows_stay(name: str) -> None:
    assert file_name(name) == name


@pytest.mark.parametrize("name", ["con", "nul.1", "run."])
def test_a_recipe_is_called_what_every_system_allows(name: str) -> None:
    with pytest.raises(RecipeError, match="no folder on Windows can be called") as error:
        load_recipe("small-mobilenetv2", [f"name={name}"])
    assert "\n" not in str(error.value)
