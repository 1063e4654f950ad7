"""Findings of an inspected video, as types and as readable JSON files.

Lists, indexes and exports read `findings.json`; reports also draw `timeline.json` beside it. Both hold what the
software proposes; the decisions of people are stored elsewhere.
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
FAILURES = "failures.csv"
"""Beside the inspections: the videos that could not be inspected, and why."""
UNLIKELY = 0.095
"""Probabilities below are shown as less than 10 %."""
TriageDecision = Literal["accept", "review", "reject"]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_AGAIN = "make it again with `urbanpipe inspect`"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Evidence(_Part):
    """A frame that supports a finding.

    Attributes:
        seconds: time of the frame after the first frame.
        frame: frame number, from 0.
        score: score of the class for the segment of this frame, in [0, 1], not calibrated.
        picture: JPEG file in the inspection's folder.
        heat: PNG file in the same folder, an overlay for the whole picture with an alpha channel: Grad-CAM, warmer and
            more opaque where more evidence for the class lies; None where there is none.
        hottest: x and y of the maximum of the heat map, as shares of width and height from the left and the top.
        distance_text: the on-screen distance as it was read; empty where it was not requested or could not be read.
        distance_metres: the same as a number.
        player_seconds: where a player must seek to show the frame: its middle on the clock of the file, which need not
            begin with the first frame; None if unknown.
    """

    seconds: Seconds
    frame: int = Field(ge=0)
    score: Share
    picture: str
    heat: str | None = None
    hottest: tuple[Share, Share] | None = None
    distance_text: str = ""
    distance_metres: FiniteFloat | None = None
    player_seconds: Seconds | None = None


class Occurrence(_Part):
    """A place at which a class is visible: first, best and last time.

    Attributes:
        seconds: best time, that of the first frame of the evidence, which has the highest score near the peak; where
            there is no such frame, the time of the peak.
        begin_seconds: begin of the interval around the peak in which the score stays near it. Neighbouring peaks that
            show one place share an interval.
        end_seconds: end of this interval.
        score: peak score of the class, smoothed over time, in [0, 1], not calibrated.
        evidence: frames of this interval, the best one first; may be empty.
        player_seconds: best time on the clock of the file; None if unknown.
    """

    seconds: Seconds
    begin_seconds: Seconds
    end_seconds: Seconds
    score: Share
    evidence: tuple[Evidence, ...] = ()
    player_seconds: Seconds | None = None


class Finding(_Part):
    """The result for one class.

    Attributes:
        code: class code.
        en: English name.
        zh: Chinese name; may be empty.
        kind: `normal`, `structural`, `functional` or empty.
        probability: probability that the video shows the class; calibrated where the bundle is.
        score: score of the networks before calibration.
        triage: proposal to a person: `accept`, `review` or `reject`. A class without training examples is rejected, and
            a remark says so.
        occurrences: ordered by time; empty for a rejected class and for the one that means "nothing wrong". Where the
            networks score a video as one segment, the single frame with the strongest evidence for the class.
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
        """Whether the class needs review only because of the bound on missed defects."""
        return self.triage == "review" and self.probability < UNLIKELY


class Timeline(_Part):
    """Scores over time.

    Attributes:
        seconds: middle of every segment (frame or clip), ascending, (m,).
        codes: class codes, (C,).
        scores: (m, C) in [0, 1], smoothed like those of the occurrences, not calibrated.
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
        name: file name.
        path: absolute path at the time of the inspection.
        relative: path relative to the inspection's folder, with forward slashes; empty where there is no such path.
        digest: BLAKE2b-128 of the file, as in a catalog.
        duration_seconds: from the first frame to the end of the last.
        frame_count: number of frames.
        width: in pixels, as displayed.
        height: in pixels, as displayed.
        frame_rate: mean, in frames per second.
        player_anchors: pairs of seconds after the first frame and seconds on the clock of the file, ascending by the
            former; from one pair to the next, both run alike. Empty if they are the same.
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
    player_anchors: tuple[tuple[Seconds, Seconds], ...] = ()


class BundleFacts(_Part):
    """The bundle that was used.

    Attributes:
        name: name of the bundle.
        digest: digest of its manifest, which holds the digests of all its files.
        taxonomy: name of the taxonomy.
        demonstration: whether it was trained on simulated videos for a demonstration and must not be relied on.
        calibrated: whether probabilities were calibrated on videos that the networks were not trained on.
        miss_bound: largest allowed share of true defects that end in `reject`; None where nothing was calibrated.
    """

    name: str
    digest: str
    taxonomy: str
    demonstration: bool
    calibrated: bool
    miss_bound: Share | None = None


class Remark(_Part):
    """A note that a person must read before they trust the findings of this video.

    Attributes:
        kind: `out_of_distribution` (unlike the videos that the networks were trained on), `dark`, `short`, `damaged`,
            `cut` (ends earlier than its container says), `size` (the picture's size changes in mid-file), or `other`.
        text: one sentence in English.
        key: key of the sentence in `remarks.toml`, which has the other languages; empty where it is not listed there.
        values: values of the placeholders of the sentence.
    """

    kind: Literal["out_of_distribution", "dark", "short", "damaged", "cut", "size", "other"]
    text: str
    key: str = ""
    values: dict[str, str] = Field(default_factory=dict)


class Inspection(_Part):
    """All findings of a video.

    Attributes:
        format: format of the file.
        video: the inspected file.
        bundle: the bundle that was used.
        distance_region: left, top, width and height, as shares of the picture, of the region in which the distance was
            read; None where it was not read.
        distance_region_search: whether that region was looked for in this video, and not given.
        exclusive: code of the class that means "nothing wrong"; None where the taxonomy has none.
        findings: one per class, in the order of the taxonomy.
        timed: whether scores over time exist; False where the networks score a video as one segment.
        timeline: the scores over time, stored in a separate file; None where they do not exist or were not read.
        remarks: what a person must know besides the findings.
        made_at: time of the inspection, ISO 8601 with the time zone.
    """

    format: Literal["urbanpipe findings 2"] = FORMAT
    video: VideoFacts
    bundle: BundleFacts
    distance_region: tuple[Share, Share, Share, Share] | None = None
    distance_region_search: bool = False
    exclusive: str | None
    findings: tuple[Finding, ...]
    timed: bool = False
    timeline: Timeline | None = Field(default=None, exclude=True)
    remarks: tuple[Remark, ...] = ()
    made_at: str

    @property
    def defects(self) -> tuple[Finding, ...]:
        """Defects to accept or to review: accepted ones first, then by descending probability."""
        shown = [item for item in self.findings if item.triage != "reject" and item.code != self.exclusive]
        return tuple(sorted(shown, key=lambda item: (item.triage != "accept", -item.probability)))


def write_inspection(inspection: Inspection, folder: Path) -> Path:
    """Write `timeline.json` (if the inspection holds its timeline) and then `findings.json`; return the latter.

    Raises:
        OutputError: a file cannot be written.
    """
    if inspection.timeline is not None:
        write_text(folder / TIMELINE, inspection.timeline.model_dump_json() + "\n")
    path = folder / FINDINGS
    write_text(path, inspection.model_dump_json(indent=1) + "\n")
    return path


def read_inspection(folder: Path | str) -> Inspection:
    """Read `findings.json`. `read_timeline` reads the timeline, which is larger.

    Raises:
        InspectionError: the file is missing, damaged, or of another format.
    """
    path = Path(folder) / FINDINGS
    table = _read_json(path)
    if isinstance(table, dict) and table.get("format") != FORMAT:
        raise InspectionError(
            f"{path} has the format {str(table.get('format'))[:80]!r} and this version reads {FORMAT!r}; {_AGAIN}"
        )
    try:
        return Inspection.model_validate(table)
    except ValidationError as error:
        raise InspectionError(f"{path} is damaged: {complaint(error)}; {_AGAIN}") from error


def read_timeline(folder: Path | str) -> Timeline:
    """Read `timeline.json`.

    Raises:
        InspectionError: the file is missing or damaged.
    """
    path = Path(folder) / TIMELINE
    try:
        return Timeline.model_validate(_read_json(path))
    except ValidationError as error:
        raise InspectionError(f"{path} is damaged: {complaint(error)}; {_AGAIN}") from error


def _read_json(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8")
        table: object = json.loads(text)
        json.dumps(table if "\\u" in text else None, ensure_ascii=False).encode()  # nothing can show half a character
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InspectionError(f"cannot read {path}: {reason}; {_AGAIN}") from error
    except (ValueError, RecursionError) as error:
        raise InspectionError(f"{path} is damaged: {error}; {_AGAIN}") from error
    return table


def inspection_folders(out: Path) -> list[Path]:
    """Return the folders of all inspections in an output folder of `inspect`, or the folder itself if it is one.

    Raises:
        InspectionError: the folder holds no inspection.
    """
    if (out / FINDINGS).is_file():
        return [out]
    folders = sorted(path.parent for path in out.glob(f"*/{FINDINGS}"))
    if not folders:
        raise InspectionError(f"{out} holds no inspection; give the --out folder of `urbanpipe inspect`, or an archive")
    return folders
