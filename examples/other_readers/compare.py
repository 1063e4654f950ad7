"""Compares what another program read from an exported file with what urbanpipe reads from it.

    python compare.py FILE.xml OUT.json        what read_with_qkan.py wrote
    python compare.py FILE.txt OUT             what read_with_kwb.R wrote
    python compare.py FILE.txt OUT.json        what read_with_wincan2teksi.py wrote of the same export to wincan

Prints, for each field, how many values of the file the other program holds in the same observation or inspection.
"""

import csv
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from urbanpipe.contracts.coded.model import CodedInspection, Observation
from urbanpipe.contracts.coded.reading import read_coded
from urbanpipe.contracts.coded.times import clock, timecode

Row = Mapping[str, str]
OBSERVATION = ("segment", "station")  # what tells observations apart
INSPECTION = ("segment", "date")
KWB_INSPECTION = {
    "segment": "AAA",
    "date": "ABF",
    "time": "ABG",
    "inspector": "ABH",
    "length": "ABQ",
    "film": "ABS",
    "from": "AAD",
    "to": "AAF",
    "street": "AAJ",
    "client": "AAM",
    "job": "ABJ",
    "remark": "ADE",
    "height": "ACB",
}
KWB_OBSERVATION = {
    "station": "I",
    "main": "A",
    "char1": "B",
    "char2": "C",
    "clock_from": "G",
    "clock_to": "H",
    "continuous": "J",
    "time": "N",
    "photo": "M",
    "remark": "F",
}


def main(file: Path, other: Path) -> None:
    """Print the comparison of one file."""
    inspections = read_coded(file).inspections
    isybau = file.suffix == ".xml"
    theirs = _json(other) if other.suffix == ".json" else _kwb(other)
    ours = (
        [_inspection(one) for one in inspections],
        [_observation(one, row, isybau=isybau) for one in inspections for row in one.observations],
    )
    for what, keys, here, there in zip(
        ("inspections", "observations"), (INSPECTION, OBSERVATION), ours, theirs, strict=True
    ):
        print(f"{what}: {len(here)} in the file, {len(there)} read")
        fields = dict.fromkeys(key for row in there for key in row if all(key in mine for mine in here))
        for field in fields:
            held = _count(here, keys, field) & _count(there, keys, field)
            print(f"  {field}: {held.total()} of {len(here)} the same")


def _count(rows: Iterable[Row], keys: Iterable[str], field: str) -> Counter[tuple[str, ...]]:
    return Counter((*(row[key] for key in keys), row[field]) for row in rows)


def _text(value: object) -> str:
    """Return a value as text, numbers alike and nothing as empty; 0 and "not found" stand for nothing in QKan."""
    try:
        number = float(str(value))
    except ValueError:
        return "" if value in (None, "not found") else " ".join(str(value).split())
    return f"{number:g}" if number else ""


def _inspection(one: CodedInspection) -> Row:
    values = {
        "segment": one.name,
        "date": one.date,
        "time": one.time,
        "inspector": one.inspector,
        "length": one.length_m,
        "film": one.films[0] if one.films else "",
        "from": one.upstream,
        "to": one.downstream,
        "street": one.street,
        "direction": {"downstream": 1, "upstream": 2}.get(one.direction),
        "client": one.client,
        "job": one.job,
        "remark": one.remark,
        "height": one.height_mm,
    }
    return {key: _text(value) for key, value in values.items()}


def _observation(one: CodedInspection, row: Observation, *, isybau: bool) -> Row:
    seconds: Callable[[float], str] = (lambda value: timecode(value, one.frame_rate)) if isybau else clock
    values = {
        "segment": one.name,
        "station": f"{row.station or 0:.2f}",
        "code": "".join(row.code),
        "main": row.code.main,
        "char1": row.code.char1,
        "char2": row.code.char2,
        "clock_from": row.clock_from,
        "clock_to": row.clock_to,
        "photo": row.photo,
        "continuous": f"{row.continuous}{row.number or ''}",
        "remark": row.remark,
        "time": "" if row.seconds is None else seconds(row.seconds),
        "film": one.films[0] if one.films else "",
    }
    return {key: _text(value) for key, value in values.items()}


def _json(path: Path) -> tuple[list[Row], list[Row]]:
    held = json.loads(path.read_text(encoding="utf-8"))
    for row in held["observations"]:
        if "timecode" in row:  # of QKan
            row["continuous"] = f"{row['continuous'] or ''}{row.pop('number') or ''}"
            row["time"] = row.pop("timecode")
    first, second = held.values()
    return _texts(first), _texts(second)


def _texts(rows: list[dict[str, object]]) -> list[Row]:
    return [{key: _text(value) for key, value in row.items()} for row in rows]


def _kwb(path: Path) -> tuple[list[Row], list[Row]]:
    inspections = list(_table(Path(f"{path}-inspections.csv")))
    observations = list(_table(Path(f"{path}-observations.csv")))
    return (
        [{key: row[code] for key, code in KWB_INSPECTION.items()} for row in inspections],
        [
            {"segment": inspections[int(row["inspno"]) - 1]["AAA"]}
            | {key: row[code] for key, code in KWB_OBSERVATION.items()}
            for row in observations
        ],
    )


def _table(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {key: _text(value) for key, value in row.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
