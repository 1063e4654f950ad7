from pathlib import Path

import pytest
import tomli_w

from urbanpipe.errors import TaxonomyError
from urbanpipe.taxonomy import default_taxonomy, load_taxonomy, taxonomy_table

OWN = """
name = "roads"
exclusive = "fine"
[[classes]]
code = "fine"
[[classes]]
code = "Hole"
en = "pothole"
"""


def test_the_default_is_qv_pipe() -> None:
    taxonomy = default_taxonomy()
    assert len(taxonomy) == 17
    assert " ".join(taxonomy.codes) == "ZC CJ CK ZW JG SG PL BX CR FZ FS AJ CQ SL QF TJ TL"
    assert taxonomy.defects == tuple(range(1, 17))
    assert [item.zh for item in taxonomy.classes][16] == "接口材料脱落"
    assert {item.kind for item in taxonomy.classes} == {"normal", "structural", "functional"}


def test_index_by_code_in_any_case_or_by_number() -> None:
    taxonomy = default_taxonomy()
    assert taxonomy.index("sl") == taxonomy.index(" SL ") == taxonomy.index("13") == 13


def test_a_code_that_cannot_be_found_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(OWN.replace('code = "Hole"', 'code = "\u0131"'), encoding="utf-8")
    taxonomy = load_taxonomy(tmp_path / "t.toml")
    assert taxonomy.index("fine") == 0
    assert taxonomy.index("pothole") == 1


@pytest.mark.parametrize(
    ("text", "hint"), [("PLX", "did you mean PL"), ("17", "indices 0-16"), ("", "unknown class ''")]
)
def test_unknown_classes_are_named_with_the_nearest(text: str, hint: str) -> None:
    with pytest.raises(TaxonomyError, match=hint):
        default_taxonomy().index(text)


def test_an_own_taxonomy_reads_and_survives_a_round_trip(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(OWN)
    taxonomy = load_taxonomy(tmp_path / "t.toml")
    assert taxonomy.codes == ("fine", "Hole")
    assert taxonomy.exclusive == "fine"
    assert taxonomy.defects == (1,)
    assert taxonomy.index("HOLE") == 1
    for original in (taxonomy, default_taxonomy()):
        (tmp_path / "again.toml").write_text(tomli_w.dumps(taxonomy_table(original)))
        assert load_taxonomy(tmp_path / "again.toml") == original


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "is not TOML"),
        ("name = 'x'", "no classes"),
        ("classes = [3]", "class 0 has no code"),
        ("[[classes]]\nen = 'x'", "class 0 has no code"),
        ("[[classes]]\ncode = '3'", "a code is one word"),
        ("[[classes]]\ncode = 'a b'", "a code is one word"),
        ("[[classes]]\ncode = 'A'\n[[classes]]\ncode = 'a'", "both have the code"),
        ("[[classes]]\ncode = 'A'\ncolour = 'x'", "unknown keys"),
        ("exclusive = 'B'\n[[classes]]\ncode = 'A'", "is not one of the codes"),
        ("extra = 1\n[[classes]]\ncode = 'A'", "unknown keys"),
    ],
)
def test_bad_taxonomies_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises(TaxonomyError, match=message) as caught:
        load_taxonomy(tmp_path / "t.toml")
    assert "\n" not in str(caught.value)


def test_a_missing_taxonomy(tmp_path: Path) -> None:
    with pytest.raises(TaxonomyError, match="cannot read the taxonomy"):
        load_taxonomy(tmp_path / "none.toml")


def test_the_class_that_excludes_all_others_is_normal_where_nothing_else_is_said(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    path.write_text('exclusive = "ok"\n[[classes]]\ncode = "OK"\n[[classes]]\ncode = "ROOT"\n')
    assert [item.kind for item in load_taxonomy(path).classes] == ["normal", ""]
    path.write_text(path.read_text().replace('code = "OK"', 'code = "OK"\nkind = "functional"'))
    assert load_taxonomy(path).classes[0].kind == "functional"
