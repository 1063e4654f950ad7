"""Occurrences with their evidence, from scores over time and buffered pictures."""

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from urbanpipe.contracts.findings import Evidence, Occurrence
from urbanpipe.inputs.frame_maps import Maps
from urbanpipe.inspection.evidence_buffer import Candidate, EvidenceBuffer, Peak, Still
from urbanpipe.inspection.heat_maker import HeatMaker
from urbanpipe.inspection.intervals import Interval, merged
from urbanpipe.inspection.same_view import same_view
from urbanpipe.inspection.screen_text.distance import Distance, DistanceReader

SAME_METRES = 0.1  # on-screen distances this close are one place
HEAT_HEIGHT = 120  # height in pixels of the overlay for a frame
_OPAQUE = 0.7  # opacity at the hottest point

Pictures = dict[str, bytes]
"""Files by name: JPEG of frames, PNG of heat."""


class EvidenceMaker:
    """Makes the pictures of the evidence for a class: heat maps of the buffered frames.

    Args:
        heat: computes the maps.
        distance: reader of the on-screen distance; None skips it.
    """

    def __init__(self, heat: HeatMaker, distance: DistanceReader | None = None) -> None:
        self.heat, self.distance = heat, distance
        self._read: dict[Still, Distance | None] = {}

    def occurrences(
        self, label: int, moments: Sequence[Interval], candidates: EvidenceBuffer, pictures: Pictures
    ) -> list[Occurrence]:
        """Return the occurrences of a class at its moments, with buffered pictures, and add these to `pictures`.

        Neighbouring moments that show the same place are one occurrence. The moment of an occurrence is the time of its
        first picture.
        """
        near = {m.seconds: candidates.nearest(label, m.seconds, m.begin, m.end) for m in moments}
        single = merged(moments, lambda one, other: self._same_place(near[one.seconds], near[other.seconds]))
        shown = [_pictures(moment, near[moment.seconds]) for moment in single]
        distinct = dict.fromkeys(candidate for group in shown for candidate in group)
        hot = {candidate: self._maps(candidate, label) for candidate in distinct}
        highest = max((float(maps.max()) for maps in hot.values()), default=0.0)
        result = []
        for number, (moment, group) in enumerate(zip(single, shown, strict=True), 1):
            evidence = [
                self._evidence(
                    candidate,
                    label,
                    hot[candidate],
                    highest=highest,
                    name=f"{self._name(label)}-{number}{letter}",
                    pictures=pictures,
                )
                for candidate, letter in zip(group, "ab", strict=False)
            ]
            result.append(_occurrence(moment, near[moment.seconds], evidence))
        return result

    def whole(self, label: int, score: float, candidates: EvidenceBuffer, pictures: Pictures) -> list[Occurrence]:
        """Return the occurrence of a class in a video of one segment, at the frame with the strongest evidence."""
        peak = candidates.nearest(label, 0.0, 0.0, 0.0)
        if peak is None:
            return []
        best = peak.pictures[0]
        maps = self._maps(best, label)
        shown = self._evidence(
            best, label, maps, highest=float(maps.max()), name=f"{self._name(label)}-1a", pictures=pictures
        )
        at = shown.seconds
        return [Occurrence(seconds=at, begin_seconds=at, end_seconds=at, score=round(score, 6), evidence=(shown,))]

    def forget(self) -> None:
        """Forget distances and maps of frames of the previous video."""
        self._read.clear()
        self.heat.forget()

    def _name(self, label: int) -> str:
        return f"class{label:02d}"

    def _distance(self, still: Still) -> Distance | None:
        """Return the distance in a frame; it is read only once, because several classes may share the frame."""
        if self.distance is None or still.region is None:
            return None
        if still not in self._read:
            self._read[still] = self.distance.read(still.region)
        return self._read[still]

    def _same_place(self, one: Peak | None, other: Peak | None) -> bool:
        """Return whether two peaks show one place: at one distance if both distances are known, else in one view."""
        if one is None or other is None or one is other:
            return False
        stills = [peak.pictures[0].stills[len(peak.pictures[0].stills) // 2] for peak in (one, other)]
        first, second = (self._distance(still) for still in stills)
        if first and second:
            return abs(first.metres - second.metres) <= SAME_METRES
        return same_view(stills[0].jpeg, stills[1].jpeg)

    def _maps(self, candidate: Candidate, label: int) -> Maps:
        """Return raw maps (k, h, w) of the candidate's frames that are not padding."""
        return self.heat.maps(candidate.image, candidate.real, label)

    def _evidence(
        self, candidate: Candidate, label: int, maps: Maps, *, highest: float, name: str, pictures: Pictures
    ) -> Evidence:
        still, heat = _hottest(candidate, maps)
        picture = f"frame-{still.frame:06d}.jpg"  # several classes may share it
        pictures[picture] = still.jpeg
        if highest > 0 and heat.max() > 0:
            pictures[f"{name}.heat.png"] = heat_picture(heat / highest, still.jpeg)
        read = self._distance(still)
        return Evidence(
            seconds=round(still.seconds, 3),
            frame=still.frame,
            score=round(float(candidate.scores[label]), 6),
            picture=picture,
            heat=f"{name}.heat.png" if f"{name}.heat.png" in pictures else None,
            hottest=_place(heat) if heat.max() > 0 else None,
            distance_text=read.text if read else "",
            distance_metres=read.metres if read else None,
        )


def _pictures(moment: Interval, peak: Peak | None) -> tuple[Candidate, ...]:
    """Return the pictures of a moment: the best one, and a second one if it is inside the interval."""
    if peak is None:
        return ()
    first, *others = peak.pictures
    return (first, *(other for other in others if moment.begin <= other.seconds <= moment.end))


def _occurrence(moment: Interval, peak: Peak | None, evidence: Sequence[Evidence]) -> Occurrence:
    """Return the occurrence of a moment, at the time of its first picture if that belongs to a peak in the interval."""
    if peak and moment.begin <= peak.seconds <= moment.end:
        moment = moment.at(evidence[0].seconds)
    return Occurrence(
        seconds=round(moment.seconds, 3),
        begin_seconds=round(moment.begin, 3),
        end_seconds=round(moment.end, 3),
        score=round(moment.score, 6),
        evidence=tuple(evidence),
    )


def _hottest(candidate: Candidate, maps: Maps) -> tuple[Still, Maps]:
    """Return the candidate's frame with the strongest evidence for the class, and its map (h, w)."""
    return max(((still, maps[still.offset]) for still in candidate.stills), key=lambda pair: float(pair[1].max()))


def _place(heat: Maps) -> tuple[float, float]:
    """Return x and y of the maximum as shares of width and height."""
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return round((float(column) + 0.5) / heat.shape[1], 4), round((float(row) + 0.5) / heat.shape[0], 4)


def heat_picture(heat: Maps, jpeg: bytes) -> bytes:
    """Return a PNG with an alpha channel, with the aspect ratio of the frame: warmer and more opaque for more heat.

    Args:
        heat: (h, w) in [0, 1].
        jpeg: the frame.
    """
    with Image.open(io.BytesIO(jpeg)) as frame:
        width = max(1, round(HEAT_HEIGHT * frame.width / frame.height))
    strength = cv2.resize(heat, (width, HEAT_HEIGHT), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    colours = cv2.applyColorMap(((0.35 + 0.6 * strength) * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    pixels = np.dstack([colours[..., ::-1], (strength * 255 * _OPAQUE).astype(np.uint8)])
    buffer = io.BytesIO()
    Image.fromarray(pixels).quantize(64, Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
