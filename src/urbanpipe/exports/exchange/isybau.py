"""Writes ISYBAU XML 2013-02: condition data of pipes, one file for all inspections."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from urbanpipe import __version__
from urbanpipe.contracts.coded.isybau import DIRECTIONS, NAMESPACES
from urbanpipe.contracts.coded.model import CodedInspection, Observation
from urbanpipe.contracts.coded.numbers import decimal
from urbanpipe.contracts.coded.terms import code_of
from urbanpipe.contracts.coded.times import timecode
from urbanpipe.errors import InspectionError
from urbanpipe.exports.exchange.text import ShortTexts, one_line

_MAX_COLLECTIONS = 99
_NAME, _TEXT, _CODE, _FILE, _SYSTEM = 30, 40, 10, 255, 10  # lengths that the schema allows
_CODING = "8"  # Kodiersystem: DIN EN 13508-2:2011 without national rules
_LETTERS = {direction: letter for letter, direction in DIRECTIONS.items()}
_MAX_PROFILE = 9999
_Pairs = Iterable[tuple[str, object]]


def isybau_xml(
    inspections: Sequence[CodedInspection], *, title: str, comment: str, made: date
) -> tuple[bytes, tuple[str, ...]]:
    """Return an ISYBAU XML file and a line for each text that was shortened.

    Args:
        inspections: with name, direction, and stations below 1,000 m.
        title: what the file holds, at most 60 characters.
        comment: the same with what a reader has to know.
        made: date of the file.

    Raises:
        InspectionError: two names are the same when shortened.
    """
    short = ShortTexts()
    root = Element("Identifikation", xmlns=NAMESPACES[0])
    _add(root, [("Version", "2013-02")])
    # Both are required, and no inspection data has them: empty, for the office to fill in.
    property_ = SubElement(SubElement(root, "Admindaten"), "Liegenschaft")
    _add(property_, [("Liegenschaftsnummer", None), ("Liegenschaftsbezeichnung", None)], keep_empty=True)
    data = SubElement(root, "Datenkollektive")
    _add(data, [("Datenstatus", 2), ("Erstellungsdatum", made), ("Kommentar", comment)])
    groups = _collections(inspections, short)
    kinds = SubElement(data, "Kennungen")
    for name, members in groups.items():
        _kind(SubElement(kinds, "Kollektiv"), name, made, has_films=any(one.films for one in members))
    for name, members in groups.items():
        _collection(SubElement(data, "Zustandsdatenkollektiv"), name, members, title, short)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="ISO-8859-1", xml_declaration=True)
    return text + b"\n", tuple(short.lines())


def _add(parent: Element, pairs: _Pairs, *, keep_empty: bool = False) -> None:
    """Append elements with texts; those without a value are left out."""
    for name, value in pairs:
        if keep_empty or value not in (None, ""):
            SubElement(parent, name).text = None if value is None else str(value)


def _collections(inspections: Sequence[CodedInspection], short: ShortTexts) -> dict[str, list[CodedInspection]]:
    """Return the inspections by identifier of their collection, in which a pipe has one inspection per direction.

    Raises:
        InspectionError: a pipe has more inspections than there are identifiers.
    """
    groups: dict[str, list[CodedInspection]] = {}
    earlier: Counter[tuple[str, bool, str]] = Counter()
    for one in inspections:
        key = (short.of(one.name, _NAME), one.lateral, one.direction)
        earlier[key] += 1
        if earlier[key] > _MAX_COLLECTIONS:
            raise InspectionError(
                f"segment {one.name!r} has over {_MAX_COLLECTIONS} inspections {one.direction}; export some of them"
            )
        groups.setdefault(f"ZUS{earlier[key]:02d}", []).append(one)
    return groups


def _kind(parent: Element, name: str, made: date, *, has_films: bool) -> None:
    _add(parent, [("Kennung", name), ("Kollektivart", 2)])
    flags = SubElement(SubElement(parent, "Kollektiveigenschaft"), "Zustandsdaten")
    _add(flags, [("Inspektion", 1), ("Dichtheit", 0), ("Film", int(has_films))])
    _add(parent, [("Regelwerk", 5), ("Bearbeitungsstand", made)])


def _collection(
    parent: Element, name: str, inspections: Sequence[CodedInspection], title: str, short: ShortTexts
) -> None:
    _add(parent, [("Kennung", name), ("Beschreibung", title)])
    orders = {job: number for number, job in enumerate(dict.fromkeys(one.job for one in inspections), 1)}
    every = SubElement(parent, "Auftraege")
    for job, number in orders.items():
        name_of_order = title if number == 1 else f"{title} ({number})"  # names must differ
        _order(SubElement(every, "Auftrag"), short.of(job, _TEXT), number, name_of_order)
    for one in inspections:
        _pipe(SubElement(parent, "InspizierteAbwassertechnischeAnlage"), one, orders[one.job], short)
    if any(one.films for one in inspections):
        _films(SubElement(parent, "Filme"), inspections, orders, short)


def _order(parent: Element, job: str, number: int, title: str) -> None:
    _add(parent, [("Auftragsbezeichnung", title), ("Auftragsnummer", job), ("Auftragskennung", number)])
    _add(parent, [("Auftragsart", 1), ("Kodiersystem", _CODING), ("Systemname", "urbanpipe")])
    _add(parent, [("Version", __version__[:_SYSTEM])])


def _pipe(parent: Element, one: CodedInspection, order: int, short: ShortTexts) -> None:
    _add(parent, [("Objektbezeichnung", short.of(one.name, _NAME)), ("Anlagentyp", 2 if one.lateral else 1)])
    if one.street:
        _add(SubElement(parent, "Lage"), [("Strassenname", short.of(one.street, _TEXT))])
    optical = SubElement(parent, "OptischeInspektion")
    time = f"{one.time}:00" if one.time.count(":") == 1 else one.time
    _add(optical, [("Auftragskennung", order), ("Inspektionsdatum", one.date), ("Inspektionsverfahren", 0)])
    _add(optical, [("NameUntersucher", short.of(one.inspector, _TEXT)), ("Uhrzeit", time)])
    _add(optical, [("Wetter", code_of(one.weather, "weather", "isybau"))])
    _add(optical, [("Videoablagereferenz", short.of(one.video_reference, _NAME)), ("Bemerkung", one_line(one.remark))])
    _line(SubElement(optical, "Rohrleitung"), one, short)


def _line(parent: Element, one: CodedInspection, short: ShortTexts) -> None:
    length = None if one.length_m is None else f"{one.length_m:.2f}"
    _add(parent, [("Rohrleitungstyp", int(one.lateral)), ("Inspektionsrichtung", _LETTERS[one.direction])])
    _add(parent, [("Inspektionslaenge", length), ("ArtVideoreferenz", 1)])
    if one.upstream and one.downstream:  # the schema has dimensions and material only beside both nodes
        _add(SubElement(parent, "RGrunddaten"), _base(one, short))
    if one.observations:
        rows = SubElement(parent, "Inspektionsdaten")
        for observation in one.observations:
            _add_observation(SubElement(rows, "RZustand"), observation, one.frame_rate, short)


def _base(one: CodedInspection, short: ShortTexts) -> Iterator[tuple[str, object]]:
    yield "KnotenZulauf", short.of(one.upstream, _NAME)
    yield "KnotenZulaufTyp", 0
    yield "KnotenAblauf", short.of(one.downstream, _NAME)
    yield "KnotenAblaufTyp", 0
    yield "Profilhoehe", one.height_mm if (one.height_mm or 0) <= _MAX_PROFILE else None
    yield "Profilbreite", one.width_mm if (one.width_mm or 0) <= _MAX_PROFILE else None
    yield "Profilart", code_of(one.shape, "shapes", "isybau")
    yield "Material", code_of(one.material, "materials", "isybau")


def _add_observation(parent: Element, row: Observation, frame_rate: int | None, short: ShortTexts) -> None:
    _add(parent, [("Station", f"{row.station or 0.0:.2f}")])
    if row.seconds is None:  # one of the references is required; only this one may be empty
        SubElement(parent, "Parameter")
    else:
        _add(parent, [("Timecode", timecode(row.seconds, frame_rate))])
    names = ("InspektionsKode", "Charakterisierung1", "Charakterisierung2")
    _add(parent, zip(names, row.code, strict=True))
    _add(parent, [("Verbindung", None if row.joint is None else int(row.joint))])
    for number, text in enumerate((row.quantification1, row.quantification2), 1):
        value = decimal(text)
        kind = "Text" if value is None else "Numerisch"
        _add(parent, [(f"Quantifizierung{number}{kind}", short.of(text, _NAME) if value is None else f"{value:.2f}")])
    _add(parent, [("Streckenschaden", row.continuous), ("StreckenschadenLfdNr", row.number or None)])
    _add(parent, [("PositionVon", _hour(row.clock_from)), ("PositionBis", _hour(row.clock_to))])
    _add(parent, [("Fotodatei", row.photo if len(row.photo) <= _FILE else None), ("Kommentar", one_line(row.remark))])


def _hour(hour: int | None) -> str | None:
    return None if hour is None else f"{hour:02d}"


def _films(parent: Element, inspections: Sequence[CodedInspection], orders: dict[str, int], short: ShortTexts) -> None:
    """Append a film per file; a file may show several inspections."""
    shown: dict[str, list[CodedInspection]] = {}
    for one in inspections:
        for name in one.films:
            shown.setdefault(short.of(name, _FILE), []).append(one)
    for name, members in shown.items():
        first, film = members[0], SubElement(parent, "Film")
        reference = short.of(first.video_reference or name, _NAME)
        _add(film, [("Filmname", name), ("Auftragskennung", orders[first.job]), ("Videoablagereferenz", reference)])
        if first.frame_rate:
            last = max(_last_frame(one) for one in members)
            _add(SubElement(film, "Frame"), [("fps", first.frame_rate), ("Start", 0), ("Ende", last)])
        objects = SubElement(film, "FilmObjekte")
        for one in members:
            item = SubElement(objects, "FilmObjekt")
            _add(item, [("Objektbezeichnung", short.of(one.name, _NAME)), ("Typ", 2 if one.lateral else 1)])
            _add(item, [("Inspektionsrichtung", _LETTERS[one.direction])])


def _last_frame(one: CodedInspection) -> int:
    seconds = max((row.seconds or 0.0 for row in one.observations), default=0.0)
    return round(seconds * (one.frame_rate or 0))
