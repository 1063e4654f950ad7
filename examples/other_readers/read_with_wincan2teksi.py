"""Reads a WinCan VX project with the QGIS plugin Wincan to TEKSI, and writes what it holds as JSON.

    QT_QPA_PLATFORM=offscreen python3 read_with_wincan2teksi.py PLUGIN FILE.db3 OUT.json

`PLUGIN` is a copy of https://github.com/opengisch/QGIS_TEKSI_Wincan_Importer_Plugin; run it with the Python of QGIS.
"""

import json
import sys
import types
from pathlib import Path
from typing import Any

import qgis.utils  # type: ignore[import-not-found]


def main(plugin: Path, project: Path, out: Path) -> None:
    """Read a project, and write its inspections and observations."""
    package = types.ModuleType("wincan2teksi")  # its own start needs settings of a newer QGIS, which no reader uses
    package.__path__ = [str(plugin / "wincan2teksi")]
    core = types.ModuleType("wincan2teksi.core")
    core.__path__ = [str(plugin / "wincan2teksi/core")]
    sys.modules |= {"wincan2teksi": package, "wincan2teksi.core": core}
    qgis.utils.iface = None
    from wincan2teksi.core.read_data import read_data  # type: ignore[import-not-found]

    pairs = [
        (section, inspection)
        for one in read_data(str(project)).projects.values()
        for section in one.sections.values()
        for inspection in section.inspections.values()
    ]
    held = {
        "inspections": [_inspection(section, inspection) for section, inspection in pairs],
        "observations": [
            _observation(section, row) for section, inspection in pairs for row in inspection.observations.values()
        ],
    }
    out.write_text(json.dumps(held, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _inspection(section: Any, inspection: Any) -> dict[str, object]:
    begin = inspection.start_date.toString("yyyy-MM-dd HH:mm")
    return {
        "segment": section.name,
        "date": begin[:10],
        "time": begin[11:].replace("00:00", ""),
        "from": section.from_node,
        "to": section.to_node,
        "street": section.address.strip(),
        "length": inspection.inspection_length,
        "height": section.section_size,
        "inspector": inspection.operator,
        "direction": inspection.direction,
    }


def _observation(section: Any, row: Any) -> dict[str, object]:
    media = dict(row.mmfiles)
    return {
        "segment": section.name,
        "station": row.distance,
        "code": row.code,
        "time": row.time,
        "clock_from": row.clock_position_1,
        "clock_to": row.clock_position_2,
        "remark": row.text,
        "photo": media.get("picture"),
        "film": media.get("video"),
    }


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
