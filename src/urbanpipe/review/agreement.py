"""How far people and the software agree, on videos that were reviewed in full."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from scipy.stats import beta

from urbanpipe.contracts.findings import Inspection
from urbanpipe.review.queue import Filter, queue_page
from urbanpipe.review.service import ReviewService, predictions_of
from urbanpipe.review_store.control_share import is_control
from urbanpipe.review_store.records import RecordedDecision, StoredPrediction
from urbanpipe.review_store.reviewed import VideoDecisions

BINS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True)
class ReviewedClass:
    """A class of a video: what a bundle said, and what a person found.

    Attributes:
        prediction: what the bundle said.
        confirmed: whether a person accepted the class anywhere in the video.
        control: whether the video belongs to the control share.
    """

    prediction: StoredPrediction
    confirmed: bool
    control: bool

    @property
    def is_proposed(self) -> bool:
        """Whether the software proposed the class."""
        return self.prediction.triage != "reject"


def agreement(service: ReviewService) -> dict[str, Any]:
    """Return the figures of the agreement page, as plain values; shares are in [0, 1], None without cases.

    Classes, calibration and missed defects are those of the inspections in the folder; bundles are compared on the
    videos that they had in common when people reviewed them.
    """
    reviewed = {video for video, status in service.store.statuses().items() if status.reviewed}
    inspections = list(_inspections(service, reviewed))
    last: defaultdict[str, dict[str, RecordedDecision]] = defaultdict(dict)
    for row in service.store.all_items():
        if row.video in reviewed:
            last[row.video][row.item] = row
    decisions = {video: VideoDecisions(items) for video, items in last.items()}
    current = [one for inspection in inspections for one in predictions_of(inspection)]
    cases = reviewed_classes(current, decisions)
    names = {one.code: {"en": one.en, "zh": one.zh or one.en} for item in inspections for one in item.findings}
    bounds = [one.bundle.miss_bound for one in inspections if one.bundle.miss_bound is not None]
    known = {(one.bundle, one.video, one.code): one for one in (*service.store.predictions(), *current)}
    return {
        "videos": sum(queue_page(service.index, Filter(), limit=1).counts.values()),
        "reviewed": len(inspections),
        "control": sum(is_control(one.video.digest) for one in inspections),
        "calibrated": all(one.bundle.calibrated for one in inspections),
        "classes": [names[code] | _of_class(code, group) for code, group in _grouped(cases, "code").items()],
        "bins": [_bin(low, high, cases) for low, high in pairwise(BINS)],
        "missed": missed([case for case in cases if case.control]) | {"bound": max(bounds, default=None)},
        "bundles": [_of_bundle(group) for group in _grouped(_common(known.values(), decisions), "bundle").values()],
        "seconds": _seconds(service, reviewed),
    }


def reviewed_classes(
    predictions: Iterable[StoredPrediction], decisions: Mapping[str, VideoDecisions]
) -> list[ReviewedClass]:
    """Return a case per predicted class of the videos that were reviewed in full; unsure classes are left out."""
    return [
        ReviewedClass(one, one.code in known.present, is_control(one.video))
        for one in predictions
        if (known := decisions.get(one.video)) and known.is_reviewed and one.code not in known.undecided
    ]


def _common(predictions: Collection[StoredPrediction], decisions: Mapping[str, VideoDecisions]) -> list[ReviewedClass]:
    """Return the cases of the videos that all bundles have in common; of all videos where they have none."""
    videos: defaultdict[str, set[str]] = defaultdict(set)
    for one in predictions:
        videos[one.bundle].add(one.video)
    common = set.intersection(*videos.values()) if videos else set()
    return reviewed_classes([one for one in predictions if one.video in common or not common], decisions)


def missed(cases: Sequence[ReviewedClass]) -> dict[str, Any]:
    """Return how many confirmed classes the software rejected, with an exact 95 % interval (Clopper and Pearson)."""
    confirmed = [case for case in cases if case.confirmed]
    number = sum(not case.is_proposed for case in confirmed)
    total = len(confirmed)
    low = float(beta.ppf(0.025, number, total - number + 1)) if number else 0.0
    high = float(beta.ppf(0.975, number + 1, total - number)) if number < total else 1.0
    return {"missed": number, "defects": total, "share": number / total if total else None, "low": low, "high": high}


def _inspections(service: ReviewService, reviewed: Iterable[str]) -> Iterable[Inspection]:
    names = (service.index.folder_of(video) for video in sorted(reviewed))
    for _, inspection in service.source.read(name for name in names if name is not None):
        if isinstance(inspection, Inspection):
            yield inspection


def _grouped(cases: Iterable[ReviewedClass], name: str) -> dict[str, list[ReviewedClass]]:
    groups: defaultdict[str, list[ReviewedClass]] = defaultdict(list)
    for case in cases:
        groups[getattr(case.prediction, name)].append(case)
    return groups


def _share(cases: Sequence[ReviewedClass]) -> float | None:
    return sum(case.confirmed for case in cases) / len(cases) if cases else None


def _recall(cases: Sequence[ReviewedClass]) -> float | None:
    confirmed = [case for case in cases if case.confirmed]
    return sum(case.is_proposed for case in confirmed) / len(confirmed) if confirmed else None


def _precision_of_accept(cases: Sequence[ReviewedClass]) -> float | None:
    return _share([case for case in cases if case.prediction.triage == "accept"])


def _of_class(code: str, cases: Sequence[ReviewedClass]) -> dict[str, Any]:
    proposed = [case for case in cases if case.is_proposed]
    return {
        "code": code,
        "proposed": len(proposed),
        "confirmed": sum(case.confirmed for case in cases),
        "added": sum(case.confirmed and not case.is_proposed for case in cases),
        "precision": _share(proposed),
        "precision_of_accept": _precision_of_accept(cases),
        "recall": _recall(cases),
    }


def _of_bundle(cases: Sequence[ReviewedClass]) -> dict[str, Any]:
    first = cases[0].prediction
    return {
        "name": f"{first.bundle_name} ({first.bundle[:8]})",
        "videos": len({case.prediction.video for case in cases}),
        "precision_of_accept": _precision_of_accept(cases),
        "recall": _recall(cases),
        "mean_probability": sum(case.prediction.probability for case in cases) / len(cases),
        "share": _share(cases),
    }


def _bin(low: float, high: float, cases: Sequence[ReviewedClass]) -> dict[str, Any]:
    inside = [
        case for case in cases if low <= case.prediction.probability < high or high == case.prediction.probability == 1
    ]
    mean = sum(case.prediction.probability for case in inside) / len(inside) if inside else None
    above = [case for case in cases if case.prediction.probability >= low]
    confirmed = sum(case.confirmed for case in cases)
    recall = sum(case.confirmed for case in above) / confirmed if confirmed else None
    return {"low": low, "high": high, "number": len(inside), "mean": mean, "share": _share(inside), "recall": recall}


def _seconds(service: ReviewService, reviewed: Iterable[str]) -> dict[str, Any]:
    """Return the median time that a person spent on a video: the longest time of each visit to its page, added."""
    visits = service.store.visit_seconds()
    times = [visits[video] for video in reviewed if video in visits]
    return {"number": len(times), "median": median(times) if times else None}
