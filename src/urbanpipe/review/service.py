"""The review of inspections, without the web: reading, deciding, undoing, and deciding about many at once."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from urbanpipe.contracts.findings import Inspection
from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.contracts.inspection_sources import Source, read_sources
from urbanpipe.contracts.inspections import InspectionSource
from urbanpipe.contracts.stored_inspection_data import read_stored_data
from urbanpipe.errors import InspectionError, VideoError
from urbanpipe.review.checked_state import checked_state
from urbanpipe.review.files import VideoFile, VideoFiles, names_picture
from urbanpipe.review.media.indices import IndexCache
from urbanpipe.review.media.playable import plays_in_browser
from urbanpipe.review.media.player_times import frame_shown, seek_seconds
from urbanpipe.review.media.proxies import ProxyCache, ProxyState
from urbanpipe.review.media.stills import Stills
from urbanpipe.review.queue import Filter, queue_folders
from urbanpipe.review.video_index import VideoIndex, index_file
from urbanpipe.review.video_view import proposals, video_view
from urbanpipe.review_store.decision import REVIEW_KEY, Decision, Status, as_proposed
from urbanpipe.review_store.records import Author, Change, RecordedDecision, State, StoredPrediction
from urbanpipe.review_store.store import ReviewStore

PROXY_BYTES = 4 * 2**30
MAX_INSPECTIONS = 64
MAX_STILL_PIXELS = 1600


@dataclass(frozen=True)
class ReviewVideo:
    """An inspection that a page shows.

    Attributes:
        name: its key in the source: the name of its folder.
        folder: its folder; None if it lies in an archive.
        inspection: the inspection without its timeline.
    """

    name: str
    folder: Path | None
    inspection: Inspection

    @property
    def digest(self) -> str:
        """Digest of the video, under which the store keeps its decisions."""
        return self.inspection.video.digest


@dataclass(frozen=True)
class Playback:
    """What a player gets.

    Attributes:
        file: the file of the video.
        reason: why browsers do not play it; empty if they do.
        proxy: how far its proxy is; None if none is needed.
    """

    file: VideoFile
    reason: str = ""
    proxy: ProxyState | None = None


class ReviewService:
    """Everything that the pages need.

    Args:
        source: the inspections.
        store: the store of decisions.
        proxies: folder of copies that browsers play.
        proxy_bytes: how much they may take together.
    """

    def __init__(
        self, source: InspectionSource, store: ReviewStore, proxies: Path, proxy_bytes: int = PROXY_BYTES
    ) -> None:
        self._given: dict[str, InspectionData] | None = None
        self._suggested: dict[str, InspectionData] = {}
        self.source, self.store = source, store
        self.index = VideoIndex(source, index_file(source.location, store.path), store.path)
        self.files = VideoFiles()
        indices = IndexCache()
        self.stills = Stills(indices)
        self.proxies = ProxyCache(proxies, proxy_bytes, indices=indices)
        self._lock = threading.Lock()
        self._read: OrderedDict[str, tuple[str, Inspection]] = OrderedDict()

    def close(self) -> None:
        """End what runs in the background, and close the index and the store."""
        self.proxies.close()
        self.index.close()
        self.store.close()
        self.source.close()

    def open(self, name: str) -> ReviewVideo:
        """Return an inspection of the index.

        Raises:
            InspectionError: there is none, or it cannot be read.
        """
        if name not in self.index:
            raise InspectionError(f"there is no inspection in the folder {name!r}; go back to the list of videos")
        return ReviewVideo(name, self.source.folder(name), self._inspection(name))

    def view(self, name: str) -> dict[str, Any]:
        """Return what the page of a video shows.

        Raises:
            InspectionError: there is no such inspection, or it cannot be read.
        """
        video = self.open(name)
        status = self.store.status(video.digest)
        facts: dict[str, Any] = {
            "folder": name,
            "reviewed": status.reviewed,
            "decided": status.decided,
            "last": status.seq,
        }
        given = self._given_data(video)
        facts["given_data"] = given.model_dump(mode="json", exclude={"video"}) if given else None
        suggested = self._suggested.get(name)
        facts["suggested_data"] = suggested.model_dump(mode="json", exclude={"video"}) if suggested else {}
        return video_view(self._with_timeline(video), self.store.items(video.digest)) | facts

    def picture(self, video: ReviewVideo, name: str) -> bytes | None:
        """Return a picture or a heat map that the findings of a video name; None if there is none."""
        try:
            return self.source.picture(video.name, name) if names_picture(video.inspection, name) else None
        except InspectionError:
            return None

    def give_data(self, sources: Source | Sequence[Source]) -> tuple[str, ...]:
        """Show inspection data wherever people have entered none; return names in its files without a video.

        Rows that were read by OCR and that nobody has checked are only suggested.

        Raises:
            InspectionError: see `read_sources`.
        """
        rows = list(self.index.connection.execute("SELECT name, folder, path FROM videos"))
        unchecked: dict[str, InspectionData] = {}
        data, unmatched = read_sources(sources, {row["name"]: row["path"] for row in rows}, unchecked=unchecked)
        self._given = {row["folder"]: data[row["name"]] for row in rows if row["name"] in data}
        self._suggested = {row["folder"]: unchecked[row["name"]] for row in rows if row["name"] in unchecked}
        return unmatched

    def _given_data(self, video: ReviewVideo) -> InspectionData | None:
        """Return the inspection data that `give_data` read, or else that `inspect` was given."""
        if self._given is not None:
            return self._given.get(video.name)
        return read_stored_data(video.folder) if video.folder else None

    def decide(self, name: str, changes: Sequence[tuple[str, State, int]], author: Author) -> list[RecordedDecision]:
        """Store changes of items of a video: key, new state, and the version that the person saw.

        Raises:
            ReviewError: a key or a state is invalid, an item was changed since, or the video is closed to the person.
            InspectionError: there is no such inspection, or it cannot be read.
        """
        video = self.open(name)
        known = {key for key, _, _ in proposals(video.inspection)} | self.store.keys(video.digest)
        checked = [
            Change(video.digest, key, checked_state(key, state, video.inspection, known), version, _bundle(video))
            for key, state, version in changes
        ]
        recorded = self.store.decide(checked, author)
        if any(key == REVIEW_KEY and state and state["reviewed"] for key, state, _ in changes):
            self.store.keep_predictions(predictions_of(video.inspection))
        return recorded

    def reject_below(
        self, wanted: Filter, code: str, probability: float, author: Author | None
    ) -> tuple[int, list[RecordedDecision]]:
        """Reject the open proposals of a class below a probability, in all videos of a filter that are not reviewed.

        Args:
            wanted: the filter.
            code: the class.
            probability: proposals of at least this probability are left open.
            author: who decides; None to count only.

        Returns:
            Number of proposals, and what was recorded.
        """
        changes = [
            change
            for _, inspection in self.source.read(queue_folders(self.index, wanted))
            if isinstance(inspection, Inspection)
            for change in self._below(inspection, code, probability)
        ]
        distinct = list({(change.video, change.item): change for change in changes}.values())
        return len(distinct), self.store.decide(distinct, author) if author and distinct else []

    def playback(self, video: ReviewVideo) -> Playback:
        """Return what a player gets: the file, if it is the inspected one, and its proxy where browsers need one.

        It begins to check the file, to index it, and to make the proxy; ask again until all of it is there.
        """
        file = self.files.find(video.inspection, video.folder)
        if file.status != "ok" or file.path is None:
            return Playback(file)
        self.stills.indices.prepare(file.path)
        playable = plays_in_browser(file.path)
        return Playback(file, playable.reason, None if playable else self.proxies.start(file.path, video.digest))

    def frame(
        self,
        video: ReviewVideo,
        *,
        seconds: float | None = None,
        player: float | None = None,
        number: int = 0,
        proxy: bool = False,
    ) -> dict[str, float | int]:
        """Return number and times of a frame of a video.

        Args:
            video: the video.
            seconds: time after the first frame; the frame shown then.
            player: time of a player; the frame that it shows then.
            number: number of the frame, where no time is given; the nearest one that exists.
            proxy: whether the player plays the proxy.

        Raises:
            VideoError: the video cannot be read, or is not the inspected one.
        """
        index = self.stills.indices.index(self.file(video))
        if seconds is not None:
            number = int(index.frame_at(np.array(min(max(0.0, seconds), index.duration_seconds))))
        elif player is not None:
            number = frame_shown(index, player)
        at = np.array([min(max(0, number), index.frame_count - 1)])
        shown = seek_seconds(index, at) if proxy else index.player_seconds(at)
        return {
            "number": int(at[0]),
            "count": index.frame_count,
            "seconds": float(index.times_seconds[at[0]]),
            "player_seconds": float(shown[0]),
        }

    def still(self, video: ReviewVideo, number: int) -> bytes:
        """Return a frame of a video as JPEG.

        Raises:
            VideoError: the video cannot be read, is not the inspected one, or has no such frame.
        """
        path = self.file(video)
        is_made = self.proxies.state(video.digest).status == "ready"
        proxy = self.proxies.proxy(path, video.digest) if is_made else None
        return self.stills.frame(path, number, max_width=MAX_STILL_PIXELS, proxy=proxy)

    def file(self, video: ReviewVideo) -> Path:
        """Return the file of a video, once it is known to be the inspected one.

        Raises:
            VideoError: it is missing, or has changed.
        """
        found = self.files.find(video.inspection, video.folder, wait=True)
        if found.status == "changed":
            raise VideoError(found.path, "its contents have changed since the inspection; inspect it again")
        if found.path is None:
            raise VideoError(video.inspection.video.path, "the file is not where it was when it was inspected")
        return found.path

    def _below(self, inspection: Inspection, code: str, probability: float) -> Iterator[Change]:
        video = inspection.video.digest
        decided = self.store.items(video)
        for key, finding, occurrence in proposals(inspection):
            row = decided.get(key)
            state = as_proposed(finding, occurrence) if row is None or row.after is None else Decision(**row.after)
            if state.code == code and finding.probability < probability and state.status is Status.open:
                after = state.model_copy(update={"status": Status.rejected}).model_dump(mode="json")
                yield Change(video, key, after, row.seq if row else 0, inspection.bundle.digest)

    def _with_timeline(self, video: ReviewVideo) -> Inspection:
        try:
            timeline = self.source.timeline(video.name) if video.inspection.timed else None
        except InspectionError:  # the page then has no curves
            timeline = None
        return video.inspection.model_copy(update={"timeline": timeline})

    def _inspection(self, name: str) -> Inspection:
        """Read the findings of a video; those of the last videos are kept as long as they do not change."""
        version = self.source.version(name)
        if not version:
            raise InspectionError(
                f"{name} in {self.source.location} was moved or deleted; move it back, or inspect the video again"
            )
        with self._lock:
            known = self._read.get(name)
        if known and known[0] == version:
            return known[1]
        _, inspection = next(self.source.read([name]))
        if isinstance(inspection, InspectionError):
            raise inspection
        with self._lock:
            self._read[name] = version, inspection
            while len(self._read) > MAX_INSPECTIONS:
                self._read.popitem(last=False)
        return inspection


def predictions_of(inspection: Inspection) -> list[StoredPrediction]:
    """Return what the bundle said about each class of a video, without the one that means "nothing wrong"."""
    bundle, digest = inspection.bundle, inspection.video.digest
    return [
        StoredPrediction(digest, bundle.digest, bundle.name, one.code, one.probability, one.triage)
        for one in inspection.findings
        if one.code != inspection.exclusive
    ]


def _bundle(video: ReviewVideo) -> str:
    return video.inspection.bundle.digest
