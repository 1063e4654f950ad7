"""Labels and moments for training, from videos that people reviewed in full."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from urbanpipe.contracts.names import short_hash
from urbanpipe.errors import InspectionError
from urbanpipe.exports.records import InspectionRecord
from urbanpipe.outputs import write_json
from urbanpipe.review_store.control_share import is_control
from urbanpipe.review_store.decision import Status
from urbanpipe.review_store.reviewed import VideoDecisions
from urbanpipe.taxonomy import Taxonomy


@dataclass(frozen=True)
class UsableVideos:
    """Which videos can be trained on.

    Attributes:
        usable: videos that were reviewed in full, of which every class is known.
        control: number of reviewed videos that are kept apart.
        undecided: number of reviewed videos with an unsure class.
        open: number of videos that were not reviewed in full.
    """

    usable: tuple[InspectionRecord, ...]
    control: int
    undecided: int
    open: int

    def lines(self) -> Iterable[str]:
        """Yield what was left out, and why."""
        if self.control:
            yield f"left out: {self.control} of the control share, which is never used for training"
        if self.undecided:
            yield f"left out: {self.undecided} with an unsure class, or one that waits for a second opinion"
        if self.open:
            yield f"left out: {self.open} not reviewed in full"


def reviewed_videos(inspected: Iterable[InspectionRecord]) -> UsableVideos:
    """Return the videos that can be trained on.

    Raises:
        InspectionError: there are none.
    """
    usable, control, undecided, unfinished = [], 0, 0, 0
    for one in inspected:
        decisions = one.decisions or VideoDecisions()
        if not decisions.is_reviewed:
            unfinished += 1
        elif is_control(one.inspection.video.digest):
            control += 1
        elif decisions.undecided:
            undecided += 1
        else:
            usable.append(one)
    found = UsableVideos(tuple(usable), control, undecided, unfinished)
    if not usable:
        why = "; ".join(found.lines())
        raise InspectionError(
            f"no video can be used for training: {why}; mark videos as reviewed in `urbanpipe review`"
        )
    return found


def write_video_labels(videos: Sequence[InspectionRecord], out: Path, taxonomy: Taxonomy) -> int:
    """Write QV-Pipe labels: the indices of the accepted classes of each video; return the number of labels.

    A video without any has the class that means "nothing wrong", where the taxonomy has one.
    """
    labels = {}
    for one in videos:
        codes = _present(one) or ({taxonomy.exclusive} if taxonomy.exclusive else set())
        labels[one.name] = sorted(taxonomy.index(code) for code in codes if code)
    write_json(out, labels, indent=None)
    return sum(map(len, labels.values()))


def write_moment_labels(videos: Sequence[InspectionRecord], out: Path) -> int:
    """Write CCTV-Pipe labels: class and second of every accepted defect; return their number.

    A defect without a time is a label of the whole video. A video without any has an empty list: nothing is wrong.
    """
    database = {
        f"{number}-{short_hash(one.name)}": {
            "file_name": one.name,
            "duration": round(one.inspection.video.duration_seconds, 3),
            "annotations": _annotations(one),
        }
        for number, one in enumerate(videos)
    }
    write_json(out, {"database": database})
    return sum(len(_annotations(one)) for one in videos)


def _present(one: InspectionRecord) -> set[str]:
    return one.decisions.present if one.decisions else set()


def _annotations(one: InspectionRecord) -> list[dict[str, object]]:
    reviews = one.decisions.reviews.values() if one.decisions else ()
    accepted = [review.decision for review in reviews if review.decision.status is Status.accepted]
    return [
        {"label": item.code} | ({} if item.seconds is None else {"moment": round(item.seconds, 3)}) for item in accepted
    ]
