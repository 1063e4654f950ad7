"""Label files that are coded inspections: ISYBAU XML and the text exchange format of EN 13508-2."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from urbanpipe.catalog.label_json import LabelEntry
from urbanpipe.contracts.coded.crosswalk import ReadCodes
from urbanpipe.contracts.coded.model import CodedInspection
from urbanpipe.contracts.coded.reading import read_coded
from urbanpipe.contracts.names import canonical_name
from urbanpipe.errors import LabelError
from urbanpipe.taxonomy import Taxonomy

_SHOWN = 5


class CodedLabels(NamedTuple):
    """The labels in a file of coded inspections.

    Attributes:
        entries: one per film.
        notes: what was not used, one line each.
    """

    entries: tuple[LabelEntry, ...]
    notes: tuple[str, ...]


def coded_labels(path: Path, taxonomy: Taxonomy) -> CodedLabels:
    """Return the labels of the films of coded inspections.

    A film shows the classes of the codes of all its inspections. One without any shows the exclusive class if all its
    codes say that nothing is wrong, and none of the classes if some have no class. A film whose export
    was not reviewed in full, or lacks defects for want of a distance, is not labelled.

    Raises:
        LabelError: the file cannot be read, or none of its inspections has a film.
        TaxonomyError: the crosswalk of a class cannot be read.
    """
    file, codes = read_coded(path), ReadCodes(taxonomy)
    notes = Counter[str]()
    films: dict[str, list[CodedInspection]] = {}
    without_film: list[str] = []
    for one in file.inspections:
        name = _film(one)
        if not one.en13508:
            notes["inspections in another coding system than EN 13508-2, not used"] += 1
        elif name:
            films.setdefault(canonical_name(name), []).append(one)
        else:
            without_film.append(one.name)
    if not films:
        raise LabelError(
            f"{path}: none of its {len(file.inspections)} inspections of pipes has EN 13508-2 codes and a film"
        )
    unknown = Counter[str]()
    entries = tuple(_entries(films, codes, taxonomy, unknown, notes))
    if all(entry.classes is None for entry in entries):
        raise LabelError(
            f"{path} holds only exports that were not reviewed in full or lack defects; complete them in "
            "`urbanpipe review`"
        )
    return CodedLabels(entries, (*file.notes, *_notes(notes, unknown, without_film, codes)))


def _film(one: CodedInspection) -> str:
    """Return the name of the film of an inspection; empty if there is none, or there are several."""
    if len(one.films) > 1:
        return ""
    return one.films[0] if one.films else one.video_reference


def _entries(
    films: Mapping[str, Sequence[CodedInspection]],
    codes: ReadCodes,
    taxonomy: Taxonomy,
    unknown: Counter[str],
    notes: Counter[str],
) -> Iterator[LabelEntry]:
    for name, inspections in films.items():
        observations = [row for one in inspections for row in one.observations if not codes.is_neutral(row)]
        where = f"inspection {inspections[0].name!r}"
        if any(one.is_undecided for one in inspections):
            notes["films whose export was not reviewed in full or lacks defects, not labelled"] += 1
            yield LabelEntry(where, name, None)
            continue
        known = [(codes.class_of_observation(row), row) for row in observations]
        unknown.update(str(row.code) for code, row in known if code is None)
        classes = list(dict.fromkeys(code for code, _ in known if code is not None))
        if not observations and taxonomy.exclusive is not None:
            classes = [taxonomy.exclusive]
        moments = [(code, row.seconds) for code, row in known if code is not None and row.seconds is not None]
        yield LabelEntry(where, name, classes, moments)


def _notes(notes: Counter[str], unknown: Counter[str], without_film: Sequence[str], codes: ReadCodes) -> Iterator[str]:
    yield from (f"{what}: {number}" for what, number in notes.items())
    if without_film:
        more = ", ..." if len(without_film) > _SHOWN else ""
        yield f"inspections without one film, not used: {len(without_film)}: {', '.join(without_film[:_SHOWN])}{more}"
    if unknown:
        listed = ", ".join(f"{code} ({number})" for code, number in unknown.most_common())
        yield f"codes that are none of the classes: {listed}"
    if codes.without_code:
        yield f"classes that no code says, and that are therefore in no label: {' '.join(codes.without_code)}"
