"""The review store: decisions are added, never changed; the current state is the last decision on each item."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

from urbanpipe.errors import BusyError, StaleError
from urbanpipe.review_store.database import (
    BUSY_SECONDS,
    ThreadConnections,
    backup,
    check_same,
    database_errors,
    identity,
    open_database,
    transaction,
)
from urbanpipe.review_store.decision import REVIEW_KEY
from urbanpipe.review_store.log import (
    action_to_revert,
    append,
    as_recorded,
    check_open,
    recorded,
    stored_before,
    update_review,
    version_to_revert,
)
from urbanpipe.review_store.records import Author, Change, RecordedDecision, StoredPrediction, VideoStatus


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
        self._writing = threading.Lock()  # SQLite would make waiting threads sleep and poll
        first = open_database(self.path, create=create)
        self._connections = ThreadConnections(first, lambda: open_database(self.path, create=False))
        self._opened = identity(self.path)

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of the current thread.

        Raises:
            ReviewError: the file was moved, deleted or replaced.
        """
        check_same(self.path, self._opened)
        return self._connections.get()

    def close(self) -> None:
        """Close the connections of all threads."""
        self._connections.close()

    def decide(self, changes: Sequence[Change], author: Author) -> list[RecordedDecision]:
        """Store the changes of one action, all or none, and return them as recorded.

        An action that was stored before, because its answer was lost, is returned as it is.

        Raises:
            StaleError: an item was changed since the person saw it.
            ClosedError: a video was reviewed in full, and the person is no lead.
            OutputError: the disk is full.
        """
        with self._transaction() as connection:
            if known := stored_before(connection, author):
                return known
            check_open(connection, changes, author)
            return append(connection, changes, author, reverts=None)

    def undo(self, author: Author, *, below: int | None = None) -> list[RecordedDecision]:
        """Undo the last action of a person that is not undone yet; return what was recorded, or nothing.

        Args:
            author: the person.
            below: leave this action and later ones alone, for example one that somebody else has built on.

        Raises:
            StaleError: somebody changed an item since; it names the action.
            ClosedError: a video was reviewed in full since, and the person is no lead.
        """
        return self._revert(author, redo=False, below=below)

    def redo(self, author: Author) -> list[RecordedDecision]:
        """Undo the last undo of a person, unless they decided something since.

        Raises:
            StaleError: somebody changed an item since.
            ClosedError: a video was reviewed in full since, and the person is no lead.
        """
        return self._revert(author, redo=True)

    def _revert(self, author: Author, redo: bool, below: int | None = None) -> list[RecordedDecision]:
        with self._transaction() as connection:
            if known := stored_before(connection, author):
                return known
            action = action_to_revert(connection, author.who, redo, below)
            if action is None:
                return []
            rows = recorded(connection, "action = ?", action)
            changes = [
                Change(row.video, row.item, row.before, version_to_revert(connection, row), row.bundle) for row in rows
            ]
            check_open(connection, changes, author, own={row.video for row in rows if row.item == REVIEW_KEY})
            try:
                return append(connection, changes, author, reverts=action)
            except StaleError as error:
                error.action = action
                raise

    def items(self, video: str) -> dict[str, RecordedDecision]:
        """Return the last decision on each item of a video, by key."""
        rows = self._read(
            "SELECT * FROM decisions WHERE seq IN (SELECT max(seq) FROM decisions WHERE video = ? GROUP BY item)", video
        )
        return {row.item: row for row in rows}

    def keys(self, video: str) -> set[str]:
        """Return the keys of all items of a video that anybody decided about."""
        return {row[0] for row in self.rows("SELECT DISTINCT item FROM decisions WHERE video = ?", video)}

    def all_items(self) -> Iterator[RecordedDecision]:
        """Yield the last decision on each item of all videos, ordered by video and item."""
        yield from self._read(
            "SELECT * FROM decisions WHERE seq IN (SELECT max(seq) FROM decisions GROUP BY video, item) "
            "ORDER BY video, item"
        )

    def history(
        self, video: str | None = None, *, before: int | None = None, limit: int = 200
    ) -> list[RecordedDecision]:
        """Return decisions, the last one first.

        Args:
            video: digest of a video; default: all videos.
            before: only decisions with smaller numbers.
            limit: largest number of decisions.
        """
        return self._read(
            "SELECT * FROM decisions WHERE (? IS NULL OR video = ?) AND seq < ? ORDER BY seq DESC LIMIT ?",
            video,
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
        with database_errors(self.path):
            connection = self.connection
            return tuple(action_to_revert(connection, who, redo) is not None for redo in (False, True))  # type: ignore[return-value]

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the store in this thread while the block runs, whatever others write meanwhile.

        Raises:
            ReviewError: the store cannot be read.
        """
        with database_errors(self.path):
            connection = self.connection
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM decisions LIMIT 1").fetchone()  # from here on the state is fixed
        try:
            yield
        finally:
            connection.execute("ROLLBACK")

    def rebuild(self) -> None:
        """Derive the table of reviews from the log again."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM reviews")
            videos = [row[0] for row in connection.execute("SELECT DISTINCT video FROM decisions")]
            for video in videos:
                update_review(connection, video)

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
            raise BusyError(f"{self.path}: others are writing into it for long; try again")
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
        with database_errors(self.path):
            return self.connection.execute(query, values).fetchall()

    def _read(self, query: str, *values: object) -> list[RecordedDecision]:
        with database_errors(self.path):
            return [as_recorded(row) for row in self.connection.execute(query, values)]
