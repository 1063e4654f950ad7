"""The log of decisions within a transaction: reading, adding, and what an undo or a redo reverts."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from urbanpipe.errors import ClosedError, ReviewError, StaleError
from urbanpipe.review_store.decision import DATA_KEY, REVIEW_KEY, Status
from urbanpipe.review_store.records import Author, Change, RecordedDecision


def recorded(connection: sqlite3.Connection, condition: str, *values: object) -> list[RecordedDecision]:
    """Return the decisions that meet an SQL condition, in their order."""
    rows = connection.execute(f"SELECT * FROM decisions WHERE {condition} ORDER BY seq", values)
    return [as_recorded(row) for row in rows]


def stored_before(connection: sqlite3.Connection, author: Author) -> list[RecordedDecision]:
    """Return what was stored for the same request, whose answer was lost; nothing for a new one."""
    return recorded(connection, "request = ?", author.request) if author.request else []


def as_recorded(row: sqlite3.Row) -> RecordedDecision:
    """Return a row of the table of decisions as an object."""
    values = {key: row[key] for key in row.keys() if key != "request"}  # noqa: SIM118
    return RecordedDecision(**values | {"before": json.loads(row["before"]), "after": json.loads(row["after"])})


def check_open(
    connection: sqlite3.Connection,
    changes: Sequence[Change],
    author: Author,
    own: frozenset[str] | set[str] = frozenset(),
) -> None:
    """Check that a person may change the videos of an action.

    Args:
        connection: the store, within a transaction.
        changes: the changes.
        author: the person.
        own: videos that the person has just closed and may open again.

    Raises:
        ClosedError: a video was reviewed in full, and the person is no lead.
    """
    if author.is_lead:
        return
    for video in {change.video for change in changes} - set(own):
        row = connection.execute("SELECT reviewed FROM reviews WHERE video = ?", (video,)).fetchone()
        if row and row["reviewed"]:
            raise ClosedError("the video was reviewed in full; a lead can open it again")


def append(
    connection: sqlite3.Connection, changes: Sequence[Change], author: Author, reverts: int | None
) -> list[RecordedDecision]:
    """Add the decisions of one action, and bring the table of reviews up to date.

    Args:
        connection: the store, within a transaction.
        changes: the changes, of different items.
        author: the person.
        reverts: the action that is undone; None for an ordinary one.

    Raises:
        StaleError: an item was changed since the person saw it.
        ReviewError: there is no change, or an item is changed twice.
    """
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
        update_review(connection, video)
    return recorded(connection, "action = ?", action)


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


def update_review(connection: sqlite3.Connection, video: str) -> None:
    """Derive a video's row of the table of reviews from the last decision on each of its items."""
    connection.execute(
        "INSERT OR REPLACE INTO reviews SELECT :video, "
        "coalesce(max(CASE WHEN item = :review THEN json_extract(after, '$.reviewed') END), 0), "
        "sum(item NOT IN (:review, :data) AND coalesce(json_extract(after, '$.status'), :open) != :open), max(seq) "
        "FROM (SELECT max(seq) AS seq, item, after FROM decisions WHERE video = :video GROUP BY item)",
        {"video": video, "review": REVIEW_KEY, "data": DATA_KEY, "open": Status.open.value},
    )


def action_to_revert(connection: sqlite3.Connection, who: str, redo: bool, below: int | None = None) -> int | None:
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


def version_to_revert(connection: sqlite3.Connection, row: RecordedDecision) -> int:
    """Return the version of an item in which a decision still holds, be it by an undo or a redo of the same person."""
    last = recorded(
        connection,
        "seq = (SELECT max(seq) FROM decisions WHERE video = ? AND item = ?)",
        row.video,
        row.item,
    )[0]
    is_restored = last.who == row.who and last.reverts is not None and last.after == row.after
    return last.seq if is_restored else row.seq
