"""A second reader of ISYBAU XML 2013-02, written from the schema alone: the DOM, by paths, nothing guessed."""

from pathlib import Path
from typing import NamedTuple
from xml.dom.minidom import Element, parse


class Row(NamedTuple):
    station: str
    reference: tuple[str, str]
    code: tuple[str, str, str]
    clock: tuple[str, str]
    section: tuple[str, str]
    remark: str


class Pipe(NamedTuple):
    name: str
    direction: str
    date: str
    rows: tuple[Row, ...]


def read_pipes(path: Path) -> list[Pipe]:
    """The inspections of pipes in the order of the file, as text."""
    document = parse(str(path))
    pipes = document.getElementsByTagName("InspizierteAbwassertechnischeAnlage")
    return [_pipe(pipe) for pipe in pipes if pipe.getElementsByTagName("Rohrleitung")]


def _pipe(pipe: Element) -> Pipe:
    line = pipe.getElementsByTagName("Rohrleitung")[0]
    return Pipe(
        _child(pipe, "Objektbezeichnung"),
        _child(line, "Inspektionsrichtung"),
        _child(pipe.getElementsByTagName("OptischeInspektion")[0], "Inspektionsdatum"),
        tuple(_row(row) for row in line.getElementsByTagName("RZustand")),
    )


def _row(row: Element) -> Row:
    kinds = ("Timecode", "Frame", "Videozaehler", "Parameter")
    (kind,) = [kind for kind in kinds if row.getElementsByTagName(kind)]
    return Row(
        _child(row, "Station"),
        (kind, _child(row, kind)),
        (_child(row, "InspektionsKode"), _child(row, "Charakterisierung1"), _child(row, "Charakterisierung2")),
        (_child(row, "PositionVon"), _child(row, "PositionBis")),
        (_child(row, "Streckenschaden"), _child(row, "StreckenschadenLfdNr")),
        _child(row, "Kommentar"),
    )


def _child(parent: Element, name: str) -> str:
    for child in parent.childNodes:
        if isinstance(child, Element) and child.tagName == name:
            return "".join(part.data for part in child.childNodes)  # type: ignore[union-attr]
    return ""
