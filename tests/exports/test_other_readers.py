"""The script that compares what other programs read finds what is the same and what is not."""

import json
import runpy
from pathlib import Path

import pytest

from helpers.exchange_material import data_file
from helpers.inspection_material import made_inspection
from urbanpipe.contracts.coded.reading import read_coded
from urbanpipe.exports.export import export

SCRIPT = Path(__file__).parents[2] / "examples" / "other_readers" / "compare.py"


def test_a_distance_that_a_reader_changed_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_inspection(tmp_path / "out" / "d1_1")
    data = data_file(tmp_path / "data.csv", "d1_1.mp4")
    export(tmp_path / "out", out=tmp_path / "i.xml", to="isybau", inspection_data=data)
    (one,) = read_coded(tmp_path / "i.xml").inspections
    rows = [{"segment": one.name, "station": row.station, "clock_from": 0} for row in one.observations]
    rows[-1]["station"] = 61.0
    held = {"inspections": [{"segment": one.name, "date": one.date}], "observations": rows[1:]}
    (tmp_path / "other.json").write_text(json.dumps(held))
    runpy.run_path(str(SCRIPT))["main"](tmp_path / "i.xml", tmp_path / "other.json")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["inspections: 1 in the file, 1 read", "  segment: 1 of 1 the same"]
    assert lines[3:5] == ["observations: 5 in the file, 4 read", "  segment: 3 of 5 the same"]
    assert "  clock_from: 3 of 5 the same" in lines
