"""What an inspection of a video found: typed, and a JSON file that a person can read.

The file is the only thing that reports and exports read. Probabilities are the machine's; people's decisions are kept
elsewhere.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from urbanpipe.errors import InspectionError
from urbanpipe.outputs import write_text
from urbanpipe.settings import complaint

FORMAT: Literal["urbanpipe inspection 1"] = "urbanpipe inspection 1"
FINDINGS = "findings.json"
UNLIKELY = 0.1
TriageDecision = Literal["accept", "review", "reject"]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


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
        kind: `foreign` (unlike what the networks have trained on), `dark`, `short`, `damaged`, `cut` (ends before its
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
        timeline: scores over time; None where the networks see a video as one segment.
        remarks: what must be known beside them.
        made_at: when, ISO 8601 with the time zone.
    """

    format: Literal["urbanpipe inspection 1"] = FORMAT
    video: VideoFacts
    bundle: BundleFacts
    distance_region: tuple[Share, Share, Share, Share] | None = None
    exclusive: str | None
    findings: tuple[Finding, ...]
    timeline: Timeline | None
    remarks: tuple[Remark, ...] = ()
    made_at: str

    @property
    def defects(self) -> tuple[Finding, ...]:
        """Defects to accept or to look at, accepted ones first, then the most probable."""
        shown = [one for one in self.findings if one.triage != "reject" and one.code != self.exclusive]
        return tuple(sorted(shown, key=lambda one: (one.triage != "accept", -one.probability)))


def write_inspection(inspection: Inspection, folder: Path) -> Path:
    """Write `findings.json` into the inspection's folder.

    Raises:
        OutputError: it cannot be written.
    """
    path = folder / FINDINGS
    write_text(path, inspection.model_dump_json(indent=1) + "\n")
    return path


def read_inspection(folder: Path | str) -> Inspection:
    """Read what `write_inspection` wrote.

    Raises:
        InspectionError: there is none, it is damaged, or of another format.
    """
    path = Path(folder) / FINDINGS
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise InspectionError(f"cannot read {path}: {reason}; make it again with `urbanpipe inspect`") from error
    try:
        return Inspection.model_validate_json(text)
    except ValidationError as error:
        raise InspectionError(
            f"{path} is damaged: {complaint(error)}; make it again with `urbanpipe inspect`"
        ) from error


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
