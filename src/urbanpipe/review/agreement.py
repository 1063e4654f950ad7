"""How far people and the software agree, on videos that were reviewed in full."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from scipy.stats import beta

from urbanpipe.contracts.findings import Inspection
from urbanpipe.errors import InspectionError
from urbanpipe.review.desk import ReviewDesk
from urbanpipe.review.queue import Filter, queue_page
from urbanpipe.review_store.control_share import is_control
from urbanpipe.review_store.decision import DATA_KEY, REVIEW_KEY, Status
from urbanpipe.review_store.store import Recorded

BINS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_UNDECIDED = (Status.unsure, Status.second_opinion)


@dataclass(frozen=True)
class ReviewedClass:
    """A class of a video: what the software said, and what a person found.

    Attributes:
        video: digest of the video.
        bundle: digest of the bundle.
        code: the class.
        probability: probability that the software gave.
        triage: what the software proposed: `accept`, `review` or `reject`.
        confirmed: whether a person accepted the class anywhere in the video.
        control: whether the video belongs to the control share.
    """

    video: str
    bundle: str
    code: str
    probability: float
    triage: str
    confirmed: bool
    control: bool


def agreement(desk: ReviewDesk) -> dict[str, Any]:
    """Return the figures of the agreement page, as plain values; shares are in [0, 1], None without cases."""
    statuses = desk.store.statuses()
    reviewed = {video for video, status in statuses.items() if status.reviewed}
    inspections = list(_inspections(desk, reviewed))
    items: defaultdict[str, dict[str, Recorded]] = defaultdict(dict)
    for row in desk.store.all_items():
        if row.video in reviewed:
            items[row.video][row.item] = row
    cases = [case for one in inspections for case in reviewed_classes(one, items[one.video.digest])]
    calibrated = all(one.bundle.calibrated for one in inspections)
    bounds = [one.bundle.miss_bound for one in inspections if one.bundle.miss_bound is not None]
    return {
        "videos": sum(queue_page(desk.index, Filter(), limit=1).counts.values()),
        "reviewed": len(inspections),
        "control": sum(is_control(one.video.digest) for one in inspections),
        "calibrated": calibrated,
        "classes": [_of_class(code, group) for code, group in _grouped(cases, "code").items()],
        "bins": [_bin(low, high, cases) for low, high in pairwise(BINS)],
        "missed": missed([case for case in cases if case.control]) | {"bound": max(bounds, default=None)},
        "bundles": [_of_bundle(name, group) for name, group in _by_bundle(cases, inspections).items()],
        "seconds": _seconds(desk, reviewed),
    }


def reviewed_classes(inspection: Inspection, items: Mapping[str, Recorded]) -> list[ReviewedClass]:
    """Return a case per class of a video that was reviewed in full; unsure classes are left out."""
    states = [row.after for key, row in items.items() if key not in (REVIEW_KEY, DATA_KEY) and row.after]
    confirmed = {state["code"] for state in states if state["status"] == Status.accepted}
    unsure = {state["code"] for state in states if state["status"] in _UNDECIDED} - confirmed
    digest = inspection.video.digest
    return [
        ReviewedClass(
            video=digest,
            bundle=inspection.bundle.digest,
            code=one.code,
            probability=one.probability,
            triage=one.triage,
            confirmed=one.code in confirmed,
            control=is_control(digest),
        )
        for one in inspection.findings
        if one.code != inspection.exclusive and one.code not in unsure
    ]


def missed(cases: Sequence[ReviewedClass]) -> dict[str, Any]:
    """Return how many confirmed classes the software rejected, with an exact 95 % interval (Clopper and Pearson)."""
    confirmed = [case for case in cases if case.confirmed]
    number = sum(case.triage == "reject" for case in confirmed)
    total = len(confirmed)
    low = float(beta.ppf(0.025, number, total - number + 1)) if number else 0.0
    high = float(beta.ppf(0.975, number + 1, total - number)) if number < total else 1.0
    return {"missed": number, "defects": total, "share": number / total if total else None, "low": low, "high": high}


def _inspections(desk: ReviewDesk, reviewed: Iterable[str]) -> Iterable[Inspection]:
    for video in sorted(reviewed):
        folder = desk.index.folder_of(video)
        try:
            if folder is not None:
                yield desk.open(folder).inspection
        except InspectionError:
            continue


def _grouped(cases: Iterable[ReviewedClass], name: str) -> dict[str, list[ReviewedClass]]:
    groups: defaultdict[str, list[ReviewedClass]] = defaultdict(list)
    for case in cases:
        groups[getattr(case, name)].append(case)
    return groups


def _by_bundle(cases: Iterable[ReviewedClass], inspections: Sequence[Inspection]) -> dict[str, list[ReviewedClass]]:
    names = {one.bundle.digest: one.bundle.name for one in inspections}
    return {f"{names[digest]} ({digest[:8]})": group for digest, group in _grouped(cases, "bundle").items()}


def _share(cases: Sequence[ReviewedClass]) -> float | None:
    return sum(case.confirmed for case in cases) / len(cases) if cases else None


def _of_class(code: str, cases: Sequence[ReviewedClass]) -> dict[str, Any]:
    proposed = [case for case in cases if case.triage != "reject"]
    confirmed = [case for case in cases if case.confirmed]
    return {
        "code": code,
        "proposed": len(proposed),
        "confirmed": len(confirmed),
        "added": sum(case.triage == "reject" for case in confirmed),
        "precision": _share(proposed),
        "precision_of_accept": _share([case for case in cases if case.triage == "accept"]),
        "recall": sum(case.triage != "reject" for case in confirmed) / len(confirmed) if confirmed else None,
    }


def _of_bundle(name: str, cases: Sequence[ReviewedClass]) -> dict[str, Any]:
    accepted = [case for case in cases if case.triage == "accept"]
    confirmed = [case for case in cases if case.confirmed]
    return {
        "name": name,
        "videos": len({case.video for case in cases}),
        "precision_of_accept": _share(accepted),
        "recall": sum(case.triage != "reject" for case in confirmed) / len(confirmed) if confirmed else None,
        "mean_probability": sum(case.probability for case in cases) / len(cases) if cases else None,
        "share": _share(cases),
    }


def _bin(low: float, high: float, cases: Iterable[ReviewedClass]) -> dict[str, Any]:
    inside = [case for case in cases if low <= case.probability < high or case.probability == high == 1]
    mean = sum(case.probability for case in inside) / len(inside) if inside else None
    return {"low": low, "high": high, "number": len(inside), "mean": mean, "share": _share(inside)}


def _seconds(desk: ReviewDesk, reviewed: Iterable[str]) -> dict[str, Any]:
    """Return the median time that a person spent on a video: the longest time of each visit to its page, added."""
    visits = desk.store.visit_seconds()
    times = [visits[video] for video in reviewed if video in visits]
    return {"number": len(times), "median": median(times) if times else None}
