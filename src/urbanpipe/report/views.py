"""View models of a report page: ready to render, so that the template makes no decisions."""

from dataclasses import dataclass
from pathlib import Path

from urbanpipe.contracts.findings import Evidence, Finding, Inspection, Occurrence
from urbanpipe.report.pictures import Album, thumbnail
from urbanpipe.report.timeline import Lane, lane
from urbanpipe.report.wording import Wording, clock, sureness

LEAD_SECONDS = 2.0
"""The video starts this long before a moment, so that the viewer can anticipate it."""


@dataclass(frozen=True)
class Shot:
    """A frame of an occurrence.

    Attributes:
        at: its time in seconds.
        show: time in seconds at which the player shows the frame.
        seek: time in seconds on the same clock from which the video is played.
        label: class, time, score and distance, as text.
        score: score of the class in that frame.
        distance: on-screen distance; may be empty.
        picture: data URI; None if the picture is lost.
        heat: data URI of the heat map; None if no area supports the class.
        ring: x and y of the hottest point, per cent.
        lost: text in place of a lost picture.
    """

    at: float
    show: float
    seek: float
    label: str
    score: float
    distance: str
    picture: str | None
    heat: str | None
    ring: tuple[float, float] | None
    lost: str


@dataclass(frozen=True)
class MomentView:
    """An occurrence; `id` is its anchor in the page, `shots` are its frames (at least one, maybe without a picture)."""

    id: str
    at: float
    seek: float
    label: str
    shots: tuple[Shot, ...]


@dataclass(frozen=True)
class Item:
    """A shown finding.

    Attributes:
        id: its anchor in the page.
        code: code of the class.
        name: name of the class in the language of the report.
        kind: kind of the class in the language of the report.
        triage: `accept` or `review`.
        unlikely: whether it needs review only because of the bound on missed defects.
        probability: probability as text.
        share: probability in per cent, the length of its bar.
        meaning: meaning of the probability, in plain words.
        moments: its occurrences in order of time.
        best: index of the one with the highest score; None if there are none.
        thumbnail: data URI of its first readable picture.
        lane: its curve, intervals and marks.
    """

    id: str
    code: str
    name: str
    kind: str
    triage: str
    unlikely: bool
    probability: str
    share: float
    meaning: str
    moments: tuple[MomentView, ...]
    best: int | None
    thumbnail: str | None
    lane: Lane


@dataclass(frozen=True)
class Builder:
    """Builds the views of an inspection; see `item`."""

    inspection: Inspection
    folder: Path
    album: Album
    t: Wording
    span: float

    def item(self, place: int, finding: Finding) -> Item:
        """Return the view of the finding that is shown at `place`, counted from 1."""
        calibrated = self.inspection.bundle.calibrated
        best = max(finding.occurrences, key=lambda one: one.score, default=None)
        moments = tuple(self._moment(f"f{place}-{n}", finding, one) for n, one in enumerate(finding.occurrences, 1))
        return Item(
            id=f"f{place}",
            code=finding.code,
            name=self.t.name(finding),
            kind=self.t.kind(finding.kind),
            triage=finding.triage,
            unlikely=finding.unlikely,
            probability=sureness(finding.probability, calibrated),
            share=round(100 * finding.probability, 1),
            meaning=self.t.meaning(finding.probability, calibrated),
            moments=moments,
            best=None if best is None else finding.occurrences.index(best),
            thumbnail=self._thumbnail(finding),
            lane=lane(self.inspection, finding, self.span),
        )

    def _thumbnail(self, finding: Finding) -> str | None:
        ranked = sorted(finding.occurrences, key=lambda one: -one.score)
        names = [occurrence.evidence[0].picture for occurrence in ranked if occurrence.evidence]
        return next((uri for name in names if (uri := thumbnail(self.folder, name))), None)

    def _moment(self, anchor: str, finding: Finding, occurrence: Occurrence) -> MomentView:
        shots = tuple(self._shot(finding, one) for one in occurrence.evidence)
        label = self._label(finding, occurrence.seconds, occurrence.score, shots[0].distance if shots else "")
        show = occurrence.seconds if occurrence.player_seconds is None else occurrence.player_seconds
        seek = self._before(show)
        if not shots:
            unseen = self.t("lost_none")
            shots = (Shot(occurrence.seconds, show, seek, label, occurrence.score, "", None, None, None, unseen),)
        return MomentView(anchor, occurrence.seconds, seek, label, shots)

    def _shot(self, finding: Finding, evidence: Evidence) -> Shot:
        picture = self.album.uris.get(evidence.picture)
        why = self.album.lost.get(evidence.picture)
        distance = evidence.distance_text
        if not distance and evidence.distance_metres is not None:
            distance = f"{evidence.distance_metres:.2f} m"
        show = evidence.seconds if evidence.player_seconds is None else evidence.player_seconds
        return Shot(
            at=evidence.seconds,
            show=show,
            seek=self._before(show),
            label=self._label(finding, evidence.seconds, evidence.score, distance),
            score=evidence.score,
            distance=distance,
            picture=picture,
            heat=self.album.uris.get(evidence.heat) if picture and evidence.heat else None,
            ring=None if evidence.hottest is None else (100 * evidence.hottest[0], 100 * evidence.hottest[1]),
            lost=self.t(f"lost_{why}", picture=evidence.picture) if why else "",
        )

    def _before(self, show: float) -> float:
        """Return the time from which a moment is played, not before the first frame."""
        anchors = self.inspection.video.player_anchors
        first = anchors[0][1] if anchors else 0.0
        return round(max(first, show - LEAD_SECONDS), 3)

    def _label(self, finding: Finding, seconds: float, score: float, distance: str) -> str:
        name = f"{finding.code} {self.t.name(finding)}"
        parts = [name, clock(seconds, tenths=True), self.t("score_is", score=f"{score:.2f}")]
        return " · ".join([*parts, distance] if distance else parts)
