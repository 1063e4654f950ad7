"""Imports ISYBAU XML with the QGIS plugin QKan, and writes what its database then holds as JSON.

    QT_QPA_PLATFORM=offscreen python3 read_with_qkan.py QKAN FILE.xml OUT.json [--network]

`QKAN` is a copy of https://github.com/hoettges/QKan that may be written to; run it with the Python of a QGIS that the
version supports. QKan takes only inspections of pipes that it knows, by name and manholes; `--network` gives it
straight pipes with the names of the file, as the office's own network would.
"""

import inspect
import json
import os
import sqlite3
import sys
import tempfile
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from qgis.core import QgsApplication  # type: ignore[import-not-found]
from qgis.gui import QgsMessageBar  # type: ignore[import-not-found]
from qgis.utils import plugin_paths, spatialite_connect  # type: ignore[import-not-found]

EPSG = 25832
RICHT_CHOICE = "Anzeigen in Untersuchungsrichtung rechts der Haltung"
OBSERVATIONS = """
    SELECT untersuchhal AS segment, station, kuerzel AS main, charakt1 AS char1, charakt2 AS char2,
        pos_von AS clock_from, pos_bis AS clock_to, streckenschaden AS continuous, streckenschaden_lfdnr AS number,
        timecode, film_dateiname AS film, foto_dateiname AS photo
    FROM untersuchdat_haltung ORDER BY pk"""
INSPECTIONS = """
    SELECT haltnam AS segment, untersuchtag AS date, untersucher AS inspector, strasse AS street, wetter AS weather
    FROM haltungen_untersucht ORDER BY pk"""


def main(qkan: Path, xml: Path, out: Path, *, with_network: bool) -> None:
    """Import a file into a new database, and write its inspections and observations."""
    application = QgsApplication([], False)
    application.initQgis()
    sys.path.insert(0, str(qkan))
    plugin_paths.append(str(qkan))
    with tempfile.TemporaryDirectory() as folder:
        database, source = Path(folder) / "qkan.sqlite", Path(folder) / "isybau.xml"
        source.write_bytes(_with_network(xml) if with_network else xml.read_bytes())
        _import(qkan, source, database)
        connection = sqlite3.connect(database)
        connection.row_factory = sqlite3.Row
        held = {
            "inspections": [dict(row) for row in connection.execute(INSPECTIONS)],
            "observations": [dict(row) for row in connection.execute(OBSERVATIONS)],
        }
    out.write_text(json.dumps(held, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)  # QGIS may crash while Python ends


def _import(qkan: Path, xml: Path, database: Path) -> None:
    from qkan import QKan  # type: ignore[import-not-found]
    from qkan.config import Config  # type: ignore[import-not-found]
    from qkan.database.dbfunc import DBConnection  # type: ignore[import-not-found]
    from qkan.isyporter._import import ImportTask  # type: ignore[import-not-found]

    templates = qkan / "qkan/templates"
    if not (templates / "qkan.sqlite").exists():  # an empty database, which a copy without large files lacks
        with spatialite_connect(str(templates / "qkan.sqlite")) as empty:
            empty.execute("SELECT InitSpatialMetaData(1)")
    for file in templates.glob("*.sql"):  # QKan expects a file system that ignores case
        small = file.with_name(file.name.lower())
        if not small.exists():
            small.symlink_to(file.name)
    interface = mock.Mock()
    interface.messageBar.return_value = QgsMessageBar()
    QKan.instance, QKan.config, QKan.template_dir = mock.Mock(iface=interface), Config(), str(templates)
    QKan.config.epsg = EPSG
    with DBConnection(dbname=str(database), epsg=EPSG) as connection:
        given = {"db_qkan": connection, "xml_file": str(xml), "data_choice": "ISYBAU Daten"}
        asked = inspect.signature(ImportTask).parameters  # older versions ask where distances begin
        ImportTask(**{name: given.get(name, RICHT_CHOICE if name == "richt_choice" else "") for name in asked}).run()


def _with_network(xml: Path) -> bytes:
    """Return the file with master data: a straight pipe for each inspected one, and its manholes."""
    root = ElementTree.fromstring(xml.read_bytes())
    space = root.tag.partition("}")[0] + "}"
    ElementTree.register_namespace("", space.strip("{}"))
    data = root.find(f"{space}Datenkollektive")
    assert data is not None
    network = ElementTree.SubElement(data, f"{space}Stammdatenkollektiv")
    known: set[tuple[str, ...]] = set()
    for pipe in root.iter(f"{space}InspizierteAbwassertechnischeAnlage"):
        name = pipe.findtext(f"{space}Objektbezeichnung", "")
        ends = [pipe.findtext(f".//{space}{node}", "") for node in ("KnotenZulauf", "KnotenAblauf")]
        if all(ends):
            for node in ends:
                _add_node(network, space, node, known)
            if (name,) not in known:
                _add_pipe(network, space, name, ends)
                known.add((name,))
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _add_node(network: ElementTree.Element, space: str, name: str, known: set[tuple[str, ...]]) -> None:
    if ("node", name) not in known:
        known.add(("node", name))
        node = _element(network, space, "AbwassertechnischeAnlage", Objektbezeichnung=name, Objektart="2")
        _element(node, space, "Knoten", KnotenTyp="0")
        geometry = _element(_element(_element(node, space, "Geometrie"), space, "Geometriedaten"), space, "Knoten")
        _element(geometry, space, "Punkt", PunktattributAbwasser="SMP", Rechtswert=str(10 * len(known)), Hochwert="0")


def _add_pipe(network: ElementTree.Element, space: str, name: str, ends: list[str]) -> None:
    pipe = _element(network, space, "AbwassertechnischeAnlage", Objektbezeichnung=name, Objektart="1")
    edge = _element(pipe, space, "Kante", KantenTyp="0", KnotenZulauf=ends[0], KnotenAblauf=ends[1], Laenge="50")
    _element(edge, space, "Haltung")
    geometry = _element(_element(_element(pipe, space, "Geometrie"), space, "Geometriedaten"), space, "Kanten")
    line = _element(geometry, space, "Kante")
    _element(line, space, "Start", Rechtswert="0", Hochwert="0")
    _element(line, space, "Ende", Rechtswert="50", Hochwert="0")


def _element(parent: ElementTree.Element, space: str, name: str, **texts: str) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, space + name)
    for key, text in texts.items():
        ElementTree.SubElement(child, space + key).text = text
    return child


if __name__ == "__main__":
    paths = [Path(text) for text in sys.argv[1:] if text != "--network"]
    main(*paths, with_network="--network" in sys.argv)
