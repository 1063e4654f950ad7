"""Occurrences with their evidence, from scores over time and buffered pictures."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from urbanpipe.contracts.findings import Evidence, Occurrence
from urbanpipe.decision.localization import MomentsConfig
from urbanpipe.evaluation.peaks import peaks, suppressed
from urbanpipe.explain.explain import frame_maps
from urbanpipe.explain.heat import Maps
from urbanpipe.explain.network import Explained
from urbanpipe.inference.members import Member
from urbanpipe.inference.torch_runtime import TorchRuntime
from urbanpipe.inspection.distance import Distance, DistanceReader
from urbanpipe.inspection.evidence_buffer import Candidate, EvidenceBuffer, Still
from urbanpipe.models.device import images_to
from urbanpipe.models.layers import choose_layer, layout_of, noise
from urbanpipe.taxonomy import Taxonomy

MIN_SHARE = 0.5  # share of the class's highest peak that a peak must reach to become an occurrence
MAX_OCCURRENCES = 5  # per class
MAX_STILLS = 2  # per occurrence
CLOSE_SECONDS = 3.0  # pictures this close to a moment are preferred to others of its interval
HEAT_HEIGHT = 120  # height in pixels of the overlay for a frame
_COLOURS = colormaps["inferno"]
_OPAQUE = 0.7  # opacity at the hottest point

Pictures = dict[str, bytes]
"""Files by name: JPEG of frames, PNG of heat."""


@dataclass(frozen=True)
class Interval:
    """A peak of a class's score, and the interval around it in which the score stays above half of it."""

    seconds: float
    begin: float
    end: float
    score: float


def intervals(
    times: NDArray[np.float64], scores: NDArray[np.float64], config: MomentsConfig, most: int = MAX_OCCURRENCES
) -> list[Interval]:
    """Return the moments of a class, in order of time: its highest peak, and others at least half as high.

    Args:
        times: times of the segments, ascending, (m,) seconds.
        scores: smoothed scores of the class, (m,).
        config: minimum score, minimum distance and maximum number of peaks.
        most: additional upper bound on the number of peaks.
    """
    when, heights = peaks(times, scores, config.min_score)
    kept = suppressed(when, heights, config.apart_seconds, min(config.max_moments, most))
    if not kept:
        return []
    highest = max(heights[row] for row in kept)
    tops = sorted(int(np.abs(times - when[r]).argmin()) for r in kept if heights[r] >= MIN_SHARE * highest)
    valleys = [a + int(scores[a : b + 1].argmin()) for a, b in pairwise(tops)]
    bounds = zip([0, *valleys], tops, [*valleys, len(times) - 1], strict=True)
    return [_interval(times, scores, *bound) for bound in bounds]


def _interval(times: NDArray[np.float64], scores: NDArray[np.float64], first: int, peak: int, last: int) -> Interval:
    """Return the interval around a peak; `first` and `last` are the minima between it and the neighbouring peaks."""
    low = np.flatnonzero(scores < scores[peak] / 2)
    before, after = low[low < peak], low[low > peak]
    begin = max(first, int(before[-1]) + 1 if len(before) else 0)
    end = min(last, int(after[0]) - 1 if len(after) else len(times) - 1)
    return Interval(float(times[peak]), float(times[begin]), float(times[end]), float(scores[peak]))


class EvidenceMaker:
    """Makes the pictures of the evidence for a class: Grad-CAM of the buffered frames.

    Args:
        member: member whose first network is used.
        taxonomy: the classes.
        device: device of the network.
        distance: reader of the on-screen distance; None skips it.
    """

    def __init__(
        self, member: Member, taxonomy: Taxonomy, device: torch.device, distance: DistanceReader | None = None
    ) -> None:
        self.taxonomy, self.device, self.distance = taxonomy, device, distance
        self._read: dict[Still, Distance | None] = {}
        self._channels_last = member.recipe.training.channels_last
        runtime, config = member.runtimes[0], member.recipe.input
        self.loaded: Explained | None = None
        if isinstance(runtime, TorchRuntime):  # heat maps need gradients, which only torch provides
            network = runtime.network
            self.loaded = Explained(member.recipe, taxonomy, network, None, ())
            self.layout = layout_of(network.backbone.net, config.backbone_size)
            self.layer = choose_layer(network, self.layout, self._placed(noise(config)), None, config.tile_grid)

    def occurrences(
        self, label: int, moments: Sequence[Interval], candidates: EvidenceBuffer, pictures: Pictures
    ) -> list[Occurrence]:
        """Return the occurrences of a class at its moments, with buffered pictures, and add these to `pictures`."""
        chosen = [
            _nearest_first(candidates.between(label, moment.begin, moment.end), moment)[:MAX_STILLS]
            for moment in moments
        ]
        distinct = dict.fromkeys(candidate for group in chosen for candidate in group)
        hot = {id(candidate): self._maps(candidate, label) for candidate in distinct}
        highest = max((float(maps.max()) for maps in hot.values()), default=0.0)
        result = []
        for number, (moment, shown) in enumerate(zip(moments, chosen, strict=True), 1):
            name = f"{self._name(label)}-{number}"
            evidence = [
                self._evidence(
                    candidate, label, hot[id(candidate)], highest=highest, name=f"{name}{letter}", pictures=pictures
                )
                for candidate, letter in zip(shown, "abcdefgh", strict=False)
            ]
            result.append(
                Occurrence(
                    seconds=round(moment.seconds, 3),
                    begin_seconds=round(moment.begin, 3),
                    end_seconds=round(moment.end, 3),
                    score=round(moment.score, 6),
                    evidence=tuple(evidence),
                )
            )
        return result

    def whole(self, label: int, score: float, candidates: EvidenceBuffer, pictures: Pictures) -> list[Occurrence]:
        """Return the occurrence of a class in a video of one segment, at the frame with the strongest evidence."""
        best = candidates.between(label, -np.inf, np.inf)[:1]
        if not best:
            return []
        maps = self._maps(best[0], label)
        shown = self._evidence(
            best[0], label, maps, highest=float(maps.max()), name=f"{self._name(label)}-1a", pictures=pictures
        )
        at = shown.seconds
        return [Occurrence(seconds=at, begin_seconds=at, end_seconds=at, score=round(score, 6), evidence=(shown,))]

    def forget(self) -> None:
        """Forget the distances that were read in frames of the previous video."""
        self._read.clear()

    def _name(self, label: int) -> str:
        return f"class{label:02d}"

    def _distance(self, still: Still) -> Distance | None:
        """Return the distance in a frame; it is read only once, because several classes may share the frame."""
        if self.distance is None or still.region is None:
            return None
        if still not in self._read:
            self._read[still] = self.distance.read(still.region)
        return self._read[still]

    def _maps(self, candidate: Candidate, label: int) -> Maps:
        """Return raw maps (k, h, w) of the candidate's frames that are not padding; zeros without gradients."""
        if self.loaded is None:
            return np.zeros((candidate.real, 1, 1), np.float32)
        return frame_maps(
            self.loaded,
            self.layer,
            self.layout,
            image=self._placed(torch.from_numpy(candidate.image)),
            real=candidate.real,
            index=label,
        )

    def _placed(self, image: Tensor) -> Tensor:
        return images_to(image, self.device, self._channels_last)

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


def _nearest_first(candidates: Sequence[Candidate], moment: Interval) -> list[Candidate]:
    """Return the candidates close to the moment, the best first, then the others, the nearest first."""
    return sorted(candidates, key=lambda item: max(0.0, abs(item.seconds - moment.seconds) - CLOSE_SECONDS))


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
    plane = torch.from_numpy(heat)[None, None]
    smooth = interpolate(plane, size=(HEAT_HEIGHT, width), mode="bicubic", align_corners=False)[0, 0]
    strength = smooth.clamp(0, 1).numpy()
    pixels = (_COLOURS(0.35 + 0.6 * strength) * 255).astype(np.uint8)
    pixels[..., 3] = (strength * 255 * _OPAQUE).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).quantize(64, Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
