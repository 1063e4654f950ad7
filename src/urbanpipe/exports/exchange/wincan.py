"""Writes SQLite files in the shape of WinCan VX projects, as far as public readers of such projects know it.

WinCan itself was never tried. Tables, columns and keys are those that these readers select; their source is the code of
https://github.com/opengisch/QGIS_TEKSI_Wincan_Importer_Plugin, and of others as far as they agree with it.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from uuid import NAMESPACE_URL, uuid5

from urbanpipe.contracts.coded.model import CodedInspection, Observation
from urbanpipe.contracts.coded.terms import code_of
from urbanpipe.contracts.coded.times import clock

_TABLES = {
    "PROJECT": "PRJ_PK PRJ_Key PRJ_Date PRJ_Memo PRJ_Deleted",
    "NODE": "OBJ_PK OBJ_Project_FK OBJ_Key OBJ_Number OBJ_Street OBJ_Type OBJ_NodeType OBJ_Usage OBJ_Material OBJ_Shape"
    " OBJ_Size1 OBJ_Size2 OBJ_DepthToInvert OBJ_RimToInvert OBJ_Condition OBJ_Ownership OBJ_LandOwner"
    " OBJ_ConstructionYearText OBJ_ConstructionDate OBJ_Memo OBJ_State OBJ_CoversCount OBJ_Accessible"
    " OBJ_ConstructionStyle OBJ_Locality OBJ_Deleted",
    "SECTION": "OBJ_PK OBJ_Project_FK OBJ_Key OBJ_SortOrder OBJ_FromNode_REF OBJ_ToNode_REF OBJ_FlowDir OBJ_City"
    " OBJ_Street OBJ_Length OBJ_RealLength OBJ_PipeLength OBJ_Size1 OBJ_Size2 OBJ_PipeHeightOrDia OBJ_Shape"
    " OBJ_Material OBJ_Usage OBJ_Ownership OBJ_ConstructionYearText OBJ_ConstructionDate OBJ_Memo OBJ_Deleted",
    "SECINSP": "INS_PK INS_Section_FK INS_Key INS_SortOrder INS_Type INS_Method INS_InspectionDir INS_InspectedLength"
    " INS_StartDate INS_StartTime INS_TimeStamp INS_Operator_REF INS_HighestGrade INS_Weather INS_Memo INS_Deleted",
    "SECOBS": "OBS_PK OBS_Inspection_FK OBS_SortOrder OBS_Distance OBS_OpCode OBS_Char1 OBS_Char2 OBS_Observation"
    " OBS_TimeCtr OBS_ClockPos1 OBS_ClockPos2 OBS_CD_Code1 OBS_ContDefectLength OBS_Q1_Value OBS_Q2_Value OBS_Q3_Value"
    " OBS_U1_Value OBS_U2_Value OBS_U3_Value OBS_C1_Value OBS_C2_Value OBS_RateValue OBS_Memo OBS_Deleted",
    "SECOBSMM": "OMM_PK OMM_Observation_FK OMM_Type OMM_FileName OMM_FileType OMM_Deleted",
}
_OPERATOR = {"OPERATOR": "OP_PK OP_Name1"}
_WHOLE = ("SortOrder", "FlowDir", "InspectionDir", "Size1", "Size2", "ClockPos1", "ClockPos2")
_DECIMAL = ("Length", "Distance")
_DIRECTIONS = {"downstream": 1, "upstream": 2}
_PICTURE, _VIDEO = "PI1", "VI1"  # readers take all but PI1 and PI2 for a video
_NO_VALUE = ("OBS_Q3_Value", "OBS_U1_Value", "OBS_U2_Value", "OBS_U3_Value")  # readers join these as texts
_NO_TIME = "the time of day is not known and stands as 00:00"
_Row = tuple[str, dict[str, object]]


def wincan_project(inspections: Sequence[CodedInspection], *, title: str, comment: str) -> bytes:
    """Return the project file; its date is that of the last inspection, so that the same export is the same file.

    Args:
        inspections: with a name, a direction and a date.
        title: name of the project.
        comment: what a reader has to know.
    """
    project = _key(
        "project", title, *(part for one in inspections for part in (one.digest, one.date, one.time, one.job))
    )
    last = max(one.date for one in inspections)
    head: dict[str, object] = {"PRJ_PK": project, "PRJ_Key": title, "PRJ_Date": f"{last} 00:00:00", "PRJ_Memo": comment}
    return _database(_TABLES, [("PROJECT", head), *_sections(inspections, project)])


def wincan_operators(inspections: Sequence[CodedInspection]) -> bytes:
    """Return the file beside the project that names the operators, `..._meta.db3`."""
    names = dict.fromkeys(one.inspector for one in inspections if one.inspector)
    return _database(_OPERATOR, [("OPERATOR", {"OP_PK": _key("operator", name), "OP_Name1": name}) for name in names])


def _database(tables: Mapping[str, str], rows: Iterable[_Row]) -> bytes:
    connection = sqlite3.connect(":memory:")
    for table, columns in tables.items():
        typed = ", ".join(f"{name} {_type(name)}" for name in columns.split())
        connection.execute(f"CREATE TABLE {table} ({typed})")
    for table, values in rows:
        marks = ", ".join(f":{name}" for name in values)
        connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", values)
    connection.commit()
    data = connection.serialize()
    connection.close()
    return data


def _type(column: str) -> str:
    return "INTEGER" if column.endswith(_WHOLE) else "REAL" if column.endswith(_DECIMAL) else "TEXT"


def _sections(inspections: Sequence[CodedInspection], project: str) -> Iterator[_Row]:
    """Yield manholes and pipes once each, and the inspections of the pipes."""
    known: set[str] = set()
    for number, one in enumerate(inspections, 1):
        ends = [
            _key("node", project, name) if name else _key("unnamed node", project, one.name, side)
            for name, side in ((one.upstream, "upper"), (one.downstream, "lower"))
        ]
        for key, name in zip(ends, (one.upstream, one.downstream), strict=True):
            if key not in known:
                known.add(key)
                yield "NODE", {"OBJ_PK": key, "OBJ_Project_FK": project, "OBJ_Key": name}
        section = _key("section", project, one.name, *ends)
        if section not in known:
            known.add(section)
            yield "SECTION", _section(one, number, ends) | {"OBJ_PK": section, "OBJ_Project_FK": project}
        yield from _inspection(one, number, section)


def _section(one: CodedInspection, number: int, ends: Sequence[str]) -> dict[str, object]:
    return {
        "OBJ_Key": one.name,
        "OBJ_SortOrder": number,
        "OBJ_FromNode_REF": ends[0],
        "OBJ_ToNode_REF": ends[1],
        "OBJ_FlowDir": 1,
        "OBJ_City": "",
        "OBJ_Street": one.street,
        "OBJ_Length": one.length_m,
        "OBJ_Size1": one.height_mm,
        "OBJ_Size2": one.width_mm,
        "OBJ_Shape": code_of(one.shape, "shapes", "en13508"),
        "OBJ_Material": code_of(one.material, "materials", "en13508"),
    }


def _inspection(one: CodedInspection, number: int, section: str) -> Iterator[_Row]:
    key = _key("inspection", section, str(number), one.digest, *one.films)
    remark = one.remark if one.time else "; ".join(part for part in (one.remark, _NO_TIME) if part)
    begin = f"{one.date} {one.time or '00:00'}:00.000"
    yield (
        "SECINSP",
        {
            "INS_PK": key,
            "INS_Section_FK": section,
            "INS_Key": str(number),
            "INS_SortOrder": number,
            "INS_Method": "",
            "INS_InspectionDir": _DIRECTIONS.get(one.direction),
            "INS_InspectedLength": one.length_m,
            "INS_StartDate": begin,
            "INS_Operator_REF": _key("operator", one.inspector) if one.inspector else "",
            "INS_Memo": remark,
        },
    )
    ends = {row.number: row.station for row in one.observations if row.continuous == "B"}
    for place, row in enumerate(one.observations, 1):
        observation = _key("observation", key, str(place))
        values = _observation(row, place, ends.get(row.number) if row.continuous == "A" else None)
        yield "SECOBS", values | {"OBS_PK": observation, "OBS_Inspection_FK": key}
        yield from _media(row, one.films if row.seconds is not None else (), observation)


def _observation(row: Observation, place: int, end: float | None) -> dict[str, object]:
    station = row.station or 0.0
    return dict.fromkeys(_NO_VALUE, "") | {
        "OBS_SortOrder": place,
        "OBS_Distance": station,
        "OBS_OpCode": "".join(row.code),
        "OBS_Char1": row.code.char1,
        "OBS_Char2": row.code.char2,
        "OBS_Observation": row.remark,
        "OBS_TimeCtr": None if row.seconds is None else clock(row.seconds),
        "OBS_ClockPos1": row.clock_from,
        "OBS_ClockPos2": row.clock_to,
        "OBS_CD_Code1": f"{row.continuous}{row.number:02d}" if row.continuous else None,
        "OBS_ContDefectLength": None if end is None else round(end - station, 2),
        "OBS_Q1_Value": row.quantification1,
        "OBS_Q2_Value": row.quantification2,
    }


def _media(row: Observation, films: Sequence[str], observation: str) -> Iterator[_Row]:
    files = [(_PICTURE, row.photo)] if row.photo else []
    for kind, name in [*files, *((_VIDEO, film) for film in films)]:
        yield (
            "SECOBSMM",
            {
                "OMM_PK": _key("media", observation, kind, name),
                "OMM_Observation_FK": observation,
                "OMM_Type": kind,
                "OMM_FileName": name,
                "OMM_FileType": PurePosixPath(name).suffix.removeprefix(".").upper(),
            },
        )


def _key(*parts: str) -> str:
    """Return a GUID that depends on the parts alone, so that the same export is the same file."""
    return str(uuid5(NAMESPACE_URL, "\0".join(("urbanpipe", *parts))))
