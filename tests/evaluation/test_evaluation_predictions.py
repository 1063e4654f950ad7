import json
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from urbanpipe.contracts.predictions import Predictions, read_predictions, write_predictions
from urbanpipe.errors import OutputError, PredictionError
from urbanpipe.taxonomy import DefectClass, Taxonomy

SMALL = Taxonomy(
    "small", tuple(DefectClass(i, code, code) for i, code in enumerate(("OK", "AB", "CD"))), exclusive="OK"
)

names = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=12)
tables = st.dictionaries(
    names.map(lambda name: normalize("NFC", name)).filter(str.strip),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@given(tables)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_forms_give_back_every_digit(tmp_path: Path, table: dict[str, list[float]]) -> None:
    written = Predictions(tuple(table), np.array(list(table.values())))
    write_predictions(written, tmp_path / "p.json", SMALL)
    for file in ("p.json", "p.csv"):
        found = read_predictions(tmp_path / file, SMALL)
        assert found.names == written.names
        assert (found.scores == written.scores).all()


def test_json_is_the_submission_of_the_challenge(tmp_path: Path) -> None:
    write_predictions(
        Predictions(("a.mp4", "管 1.mp4"), np.array([[0.5, 1, 0], [0.25, 0, 0.125]])), tmp_path / "p.csv", SMALL
    )
    text = (tmp_path / "p.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"a.mp4": [0.5, 1.0, 0.0], "管 1.mp4": [0.25, 0.0, 0.125]}
    assert len(text.splitlines()) == 4, "one line a video"
    assert (tmp_path / "p.csv").read_text(encoding="utf-8").splitlines()[0] == "video,OK,AB,CD"


def test_csv_columns_in_any_order_and_as_spreadsheets_write_them(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes("\ufeffCD;video;ok;1\r\n0.3;a.mp4;0.1;0.2\r\n\r\n1e-3;b.mp4;0;1\r\n".encode())
    found = read_predictions(path, SMALL)
    assert found.names == ("a.mp4", "b.mp4")
    assert found.scores.tolist() == [[0.1, 0.2, 0.3], [0.0, 1.0, 0.001]]


def test_names_match_whatever_the_form_of_their_accents(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps({normalize("NFD", "é.mp4"): [0, 0, 0]}), encoding="utf-8")
    assert read_predictions(path, SMALL).names == (normalize("NFC", "é.mp4"),)


BAD_JSON = {
    "not JSON": ('{"a": [0.1, 0.2', "is not JSON"),
    "a list": ("[[0.1, 0.2, 0.3]]", "expected one object"),
    "a number": ("3", "expected one object"),
    "empty": ("{}", "holds no predictions"),
    "no text": ("", "is not JSON"),
    "short": ('{"a": [0.1, 0.2, 0.3], "b": [0.1, 0.2]}', "b has 2 values; expected 3 numbers"),
    "long": ('{"a": [0.1, 0.2, 0.3, 0.4]}', "a has 4 values; expected 3 numbers"),
    "no list": ('{"a": 0.5}', "a has 0.5; expected 3 numbers"),
    "an object": ('{"a": {"OK": 1, "AB": 0, "CD": 0}}', "a has .*expected a number"),
    "NaN": ('{"a": [0.1, NaN, 0.3]}', r"a has nan for AB; expected a number in \[0, 1\]"),
    "infinite": ('{"a": [0.1, 0.2, Infinity]}', "a has inf for CD"),
    "above": ('{"a": [0.1, 0.2, 0.3], "b": [1.5, 0.2, 0.3], "c": [2, 0, 0]}', r"b has 1.5 for OK.*\(and 1 more video"),
    "below": ('{"a": [-0.1, 0.2, 0.3]}', "a has -0.1 for OK"),
    "text": ('{"a": [0.1, "0.2", 0.3]}', 'a has "0.2" for AB; expected a number'),
    "true": ('{"a": [0.1, true, 0.3]}', "a has true for AB; expected a number"),
    "null": ('{"a": [0.1, 0.2, null]}', "a has null for CD; expected a number"),
    "nested": ('{"a": [0.1, 0.2, [0.3]]}', "for CD; expected a number"),
    "huge": ('{"a": [0.1, 0.2, 1' + "0" * 400 + "]}", "digits"),
    "twice": ('{"a": [0, 0, 0], "b": [0, 0, 0], "a": [1, 1, 1]}', "duplicate entries for 1 video: a"),
    "deep": ("[" * 100_000, "is not JSON"),
}  # fmt: skip
BAD_CSV = {
    "no header": ("", "no column 'video'"),
    "no rows": ("video,OK,AB,CD\n", "holds no predictions"),
    "no video": ("name,OK,AB,CD\na,0,0,0\n", "no column 'video'"),
    "unknown column": ("video,OK,AB,CE\na,0,0,0\n", "'CE'.*did you mean CD"),
    "missing columns": ("video,OK\na,0\n", "lacks a column for AB CD"),
    "repeated column": ("video,OK,AB,AB\na,0,0,0\n", "'AB' twice"),
    "one class twice": ("video,OK,AB,1,CD\na,0,0,0,0\n", "'AB' and '1' are the same class"),
    "short": ("video,OK,AB,CD\na,0,0,0\nb,0,0\n", "line 3: 3 cells"),
    "long": ("video,OK,AB,CD\na,0,0,0,0\n", "line 2: 5 cells"),
    "empty cell": ("video,OK,AB,CD\na,0,,0\n", "line 2: AB is ''; expected a number"),
    "text": ("video,OK,AB,CD\na,0,high,0\n", "line 2: AB is 'high'; expected a number"),
    "NaN": ("video,OK,AB,CD\na,0,nan,0\n", "a has nan for AB"),
    "above": ("video,OK,AB,CD\na,0,0,1e3\n", "a has 1000.0 for CD"),
    "twice": ("video,OK,AB,CD\na,0,0,0\na,0,0,0\n", "duplicate entries for 1 video: a"),
    "open quote": ('video,OK,AB,CD\n"a,0,0,0\n', "not CSV"),
}


@pytest.mark.parametrize("kind", [*(f"json {key}" for key in BAD_JSON), *(f"csv {key}" for key in BAD_CSV)])
def test_bad_files_are_named_errors_of_one_line(tmp_path: Path, kind: str) -> None:
    form, key = kind.split(" ", 1)
    text, message = (BAD_JSON if form == "json" else BAD_CSV)[key]
    path = tmp_path / f"p.{form}"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PredictionError, match=message) as caught:
        read_predictions(path, SMALL)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="cannot read the predictions"):
        read_predictions(tmp_path / "none.json", SMALL)
    with pytest.raises(PredictionError, match="cannot read the predictions"):
        read_predictions(tmp_path, SMALL)
    (tmp_path / "p.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PredictionError, match="not UTF-8"):
        read_predictions(tmp_path / "p.json", SMALL)


@pytest.mark.parametrize("value", [float("nan"), 1.01, -1e-9])
def test_writes_nothing_that_it_would_not_read(tmp_path: Path, value: float) -> None:
    with pytest.raises(PredictionError, match=r"b has .* for AB"):
        write_predictions(Predictions(("a", "b"), np.array([[0, 0, 0], [0, value, 0]])), tmp_path / "p.json", SMALL)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_predictions(Predictions(("a",), np.zeros((1, 3))), tmp_path / "file" / "p.json", SMALL)


def test_alignment_names_what_is_missing() -> None:
    found = Predictions(("a", "b", "c"), np.array([[1.0], [2.0], [3.0]]))
    assert found.aligned(["c", "a"]).tolist() == [[3.0], [1.0]]
    with pytest.raises(PredictionError, match=r"p\.json lack 5 videos: x0, x1, x2, \.\.\.; predict them"):
        found.aligned(["a", *(f"x{i}" for i in range(5))], where="p.json")


def test_names_and_rows_must_fit() -> None:
    with pytest.raises(ValueError, match="2 names"):
        Predictions(("a", "b"), np.zeros((1, 3)))
