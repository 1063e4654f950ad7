"""The review store: decisions are added, never changed; the current state is the last decision on each item."""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from urbanpipe.errors import ClosedError, ReviewError, StaleError
from urbanpipe.review_store.database import (
    BUSY_SECONDS,
    backup,
    check_same,
    explained,
    identity,
    open_database,
    transaction,
)
from urbanpipe.review_store.decision import DATA_KEY, REVIEW_KEY, Status

State = dict[str, Any] | None
"""Fields of a decision, of a video's review or of its inspection data; None for what nobody has decided on."""


@dataclass(frozen=True)
class Change:
    """A new state of an item.

    Attributes:
        video: digest of the video.
        item: key of the item.
        after: its new state; None to return to the proposal.
        version: the version that the person saw: number of the last decision on the item, 0 if there was none.
        bundle: digest of the bundle whose proposals the person saw.
    """

    video: str
    item: str
    after: State
    version: int
    bundle: str = ""


@dataclass(frozen=True)
class Author:
    """Who decides, and when in their visit to the page.

    Attributes:
        who: name of the person.
        is_lead: whether they may change a video that was reviewed in full.
        visit: identifies one opening of a page.
        elapsed_seconds: time since then.
        request: identifies the action: the same request is stored once, however often it is sent. Empty: a new action.
    """

    who: str
    is_lead: bool = True
    visit: str = ""
    elapsed_seconds: float = 0.0
    request: str = ""


@dataclass(frozen=True)
class Recorded:
    """A decision in the log.

    Attributes:
        seq: its number, which is the version of the item from then on.
        at: time, ISO 8601 in UTC. Clocks can go back: the order of decisions is that of `seq`.
        who: name of the person.
        bundle: digest of the bundle whose proposals the person saw.
        video: digest of the video.
        item: key of the item.
        before: state before.
        after: state after.
        action: number of the first decision of the same action.
        reverts: the action that this one undoes; None for an ordinary one.
        visit: identifies one opening of a page.
        elapsed_seconds: time since then.
    """

    seq: int
    at: str
    who: str
    bundle: str
    video: str
    item: str
    before: State
    after: State
    action: int
    reverts: int | None
    visit: str
    elapsed_seconds: float


@dataclass(frozen=True)
class VideoStatus:
    """The review of one video.

    Attributes:
        reviewed: whether it was reviewed in full.
        decided: number of items with a decision other than `open`.
        seq: number of the last decision on it.
    """

    reviewed: bool
    decided: int
    seq: int


@dataclass(frozen=True)
class StoredPrediction:
    """What a bundle said about a class of a video, kept so that bundles can be compared after another inspection.

    Attributes:
        video: digest of the video.
        bundle: digest of the bundle.
        bundle_name: its name.
        code: the class.
        probability: probability of the class, in [0, 1].
        triage: what the software proposed: `accept`, `review` or `reject`.
    """

    video: str
    bundle: str
    bundle_name: str
    code: str
    probability: float
    triage: str


class ReviewStore:
    """A store of decisions, safe to use from several threads and processes.

    Args:
        path: the SQLite file.
        create: whether to make a missing one.

    Raises:
        ReviewError: the file is no store, was written by a newer version, or lies on a network share.
        OutputError: its folder cannot be written to.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = Path(path)
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._writing = threading.Lock()  # SQLite would make waiting threads sleep and poll
        self._local.connection = open_database(self.path, create=create)
        self._opened = identity(self.path)
        self._connections.append(self._local.connection)

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of the current thread.

        Raises:
            ReviewError: the file was moved, deleted or replaced.
        """
        check_same(self.path, self._opened)
        if not hasattr(self._local, "connection"):
            self._local.connection = open_database(self.path, create=False)
            self._connections.append(self._local.connection)
        connection: sqlite3.Connection = self._local.connection
        return connection

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in self._connections:
            connection.close()

    def decide(self, changes: Sequence[Change], author: Author) -> list[Recorded]:
        """Store the changes of one action, all or none, and return them as recorded.

        An action that was stored before, because its answer was lost, is returned as it is.

        Raises:
            StaleError: an item was changed since the person saw it.
            ClosedError: a video was reviewed in full, and the person is no lead.
            OutputError: the disk is full.
        """
        with self._transaction() as connection:
            if known := _stored_before(connection, author):
                return known
            _check_open(connection, changes, author)
            return _append(connection, changes, author, reverts=None)

    def undo(self, author: Author, *, below: int | None = None) -> list[Recorded]:
        """Undo the last action of a person that is not undone yet; return what was recorded, or nothing.

        Args:
            author: the person.
            below: leave this action and later ones alone, for example one that somebody else has built on.

        Raises:
            StaleError: somebody changed an item since; it names the action.
            ClosedError: a video was reviewed in full since, and the person is no lead.
        """
        return self._revert(author, redo=False, below=below)

    def redo(self, author: Author) -> list[Recorded]:
        """Undo the last undo of a person, unless they decided something since.

        Raises:
            StaleError: somebody changed an item since.
            ClosedError: a video was reviewed in full since, and the person is no lead.
        """
        return self._revert(author, redo=True)

    def _revert(self, author: Author, redo: bool, below: int | None = None) -> list[Recorded]:
        with self._transaction() as connection:
            if known := _stored_before(connection, author):
                return known
            action = _action_to_revert(connection, author.who, redo, below)
            if action is None:
                return []
            rows = _recorded(connection, "action = ?", action)
            changes = [
                Change(row.video, row.item, row.before, _version_to_revert(connection, row), row.bundle) for row in rows
            ]
            _check_open(connection, changes, author, own={row.video for row in rows if row.item == REVIEW_KEY})
            try:
                return _append(connection, changes, author, reverts=action)
            except StaleError as error:
                error.action = action
                raise

    def items(self, video: str) -> dict[str, Recorded]:
        """Return the last decision on each item of a video, by key."""
        rows = self._read(
            "SELECT * FROM decisions WHERE seq IN (SELECT max(seq) FROM decisions WHERE video = ? GROUP BY item)", video
        )
        return {row.item: row for row in rows}

    def keys(self, video: str) -> set[str]:
        """Return the keys of all items of a video that anybody decided about."""
        return {row[0] for row in self.rows("SELECT DISTINCT item FROM decisions WHERE video = ?", video)}

    def all_items(self) -> Iterator[Recorded]:
        """Yield the last decision on each item of all videos, ordered by video and item."""
        yield from self._read(
            "SELECT * FROM decisions WHERE seq IN (SELECT max(seq) FROM decisions GROUP BY video, item) "
            "ORDER BY video, item"
        )

    def history(self, video: str | None = None, *, before: int | None = None, limit: int = 200) -> list[Recorded]:
        """Return decisions, the last one first.

        Args:
            video: digest of a video; default: all videos.
            before: only decisions with smaller numbers.
            limit: largest number of decisions.
        """
        return self._read(
            "SELECT * FROM decisions WHERE (?1 IS NULL OR video = ?1) AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
            video,
            before if before is not None else 2**62,
            limit,
        )

    def statuses(self) -> dict[str, VideoStatus]:
        """Return the review of every video with decisions, by digest."""
        rows = self.rows("SELECT * FROM reviews")
        return {row["video"]: VideoStatus(bool(row["reviewed"]), row["decided"], row["seq"]) for row in rows}

    def status(self, video: str) -> VideoStatus:
        """Return the review of one video."""
        rows = self.rows("SELECT * FROM reviews WHERE video = ?", video)
        return next((VideoStatus(bool(row[1]), row[2], row[3]) for row in rows), VideoStatus(False, 0, 0))

    def keep_predictions(self, predictions: Iterable[StoredPrediction]) -> None:
        """Keep what a bundle said about a video; what is known stays as it is.

        Raises:
            OutputError: the disk is full.
        """
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO predictions VALUES (?, ?, ?, ?, ?, ?)", map(astuple, predictions)
            )

    def predictions(self) -> list[StoredPrediction]:
        """Return the kept predictions, by bundle, video and class."""
        rows = self.rows("SELECT * FROM predictions ORDER BY bundle, video, code")
        return [StoredPrediction(*row) for row in rows]

    def visit_seconds(self) -> dict[str, float]:
        """Return the time that people spent on each video: the longest time of each visit, added up over visits."""
        rows = self.rows(
            "SELECT video, sum(seconds) FROM (SELECT video, visit, max(elapsed_seconds) AS seconds FROM decisions "
            "WHERE visit != '' GROUP BY video, visit) GROUP BY video"
        )
        return {row[0]: row[1] for row in rows}

    def undoable(self, who: str) -> tuple[bool, bool]:
        """Return whether a person has an action to undo, and one to redo."""
        with explained(self.path):
            connection = self.connection
            return tuple(_action_to_revert(connection, who, redo) is not None for redo in (False, True))  # type: ignore[return-value]

    def rebuild(self) -> None:
        """Derive the table of reviews from the log again."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM reviews")
            videos = [row[0] for row in connection.execute("SELECT DISTINCT video FROM decisions")]
            for video in videos:
                _update_review(connection, video)

    def backup(self, target: Path) -> None:
        """Copy the store into another file while it is in use.

        Raises:
            OutputError: the target cannot be written.
        """
        backup(self.connection, target)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self.connection
        if not self._writing.acquire(timeout=BUSY_SECONDS):
            raise ReviewError(f"{self.path}: others are writing into it for long; try again")
        try:
            with transaction(connection, self.path):
                yield connection
        finally:
            self._writing.release()

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Return the rows of a query that changes nothing.

        Raises:
            ReviewError: the store cannot be read.
        """
        with explained(self.path):
            return self.connection.execute(query, values).fetchall()

    def _read(self, query: str, *values: object) -> list[Recorded]:
        with explained(self.path):
            return [_as_recorded(row) for row in self.connection.execute(query, values)]


def _recorded(connection: sqlite3.Connection, condition: str, *values: object) -> list[Recorded]:
    rows = connection.execute(f"SELECT * FROM decisions WHERE {condition} ORDER BY seq", values)
    return [_as_recorded(row) for row in rows]


def _stored_before(connection: sqlite3.Connection, author: Author) -> list[Recorded]:
    return _recorded(connection, "request = ?", author.request) if author.request else []


def _as_recorded(row: sqlite3.Row) -> Recorded:
    values = {key: row[key] for key in row.keys() if key != "request"}  # noqa: SIM118
    return Recorded(**values | {"before": json.loads(row["before"]), "after": json.loads(row["after"])})


def _check_open(
    connection: sqlite3.Connection,
    changes: Sequence[Change],
    author: Author,
    own: frozenset[str] | set[str] = frozenset(),
) -> None:
    if author.is_lead:
        return
    for video in {change.video for change in changes} - set(own):
        row = connection.execute("SELECT reviewed FROM reviews WHERE video = ?", (video,)).fetchone()
        if row and row["reviewed"]:
            raise ClosedError("the video was reviewed in full; a lead can open it again")


def _append(
    connection: sqlite3.Connection, changes: Sequence[Change], author: Author, reverts: int | None
) -> list[Recorded]:
    if not changes:
        raise ReviewError("nothing to store: the action holds no change")
    if len({(change.video, change.item) for change in changes}) < len(changes):
        raise ReviewError("an action may change an item only once; nothing was stored")
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    action = connection.execute("SELECT coalesce(max(seq), 0) + 1 FROM decisions").fetchone()[0]
    for change in changes:
        before = _current(connection, change)
        connection.execute(
            "INSERT INTO decisions (at, who, bundle, video, item, before, after, action, reverts, request, visit, "
            "elapsed_seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                at,
                author.who,
                change.bundle,
                change.video,
                change.item,
                before,
                json.dumps(change.after, ensure_ascii=False, allow_nan=False),
                action,
                reverts,
                author.request or uuid4().hex,
                author.visit,
                author.elapsed_seconds,
            ),
        )
    for video in dict.fromkeys(change.video for change in changes):
        _update_review(connection, video)
    return _recorded(connection, "action = ?", action)


def _current(connection: sqlite3.Connection, change: Change) -> str:
    """Return the current state of an item as JSON, if it is the one that the person saw."""
    row = connection.execute(
        "SELECT seq, who, after FROM decisions WHERE video = ? AND item = ? ORDER BY seq DESC LIMIT 1",
        (change.video, change.item),
    ).fetchone()
    if (row["seq"] if row else 0) != change.version:
        who = f" by {row['who']}" if row else ""
        raise StaleError(f"{change.item} was changed{who} in the meantime; nothing was stored")
    return str(row["after"]) if row else "null"


def _update_review(connection: sqlite3.Connection, video: str) -> None:
    """Derive a video's row of the table of reviews from the last decision on each of its items."""
    connection.execute(
        "INSERT OR REPLACE INTO reviews SELECT ?1, "
        "coalesce(max(CASE WHEN item = ?2 THEN json_extract(after, '$.reviewed') END), 0), "
        "sum(item NOT IN (?2, ?3) AND coalesce(json_extract(after, '$.status'), ?4) != ?4), max(seq) "
        "FROM (SELECT max(seq) AS seq, item, after FROM decisions WHERE video = ?1 GROUP BY item)",
        (video, REVIEW_KEY, DATA_KEY, Status.open.value),
    )


def _action_to_revert(connection: sqlite3.Connection, who: str, redo: bool, below: int | None = None) -> int | None:
    """Return the action that an undo or a redo reverts; an undo reverts an ordinary action, a redo reverts an undo.

    It goes from the last action backwards and skips what a later action has reverted.
    """
    reverted: set[int] = set()
    rows = connection.execute(
        "SELECT one.action, one.reverts, other.reverts AS reverts_of_reverted FROM decisions one "
        "LEFT JOIN decisions other ON other.seq = one.reverts "
        "WHERE one.who = ? AND one.seq = one.action ORDER BY one.seq DESC",
        (who,),
    )
    for action, reverts, reverts_of_reverted in rows:
        if action in reverted:
            continue
        if reverts is None and below is not None and action >= below:
            continue
        if reverts is None:
            return None if redo else int(action)
        if redo and reverts_of_reverted is None:
            return int(action)
        reverted.add(reverts)
    return None


def _version_to_revert(connection: sqlite3.Connection, row: Recorded) -> int:
    """Return the version of an item in which a decision still holds, be it by an undo or a redo of the same person."""
    last = _recorded(
        connection,
        "seq = (SELECT max(seq) FROM decisions WHERE video = ? AND item = ?)",
        row.video,
        row.item,
    )[0]
    is_restored = last.who == row.who and last.reverts is not None and last.after == row.after
    return last.seq if is_restored else row.seq
