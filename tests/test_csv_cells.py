"""CSV files that no spreadsheet runs, and that are read back exactly."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from urbanpipe.catalog.catalog_file import Catalog, Video, read_catalog, write_catalog
from urbanpipe.catalog.folds import read_folds, write_folds
from urbanpipe.contracts.csv_reading import read_table
from urbanpipe.contracts.predictions import Predictions, read_predictions, write_predictions
from urbanpipe.contracts.run_folder import read_left_out
from urbanpipe.csv_cells import original_text, write_rows
from urbanpipe.errors import RunError
from urbanpipe.outputs import write_csv
from urbanpipe.taxonomy import default_taxonomy

DANGEROUS = tuple("=+-@＝＋－＠\t\r\n")
TEXTS = st.text() | st.text(alphabet="'=+-@＝\t\r\n;\",1.eé管 ", max_size=8)
HARMLESS = re.compile(r"-|[+-][0-9]+[.]?[0-9]*(e[+-]?[0-9]+)?")
NAMES = ["=1+1.mp4", "-x.mp4", "'-x.mp4", "''=x.mp4", "@x", "+x,y.mp4", '\t"x".mp4', "a\rb.mp4", "管\n.mp4", "-", "'x"]


@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
@example(rows=[(name, name) for name in [*NAMES, "-1.5", "+3", "-2e-07", "-1e", "+-1"]])
def test_every_text_is_read_back_and_none_is_a_formula(rows: list[tuple[str, str]]) -> None:
    file = io.StringIO(newline="")
    write_rows(file, [("video", "=note"), *(("x" + one, two) for one, two in rows)])
    text = file.getvalue()
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert [cell for cell in cells if cell.startswith(DANGEROUS) and not HARMLESS.fullmatch(cell)] == []
    header, read = read_table(text, Path("t.csv"), "video")
    assert header == ["video", "=note"]
    assert [(row["video"], row["=note"]) for _, row in read] == [("x" + one, two) for one, two in rows]


def test_numbers_and_the_cell_for_none_of_the_classes_stay_as_they_are(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ["video", "n"], [["-", -1.5], [None, np.float32(-2)], ["-3", "+1e-5"]])
    assert (tmp_path / "t.csv").read_text() == "video,n\n-,-1.5\n,-2.0\n-3,+1e-5\n"


@pytest.mark.parametrize("cell", ["=1+1", "-x.mp4", "@", "'x", "-", "x'=1", ""])
def test_files_with_plain_cells_are_read_as_before(cell: str) -> None:
    assert original_text(cell) == cell


def test_names_pass_through_the_files_of_the_verbs(tmp_path: Path) -> None:
    taxonomy = default_taxonomy()
    videos = [
        Video(name, tmp_path / "v" / name, group=name, labels=(), notes=name, extra={"=site": name}) for name in NAMES
    ]
    write_catalog(Catalog(tuple(videos), taxonomy), tmp_path / "c.csv")
    assert list(read_catalog(tmp_path / "c.csv").videos) == videos
    folds = {name: number % 2 for number, name in enumerate(NAMES)}
    write_folds(folds, tmp_path / "f.csv")
    assert read_folds(tmp_path / "f.csv") == folds
    write_predictions(Predictions(tuple(NAMES), np.full((len(NAMES), 17), 0.5)), tmp_path / "p.csv", taxonomy)
    assert read_predictions(tmp_path / "p.csv", taxonomy).names == tuple(NAMES)
    write_csv(tmp_path / "left_out.csv", ["video", "reason"], [[name, f"-{name}"] for name in NAMES])
    assert read_left_out(tmp_path) == {name: f"-{name}" for name in NAMES}


@pytest.mark.parametrize(
    "data", [b"", b"video\na\n", b"video,reason\na\n", b"\xff\n", b'video,reason\n"a', b"a,b\n1,2\n"]
)
def test_a_damaged_table_is_one_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "left_out.csv").write_bytes(data)
    with pytest.raises(RunError, match=r"left_out\.csv is missing or damaged"):
        read_left_out(tmp_path)
