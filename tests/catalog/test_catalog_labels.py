import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from urbanpipe.catalog.folds import read_folds
from urbanpipe.catalog.label_cells import labels_cell, parse_labels_cell
from urbanpipe.catalog.labels import describe_labels, label_matrix, read_label_file, read_labels
from urbanpipe.errors import LabelError, TaxonomyError
from urbanpipe.taxonomy import DefectClass, Taxonomy, default_taxonomy
from urbanpipe.text_files import decoded

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


@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_simplified_chinese_text_is_read(text_file: Write, encoding: str) -> None:
    text = "video,labels\n管道_1.mp4,错口\n中山路.mp4,起伏；渗漏\n"
    assert read_labels(text_file("l.csv", text.encode(encoding))) == {"管道_1.mp4": (2,), "中山路.mp4": (13, 14)}


@pytest.mark.parametrize("encoding", ["big5", "gb18030", "utf-16"])
def test_traditional_chinese_text_is_read(text_file: Write, encoding: str) -> None:
    text = "video,labels\n管道檢測_1.mp4,CJ\n"
    assert read_labels(text_file("l.csv", text.encode(encoding))) == {"管道檢測_1.mp4": (1,)}


@given(st.text("管道检测视频错口破裂中山一二三街", min_size=3, max_size=30), st.sampled_from(["gbk", "gb18030"]))
def test_chinese_text_is_read_rightly_or_not_at_all(name: str, encoding: str) -> None:
    assert decoded(f"video,labels\n{name},CJ".encode(encoding)) in (None, f"video,labels\n{name},CJ")


@pytest.mark.parametrize("name", ["Привет", "СУ", "Straße", "Hôtel", "Łódź", "Ελληνικά", "45°", "a·b", "שלום", "éé"])
def test_utf8_of_other_languages_is_not_taken_for_chinese(name: str) -> None:
    assert decoded(name.encode()) == name


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("视频,标签", "管_1.mp4,CJ"),
        ("\ufeff 文件名 ;时间;类别", "管_1.mp4;00:12;沉积"),
        ("视频编号,文件名,缺陷类别,缺陷代码", "7,管_1.mp4,功能性,CJ"),
        ("影片\t標籤", "管_1.mp4\tCJ"),
        ("视频,labels,类别", "管_1.mp4,CJ,x"),
        ("文件名,video,标签", "x,管_1.mp4,CJ"),
        ("视频," + ",".join(item.zh for item in default_taxonomy().classes), "管_1.mp4,0,1" + ",0" * 15),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_chinese_headings_mean_the_same(text_file: Write, header: str, row: str, encoding: str) -> None:
    assert read_labels(text_file("l.csv", f"{header}\n{row}\n".encode(encoding))) == {"管_1.mp4": (1,)}


def test_chinese_headings_of_workbooks_and_folds(tmp_path: Path, text_file: Write) -> None:
    rows: list[object] = [["视频名称", "日期", "标签"], ["a.mp4", "2024-05-01", "CJ"]]
    assert read_labels(workbook(tmp_path / "l.xlsx", rows)) == {"a.mp4": (1,)}
    assert read_folds(text_file("f.csv", "视频,折号\na.mp4,0\nb.mp4,1\n".encode())) == {"a.mp4": 0, "b.mp4": 1}


def test_a_chinese_heading_that_occurs_twice_is_refused(text_file: Write) -> None:
    with pytest.raises(LabelError, match="has the column 'video' twice"):
        read_labels(text_file("l.csv", "视频,视频,标签\na.mp4,a.mp4,CJ\n".encode()))


def workbook(path: Path, rows: Sequence[object], first: str = "Sheet") -> Path:
    book = Workbook()
    assert book.active is not None
    book.active.title = first
    for row in rows:
        assert isinstance(row, list)
        book.active.append(row)
    book.save(path)
    return path


def test_workbooks_are_read_whatever_their_name(tmp_path: Path) -> None:
    rows = [["Video", "remark", "Labels"], ["d1_1.mp4", None, "QF CJ"], ["管道 é.mp4", 5, 0], [], ["c.mp4", "x", "-"],
            [7, None, 1.0], ["e.mp4", None, None]]  # fmt: skip
    for name in ("l.xlsx", "l.csv"):
        found = read_label_file(workbook(tmp_path / name, rows))
        assert found.labels == WANTED | {"7": (1,)}
        assert found.unlabelled == ("e.mp4",)
    columns = [["video", *CODES], ["a.mp4", True, *[0] * 16], ["b.mp4", *[0] * 17]]
    assert read_labels(workbook(tmp_path / "one.xlsx", columns)) == {"a.mp4": (0,), "b.mp4": ()}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["file", "labels"], ["a.mp4", "CJ"]], "no sheet with the column 'video'"),
        ([["video", "labels"], ["a.mp4", "=A1"]], "line 2 of sheet 'Sheet' holds the formula =A1"),
        ([["video", "labels"], ["a.mp4", "CJ", "x"]], "line 2 of sheet 'Sheet': a cell has no heading"),
        ([["video", "labels"], ["a.mp4", "CX9"]], "line 2, video 'a.mp4': unknown class 'CX9'"),
        ([["video", "video"], ["a.mp4", "CJ"]], "the column 'video' twice"),
        ([], "no sheet"),
    ],
)
def test_mistakes_in_workbooks_are_named(tmp_path: Path, rows: list[list[object]], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        read_labels(workbook(tmp_path / "l.xlsx", rows))


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 7), st.booleans())
def test_damaged_workbooks_are_one_line(place: float, bit: int, cut: bool) -> None:
    with TemporaryDirectory() as folder:
        path = workbook(Path(folder) / "l.xlsx", [["video", "labels"], ["a.mp4", "CJ"]])
        content = bytearray(path.read_bytes())
        at = 4 + int(place * (len(content) - 4))
        content[at] ^= 1 << bit
        path.write_bytes(content[: at + 1] if cut else content)
        said = ""
        try:
            read_labels(path)
        except LabelError as error:
            said = str(error)
        assert "\n" not in said


def test_a_workbook_bomb_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "l.xlsx", [["video", "labels"], ["a.mp4", "CJ"]])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet2.xml", b" " * (129 << 20))
    with pytest.raises(LabelError, match="129 MB of content, more than 128"):
        read_labels(path)


NAMES_OF_CLASSES = {
    "normal": (0,), "displaced joint": (2,), "Displaced  JOINT": (2,), "错口": (2,), "crack, break": (6,),
    "crack": (6,),
    "tree roots; displaced joint": (2, 5), "CJ/PL": (1, 6), "CJ+PL": (1, 6), "CJ、PL": (1, 6), "cj，pl": (1, 6),
    "残墙、坝根 CJ": (1, 12), "ＣＪ": (1,), "1.0 14": (1, 14), "树根/CK 14": (2, 5, 14),
}  # fmt: skip


@pytest.mark.parametrize("cell", NAMES_OF_CLASSES)
def test_names_of_classes_are_read(text_file: Write, cell: str) -> None:
    assert read_labels(text_file("l.csv", f'video,labels\na.mp4,"{cell}"\n')) == {"a.mp4": NAMES_OF_CLASSES[cell]}


@given(st.lists(st.integers(0, 16), unique=True, min_size=1), st.data())
def test_any_names_of_classes_in_a_cell(classes: list[int], data: st.DataObject) -> None:
    taxonomy = default_taxonomy()
    items = [taxonomy.classes[index] for index in classes]
    names = [data.draw(st.sampled_from([item.code, item.en, item.zh, str(item.index)])) for item in items]
    cell = data.draw(st.sampled_from([", ", ";", "；", "/", " ", "\n"])).join(names).swapcase()
    assert parse_labels_cell(cell, taxonomy, "here") == tuple(sorted(classes))


def test_a_name_of_two_classes_is_refused() -> None:
    both = Taxonomy("both", (DefectClass(0, "A1", "root"), DefectClass(1, "A2", "root"), DefectClass(2, "B", "x")))
    with pytest.raises(LabelError, match="'root' is the name of A1 and A2 in both; write the code"):
        parse_labels_cell("root", both, "here")


@pytest.mark.parametrize("header", ["video,label", "video,class,seconds", "Video,labels"])
def test_a_row_per_observation(text_file: Write, header: str) -> None:
    rest = ",1.5" if "seconds" in header else ""
    rows = [f"a.mp4,CJ{rest}", f"b.mp4,-{rest}", f"a.mp4,displaced joint{rest}", f"a.mp4,CJ{rest}", f"c.mp4,{rest}"]
    found = read_label_file(text_file("l.csv", "\n".join([header, *rows])))
    assert (found.labels, found.unlabelled) == ({"a.mp4": (1, 2), "b.mp4": ()}, ("c.mp4",))


@pytest.mark.parametrize(
    ("word", "hint"), [("PLX", "did you mean PL"), ("CX", "did you mean C"), ("displaced join", "CK")]
)
def test_near_classes_are_proposed(word: str, hint: str) -> None:
    with pytest.raises(TaxonomyError, match=hint):
        default_taxonomy().index(word)


@pytest.mark.parametrize("word", ["CJPL", "CJ-PL", "ROOT", "collapse", "9" * 5000, "x" * 100_000])
def test_nothing_is_proposed_for_what_is_not_near(word: str) -> None:
    with pytest.raises(TaxonomyError) as caught:
        default_taxonomy().index(word)
    assert "did you mean" not in str(caught.value)
    assert len(str(caught.value)) < 300


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
    with pytest.raises(LabelError, match="here: a cell of 2999999 characters is no list of classes"):
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
    "a CSV video twice": ("video,labels\na.mp4,CJ\na.mp4,CK QF\n", "line 3: video 'a.mp4' occurs twice"),
    "a CSV video of several classes again": ("video,labels\na.mp4,CJ QF\na.mp4,CK\n", "line 3: video 'a.mp4' occurs"),
    "a CSV video with and without a class": ("video,labels\na.mp4,CJ\na.mp4,-\n", "line 3: video 'a.mp4' occurs twice"),
    "a CSV video with an empty row": ("video,labels\na.mp4,\na.mp4,CJ\n", "line 3: video 'a.mp4' occurs twice"),
    "part of a slash list": ("video,labels\na.mp4,CJ/PLL\n", "unknown class 'PLL'"),
    "too large": (b"video,labels\n" + b"a" * (33 << 20), "more than 32 MB"),
    "many lists": ('{"a": [' + "[]," * 2_100_000 + "[]]}", "more than 2,000,000 lists"),
    "a long row": ("video,labels\na.mp4,CJ,CK\n", "line 2: 3 cells.*has 2"),
    "an open quote": ('video,labels\n"a.mp4,CJ\n', "not CSV"),
    "a column twice": ("video,labels,labels\na.mp4,1,1\n", "'labels' twice"),
    "an unknown column": ("video,CJ,site\na.mp4,1,x\n", "column 'site' is neither"),
    "missing columns": ("video,CJ\na.mp4,1\n", "no 0/1 column for ZC CK"),
    "a class in two columns": ("video,CJ,1\na.mp4,1,1\n", "'CJ' and '1' are the same class"),
    "no 0 or 1": (one_hot_csv().replace(",1", ",yes"), "'yes'; write 0 or 1"),
    "another encoding": ("video,labels\nStraße.mp4,CJ\n".encode("cp1252"), "CSV UTF-8 .Comma delimited"),
    "half of UTF-16": ("video,labels\na.mp4,CJ\n".encode("utf-16")[:-1], "encoding is unknown"),
    "bytes": (bytes(range(256)), "encoding is unknown"),
    "a damaged workbook": (b"PK\x03\x04\xff\xfe", "not an Excel workbook"),
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
