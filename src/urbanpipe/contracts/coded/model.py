"""A coded inspection: observations with the codes of EN 13508-2, as both exchange formats hold them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

START, FINISH, REMARK = "BCD", "BCE", "BDB"
"""Main codes of the start node, of the finish node, and of a general remark."""
PROPOSAL = "proposal by software, not reviewed"
"""Begin of the remark of an exported observation that no person has reviewed."""
LEFT_OUT = "left out, as"
"""Begin of what the remark of an exported inspection says about defects that the format could not hold."""
UNDECIDED = (PROPOSAL, "unsure;", "waits for a second opinion;")
"""Begins of the remarks of exported observations that no person has confirmed."""
_EXPORTED = re.compile(r"; (\S+) [^;]*, confidence [01]\.\d\d", re.ASCII)
Direction = Literal["", "downstream", "upstream"]
Continuous = Literal["", "A", "B", "C"]
SECTIONS: Mapping[str, Continuous] = {"A": "A", "B": "B", "C": "C"}
"""Marks of begin, end and change of a continuous defect."""


class Code(NamedTuple):
    """A code of EN 13508-2; parts that are not known are empty."""

    main: str
    char1: str = ""
    char2: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, self))


@dataclass(frozen=True)
class Observation:
    """One observation.

    Attributes:
        code: main code and characterisations.
        station: distance from the start of the inspection in metres; None if unknown.
        seconds: time after the first frame of the film; None if unknown.
        clock_from: begin on the circumference, as hour of a clock from 1 to 12; None if unknown.
        clock_to: end of it; None for a single position.
        quantification1: first quantification: a number, or text; empty if unknown.
        quantification2: second quantification.
        joint: whether it lies at a joint; None if unknown.
        continuous: begin (`A`), change (`C`) or end (`B`) of a continuous defect; empty for a point.
        number: number of the continuous defect, from 1 to 99; 0 for a point.
        photo: file of a picture.
        remark: any text.
    """

    code: Code
    station: float | None
    seconds: float | None = None
    clock_from: int | None = None
    clock_to: int | None = None
    quantification1: str = ""
    quantification2: str = ""
    joint: bool | None = None
    continuous: Continuous = ""
    number: int = 0
    photo: str = ""
    remark: str = ""

    @property
    def is_undecided(self) -> bool:
        """Whether `urbanpipe export` wrote it and nobody had confirmed it."""
        return self.remark.startswith(UNDECIDED)

    @property
    def exported_class(self) -> str:
        """The class that `urbanpipe export` wrote into the remark; empty if it did not write it."""
        match = _EXPORTED.search(self.remark)
        return match[1] if match else ""


@dataclass(frozen=True)
class CodedInspection:
    """One inspection of one pipe; what is not known is empty or None.

    Attributes:
        name: name of the pipe.
        lateral: whether it is a lateral and not a sewer between two manholes.
        direction: of the camera, with the flow or against it.
        upstream: upper node.
        downstream: lower node.
        date: ISO 8601.
        time: of day, `hh:mm` or `hh:mm:ss`.
        inspector: who inspected.
        client: who gave the order.
        job: number of the order.
        street: street or place.
        weather: `dry`, `rain` or `thaw`.
        length_m: length of the inspection in metres.
        height_mm: height of the cross-section in millimetres.
        width_mm: its width.
        shape: of the cross-section, a key of `terms.toml`.
        material: of the pipe, a key of `terms.toml`.
        films: names of the film's files.
        video_reference: name under which the film is stored.
        frame_rate: whole frames per second in its time codes; None if unknown.
        remark: any text.
        en13508: whether the codes are those of EN 13508-2.
        digest: digest of the video; no format holds it.
        observations: in the order of the file.
    """

    name: str
    lateral: bool = False
    direction: Direction = ""
    upstream: str = ""
    downstream: str = ""
    date: str = ""
    time: str = ""
    inspector: str = ""
    client: str = ""
    job: str = ""
    street: str = ""
    weather: str = ""
    length_m: float | None = None
    height_mm: int | None = None
    width_mm: int | None = None
    shape: str = ""
    material: str = ""
    films: tuple[str, ...] = ()
    video_reference: str = ""
    frame_rate: int | None = None
    remark: str = ""
    en13508: bool = True
    digest: str = field(default="", compare=False)
    observations: tuple[Observation, ...] = ()

    @property
    def is_undecided(self) -> bool:
        """Whether `urbanpipe export` wrote it with proposals, without a full review, or without some defects."""
        marked = PROPOSAL in self.remark or LEFT_OUT in self.remark
        return marked or any(row.is_undecided for row in self.observations)


class CodedFile(NamedTuple):
    """The content of an exchange file.

    Attributes:
        inspections: inspections of pipes, in the order of the file.
        notes: what was not read, one line each.
    """

    inspections: tuple[CodedInspection, ...]
    notes: tuple[str, ...] = ()
