import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from urbanpipe.catalog.label_cells import labels_cell, parse_labels_cell
from urbanpipe.catalog.labels import describe_labels, label_matrix, read_label_file, read_labels
from urbanpipe.errors import LabelError
from urbanpipe.taxonomy import DefectClass, Taxonomy, default_taxonomy

Write = Callable[[str, str | bytes], Path]
CODES = default_taxonomy().codes
WANTED = {"d1_1.mp4": (1, 14), "管道 é.mp4": (0,), "c.mp4": ()}


@pytest.fixture
def text_file(tmp_path: Path) -> Write:
    def write(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def one_hot_csv(mark: str = ",") -> str:
    rows = [mark.join(("video", *CODES))]
    rows += [mark.join((name, *(str(int(c in found)) for c in range(17)))) for name, found in WANTED.items()]
    return "\n".join(rows)


CCTV: dict[str, dict[str, dict[str, object]]] = {
    "database": {
        "v1": {
            "subset": "training",
            "duration": 9.0,
            "fps": 25,
            "file_name": "d1_1.mp4",
            "annotations": [
                {"label": "QF", "moment": 1.5},
                {"label": "CJ", "moment": 4},
                {"label": "QF", "moment": 5.5},
            ],
        },
        "v2": {"subset": "training", "file_name": "管道 é.mp4", "annotations": [{"label": "ZC", "moment": 0}]},
        "c.mp4": {"subset": "training", "annotations": []},
        "unknown.mp4": {"subset": "testing"},
    }
}

FORMS = {
    "qv.json": json.dumps({"d1_1.mp4": [14, 1], "管道 é.mp4": [0], "c.mp4": []}),
    "codes.json": json.dumps({"d1_1.mp4": ["QF", "cj"], "管道 é.mp4": ["0"], "c.mp4": []}),
    "cctv.json": json.dumps(CCTV),
    "codes.csv": "video,labels\nd1_1.mp4,QF CJ\n管道 é.mp4,ZC\nc.mp4,-\n",
    "indices.csv": "labels,video,remark\n1 14,d1_1.mp4,x\n0,管道 é.mp4,\n-,c.mp4,y\n\n",
    "excel.csv": 'video;labels\r\n"d1_1.mp4";"CJ, QF"\r\n管道 é.mp4;ZC\r\nc.mp4;"-"\r\n',
    "tabs.txt": "video\tlabels\nd1_1.mp4\tCJ QF\n管道 é.mp4\tZC\nc.mp4\t \u2013 \n",
    "columns.csv": one_hot_csv(),
    "columns;.csv": one_hot_csv(";"),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
def test_every_form_gives_the_same_labels(text_file: Write, name: str, mark: bytes) -> None:
    assert read_labels(text_file(name, mark + FORMS[name].encode())) == WANTED


def test_names_come_in_normal_form_c(text_file: Write) -> None:
    assert read_labels(text_file("l.csv", "video,labels\ncafe\u0301.mp4,CJ\n")) == {"caf\u00e9.mp4": (1,)}


def test_a_taxonomy_of_ones_own(text_file: Write) -> None:
    two = Taxonomy("two", (DefectClass(0, "dry", "dry"), DefectClass(1, "wet", "wet")))
    assert read_labels(text_file("l.csv", "video,dry,wet\na.mp4,0,1\n"), two) == {"a.mp4": (1,)}
    with pytest.raises(LabelError, match="two has 0-1"):
        read_labels(text_file("l.json", '{"a.mp4": [2]}'), two)


TWO = Taxonomy("two", (DefectClass(0, "dry", "dry"), DefectClass(1, "wet", "wet")))


@pytest.mark.parametrize("flags", [[[0, 1], [1, 0]], [[0, 1]], [[1, 1], [0, 0]], [[True, False]], [["0", "1"]]])
def test_two_flags_for_two_classes_are_refused(text_file: Write, flags: list[list[object]]) -> None:
    content = {f"{number}.mp4": values for number, values in enumerate(flags)}
    with pytest.raises(LabelError, match="looks one-hot"):
        read_labels(text_file("l.json", json.dumps(content)), TWO)


def test_lists_of_other_lengths_show_that_two_numbers_are_indices(text_file: Write) -> None:
    path = text_file("l.json", '{"a.mp4": [0, 1], "b.mp4": [], "c.mp4": [1]}')
    assert read_labels(path, TWO) == {"a.mp4": (0, 1), "b.mp4": (), "c.mp4": (1,)}


@pytest.mark.parametrize("flags", ['{"a.mp4": [1], "b.mp4": [0]}', '{"a.mp4": [0]}'])
def test_one_flag_for_one_class_is_refused(text_file: Write, flags: str) -> None:
    with pytest.raises(LabelError, match="looks one-hot"):
        read_labels(text_file("l.json", flags), Taxonomy("one", (DefectClass(0, "wet", "wet"),)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("codes.csv", "video,labels\na.mp4,\nb.mp4,ZC\nc.mp4,-\n"),
        ("blanks.csv", "video,labels\na.mp4, \u00a0\u200b\nb.mp4,ZC\nc.mp4,\u2014\n"),
        ("cctv.json", json.dumps({"database": {"a.mp4": {}, "b.mp4": CCTV["database"]["v2"] | {"file_name": "b.mp4"},
                                               "c.mp4": {"annotations": []}}})),
        ("columns.csv", f"video,{','.join(CODES)}\na.mp4{','*17}\nb.mp4,1{',0'*16}\nc.mp4{',0'*17}\n"),
    ],
)  # fmt: skip
def test_an_empty_cell_is_not_labelled_and_a_dash_is_none(text_file: Write, name: str, text: str) -> None:
    found = read_label_file(text_file(name, text))
    assert (found.labels, found.unlabelled) == ({"b.mp4": (0,), "c.mp4": ()}, ("a.mp4",))
    assert describe_labels(found.labels.values(), len(found.unlabelled)) == (
        "labels: 1 videos with classes, 1 with none of the classes (`-`), 1 not labelled (empty) and left out"
    )


BLANK = st.text(" \t\u00a0\u3000\u200b\ufeff", max_size=4)
SEPARATOR = st.text(" ,;\t", min_size=1, max_size=3)


@given(BLANK, st.lists(st.integers(0, 16), unique=True), SEPARATOR, BLANK, st.sampled_from("-\u2013\u2014\u2212\uff0d"))
def test_cells(before: str, classes: list[int], separator: str, after: str, dash: str) -> None:
    taxonomy = default_taxonomy()
    cell = before + separator.join(taxonomy.codes[index] for index in classes) + after
    found = parse_labels_cell(cell, taxonomy, "here")
    assert found == (tuple(sorted(classes)) if classes else None)
    assert parse_labels_cell(before + dash + after, taxonomy, "here") == ()
    for indices in (tuple(sorted(classes)), ()):
        assert parse_labels_cell(labels_cell(indices, taxonomy), taxonomy, "here") == indices


def test_a_cell_of_many_classes_is_refused_at_once() -> None:
    with pytest.raises(LabelError, match="class CJ occurs twice"):
        parse_labels_cell("CJ " * 1_000_000, default_taxonomy(), "here")


BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "no column 'video'"),
    "no videos": ("{}", "no labelled videos"),
    "only a header": ("video,labels\n", "no labelled videos"),
    "broken JSON": ('{"a.mp4": [1}', "not JSON"),
    "deep JSON": ('{"a":' + "[" * 200_000, "not JSON"),
    "a list": ("[1, 2]", "JSON list"),
    "one-hot": (json.dumps({"a.mp4": [0, 1] + [0] * 15}), "'a.mp4'.*looks one-hot"),
    "one-hot of booleans": (json.dumps({"a.mp4": [False, True] + [False] * 15}), "looks one-hot"),
    "one-hot of floats": (json.dumps({"a.mp4": [0.0, 1.0] + [0.0] * 15}), "looks one-hot"),
    "one-hot of text": (json.dumps({"a.mp4": ["0", "1"] + ["0"] * 15}), "looks one-hot"),
    "one-hot of the defects alone": (json.dumps({"b.mp4": [2], "a.mp4": [1] + [0] * 15}), "'a.mp4'.*looks one-hot"),
    "only separators": ("video,labels\na.mp4,; ;\n", "line 2, video 'a.mp4': '; ;' names no class"),
    "only empty cells": ("video,labels\na.mp4,\nb.mp4,\n", "labels none of its 2 videos"),
    "some empty columns": (one_hot_csv().replace(",1", ","), "''; write 0 or 1"),
    "an index for a list": ('{"a.mp4": 3}', "'a.mp4'.*not a list"),
    "scores": ('{"a.mp4": [0.5, 0.1]}', "scores, not labels"),
    "not a number": ('{"a.mp4": [NaN]}', "scores, not labels"),
    "a boolean": ('{"a.mp4": [true]}', "True is not a class"),
    "null": ('{"a.mp4": [null]}', "None is not a class"),
    "too high": ('{"a.mp4": [1, 17]}', "'a.mp4': class 17 does not exist.*0-16"),
    "negative": ('{"a.mp4": [-1]}', "class -1 does not exist"),
    "a class twice": ('{"a.mp4": [3, 3]}', "'a.mp4': class ZW occurs twice"),
    "a video twice": ('{"a.mp4": [1], "a.mp4": [2]}', "'a.mp4' occurs twice"),
    "a video twice, spelt twice": ('{"\\u00e9.mp4": [1], "e\\u0301.mp4": [1]}', "occurs twice"),
    "no name": ('{"": [1]}', "name of the video is empty"),
    "entry of another shape": ('{"database": {"v": [1]}}', "'v'.*is not"),
    "annotation of another shape": ('{"database": {"v": {"annotations": [1]}}}', "annotation 1 is not"),
    "annotation of an unknown class": ('{"database": {"v": {"annotations": [{"label": "CX"}]}}}', "unknown class 'CX'"),
    "no video column": ("file,labels\na.mp4,1\n", "no column 'video'.*file,labels"),
    "an unknown code": (
        "video,labels\na.mp4,CJ\nb.mp4,TLL\n",
        "line 3, video 'b.mp4': unknown class 'TLL'.*did you mean TL",
    ),
    "a CSV video twice": ("video,labels\na.mp4,CJ\na.mp4,CK\n", "line 3: video 'a.mp4' occurs twice"),
    "a long row": ("video,labels\na.mp4,CJ,CK\n", "line 2: 3 cells.*has 2"),
    "an open quote": ('video,labels\n"a.mp4,CJ\n', "not CSV"),
    "a column twice": ("video,labels,labels\na.mp4,1,1\n", "'labels' twice"),
    "an unknown column": ("video,CJ,site\na.mp4,1,x\n", "column 'site' is neither"),
    "missing columns": ("video,CJ\na.mp4,1\n", "no 0/1 column for ZC CK"),
    "a class in two columns": ("video,CJ,1\na.mp4,1,1\n", "'CJ' and '1' are the same class"),
    "no 0 or 1": (one_hot_csv().replace(",1", ",yes"), "'yes'; write 0 or 1"),
    "another encoding": ("video,labels\n管.mp4,CJ\n".encode("gbk"), "not UTF-8"),
    "a workbook": (b"PK\x03\x04\xff\xfe", "not UTF-8"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_named(text_file: Write, case: str) -> None:
    text, message = BAD[case]
    path = text_file("bad-labels", text)
    with pytest.raises(LabelError, match=message) as caught:
        read_labels(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="No such file"):
        read_labels(tmp_path / "none.json")
    with pytest.raises(LabelError, match="directory"):
        read_labels(tmp_path)


def test_label_matrix() -> None:
    matrix = label_matrix(["c.mp4", "d1_1.mp4"], WANTED, 17)
    assert matrix.dtype == np.bool_
    assert [np.flatnonzero(row).tolist() for row in matrix] == [[], [1, 14]]
    with pytest.raises(LabelError, match=r"no labels for video 'd1_2\.mp4'; did you mean 'd1_1\.mp4'"):
        label_matrix(["d1_2.mp4"], WANTED, 17)
    with pytest.raises(LabelError, match="class 14"):
        label_matrix(["d1_1.mp4"], WANTED, 14)


def test_the_real_labels(shared: Path) -> None:
    labels = read_labels(shared / "data" / "qv_pipe_train_labels.json")
    counts = label_matrix(list(labels), labels, 17).sum(axis=0)
    assert len(labels) == 6399
    assert (counts[0], counts[16]) == (1690, 133)
