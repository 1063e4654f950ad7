"""Reads ISYBAU XML: 2013-02, and later versions as far as their elements are the same."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from urbanpipe.contracts.coded.model import SECTIONS, Code, CodedFile, CodedInspection, Direction, Observation
from urbanpipe.contracts.coded.numbers import decimal, hour, quantity, whole
from urbanpipe.contracts.coded.safe_xml import read_xml
from urbanpipe.contracts.coded.terms import term_of_code
from urbanpipe.contracts.coded.times import from_timecode
from urbanpipe.errors import LabelError

NAMESPACES = ("http://www.ofd-hannover.la/Identifikation", "http://www.bfr-abwasser.de")
"""Of version 2013-02, and of those since 2017. `Erfassungsart` of 2024 is not read, for want of its schema."""
DIRECTIONS: dict[str, Direction] = {"O": "downstream", "U": "upstream"}
_OTHER_CODING = ("4", "5", "6")  # Kodiersystem: ISYBAU 2001, ISYBAU 1996, another one
_LATERAL = "1"  # Rohrleitungstyp


class _Parts(NamedTuple):
    """The elements of an inspection: the pipe, its inspection, the part for pipes in it, and the order if known."""

    pipe: Element
    optical: Element
    line: Element
    order: Element | None


@dataclass(frozen=True)
class _Film:
    name: str
    reference: str
    frame_rate: int | None
    first_frame: int
    objects: frozenset[tuple[str, str]]

    def shows(self, pipe: str, direction: str) -> bool:
        return (pipe, direction) in self.objects or (pipe, "") in self.objects


def read_isybau(path: Path) -> CodedFile:
    """Read the inspections of pipes; manholes and other structures are counted in a note.

    Raises:
        LabelError: the file is not ISYBAU XML, or too large.
    """
    namespace, root = read_xml(path)
    if root.tag != "Identifikation" or namespace not in NAMESPACES:
        raise LabelError(f"{path} is XML but not ISYBAU: it begins with {root.tag!r}; expected 'Identifikation'")
    notes = Counter[str]()
    inspections = [one for data in root.iter("Zustandsdatenkollektiv") for one in _collection(data, notes)]
    return CodedFile(tuple(inspections), tuple(f"{what}: {number}" for what, number in notes.items()))


def _collection(data: Element, notes: Counter[str]) -> Iterator[CodedInspection]:
    """Yield the inspections of a collection, within which orders have their numbers."""
    orders = {_text(order, "Auftragskennung"): order for order in data.iterfind("Auftraege/Auftrag")}
    films = [_film(film) for film in data.iterfind("Filme/Film") if film.find("Filmname") is not None]
    for pipe in data.iterfind("InspizierteAbwassertechnischeAnlage"):
        optical = pipe.find("OptischeInspektion")
        if optical is None:
            continue
        if (line := optical.find("Rohrleitung")) is None:
            notes["inspections of manholes and other structures, not read"] += 1
        else:
            order = orders.get(_text(optical, "Auftragskennung"))
            yield _inspection(_Parts(pipe, optical, line, order), films, notes)


def _film(film: Element) -> _Film:
    rate, first = whole(_text(film, "Frame/fps")), whole(_text(film, "Frame/Start"))
    objects = film.iterfind("FilmObjekte/FilmObjekt")
    return _Film(
        _text(film, "Filmname"),
        _text(film, "Videoablagereferenz"),
        rate or None,
        first or 0,
        frozenset((_text(item, "Objektbezeichnung"), _text(item, "Inspektionsrichtung")) for item in objects),
    )


def _films_of(films: list[_Film], pipe: str, direction: str, reference: str) -> list[_Film]:
    """Return the films of an inspection: those of its pipe, and of these the ones that it refers to, if any."""
    shown = [film for film in films if film.shows(pipe, direction)]
    referred = [film for film in shown or films if reference and film.reference == reference]
    return referred or shown


def _inspection(parts: _Parts, films: list[_Film], notes: Counter[str]) -> CodedInspection:
    pipe, optical, line, order = parts
    name, direction = _text(pipe, "Objektbezeichnung"), _text(line, "Inspektionsrichtung")
    reference = _text(optical, "Videoablagereferenz")
    own = _films_of(films, name, direction, reference)
    film = own[0] if len(own) == 1 else None
    return CodedInspection(
        name=name,
        lateral=_text(line, "Rohrleitungstyp") == _LATERAL,
        direction=DIRECTIONS.get(direction, ""),
        upstream=_text(line, "RGrunddaten/KnotenZulauf"),
        downstream=_text(line, "RGrunddaten/KnotenAblauf"),
        date=_text(optical, "Inspektionsdatum"),
        time=re.sub(r"^(\d\d:\d\d):00$", r"\1", _text(optical, "Uhrzeit")),
        inspector=_text(optical, "NameUntersucher"),
        job="" if order is None else _text(order, "Auftragsnummer"),
        street=_text(pipe, "Lage/Strassenname"),
        weather=term_of_code(_text(optical, "Wetter"), "weather", "isybau"),
        length_m=decimal(_text(line, "Inspektionslaenge")),
        height_mm=whole(_text(line, "RGrunddaten/Profilhoehe")),
        width_mm=whole(_text(line, "RGrunddaten/Profilbreite")),
        shape=term_of_code(_text(line, "RGrunddaten/Profilart"), "shapes", "isybau"),
        material=term_of_code(_text(line, "RGrunddaten/Material"), "materials", "isybau"),
        films=tuple(film.name for film in own),
        video_reference=reference,
        frame_rate=film.frame_rate if film else None,
        remark=_text(optical, "Bemerkung"),
        en13508=order is None or _text(order, "Kodiersystem") not in _OTHER_CODING,
        observations=tuple(_observations(line, film, notes)),
    )


def _observations(line: Element, film: _Film | None, notes: Counter[str]) -> Iterator[Observation]:
    for row in line.iterfind("Inspektionsdaten/RZustand"):
        main = _text(row, "InspektionsKode").upper()
        if not main:
            notes["observations without a code, not read"] += 1
            continue
        yield Observation(
            code=Code(main, _text(row, "Charakterisierung1").upper(), _text(row, "Charakterisierung2").upper()),
            station=decimal(_text(row, "Station")),
            seconds=_seconds(row, film, notes),
            clock_from=hour(_text(row, "PositionVon")),
            clock_to=hour(_text(row, "PositionBis")),
            quantification1=quantity(_text(row, "Quantifizierung1Numerisch") or _text(row, "Quantifizierung1Text")),
            quantification2=quantity(_text(row, "Quantifizierung2Numerisch") or _text(row, "Quantifizierung2Text")),
            joint={"1": True, "true": True, "0": False, "false": False}.get(_text(row, "Verbindung")),
            continuous=SECTIONS.get(_text(row, "Streckenschaden").upper(), ""),
            number=whole(_text(row, "StreckenschadenLfdNr")) or 0,
            photo=_text(row, "Fotodatei"),
            remark=_text(row, "Kommentar"),
        )


def _seconds(row: Element, film: _Film | None, notes: Counter[str]) -> float | None:
    """Return the time of an observation in its film: a time code, seconds, or a frame number."""
    rate = film.frame_rate if film else None
    if text := _text(row, "Timecode"):
        seconds = from_timecode(text, rate)
    elif text := _text(row, "Videozaehler"):
        seconds = decimal(text)
    elif text := _text(row, "Frame"):
        frame = whole(text)
        seconds = (frame - film.first_frame) / rate if frame is not None and film and rate else None
    else:
        return None
    if seconds is None or seconds < 0:
        notes["times that are no times, or frame numbers of a film without a frame rate, not read"] += 1
        return None
    return seconds


def _text(element: Element, path: str) -> str:
    """Return the text of an element below another one with spaces collapsed; empty if there is none."""
    return " ".join((element.findtext(path) or "").split())
