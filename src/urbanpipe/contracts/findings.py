"""What an inspection of a video found: typed, and a JSON file that a person can read.

`findings.json` is what lists, indexes and exports read; `timeline.json` beside it is what a report draws.
Probabilities are the software's; people's decisions are kept elsewhere.
"""

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from urbanpipe.errors import InspectionError
from urbanpipe.outputs import write_text
from urbanpipe.settings import complaint

FORMAT: Literal["urbanpipe findings 2"] = "urbanpipe findings 2"
FINDINGS = "findings.json"
TIMELINE = "timeline.json"
UNLIKELY = 0.1
TriageDecision = Literal["accept", "review", "reject"]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_AGAIN = "make it again with `urbanpipe inspect`"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Evidence(_Part):
    """A frame that shows why.

    Attributes:
        seconds: when it is shown, after the first frame.
        frame: its number, from 0.
        score: of the class in what the network saw there, in [0, 1], not calibrated.
        picture: JPEG file in the inspection's folder.
        heat: PNG file there, with an alpha channel, to be laid over the whole picture: Grad-CAM, warmer and more opaque
            where more speaks for the class; None where nothing does.
        hottest: x and y of its hottest point, shares of width and height from the left and the top.
        distance_text: the on-screen distance as it was read; empty where none was asked for or none could be read.
        distance_metres: the same as a number.
    """

    seconds: Seconds
    frame: int = Field(ge=0)
    score: Share
    picture: str
    heat: str | None = None
    hottest: tuple[Share, Share] | None = None
    distance_text: str = ""
    distance_metres: FiniteFloat | None = None


class Occurrence(_Part):
    """A moment at which a class is to be seen.

    Attributes:
        seconds: when best.
        begin_seconds: of the interval around it in which the score stays above half of its peak.
        end_seconds: likewise.
        score: of the class at the peak, smoothed over time, in [0, 1], not calibrated.
        evidence: frames of that interval, the one with the highest score first; may be empty.
    """

    seconds: Seconds
    begin_seconds: Seconds
    end_seconds: Seconds
    score: Share
    evidence: tuple[Evidence, ...] = ()


class Finding(_Part):
    """What is said of one class.

    Attributes:
        code: of the class.
        en: English name.
        zh: Chinese name; may be empty.
        kind: `normal`, `structural`, `functional` or empty.
        probability: that the video shows the class; calibrated where the bundle could be.
        score: what the networks said before calibration.
        triage: what a person is asked to do: accept it, look at it, or nothing (reject). A class of which the networks
            have had no example is rejected, and a remark says so.
        occurrences: in order of time; none of the class that means "nothing wrong" or of a rejected one. Where the
            networks see a video as one segment, the one frame of it that spoke most for the class.
    """

    code: str
    en: str
    zh: str = ""
    kind: str = ""
    probability: Share
    score: Share
    triage: TriageDecision
    occurrences: tuple[Occurrence, ...] = ()

    @property
    def unlikely(self) -> bool:
        """To look at only because the bound on what may be missed asks for it."""
        return self.triage == "review" and self.probability < UNLIKELY


class Timeline(_Part):
    """Scores over time.

    Attributes:
        seconds: middle of every segment (frame or clip), ascending, (m,).
        codes: of the classes, (C,).
        scores: (m, C) in [0, 1], smoothed as the occurrences' are, not calibrated.
    """

    seconds: tuple[Seconds, ...]
    codes: tuple[str, ...]
    scores: tuple[tuple[Share, ...], ...]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.scores) != len(self.seconds) or any(len(row) != len(self.codes) for row in self.scores):
            raise ValueError(f"scores must be ({len(self.seconds)}, {len(self.codes)})")
        return self


class VideoFacts(_Part):
    """The file that was inspected.

    Attributes:
        name: of the file.
        path: where it was, absolute.
        relative: the same from the inspection's folder, with forward slashes; empty where there is no such path.
        digest: BLAKE2b-128 of the file, as in a catalog.
        duration_seconds: from the first frame to the end of the last.
        frame_count: frames.
        width: in pixels, as displayed.
        height: likewise.
        frame_rate: mean, frames a second.
    """

    name: str
    path: str
    relative: str
    digest: str
    duration_seconds: Seconds
    frame_count: int = Field(ge=1)
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    frame_rate: float = Field(gt=0, allow_inf_nan=False)


class BundleFacts(_Part):
    """What inspected it.

    Attributes:
        name: of the bundle.
        digest: of its manifest, which holds the digests of all its files.
        taxonomy: name of the table of classes.
        demonstration: trained on simulated videos, to show how it works; not to be relied on.
        calibrated: whether probabilities were calibrated on videos that the networks had not seen.
        miss_bound: the wanted share of true defects that at most end in `reject`; None where nothing was calibrated.
    """

    name: str
    digest: str
    taxonomy: str
    demonstration: bool
    calibrated: bool
    miss_bound: Share | None = None


class Remark(_Part):
    """What a person must know of this video before they trust what was found in it.

    Attributes:
        kind: `out_of_distribution` (unlike what the networks have trained on), `dark`, `short`, `damaged`, `cut` (ends before its
            container says), `size` (the picture's size changes in mid-file), or `other`.
        text: one sentence in English.
        key: of the sentence in `remarks.toml`, where other languages have it; empty where they do not.
        values: what is filled into it.
    """

    kind: Literal["out_of_distribution", "dark", "short", "damaged", "cut", "size", "other"]
    text: str
    key: str = ""
    values: dict[str, str] = Field(default_factory=dict)


class Inspection(_Part):
    """All that was found in a video.

    Attributes:
        format: of the file.
        video: the file.
        bundle: what inspected it.
        distance_region: left, top, width and height, in shares of the picture, of where the distance was looked for;
            None where it was not.
        exclusive: code of the class that means "nothing wrong"; None where the taxonomy has none.
        findings: one a class, in the order of the taxonomy.
        timed: whether there are scores over time; not where the networks see a video as one segment.
        timeline: these scores, in a file of their own; None where they do not exist or were not read.
        remarks: what must be known beside them.
        made_at: when, ISO 8601 with the time zone.
    """

    format: Literal["urbanpipe findings 2"] = FORMAT
    video: VideoFacts
    bundle: BundleFacts
    distance_region: tuple[Share, Share, Share, Share] | None = None
    exclusive: str | None
    findings: tuple[Finding, ...]
    timed: bool = False
    timeline: Timeline | None = Field(default=None, exclude=True)
    remarks: tuple[Remark, ...] = ()
    made_at: str

    @property
    def defects(self) -> tuple[Finding, ...]:
        """Defects to accept or to look at, accepted ones first, then the most probable."""
        shown = [one for one in self.findings if one.triage != "reject" and one.code != self.exclusive]
        return tuple(sorted(shown, key=lambda one: (one.triage != "accept", -one.probability)))


def write_inspection(inspection: Inspection, folder: Path) -> Path:
    """Write `timeline.json` (if the inspection holds its timeline) and then `findings.json`; return the latter.

    Raises:
        OutputError: one cannot be written.
    """
    if inspection.timeline is not None:
        write_text(folder / TIMELINE, inspection.timeline.model_dump_json() + "\n")
    path = folder / FINDINGS
    write_text(path, inspection.model_dump_json(indent=1) + "\n")
    return path


def read_inspection(folder: Path | str) -> Inspection:
    """Read `findings.json`, which is small; the timeline is read by `read_timeline`.

    Raises:
        InspectionError: there is none, it is damaged, or of another format.
    """
    path = Path(folder) / FINDINGS
    table = _read_json(path)
    if isinstance(table, dict) and table.get("format") != FORMAT:
        raise InspectionError(
            f"{path} has the format {table.get('format')!r} and this version reads {FORMAT!r}; {_AGAIN}"
        )
    try:
        return Inspection.model_validate(table)
    except ValidationError as error:
        raise InspectionError(f"{path} is damaged: {complaint(error)}; {_AGAIN}") from error


def read_timeline(folder: Path | str) -> Timeline:
    """Read `timeline.json`.

    Raises:
        InspectionError: there is none, or it is damaged.
    """
    path = Path(folder) / TIMELINE
    try:
        return Timeline.model_validate(_read_json(path))
    except ValidationError as error:
        raise InspectionError(f"{path} is damaged: {complaint(error)}; {_AGAIN}") from error


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise InspectionError(f"cannot read {path}: {reason}; {_AGAIN}") from error
    except (ValueError, RecursionError) as error:
        raise InspectionError(f"{path} is damaged: {error}; {_AGAIN}") from error


def inspection_folders(out: Path) -> list[Path]:
    """The folders of all inspections in an output folder of `inspect`, or that folder alone if it is one.

    Raises:
        InspectionError: there are none.
    """
    if (out / FINDINGS).is_file():
        return [out]
    found = sorted(path.parent for path in out.glob(f"*/{FINDINGS}"))
    if not found:
        raise InspectionError(f"{out} holds no inspection; give the --out folder of `urbanpipe inspect`")
    return found
